/* SPDX-License-Identifier: Apache-2.0 */
/* agent/node/spank.h - SPANK plugins of the site: built against one Slurm series, and no other loads them.
 *
 * plugstack.conf of spank(8) and src/common/spank.c: "required|optional PLUGIN [arguments]" and "include GLOB" lines, a
 * relative GLOB being relative to the including file, a PLUGIN without a path being looked up in PluginDir.
 * slurm/spank.h puts the version a plugin was built for into its symbol plugin_version, as major << 16 | minor << 8 |
 * micro.
 */
#ifndef SF_AGENT_NODE_SPANK_H
#define SF_AGENT_NODE_SPANK_H

#include "base/buffer.h"
#include "base/error.h"
#include "release/version.h"

struct sf_spank {
        const char *root;                 /* before every path of the files */
        const char *plugstack;            /* plugstack.conf, without root */
        const char *const *plugin_dirs;   /* where the release will look for plugins; real paths, NULL-terminated */
        const struct sf_version *version; /* of the release in question */
        const struct sf_version *before;  /* of the one that runs now; NULL = none, or not known */
};

/* Appends to ret a line per required plugin that slurmd of `version` would not load (jobs would fail), and to notes
 * a line per optional one that it would leave out although the release before loads it. A missing plugstack.conf is
 * success. */
int sf_spank_check(const struct sf_spank *spank, struct sf_buffer *ret, struct sf_buffer *notes, struct sf_error *err);

#endif
