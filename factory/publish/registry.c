/* SPDX-License-Identifier: Apache-2.0 */
/* factory/publish/registry.c - see registry.h. skopeo speaks to the registry; here is decided which tag goes where. */
#include "factory/publish/registry.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/fs.h"
#include "base/json.h"
#include "base/log.h"
#include "factory/pack/builds.h"
#include "factory/pack/oci.h"
#include "factory/publish/registry-referrers.h"
#include "factory/publish/registry-series.h"
#include "factory/publish/registry-skopeo.h"
#include "factory/publish/repo.h"
#include "release/layout.h"

#define SCHEME "docker://"
#define ROUNDS 8 /* of a series tag, with publishers at work beside this one */

struct sending {
        const struct sf_registry *registry;
        char *layout; /* a layout of one image whose blobs are the repository's */
        struct sf_build build;
        struct sf_digest digest; /* of the release's manifest */
        json_t *tags;            /* that the registry has */
};

static void sending_free(struct sending *s)
{
        sf_skopeo_layout_remove(&s->layout);
        sf_build_close(&s->build);
        json_decref(s->tags);
}

static int no_memory(struct sf_error *err)
{
        return sf_error_set(err, SF_ERR_NOMEM, "out of memory for a registry");
}

int sf_registry_check(const char *address, struct sf_error *err)
{
        const char *plain = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-";
        size_t scheme = strlen(SCHEME);
        bool good = strncmp(address, SCHEME, scheme) == 0;
        const char *part = good ? address + scheme : address;
        size_t count = 0;

        /* HOST[:PORT], then the parts of the name, of plain characters each. */
        for (; good; count++, part++) {
                size_t length = strspn(part, plain);
                good = length > 0;
                part += length;
                if (good && count == 0 && *part == ':') {
                        length = strspn(part + 1, "0123456789");
                        good = length > 0;
                        part += 1 + length;
                }
                if (*part != '/')
                        break;
        }
        return good && count > 0 && !*part
                       ? 0
                       : sf_error_set(err, SF_ERR_USAGE, "--registry %s: docker://HOST/NAME expected, without a tag",
                                      address);
}

/* --- one tag ---------------------------------------------------------------------------------------------------- */

static int inspect(const struct sending *s, const char *tag, bool *ret_there, struct sf_digest *ret,
                   struct sf_error *err)
{
        _cleanup_free_ char *reference = sf_format(":%s", tag);
        _cleanup_(sf_buffer_free) struct sf_buffer manifest = SF_BUFFER_INIT;
        int r = reference ? sf_skopeo_inspect(s->registry->address, reference, ret_there, &manifest, err)
                          : no_memory(err);

        if (r == 0 && *ret_there)
                sf_digest_of(manifest.data, manifest.len, ret);
        return r;
}

/* source: as skopeo names it. */
static int copy(const struct sending *s, const char *source, const char *tag, struct sf_error *err)
{
        _cleanup_free_ char *image = sf_format("%s:%s", s->registry->address, tag);
        _cleanup_free_ char *blobs = sf_format("%s/blobs", s->registry->repository);
        const struct sf_skopeo_copy job = { source, image, blobs, s->registry->gpg_key, false };

        return image && blobs ? sf_skopeo_copy(&job, err) : no_memory(err);
}

/* Sends one tag, unless the registry has it already. With a key it is copied all the same, to be signed. */
static int send_tag(const struct sending *s, const char *source, const char *tag, bool replace, struct sf_error *err)
{
        const char *address = s->registry->address + strlen(SCHEME);
        struct sf_digest found;
        bool there;
        int r = inspect(s, tag, &there, &found, err);
        bool same = r == 0 && there && sf_digest_equal(&found, &s->digest);

        if (r < 0)
                return r;
        if (there && !same && !replace)
                return sf_error_set(err, SF_ERR_EXISTS, "%s has other content; --force replaces it", tag);
        if (s->registry->dry_run) {
                sf_log_info("%s:%s: %s", address, tag, same ? "is there" : "would be sent");
                return 0;
        }
        if ((!same || s->registry->gpg_key) && (r = copy(s, source, tag, err)) < 0)
                return sf_error_prefix(err, "%s", tag);
        sf_log_info("%s:%s: %s%s", address, tag, same ? "was there" : "sent", s->registry->gpg_key ? ", signed" : "");
        return 0;
}

/* --- series ----------------------------------------------------------------------------------------------------- */

/* A registry that has never seen the name has no tags. */
static int list_tags(struct sending *s, struct sf_error *err)
{
        json_decref(s->tags);
        s->tags = NULL;
        return sf_skopeo_tags(s->registry->address, true, &s->tags, err);
}

/* Would both get the same tag, with `other` the newer one? */
static bool is_newer(const struct sf_release_name *name, const struct sf_release_name *other)
{
        int order;

        return sf_registry_same_series(name, other, &order) && order < 0;
}

