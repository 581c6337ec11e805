/* SPDX-License-Identifier: Apache-2.0 */
/* delta/codec/literal_a64.c - see literal_a64.h. Encodings: Arm Architecture Reference Manual (DDI 0487), C4.1. */
#include "delta/codec/literal_a64.h"

#include <string.h>

#include "delta/image/a64.h"

#define PARTS_MAX       6
#define LOOK_BACK       64 /* instructions in front of a run that are followed */
#define CALLER_SAVED    19
#define LINK_REGISTER   30
#define TRUST_CORRECTED 15  /* above what a matcher reports */
#define NOTHING         256 /* no part of a word has this value */

/* Words by what they are made of: told by the highest byte alone. */
enum sort { SORT_FAR, SORT_NEAR, SORT_TEST, SORT_PAGE, SORT_OFFSET, SORT_WIDE, SORT_PAIR, SORT_OTHER, SORTS };

/* The parts of a word behind its highest byte: where in the word taken apart (sf_a64_split) they lie, and their role: 0
 * what the instruction is, 1 a register, 2 a number, 3 and 4 the upper and the lower bits of an address. */
static const struct part {
        uint8_t shift, bits, role;
} parts[SORTS][PARTS_MAX] = {
        [SORT_FAR] = { { 24, 2, 3 }, { 16, 8, 3 }, { 8, 8, 4 }, { 0, 8, 4 } },
        [SORT_NEAR] = { { 19, 5, 1 }, { 16, 3, 3 }, { 8, 8, 3 }, { 0, 8, 4 } },
        [SORT_TEST] = { { 19, 5, 2 }, { 14, 5, 1 }, { 8, 6, 3 }, { 0, 8, 4 } },
        [SORT_PAGE] = { { 21, 5, 1 }, { 16, 5, 3 }, { 8, 8, 3 }, { 0, 8, 4 } },
        [SORT_OFFSET] = { { 22, 2, 0 }, { 5, 5, 1 }, { 0, 5, 1 }, { 16, 6, 2 }, { 10, 6, 2 } },
        [SORT_WIDE] = { { 21, 3, 0 }, { 0, 5, 1 }, { 13, 8, 2 }, { 5, 8, 2 } },
        [SORT_PAIR] = { { 22, 2, 0 }, { 5, 5, 1 }, { 0, 5, 1 }, { 10, 5, 1 }, { 15, 7, 2 } },
        [SORT_OTHER] = { { 21, 3, 0 }, { 10, 6, 0 }, { 16, 5, 1 }, { 5, 5, 1 }, { 0, 5, 1 } },
};

static enum sort sort_of(uint8_t top)
{
        if ((top & 0x7c) == 0x14)
                return SORT_FAR;
        if (top == 0x54 || (top & 0x7e) == 0x34 || (top & 0x3b) == 0x18)
                return SORT_NEAR;
        if ((top & 0x7e) == 0x36)
                return SORT_TEST;
        if ((top & 0x1f) == 0x10)
                return SORT_PAGE;
        if ((top & 0x1f) == 0x11 || (top & 0x3b) == 0x39)
                return SORT_OFFSET;
        if ((top & 0x1f) == 0x12)
                return SORT_WIDE;
        return (top & 0x3a) == 0x28 ? SORT_PAIR : SORT_OTHER;
}

/* The highest byte without bits of an operand. */
static uint8_t top_of(uint32_t word)
{
        uint8_t top = (uint8_t)(word >> 24);
        enum sort sort = sort_of(top);

        return sort == SORT_FAR ? top & 0xfc : sort == SORT_PAGE ? top & 0x9f : top;
}

static enum sf_a64_layout layout_of(uint8_t top)
{
        static const enum sf_a64_layout layouts[SORTS] = { [SORT_FAR] = SF_A64_BRANCH26,
                                                           [SORT_NEAR] = SF_A64_BRANCH19,
                                                           [SORT_TEST] = SF_A64_BRANCH14,
                                                           [SORT_PAGE] = SF_A64_PAGE };
        return layouts[sort_of(top)];
}

