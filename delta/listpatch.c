/* SPDX-License-Identifier: Apache-2.0 */
/* delta/listpatch.c - see listpatch.h.
 *
 * Both texts are lines of words. Every new line is described against an old one, normally the one after that of the
 * line before: which words are the same, and what the others are. A digest is 32 raw bytes, a number its difference,
 * any other word is coded as literals under a context-mixing model that sees the word it replaces.
 */
#include "delta/listpatch.h"

#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/digest.h"
#include "delta/entropy/coder.h"
#include "delta/entropy/model.h"

#define MAGIC         "SFL\2" /* and version */
#define MAGIC_BYTES   4
#define SLOTS_LOG     14
#define WORDS_MAX     64 /* a longer line has the rest in its last word */
#define NUMBER_DIGITS 18
#define CONTEXTS      6

struct word {
        const char *text;
        size_t len;
};

struct line {
        struct word words[WORDS_MAX];
        size_t count;
};

struct text {
        const char *start;
        size_t *lines; /* owned; where each line starts, and one more for the end */
        size_t count;
};

enum word_form { FORM_TEXT, FORM_NUMBER, FORM_DIGEST };

struct list_coder {
        struct sf_coder coder;
        struct sf_model model;
        struct sf_mixer mixer;
        struct sf_number reference, words, difference;
        sf_probability same_line, same[WORDS_MAX], form[2][WORDS_MAX];
        struct sf_number count;
        size_t limit; /* bytes the output may have */
};

static void cleanup_text(struct text *t)
{
        free(t->lines);
}

static void cleanup_list_coder(struct list_coder *lc)
{
        sf_model_close(&lc->model);
        sf_mixer_close(&lc->mixer);
}

static int list_coder_open(struct list_coder *lc, struct sf_error *err)
{
        int r = sf_model_open(&lc->model, SLOTS_LOG, err);

        if (r < 0 || (r = sf_mixer_open(&lc->mixer, &lc->model, CONTEXTS, 2, 1, err)) < 0)
                return r;
        sf_number_start(&lc->reference);
        sf_number_start(&lc->words);
        sf_number_start(&lc->difference);
        sf_number_start(&lc->count);
        lc->same_line = SF_PROBABILITY_EVEN;
        sf_probabilities_start(lc->same, WORDS_MAX);
        sf_probabilities_start(lc->form[0], 2 * WORDS_MAX);
        return 0;
}

/* Lines without their LF; what follows the last LF is a line too. */
static int split_lines(const char *start, size_t len, struct text *ret, struct sf_error *err)
{
        size_t count = 1;

        for (size_t i = 0; i < len; i++)
                count += start[i] == '\n';
        ret->start = start;
        ret->count = count;
        ret->lines = calloc(count + 1, sizeof *ret->lines);
        if (!ret->lines)
                return sf_error_set(err, SF_ERR_NOMEM, "no memory for %zu lines", count);
        for (size_t i = 0, line = 1; i < len; i++)
                if (start[i] == '\n')
                        ret->lines[line++] = i + 1;
        ret->lines[count] = len + 1;
        return 0;
}

static struct word line_text(const struct text *t, size_t index)
{
        return (struct word){ t->start + t->lines[index], t->lines[index + 1] - t->lines[index] - 1 };
}

static void split_words(struct word text, struct line *ret)
{
        ret->count = 0;
        for (;;) {
                const char *space = ret->count + 1 < WORDS_MAX ? memchr(text.text, ' ', text.len) : NULL;
                size_t len = space ? (size_t)(space - text.text) : text.len;

                ret->words[ret->count++] = (struct word){ text.text, len };
                if (!space)
                        return;
                text = (struct word){ space + 1, text.len - len - 1 };
        }
}

static bool same_word(struct word a, struct word b)
{
        return a.len == b.len && (a.len == 0 || memcmp(a.text, b.text, a.len) == 0);
}

/* A number as printf("%llu") writes it. */
static bool parse_number(struct word w, uint64_t *ret)
{
        if (w.len < 1 || w.len > NUMBER_DIGITS || (w.text[0] == '0' && w.len > 1))
                return false;
        *ret = 0;
        for (size_t i = 0; i < w.len; i++) {
                if (w.text[i] < '0' || w.text[i] > '9')
                        return false;
                *ret = *ret * 10 + (uint64_t)(w.text[i] - '0');
        }
        return true;
}

static enum word_form word_form(struct word w)
{
        uint8_t raw[SF_DIGEST_BYTES];
        uint64_t number;
        char hex[SF_DIGEST_HEX + 1];

        if (parse_number(w, &number))
                return FORM_NUMBER;
        if (w.len != SF_DIGEST_HEX)
                return FORM_TEXT;
        memcpy(hex, w.text, SF_DIGEST_HEX);
        hex[SF_DIGEST_HEX] = 0;
        return sf_hex_decode(hex, raw, sizeof raw, NULL) == 0 ? FORM_DIGEST : FORM_TEXT;
}

