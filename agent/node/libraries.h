/* SPDX-License-Identifier: Apache-2.0 */
/* agent/node/libraries.h - would the host's loader start these programs? It is asked itself (ld.so(8) with
 * LD_TRACE_LOADED_OBJECTS), so that missing libraries and a libc that is too old are found by the rules that hold here;
 * nothing of the release is run.
 */
#ifndef SF_AGENT_NODE_LIBRARIES_H
#define SF_AGENT_NODE_LIBRARIES_H

#include "base/buffer.h"
#include "base/error.h"

/* The loader that tree/sbin/slurmd asks for (PT_INTERP). Owned by the caller. */
int sf_libraries_loader(const char *tree, char **ret, struct sf_error *err);

/* Appends one line per unresolved library or version of tree/path: "lib/slurm/x.so: libfoo.so.1 not found". */
int sf_libraries_check(const char *loader, const char *tree, const char *path, struct sf_buffer *ret,
                       struct sf_error *err);

#endif
