/* SPDX-License-Identifier: Apache-2.0 */
/* installer/store.c - see store.h. What appears and disappears is installer/store-staging.c's. */
#include "installer/store.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buffer.h"
#include "base/cleanup.h"
#include "base/digest.h"
#include "base/fs.h"
#include "base/json.h"
#include "release/layout.h"

#define FOREIGN    "foreign-"
#define RECORD_MAX (64u << 10) /* bytes of release.json */

/* What sf_store_list has read. */
struct sf_store_known {
        struct sf_store_release *releases;
        size_t count;
        bool valid;
};

static void strip_slashes(char *path)
{
        for (size_t len = strlen(path); len && path[len - 1] == '/';)
                path[--len] = '\0';
}

int sf_store_open(const char *root, const char *prefix, struct sf_store *ret, struct sf_error *err)
{
        struct sf_store store = {
                .root = strdup(root ? root : ""),
                .prefix = strdup(prefix),
                .known = calloc(1, sizeof *store.known),
        };

        if (store.root && store.prefix) {
                strip_slashes(store.root);
                strip_slashes(store.prefix);
                store.base = sf_format("%s%s", store.root, store.prefix);
                store.releases = sf_format("%s%s/" SF_NODE_RELEASES, store.root, store.prefix);
        }
        if (!store.base || !store.releases || !store.known) {
                sf_store_close(&store);
                return sf_error_set(err, SF_ERR_NOMEM, "no memory for paths");
        }
        if (*prefix != '/' || !*store.prefix || !sf_fs_path_is_plain(store.prefix + 1)) {
                sf_store_close(&store);
                return sf_error_set(err, SF_ERR_USAGE, "%s is not an absolute, plain path to put Slurm in", prefix);
        }
        *ret = store;
        return 0;
}

void sf_store_close(struct sf_store *store)
{
        if (store->known)
                sf_store_forget(store);
        free(store->known);
        free(store->root);
        free(store->prefix);
        free(store->base);
        free(store->releases);
        memset(store, 0, sizeof *store);
}

void sf_store_directory(const struct sf_release_name *name, char out[128])
{
        int len = snprintf(out, 128, "%s-%s%s%s", name->version, name->toolchain, *name->build ? "-" : "", name->build);

        if (len >= 128)
                *out = '\0';
}

char *sf_store_installed_prefix(const struct sf_store *store, const char *directory)
{
        return sf_format("%s/" SF_NODE_RELEASES "/%s", store->prefix, directory);
}

static bool starts_with(const char *text, const char *start)
{
        return strncmp(text, start, strlen(start)) == 0;
}

static int parse_record(const char *path, const struct sf_buffer *text, struct sf_store_release *release,
                        struct sf_error *err)
{
        _cleanup_json_ json_t *record = NULL;
        const char *name, *tree, *unit;
        int r = sf_json_parse(path, text->data, text->len, &record, err);

        if (r < 0 || (r = sf_json_string(record, path, "release", &name, err)) < 0 ||
            (r = sf_json_string(record, path, "tree", &tree, err)) < 0 ||
            (r = sf_json_string(record, path, "unit", &unit, err)) < 0 ||
            (r = sf_release_name_parse(name, &release->name, err)) < 0 ||
            (r = sf_digest_parse(tree, &release->tree, err)) < 0)
                return r;
        snprintf(release->unit, sizeof release->unit, "%s", unit);
        const json_t *sequence = json_object_get(record, "sequence");
        release->sequence = json_integer_value(sequence) > 0 ? (unsigned)json_integer_value(sequence) : 0;
        return 0;
}

/* What a foreign one is where it was taken over from elsewhere (installer/adopted.h writes it). A record that makes no
 * sense is none. */
