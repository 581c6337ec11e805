/* SPDX-License-Identifier: Apache-2.0 */
/* factory/pack/prefixes.c - see prefixes.h. */
#include "factory/pack/prefixes.h"

#include <ctype.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/cleanup.h"
#include "base/fs.h"
#include "factory/pack/canonical.h"
#include "factory/pack/link.h"

#define FILE_SIZE_MAX (4ull << 30)
#define HASH_LENGTH   32u

int sf_prefixes_add(struct sf_prefixes *prefixes, const char *prefix, size_t len, struct sf_error *err)
{
        struct sf_words *words = &prefixes->words;
        size_t at = 0;
        int r;

        while (len > 1 && prefix[len - 1] == '/')
                len--;
        for (; at < words->count; at++) {
                size_t other = strlen(words->items[at]);
                if (other == len && memcmp(words->items[at], prefix, len) == 0)
                        return 0;
                if (other < len)
                        break;
        }
        r = sf_words_printf(words, err, "%.*s", (int)len, prefix);
        if (r < 0)
                return r;
        char *fresh = words->items[words->count - 1];
        memmove(words->items + at + 1, words->items + at, (words->count - 1 - at) * sizeof *words->items);
        words->items[at] = fresh;
        return 0;
}

static bool is_hash(const uint8_t *at, const uint8_t *end)
{
        if (end - at < (ptrdiff_t)HASH_LENGTH)
                return false;
        for (size_t i = 0; i < HASH_LENGTH; i++)
                if (!((at[i] >= 'a' && at[i] <= 'z') || (at[i] >= '2' && at[i] <= '7')))
                        return false;
        return at + HASH_LENGTH == end || (!isalnum(at[HASH_LENGTH]) && !strchr("-_.+", at[HASH_LENGTH]));
}

static bool is_path_byte(uint8_t c)
{
        return isalnum(c) || (c && strchr("/._-+@~", c));
}

/* The start of the path whose last component ends at `dash`; NULL where it is none, or no Spack prefix. "-I/a" and
 * "-L/a" are options with a path. */
static const uint8_t *path_start(const uint8_t *from, const uint8_t *dash)
{
        const uint8_t *run = dash, *slash, *start = NULL;
        size_t slashes = 0, dashes = 0;

        while (run > from && is_path_byte(run[-1]) && dash - run < PATH_MAX)
                run--;
        slash = memchr(run, '/', (size_t)(dash - run));
        if (slash && (slash == run || (*run == '-' && slash - run <= 2)))
                start = slash;
        for (const uint8_t *at = dash; start && at > start; at--) {
                slashes += at[-1] == '/';
                dashes += at[-1] == '-' && slashes == 0;
        }
        return slashes >= 3 && dashes >= 1 ? start : NULL;
}

int sf_prefixes_find_spack(struct sf_prefixes *prefixes, const void *data, size_t len, struct sf_error *err)
{
        const uint8_t *from = data, *end = from + len;
        int r = 0;

        for (const uint8_t *at = from; r == 0 && at < end && (at = memchr(at, '-', (size_t)(end - at))); at++) {
                const uint8_t *start = is_hash(at + 1, end) ? path_start(from, at) : NULL;
                if (start)
                        r = sf_prefixes_add(prefixes, (const char *)start, (size_t)(at + 1 + HASH_LENGTH - start), err);
        }
        return r;
}

struct finding {
        struct sf_prefixes *prefixes;
        const char *directory;
};

static int visit(void *ctx, int dirfd, const char *name, const char *path, const struct stat *st, struct sf_error *err)
{
        struct finding *finding = ctx;
        _cleanup_(sf_buffer_free) struct sf_buffer content = SF_BUFFER_INIT;
        _cleanup_free_ char *real = NULL;
        struct stat target;
        int r;

        if (S_ISREG(st->st_mode)) {
                r = sf_fs_read_at(dirfd, name, FILE_SIZE_MAX, &content, err);
        } else {
                _cleanup_free_ char *link = S_ISLNK(st->st_mode) ? sf_fs_join(finding->directory, path) : NULL;
                real = link ? realpath(link, NULL) : NULL;
                if (!real || stat(real, &target) < 0 || !S_ISREG(target.st_mode))
                        return 0;
                r = sf_fs_read(real, FILE_SIZE_MAX, &content, err);
        }
        if (r == 0 && real)
                r = sf_prefixes_find_spack(finding->prefixes, real, strlen(real), err);
        return r < 0 ? r : sf_prefixes_find_spack(finding->prefixes, content.data, content.len, err);
}