/* True for BL and ADRP: the operand is coded as the address it refers to. */
static bool is_absolute(uint8_t top)
{
        return top == 0x94 || top == 0x90;
}

/* A word taken apart, its operand an address where it is coded as one. */
struct word {
        bool known;
        uint8_t top;
        uint32_t value;
};

static uint32_t mask_of(uint8_t top)
{
        enum sf_a64_layout layout = layout_of(top);

        return layout == SF_A64_NONE ? 0 : (1u << sf_a64_bits(layout)) - 1;
}

/* An address in the units of BL or ADRP. */
static uint32_t in_units(uint8_t top, uint64_t address)
{
        return (uint32_t)(address >> (top == 0x94 ? 2 : 12));
}

static void set_operand(struct word *w, uint32_t operand)
{
        w->value = (w->value & ~mask_of(w->top)) | (operand & mask_of(w->top));
}

static struct word take_apart(uint32_t word, uint64_t place)
{
        struct word w = { .known = true, .top = top_of(word) };

        w.value = sf_a64_split(layout_of(w.top), word);
        if (is_absolute(w.top))
                set_operand(&w, w.value + in_units(w.top, place));
        return w;
}

static uint32_t put_together(struct word w, uint64_t place)
{
        if (is_absolute(w.top))
                set_operand(&w, w.value - in_units(w.top, place));
        return sf_a64_join(layout_of(w.top), w.value);
}

/* The word with the operand for another target, where that is coded as it is referred to. */
static void refer_to(struct word *w, uint64_t target)
{
        if (is_absolute(w->top)) {
                set_operand(w, in_units(w->top, target));
        } else if (sort_of(w->top) == SORT_OFFSET) {
                struct sf_a64_insn insn;

                sf_a64_decode(w->value, &insn);
                w->value = (w->value & ~0x3ffc00u) | (uint32_t)(target & 0xfff) >> insn.scale << 10;
        }
}

/* What part `i` of a word is, NOTHING where the word has other parts. Part 0 is the highest byte. */
static uint32_t part_of(const struct word *w, enum sort sort, unsigned i)
{
        if (!w->known)
                return NOTHING;
        if (i == 0)
                return w->top;
        const struct part *p = &parts[sort][i - 1];
        return sort_of(w->top) == sort ? w->value >> p->shift & ((1u << p->bits) - 1) : NOTHING;
}

/* --- following -------------------------------------------------------------------------------------------------- */

static void note(struct sf_a64_follower *f, struct word w, uint32_t word, uint64_t place)
{
        struct sf_a64_insn insn;
        enum sort sort = sort_of(w.top);

        sf_a64_decode(word, &insn);
        f->before[2] = f->before[1];
        f->before[1] = f->before[0];
        f->before[0] = sf_hash(w.top, sort == SORT_OTHER    ? word >> 10 & 0x383f
                                      : sort == SORT_OFFSET ? word >> 22 & 3
                                                            : 0);
        f->entire[1] = f->entire[0];
        f->entire[0] = sf_hash(w.value & ~mask_of(w.top), w.top);
        f->registers = (uint8_t)((word & 31) | (sort == SORT_OTHER || sort == SORT_OFFSET ? word >> 5 & 7 : 0) << 5);
        if (insn.kind == SF_A64_BRANCH || insn.kind == SF_A64_JUMP)
                f->branch = sf_a64_target(insn.layout, 0, place, w.value & mask_of(w.top), 0, false);
        if (insn.kind == SF_A64_CALL)
                f->called = w.value & mask_of(w.top);
        for (size_t i = 0; i < SF_A64_REGISTERS && (insn.kind == SF_A64_CALL || insn.kind == SF_A64_INDIRECT); i++)
                if (i < CALLER_SAVED || i == LINK_REGISTER)
                        f->pages[i] = 0;
        if (insn.kind == SF_A64_LEAVE)
                memset(f->pages, 0, sizeof f->pages);
        if (insn.written < SF_A64_REGISTERS)
                f->pages[insn.written] = insn.kind == SF_A64_PAGED ? (w.value & mask_of(w.top)) + 1 : 0;
}

