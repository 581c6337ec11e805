/* SPDX-License-Identifier: Apache-2.0 */
/* factory/publish/publish.c - why: the story of a publication, in the order that keeps every node safe at every
 * moment: blobs, target files, metadata, index.json for tools, timestamp. */
#include "factory/publish/publish.h"

#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/fs.h"
#include "base/json.h"
#include "base/log.h"
#include "factory/pack/builds.h"
#include "factory/pack/oci.h"
#include "factory/pack/pack.h"
#include "factory/publish/catalog.h"
#include "factory/publish/deltas.h"
#include "factory/publish/dsse.h"
#include "factory/publish/metadata.h"
#include "factory/publish/publish-session.h"
#include "factory/publish/repo.h"
#include "release/layout.h"

#define MANIFEST_MAX (4u << 20)

/* A release on its way into the repository. */
struct publication {
        struct sf_publish_session *session;
        struct sf_build build;
        struct sf_index_release release; /* the new entry; its deltas are owned */
};

static void publication_free(struct publication *p)
{
        sf_build_close(&p->build);
        free(p->release.deltas);
}

static int no_memory(struct sf_error *err)
{
        return sf_error_set(err, SF_ERR_NOMEM, "out of memory");
}

/* --- one release ------------------------------------------------------------------------------------------------ */

static int has_blob(const struct sf_publish_session *s, const struct sf_blob *blob, bool *ret, struct sf_error *err)
{
        const struct sf_publish_store *store = s->publish->store;

        *ret = true;
        return store && store->has(store->ctx, blob) ? 0 : sf_repo_check(s->publish->repository, blob, ret, err);
}

static int copy_blob(struct sf_publish_session *s, const char *blobs, const struct sf_blob *blob, struct sf_error *err)
{
        char hex[SF_DIGEST_HEX + 1];
        bool there;
        int r;

        if (!s->publish->dry_run)
                return sf_repo_copy(s->publish->repository, blobs, blob, err);
        if ((r = has_blob(s, blob, &there, err)) < 0 || there)
                return r;
        sf_log_info("would be added: " SF_LAYOUT_BLOBS "/%s, %llu bytes", sf_digest_hex(&blob->digest, hex),
                    (unsigned long long)blob->size);
        s->missing_count++;
        s->missing_bytes += blob->size;
        return 0;
}

/* Copies the blob that an OCI descriptor names. */
static int copy_descriptor(struct sf_publish_session *s, const char *blobs, const json_t *descriptor, const char *where,
                           struct sf_error *err)
{
        struct sf_blob blob;
        const char *digest;
        int64_t size;
        int r = sf_json_string(descriptor, where, "digest", &digest, err);

        if (r == 0)
                r = sf_digest_parse(digest, &blob.digest, err);
        if (r == 0)
                r = sf_json_integer(descriptor, where, "size", 0, INT64_MAX, &size, err);
        if (r < 0)
                return r;
        blob.size = (uint64_t)size;
        return copy_blob(s, blobs, &blob, err);
}

/* Everything that a release consists of; the manifest comes after what it names. What is there is checked, and
 * written again where it is damaged. */
static int copy_blobs(struct sf_publish_session *s, const struct sf_build *build, struct sf_error *err)
{
        const struct sf_index_release *release = sf_build_release(build);
        char hex[SF_DIGEST_HEX + 1];
        _cleanup_free_ char *path = sf_fs_join(build->blobs, sf_digest_hex(&release->manifest.digest, hex));
        _cleanup_(sf_buffer_free) struct sf_buffer text = SF_BUFFER_INIT;
        _cleanup_json_ json_t *manifest = NULL;
        json_t *config, *layers;
        const json_t *layer;
        size_t i;
        int r = path ? sf_fs_read(path, MANIFEST_MAX, &text, err) : no_memory(err);

        if (r == 0)
                r = sf_json_parse(path, text.data, text.len, &manifest, err);
        if (r == 0)
                r = sf_json_object(manifest, "manifest", "config", &config, err);
        if (r == 0)
                r = sf_json_array(manifest, "manifest", "layers", &layers, err);
        if (r == 0)
                r = copy_descriptor(s, build->blobs, config, "manifest.config", err);
        if (r < 0)
                return r;
        json_array_foreach (layers, i, layer) {
                r = copy_descriptor(s, build->blobs, layer, "manifest.layers", err);
                if (r < 0)
                        return r;
        }
        r = copy_blob(s, build->blobs, &release->filelist, err);
        if (r == 0 && release->sbom.size)
                r = copy_blob(s, build->blobs, &release->sbom, err);
        return r < 0 ? r : copy_blob(s, build->blobs, &release->manifest, err);
}

