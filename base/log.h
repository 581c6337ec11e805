/* SPDX-License-Identifier: Apache-2.0 */
/* base/log.h - what a program tells its user. Only agent/ and factory/ may include this: lower floors return errors.
 *
 * Everything goes to standard error; standard output belongs to results (tables, --json). A progress line is drawn on a
 * terminal only.
 */
#ifndef SF_BASE_LOG_H
#define SF_BASE_LOG_H

#include <stdint.h>

enum sf_log_level { SF_LOG_QUIET, SF_LOG_NORMAL, SF_LOG_VERBOSE };

/* program is put before warnings and errors; it must stay valid. */
void sf_log_open(const char *program, enum sf_log_level level);

void sf_log_info(const char *format, ...) __attribute__((format(printf, 1, 2)));    /* not with -q */
void sf_log_detail(const char *format, ...) __attribute__((format(printf, 1, 2)));  /* only with -v */
void sf_log_warning(const char *format, ...) __attribute__((format(printf, 1, 2))); /* "program: warning: ..." */
void sf_log_error(const char *format, ...) __attribute__((format(printf, 1, 2)));   /* "program: ..." */

/* "what  42 %  3.1 MiB/s": at most 10 redraws a second, nothing unless stderr is a terminal and the level is normal.
 * total 0 = unknown. sf_log_progress_end removes the line. */
void sf_log_progress(const char *what, uint64_t done, uint64_t total);
/* The same for work without a size: a line that replaces itself. */
void sf_log_status(const char *format, ...) __attribute__((format(printf, 1, 2)));
void sf_log_progress_end(void);

/* 4,784,456 -> "4.6 MiB"; returns out. */
char *sf_log_size(uint64_t bytes, char out[32]);

#endif
