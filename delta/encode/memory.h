/* SPDX-License-Identifier: Apache-2.0 */
/* delta/encode/memory.h - what making a delta takes in memory, so that it is known beforehand (encoder only).
 *
 * Upper bounds, in bytes, besides the contents themselves. The bytes of a delta do not depend on how much memory there
 * is: fewer threads work where there is less. Only what is too large for one thread takes another codec.
 */
#ifndef SF_DELTA_ENCODE_MEMORY_H
#define SF_DELTA_ENCODE_MEMORY_H

#include <stdint.h>

#include "delta/codec/codec.h"

/* For the bindiff and elf codecs on so many threads; 0: only while the scripts are coded, which one thread does. */
uint64_t sf_encode_memory(const struct sf_delta_files *old, const struct sf_delta_files *new_files, unsigned threads);
/* Of `threads` (0 = one per processor) as many as `memory` has room for; 0 where one is too many. `memory` 0: no
 * limit. */
unsigned sf_encode_threads(const struct sf_delta_files *old, const struct sf_delta_files *new_files, unsigned threads,
                           uint64_t memory);
/* Half of the machine's memory, or of the process's address space where that is limited (RLIMIT_AS). */
uint64_t sf_encode_memory_default(void);

#endif
