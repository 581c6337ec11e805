/* SPDX-License-Identifier: Apache-2.0 */
/* rpath/relocate.c - see relocate.h. */
#include "rpath/relocate.h"

#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"

int sf_relocate_find(const void *data, size_t len, const char *placeholder, uint64_t **ret_offsets, size_t *ret_count,
                     struct sf_error *err)
{
        const uint8_t *start = data, *end = start + len;
        size_t needle = strlen(placeholder), count = 0, room = 0;
        _cleanup_free_ uint64_t *offsets = NULL;

        if (needle == 0)
                return sf_error_set(err, SF_ERR_USAGE, "an empty placeholder can not be searched for");
        for (const uint8_t *at = start; at && (at = memmem(at, (size_t)(end - at), placeholder, needle));
             at += needle) {
                if (count == room) {
                        room = room ? room * 2 : 8;
                        uint64_t *more = reallocarray(offsets, room, sizeof *more);
                        if (!more)
                                return sf_error_set(err, SF_ERR_NOMEM, "no memory for a relocation map");
                        offsets = more;
                }
                offsets[count++] = (uint64_t)(at - start);
        }
        *ret_offsets = sf_steal_pointer(offsets);
        *ret_count = count;
        return 0;
}

/* A set of 8-byte windows: open addressing, at most half full, 0 = free (the placeholder holds no NUL). */
struct windows {
        uint64_t *slots;
        size_t mask;
};

#define WINDOW           8u
#define UNIQUE_COMPONENT 32u

static size_t slot_of(const struct windows *set, uint64_t window)
{
        return (size_t)((window * UINT64_C(0x9e3779b97f4a7c15)) >> 32) & set->mask;
}

static bool holds_window(const struct windows *set, uint64_t window)
{
        for (size_t i = slot_of(set, window); set->slots[i]; i = (i + 1) & set->mask)
                if (set->slots[i] == window)
                        return true;
        return false;
}

static bool fill_windows(struct windows *set, const char *text, size_t len)
{
        size_t room = 64;

        while (room < 4 * len)
                room *= 2;
        set->mask = room - 1;
        set->slots = calloc(room, sizeof *set->slots);
        for (size_t i = 0; set->slots && i + WINDOW <= len; i++) {
                uint64_t window;
                memcpy(&window, text + i, sizeof window);
                size_t slot = slot_of(set, window);
                while (set->slots[slot] && set->slots[slot] != window)
                        slot = (slot + 1) & set->mask;
                set->slots[slot] = window;
        }
        return set->slots != NULL;
}

/* From the first long component on; the end of the string where there is none. */
static const char *unique_part(const char *placeholder)
{
        const char *part = placeholder;

        while (*part) {
                size_t len = strcspn(part, "/");
                if (len >= UNIQUE_COMPONENT)
                        return part;
                part += len + (part[len] == '/');
        }
        return part;
}

int sf_relocate_find_fragment(const void *data, size_t len, const char *placeholder, const uint64_t *offsets,
                              size_t count, uint64_t *ret_offset)
{
        const uint8_t *bytes = data;
        const char *unique = unique_part(placeholder);
        size_t whole = strlen(placeholder), next = 0;
        struct windows set;

        if (strlen(unique) < WINDOW)
                return 0;
        if (!fill_windows(&set, unique, strlen(unique)))
                return SF_ERR_NOMEM;
        int found = 0;
        for (size_t i = 0; !found && i + WINDOW <= len; i++) {
                uint64_t window;
                memcpy(&window, bytes + i, sizeof window);
                if (!holds_window(&set, window))
                        continue;
                while (next < count && offsets[next] + whole <= i)
                        next++;
                if (next < count && i >= offsets[next] && i + WINDOW <= offsets[next] + whole)
                        continue;
                *ret_offset = i;
                found = 1;
        }
        free(set.slots);
        return found;
}

int sf_relocate_pad(const char *prefix, size_t length, char *out, struct sf_error *err)
{
        size_t len = strlen(prefix);

        if (len > length)
                return sf_error_set(err, SF_ERR_NO_FIT, "prefix %s has %zu bytes, the release has room for %zu", prefix,
                                    len, length);
        memcpy(out, prefix, len);
        memset(out + len, '/', length - len);
        out[length] = '\0';
        return 0;
}

