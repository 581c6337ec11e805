/* SPDX-License-Identifier: Apache-2.0 */
/* delta/codec/codec.c - see codec.h. */
#include "delta/codec/codec.h"

uint64_t sf_delta_files_size(const struct sf_delta_files *files)
{
        uint64_t size = 0;

        for (size_t i = 0; i < files->count; i++)
                size += files->files[i].size;
        return size;
}

uint64_t sf_delta_patch_memory(const struct sf_delta_codec *codec, const struct sf_delta_files *old,
                               const struct sf_delta_files *new_files, const uint8_t *patch, size_t patch_len)
{
        return codec->patch_memory ? codec->patch_memory(old, new_files, patch, patch_len)
                                   : codec->decode_memory(old, new_files);
}

const uint8_t *sf_delta_files_bytes(const struct sf_delta_files *files)
{
        static const uint8_t nothing[1];

        return files->count && files->files[0].data ? files->files[0].data : nothing;
}
