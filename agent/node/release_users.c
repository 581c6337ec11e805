/* SPDX-License-Identifier: Apache-2.0 */
/* agent/node/release_users.c - see release_users.h. */
#include "agent/node/release_users.h"

#include <stdlib.h>

int sf_release_users(const struct sf_store *store, const struct sf_store_release *releases, size_t count,
                     struct sf_process_user **ret_users, size_t *ret_count, struct sf_error *err)
{
        char **trees = calloc(count + 1, sizeof *trees);
        int r = trees ? 0 : sf_error_set(err, SF_ERR_NOMEM, "no memory for releases");

        for (size_t i = 0; r == 0 && i < count; i++)
                if (!(trees[i] = sf_store_resolved(store, releases[i].directory)))
                        r = sf_error_set(err, SF_ERR_NOMEM, "no memory for a path");
        if (r == 0)
                r = sf_process_find((const char *const *)trees, count, ret_users, ret_count, err);
        for (size_t i = 0; r == 0 && i < count; i++)
                if (*releases[i].origin)
                        r = sf_process_add_steps(releases[i].origin, i, ret_users, ret_count, err);
        sf_process_free_names(trees);
        return r;
}
