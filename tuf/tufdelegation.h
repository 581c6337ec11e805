/* SPDX-License-Identifier: Apache-2.0 */
/* tuf/tufdelegation.h - which delegated role may speak for a target path: the pre-order walk of section 5.6.7.
 *
 * The walk itself reads no files: the caller loads each role it is given and feeds it back. Private to release/.
 */
#ifndef SF_TUF_TUFDELEGATION_H
#define SF_TUF_TUFDELEGATION_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"

#define SF_TUF_VISITS_MAX 32 /* delegated roles visited for one target */

/* A delegation to follow. */
struct sf_tufvisit {
        char *role;         /* owned: the plain name */
        const json_t *keys; /* borrowed from the delegating metadata */
        const json_t *spec; /* borrowed: holds keyids and threshold */
};

struct sf_tufwalk {
        const char *path;          /* the target looked for; borrowed */
        struct sf_tufvisit *todo;  /* a stack, next one last */
        size_t todo_count, todo_room;
        json_t *seen;              /* names already visited */
        size_t visits;
};

int sf_tufwalk_init(struct sf_tufwalk *walk, const char *path, struct sf_error *err);
void sf_tufwalk_free(struct sf_tufwalk *walk);
/* Puts the delegations of a targets body that cover the path on the stack. The body must outlive the walk. */
int sf_tufwalk_push(struct sf_tufwalk *walk, const json_t *body, struct sf_error *err);
/* Takes the next role that was not visited before: 1 with *ret filled (role owned by the caller), 0 when there is none
 * left, SF_ERR_LIMIT after SF_TUF_VISITS_MAX roles. */
int sf_tufwalk_next(struct sf_tufwalk *walk, struct sf_tufvisit *ret, struct sf_error *err);

/* Shell-style match as TUF means it: '*' and '?' and [sets] never match '/'. */
bool sf_tufpath_matches(const char *pattern, const char *path);

#endif
