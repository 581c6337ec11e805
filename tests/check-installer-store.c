/* Releases on disk: made visible whole or not at all, read back through relocation, mended, reused, removed. */
#include <fcntl.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "base/fs.h"
#include "installer/reuse.h"
#include "installer/store.h"
#include "installer/unpack.h"
#include "tests/layer-maker.h"

#define OLD "24.11.5-bookworm-amd64"
#define NEW "24.11.6-bookworm-amd64"

/* One node with nothing on it, and a release to install. */
struct node {
        char root[64];
        struct sf_store store;
        struct maker maker;
        struct sf_filelist list;
        struct sf_buffer text;
        struct sf_store_release release;
        char *installed;
        uint64_t asked; /* bytes of layers asked for */
};

static int counting_open_range(void *ctx, size_t layer, uint64_t offset, uint64_t length, struct sf_stream **ret,
                               struct sf_error *err)
{
        struct node *n = ctx;

        n->asked += length;
        return maker_open_range(&n->maker, layer, offset, length, ret, err);
}

static void load(struct node *n, const char *name)
{
        struct sf_error err = SF_ERROR_INIT;

        sf_filelist_free(&n->list);
        sf_buffer_free(&n->text);
        maker_free(&n->maker);
        free(n->installed);
        maker_honest(&n->maker, name);
        assert_int_equal(sf_filelist_write(&n->maker.list, &n->text, &err), 0);
        assert_int_equal(sf_filelist_parse("filelist", n->text.data, n->text.len, &n->list, &err), 0);
        n->release = (struct sf_store_release){ .tree = n->list.tree, .unit = "notify" };
        assert_int_equal(sf_release_name_parse(name, &n->release.name, &err), 0);
        sf_store_directory(&n->release.name, n->release.directory);
        n->installed = sf_store_installed_prefix(&n->store, n->release.directory);
}

static int set_up(void **state)
{
        struct node *n = calloc(1, sizeof *n);

        strcpy(n->root, "/tmp/check-store-XXXXXX");
        assert_non_null(mkdtemp(n->root));
        assert_int_equal(sf_store_open(n->root, "/opt/slurm/", &n->store, NULL), 0);
        assert_string_equal(n->store.prefix, "/opt/slurm");
        load(n, OLD);
        *state = n;
        return 0;
}

static int tear_down(void **state)
{
        struct node *n = *state;

        assert_int_equal(sf_fs_remove_tree(n->root, NULL), 0);
        sf_store_close(&n->store);
        sf_filelist_free(&n->list);
        sf_buffer_free(&n->text);
        maker_free(&n->maker);
        free(n->installed);
        free(n);
        return 0;
}

static struct sf_tree tree_at(const struct node *n, int dirfd)
{
        return (struct sf_tree){ &n->list, dirfd, n->installed, "/opt/slurm/view" };
}

static struct sf_unpack unpack_at(struct node *n, int dirfd)
{
        return (struct sf_unpack){ .tree = tree_at(n, dirfd), .open_range = counting_open_range, .ctx = n };
}

static int install(struct node *n, struct sf_error *err)
{
        struct sf_staging staging;
        int r = sf_store_begin(&n->store, &n->release.name, &staging, err);

        if (r < 0)
                return r;
        struct sf_unpack u = unpack_at(n, staging.dirfd);
        r = sf_unpack_run(&u, err);
        if (r == 0)
                r = sf_store_commit(&n->store, &staging, &n->list, n->text.data, n->text.len, &n->release, err);
        if (r < 0)
                sf_store_abort(&n->store, &staging);
        return r;
}

static void install_checked(struct node *n)
{
        struct sf_error err = SF_ERROR_INIT;
        int r = install(n, &err);

        if (r < 0)
                print_error("%s\n", err.text);
        assert_int_equal(r, 0);
}

static int open_installed(const struct node *n)
{
        int fd = -1;

        assert_int_equal(sf_store_open_release(&n->store, n->release.directory, &fd, NULL), 0);
        return fd;
}

static size_t count_releases(const struct node *n)
{
        _cleanup_free_ struct sf_store_release *releases = NULL;
        size_t count = 0;

        assert_int_equal(sf_store_list(&n->store, &releases, &count, NULL), 0);
        return count;
}

