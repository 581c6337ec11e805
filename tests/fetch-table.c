/* tests/fetch-table.c - what the fetcher makes of a hostile world, as a table: behaviour, expected answer, got.
 *
 *     fetch-table CA_BUNDLE NAME=PORT...
 *
 * Run by tests/check-installer-fetch.sh, which starts tests/hostile-server.py (its functions are the behaviours) and names
 * its ports. Each row has its own fetcher, one retry and short timeouts.
 */
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <time.h>

#include "base/cleanup.h"
#include "base/digest.h"
#include "base/stream.h"
#include "installer/fetch.h"

#define SIZE       300000 /* of the server's content */
#define PART_FROM  100000
#define PART_BYTES 50000
#define SMALL_MAX  10000

enum operation {
        WHOLE, /* the blob, its size and digest known */
        PART,  /* a range out of its middle */
        SMALL, /* a file of at most SMALL_MAX bytes */
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
        { "http", "part_too_short", PART, SF_ERR_NETWORK, 0, NULL },
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

static const char *ca_bundle;
static uint8_t content[SIZE];
static unsigned port_count;
static char port_names[16][32];
static char port_numbers[16][8];
static unsigned failures;
static volatile sig_atomic_t stop;

static const char *port_of(const char *name)
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

static char *base_of(const char *server, const char *behaviour)
{
        return sf_format("%s://127.0.0.1:%s/%s/", strcmp(server, "http") == 0 ? "http" : "https", port_of(server),
                         behaviour);
}

static double seconds(void)
{
        struct timespec t;

        clock_gettime(CLOCK_MONOTONIC, &t);
        return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static void print_row(const char *server, const char *behaviour, const char *operation, const char *expected,
                      const char *got, bool ok)
{
        if (!ok)
                failures++;
        printf("%-12s %-28s %-6s %-12s %-12s %s\n", server, behaviour, operation, expected, got, ok ? "ok" : "NOT OK");
}

/* A case that is more than one row: expected is what should be true. */
static void check(const char *behaviour, const char *expected, bool ok, const char *format, ...)
        __attribute__((format(printf, 4, 5)));
static void check(const char *behaviour, const char *expected, bool ok, const char *format, ...)
{
        va_list args;

        if (!ok)
                failures++;
        printf("%-60s %-40s %s", behaviour, expected, ok ? "ok" : "NOT OK: ");
        va_start(args, format);
        if (!ok)
                vprintf(format, args);
        va_end(args);
        printf("\n");
}

static struct sf_fetch_options quick_options(const char *const *bases)
{
        struct sf_fetch_options options;

        sf_fetch_options_default(&options);
        options.bases = bases;
        options.ca_bundle = ca_bundle;
        options.stall_timeout = 1;
        options.connect_timeout = 2;
        options.retries = 1;
        options.retry_wait_ms = 20;
        options.retry_wait_max = 1;
        return options;
}

/* The wanted bytes, compared by size and digest as every blob is. */
static int fetch_exactly(struct sf_fetcher *f, uint64_t offset, uint64_t length, struct sf_error *err)
{
        _cleanup_stream_ struct sf_stream *raw = NULL, *exact = NULL;
        _cleanup_(sf_buffer_free) struct sf_buffer got = SF_BUFFER_INIT;
        struct sf_digest digest;
        int r;

        sf_digest_of(content + offset, length, &digest);
        if ((r = sf_fetch_range(f, "blob", SIZE, offset, length, &raw, err)) < 0 ||
            (r = sf_stream_exact(raw, "blob", length, &digest, &exact, err)) < 0)
                return r;
        raw = NULL;
        return sf_stream_read_all(exact, SIZE, &got, err);
}

static int run_operation(struct sf_fetcher *f, enum operation operation, struct sf_error *err)
{
        _cleanup_(sf_buffer_free) struct sf_buffer small = SF_BUFFER_INIT;

        switch (operation) {
        case WHOLE:
                return fetch_exactly(f, 0, SIZE, err);
        case PART:
                return fetch_exactly(f, PART_FROM, PART_BYTES, err);
        case SMALL:
                return sf_fetch_small(f, "blob", SMALL_MAX, &small, err);
        }
        abort();
}

static void run_row(const struct row *row)
{
        static const char *const operations[] = { "whole", "part", "small" };
        _cleanup_free_ char *base = base_of(row->server, row->behaviour);
        const char *bases[] = { base, NULL };
        struct sf_fetch_options options = quick_options(bases);
        _cleanup_fetcher_ struct sf_fetcher *f = NULL;
        struct sf_error err = SF_ERROR_INIT;

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

/* A fetcher for up to two bases, with quick options that may be changed before. */
static struct sf_fetcher *open_bases(const char *const *bases, const struct sf_fetch_options *changed)
{
        struct sf_fetch_options options = changed ? *changed : quick_options(bases);
        struct sf_fetcher *f = NULL;
        struct sf_error err = SF_ERROR_INIT;

        options.bases = bases;
        if (sf_fetcher_open(&options, &f, &err) < 0) {
                fprintf(stderr, "%s\n", err.text);
                exit(99);
        }
        return f;
}

/* Two mirrors, of which the first has a fault: the second one helps, and is asked first from then on. */
static void check_mirrors(void)
{
        static const struct {
                const char *first;
                const char *second;
                unsigned requests; /* of the first whole fetch */
                bool stays_first;
        } pairs[] = {
                { "busy", "good", 2, false },
                { "truncated_tagged", "second_mirror", 2, false },
                { "length_too_large", "good", 2, false },
                { "status/404", "good", 2, true },
                { "part_unasked", "good", 2, false },
                { "silent", "good", 2, false },
                { "redirect_file", "good", 2, false },
        };

        for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++) {
                _cleanup_free_ char *first = base_of("http", pairs[i].first);
                _cleanup_free_ char *second = base_of("http", pairs[i].second);
                const char *bases[] = { first, second, NULL };
                _cleanup_fetcher_ struct sf_fetcher *f = open_bases(bases, NULL);
                struct sf_error err = SF_ERROR_INIT;
                char name[80];

                int r = fetch_exactly(f, 0, SIZE, &err);
                uint64_t requests = sf_fetcher_requests(f);
                snprintf(name, sizeof name, "mirrors %s, %s", pairs[i].first, pairs[i].second);
                check(name, "the second one helps", r == 0 && requests == pairs[i].requests, "%s; %llu requests",
                      err.text, (unsigned long long)requests);
                if (strcmp(pairs[i].second, "good") != 0)
                        continue;
                r = fetch_exactly(f, 0, SIZE, &err);
                requests = sf_fetcher_requests(f) - requests;
                check(name, pairs[i].stays_first ? "is no fault of the first" : "is asked first from now on",
                      r == 0 && requests == (pairs[i].stays_first ? 2 : 1), "%s; %llu requests", err.text,
                      (unsigned long long)requests);
        }
}

/* A mirror that is down does not turn "there is no newer root" into a failure, nor into a wait. */
static void check_missing_with_dead_mirror(void)
{
        _cleanup_free_ char *missing = base_of("http", "status/404");
        const char *bases[] = { "http://127.0.0.1:1/", missing, NULL };
        _cleanup_fetcher_ struct sf_fetcher *f = open_bases(bases, NULL);
        _cleanup_(sf_buffer_free) struct sf_buffer small = SF_BUFFER_INIT;
        struct sf_error err = SF_ERROR_INIT;

        int r = sf_fetch_small(f, "2.root.json", 1000, &small, &err);
        check("mirrors dead, 404", "not found, without a retry", r == SF_ERR_NOT_FOUND && sf_fetcher_requests(f) == 2,
              "%d %s", r, err.text);
}

static void check_retry_after(void)
{
        static const struct {
                const char *behaviour;
                unsigned max;
                double at_least, at_most;
        } cases[] = {
                { "busy_once", 5, 1.0, 2.0 },       /* asks for 1 s */
                { "busy_until_date", 5, 0.9, 3.5 }, /* for a time 2 s ahead, whole seconds */
                { "busy_for_a_day", 1, 1.0, 2.0 },  /* for 86400 s, but nobody waits that long */
        };

        for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
                _cleanup_free_ char *base = base_of("http", cases[i].behaviour);
                const char *bases[] = { base, NULL };
                struct sf_fetch_options options = quick_options(bases);
                options.retry_wait_max = cases[i].max;
                _cleanup_fetcher_ struct sf_fetcher *f = open_bases(bases, &options);
                struct sf_error err = SF_ERROR_INIT;

                double begin = seconds();
                int r = fetch_exactly(f, 0, SIZE, &err);
                double took = seconds() - begin;
                check(cases[i].behaviour, "Retry-After is obeyed, within limits",
                      r == 0 && took >= cases[i].at_least && took <= cases[i].at_most, "%.2f s %s", took, err.text);
        }
}

/* The usual "nothing to do" is a 404 and a small file: one connection carries both. */
static void check_one_connection(const char *server)
{
        _cleanup_free_ char *base = base_of(server, "connection_number");
        const char *bases[] = { base, NULL };
        _cleanup_fetcher_ struct sf_fetcher *f = open_bases(bases, NULL);
        _cleanup_(sf_buffer_free) struct sf_buffer first = SF_BUFFER_INIT, later = SF_BUFFER_INIT;
        struct sf_error err = SF_ERROR_INIT;

        int r = sf_fetch_small(f, "blob", 100, &first, &err);
        int missing = sf_fetch_small(f, "missing", 100, &later, &err);
        int again = sf_fetch_small(f, "blob", 100, &later, &err);
        check("file, 404, file", "come over one connection",
              r == 0 && missing == SF_ERR_NOT_FOUND && again == 0 &&
                      strcmp(sf_buffer_text(&first), sf_buffer_text(&later)) == 0,
              "%s, then %s", sf_buffer_text(&first), sf_buffer_text(&later));
}

/* Parts of one blob from a server without ranges: served as long as that costs less than the blob. */
static void check_no_ranges(void)
{
        _cleanup_free_ char *base = base_of("http", "no_ranges");
        const char *bases[] = { base, NULL };
        _cleanup_fetcher_ struct sf_fetcher *f = open_bases(bases, NULL);
        struct sf_error err = SF_ERROR_INIT;

        int first = fetch_exactly(f, PART_FROM, PART_BYTES, &err);
        int second = fetch_exactly(f, PART_FROM, PART_BYTES, &err);
        int third = fetch_exactly(f, PART_FROM, PART_BYTES, &err);
        int whole = fetch_exactly(f, 0, SIZE, &err);
        check("three parts without ranges", "two served, then unsupported",
              first == 0 && second == 0 && third == SF_ERR_UNSUPPORTED && whole == 0 && sf_fetcher_ranges(f) == -1,
              "%d %d %d %d ranges %d", first, second, third, whole, sf_fetcher_ranges(f));
}

/* An endless error page costs its connection, not its bytes. */
static void check_endless_refusal(void)
{
        _cleanup_free_ char *base = base_of("http", "refuses_endlessly");
        const char *bases[] = { base, NULL };
        _cleanup_fetcher_ struct sf_fetcher *f = open_bases(bases, NULL);
        _cleanup_(sf_buffer_free) struct sf_buffer small = SF_BUFFER_INIT;
        struct sf_error err = SF_ERROR_INIT;

        double begin = seconds();
        int r = sf_fetch_small(f, "blob", 100, &small, &err);
        double took = seconds() - begin;
        check("refuses_endlessly", "is left at once",
              r == SF_ERR_NOT_FOUND && took < 0.5 && sf_fetcher_bytes(f) < ((uint64_t)1 << 20), "%.2f s, %llu bytes",
              took, (unsigned long long)sf_fetcher_bytes(f));
}

/* Two streams read in turns: each gets its own bytes, at the price of requests. */
static void check_two_streams(void)
{
        _cleanup_free_ char *base = base_of("http", "good");
        const char *bases[] = { base, NULL };
        _cleanup_fetcher_ struct sf_fetcher *f = open_bases(bases, NULL);
        _cleanup_stream_ struct sf_stream *whole = NULL, *part = NULL;
        struct sf_error err = SF_ERROR_INIT;
        static uint8_t got[SIZE], got_part[PART_BYTES];

        int r = sf_fetch_range(f, "blob", SIZE, 0, SIZE, &whole, &err);
        r = r < 0 ? r : sf_stream_read_full(whole, got, 1000, &err);
        r = r < 0 ? r : sf_fetch_range(f, "blob", SIZE, PART_FROM, PART_BYTES, &part, &err);
        r = r < 0 ? r : sf_stream_read_full(part, got_part, 1000, &err);
        r = r < 0 ? r : sf_stream_read_full(whole, got + 1000, SIZE - 1000, &err);
        r = r < 0 ? r : sf_stream_read_full(part, got_part + 1000, PART_BYTES - 1000, &err);
        check("the whole and a part, read in turns", "both get their own bytes",
              r == 0 && memcmp(got, content, SIZE) == 0 && memcmp(got_part, content + PART_FROM, PART_BYTES) == 0 &&
                      sf_fetcher_requests(f) == 4,
              "%llu requests %s", (unsigned long long)sf_fetcher_requests(f), err.text);
}

static void on_alarm(int signal_number)
{
        (void)signal_number;
        stop = 1;
}

/* A signal ends a stalled transfer and a wait between retries, soon. */
static void check_interruption(const char *behaviour)
{
        _cleanup_free_ char *base = base_of("http", behaviour);
        const char *bases[] = { base, NULL };
        struct sf_fetch_options options = quick_options(bases);
        struct sf_error err = SF_ERROR_INIT;

        stop = 0;
        options.stop = &stop;
        options.stall_timeout = 10;
        options.retry_wait_ms = 10000;
        options.retry_wait_max = 10;
        _cleanup_fetcher_ struct sf_fetcher *f = open_bases(bases, &options);
        signal(SIGALRM, on_alarm);
        setitimer(ITIMER_REAL, &(struct itimerval){ .it_value = { 0, 300000 } }, NULL);
        double begin = seconds();
        int r = fetch_exactly(f, 0, SIZE, &err);
        double took = seconds() - begin;
        check(behaviour, "a signal ends it within 0.5 s", r == SF_ERR_INTERRUPTED && took < 0.8, "%d %s after %.2f s",
              r, err.text, took);
}

static void remember_notice(void *ctx, const char *text)
{
        struct sf_buffer *notices = ctx;

        sf_buffer_puts(notices, text, NULL);
}

static void check_secrets(void)
{
        static const char *const behaviours[] = { "status/500", "redirect_secret", "silent" };

        for (size_t i = 0; i < sizeof behaviours / sizeof *behaviours; i++) {
                _cleanup_free_ char *base = sf_format("http://user:secret@127.0.0.1:%s/%s", port_of("http"),
                                                      behaviours[i]);
                const char *bases[] = { base, NULL };
                _cleanup_(sf_buffer_free) struct sf_buffer notices = SF_BUFFER_INIT;
                struct sf_fetch_options options = quick_options(bases);
                struct sf_error err = SF_ERROR_INIT;

                options.notice = remember_notice;
                options.notice_ctx = &notices;
                _cleanup_fetcher_ struct sf_fetcher *f = open_bases(bases, &options);
                int r = fetch_exactly(f, 0, SIZE, &err);
                check(behaviours[i], "no message shows a password or token",
                      r < 0 && !strstr(err.text, "secret") && !strstr(sf_buffer_text(&notices), "secret") &&
                              strstr(err.text, "127.0.0.1"),
                      "%s / %s", err.text, sf_buffer_text(&notices));
        }
}

static void check_proxy(void)
{
        _cleanup_free_ char *proxy = sf_format("http://127.0.0.1:%s", port_of("http"));
        _cleanup_free_ char *direct = base_of("http", "through_proxy");
        const char *bases[][2] = { { "http://repository.invalid/through_proxy", NULL }, { direct, NULL } };
        const char *expected[] = { "proxied", "direct" };

        setenv("http_proxy", proxy, 1);
        setenv("no_proxy", "127.0.0.1", 1);
        for (size_t i = 0; i < 2; i++) {
                _cleanup_fetcher_ struct sf_fetcher *f = open_bases(bases[i], NULL);
                _cleanup_(sf_buffer_free) struct sf_buffer got = SF_BUFFER_INIT;
                struct sf_error err = SF_ERROR_INIT;
                sf_fetch_small(f, "blob", 100, &got, &err);
                check(i ? "no_proxy" : "http_proxy", expected[i], strcmp(sf_buffer_text(&got), expected[i]) == 0,
                      "%s%s", sf_buffer_text(&got), err.text);
        }
        unsetenv("http_proxy");
        unsetenv("no_proxy");
}

static void check_rate_limit(void)
{
        _cleanup_free_ char *base = base_of("http", "good");
        const char *bases[] = { base, NULL };
        struct sf_fetch_options options = quick_options(bases);
        struct sf_error err = SF_ERROR_INIT;

        options.rate_limit = SIZE;
        _cleanup_fetcher_ struct sf_fetcher *f = open_bases(bases, &options);
        double begin = seconds();
        int r = fetch_exactly(f, 0, SIZE, &err);
        double took = seconds() - begin;
        check("a rate limit of the size per second", "takes about a second", r == 0 && took > 0.7 && took < 2,
              "%.2f s %s", took, err.text);
}

int main(int argc, char **argv)
{
        setvbuf(stdout, NULL, _IOLBF, 0);
        if (argc < 3 || argc > 18)
                return 99;
        ca_bundle = argv[1];
        for (int i = 2; i < argc; i++)
                if (sscanf(argv[i], "%31[^=]=%7s", port_names[port_count], port_numbers[port_count]) == 2)
                        port_count++;
        for (size_t i = 0; i < SIZE; i++)
                content[i] = (uint8_t)(i * 31 + (i >> 8) * 17);

        printf("%-12s %-28s %-6s %-12s %-12s\n", "server", "behaviour", "what", "expected", "got");
        for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
                run_row(&rows[i]);
        check_mirrors();
        check_missing_with_dead_mirror();
        check_retry_after();
        check_one_connection("http");
        check_one_connection("good");
        check_no_ranges();
        check_endless_refusal();
        check_two_streams();
        check_interruption("silent");
        check_interruption("busy");
        check_secrets();
        check_proxy();
        check_rate_limit();
        printf("%u not ok\n", failures);
        return failures ? 1 : 0;
}
