/* SPDX-License-Identifier: Apache-2.0 */
/* delta/codec/literal.c - see literal.h. */
#include "delta/codec/literal.h"

#include <elf.h>
#include <string.h>

#include "delta/codec/literal_a64.h"
#include "delta/image/x86.h"

#define BYTE_CONTEXTS   12
#define MATCH_CONTEXTS  2 /* of these, the last ones, by what the matcher expects */
#define SURROUNDINGS    6 /* of these, by the bytes around */
#define TARGET_CONTEXTS 5
#define CFI_CONTEXTS    5
#define TRUST_FORETOLD  15 /* above what a matcher reports */
#define DETAILS         512
#define RESYNC_BYTES    48 /* code before a run that is measured again to find where instructions start */

#define TRUSTS 3 /* nothing is expected, something is, it nearly always came true */

enum phase {
        PHASE_DATA,
        PHASE_HEAD,
        PHASE_TAIL,
        PHASE_CFI,
        PHASES
}; /* of an instruction: up to ModRM and SIB, and behind */

/* Follows instructions through the new file. */
struct follower {
        bool active;
        uint64_t start;          /* of the current instruction */
        struct sf_x86_insn insn; /* valid once `measured` */
        bool measured;
        uint32_t before, before2; /* hashes of the opcodes of the last two instructions */
};

/* An aligned word of data. */
struct word {
        uint64_t start, end, value;
        bool known;
};

int sf_literals_open(struct sf_literals *l, struct sf_coder *coder, struct sf_model *model, bool words,
                     struct sf_error *err)
{
        *l = (struct sf_literals){ .coder = coder, .model = model };
        int r = sf_mixer_open(&l->bytes, model, BYTE_CONTEXTS, PHASES * TRUSTS, DETAILS, err);

        if (words && r == 0)
                r = sf_mixer_open(&l->words, model, SF_A64_CONTEXTS, SF_A64_SELECTS, SF_A64_DETAILS, err);
        if (r < 0 || (r = sf_mixer_open(&l->targets, model, TARGET_CONTEXTS, 4, 1, err)) < 0)
                return r;
        return sf_mixer_open(&l->cfi, model, CFI_CONTEXTS, SF_CFI_PLACES, 1, err);
}

void sf_literals_close(struct sf_literals *l)
{
        sf_mixer_close(&l->bytes);
        sf_mixer_close(&l->targets);
        sf_mixer_close(&l->cfi);
        sf_mixer_close(&l->words);
}

/* Brings the follower to `position`: all bytes before it are known. */
static void follow(struct follower *f, const uint8_t *out, uint64_t position)
{
        while (f->active) {
                if (!f->measured)
                        f->measured = sf_x86_measure(out + f->start, position - f->start, &f->insn);
                if (!f->measured) {
                        if (position - f->start < 15)
                                return;
                        f->start++; /* no instruction is this long: try the next byte */
                        continue;
                }
                if (position - f->start < f->insn.length)
                        return;
                f->before2 = f->before;
                f->before = sf_hash(f->insn.opcode, out[f->start + f->insn.opcode]);
                if (f->insn.head > f->insn.opcode + 1)
                        f->before = sf_hash(f->before, out[f->start + f->insn.opcode + 1] & 0xf8);
                f->start += f->insn.length;
                f->measured = false;
        }
}

/* Starts following at `at`; *ret_end is how far the bytes are of the same sort. */
static void start_following(struct follower *f, const struct sf_literal_run *run, uint64_t at, uint64_t *ret_end)
{
        *f = (struct follower){ 0 };
        f->active = sf_image_is_code(run->image, at, ret_end) && run->image->machine == EM_X86_64;
        f->start = at > RESYNC_BYTES ? at - RESYNC_BYTES : 0;
}

static uint32_t hash_bytes(uint32_t hash, const uint8_t *bytes, uint64_t count)
{
        for (uint64_t i = 0; i < count; i++)
                hash = sf_hash(hash, bytes[i] + 1u);
        return hash;
}

/* The byte `back` places before position, 0 where there is none. */
static uint32_t byte_before(const uint8_t *out, uint64_t position, uint64_t back)
{
        return position >= back ? out[position - back] : 0;
}

