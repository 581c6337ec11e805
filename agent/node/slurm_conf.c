/* SPDX-License-Identifier: Apache-2.0 */
/* agent/node/slurm_conf.c - see slurm_conf.h. */
#include "agent/node/slurm_conf.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/buffer.h"
#include "base/cleanup.h"
#include "base/fs.h"
#include "base/pool.h"

#define FILE_MAX    (64u << 20)
#define INCLUDE_MAX 32 /* nested; Slurm itself would go on until its stack ends */

struct reader {
        const char *root;
        struct sf_slurm_conf *conf;
        size_t line_room, file_room;
        const char *open[INCLUDE_MAX]; /* files that are being read, outermost first */
        unsigned depth;
};

static int no_memory(struct sf_error *err)
{
        return sf_error_set(err, SF_ERR_NOMEM, "no memory for Slurm's configuration");
}

/* Pools cannot grow an item: twice the room each time. */
static void *grow(struct sf_pool *pool, void *items, size_t count, size_t *room, size_t size)
{
        if (count + 1 < *room)
                return items;
        size_t wanted = *room ? *room * 2 : 16;
        void *grown = sf_pool_alloc(pool, wanted, size);
        if (grown && count)
                memcpy(grown, items, count * size);
        if (grown)
                *room = wanted;
        return grown;
}

/* One logical line from *at: comments cut, continued lines joined, escapes resolved. Appended to ret. False at the
 * end. */
static bool next_line(const char **at, unsigned *number, struct sf_buffer *ret, int *r, struct sf_error *err)
{
        bool any = false, more = true;

        while (**at && more && *r == 0) {
                size_t len = strcspn(*at, "\n"), end = 0, slashes = 0;
                any = true;
                ++*number;
                for (; end < len && !((*at)[end] == '#' && slashes % 2 == 0); end++)
                        slashes = (*at)[end] == '\\' ? slashes + 1 : 0;
                size_t last = end;
                while (last && isspace((unsigned char)(*at)[last - 1]))
                        last--;
                size_t tail = last;
                while (tail && (*at)[tail - 1] == '\\')
                        tail--;
                more = (last - tail) % 2 == 1;
                *r = sf_buffer_append(ret, *at, more ? last - 1 : end, err);
                *at += len + ((*at)[len] == '\n');
        }
        if (!any || *r < 0)
                return false;
        char *text = (char *)ret->data, *out = text;
        for (char *c = text; c && *c; c++)
                *out++ = *c == '\\' && c[1] ? *++c : *c;
        if (out)
                *out = '\0';
        ret->len = out ? (size_t)(out - text) : 0;
        return true;
}

/* "key = value" or key="a value"; an operator may stand before the equals sign. Returns what follows, NULL where it
 * is none. */
static const char *read_pair(struct sf_pool *pool, const char *c, struct sf_slurm_conf_pair *ret)
{
        const char *key = c, *value;
        size_t key_len;

        while (isalnum((unsigned char)*c) || *c == '_' || *c == '.')
                c++;
        key_len = (size_t)(c - key);
        c += strspn(c, " \t");
        if (*c && strchr("-*+/", *c) && c[1] == '=')
                c++;
        if (!key_len || *c != '=')
                return NULL;
        c++;
        c += strspn(c, " \t\r");
        if (*c == '"' && strchr(c + 1, '"')) {
                value = c + 1;
                c = strchr(value, '"');
                ret->value = sf_pool_copy(pool, value, (size_t)(c - value));
                c++;
        } else {
                value = c;
                c += strcspn(c, " \t\r");
                if (c == value)
                        return NULL;
                ret->value = sf_pool_copy(pool, value, (size_t)(c - value));
        }
        ret->key = sf_pool_copy(pool, key, key_len);
        return c;
}