/* Names below releases/, hidden ones too. */
static int count_name(void *ctx, int dirfd, const char *name, const char *path, const struct stat *st,
                      struct sf_error *err)
{
        (void)dirfd;
        (void)name;
        (void)st;
        (void)err;
        *(int *)ctx += strchr(path, '/') == NULL;
        return 0;
}

static int count_names(const struct node *n)
{
        int names = 0;

        assert_int_equal(sf_fs_walk(n->store.releases, count_name, &names, NULL), 0);
        return names;
}

static void test_install_lists_and_chooses(void **state)
{
        struct node *n = *state;
        struct sf_store_release found;
        struct sf_filelist list;
        struct sf_error err = SF_ERROR_INIT;

        assert_int_equal(count_releases(n), 0);
        install_checked(n);
        load(n, NEW);
        install_checked(n);
        assert_int_equal(count_releases(n), 2);
        assert_int_equal(sf_store_choose(&n->store, "24.11", &found, &err), 0);
        assert_string_equal(found.name.text, NEW);
        assert_string_equal(found.unit, "notify");
        assert_int_equal(sf_store_choose(&n->store, "24.11.5", &found, &err), 0);
        assert_string_equal(found.directory, "24.11.5-bookworm");
        assert_int_equal(sf_store_choose(&n->store, "24.11.5-bookworm", &found, &err), 0);
        assert_int_equal(sf_store_choose(&n->store, "23.11", &found, &err), SF_ERR_NOT_FOUND);
        assert_int_equal(sf_store_choose(&n->store, "24.11.6", &found, &err), 0);
        assert_int_equal(sf_store_filelist(&n->store, &found, &list, &err), 0);
        assert_true(sf_digest_equal(&list.tree, &n->list.tree));
        sf_filelist_free(&list);
        assert_int_equal(sf_store_remove(&n->store, "24.11.5-bookworm", &err), 0);
        assert_int_equal(count_names(n), 1);
        assert_int_equal(sf_store_remove(&n->store, "../releases", &err), SF_ERR_USAGE);
        assert_int_equal(sf_store_remove(&n->store, "24.11.5-bookworm", &err), SF_ERR_NOT_FOUND);
}

static void test_install_again_replaces(void **state)
{
        struct node *n = *state;
        struct stat before, after;
        _cleanup_free_ char *path = sf_fs_join(n->store.releases, n->release.directory);

        install_checked(n);
        assert_int_equal(stat(path, &before), 0);
        install_checked(n);
        assert_int_equal(stat(path, &after), 0);
        assert_int_not_equal(before.st_ino, after.st_ino);
        assert_int_equal(after.st_mode, S_IFDIR | 0755);
        assert_int_equal(count_names(n), 1);
}

/* A record that was changed must not pass for the list of the release. */
static void test_changed_record(void **state)
{
        struct node *n = *state;
        struct sf_filelist list;
        struct sf_error err = SF_ERROR_INIT;

        install_checked(n);
        _cleanup_free_ char *path = sf_format("%s/%s/.sf-release/filelist", n->store.releases, n->release.directory);
        char *mode = strstr((char *)n->text.data, "f 0555 ");
        assert_non_null(mode);
        mode[3] = '7';
        assert_int_equal(sf_fs_write(path, n->text.data, n->text.len, 0644, &err), 0);
        assert_int_equal(sf_store_filelist(&n->store, &n->release, &list, &err), SF_ERR_CORRUPT);
        assert_non_null(strstr(err.text, "not the list that release.json names"));
}

/* It stays in sight, says nothing, and gives way to the same release installed again. */
static void test_damaged_record(void **state)
{
        struct node *n = *state;
        struct sf_store_release found;
        struct sf_error err = SF_ERROR_INIT;

        install_checked(n);
        _cleanup_free_ char *path = sf_format("%s/%s/.sf-release/release.json", n->store.releases,
                                              n->release.directory);
        assert_int_equal(sf_fs_write(path, "{}", 2, 0644, &err), 0);
        assert_int_equal(sf_store_choose(&n->store, "24.11.5", &found, &err), SF_ERR_NOT_FOUND);
        assert_int_equal(sf_store_choose(&n->store, "24.11.5-bookworm", &found, &err), 0);
        assert_true(found.foreign);
        install_checked(n);
        assert_int_equal(sf_store_choose(&n->store, "24.11.5", &found, &err), 0);
        assert_false(found.foreign);
        assert_int_equal(count_names(n), 1);
}

