/* installer/store.c - see store.h. Everything that appears or disappears below PREFIX/releases does so by one rename. */
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
#include "base/fs.h"
#include "base/json.h"
#include "installer/sync.h"
#include "release/layout.h"

#define INCOMING   ".incoming-"
#define TRASH      ".trash-"
#define FOREIGN    "foreign-"
#define RECORD_MAX (64u << 10) /* bytes of release.json */

static void strip_slashes(char *path)
{
        for (size_t len = strlen(path); len && path[len - 1] == '/';)
                path[--len] = '\0';
}

int sf_store_open(const char *root, const char *prefix, struct sf_store *ret, struct sf_error *err)
{
        struct sf_store store = { .root = strdup(root ? root : ""), .prefix = strdup(prefix) };

        if (store.root && store.prefix) {
                strip_slashes(store.root);
                strip_slashes(store.prefix);
                store.base = sf_format("%s%s", store.root, store.prefix);
                store.releases = sf_format("%s%s/" SF_NODE_RELEASES, store.root, store.prefix);
        }
        if (!store.base || !store.releases) {
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
        return 0;
}

/* 1 for a complete release, 0 for a directory that is none of ours. A tree whose record cannot be read is kept in sight
 * as one of which nothing is known, and is in nobody's way: installing the release again replaces it. */
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
        if (release.foreign)
                strcpy(release.name.text, directory);
        *ret = release;
        return 1;
}

