/* SPDX-License-Identifier: Apache-2.0 */
/* tests/kit/fetch-cases.c - what takes more than one row to show: mirrors, waits, connections, signals, secrets,
 * proxies. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>

#include "base/cleanup.h"
#include "tests/kit/fetch-kit.h"
#include "transport/fetch-state.h"

static volatile sig_atomic_t stop;

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
                _cleanup_free_ char *first = kit_base("http", pairs[i].first);
                _cleanup_free_ char *second = kit_base("http", pairs[i].second);
                const char *bases[] = { first, second, NULL };
                _cleanup_fetcher_ struct sf_fetcher *f = kit_open(bases, NULL);
                struct sf_error err = SF_ERROR_INIT;
                char name[80];

                int r = kit_fetch(f, 0, KIT_SIZE, &err);
                uint64_t requests = sf_fetcher_requests(f);
                snprintf(name, sizeof name, "mirrors %s, %s", pairs[i].first, pairs[i].second);
                kit_check(name, "the second one helps", r == 0 && requests == pairs[i].requests, "%s; %llu requests",
                          err.text, (unsigned long long)requests);
                if (strcmp(pairs[i].second, "good") != 0)
                        continue;
                r = kit_fetch(f, 0, KIT_SIZE, &err);
                requests = sf_fetcher_requests(f) - requests;
                kit_check(name, pairs[i].stays_first ? "is no fault of the first" : "is asked first from now on",
                          r == 0 && requests == (pairs[i].stays_first ? 2 : 1), "%s; %llu requests", err.text,
                          (unsigned long long)requests);
        }
}

/* A mirror that is down does not turn "there is no newer root" into a failure, nor into a wait. */
static void check_missing_with_dead_mirror(void)
{
        _cleanup_free_ char *missing = kit_base("http", "status/404");
        const char *bases[] = { "http://127.0.0.1:1/", missing, NULL };
        _cleanup_fetcher_ struct sf_fetcher *f = kit_open(bases, NULL);
        _cleanup_(sf_buffer_free) struct sf_buffer small = SF_BUFFER_INIT;
        struct sf_error err = SF_ERROR_INIT;

        int r = sf_fetch_small(f, "2.root.json", 1000, &small, &err);
        uint64_t requests = sf_fetcher_requests(f);
        int again = sf_fetch_small(f, "2.root.json", 1000, &small, &err);
        kit_check("mirrors dead, 404", "not found, without a retry", r == SF_ERR_NOT_FOUND && requests == 2, "%d %s", r,
                  err.text);
        kit_check("mirrors dead, 404: the next file", "the dead one is not asked",
                  again == SF_ERR_NOT_FOUND && sf_fetcher_requests(f) == 3, "%d %s", again, err.text);
}

/* Only what may pass is worth asking again. */
static void check_refusing_mirror(void)
{
        _cleanup_free_ char *refusing = kit_base("http", "status/400"), *busy = kit_base("http", "busy");
        const char *bases[] = { refusing, busy, NULL };
        _cleanup_fetcher_ struct sf_fetcher *f = kit_open(bases, NULL);
        struct sf_error err = SF_ERROR_INIT;

        int r = kit_fetch(f, 0, KIT_SIZE, &err);
        kit_check("mirrors status/400, busy", "only the second is asked again",
                  r == SF_ERR_NETWORK && sf_fetcher_requests(f) == 3, "%d %llu requests", r,
                  (unsigned long long)sf_fetcher_requests(f));
}

static void check_longest_wait(void)
{
        const char *bases[] = { "http://127.0.0.1:1/", NULL };
        struct sf_fetch_options options = kit_options(bases);
        struct sf_error err = SF_ERROR_INIT;

        options.retry_wait_ms = 60000;
        _cleanup_fetcher_ struct sf_fetcher *f = kit_open(bases, &options);
        double begin = kit_seconds();
        int r = kit_fetch(f, 0, KIT_SIZE, &err);
        double took = kit_seconds() - begin;
        kit_check("a back-off of a minute, at most a second allowed", "waits a second",
                  r == SF_ERR_NETWORK && took > 0.9 && took < 2, "%d after %.2f s", r, took);
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
                _cleanup_free_ char *base = kit_base("http", cases[i].behaviour);
                const char *bases[] = { base, NULL };
                struct sf_fetch_options options = kit_options(bases);
                options.retry_wait_max = cases[i].max;
                _cleanup_fetcher_ struct sf_fetcher *f = kit_open(bases, &options);
                struct sf_error err = SF_ERROR_INIT;

                double begin = kit_seconds();
                int r = kit_fetch(f, 0, KIT_SIZE, &err);
                double took = kit_seconds() - begin;
                kit_check(cases[i].behaviour, "Retry-After is obeyed, within limits",
                          r == 0 && took >= cases[i].at_least && took <= cases[i].at_most, "%.2f s %s", took, err.text);
        }
}

