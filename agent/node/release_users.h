/* SPDX-License-Identifier: Apache-2.0 */
/* agent/node/release_users.h - which processes use the installed releases.
 */
#ifndef SF_AGENT_NODE_RELEASE_USERS_H
#define SF_AGENT_NODE_RELEASE_USERS_H

#include <stddef.h>

#include "agent/node/process.h"
#include "base/error.h"
#include "installer/store.h"

/* As sf_process_find() for the trees of these releases, with the steps that run from the origin of an adopted one;
 * users[].tree is an index into releases. The caller frees *ret_users, in every case. */
int sf_release_users(const struct sf_store *store, const struct sf_store_release *releases, size_t count,
                     struct sf_process_user **ret_users, size_t *ret_count, struct sf_error *err);

#endif
