/* SPDX-License-Identifier: Apache-2.0 */
/* delta/encode/bindiff-encode.c - the encoder of the bindiff and elf codecs: scripts for all files, side by side, and
 * one replay that follows them. */
#include <elf.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/parallel.h"
#include "delta/codec/bindiff.h"
#include "delta/encode/effort.h"
#include "delta/encode/memory.h"
#include "delta/encode/proof.h"
#include "delta/encode/scripts.h"

#define LITERALS_FREE    (UINT64_C(4) << 20) /* literal bytes in any case */
#define LITERALS_PERCENT 60                  /* of the new content; more is not worth the time */

/* Spelling out takes several times as long as all else: what is new for the most part is better left to zstd. */
static bool is_mostly_new(const struct sf_scripts *s, uint64_t size)
{
        return s->literals > LITERALS_FREE && s->literals > size / 100 * LITERALS_PERCENT;
}

/* Waits for one more script. */
static int wait_for_script(struct sf_scripts *s, uint64_t size, struct sf_error *err)
{
        int r = sf_scripts_wait(s, err);

        if (r == 0 && is_mostly_new(s, size))
                return sf_error_set(err, SF_ERR_LIMIT,
                                    "given up: more than %d %% of %llu bytes would be coded as literals",
                                    LITERALS_PERCENT, (unsigned long long)size);
        return r;
}

/* Where nothing in it is for arm64, older programs can read the delta. */
static uint8_t needed_version(const struct sf_delta_files *old, const struct sf_delta_files *new)
{
        const struct sf_delta_files *sides[] = { old, new };
        struct sf_image image;

        for (size_t side = 0; side < 2; side++)
                for (size_t i = 0; i < sides[side]->count; i++) {
                        sf_image_open(sides[side]->files[i].data, sides[side]->files[i].size, &image);
                        if (image.elf && image.machine == EM_AARCH64)
                                return SF_PREDICTOR_VERSION;
                }
        return SF_PREDICTOR_OLDEST;
}

/* What is encoded: the contents, and the same with tables blanked, of which `derived` tells which. */
struct encoding {
        const struct sf_delta_files *plain_old, *plain_new, *old, *new;
        unsigned *derived;
        bool predict;
        struct sf_delta_effort *effort;
};

/* How many files are dealt with at a time: one that is coded, and others that are aligned meanwhile, a thread each.
 * Where memory is short fewer threads come first, then the patch is not tried while it is made. 0: there is no room for
 * one. */
static unsigned count_at_a_time(const struct encoding *e, bool *ret_prove)
{
        uint64_t memory = sf_delta_effort_memory(e->effort), proof = sf_proof_memory(e->old, e->new, e->predict);
        unsigned threads = sf_delta_effort_threads(e->effort);

        if (!threads)
                threads = sf_parallel_processors();
        unsigned wanted = threads > 1 ? threads + 1 : 1, most = 0;
        if (e->effort && (!memory || memory > proof))
                most = sf_encode_threads(e->old, e->new, wanted, memory ? memory - proof : 0);
        *ret_prove = most > 0;
        return most ? most : sf_encode_threads(e->old, e->new, wanted, memory);
}

/* What decides on the size of the model, and whether the whole is worth it, comes before the first byte is coded; but
 * the scripts of a few files may tell. */
static int look_at_scripts(struct sf_scripts *s, uint64_t size, struct sf_error *err)
{
        int r = 0;

        while (r == 0 && s->known < s->count &&
               (sf_replay_slots_log(s->literals) < SF_REPLAY_SLOTS_LOG_MAX || is_mostly_new(s, s->bytes)))
                r = wait_for_script(s, size, err);
        return r;
}