/* Sizes and positions are unsigned and wrap: a shorter string is a difference that wraps around. */
uint64_t sf_relocated_size(const struct sf_relocation *relocation, uint64_t canonical_size)
{
        return canonical_size + relocation->count * ((uint64_t)relocation->to_len - relocation->from_len);
}

void sf_relocator_start(struct sf_relocator *r, const struct sf_relocation *relocation, bool inverse)
{
        *r = (struct sf_relocator){ .relocation = relocation, .inverse = inverse };
}

/* Where the next occurrence starts in the bytes that are fed. */
static uint64_t occurrence_start(const struct sf_relocator *r)
{
        const struct sf_relocation *relocation = r->relocation;
        uint64_t growth = (uint64_t)relocation->to_len - relocation->from_len;

        return relocation->offsets[r->next] + (r->inverse ? r->next * growth : 0);
}

/* Checks up to len bytes of the current occurrence; when it is complete, its replacement comes out. */
static int feed_occurrence(struct sf_relocator *r, const char *name, const uint8_t *bytes, size_t *len,
                           struct sf_buffer *ret, struct sf_error *err)
{
        const struct sf_relocation *relocation = r->relocation;
        const char *expected = r->inverse ? relocation->to : relocation->from;
        size_t expected_len = r->inverse ? relocation->to_len : relocation->from_len;
        size_t count = expected_len - r->matched < *len ? expected_len - r->matched : *len;

        if (memcmp(bytes, expected + r->matched, count) != 0)
                return sf_error_set(err, SF_ERR_CORRUPT, "%s: the prefix that should stand at byte %llu does not", name,
                                    (unsigned long long)occurrence_start(r));
        *len = count;
        r->matched += count;
        r->position += count;
        if (r->matched < expected_len)
                return 0;
        r->matched = 0;
        r->next++;
        return sf_buffer_append(ret, r->inverse ? relocation->from : relocation->to,
                                r->inverse ? relocation->from_len : relocation->to_len, err);
}

int sf_relocator_feed(struct sf_relocator *r, const char *name, const void *bytes, size_t len, struct sf_buffer *ret,
                      struct sf_error *err)
{
        const uint8_t *at = bytes;

        for (size_t step; len; at += step, len -= step) {
                uint64_t before = r->next < r->relocation->count ? occurrence_start(r) + r->matched - r->position
                                                                 : UINT64_MAX;
                int result;
                step = len;
                if (before == 0) {
                        result = feed_occurrence(r, name, at, &step, ret, err);
                } else {
                        if (before < step)
                                step = (size_t)before;
                        r->position += step;
                        result = sf_buffer_append(ret, at, step, err);
                }
                if (result < 0)
                        return result;
        }
        return 0;
}

int sf_relocator_finish(const struct sf_relocator *r, const char *name, struct sf_error *err)
{
        if (r->next == r->relocation->count)
                return 0;
        return sf_error_set(err, SF_ERR_CORRUPT,
                            "%s: ends at byte %llu, before the prefix that should stand at byte %llu", name,
                            (unsigned long long)r->position, (unsigned long long)occurrence_start(r));
}

int sf_relocate_in_place(uint8_t *data, size_t len, const char *name, const struct sf_relocation *relocation,
                         bool inverse, struct sf_error *err)
{
        const char *before = inverse ? relocation->to : relocation->from;
        const char *after = inverse ? relocation->from : relocation->to;
        size_t size = relocation->from_len;

        if (relocation->to_len != size)
                return sf_error_set(err, SF_ERR_NO_FIT, "%s: %zu bytes can not be replaced in place by %zu", name, size,
                                    relocation->to_len);
        for (size_t i = 0; i < relocation->count; i++) {
                uint64_t at = relocation->offsets[i];
                if (at > len || size > len - at || memcmp(data + at, before, size) != 0)
                        return sf_error_set(err, SF_ERR_CORRUPT,
                                            "%s: the prefix that should stand at byte %llu does not", name,
                                            (unsigned long long)at);
        }
        for (size_t i = 0; i < relocation->count; i++)
                memcpy(data + relocation->offsets[i], after, size);
        return 0;
}
