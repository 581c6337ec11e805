/* SPDX-License-Identifier: Apache-2.0 */
/* static/shim/gshadow.h - glibc's <gshadow.h>: declared for systemd's user database code, which the agent does not
 * link. */
#ifndef SF_STATIC_GSHADOW_H
#define SF_STATIC_GSHADOW_H

#include <stdio.h>

struct sgrp {
        char *sg_namp, *sg_passwd, **sg_adm, **sg_mem;
};

static inline struct sgrp *fgetsgent(FILE *file)
{
        (void)file;
        return NULL;
}

static inline int putsgent(const struct sgrp *group, FILE *file)
{
        (void)group;
        (void)file;
        return -1;
}

#endif
