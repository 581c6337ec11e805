/* SPDX-License-Identifier: Apache-2.0 */
/* agent/node/process.c - see process.h. */
#include "agent/node/process.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "base/buffer.h"
#include "base/cleanup.h"
#include "base/fs.h"

/* One file of one tree. */
struct inode {
        dev_t device;
        ino_t number;
        size_t tree;
};

struct search {
        const char *const *trees;
        size_t tree_count;
        struct inode *inodes; /* of all trees, sorted by device and number */
        size_t inode_count, inode_room;
        size_t current; /* tree that is being read */
        struct sf_process_user *users;
        size_t user_count;
        bool *seen; /* per tree, of the process that is being looked at */
};

static int add_inode(void *ctx, int dirfd, const char *name, const char *path, const struct stat *st,
                     struct sf_error *err)
{
        struct search *s = ctx;

        (void)dirfd, (void)name, (void)path;
        if (s->inode_count == s->inode_room) {
                size_t room = s->inode_room ? s->inode_room * 2 : 1024;
                struct inode *grown = reallocarray(s->inodes, room, sizeof *grown);
                if (!grown)
                        return sf_error_set(err, SF_ERR_NOMEM, "no memory for the files of a release");
                s->inodes = grown;
                s->inode_room = room;
        }
        s->inodes[s->inode_count++] = (struct inode){ st->st_dev, st->st_ino, s->current };
        return 0;
}

static int by_inode(const void *a, const void *b)
{
        const struct inode *x = a, *y = b;

        if (x->device != y->device)
                return x->device < y->device ? -1 : 1;
        return x->number < y->number ? -1 : x->number > y->number;
}

static int note(struct search *s, pid_t pid, size_t tree, const char *how, struct sf_error *err)
{
        struct sf_process_user *grown;

        if (s->seen[tree])
                return 0;
        grown = reallocarray(s->users, s->user_count + 1, sizeof *grown);
        if (!grown)
                return sf_error_set(err, SF_ERR_NOMEM, "no memory for processes");
        s->users = grown;
        grown[s->user_count] = (struct sf_process_user){ .pid = pid, .tree = tree };
        snprintf(grown[s->user_count].how, sizeof grown->how, "%s", how);
        s->user_count++;
        s->seen[tree] = true;
        return 0;
}

/* A path inside one of the trees settles it: a file that releases share as hard links is used through one of its
 * names. */
static bool path_in_trees(const struct search *s, const char *path, size_t *ret_tree)
{
        for (size_t i = 0; i < s->tree_count; i++) {
                size_t len = strlen(s->trees[i]);
                if (strncmp(path, s->trees[i], len) == 0 && (path[len] == '/' || path[len] == '\0')) {
                        *ret_tree = i;
                        return true;
                }
        }
        return false;
}

static int note_inode(struct search *s, pid_t pid, dev_t device, ino_t number, const char *how, struct sf_error *err)
{
        struct inode key = { .device = device, .number = number };
        struct inode *hit = s->inode_count ? bsearch(&key, s->inodes, s->inode_count, sizeof key, by_inode) : NULL;
        int r = 0;

        if (!hit)
                return 0;
        while (hit > s->inodes && by_inode(hit - 1, &key) == 0)
                hit--;
        for (; r == 0 && hit < s->inodes + s->inode_count && by_inode(hit, &key) == 0; hit++)
                r = note(s, pid, hit->tree, how, err);
        return r;
}

/* /proc/PID/exe, cwd, root and fd/N: links that are followed into whatever file system the process sees. Jobs have
 * files open on servers that hang: what the kernel remembers of those has to do. */
static int look_at_link(struct search *s, pid_t pid, const char *link, const char *how, struct sf_error *err)
{
        char target[PATH_MAX];
        struct statx st;
        size_t tree;
        ssize_t len = readlink(link, target, sizeof target - 1);

        if (len < 0 || target[0] != '/')
                return 0;
        target[len] = '\0';
        if (path_in_trees(s, target, &tree))
                return note(s, pid, tree, how, err);
        if (statx(AT_FDCWD, link, AT_STATX_DONT_SYNC, STATX_INO, &st) < 0)
                return 0;
        return note_inode(s, pid, makedev(st.stx_dev_major, st.stx_dev_minor), st.stx_ino, how, err);
}

static int look_at_files(struct search *s, pid_t pid, struct sf_error *err)
{
        char path[64], link[PATH_MAX];
        int r = 0;

        snprintf(path, sizeof path, "/proc/%d/fd", (int)pid);
        DIR *d = opendir(path);
        if (!d)
                return 0;
        for (struct dirent *e; r == 0 && (e = readdir(d));) {
                if (e->d_name[0] == '.')
                        continue;
                snprintf(link, sizeof link, "%s/%s", path, e->d_name);
                r = look_at_link(s, pid, link, "fd", err);
        }
        closedir(d);
        return r;
}

/* One line of maps: "from-to perms offset major:minor inode path". The path is "" for anonymous memory. */
static bool parse_map(char *line, dev_t *device, ino_t *number, const char **path)
{
        unsigned long from, to;
        unsigned major, minor;
        uint64_t inode;
        int used = 0;

        if (sscanf(line, "%lx-%lx %*s %*x %x:%x %" SCNu64 " %n", &from, &to, &major, &minor, &inode, &used) < 5 ||
            !used)
                return false;
        line[strcspn(line, "\n")] = '\0';
        *device = makedev(major, minor);
        *number = inode;
        *path = line + used;
        return inode != 0;
}