/* --- interruption ---------------------------------------------------------------------------------------------- */

/* A layer that stops arriving: the reader says so through a pipe and waits to be killed. */
static int stalled_pipe;

static ssize_t stalled_read(struct sf_stream *s, void *buf, size_t len, struct sf_error *err)
{
        (void)s;
        (void)buf;
        (void)len;
        /* Time enough for the decoders to write what the first layer held. */
        usleep(100000);
        (void)!write(stalled_pipe, "x", 1);
        pause();
        return sf_error_set(err, SF_ERR_INTERRUPTED, "not killed");
}

static void stalled_close(struct sf_stream *s)
{
        (void)s;
}

static int stalled_open_range(void *ctx, size_t layer, uint64_t offset, uint64_t length, struct sf_stream **ret,
                              struct sf_error *err)
{
        static const struct sf_stream_ops ops = { stalled_read, stalled_close };
        static struct sf_stream stalled = { &ops };

        if (layer == 0)
                return counting_open_range(ctx, layer, offset, length, ret, err);
        *ret = &stalled;
        return 0;
}

static void test_killed_while_unpacking(void **state)
{
        struct node *n = *state;
        int ends[2], status;
        char byte;

        assert_int_equal(pipe(ends), 0);
        pid_t child = fork();
        assert_true(child >= 0);
        if (child == 0) {
                struct sf_staging staging;
                stalled_pipe = ends[1];
                if (sf_store_begin(&n->store, &n->release.name, &staging, NULL) < 0)
                        _exit(1);
                struct sf_unpack u = unpack_at(n, staging.dirfd);
                u.open_range = stalled_open_range;
                _exit(sf_unpack_run(&u, NULL) < 0);
        }
        close(ends[1]);
        assert_int_equal(read(ends[0], &byte, 1), 1);
        close(ends[0]);
        assert_int_equal(kill(child, SIGKILL), 0);
        assert_int_equal(waitpid(child, &status, 0), child);
        assert_true(WIFSIGNALED(status));
        /* A part lies there, hidden; nothing is listed. */
        assert_int_equal(count_names(n), 1);
        assert_int_equal(count_releases(n), 0);
        install_checked(n);
        assert_int_equal(count_names(n), 1);
        assert_int_equal(count_releases(n), 1);
}

static void test_failed_unpack_leaves_nothing(void **state)
{
        struct node *n = *state;
        struct sf_error err = SF_ERROR_INIT;

        n->maker.blobs[1].data[40] ^= 1;
        assert_int_equal(install(n, &err), SF_ERR_CORRUPT);
        assert_int_equal(count_names(n), 0);
        assert_non_null(strstr(err.text, "layer slurm: frame 0: sha256 mismatch"));
}

/* A file system of its own that is too small: said beforehand, and when it turns out in the middle. */
static void fill_small_disk(struct node *n)
{
        struct sf_error err = SF_ERROR_INIT;

        assert_int_equal(sf_fs_mkdirs(n->store.base, 0755, &err), 0);
        assert_int_equal(mount("none", n->store.base, "tmpfs", 0, "size=256k"), 0);
        assert_int_equal(install(n, &err), SF_ERR_NO_SPACE);
        assert_int_equal(count_names(n), 0);
        int fd = open(n->store.base, O_RDONLY | O_DIRECTORY);
        assert_int_equal(sf_unpack_check_space(&n->list, fd, &err), SF_ERR_NO_SPACE);
        assert_non_null(strstr(err.text, "bytes are needed"));
        close(fd);
        assert_int_equal(mount("none", n->store.base, "tmpfs", MS_REMOUNT, "size=64m,nr_inodes=20"), 0);
        fd = open(n->store.base, O_RDONLY | O_DIRECTORY);
        assert_int_equal(sf_unpack_check_space(&n->list, fd, &err), SF_ERR_NO_SPACE);
        assert_non_null(strstr(err.text, "inodes are needed"));
        close(fd);
        assert_int_equal(mount("none", n->store.base, "tmpfs", MS_REMOUNT, "size=64m,nr_inodes=1000"), 0);
        assert_int_equal(install(n, &err), 0);
}

