/* SPDX-License-Identifier: Apache-2.0 */
/* tests/kit/layer-scratch.h - a directory to unpack made-up layers into. For cmocka programs. */
#ifndef SF_TESTS_KIT_LAYER_SCRATCH_H
#define SF_TESTS_KIT_LAYER_SCRATCH_H

#include "base/error.h"
#include "installer/unpack.h"
#include "tests/kit/layer-maker.h"

#define RELEASE "24.11.5-bookworm-amd64"
#define PREFIX "/opt/slurm/releases/24.11.5-bookworm"

struct scratch {
        char path[64];
        int dirfd;
};

struct scratch make_scratch(void);
void drop_scratch(struct scratch *s);

/* The list as a node gets it: written, then read back. */
int read_list(const struct maker *m, struct sf_filelist *ret, struct sf_error *err);
struct sf_unpack unpack_of(struct maker *m, const struct sf_filelist *list, int dirfd, unsigned threads);

#endif
