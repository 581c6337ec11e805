/* SPDX-License-Identifier: Apache-2.0 */
/* static/librsync-config.h - what librsync's cmake would find out about musl on a 64-bit machine. */
#define HAVE_SYS_FILE_H       1
#define HAVE_SYS_STAT_H       1
#define HAVE_SYS_TYPES_H      1
#define HAVE_UNISTD_H         1
#define HAVE_FCNTL_H          1
#define HAVE_FSEEKO           1
#define HAVE_FILENO           1
#define HAVE___FUNC__ 1
#define HAVE___FUNCTION__ 1
#define HAVE_PRINTF_Z         1
#define SIZEOF_LONG           8
#define SIZEOF_LONG_LONG      8
#define SIZEOF_SIZE_T         8
#define SIZEOF_OFF_T          8
#define SIZEOF_UNSIGNED_INT   4
#define SIZEOF_UNSIGNED_LONG  8
#define SIZEOF_UNSIGNED_SHORT 2
#define PACKAGE               "librsync"
#define VERSION               "2.3.4"
