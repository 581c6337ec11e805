/* SPDX-License-Identifier: Apache-2.0 */
/* factory/pack/link.c - why: a link that says an absolute path works at one prefix only. */
#include "factory/pack/link.h"

#include <string.h>

#include "base/buffer.h"
#include "base/cleanup.h"
#include "base/path.h"

const char *sf_link_below(const char *path, const char *root)
{
        size_t len = strlen(root);

        if (strncmp(path, root, len) != 0 || (path[len] != '/' && path[len] != 0))
                return NULL;
        path += len;
        return path + strspn(path, "/");
}

int sf_link_tidy(const char *path, const char *target, char **ret, struct sf_error *err)
{
        _cleanup_(sf_buffer_free) struct sf_buffer tidy = SF_BUFFER_INIT;
        int r = 0;

        for (; *target && r == 0; target += strspn(target, "/")) {
                size_t len = strcspn(target, "/");
                if (len != 1 || *target != '.')
                        r = sf_buffer_printf(&tidy, err, "%s%.*s", tidy.len ? "/" : "", (int)len, target);
                target += len;
        }
        if (r == 0 && tidy.len == 0)
                r = sf_buffer_puts(&tidy, ".", err);
        if (r < 0)
                return r;
        *ret = sf_path_link_stays(path, sf_buffer_text(&tidy)) ? (char *)sf_steal_pointer(tidy.data) : NULL;
        return 0;
}

int sf_link_between(const char *path, const char *rest, char **ret, struct sf_error *err)
{
        _cleanup_(sf_buffer_free) struct sf_buffer way = SF_BUFFER_INIT;
        size_t common = 0;
        int r = 0;

        for (size_t i = 0; path[i] && path[i] == rest[i]; i++)
                if (path[i] == '/')
                        common = i + 1;
        for (const char *left = path + common; *left && r == 0; left++)
                if (*left == '/')
                        r = sf_buffer_puts(&way, "../", err);
        if (r == 0)
                r = sf_buffer_puts(&way, rest + common, err);
        return r < 0 ? r : sf_link_tidy(path, sf_buffer_text(&way), ret, err);
}
