/* SPDX-License-Identifier: Apache-2.0 */
/* factory/publish/prune.c - see prune.h. First the offer shrinks, signed and complete; then files go. */
#include "factory/publish/prune.h"

#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/json.h"
#include "base/stop.h"
#include "factory/publish/catalog.h"
#include "factory/publish/metadata.h"
#include "factory/publish/page.h"
#include "factory/publish/reachable.h"
#include "factory/publish/repo.h"
#include "release/layout.h"

void sf_prune_result_free(struct sf_prune_result *result)
{
        sf_words_free(&result->removed);
}

/* --- the offer -------------------------------------------------------------------------------------------------- */

static int remove_release(struct sf_catalog *catalog, const struct sf_release_name *name,
                          struct sf_prune_result *result, struct sf_error *err)
{
        struct sf_index *index;
        int r = sf_catalog_index(catalog, name, &index, err);

        if (r == 0)
                r = sf_words_append(&result->removed, name->text, err);
        if (r == 0)
                result->deltas += sf_index_find(index, name->text)->delta_count;
        if (r == 0)
                sf_index_remove(index, name->text);
        return r;
}

/* How many releases of the same series that nobody withdrew are newer. The newest come first in an index. */
static size_t newer_of_series(const struct sf_catalog *catalog, const struct sf_index *index, size_t place)
{
        struct sf_version version, other;
        size_t count = 0;

        if (sf_version_parse(index->releases[place].name.version, &version, NULL) < 0)
                return 0;
        for (size_t i = 0; i < place; i++)
                count += sf_version_parse(index->releases[i].name.version, &other, NULL) == 0 &&
                         sf_version_same_series(&version, &other) &&
                         !sf_rollout_withdrawn(&catalog->rollout, index->releases[i].name.text);
        return count;
}

static int remove_surplus(struct sf_catalog *catalog, unsigned keep, struct sf_prune_result *result,
                          struct sf_error *err)
{
        int r = 0;

        for (size_t i = 0; i < catalog->count; i++) {
                struct sf_index *index = &catalog->indexes[i].index;
                /* From the oldest on: what goes leaves no mark on those that come after. */
                for (size_t k = index->release_count; r == 0 && k-- > 0;) {
                        struct sf_release_name name = index->releases[k].name;
                        if (newer_of_series(catalog, index, k) >= keep)
                                r = remove_release(catalog, &name, result, err);
                }
        }
        return r;
}

static bool has_tree(const struct sf_index *index, const struct sf_digest *tree)
{
        for (size_t i = 0; i < index->release_count; i++)
                if (sf_digest_equal(&index->releases[i].tree, tree))
                        return true;
        return false;
}

/* Deltas that start from content which no release has any more. */
static void remove_baseless(struct sf_catalog *catalog, struct sf_prune_result *result)
{
        for (size_t i = 0; i < catalog->count; i++) {
                struct sf_index *index = &catalog->indexes[i].index;
                for (size_t k = 0; k < index->release_count; k++) {
                        struct sf_index_release *release = &index->releases[k];
                        size_t kept = 0;
                        for (size_t d = 0; d < release->delta_count; d++)
                                if (has_tree(index, &release->deltas[d].from))
                                        release->deltas[kept++] = release->deltas[d];
                        result->deltas += release->delta_count - kept;
                        release->delta_count = kept;
                }
        }
}

static int shrink(const struct sf_prune *prune, struct sf_catalog *catalog, struct sf_prune_result *result,
                  struct sf_error *err)
{
        struct sf_release_name name;
        int r = 0;

        for (size_t i = 0; r == 0 && i < prune->release_count; i++) {
                r = sf_catalog_choose(catalog, prune->releases[i], &name, err);
                if (r == 0)
                        r = remove_release(catalog, &name, result, err);
        }
        if (r == 0 && prune->keep)
                r = remove_surplus(catalog, prune->keep, result, err);
        if (r == 0)
                remove_baseless(catalog, result);
        return r;
}

/* --- files ------------------------------------------------------------------------------------------------------ */

/* The order of deleting. What leads to other files goes before them: what a killed run leaves is either whole or led to
 * by nothing, and the next run deletes it. */
enum rank { RANK_SNAPSHOTS, RANK_METADATA, RANK_TARGETS, RANK_BLOBS, RANK_COUNT };

struct sweep {
        const struct sf_prune *prune;
        const json_t *reachable;
        enum rank rank; /* of the directory at hand */
        struct sf_words doomed[RANK_COUNT];
        struct sf_prune_result *result;
};

static void sweep_free(struct sweep *s)
{
        for (size_t i = 0; i < RANK_COUNT; i++)
                sf_words_free(&s->doomed[i]);
}

