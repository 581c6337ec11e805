/* SPDX-License-Identifier: Apache-2.0 */
/* delta/cfi/cfi.h - which byte of .eh_frame probably comes next.
 *
 * Call frame information follows from the code, which lies in front of it in the file: nearly every byte of a frame
 * description can be predicted (delta/cfi/callframe.h works out its instructions). Here the entries of the section are
 * followed as their bytes become known, whether a copy or a literal provides them: after a wrong guess what was really
 * written counts.
 *
 * Format: Linux Standard Base, Core, "DWARF Extensions" (.eh_frame, .eh_frame_hdr); DWARF 5, 6.4; only the encoding
 * that compilers for Linux use (32-bit, relative to the field). The section is found by PT_GNU_EH_FRAME. Both ends of a
 * delta ask at the same places and get the same answers; nothing at or behind the place that is asked about is read.
 * x86-64 only: for other files nothing is ever expected. The code that is walked altogether is limited by the size of
 * the file.
 */
#ifndef SF_DELTA_CFI_CFI_H
#define SF_DELTA_CFI_CFI_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "delta/cfi/callframe.h"
#include "delta/image/image.h"
#include "delta/predict/table_layout.h"
#include "delta/image/relocated.h"

/* What sort of byte is expected. */
enum sf_cfi_place {
        SF_CFI_NOWHERE, /* not in an entry, or nothing is known about it */
        SF_CFI_LENGTH,
        SF_CFI_LENGTH_REST,
        SF_CFI_PARENT,
        SF_CFI_FIRST,
        SF_CFI_FIRST_REST,
        SF_CFI_RANGE,
        SF_CFI_RANGE_REST,
        SF_CFI_AUGMENTATION,
        SF_CFI_ADVANCE,
        SF_CFI_OPCODE,
        SF_CFI_DISTANCE,
        SF_CFI_OPERAND,
        SF_CFI_FILL,
        SF_CFI_OPAQUE,
        SF_CFI_PLACES
};

struct sf_cfi {
        const uint8_t *out; /* the new file; borrowed, as are the next three */
        const struct sf_image *image;
        const struct sf_relocated *relocated;
        const struct sf_table_layout *layout;
        uint64_t size;
        uint8_t *starts;            /* owned; see struct sf_functions */
        struct sf_callframe *frame; /* owned; of the function that the entry is about */
        uint64_t from;              /* position up to which there is nothing to be done */
        uint64_t section;           /* where .eh_frame starts; 0 until that is known */
        uint64_t budget;            /* bytes of code that may still be walked */
        uint64_t entry, entry_end;  /* positions; entry_end is 0 until its length is known */
        uint64_t parent;            /* position of the common entry of the description before */
        uint64_t after;             /* where the last function ended */
        uint64_t op;                /* the instruction that is coming */
        uint64_t location;          /* what the instructions so far advanced to, from the start of the function */
        size_t next;                /* of frame->ops */
        uint64_t asked;             /* position that `expected` was for */
        uint32_t expected;          /* byte + 1; 0: none is */
        uint32_t history;           /* recent outcomes: a bit each, 1 = wrong */
        uint32_t wrong;             /* bytes of this entry that were not as expected */
        enum sf_cfi_place place;
        bool over;             /* nothing more to come */
        bool guessed, program; /* what the entry is about; `op` and what belongs to it are valid */
        uint8_t augmentation;
};

/* Bytes of memory for a file of this size, at most. */
uint64_t sf_cfi_memory(uint64_t size);
/* The image need not be open yet; see sf_cfi_look(). */
int sf_cfi_open(struct sf_cfi *c, const uint8_t *out, uint64_t size, const struct sf_image *image,
                const struct sf_relocated *relocated, const struct sf_table_layout *layout, struct sf_error *err);
void sf_cfi_close(struct sf_cfi *c);
/* Sets expected and place for the byte at `position`, before which everything is known; positions ascend. */
void sf_cfi_look_at(struct sf_cfi *c, uint64_t position);

static inline void sf_cfi_look(struct sf_cfi *c, uint64_t position)
{
        if (position >= c->from && !c->over)
                sf_cfi_look_at(c, position);
}

#endif
