/* fuzz/fuzz-delta-codecs.c - patches that no encoder made. The first byte chooses codec and old file, the rest is the
 * patch. Any input must end in success or a clean error, in the memory stated. The old file is the ELF file at hand. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/fs.h"
#include "delta/codec.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define NEW_SIZE 6000

/* A small ELF header with one code segment in front of bytes that look like code and tables. */
static void make_old(uint8_t *old, size_t size, int elf)
{
        static const uint8_t header[] = { 0x7f, 'E', 'L', 'F', 2, 1, 1 };
        static const uint8_t code[] = { 0xe8, 0x10, 0,    0,    0, 0x48, 0x8d, 0x3d, 0x20, 0,
                                        0,    0,    0x0f, 0x84, 1, 0,    0,    0,    0xc3 };

        for (size_t i = 0; i < size; i++)
                old[i] = code[i % sizeof code];
        if (!elf)
                return;
        memset(old, 0, 120);
        memcpy(old, header, sizeof header);
        old[18] = 62; /* x86-64 */
        old[32] = 64; /* program headers */
        old[56] = 1;
        old[64] = 1; /* PT_LOAD, readable and executable, the whole file */
        old[68] = 5;
        old[96] = old[104] = (uint8_t)size;
        old[97] = old[105] = (uint8_t)(size >> 8);
        /* one section: the code behind the headers */
        old[40] = 128;
        old[58] = 64;
        old[60] = 1;
        memset(old + 128, 0, 64);
        old[132] = 1;
        old[136] = 6;
        old[145] = old[153] = 1;
        old[160] = (uint8_t)(size - 256);
        old[161] = (uint8_t)((size - 256) >> 8);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        static const char *const names[] = { "elf", "bindiff", "zstd", "rsync" };
        static uint8_t old[5000];
        uint8_t out[NEW_SIZE];
        struct sf_error err = SF_ERROR_INIT;

        if (size < 1)
                return 0;
        make_old(old, sizeof old, data[0] & 4);
        const struct sf_delta_file before[] = { { old, 3000, 0 }, { old + 3000, 2000, 0 } };
        const struct sf_delta_file after[] = { { NULL, 2500, 1 }, { NULL, 0, 0 }, { NULL, NEW_SIZE - 2500, 2 } };
        const struct sf_delta_codec *codec = sf_delta_codec_find(names[data[0] & 3]);
        int r = codec->decode(&(struct sf_delta_files){ before, 2 }, &(struct sf_delta_files){ after, 3 }, data + 1,
                              size - 1, out, &err);
        if (r > 0 || (r < 0 && !err.text[0]))
                abort();
        return 0;
}
