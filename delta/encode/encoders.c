/* SPDX-License-Identifier: Apache-2.0 */
/* delta/encode/encoders.c - the bindiff and elf codecs with both ends: what the factory lists. */
#include "delta/codec/bindiff.h"

static int encode_plain(const struct sf_delta_files *old, const struct sf_delta_files *new,
                        struct sf_delta_effort *effort, struct sf_buffer *ret_patch, struct sf_error *err)
{
        return sf_bindiff_encode(old, new, false, effort, ret_patch, err);
}

static int encode_elf(const struct sf_delta_files *old, const struct sf_delta_files *new,
                      struct sf_delta_effort *effort, struct sf_buffer *ret_patch, struct sf_error *err)
{
        return sf_bindiff_encode(old, new, true, effort, ret_patch, err);
}

const struct sf_delta_codec sf_delta_bindiff_encoder = { "bindiff", sf_bindiff_memory_plain, encode_plain, NULL, NULL };
const struct sf_delta_codec sf_delta_elf_encoder = { "elf", sf_bindiff_memory_elf, encode_elf, NULL, NULL };