/* The usual "nothing to do" is a 404 and a small file: one connection carries both. */
static void check_one_connection(const char *server)
{
        _cleanup_free_ char *base = kit_base(server, "connection_number");
        const char *bases[] = { base, NULL };
        _cleanup_fetcher_ struct sf_fetcher *f = kit_open(bases, NULL);
        _cleanup_(sf_buffer_free) struct sf_buffer first = SF_BUFFER_INIT, later = SF_BUFFER_INIT;
        struct sf_error err = SF_ERROR_INIT;

        int r = sf_fetch_small(f, "blob", 100, &first, &err);
        int missing = sf_fetch_small(f, "missing", 100, &later, &err);
        int again = sf_fetch_small(f, "blob", 100, &later, &err);
        kit_check("file, 404, file", "come over one connection",
                  r == 0 && missing == SF_ERR_NOT_FOUND && again == 0 &&
                          strcmp(sf_buffer_text(&first), sf_buffer_text(&later)) == 0,
                  "%s, then %s", sf_buffer_text(&first), sf_buffer_text(&later));
}

/* Parts of one blob from a server without ranges: served as long as that costs less than the blob. */
static void check_no_ranges(void)
{
        _cleanup_free_ char *base = kit_base("http", "no_ranges");
        const char *bases[] = { base, NULL };
        _cleanup_fetcher_ struct sf_fetcher *f = kit_open(bases, NULL);
        struct sf_error err = SF_ERROR_INIT;

        int first = kit_fetch(f, PART_FROM, PART_BYTES, &err);
        int second = kit_fetch(f, PART_FROM, PART_BYTES, &err);
        int third = kit_fetch(f, PART_FROM, PART_BYTES, &err);
        int whole = kit_fetch(f, 0, KIT_SIZE, &err);
        kit_check("three parts without ranges", "two served, then unsupported",
                  first == 0 && second == 0 && third == SF_ERR_UNSUPPORTED && whole == 0 && sf_fetcher_ranges(f) == -1,
                  "%d %d %d %d ranges %d", first, second, third, whole, sf_fetcher_ranges(f));
}

/* An endless error page costs its connection, not its bytes. */
static void check_endless_refusal(void)
{
        _cleanup_free_ char *base = kit_base("http", "refuses_endlessly");
        const char *bases[] = { base, NULL };
        _cleanup_fetcher_ struct sf_fetcher *f = kit_open(bases, NULL);
        _cleanup_(sf_buffer_free) struct sf_buffer small = SF_BUFFER_INIT;
        struct sf_error err = SF_ERROR_INIT;

        double begin = kit_seconds();
        int r = sf_fetch_small(f, "blob", 100, &small, &err);
        double took = kit_seconds() - begin;
        kit_check("refuses_endlessly", "is left at once",
                  r == SF_ERR_NOT_FOUND && took < 0.5 && sf_fetcher_bytes(f) < ((uint64_t)1 << 20),
                  "%.2f s, %llu bytes", took, (unsigned long long)sf_fetcher_bytes(f));
}

