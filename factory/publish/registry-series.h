/* SPDX-License-Identifier: Apache-2.0 */
/* factory/publish/registry-series.h - the tag of a series, "24.11-bookworm-amd64", and who may have it. Private to
 * registry*.c. */
#ifndef SF_FACTORY_PUBLISH_REGISTRY_SERIES_H
#define SF_FACTORY_PUBLISH_REGISTRY_SERIES_H

#include <stdbool.h>

#include "base/error.h"
#include "release/version.h"

/* *ret is the caller's. */
int sf_registry_series(const struct sf_release_name *name, char **ret, struct sf_error *err);
/* May `other` have the tag of this release's series? One with a build name has none. *ret_order compares the versions,
 * as strcmp. */
bool sf_registry_same_series(const struct sf_release_name *name, const struct sf_release_name *other, int *ret_order);

#endif
