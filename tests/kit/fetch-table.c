/* SPDX-License-Identifier: Apache-2.0 */
/* tests/kit/fetch-table.c - what the fetcher makes of a hostile world, as a table: behaviour, expected answer, got.
 *
 *     fetch-table CA_BUNDLE NAME=PORT...
 *
 * Run by tests/scenario/check-fetch-hostile.sh, which starts tests/kit/hostile-server.py (its functions are the
 * behaviours) and names its ports. Each row has its own fetcher, one retry and short timeouts.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "tests/kit/fetch-kit.h"
#include "transport/fetch-state.h"

#define SMALL_MAX 10000

enum operation {
        WHOLE,   /* the blob, its size and digest known */
        PART,    /* a range out of its middle */
        SMALL,   /* a file of at most SMALL_MAX bytes */
        FILE_AT, /* the blob by its own URL, its size not known: at most KIT_SIZE */
};

struct row {
        const char *server; /* "http", or the name of a certificate */
        const char *behaviour;
        enum operation operation;
        int expected;      /* 0 = the right bytes */
        unsigned requests; /* that it may take; 0 = any number */
        const char *says;  /* must occur in the error; NULL = anything */
};

/* One retry: a fault that stays costs two requests. */
static const struct row rows[] = {
        /* bodies */
        { "http", "good", WHOLE, 0, 1, NULL },
        { "http", "good", PART, 0, 1, NULL },
        { "http", "no_length", WHOLE, 0, 1, NULL },
        { "http", "no_length_stays_open", WHOLE, 0, 1, NULL },
        { "http", "endless", WHOLE, SF_ERR_LIMIT, 1, "more than" },
        { "http", "endless", SMALL, SF_ERR_LIMIT, 1, "more than" },
        { "http", "good", SMALL, SF_ERR_LIMIT, 1, "at most 10000" },
        { "http", "chunked", WHOLE, 0, 1, NULL },
        { "http", "chunked", SMALL, SF_ERR_LIMIT, 1, "more than" },
        { "http", "chunked_one_more", WHOLE, SF_ERR_LIMIT, 1, "more than" },
        { "http", "chunked_more_later", WHOLE, SF_ERR_LIMIT, 1, "more than" },
        { "http", "chunked_endless", WHOLE, SF_ERR_LIMIT, 1, "more than" },
        { "http", "chunked_garbage", WHOLE, SF_ERR_NETWORK, 2, NULL },
        { "http", "chunked_trailer_flood", WHOLE, SF_ERR_LIMIT, 1, "header" },
        { "http", "length_too_large", WHOLE, SF_ERR_CORRUPT, 1, "has 300001 bytes, not the 300000" },
        { "http", "length_too_small", WHOLE, SF_ERR_CORRUPT, 1, "has 299999 bytes, not the 300000" },
        { "http", "two_lengths", WHOLE, SF_ERR_CORRUPT, 1, "two different" },
        { "http", "odd_length", WHOLE, SF_ERR_CORRUPT, 1, "malformed" },
        { "http", "negative_length", WHOLE, SF_ERR_CORRUPT, 1, "Content-Length" },
        { "http", "encoded", WHOLE, SF_ERR_CORRUPT, 1, "encoded" },
        { "http", "other_content", WHOLE, SF_ERR_CORRUPT, 1, "sha256" },
        { "http", "drip", WHOLE, SF_ERR_TIMEOUT, 2, "stalled" },
        /* transfers that break */
        { "http", "truncated_always", WHOLE, SF_ERR_NETWORK, 2, NULL },
        { "http", "truncated_once", WHOLE, 0, 2, NULL },
        { "http", "truncated_weak_tag", WHOLE, 0, 2, NULL },
        { "http", "truncated_no_validator", WHOLE, 0, 2, NULL },
        { "http", "truncated_then_whole", WHOLE, 0, 2, NULL },
        { "http", "truncated_then_changed", WHOLE, SF_ERR_CORRUPT, 2, "changed" },
        { "http", "truncated_then_other_part", WHOLE, SF_ERR_CORRUPT, 2, "changed" },
        { "http", "truncated_then_gone", WHOLE, SF_ERR_NOT_FOUND, 2, NULL },
        { "http", "small_truncated_once", SMALL, 0, 2, NULL },
        { "http", "stalls_once", WHOLE, 0, 2, NULL },
        { "http", "inches", WHOLE, SF_ERR_NETWORK, 2, NULL },
        /* heads */
        { "http", "silent", WHOLE, SF_ERR_TIMEOUT, 2, "no answer within 1 s" },
        { "http", "slow_head", WHOLE, SF_ERR_TIMEOUT, 2, "no answer within 1 s" },
        { "http", "head_flood", WHOLE, SF_ERR_LIMIT, 1, "header" },
        { "http", "long_header", WHOLE, SF_ERR_LIMIT, 1, "header" },
        { "http", "interim_flood", WHOLE, SF_ERR_LIMIT, 1, "header" },
        { "http", "not_http", WHOLE, SF_ERR_NETWORK, 2, NULL },
        { "http", "status_garbage", WHOLE, SF_ERR_NETWORK, 2, NULL },
        { "http", "empty_answer", WHOLE, SF_ERR_NETWORK, 2, NULL },
        { "http", "connection_reset", WHOLE, SF_ERR_NETWORK, 2, NULL },
        /* refusals */
        { "http", "status/404", WHOLE, SF_ERR_NOT_FOUND, 1, "404" },
        { "http", "status/403", SMALL, SF_ERR_NOT_FOUND, 1, "403" },
        { "http", "status/410", SMALL, SF_ERR_NOT_FOUND, 1, "410" },
        { "http", "status/400", WHOLE, SF_ERR_FAILED, 1, "400" },
        { "http", "status/401", WHOLE, SF_ERR_FAILED, 1, "401" },
        { "http", "status/451", WHOLE, SF_ERR_FAILED, 1, "451" },
        { "http", "status/204", WHOLE, SF_ERR_FAILED, 1, "204" },
        { "http", "status/304", WHOLE, SF_ERR_FAILED, 1, "304" },
        { "http", "status/416", PART, SF_ERR_CORRUPT, 1, "416" },
        { "http", "status/500", WHOLE, SF_ERR_NETWORK, 2, "500" },
        { "http", "status/999", WHOLE, SF_ERR_NETWORK, 2, "999" },
        { "http", "refuses_endlessly", SMALL, SF_ERR_NOT_FOUND, 1, "404" },
        { "http", "busy", WHOLE, SF_ERR_NETWORK, 2, "503" },
        { "http", "too_many_once", WHOLE, 0, 2, NULL },
        { "http", "error_once", SMALL, SF_ERR_LIMIT, 2, "at most" },
        /* redirects */
        { "http", "redirect_good", WHOLE, 0, 2, NULL },
        { "http", "redirect_good", PART, 0, 2, NULL },
        { "http", "redirect_loop", WHOLE, SF_ERR_FAILED, 6, "more than 5 redirects" },
        { "http", "redirect_file", WHOLE, SF_ERR_TRUST, 1, "not followed" },
        { "http", "redirect_ftp", WHOLE, SF_ERR_TRUST, 1, "not followed" },
        { "http", "redirect_nowhere", WHOLE, SF_ERR_FAILED, 1, "nowhere" },
        { "http", "redirect_https", WHOLE, 0, 2, NULL },
        { "http", "redirect_https_self_signed", WHOLE, SF_ERR_TRUST, 2, "certificate" },
        { "http", "redirect_endless_body", WHOLE, SF_ERR_FAILED, 1, "nowhere" },
        { "good", "redirect_good", WHOLE, 0, 2, NULL },
        { "good", "redirect_http", WHOLE, SF_ERR_TRUST, 1, "not followed" },
        /* ranges */
        { "http", "no_ranges", PART, 0, 1, NULL },
        { "http", "length_too_large", PART, SF_ERR_CORRUPT, 1, "has 300001 bytes" },
        { "http", "part_unasked", WHOLE, SF_ERR_CORRUPT, 1, "a part where the whole" },
        { "http", "part_shifted", PART, SF_ERR_CORRUPT, 1, "100001" },
        { "http", "part_of_another_size", PART, SF_ERR_CORRUPT, 1, "300001" },
        { "http", "part_of_unknown_size", PART, SF_ERR_CORRUPT, 1, "malformed" },
        { "http", "part_without_range", PART, SF_ERR_CORRUPT, 1, "does not say which" },
        { "http", "part_odd_range", PART, SF_ERR_CORRUPT, 1, "malformed" },
        { "http", "part_multiple", PART, SF_ERR_CORRUPT, 1, "does not say which" },
        { "http", "part_length_differs", PART, SF_ERR_CORRUPT, 1, "50001" },
        { "http", "part_too_long", PART, SF_ERR_LIMIT, 1, "more than" },
        { "http", "part_more_later", PART, SF_ERR_LIMIT, 1, "more than" },
        { "http", "part_too_short", PART, SF_ERR_NETWORK, 0, NULL },
        /* a file at an address of its own */
        { "http", "good", FILE_AT, 0, 1, NULL },
        { "http", "no_length", FILE_AT, 0, 1, NULL },
        { "http", "chunked", FILE_AT, 0, 1, NULL },
        { "http", "endless", FILE_AT, SF_ERR_LIMIT, 1, "more than" },
        { "http", "chunked_one_more", FILE_AT, SF_ERR_LIMIT, 1, "more than" },
        { "http", "chunked_garbage", FILE_AT, SF_ERR_NETWORK, 0, NULL },
        { "http", "length_too_large", FILE_AT, SF_ERR_LIMIT, 1, "at most 300000" },
        { "http", "length_too_small", FILE_AT, SF_ERR_CORRUPT, 1, "other bytes" },
        { "http", "encoded", FILE_AT, 0, 1, NULL },
        { "http", "other_content", FILE_AT, SF_ERR_CORRUPT, 1, "other bytes" },
        { "http", "truncated_always", FILE_AT, SF_ERR_NETWORK, 2, NULL },
        { "http", "anew/truncated_once", FILE_AT, 0, 2, NULL },
        { "http", "anew/truncated_then_changed", FILE_AT, SF_ERR_CORRUPT, 2, "changed" },
        { "http", "anew/truncated_no_validator", FILE_AT, 0, 2, NULL },
        { "http", "anew/stalls_once", FILE_AT, 0, 2, NULL },
        { "http", "status/404", FILE_AT, SF_ERR_NOT_FOUND, 1, "404" },
        { "http", "busy", FILE_AT, SF_ERR_NETWORK, 2, "503" },
        { "http", "redirect_good", FILE_AT, 0, 2, NULL },
        { "http", "redirect_file", FILE_AT, SF_ERR_TRUST, 1, "not followed" },
        { "http", "redirect_loop", FILE_AT, SF_ERR_FAILED, 6, "more than 5 redirects" },
        { "good", "redirect_http", FILE_AT, 0, 2, NULL },
        { "self-signed", "good", FILE_AT, SF_ERR_TRUST, 1, "certificate" },
        /* TLS */
        { "good", "good", WHOLE, 0, 1, NULL },
        { "good", "good", PART, 0, 1, NULL },
        { "good", "truncated_always", WHOLE, SF_ERR_NETWORK, 2, NULL },
        { "self-signed", "good", WHOLE, SF_ERR_TRUST, 1, "certificate" },
        { "expired", "good", WHOLE, SF_ERR_TRUST, 1, "certificate" },
        { "wrong-host", "good", WHOLE, SF_ERR_TRUST, 1, NULL },
        { "old", "good", WHOLE, SF_ERR_NETWORK, 2, NULL },
        { "plain", "good", WHOLE, SF_ERR_NETWORK, 2, NULL },
};

