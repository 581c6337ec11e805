/* SPDX-License-Identifier: Apache-2.0 */
/* factory/publish/agents.h - the agent itself into a repository: signed targets, plain files, and the script for new
 * nodes.
 *
 *     targets/agent/agent.json                    which version is offered (release/agents.h), and the programs, as
 *     targets/agent/<version>/sf-node-<arch>      consistent snapshots name them
 *     agent/<version>/sf-node-<arch>              the same bytes under a name that a script can fetch
 *     agent/<version>/sf-node-<version>.sh        etc/first-boot.sh.in with version and digests filled in
 *
 * All of it is signed by the offline role `agent`: whoever has the online keys cannot make nodes run another program.
 */
#ifndef SF_FACTORY_PUBLISH_AGENTS_H
#define SF_FACTORY_PUBLISH_AGENTS_H

#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"
#include "factory/publish/metadata.h"

struct sf_publish_agents {
        const struct sf_metadata_options *options;
        const char *const *files; /* programs of one version, one for an architecture */
        size_t count;
        const char *script; /* path of the template */
        bool force;         /* accept a program with an interpreter, and other content under a known version */
};

/* ret_version: room of SF_AGENTS_VERSION_MAX. SF_ERR_CORRUPT: not a program of ours. SF_ERR_EXISTS: this version has
 * other content there. SF_ERR_NOT_FOUND: no role `agent`, or its key is not at hand. */
int sf_publish_agents(const struct sf_publish_agents *publish, char *ret_version, struct sf_error *err);

#endif
