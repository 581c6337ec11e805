/* SPDX-License-Identifier: Apache-2.0 */
/* base/words.h - a line of text split into words, for lists and commands in configuration files. Never a shell. */
#ifndef SF_BASE_WORDS_H
#define SF_BASE_WORDS_H

#include <stddef.h>

#include "base/error.h"

struct sf_words {
        char **items; /* NULL-terminated and owned; NULL while empty: see sf_words_argv */
        size_t count;
};

#define SF_WORDS_INIT   \
        {               \
                NULL, 0 \
        }

/* Appends the words of a text. White space separates; '...' and "..." hold it together, anywhere in a word and without
 * any escapes. A missing closing quote is SF_ERR_USAGE. */
int sf_words_split(struct sf_words *words, const char *text, struct sf_error *err);
/* Appends one word as it is. */
int sf_words_append(struct sf_words *words, const char *word, struct sf_error *err);
/* Appends one word made by printf. */
int sf_words_printf(struct sf_words *words, struct sf_error *err, const char *format, ...)
        __attribute__((format(printf, 3, 4)));
/* Replaces every "@NAME@" in every word by `value`. */
int sf_words_substitute(struct sf_words *words, const char *name, const char *value, struct sf_error *err);
/* Takes every word away that matches a pattern (fnmatch(3), '*' also matches '/'). Returns how many. */
size_t sf_words_drop(struct sf_words *words, const char *pattern);
/* The words as argv or environment; never NULL. Borrowed. */
const char *const *sf_words_argv(const struct sf_words *words);
void sf_words_free(struct sf_words *words);

#endif
