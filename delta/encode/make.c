/* SPDX-License-Identifier: Apache-2.0 */
/* delta/encode/make.c - see make.h. */
#include "delta/encode/make.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "delta/codec/codecs.h"
#include "delta/container.h"
#include "delta/encode/choose_bases.h"
#include "delta/encode/effort.h"
#include "delta/encode/memory.h"
#include "delta/encode/proof.h"
#include "delta/change_set.h"

#define WHOLE_MAX (UINT64_C(128) << 20) /* bytes of old and new content that are made as one stream */
#define ZSTD_GAIN 2                     /* zstd -19 never saves more against its quickest level */

const struct sf_delta_codec *const sf_delta_encoders[] = { &sf_delta_elf_encoder,     &sf_delta_parts_encoder,
                                                           &sf_delta_bindiff_encoder, &sf_delta_zstd_encoder,
                                                           &sf_delta_rsync_encoder,   NULL };

/* All contents of one job. */
struct contents {
        struct sf_change_set plan;
        struct sf_buffer old_bytes, new_bytes;
        struct sf_delta_file *old_files, *new_files;
        uint64_t probe; /* what zstd's quickest level gives, bytes */
        bool expensive; /* that is more than the model is given */
};

static void cleanup_contents(struct contents *c)
{
        sf_change_set_free(&c->plan);
        sf_buffer_free(&c->old_bytes);
        sf_buffer_free(&c->new_bytes);
        free(c->old_files);
        free(c->new_files);
}

static int append_checked(int (*read)(void *ctx, const struct sf_entry *entry, struct sf_buffer *ret,
                                      struct sf_error *err),
                          void *ctx, const struct sf_entry *entry, struct sf_buffer *bytes, struct sf_error *err)
{
        size_t before = bytes->len;
        int r = read(ctx, entry, bytes, err);

        if (r < 0)
                return sf_error_prefix(err, "%s", entry->path);
        if (bytes->len - before != entry->size)
                return sf_error_set(err, SF_ERR_CORRUPT, "%s: has %zu bytes instead of %llu", entry->path,
                                    bytes->len - before, (unsigned long long)entry->size);
        return 0;
}

static int load_contents(const struct sf_delta_make *job, struct contents *c, struct sf_error *err)
{
        int r;

        c->old_files = calloc(c->plan.base_count + 1, sizeof *c->old_files);
        c->new_files = calloc(c->plan.target_count + 1, sizeof *c->new_files);
        if (!c->old_files || !c->new_files)
                return sf_error_set(err, SF_ERR_NOMEM, "no memory for a delta");
        if ((r = sf_buffer_reserve(&c->old_bytes, c->plan.old_size, err)) < 0 ||
            (r = sf_buffer_reserve(&c->new_bytes, c->plan.new_size, err)) < 0)
                return r;
        const uint8_t *at = c->old_bytes.data;
        for (size_t i = 0; i < c->plan.base_count; i++) {
                const struct sf_entry *entry = &job->old->entries[c->plan.bases[i]];

                if ((r = append_checked(job->read_old, job->ctx, entry, &c->old_bytes, err)) < 0)
                        return r;
                c->old_files[i] = (struct sf_delta_file){ at, entry->size, 0 };
                at += entry->size;
        }
        at = c->new_bytes.data;
        for (size_t i = 0; i < c->plan.target_count; i++) {
                const struct sf_entry *entry = &job->new->entries[c->plan.targets[i].entry];

                if ((r = append_checked(job->read_new, job->ctx, entry, &c->new_bytes, err)) < 0)
                        return r;
                c->new_files[i] = (struct sf_delta_file){ at, entry->size, c->plan.base_of[i] };
                at += entry->size;
        }
        return 0;
}

static struct sf_delta_files old_of(const struct contents *c)
{
        return (struct sf_delta_files){ c->old_files, c->plan.base_count };
}