/* The byte that a relocation predicts for position `at` + 1, 0 where none does. `word` keeps what was found. */
static uint32_t predicted_byte(const struct sf_literal_run *run, struct word *word, uint64_t at)
{
        uint64_t address = sf_image_address(run->image, at);

        if (at >= word->end) {
                word->start = at;
                word->end = at + 8 - (address & 7);
                word->known = (address & 7) == 0 && sf_relocated_word(run->relocated, run->out, address, &word->value);
        }
        return word->known ? (uint32_t)(word->value >> (8 * (at - word->start)) & 0xff) + 1 : 0;
}

/* In code: where in its instruction a byte is, and how far the matcher can be trusted; in data the byte before. */
static unsigned detail_of(const struct follower *f, uint64_t at, uint32_t trust, uint32_t before)
{
        unsigned place = (unsigned)(at - f->start) % 16;

        return f->active ? (f->measured ? 16 + place : place) + 32 * (trust < 7 ? trust : 7) : 256 + before;
}

/* How well call frame information was predicted lately. */
static uint32_t cfi_trust(const struct sf_cfi *cfi)
{
        uint32_t wrong = (uint32_t)__builtin_popcount(cfi->history);

        return cfi->expected == 0 || wrong > 3 ? 0 : wrong ? 1 : 2;
}

/* Whether the byte of call frame information that is expected comes. Told apart from what comes instead, so that all
 * bytes share what is learnt. */
static bool code_is_expected(struct sf_literals *l, const struct sf_literal_run *run, uint64_t at, bool is)
{
        const struct sf_cfi *cfi = run->cfi;
        uint32_t place = (uint32_t)cfi->place, wrong = cfi->wrong < 3 ? cfi->wrong : 3;
        uint32_t other = sf_matcher_expected(run->matcher), trust = sf_matcher_trust(run->matcher);
        uint32_t agrees = other == 0 ? 0 : other == cfi->expected ? 1 : 2;
        uint32_t contexts[CFI_CONTEXTS] = {
                sf_hash(41, place | (cfi->history & 63) << 4),
                sf_hash(42, place | wrong << 4 | agrees << 6 | trust << 8),
                sf_hash(43, place | cfi->expected << 4),
                sf_hash(44, place | cfi->expected << 4 | byte_before(run->out, at, 1) << 13),
                sf_hash(45, place | wrong << 4 | (cfi->history & 7) << 6 | agrees << 9),
        };

        return sf_model_byte(l->model, &l->cfi, l->coder, contexts, place, 0, is ? 0 : 1) == 0;
}

/* What an instruction, an entry of call frame information or a word of data is up to the byte: exactly, and in kind. */
static void look_around(const struct sf_literal_run *run, const struct follower *f, uint64_t at, uint32_t *ret_exact,
                        uint32_t *ret_kind)
{
        const uint8_t *out = run->out;
        const struct sf_cfi *cfi = run->cfi;
        uint32_t b1 = byte_before(out, at, 1), kind;

        if (cfi->place != SF_CFI_NOWHERE) {
                *ret_exact = cfi->expected | (uint32_t)cfi->place << 9 | (cfi->history & 15) << 16;
                *ret_kind = sf_hash(cfi->expected | (uint32_t)cfi->place << 9 | (cfi->wrong < 3 ? cfi->wrong : 3) << 16,
                                    b1);
        } else if (f->active) {
                uint64_t inside = at - f->start;

                *ret_exact = hash_bytes(f->before, out + f->start, inside);
                kind = f->measured ? hash_bytes(f->insn.head, out + f->start + f->insn.opcode,
                                                (uint64_t)f->insn.head - f->insn.opcode) +
                                             (uint32_t)inside
                                   : hash_bytes(2, out + f->start, inside);
                *ret_kind = sf_hash(sf_hash(kind, f->before), f->before2);
        } else {
                *ret_exact = sf_hash(byte_before(out, at, 4), at & 3);
                *ret_kind = sf_hash(sf_hash(byte_before(out, at, 8), at & 7), b1);
        }
}

