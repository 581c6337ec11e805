/* SPDX-License-Identifier: Apache-2.0 */
/* delta/encode/realign.h - the script of one new file: aligned, and aligned again by what references mean (encoder
 * only).
 *
 * Realignment is what makes predicted references pay: once a first alignment tells where old functions and objects
 * went, every reference field of both files is overwritten by a label of what it refers to, and the files are aligned
 * again. Code that merely moved is then equal byte for byte.
 */
#ifndef SF_DELTA_ENCODE_REALIGN_H
#define SF_DELTA_ENCODE_REALIGN_H

#include <stddef.h>

#include "base/error.h"
#include "delta/codec/script.h"
#include "delta/encode/references.h"

/* Fills in the steps of the script of new file `index` of the library, whose references are chosen. */
int sf_realign_file(const struct sf_reference_library *l, size_t index, struct sf_script *script, struct sf_error *err);

#endif
