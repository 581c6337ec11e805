/* SPDX-License-Identifier: Apache-2.0 */
/* agent/node/unit_text.c - see unit_text.h. What becomes of a command line is in unit_text-command.c. */
#include "agent/node/unit_text.h"

#include <ctype.h>
#include <dirent.h>
#include <fnmatch.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>

#include "base/buffer.h"
#include "base/cleanup.h"
#include "base/fs.h"
#include "base/pool.h"

#define UNIT_MAX (1u << 20)

/* systemd.unit(5), "System Unit Search Path"; the last is for systems whose /lib is no link to /usr/lib. */
static const char *const places[] = {
        "/etc/systemd/system.control",   "/run/systemd/system.control",  "/run/systemd/transient",
        "/run/systemd/generator.early",  "/etc/systemd/system",          "/etc/systemd/system.attached",
        "/run/systemd/system",           "/run/systemd/system.attached", "/run/systemd/generator",
        "/usr/local/lib/systemd/system", "/usr/lib/systemd/system",      "/run/systemd/generator.late",
        "/lib/systemd/system",
};
#define PLACES (sizeof places / sizeof *places)

struct reader {
        const char *root;
        struct sf_unit_text *text;
        size_t room;
};

static int no_memory(struct sf_error *err)
{
        return sf_error_set(err, SF_ERR_NOMEM, "no memory for unit files");
}

static char *pooled(struct sf_unit_text *text, const char *from, size_t len)
{
        return sf_pool_copy(text->pool, from, len);
}

static int add_setting(struct reader *reader, const char *section, char *line, const char *file, struct sf_error *err)
{
        struct sf_unit_text *text = reader->text;
        char *equals = strchr(line, '='), *end;

        if (!equals)
                return 0; /* systemd logs it and goes on */
        if (text->count == reader->room) {
                size_t room = reader->room ? reader->room * 2 : 64;
                struct sf_unit_setting *grown = sf_pool_alloc(text->pool, room, sizeof *grown);
                if (!grown)
                        return no_memory(err);
                if (text->count)
                        memcpy(grown, text->settings, text->count * sizeof *grown);
                text->settings = grown;
                reader->room = room;
        }
        for (end = equals; end > line && isspace((unsigned char)end[-1]); end--)
                ;
        char *value = equals + 1 + strspn(equals + 1, " \t");
        size_t len = strlen(value);
        while (len && isspace((unsigned char)value[len - 1]))
                len--;
        struct sf_unit_setting s = { section, pooled(text, line, (size_t)(end - line)), pooled(text, value, len),
                                     file };
        if (!s.key || !s.value)
                return no_memory(err);
        text->settings[text->count++] = s;
        return 0;
}

/* Comment lines may stand in the middle of a continued one. */
static int read_text(struct reader *reader, char *content, const char *file, struct sf_error *err)
{
        _cleanup_(sf_buffer_free) struct sf_buffer whole = SF_BUFFER_INIT;
        const char *section = "";
        char *saved = NULL;
        int r = 0;

        for (char *line = strtok_r(content, "\n", &saved); line && r == 0; line = strtok_r(NULL, "\n", &saved)) {
                line += strspn(line, " \t\r");
                size_t len = strlen(line);
                while (len && isspace((unsigned char)line[len - 1]))
                        line[--len] = '\0';
                if (*line == '#' || *line == ';')
                        continue;
                bool more = len && line[len - 1] == '\\';
                if (more)
                        line[len - 1] = ' ';
                r = sf_buffer_puts(&whole, line, err);
                if (r < 0 || more)
                        continue;
                char *text = (char *)whole.data;
                if (*text == '[') {
                        section = pooled(reader->text, text + 1, strcspn(text + 1, "]"));
                        r = section ? 0 : no_memory(err);
                } else if (*text) {
                        r = add_setting(reader, section, text, file, err);
                }
                whole.len = 0;
                if (whole.data)
                        *whole.data = '\0';
        }
        return r;
}

