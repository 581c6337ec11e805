/* SPDX-License-Identifier: Apache-2.0 */
/* delta/encode/parts-encode.c - the encoder of the parts codec: every part by itself, several at a time, as
 * delta/encode/part_plan.c says. */
#include <stdlib.h>

#include "base/cleanup.h"
#include "base/parallel.h"
#include "delta/codec/bindiff.h"
#include "delta/codec/codecs.h"
#include "delta/codec/parts.h"
#include "delta/encode/effort.h"
#include "delta/encode/part_plan.h"
#include "delta/encode/proof.h"

#define THREADS_MAX 8u
#define ZSTD_TABLES (UINT64_C(112) << 20)

struct making {
        const struct sf_delta_files *old, *new;
        struct sf_delta_effort *effort;
        struct sf_part_plan plan;
        struct sf_buffer *patches; /* owned; one for each part */
        uint64_t memory;           /* bytes that one part may take; 0 = no limit */
        unsigned at_a_time;
};

static void cleanup_making(struct making *m)
{
        for (size_t i = 0; m->patches && i < m->plan.count; i++)
                sf_buffer_free(&m->patches[i]);
        free(m->patches);
        sf_part_plan_free(&m->plan);
}

/* The last parts take the processors that the others leave. */
static unsigned threads_for(const struct making *m, size_t turn)
{
        return m->plan.count - turn > m->at_a_time ? 1 : sf_delta_effort_threads(m->effort);
}

/* What elf gives up is left to zstd. */
static int encode_part(const struct sf_part *part, enum sf_part_codec *codec, struct sf_delta_effort *alone,
                       struct sf_buffer *patch, struct sf_error *err)
{
        int r = *codec == SF_PART_ELF ? sf_bindiff_encode(&part->old, &part->new, true, alone, patch, err)
                                      : SF_ERR_LIMIT;

        if (r == SF_ERR_LIMIT) {
                *codec = SF_PART_ZSTD;
                sf_buffer_free(patch);
                r = sf_delta_zstd_encoder.encode(&part->old, &part->new, alone, patch, err);
        }
        if (r == 0 && !alone->proved)
                r = sf_proof_apply(*codec == SF_PART_ELF ? &sf_delta_elf : &sf_delta_zstd, &part->old, &part->new,
                                   patch, err);
        return r;
}

static int make_part(void *ctx, size_t turn, struct sf_error *err)
{
        struct making *m = ctx;
        size_t index = m->plan.order[turn];
        struct sf_planned_part *planned = &m->plan.parts[index];
        struct sf_delta_effort alone = { .threads = threads_for(m, turn),
                                         .memory = m->memory,
                                         .lock = PTHREAD_MUTEX_INITIALIZER,
                                         .whole = m->effort };
        _cleanup_(sf_part_close) struct sf_part part = { 0 };
        int r = sf_part_open(&part, m->old, m->new, planned->first, m->plan.log, err);

        if (r < 0)
                return r;
        r = encode_part(&part, &planned->codec, &alone, &m->patches[index], err);
        if (r == 0 && m->patches[index].len > UINT32_MAX)
                r = sf_error_set(err, SF_ERR_LIMIT, "its patch is too long");
        /* What was given up was told in part, and zstd tells nothing. */
        sf_delta_effort_add(&alone, 2 * part.new_size - alone.done);
        return r < 0 ? sf_error_prefix(err, "part %zu", index + 1) : 0;
}

/* What zstd takes at its level for a part: tables of fixed size, ancestors, the patch and the part that is tried. */
static uint64_t zstd_memory(const struct making *m)
{
        return ZSTD_TABLES + (UINT64_C(3) << m->plan.log);
}

/* So many that the parts at work have room, as if each were the largest. */
static unsigned count_at_a_time(const struct making *m)
{
        uint64_t memory = sf_delta_effort_memory(m->effort), most = 1;
        unsigned threads = sf_delta_effort_threads(m->effort);

        if (!threads)
                threads = sf_parallel_processors();
        for (size_t i = 0; memory && i < m->plan.count; i++) {
                uint64_t needed = m->plan.parts[i].codec == SF_PART_ELF ? m->plan.parts[i].making : zstd_memory(m);

                most = needed > most ? needed : most;
        }
        if (memory && memory / most < threads)
                threads = memory / most ? (unsigned)(memory / most) : 1;
        return threads < THREADS_MAX ? threads : THREADS_MAX;
}

static int put_part(enum sf_part_codec codec, const struct sf_buffer *patch, struct sf_buffer *ret,
                    struct sf_error *err)
{
        uint8_t header[SF_PART_HEADER] = { (uint8_t)codec };

        for (unsigned i = 0; i < 4; i++)
                header[1 + i] = (uint8_t)(patch->len >> (8 * i));
        int r = sf_buffer_append(ret, header, sizeof header, err);
        return r < 0 ? r : sf_buffer_append(ret, patch->data, patch->len, err);
}

static int put_parts(const struct making *m, struct sf_buffer *ret, struct sf_error *err)
{
        const uint8_t log = (uint8_t)m->plan.log;
        int r = m->plan.limited ? sf_buffer_append(ret, &log, 1, err) : 0;

        for (size_t i = 0; i < m->plan.count && r == 0; i++)
                r = put_part(m->plan.parts[i].codec, &m->patches[i], ret, err);
        return r;
}

static int encode(const struct sf_delta_files *old, const struct sf_delta_files *new, struct sf_delta_effort *effort,
                  struct sf_buffer *ret_patch, struct sf_error *err)
{
        _cleanup_(cleanup_making) struct making m = { .old = old, .new = new, .effort = effort };
        int r = sf_part_plan_make(old, new, effort, &m.plan, err);

        if (r < 0)
                return r;
        m.patches = calloc(m.plan.count + 1, sizeof *m.patches);
        if (!m.patches)
                return sf_error_set(err, SF_ERR_NOMEM, "no memory for %zu parts", m.plan.count);
        m.at_a_time = count_at_a_time(&m);
        m.memory = sf_delta_effort_memory(effort) / m.at_a_time;
        r = sf_parallel_each(m.plan.count, m.at_a_time, make_part, &m, err);
        if (effort) {
                effort->proved = r == 0;
                effort->cheaper = m.plan.cheaper;
                effort->bounded = m.plan.bounded;
        }
        return r < 0 ? r : put_parts(&m, ret_patch, err);
}

const struct sf_delta_codec sf_delta_parts_encoder = { "parts", sf_part_plan_least_memory, encode, NULL,
                                                       sf_parts_patch_memory };