bool sf_a64_is_word(const struct sf_image *image, uint64_t at, uint64_t left)
{
        uint64_t end;

        return image->a64_words && at % 4 == 0 && left >= 4 && sf_image_is_code(image, at, &end) && end - at >= 4;
}

void sf_a64_follow(struct sf_a64_follower *f, const struct sf_image *image, const uint8_t *out, uint64_t at)
{
        uint64_t start = at > 4 * LOOK_BACK ? at - 4 * LOOK_BACK : at % 4;

        *f = (struct sf_a64_follower){ 0 };
        for (; start < at; start += 4) {
                uint64_t place = sf_image_address(image, start);
                uint32_t word = sf_get32(out + start);

                note(f, take_apart(word, place), word, place);
        }
}

/* --- what is expected ------------------------------------------------------------------------------------------- */

/* The old word at a position as it would be at `place` of the new file. */
static struct word from_old(const struct sf_predictor *p, uint64_t position, const struct sf_image *image)
{
        uint64_t target;
        struct word w = take_apart(sf_get32(p->data + position), sf_image_address(&p->image, position));

        if (sf_predict_reference(p, image, position, &target))
                refer_to(&w, target);
        return w;
}

/* The word that the matcher follows. */
static struct word from_matcher(const struct sf_literal_run *run, uint64_t at)
{
        const struct sf_matcher *m = run->matcher;

        if (!m->source || (m->at ^ at) & 3)
                return (struct word){ 0 };
        if (m->source == run->out)
                return m->at + 4 > at ? (struct word){ 0 }
                                      : take_apart(sf_get32(run->out + m->at), sf_image_address(run->image, m->at));
        return m->at + 4 > m->old_size || !run->predictor ? (struct word){ 0 }
                                                          : from_old(run->predictor, m->at, run->image);
}

/* The word that stood here, where that is in the predictor's file. */
static struct word from_there(const struct sf_literal_run *run, uint64_t at)
{
        uint64_t i = at - run->position, position;

        if (!run->old || run->foreign || i + 4 > run->old_length)
                return (struct word){ 0 };
        position = (uint64_t)(run->old - run->predictor->data) + i;
        return position & 3 ? (struct word){ 0 } : from_old(run->predictor, position, run->image);
}

/* --- coding ----------------------------------------------------------------------------------------------------- */

/* One word while it is coded. */
struct coding {
        struct sf_literals *literals;
        const struct sf_a64_follower *follower;
        struct word expected, there;
        bool as_expected, as_there; /* so far */
        uint32_t trust, so_far;
        uint64_t place;
        enum sort sort;
        struct word word;
};

/* What the part says beyond what all share: for an address what was referred to last, else registers. */
static uint32_t special(const struct coding *c, unsigned i)
{
        const struct sf_a64_follower *f = c->follower;
        uint32_t base = c->word.value >> 5 & 31;

        if (i == 0)
                return sf_hash(f->before[2], f->before[1]);
        switch (c->sort) {
        case SORT_FAR:
                return c->word.top == 0x94 ? f->called : (uint32_t)(f->branch - c->place);
        case SORT_NEAR:
        case SORT_TEST:
                return (uint32_t)(f->branch - c->place);
        case SORT_OFFSET:
                return i > 2 && f->pages[base] ? f->pages[base] : f->registers;
        default:
                return f->registers;
        }
}

