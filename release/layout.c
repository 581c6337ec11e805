/* SPDX-License-Identifier: Apache-2.0 */
/* release/layout.c - see layout.h. */
#include "release/layout.h"

#include "base/buffer.h"

char *sf_layout_blob(const struct sf_digest *digest)
{
        char hex[SF_DIGEST_HEX + 1];

        return sf_format(SF_LAYOUT_BLOBS "/%s", sf_digest_hex(digest, hex));
}

char *sf_layout_index_target(const char *toolchain, const char *arch)
{
        return sf_format("index/%s-%s.json", toolchain, arch);
}

char *sf_layout_buildcache_target(const char *toolchain, const char *arch)
{
        return sf_format(SF_LAYOUT_BUILDCACHE "/%s-%s.json", toolchain, arch);
}

char *sf_layout_agent_target(const char *version, const char *arch)
{
        return sf_format(SF_LAYOUT_AGENT "/%s/sf-node-%s", version, arch);
}
