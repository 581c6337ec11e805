/* SPDX-License-Identifier: Apache-2.0 */
/* delta/encode/cfi_prune.h - drops copies of call frame information that are dearer to tell than spelling the bytes
 * out.
 *
 * Most of .eh_frame is predicted from the code (delta/cfi/cfi.h): as literals its bytes cost next to nothing, whereas a
 * copy has to be told, and so has everything that differs inside it. Only an encoder needs this.
 */
#ifndef SF_DELTA_ENCODE_CFI_PRUNE_H
#define SF_DELTA_ENCODE_CFI_PRUNE_H

#include "base/error.h"
#include "delta/encode/align.h"
#include "delta/image/image.h"
#include "delta/codec/script.h"

/* `align` as it was for the script: what differs between its old and new contents has to be told. `plain` is the new
 * file as it is, `image` that of it. */
int sf_cfi_prune(const struct sf_align *align, const uint8_t *plain, const struct sf_image *image,
                 struct sf_script *script, struct sf_error *err);

#endif
