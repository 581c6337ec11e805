/* SPDX-License-Identifier: Apache-2.0 */
/* agent/acquire/own_program.h - this program as a file: whether the repository vouches for it, and putting another
 * version in its place.
 *
 * The new program lies beside the old one as <program>.new until it has proven itself, then the old one gets the name
 * <program>.old and the new one its name: at every moment there is a whole program under the name.
 */
#ifndef SF_AGENT_ACQUIRE_OWN_PROGRAM_H
#define SF_AGENT_ACQUIRE_OWN_PROGRAM_H

#include <limits.h>
#include <stdbool.h>

#include "agent/acquire/repository.h"
#include "release/agents.h"

/* The file that runs. SF_ERR_UNSUPPORTED where it was deleted or replaced under us, or /proc is missing. */
int sf_own_program_path(char out[PATH_MAX], struct sf_error *err);
/* The same where the next start of that name is meant: *ret_replaced says whether another file has it by now. */
int sf_own_program_name(char out[PATH_MAX], bool *ret_replaced, struct sf_error *err);

/* Is that file the repository's sf-node of this version? SF_ERR_TRUST: it is not. */
int sf_own_program_verify(const struct sf_config *config, struct sf_repository *repository, struct sf_error *err);

/* The version that the repository offers for this processor. SF_ERR_NOT_FOUND: none. */
int sf_own_program_offered(const struct sf_config *config, struct sf_repository *repository,
                           char ret[SF_AGENTS_VERSION_MAX], struct sf_error *err);

/* Fetches it to <program>.new; *ret_bytes: its size. */
int sf_own_program_fetch(const struct sf_config *config, struct sf_repository *repository, const char *version,
                         const char *program, uint64_t *ret_bytes, struct sf_error *err);
/* The new one takes the name, the old one <program>.old. */
int sf_own_program_switch(const char *program, struct sf_error *err);
/* Removes <program>.new. */
void sf_own_program_drop(const char *program);

#endif
