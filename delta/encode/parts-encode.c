/* SPDX-License-Identifier: Apache-2.0 */
/* delta/encode/parts-encode.c - the encoder of the parts codec: every part by itself, several at a time; one that
 * costs too much under the elf codec takes zstd. */
#include <stdlib.h>

#include "base/cleanup.h"
#include "base/parallel.h"
#include "delta/codec/bindiff.h"
#include "delta/codec/codecs.h"
#include "delta/codec/parts.h"
#include "delta/encode/effort.h"
#include "delta/encode/memory.h"
#include "delta/encode/proof.h"

#define THREADS_MAX 8u

struct made_part {
        size_t first;
        enum sf_part_codec codec;
        struct sf_buffer patch; /* owned */
};

struct making {
        const struct sf_delta_files *old, *new;
        struct sf_delta_effort *effort;
        struct made_part *parts; /* owned */
        size_t count;
        uint64_t memory; /* bytes that one part may take; 0 = no limit */
        unsigned at_a_time;
};

static void cleanup_making(struct making *m)
{
        for (size_t i = 0; m->parts && i < m->count; i++)
                sf_buffer_free(&m->parts[i].patch);
        free(m->parts);
}

static int split(struct making *m, struct sf_error *err)
{
        for (size_t i = 0; i < m->new->count; i = sf_part_end(m->old, m->new, i))
                m->count++;
        if (m->count > SF_PARTS_MAX)
                return sf_error_set(err, SF_ERR_LIMIT, "more than %d parts", SF_PARTS_MAX);
        m->parts = calloc(m->count + 1, sizeof *m->parts);
        if (!m->parts)
                return sf_error_set(err, SF_ERR_NOMEM, "no memory for %zu parts", m->count);
        for (size_t i = 0, k = 0; i < m->new->count; i = sf_part_end(m->old, m->new, i), k++)
                m->parts[k].first = i;
        return 0;
}

/* The last parts take the processors that the others leave. */
static unsigned threads_for(const struct making *m, size_t index)
{
        return m->count - index > m->at_a_time ? 1 : sf_delta_effort_threads(m->effort);
}

static int make_part(void *ctx, size_t index, struct sf_error *err)
{
        struct making *m = ctx;
        struct made_part *made = &m->parts[index];
        struct sf_delta_effort alone = { .threads = threads_for(m, index),
                                         .memory = m->memory,
                                         .lock = PTHREAD_MUTEX_INITIALIZER,
                                         .whole = m->effort };
        _cleanup_(sf_part_close) struct sf_part part = { 0 };
        int r = sf_part_open(&part, m->old, m->new, made->first, err);

        if (r < 0)
                return r;
        made->codec = SF_PART_ELF;
        bool fits = sf_encode_threads(&part.old, &part.new, 1, sf_delta_effort_memory(m->effort)) > 0;
        if (!fits)
                sf_delta_effort_cheaper(m->effort);
        r = fits && sf_part_is_small(&part) ? sf_bindiff_encode(&part.old, &part.new, true, &alone, &made->patch, err)
                                            : SF_ERR_LIMIT;
        if (r == SF_ERR_LIMIT) {
                made->codec = SF_PART_ZSTD;
                sf_buffer_free(&made->patch);
                r = sf_delta_zstd_encoder.encode(&part.old, &part.new, &alone, &made->patch, err);
        }
        if (r == 0 && !alone.proved)
                r = sf_proof_apply(made->codec == SF_PART_ELF ? &sf_delta_elf : &sf_delta_zstd, &part.old, &part.new,
                                   &made->patch, err);
        if (r == 0 && made->patch.len > UINT32_MAX)
                r = sf_error_set(err, SF_ERR_LIMIT, "its patch is too long");
        /* What was given up was told in part, and zstd tells nothing. */
        sf_delta_effort_add(&alone, 2 * part.new_size - alone.done);
        return r < 0 ? sf_error_prefix(err, "part %zu", index + 1) : 0;
}

/* So many that the parts at work have room, as if each were the largest. */
static int count_at_a_time(const struct making *m, unsigned *ret, struct sf_error *err)
{
        uint64_t memory = sf_delta_effort_memory(m->effort), most = 1;
        unsigned threads = sf_delta_effort_threads(m->effort);

        if (!threads)
                threads = sf_parallel_processors();
        for (size_t i = 0; memory && i < m->count; i++) {
                _cleanup_(sf_part_close) struct sf_part part = { 0 };
                int r = sf_part_open(&part, m->old, m->new, m->parts[i].first, err);

                if (r < 0)
                        return r;
                uint64_t needed = sf_encode_memory(&part.old, &part.new, 1);
                most = needed > most && needed <= memory ? needed : most;
        }
        if (memory && memory / most < threads)
                threads = (unsigned)(memory / most);
        *ret = threads < THREADS_MAX ? threads : THREADS_MAX;
        return 0;
}

static int put_part(const struct made_part *made, struct sf_buffer *ret, struct sf_error *err)
{
        uint8_t header[SF_PART_HEADER] = { (uint8_t)made->codec };

        for (unsigned i = 0; i < 4; i++)
                header[1 + i] = (uint8_t)(made->patch.len >> (8 * i));
        int r = sf_buffer_append(ret, header, sizeof header, err);
        return r < 0 ? r : sf_buffer_append(ret, made->patch.data, made->patch.len, err);
}

static int encode(const struct sf_delta_files *old, const struct sf_delta_files *new, struct sf_delta_effort *effort,
                  struct sf_buffer *ret_patch, struct sf_error *err)
{
        _cleanup_(cleanup_making) struct making m = { .old = old, .new = new, .effort = effort };
        int r = split(&m, err);

        if (r < 0 || (r = count_at_a_time(&m, &m.at_a_time, err)) < 0)
                return r;
        m.memory = sf_delta_effort_memory(effort) / m.at_a_time;
        r = sf_parallel_each(m.count, m.at_a_time, make_part, &m, err);
        if (effort)
                effort->proved = r == 0;
        for (size_t i = 0; i < m.count && r == 0; i++)
                r = put_part(&m.parts[i], ret_patch, err);
        return r;
}

const struct sf_delta_codec sf_delta_parts_encoder = { "parts", sf_parts_memory, encode, NULL };
