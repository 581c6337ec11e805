/* SPDX-License-Identifier: Apache-2.0 */
/* agent/node/auth.c - see auth.h. */
#include "agent/node/auth.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "agent/node/unit.h"
#include "agent/node/unit_text.h"
#include "base/cleanup.h"
#include "base/fs.h"

#define MUNGE_SOCKET "/run/munge/munge.socket.2"
#define SACK_SOCKET  "/run/slurm/sack.socket"

static bool answers(const char *path)
{
        struct sockaddr_un address = { .sun_family = AF_UNIX };
        _cleanup_close_ int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

        snprintf(address.sun_path, sizeof address.sun_path, "%s", path);
        return fd >= 0 && connect(fd, (const struct sockaddr *)&address, sizeof address) == 0;
}

/* 25.11's clients try a socket of their cluster first, older ones the three alone. */
static bool sack_answers(const struct sf_slurm_conf *conf)
{
        const char *cluster = sf_slurm_conf_get(conf, "ClusterName");
        char own[108];

        snprintf(own, sizeof own, "/run/slurm-%.64s/sack.socket", cluster ? cluster : "");
        return answers(SACK_SOCKET) || answers("/run/slurmctld/sack.socket") || answers("/run/slurmdbd/sack.socket") ||
               answers(own);
}

static bool is_auth(const struct sf_slurm_conf *conf, const char *key, const char *plugin)
{
        const char *value = sf_slurm_conf_get(conf, key);

        return value && strcasestr(value, plugin);
}

bool sf_auth_is_slurm(const struct sf_slurm_conf *conf)
{
        return is_auth(conf, "AuthType", "auth/slurm");
}

int sf_auth_check_sockets(const struct sf_slurm_conf *conf, struct sf_buffer *ret, struct sf_error *err)
{
        const char *type = sf_slurm_conf_get(conf, "AuthType"), *info = sf_slurm_conf_get(conf, "AuthInfo");
        char munge[108] = MUNGE_SOCKET;

        if (sf_auth_is_slurm(conf)) {
                if (sack_answers(conf))
                        return 0;
                return sf_buffer_printf(ret, err, "AuthType=auth/slurm, but nobody answers at " SACK_SOCKET ": %s\n",
                                        info && strstr(info, "disable_sack")
                                                ? "AuthInfo=disable_sack leaves that to sackd; start sackd"
                                                : "slurmd opens it when it starts; restart slurmd, or start sackd");
        }
        if (type && !is_auth(conf, "AuthType", "munge"))
                return 0;
        sf_slurm_conf_option(info, "socket", munge, sizeof munge);
        if (answers(munge))
                return 0;
        return sf_buffer_printf(ret, err, "munge does not answer at %s: start munged (systemctl start munge)\n", munge);
}

/* What a daemon's start ends for: a key that is not there, or one that others may use. */
static int check_key(const char *what, const char *path, struct sf_buffer *ret, struct sf_error *err)
{
        struct stat st;

        if (!path)
                return sf_error_set(err, SF_ERR_NOMEM, "no memory for a path");
        if (stat(path, &st) < 0)
                return sf_buffer_printf(ret, err, "%s: the key %s cannot be read: %m\n", what, path);
        return st.st_mode & S_IRWXO ? sf_buffer_printf(ret, err, "%s: the key %s has mode 0%o: chmod o= %s\n", what,
                                                       path, st.st_mode & 0777, path)
                                    : 0;
}

char *sf_auth_slurm_key(const struct sf_slurm_conf *conf, int pid, const char *fallback)
{
        static const char *const places[][2] = { { "SLURM_SACK_JWKS", "slurm.jwks" },
                                                 { "SLURM_SACK_KEY", "slurm.key" } };
        char told[1024];

        for (size_t i = 0; i < 2; i++) {
                const char *name = places[i][1];
                char *path = pid && sf_daemon_variable(pid, places[i][0], told, sizeof told)
                                     ? strdup(told)
                                     : sf_slurm_conf_beside(conf, name);
                if (path && fallback && !sf_fs_exists(path)) {
                        char *other = sf_format("%s/%s", fallback, name);
                        if (other && sf_fs_exists(other)) {
                                free(path);
                                return other;
                        }
                        free(other);
                }
                if (!path || i == 1 || sf_fs_exists(path))
                        return path;
                free(path);
        }
        return NULL;
}

