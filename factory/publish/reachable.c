/* SPDX-License-Identifier: Apache-2.0 */
/* factory/publish/reachable.c - see reachable.h. */
#include "factory/publish/reachable.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/json.h"
#include "factory/pack/oci.h"
#include "factory/publish/catalog.h"
#include "release/index.h"
#include "release/layout.h"
#include "tuf/tufmeta.h"

#define MANIFEST_MAX  (4u << 20)
#define OCI_INDEX_MAX (64u << 20)

struct search {
        const struct sf_files *files;
        json_t *found;
        int64_t current, now;
        int64_t until; /* of the snapshot at hand */
};

static int no_memory(struct sf_error *err)
{
        return sf_error_set(err, SF_ERR_NOMEM, "out of memory");
}

/* Enters a path; *ret_again where it was known for as long already, so that what it leads to is, too. Takes path. */
static int mark(struct search *s, char *path, bool *ret_again, struct sf_error *err)
{
        _cleanup_free_ char *owned = path;
        const json_t *before;

        if (!owned)
                return no_memory(err);
        before = json_object_get(s->found, owned);
        *ret_again = before && json_integer_value(before) >= s->until;
        if (!*ret_again && json_object_set_new(s->found, owned, json_integer(s->until)) < 0)
                return no_memory(err);
        return 0;
}

static int mark_blob(struct search *s, const struct sf_digest *digest, bool *ret_again, struct sf_error *err)
{
        return mark(s, sf_layout_blob(digest), ret_again, err);
}

static int read_file(const struct search *s, const char *path, size_t max, struct sf_buffer *ret, struct sf_error *err)
{
        return s->files->read(s->files->place, path, max, ret, err);
}

/* --- blobs ------------------------------------------------------------------------------------------------------ */

static int mark_descriptors(struct search *s, const json_t *list, struct sf_error *err);

/* A blob that an OCI descriptor names and, where it is a manifest or an index, what that names. */
static int mark_descriptor(struct search *s, const json_t *descriptor, struct sf_error *err)
{
        const char *digest = json_string_value(json_object_get(descriptor, "digest"));
        const char *type = json_string_value(json_object_get(descriptor, "mediaType"));
        _cleanup_(sf_buffer_free) struct sf_buffer text = SF_BUFFER_INIT;
        _cleanup_json_ json_t *document = NULL;
        _cleanup_free_ char *path = NULL;
        struct sf_digest parsed;
        bool again;
        int r;

        if (!digest || sf_oci_parse_digest(digest, &parsed) < 0)
                return 0; /* no blob of ours */
        if ((r = mark_blob(s, &parsed, &again, err)) < 0 || again || !type ||
            (strcmp(type, SF_OCI_MANIFEST) != 0 && strcmp(type, SF_OCI_INDEX) != 0))
                return r;
        if (!(path = sf_layout_blob(&parsed)))
                return no_memory(err);
        if ((r = read_file(s, path, MANIFEST_MAX, &text, err)) < 0 ||
            (r = sf_json_parse(path, text.data, text.len, &document, err)) < 0 ||
            (r = mark_descriptor(s, json_object_get(document, "config"), err)) < 0 ||
            (r = mark_descriptors(s, json_object_get(document, "layers"), err)) < 0)
                return r;
        return mark_descriptors(s, json_object_get(document, "manifests"), err);
}

static int mark_descriptors(struct search *s, const json_t *list, struct sf_error *err)
{
        const json_t *element;
        size_t i;
        int r = 0;

        json_array_foreach ((json_t *)list, i, element)
                if (r == 0)
                        r = mark_descriptor(s, element, err);
        return r;
}

