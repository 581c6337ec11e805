/* delta/fields.h - the fields of an old file that change when nothing but places changed: references, and a few numbers.
 *
 * Found by walking the structures that linkers and compilers write (gABI chapters 4 and 5, LSB .eh_frame, the x86-64
 * psABI) and, in x86-64 code, by measuring instructions. A field that is missed or imagined costs bytes, never
 * correctness: both ends find the same fields in the same old bytes.
 */
#ifndef SF_DELTA_FIELDS_H
#define SF_DELTA_FIELDS_H

#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "delta/image.h"

/* How a field's value follows from what it refers to. `place` is the address of the field, `target` and `base` are
 * positions; in the two forms with a base, that is where the base or the start of the range went. */
enum sf_field_form {
        SF_FORM_RELATIVE, /* address(target) - (place + bias) */
        SF_FORM_TABLE,    /* address(target) - address(base) */
        SF_FORM_ADDRESS,  /* address(target) */
        SF_FORM_POSITION, /* target */
        SF_FORM_INDEX,    /* (target - base) / scale */
        SF_FORM_SIZE,     /* target + 1 - base: target is the last byte of the range */
        SF_FORM_BACK,     /* position of the field - target */
        SF_FORM_NUMBER,   /* no reference: changes as other numbers do (delta/numbers.h) */
        SF_FORM_SIBLING,  /* the old value plus what the field `bias` bytes before was moved by */
};

/* Where fields come from; each has its own statistics. */
enum sf_field_kind {
        SF_FIELD_CALL, SF_FIELD_JUMP, SF_FIELD_BRANCH, SF_FIELD_MEMORY, SF_FIELD_SWITCH, SF_FIELD_UNWIND,
        SF_FIELD_UNWIND_INDEX, SF_FIELD_RELOCATION, SF_FIELD_SYMBOL, SF_FIELD_DYNAMIC, SF_FIELD_POINTER,
        SF_FIELD_NAME, SF_FIELD_EXTENT, SF_FIELD_HEADER, SF_FIELD_SHORT, SF_FIELD_NUMBERS,
        SF_FIELD_IMMEDIATE = SF_FIELD_NUMBERS, SF_FIELD_OFFSET, SF_FIELD_NEAR_OFFSET, SF_FIELD_KINDS
};

struct sf_field {
        uint32_t position; /* of the field in its file */
        uint32_t target;   /* index into targets; nothing for a number */
        uint32_t base;     /* index into targets; only for the forms that have one */
        uint8_t form, kind;
        uint8_t width;     /* 1, 4 or 8 bytes */
        uint8_t bias;      /* RELATIVE, SIBLING: bytes; INDEX: the scale */
};

struct sf_fields {
        struct sf_field *fields; /* owned; ascending, not overlapping */
        size_t count;
        uint64_t *targets;       /* owned; positions, ascending, each once */
        size_t target_count;
};

/* Bytes a file of this size may need for its fields, at most; those above are not recorded. */
uint64_t sf_fields_memory(uint64_t size);
/* And those it takes on top while they are looked for. */
uint64_t sf_fields_scratch(uint64_t size);
/* `image` is that of `data`. A file that is no ELF file has no fields. Only fails without memory. */
int sf_fields_find(const uint8_t *data, uint64_t size, const struct sf_image *image, struct sf_fields *ret,
                   struct sf_error *err);
/* The index of the first field at or behind a position; count where there is none. */
size_t sf_fields_first(const struct sf_fields *fields, uint64_t position);
void sf_fields_free(struct sf_fields *fields);

#endif
