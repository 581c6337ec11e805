/* SPDX-License-Identifier: Apache-2.0 */
/* fuzz/fuzz-delta-codecs.c - patches that no encoder made. The first byte chooses codec and old file (bit 2: an ELF
 * file with all its tables; bit 5: for arm64), whether the header of the patch is given (bit 3), or the codec that
 * makes parts (bit 4); the rest is the patch. Any input must end in success or a clean error, in the memory stated. */
#include <elf.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "delta/codec/codecs.h"
#include "delta/predict/predict.h"
#include "delta/codec/replay.h"
#include "tests/kit/deltaelf.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define E_MACHINE 18 /* offset of its low byte in the ELF header */
#define OLD_ELF   sizeof((struct deltaelf *)0)->data
#define OLD_SIZE  (OLD_ELF + 3000)
#define NEW_ELF   11500
#define NEW_SIZE  (NEW_ELF + 2500)
#define PATCH_MAX 65536

/* Bytes that look like code; in front of them, if wanted, a file that is whole. */
static void make_old(uint8_t *old, bool elf, bool a64)
{
        static const uint8_t code[] = { 0xe8, 0x10, 0,    0,    0, 0x48, 0x8d, 0x3d, 0x20, 0,
                                        0,    0,    0x0f, 0x84, 1, 0,    0,    0,    0xc3 };
        struct deltaelf file;

        for (size_t i = 0; i < OLD_SIZE; i++)
                old[i] = code[i % sizeof code];
        if (!elf)
                return;
        deltaelf_make(&file, &(struct deltaelf_order){ .turn = 1 });
        if (a64)
                file.data[E_MACHINE] = EM_AARCH64;
        memcpy(old, file.data, OLD_ELF);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        static const char *const names[] = { "elf", "bindiff", "zstd", "rsync" };
        static const uint8_t header[] = { SF_PREDICTOR_VERSION, SF_REPLAY_SLOTS_LOG_MIN };
        static uint8_t old[OLD_SIZE], patch[PATCH_MAX + sizeof header];
        _cleanup_free_ uint8_t *out = malloc(NEW_SIZE);
        struct sf_error err = SF_ERROR_INIT;
        size_t given = 0;

        if (size < 1 || size > PATCH_MAX || !out)
                return 0;
        make_old(old, data[0] & 4, data[0] & 32);
        if (data[0] & 8)
                memcpy(patch, header, given = sizeof header);
        memcpy(patch + given, data + 1, size - 1);
        const struct sf_delta_file before[] = { { old, OLD_ELF, 0 }, { old + OLD_ELF, OLD_SIZE - OLD_ELF, 0 } };
        const struct sf_delta_file after[] = { { NULL, NEW_ELF, 1 }, { NULL, 0, 0 }, { NULL, NEW_SIZE - NEW_ELF, 2 } };
        const struct sf_delta_codec *codec = sf_delta_codec_find(data[0] & 16 ? "parts" : names[data[0] & 3]);
        if (!sf_delta_patch_memory(codec, &(struct sf_delta_files){ before, 2 }, &(struct sf_delta_files){ after, 3 },
                                   patch, given + size - 1))
                abort();
        int r = codec->decode(&(struct sf_delta_files){ before, 2 }, &(struct sf_delta_files){ after, 3 }, patch,
                              given + size - 1, out, &err);
        if (r > 0 || (r < 0 && !err.text[0]))
                abort();
        return 0;
}
