/* SPDX-License-Identifier: Apache-2.0 */
/* factory/pack/leave_out.c - see leave_out.h. */
#include "factory/pack/leave_out.h"

#include <fnmatch.h>
#include <string.h>

/* EasyBuild: "easybuild/" of an installation holds the log, the easyconfig and reprod/. Spack: ".spack/" of a prefix
 * or a view, "spack-build-*" in it; ".spack-db" of an install tree. */
static const struct {
        const char *pattern, *why;
} records[] = {
        { "easybuild", "EasyBuild's record" }, { ".spack", "Spack's record" },
        { ".spack-db", "Spack's record" },     { ".spack-empty", "Spack's record" },
        { "*/.spack", "Spack's record" },      { "*/spack-build-*.txt", "Spack's record" },
};

static const char *match(struct sf_leave_out *leave_out, const char *path)
{
        const char *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path;

        for (size_t i = 0; leave_out->patterns && leave_out->patterns[i] && i < SF_LEAVE_OUT_MAX; i++) {
                const char *pattern = leave_out->patterns[i];
                if (fnmatch(pattern, path, 0) == 0 || (!strchr(pattern, '/') && fnmatch(pattern, name, 0) == 0)) {
                        leave_out->used[i] = true;
                        return "--exclude";
                }
        }
        for (size_t i = 0; leave_out->records && i < sizeof records / sizeof *records; i++)
                if (fnmatch(records[i].pattern, path, 0) == 0)
                        return records[i].why;
        return NULL;
}

enum sf_leave_out_verdict sf_leave_out_ask(struct sf_leave_out *leave_out, const char *path, const char **ret_why)
{
        char parent[4096];

        for (const char *at = strchr(path, '/'); at && (size_t)(at - path) < sizeof parent; at = strchr(at + 1, '/')) {
                memcpy(parent, path, (size_t)(at - path));
                parent[at - path] = '\0';
                *ret_why = match(leave_out, parent);
                if (*ret_why)
                        return SF_LEAVE_OUT_BELOW;
        }
        *ret_why = match(leave_out, path);
        return *ret_why ? SF_LEAVE_OUT_THIS : SF_LEAVE_OUT_NOT;
}

bool sf_leave_out_is_log(const char *path)
{
        static const char *const patterns[] = { "*.log.gz",        "*.log.bz2",    "*.log.xz",       "*.log.zst",
                                                "*.log.[0-9]*.gz", "*-out.txt.gz", "*build-out*.gz", "*/config.log*" };

        for (size_t i = 0; i < sizeof patterns / sizeof *patterns; i++)
                if (fnmatch(patterns[i], path, 0) == 0)
                        return true;
        return false;
}
