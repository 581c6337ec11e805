/* delta/differ.c - see differ.h. */
#include "delta/differ.h"

#include "base/cleanup.h"

int sf_differ_decode(const struct sf_delta_files *old, const struct sf_delta_files *new_files, const uint8_t *patch,
                     size_t patch_len, bool predict, uint8_t *out, struct sf_error *err)
{
        _cleanup_(sf_replay_close) struct sf_replay replay = { 0 };
        uint64_t offset = 0;

        if (patch_len < SF_DIFFER_HEADER || patch[0] != SF_PREDICTOR_VERSION)
                return sf_error_set(err, SF_ERR_UNSUPPORTED, "the patch is for another version of the predictor");
        if (patch[1] < SF_REPLAY_SLOTS_LOG_MIN || patch[1] > SF_REPLAY_SLOTS_LOG_MAX)
                return sf_error_set(err, SF_ERR_CORRUPT, "the patch asks for a model of 2^%u slots", patch[1]);
        int r = sf_replay_open(&replay, old, new_files, NULL, out, predict, patch[1], err);
        if (r < 0)
                return r;
        sf_coder_decode(&replay.coder, patch + SF_DIFFER_HEADER, patch_len - SF_DIFFER_HEADER);
        for (size_t i = 0; i < new_files->count; i++) {
                _cleanup_(sf_script_free) struct sf_script script = { 0 };

                if ((r = sf_replay_file(&replay, i, offset, &script, err)) < 0)
                        return sf_error_prefix(err, "file %zu", i + 1);
                offset += new_files->files[i].size;
        }
        return sf_coder_finish(&replay.coder, err);
}
