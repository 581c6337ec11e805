/* SPDX-License-Identifier: Apache-2.0 */
/* agent/node/version.h - the version of this program, once in the file: a factory finds it there (release/agents.h). */
#ifndef SF_AGENT_NODE_VERSION_H
#define SF_AGENT_NODE_VERSION_H

#include "release/agents.h"

extern const char sf_version_mark[];
#define SF_VERSION_TEXT (sf_version_mark + sizeof SF_AGENTS_MARK - 1) /* "0.1.0" */

/* The same, read from the file at run time: never a constant of the compiler's. */
const char *sf_version_own(void);

#endif
