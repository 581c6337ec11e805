/* SPDX-License-Identifier: Apache-2.0 */
/* delta/encode/cfi_prune.c - see cfi_prune.h. All costs are in sixteenths of a bit, and rough. */
#include "delta/encode/cfi_prune.h"

#include <elf.h>
#include <stdlib.h>

#include "base/cleanup.h"
#include "delta/cfi/cfi.h"
#include "delta/image/sections.h"

#define BIT       16
#define STEP      (BIT * 12) /* lengths of literal and copy, and that nothing more differs */
#define STRAIGHT  (BIT / 2)  /* telling that a copy goes on along its diagonal */
#define DIFFERENT (BIT * 14) /* a byte that differs, and how far it is */
#define FURTHER   (BIT * 6)  /* one right behind it */
#define SURPRISE  (BIT * 12) /* a literal byte that was not predicted */
#define FORETOLD  1          /* one that was */

/* Bytes [start, end) of the new file: how well they are predicted. */
struct frames {
        uint64_t start, end;
        uint32_t *costs; /* owned; costs[i]: of all bytes before start + i */
};

static void cleanup_frames(struct frames *f)
{
        free(f->costs);
}

/* Goes through the section as a decoder will that codes as literals all of it. */
static int judge(struct frames *f, const struct sf_cfi *from, struct sf_error *err)
{
        struct sf_cfi cfi = *from;

        f->costs = calloc(f->end - f->start + 1, sizeof *f->costs);
        if (!f->costs)
                return sf_error_set(err, SF_ERR_NOMEM, "no memory to judge call frame information");
        for (uint64_t at = f->start; at < f->end; at++) {
                sf_cfi_look(&cfi, at);
                f->costs[at - f->start + 1] = f->costs[at - f->start] +
                                              (cfi.expected == cfi.out[at] + 1u ? FORETOLD : SURPRISE);
        }
        return 0;
}

static int64_t literal_cost(const struct frames *f, uint64_t start, uint64_t end)
{
        return (int64_t)f->costs[end - f->start] - (int64_t)f->costs[start - f->start];
}

/* What it takes to tell what differs in bytes [start, end) of the new file, copied from `old` on. */
static int64_t told(const struct sf_align *a, const uint8_t *old, uint64_t start, uint64_t end)
{
        int64_t cost = 0;
        bool before = false;

        for (uint64_t i = 0; i < end - start; i++) {
                bool differs = old[i] != a->new[start + i];

                cost += differs ? before ? FURTHER : DIFFERENT : 0;
                before = differs;
        }
        return cost;
}

static int64_t jump_cost(uint64_t from, uint64_t to)
{
        int64_t way = (int64_t)(to - from);
        uint64_t length = (uint64_t)(way < 0 ? -way : way);

        return length ? (4 + 64 - __builtin_clzll(length)) * BIT : STRAIGHT;
}

/* Shortens the copy of a step that starts at `at` of the new file, or drops it: returns how many of its first bytes
 * are coded as literals; *ret_copy is how many are left. `diagonal`: what the last copy from there moved by. */
static uint64_t shorten(const struct frames *f, const struct sf_align *a, const struct sf_step *step, uint64_t at,
                        uint64_t diagonal, uint64_t *ret_copy)
{
        const uint8_t *old = a->old + a->starts[step->reference] + step->from;
        uint64_t end = at + step->copy, start = at > f->start ? at : f->start, stop = end < f->end ? end : f->end;

        *ret_copy = step->copy;
        if (start >= stop)
                return 0;
        int64_t with = told(a, old + (start - at), start, stop), without = literal_cost(f, start, stop);
        if (start == at && stop == end) {
                with += STEP + jump_cost(diagonal, step->from - at);
                *ret_copy = with > without ? 0 : step->copy;
                return step->copy - *ret_copy;
        }
        if (with <= without)
                return 0;
        if (start == at && end - stop >= SF_SCRIPT_COPY_MIN) {
                *ret_copy = end - stop;
                return stop - at;
        }
        if (stop == end && start - at >= SF_SCRIPT_COPY_MIN)
                *ret_copy = start - at;
        return 0;
}

static void spell(const struct frames *f, const struct sf_align *a, struct sf_script *script)
{
        uint64_t diagonals[SF_SCRIPT_REFERENCES_MAX] = { 0 }, at = 0, carried = 0;
        size_t kept = 0;

        for (size_t i = 0; i < script->count; i++) {
                struct sf_step step = script->steps[i];
                uint64_t copy = 0, head = 0, tail;

                at += step.literal;
                if (step.copy)
                        head = shorten(f, a, &step, at, diagonals[step.reference], &copy);
                at += step.copy;
                tail = step.copy - head - copy;
                if (copy == 0) {
                        carried += step.literal + step.copy;
                        continue;
                }
                step.literal += carried + head;
                step.from += head;
                step.copy = copy;
                diagonals[step.reference] = step.from - (at - tail - copy);
                script->steps[kept++] = step;
                carried = tail;
        }
        if (carried)
                script->steps[kept++] = (struct sf_step){ .literal = carried };
        script->count = kept;
}

int sf_cfi_prune(const struct sf_align *align, const uint8_t *plain, const struct sf_image *image,
                 struct sf_script *script, struct sf_error *err)
{
        _cleanup_(cleanup_frames) struct frames frames = { 0 };
        _cleanup_(sf_cfi_close) struct sf_cfi cfi = { .over = true };
        struct sf_relocated relocated = { 0 };
        struct sf_sections sections;
        struct sf_table_layout layout;

        if (!image->elf || image->machine != EM_X86_64)
                return 0;
        sf_sections_read(plain, align->new_size, &sections);
        const struct sf_section *s = sf_sections_find(&sections, ".eh_frame");
        if (!s || s->type == SHT_NOBITS || !s->size || s->size > UINT32_MAX / SURPRISE)
                return 0;
        sf_table_layout_read(plain, align->new_size, &layout);
        const struct sf_table_extent *relocations = &layout.tables[SF_TABLE_RELOCATIONS];
        if (relocations->size >= sizeof(Elf64_Rela))
                relocated = (struct sf_relocated){ relocations->position,
                                                   relocations->position + relocations->size - sizeof(Elf64_Rela) };
        frames = (struct frames){ .start = s->position, .end = s->position + s->size };
        int r = sf_cfi_open(&cfi, plain, align->new_size, image, &relocated, &layout, err);
        if (r < 0 || (r = judge(&frames, &cfi, err)) < 0)
                return r;
        spell(&frames, align, script);
        return 0;
}
