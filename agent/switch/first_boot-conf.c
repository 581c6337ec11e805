/* SPDX-License-Identifier: Apache-2.0 */
/* agent/switch/first_boot-conf.c - a part of first_boot.h's plan: where slurmd has its configuration from. */
#include <stdio.h>
#include <string.h>

#include "agent/node/conf_source.h"
#include "agent/node/unit.h"
#include "agent/switch/first_boot-plan.h"
#include "base/buffer.h"
#include "base/cleanup.h"
#include "base/fs.h"

#define OPTIONS_MAX (64u << 10)

/* What a file says behind SLURMD_OPTIONS=, "" for nothing; false where it does not set it. */
static bool options_in(const char *root, const char *file, char *ret, size_t room)
{
        _cleanup_(sf_buffer_free) struct sf_buffer text = SF_BUFFER_INIT;
        _cleanup_free_ char *real = NULL;
        static const char name[] = "SLURMD_OPTIONS=";
        bool found = false;

        if (sf_fs_in_root(root, file, &real, NULL) < 0 || sf_fs_read(real, OPTIONS_MAX, &text, NULL) < 0)
                return false;
        for (const char *line = sf_buffer_text(&text); *line; line += strcspn(line, "\n"), line += *line == '\n') {
                line += strspn(line, " \t");
                if (strncmp(line, name, strlen(name)) != 0)
                        continue;
                found = true;
                snprintf(ret, room, "%.*s", (int)strcspn(line + strlen(name), "\n"), line + strlen(name));
        }
        return found;
}

/* "--conf-server X" and "--conf-server=X", as they stand between quotes. */
static bool says_server(const char *options, const char *server)
{
        const char *at = strstr(options, "--conf-server");
        size_t len = strlen(server);

        if (!at)
                return false;
        at += strlen("--conf-server");
        at += strspn(at, " \t=");
        return strncmp(at, server, len) == 0 && strchr("\"' \t", at[len]);
}

static int plan_server_file(struct sf_first_boot_look *l, const char *server, struct sf_error *err)
{
        static const char *const debian[] = { "/etc/default/slurmd", "/etc/sysconfig/slurmd" };
        static const char *const redhat[] = { "/etc/sysconfig/slurmd", "/etc/default/slurmd" };
        struct stat st;
        bool sysconfig = sf_first_boot_is_there(l->root, "/etc/sysconfig", &st);
        const char *const *files = sysconfig ? redhat : debian;
        char options[1024] = "";
        _cleanup_free_ char *text = sf_format("# Written by \"sf-node install --init\"; yours to change.\n"
                                              "SLURMD_OPTIONS=\"--conf-server %s\"\n",
                                              server);

        for (int i = 0; i < 2; i++) {
                if (!options_in(l->root, files[i], options, sizeof options))
                        continue;
                return says_server(options, server)
                               ? 0
                               : sf_error_set(err, SF_ERR_USAGE,
                                              "%s%s sets SLURMD_OPTIONS already, and it is the site's: write "
                                              "--conf-server %s into it, or leave --conf-server out",
                                              l->root, files[i], server);
        }
        for (int i = 0; text && i < 2; i++)
                if (!sf_first_boot_is_there(l->root, files[i], &st))
                        return sf_first_boot_add_text(l, SF_FIRST_BOOT_FILE, files[i], text, err);
        return sf_error_set(err, SF_ERR_USAGE, "%s%s is the site's: write SLURMD_OPTIONS=\"--conf-server %s\" into it",
                            l->root, files[0], server);
}

int sf_first_boot_plan_conf(struct sf_first_boot_look *l, struct sf_error *err)
{
        const char *server = l->init->conf_server;
        struct sf_daemon_words words = { 0 };
        char options[1024] = "";

        sf_conf_source_words(l->root, SF_UNIT_SLURMD, SF_DAEMON_SLURMD, 0, &words);
        if (server && strcmp(server, "dns") == 0)
                return 0;
        if (server && *words.server)
                return strcmp(server, words.server) == 0
                               ? 0
                               : sf_error_set(err, SF_ERR_USAGE,
                                              "slurmd is told --conf-server %s on this node already, not %s: change it "
                                              "where it is set",
                                              words.server, server);
        if (server)
                return plan_server_file(l, server, err);
        if (l->has_conf || *words.server ||
            (options_in(l->root, "/etc/default/slurmd", options, sizeof options) ||
             options_in(l->root, "/etc/sysconfig/slurmd", options, sizeof options)))
                return 0;
        return sf_error_set(
                err, SF_ERR_USAGE,
                "there is no %s%s, and slurmd is not told where else its configuration is: "
                "--conf-server HOST[:PORT] names the controller, --conf-server dns leaves it to SRV records",
                l->root, l->config->slurm_conf);
}
