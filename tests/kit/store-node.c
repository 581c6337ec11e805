/* SPDX-License-Identifier: Apache-2.0 */
/* tests/kit/store-node.c - see store.h. */
#include "tests/kit/store-node.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "base/fs.h"

int counting_open_range(void *ctx, size_t layer, uint64_t offset, uint64_t length, struct sf_stream **ret,
                        struct sf_error *err)
{
        struct node *n = ctx;

        n->asked += length;
        return maker_open_range(&n->maker, layer, offset, length, ret, err);
}

void load(struct node *n, const char *name)
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

int set_up(void **state)
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

int tear_down(void **state)
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

struct sf_tree tree_at(const struct node *n, int dirfd)
{
        return (struct sf_tree){ &n->list, dirfd, n->installed, "/opt/slurm/view" };
}

struct sf_unpack unpack_at(struct node *n, int dirfd)
{
        return (struct sf_unpack){ .tree = tree_at(n, dirfd), .open_range = counting_open_range, .ctx = n };
}

int install(struct node *n, struct sf_error *err)
{
        struct sf_staging staging;
        int r = sf_store_assign(&n->store, &n->release, err);

        if (r < 0)
                return r;
        free(n->installed);
        n->installed = sf_store_installed_prefix(&n->store, n->release.directory);
        r = store_node_begin(&n->store, n->release.directory, &staging, err);

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

void install_checked(struct node *n)
{
        struct sf_error err = SF_ERROR_INIT;
        int r = install(n, &err);

        if (r < 0)
                print_error("%s\n", err.text);
        assert_int_equal(r, 0);
}

void finish_checked(struct node *n, struct sf_staging *staging, const uint8_t *missing)
{
        struct sf_unpack u = unpack_at(n, staging->dirfd);

        u.wanted = missing;
        n->asked = 0;
        assert_int_equal(sf_unpack_run(&u, NULL), 0);
        assert_int_equal(sf_store_commit(&n->store, staging, &n->list, n->text.data, n->text.len, &n->release, NULL),
                         0);
        _cleanup_close_ int fd = open_installed(n);
        struct sf_tree tree = tree_at(n, fd);
        assert_int_equal(sf_tree_verify(&tree, NULL, NULL, NULL), 0);
}

int open_installed(const struct node *n)
{
        int fd = -1;

        assert_int_equal(sf_store_open_release(&n->store, n->release.directory, &fd, NULL), 0);
        return fd;
}

size_t count_releases(const struct node *n)
{
        _cleanup_free_ struct sf_store_release *releases = NULL;
        size_t count = 0;

        assert_int_equal(sf_store_list(&n->store, &releases, &count, NULL), 0);
        return count;
}

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

int count_names(const struct node *n)
{
        int names = 0;

        assert_int_equal(sf_fs_walk(n->store.releases, count_name, &names, NULL), 0);
        return names;
}

const struct sf_entry *entry_of(const struct node *n, const char *path)
{
        const struct sf_entry *entry = sf_filelist_find(&n->list, path);

        assert_non_null(entry);
        return entry;
}

int store_node_begin(const struct sf_store *store, const char *directory, struct sf_staging *ret, struct sf_error *err)
{
        int r = sf_store_clear(store, err);

        return r < 0 ? r : sf_store_resume(store, directory, ret, err);
}
