/* SPDX-License-Identifier: Apache-2.0 */
/* delta/codec/bindiff.c - see bindiff.h. */
#include "delta/codec/bindiff.h"

#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "delta/codec/linker_tables.h"
#include "delta/codec/replay.h"

uint64_t sf_bindiff_memory_plain(const struct sf_delta_files *old, const struct sf_delta_files *new_files)
{
        return sf_replay_memory(old, new_files, false) + (new_files->count + 1) * sizeof(unsigned);
}

uint64_t sf_bindiff_memory_elf(const struct sf_delta_files *old, const struct sf_delta_files *new_files)
{
        uint64_t largest = 0, replay = sf_replay_memory(old, new_files, true);

        for (size_t i = 0; i < old->count; i++)
                largest = old->files[i].size > largest ? old->files[i].size : largest;
        for (size_t i = 0; i < new_files->count; i++)
                largest = new_files->files[i].size > largest ? new_files->files[i].size : largest;
        /* The tables are blanked before the replay and computed when only its model is still there. */
        uint64_t derived = sf_model_memory(SF_REPLAY_SLOTS_LOG_MAX) + sf_linker_tables_memory(largest);
        return sf_blanked_memory(old) + (replay > derived ? replay : derived) +
               (new_files->count + 1) * sizeof(unsigned);
}

static int check_header(const uint8_t *patch, size_t patch_len, struct sf_error *err)
{
        if (patch_len < SF_BINDIFF_HEADER || patch[0] < SF_PREDICTOR_OLDEST || patch[0] > SF_PREDICTOR_VERSION)
                return sf_error_set(err, SF_ERR_UNSUPPORTED, "the patch is for another version of the predictor");
        if (patch[1] < SF_REPLAY_SLOTS_LOG_MIN || patch[1] > SF_REPLAY_SLOTS_LOG_MAX)
                return sf_error_set(err, SF_ERR_CORRUPT, "the patch asks for a model of 2^%u slots", patch[1]);
        return 0;
}

int sf_bindiff_decode(const struct sf_delta_files *old, const struct sf_delta_files *new_files, const uint8_t *patch,
                      size_t patch_len, bool predict, uint8_t *out, struct sf_error *err)
{
        struct sf_bindiff_decoding d = { .old = old, .new = new_files, .predict = predict, .out = out };
        struct sf_coder coder;
        int r = check_header(patch, patch_len, err);

        if (r < 0)
                return r;
        memcpy(d.header, patch, SF_BINDIFF_HEADER);
        sf_coder_decode(&coder, patch + SF_BINDIFF_HEADER, patch_len - SF_BINDIFF_HEADER);
        return sf_bindiff_decode_from(&d, &coder, err);
}

static int decode_files(struct sf_replay *replay, const struct sf_delta_files *new_files, struct sf_error *err)
{
        uint64_t offset = 0;

        for (size_t i = 0; i < new_files->count; i++) {
                _cleanup_(sf_script_free) struct sf_script script = { 0 };
                int r = sf_replay_file(replay, i, offset, &script, err);

                if (r < 0)
                        return sf_error_prefix(err, "file %zu", i + 1);
                offset += new_files->files[i].size;
        }
        return sf_coder_finish(&replay->coder, err);
}

int sf_bindiff_decode_from(const struct sf_bindiff_decoding *d, const struct sf_coder *coder, struct sf_error *err)
{
        _cleanup_(sf_replay_close) struct sf_replay replay = { 0 };
        _cleanup_(sf_blanked_free) struct sf_blanked blanked = { 0 };
        _cleanup_free_ unsigned *derived = calloc(d->new->count + 1, sizeof *derived);
        uint8_t *out = d->out;

        if (!derived)
                return sf_error_set(err, SF_ERR_NOMEM, "no memory for %zu files", d->new->count);
        int r = d->predict ? sf_blanked_copy(d->old, true, &blanked, err) : 0;
        if (r < 0)
                return r;
        const struct sf_delta_files references = d->predict ? (struct sf_delta_files){ blanked.files, blanked.count }
                                                            : *d->old;
        const struct sf_replay_input input = { .old = &references,
                                               .new = d->new,
                                               .out = out,
                                               .predict = d->predict ? d->header[0] : 0,
                                               .derived = derived,
                                               .tape = d->tape };
        r = sf_replay_open(&replay, &input, d->header[1], err);
        if (r < 0)
                return r;
        memset(out, 0, sf_delta_files_size(d->new)); /* not every file is made from its first byte to its last */
        replay.coder = *coder;
        r = decode_files(&replay, d->new, err);
        /* Only now: until here the rebuilt files were references, too. */
        for (size_t i = 0; i < d->new->count &&r == 0; i++) {
                r = sf_linker_tables_restore(out, d->new->files[i].size, derived[i], err);
                out += d->new->files[i].size;
        }
        return r;
}