static bool is_same(const struct sf_index_release *a, const struct sf_index_release *b)
{
        return sf_digest_equal(&a->manifest.digest, &b->manifest.digest) && sf_digest_equal(&a->tree, &b->tree);
}

/* The new entry: as it was built; what is published by this name already lends its date and its deltas. */
static int start_entry(struct publication *p, const struct sf_index *index, struct sf_error *err)
{
        const struct sf_publish *publish = p->session->publish;
        const struct sf_index_release *built = sf_build_release(&p->build);
        const struct sf_index_release *before = sf_index_find(index, built->name.text);
        bool same = before && is_same(before, built);
        size_t room = publish->delta_from_count + (same ? before->delta_count : 0);

        if (before && !same && !publish->replace)
                return sf_error_set(err, SF_ERR_EXISTS,
                                    "%s is published with other content; give this one a build name (--build), or "
                                    "--force to replace it",
                                    built->name.text);
        p->release = *built;
        p->release.delta_count = 0;
        p->release.deltas = calloc(room + 1, sizeof *p->release.deltas);
        if (!p->release.deltas)
                return no_memory(err);
        if (same) {
                memcpy(p->release.created, before->created, sizeof p->release.created);
                if (before->delta_count)
                        memcpy(p->release.deltas, before->deltas, before->delta_count * sizeof *before->deltas);
                p->release.delta_count = before->delta_count;
                p->release.provenance = before->provenance;
        } else if (sf_pack_epoch() == 0) {
                sf_clock_stamp(publish->now, p->release.created);
        }
        return 0;
}

/* The statement of where the release comes from, signed; one that is published and whole stays. A statement in a build
 * is not signed: the keys are here. */
static int sign_provenance(struct publication *p, struct sf_error *err)
{
        const struct sf_publish *publish = p->session->publish;
        const struct sf_blob *statement = &sf_build_release(&p->build)->provenance;
        _cleanup_(sf_buffer_free) struct sf_buffer text = SF_BUFFER_INIT, envelope = SF_BUFFER_INIT;
        char hex[SF_DIGEST_HEX + 1];
        _cleanup_free_ char *path = sf_fs_join(p->build.blobs, sf_digest_hex(&statement->digest, hex));
        bool there = false;
        int r = path ? 0 : no_memory(err);

        if (r == 0 && p->release.provenance.size && !sf_digest_equal(&p->release.provenance.digest, &statement->digest))
                r = has_blob(p->session, &p->release.provenance, &there, err);
        if (r < 0 || there || !statement->size)
                return r;
        if (publish->dry_run) {
                p->release.provenance = (struct sf_blob){ .size = 0 };
                return 0;
        }
        r = sf_fs_read(path, MANIFEST_MAX, &text, err);
        if (r == 0)
                r = sf_dsse_sign(p->session->metadata, publish->keys, SF_ROLE_RELEASES, SF_MEDIA_STATEMENT, &text,
                                 &envelope, err);
        return r < 0 ? r : sf_repo_put(publish->repository, envelope.data, envelope.len, &p->release.provenance, err);
}

/* --- its deltas ------------------------------------------------------------------------------------------------- */

/* The place of the delta that starts from a tree; delta_count where there is none. */
static size_t find_delta(const struct sf_index_release *release, const struct sf_digest *tree)
{
        size_t i = 0;

        while (i < release->delta_count && !sf_digest_equal(&release->deltas[i].from, tree))
                i++;
        return i;
}

