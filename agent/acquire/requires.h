/* SPDX-License-Identifier: Apache-2.0 */
/* agent/acquire/requires.h - whether this node has what a release says it needs from the system: C library, processor,
 * shared libraries. Asked before anything is fetched.
 */
#ifndef SF_AGENT_ACQUIRE_REQUIRES_H
#define SF_AGENT_ACQUIRE_REQUIRES_H

#include <stdbool.h>

#include "base/error.h"
#include "release/index.h"

/* root: of the system that the release is for; "" = this machine's. Of a root without a C library (an empty
 * directory to be filled later) nothing is known, and nothing is refused. SF_ERR_INCOMPATIBLE names all that is
 * missing. */
int sf_requires_check(const struct sf_index_release *release, const char *root, struct sf_error *err);

/* Is this agent new enough for the release? Not a question that --force answers. SF_ERR_INCOMPATIBLE. */
int sf_requires_check_agent(const struct sf_index_release *release, const char *version, struct sf_error *err);

/* True where a processor with these flags (of /proc/cpuinfo) has the psABI's level; true for levels that are unknown
 * here. */
bool sf_requires_cpu_has(const char *flags, const char *level);

#endif
