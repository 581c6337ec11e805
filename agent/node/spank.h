/* SPDX-License-Identifier: Apache-2.0 */
/* agent/node/spank.h - SPANK plugins of the site: built against one Slurm series, and no other loads them.
 *
 * plugstack.conf of spank(8): "required|optional PATH [arguments]" and "include GLOB" lines. slurm/spank.h puts the
 * version a plugin was built for into its symbol plugin_version, as major << 16 | minor << 8 | micro.
 */
#ifndef SF_AGENT_NODE_SPANK_H
#define SF_AGENT_NODE_SPANK_H

#include "base/buffer.h"
#include "base/error.h"
#include "release/version.h"

/* Appends a line per required plugin with an absolute path that a slurmd of `version` would refuse. A missing
 * plugstack.conf is success. */
int sf_spank_check(const char *plugstack, const struct sf_version *version, struct sf_buffer *ret,
                   struct sf_error *err);

#endif
