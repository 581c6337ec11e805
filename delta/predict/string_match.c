/* SPDX-License-Identifier: Apache-2.0 */
/* delta/predict/string_match.c - see string_match.h. */
#include "delta/predict/string_match.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"

#define TEXT_MIN   2 /* characters; shorter ones are everywhere */
#define TEXT_MAX   4096
#define PROBES_MAX 128 /* texts of one hash that are told apart: what it takes to find one is bounded */

/* The strings of a range: where each starts, by hash of its text. */
struct texts {
        const uint8_t *bytes;
        uint64_t size;
        uint32_t *starts; /* owned; offset + 1 */
        size_t mask;
};

static void cleanup_texts(struct texts *t)
{
        free(t->starts);
}

static size_t table_size(uint64_t bytes)
{
        size_t size = 16;

        while (size < bytes / TEXT_MIN)
                size *= 2;
        return size;
}

uint64_t sf_string_match_memory(uint64_t size)
{
        return table_size(size) * sizeof(uint32_t);
}

/* Length of the text at an offset; 0 where it is too short, too long or not ended. */
static size_t text_length(const uint8_t *bytes, uint64_t size, uint64_t at)
{
        size_t most = size - at < TEXT_MAX ? (size_t)(size - at) : TEXT_MAX;
        size_t len = strnlen((const char *)bytes + at, most);

        return len < most && len >= TEXT_MIN ? len : 0;
}

static uint32_t hash_text(const uint8_t *text, size_t len)
{
        uint32_t h = 2166136261u;

        while (len--)
                h = (h ^ *text++) * 16777619u;
        return h ^ h >> 15;
}

static bool same_text(const struct texts *t, uint64_t at, const uint8_t *text, size_t len)
{
        return len < t->size - at && memcmp(t->bytes + at, text, len) == 0 && !t->bytes[at + len];
}

/* The cell of that text: empty, or with the first string that has it. NULL where the text cannot be kept. */
static uint32_t *find_text(const struct texts *t, const uint8_t *text, size_t len)
{
        size_t cell = hash_text(text, len) & t->mask;

        for (unsigned i = 0; i <= PROBES_MAX; i++, cell = (cell + 1) & t->mask)
                if (!t->starts[cell] || same_text(t, t->starts[cell] - 1, text, len))
                        return &t->starts[cell];
        return NULL;
}

static void index_texts(struct texts *t)
{
        for (uint64_t at = 0; at < t->size;) {
                size_t len = text_length(t->bytes, t->size, at);
                uint32_t *cell = len ? find_text(t, t->bytes + at, len) : NULL;

                if (cell && !*cell)
                        *cell = (uint32_t)at + 1;
                at += strnlen((const char *)t->bytes + at, t->size - at) + 1;
        }
}

/* The string of an old file around the last target. Targets ascend, so that no byte is looked at twice. */
struct old_text {
        uint64_t at, start; /* the target, and where its string starts: behind the last zero */
        uint32_t found;     /* the string in the new file that has its text + 1, 0 = none */
};

/* Where in the new table the old string at `start` is to be found + 1; 0 where its text does not tell. */
static uint32_t find_new(const struct texts *t, uint64_t new_start, const struct sf_predictor *p,
                         const struct sf_table_extent *old, uint64_t start)
{
        size_t len = text_length(p->data, old->position + old->size, start);
        enum sf_map_quality quality;
        uint64_t mapped = sf_map_position(&p->map, start, &quality) - new_start;

        /* Equal texts are told apart by the map alone. */
        if (!len || (quality == SF_MAP_EXACT && mapped < t->size && same_text(t, mapped, p->data + start, len)))
                return 0;
        const uint32_t *cell = find_text(t, p->data + start, len);
        return cell ? *cell : 0;
}

static void tell_target(const struct texts *t, uint64_t new_start, struct sf_predictor *p,
                        const struct sf_table_extent *old, struct old_text *s, uint64_t target)
{
        uint64_t start = target, seen = s->start == UINT64_MAX ? old->position : s->at;

        while (start > seen && p->data[start - 1])
                start--;
        if (start > seen || s->start == UINT64_MAX) {
                s->start = start;
                s->found = find_new(t, new_start, p, old, start);
        }
        s->at = target;
        if (s->found)
                sf_predict_told(p, target, new_start + s->found - 1 + (target - s->start));
}

int sf_string_match_tell(const uint8_t *out, enum sf_table table, const struct sf_table_extent *range,
                         struct sf_predictor *predictors, size_t count, struct sf_error *err)
{
        _cleanup_(cleanup_texts) struct texts t = { .bytes = out + range->position, .size = range->size };

        if (!range->size || range->size > UINT32_MAX - 1)
                return 0;
        t.mask = table_size(range->size) - 1;
        t.starts = calloc(t.mask + 1, sizeof *t.starts);
        if (!t.starts)
                return sf_error_set(err, SF_ERR_NOMEM, "no memory for the strings of a file");
        index_texts(&t);
        for (size_t i = 0; i < count; i++) {
                struct sf_predictor *p = &predictors[i];
                const struct sf_table_extent *old = &p->layout.tables[table];
                struct old_text string = { .start = UINT64_MAX };

                for (size_t k = 0; k < p->fields.target_count; k++)
                        if (p->fields.targets[k] - old->position < old->size)
                                tell_target(&t, range->position, p, old, &string, p->fields.targets[k]);
        }
        return 0;
}