/* All that a delta reads of a release, from the store. */
static int fetch_base(const struct sf_publish *publish, const struct sf_index_release *old, struct sf_error *err)
{
        const struct sf_publish_store *store = publish->store;
        _cleanup_free_ char *name = sf_layout_blob(&old->manifest.digest);
        _cleanup_free_ char *path = name ? sf_fs_join(publish->repository, name) : NULL;
        _cleanup_(sf_buffer_free) struct sf_buffer text = SF_BUFFER_INIT;
        _cleanup_json_ json_t *manifest = NULL;
        const json_t *layer;
        size_t i;
        int r = path ? store->fetch(store->ctx, &old->manifest, err) : no_memory(err);

        if (r == 0)
                r = store->fetch(store->ctx, &old->filelist, err);
        if (r == 0)
                r = sf_fs_read(path, MANIFEST_MAX, &text, err);
        if (r == 0)
                r = sf_json_parse(path, text.data, text.len, &manifest, err);
        json_array_foreach (json_object_get(manifest, "layers"), i, layer) {
                const char *digest = json_string_value(json_object_get(layer, "digest"));
                struct sf_blob blob = { .size = (uint64_t)json_integer_value(json_object_get(layer, "size")) };
                if (r == 0)
                        r = sf_digest_parse(digest ? digest : "", &blob.digest, err);
                if (r == 0)
                        r = store->fetch(store->ctx, &blob, err);
        }
        return r;
}

/* Blobs of a published release that were damaged come back from its build, where that is still in the cache. */
static int mend_base(const struct publication *p, const struct sf_index_release *old, struct sf_error *err)
{
        const struct sf_publish *publish = p->session->publish;
        _cleanup_(sf_build_close) struct sf_build build = { 0 };

        if (sf_build_open(publish->builds, old->name.text, &build, NULL) < 0 || !is_same(sf_build_release(&build), old))
                return publish->store ? fetch_base(publish, old, err) : 0;
        return copy_blobs(p->session, &build, err);
}

static int make_delta(struct publication *p, const struct sf_index_release *old, struct sf_index_delta *ret,
                      struct sf_error *err)
{
        const struct sf_publish *publish = p->session->publish;
        int r = mend_base(p, old, err);

        if (r < 0)
                return r;
        sf_log_status("making the delta %s -> %s", old->name.text, p->release.name.text);
        r = sf_deltas_make(publish->repository, old, &p->release, publish->delta_memory, ret, err);
        sf_log_progress_end();
        return r;
}

/* A delta that was asked for; one that is there already stays, unless all is to be replaced. */
static int add_delta(struct publication *p, const struct sf_index_release *old, struct sf_error *err)
{
        size_t place = find_delta(&p->release, &old->tree);
        bool known = place < p->release.delta_count;
        struct sf_index_delta *delta = &p->release.deltas[place];
        struct sf_error failure = SF_ERROR_INIT;
        int r;

        if (sf_digest_equal(&old->tree, &p->release.tree) || (known && !p->session->publish->replace))
                return 0;
        if (p->session->publish->dry_run) {
                sf_log_info("delta %s -> %s: would be made", old->name.text, p->release.name.text);
                return 0;
        }
        r = make_delta(p, old, delta, &failure);
        if (r == SF_ERR_NOMEM || r == SF_ERR_LIMIT) {
                sf_log_warning("%s: left out; nodes fetch what changed from the layers", failure.text);
                return 0;
        }
        if (r < 0)
                return sf_error_set(err, r, "%s", failure.text);
        if (!known && delta->content.size + delta->filelist.size >= p->release.download) {
                sf_log_info("delta %s -> %s: dropped, the layers are smaller", old->name.text, p->release.name.text);
                return 0;
        }
        p->release.delta_count += !known;
        sf_log_info("delta %s -> %s: %s, %llu bytes and %llu for the file list", old->name.text, p->release.name.text,
                    delta->codec, (unsigned long long)delta->content.size, (unsigned long long)delta->filelist.size);
        return 0;
}

static const struct sf_index_release *find_tree(const struct sf_index *index, const struct sf_digest *tree)
{
        for (size_t i = 0; i < index->release_count; i++)
                if (sf_digest_equal(&index->releases[i].tree, tree))
                        return &index->releases[i];
        return NULL;
}