static void print_row(const char *server, const char *behaviour, const char *operation, const char *expected,
                      const char *got, bool ok)
{
        if (!ok)
                kit_failures++;
        printf("%-12s %-28s %-6s %-12s %-12s %s\n", server, behaviour, operation, expected, got, ok ? "ok" : "NOT OK");
}

static int fetch_file(struct sf_fetcher *f, struct sf_error *err)
{
        _cleanup_(sf_buffer_free) struct sf_buffer got = SF_BUFFER_INIT;
        _cleanup_stream_ struct sf_stream *stream = NULL;
        uint64_t size;
        int r = sf_fetch_file(f, "", KIT_SIZE, &stream, &size, err);

        if (r < 0 || (r = sf_stream_read_all(stream, KIT_SIZE, &got, err)) < 0)
                return r;
        if (size != 0 && size != got.len)
                return sf_error_set(err, SF_ERR_CORRUPT, "another size than said");
        if (got.len != KIT_SIZE || memcmp(got.data, kit_content, got.len) != 0)
                return sf_error_set(err, SF_ERR_CORRUPT, "other bytes");
        return 0;
}

static int run_operation(struct sf_fetcher *f, enum operation operation, struct sf_error *err)
{
        _cleanup_(sf_buffer_free) struct sf_buffer small = SF_BUFFER_INIT;

        switch (operation) {
        case WHOLE:
                return kit_fetch(f, 0, KIT_SIZE, err);
        case PART:
                return kit_fetch(f, PART_FROM, PART_BYTES, err);
        case FILE_AT:
                return fetch_file(f, err);
        case SMALL:
                break;
        }
        int r = sf_fetch_small(f, "blob", SMALL_MAX, &small, err);
        if (r == 0 && memcmp(small.data, kit_content, small.len) != 0)
                return sf_error_set(err, SF_ERR_CORRUPT, "other bytes");
        return r;
}