static int find_newer(const struct sending *s, const struct sf_release_name *name, struct sf_release_name *ret,
                      bool *ret_found, struct sf_error *err)
{
        const struct sf_registry *registry = s->registry;
        struct sf_release_name other;
        const json_t *tag;
        size_t i;
        int r = 0;

        *ret_found = false;
        json_array_foreach (s->tags, i, tag)
                if (sf_release_name_parse(json_string_value(tag) ? json_string_value(tag) : "", &other, NULL) == 0 &&
                    is_newer(name, &other)) {
                        *ret = other;
                        *ret_found = true;
                }
        for (i = 0; i < registry->release_count && r == 0 && !*ret_found; i++) {
                _cleanup_(sf_build_close) struct sf_build build = { 0 };
                r = sf_build_open(registry->builds, registry->releases[i], &build, err);
                if (r == 0 && is_newer(name, &sf_build_release(&build)->name)) {
                        *ret = sf_build_release(&build)->name;
                        *ret_found = true;
                }
        }
        return r;
}

/* Another publisher may send a newer release meanwhile, and may have asked for tags before this one's was there: after
 * each change the tags are read again, and the series goes to the newest. Whoever changes it last does so. */
static int settle_series(struct sending *s, const struct sf_release_name *name, const char *tag, struct sf_error *err)
{
        struct sf_release_name current = *name, newer;
        bool found;

        for (unsigned round = 0; round < ROUNDS; round++) {
                int r = list_tags(s, err);
                if (r == 0)
                        r = find_newer(s, &current, &newer, &found, err);
                if (r < 0 || !found)
                        return r;
                _cleanup_free_ char *source = sf_format("%s:%s", s->registry->address, newer.text);
                struct sf_digest digest;
                bool there;
                if (!source)
                        return no_memory(err);
                r = inspect(s, newer.text, &there, &digest, err);
                if (r < 0 || !there || (r = copy(s, source, tag, err)) < 0)
                        return r;
                sf_log_info("%s:%s: moved on, %s came meanwhile", s->registry->address + strlen(SCHEME), tag,
                            newer.text);
                current = newer;
        }
        return sf_error_set(err, SF_ERR_BUSY, "%s: newer releases come faster than it can be moved", tag);
}

static int send_series(struct sending *s, const struct sf_release_name *name, const char *source, struct sf_error *err)
{
        _cleanup_free_ char *tag = NULL;
        struct sf_release_name newer;
        bool found;
        int r = sf_registry_series(name, &tag, err);

        if (r == 0)
                r = list_tags(s, err);
        if (r == 0)
                r = find_newer(s, name, &newer, &found, err);
        if (r < 0)
                return r;
        if (found) {
                sf_log_info("%s:%s: left as it is, %s is newer", s->registry->address + strlen(SCHEME), tag,
                            newer.text);
                return 0;
        }
        r = send_tag(s, source, tag, true, err);
        return r < 0 || s->registry->dry_run ? r : settle_series(s, name, tag, err);
}

/* --- all of them ------------------------------------------------------------------------------------------------ */

static int is_offered(const struct sf_registry *registry, const char *release, bool *ret, struct sf_error *err)
{
        _cleanup_free_ struct sf_release_name *names = NULL;
        size_t count = 0;
        int r = sf_repo_releases(registry->repository, &names, &count, err);

        *ret = false;
        for (size_t i = 0; i < count && r == 0; i++)
                *ret |= strcmp(names[i].text, release) == 0;
        return r;
}

static int send_release(const struct sf_registry *registry, const char *wanted, struct sf_error *err)
{
        _cleanup_(sending_free) struct sending s = { .registry = registry };
        bool offered = registry->dry_run;
        int r = sf_build_open(registry->builds, wanted, &s.build, err);

        if (r < 0)
                return r;
        const struct sf_index_release *release = sf_build_release(&s.build);
        if (!offered && (r = is_offered(registry, release->name.text, &offered, err)) < 0)
                return r;
        if (!offered) {
                sf_log_warning("%s is withdrawn: not sent to the registry", release->name.text);
                return 0;
        }
        s.digest = release->manifest.digest;
        if ((r = sf_skopeo_layout(sf_oci_descriptor(SF_OCI_MANIFEST, &release->manifest), &s.layout, err)) < 0)
                return r;
        _cleanup_free_ char *layout = sf_format("oci:%s", s.layout);
        /* A signature names a tag and lies by the digest: the second tag is copied from the first one, so that skopeo
         * keeps the first one's signature. */
        _cleanup_free_ char *first = sf_format("%s:%s", registry->address, release->name.text);
        if (!layout || !first)
                return no_memory(err);
        r = send_tag(&s, layout, release->name.text, registry->replace, err);
        if (r == 0)
                r = sf_registry_send_referrers(registry, release->name.text, &s.digest, err);
        return r < 0 || *release->name.build ? r : send_series(&s, &release->name, first, err);
}

int sf_registry_send(const struct sf_registry *registry, struct sf_error *err)
{
        int r = 0;

        for (size_t i = 0; i < registry->release_count && r == 0; i++)
                r = send_release(registry, registry->releases[i], err);
        return r < 0 ? sf_error_prefix(err, "%s", registry->address) : 0;
}
