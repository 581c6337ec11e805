/* SPDX-License-Identifier: Apache-2.0 */
/* agent/switch/security.c - see security.h. */
#include "agent/switch/security.h"

#include <errno.h>
#include <string.h>
#include <sys/statvfs.h>

#include "base/cleanup.h"
#include "base/fs.h"
#include "base/log.h"
#include "base/proc.h"

#define SELINUX      "/sys/fs/selinux/enforce"
#define FAPOLICYD    "/run/fapolicyd" /* its directory, there while it runs */
#define TRUST_FILE   "sf-node"        /* in /etc/fapolicyd/trust.d */
#define TOOL_SECONDS 300

int sf_security_check(const char *prefix, struct sf_buffer *ret, struct sf_error *err)
{
        _cleanup_free_ char *path = strdup(prefix);
        struct statvfs fs;

        if (!path)
                return sf_error_set(err, SF_ERR_NOMEM, "no memory for a path");
        while (statvfs(path, &fs) < 0) {
                char *slash = strrchr(path, '/');
                if (errno != ENOENT || !slash || slash == path)
                        return 0;
                *slash = '\0';
        }
        if (!(fs.f_flag & ST_NOEXEC))
                return 0;
        return sf_buffer_printf(ret, err,
                                "%s is on a file system that is mounted noexec: no program of a release can run there "
                                "(mount -o remount,exec, or another --prefix)\n",
                                path);
}

/* An exit status that is not 0 is the error, whose text quotes the tool; a tool that is not there is warned of. */
static int use_tool(const char *const *argv, const char *why, struct sf_error *err)
{
        struct sf_proc proc = { .argv = argv, .timeout_seconds = TOOL_SECONDS };
        _cleanup_(sf_buffer_free) struct sf_buffer said = SF_BUFFER_INIT;

        proc.output = &said;
        int r = sf_proc_run(&proc, err);
        if (r == SF_ERR_NOT_FOUND) {
                sf_error_clear(err);
                sf_log_warning("%s, and %s is not installed", why, argv[0]);
                return 0;
        }
        if (r > 0)
                r = sf_error_set(err, SF_ERR_FAILED, "%s: %.*s", argv[0], (int)strcspn(sf_buffer_text(&said), "\n"),
                                 sf_buffer_text(&said));
        return r;
}

/* Added anew: what fapolicyd trusts is a file's size and digest, and a release of this name may have been another
 * before. */
static int trust_files(const char *tree, struct sf_error *err)
{
        _cleanup_free_ char *directory = sf_format("%s/", tree);
        const char *const forget[] = {
                "fapolicyd-cli", "--file", "delete", directory, "--trust-file", TRUST_FILE, NULL
        };
        const char *const add[] = { "fapolicyd-cli", "--file", "add", directory, "--trust-file", TRUST_FILE, NULL };
        const char *const tell[] = { "fapolicyd-cli", "--update", NULL };
        static const char why[] = "fapolicyd runs here";
        struct sf_error none = SF_ERROR_INIT;

        if (!directory)
                return sf_error_set(err, SF_ERR_NOMEM, "no memory for a path");
        (void)use_tool(forget, why, &none);
        int r = use_tool(add, why, err);
        return r < 0 ? r : use_tool(tell, why, err);
}

int sf_security_admit(const char *tree, struct sf_error *err)
{
        const char *const restorecon[] = { "restorecon", "-R", tree, NULL };
        int r = 0;

        if (sf_fs_exists(SELINUX))
                r = use_tool(restorecon, "SELinux is on here", err);
        if (r == 0 && sf_fs_exists(FAPOLICYD))
                r = trust_files(tree, err);
        return r;
}