static void run_row(const struct row *row)
{
        static const char *const operations[] = { "whole", "part", "small", "file" };
        _cleanup_free_ char *base = kit_base(row->server, row->behaviour);
        const char *bases[] = { base, NULL };
        struct sf_fetch_options options = kit_options(bases);
        _cleanup_fetcher_ struct sf_fetcher *f = NULL;
        struct sf_error err = SF_ERROR_INIT;

        options.one_file = row->operation == FILE_AT;
        int r = sf_fetcher_open(&options, &f, &err);
        if (r == 0)
                r = run_operation(f, row->operation, &err);
        uint64_t requests = f ? sf_fetcher_requests(f) : 0;
        bool ok = r == row->expected && (!row->requests || requests == row->requests) &&
                  (!row->says || strstr(err.text, row->says));
        print_row(row->server, row->behaviour, operations[row->operation], sf_error_class(row->expected),
                  sf_error_class(r), ok);
        if (!ok)
                printf("  %llu requests (%u expected), said \"%s\" (\"%s\" expected)\n", (unsigned long long)requests,
                       row->requests, err.text, row->says ? row->says : "");
}

int main(int argc, char **argv)
{
        kit_begin(argc, argv);
        printf("%-12s %-28s %-6s %-12s %-12s\n", "server", "behaviour", "what", "expected", "got");
        for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
                run_row(&rows[i]);
        run_cases();
        printf("%u not ok\n", kit_failures);
        return kit_failures ? 1 : 0;
}
