/* SPDX-License-Identifier: Apache-2.0 */
/* agent/switch/first_boot-plan.c - see first_boot-plan.h: the list that all parts add to. */
#include "agent/switch/first_boot-plan.h"

#include <string.h>

#include "base/cleanup.h"
#include "base/fs.h"
#include "base/pool.h"

int sf_first_boot_no_memory(struct sf_error *err)
{
        return sf_error_set(err, SF_ERR_NOMEM, "no memory for a list");
}

/* lstat below the root, without leaving it. */
bool sf_first_boot_is_there(const char *root, const char *path, struct stat *ret)
{
        _cleanup_free_ char *real = NULL;

        return sf_fs_in_root(root, path, &real, NULL) == 0 && lstat(real, ret) == 0;
}

int sf_first_boot_add(struct sf_first_boot_look *l, struct sf_first_boot_item item, struct sf_error *err)
{
        struct sf_first_boot *boot = l->boot;

        if (boot->count == boot->room) {
                size_t room = boot->room ? boot->room * 2 : 16;
                struct sf_first_boot_item *grown = sf_pool_alloc(boot->pool, room, sizeof *grown);
                if (!grown)
                        return sf_first_boot_no_memory(err);
                if (boot->count)
                        memcpy(grown, boot->items, boot->count * sizeof *grown);
                boot->items = grown;
                boot->room = room;
        }
        item.path = sf_pool_copy(boot->pool, item.path, strlen(item.path));
        if (item.text)
                item.text = sf_pool_copy(boot->pool, item.text, strlen(item.text));
        boot->items[boot->count++] = item;
        return item.path ? 0 : sf_first_boot_no_memory(err);
}

int sf_first_boot_add_text(struct sf_first_boot_look *l, enum sf_first_boot_kind kind, const char *path,
                           const char *text, struct sf_error *err)
{
        const struct sf_first_boot_item item = {
                .kind = kind, .path = (char *)(uintptr_t)path, .text = (char *)(uintptr_t)text, .mode = 0644
        };
        struct stat st;

        return sf_first_boot_is_there(l->root, path, &st) ? 0 : sf_first_boot_add(l, item, err);
}