/* Returns 1 for a mask: an empty file, or a link to nowhere that says so. */
static int read_file(struct reader *reader, const char *path, struct sf_error *err)
{
        _cleanup_free_ char *real = sf_format("%s%s", reader->root, path);
        _cleanup_(sf_buffer_free) struct sf_buffer content = SF_BUFFER_INIT;
        struct stat st;

        if (!real)
                return no_memory(err);
        if (stat(real, &st) == 0 && !S_ISREG(st.st_mode))
                return 1;
        int r = sf_fs_read(real, UNIT_MAX, &content, err);
        if (r < 0)
                return r;
        return content.len ? read_text(reader, (char *)content.data, path, err) : 1;
}

/* "slurmd@n1.service" → "slurmd@.service"; "" where the unit is no instance. */
static void template_of(const char *unit, char *out, size_t room)
{
        const char *at = strchr(unit, '@'), *dot = strrchr(unit, '.');

        *out = '\0';
        if (at && dot && dot > at + 1)
                snprintf(out, room, "%.*s%s", (int)(at + 1 - unit), unit, dot);
}

static int find_fragment(struct reader *reader, struct sf_error *err)
{
        struct sf_unit_text *text = reader->text;
        char template[256];
        const char *names[] = { text->unit, template };

        template_of(text->unit, template, sizeof template);
        for (size_t n = 0; n < 2 && *names[n]; n++) {
                for (size_t i = 0; i < PLACES; i++) {
                        char path[512];
                        _cleanup_free_ char *real = NULL;
                        snprintf(path, sizeof path, "%s/%s", places[i], names[n]);
                        real = sf_format("%s%s", reader->root, path);
                        if (!real)
                                return no_memory(err);
                        if (!sf_fs_exists(real))
                                continue;
                        text->fragment = pooled(text, path, strlen(path));
                        int r = text->fragment ? read_file(reader, text->fragment, err) : no_memory(err);
                        text->masked = r == 1;
                        return r < 0 ? r : 0;
                }
        }
        return sf_error_set(err, SF_ERR_NOT_FOUND, "there is no unit file %s", text->unit);
}

/* Drop-in files found so far, the first of each name. */
struct drop_ins {
        char **paths; /* without root, owned */
        size_t count;
};

static const char *base_of(const char *path)
{
        return strrchr(path, '/') + 1;
}

static int note_drop_in(struct drop_ins *d, const char *directory, const char *name, struct sf_error *err)
{
        for (size_t i = 0; i < d->count; i++)
                if (strcmp(base_of(d->paths[i]), name) == 0)
                        return 0;
        char **grown = reallocarray(d->paths, d->count + 1, sizeof *grown);
        if (!grown)
                return no_memory(err);
        d->paths = grown;
        if (!(d->paths[d->count] = sf_format("%s/%s", directory, name)))
                return no_memory(err);
        d->count++;
        return 0;
}

static int list_directory(const char *root, const char *directory, struct drop_ins *ret, struct sf_error *err)
{
        _cleanup_free_ char *real = sf_format("%s%s", root, directory);
        DIR *dir = real ? opendir(real) : NULL;
        int r = 0;

        for (const struct dirent *e; dir && r == 0 && (e = readdir(dir));)
                if (e->d_name[0] != '.' && fnmatch("*.conf", e->d_name, 0) == 0)
                        r = note_drop_in(ret, directory, e->d_name, err);
        if (dir)
                closedir(dir);
        return r;
}

/* The drop-in directories of a name below one place: its own, those of its prefixes ("slurm-.service.d" for
 * "slurm-a.service"), then its template's. */
static int list_place(const char *root, const char *place, const char *unit, struct drop_ins *ret, struct sf_error *err)
{
        const char *dot = strrchr(unit, '.');
        char directory[768], template[256];
        int r;

        snprintf(directory, sizeof directory, "%s/%s.d", place, unit);
        r = list_directory(root, directory, ret, err);
        size_t stem = dot ? (size_t)(dot - unit) : 0;
        const char *at = strchr(unit, '@');
        stem = at ? (size_t)(at - unit) : stem;
        for (size_t end = stem; r == 0 && end-- > 1;) {
                if (unit[end] != '-' || end + 1 == stem)
                        continue;
                snprintf(directory, sizeof directory, "%s/%.*s%s.d", place, (int)end + 1, unit, dot);
                r = list_directory(root, directory, ret, err);
        }
        template_of(unit, template, sizeof template);
        return r == 0 && *template ? list_place(root, place, template, ret, err) : r;
}