/* Contexts by the bytes around: `before` are the last ones, the latest first; `i` is the place in the run. */
static inline void surroundings(const struct sf_literal_run *run, const uint32_t before[static SF_MATCHER_WINDOW],
                                uint64_t i, uint32_t ret[static SURROUNDINGS])
{
        uint32_t recent = before[0] | before[1] << 8 | before[2] << 16;
        uint32_t there = run->old && i < run->old_length ? run->old[i] + 1u : 0;
        uint32_t next = run->old && i + 1 < run->old_length ? run->old[i + 1] + 1u : 0;

        ret[0] = sf_hash(13, recent & 0xffff);
        ret[1] = sf_hash(14, recent);
        ret[2] = sf_hash(sf_hash(15, recent), before[3]);
        ret[3] = sf_hash(sf_hash(sf_hash(16, recent), before[3] | before[4] << 8), before[5]);
        ret[4] = sf_hash(19, there << 20 | next << 10 | before[0]);
        ret[5] = sf_hash(20, before[1] << 16 | before[2] << 8 | before[3]);
}

/* Encoding: what comes next is known, so its slots can be on their way while this byte is coded. `before` as it is for
 * this byte. */
static void look_ahead(const struct sf_literals *l, const struct sf_literal_run *run, uint64_t at,
                       const uint32_t before[static SF_MATCHER_WINDOW])
{
        uint32_t next[SF_MATCHER_WINDOW] = { run->truth[at] }, contexts[SURROUNDINGS];
        uint8_t window[SF_MATCHER_WINDOW];

        for (unsigned k = 1; k < SF_MATCHER_WINDOW; k++)
                next[k] = before[k - 1];
        for (unsigned k = 0; k < SF_MATCHER_WINDOW; k++)
                window[SF_MATCHER_WINDOW - 1 - k] = (uint8_t)next[k];
        surroundings(run, next, at + 1 - run->position, contexts);
        sf_model_prefetch(l->model, contexts, SURROUNDINGS);
        sf_matcher_prefetch(run->matcher, window);
}

static uint8_t code_byte(struct sf_literals *l, const struct sf_literal_run *run, const struct follower *f,
                         struct word *word, uint64_t at, uint8_t value)
{
        const uint8_t *out = run->out;
        const struct sf_cfi *cfi = run->cfi;

        if (cfi->expected) {
                sf_matcher_look(run->matcher, out, at);
                if (code_is_expected(l, run, at, cfi->expected == value + 1u))
                        return (uint8_t)(cfi->expected - 1);
        }
        uint32_t before[SF_MATCHER_WINDOW], around[SURROUNDINGS], exact, kind;
        for (unsigned k = 0; k < SF_MATCHER_WINDOW; k++)
                before[k] = byte_before(out, at, k + 1);
        uint32_t b1 = before[0];
        enum phase phase = cfi->place != SF_CFI_NOWHERE ? PHASE_CFI
                           : !f->active                 ? PHASE_DATA
                           : f->measured                ? PHASE_TAIL
                                                        : PHASE_HEAD;

        look_around(run, f, at, &exact, &kind);
        surroundings(run, before, at - run->position, around);
        uint32_t contexts[BYTE_CONTEXTS] = {
                sf_hash(11, phase), sf_hash(12, b1 | (uint32_t)phase << 8),
                around[0],          around[1],
                around[2],          around[3],
                sf_hash(17, exact), sf_hash(18, kind),
                around[4],          around[5],
        };
        if (!cfi->expected) {
                /* On their way while the matcher looks into its own tables. */
                sf_model_prefetch(l->model, contexts, BYTE_CONTEXTS - MATCH_CONTEXTS);
                sf_matcher_look(run->matcher, out, at);
        }
        uint32_t expected = sf_matcher_expected(run->matcher), trust = sf_matcher_trust(run->matcher);
        uint32_t predicted = f->active ? 0 : predicted_byte(run, word, at);
        if (predicted) {
                expected = predicted;
                trust = TRUST_FORETOLD;
        }
        unsigned select = (unsigned)phase * TRUSTS + (phase == PHASE_CFI                       ? cfi_trust(cfi)
                                                      : trust == 0                             ? 0
                                                      : (trust < 4 || trust > 6) && !predicted ? 1
                                                                                               : 2);
        contexts[BYTE_CONTEXTS - 2] = sf_hash(21, expected | trust << 9);
        contexts[BYTE_CONTEXTS - 1] = sf_hash(sf_hash(22, expected | b1 << 9 | (uint32_t)phase << 17),
                                              phase == PHASE_CFI ? cfi->expected | (uint32_t)cfi->place << 9 : 0);
        if (run->truth)
                look_ahead(l, run, at, before);
        return sf_model_byte(l->model, &l->bytes, l->coder, contexts, select, detail_of(f, at, trust, b1), value);
}

