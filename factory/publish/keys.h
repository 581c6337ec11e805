/* SPDX-License-Identifier: Apache-2.0 */
/* factory/publish/keys.h - key ceremonies: the first root, rotation, and what signs what.
 *
 * A directory of keys holds one file per private key, named <role>.<n>.pem (the key) or <role>.<n>.uri (one line, the
 * OSSL_STORE URI of a key held elsewhere). Which of them count is decided by the signed metadata, not by names: a name
 * only says for which role a file is tried. Offline keys (root, targets) may lie in a directory of their own that is
 * mounted for ceremonies only.
 */
#ifndef SF_FACTORY_PUBLISH_KEYS_H
#define SF_FACTORY_PUBLISH_KEYS_H

#include <stdbool.h>

#include "base/error.h"
#include "base/json.h"
#include "factory/publish/metadata.h"

struct sf_keys_init {
        const char *offline_keys; /* directory for root.* and targets.*; made (0700) where missing */
        const char *online_keys;  /* directory for releases.*, rollout.*, snapshot.*, timestamp.*; may be the same */
        unsigned root_keys;       /* n; 0 = 1. Keys already in the directory (for instance .uri files) are used first */
        unsigned root_threshold;  /* m; 0 = 1 */
};

/* May be repeated after an interruption: keys that are there are used, and a repository has a root only when it is
 * complete.
 *
 * Makes the missing keys and the first metadata of options->repository: root, targets with both delegations, empty
 * releases, rollout with the built-in compatibility table, snapshot, timestamp. A repository that already has a root is
 * SF_ERR_EXISTS. options->keys is ignored: the two directories above are used. */
int sf_keys_init(const struct sf_metadata_options *options, const struct sf_keys_init *init, struct sf_error *err);

/* Adds a delegated role that `init` makes today and this repository does not have yet, with its own key: targets is
 * signed anew, so its key has to be at hand. A role that is there is SF_ERR_EXISTS; another name SF_ERR_USAGE. */
int sf_keys_add(const struct sf_metadata_options *options, const char *role, const struct sf_keys_init *init,
                struct sf_error *err);

/* Replaces the keys of `role`. New root keys: N+1.root.json is signed by the old and the new ones; other top-level
 * roles: by root, and the role's own metadata is signed anew; releases and rollout: by targets. The new key is the
 * file `new_key` (path or URI), or generated into the directory the old one lies in where NULL. `retire` is the
 * keyid (or an unambiguous beginning) to take out, NULL = the role's only key. The old file is kept as
 * <name>.retired. After a failure the new key's file is deleted only where the repository on disk does not name it. */
int sf_keys_rotate(const struct sf_metadata_options *options, const char *role, const char *retire, const char *new_key,
                   struct sf_error *err);

/* One line per role and key, or with --json one object each, appended to rows. Then the role's key files that are
 * not in force. */
int sf_keys_show(const struct sf_metadata_options *options, json_t *rows, struct sf_error *err);

#endif
