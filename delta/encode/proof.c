/* SPDX-License-Identifier: Apache-2.0 */
/* delta/encode/proof.c - see proof.h. */
#include "delta/encode/proof.h"

#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"

#define RECORDS      4096                 /* in a piece */
#define QUEUE_MAX    32                   /* pieces; more only while the decoder waits for coded bytes */
#define QUEUE_MEMORY (UINT64_C(24) << 20) /* with what is coded while eight bytes come, which the decoder is ahead */
#define CODED_PIECE  (UINT64_C(64) << 10)

struct sf_proof_piece {
        struct sf_proof_piece *next;
        size_t count, read;
        struct sf_model_record records[RECORDS];
};

/* The files without their contents; NULL without memory. */
static struct sf_delta_file *blank_files(const struct sf_delta_files *files)
{
        struct sf_delta_file *blank = calloc(files->count + 1, sizeof *blank);

        for (size_t i = 0; blank && i < files->count; i++)
                blank[i] = (struct sf_delta_file){ NULL, files->files[i].size, files->files[i].ancestor };
        return blank;
}

int sf_proof_apply(const struct sf_delta_codec *decoder, const struct sf_delta_files *old,
                   const struct sf_delta_files *new_files, const struct sf_buffer *patch, struct sf_error *err)
{
        uint64_t size = sf_delta_files_size(new_files);
        _cleanup_free_ struct sf_delta_file *blank = blank_files(new_files);
        _cleanup_free_ uint8_t *out = malloc(size + 1);

        if (!blank || !out)
                return sf_error_set(err, SF_ERR_NOMEM, "no memory to prove a delta");
        int r = decoder->decode(old, &(struct sf_delta_files){ blank, new_files->count }, patch->data, patch->len, out,
                                err);
        if (r < 0)
                return sf_error_prefix(err, "the new delta cannot be applied");
        if (memcmp(out, sf_delta_files_bytes(new_files), size) != 0)
                return sf_error_set(err, SF_ERR_FAILED, "the new delta gives other bytes");
        return 0;
}

uint64_t sf_proof_memory(const struct sf_delta_files *old, const struct sf_delta_files *new_files, bool predict)
{
        return (predict ? sf_bindiff_memory_elf : sf_bindiff_memory_plain)(old, new_files) +
               sf_delta_files_size(new_files) + new_files->count * sizeof(struct sf_delta_file) + QUEUE_MEMORY;
}

/* The encoder's thread, with the lock: hands over what the patch has grown by. */
static void tell_bytes(struct sf_proof *p)
{
        if (sf_buffer_append(&p->told, p->patch->data + p->taken, p->patch->len - p->taken, NULL) < 0)
                p->broken = true;
        p->taken = p->patch->len;
}

/* The encoder's thread: hands over records and bytes. */
static void tell(struct sf_proof *p, bool complete)
{
        pthread_mutex_lock(&p->lock);
        tell_bytes(p);
        if (p->filling && !p->ended) {
                *p->tail = p->filling;
                p->tail = &p->filling->next;
                p->queued++;
        } else {
                free(p->filling);
        }
        p->filling = NULL;
        p->complete |= complete;
        pthread_cond_broadcast(&p->changed);
        while (!complete && p->queued >= QUEUE_MAX && !p->starving && !p->ended)
                pthread_cond_wait(&p->changed, &p->lock);
        pthread_mutex_unlock(&p->lock);
}

static void note_grown(struct sf_coder *c)
{
        struct sf_proof *p = c->ctx;

        pthread_mutex_lock(&p->lock);
        tell_bytes(p);
        pthread_cond_broadcast(&p->changed);
        pthread_mutex_unlock(&p->lock);
}

static void note(struct sf_model_tape *tape, const struct sf_model_record *record)
{
        struct sf_proof *p = tape->ctx;

        if (!p->filling) {
                p->filling = malloc(sizeof *p->filling);
                if (!p->filling) {
                        p->broken = true; /* the decoder will miss it */
                        return;
                }
                p->filling->next = NULL;
                p->filling->count = p->filling->read = 0;
        }
        p->filling->records[p->filling->count++] = *record;
        if (p->filling->count == RECORDS)
                tell(p, false);
}

/* The decoder's thread: the next piece of records, NULL where there are no more. */
static struct sf_proof_piece *take_piece(struct sf_proof *p)
{
        struct sf_proof_piece *piece;

        pthread_mutex_lock(&p->lock);
        while (!p->head && !p->complete)
                pthread_cond_wait(&p->changed, &p->lock);
        piece = p->head;
        if (piece) {
                p->head = piece->next;
                p->tail = p->head ? p->tail : &p->head;
                p->queued--;
                pthread_cond_broadcast(&p->changed);
        }
        pthread_mutex_unlock(&p->lock);
        return piece;
}