static int read_pairs(struct reader *reader, const char *text, unsigned number, struct sf_error *err)
{
        struct sf_slurm_conf *conf = reader->conf;
        struct sf_slurm_conf_line line = { .file = reader->open[reader->depth - 1], .number = number };
        size_t room = 0;

        for (const char *c = text + strspn(text, " \t\r"); *c; c += strspn(c, " \t\r")) {
                line.pairs = grow(conf->pool, line.pairs, line.count, &room, sizeof *line.pairs);
                if (!line.pairs)
                        return no_memory(err);
                struct sf_slurm_conf_pair *pair = &line.pairs[line.count];
                const char *after = read_pair(conf->pool, c, pair);
                if (!after)
                        return sf_error_set(err, SF_ERR_USAGE, "%s line %u: '%.60s' is not KEY=VALUE", line.file,
                                            number, c);
                if (!pair->key || !pair->value)
                        return no_memory(err);
                line.count++;
                c = after;
        }
        if (!line.count)
                return 0;
        conf->lines = grow(conf->pool, conf->lines, conf->count, &reader->line_room, sizeof *conf->lines);
        if (!conf->lines)
                return no_memory(err);
        conf->lines[conf->count++] = line;
        return 0;
}

/* "Include NAME" at the very start of a line, as Slurm wants it. NULL for anything else. */
static char *included(const char *line)
{
        if (strncasecmp(line, "include", 7) != 0 || !isspace((unsigned char)line[7]))
                return NULL;
        line += 7;
        while (isspace((unsigned char)*line))
                line++;
        size_t len = strcspn(line, " \t\r\n");
        return len ? strndup(line, len) : NULL;
}

/* Every %c becomes the ClusterName read so far, in small letters. Owned by the caller. */
static char *expand(const struct sf_slurm_conf *conf, const char *name)
{
        const char *cluster = sf_slurm_conf_get(conf, "ClusterName");
        _cleanup_(sf_buffer_free) struct sf_buffer text = SF_BUFFER_INIT;
        int r = sf_buffer_puts(&text, "", NULL);

        for (const char *c = name; *c && r == 0; c++) {
                if (c[0] != '%' || c[1] != 'c' || !cluster) {
                        r = sf_buffer_append(&text, c, 1, NULL);
                        continue;
                }
                for (const char *l = cluster; *l && r == 0; l++)
                        r = sf_buffer_append(&text, &(char){ (char)tolower((unsigned char)*l) }, 1, NULL);
                c++;
        }
        return r == 0 ? strdup(sf_buffer_text(&text)) : NULL;
}

static int read_file(struct reader *reader, const char *path, struct sf_error *err);

static int include(struct reader *reader, const char *name, unsigned number, struct sf_error *err)
{
        const char *from = reader->open[reader->depth - 1];
        _cleanup_free_ char *expanded = expand(reader->conf, name);
        _cleanup_free_ char *path = expanded ? sf_slurm_conf_beside(reader->conf, expanded) : NULL;

        if (!path)
                return no_memory(err);
        if (!sf_slurm_conf_get(reader->conf, "ClusterName") && strstr(name, "%c"))
                return sf_error_set(err, SF_ERR_USAGE, "%s line %u: Include %s before any ClusterName", from, number,
                                    name);
        /* Slurm skips it with an error that clients print each time; daemons go on. */
        if (strchr(path, '*'))
                return 0;
        for (unsigned i = 0; i < reader->depth; i++)
                if (strcmp(reader->open[i], path) == 0)
                        return sf_error_set(err, SF_ERR_USAGE, "%s line %u: %s includes itself", from, number, path);
        if (reader->depth == INCLUDE_MAX)
                return sf_error_set(err, SF_ERR_USAGE, "%s line %u: more than %d nested includes", from, number,
                                    INCLUDE_MAX);
        int r = read_file(reader, path, err);
        if (r == SF_ERR_NOT_FOUND)
                r = sf_error_set(err, SF_ERR_USAGE, "%s line %u: Include %s: no such file", from, number, path);
        return r;
}

static int note_file(struct reader *reader, const char *path, struct sf_error *err)
{
        struct sf_slurm_conf *conf = reader->conf;
        const char *copy = sf_pool_copy(conf->pool, path, strlen(path));

        conf->files = grow(conf->pool, conf->files, conf->file_count, &reader->file_room, sizeof *conf->files);
        if (!copy || !conf->files)
                return no_memory(err);
        conf->files[conf->file_count++] = copy;
        conf->files[conf->file_count] = NULL;
        if (!conf->path)
                conf->path = copy;
        reader->open[reader->depth++] = copy;
        return 0;
}

