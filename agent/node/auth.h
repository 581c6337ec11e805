/* SPDX-License-Identifier: Apache-2.0 */
/* agent/node/auth.h - can Slurm's programs prove identities on this node? By AuthType and AuthAltTypes of slurm.conf.
 *
 * Sources: slurm.conf(5), sackd(8); src/common/sack_api.c (the sockets that clients try, in this order),
 * src/plugins/auth/slurm/internal.c and src/plugins/auth/jwt/auth_jwt.c (the keys that a daemon reads when it starts,
 * and what it ends for).
 */
#ifndef SF_AGENT_NODE_AUTH_H
#define SF_AGENT_NODE_AUTH_H

#include <stdbool.h>

#include "agent/node/slurm_conf.h"
#include "agent/node/units.h"
#include "base/buffer.h"
#include "base/error.h"

/* Appends a line with what to do where commands on this node reach nobody who would prove who calls them: munge, or for
 * auth/slurm the socket of sackd, slurmd or another daemon. Connects, and asks nothing. */
int sf_auth_check_sockets(const struct sf_slurm_conf *conf, struct sf_buffer *ret, struct sf_error *err);

/* The key file that a daemon of auth/slurm reads when it starts: SLURM_SACK_JWKS and SLURM_SACK_KEY of process pid (0 =
 * none), else slurm.jwks and slurm.key beside slurm.conf, else in `fallback`, where a daemon looks that fetches its
 * slurm.conf (NULL = nowhere). The first that exists, or where slurm.key is missed. Owned by the caller; NULL without
 * memory. */
char *sf_auth_slurm_key(const struct sf_slurm_conf *conf, int pid, const char *fallback);
bool sf_auth_is_slurm(const struct sf_slurm_conf *conf);

/* Appends a line for each key that a controller or database daemon of this node would end for at its next start. */
int sf_auth_check_keys(const struct sf_slurm_conf *conf, const struct sf_units *units, struct sf_buffer *ret,
                       struct sf_error *err);

/* Appends a line for each slurmd whose restart would take sackd's socket away, where commands depend on sackd. */
int sf_auth_check_directory(const struct sf_slurm_conf *conf, const struct sf_units *units, struct sf_buffer *ret,
                            struct sf_error *err);

#endif
