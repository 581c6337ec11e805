/* SPDX-License-Identifier: Apache-2.0 */
/* delta/codec/pretrain.h - the model reads the old code around every place where new code will be coded as literals.
 *
 * A micro release codes as literals a few thousand bytes of code in all, too few for a model to learn from what machine
 * code is like. But what stood there before is like it: the same registers, the same callees, the same idioms. Both
 * ends have it.
 */
#ifndef SF_DELTA_CODEC_PRETRAIN_H
#define SF_DELTA_CODEC_PRETRAIN_H

#include <stdint.h>

#include "base/error.h"
#include "delta/codec/literal.h"
#include "delta/predict/predict.h"
#include "delta/codec/script.h"

#define SF_PRETRAIN_MAX (UINT64_C(256) << 10) /* bytes of a patch: reading costs as much time as spelling */

/* Reads in the first reference of a script; what the code there refers to is learnt as the place in the new file,
 * `successor`. `*spent` counts the bytes read for this patch. */
int sf_pretrain(struct sf_literals *literals, const struct sf_predictor *predictor, const struct sf_image *successor,
                const struct sf_script *script, uint64_t *spent, struct sf_error *err);

#endif