/* What the field would refer to if it were the one that the matcher follows. */
static uint32_t expected_target(const struct sf_literal_run *run, uint64_t position, uint32_t bytes_behind)
{
        const struct sf_matcher *m = run->matcher;

        if (m->source == run->out && m->at + 4 > position)
                return 0; /* reaches into what is not known yet */
        if (m->source == run->out)
                return sf_get32(run->out + m->at) + (uint32_t)sf_image_address(run->image, m->at) + bytes_behind;
        return m->source && run->predictor ? (uint32_t)sf_predict_address(run->predictor, run->image, m->at) : 0;
}

/* A pc-relative field as the address it refers to, high byte first. Always invertible: arithmetic modulo 2^32. */
static void code_target(struct sf_literals *l, const struct sf_literal_run *run, const struct follower *f, uint64_t at)
{
        uint32_t end = (uint32_t)sf_image_address(run->image, at) + f->insn.length - f->insn.field;
        uint32_t target = run->successor ? (uint32_t)sf_predict_address(run->predictor, run->successor, at)
                          : run->truth   ? sf_get32(run->truth + at) + end
                                         : 0;
        uint32_t known = 0;
        uint32_t opcode = run->out[f->start + f->insn.opcode], trust = sf_matcher_trust(run->matcher);
        uint32_t expected = run->successor ? 0 : expected_target(run, at, (uint32_t)(f->insn.length - f->insn.field));

        for (unsigned i = 0; i < 4; i++) {
                uint32_t contexts[TARGET_CONTEXTS] = {
                        sf_hash(sf_hash(31, i), known),
                        sf_hash(sf_hash(32, i), sf_hash(known, opcode)),
                        sf_hash(sf_hash(33, i), sf_hash(known, l->last_target)),
                        sf_hash(sf_hash(34, i), sf_hash(known, end >> 12)),
                        sf_hash(sf_hash(35, i), expected ? (expected >> (24 - 8 * i) & 0xff) | trust << 8 |
                                                                   (uint32_t)(known == expected >> 8 >> (24 - 8 * i))
                                                                           << 12
                                                         : 0),
                };
                uint8_t byte = sf_model_byte(l->model, &l->targets, l->coder, contexts, i, 0,
                                             (uint8_t)(target >> (24 - 8 * i)));
                known = known << 8 | byte;
        }
        l->last_target = known;
        for (unsigned i = 0; i < 4 && !run->successor; i++)
                run->out[at + i] = (uint8_t)((known - end) >> (8 * i));
}

void sf_literals_code(struct sf_literals *l, const struct sf_literal_run *run)
{
        uint64_t at = run->position, end = run->position + run->length, same_until = at, followed = 0;
        struct follower f = { 0 };
        struct sf_a64_follower a64;
        struct word word = { 0 };

        sf_matcher_restart(run->matcher);
        /* Behind the end of a patch there is only noise, and the caller will see it. */
        while (at < end && !sf_coder_exhausted(l->coder)) {
                if (at >= same_until)
                        start_following(&f, run, at, &same_until);
                follow(&f, run->out, at);
                if (f.active && f.measured && f.insn.field && at == f.start + f.insn.field && end - at >= 4) {
                        code_target(l, run, &f, at);
                        at += 4;
                        sf_matcher_advance(run->matcher, run->out, at, 4, false);
                        continue;
                }
                if (sf_a64_is_word(run->image, at, end - at)) {
                        sf_matcher_look(run->matcher, run->out, at);
                        if (followed != at)
                                sf_a64_follow(&a64, run->image, run->out, at);
                        sf_a64_literal(l, run, &a64, at);
                        followed = at += 4;
                        continue;
                }
                sf_cfi_look(run->cfi, at);
                run->out[at] = code_byte(l, run, &f, &word, at, run->truth ? run->truth[at] : 0);
                at++;
                sf_matcher_advance(run->matcher, run->out, at, 1, true);
        }
}
