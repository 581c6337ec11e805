/* SPDX-License-Identifier: Apache-2.0 */
/* agent/node/active.c - see active.h. */
#include "agent/node/active.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "installer/activate.h"

int sf_active_find(const struct sf_store *store, struct sf_store_release *ret, struct sf_error *err)
{
        _cleanup_free_ struct sf_store_release *all = NULL;
        char current[128];
        size_t count;
        int r = sf_activate_current(store, current, err);

        if (r < 0)
                return r;
        if (!*current)
                return sf_error_set(err, SF_ERR_NOT_FOUND, "no release is active");
        r = sf_store_list(store, &all, &count, err);
        for (size_t i = 0; r == 0 && i < count; i++) {
                if (strcmp(all[i].directory, current) == 0) {
                        *ret = all[i];
                        return 0;
                }
        }
        return r < 0 ? r
                     : sf_error_set(err, SF_ERR_NOT_FOUND, "%s/view points to %s, which is not a complete release",
                                    store->prefix, current);
}

void sf_active_note(const struct sf_store *store, struct sf_report *report)
{
        struct sf_store_release active;

        report->from[0] = report->still[0] = '\0';
        if (sf_active_find(store, &active, NULL) < 0)
                return;
        snprintf(report->from, sizeof report->from, "%s", active.name.text);
        snprintf(report->still, sizeof report->still, "%s", active.name.text);
}
