/* SPDX-License-Identifier: Apache-2.0 */
/* installer/store-staging.c - the half of store.h that makes and removes trees. Everything that appears or
 * disappears below PREFIX/releases does so by one rename. */
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
#include "installer/store.h"
#include "installer/sync.h"
#include "release/layout.h"

#define INCOMING ".incoming-"
#define TRASH    ".trash-"

static int is_leftover(const struct dirent *entry)
{
        return strncmp(entry->d_name, INCOMING, strlen(INCOMING)) == 0 ||
               strncmp(entry->d_name, TRASH, strlen(TRASH)) == 0;
}

/* Removes what interrupted runs left, except `kept` ("" = all). */
static int clear_leftovers(int releases, const char *path, const char *kept, struct sf_error *err)
{
        struct dirent **names;
        int found = sf_fs_scan(releases, &names, is_leftover, alphasort), r = 0;

        if (found < 0)
                return sf_error_errno(err, "cannot read %s", path);
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

/* What can be continued: a directory that nobody else could write to. */
static bool is_ours(int releases, const char *hidden)
{
        struct stat st;

        return fstatat(releases, hidden, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISDIR(st.st_mode) &&
               st.st_uid == geteuid() && !(st.st_mode & 022);
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

int sf_store_resume(const struct sf_store *store, const char *directory, struct sf_staging *ret, struct sf_error *err)
{
        struct sf_staging staging = { .dirfd = -1 };
        char hidden[sizeof INCOMING + sizeof staging.directory];
        int r = sf_fs_mkdirs(store->releases, 0755, err);

        if (r < 0)
                return r;
        _cleanup_close_ int releases = open_releases(store, err);
        if (releases < 0)
                return releases;
        if (snprintf(staging.directory, sizeof staging.directory, "%s", directory) >= (int)sizeof staging.directory)
                return sf_error_set(err, SF_ERR_LIMIT, "%s: the name is too long for a directory", directory);
        snprintf(hidden, sizeof hidden, INCOMING "%s", staging.directory);
        r = clear_leftovers(releases, store->releases, is_ours(releases, hidden) ? hidden : "", err);
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
        int r = sf_stat_record_write(staging->dirfd, list, staging->seen, &text, err);

        return r < 0 ? r
                     : sf_fs_write_at(staging->dirfd, SF_NODE_RECORD "/" SF_STAT_RECORD_FILE, text.data, text.len, 0644,
                                      err);
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
        _cleanup_json_ json_t *record = json_pack("{s:s, s:s, s:s, s:s, s:i}", "release", release->name.text, "tree",
                                                  sf_digest_hex(&release->tree, hex), "prefix", prefix ? prefix : "",
                                                  "unit", release->unit, "sequence", (int)release->sequence);
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

/* Gives the complete tree its name. */
static int reveal(const struct sf_store *store, const struct sf_staging *staging, struct sf_error *err)
{
        _cleanup_close_ int releases = open_releases(store, err);
        const char *hidden = strrchr(staging->path, '/') + 1;
        struct stat st;

        if (releases < 0)
                return releases;
        /* rename(2) would replace an empty directory. */
        if (fstatat(releases, staging->directory, &st, AT_SYMLINK_NOFOLLOW) == 0)
                return sf_error_set(err, SF_ERR_EXISTS, "%s/%s appeared meanwhile: it is not replaced", store->releases,
                                    staging->directory);
        if (renameat(releases, hidden, releases, staging->directory) < 0)
                return sf_error_errno(err, "cannot rename %s to %s", staging->path, staging->directory);
        sf_store_forget(store);
        return sync_directory(releases, store->releases, err);
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
        /* What cannot be removed now is cleared by the next sf_store_resume. */
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
        sf_store_forget(store);
        if (renameat(releases, directory, releases, hidden) < 0) {
                /* On an overlay, directories of the lower layer can not be renamed (EXDEV): the record goes first,
                 * so that what an interruption leaves is not taken for a complete release. */
                if (errno != EXDEV)
                        return sf_error_errno(err, "%s/%s", store->releases, directory);
                snprintf(hidden, sizeof hidden, "%s/" SF_NODE_RECORD, directory);
                r = sf_fs_remove_tree_at(releases, hidden, err);
                return r < 0 ? r : sf_fs_remove_tree_at(releases, directory, err);
        }
        r = sync_directory(releases, store->releases, err);
        return r < 0 ? r : sf_fs_remove_tree_at(releases, hidden, err);
}
