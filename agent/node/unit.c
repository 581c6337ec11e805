/* SPDX-License-Identifier: Apache-2.0 */
/* agent/node/unit.c - see unit.h. The template is part of the program: a node has one file of ours to lose, not two. */
#include "agent/node/unit.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/fs.h"
#include "units/templates.h"

#define UNIT_MAX  (256u << 10)
#define OUR_WORDS "# Written by sf-node"
#define OUR_PLACE "/etc/systemd/system"

/* systemd's search path, first match wins; generated and transient units are nobody's slurmd. */
static const char *const places[] = { OUR_PLACE, "/run/systemd/system", "/usr/local/lib/systemd/system",
                                      "/usr/lib/systemd/system", "/lib/systemd/system" };

static int find_unit(const char *root, const char *unit, enum sf_unit_owner *ret, struct sf_buffer *text,
                     struct sf_error *err)
{
        for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
                _cleanup_(sf_buffer_free) struct sf_buffer content = SF_BUFFER_INIT;
                _cleanup_free_ char *path = sf_format("%s%s/%s", root, places[i], unit);
                struct stat st;

                if (!path)
                        return sf_error_set(err, SF_ERR_NOMEM, "no memory for a path");
                if (lstat(path, &st) < 0)
                        continue;
                *ret = SF_UNIT_FOREIGN;
                if (!S_ISREG(st.st_mode))
                        return 0;
                int r = sf_fs_read(path, UNIT_MAX, &content, err);
                if (r < 0)
                        return r;
                if (strncmp(sf_buffer_text(&content), OUR_WORDS, strlen(OUR_WORDS)) == 0) {
                        *ret = SF_UNIT_OURS;
                        return text ? sf_buffer_append(text, content.data, content.len, err) : 0;
                }
                return 0;
        }
        *ret = SF_UNIT_NONE;
        return 0;
}

int sf_unit_find(const char *root, enum sf_unit_owner *ret, struct sf_buffer *text, struct sf_error *err)
{
        return find_unit(root, SF_UNIT_SLURMD, ret, text, err);
}

/* What stands between the @ of a template. */
struct field {
        const char *name, *value;
};

static int fill(const char *template, const struct field *fields, size_t count, struct sf_buffer *ret,
                struct sf_error *err)
{
        int r = 0;

        for (const char *c = template; *c && r == 0;) {
                size_t i = 0;
                while (i < count && strncmp(c, fields[i].name, strlen(fields[i].name)) != 0)
                        i++;
                r = i < count ? sf_buffer_puts(ret, fields[i].value, err) : sf_buffer_append(ret, c, 1, err);
                c += i < count ? strlen(fields[i].name) : 1;
        }
        return r;
}

/* The words that Slurm's own units put behind the program. */
static const char *arguments_of(const char *type)
{
        return strcmp(type, "notify") == 0 ? "--systemd" : strcmp(type, "simple") == 0 ? "-D -s" : NULL;
}

/* The command names only `view`, so any release of the same Type has the same unit. */
int sf_unit_render(const char *prefix, const char *type, struct sf_buffer *ret, struct sf_error *err)
{
        const struct field fields[] = { { "@PREFIX@", prefix },
                                        { "@TYPE@", type },
                                        { "@ARGUMENTS@", arguments_of(type) } };

        if (!arguments_of(type))
                return sf_error_set(err, SF_ERR_UNSUPPORTED, "slurmd of Type '%s': only notify and simple are known",
                                    type);
        return fill(slurmd_template, fields, sizeof fields / sizeof *fields, ret, err);
}

static int write_unit(const char *root, const char *unit, const struct sf_buffer *text, struct sf_error *err)
{
        _cleanup_free_ char *directory = sf_format("%s" OUR_PLACE, root);
        _cleanup_free_ char *path = sf_format("%s" OUR_PLACE "/%s", root, unit);

        if (!directory || !path)
                return sf_error_set(err, SF_ERR_NOMEM, "no memory for a path");
        int r = sf_fs_mkdirs(directory, 0755, err);
        return r < 0 ? r : sf_fs_write(path, text->data, text->len, 0644, err);
}

int sf_unit_write(const char *root, const struct sf_buffer *text, struct sf_error *err)
{
        return write_unit(root, SF_UNIT_SLURMD, text, err);
}