static void code_digest(struct list_coder *lc, struct word w, char hex[SF_DIGEST_HEX + 1])
{
        uint8_t raw[SF_DIGEST_BYTES] = { 0 };

        if (lc->coder.encoding) {
                memcpy(hex, w.text, SF_DIGEST_HEX);
                hex[SF_DIGEST_HEX] = 0;
                sf_hex_decode(hex, raw, sizeof raw, NULL);
        }
        for (size_t i = 0; i < sizeof raw; i++) {
                unsigned byte = 0;
                for (int bit = 7; bit >= 0; bit--)
                        byte = byte << 1 | sf_coder_raw(&lc->coder, 32768, raw[i] >> bit & 1);
                raw[i] = (uint8_t)byte;
        }
        sf_hex_encode(raw, sizeof raw, hex);
}

/* A word coded as literals; LF ends it, no line contains one. */
static int code_spelling(struct list_coder *lc, struct word w, struct word old, struct sf_buffer *out,
                         struct sf_error *err)
{
        uint32_t history = 0;

        for (size_t i = 0;; i++) {
                uint32_t there = i < old.len ? (uint8_t)old.text[i] : '\n',
                         next = i + 1 < old.len ? (uint8_t)old.text[i + 1] : '\n';
                uint32_t contexts[CONTEXTS] = {
                        sf_hash(1, history & 0xff),
                        sf_hash(2, history & 0xffff),
                        sf_hash(3, history & 0xffffff),
                        sf_hash(4, sf_hash(history, 7)),
                        sf_hash(5, there << 8 | (history & 0xff)),
                        sf_hash(6, there << 8 | next),
                };
                uint8_t byte = sf_model_byte(&lc->model, &lc->mixer, &lc->coder, contexts, 0, 0,
                                             i < w.len ? (uint8_t)w.text[i] : '\n');
                if (byte == '\n' || sf_coder_exhausted(&lc->coder))
                        return 0;
                int r = out->len < lc->limit ? sf_buffer_append(out, &byte, 1, err)
                                             : sf_error_set(err, SF_ERR_CORRUPT, "a word does not end");
                if (r < 0)
                        return r;
                history = history << 8 | byte;
        }
}

static int code_word(struct list_coder *lc, size_t place, struct word w, struct word old, struct sf_buffer *out,
                     struct sf_error *err)
{
        enum word_form form = word_form(w);
        uint64_t before = 0, number = 0;
        char hex[SF_DIGEST_HEX + 1];

        if (sf_coder_bit(&lc->coder, &lc->form[0][place], form != FORM_TEXT))
                form = sf_coder_bit(&lc->coder, &lc->form[1][place], form == FORM_DIGEST) ? FORM_DIGEST : FORM_NUMBER;
        else
                form = FORM_TEXT;
        switch (form) {
        case FORM_DIGEST:
                code_digest(lc, w, hex);
                return sf_buffer_puts(out, hex, err);
        case FORM_NUMBER:
                parse_number(w, &number);
                if (!parse_number(old, &before))
                        before = 0;
                number = before + (uint64_t)sf_coder_signed(&lc->coder, &lc->difference, (int64_t)(number - before));
                return sf_buffer_printf(out, err, "%llu", (unsigned long long)number);
        default:
                return code_spelling(lc, w, old, out, err);
        }
}

/* One line; `new` is empty when decoding. */
static int code_line(struct list_coder *lc, struct word new, struct word old, struct sf_buffer *out,
                     struct sf_error *err)
{
        struct line now, before;

        if (sf_coder_bit(&lc->coder, &lc->same_line, same_word(new, old)))
                return sf_buffer_append(out, old.text, old.len, err);
        split_words(new, &now);
        split_words(old, &before);
        size_t count = (size_t)sf_coder_number(&lc->coder, &lc->words, now.count);
        if (count < 1 || count > WORDS_MAX)
                return sf_error_set(err, SF_ERR_CORRUPT, "a line has %zu words", count);
        for (size_t i = 0; i < count; i++) {
                struct word was = i < before.count ? before.words[i] : (struct word){ "", 0 };
                struct word is = i < now.count ? now.words[i] : (struct word){ "", 0 };
                int r = i ? sf_buffer_append(out, " ", 1, err) : 0;

                if (r < 0)
                        return r;
                if (sf_coder_bit(&lc->coder, &lc->same[i], same_word(is, was)))
                        r = sf_buffer_append(out, was.text, was.len, err);
                else
                        r = code_word(lc, i, is, was, out, err);
                if (r < 0)
                        return r;
        }
        return 0;
}

/* A line under its last word, the path. */
struct keyed {
        struct word key;
        size_t line;
};

static int compare_keyed(const void *a, const void *b)
{
        const struct keyed *x = a, *y = b;
        size_t len = x->key.len < y->key.len ? x->key.len : y->key.len;
        int order = len ? memcmp(x->key.text, y->key.text, len) : 0;

        if (order)
                return order;
        return (x->key.len > y->key.len) - (x->key.len < y->key.len);
}