static void read_adopted(const struct sf_store *store, struct sf_store_release *release)
{
        _cleanup_free_ char *path = sf_format("%s/%s/" SF_NODE_RECORD "/adopted.json", store->releases,
                                              release->directory);
        _cleanup_(sf_buffer_free) struct sf_buffer text = SF_BUFFER_INIT;
        _cleanup_json_ json_t *record = NULL;
        const char *version, *origin;

        if (!path || sf_fs_read(path, RECORD_MAX, &text, NULL) < 0 ||
            sf_json_parse(path, text.data, text.len, &record, NULL) < 0 ||
            sf_json_string(record, path, "slurm", &version, NULL) < 0 ||
            sf_json_string(record, path, "origin", &origin, NULL) < 0 ||
            strlen(version) >= sizeof release->name.version || strlen(origin) >= sizeof release->origin)
                return;
        strcpy(release->name.version, version);
        strcpy(release->origin, origin);
}

/* 1 for a complete release, 0 for a directory that is none of ours. A tree whose record cannot be read is kept in sight
 * as one of which nothing is known, and is in nobody's way: the release installed again gets a directory beside it. */
static int read_release(const struct sf_store *store, const char *directory, struct sf_store_release *ret,
                        struct sf_error *err)
{
        _cleanup_free_ char *path = sf_format("%s/%s/" SF_NODE_RECORD "/release.json", store->releases, directory);
        _cleanup_(sf_buffer_free) struct sf_buffer text = SF_BUFFER_INIT;
        struct sf_store_release release = { .foreign = starts_with(directory, FOREIGN) };

        if (!path)
                return sf_error_set(err, SF_ERR_NOMEM, "no memory for a path");
        if (strlen(directory) >= sizeof release.directory)
                return 0;
        if (!release.foreign) {
                int r = sf_fs_read(path, RECORD_MAX, &text, NULL);
                if (r == SF_ERR_NOT_FOUND)
                        return 0;
                if (r < 0 || parse_record(path, &text, &release, NULL) < 0)
                        release = (struct sf_store_release){ .foreign = true };
        }
        strcpy(release.directory, directory);
        if (release.foreign) {
                strcpy(release.name.text, directory);
                read_adopted(store, &release);
        }
        *ret = release;
        return 1;
}

/* Newest first, of one name the one that came last; adopted trees, of which nothing is known, at the end. */
static int by_release(const void *a, const void *b)
{
        const struct sf_store_release *x = a, *y = b;

        if (x->foreign != y->foreign)
                return x->foreign ? 1 : -1;
        int by_name = x->foreign ? strcmp(y->directory, x->directory) : sf_release_name_compare(&x->name, &y->name);
        return by_name || x->sequence == y->sequence ? by_name : x->sequence < y->sequence ? 1 : -1;
}

static int is_candidate(const struct dirent *entry)
{
        return entry->d_name[0] != '.';
}

static int list_directories(const char *path, int (*filter)(const struct dirent *), struct dirent ***ret,
                            struct sf_error *err)
{
        int count = scandir(path, ret, filter, alphasort);

        if (count < 0 && errno == ENOENT) {
                *ret = NULL;
                return 0;
        }
        return count < 0 ? sf_error_errno(err, "cannot read %s", path) : count;
}

void sf_store_forget(const struct sf_store *store)
{
        free(store->known->releases);
        *store->known = (struct sf_store_known){ 0 };
}

static int read_releases(const struct sf_store *store, struct sf_store_release **ret, size_t *ret_count,
                         struct sf_error *err)
{
        struct dirent **names;
        int found = list_directories(store->releases, is_candidate, &names, err), r = 0;
        size_t count = 0;

        if (found < 0)
                return found;
        _cleanup_free_ struct sf_store_release *releases = calloc((size_t)found + 1, sizeof *releases);
        if (!releases)
                r = sf_error_set(err, SF_ERR_NOMEM, "no memory to list %s", store->releases);
        for (int i = 0; i < found; i++) {
                if (r >= 0) {
                        r = read_release(store, names[i]->d_name, &releases[count], err);
                        count += r > 0;
                }
                free(names[i]);
        }
        free(names);
        if (r < 0)
                return r;
        qsort(releases, count, sizeof *releases, by_release);
        *ret = sf_steal_pointer(releases);
        *ret_count = count;
        return 0;
}

