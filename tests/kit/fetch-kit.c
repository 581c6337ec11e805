/* SPDX-License-Identifier: Apache-2.0 */
/* tests/kit/fetch-kit.c - see fetch.h. */
#include "tests/kit/fetch-kit.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/cleanup.h"
#include "base/digest.h"
#include "base/stream.h"

uint8_t kit_content[KIT_SIZE];
unsigned kit_failures;
static const char *kit_ca_bundle;
static unsigned port_count;
static char port_names[16][32];
static char port_numbers[16][8];

void kit_begin(int argc, char **argv)
{
        setvbuf(stdout, NULL, _IOLBF, 0);
        if (argc < 3 || argc > 18)
                exit(99);
        kit_ca_bundle = argv[1];
        for (int i = 2; i < argc; i++)
                if (sscanf(argv[i], "%31[^=]=%7s", port_names[port_count], port_numbers[port_count]) == 2)
                        port_count++;
        for (size_t i = 0; i < KIT_SIZE; i++)
                kit_content[i] = (uint8_t)(i * 31 + (i >> 8) * 17);
}

const char *kit_port(const char *name)
{
        /* "plain" is a web server without TLS, asked as if it had it. */
        if (strcmp(name, "plain") == 0)
                name = "http";
        for (unsigned i = 0; i < port_count; i++)
                if (strcmp(port_names[i], name) == 0)
                        return port_numbers[i];
        fprintf(stderr, "no port was named for %s\n", name);
        exit(99);
}

char *kit_base(const char *server, const char *behaviour)
{
        return sf_format("%s://127.0.0.1:%s/%s/", strcmp(server, "http") == 0 ? "http" : "https", kit_port(server),
                         behaviour);
}

double kit_seconds(void)
{
        struct timespec t;

        clock_gettime(CLOCK_MONOTONIC, &t);
        return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

void kit_check(const char *behaviour, const char *expected, bool ok, const char *format, ...)
{
        va_list args;

        if (!ok)
                kit_failures++;
        printf("%-60s %-40s %s", behaviour, expected, ok ? "ok" : "NOT OK: ");
        va_start(args, format);
        if (!ok)
                vprintf(format, args);
        va_end(args);
        printf("\n");
}

struct sf_fetch_options kit_options(const char *const *bases)
{
        struct sf_fetch_options options;

        sf_fetch_options_default(&options);
        options.bases = bases;
        options.ca_bundle = kit_ca_bundle;
        options.stall_timeout = 1;
        options.connect_timeout = 2;
        options.retries = 1;
        options.retry_wait_ms = 20;
        options.retry_wait_max = 1;
        return options;
}

int kit_fetch(struct sf_fetcher *f, uint64_t offset, uint64_t length, struct sf_error *err)
{
        _cleanup_stream_ struct sf_stream *raw = NULL, *exact = NULL;
        _cleanup_(sf_buffer_free) struct sf_buffer got = SF_BUFFER_INIT;
        struct sf_digest digest;
        int r;

        sf_digest_of(kit_content + offset, length, &digest);
        if ((r = sf_fetch_range(f, "blob", KIT_SIZE, offset, length, &raw, err)) < 0 ||
            (r = sf_stream_exact(raw, "blob", length, &digest, &exact, err)) < 0)
                return r;
        raw = NULL;
        return sf_stream_read_all(exact, KIT_SIZE, &got, err);
}

struct sf_fetcher *kit_open(const char *const *bases, const struct sf_fetch_options *changed)
{
        struct sf_fetch_options options = changed ? *changed : kit_options(bases);
        struct sf_fetcher *f = NULL;
        struct sf_error err = SF_ERROR_INIT;

        options.bases = bases;
        if (sf_fetcher_open(&options, &f, &err) < 0) {
                fprintf(stderr, "%s\n", err.text);
                exit(99);
        }
        return f;
}
