/* SPDX-License-Identifier: Apache-2.0 */
/* delta/encode/references.h - which files a new file is made from (encoder only).
 *
 * The ancestor, then those old files or new files in front of it that provide most of what is still missing, as samples
 * of their content tell (delta/encode/samples.h).
 *
 * The same library, or old program, is a reference of many files: the address fields that were found in a file to take
 * its samples are kept for them, up to SF_REFERENCE_FIELDS_MAX bytes in all.
 */
#ifndef SF_DELTA_ENCODE_REFERENCES_H
#define SF_DELTA_ENCODE_REFERENCES_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"
#include "delta/codec/codec.h"
#include "delta/codec/script.h"
#include "delta/encode/samples.h"
#include "delta/image/address_fields.h"

#define SF_REFERENCE_FIELDS_MAX ((size_t)64 << 20)

/* The samples of all files of a delta, old ones first: numbered like references. */
struct sf_reference_library {
        const struct sf_delta_files *old, *new; /* borrowed */
        bool elf;                               /* as in samples.h */
        struct sf_samples *samples;             /* owned */
        struct sf_address_fields *fields;       /* owned; of each file; without targets where they are not kept */
        atomic_size_t kept;                     /* bytes of fields */
};

/* Data and size of a reference by its number. */
const struct sf_delta_file *sf_reference_file(const struct sf_delta_files *old, const struct sf_delta_files *new,
                                              uint32_t reference);

/* Takes the samples of all files, on `threads` threads (0 = one per processor). */
int sf_reference_library_open(struct sf_reference_library *l, const struct sf_delta_files *old,
                              const struct sf_delta_files *new, bool elf, unsigned threads, struct sf_error *err);
void sf_reference_library_close(struct sf_reference_library *l);
/* The fields of a file by its number: borrowed from the library where it has them (*ret_owned is false), else looked
 * for. None without `elf`. */
int sf_reference_fields(const struct sf_reference_library *l, uint32_t reference, struct sf_address_fields *ret,
                        bool *ret_owned, struct sf_error *err);
/* Fills in the references of the script of new file `index`. Several threads may ask at a time. */
int sf_references_choose(const struct sf_reference_library *l, size_t index, struct sf_script *script,
                         struct sf_error *err);

#endif
