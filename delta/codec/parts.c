/* SPDX-License-Identifier: Apache-2.0 */
/* delta/codec/parts.c - see parts.h. */
#include "delta/codec/parts.h"

#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "delta/codec/codecs.h"

#define PIECES_STEP 64 /* so many get room at a time */

/* By enum sf_part_codec. */
static const struct sf_delta_codec *const codecs[SF_PART_CODECS] = {
        [SF_PART_ELF] = &sf_delta_elf,
        [SF_PART_BINDIFF] = &sf_delta_bindiff,
        [SF_PART_ZSTD] = &sf_delta_zstd,
        [SF_PART_RSYNC] = &sf_delta_rsync,
};

static uint64_t weight_of(const struct sf_delta_files *old, const struct sf_delta_file *file)
{
        return file->size + (file->ancestor ? old->files[file->ancestor - 1].size : 0);
}

size_t sf_part_end(const struct sf_delta_files *old, const struct sf_delta_files *new_files, size_t first, unsigned log)
{
        uint64_t size = 0;
        size_t end = first;

        while (end < new_files->count) {
                size += weight_of(old, &new_files->files[end]);
                if (end > first && size > UINT64_C(1) << log)
                        break;
                end++;
        }
        return end;
}

bool sf_part_is_small(const struct sf_part *part)
{
        return part->old_size + part->new_size <= SF_PART_ELF_BYTES;
}

/* Numbers the ancestors of new files [first, end) anew, in order of first use. number[i]: that of old file i, + 1. */
static void collect_bases(struct sf_part *part, const struct sf_delta_files *old,
                          const struct sf_delta_files *new_files, uint32_t *number, struct sf_delta_file *bases,
                          struct sf_delta_file *files)
{
        for (size_t i = 0; i < part->new.count; i++) {
                uint32_t ancestor = new_files->files[part->first + i].ancestor;

                files[i] = new_files->files[part->first + i];
                part->new_size += files[i].size;
                if (!ancestor)
                        continue;
                if (!number[ancestor - 1]) {
                        bases[part->old.count] = old->files[ancestor - 1];
                        part->old_size += bases[part->old.count].size;
                        number[ancestor - 1] = (uint32_t)++part->old.count;
                }
                files[i].ancestor = number[ancestor - 1];
        }
}

static int copy_bases(struct sf_part *part, struct sf_error *err)
{
        struct sf_delta_file *bases = (void *)(uintptr_t)part->old.files;
        uint8_t *at = part->bases = malloc(part->old_size + 1);

        if (!at)
                return sf_error_set(err, SF_ERR_NOMEM, "no memory for the old files of a part");
        for (size_t i = 0; i < part->old.count; i++) {
                if (bases[i].size)
                        memcpy(at, bases[i].data, bases[i].size);
                bases[i].data = at;
                at += bases[i].size;
        }
        return 0;
}

int sf_part_outline(struct sf_part *part, const struct sf_delta_files *old, const struct sf_delta_files *new_files,
                    size_t first, unsigned log, struct sf_error *err)
{
        size_t count = sf_part_end(old, new_files, first, log) - first;
        _cleanup_free_ uint32_t *number = calloc(old->count + 1, sizeof *number);
        struct sf_delta_file *bases = calloc(count + 1, sizeof *bases), *files = calloc(count + 1, sizeof *files);

        *part = (struct sf_part){ .first = first, .old = { bases, 0 }, .new = { files, count } };
        if (!number || !bases || !files) {
                sf_part_close(part);
                return sf_error_set(err, SF_ERR_NOMEM, "no memory for a part of %zu files", count);
        }
        collect_bases(part, old, new_files, number, bases, files);
        return 0;
}

int sf_part_open(struct sf_part *part, const struct sf_delta_files *old, const struct sf_delta_files *new_files,
                 size_t first, unsigned log, struct sf_error *err)
{
        int r = sf_part_outline(part, old, new_files, first, log, err);

        if (r < 0)
                return r;
        if ((r = copy_bases(part, err)) < 0)
                sf_part_close(part);
        return r;
}

void sf_part_close(struct sf_part *part)
{
        free((void *)(uintptr_t)part->old.files);
        free((void *)(uintptr_t)part->new.files);
        free(part->bases);
        *part = (struct sf_part){ 0 };
}

uint64_t sf_part_memory(const struct sf_part *part, enum sf_part_codec codec)
{
        return codecs[codec]->decode_memory(&part->old, &part->new) + part->old_size;
}

/* Under whatever codec a patch may name. */
static uint64_t most_memory(const struct sf_part *part)
{
        uint64_t most = 0;

        for (enum sf_part_codec i = sf_part_is_small(part) ? SF_PART_ELF : SF_PART_ZSTD; i < SF_PART_CODECS; i++) {
                uint64_t memory = sf_part_memory(part, i);

                most = memory > most ? memory : most;
        }
        return most;
}

/* One part's share of the patch. */
struct piece {
        size_t first;
        uint64_t offset; /* in the new contents */
        const uint8_t *patch;
        uint32_t length;
        uint8_t codec;
};

uint64_t sf_parts_tables(const struct sf_delta_files *old, const struct sf_delta_files *new_files, size_t parts)
{
        return old->count * sizeof(uint32_t) + 3 * new_files->count * sizeof(struct sf_delta_file) +
               (parts + PIECES_STEP - 1) / PIECES_STEP * PIECES_STEP * sizeof(struct piece);
}

