/* SPDX-License-Identifier: Apache-2.0 */
/* fuzz/fuzz-delta-replay.c - new files that nobody has linked, put together by scripts that no aligner has made: what
 * the one walk encodes, it must decode to the very bytes.
 *
 * The input changes bytes of the old and of the new file (tables that overlap, lie backwards, say wrong places), then
 * tells the steps of the script.
 */
#include <elf.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "delta/codec/codec.h"
#include "delta/codec/linker_tables.h"
#include "delta/codec/bindiff.h"
#include "delta/codec/replay.h"
#include "tests/kit/deltaelf.h"

#define E_MACHINE 18 /* offset of its low byte in the ELF header */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool truth)
{
        if (!truth)
                abort();
}

struct input {
        const uint8_t *at, *end;
};

/* The next bytes as a number; zeros behind the end. */
static uint64_t take(struct input *in, unsigned bytes)
{
        uint64_t value = 0;

        for (unsigned i = 0; i < bytes && in->at < in->end; i++)
                value |= (uint64_t)*in->at++ << (8 * i);
        return value;
}

/* Each change: a position, how many bytes, the bytes. */
static void change(struct input *in, uint8_t *file, uint64_t size)
{
        for (uint64_t count = take(in, 1); count > 0 && in->at < in->end; count--) {
                uint64_t position = take(in, 2), bytes = take(in, 1) % 8 + 1;

                for (; bytes > 0; bytes--, position++)
                        file[position % size] = (uint8_t)take(in, 1);
        }
}

static void make_script(struct input *in, const struct sf_delta_files *old, uint64_t size, struct sf_script *script)
{
        uint64_t done = 0;

        script->reference_count = 1 + take(in, 1) % 2;
        script->references[1] = 1;
        while (done < size) {
                struct sf_step step = { .literal = take(in, 1), .reference = (uint32_t)take(in, 1) };

                step.reference %= (uint32_t)script->reference_count;
                uint64_t from_size = old->files[step.reference].size, most = size - done;
                step.from = take(in, 2) % from_size;
                step.copy = take(in, 2) + SF_SCRIPT_COPY_MIN;
                if (in->at >= in->end) /* the rest is copied: spelling takes time */
                        step = (struct sf_step){ .from = done % from_size, .copy = size, .reference = step.reference };
                step.literal = step.literal < most ? step.literal : most;
                most -= step.literal;
                if (most > from_size - step.from)
                        most = from_size - step.from;
                step.copy = step.copy < most ? step.copy : most;
                if (step.copy < SF_SCRIPT_COPY_MIN)
                        step = (struct sf_step){ .literal = size - done };
                require(sf_script_add(script, step, NULL) == 0);
                done += step.literal + step.copy;
        }
}

static void encode(struct input *in, const struct sf_delta_files *old, const struct sf_delta_files *new,
                   struct sf_buffer *patch)
{
        static const uint8_t header[SF_BINDIFF_HEADER] = { SF_PREDICTOR_VERSION, SF_REPLAY_SLOTS_LOG_MIN };
        _cleanup_(sf_blanked_free) struct sf_blanked before = { 0 }, after = { 0 };
        _cleanup_(sf_script_free) struct sf_script script = { 0 };
        _cleanup_(sf_replay_close) struct sf_replay replay = { 0 };
        _cleanup_free_ uint8_t *out = calloc(new->files[0].size, 1);

        require(out && sf_blanked_copy(old, true, &before, NULL) == 0 && sf_blanked_copy(new, true, &after, NULL) == 0);
        const struct sf_delta_files blank_old = { before.files, before.count },
                                    blank_new = { after.files, after.count };
        make_script(in, old, new->files[0].size, &script);
        const struct sf_replay_input input = { .old = &blank_old,
                                               .new = &blank_new,
                                               .truth = after.bytes,
                                               .out = out,
                                               .predict = SF_PREDICTOR_VERSION,
                                               .derived = after.which };
        require(sf_replay_open(&replay, &input, SF_REPLAY_SLOTS_LOG_MIN, NULL) == 0);
        require(sf_buffer_append(patch, header, sizeof header, NULL) == 0);
        sf_coder_encode(&replay.coder, patch);
        require(sf_replay_file(&replay, 0, 0, &script, NULL) == 0);
        require(sf_coder_finish(&replay.coder, NULL) == 0);
        require(memcmp(out, after.bytes, new->files[0].size) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        struct input in = { data, data + size };
        _cleanup_(sf_buffer_free) struct sf_buffer patch = SF_BUFFER_INIT;
        _cleanup_free_ struct deltaelf *old = malloc(2 * sizeof *old), *new = malloc(sizeof *new);
        _cleanup_free_ uint8_t *contents = NULL, *out = NULL;
        uint64_t choice = take(&in, 2);

        require(old && new);
        deltaelf_make(&old[0], &(struct deltaelf_order){ .turn = 1 });
        deltaelf_make(&old[1], &(struct deltaelf_order){ .turn = 2, .gap = 32 });
        deltaelf_make(
                new, &(struct deltaelf_order){ .turn = choice & 3, .gap = (choice & 12) * 4, .gap_at = 5, .lines = 3 });
        new->size -= choice >> 4 & 0x7ff; /* what is cut off may be anything; 0 to 2047 bytes */
        if (choice >> 15) {
                /* The same code taken for that of arm64. */
                old[0].data[E_MACHINE] = old[1].data[E_MACHINE] = EM_AARCH64;
                if (new->size > E_MACHINE)
                        new->data[E_MACHINE] = EM_AARCH64;
        }
        change(&in, old[0].data, old[0].size);
        change(&in, new->data, new->size);
        contents = malloc(old[0].size + old[1].size);
        out = malloc(new->size);
        require(contents && out);
        memcpy(contents, old[0].data, old[0].size);
        memcpy(contents + old[0].size, old[1].data, old[1].size);
        const struct sf_delta_file before[] = { { contents, old[0].size, 0 },
                                                { contents + old[0].size, old[1].size, 0 } };
        const struct sf_delta_file truth = { new->data, new->size, 1 }, after = { NULL, new->size, 1 };
        const struct sf_delta_files all = { before, 2 };
        encode(&in, &all, &(struct sf_delta_files){ &truth, 1 }, &patch);
        require(sf_bindiff_decode(&all, &(struct sf_delta_files){ &after, 1 }, patch.data, patch.len, true, out,
                                  NULL) == 0);
        require(memcmp(out, new->data, new->size) == 0);
        return 0;
}
