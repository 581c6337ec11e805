/* SPDX-License-Identifier: Apache-2.0 */
/* factory/publish/inventory.h - what a repository's releases contain, package by package, as their bills of materials
 * say. */
#ifndef SF_FACTORY_PUBLISH_INVENTORY_H
#define SF_FACTORY_PUBLISH_INVENTORY_H

#include <jansson.h>
#include <stdbool.h>

#include "base/error.h"
#include "factory/publish/publish.h"
#include "release/version.h"

struct sf_inventory_release {
        struct sf_release_name name;
        bool is_withdrawn;
        bool is_partial;  /* no bill of materials: only Slurm itself is known */
        json_t *packages; /* [{name, version}]; owned */
};

struct sf_inventory {
        struct sf_inventory_release *releases;
        size_t count;
};

/* Reads every index and every bill of materials, checked against the signed digests. store: where blobs lie that the
 * directory lacks; NULL = nowhere. Needs no keys; holds the repository's lock meanwhile. */
int sf_inventory_read(const char *repository, const struct sf_publish_store *store, struct sf_inventory *ret,
                      struct sf_error *err);
void sf_inventory_free(struct sf_inventory *inventory);

#endif