static struct word line_key(const struct text *t, size_t index)
{
        struct line line;

        split_words(line_text(t, index), &line);
        return line.words[line.count - 1];
}

/* For every new line the old one to describe it by: that of the same path, else the expected one. */
static int choose_references(const struct text *old, const struct text *new, size_t *references, struct sf_error *err)
{
        _cleanup_free_ struct keyed *keys = calloc(old->count, sizeof *keys);
        size_t expected = 0;

        if (!keys)
                return sf_error_set(err, SF_ERR_NOMEM, "no memory for %zu lines", old->count);
        for (size_t i = 0; i < old->count; i++)
                keys[i] = (struct keyed){ line_key(old, i), i };
        qsort(keys, old->count, sizeof *keys, compare_keyed);
        for (size_t i = 0; i < new->count; i++) {
                struct keyed wanted = { line_key(new, i), 0 };
                const struct keyed *found = bsearch(&wanted, keys, old->count, sizeof *keys, compare_keyed);

                if (expected < old->count && same_word(line_text(new, i), line_text(old, expected)))
                        references[i] = expected;
                else
                        references[i] = found ? found->line : expected < old->count ? expected : old->count - 1;
                expected = references[i] + 1;
        }
        return 0;
}

/* Both directions. `new` and `references` are NULL when decoding. */
static int code_lines(struct list_coder *lc, const struct text *old, const struct text *new, const size_t *references,
                      size_t max, struct sf_buffer *out, struct sf_error *err)
{
        size_t count = (size_t)sf_coder_number(&lc->coder, &lc->count, new ? new->count : 0), expected = 0;
        size_t start = out->len;
        lc->limit = max < SIZE_MAX - start ? start + max : SIZE_MAX;

        for (size_t i = 0; i < count; i++) {
                size_t reference = new ? references[i] : 0;
                struct word text = new ? line_text(new, i) : (struct word){ "", 0 };

                reference = expected +
                            (size_t)sf_coder_signed(&lc->coder, &lc->reference, (int64_t)(reference - expected));
                if (reference >= old->count || sf_coder_exhausted(&lc->coder))
                        return sf_error_set(err, SF_ERR_CORRUPT, "line %zu refers to no old line", i + 1);
                expected = reference + 1;
                int r = i ? sf_buffer_append(out, "\n", 1, err) : 0;
                if (r < 0 || (r = code_line(lc, text, line_text(old, reference), out, err)) < 0)
                        return r;
                if (out->len > lc->limit)
                        return sf_error_set(err, SF_ERR_CORRUPT, "the patch gives more than %zu bytes", max);
        }
        return 0;
}

int sf_listpatch_make(const void *old_text, size_t old_len, const void *new_text, size_t new_len,
                      struct sf_buffer *ret_patch, struct sf_error *err)
{
        _cleanup_(cleanup_text) struct text old = { 0 }, new = { 0 };
        _cleanup_(sf_buffer_free) struct sf_buffer scratch = SF_BUFFER_INIT;
        _cleanup_(cleanup_list_coder) struct list_coder lc = { 0 };
        int r;

        if ((r = list_coder_open(&lc, err)) < 0 || (r = split_lines(old_text, old_len, &old, err)) < 0 ||
            (r = split_lines(new_text, new_len, &new, err)) < 0)
                return r;
        _cleanup_free_ size_t *references = calloc(new.count, sizeof *references);
        if (!references)
                return sf_error_set(err, SF_ERR_NOMEM, "no memory for %zu lines", new.count);
        if ((r = choose_references(&old, &new, references, err)) < 0)
                return r;
        if ((r = sf_buffer_append(ret_patch, MAGIC, MAGIC_BYTES, err)) < 0)
                return r;
        sf_coder_encode(&lc.coder, ret_patch);
        if ((r = code_lines(&lc, &old, &new, references, SIZE_MAX, &scratch, err)) < 0)
                return r;
        return sf_coder_finish(&lc.coder, err);
}

int sf_listpatch_apply(const void *old_text, size_t old_len, const void *patch, size_t patch_len, size_t max,
                       struct sf_buffer *ret, struct sf_error *err)
{
        _cleanup_(cleanup_text) struct text old = { 0 };
        _cleanup_(cleanup_list_coder) struct list_coder lc = { 0 };
        int r;

        if ((r = list_coder_open(&lc, err)) < 0 || (r = split_lines(old_text, old_len, &old, err)) < 0)
                return r;
        if (patch_len < MAGIC_BYTES || memcmp(patch, MAGIC, MAGIC_BYTES) != 0)
                return sf_error_set(err, SF_ERR_UNSUPPORTED, "the list patch is of a version unknown here");
        sf_coder_decode(&lc.coder, (const uint8_t *)patch + MAGIC_BYTES, patch_len - MAGIC_BYTES);
        if ((r = code_lines(&lc, &old, NULL, NULL, max, ret, err)) < 0)
                return r;
        return sf_coder_finish(&lc.coder, err);
}
