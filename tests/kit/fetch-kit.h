/* SPDX-License-Identifier: Apache-2.0 */
/* tests/kit/fetch-kit.h - what the tests that fetch from tests/kit/hostile-server.py share. */
#ifndef SF_TESTS_KIT_FETCH_KIT_H
#define SF_TESTS_KIT_FETCH_KIT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "transport/fetch.h"

#define KIT_SIZE   300000 /* of the server's content */
#define PART_FROM  100000
#define PART_BYTES 50000

extern uint8_t kit_content[KIT_SIZE];
extern unsigned kit_failures;

/* CA_BUNDLE NAME=PORT..., as the programs get them. */
void kit_begin(int argc, char **argv);

/* The port of a server by its name, as text; and its URL. "http" has no TLS; "plain" is the same one asked for TLS. */
const char *kit_port(const char *name);
char *kit_base(const char *server, const char *behaviour);
double kit_seconds(void);

/* One retry, short timeouts. */
struct sf_fetch_options kit_options(const char *const *bases);
/* With these options; `changed` NULL = kit_options. Ends the program where it fails. */
struct sf_fetcher *kit_open(const char *const *bases, const struct sf_fetch_options *changed);
/* The wanted bytes of the content, compared by size and digest as every blob is. */
int kit_fetch(struct sf_fetcher *f, uint64_t offset, uint64_t length, struct sf_error *err);

/* Prints and counts a case that is more than one row: expected is what should be true, the rest what was instead. */
void kit_check(const char *behaviour, const char *expected, bool ok, const char *format, ...)
        __attribute__((format(printf, 4, 5)));

/* tests/kit/fetch-cases.c */
void run_cases(void);

#endif