static void test_full_disk(void **state)
{
        struct node *n = *state;
        int status;

        if (geteuid() != 0) {
                print_message("SKIPPED: a full disk needs root, to mount a small file system\n");
                skip();
        }
        pid_t child = fork();
        assert_true(child >= 0);
        if (child == 0) {
                if (unshare(CLONE_NEWNS) < 0 || mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
                        _exit(77);
                fill_small_disk(n);
                _exit(0);
        }
        assert_int_equal(waitpid(child, &status, 0), child);
        if (WIFEXITED(status) && WEXITSTATUS(status) == 77) {
                print_message("SKIPPED: a full disk needs a mount namespace, which is denied here\n");
                skip();
        }
        assert_true(WIFEXITED(status));
        assert_int_equal(WEXITSTATUS(status), 0);
}

/* --- trees ----------------------------------------------------------------------------------------------------- */

static void test_read_back_is_canonical(void **state)
{
        struct node *n = *state;
        struct sf_error err = SF_ERROR_INIT;
        size_t read = 0;

        install_checked(n);
        int fd = open_installed(n);
        struct sf_tree tree = tree_at(n, fd);
        for (size_t i = 0; i < n->list.entry_count; i++) {
                _cleanup_(sf_buffer_free) struct sf_buffer content = SF_BUFFER_INIT;
                if (n->list.entries[i].type != SF_ENTRY_FILE)
                        continue;
                assert_int_equal(sf_tree_read(&tree, &n->list.entries[i], &content, &err), 0);
                struct sf_digest digest;
                sf_digest_of(content.data, content.len, &digest);
                assert_true(sf_digest_equal(&digest, &n->list.entries[i].digest));
                read++;
        }
        assert_int_equal(read, n->list.file_count);
        close(fd);
}

struct damages {
        char text[2048];
        const struct sf_filelist *list;
        uint8_t *wanted;
};

static int note_damage(void *ctx, enum sf_damage damage, const char *path, const struct sf_entry *entry,
                       struct sf_error *err)
{
        struct damages *d = ctx;
        size_t used = strlen(d->text);

        (void)err;
        snprintf(d->text + used, sizeof d->text - used, "%s: %s\n", path, sf_damage_name(damage));
        if (entry)
                d->wanted[entry - d->list->entries] = 1;
        return 0;
}

static void damage_everything(int fd)
{
        int file = openat(fd, "bin/srun", O_WRONLY);
        assert_int_equal(pwrite(file, "X", 1, 2), 1);
        close(file);
        file = openat(fd, "lib/pkgconfig/hwloc.pc", O_WRONLY);
        assert_int_equal(pwrite(file, "/opt/slurm/view/////////////////////", 36, 7), 36);
        close(file);
        assert_int_equal(unlinkat(fd, "lib/slurm/auth_munge.so", 0), 0);
        assert_int_equal(fchmodat(fd, "lib/slurm/cred_munge.so", 04755, 0), 0);
        assert_int_equal(unlinkat(fd, "bin/sbatch", 0), 0);
        assert_int_equal(symlinkat("/bin/sh", fd, "bin/sbatch"), 0);
        assert_int_equal(unlinkat(fd, "lib/empty", 0), 0);
        assert_int_equal(mkdirat(fd, "lib/empty", 0700), 0);
        assert_int_equal(symlinkat("..", fd, "lib/empty/up"), 0);
        assert_int_equal(mkfifoat(fd, "lib/slurm/zzz.so", 0600), 0);
}

static void test_verify_and_repair(void **state)
{
        struct node *n = *state;
        struct sf_error err = SF_ERROR_INIT;

        install_checked(n);
        int fd = open_installed(n);
        struct sf_unpack u = unpack_at(n, fd);
        struct damages d = { .list = &n->list, .wanted = calloc(n->list.entry_count, 1) };
        assert_int_equal(sf_tree_verify(&u.tree, note_damage, &d, &err), 0);
        assert_string_equal(d.text, "");
        damage_everything(fd);
        assert_int_equal(sf_tree_verify(&u.tree, note_damage, &d, &err), 8);
        assert_string_equal(d.text, "bin/sbatch: wrong target\n"
                                    "bin/srun: wrong content\n"
                                    "lib/empty: wrong type\n"
                                    "lib/empty/up: not listed\n"
                                    "lib/pkgconfig/hwloc.pc: wrong content\n"
                                    "lib/slurm/cred_munge.so: wrong mode\n"
                                    "lib/slurm/zzz.so: not listed\n"
                                    "lib/slurm/auth_munge.so: missing\n");
        u.wanted = d.wanted;
        u.replace = true;
        int r = sf_unpack_run(&u, &err);
        if (r < 0)
                print_error("%s\n", err.text);
        assert_int_equal(r, 0);
        d.text[0] = '\0';
        assert_int_equal(sf_tree_verify(&u.tree, note_damage, &d, &err), 1);
        assert_string_equal(d.text, "lib/slurm/zzz.so: not listed\n");
        free(d.wanted);
        close(fd);
}

/* --- reuse ----------------------------------------------------------------------------------------------------- */

static const struct sf_entry *entry_of(const struct node *n, const char *path)
{
        const struct sf_entry *entry = sf_filelist_find(&n->list, path);

        assert_non_null(entry);
        return entry;
}

static ino_t inode_of(int fd, const char *path)
{
        struct stat st;

        assert_int_equal(fstatat(fd, path, &st, AT_SYMLINK_NOFOLLOW), 0);
        return st.st_ino;
}

/* The two releases differ in one file, lib/slurm/auth_munge.so. */
static void install_by_reuse(struct node *n, bool expect_damage)
{
        struct sf_error err = SF_ERROR_INIT;
        struct sf_staging staging;
        _cleanup_free_ uint8_t *planned = NULL, *missing = NULL;

        assert_int_equal(sf_reuse_plan(&n->store, &n->list, &planned, &err), 0);
        for (size_t i = 0; i < n->list.entry_count; i++)
                assert_int_equal(planned[i], strcmp(n->list.entries[i].path, "lib/slurm/auth_munge.so") == 0);
        assert_int_equal(sf_store_begin(&n->store, &n->release.name, &staging, &err), 0);
        struct sf_unpack u = unpack_at(n, staging.dirfd);
        assert_int_equal(sf_unpack_skeleton(&u.tree, &err), 0);
        assert_int_equal(sf_reuse_run(&n->store, &u.tree, &missing, &err), 0);
        assert_int_equal(missing[entry_of(n, "lib/slurm/auth_munge.so") - n->list.entries], 1);
        assert_int_equal(missing[entry_of(n, "lib/libhwloc.so.15") - n->list.entries], expect_damage);
        assert_int_equal(missing[entry_of(n, "bin/srun") - n->list.entries], 0);
        u.wanted = missing;
        n->asked = 0;
        assert_int_equal(sf_unpack_run(&u, &err), 0);
        assert_int_equal(sf_store_commit(&n->store, &staging, &n->list, n->text.data, n->text.len, &n->release, &err),
                         0);
        int fd = open_installed(n);
        struct sf_tree tree = tree_at(n, fd);
        assert_int_equal(sf_tree_verify(&tree, NULL, NULL, &err), 0);
        close(fd);
}

static void test_reuse(void **state)
{
        struct node *n = *state;
        uint64_t all = 0;

        install_checked(n);
        int old = open_installed(n);
        load(n, NEW);
        install_by_reuse(n, false);
        for (size_t i = 0; i < n->list.layer_count; i++)
                all += n->list.layers[i].size;
        assert_true(n->asked > 0);
        assert_true(n->asked < all / 2);
        /* Unmapped files share their blocks, or even their inode; mapped ones say their own directory. */
        int new = open_installed(n);
        assert_int_not_equal(inode_of(old, "bin/srun"), inode_of(new, "bin/srun"));
        if (geteuid() == 0)
                print_message("unmapped files are %s here\n",
                              inode_of(old, "lib/libhwloc.so.15") == inode_of(new, "lib/libhwloc.so.15") ? "hard-linked"
                                                                                                         : "cloned");
        close(old);
        close(new);
}

/* A server that gives whole layers only. */
static int whole_open_range(void *ctx, size_t layer, uint64_t offset, uint64_t length, struct sf_stream **ret,
                            struct sf_error *err)
{
        struct node *n = ctx;

        if (length < n->list.layers[layer].size)
                return sf_error_set(err, SF_ERR_UNSUPPORTED, "no ranges here");
        return counting_open_range(ctx, layer, offset, length, ret, err);
}

static void test_repair_without_ranges(void **state)
{
        struct node *n = *state;
        struct sf_error err = SF_ERROR_INIT;
        struct sf_unpack_range *ranges;
        size_t count;
        uint64_t bytes;

        install_checked(n);
        int fd = open_installed(n);
        struct sf_unpack u = unpack_at(n, fd);
        _cleanup_free_ uint8_t *wanted = calloc(n->list.entry_count, 1);
        wanted[entry_of(n, "bin/srun") - n->list.entries] = 1;
        assert_int_equal(unlinkat(fd, "bin/srun", 0), 0);
        assert_int_equal(sf_unpack_plan(&n->list, wanted, &ranges, &count, &bytes, &err), 0);
        assert_int_equal(count, 1);
        assert_true(bytes < n->list.layers[1].size);
        free(ranges);
        u.wanted = wanted;
        u.replace = true;
        u.open_range = whole_open_range;
        n->asked = 0;
        assert_int_equal(sf_unpack_run(&u, &err), 0);
        assert_int_equal(n->asked, n->list.layers[1].size);
        assert_int_equal(sf_tree_verify(&u.tree, NULL, NULL, &err), 0);
        close(fd);
}

/* What lists promise, the disk may have lost: then it is fetched. */
static void test_reuse_of_damaged(void **state)
{
        struct node *n = *state;

        install_checked(n);
        int old = open_installed(n);
        int file = openat(old, "lib/libhwloc.so.15", O_WRONLY);
        assert_int_equal(pwrite(file, "X", 1, 1000), 1);
        close(file);
        close(old);
        load(n, NEW);
        install_by_reuse(n, true);
}

/* A hard link would share the wrong mode, and mending it would change the other release. */
static void test_reuse_of_other_mode(void **state)
{
        struct node *n = *state;
        struct stat st;

        install_checked(n);
        int old = open_installed(n);
        assert_int_equal(fchmodat(old, "lib/libhwloc.so.15", 0700, 0), 0);
        load(n, NEW);
        install_by_reuse(n, false);
        assert_int_equal(fstatat(old, "lib/libhwloc.so.15", &st, AT_SYMLINK_NOFOLLOW), 0);
        assert_int_equal(st.st_mode, S_IFREG | 0700);
        close(old);
}

static void test_repair_from_other_release(void **state)
{
        struct node *n = *state;
        struct sf_error err = SF_ERROR_INIT;
        _cleanup_free_ uint8_t *missing = NULL;

        install_checked(n);
        load(n, NEW);
        install_checked(n);
        int fd = open_installed(n);
        struct sf_tree tree = tree_at(n, fd);
        int file = openat(fd, "lib/libhwloc.so.15", O_WRONLY);
        assert_int_equal(pwrite(file, "X", 1, 1000), 1);
        close(file);
        _cleanup_free_ uint8_t *broken = calloc(n->list.entry_count, 1);
        broken[entry_of(n, "lib/libhwloc.so.15") - n->list.entries] = 1;
        assert_int_equal(sf_reuse_repair(&n->store, &tree, broken, &missing, &err), 0);
        assert_int_equal(missing[entry_of(n, "lib/libhwloc.so.15") - n->list.entries], 0);
        assert_int_equal(sf_tree_verify(&tree, NULL, NULL, &err), 0);
        close(fd);
}

#define NODE_TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
        const struct CMUnitTest tests[] = {
                NODE_TEST(test_install_lists_and_chooses),
                NODE_TEST(test_install_again_replaces),
                NODE_TEST(test_changed_record),
                NODE_TEST(test_damaged_record),
                NODE_TEST(test_killed_while_unpacking),
                NODE_TEST(test_failed_unpack_leaves_nothing),
                NODE_TEST(test_full_disk),
                NODE_TEST(test_read_back_is_canonical),
                NODE_TEST(test_verify_and_repair),
                NODE_TEST(test_reuse),
                NODE_TEST(test_reuse_of_damaged),
                NODE_TEST(test_reuse_of_other_mode),
                NODE_TEST(test_repair_from_other_release),
                NODE_TEST(test_repair_without_ranges),
        };
        return cmocka_run_group_tests_name("store", tests, NULL, NULL);
}
