/* SPDX-License-Identifier: Apache-2.0 */
/* fuzz/replay.c - runs a fuzzer's corpus through it once: what libFuzzer does with files, for compilers without it. */
#include <stdint.h>
#include <stdio.h>

#include "base/fs.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int main(int argc, char **argv)
{
        for (int i = 1; i < argc; i++) {
                struct sf_buffer input = SF_BUFFER_INIT;
                struct sf_error err = SF_ERROR_INIT;
                if (sf_fs_read(argv[i], (size_t)64 << 20, &input, &err) < 0) {
                        fprintf(stderr, "%s\n", err.text);
                        return 99;
                }
                /* Named before it is run: where it crashes, the last line says which one. */
                fprintf(stderr, "%s\n", argv[i]);
                LLVMFuzzerTestOneInput((const uint8_t *)sf_buffer_text(&input), input.len);
                sf_buffer_free(&input);
        }
        return 0;
}