static bool recall(struct sf_model_tape *tape, struct sf_model_record *ret)
{
        struct sf_proof *p = tape->ctx;

        if (p->emptying && p->emptying->read == p->emptying->count) {
                free(p->emptying);
                p->emptying = NULL;
        }
        if (!p->emptying)
                p->emptying = take_piece(p);
        if (!p->emptying)
                return false;
        *ret = p->emptying->records[p->emptying->read++];
        return true;
}

/* The decoder's thread: waits for coded bytes and takes them over. */
static bool read_more(struct sf_coder *c)
{
        struct sf_proof *p = c->ctx;

        pthread_mutex_lock(&p->lock);
        p->starving = true;
        pthread_cond_broadcast(&p->changed);
        while (!p->told.len && !p->complete)
                pthread_cond_wait(&p->changed, &p->lock);
        p->starving = false;
        size_t count = p->told.len < CODED_PIECE ? p->told.len : CODED_PIECE;
        if (count) {
                memcpy(p->reading, p->told.data, count);
                p->told.len -= count;
                memmove(p->told.data, p->told.data + count, p->told.len);
        }
        pthread_mutex_unlock(&p->lock);
        c->in = p->reading;
        c->end = p->reading + count;
        return count > 0;
}

static void *run(void *ctx)
{
        struct sf_proof *p = ctx;
        struct sf_coder coder;

        sf_coder_decode_from(&coder, read_more, p);
        p->result = sf_bindiff_decode_from(&p->decoding, &coder, &p->error);
        pthread_mutex_lock(&p->lock);
        p->ended = true;
        pthread_cond_broadcast(&p->changed);
        pthread_mutex_unlock(&p->lock);
        return NULL;
}

int sf_proof_start(struct sf_proof *p, const struct sf_delta_files *old, const struct sf_delta_files *new_files,
                   bool predict, struct sf_replay *replay)
{
        struct sf_coder *coder = &replay->coder;

        *p = (struct sf_proof){ .notes = { .note = note, .ctx = p },
                                .recalls = { .recall = recall, .ctx = p },
                                .patch = coder->out,
                                .taken = coder->out->len,
                                .tail = &p->head,
                                .lock = PTHREAD_MUTEX_INITIALIZER,
                                .changed = PTHREAD_COND_INITIALIZER };
        p->files = blank_files(new_files);
        p->reading = malloc(CODED_PIECE);
        p->decoding = (struct sf_bindiff_decoding){ .old = old,
                                                    .new = &p->new_files,
                                                    .predict = predict,
                                                    .out = malloc(sf_delta_files_size(new_files) + 1),
                                                    .tape = &p->recalls };
        if (!p->files || !p->reading || !p->decoding.out)
                return SF_ERR_NOMEM;
        memcpy(p->decoding.header, p->patch->data, SF_BINDIFF_HEADER);
        p->new_files = (struct sf_delta_files){ p->files, new_files->count };
        if (pthread_create(&p->thread, NULL, run, p) != 0)
                return SF_ERR_NOMEM;
        p->running = true;
        coder->grown = note_grown;
        coder->ctx = p;
        replay->model.tape = &p->notes;
        return 0;
}

static void join(struct sf_proof *p)
{
        tell(p, true);
        pthread_join(p->thread, NULL);
        p->running = false;
}

int sf_proof_finish(struct sf_proof *p, const uint8_t *truth, struct sf_error *err)
{
        join(p);
        if (p->broken)
                return sf_error_set(err, SF_ERR_NOMEM, "no memory to try the new delta");
        if (p->recalls.differs)
                return sf_error_set(err, SF_ERR_FAILED, "who applies the new delta would read it differently");
        if (p->result < 0)
                return sf_error_set(err, p->result, "the new delta cannot be applied: %s", p->error.text);
        if (memcmp(p->decoding.out, truth, sf_delta_files_size(&p->new_files)) != 0)
                return sf_error_set(err, SF_ERR_FAILED, "the new delta gives other bytes");
        return 0;
}

void sf_proof_close(struct sf_proof *p)
{
        if (p->running)
                join(p);
        while (p->head) {
                struct sf_proof_piece *next = p->head->next;

                free(p->head);
                p->head = next;
        }
        free(p->filling);
        free(p->emptying);
        free(p->files);
        free(p->reading);
        free(p->decoding.out);
        sf_buffer_free(&p->told);
        *p = (struct sf_proof){ 0 };
}
