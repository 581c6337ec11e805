/* SPDX-License-Identifier: Apache-2.0 */
/* fuzz/fuzz-delta-list.c - list patches that no encoder made: an error or some text of bounded length. */
#include <stdint.h>
#include <stdlib.h>

#include "base/cleanup.h"
#include "delta/listpatch.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define MAX 4096

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        static const char old[] = "sf-filelist 1\nrelease 1.0.0-a-b\nprefix 256\nd 0755 bin\nf 0755 12 "
                                  "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef b:1a,2 bin/x\n";
        _cleanup_(sf_buffer_free) struct sf_buffer out = SF_BUFFER_INIT;
        struct sf_error err = SF_ERROR_INIT;
        int r = sf_listpatch_apply(old, sizeof old - 1, data, size, MAX, &out, &err);

        if (r > 0 || (r == 0 && out.len > MAX) || (r < 0 && !err.text[0]))
                abort();
        return 0;
}
