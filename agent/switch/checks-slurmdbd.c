/* SPDX-License-Identifier: Apache-2.0 */
/* agent/switch/checks-slurmdbd.c - would slurmdbd start with its configuration? Its file is parsed and compared with
 * the keys that the release's program knows; the daemon itself is not started, for it would speak to the database.
 * slurmdbd.conf(5). */
#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "agent/node/slurm_conf.h"
#include "agent/switch/checks.h"
#include "base/cleanup.h"
#include "base/fs.h"

#define PROGRAM_MAX (256u << 20)

/* Keys know no case; a literal ends in NUL. The program's bytes are in small letters already. */
static bool knows(const struct sf_buffer *program, const char *key)
{
        char text[128];
        size_t len = strlen(key);

        if (len >= sizeof text)
                return false;
        for (size_t i = 0; i <= len; i++)
                text[i] = (char)tolower((unsigned char)key[i]);
        return memmem(program->data, program->len, text, len + 1) != NULL;
}

static int check_keys(const struct sf_checks *c, const struct sf_slurm_conf *conf, struct sf_buffer *ret,
                      struct sf_error *err)
{
        _cleanup_(sf_buffer_free) struct sf_buffer program = SF_BUFFER_INIT;
        _cleanup_free_ char *path = sf_fs_join(c->tree, "sbin/slurmdbd");
        int r = path ? sf_fs_read(path, PROGRAM_MAX, &program, err)
                     : sf_error_set(err, SF_ERR_NOMEM, "no memory for a path");

        for (size_t i = 0; i < program.len; i++)
                program.data[i] = (uint8_t)tolower(program.data[i]);
        for (size_t i = 0; r == 0 && i < conf->count; i++) {
                const struct sf_slurm_conf_line *l = &conf->lines[i];
                if (!knows(&program, l->pairs[0].key))
                        r = sf_buffer_printf(ret, err, "%s line %u: slurmdbd %s does not know %s and would not start\n",
                                             l->file, l->number, c->version, l->pairs[0].key);
        }
        return r;
}

/* The password of the database is in it. */
static int check_mode(const struct sf_slurm_conf *conf, struct sf_buffer *ret, struct sf_error *err)
{
        struct stat st;

        if (stat(conf->path, &st) < 0 || (st.st_mode & (0777 ^ 0640)) == 0)
                return 0;
        return sf_buffer_printf(ret, err, "%s has mode %04o, and slurmdbd would not start: chmod 0600\n", conf->path,
                                (unsigned)st.st_mode & 07777);
}

int sf_check_slurmdbd(const struct sf_checks *c, struct sf_buffer *ret, struct sf_error *err)
{
        const struct sf_unit_of_node *u = c->units ? sf_units_next(c->units, SF_DAEMON_SLURMDBD, NULL) : NULL;
        _cleanup_(sf_slurm_conf_free) struct sf_slurm_conf conf = SF_SLURM_CONF_INIT;
        struct sf_error why = SF_ERROR_INIT;
        const char *slash = u ? strrchr(u->conf, '/') : NULL;

        if (!u || !u->running || !slash)
                return 0;
        _cleanup_free_ char *path = sf_format("%.*sslurmdbd.conf", (int)(slash + 1 - u->conf), u->conf);
        if (!path)
                return sf_error_set(err, SF_ERR_NOMEM, "no memory for a path");
        if (sf_slurm_conf_load(c->root, path, &conf, &why) < 0)
                return sf_buffer_printf(ret, err, "%s: %s\n", u->name, why.text);
        int r = check_mode(&conf, ret, err);
        return r < 0 ? r : check_keys(c, &conf, ret, err);
}