int sf_prefixes_find_spack_in_tree(struct sf_prefixes *prefixes, const char *directory, struct sf_error *err)
{
        struct finding finding = { prefixes, directory };

        return sf_fs_walk(directory, visit, &finding, err);
}

const char *sf_prefixes_placeholder(const struct sf_prefixes *prefixes)
{
        return prefixes->words.count ? prefixes->words.items[prefixes->words.count - 1] : NULL;
}

const char *sf_prefixes_below(const struct sf_prefixes *prefixes, const char *path)
{
        const char *rest = NULL;

        for (size_t i = 0; i < prefixes->words.count && !rest; i++)
                rest = sf_link_below(path, prefixes->words.items[i]);
        return rest;
}

/* In place: the bytes behind the placeholder become slashes. */
static void replace_padded(struct sf_buffer *content, const char *prefix, const char *placeholder)
{
        size_t len = strlen(prefix), short_len = strlen(placeholder);
        uint8_t *end = content->data + content->len;

        for (uint8_t *at = content->data; at && (at = memmem(at, (size_t)(end - at), prefix, len)); at += len) {
                memcpy(at, placeholder, short_len);
                memset(at + short_len, '/', len - short_len);
        }
}

static int replace_text(struct sf_buffer *content, const char *prefix, const char *placeholder, struct sf_error *err)
{
        _cleanup_(sf_buffer_free) struct sf_buffer fresh = SF_BUFFER_INIT;
        const uint8_t *at = content->data, *end = at + content->len, *next;
        int r = 0;

        while (r == 0 && at < end && (next = memmem(at, (size_t)(end - at), prefix, strlen(prefix)))) {
                r = sf_buffer_append(&fresh, at, (size_t)(next - at), err);
                if (r == 0)
                        r = sf_buffer_puts(&fresh, placeholder, err);
                at = next + strlen(prefix);
        }
        if (r < 0 || fresh.len == 0)
                return r;
        r = sf_buffer_append(&fresh, at, (size_t)(end - at), err);
        if (r < 0)
                return r;
        sf_buffer_free(content);
        *content = fresh;
        fresh = (struct sf_buffer)SF_BUFFER_INIT;
        return 0;
}

/* "#!/bin/sh /ROOT/bin/sbang", then the line that the kernel found too long. */
static void drop_sbang(struct sf_buffer *content)
{
        static const char start[] = "#!/bin/sh ", end[] = "/bin/sbang";
        const uint8_t *newline = content->len ? memchr(content->data, '\n', content->len) : NULL;
        size_t line = newline ? (size_t)(newline - content->data) : 0;

        if (line < strlen(start) + strlen(end) || memcmp(content->data, start, strlen(start)) != 0 ||
            memcmp(newline - strlen(end), end, strlen(end)) != 0 || content->len < line + 3 ||
            memcmp(newline + 1, "#!", 2) != 0)
                return;
        content->len -= line + 1;
        memmove(content->data, content->data + line + 1, content->len + 1);
}

int sf_prefixes_unify(const struct sf_prefixes *prefixes, const char *path, struct sf_buffer *content,
                      struct sf_error *err)
{
        const char *placeholder = sf_prefixes_placeholder(prefixes);
        bool binary;
        int r = 0;

        if (content->len == 0 || prefixes->words.count == 0)
                return 0;
        drop_sbang(content);
        binary = sf_canonical_kind(path, content->data, content->len) == SF_MAP_BINARY;
        for (size_t i = 0; i + 1 < prefixes->words.count && r == 0; i++) {
                if (binary)
                        replace_padded(content, prefixes->words.items[i], placeholder);
                else
                        r = replace_text(content, prefixes->words.items[i], placeholder, err);
        }
        return r;
}

void sf_prefixes_free(struct sf_prefixes *prefixes)
{
        sf_words_free(&prefixes->words);
}
