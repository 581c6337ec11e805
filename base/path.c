/* SPDX-License-Identifier: Apache-2.0 */
/* base/path.c - see path.h. */
#include "base/path.h"

#include <string.h>

size_t sf_path_parent_length(const char *path)
{
        const char *slash = strrchr(path, '/');

        return slash ? (size_t)(slash - path) : 0;
}

bool sf_path_link_stays(const char *path, const char *target)
{
        size_t depth = 0;
        bool named = false;

        for (const char *c = path; *c; c++)
                depth += *c == '/';
        if (strcmp(target, ".") == 0)
                return true;
        for (const char *part = target;; part++) {
                size_t len = strcspn(part, "/");
                if (len == 0 || (len == 1 && part[0] == '.'))
                        return false;
                if (len == 2 && part[0] == '.' && part[1] == '.') {
                        if (named || depth == 0)
                                return false;
                        depth--;
                } else {
                        named = true;
                }
                part += len;
                if (!*part)
                        return true;
        }
}
