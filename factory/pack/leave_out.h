/* SPDX-License-Identifier: Apache-2.0 */
/* factory/pack/leave_out.h - what a tree holds that does not belong into a release: what the user named, and the
 * records that Spack and EasyBuild keep beside the programs they installed.
 */
#ifndef SF_FACTORY_PACK_LEAVE_OUT_H
#define SF_FACTORY_PACK_LEAVE_OUT_H

#include <stdbool.h>
#include <stddef.h>

#define SF_LEAVE_OUT_MAX 64 /* patterns */

struct sf_leave_out {
        /* fnmatch(3); '*' also matches '/'. One without a slash is compared with the last component too.
         * NULL-terminated; NULL = none. */
        const char *const *patterns;
        bool used[SF_LEAVE_OUT_MAX]; /* set where a pattern matched something */
        bool records;                /* leave the records of Spack and EasyBuild out as well */
};

enum sf_leave_out_verdict {
        SF_LEAVE_OUT_NOT,
        SF_LEAVE_OUT_THIS,  /* this path itself: worth a line */
        SF_LEAVE_OUT_BELOW, /* it lies in a directory that was left out */
};

/* What becomes of a path relative to the prefix. *ret_why, static, is set unless it is SF_LEAVE_OUT_NOT. */
enum sf_leave_out_verdict sf_leave_out_ask(struct sf_leave_out *leave_out, const char *path, const char **ret_why);

/* Whether the name is one of a log: what mentions the build prefix inside such a file is of no use on a node. */
bool sf_leave_out_is_log(const char *path);

#endif