static FILE *open_maps(pid_t pid)
{
        char path[64];

        snprintf(path, sizeof path, "/proc/%d/maps", (int)pid);
        return fopen(path, "re");
}

static int look_at_maps(struct search *s, pid_t pid, struct sf_error *err)
{
        _cleanup_fclose_ FILE *maps = open_maps(pid);
        _cleanup_free_ char *line = NULL;
        size_t room = 0, tree;
        int r = 0;

        while (maps && r == 0 && getline(&line, &room, maps) > 0) {
                const char *path;
                dev_t device;
                ino_t number;
                if (!parse_map(line, &device, &number, &path))
                        continue;
                r = path_in_trees(s, path, &tree) ? note(s, pid, tree, "maps", err)
                                                  : note_inode(s, pid, device, number, "maps", err);
        }
        return r;
}

static int look_at_process(struct search *s, pid_t pid, struct sf_error *err)
{
        static const char *const links[] = { "exe", "cwd", "root" };
        size_t first = s->user_count;
        char link[64];
        int r = 0;

        memset(s->seen, 0, s->tree_count * sizeof *s->seen);
        for (size_t i = 0; r == 0 && i < sizeof links / sizeof *links; i++) {
                snprintf(link, sizeof link, "/proc/%d/%s", (int)pid, links[i]);
                r = look_at_link(s, pid, link, links[i], err);
        }
        if (r == 0)
                r = look_at_maps(s, pid, err);
        if (r == 0)
                r = look_at_files(s, pid, err);
        for (size_t i = first; i < s->user_count; i++)
                sf_process_describe(&s->users[i]);
        return r;
}

static int by_pid(const void *a, const void *b)
{
        const struct sf_process_user *x = a, *y = b;

        return x->pid != y->pid ? (x->pid < y->pid ? -1 : 1) : x->tree < y->tree ? -1 : x->tree > y->tree;
}

static int look_at_all(struct search *s, struct sf_error *err)
{
        /* An empty /proc (an unmounted one) would look like a machine without processes. */
        DIR *proc = access("/proc/self/stat", R_OK) == 0 ? opendir("/proc") : NULL;
        int r = 0;

        if (!proc)
                return sf_error_set(err, SF_ERR_UNSUPPORTED, "processes cannot be seen: /proc: %s", strerror(errno));
        for (struct dirent *e; r == 0 && (e = readdir(proc));) {
                pid_t pid = (pid_t)strtol(e->d_name, NULL, 10);
                if (isdigit((unsigned char)e->d_name[0]) && pid != getpid())
                        r = look_at_process(s, pid, err);
        }
        closedir(proc);
        return r;
}

int sf_process_find(const char *const *trees, size_t tree_count, struct sf_process_user **ret, size_t *ret_count,
                    struct sf_error *err)
{
        struct search s = { .trees = trees, .tree_count = tree_count };
        struct stat st;
        int r = 0;

        for (s.current = 0; r == 0 && s.current < tree_count; s.current++) {
                if (stat(trees[s.current], &st) < 0)
                        continue;
                r = add_inode(&s, -1, "", "", &st, err);
                if (r == 0)
                        r = sf_fs_walk(trees[s.current], add_inode, &s, err);
        }
        s.seen = calloc(tree_count + 1, sizeof *s.seen);
        if (r == 0 && !s.seen)
                r = sf_error_set(err, SF_ERR_NOMEM, "no memory for processes");
        if (r == 0) {
                if (s.inode_count)
                        qsort(s.inodes, s.inode_count, sizeof *s.inodes, by_inode);
                r = look_at_all(&s, err);
        }
        free(s.inodes);
        free(s.seen);
        if (r < 0) {
                free(s.users);
                return r;
        }
        if (s.user_count)
                qsort(s.users, s.user_count, sizeof *s.users, by_pid);
        *ret = s.users;
        *ret_count = s.user_count;
        return 0;
}

void sf_process_free_names(char **names)
{
        for (char **n = names; n && *n; n++)
                free(*n);
        free(names);
}

int sf_process_mapped(pid_t pid, const char *tree, char ***ret, struct sf_error *err)
{
        _cleanup_fclose_ FILE *maps = open_maps(pid);
        _cleanup_free_ char *line = NULL;
        char **names = calloc(1, sizeof *names);
        size_t room = 0, count = 0, tree_len = strlen(tree);

        while (names && maps && getline(&line, &room, maps) > 0) {
                const char *path;
                dev_t device;
                ino_t number;
                if (!parse_map(line, &device, &number, &path) || strncmp(path, tree, tree_len) != 0 ||
                    path[tree_len] != '/')
                        continue;
                path += tree_len + 1;
                if (count && strcmp(names[count - 1], path) == 0)
                        continue;
                char **grown = reallocarray(names, count + 2, sizeof *names);
                if (grown)
                        names = grown;
                if (!grown || !(names[count] = strdup(path))) {
                        sf_process_free_names(names);
                        return sf_error_set(err, SF_ERR_NOMEM, "no memory for the files of a process");
                }
                names[++count] = NULL;
        }
        if (!names)
                return sf_error_set(err, SF_ERR_NOMEM, "no memory for the files of a process");
        *ret = names;
        return 0;
}