/* Two streams read in turns: each gets its own bytes, at the price of requests. */
static void check_two_streams(void)
{
        _cleanup_free_ char *base = kit_base("http", "good");
        const char *bases[] = { base, NULL };
        _cleanup_fetcher_ struct sf_fetcher *f = kit_open(bases, NULL);
        _cleanup_stream_ struct sf_stream *whole = NULL, *part = NULL;
        struct sf_error err = SF_ERROR_INIT;
        static uint8_t got[KIT_SIZE], got_part[PART_BYTES];

        int r = sf_fetch_range(f, "blob", KIT_SIZE, 0, KIT_SIZE, &whole, &err);
        r = r < 0 ? r : sf_stream_read_full(whole, got, 1000, &err);
        r = r < 0 ? r : sf_fetch_range(f, "blob", KIT_SIZE, PART_FROM, PART_BYTES, &part, &err);
        r = r < 0 ? r : sf_stream_read_full(part, got_part, 1000, &err);
        r = r < 0 ? r : sf_stream_read_full(whole, got + 1000, KIT_SIZE - 1000, &err);
        r = r < 0 ? r : sf_stream_read_full(part, got_part + 1000, PART_BYTES - 1000, &err);
        kit_check("the whole and a part, read in turns", "both get their own bytes",
                  r == 0 && memcmp(got, kit_content, KIT_SIZE) == 0 &&
                          memcmp(got_part, kit_content + PART_FROM, PART_BYTES) == 0 && sf_fetcher_requests(f) == 4,
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
        _cleanup_free_ char *base = kit_base("http", behaviour);
        const char *bases[] = { base, NULL };
        struct sf_fetch_options options = kit_options(bases);
        struct sf_error err = SF_ERROR_INIT;

        stop = 0;
        options.stop = &stop;
        options.stall_timeout = 10;
        options.retry_wait_ms = 10000;
        options.retry_wait_max = 10;
        _cleanup_fetcher_ struct sf_fetcher *f = kit_open(bases, &options);
        signal(SIGALRM, on_alarm);
        setitimer(ITIMER_REAL, &(struct itimerval){ .it_value = { 0, 300000 } }, NULL);
        double begin = kit_seconds();
        int r = kit_fetch(f, 0, KIT_SIZE, &err);
        double took = kit_seconds() - begin;
        kit_check(behaviour, "a signal ends it within 0.5 s", r == SF_ERR_INTERRUPTED && took < 0.8,
                  "%d %s after %.2f s", r, err.text, took);
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
                _cleanup_free_ char *base = sf_format("http://user:secret@127.0.0.1:%s/%s", kit_port("http"),
                                                      behaviours[i]);
                const char *bases[] = { base, NULL };
                _cleanup_(sf_buffer_free) struct sf_buffer notices = SF_BUFFER_INIT;
                struct sf_fetch_options options = kit_options(bases);
                struct sf_error err = SF_ERROR_INIT;

                options.notice = remember_notice;
                options.notice_ctx = &notices;
                _cleanup_fetcher_ struct sf_fetcher *f = kit_open(bases, &options);
                int r = kit_fetch(f, 0, KIT_SIZE, &err);
                kit_check(behaviours[i], "no message shows a password or token",
                          r < 0 && !strstr(err.text, "secret") && !strstr(sf_buffer_text(&notices), "secret") &&
                                  strstr(err.text, "127.0.0.1"),
                          "%s / %s", err.text, sf_buffer_text(&notices));
        }
}

static void check_proxy(void)
{
        _cleanup_free_ char *proxy = sf_format("http://127.0.0.1:%s", kit_port("http"));
        _cleanup_free_ char *direct = kit_base("http", "through_proxy");
        const char *bases[][2] = { { "http://repository.invalid/through_proxy", NULL }, { direct, NULL } };
        const char *expected[] = { "proxied", "direct" };

        setenv("http_proxy", proxy, 1);
        setenv("no_proxy", "127.0.0.1", 1);
        for (size_t i = 0; i < 2; i++) {
                _cleanup_fetcher_ struct sf_fetcher *f = kit_open(bases[i], NULL);
                _cleanup_(sf_buffer_free) struct sf_buffer got = SF_BUFFER_INIT;
                struct sf_error err = SF_ERROR_INIT;
                sf_fetch_small(f, "blob", 100, &got, &err);
                kit_check(i ? "no_proxy" : "http_proxy", expected[i], strcmp(sf_buffer_text(&got), expected[i]) == 0,
                          "%s%s", sf_buffer_text(&got), err.text);
        }
        unsetenv("http_proxy");
        unsetenv("no_proxy");
}

static void check_rate_limit(void)
{
        _cleanup_free_ char *base = kit_base("http", "good");
        const char *bases[] = { base, NULL };
        struct sf_fetch_options options = kit_options(bases);
        struct sf_error err = SF_ERROR_INIT;

        options.rate_limit = KIT_SIZE;
        _cleanup_fetcher_ struct sf_fetcher *f = kit_open(bases, &options);
        double begin = kit_seconds();
        int r = kit_fetch(f, 0, KIT_SIZE, &err);
        double took = kit_seconds() - begin;
        kit_check("a rate limit of the size per second", "takes about a second", r == 0 && took > 0.7 && took < 2,
                  "%.2f s %s", took, err.text);
}

void run_cases(void)
{
        check_mirrors();
        check_missing_with_dead_mirror();
        check_refusing_mirror();
        check_longest_wait();
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
}
