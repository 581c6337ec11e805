/* SPDX-License-Identifier: Apache-2.0 */
/* installer/activate.c - see activate.h. */
#include "installer/activate.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/fs.h"
#include "release/layout.h"

#define LINK_START SF_NODE_RELEASES "/"
#define NEW_LINK   ".view-new"
#define OLD_LINK   3600 /* seconds: nobody renames one that was made so long ago */

static int open_base(const struct sf_store *store, struct sf_error *err)
{
        int fd = open(store->base, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        return fd >= 0 ? fd : sf_error_errno(err, "cannot open %s", store->base);
}

static int odd_view(const struct sf_store *store, const char *what, struct sf_error *err)
{
        return sf_error_set(err, SF_ERR_EXISTS, "%s/" SF_NODE_VIEW " is %s", store->base, what);
}

int sf_activate_current(const struct sf_store *store, char out[128], struct sf_error *err)
{
        _cleanup_free_ char *path = sf_fs_join(store->base, SF_NODE_VIEW);
        char target[4096];

        if (!path)
                return sf_error_set(err, SF_ERR_NOMEM, "no memory for a path");
        ssize_t n = readlink(path, target, sizeof target - 1);
        if (n < 0 && errno == ENOENT) {
                out[0] = '\0';
                return 0;
        }
        if (n < 0 && errno == EINVAL)
                return odd_view(store, "not a symbolic link", err);
        if (n < 0)
                return sf_error_errno(err, "cannot read %s", path);
        target[n] = '\0';
        const char *directory = target + strlen(LINK_START);
        if (strncmp(target, LINK_START, strlen(LINK_START)) != 0 || !*directory || strchr(directory, '/') ||
            !sf_fs_path_is_plain(directory) || strlen(directory) >= 128)
                return odd_view(store, "a link that does not point into " SF_NODE_RELEASES "/", err);
        strcpy(out, directory);
        return 0;
}

static int check_directory(const struct sf_store *store, const char *directory, struct sf_error *err)
{
        _cleanup_free_ char *path = sf_fs_join(store->releases, directory);
        struct stat st;

        if (!path)
                return sf_error_set(err, SF_ERR_NOMEM, "no memory for a path");
        if (strchr(directory, '/') || !sf_fs_path_is_plain(directory) || directory[0] == '.')
                return sf_error_set(err, SF_ERR_USAGE, "\"%s\" does not name a release directory", directory);
        if (lstat(path, &st) < 0)
                return sf_error_errno(err, "%s", path);
        return S_ISDIR(st.st_mode) ? 0 : sf_error_set(err, SF_ERR_CORRUPT, "%s is not a directory", path);
}

/* Links that a crash left. Fresh ones may be another node's. */
static void remove_leftovers(int base, time_t now)
{
        int fd = openat(base, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        DIR *dir = fd < 0 ? NULL : fdopendir(fd);
        struct stat st;

        for (struct dirent *e; dir && (e = readdir(dir));)
                if (strncmp(e->d_name, NEW_LINK, strlen(NEW_LINK)) == 0 &&
                    fstatat(base, e->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISLNK(st.st_mode) &&
                    st.st_mtime < now - OLD_LINK)
                        unlinkat(base, e->d_name, 0);
        if (dir)
                closedir(dir);
        else if (fd >= 0)
                close(fd);
}

int sf_activate_switch(const struct sf_store *store, const char *directory, struct sf_error *err)
{
        char target[sizeof LINK_START + 128], link[sizeof NEW_LINK + 32], current[128];
        struct timespec now;
        struct stat st;
        int r = check_directory(store, directory, err);

        if (r < 0)
                return r;
        /* Also where the prefix cannot be written to: an image, or a file system that somebody else switches. */
        if (sf_activate_current(store, current, NULL) == 0 && strcmp(current, directory) == 0)
                return 0;
        _cleanup_close_ int base = open_base(store, err);
        if (base < 0)
                return base;
        if (fstatat(base, SF_NODE_VIEW, &st, AT_SYMLINK_NOFOLLOW) == 0 && !S_ISLNK(st.st_mode))
                return odd_view(store, "not a symbolic link", err);
        snprintf(target, sizeof target, LINK_START "%s", directory);
        /* A name of our own: several nodes may share PREFIX. */
        clock_gettime(CLOCK_REALTIME, &now);
        snprintf(link, sizeof link, NEW_LINK "-%x-%lx", (unsigned)getpid(), (unsigned long)now.tv_nsec);
        remove_leftovers(base, now.tv_sec);
        if (symlinkat(target, base, link) < 0)
                return sf_error_errno(err, "cannot make a link in %s", store->base);
        if (renameat(base, link, base, SF_NODE_VIEW) < 0) {
                r = sf_error_errno(err, "cannot switch %s/" SF_NODE_VIEW, store->base);
                unlinkat(base, link, 0);
                return r;
        }
        return fsync(base) == 0 ? 0 : sf_error_errno(err, "cannot sync %s", store->base);
}

/* The first of foreign-<date>, foreign-<date>-2 ... that is free, as a link that points to itself: after the
 * exchange it is what view is. */
static int make_foreign_link(int base, const char *date, char out[128], struct sf_error *err)
{
        char target[sizeof LINK_START + 128];

        for (int i = 1; i < 1000; i++) {
                char number[8] = "";
                if (i > 1)
                        snprintf(number, sizeof number, "-%d", i);
                snprintf(out, 128, "foreign-%s%s", date, number);
                snprintf(target, sizeof target, LINK_START "%s", out);
                if (symlinkat(target, base, target) == 0)
                        return 0;
                if (errno != EEXIST)
                        break;
        }
        return sf_error_errno(err, "cannot make " LINK_START "%s", out);
}

/* overlayfs renames no directory of a lower layer (without redirect_dir): EXDEV, though both names are side by side. To
 * copy it here would leave a moment without view. */
static int refuse_exchange(const struct sf_store *store, struct sf_error *err)
{
        if (errno != EXDEV)
                return sf_error_errno(err, "cannot exchange %s/" SF_NODE_VIEW " with a link", store->base);
        return sf_error_set(
                err, SF_ERR_FAILED,
                "%s/" SF_NODE_VIEW " is a mount point, or a directory in the lower layer of an overlay file "
                "system, which cannot rename it: move it yourself while nothing runs from it (cp -a " SF_NODE_VIEW
                " copy; rm -r " SF_NODE_VIEW "; mv copy " SF_NODE_VIEW "), or make it a link to a "
                "directory in releases/ in the image",
                store->base);
}

int sf_activate_adopt(const struct sf_store *store, const char *date, char out[128], struct sf_error *err)
{
        char directory[128], path[sizeof LINK_START + 128];
        struct stat st;
        int r = sf_fs_mkdirs(store->releases, 0755, err);

        if (r < 0)
                return r;
        _cleanup_close_ int base = open_base(store, err);
        if (base < 0)
                return base;
        if (fstatat(base, SF_NODE_VIEW, &st, AT_SYMLINK_NOFOLLOW) < 0)
                return sf_error_errno(err, "%s/" SF_NODE_VIEW, store->base);
        if (!S_ISDIR(st.st_mode))
                return odd_view(store, "not a directory that could be adopted", err);
        r = make_foreign_link(base, date, directory, err);
        if (r < 0)
                return r;
        snprintf(path, sizeof path, LINK_START "%s", directory);
        if (renameat2(base, path, base, SF_NODE_VIEW, RENAME_EXCHANGE) < 0) {
                r = refuse_exchange(store, err);
                unlinkat(base, path, 0);
                return r;
        }
        sf_store_forget(store);
        if (fsync(base) < 0)
                return sf_error_errno(err, "cannot sync %s", store->base);
        r = sf_fs_sync_dir(store->releases, err);
        if (r == 0)
                strcpy(out, directory);
        return r;
}
