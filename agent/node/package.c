/* SPDX-License-Identifier: Apache-2.0 */
/* agent/node/package.c - see package.h. */
#include "agent/node/package.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/buffer.h"
#include "base/cleanup.h"
#include "base/fs.h"
#include "base/proc.h"

#define ASK_SECONDS 30
#define POLICY      "/usr/sbin/policy-rc.d"
#define MARK        "#!/bin/sh\n# Written by sf-node"

static const char policy[] = MARK
        " adopt: scripts of packages do not stop or restart a slurmd that sf-node looks after.\n"
        "# Asked by invoke-rc.d(8) and deb-systemd-invoke; 101 = do not. Everything else is allowed, and so is this\n"
        "# as soon as slurmd.service is not sf-node's any more: \"sf-node rollback\" to the package removes this "
        "file.\n"
        "while [ \"${1#--}\" != \"${1-}\" ]; do shift; done\n"
        "case ${1-} in\n"
        "slurmd | slurmd.service) ;;\n"
        "*) exit 0 ;;\n"
        "esac\n"
        "! grep -qs '^# Written by sf-node' /etc/systemd/system/slurmd.service || exit 101\n"
        "exit 0\n";

static bool ask(const char *const *argv, struct sf_buffer *answer)
{
        struct sf_proc proc = { .argv = argv, .output = answer, .timeout_seconds = ASK_SECONDS };
        _cleanup_(sf_buffer_free) struct sf_buffer errors = SF_BUFFER_INIT;

        proc.errors = &errors;
        return sf_proc_run(&proc, NULL) == 0 && answer->len;
}

/* dpkg knows a file by the path that the package says, which may lack the /usr that a merged system adds. */
static bool ask_dpkg(const char *path, char name[128])
{
        const char *shorter = strncmp(path, "/usr/", 5) == 0 ? path + 4 : path;
        const char *const tries[] = { path, shorter };

        for (size_t i = 0; i < 2; i++) {
                _cleanup_(sf_buffer_free) struct sf_buffer answer = SF_BUFFER_INIT;
                const char *argv[] = { "dpkg-query", "-S", tries[i], NULL };
                if (!ask(argv, &answer))
                        continue;
                snprintf(name, 128, "%.*s", (int)strcspn(sf_buffer_text(&answer), ":,"), sf_buffer_text(&answer));
                return true;
        }
        return false;
}

enum sf_package_kind sf_package_owner(const char *path, char name[128])
{
        _cleanup_(sf_buffer_free) struct sf_buffer answer = SF_BUFFER_INIT;
        const char *rpm[] = { "rpm", "-qf", "--queryformat", "%{NAME}", path, NULL };

        *name = '\0';
        if (ask_dpkg(path, name))
                return SF_PACKAGE_DPKG;
        if (!ask(rpm, &answer))
                return SF_PACKAGE_NONE;
        snprintf(name, 128, "%s", sf_buffer_text(&answer));
        return SF_PACKAGE_RPM;
}

static bool is_ours(const char *path)
{
        _cleanup_(sf_buffer_free) struct sf_buffer text = SF_BUFFER_INIT;

        return sf_fs_read(path, 64u << 10, &text, NULL) == 0 && strncmp(sf_buffer_text(&text), MARK, strlen(MARK)) == 0;
}

int sf_package_guard(const char *root, struct sf_error *err)
{
        _cleanup_free_ char *path = sf_format("%s" POLICY, root);

        if (!path)
                return sf_error_set(err, SF_ERR_NOMEM, "no memory for a path");
        if (sf_fs_exists(path) && !is_ours(path))
                return 1;
        return sf_fs_write(path, policy, sizeof policy - 1, 0755, err);
}

void sf_package_unguard(const char *root)
{
        _cleanup_free_ char *path = sf_format("%s" POLICY, root);

        if (path && is_ours(path))
                unlink(path);
}
