/* SPDX-License-Identifier: Apache-2.0 */
/* factory/publish/registry-series.c - see registry-series.h. */
#include "factory/publish/registry-series.h"

#include <string.h>

#include "base/buffer.h"

int sf_registry_series(const struct sf_release_name *name, char **ret, struct sf_error *err)
{
        struct sf_version version;
        int r = sf_version_parse(name->version, &version, err);

        if (r < 0)
                return r;
        *ret = sf_format("%u.%02u-%s-%s", version.major, version.minor, name->toolchain, name->arch);
        return *ret ? 0 : sf_error_set(err, SF_ERR_NOMEM, "out of memory for a registry");
}

bool sf_registry_same_series(const struct sf_release_name *name, const struct sf_release_name *other, int *ret_order)
{
        struct sf_version a, b;

        if (*other->build || strcmp(name->toolchain, other->toolchain) != 0 || strcmp(name->arch, other->arch) != 0 ||
            sf_version_parse(name->version, &a, NULL) < 0 || sf_version_parse(other->version, &b, NULL) < 0 ||
            !sf_version_same_series(&a, &b))
                return false;
        *ret_order = sf_version_compare(&a, &b);
        return true;
}
