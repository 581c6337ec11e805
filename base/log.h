/* SPDX-License-Identifier: Apache-2.0 */
/* base/log.h - what a program tells its user. Only agent/ and factory/ may include this: lower floors return errors.
 *
 * Everything goes to standard error; standard output belongs to results (tables, --json). There are no
 * colours.
 */
#ifndef SF_BASE_LOG_H
#define SF_BASE_LOG_H

#include <stdbool.h>
#include <stdint.h>

enum sf_log_level { SF_LOG_QUIET, SF_LOG_NORMAL, SF_LOG_VERBOSE };

/* program is put before warnings and errors; it must stay valid. */
void sf_log_open(const char *program, enum sf_log_level level);

void sf_log_info(const char *format, ...) __attribute__((format(printf, 1, 2)));    /* not with -q */
void sf_log_detail(const char *format, ...) __attribute__((format(printf, 1, 2)));  /* only with -v */
void sf_log_warning(const char *format, ...) __attribute__((format(printf, 1, 2))); /* "program: warning: ..." */
void sf_log_error(const char *format, ...) __attribute__((format(printf, 1, 2)));   /* "program: ..." */

/* A line that replaces itself: on a terminal only, not with -q or -v, cut to its width. sf_log_progress_end removes it.
 * base/progress.h draws one with numbers. */
void sf_log_status(const char *format, ...) __attribute__((format(printf, 1, 2)));
void sf_log_progress_end(void);
bool sf_log_draws(void); /* would such a line be seen? */

/* 4,784,456 -> "4.6 MiB"; returns out. */
char *sf_log_size(uint64_t bytes, char out[32]);

#endif
