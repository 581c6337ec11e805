/* SPDX-License-Identifier: Apache-2.0 */
/* base/conf.c - libinih's events collected into a list that remembers where each value stood. */
#include "base/conf.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ini.h>
#include <stdlib.h>
#include <string.h>

#include "base/buffer.h"
#include "base/cleanup.h"
#include "base/fs.h"

#define CONF_FILE_MAX (1u << 20)

/* Strings live in a chain of single allocations, freed together. */
struct string {
        struct string *next;
        char text[];
};

static const char *keep(struct sf_conf *conf, const char *text)
{
        size_t len = strlen(text);
        struct string *s = malloc(sizeof *s + len + 1);

        if (!s)
                return NULL;
        memcpy(s->text, text, len + 1);
        s->next = conf->pool;
        conf->pool = s;
        return s->text;
}

struct loading {
        struct sf_conf *conf;
        const char *file;
        const char *at; /* what is left of the text */
        int line;       /* number of the line that inih works on */
        bool too_long;  /* that line does not fit into inih's room */
        bool out_of_memory;
};

/* libinih asks for one line at a time, like fgets(3). It does not tell line numbers, so they are counted here. */
static char *next_line(char *room, int size, void *ctx)
{
        struct loading *l = ctx;
        size_t len = strcspn(l->at, "\n");

        if (*l->at == '\0')
                return NULL;
        l->line++;
        len += l->at[len] == '\n';
        if (len >= (size_t)size) {
                l->too_long = true;
                return NULL;
        }
        memcpy(room, l->at, len);
        room[len] = '\0';
        l->at += len;
        return room;
}

/* libinih calls this per value; 0 marks the line as wrong. */
static int on_value(void *ctx, const char *section, const char *key, const char *value)
{
        struct loading *l = ctx;
        struct sf_conf *conf = l->conf;
        struct sf_conf_entry *grown = realloc(conf->entries, (conf->count + 1) * sizeof *grown);
        struct sf_conf_entry entry = {
                .section = keep(conf, section),
                .key = keep(conf, key),
                .value = keep(conf, value ? value : ""),
                .file = l->file,
                .line = l->line,
        };

        if (grown)
                conf->entries = grown;
        if (!grown || !entry.section || !entry.key || !entry.value) {
                l->out_of_memory = true;
                return 0;
        }
        conf->entries[conf->count++] = entry;
        return 1;
}

int sf_conf_parse(struct sf_conf *conf, const char *name, const char *text, struct sf_error *err)
{
        struct loading l = { .conf = conf, .file = keep(conf, name), .at = text };

        if (!l.file)
                return sf_error_set(err, SF_ERR_NOMEM, "no memory for %s", name);
        int bad_line = ini_parse_stream(next_line, &l, on_value, &l);
        if (l.out_of_memory || bad_line < 0)
                return sf_error_set(err, SF_ERR_NOMEM, "no memory for %s", name);
        if (bad_line > 0)
                return sf_error_set(err, SF_ERR_USAGE, "%s:%d: neither a [section] nor a name = value line", name,
                                    bad_line);
        if (l.too_long)
                return sf_error_set(err, SF_ERR_USAGE,
                                    "%s:%d: the line is too long; a value goes on in the next line where that is "
                                    "indented",
                                    name, l.line);
        return 0;
}

int sf_conf_load(struct sf_conf *conf, const char *path, struct sf_error *err)
{
        _cleanup_(sf_buffer_free) struct sf_buffer text = SF_BUFFER_INIT;
        int r = sf_fs_read(path, CONF_FILE_MAX, &text, err);

        if (r < 0)
                return r;
        if (strlen(sf_buffer_text(&text)) != text.len)
                return sf_error_set(err, SF_ERR_USAGE, "%s: holds a NUL byte", path);
        return sf_conf_parse(conf, path, sf_buffer_text(&text), err);
}

static int is_conf(const struct dirent *entry)
{
        size_t len = strlen(entry->d_name);

        return len > 5 && entry->d_name[0] != '.' && strcmp(entry->d_name + len - 5, ".conf") == 0;
}

static int by_name(const struct dirent **a, const struct dirent **b)
{
        return strcmp((*a)->d_name, (*b)->d_name);
}

int sf_conf_load_dir(struct sf_conf *conf, const char *directory, struct sf_error *err)
{
        struct dirent **names;
        int count = scandir(directory, &names, is_conf, by_name);
        int r = 0;

        if (count < 0 && errno == ENOENT)
                return 0;
        if (count < 0)
                return sf_error_errno(err, "cannot read directory %s", directory);
        for (int i = 0; i < count; i++) {
                _cleanup_free_ char *path = sf_fs_join(directory, names[i]->d_name);
                if (r == 0)
                        r = path ? sf_conf_load(conf, path, err)
                                 : sf_error_set(err, SF_ERR_NOMEM, "no memory for a path");
                free(names[i]);
        }
        free(names);
        return r;
}

