/* SPDX-License-Identifier: Apache-2.0 */
/* agent/node/unit_adopt.c - see unit_adopt.h. */
#include "agent/node/unit_adopt.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "agent/node/daemon.h"
#include "agent/node/unit.h"
#include "agent/node/unit_text.h"
#include "base/buffer.h"
#include "base/cleanup.h"
#include "base/fs.h"

#define PLACE     "/etc/systemd/system/"
#define FIRST     "00-sf-node.conf"
#define LAST      "zz-sf-node.conf"
#define MARK      "# Written by sf-node"
#define HEAD      MARK " adopt; sf-node rollback removes it. Changes belong into a drop-in of yours.\n"
#define UNIT_MAX  (256u << 10)
#define LIBRARIES "LD_LIBRARY_PATH="

static bool is_in(const char *word, const char *const *words)
{
        for (; *words; words++)
                if (strcmp(word, *words) == 0)
                        return true;
        return false;
}

/* Does every word of a list stand in our unit's text? */
static bool is_said(const char *value, const char *ours)
{
        for (const char *c = value + strspn(value, " \t"); *c; c += strcspn(c, " \t"), c += strspn(c, " \t")) {
                _cleanup_free_ char *word = strndup(c, strcspn(c, " \t"));
                if (!word || !strstr(ours, word))
                        return false;
        }
        return true;
}

/* What a package's unit says and ours does not. How it is started, stopped and reported is ours to say; what nobody
 * acts upon is left out. */
static int keep_settings(const struct sf_unit_text *text, const char *ours, struct sf_buffer *ret, struct sf_error *err)
{
        static const char *const not_kept[] = { "Type",
                                                "ExecStart",
                                                "ExecReload",
                                                "ExecStop",
                                                "KillMode",
                                                "Delegate",
                                                "PIDFile",
                                                "Restart",
                                                "RestartSec",
                                                "RuntimeDirectory",
                                                "RuntimeDirectoryMode",
                                                "NotifyAccess",
                                                "GuessMainPID",
                                                "Description",
                                                "Documentation",
                                                "SourcePath",
                                                NULL };
        const char *section = "";
        int r = 0;

        for (size_t i = 0; r == 0 && i < text->count; i++) {
                const struct sf_unit_setting *s = &text->settings[i];
                if (strcmp(s->file, text->fragment) != 0 || strcmp(s->section, "Install") == 0 ||
                    is_in(s->key, not_kept))
                        continue;
                _cleanup_free_ char *line = sf_format("\n%s=%s\n", s->key, s->value);
                if (!line)
                        return sf_error_set(err, SF_ERR_NOMEM, "no memory for a unit");
                bool list = strcmp(s->key, "After") == 0 || strcmp(s->key, "Wants") == 0 ||
                            strcmp(s->key, "EnvironmentFile") == 0;
                if (strstr(ours, line) || (list && *s->value && is_said(s->value, ours)))
                        continue;
                if (strcmp(section, s->section) != 0)
                        r = sf_buffer_printf(ret, err, "[%s]\n", section = s->section);
                if (r == 0)
                        r = sf_buffer_puts(ret, line + 1, err);
        }
        return r;
}

/* A command of systemd.service(5): special characters, then words, one of which is slurmd. */
struct command {
        char special[8];    /* of "@-:+!|" */
        const char *before; /* words of a wrapper, up to slurmd */
        size_t before_len;
        const char *after; /* what follows slurmd and, after '@', its argv[0] */
};

static bool parse_command(const char *value, struct command *ret)
{
        size_t special = strspn(value, "@-:+!|");
        const char *word = value + special;

        if (special >= sizeof ret->special)
                return false;
        snprintf(ret->special, sizeof ret->special, "%.*s", (int)special, value);
        ret->before = word;
        for (; *word; word += strcspn(word, " \t"), word += strspn(word, " \t")) {
                _cleanup_free_ char *text = strndup(word, strcspn(word, " \t"));
                if (!text || sf_daemon_of_program(text) != SF_DAEMON_SLURMD)
                        continue;
                ret->before_len = (size_t)(word - ret->before);
                ret->after = word + strcspn(word, " \t");
                if (strchr(ret->special, '@') && !ret->before_len) {
                        ret->after += strspn(ret->after, " \t");
                        ret->after += strcspn(ret->after, " \t");
                }
                return true;
        }
        return false;
}