uint64_t sf_parts_memory(const struct sf_delta_files *old, const struct sf_delta_files *new_files)
{
        uint64_t most = 0;

        for (size_t i = 0, n = 0; i < new_files->count && n < SF_PARTS_MAX; n++) {
                struct sf_part part;

                if (sf_part_outline(&part, old, new_files, i, SF_PART_LOG, NULL) < 0)
                        return UINT64_MAX / 2; /* does not fit here in any case */
                uint64_t memory = most_memory(&part);
                most = memory > most ? memory : most;
                i += part.new.count;
                sf_part_close(&part);
        }
        return most + sf_parts_tables(old, new_files, 0);
}

struct decoding {
        const struct sf_delta_files *old, *new;
        struct piece *pieces; /* owned */
        size_t count;
        unsigned log;
        bool limited; /* the patch tells the log */
        uint8_t *out;
};

static void cleanup_decoding(struct decoding *d)
{
        free(d->pieces);
}

static int add_piece(struct decoding *d, struct piece piece, struct sf_error *err)
{
        if (d->count == SF_PARTS_MAX)
                return sf_error_set(err, SF_ERR_LIMIT, "the delta has more than %d parts", SF_PARTS_MAX);
        if (d->count % PIECES_STEP == 0) {
                struct piece *more = realloc(d->pieces, (d->count + PIECES_STEP) * sizeof *more);

                if (!more)
                        return sf_error_set(err, SF_ERR_NOMEM, "no memory for %zu parts", d->count);
                d->pieces = more;
        }
        d->pieces[d->count++] = piece;
        return 0;
}

static int find_pieces(struct decoding *d, const uint8_t *patch, size_t left, struct sf_error *err)
{
        uint64_t offset = 0;

        d->log = SF_PART_LOG;
        d->limited = left && *patch >= SF_PART_LOG_MIN && *patch <= SF_PART_LOG_MAX;
        if (d->limited) {
                d->log = *patch++;
                left--;
        }
        for (size_t i = 0; i < d->new->count;) {
                if (left < SF_PART_HEADER)
                        return sf_error_set(err, SF_ERR_CORRUPT, "the patch ends in front of a part");
                struct piece piece = {
                        .first = i, .offset = offset, .patch = patch + SF_PART_HEADER, .codec = patch[0]
                };
                for (unsigned k = 0; k < 4; k++)
                        piece.length |= (uint32_t)patch[1 + k] << (8 * k);
                if (piece.codec >= SF_PART_CODECS || piece.length > left - SF_PART_HEADER)
                        return sf_error_set(err, SF_ERR_CORRUPT, "a part of the patch is damaged");
                int r = add_piece(d, piece, err);
                if (r < 0)
                        return r;
                left -= SF_PART_HEADER + piece.length;
                patch += SF_PART_HEADER + piece.length;
                for (size_t end = sf_part_end(d->old, d->new, i, d->log); i < end; i++)
                        offset += d->new->files[i].size;
        }
        return left ? sf_error_set(err, SF_ERR_CORRUPT, "the patch goes on behind its last part") : 0;
}

static int decode_piece(const struct decoding *d, size_t index, struct sf_error *err)
{
        const struct piece *piece = &d->pieces[index];
        _cleanup_(sf_part_close) struct sf_part part = { 0 };
        int r = sf_part_open(&part, d->old, d->new, piece->first, d->log, err);

        if (r < 0)
                return r;
        if (piece->codec < SF_PART_ZSTD && !sf_part_is_small(&part))
                return sf_error_set(err, SF_ERR_CORRUPT, "part %zu is too large for its codec", index + 1);
        r = codecs[piece->codec]->decode(&part.old, &part.new, piece->patch, piece->length, d->out + piece->offset,
                                         err);
        return r < 0 ? sf_error_prefix(err, "part %zu", index + 1) : 0;
}

static int decode(const struct sf_delta_files *old, const struct sf_delta_files *new_files, const uint8_t *patch,
                  size_t patch_len, uint8_t *out, struct sf_error *err)
{
        _cleanup_(cleanup_decoding) struct decoding d = { .old = old, .new = new_files, .out = out };
        int r = find_pieces(&d, patch, patch_len, err);

        for (size_t i = 0; i < d.count && r == 0; i++)
                r = decode_piece(&d, i, err);
        return r;
}

/* A damaged patch, which decode refuses before its first part, takes no more than any other. */
uint64_t sf_parts_patch_memory(const struct sf_delta_files *old, const struct sf_delta_files *new_files,
                               const uint8_t *patch, size_t patch_len)
{
        _cleanup_(cleanup_decoding) struct decoding d = { .old = old, .new = new_files };
        uint64_t most = 0;

        if (find_pieces(&d, patch, patch_len, NULL) < 0 || !d.limited)
                return sf_parts_memory(old, new_files);
        for (size_t i = 0; i < d.count; i++) {
                _cleanup_(sf_part_close) struct sf_part part = { 0 };

                if (sf_part_outline(&part, old, new_files, d.pieces[i].first, d.log, NULL) < 0)
                        return UINT64_MAX / 2; /* does not fit here in any case */
                uint64_t memory = sf_part_memory(&part, d.pieces[i].codec);
                most = memory > most ? memory : most;
        }
        return most + sf_parts_tables(old, new_files, d.count);
}

const struct sf_delta_codec sf_delta_parts = { "parts", sf_parts_memory, NULL, decode, sf_parts_patch_memory };
