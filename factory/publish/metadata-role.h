/* SPDX-License-Identifier: Apache-2.0 */
/* factory/publish/metadata-role.h - one role while its metadata is being changed: signing it, and naming it in
 * another. */
#ifndef SF_FACTORY_PUBLISH_METADATA_ROLE_H
#define SF_FACTORY_PUBLISH_METADATA_ROLE_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/buffer.h"
#include "base/error.h"

struct sf_metadata_role {
        char *name;
        json_t *body;           /* the "signed" part as it will be */
        json_t *before;         /* as it was opened */
        bool changed;
        struct sf_buffer bytes; /* the finished file, once signed */
};

void sf_metadata_role_free(struct sf_metadata_role *role);
/* What was written is what the next change starts from. */
void sf_metadata_role_committed(struct sf_metadata_role *role);

/* <directory>/<version>.<role>.json, or without a number for version 0. Owned by the caller, NULL without memory. */
char *sf_metadata_role_path(const char *directory, const char *role, int64_t version);

struct sf_metadata_signing {
        const json_t *spec;        /* {keyids, threshold} that must be met */
        const json_t *spec_before; /* the same before this change; NULL for a new role */
        const char *const *keys;   /* directories of private keys */
};

/* Gives the body its next version and expiry and signs it: by a threshold of spec's keys, and by every key of
 * spec_before that is at hand (root: by a threshold of those, too). SF_ERR_NOT_FOUND names the role whose keys are
 * missing. */
int sf_metadata_role_sign(struct sf_metadata_role *role, int64_t expires, const struct sf_metadata_signing *signing,
                          struct sf_error *err);
bool sf_metadata_role_can_sign(const char *role, const json_t *spec, const char *const *keys);

/* Enters a finished role in the "meta" of snapshot or timestamp and marks that one as changed. */
int sf_metadata_role_list(struct sf_metadata_role *lister, const struct sf_metadata_role *role, struct sf_error *err);

#endif