int sf_store_list(const struct sf_store *store, struct sf_store_release **ret, size_t *ret_count, struct sf_error *err)
{
        struct sf_store_known *known = store->known;
        int r = known->valid ? 0 : read_releases(store, &known->releases, &known->count, err);

        if (r < 0)
                return r;
        known->valid = true;
        struct sf_store_release *copy = calloc(known->count + 1, sizeof *copy);
        if (!copy)
                return sf_error_set(err, SF_ERR_NOMEM, "no memory to list %s", store->releases);
        memcpy(copy, known->releases, known->count * sizeof *copy);
        *ret = copy;
        *ret_count = known->count;
        return 0;
}

/* A directory is named in full where its release has no name, or shares it. */
static const struct sf_store_release *find_directory(const struct sf_store_release *releases, size_t count,
                                                     const char *wanted)
{
        for (size_t i = 0; i < count; i++)
                if ((releases[i].foreign || strchr(wanted, '+')) && strcmp(releases[i].directory, wanted) == 0)
                        return &releases[i];
        return NULL;
}

int sf_store_choose(const struct sf_store *store, const char *wanted, struct sf_store_release *ret,
                    struct sf_error *err)
{
        _cleanup_free_ struct sf_store_release *releases = NULL;
        size_t count, own = 0, chosen;
        int r = sf_store_list(store, &releases, &count, err);

        if (r < 0)
                return r;
        /* Of several trees with one name the first in the list is meant: the others are passed over. */
        _cleanup_free_ struct sf_release_name *names = calloc(count + 1, sizeof *names);
        _cleanup_free_ size_t *at = calloc(count + 1, sizeof *at);
        if (!names || !at)
                return sf_error_set(err, SF_ERR_NOMEM, "no memory to choose a release");
        for (size_t i = 0; i < count; i++) {
                if (releases[i].foreign || (own && strcmp(names[own - 1].text, releases[i].name.text) == 0))
                        continue;
                at[own] = i;
                names[own++] = releases[i].name;
        }
        const struct sf_store_release *exact = find_directory(releases, count, wanted);
        r = exact ? 0 : sf_release_name_choose(names, own, wanted, &chosen, err);
        if (r < 0)
                return sf_error_prefix(err, "%s", store->releases);
        *ret = exact ? *exact : releases[at[chosen]];
        return 0;
}

int sf_store_find(const struct sf_store *store, const char *directory, struct sf_store_release *ret,
                  struct sf_error *err)
{
        _cleanup_free_ struct sf_store_release *releases = NULL;
        size_t count;
        int r = sf_store_list(store, &releases, &count, err);

        for (size_t i = 0; r == 0 && i < count; i++) {
                if (strcmp(releases[i].directory, directory) == 0) {
                        *ret = releases[i];
                        return 0;
                }
        }
        return r < 0 ? r
                     : sf_error_set(err, SF_ERR_NOT_FOUND, "%s/%s is not a complete release", store->releases,
                                    directory);
}

int sf_store_find_tree(const struct sf_store *store, const struct sf_release_name *name, const struct sf_digest *tree,
                       struct sf_store_release *ret, struct sf_error *err)
{
        _cleanup_free_ struct sf_store_release *releases = NULL;
        size_t count;
        int r = sf_store_list(store, &releases, &count, err);

        for (size_t i = 0; r == 0 && i < count; i++) {
                if (!releases[i].foreign && strcmp(releases[i].name.text, name->text) == 0 &&
                    sf_digest_equal(&releases[i].tree, tree)) {
                        *ret = releases[i];
                        return 0;
                }
        }
        return r < 0 ? r : sf_error_set(err, SF_ERR_NOT_FOUND, "%s: %s is not there", store->releases, name->text);
}