/* A published delta whose blobs are damaged is made again; where its base is not published any more it is dropped. */
static int mend_deltas(struct publication *p, const struct sf_index *index, struct sf_error *err)
{
        for (size_t i = p->release.delta_count; i-- > 0;) {
                struct sf_index_delta *delta = &p->release.deltas[i];
                const struct sf_index_release *old = find_tree(index, &delta->from);
                bool list, content;
                int r = has_blob(p->session, &delta->filelist, &list, err);

                if (r == 0)
                        r = has_blob(p->session, &delta->content, &content, err);
                if (r < 0)
                        return r;
                if ((list && content) || p->session->publish->dry_run)
                        continue;
                sf_log_warning("%s: a delta was damaged: it is %s", p->release.name.text,
                               old ? "made again" : "dropped");
                if (!old)
                        p->release.deltas[i] = p->release.deltas[--p->release.delta_count];
                else if ((r = make_delta(p, old, delta, err)) < 0)
                        return r;
        }
        return 0;
}

/* --- all of them ------------------------------------------------------------------------------------------------ */

static int offer(struct sf_publish_session *s, struct publication *p, struct sf_error *err)
{
        struct sf_index *index;
        int r = sf_catalog_index(&s->catalog, &p->release.name, &index, err);

        return r < 0 ? r : sf_index_put(index, &p->release, err);
}

/* One release as it was built, with the deltas that it has already. */
static int add_release(struct sf_publish_session *s, struct publication *p, const char *wanted, struct sf_error *err)
{
        const struct sf_withdrawal *withdrawn;
        struct sf_index *index;
        int r = sf_build_open(s->publish->builds, wanted, &p->build, err);

        if (r < 0)
                return r;
        const struct sf_release_name *name = &sf_build_release(&p->build)->name;
        p->session = s;
        r = sf_catalog_index(&s->catalog, name, &index, err);
        if (r == 0)
                r = start_entry(p, index, err);
        if (r == 0)
                r = copy_blobs(s, &p->build, err);
        if (r == 0)
                r = sign_provenance(p, err);
        if (r == 0)
                r = mend_deltas(p, index, err);
        if (r == 0)
                r = sf_index_put(index, &p->release, err);
        if (r < 0)
                return sf_error_prefix(err, "%s", name->text);
        sf_log_info("%s: %llu bytes in layers", name->text, (unsigned long long)p->release.download);
        if ((withdrawn = sf_rollout_withdrawn(&s->catalog.rollout, name->text)))
                sf_log_warning("%s is withdrawn (%s): nodes do not take it before `withdraw --undo %s`", name->text,
                               withdrawn->reason, name->text);
        return 0;
}

static int add_deltas(struct sf_publish_session *s, struct publication *p, struct sf_error *err)
{
        const struct sf_publish *publish = s->publish;
        struct sf_index *index;
        int r = sf_catalog_index(&s->catalog, &p->release.name, &index, err);

        for (size_t i = 0; i < publish->delta_from_count && r == 0; i++) {
                const struct sf_index_release *old;
                if ((r = sf_index_choose(index, publish->delta_from[i], &old, err)) < 0)
                        r = sf_error_prefix(err, "--delta-from %s", publish->delta_from[i]);
                else
                        r = add_delta(p, old, err);
        }
        if (r < 0)
                return sf_error_prefix(err, "%s", p->release.name.text);
        return offer(s, p, err);
}

static bool is_repeated(const struct publication *all, size_t i)
{
        for (size_t k = 0; k < i; k++)
                if (strcmp(all[k].release.name.text, all[i].release.name.text) == 0)
                        return true;
        return false;
}

/* Deltas come second: they may start from a release that is published in the same run. */
static int add_all(struct sf_publish_session *s, struct publication *all, struct sf_error *err)
{
        const struct sf_publish *publish = s->publish;
        int r = 0;

        for (size_t i = 0; i < publish->release_count && r == 0; i++)
                r = add_release(s, &all[i], publish->releases[i], err);
        for (size_t i = 0; publish->delta_from_count && i < publish->release_count && r == 0; i++)
                if (!is_repeated(all, i))
                        r = add_deltas(s, &all[i], err);
        return r < 0 ? r : sf_publish_session_commit(s, err);
}

int sf_publish_run(const struct sf_publish *publish, struct sf_error *err)
{
        _cleanup_(sf_publish_session_close) struct sf_publish_session s = { .publish = publish };
        struct publication *all = calloc(publish->release_count + 1, sizeof *all);
        int r = all ? sf_publish_session_open(&s, err) : no_memory(err);

        if (r == 0)
                r = add_all(&s, all, err);
        for (size_t i = 0; all && i < publish->release_count; i++)
                publication_free(&all[i]);
        free(all);
        return r;
}