/* What "systemctl enable" would do. */
static int enable(const char *root, const char *unit, struct sf_error *err)
{
        _cleanup_free_ char *wants = sf_format("%s" OUR_PLACE "/multi-user.target.wants", root);
        _cleanup_free_ char *link = sf_format("%s" OUR_PLACE "/multi-user.target.wants/%s", root, unit);
        _cleanup_free_ char *target = sf_format("../%s", unit);

        if (!wants || !link || !target)
                return sf_error_set(err, SF_ERR_NOMEM, "no memory for a path");
        if (sf_fs_exists(link))
                return 0;
        int r = sf_fs_mkdirs(wants, 0755, err);
        if (r == 0 && symlink(target, link) < 0 && errno != EEXIST)
                r = sf_error_errno(err, "%s", link);
        return r < 0 ? r : sf_fs_sync_dir(wants, err);
}

/* Whatever may run from the prefix: what this node is known to have, and the usual names, which cost nothing where
 * there is no such unit. */
static int list_units(const char *const *units, struct sf_buffer *ret, struct sf_error *err)
{
        static const char usual[] =
                "slurmd.service slurmctld.service slurmdbd.service slurmrestd.service sackd.service";
        int r = sf_buffer_puts(ret, usual, err);

        for (size_t i = 0; r == 0 && units && units[i]; i++)
                r = sf_buffer_printf(ret, err, " %s", units[i]);
        return r;
}

/* A word of a unit file as systemd.syntax(7) reads it back: this program may lie in a directory of any name. */
static char *word_of(const char *text)
{
        _cleanup_(sf_buffer_free) struct sf_buffer out = SF_BUFFER_INIT;
        int r = sf_buffer_puts(&out, "\"", NULL);

        if (!text[strcspn(text, " \t\"'\\%$;")])
                return strdup(text);
        for (const char *c = text; r == 0 && *c; c++)
                r = sf_buffer_printf(&out, NULL, "%s%c", strchr("\"\\", *c) ? "\\" : *c == '%' ? "%" : "", *c);
        return r == 0 && sf_buffer_puts(&out, "\"", NULL) == 0 ? strdup(sf_buffer_text(&out)) : NULL;
}

int sf_unit_ensure_recovery(const struct sf_unit_recovery *wanted, struct sf_error *err)
{
        _cleanup_(sf_buffer_free) struct sf_buffer before = SF_BUFFER_INIT, after = SF_BUFFER_INIT,
                                                   units = SF_BUFFER_INIT;
        enum sf_unit_owner owner;
        int r = find_unit(wanted->root, wanted->name, &owner, &before, err);

        if (r < 0 || owner == SF_UNIT_FOREIGN)
                return r;
        r = list_units(wanted->units, &units, err);
        _cleanup_free_ char *agent = word_of(wanted->agent), *toolchain = word_of(wanted->toolchain);
        if (r == 0 && (!agent || !toolchain))
                r = sf_error_set(err, SF_ERR_NOMEM, "no memory for a unit");
        const struct field fields[] = { { "@AGENT@", agent },
                                        { "@PREFIX@", wanted->prefix },
                                        { "@TOOLCHAIN@", toolchain },
                                        { "@STATE@", wanted->state },
                                        { "@UNITS@", sf_buffer_text(&units) } };
        if (r == 0)
                r = fill(sf_node_recover_template, fields, sizeof fields / sizeof *fields, &after, err);
        if (r == 0 && (before.len != after.len || memcmp(before.data, after.data, after.len) != 0))
                r = write_unit(wanted->root, wanted->name, &after, err);
        /* Each time: the run that wrote the file may have ended before this. */
        return r < 0 ? r : enable(wanted->root, wanted->name, err);
}

int sf_unit_keep(const char *state, const char *directory, const struct sf_buffer *text, struct sf_error *err)
{
        _cleanup_free_ char *place = sf_fs_join(state, "units");
        _cleanup_free_ char *path = sf_format("%s/units/%s.service", state, directory);

        if (!place || !path)
                return sf_error_set(err, SF_ERR_NOMEM, "no memory for a path");
        int r = sf_fs_mkdirs(place, 0755, err);
        return r < 0 ? r : sf_fs_write(path, text->data, text->len, 0644, err);
}

int sf_unit_kept(const char *state, const char *directory, struct sf_buffer *ret, struct sf_error *err)
{
        _cleanup_free_ char *path = sf_format("%s/units/%s.service", state, directory);

        return path ? sf_fs_read(path, UNIT_MAX, ret, err) : sf_error_set(err, SF_ERR_NOMEM, "no memory for a path");
}