static int mark_artifacts(struct search *s, const struct sf_index_release *release, struct sf_error *err)
{
        _cleanup_free_ struct sf_repo_artifact *artifacts = NULL;
        struct sf_digest empty;
        size_t count;
        bool again;
        int r = sf_catalog_artifacts(release, NULL, &artifacts, &count, err);

        for (size_t i = 0; r == 0 && i < count; i++)
                r = mark_blob(s, &artifacts[i].manifest.digest, &again, err);
        sf_digest_of(SF_OCI_EMPTY_TEXT, strlen(SF_OCI_EMPTY_TEXT), &empty);
        return r < 0 ? r : mark_blob(s, &empty, &again, err);
}

static int mark_release(struct search *s, const struct sf_index_release *release, struct sf_error *err)
{
        _cleanup_json_ json_t *manifest = sf_oci_descriptor(SF_OCI_MANIFEST, &release->manifest);
        bool again;
        int r = manifest ? mark_descriptor(s, manifest, err) : no_memory(err);

        if (r == 0)
                r = mark_blob(s, &release->filelist.digest, &again, err);
        if (r == 0 && release->sbom.size)
                r = mark_blob(s, &release->sbom.digest, &again, err);
        if (r == 0 && release->provenance.size)
                r = mark_blob(s, &release->provenance.digest, &again, err);
        for (size_t i = 0; r == 0 && i < release->delta_count; i++) {
                r = mark_blob(s, &release->deltas[i].filelist.digest, &again, err);
                if (r == 0)
                        r = mark_blob(s, &release->deltas[i].content.digest, &again, err);
        }
        if (r == 0)
                r = mark_artifacts(s, release, err);
        return r < 0 ? sf_error_prefix(err, "%s", release->name.text) : 0;
}

/* --- metadata --------------------------------------------------------------------------------------------------- */

static int mark_index(struct search *s, const char *path, struct sf_error *err)
{
        _cleanup_(sf_buffer_free) struct sf_buffer text = SF_BUFFER_INIT;
        _cleanup_(sf_index_free) struct sf_index index = { 0 };
        int r = read_file(s, path, SF_INDEX_TEXT_MAX, &text, err);

        if (r == 0)
                r = sf_index_parse(path, text.data, text.len, &index, err);
        for (size_t i = 0; r == 0 && i < index.release_count; i++)
                r = mark_release(s, &index.releases[i], err);
        return r;
}

/* targets/<directory>/<sha256>.<name> of each target. */
static int mark_targets(struct search *s, const json_t *targets, struct sf_error *err)
{
        const char *name;
        json_t *entry;
        bool again;
        int r = 0;

        json_object_foreach ((json_t *)targets, name, entry) {
                const char *slash = strrchr(name, '/');
                int head = slash ? (int)(slash + 1 - name) : 0;
                const char *hash = json_string_value(json_object_get(json_object_get(entry, "hashes"), "sha256"));
                _cleanup_free_ char *path = sf_format(SF_LAYOUT_TARGETS "/%.*s%s.%s", head, name, hash ? hash : "",
                                                      name + head);
                if (!path)
                        return no_memory(err);
                if ((r = mark(s, strdup(path), &again, err)) < 0)
                        return r;
                if (!again && strncmp(name, "index/", strlen("index/")) == 0 && (r = mark_index(s, path, err)) < 0)
                        return r;
        }
        return 0;
}

static int read_meta(const struct search *s, const char *path, const char *type, struct sf_tufmeta *ret,
                     struct sf_error *err)
{
        _cleanup_(sf_buffer_free) struct sf_buffer text = SF_BUFFER_INIT;
        int r = read_file(s, path, SF_TUF_TARGETS_MAX, &text, err);

        return r < 0 ? r : sf_tufmeta_parse(path, type, text.data, text.len, ret, err);
}