/* Newest first; adopted trees, of which nothing is known, last. */
static int by_release(const void *a, const void *b)
{
        const struct sf_store_release *x = a, *y = b;

        if (x->foreign != y->foreign)
                return x->foreign ? 1 : -1;
        return x->foreign ? strcmp(y->directory, x->directory) : sf_release_name_compare(&x->name, &y->name);
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

int sf_store_list(const struct sf_store *store, struct sf_store_release **ret, size_t *ret_count, struct sf_error *err)
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

int sf_store_choose(const struct sf_store *store, const char *wanted, struct sf_store_release *ret,
                    struct sf_error *err)
{
        _cleanup_free_ struct sf_store_release *releases = NULL;
        size_t count, own = 0, chosen;
        int r = sf_store_list(store, &releases, &count, err);

        if (r < 0)
                return r;
        for (size_t i = 0; i < count; i++) {
                if (strcmp(releases[i].directory, wanted) == 0) {
                        *ret = releases[i];
                        return 0;
                }
                own += !releases[i].foreign;
        }
        _cleanup_free_ struct sf_release_name *names = calloc(own + 1, sizeof *names);
        if (!names)
                return sf_error_set(err, SF_ERR_NOMEM, "no memory to choose a release");
        for (size_t i = 0; i < own; i++)
                names[i] = releases[i].name;
        r = sf_release_name_choose(names, own, wanted, &chosen, err);
        if (r < 0)
                return sf_error_prefix(err, "%s", store->releases);
        *ret = releases[chosen];
        return 0;
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
        int r = sf_fs_read(path, SF_FILELIST_TEXT_MAX, ret, err);
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

static int is_leftover(const struct dirent *entry)
{
        return starts_with(entry->d_name, INCOMING) || starts_with(entry->d_name, TRASH);
}

/* Removes what interrupted runs left, except `kept` ("" = all). */
static int clear_leftovers(int releases, const char *path, const char *kept, struct sf_error *err)
{
        struct dirent **names;
        int found = list_directories(path, is_leftover, &names, err), r = 0;

        if (found < 0)
                return found;
        for (int i = 0; i < found; i++) {
                if (r == 0 && strcmp(names[i]->d_name, kept) != 0)
                        r = sf_fs_remove_tree_at(releases, names[i]->d_name, err);
                free(names[i]);
        }
        free(names);
        return r < 0 ? sf_error_prefix(err, "%s", path) : 0;
}

static int open_releases(const struct sf_store *store, struct sf_error *err)
{
        int fd = open(store->releases, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        return fd >= 0 ? fd : sf_error_errno(err, "cannot open %s", store->releases);
}

/* Opens the staging directory, which nobody else looks into before it is complete. */
static int open_staging(int releases, const char *hidden, struct sf_staging *staging, struct sf_error *err)
{
        if (mkdirat(releases, hidden, 0700) < 0) {
                if (errno != EEXIST)
                        return sf_error_errno(err, "cannot make %s", staging->path);
                staging->continued = true;
        }
        staging->dirfd = openat(releases, hidden, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        return staging->dirfd >= 0 ? 0 : sf_error_errno(err, "cannot open %s", staging->path);
}

static int begin(const struct sf_store *store, const struct sf_release_name *name, bool resume, struct sf_staging *ret,
                 struct sf_error *err)
{
        struct sf_staging staging = { .dirfd = -1 };
        char hidden[sizeof INCOMING + sizeof staging.directory];
        int r = sf_fs_mkdirs(store->releases, 0755, err);

        if (r < 0)
                return r;
        _cleanup_close_ int releases = open_releases(store, err);
        if (releases < 0)
                return releases;
        sf_store_directory(name, staging.directory);
        if (!*staging.directory)
                return sf_error_set(err, SF_ERR_LIMIT, "%s: the name is too long for a directory", name->text);
        snprintf(hidden, sizeof hidden, INCOMING "%s", staging.directory);
        r = clear_leftovers(releases, store->releases, resume ? hidden : "", err);
        if (r < 0)
                return r;
        staging.path = sf_fs_join(store->releases, hidden);
        if (!staging.path)
                return sf_error_set(err, SF_ERR_NOMEM, "no memory for a path");
        r = open_staging(releases, hidden, &staging, err);
        if (r < 0)
                free(staging.path);
        else
                *ret = staging;
        return r;
}

int sf_store_begin(const struct sf_store *store, const struct sf_release_name *name, struct sf_staging *ret,
                   struct sf_error *err)
{
        return begin(store, name, false, ret, err);
}

int sf_store_resume(const struct sf_store *store, const struct sf_release_name *name, struct sf_staging *ret,
                    struct sf_error *err)
{
        return begin(store, name, true, ret, err);
}

int sf_store_clear(const struct sf_store *store, struct sf_error *err)
{
        if (!sf_fs_exists(store->releases))
                return 0;
        _cleanup_close_ int releases = open_releases(store, err);
        return releases < 0 ? releases : clear_leftovers(releases, store->releases, "", err);
}

/* What the files look like, so that a later release can take them over unread. */
static int write_seen(const struct sf_staging *staging, const struct sf_filelist *list, struct sf_error *err)
{
        _cleanup_(sf_buffer_free) struct sf_buffer text = SF_BUFFER_INIT;
        int r = sf_seen_write(staging->dirfd, list, staging->seen, &text, err);

        return r < 0 ? r
                     : sf_fs_write_at(staging->dirfd, SF_NODE_RECORD "/" SF_SEEN_FILE, text.data, text.len, 0644, err);
}

static int write_record(const struct sf_store *store, const struct sf_staging *staging, const void *list_text,
                        size_t list_len, const struct sf_store_release *release, struct sf_error *err)
{
        _cleanup_free_ char *prefix = sf_store_installed_prefix(store, staging->directory);
        _cleanup_(sf_buffer_free) struct sf_buffer text = SF_BUFFER_INIT;
        char hex[SF_DIGEST_HEX + 1];

        if (mkdirat(staging->dirfd, SF_NODE_RECORD, 0755) < 0 || fchmodat(staging->dirfd, SF_NODE_RECORD, 0755, 0) < 0)
                return sf_error_errno(err, "cannot make " SF_NODE_RECORD);
        int r = sf_fs_write_at(staging->dirfd, SF_NODE_RECORD "/filelist", list_text, list_len, 0644, err);
        if (r < 0)
                return r;
        _cleanup_json_ json_t *record = json_pack("{s:s, s:s, s:s, s:s}", "release", release->name.text, "tree",
                                                  sf_digest_hex(&release->tree, hex), "prefix", prefix ? prefix : "",
                                                  "unit", release->unit);
        if (!record || !prefix)
                return sf_error_set(err, SF_ERR_NOMEM, "no memory for release.json");
        r = sf_json_canonical(record, &text, err);
        if (r == 0)
                r = sf_buffer_puts(&text, "\n", err);
        if (r == 0)
                r = sf_fs_write_at(staging->dirfd, SF_NODE_RECORD "/release.json", text.data, text.len, 0644, err);
        return r;
}

static int sync_directory(int fd, const char *path, struct sf_error *err)
{
        return fsync(fd) == 0 ? 0 : sf_error_errno(err, "cannot sync %s", path);
}

/* Gives the complete tree its name. What had that name before is out of sight at the same moment, or where the file system
 * cannot exchange names (NFS) just before. */
static int reveal(const struct sf_store *store, const struct sf_staging *staging, struct sf_error *err)
{
        _cleanup_close_ int releases = open_releases(store, err);
        const char *hidden = strrchr(staging->path, '/') + 1;
        char trash[sizeof TRASH + sizeof staging->directory];

        if (releases < 0)
                return releases;
        if (renameat(releases, hidden, releases, staging->directory) == 0)
                return sync_directory(releases, store->releases, err);
        if (errno != ENOTEMPTY && errno != EEXIST)
                return sf_error_errno(err, "cannot rename %s to %s", staging->path, staging->directory);
        snprintf(trash, sizeof trash, TRASH "%s", staging->directory);
        const char *old = hidden;
        if (renameat2(releases, hidden, releases, staging->directory, RENAME_EXCHANGE) < 0) {
                old = trash;
                if (errno != EINVAL || renameat(releases, staging->directory, releases, trash) < 0 ||
                    renameat(releases, hidden, releases, staging->directory) < 0)
                        return sf_error_errno(err, "cannot exchange %s and %s", staging->path, staging->directory);
        }
        int r = sync_directory(releases, store->releases, err);
        return r < 0 ? r : sf_fs_remove_tree_at(releases, old, err);
}

int sf_store_commit(const struct sf_store *store, struct sf_staging *staging, const struct sf_filelist *list,
                    const void *list_text, size_t list_len, const struct sf_store_release *release,
                    struct sf_error *err)
{
        int r = write_record(store, staging, list_text, list_len, release, err);

        if (r == 0)
                r = write_seen(staging, list, err);
        if (r == 0)
                r = sf_sync_tree(list, staging->dirfd, staging->seen, err);
        if (r == 0 && fchmod(staging->dirfd, 0755) < 0)
                r = sf_error_errno(err, "%s", staging->path);
        if (r == 0)
                r = sync_directory(staging->dirfd, staging->path, err);
        if (r == 0)
                r = reveal(store, staging, err);
        if (r == 0)
                sf_store_leave(staging);
        return r;
}

void sf_store_leave(struct sf_staging *staging)
{
        if (staging->dirfd >= 0)
                close(staging->dirfd);
        free(staging->path);
        *staging = (struct sf_staging){ .dirfd = -1 };
}

void sf_store_abort(const struct sf_store *store, struct sf_staging *staging)
{
        (void)store;
        /* What cannot be removed now is cleared by the next sf_store_begin. */
        if (staging->path)
                sf_fs_remove_tree(staging->path, NULL);
        sf_store_leave(staging);
}

int sf_store_remove(const struct sf_store *store, const char *directory, struct sf_error *err)
{
        _cleanup_close_ int releases = open_releases(store, err);
        char hidden[sizeof TRASH + 128];

        if (releases < 0)
                return releases;
        if (!*directory || *directory == '.' || strchr(directory, '/') || strlen(directory) >= 128)
                return sf_error_set(err, SF_ERR_USAGE, "\"%s\" does not name a release directory", directory);
        snprintf(hidden, sizeof hidden, TRASH "%s", directory);
        int r = sf_fs_remove_tree_at(releases, hidden, err);
        if (r < 0)
                return r;
        if (renameat(releases, directory, releases, hidden) < 0) {
                /* On an overlay, directories of the lower layer can not be renamed (EXDEV): the record goes first, so that
                 * what an interruption leaves is not taken for a complete release. */
                if (errno != EXDEV)
                        return sf_error_errno(err, "%s/%s", store->releases, directory);
                snprintf(hidden, sizeof hidden, "%s/" SF_NODE_RECORD, directory);
                r = sf_fs_remove_tree_at(releases, hidden, err);
                return r < 0 ? r : sf_fs_remove_tree_at(releases, directory, err);
        }
        r = sync_directory(releases, store->releases, err);
        return r < 0 ? r : sf_fs_remove_tree_at(releases, hidden, err);
}
