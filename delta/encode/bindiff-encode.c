/* SPDX-License-Identifier: Apache-2.0 */
/* delta/encode/bindiff-encode.c - the encoder of the bindiff and elf codecs: scripts for all files, side by side,
 * then one replay. */
#include <elf.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/parallel.h"
#include "delta/codec/bindiff.h"
#include "delta/encode/effort.h"
#include "delta/encode/memory.h"
#include "delta/encode/proof.h"
#include "delta/encode/realign.h"
#include "delta/encode/references.h"

#define LITERALS_FREE    (UINT64_C(4) << 20) /* literal bytes in any case */
#define LITERALS_PERCENT 60                  /* of the new content; more is not worth the time */

/* How all new files are put together. */
struct scripts {
        struct sf_script *scripts; /* owned */
        size_t count;
        uint64_t literals; /* literal bytes, in all */
};

static void cleanup_scripts(struct scripts *s)
{
        for (size_t i = 0; i < s->count; i++)
                sf_script_free(&s->scripts[i]);
        free(s->scripts);
}

/* What the threads that make scripts share. */
struct script_work {
        const struct sf_reference_library *library;
        struct sf_script *scripts;
        struct sf_delta_effort *effort;
};

static int make_script(void *ctx, size_t index, struct sf_error *err)
{
        const struct script_work *w = ctx;
        const struct sf_reference_library *l = w->library;
        int r = sf_references_choose(l, index, &w->scripts[index], err);

        if (r == 0)
                r = sf_realign_file(l, index, &w->scripts[index], err);
        sf_delta_effort_add(w->effort, l->new->files[index].size);
        return r;
}

/* Spelling out takes several times as long as all else: what is new for the most part is better left to zstd. */
static int check_literals(struct scripts *s, uint64_t size, struct sf_error *err)
{
        for (size_t i = 0; i < s->count; i++)
                for (size_t k = 0; k < s->scripts[i].count; k++)
                        s->literals += s->scripts[i].steps[k].literal;
        if (s->literals > LITERALS_FREE && s->literals > size / 100 * LITERALS_PERCENT)
                return sf_error_set(err, SF_ERR_LIMIT, "given up: %llu of %llu bytes would be coded as literals",
                                    (unsigned long long)s->literals, (unsigned long long)size);
        return 0;
}

static int make_scripts(const struct sf_delta_files *old, const struct sf_delta_files *new, bool predict,
                        struct sf_delta_effort *effort, struct scripts *ret, struct sf_error *err)
{
        _cleanup_(sf_reference_library_close) struct sf_reference_library library = { 0 };
        unsigned threads = sf_encode_threads(old, new, sf_delta_effort_threads(effort), sf_delta_effort_memory(effort));
        if (!threads)
                return sf_error_set(err, SF_ERR_LIMIT,
                                    "not made: takes %llu MB of memory, more than the %llu MB allowed",
                                    (unsigned long long)(sf_encode_memory(old, new, 1) >> 20),
                                    (unsigned long long)(sf_delta_effort_memory(effort) >> 20));
        int r = sf_reference_library_open(&library, old, new, predict, threads, err);

        if (r < 0)
                return r;
        ret->scripts = calloc(new->count + 1, sizeof *ret->scripts);
        if (!ret->scripts)
                return sf_error_set(err, SF_ERR_NOMEM, "no memory to make a delta");
        ret->count = new->count;
        struct script_work work = { &library, ret->scripts, effort };
        r = sf_parallel_each(new->count, threads, make_script, &work, err);
        return r < 0 ? r : check_literals(ret, sf_delta_files_size(new), err);
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

/* Whether there is memory to try the patch while it is made. */
static bool may_prove(const struct encoding *e)
{
        uint64_t memory = sf_delta_effort_memory(e->effort);

        return !memory || sf_encode_memory(e->old, e->new, 0) + sf_proof_memory(e->old, e->new, e->predict) <= memory;
}

static int code_files(const struct encoding *e, struct sf_replay *replay, const struct scripts *scripts,
                      struct sf_error *err)
{
        uint64_t offset = 0;

        for (size_t i = 0; i < e->new->count; i++) {
                int r = sf_replay_file(replay, i, offset, &scripts->scripts[i], err);

                if (r < 0)
                        return r;
                offset += e->new->files[i].size;
                sf_delta_effort_add(e->effort, e->new->files[i].size);
        }
        return sf_coder_finish(&replay->coder, err);
}

static int encode(const struct encoding *e, struct sf_buffer *ret_patch, struct sf_error *err)
{
        _cleanup_(sf_replay_close) struct sf_replay replay = { 0 };
        _cleanup_(cleanup_scripts) struct scripts scripts = { 0 };
        _cleanup_(sf_proof_close) struct sf_proof proof = { 0 };
        _cleanup_free_ uint8_t *out = calloc(sf_delta_files_size(e->new) + 1, 1);
        int r;

        if (!out)
                return sf_error_set(err, SF_ERR_NOMEM, "no memory to make a delta");
        if ((r = make_scripts(e->old, e->new, e->predict, e->effort, &scripts, err)) < 0)
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
        bool proving = e->effort && may_prove(e) &&
                       sf_proof_start(&proof, e->plain_old, e->plain_new, e->predict, &replay) == 0;
        if ((r = code_files(e, &replay, &scripts, err)) < 0 || !proving)
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
