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

const uint8_t *sf_delta_files_bytes(const struct sf_delta_files *files)
{
        static const uint8_t nothing[1];

        return files->count && files->files[0].data ? files->files[0].data : nothing;
}
