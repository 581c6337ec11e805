/* SPDX-License-Identifier: Apache-2.0 */
/* release/index.c - see index.h. The text is signed, but an online key signs it: every member is checked for type,
 * range and form before anybody acts on it. */
#include "release/index.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/json.h"

#define FORMAT     1
#define SIZE_LIMIT ((int64_t)1 << 50) /* bytes; what a size can not plausibly exceed, so that sums never overflow */

static int copy_string(const json_t *object, const char *where, const char *key, char *out, size_t room,
                       struct sf_error *err)
{
        const char *text;
        int r = sf_json_string(object, where, key, &text, err);

        if (r < 0)
                return r;
        if (!*text || strlen(text) >= room || text[strspn(text, "abcdefghijklmnopqrstuvwxyz0123456789.+_-")])
                return sf_error_set(err, SF_ERR_CORRUPT, "%s.%s: \"%.64s\" is not a plain short word", where, key,
                                    text);
        strcpy(out, text);
        return 0;
}

static int parse_size(const json_t *object, const char *where, const char *key, uint64_t *ret, struct sf_error *err)
{
        int64_t value;
        int r = sf_json_integer(object, where, key, 0, SIZE_LIMIT, &value, err);

        if (r == 0)
                *ret = (uint64_t)value;
        return r;
}

static int parse_digest(const json_t *object, const char *where, const char *key, struct sf_digest *ret,
                        struct sf_error *err)
{
        const char *text;
        int r = sf_json_string(object, where, key, &text, err);

        if (r < 0)
                return r;
        if (strlen(text) != SF_DIGEST_HEX || sf_digest_parse(text, ret, NULL) < 0)
                return sf_error_set(err, SF_ERR_CORRUPT, "%s.%s: not a SHA-256 in lower-case hexadecimal", where, key);
        return 0;
}

static int parse_blob(const json_t *object, const char *where, const char *key, struct sf_blob *ret,
                      struct sf_error *err)
{
        char place[256];
        json_t *blob;
        int r = sf_json_object(object, where, key, &blob, err);

        if (r < 0)
                return r;
        snprintf(place, sizeof place, "%s.%s", where, key);
        r = parse_digest(blob, place, "sha256", &ret->digest, err);
        return r < 0 ? r : parse_size(blob, place, "size", &ret->size, err);
}

/* "2026-11-23T12:00:00Z" and nothing else, so that strings compare like times. */
static int parse_created(const json_t *object, const char *where, char out[32], struct sf_error *err)
{
        static const char pattern[] = "dddd-dd-ddTdd:dd:ddZ";
        const char *text;
        int r = sf_json_string(object, where, "created", &text, err);

        if (r < 0)
                return r;
        for (size_t i = 0; i < sizeof pattern; i++) {
                bool digit = text[i] >= '0' && text[i] <= '9';
                if (pattern[i] == 'd' ? !digit : text[i] != pattern[i])
                        return sf_error_set(err, SF_ERR_CORRUPT, "%s.created: \"%.32s\" is not a time in UTC", where,
                                            text);
        }
        memcpy(out, text, sizeof pattern);
        return 0;
}

static int parse_delta(const json_t *object, const char *where, struct sf_index_delta *ret, struct sf_error *err)
{
        int r = json_is_object(object) ? 0 : sf_error_set(err, SF_ERR_CORRUPT, "%s: not an object", where);

        if (r == 0)
                r = parse_digest(object, where, "from", &ret->from, err);
        if (r == 0)
                r = copy_string(object, where, "codec", ret->codec, sizeof ret->codec, err);
        if (r == 0)
                r = parse_size(object, where, "memory", &ret->memory, err);
        if (r == 0)
                r = parse_blob(object, where, "filelist", &ret->filelist, err);
        if (r == 0)
                r = parse_blob(object, where, "content", &ret->content, err);
        return r;
}

static int parse_deltas(const json_t *object, const char *where, struct sf_index_release *ret, struct sf_error *err)
{
        json_t *array;
        int r = sf_json_array(object, where, "deltas", &array, err);

        if (r < 0)
                return r;
        size_t count = json_array_size(array);
        ret->deltas = count ? calloc(count, sizeof *ret->deltas) : NULL;
        if (count && !ret->deltas)
                return sf_error_set(err, SF_ERR_NOMEM, "%s.deltas: no memory", where);
        for (; ret->delta_count < count; ret->delta_count++) {
                char place[256];
                snprintf(place, sizeof place, "%s.deltas[%zu]", where, ret->delta_count);
                r = parse_delta(json_array_get(array, ret->delta_count), place, &ret->deltas[ret->delta_count], err);
                if (r < 0)
                        return r;
        }
        return 0;
}

