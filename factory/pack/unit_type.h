/* SPDX-License-Identifier: Apache-2.0 */
/* factory/pack/unit_type.h - the systemd Type= that a release's slurmd wants: what the agent writes into the unit. */
#ifndef SF_FACTORY_PACK_UNIT_TYPE_H
#define SF_FACTORY_PACK_UNIT_TYPE_H

#include "base/error.h"

/* From the slurmd.service that the build installed below `tree`, else from the version: "notify" from 23.02 on, where
 * slurmd learnt --systemd, "simple" before. */
int sf_unit_type_of(const char *tree, const char *version, char ret[16], struct sf_error *err);

#endif
