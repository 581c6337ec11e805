/* SPDX-License-Identifier: Apache-2.0 */
/* base/printable.h - text from outside (names of processes and files, what a server answered) made fit to be shown.
 *
 * Printable is well-formed UTF-8 (RFC 3629) without control characters: C0, DEL and C1, and the characters of Unicode
 * that break lines or turn the direction of writing. Anything else in a terminal's input could drive the terminal.
 */
#ifndef SF_BASE_PRINTABLE_H
#define SF_BASE_PRINTABLE_H

#include <stddef.h>

/* What stands at the head of a text that is not empty. */
enum sf_printable {
        SF_PRINTABLE_TEXT,
        SF_PRINTABLE_CONTROL, /* well-formed, but not to be shown */
        SF_PRINTABLE_INVALID, /* no UTF-8 */
        SF_PRINTABLE_CUT      /* no UTF-8 because the text ends too early */
};
/* ret_len: how many bytes that are. */
enum sf_printable sf_printable_next(const char *text, size_t *ret_len);

/* Makes a text printable in place: a control character becomes a blank, a byte that is not UTF-8 a "?"; a
 * character that a fixed buffer cut in half at the end goes. */
void sf_printable_flatten(char *text);

#endif
