/* SPDX-License-Identifier: Apache-2.0 */
/* static/shim/musl-compat.h - included before every source of systemd 252: what its sd-bus takes from glibc and musl
 * lacks.
 *
 * strerror_r(3) has two forms, comparison_fn_t and strndupa(3) are glibc's own, NI_IDN is an extension of
 * getnameinfo(3). <netinet/if_ether.h> and <sys/prctl.h> come first, because the kernel's headers define the same
 * structures again.
 */
#ifndef SF_STATIC_MUSL_COMPAT_H
#define SF_STATIC_MUSL_COMPAT_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE 1
#endif

#include <netinet/if_ether.h>
#include <stddef.h>
#include <string.h>
#include <sys/prctl.h>

#define _LINUX_PRCTL_H
#define NI_IDN 0

typedef int (*comparison_fn_t)(const void *, const void *);

/* GNU's form returns the text, musl's fills the buffer and returns a code. */
static inline char *sf_gnu_strerror_r(int code, char *buffer, size_t size)
{
        if (size > 0 && strerror_r(code, buffer, size) != 0)
                buffer[0] = '\0';
        return buffer;
}
#define strerror_r sf_gnu_strerror_r

#define strndupa(text, max)                                            \
        ({                                                             \
                const char *text_ = (text);                            \
                size_t length_ = strnlen(text_, (max));                \
                char *copy_ = (char *)__builtin_alloca(length_ + 1);   \
                copy_[length_] = '\0';                                 \
                (char *)memcpy(copy_, text_, length_);                 \
        })

#endif
