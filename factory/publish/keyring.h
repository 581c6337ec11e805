/* SPDX-License-Identifier: Apache-2.0 */
/* factory/publish/keyring.h - the private keys at hand for one role: files <role>.<n>.pem and <role>.<n>.uri (see
 * keys.h). */
#ifndef SF_FACTORY_PUBLISH_KEYRING_H
#define SF_FACTORY_PUBLISH_KEYRING_H

#include <stddef.h>

#include "base/error.h"
#include "factory/publish/sign.h"

struct sf_keyring {
        struct sf_keyring_key {
                char *path;               /* owned */
                struct sf_signer *signer; /* owned */
        } *keys;
        size_t count;
        struct sf_error problem; /* the last key file that could not be opened: worth telling when keys are missing */
};

#define SF_KEYRING_INIT { NULL, 0, SF_ERROR_INIT }

/* Opens every key of a role in the directories (NULL-terminated list); a missing directory holds none. */
int sf_keyring_load(const char *const *directories, const char *role, struct sf_keyring *ret, struct sf_error *err);
void sf_keyring_free(struct sf_keyring *ring);
#define _cleanup_keyring_ __attribute__((cleanup(sf_keyring_free)))

/* The key with this keyid, NULL where it is not at hand. */
const struct sf_keyring_key *sf_keyring_find(const struct sf_keyring *ring, const char *keyid);

/* <directory>/<role>.<n><suffix> with the smallest n that no key of the role uses yet. Owned by the caller. */
int sf_keyring_new_path(const char *directory, const char *role, const char *suffix, char **ret, struct sf_error *err);

#endif