static int parse_release_name(const json_t *object, const char *where, const struct sf_index *index,
                              struct sf_release_name *ret, struct sf_error *err)
{
        const char *text;
        int r = sf_json_string(object, where, "name", &text, err);

        if (r < 0)
                return r;
        if (sf_release_name_parse(text, ret, NULL) < 0)
                return sf_error_set(err, SF_ERR_CORRUPT, "%s.name: \"%.160s\" is not a release name", where, text);
        if (strcmp(ret->toolchain, index->toolchain) != 0 || strcmp(ret->arch, index->arch) != 0)
                return sf_error_set(err, SF_ERR_CORRUPT, "%s.name: %s does not belong into the index of %s-%s", where,
                                    text, index->toolchain, index->arch);
        return 0;
}

static int parse_libraries(const json_t *object, const char *where, char *out, size_t room, struct sf_error *err)
{
        json_t *array = json_object_get(object, "libraries");
        size_t length = 0;

        out[0] = '\0';
        if (array && !json_is_array(array))
                return sf_error_set(err, SF_ERR_CORRUPT, "%s.requires.libraries: not an array", where);
        for (size_t i = 0; i < json_array_size(array); i++) {
                const char *name = json_string_value(json_array_get(array, i));

                if (!name || !*name || strpbrk(name, " /") || length + strlen(name) + 2 > room)
                        return sf_error_set(err, SF_ERR_CORRUPT, "%s.requires.libraries: entry %zu is not a file name",
                                            where, i);
                length += (size_t)sprintf(out + length, "%s%s", length ? " " : "", name);
        }
        return 0;
}

/* Older factories said nothing about it. */
static int parse_requires(const json_t *object, const char *where, struct sf_index_requires *ret, struct sf_error *err)
{
        json_t *requires = json_object_get(object, "requires");
        char place[96];
        int r = 0;

        *ret = (struct sf_index_requires){ "", "", "", "" };
        if (!requires)
                return 0;
        snprintf(place, sizeof place, "%s.requires", where);
        if (!json_is_object(requires))
                return sf_error_set(err, SF_ERR_CORRUPT, "%s: not an object", place);
        if (json_object_get(requires, "libc"))
                r = copy_string(requires, place, "libc", ret->libc, sizeof ret->libc, err);
        if (r == 0 && json_object_get(requires, "cpu"))
                r = copy_string(requires, place, "cpu", ret->cpu, sizeof ret->cpu, err);
        if (r == 0 && json_object_get(requires, "agent"))
                r = copy_string(requires, place, "agent", ret->agent, sizeof ret->agent, err);
        return r < 0 ? r : parse_libraries(requires, where, ret->libraries, sizeof ret->libraries, err);
}

/* Releases that something else built have none. */
static int parse_optional_blob(const json_t *object, const char *where, const char *key, struct sf_blob *ret,
                               struct sf_error *err)
{
        return json_object_get(object, key) ? parse_blob(object, where, key, ret, err) : 0;
}

/* On error, what was allocated stays in *ret for sf_index_free. */
static int parse_release(const json_t *object, const char *where, const struct sf_index *index,
                         struct sf_index_release *ret, struct sf_error *err)
{
        int r = json_is_object(object) ? 0 : sf_error_set(err, SF_ERR_CORRUPT, "%s: not an object", where);

        if (r == 0)
                r = parse_release_name(object, where, index, &ret->name, err);
        if (r == 0)
                r = parse_created(object, where, ret->created, err);
        if (r == 0)
                r = parse_digest(object, where, "tree", &ret->tree, err);
        if (r == 0)
                r = parse_size(object, where, "download", &ret->download, err);
        if (r == 0)
                r = parse_size(object, where, "installed", &ret->installed, err);
        if (r == 0)
                r = copy_string(object, where, "unit", ret->unit, sizeof ret->unit, err);
        if (r == 0)
                r = parse_requires(object, where, &ret->requires, err);
        if (r == 0)
                r = parse_blob(object, where, "manifest", &ret->manifest, err);
        if (r == 0)
                r = parse_blob(object, where, "filelist", &ret->filelist, err);
        if (r == 0)
                r = parse_optional_blob(object, where, "sbom", &ret->sbom, err);
        if (r == 0)
                r = parse_optional_blob(object, where, "provenance", &ret->provenance, err);
        if (r == 0)
                r = parse_deltas(object, where, ret, err);
        return r;
}