static const char *const ordinary[] = { "-D", "-s", "--systemd", "$SLURMD_OPTIONS", "${SLURMD_OPTIONS}", NULL };

static bool has_own_arguments(const struct command *command)
{
        for (const char *c = command->after + strspn(command->after, " \t"); *c;
             c += strcspn(c, " \t"), c += strspn(c, " \t")) {
                _cleanup_free_ char *word = strndup(c, strcspn(c, " \t"));
                if (!word || !is_in(word, ordinary))
                        return true;
        }
        return command->before_len > 0;
}

/* The same command with our slurmd in it. type: "" = its arguments stay as they are; else how slurmd is to report. */
static int write_command(const struct command *command, const char *prefix, const char *type, struct sf_buffer *ret,
                         struct sf_error *err)
{
        const char *at = strchr(command->special, '@') || command->before_len ? "" : "@";
        int r = sf_buffer_printf(ret, err, "[Service]\nExecStart=\nExecStart=%s%s", at, command->special);

        /* A wrapper stays, without the libraries that it gave the old slurmd. */
        for (size_t i = 0, len; r == 0 && i < command->before_len; i += len) {
                const char *word = command->before + i;
                len = strcspn(word, " \t");
                len += strspn(word + len, " \t");
                if (strncmp(word, LIBRARIES, strlen(LIBRARIES)) != 0)
                        r = sf_buffer_append(ret, word, len, err);
        }
        if (r == 0)
                r = sf_buffer_printf(ret, err, "%s/view/sbin/slurmd%s", prefix, command->before_len ? "" : " slurmd");
        if (r == 0 && *type)
                r = sf_buffer_puts(ret, strcmp(type, "notify") == 0 ? " --systemd" : " -D -s", err);
        for (const char *c = command->after + strspn(command->after, " \t"); r == 0 && *c;
             c += strcspn(c, " \t"), c += strspn(c, " \t")) {
                static const char *const reporting[] = { "-D", "-s", "--systemd", NULL };
                _cleanup_free_ char *word = strndup(c, strcspn(c, " \t"));
                if (!word)
                        return sf_error_set(err, SF_ERR_NOMEM, "no memory for a unit");
                if (!*type || !is_in(word, reporting))
                        r = sf_buffer_printf(ret, err, " %s", word);
        }
        return r < 0 ? r : sf_buffer_puts(ret, "\n", err);
}

static int write_drop_in(const char *root, const char *unit, const char *name, const struct sf_buffer *text,
                         struct sf_error *err)
{
        _cleanup_free_ char *directory = sf_format("%s" PLACE "%s.d", root, unit);
        _cleanup_free_ char *path = sf_format("%s" PLACE "%s.d/%s", root, unit, name);
        _cleanup_free_ char *content = sf_format(HEAD "%s", sf_buffer_text(text));

        if (!directory || !path || !content)
                return sf_error_set(err, SF_ERR_NOMEM, "no memory for a unit");
        int r = sf_fs_mkdirs(directory, 0755, err);
        return r < 0 ? r : sf_fs_write(path, content, strlen(content), 0644, err);
}

/* Our unit file in front of a package's. */
static int put_aside(const struct sf_unit_adopt *a, const struct sf_unit_text *text, struct sf_error *err)
{
        _cleanup_(sf_buffer_free) struct sf_buffer ours = SF_BUFFER_INIT, kept = SF_BUFFER_INIT;
        int r = sf_unit_render(a->prefix, a->type, &ours, err);

        if (r == 0)
                r = keep_settings(text, sf_buffer_text(&ours), &kept, err);
        if (r == 0 && kept.len)
                r = write_drop_in(a->root, a->unit, FIRST, &kept, err);
        return r < 0 ? r : sf_unit_write(a->root, &ours, err);
}

