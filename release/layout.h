/* SPDX-License-Identifier: Apache-2.0 */
/* release/layout.h - every path and URL of the design, once.
 *
 * On the CDN (relative to the repository's base) and on a node. Functions that return char * give memory owned by the
 * caller, NULL only without memory.
 */
#ifndef SF_RELEASE_LAYOUT_H
#define SF_RELEASE_LAYOUT_H

#include "base/digest.h"

/* --- repository ------------------------------------------------------------------------------------------------ */
#define SF_LAYOUT_METADATA   "metadata"     /* + "/timestamp.json", "/N.root.json", ... */
#define SF_LAYOUT_TARGETS    "targets"      /* + "/index/<digest>.<toolchain>-<arch>.json" (consistent snapshots) */
#define SF_LAYOUT_BLOBS      "blobs/sha256" /* + "/<hex>" */
#define SF_LAYOUT_OCI_INDEX  "index.json"   /* for OCI tools only; sf-node never reads it */
#define SF_LAYOUT_OCI_LAYOUT "oci-layout"

char *sf_layout_blob(const struct sf_digest *digest);                  /* blobs/sha256/<hex> */
char *sf_layout_index_target(const char *toolchain, const char *arch); /* index/<toolchain>-<arch>.json */
/* Layers that other factories may use instead of building them: + "/<layer>.tar.zst", named by the target
 * buildcache/<toolchain>-<arch>.json. */
#define SF_LAYOUT_BUILDCACHE    "buildcache"
#define SF_BUILDCACHE_FORMAT    1
#define SF_BUILDCACHE_INDEX_MAX (16u << 20)
char *sf_layout_buildcache_target(const char *toolchain, const char *arch);
/* The agent's own releases (release/agents.h); the same paths without "targets/" are plain files for a script. */
#define SF_LAYOUT_AGENT         "agent"
#define SF_LAYOUT_AGENTS_TARGET SF_LAYOUT_AGENT "/agent.json"
char *sf_layout_agent_target(const char *version, const char *arch); /* agent/<version>/sf-node-<arch> */
#define SF_LAYOUT_ROLLOUT_TARGET "rollout/rollout.json"              /* waves, withdrawals, compatibility table */

/* Delegated roles of the top-level targets. */
#define SF_ROLE_RELEASES   "releases"   /* signs index/... */
#define SF_ROLE_ROLLOUT    "rollout"    /* signs rollout/... */
#define SF_ROLE_BUILDCACHE "buildcache" /* signs buildcache/... */
#define SF_ROLE_AGENT      "agent"      /* signs agent/..., offline: programs that nodes run as root */

/* Media and artifact types of our blobs. */
#define SF_MEDIA_LAYER      "application/vnd.oci.image.layer.v1.tar+zstd"
#define SF_MEDIA_FILELIST   "application/vnd.slurm-factory.filelist.v1+zstd"
#define SF_MEDIA_SBOM       "application/spdx+json"
#define SF_MEDIA_STATEMENT  "application/vnd.in-toto+json" /* in-toto's media type, also the DSSE payload type */
#define SF_MEDIA_PROVENANCE "application/vnd.in-toto.provenance+dsse"
#define SF_MEDIA_DELTA      "application/vnd.slurm-factory.delta.v1"

/* Every layer's tar members start with this. */
#define SF_LAYOUT_MEMBER_ROOT "opt/slurm/view/"

/* --- node ------------------------------------------------------------------------------------------------------ */
#define SF_DEFAULT_PREFIX      "/opt/slurm"
#define SF_STATE_DIR           "/var/lib/sf-node" /* below --root */
#define SF_CONFIG_FILE         "/etc/sf-node/sf-node.conf"
#define SF_CONFIG_TRUSTED_ROOT "/etc/sf-node/root.json"
#define SF_CONFIG_DIR          "/etc/sf-node/conf.d"
#define SF_NODE_RELEASES       "releases"      /* PREFIX/releases/<version>-<toolchain>[-<build>]/ */
#define SF_NODE_VIEW           "view"          /* PREFIX/view -> releases/<active> */
#define SF_NODE_MODULES        "modules/slurm" /* PREFIX/modules/slurm/<version>-<toolchain>.lua */
#define SF_NODE_RECORD         ".sf-release"   /* directory inside each release: filelist, release.json */

#endif