static int compare_releases(const void *a, const void *b)
{
        return sf_release_name_compare(&((const struct sf_index_release *)a)->name,
                                       &((const struct sf_index_release *)b)->name);
}

static int sort_releases(struct sf_index *index, struct sf_error *err)
{
        if (index->release_count)
                qsort(index->releases, index->release_count, sizeof *index->releases, compare_releases);
        for (size_t i = 1; i < index->release_count; i++)
                if (strcmp(index->releases[i - 1].name.text, index->releases[i].name.text) == 0)
                        return sf_error_set(err, SF_ERR_CORRUPT, "release %s is listed twice",
                                            index->releases[i].name.text);
        return 0;
}

static int parse_releases(const json_t *root, struct sf_index *index, struct sf_error *err)
{
        json_t *array;
        int r = sf_json_array(root, "index", "releases", &array, err);

        if (r < 0)
                return r;
        size_t count = json_array_size(array);
        index->releases = count ? calloc(count, sizeof *index->releases) : NULL;
        if (count && !index->releases)
                return sf_error_set(err, SF_ERR_NOMEM, "no memory for %zu releases", count);
        for (size_t i = 0; i < count; i++) {
                char where[64];
                snprintf(where, sizeof where, "releases[%zu]", i);
                index->release_count++; /* even a half-read release is freed with the index */
                r = parse_release(json_array_get(array, i), where, index, &index->releases[i], err);
                if (r < 0)
                        return r;
        }
        return sort_releases(index, err);
}

int sf_index_parse(const char *name, const void *text, size_t len, struct sf_index *ret, struct sf_error *err)
{
        _cleanup_(sf_index_free) struct sf_index index = { 0 };
        _cleanup_json_ json_t *root = NULL;
        int64_t format;

        if (len > SF_INDEX_TEXT_MAX)
                return sf_error_set(err, SF_ERR_LIMIT, "%s: %zu bytes is more than an index may have", name, len);
        int r = sf_json_parse(name, text, len, &root, err);
        if (r < 0)
                return r;
        r = sf_json_integer(root, "index", "index", 1, INT64_MAX, &format, err);
        if (r == 0 && format > FORMAT)
                return sf_error_set(err, SF_ERR_UNSUPPORTED, "%s: index format %lld is newer than this program knows",
                                    name, (long long)format);
        if (r == 0)
                r = copy_string(root, "index", "toolchain", index.toolchain, sizeof index.toolchain, err);
        if (r == 0)
                r = copy_string(root, "index", "arch", index.arch, sizeof index.arch, err);
        if (r == 0)
                r = parse_releases(root, &index, err);
        if (r < 0) {
                sf_error_prefix(err, "%s", name);
                return r;
        }
        *ret = index;
        index = (struct sf_index){ 0 };
        return 0;
}

static json_t *blob_json(const struct sf_blob *blob)
{
        char hex[SF_DIGEST_HEX + 1];

        return json_pack("{s:s,s:I}", "sha256", sf_digest_hex(&blob->digest, hex), "size", (json_int_t)blob->size);
}

/* json_pack takes over the references it is given ('o') and fails as a whole when one of them is NULL. */
static json_t *delta_json(const struct sf_index_delta *delta)
{
        char from[SF_DIGEST_HEX + 1];

        return json_pack("{s:s,s:s,s:I,s:o,s:o}", "from", sf_digest_hex(&delta->from, from), "codec", delta->codec,
                         "memory", (json_int_t)delta->memory, "filelist", blob_json(&delta->filelist), "content",
                         blob_json(&delta->content));
}

/* NULL, which json_pack leaves out, where nothing is known. */
static json_t *requires_json(const struct sf_index_requires *requires)
{
        json_t *object, *libraries;

        if (!*requires->libc && !*requires->cpu && !*requires->libraries && !*requires->agent)
                return NULL;
        object = json_object();
        libraries = json_array();
        if (*requires->libc)
                json_object_set_new(object, "libc", json_string(requires->libc));
        if (*requires->cpu)
                json_object_set_new(object, "cpu", json_string(requires->cpu));
        if (*requires->agent)
                json_object_set_new(object, "agent", json_string(requires->agent));
        for (const char *name = requires->libraries; *name;) {
                size_t length = strcspn(name, " ");

                json_array_append_new(libraries, json_stringn(name, length));
                name += length + (name[length] == ' ');
        }
        json_object_set_new(object, "libraries", libraries);
        return object;
}

