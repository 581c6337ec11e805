/* SPDX-License-Identifier: Apache-2.0 */
/* base/output.h - what a program writes on standard output: lines for people, or with --json one object on one line and
 * nothing else. Only agent/ and factory/ may include this.
 */
#ifndef SF_BASE_OUTPUT_H
#define SF_BASE_OUTPUT_H

#include <stdbool.h>

#include "base/json.h"

/* json: lines for people go to standard error from now on. */
void sf_output_open(bool json);
bool sf_output_is_json(void);

/* One line; a newline is added, blanks at its end are left out, and what is not printable is written as "\x1b". */
void sf_output_line(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* A text of several lines, each as above. */
void sf_output_text(const char *text);

/* The object, in ASCII, where --json was given; the first one only. A standard output that cannot be written is said on
 * standard error. */
void sf_output_json(const json_t *object);

#endif
