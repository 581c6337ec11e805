/* SPDX-License-Identifier: Apache-2.0 */
/* release/agents.h - the agent's own releases: which one a repository offers, as a target of the offline role `agent`.
 *
 *     {"agent":1,"current":{"amd64":"0.2.0","arm64":"0.2.0"}}
 *
 * The programs are targets beside it (sf_layout_agent_target). A program says its version after SF_AGENTS_MARK, so that
 * a factory can read it from a file that it cannot run.
 */
#ifndef SF_RELEASE_AGENTS_H
#define SF_RELEASE_AGENTS_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buffer.h"
#include "base/error.h"

#define SF_AGENTS_FORMAT      1
#define SF_AGENTS_TEXT_MAX    (64u << 10)
#define SF_AGENTS_PROGRAM_MAX (64u << 20)
#define SF_AGENTS_MARK        "@(#)sf-node " /* as what(1) looks for it; the version and a NUL follow */
#define SF_AGENTS_VERSION_MAX 64
/* The oldest sf-node that understands what this factory makes. Raised with each change that older ones stumble over. */
#define SF_AGENTS_NEEDED "0.1.0"

/* Letters, digits and ".+~-" only, for it is part of paths. */
bool sf_agents_is_version(const char *text);
/* Below 0, 0 or above, by version order: 0.10 is newer than 0.9, and 0.2~rc1 older than 0.2. */
int sf_agents_compare(const char *a, const char *b);

/* The version offered for an architecture. SF_ERR_NOT_FOUND: none. SF_ERR_UNSUPPORTED: a newer format. */
int sf_agents_current(const char *name, const void *text, size_t len, const char *arch, char ret[SF_AGENTS_VERSION_MAX],
                      struct sf_error *err);
/* The same text with another version for an architecture; len 0 starts a new one. Appends to ret. */
int sf_agents_set(const char *name, const void *text, size_t len, const char *arch, const char *version,
                  struct sf_buffer *ret, struct sf_error *err);

#endif