static int by_name(const void *a, const void *b)
{
        return strcmp(base_of(*(char *const *)a), base_of(*(char *const *)b));
}

static int read_drop_ins(struct reader *reader, struct drop_ins *found, struct sf_error *err)
{
        struct sf_unit_text *text = reader->text;
        int r = 0;

        if (found->count)
                qsort(found->paths, found->count, sizeof *found->paths, by_name);
        text->drop_ins = sf_pool_alloc(text->pool, found->count + 1, sizeof *text->drop_ins);
        if (!text->drop_ins)
                return no_memory(err);
        for (size_t i = 0; r >= 0 && i < found->count; i++) {
                const char *path = pooled(text, found->paths[i], strlen(found->paths[i]));
                r = path ? read_file(reader, path, err) : no_memory(err);
                if (r == 0)
                        text->drop_ins[text->drop_in_count++] = path;
        }
        return r < 0 ? r : 0;
}

static int find_drop_ins(struct reader *reader, struct sf_error *err)
{
        const char *dot = strrchr(reader->text->unit, '.');
        struct drop_ins found = { 0 };
        char directory[768];
        int r = 0;

        for (size_t i = 0; r == 0 && i < PLACES; i++)
                r = list_place(reader->root, places[i], reader->text->unit, &found, err);
        for (size_t i = 0; r == 0 && dot && i < PLACES; i++) {
                snprintf(directory, sizeof directory, "%s/%s.d", places[i], dot + 1);
                r = list_directory(reader->root, directory, &found, err);
        }
        if (r == 0)
                r = read_drop_ins(reader, &found, err);
        for (size_t i = 0; i < found.count; i++)
                free(found.paths[i]);
        free(found.paths);
        return r;
}

int sf_unit_text_load(const char *root, const char *unit, struct sf_unit_text *ret, struct sf_error *err)
{
        struct sf_unit_text text = { .pool = sf_pool_new() };
        struct reader reader = { .root = root, .text = &text };
        int r = text.pool && (text.unit = pooled(&text, unit, strlen(unit))) ? 0 : no_memory(err);

        if (r == 0)
                r = find_fragment(&reader, err);
        if (r == 0 && !text.masked)
                r = find_drop_ins(&reader, err);
        if (r < 0) {
                sf_unit_text_free(&text);
                return r;
        }
        *ret = text;
        return 0;
}

void sf_unit_text_free(struct sf_unit_text *text)
{
        sf_pool_free(text->pool);
        *text = (struct sf_unit_text)SF_UNIT_TEXT_INIT;
}

static bool is(const struct sf_unit_setting *s, const char *section, const char *key)
{
        return strcmp(s->key, key) == 0 && strcmp(s->section, section) == 0;
}

const struct sf_unit_setting *sf_unit_text_get(const struct sf_unit_text *text, const char *section, const char *key)
{
        for (size_t i = text->count; i-- > 0;)
                if (is(&text->settings[i], section, key))
                        return &text->settings[i];
        return NULL;
}

const struct sf_unit_setting *sf_unit_text_next(const struct sf_unit_text *text, const char *section, const char *key,
                                                const struct sf_unit_setting *after)
{
        size_t i = after ? (size_t)(after - text->settings) + 1 : 0;

        for (size_t k = i; !after && k < text->count; k++)
                if (is(&text->settings[k], section, key) && !*text->settings[k].value)
                        i = k + 1;
        for (; i < text->count; i++)
                if (is(&text->settings[i], section, key))
                        return &text->settings[i];
        return NULL;
}

bool sf_unit_text_bool(const char *value, bool otherwise)
{
        static const char *const yes[] = { "1", "yes", "y", "true", "t", "on" };
        static const char *const no[] = { "0", "no", "n", "false", "f", "off" };

        for (size_t i = 0; i < sizeof yes / sizeof *yes; i++) {
                if (strcasecmp(value, yes[i]) == 0)
                        return true;
                if (strcasecmp(value, no[i]) == 0)
                        return false;
        }
        return otherwise;
}
