/* SPDX-License-Identifier: Apache-2.0 */
/* agent/node/config-init.c - what "install --init" is told: section [init] and its options. */
#include <stdlib.h>
#include <string.h>

#include "agent/node/config.h"
#include "base/fs.h"

#define ID_MAX 0xfffffffdu /* the two above mean "none" in one call or another */

/* HOST[:PORT][,HOST…]: it is written between quotes into a file that systemd reads. */
static int check_conf_server(const char *text, struct sf_error *err)
{
        static const char harmless[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789.-_:[],";

        if (!*text || text[strspn(text, harmless)] || strstr(text, ",,") || *text == ',' || *text == '-' ||
            text[strlen(text) - 1] == ',')
                return sf_error_set(err, SF_ERR_USAGE,
                                    "--conf-server '%s': HOST[:PORT], several with commas between them, or dns", text);
        return 0;
}

static int check_user(const char *key, const char *name, struct sf_error *err)
{
        static const char harmless[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_.-";

        if (name && (!*name || *name == '-' || name[strspn(name, harmless)] || strlen(name) > 32))
                return sf_error_set(err, SF_ERR_USAGE, "[init] %s = %s: not a user name", key, name);
        return 0;
}

static int read_ids(struct sf_config *c, struct sf_error *err)
{
        const struct {
                const char *key;
                uint64_t *value;
        } ids[] = { { "slurm_uid", &c->init.slurm_uid },
                    { "slurm_gid", &c->init.slurm_gid },
                    { "munge_uid", &c->init.munge_uid },
                    { "munge_gid", &c->init.munge_gid } };
        int r = 0;

        for (size_t i = 0; r == 0 && i < sizeof ids / sizeof *ids; i++) {
                *ids[i].value = SF_INIT_UNSET;
                r = sf_conf_get_u64(&c->conf, "init", ids[i].key, ID_MAX, ids[i].value, err);
                if (r == 0 && *ids[i].value == 0)
                        r = sf_error_set(err, SF_ERR_USAGE, "[init] %s = 0: that is root's", ids[i].key);
        }
        return r;
}

static int read_switches(const struct sf_command_line *line, struct sf_config_init *init, struct sf_error *err)
{
        static const char *const names[] = { "with-munge", "with-pam", "with-nss", "conf-server" };
        bool *const values[] = { &init->munge, &init->pam, &init->nss };

        init->wanted = sf_option_given(line, "init");
        for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
                bool given = sf_option_given(line, names[i]);
                if (given && !init->wanted)
                        return sf_error_set(err, SF_ERR_USAGE, "--%s goes with --init", names[i]);
                if (i < sizeof values / sizeof *values)
                        *values[i] = given;
        }
        if (init->wanted && sf_option_given(line, "no-activate"))
                return sf_error_set(err, SF_ERR_USAGE,
                                    "--init prepares a node for the release that --no-activate "
                                    "would not make the active one");
        return 0;
}

int sf_config_read_init(const struct sf_command_line *line, struct sf_config *config, struct sf_error *err)
{
        struct sf_config_init *init = &config->init;
        const char *given = line ? sf_option_get(line, "conf-server") : NULL;
        int r = line ? read_switches(line, init, err) : 0;

        if (r == 0)
                r = read_ids(config, err);
        init->conf_server = sf_conf_get(&config->conf, "init", "conf_server");
        init->slurm_user = sf_conf_get(&config->conf, "init", "slurm_user");
        init->spool_dir = sf_conf_get(&config->conf, "init", "spool_dir");
        if (given)
                init->conf_server = given;
        if (r == 0)
                r = check_user("slurm_user", init->slurm_user, err);
        if (r == 0 && init->spool_dir && (*init->spool_dir != '/' || !sf_fs_path_is_plain(init->spool_dir + 1)))
                r = sf_error_set(err, SF_ERR_USAGE, "[init] spool_dir = %s: an absolute path is needed",
                                 init->spool_dir);
        return r < 0 || !init->conf_server ? r : check_conf_server(init->conf_server, err);
}
