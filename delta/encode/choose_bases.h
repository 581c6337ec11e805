/* SPDX-License-Identifier: Apache-2.0 */
/* delta/encode/choose_bases.h - which old file a changed file probably comes from (encoder only).
 *
 * The same path; else the same name with other version digits (libslurm.so.41.0.0, .42.0.0), preferring the same
 * directory and the closest name; else none. A bad choice only costs bytes.
 */
#ifndef SF_DELTA_ENCODE_CHOOSE_BASES_H
#define SF_DELTA_ENCODE_CHOOSE_BASES_H

#include "base/error.h"
#include "delta/change_set.h"
#include "release/filelist.h"

/* Sets ancestors and the order of the targets, then completes the plan. */
int sf_choose_bases(const struct sf_filelist *old, const struct sf_filelist *new, struct sf_change_set *plan,
                    struct sf_error *err);

#endif