static int read_file(struct reader *reader, const char *path, struct sf_error *err)
{
        _cleanup_(sf_buffer_free) struct sf_buffer text = SF_BUFFER_INIT;
        _cleanup_free_ char *real = sf_format("%s%s", reader->root, path);
        unsigned number = 0;
        int r = real ? sf_fs_read(real, FILE_MAX, &text, err) : no_memory(err);

        if (r == 0)
                r = note_file(reader, path, err);
        if (r < 0)
                return r;
        for (const char *at = sf_buffer_text(&text); r == 0;) {
                _cleanup_(sf_buffer_free) struct sf_buffer line = SF_BUFFER_INIT;
                if (!next_line(&at, &number, &line, &r, err))
                        break;
                _cleanup_free_ char *name = included(sf_buffer_text(&line));
                r = name ? include(reader, name, number, err) : read_pairs(reader, sf_buffer_text(&line), number, err);
        }
        reader->depth--;
        return r;
}

int sf_slurm_conf_load(const char *root, const char *path, struct sf_slurm_conf *ret, struct sf_error *err)
{
        struct sf_slurm_conf conf = { .pool = sf_pool_new() };
        struct reader reader = { .root = root, .conf = &conf };
        int r = conf.pool ? read_file(&reader, path, err) : no_memory(err);

        if (r < 0) {
                sf_slurm_conf_free(&conf);
                return r;
        }
        *ret = conf;
        return 0;
}

void sf_slurm_conf_free(struct sf_slurm_conf *conf)
{
        sf_pool_free(conf->pool);
        *conf = (struct sf_slurm_conf)SF_SLURM_CONF_INIT;
}

const struct sf_slurm_conf_line *sf_slurm_conf_next(const struct sf_slurm_conf *conf, const char *key,
                                                    const struct sf_slurm_conf_line *after)
{
        for (size_t i = after ? (size_t)(after - conf->lines) + 1 : 0; i < conf->count; i++)
                if (strcasecmp(conf->lines[i].pairs[0].key, key) == 0)
                        return &conf->lines[i];
        return NULL;
}

const char *sf_slurm_conf_get(const struct sf_slurm_conf *conf, const char *key)
{
        for (size_t i = conf->count; i-- > 0;)
                if (strcasecmp(conf->lines[i].pairs[0].key, key) == 0)
                        return conf->lines[i].pairs[0].value;
        return NULL;
}

uint64_t sf_slurm_conf_number(const struct sf_slurm_conf *conf, const char *key, uint64_t otherwise)
{
        const char *value = sf_slurm_conf_get(conf, key);
        char *end;

        if (!value)
                return otherwise;
        if (strcasecmp(value, "INFINITE") == 0 || strcasecmp(value, "UNLIMITED") == 0)
                return UINT64_MAX;
        uint64_t number = strtoull(value, &end, 10);
        return isdigit((unsigned char)*value) && !*end ? number : otherwise;
}

const char *sf_slurm_conf_pair(const struct sf_slurm_conf_line *line, const char *key)
{
        for (size_t i = line->count; i-- > 0;)
                if (strcasecmp(line->pairs[i].key, key) == 0)
                        return line->pairs[i].value;
        return NULL;
}

char *sf_slurm_conf_beside(const struct sf_slurm_conf *conf, const char *name)
{
        const char *slash = conf->path ? strrchr(conf->path, '/') : NULL;

        if (*name == '/')
                return strdup(name);
        return sf_format("%.*s%s", slash ? (int)(slash + 1 - conf->path) : 0, slash ? conf->path : "", name);
}

bool sf_slurm_conf_option(const char *value, const char *word, char *ret, size_t room)
{
        size_t len = strlen(word);

        for (const char *c = value; c && *c; c += strcspn(c, ","), c += *c == ',') {
                if (strncasecmp(c, word, len) != 0 || c[len] != '=')
                        continue;
                snprintf(ret, room, "%.*s", (int)strcspn(c + len + 1, ","), c + len + 1);
                return true;
        }
        return false;
}
