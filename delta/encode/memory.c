/* SPDX-License-Identifier: Apache-2.0 */
/* delta/encode/memory.c - see memory.h. */
#include "delta/encode/memory.h"

#include <sys/resource.h>
#include <unistd.h>

#include "base/parallel.h"
#include "delta/codec/script.h"

/* For each byte of a file being aligned and of its references: labelled copies, suffixes (9 while they are sorted), bit
 * maps, fields with targets, labels and numbers. */
#define WORK_PER_BYTE 20
#define FIXED_MEMORY  (UINT64_C(96) << 20) /* the model, tables of prefixes, mixers */
#define THREAD_MEMORY (UINT64_C(16) << 20) /* what malloc keeps for a thread, its stack */
#define COPIES        3                    /* of the contents: blanked, fields that are kept */

static uint64_t largest_of(const struct sf_delta_files *files)
{
        uint64_t largest = 0;

        for (size_t i = 0; i < files->count; i++)
                largest = files->files[i].size > largest ? files->files[i].size : largest;
        return largest;
}

static uint64_t thread_memory(const struct sf_delta_files *old, const struct sf_delta_files *new_files)
{
        uint64_t new_largest = largest_of(new_files), old_largest = largest_of(old);
        uint64_t all = sf_delta_files_size(old) + sf_delta_files_size(new_files);
        uint64_t most = SF_SCRIPT_REFERENCES_MAX * (old_largest > new_largest ? old_largest : new_largest) +
                        new_largest;

        return WORK_PER_BYTE * (most < all ? most : all) + THREAD_MEMORY;
}

static uint64_t common_memory(const struct sf_delta_files *old, const struct sf_delta_files *new_files)
{
        return COPIES * (sf_delta_files_size(old) + 2 * sf_delta_files_size(new_files)) + FIXED_MEMORY;
}

uint64_t sf_encode_memory(const struct sf_delta_files *old, const struct sf_delta_files *new_files, unsigned threads)
{
        return common_memory(old, new_files) + threads * thread_memory(old, new_files);
}

unsigned sf_encode_threads(const struct sf_delta_files *old, const struct sf_delta_files *new_files, unsigned threads,
                           uint64_t memory)
{
        unsigned most = threads ? threads : sf_parallel_processors();

        while (memory && most && sf_encode_memory(old, new_files, most) > memory)
                most--;
        return most;
}

uint64_t sf_encode_memory_default(void)
{
        uint64_t memory = (uint64_t)sysconf(_SC_PHYS_PAGES) * (uint64_t)sysconf(_SC_PAGESIZE);
        struct rlimit limit;

        if (getrlimit(RLIMIT_AS, &limit) == 0 && limit.rlim_cur != RLIM_INFINITY && limit.rlim_cur < memory)
                memory = limit.rlim_cur;
        return memory / 2;
}