static uint32_t code_part(struct coding *c, unsigned i, uint32_t value)
{
        const struct sf_a64_follower *f = c->follower;
        struct sf_literals *l = c->literals;
        uint32_t expected = part_of(&c->expected, c->sort, i), there = part_of(&c->there, c->sort, i);
        uint32_t id = i == 0 ? 0 : 1 + (uint32_t)c->sort * PARTS_MAX + i, top = i == 0 ? 0 : c->word.top;
        unsigned role = i == 0 ? 0 : parts[c->sort][i - 1].role;
        unsigned state = expected == NOTHING ? 0 : c->as_expected ? 1 : 2;
        uint32_t extra = special(c, i);
        uint32_t contexts[SF_A64_CONTEXTS] = {
                sf_hash(61, c->so_far),
                sf_hash(sf_hash(62, c->so_far), f->entire[0]),
                sf_hash(sf_hash(sf_hash(63, c->so_far), f->entire[0]), f->entire[1]),
                sf_hash(sf_hash(sf_hash(65, c->so_far), f->before[0]), f->before[1]),
                sf_hash(sf_hash(sf_hash(66, id), expected | c->trust << 9), state),
                sf_hash(sf_hash(sf_hash(67, c->so_far), expected), state),
                sf_hash(sf_hash(sf_hash(68, id), there), c->as_there),
                sf_hash(sf_hash(sf_hash(70, id), extra), top),
                sf_hash(sf_hash(sf_hash(71, id), top), f->registers & 31),
                sf_hash(sf_hash(72, id), expected | there << 9 | (uint32_t)c->as_there << 18 | state << 19),
        };

        value = sf_model_byte(l->model, &l->words, l->coder, contexts, role * 3 + state,
                              c->trust * 4 + (unsigned)c->as_there * 2 + (there != NOTHING && there == expected),
                              (uint8_t)value);
        c->as_expected &= value == expected;
        c->as_there &= value == there;
        c->so_far = sf_hash(sf_hash(c->so_far, value), id + 1);
        return value;
}

/* Codes a word in its parts. */
static uint32_t code_word(struct coding *c, const struct word *truth)
{
        c->word.top = top_of((uint32_t)code_part(c, 0, truth->top) << 24);
        c->sort = sort_of(c->word.top);
        c->word.value = sf_a64_split(layout_of(c->word.top), (uint32_t)c->word.top << 24);
        for (unsigned i = 0; i < PARTS_MAX - 1 && parts[c->sort][i].bits; i++) {
                const struct part *p = &parts[c->sort][i];
                uint32_t most = (1u << p->bits) - 1;

                c->word.value |= (code_part(c, i + 1, truth->value >> p->shift & most) & most) << p->shift;
        }
        return put_together(c->word, c->place);
}

void sf_a64_correct(struct sf_literals *l, const struct sf_a64_correction *correction, const struct sf_image *image,
                    uint8_t *out, const uint8_t *truth, uint64_t at)
{
        struct sf_a64_follower f;
        struct coding c = { .literals = l,
                            .follower = &f,
                            .as_expected = true,
                            .as_there = true,
                            .trust = TRUST_CORRECTED,
                            .place = sf_image_address(image, at) };

        sf_a64_follow(&f, image, out, at);
        c.expected = take_apart(correction->expected, c.place);
        c.there = from_old(correction->predictor, correction->old, image);
        const struct word word = take_apart(truth ? sf_get32(truth + at) : 0, c.place);
        sf_put32(out + at, code_word(&c, &word));
}

void sf_a64_literal(struct sf_literals *l, const struct sf_literal_run *run, struct sf_a64_follower *f, uint64_t at)
{
        struct coding c = { .literals = l,
                            .follower = f,
                            .as_expected = true,
                            .as_there = true,
                            .trust = sf_matcher_trust(run->matcher),
                            .place = sf_image_address(run->image, at) };
        struct word truth = { 0 };

        if (run->successor)
                truth = from_old(run->predictor, at, run->successor);
        else if (run->truth)
                truth = take_apart(sf_get32(run->truth + at), c.place);
        if (!run->successor) {
                c.expected = from_matcher(run, at);
                c.there = from_there(run, at);
        }
        if (!c.expected.known)
                c.trust = 0;
        uint32_t word = code_word(&c, &truth);
        if (!run->successor)
                sf_put32(run->out + at, word);
        note(f, c.word, sf_get32(run->out + at), c.place);
        sf_matcher_follow(run->matcher, 4, c.as_expected);
}