static int code_files(const struct encoding *e, struct sf_replay *replay, struct sf_scripts *s, struct sf_error *err)
{
        uint64_t offset = 0, size = sf_delta_files_size(e->new);

        for (size_t i = 0; i < e->new->count; i++) {
                int r = s->known > i ? 0 : wait_for_script(s, size, err);

                if (r < 0 || (r = look_at_scripts(s, size, err)) < 0 ||
                    (r = sf_replay_file(replay, i, offset, &s->scripts[i], err)) < 0)
                        return r;
                sf_script_free(&s->scripts[i]);
                offset += e->new->files[i].size;
                sf_delta_effort_add(e->effort, e->new->files[i].size);
        }
        return sf_coder_finish(&replay->coder, err);
}

static int encode(const struct encoding *e, struct sf_buffer *ret_patch, struct sf_error *err)
{
        _cleanup_(sf_replay_close) struct sf_replay replay = { 0 };
        _cleanup_(sf_scripts_close) struct sf_scripts scripts = { 0 };
        _cleanup_(sf_proof_close) struct sf_proof proof = { 0 };
        _cleanup_free_ uint8_t *out = calloc(sf_delta_files_size(e->new) + 1, 1);
        bool prove;
        unsigned at_a_time = count_at_a_time(e, &prove);
        int r;

        if (!out)
                return sf_error_set(err, SF_ERR_NOMEM, "no memory to make a delta");
        if (!at_a_time)
                return sf_error_set(err, SF_ERR_LIMIT,
                                    "not made: takes %llu MB of memory, more than the %llu MB allowed",
                                    (unsigned long long)(sf_encode_memory(e->old, e->new, 1) >> 20),
                                    (unsigned long long)(sf_delta_effort_memory(e->effort) >> 20));
        if ((r = sf_scripts_start(&scripts, e->old, e->new, e->predict, at_a_time, e->effort, err)) < 0 ||
            (r = look_at_scripts(&scripts, sf_delta_files_size(e->new), err)) < 0)
                return r;
        const uint8_t header[SF_BINDIFF_HEADER] = { e->predict ? needed_version(e->old, e->new) : SF_PREDICTOR_OLDEST,
                                                    (uint8_t)sf_replay_slots_log(scripts.literals) };
        const struct sf_replay_input input = { .old = e->old,
                                               .new = e->new,
                                               .truth = sf_delta_files_bytes(e->new),
                                               .out = out,
                                               .predict = e->predict ? header[0] : 0,
                                               .derived = e->derived };
        r = sf_replay_open(&replay, &input, header[1], err);
        if (r < 0 || (r = sf_buffer_append(ret_patch, header, sizeof header, err)) < 0)
                return r;
        sf_coder_encode(&replay.coder, ret_patch);
        /* Where it cannot, for want of memory or a thread, the patch is tried afterwards. */
        prove = prove && sf_proof_start(&proof, e->plain_old, e->plain_new, e->predict, &replay) == 0;
        if ((r = code_files(e, &replay, &scripts, err)) < 0 || !prove)
                return r;
        r = sf_proof_finish(&proof, sf_delta_files_bytes(e->plain_new), err);
        e->effort->proved = r == 0;
        return r == SF_ERR_NOMEM ? 0 : r;
}

int sf_bindiff_encode(const struct sf_delta_files *old, const struct sf_delta_files *new_files, bool predict,
                      struct sf_delta_effort *effort, struct sf_buffer *ret_patch, struct sf_error *err)
{
        _cleanup_(sf_blanked_free) struct sf_blanked before = { 0 }, after = { 0 };
        int r;

        if ((r = sf_blanked_copy(old, predict, &before, err)) < 0 ||
            (r = sf_blanked_copy(new_files, predict, &after, err)) < 0)
                return r;
        const struct sf_delta_files blank_old = { before.files, before.count },
                                    blank_new = { after.files, after.count };
        return encode(&(struct encoding){ .plain_old = old,
                                          .plain_new = new_files,
                                          .old = &blank_old,
                                          .new = &blank_new,
                                          .derived = after.which,
                                          .predict = predict,
                                          .effort = effort },
                      ret_patch, err);
}