/* Every role file that a snapshot lists, and its targets. */
static int mark_roles(struct search *s, const struct sf_tufmeta *snapshot, struct sf_error *err)
{
        const char *file;
        json_t *entry;
        bool again;
        int r;

        json_object_foreach (json_object_get(snapshot->body, "meta"), file, entry) {
                _cleanup_tufmeta_ struct sf_tufmeta role = SF_TUFMETA_INIT;
                _cleanup_free_ char *path = sf_format(SF_LAYOUT_METADATA "/%lld.%s",
                                                      json_integer_value(json_object_get(entry, "version")), file);
                if (!path)
                        return no_memory(err);
                if ((r = mark(s, strdup(path), &again, err)) < 0)
                        return r;
                if (!again && ((r = read_meta(s, path, "targets", &role, err)) < 0 ||
                               (r = mark_targets(s, json_object_get(role.body, "targets"), err)) < 0))
                        return r;
        }
        return 0;
}

static int mark_snapshot(struct search *s, int64_t version, struct sf_error *err)
{
        _cleanup_tufmeta_ struct sf_tufmeta snapshot = SF_TUFMETA_INIT;
        _cleanup_free_ char *path = sf_format(SF_LAYOUT_METADATA "/%" PRId64 ".snapshot.json", version);
        bool again;
        int r = path ? read_meta(s, path, "snapshot", &snapshot, err) : no_memory(err);

        if (r < 0)
                return r;
        if (version != s->current && snapshot.expires < s->now)
                return 0;
        s->until = version == s->current ? INT64_MAX : snapshot.expires;
        r = mark(s, strdup(path), &again, err);
        return r < 0 ? r : mark_roles(s, &snapshot, err);
}

/* Roots and snapshots that lie there. */
static int visit_metadata(void *ctx, const char *path, uint64_t size, int64_t modified, struct sf_error *err)
{
        struct search *s = ctx;
        const char *name = path + strlen(SF_LAYOUT_METADATA "/");
        int64_t version;
        int used = 0;
        bool again;

        (void)size, (void)modified;
        if (sscanf(name, "%" SCNd64 ".root.json%n", &version, &used) == 1 && used && !name[used]) {
                s->until = INT64_MAX;
                return mark(s, sf_format(SF_LAYOUT_METADATA "/%s", name), &again, err);
        }
        used = 0;
        if (sscanf(name, "%" SCNd64 ".snapshot.json%n", &version, &used) == 1 && used && !name[used])
                return mark_snapshot(s, version, err);
        return 0;
}

static int mark_oci_index(struct search *s, struct sf_error *err)
{
        _cleanup_(sf_buffer_free) struct sf_buffer text = SF_BUFFER_INIT;
        _cleanup_json_ json_t *document = NULL;
        struct sf_error why = SF_ERROR_INIT;
        int r = read_file(s, SF_LAYOUT_OCI_INDEX, OCI_INDEX_MAX, &text, &why);

        if (r < 0)
                return r == SF_ERR_NOT_FOUND ? 0 : sf_error_set(err, r, "%s", why.text);
        s->until = INT64_MAX;
        if ((r = sf_json_parse(SF_LAYOUT_OCI_INDEX, text.data, text.len, &document, err)) < 0)
                return r;
        return mark_descriptors(s, json_object_get(document, "manifests"), err);
}

int sf_reachable_find(const struct sf_files *files, int64_t current, int64_t now, json_t **ret, struct sf_error *err)
{
        struct search s = { .files = files, .found = json_object(), .current = current, .now = now };
        _cleanup_json_ json_t *found = s.found;
        bool again;
        int r;

        if (!found)
                return no_memory(err);
        s.until = INT64_MAX;
        r = mark(&s, strdup(SF_LAYOUT_METADATA "/timestamp.json"), &again, err);
        if (r == 0)
                r = mark_snapshot(&s, current, err);
        if (r == 0)
                r = files->walk(files->place, SF_LAYOUT_METADATA, visit_metadata, &s, err);
        if (r == 0)
                r = mark_oci_index(&s, err);
        if (r < 0)
                return sf_error_prefix(err, "what has to stay cannot be told");
        *ret = sf_steal_pointer(found);
        return 0;
}
