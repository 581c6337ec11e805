/* SPDX-License-Identifier: Apache-2.0 */
/* base/words.c - see words.h. Commands in recipes are split here once, so that no shell ever sees them. */
#include "base/words.h"

#include <ctype.h>
#include <fnmatch.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "base/buffer.h"
#include "base/cleanup.h"

static int no_memory(struct sf_error *err)
{
        return sf_error_set(err, SF_ERR_NOMEM, "out of memory");
}

/* Takes word, also on failure. */
static int append_taken(struct sf_words *words, char *word, struct sf_error *err)
{
        char **items = word ? realloc(words->items, (words->count + 2) * sizeof *items) : NULL;

        if (!items) {
                free(word);
                return no_memory(err);
        }
        items[words->count++] = word;
        items[words->count] = NULL;
        words->items = items;
        return 0;
}

int sf_words_append(struct sf_words *words, const char *word, struct sf_error *err)
{
        return append_taken(words, strdup(word), err);
}

int sf_words_printf(struct sf_words *words, struct sf_error *err, const char *format, ...)
{
        char *word = NULL;
        va_list args;

        va_start(args, format);
        if (vasprintf(&word, format, args) < 0)
                word = NULL;
        va_end(args);
        return append_taken(words, word, err);
}

/* Reads one word from *text, which does not start with white space, and moves *text behind it. */
static int take_word(const char **text, char **ret, struct sf_error *err)
{
        const char *in = *text;
        char *word = malloc(strlen(in) + 1), *out = word;
        char quote = '\0';

        if (!word)
                return no_memory(err);
        for (; *in && (quote || !isspace((unsigned char)*in)); in++) {
                if (quote ? *in == quote : (*in == '"' || *in == '\''))
                        quote = quote ? '\0' : *in;
                else
                        *out++ = *in;
        }
        *out = '\0';
        if (quote) {
                free(word);
                return sf_error_set(err, SF_ERR_USAGE, "no closing %c in: %s", quote, *text);
        }
        *text = in;
        *ret = word;
        return 0;
}

int sf_words_split(struct sf_words *words, const char *text, struct sf_error *err)
{
        for (;;) {
                char *word = NULL;
                int r;

                text += strspn(text, " \t\r\n\v\f");
                if (!*text)
                        return 0;
                if ((r = take_word(&text, &word, err)) < 0 || (r = append_taken(words, word, err)) < 0)
                        return r;
        }
}

static int substitute_one(char **word, const char *pattern, const char *value, struct sf_error *err)
{
        _cleanup_(sf_buffer_free) struct sf_buffer out = SF_BUFFER_INIT;
        const char *rest = *word, *hit;
        char *replaced;
        int r;

        if (!strstr(rest, pattern))
                return 0;
        for (; (hit = strstr(rest, pattern)); rest = hit + strlen(pattern))
                if ((r = sf_buffer_append(&out, rest, (size_t)(hit - rest), err)) < 0 ||
                    (r = sf_buffer_puts(&out, value, err)) < 0)
                        return r;
        if ((r = sf_buffer_puts(&out, rest, err)) < 0)
                return r;
        if (!(replaced = strdup(sf_buffer_text(&out))))
                return no_memory(err);
        free(*word);
        *word = replaced;
        return 0;
}

int sf_words_substitute(struct sf_words *words, const char *name, const char *value, struct sf_error *err)
{
        _cleanup_free_ char *pattern = sf_format("@%s@", name);
        int r = 0;

        if (!pattern)
                return no_memory(err);
        for (size_t i = 0; i < words->count && r == 0; i++)
                r = substitute_one(&words->items[i], pattern, value, err);
        return r;
}

size_t sf_words_drop(struct sf_words *words, const char *pattern)
{
        size_t kept = 0, count = words->count;

        for (size_t i = 0; i < count; i++) {
                if (fnmatch(pattern, words->items[i], 0) == 0)
                        free(words->items[i]);
                else
                        words->items[kept++] = words->items[i];
        }
        words->count = kept;
        if (words->items)
                words->items[kept] = NULL;
        return count - kept;
}

const char *const *sf_words_argv(const struct sf_words *words)
{
        static const char *const none[] = { NULL };

        return words->items ? (const char *const *)words->items : none;
}

void sf_words_free(struct sf_words *words)
{
        for (size_t i = 0; i < words->count; i++)
                free(words->items[i]);
        free(words->items);
        *words = (struct sf_words)SF_WORDS_INIT;
}
