/* delta/texts.c - see texts.h. */
#include "delta/texts.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"

#define TEXT_MIN 2 /* characters; shorter ones are everywhere */
#define TEXT_MAX 4096

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

uint64_t sf_texts_memory(uint64_t size)
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

/* The first string with that text + 1; 0 where there is none. *ret_cell: where it is or would be. */
static uint32_t find_text(const struct texts *t, const uint8_t *text, size_t len, size_t *ret_cell)
{
        size_t cell = hash_text(text, len) & t->mask;

        while (t->starts[cell] && !same_text(t, t->starts[cell] - 1, text, len))
                cell = (cell + 1) & t->mask;
        *ret_cell = cell;
        return t->starts[cell];
}

static void index_texts(struct texts *t)
{
        size_t cell;

        for (uint64_t at = 0; at < t->size;) {
                size_t len = text_length(t->bytes, t->size, at);

                if (len && !find_text(t, t->bytes + at, len, &cell))
                        t->starts[cell] = (uint32_t)at + 1;
                at += strnlen((const char *)t->bytes + at, t->size - at) + 1;
        }
}

/* Where the string around position `at` of an old file starts: behind the last zero. */
static uint64_t start_of(const uint8_t *data, uint64_t first, uint64_t at)
{
        uint64_t least = at - first < TEXT_MAX ? first : at - TEXT_MAX;

        while (at > least && data[at - 1])
                at--;
        return at;
}

static void tell_target(const struct texts *t, uint64_t new_start, struct sf_predictor *p, const struct sf_range *old,
                        uint64_t target)
{
        uint64_t end = old->position + old->size, start = start_of(p->data, old->position, target);
        enum sf_map_quality quality;
        size_t len = text_length(p->data, end, start), cell;
        uint64_t mapped = sf_map_position(&p->map, start, &quality) - new_start;

        /* Equal texts are told apart by the map alone. */
        if (!len || (quality == SF_MAP_EXACT && mapped < t->size && same_text(t, mapped, p->data + start, len)))
                return;
        uint32_t found = find_text(t, p->data + start, len, &cell);
        if (found)
                sf_predict_told(p, target, new_start + found - 1 + (target - start));
}

int sf_texts_tell(const uint8_t *out, enum sf_table table, const struct sf_range *range,
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
                const struct sf_range *old = &p->layout.tables[table];

                for (size_t k = 0; k < p->fields.target_count; k++)
                        if (p->fields.targets[k] - old->position < old->size)
                                tell_target(&t, range->position, p, old, p->fields.targets[k]);
        }
        return 0;
}