void sf_conf_free(struct sf_conf *conf)
{
        for (struct string *s = conf->pool; s;) {
                struct string *next = s->next;
                free(s);
                s = next;
        }
        free(conf->entries);
        *conf = (struct sf_conf)SF_CONF_INIT;
}

const struct sf_conf_entry *sf_conf_next(struct sf_conf *conf, const char *section, const char *key,
                                         const struct sf_conf_entry *after)
{
        for (size_t i = after ? (size_t)(after - conf->entries) + 1 : 0; i < conf->count; i++) {
                struct sf_conf_entry *e = &conf->entries[i];
                if (strcmp(e->section, section) == 0 && strcmp(e->key, key) == 0) {
                        e->used = true;
                        return e;
                }
        }
        return NULL;
}

static const struct sf_conf_entry *last_entry(struct sf_conf *conf, const char *section, const char *key)
{
        const struct sf_conf_entry *last = NULL;

        for (const struct sf_conf_entry *e = NULL; (e = sf_conf_next(conf, section, key, e));)
                last = e;
        return last;
}

const char *sf_conf_get(struct sf_conf *conf, const char *section, const char *key)
{
        const struct sf_conf_entry *e = last_entry(conf, section, key);

        return e ? e->value : NULL;
}

static int malformed(const struct sf_conf_entry *e, const char *expected, struct sf_error *err)
{
        return sf_error_set(err, SF_ERR_USAGE, "%s:%d: [%s] %s = %s: %s expected", e->file, e->line, e->section, e->key,
                            e->value, expected);
}

int sf_conf_get_bool(struct sf_conf *conf, const char *section, const char *key, bool *value, struct sf_error *err)
{
        static const char *const yes[] = { "yes", "true", "on", "1" }, *const no[] = { "no", "false", "off", "0" };
        const struct sf_conf_entry *e = last_entry(conf, section, key);

        if (!e)
                return 0;
        for (size_t i = 0; i < 4; i++) {
                if (strcasecmp(e->value, yes[i]) == 0 || strcasecmp(e->value, no[i]) == 0) {
                        *value = strcasecmp(e->value, yes[i]) == 0;
                        return 0;
                }
        }
        return malformed(e, "yes or no", err);
}

/* A decimal number and what follows it. */
static bool parse_number(const char *text, uint64_t *ret, const char **ret_rest)
{
        char *end;

        if (*text < '0' || *text > '9')
                return false;
        errno = 0;
        unsigned long long number = strtoull(text, &end, 10);
        if (errno)
                return false;
        *ret = number;
        *ret_rest = end;
        return true;
}

int sf_conf_get_u64(struct sf_conf *conf, const char *section, const char *key, uint64_t max, uint64_t *value,
                    struct sf_error *err)
{
        const struct sf_conf_entry *e = last_entry(conf, section, key);
        const char *rest;
        uint64_t number;

        if (!e)
                return 0;
        if (!parse_number(e->value, &number, &rest) || *rest || number > max) {
                char expected[64];
                snprintf(expected, sizeof expected, "a number up to %llu", (unsigned long long)max);
                return malformed(e, expected, err);
        }
        *value = number;
        return 0;
}

int sf_conf_get_size(struct sf_conf *conf, const char *section, const char *key, uint64_t *value, struct sf_error *err)
{
        const struct sf_conf_entry *e = last_entry(conf, section, key);

        if (!e)
                return 0;
        return sf_conf_parse_size(e->value, value) ? 0 : malformed(e, "a size such as 512M", err);
}

bool sf_conf_parse_size(const char *text, uint64_t *ret)
{
        static const char units[] = "KMG";
        const char *rest;
        uint64_t number;
        unsigned shift = 0;

        if (!parse_number(text, &number, &rest))
                return false;
        if (*rest) {
                const char *unit = strchr(units, *rest);
                if (!unit || rest[1])
                        return false;
                shift = 10 * (unsigned)(unit - units + 1);
        }
        if (number > UINT64_MAX >> shift)
                return false;
        *ret = number << shift;
        return true;
}

int sf_conf_check_used(const struct sf_conf *conf, struct sf_error *err)
{
        for (size_t i = 0; i < conf->count; i++) {
                const struct sf_conf_entry *e = &conf->entries[i];
                if (!e->used)
                        return sf_error_set(err, SF_ERR_USAGE, "%s:%d: [%s] %s: unknown setting", e->file, e->line,
                                            e->section, e->key);
        }
        return 0;
}
