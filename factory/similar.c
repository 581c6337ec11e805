/* factory/similar.c - why: zstd finds a copy only inside its own frame, and a release is full of near copies. */
#include "factory/similar.h"

#include <string.h>

#include "rpath/elf.h"

enum sf_similar_kind sf_similar_kind(const char *path, const void *data, size_t len)
{
        const char *slash = strrchr(path, '/');
        const char *name = slash ? slash + 1 : path;

        if (sf_elf_is(data, len))
                return strstr(name, ".so") ? SF_SIMILAR_SHARED : SF_SIMILAR_PROGRAM;
        if (len >= 8 && memcmp(data, "!<arch>\n", 8) == 0)
                return SF_SIMILAR_ARCHIVE;
        return SF_SIMILAR_OTHER;
}
