/* delta/collect.h - what the finders of fields (fields.c, code.c, unwind.c) share: the file, its sections, and the list
 * that grows. Private to them.
 */
#ifndef SF_DELTA_COLLECT_H
#define SF_DELTA_COLLECT_H

#include <stdbool.h>

#include "delta/fields.h"
#include "delta/sections.h"

/* A field before targets are numbered. */
struct sf_raw_field {
        uint64_t target, base;
        uint32_t position;
        uint8_t form, kind, width, bias;
};

struct sf_collector {
        const uint8_t *data;
        uint64_t size;
        const struct sf_image *image;
        struct sf_sections sections;
        struct sf_raw_field *raw;  /* owned */
        size_t raw_count, raw_room, raw_max;
        int failure;               /* SF_ERR_NOMEM once memory ran out */
};

/* True where `len` bytes at `position` lie inside the file. */
static inline bool sf_collect_inside(const struct sf_collector *c, uint64_t position, uint64_t len)
{
        return position <= c->size && len <= c->size - position;
}

/* The room of a list that has grown out of `room`: raw_max at most, unless that is next to nothing. */
size_t sf_collect_room(const struct sf_collector *c, size_t room);
/* Each records one field; ignored where it does not lie inside the file. */
void sf_collect_add(struct sf_collector *c, struct sf_raw_field field);
/* A field whose value refers to an address; ignored where no segment holds that. */
void sf_collect_address(struct sf_collector *c, uint64_t position, uint8_t form, uint8_t kind, uint8_t width,
                        uint8_t bias, uint64_t address, uint64_t base);

/* An operand of an instruction that is no reference. */
void sf_collect_number(struct sf_collector *c, uint64_t position, uint8_t kind, uint8_t width);

/* The finders. */
void sf_collect_code(struct sf_collector *c);   /* instructions, jump tables */
void sf_collect_unwind(struct sf_collector *c); /* .eh_frame and its index */
void sf_collect_tables(struct sf_collector *c); /* headers, symbols, relocations, dynamic section, hash, versions */

#endif
