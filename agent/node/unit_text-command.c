/* SPDX-License-Identifier: Apache-2.0 */
/* agent/node/unit_text-command.c - the command line and the environment that a unit's text makes: systemd.exec(5),
 * systemd.service(5), "Command lines". */
#include "agent/node/unit_text.h"

#include <ctype.h>
#include <glob.h>
#include <stdlib.h>
#include <string.h>

#include "base/buffer.h"
#include "base/cleanup.h"
#include "base/fs.h"

#define FILE_MAX (1u << 20)

/* What stands for a specifier; NULL for one that is left as it is. */
static const char *specifier(const struct sf_unit_text *text, char letter, char *room, size_t size)
{
        const char *unit = text->unit, *dot = strrchr(unit, '.'), *at = strchr(unit, '@');
        size_t stem = dot ? (size_t)(dot - unit) : strlen(unit);
        size_t prefix = at ? (size_t)(at - unit) : stem;

        switch (letter) {
        case '%':
                return "%";
        case 'n':
                return unit;
        case 'N':
                snprintf(room, size, "%.*s", (int)stem, unit);
                return room;
        case 'p':
        case 'P':
                snprintf(room, size, "%.*s", (int)prefix, unit);
                return room;
        case 'i':
        case 'I':
                snprintf(room, size, "%.*s", at ? (int)(stem - prefix - 1) : 0, at ? at + 1 : "");
                return room;
        case 'H':
        case 'l':
                if (gethostname(room, size) < 0)
                        return NULL;
                room[size - 1] = '\0';
                if (letter == 'l')
                        room[strcspn(room, ".")] = '\0';
                return room;
        default:
                return NULL;
        }
}

static int replace_specifiers(const struct sf_unit_text *text, const char *value, struct sf_buffer *ret,
                              struct sf_error *err)
{
        char room[256];
        int r = sf_buffer_puts(ret, "", err);

        for (const char *c = value; *c && r == 0; c++) {
                const char *stands_for = *c == '%' ? specifier(text, c[1], room, sizeof room) : NULL;
                r = stands_for ? sf_buffer_puts(ret, stands_for, err) : sf_buffer_append(ret, c, 1, err);
                c += stands_for ? 1 : 0;
        }
        return r;
}