int sf_unit_adopt(const struct sf_unit_adopt *a, struct sf_error *err)
{
        _cleanup_(sf_unit_text_free) struct sf_unit_text text = SF_UNIT_TEXT_INIT;
        _cleanup_(sf_buffer_free) struct sf_buffer last = SF_BUFFER_INIT;
        struct command command = { 0 };
        int r = sf_unit_text_load(a->root, a->unit, &text, err);

        if (r < 0)
                return r;
        const struct sf_unit_setting *start = sf_unit_text_get(&text, "Service", "ExecStart"),
                                     *type = sf_unit_text_get(&text, "Service", "Type");
        if (text.masked || !start)
                return sf_error_set(err, SF_ERR_UNSUPPORTED, "%s is masked or starts nothing", a->unit);
        if (!parse_command(start->value, &command))
                return sf_error_set(err, SF_ERR_UNSUPPORTED,
                                    "%s: ExecStart=%s hides slurmd: let it start %s/view/sbin/slurmd", start->file,
                                    start->value, a->prefix);
        bool aside = strcmp(a->unit, SF_UNIT_SLURMD) == 0 && *a->type &&
                     strncmp(text.fragment, PLACE, strlen(PLACE)) != 0;
        bool by_site = strcmp(start->file, text.fragment) != 0;
        bool type_by_site = type && strcmp(type->file, text.fragment) != 0;
        if (aside)
                r = put_aside(a, &text, err);
        if (r == 0 && (!aside || by_site || has_own_arguments(&command)))
                r = write_command(&command, a->prefix, aside && !type_by_site ? a->type : "", &last, err);
        if (r == 0 && a->conf)
                r = sf_buffer_printf(&last, err, "%sEnvironment=SLURM_CONF=%s\n", last.len ? "" : "[Service]\n",
                                     a->conf);
        if (r == 0 && a->libraries)
                r = sf_buffer_printf(&last, err, "%sUnsetEnvironment=LD_LIBRARY_PATH\n", last.len ? "" : "[Service]\n");
        return r < 0 || !last.len ? r : write_drop_in(a->root, a->unit, LAST, &last, err);
}

/* Removes a file where its first words are ours. 1 = it did. */
static int remove_ours(const char *path, struct sf_error *err)
{
        _cleanup_(sf_buffer_free) struct sf_buffer text = SF_BUFFER_INIT;

        if (sf_fs_read(path, UNIT_MAX, &text, NULL) < 0 || strncmp(sf_buffer_text(&text), MARK, strlen(MARK)) != 0)
                return 0;
        return unlink(path) == 0 || errno == ENOENT ? 1 : sf_error_errno(err, "%s", path);
}

int sf_unit_give_back(const char *root, const char *unit, struct sf_error *err)
{
        static const char *const names[] = { FIRST, LAST };
        _cleanup_free_ char *directory = sf_format("%s" PLACE "%s.d", root, unit);
        _cleanup_free_ char *file = sf_format("%s" PLACE "%s", root, unit);
        _cleanup_free_ char *place = sf_format("%s" PLACE, root);
        int r = directory && file && place ? 0 : sf_error_set(err, SF_ERR_NOMEM, "no memory for a path");

        for (size_t i = 0; r >= 0 && i < sizeof names / sizeof *names; i++) {
                _cleanup_free_ char *path = sf_fs_join(directory, names[i]);
                r = path ? remove_ours(path, err) : sf_error_set(err, SF_ERR_NOMEM, "no memory for a path");
        }
        if (r < 0)
                return r;
        rmdir(directory); /* where it is empty now */
        r = remove_ours(file, err);
        return r < 0 ? r : sf_fs_sync_dir(place, err);
}
