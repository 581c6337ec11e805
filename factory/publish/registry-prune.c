/* SPDX-License-Identifier: Apache-2.0 */
/* factory/publish/registry-prune.c - takes out of a registry what its repository does not offer any more. */
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/json.h"
#include "base/log.h"
#include "factory/publish/registry-referrers.h"
#include "factory/publish/registry-series.h"
#include "factory/publish/registry-skopeo.h"
#include "factory/publish/registry.h"
#include "factory/publish/repo.h"

#define TITLE "org.opencontainers.image.title"

struct pruning {
        const struct sf_registry *registry;
        json_t *tags;
        struct sf_release_name *offered;
        size_t offered_count;
        size_t removed;
};

static void pruning_free(struct pruning *p)
{
        json_decref(p->tags);
        free(p->offered);
}

static int no_memory(struct sf_error *err)
{
        return sf_error_set(err, SF_ERR_NOMEM, "out of memory for a registry");
}

static bool is_offered(const struct pruning *p, const char *release)
{
        for (size_t i = 0; i < p->offered_count; i++)
                if (strcmp(p->offered[i].text, release) == 0)
                        return true;
        return false;
}

/* Does the repository speak for this toolchain and architecture? One registry may hold several repositories' images. */
static bool is_covered(const struct pruning *p, const struct sf_release_name *name)
{
        for (size_t i = 0; i < p->offered_count; i++)
                if (strcmp(p->offered[i].toolchain, name->toolchain) == 0 &&
                    strcmp(p->offered[i].arch, name->arch) == 0)
                        return true;
        return false;
}

/* The image by a tag, if it is one of ours by that name. */
static int inspect(const struct pruning *p, const char *tag, const char *release, struct sf_digest *ret, bool *ret_ours,
                   struct sf_error *err)
{
        _cleanup_free_ char *reference = sf_format(":%s", tag);
        _cleanup_(sf_buffer_free) struct sf_buffer text = SF_BUFFER_INIT;
        _cleanup_json_ json_t *manifest = NULL;
        bool there = false;
        int r = reference ? sf_skopeo_inspect(p->registry->address, reference, &there, &text, err) : no_memory(err);

        *ret_ours = false;
        if (r < 0 || !there)
                return r;
        if (sf_json_parse(tag, text.data, text.len, &manifest, NULL) < 0)
                return 0;
        const char *title = json_string_value(json_object_get(json_object_get(manifest, "annotations"), TITLE));
        sf_digest_of(text.data, text.len, ret);
        *ret_ours = title && strcmp(title, release) == 0;
        return 0;
}

static bool has_tag(const struct pruning *p, const char *wanted)
{
        const json_t *tag;
        size_t i;

        json_array_foreach (p->tags, i, tag)
                if (json_string_value(tag) && strcmp(json_string_value(tag), wanted) == 0)
                        return true;
        return false;
}

/* A series tag that leads to an image that goes: to the newest one that stays, where the registry has any. */
static int move_series(const struct pruning *p, const struct sf_release_name *name, const char *series,
                       struct sf_error *err)
{
        const struct sf_release_name *best = NULL;

        for (size_t i = 0; i < p->offered_count; i++) {
                const struct sf_release_name *candidate = &p->offered[i];
                int order; /* of the best one, or of the one that goes */
                if (sf_registry_same_series(best ? best : name, candidate, &order) && has_tag(p, candidate->text) &&
                    (!best || order <= 0))
                        best = candidate;
        }
        if (!best)
                return 0;
        _cleanup_free_ char *source = sf_format("%s:%s", p->registry->address, best->text);
        _cleanup_free_ char *target = sf_format("%s:%s", p->registry->address, series);
        const struct sf_skopeo_copy copy = { source, target, NULL, p->registry->gpg_key, false };
        if (!source || !target)
                return no_memory(err);
        sf_log_info("%s: goes to %s", series, best->text);
        return sf_skopeo_copy(&copy, err);
}

static int release_series(const struct pruning *p, const struct sf_release_name *name, struct sf_error *err)
{
        _cleanup_free_ char *series = NULL;
        struct sf_digest unused;
        bool leads;
        int r = sf_registry_series(name, &series, err);

        if (r < 0 || *name->build || !has_tag(p, series))
                return r;
        r = inspect(p, series, name->text, &unused, &leads, err);
        return r < 0 || !leads ? r : move_series(p, name, series, err);
}

/* Artifacts, their list, then the image: what a killed run leaves is found by its tag. */
static int remove_release(struct pruning *p, const struct sf_release_name *name, struct sf_error *err)
{
        char reference[SF_SKOPEO_REFERENCE_MAX];
        struct sf_digest digest;
        bool ours;
        int r = inspect(p, name->text, name->text, &digest, &ours, err);

        if (r < 0)
                return r;
        if (!ours) {
                sf_log_info("%s: not an image of a release, left alone", name->text);
                return 0;
        }
        p->removed++;
        sf_log_info("%s: %sremoved from the registry", name->text, p->registry->dry_run ? "would be " : "");
        if (p->registry->dry_run)
                return 0;
        r = release_series(p, name, err);
        if (r == 0)
                r = sf_registry_delete_referrers(p->registry->address, &digest, err);
        return r < 0 ? r : sf_skopeo_delete(p->registry->address, sf_skopeo_by_digest(&digest, reference), err);
}

static int remove_all(struct pruning *p, struct sf_error *err)
{
        struct sf_release_name name;
        const json_t *tag;
        size_t i;
        int r = 0;

        json_array_foreach (p->tags, i, tag) {
                const char *text = json_string_value(tag);
                if (!text || sf_release_name_parse(text, &name, NULL) < 0 || is_offered(p, text))
                        continue;
                if (!is_covered(p, &name)) {
                        sf_log_info("%s: the repository offers nothing for %s on %s, left alone", text, name.toolchain,
                                    name.arch);
                        continue;
                }
                if ((r = remove_release(p, &name, err)) < 0)
                        return sf_error_prefix(err, "%s", text);
        }
        return 0;
}

int sf_registry_prune(const struct sf_registry *registry, size_t *ret_removed, struct sf_error *err)
{
        _cleanup_(pruning_free) struct pruning p = { .registry = registry };
        int r = sf_repo_releases(registry->repository, &p.offered, &p.offered_count, err);

        if (r == 0)
                r = sf_skopeo_tags(registry->address, false, &p.tags, err);
        if (r == 0)
                r = remove_all(&p, err);
        *ret_removed = p.removed;
        return r < 0 ? sf_error_prefix(err, "%s", registry->address) : 0;
}