int sf_store_assign(const struct sf_store *store, struct sf_store_release *release, struct sf_error *err)
{
        _cleanup_free_ struct sf_store_release *all = NULL;
        char hex[SF_DIGEST_HEX + 1], plain[128];
        size_t count;
        int r = sf_store_list(store, &all, &count, err);

        if (r < 0)
                return r;
        release->sequence = 0;
        for (size_t i = 0; i < count; i++)
                if (!all[i].foreign && strcmp(all[i].name.text, release->name.text) == 0 &&
                    all[i].sequence >= release->sequence)
                        release->sequence = all[i].sequence + 1;
        sf_store_directory(&release->name, plain);
        sf_digest_hex(&release->tree, hex);
        for (unsigned i = 0; *plain && i < 100; i++) {
                char number[8] = "", *out = release->directory;
                if (i > 1)
                        snprintf(number, sizeof number, ".%u", i);
                int len = i ? snprintf(out, sizeof release->directory, "%s+%.8s%s", plain, hex, number)
                            : snprintf(out, sizeof release->directory, "%s", plain);
                _cleanup_free_ char *path = sf_fs_join(store->releases, release->directory);
                if (!path)
                        return sf_error_set(err, SF_ERR_NOMEM, "no memory for a path");
                if (len < (int)sizeof release->directory && !sf_fs_exists(path))
                        return 0;
        }
        return sf_error_set(err, SF_ERR_LIMIT, "%s: the name is too long for a directory", release->name.text);
}

char *sf_store_resolved(const struct sf_store *store, const char *directory)
{
        _cleanup_free_ char *real = realpath(store->releases, NULL);

        return sf_fs_join(real ? real : store->releases, directory);
}

static bool lies_below(const char *path, const char *releases, char out[128])
{
        size_t len = strlen(releases);

        if (strncmp(path, releases, len) != 0 || path[len] != '/')
                return false;
        size_t name = strcspn(path + len + 1, "/");
        if (name == 0 || name >= 128)
                return false;
        memcpy(out, path + len + 1, name);
        out[name] = '\0';
        return true;
}

bool sf_store_locate(const struct sf_store *store, const char *path, char out[128])
{
        _cleanup_free_ char *real = realpath(store->releases, NULL);

        return lies_below(path, store->releases, out) || (real && lies_below(path, real, out));
}

static char *filelist_path(const struct sf_store *store, const struct sf_store_release *release)
{
        return sf_format("%s/%s/" SF_NODE_RECORD "/filelist", store->releases, release->directory);
}

int sf_store_filelist_text(const struct sf_store *store, const struct sf_store_release *release, struct sf_buffer *ret,
                           struct sf_error *err)
{
        _cleanup_free_ char *path = filelist_path(store, release);
        size_t start = ret->len;
        struct sf_digest got;

        if (!path)
                return sf_error_set(err, SF_ERR_NOMEM, "no memory for a path");
        int r = sf_digest_ready(err);
        if (r == 0)
                r = sf_fs_read(path, SF_FILELIST_TEXT_MAX, ret, err);
        if (r < 0)
                return r;
        sf_digest_of(ret->data + start, ret->len - start, &got);
        return sf_digest_equal(&got, &release->tree)
                       ? 0
                       : sf_error_set(err, SF_ERR_CORRUPT, "%s: not the list that release.json names", path);
}

int sf_store_filelist(const struct sf_store *store, const struct sf_store_release *release, struct sf_filelist *ret,
                      struct sf_error *err)
{
        _cleanup_free_ char *path = filelist_path(store, release);
        _cleanup_(sf_buffer_free) struct sf_buffer text = SF_BUFFER_INIT;

        if (!path)
                return sf_error_set(err, SF_ERR_NOMEM, "no memory for a path");
        int r = sf_store_filelist_text(store, release, &text, err);
        return r < 0 ? r : sf_filelist_parse(path, text.data, text.len, ret, err);
}

int sf_store_open_release(const struct sf_store *store, const char *directory, int *ret_fd, struct sf_error *err)
{
        _cleanup_free_ char *path = sf_fs_join(store->releases, directory);

        if (!path)
                return sf_error_set(err, SF_ERR_NOMEM, "no memory for a path");
        int fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        if (fd < 0)
                return sf_error_errno(err, "cannot open %s", path);
        *ret_fd = fd;
        return 0;
}
