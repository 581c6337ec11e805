/* delta/codec.c - the table of decoders. A new codec is one line here, one in delta/make.c and its own files. */
#include "delta/codec.h"

#include <string.h>

#include "delta/codecs.h"

const struct sf_delta_codec *const sf_delta_codecs[] = { &sf_delta_elf, &sf_delta_bindiff, &sf_delta_zstd,
                                                         &sf_delta_rsync, NULL };

const struct sf_delta_codec *sf_delta_codec_find(const char *name)
{
        for (const struct sf_delta_codec *const *codec = sf_delta_codecs; *codec; codec++)
                if (!strcmp((*codec)->name, name))
                        return *codec;
        return NULL;
}

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
