/* SPDX-License-Identifier: Apache-2.0 */
/* delta/encode/samples.h - which files share content, by samples of their windows (encoder only).
 *
 * Of all 16-byte windows of a file, references to addresses blanked out, those whose hash falls into one part in 64 are
 * kept. The share of one file's samples that another has tells how much of it that one can provide.
 */
#ifndef SF_DELTA_ENCODE_SAMPLES_H
#define SF_DELTA_ENCODE_SAMPLES_H

#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "delta/image/address_fields.h"

#define SF_SIMILAR_STEP 64 /* bytes that one sample stands for */

struct sf_samples {
        uint64_t *hashes; /* owned; ascending, each once */
        size_t count;
};

/* Takes the samples of a file whose fields are blanked out. */
int sf_samples_take(const uint8_t *data, uint64_t size, const struct sf_address_fields *fields, struct sf_samples *ret,
                    struct sf_error *err);
/* How many of `a` are also in b. */
size_t sf_samples_shared(const struct sf_samples *a, const struct sf_samples *b);
/* Removes from a what b has. */
void sf_samples_subtract(struct sf_samples *a, const struct sf_samples *b);
int sf_samples_copy(const struct sf_samples *from, struct sf_samples *ret, struct sf_error *err);
void sf_samples_free(struct sf_samples *s);

#endif