static struct sf_delta_files new_of(const struct contents *c)
{
        return (struct sf_delta_files){ c->new_files, c->plan.target_count };
}

/* Both sides, and the new one once more while the delta is tried. */
static uint64_t contents_memory(const struct contents *c)
{
        return c->plan.old_size + 2 * c->plan.new_size;
}

/* What a node needs for both sides. */
static uint64_t installed_memory(const struct contents *c)
{
        return c->plan.old_size + c->plan.new_size;
}

static int attempt(const struct sf_delta_make *job, const struct contents *c, const struct sf_delta_codec *codec,
                   struct sf_delta_attempt *row, struct sf_buffer *ret_blob, struct sf_error *err)
{
        _cleanup_(sf_buffer_free) struct sf_buffer patch = SF_BUFFER_INIT;
        const struct sf_delta_files old = old_of(c), new = new_of(c);
        struct sf_delta_effort effort = { .threads = job->threads,
                                          .memory = job->work_memory - contents_memory(c),
                                          .node_memory = job->memory_budget > installed_memory(c)
                                                                 ? job->memory_budget - installed_memory(c)
                                                                 : 1,
                                          .model_bytes = job->model_bytes,
                                          .progress = job->progress,
                                          .ctx = job->progress_ctx,
                                          .lock = PTHREAD_MUTEX_INITIALIZER,
                                          .total = 2 * c->plan.new_size };
        double start = sf_clock_seconds();
        int r = codec->encode(&old, &new, &effort, &patch, err);

        row->seconds = sf_clock_seconds() - start;
        row->cheaper = effort.cheaper;
        row->bounded = effort.bounded;
        if (r < 0 ||
            (!effort.proved && (r = sf_proof_apply(sf_delta_codec_find(codec->name), &old, &new, &patch, err)) < 0))
                return r;
        row->memory = installed_memory(c) + sf_delta_patch_memory(codec, &old, &new, patch.data, patch.len);
        row->fits = row->memory <= job->memory_budget;
        return sf_delta_wrap(job->old, job->new, &c->plan, codec->name, &patch, ret_blob, err);
}

/* Why a codec is not worth trying; NULL where it is. `best` is the smallest blob so far, 0 where there is none. */
static const char *reason_to_skip(const struct contents *c, const struct sf_delta_codec *codec, bool fits,
                                  uint64_t best)
{
        if (!fits)
                return "not tried: needs more memory than a node gives";
        if (codec == &sf_delta_elf_encoder && installed_memory(c) > WHOLE_MAX)
                return "not tried: a set of this size is made in parts";
        if (codec == &sf_delta_elf_encoder && c->expensive)
                return "not tried: a set that differs this much is made in parts";
        if (codec == &sf_delta_bindiff_encoder && c->expensive)
                return "not tried: one stream of what differs this much takes too long";
        if (!best)
                return NULL;
        if (codec == &sf_delta_parts_encoder)
                return "not tried: a set of this size is better made as a whole";
        if (codec == &sf_delta_bindiff_encoder)
                return "not tried: what it finds was found already";
        if (codec == &sf_delta_rsync_encoder)
                return "not tried: only worth its bytes where no other codec fits";
        if (codec == &sf_delta_zstd_encoder && c->expensive)
                return "not tried: the whole takes too long where parts were made";
        if (codec == &sf_delta_zstd_encoder && c->probe / ZSTD_GAIN > best)
                return "given up: its quickest level gives far more bytes";
        return NULL;
}

/* One row of the table; keeps the blob where it is the smallest so far. */
static void try_codec(const struct sf_delta_make *job, const struct contents *c, const struct sf_delta_codec *codec,
                      struct sf_delta_result *result)
{
        _cleanup_(sf_buffer_free) struct sf_buffer blob = SF_BUFFER_INIT;
        const struct sf_delta_files old = old_of(c), new = new_of(c);
        struct sf_delta_attempt *row = &result->attempts[result->attempt_count++];
        struct sf_error err = SF_ERROR_INIT;

