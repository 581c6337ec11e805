/* SPDX-License-Identifier: Apache-2.0 */
/* agent/node/hostlist.c - see hostlist.h. */
#include "agent/node/hostlist.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define NAME_MAX_BYTES 1024
#define COUNT_MAX      (UINT64_C(1) << 40)
#define BRACKETS_MAX   8

/* One "name[...]name[...]" of a list. */
struct piece {
        const char *text;
        size_t len;
};

/* "[" and "]" as offsets into the piece, and how many names between them. */
struct bracket {
        size_t open, close;
        uint64_t count;
};

/* The next piece; commas inside of brackets belong to it. */
static bool next_piece(const char **at, struct piece *ret)
{
        const char *c = *at;
        bool inside = false;

        while (*c == ',' || isspace((unsigned char)*c))
                c++;
        if (!*c)
                return false;
        ret->text = c;
        for (; *c && (inside || (*c != ',' && !isspace((unsigned char)*c))); c++)
                inside = *c == '[' ? true : *c == ']' ? false : inside;
        ret->len = (size_t)(c - ret->text);
        *at = c;
        return true;
}

/* Reads "5" or "005-010" up to a comma or the bracket's end. */
static bool read_range(const char **at, const char *end, uint64_t *first, uint64_t *last, int *width)
{
        char *after;

        if (*at >= end || !isdigit((unsigned char)**at))
                return false;
        *first = *last = strtoull(*at, &after, 10);
        *width = (int)(after - *at);
        if (*after == '-') {
                if (!isdigit((unsigned char)after[1]))
                        return false;
                *last = strtoull(after + 1, &after, 10);
        }
        if (after > end || *width > 18 || *last < *first || *last - *first >= COUNT_MAX ||
            (after < end && *after != ','))
                return false;
        *at = after < end ? after + 1 : after;
        return true;
}

static uint64_t count_numbers(const char *at, const char *end)
{
        uint64_t first, last, sum = 0;
        int width;

        while (at < end) {
                if (!read_range(&at, end, &first, &last, &width) || sum > COUNT_MAX)
                        return 0;
                sum += last - first + 1;
        }
        return sum;
}

/* Returns the number of brackets, or -1 for a piece that cannot be read. */
static int find_brackets(const struct piece *p, struct bracket *brackets, uint64_t *ret_count)
{
        uint64_t product = 1;
        int count = 0;

        for (size_t i = 0; i < p->len; i++) {
                if (p->text[i] == ']')
                        return -1;
                if (p->text[i] != '[')
                        continue;
                const char *close = memchr(p->text + i, ']', p->len - i);
                if (!close || count == BRACKETS_MAX)
                        return -1;
                struct bracket *b = &brackets[count++];
                b->open = i;
                b->close = (size_t)(close - p->text);
                b->count = count_numbers(p->text + i + 1, close);
                if (!b->count || product > COUNT_MAX / b->count)
                        return -1;
                product *= b->count;
                i = b->close;
        }
        *ret_count = product;
        return count;
}

uint64_t sf_hostlist_count(const char *list)
{
        struct bracket brackets[BRACKETS_MAX];
        struct piece p;
        uint64_t sum = 0, count;

        while (next_piece(&list, &p)) {
                if (find_brackets(&p, brackets, &count) < 0 || sum > COUNT_MAX)
                        return 0;
                sum += count;
        }
        return sum;
}

/* The number at an index of a bracket, with its leading zeros. */
static void print_number(const struct piece *p, const struct bracket *b, uint64_t index, char out[32])
{
        const char *at = p->text + b->open + 1, *end = p->text + b->close;
        uint64_t first, last;
        int width;

        *out = '\0';
        while (at < end && read_range(&at, end, &first, &last, &width)) {
                if (index <= last - first) {
                        snprintf(out, 32, "%0*llu", width, (unsigned long long)(first + index));
                        return;
                }
                index -= last - first + 1;
        }
}

static bool print_piece(const struct piece *p, const struct bracket *brackets, int count, uint64_t index, char *out,
                        size_t room)
{
        size_t used = 0, at = 0;
        uint64_t below = 1;

        for (int i = 1; i < count; i++)
                below *= brackets[i].count;
        for (int i = 0; i <= count; i++) {
                char number[32] = "";
                size_t end = i < count ? brackets[i].open : p->len;
                if (i < count) {
                        print_number(p, &brackets[i], index / below, number);
                        index %= below;
                        below /= i + 1 < count ? brackets[i + 1].count : 1;
                }
                int n = snprintf(out + used, room - used, "%.*s%s", (int)(end - at), p->text + at, number);
                if (n < 0 || (size_t)n >= room - used)
                        return false;
                used += (size_t)n;
                at = i < count ? brackets[i].close + 1 : end;
        }
        return true;
}

bool sf_hostlist_nth(const char *list, uint64_t index, char *ret, size_t room)
{
        struct bracket brackets[BRACKETS_MAX];
        struct piece p;
        uint64_t count;

        while (next_piece(&list, &p)) {
                int found = find_brackets(&p, brackets, &count);
                if (found < 0)
                        return false;
                if (index < count)
                        return print_piece(&p, brackets, found, index, ret, room);
                index -= count;
        }
        return false;
}

/* Where a number stands in a bracket; false where it does not. Other widths than the range's are other names. */
static bool index_of(const struct piece *p, const struct bracket *b, const char *digits, size_t len, uint64_t *ret)
{
        const char *at = p->text + b->open + 1, *end = p->text + b->close;
        uint64_t first, last, before = 0;
        int width;

        while (at < end && read_range(&at, end, &first, &last, &width)) {
                char number[32];
                uint64_t value = strtoull(digits, NULL, 10);
                if (value >= first && value <= last) {
                        snprintf(number, sizeof number, "%0*llu", width, (unsigned long long)value);
                        if (strlen(number) == len && strncmp(number, digits, len) == 0) {
                                *ret = before + value - first;
                                return true;
                        }
                }
                before += last - first + 1;
        }
        return false;
}

/* Matches name against the piece from bracket i on; every number of digits is tried, for the text behind may begin
 * with one. */
static bool match(const struct piece *p, const struct bracket *brackets, int count, int i, const char *name,
                  uint64_t index, uint64_t *ret)
{
        size_t at = i ? brackets[i - 1].close + 1 : 0, end = i < count ? brackets[i].open : p->len;

        if (strlen(name) < end - at || strncasecmp(name, p->text + at, end - at) != 0)
                return false;
        name += end - at;
        if (i == count) {
                *ret = index;
                return !*name;
        }
        char digits[32];
        for (size_t len = 1; len < 20 && isdigit((unsigned char)name[len - 1]); len++) {
                uint64_t here;
                snprintf(digits, sizeof digits, "%.*s", (int)len, name);
                if (index_of(p, &brackets[i], digits, len, &here) &&
                    match(p, brackets, count, i + 1, name + len, index * brackets[i].count + here, ret))
                        return true;
        }
        return false;
}

int64_t sf_hostlist_find(const char *list, const char *name)
{
        struct bracket brackets[BRACKETS_MAX];
        struct piece p;
        uint64_t before = 0, count, index;

        while (strlen(name) < NAME_MAX_BYTES && next_piece(&list, &p)) {
                int found = find_brackets(&p, brackets, &count);
                if (found < 0)
                        return -1;
                if (match(&p, brackets, found, 0, name, 0, &index))
                        return (int64_t)(before + index);
                before += count;
        }
        return -1;
}
