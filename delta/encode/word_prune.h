/* SPDX-License-Identifier: Apache-2.0 */
/* delta/encode/word_prune.h - copies of arm64 code start and end where instructions do.
 *
 * A border inside an instruction costs twice: the field that the copy holds in part is not predicted, and the literal
 * bytes on the other side are no instruction either (delta/codec/literal_a64.h). Only an encoder needs this.
 */
#ifndef SF_DELTA_ENCODE_WORD_PRUNE_H
#define SF_DELTA_ENCODE_WORD_PRUNE_H

#include "delta/codec/script.h"
#include "delta/encode/align.h"
#include "delta/image/image.h"

/* `align` as it was for the script; `image` is that of the new file. */
void sf_word_prune(const struct sf_align *align, const struct sf_image *image, struct sf_script *script);

#endif
