/* SPDX-License-Identifier: Apache-2.0 */
/* factory/build/sbom.h - a release's bill of materials: an SPDX 2.3 document (spdx.github.io/spdx-spec/v2.3) in JSON.
 *
 * Each package of the plan with its version, license, source archive and digest, patches and what it depends on; and
 * the operating system's libraries that are expected on the node. The same plan always gives the same bytes. */
#ifndef SF_FACTORY_BUILD_SBOM_H
#define SF_FACTORY_BUILD_SBOM_H

#include <stdint.h>

#include "base/buffer.h"
#include "base/error.h"
#include "factory/build/plan.h"

/* release: its whole name. epoch: the document's time, seconds since 1970. Appends compact JSON with sorted members. */
int sf_sbom_write(const struct sf_plan *plan, const char *release, int64_t epoch, struct sf_buffer *ret,
                  struct sf_error *err);

#endif