static int visit_file(void *ctx, const char *path, uint64_t size, int64_t modified, struct sf_error *err)
{
        struct sweep *s = ctx;
        const json_t *until = json_object_get(s->reachable, path);

        if (sf_stop_requested)
                return sf_error_set(err, SF_ERR_INTERRUPTED, "interrupted");
        if (until) {
                int64_t moment = json_integer_value(until);
                if (moment == INT64_MAX)
                        return 0;
                s->result->waiting_files++;
                s->result->waiting_bytes += size;
                if (moment > s->result->waiting_until)
                        s->result->waiting_until = moment;
                return 0;
        }
        if (modified > s->prune->now - s->prune->grace)
                return 0;
        s->result->files++;
        s->result->bytes += size;
        return sf_words_append(&s->doomed[strstr(path, ".snapshot.json") ? RANK_SNAPSHOTS : s->rank], path, err);
}

static int sweep_all(const struct sf_prune *prune, int64_t current, struct sf_prune_result *result,
                     struct sf_error *err)
{
        static const struct {
                const char *top;
                enum rank rank;
        } tops[] = { { SF_LAYOUT_METADATA, RANK_METADATA },
                     { SF_LAYOUT_TARGETS, RANK_TARGETS },
                     { SF_LAYOUT_BLOBS, RANK_BLOBS } };
        _cleanup_json_ json_t *reachable = NULL;
        _cleanup_(sweep_free) struct sweep s = { .prune = prune, .result = result };
        struct sf_files directory;
        const struct sf_files *files = prune->files ? prune->files : &directory;

        sf_files_of_directory(prune->repository, &directory);
        int r = sf_reachable_find(files, current, prune->now - prune->grace, &reachable, err);
        s.reachable = reachable;
        for (size_t i = 0; r == 0 && i < sizeof tops / sizeof *tops; i++) {
                s.rank = tops[i].rank;
                r = files->walk(files->place, tops[i].top, visit_file, &s, err);
        }
        for (size_t i = 0; r == 0 && !prune->dry_run && i < RANK_COUNT; i++)
                r = files->remove(files->place, sf_words_argv(&s.doomed[i]), s.doomed[i].count, err);
        return r;
}

/* --- both ------------------------------------------------------------------------------------------------------- */

struct pages {
        const char *repository;
        struct sf_repo_index tags;
        struct sf_catalog catalog;
};

static void pages_close(struct pages *p)
{
        sf_repo_index_close(&p->tags);
        sf_catalog_close(&p->catalog);
}

static int store_pages(void *ctx, struct sf_error *err)
{
        struct pages *p = ctx;
        int r = sf_repo_index_store(&p->tags, err);

        return r < 0 ? r : sf_page_store(&p->catalog, p->repository, err);
}

static int commit(struct pages *p, struct sf_error *err)
{
        int r = sf_catalog_stage(&p->catalog, err);

        if (r == 0)
                r = sf_catalog_tag(&p->catalog, p->repository, &p->tags, err);
        return r < 0 ? r : sf_metadata_commit(p->catalog.metadata, err);
}

int sf_prune_run(const struct sf_prune *prune, struct sf_prune_result *ret, struct sf_error *err)
{
        _cleanup_(pages_close) struct pages pages = { .repository = prune->repository };
        _cleanup_metadata_ struct sf_metadata *metadata = NULL;
        _cleanup_(sf_prune_result_free) struct sf_prune_result result = { 0 };
        const struct sf_metadata_options options = { .repository = prune->repository,
                                                     .keys = prune->keys,
                                                     .now = prune->now,
                                                     .before_timestamp = store_pages,
                                                     .before_timestamp_ctx = &pages,
                                                     .after_commit = prune->after_commit,
                                                     .after_commit_ctx = prune->after_commit_ctx };
        int r = sf_repo_open(prune->repository, err);

        if (r == 0)
                r = sf_metadata_open(&options, &metadata, err);
        if (r == 0)
                r = sf_catalog_open(metadata, &pages.catalog, err);
        if (r == 0)
                r = sf_repo_index_open(prune->repository, &pages.tags, err);
        if (r == 0)
                r = shrink(prune, &pages.catalog, &result, err);
        if (r == 0 && !prune->dry_run && (result.removed.count || result.deltas))
                r = commit(&pages, err);
        if (r == 0)
                r = sweep_all(prune,
                              json_integer_value(json_object_get(sf_metadata_body(metadata, "snapshot"), "version")),
                              &result, err);
        if (r < 0)
                return r;
        *ret = result;
        result = (struct sf_prune_result){ 0 };
        return 0;
}
