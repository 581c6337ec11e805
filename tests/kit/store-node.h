/* SPDX-License-Identifier: Apache-2.0 */
/* tests/kit/store-node.h - a made-up node with nothing on it, and a release to install. For cmocka programs. */
#ifndef SF_TESTS_KIT_STORE_NODE_H
#define SF_TESTS_KIT_STORE_NODE_H

#include "installer/store.h"
#include "installer/unpack.h"
#include "tests/kit/layer-maker.h"

#define OLD "24.11.5-bookworm-amd64"
#define NEW "24.11.6-bookworm-amd64"

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

int set_up(void **state);
int tear_down(void **state);
#define NODE_TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

/* Makes NEW or OLD the release to install. */
void load(struct node *n, const char *name);
/* open_range that counts what is asked for. */
int counting_open_range(void *ctx, size_t layer, uint64_t offset, uint64_t length, struct sf_stream **ret,
                        struct sf_error *err);
struct sf_tree tree_at(const struct node *n, int dirfd);
struct sf_unpack unpack_at(struct node *n, int dirfd);

int install(struct node *n, struct sf_error *err);
void install_checked(struct node *n);
/* Unpacks what is missing (n->asked counts it), gives the tree its name and verifies it. */
void finish_checked(struct node *n, struct sf_staging *staging, const uint8_t *missing);
int open_installed(const struct node *n);
size_t count_releases(const struct node *n);
int count_names(const struct node *n); /* below releases/, hidden ones too */
const struct sf_entry *entry_of(const struct node *n, const char *path);

/* A staging directory with nothing in it, whatever an earlier run left. */
int store_node_begin(const struct sf_store *store, const char *directory, struct sf_staging *ret, struct sf_error *err);

#endif
