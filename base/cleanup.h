/* SPDX-License-Identifier: Apache-2.0 */
/* base/cleanup.h - scope-bound release of resources (gcc/clang __attribute__((cleanup))).
 *
 *     _cleanup_free_ char *name = NULL;
 *     _cleanup_close_ int fd = -1;
 *
 * A value that outlives the scope is taken out with sf_steal_pointer() or sf_steal_fd().
 */
#ifndef SF_BASE_CLEANUP_H
#define SF_BASE_CLEANUP_H

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static inline void sf_cleanup_free(void *pointer_to_pointer)
{
        free(*(void **)pointer_to_pointer);
}

static inline void sf_cleanup_close(const int *fd)
{
        int saved = errno;
        if (*fd >= 0)
                close(*fd);
        errno = saved;
}

static inline void sf_cleanup_fclose(FILE **file)
{
        if (*file)
                fclose(*file);
}

#define _cleanup_(function) __attribute__((cleanup(function)))
#define _cleanup_free_ _cleanup_(sf_cleanup_free)
#define _cleanup_close_ _cleanup_(sf_cleanup_close)
#define _cleanup_fclose_ _cleanup_(sf_cleanup_fclose)

#define sf_steal_pointer(pointer)                        \
        ({                                               \
                __typeof__(pointer) stolen_ = (pointer); \
                (pointer) = NULL;                        \
                stolen_;                                 \
        })

static inline int sf_steal_fd(int *fd)
{
        int stolen = *fd;
        *fd = -1;
        return stolen;
}

#endif