static bool is_assignment(const char *word)
{
        size_t len = strspn(word, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_");

        return len && !isdigit((unsigned char)*word) && word[len] == '=';
}

/* A line of an environment file: quotes hold words together and go away. */
static int add_line(const char *line, struct sf_words *ret, struct sf_error *err)
{
        _cleanup_(sf_buffer_free) struct sf_buffer out = SF_BUFFER_INIT;
        char quote = '\0';
        int r = 0;

        line += strspn(line, " \t");
        if (!is_assignment(line))
                return 0;
        for (const char *c = line; *c && r == 0; c++) {
                if (quote ? *c == quote : (*c == '"' || *c == '\''))
                        quote = quote ? '\0' : *c;
                else
                        r = sf_buffer_append(&out, *c == '\\' && c[1] && quote != '\'' ? ++c : c, 1, err);
        }
        while (out.len && isspace(out.data[out.len - 1]))
                out.data[--out.len] = '\0';
        return r < 0 ? r : sf_words_append(ret, sf_buffer_text(&out), err);
}

static int read_environment(const char *path, struct sf_words *ret, struct sf_error *err)
{
        _cleanup_(sf_buffer_free) struct sf_buffer content = SF_BUFFER_INIT;
        char *saved = NULL;
        int r = 0;

        /* A file that is missing or unreadable is for systemd to complain of. */
        if (sf_fs_read(path, FILE_MAX, &content, NULL) < 0 || !content.len)
                return 0;
        for (char *c = (char *)content.data; (c = strstr(c, "\\\n"));)
                memmove(c, c + 2, strlen(c + 2) + 1);
        for (char *line = strtok_r((char *)content.data, "\n", &saved); line && r == 0;
             line = strtok_r(NULL, "\n", &saved))
                r = add_line(line, ret, err);
        return r;
}

static int read_environment_files(const char *root, const char *pattern, struct sf_words *ret, struct sf_error *err)
{
        _cleanup_free_ char *real = sf_format("%s%s", root, pattern + (*pattern == '-'));
        glob_t found = { 0 };
        int r = real ? 0 : sf_error_set(err, SF_ERR_NOMEM, "no memory for a path");

        if (r == 0 && glob(real, 0, NULL, &found) == 0)
                for (size_t i = 0; r == 0 && i < found.gl_pathc; i++)
                        r = read_environment(found.gl_pathv[i], ret, err);
        globfree(&found);
        return r;
}

int sf_unit_text_environment(const struct sf_unit_text *text, const char *root, struct sf_words *ret,
                             struct sf_error *err)
{
        int r = 0;

        for (const struct sf_unit_setting *s = NULL;
             r == 0 && (s = sf_unit_text_next(text, "Service", "Environment", s));) {
                _cleanup_(sf_buffer_free) struct sf_buffer value = SF_BUFFER_INIT;
                r = replace_specifiers(text, s->value, &value, err);
                if (r == 0)
                        r = sf_words_split(ret, sf_buffer_text(&value), err);
        }
        for (const struct sf_unit_setting *s = NULL;
             r == 0 && (s = sf_unit_text_next(text, "Service", "EnvironmentFile", s));) {
                _cleanup_(sf_buffer_free) struct sf_buffer value = SF_BUFFER_INIT;
                r = replace_specifiers(text, s->value, &value, err);
                if (r == 0)
                        r = read_environment_files(root, sf_buffer_text(&value), ret, err);
        }
        return r;
}

const char *sf_unit_text_variable(const struct sf_words *environment, const char *name)
{
        size_t len = strlen(name);

        for (size_t i = environment->count; i-- > 0;)
                if (strncmp(environment->items[i], name, len) == 0 && environment->items[i][len] == '=')
                        return environment->items[i] + len + 1;
        return NULL;
}

/* The name in "$NAME" or "${NAME}" at c, and how long the mention is; 0 where there is none. */
static size_t mention(const char *c, char name[128])
{
        bool braces = c[0] == '$' && c[1] == '{';
        const char *begin = c + (braces ? 2 : 1);
        size_t len = strspn(begin, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_");

        if (*c != '$' || !len || len >= 128 || (braces && begin[len] != '}'))
                return 0;
        memcpy(name, begin, len);
        name[len] = '\0';
        return len + (braces ? 3 : 1);
}

/* "$NAME" as a word of its own becomes as many words as its value has; "${NAME}" is replaced in place. */
static int expand_word(const char *word, const struct sf_words *environment, struct sf_words *ret, struct sf_error *err)
{
        _cleanup_(sf_buffer_free) struct sf_buffer out = SF_BUFFER_INIT;
        char name[128];
        size_t len = mention(word, name);
        int r = 0;

        if (len && !word[len] && word[1] != '{') {
                const char *value = sf_unit_text_variable(environment, name);
                return value ? sf_words_split(ret, value, err) : 0;
        }
        for (const char *c = word; *c && r == 0;) {
                const char *value = "";
                len = c[0] == '$' && c[1] == '{' ? mention(c, name) : 0;
                if (len)
                        value = sf_unit_text_variable(environment, name);
                r = len ? sf_buffer_puts(&out, value ? value : "", err) : sf_buffer_append(&out, c, 1, err);
                c += len ? len : c[0] == '$' && c[1] == '$' ? 2 : 1;
        }
        return r < 0 ? r : sf_words_append(ret, sf_buffer_text(&out), err);
}

int sf_unit_text_command(const struct sf_unit_text *text, const struct sf_words *environment, struct sf_words *ret,
                         struct sf_error *err)
{
        const struct sf_unit_setting *start = sf_unit_text_next(text, "Service", "ExecStart", NULL);
        _cleanup_(sf_buffer_free) struct sf_buffer line = SF_BUFFER_INIT;
        _cleanup_(sf_words_free) struct sf_words words = SF_WORDS_INIT;
        int r = start ? replace_specifiers(text, start->value, &line, err) : 0;
        const char *c = sf_buffer_text(&line);
        size_t marks = strspn(c, "@-:+!|");
        bool renamed = memchr(c, '@', marks) != NULL;

        if (r == 0)
                r = sf_words_split(&words, c + marks, err);
        for (size_t i = 0; r == 0 && i < words.count; i++)
                if (i != 1 || !renamed)
                        r = i == 0 ? sf_words_append(ret, words.items[i], err)
                                   : expand_word(words.items[i], environment, ret, err);
        return r < 0 ? sf_error_prefix(err, "%s", text->unit) : 0;
}
