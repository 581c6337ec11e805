/* SPDX-License-Identifier: Apache-2.0 */
/* agent/node/version.c - see version.h. */
#include "agent/node/version.h"

const char sf_version_mark[] = SF_AGENTS_MARK SF_VERSION;

static const char *const volatile own = SF_VERSION_TEXT;

const char *sf_version_own(void)
{
        return own;
}
