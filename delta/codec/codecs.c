/* SPDX-License-Identifier: Apache-2.0 */
/* delta/codec/codecs.c - the table of decoders. A new codec is one line here, one in delta/encode/make.c and its own
 * files. */
#include "delta/codec/codecs.h"

#include <string.h>

const struct sf_delta_codec *const sf_delta_codecs[] = { &sf_delta_elf,  &sf_delta_parts, &sf_delta_bindiff,
                                                         &sf_delta_zstd, &sf_delta_rsync, NULL };

const struct sf_delta_codec *sf_delta_codec_find(const char *name)
{
        for (const struct sf_delta_codec *const *codec = sf_delta_codecs; *codec; codec++)
                if (!strcmp((*codec)->name, name))
                        return *codec;
        return NULL;
}