        *row = (struct sf_delta_attempt){ .codec = codec->name };
        row->memory = installed_memory(c) + codec->decode_memory(&old, &new);
        row->fits = row->memory <= job->memory_budget;
        const char *reason = job->codec ? NULL : reason_to_skip(c, codec, row->fits, result->blob.len);
        if (reason || attempt(job, c, codec, row, &blob, &err) < 0) {
                snprintf(row->failure, sizeof row->failure, "%.*s", (int)sizeof row->failure - 1,
                         reason ? reason : err.text);
                return;
        }
        result->cheaper += row->cheaper;
        row->bytes = blob.len;
        if (!row->fits || (result->blob.data && blob.len >= result->blob.len))
                return;
        for (size_t i = 0; i < result->attempt_count; i++)
                result->attempts[i].chosen = false;
        row->chosen = true;
        sf_buffer_free(&result->blob);
        result->blob = blob;
        blob = (struct sf_buffer)SF_BUFFER_INIT;
        result->memory = row->memory;
        result->bounded = row->bounded;
        memset(result->codec, 0, sizeof result->codec);
        memcpy(result->codec, codec->name, strlen(codec->name));
}

/* Once, whatever asks for it. */
static void probe(const struct sf_delta_make *job, struct contents *c)
{
        const struct sf_delta_files old = old_of(c), new = new_of(c);

        c->probe = sf_delta_zstd_probe(&old, &new);
        c->expensive = c->probe > (job->model_bytes ? job->model_bytes : SF_DELTA_MODEL_BYTES);
}

static int check_contents(const struct sf_delta_make *job, const struct contents *c, struct sf_error *err)
{
        if (contents_memory(c) < job->work_memory)
                return 0;
        return sf_error_set(err, SF_ERR_LIMIT,
                            "its %llu MB of changed files and the old ones take %llu MB of memory, more than the %llu "
                            "MB allowed",
                            (unsigned long long)(c->plan.new_size >> 20),
                            (unsigned long long)(contents_memory(c) >> 20),
                            (unsigned long long)(job->work_memory >> 20));
}

int sf_delta_make(const struct sf_delta_make *wanted, struct sf_delta_result *ret, struct sf_error *err)
{
        struct sf_delta_make limited = *wanted;
        const struct sf_delta_make *job = &limited;
        _cleanup_(cleanup_contents) struct contents c = { 0 };
        _cleanup_(sf_delta_result_free) struct sf_delta_result result = { 0 };
        int r;

        if (!limited.memory_budget)
                limited.memory_budget = SF_DELTA_MEMORY_DEFAULT;
        if (!limited.work_memory)
                limited.work_memory = sf_encode_memory_default();
        if ((r = sf_change_set_changed(job->old, job->new, &c.plan, err)) < 0 ||
            (r = sf_choose_bases(job->old, job->new, &c.plan, err)) < 0 || (r = check_contents(job, &c, err)) < 0 ||
            (r = load_contents(job, &c, err)) < 0)
                return r;
        if (!job->codec)
                probe(job, &c);
        result.changed_files = c.plan.target_count;
        result.changed_bytes = c.plan.new_size;
        for (const struct sf_delta_codec *const *codec = sf_delta_encoders; *codec; codec++)
                if (!job->codec || !strcmp(job->codec, (*codec)->name))
                        try_codec(job, &c, *codec, &result);
        if (!result.blob.data)
                return sf_error_set(err, SF_ERR_NOMEM, "no codec makes a delta that fits %llu bytes of memory%s%s",
                                    (unsigned long long)job->memory_budget,
                                    result.attempt_count ? "; the first one said: " : "",
                                    result.attempt_count ? result.attempts[0].failure : "");
        *ret = result;
        result = (struct sf_delta_result){ 0 };
        return 0;
}

void sf_delta_result_free(struct sf_delta_result *result)
{
        sf_buffer_free(&result->blob);
}
