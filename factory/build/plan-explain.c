/* SPDX-License-Identifier: Apache-2.0 */
/* factory/build/plan-explain.c - why a layer has to be built: the line of its key that the nearest cached one has
 * not. */
#include <dirent.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/fs.h"
#include "base/words.h"
#include "factory/build/plan.h"

#define KEY_MAX (1u << 20)
/* A line of a key may be a whole command. */
#define SHOWN_MAX 160
#define DEPENDS   "depends "

static int split_lines(const char *text, struct sf_words *lines, struct sf_error *err)
{
        int r = 0;

        for (size_t length; *text && r == 0; text += length + (text[length] == '\n')) {
                length = strcspn(text, "\n");
                r = sf_words_printf(lines, err, "%.*s", (int)length, text);
        }
        return r;
}

static bool has_line(const struct sf_words *lines, const char *line)
{
        for (size_t i = 0; i < lines->count; i++)
                if (strcmp(lines->items[i], line) == 0)
                        return true;
        return false;
}

static size_t missing(const struct sf_words *of, const struct sf_words *in)
{
        size_t count = 0;

        for (size_t i = 0; i < of->count; i++)
                count += !has_line(in, of->items[i]);
        return count;
}

/* Keeps the lines of the key that has most in common. Layer directories are called NAME-VERSION-<64 digits>. */
static int nearest_key(const struct sf_plan *plan, const struct sf_plan_layer *layer, const struct sf_words *wanted,
                       struct sf_words *ret, struct sf_error *err)
{
        _cleanup_free_ char *cache = sf_cache_path(plan->cache, "buildcache", NULL);
        size_t best = SIZE_MAX, name_length = strlen(layer->recipe.name);
        DIR *dir = cache ? opendir(cache) : NULL;
        const struct dirent *entry;
        int r = 0;

        while (dir && r == 0 && (entry = readdir(dir))) {
                _cleanup_free_ char *path = sf_format("%s/%s/key", cache, entry->d_name);
                _cleanup_(sf_buffer_free) struct sf_buffer text = SF_BUFFER_INIT;
                _cleanup_(sf_words_free) struct sf_words lines = SF_WORDS_INIT;
                size_t distance;

                if (strncmp(entry->d_name, layer->recipe.name, name_length) != 0 || entry->d_name[name_length] != '-' ||
                    !path || sf_fs_read(path, KEY_MAX, &text, NULL) < 0)
                        continue;
                r = split_lines(sf_buffer_text(&text), &lines, err);
                distance = missing(wanted, &lines) + missing(&lines, wanted);
                if (r < 0 || distance >= best)
                        continue;
                best = distance;
                sf_words_free(ret);
                *ret = lines;
                lines = (struct sf_words)SF_WORDS_INIT;
        }
        if (dir)
                closedir(dir);
        return r;
}

/* The word two commands first differ in says more than their common beginning. */
static void show_difference(const char *is, const char *was, struct sf_buffer *ret)
{
        size_t same = 0, word = 0;

        /* "depends NAME-VERSION-<digest>" */
        if (strncmp(is, DEPENDS, strlen(DEPENDS)) == 0 && strlen(is) > strlen(DEPENDS) + SF_DIGEST_HEX + 1) {
                sf_buffer_printf(ret, NULL, "it depends on %.*s, which changes",
                                 (int)(strlen(is) - strlen(DEPENDS) - SF_DIGEST_HEX - 1), is + strlen(DEPENDS));
                return;
        }
        for (; is[same] && is[same] == was[same]; same++)
                if (is[same] == ' ')
                        word = same + 1;
        size_t head = strcspn(is, " ");
        if (word > head + 1)
                sf_buffer_printf(ret, NULL, "%.*s ... ", (int)head, is);
        else
                word = 0;
        sf_buffer_printf(ret, NULL, "\"%.*s\" instead of \"%.*s\"", SHOWN_MAX, is + word, SHOWN_MAX, was + word);
}

int sf_plan_explain(const struct sf_plan *plan, const struct sf_plan_layer *layer, struct sf_buffer *ret,
                    struct sf_error *err)
{
        _cleanup_(sf_words_free) struct sf_words wanted = SF_WORDS_INIT, nearest = SF_WORDS_INIT;
        int r;

        if ((r = split_lines(layer->key.text, &wanted, err)) < 0 ||
            (r = nearest_key(plan, layer, &wanted, &nearest, err)) < 0)
                return r;
        if (nearest.count == 0)
                return sf_buffer_puts(ret, "never built here", err);
        for (size_t i = 0; i < wanted.count; i++) {
                const char *line = wanted.items[i];
                size_t kind = strcspn(line, " ");

                if (has_line(&nearest, line))
                        continue;
                /* Its counterpart is a line of the same kind that is gone. */
                for (size_t j = 0; j < nearest.count; j++)
                        if (strncmp(nearest.items[j], line, kind + 1) == 0 && !has_line(&wanted, nearest.items[j])) {
                                show_difference(line, nearest.items[j], ret);
                                return 0;
                        }
                return sf_buffer_printf(ret, err, "\"%.*s\" is new", SHOWN_MAX, line);
        }
        for (size_t j = 0; j < nearest.count; j++)
                if (!has_line(&wanted, nearest.items[j]))
                        return sf_buffer_printf(ret, err, "\"%.*s\" is gone", SHOWN_MAX, nearest.items[j]);
        return sf_buffer_puts(ret, "the order of its key's lines changed", err);
}
