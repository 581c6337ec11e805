/* SPDX-License-Identifier: Apache-2.0 */
/* factory/pack/file_order.c - why: zstd finds a copy only inside its own frame, and a release is full of near
 * copies. */
#include "factory/pack/file_order.h"

#include <string.h>

#include "rpath/elf.h"

enum sf_file_order_kind sf_file_order_kind(const char *path, const void *data, size_t len)
{
        const char *slash = strrchr(path, '/');
        const char *name = slash ? slash + 1 : path;

        if (sf_elf_is(data, len))
                return strstr(name, ".so") ? SF_FILE_ORDER_SHARED : SF_FILE_ORDER_PROGRAM;
        if (len >= 8 && memcmp(data, "!<arch>\n", 8) == 0)
                return SF_FILE_ORDER_ARCHIVE;
        return SF_FILE_ORDER_OTHER;
}
