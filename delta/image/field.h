/* SPDX-License-Identifier: Apache-2.0 */
/* delta/image/field.h - one field of a file that changes when nothing but places changed: a reference, or a number
 * beside them. address_fields.h finds all of a file. */
#ifndef SF_DELTA_IMAGE_FIELD_H
#define SF_DELTA_IMAGE_FIELD_H

#include <stdint.h>

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
        SF_FORM_NUMBER,   /* no reference: changes as other numbers do (delta/predict/operand_history.h) */
        SF_FORM_SIBLING,  /* the old value plus what the field `bias` bytes before was moved by */
        SF_FORM_OPERAND,  /* operand of an arm64 instruction: `bias` is its layout (delta/image/a64.h) */
        SF_FORM_ANCHORED, /* the same, address(target) - address(base) */
        SF_FORM_CASE,     /* (target - base) / scale with its sign: an entry of a jump table in arm64 code */
        SF_FORM_ADVANCE,  /* DW_CFA_advance_loc: (target - base) / scale in its lower 6 bits, 1 in the others */
};

/* Where fields come from; each has its own statistics. */
enum sf_field_kind {
        SF_FIELD_CALL,
        SF_FIELD_JUMP,
        SF_FIELD_BRANCH,
        SF_FIELD_MEMORY,
        SF_FIELD_SWITCH,
        SF_FIELD_UNWIND,
        SF_FIELD_UNWIND_INDEX,
        SF_FIELD_RELOCATION,
        SF_FIELD_SYMBOL,
        SF_FIELD_DYNAMIC,
        SF_FIELD_POINTER,
        SF_FIELD_NAME,
        SF_FIELD_EXTENT,
        SF_FIELD_HEADER,
        SF_FIELD_ANCHORED, /* of arm64 code: an offset from an address that the code has loaded */
        SF_FIELD_ADVANCE,  /* for arm64: how far call frame instructions are from each other */
        SF_FIELD_SHORT,
        SF_FIELD_NUMBERS,
        SF_FIELD_IMMEDIATE = SF_FIELD_NUMBERS,
        SF_FIELD_OFFSET,
        SF_FIELD_NEAR_OFFSET,
        SF_FIELD_KINDS,
        SF_FIELD_LOW = SF_FIELD_SHORT, /* of arm64 code, which has no distances of 8 bits: an address within its page */
};

struct sf_field {
        uint32_t position; /* of the field in its file */
        uint32_t target;   /* index into targets; nothing for a number */
        uint32_t base;     /* index into targets; only for the forms that have one */
        uint8_t form, kind;
        uint8_t width; /* 1, 2, 4 or 8 bytes */
        /* RELATIVE, SIBLING: bytes; INDEX, CASE, ADVANCE: the scale; OPERAND, ANCHORED, NUMBER: the layout, 0 = all of
         * it */
        uint8_t bias;
};

#endif
