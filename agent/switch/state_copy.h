/* SPDX-License-Identifier: Apache-2.0 */
/* agent/switch/state_copy.h - a directory copied so that it can be put back as it was: slurmctld's
 * StateSaveLocation.
 *
 * Files become clones where both sides lie on one file system that can do that (ioctl_ficlone(2)), else copies.
 * Owner, group, mode and modification time are kept. Sockets, fifos and devices are left out. Nothing here knows
 * what the files mean. */
#ifndef SF_AGENT_SWITCH_STATE_COPY_H
#define SF_AGENT_SWITCH_STATE_COPY_H

#include <stdint.h>

#include "base/error.h"

/* Bytes and entries below a directory. Entries that vanish meanwhile are left out. */
int sf_state_copy_measure(const char *source, uint64_t *ret_bytes, uint64_t *ret_entries, struct sf_error *err);

/* SF_ERR_NO_SPACE where the file system of `copy` (or of its nearest existing parent) has no room for `source`. */
int sf_state_copy_check_space(const char *source, const char *copy, struct sf_error *err);

/* The first pass, while the owner of `source` still runs: only entries of its top level whose name begins with
 * `prefix` ("hash."), which hold most of the bytes and whose files do not change once they are written. Makes
 * `copy`, for root alone, where it is missing. */
int sf_state_copy_begin(const char *source, const char *copy, const char *prefix, struct sf_error *err);

/* The whole of it, durably, with the owner stopped: what the first pass left whole (`prefix`, same size and time) is
 * kept, all else is copied, and what `source` no longer has is removed. prefix NULL: everything is copied. It can be
 * repeated after an interruption. Every file is replaced atomically, `source` itself is only read. */
int sf_state_copy_finish(const char *source, const char *copy, const char *prefix, struct sf_error *err);

/* Do two files hold the same bytes? Both missing counts as the same. */
int sf_state_copy_same(const char *a, const char *b, int *ret, struct sf_error *err);

#endif
