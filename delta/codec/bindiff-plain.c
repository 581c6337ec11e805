/* SPDX-License-Identifier: Apache-2.0 */
/* delta/codec/bindiff-plain.c - suffix-sorted difference of the two contents, decoder: delta/codec/replay.h without
 * predictions. */
#include "delta/codec/bindiff.h"

static int decode(const struct sf_delta_files *old, const struct sf_delta_files *new_files, const uint8_t *patch,
                  size_t patch_len, uint8_t *out, struct sf_error *err)
{
        return sf_bindiff_decode(old, new_files, patch, patch_len, false, out, err);
}

const struct sf_delta_codec sf_delta_bindiff = { "bindiff", sf_bindiff_memory_plain, NULL, decode, NULL };