/* AuthAltParameters=jwks=FILE,jwt_key=FILE; without either jwt_hs256.key of slurmctld's state. */
static int check_jwt_keys(const struct sf_slurm_conf *conf, struct sf_buffer *ret, struct sf_error *err)
{
        const char *parameters = sf_slurm_conf_get(conf, "AuthAltParameters");
        const char *state = sf_slurm_conf_get(conf, "StateSaveLocation");
        char set[1024] = "", key[1024] = "";
        int r = 0;

        sf_slurm_conf_option(parameters, "jwks", set, sizeof set);
        if (!sf_slurm_conf_option(parameters, "jwt_key", key, sizeof key) && !*set)
                snprintf(key, sizeof key, "%s/jwt_hs256.key", state ? state : "/var/spool");
        if (*set)
                r = check_key("auth/jwt", set, ret, err);
        return r == 0 && *key ? check_key("auth/jwt", key, ret, err) : r;
}

/* systemd takes a runtime directory away with the unit that stops, whoever else has a socket in it. Our own unit is
 * written again by each switch, and keeps it. */
static int check_directory(const struct sf_unit_of_node *slurmd, struct sf_buffer *ret, struct sf_error *err)
{
        _cleanup_(sf_unit_text_free) struct sf_unit_text text = SF_UNIT_TEXT_INIT;
        enum sf_unit_owner owner = SF_UNIT_FOREIGN;

        if (strcmp(slurmd->name, SF_UNIT_SLURMD) == 0)
                sf_unit_find("", &owner, NULL, NULL);
        if (owner == SF_UNIT_OURS || sf_unit_text_load("", slurmd->name, &text, NULL) < 0)
                return 0;
        const struct sf_unit_setting *directory = sf_unit_text_get(&text, "Service", "RuntimeDirectory");
        const struct sf_unit_setting *keep = sf_unit_text_get(&text, "Service", "RuntimeDirectoryPreserve");
        if (!directory || strcmp(directory->value, "slurm") != 0 ||
            (keep && (sf_unit_text_bool(keep->value, false) || strcmp(keep->value, "restart") == 0)))
                return 0;
        return sf_buffer_printf(ret, err,
                                "%s has RuntimeDirectory=slurm: its restart removes /run/slurm, and sackd's socket "
                                "with it; set RuntimeDirectoryPreserve=yes in a drop-in\n",
                                slurmd->name);
}

int sf_auth_check_directory(const struct sf_slurm_conf *conf, const struct sf_units *units, struct sf_buffer *ret,
                            struct sf_error *err)
{
        const char *info = sf_slurm_conf_get(conf, "AuthInfo");
        int r = 0;

        if (!sf_auth_is_slurm(conf) || !info || !strstr(info, "disable_sack"))
                return 0;
        for (const struct sf_unit_of_node *u = NULL; r == 0 && (u = sf_units_next(units, SF_DAEMON_SLURMD, u));)
                r = check_directory(u, ret, err);
        return r;
}

int sf_auth_check_keys(const struct sf_slurm_conf *conf, const struct sf_units *units, struct sf_buffer *ret,
                       struct sf_error *err)
{
        const struct sf_unit_of_node *controller = sf_units_next(units, SF_DAEMON_SLURMCTLD, NULL);
        int r = 0;

        if (!controller || !controller->running)
                return 0;
        /* A slurmd's own key is tried with slurmd itself. */
        if (sf_auth_is_slurm(conf)) {
                _cleanup_free_ char *key = sf_auth_slurm_key(conf, controller->pid, NULL);
                r = check_key("auth/slurm", key, ret, err);
        }
        return r == 0 && is_auth(conf, "AuthAltTypes", "auth/jwt") ? check_jwt_keys(conf, ret, err) : r;
}