static json_t *release_json(const struct sf_index_release *release)
{
        char tree[SF_DIGEST_HEX + 1];
        json_t *deltas = json_array();

        for (size_t i = 0; deltas && i < release->delta_count; i++) {
                if (json_array_append_new(deltas, delta_json(&release->deltas[i])) < 0) {
                        json_decref(deltas);
                        return NULL;
                }
        }
        return json_pack("{s:s,s:s,s:s,s:I,s:I,s:s,s:o*,s:o,s:o,s:o*,s:o*,s:o}", "name", release->name.text, "created",
                         release->created, "tree", sf_digest_hex(&release->tree, tree), "download",
                         (json_int_t)release->download, "installed", (json_int_t)release->installed, "unit",
                         release->unit, "requires", requires_json(&release->requires), "manifest",
                         blob_json(&release->manifest), "filelist", blob_json(&release->filelist), "sbom",
                         release->sbom.size ? blob_json(&release->sbom) : NULL, "provenance",
                         release->provenance.size ? blob_json(&release->provenance) : NULL, "deltas", deltas);
}

int sf_index_write(const struct sf_index *index, struct sf_buffer *ret, struct sf_error *err)
{
        _cleanup_json_ json_t *root = NULL;
        _cleanup_free_ char *text = NULL;
        json_t *releases = json_array();

        for (size_t i = 0; releases && i < index->release_count; i++) {
                if (json_array_append_new(releases, release_json(&index->releases[i])) < 0) {
                        json_decref(releases);
                        releases = NULL;
                }
        }
        root = json_pack("{s:i,s:s,s:s,s:o}", "index", FORMAT, "toolchain", index->toolchain, "arch", index->arch,
                         "releases", releases);
        if (root)
                text = json_dumps(root, JSON_COMPACT | JSON_SORT_KEYS);
        if (!text)
                return sf_error_set(err, SF_ERR_NOMEM, "no memory to write an index");
        return sf_buffer_printf(ret, err, "%s\n", text);
}

static void free_release(struct sf_index_release *release)
{
        free(release->deltas);
        release->deltas = NULL;
        release->delta_count = 0;
}

void sf_index_free(struct sf_index *index)
{
        for (size_t i = 0; i < index->release_count; i++)
                free_release(&index->releases[i]);
        free(index->releases);
        *index = (struct sf_index){ 0 };
}

static struct sf_index_release *find(const struct sf_index *index, const char *name)
{
        for (size_t i = 0; i < index->release_count; i++)
                if (strcmp(index->releases[i].name.text, name) == 0)
                        return &index->releases[i];
        return NULL;
}

const struct sf_index_release *sf_index_find(const struct sf_index *index, const char *name)
{
        return find(index, name);
}

int sf_index_put(struct sf_index *index, const struct sf_index_release *release, struct sf_error *err)
{
        struct sf_index_release copy = *release;
        struct sf_index_release *place = find(index, release->name.text);

        copy.deltas = NULL;
        if (release->delta_count) {
                copy.deltas = calloc(release->delta_count, sizeof *copy.deltas);
                if (!copy.deltas)
                        return sf_error_set(err, SF_ERR_NOMEM, "no memory for a release");
                memcpy(copy.deltas, release->deltas, release->delta_count * sizeof *copy.deltas);
        }
        if (place) {
                free_release(place);
                *place = copy;
                return 0;
        }
        struct sf_index_release *more = reallocarray(index->releases, index->release_count + 1, sizeof *more);
        if (!more) {
                free(copy.deltas);
                return sf_error_set(err, SF_ERR_NOMEM, "no memory for a release");
        }
        index->releases = more;
        index->releases[index->release_count++] = copy;
        return sort_releases(index, err);
}

int sf_index_choose(const struct sf_index *index, const char *wanted, const struct sf_index_release **ret,
                    struct sf_error *err)
{
        _cleanup_free_ struct sf_release_name *names = calloc(index->release_count + 1, sizeof *names);
        size_t chosen;

        if (!names)
                return sf_error_set(err, SF_ERR_NOMEM, "no memory to choose a release");
        for (size_t i = 0; i < index->release_count; i++)
                names[i] = index->releases[i].name;
        int r = sf_release_name_choose(names, index->release_count, wanted, &chosen, err);
        if (r == 0)
                *ret = &index->releases[chosen];
        return r;
}

void sf_index_remove(struct sf_index *index, const char *name)
{
        struct sf_index_release *place = find(index, name);

        if (!place)
                return;
        size_t i = (size_t)(place - index->releases);
        free_release(place);
        memmove(place, place + 1, (--index->release_count - i) * sizeof *place);
}
