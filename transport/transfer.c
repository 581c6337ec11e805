/* SPDX-License-Identifier: Apache-2.0 */
/* transport/transfer.c - see transfer.h.
 *
 * libcurl pushes, the streams above pull. In between: while a read is served, libcurl's write callback copies straight
 * into the reader's buffer, what does not fit goes to `spill` (one receive buffer long), and what does not fit there
 * either is left with libcurl, which stops reading the socket: the kernel's window is the read-ahead.
 *
 * Stall detection and the rate limit are our own because libcurl measures by the wall clock: a reader that is busy
 * elsewhere would look like a stalled server.
 */
#include "transport/transfer.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>
#include <unistd.h>

#include "base/crypto.h"
#include "transport/transfer-state.h"

#define RECEIVE_BYTES ((size_t)128 << 10)
#define SPILL_BYTES   (RECEIVE_BYTES + CURL_MAX_WRITE_SIZE)
#define DRAIN_BYTES   ((uint64_t)64 << 10)
#define END_MS        1000
#define SLICE_MS      200 /* how long `stop` may go unnoticed */

static uint64_t now_ns(void)
{
        struct timespec t;

        clock_gettime(CLOCK_MONOTONIC, &t);
        return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

static uint64_t now_ms(void)
{
        return now_ns() / 1000000;
}

static size_t on_header(char *line, size_t size, size_t count, void *ctx)
{
        struct sf_transfer *t = ctx;

        return sf_http_head_line(&t->answer, line, size * count, &t->refusal) < 0 ? 0 : size * count;
}

static int check_allowed(struct sf_transfer *t, uint64_t received)
{
        if (received <= t->allowed)
                return 0;
        return sf_error_set(&t->refusal, SF_ERR_LIMIT, "sends more than the %llu bytes it should have",
                            (unsigned long long)t->allowed);
}

static size_t on_body(char *bytes, size_t size, size_t count, void *ctx)
{
        struct sf_transfer *t = ctx;
        size_t len = size * count;

        size_t direct = t->target_len - t->target_used;
        if (direct > len)
                direct = len;
        if (len - direct > SPILL_BYTES - t->spill_end || t->pumped >= t->burst) {
                t->paused = true;
                return CURL_WRITEFUNC_PAUSE;
        }
        if (check_allowed(t, t->received + len) < 0)
                return 0;
        if (direct)
                memcpy(t->target + t->target_used, bytes, direct);
        t->target_used += direct;
        memcpy(t->spill + t->spill_end, bytes + direct, len - direct);
        t->spill_end += len - direct;
        t->received += len;
        t->pumped += len;
        t->window_bytes += len;
        atomic_fetch_add_explicit(&t->bytes, len, memory_order_relaxed);
        if (t->options.rate_limit)
                t->free_at_ns += (uint64_t)len * 1000000000 / t->options.rate_limit;
        return len;
}

/* What libcurl reports, as a class of ours. Everything that a later try may change is SF_ERR_NETWORK. */
static int code_of_curl(CURLcode code)
{
        switch (code) {
        case CURLE_OUT_OF_MEMORY:
                return SF_ERR_NOMEM;
        case CURLE_URL_MALFORMAT:
                return SF_ERR_USAGE;
        case CURLE_PEER_FAILED_VERIFICATION:
        case CURLE_SSL_CACERT_BADFILE:
        case CURLE_SSL_ISSUER_ERROR:
        case CURLE_SSL_CERTPROBLEM:
        case CURLE_SSL_INVALIDCERTSTATUS:
                return SF_ERR_TRUST;
        case CURLE_WEIRD_SERVER_REPLY:
                return SF_ERR_CORRUPT;
        case CURLE_OPERATION_TIMEDOUT:
                return SF_ERR_TIMEOUT;
        default:
                return SF_ERR_NETWORK;
        }
}

static int curl_failure(struct sf_transfer *t, struct sf_error *err)
{
        if (t->refusal.code)
                return sf_error_set(err, t->refusal.code, "%s", t->refusal.text);
        /* So libcurl before 8.6 calls a header line beyond 100 kB. */
        if (t->result == CURLE_OUT_OF_MEMORY && !t->answer.complete)
                return sf_error_set(err, SF_ERR_LIMIT, "a header that is too long, or no memory");
        return sf_error_set(err, code_of_curl(t->result), "%s",
                            t->reason[0] ? t->reason : curl_easy_strerror(t->result));
}

static bool stopped(const struct sf_transfer *t)
{
        return t->options.stop && *t->options.stop;
}

static int interrupted(struct sf_error *err)
{
        return sf_error_set(err, SF_ERR_INTERRUPTED, "interrupted");
}

int sf_transfer_wait(struct sf_transfer *t, uint64_t milliseconds, struct sf_error *err)
{
        for (uint64_t end = now_ms() + milliseconds;;) {
                uint64_t now = now_ms();
                if (stopped(t))
                        return interrupted(err);
                if (now >= end)
                        return 0;
                uint64_t slice = end - now < SLICE_MS ? end - now : SLICE_MS;
                nanosleep(&(struct timespec){ .tv_nsec = (long)slice * 1000000 }, NULL);
        }
}

/* Holds back until the rate limit allows more. Time spent idle is not saved up for a burst. */
static int obey_rate(struct sf_transfer *t, struct sf_error *err)
{
        uint64_t now = now_ns();

        if (!t->options.rate_limit)
                return 0;
        if (t->free_at_ns <= now) {
                t->free_at_ns = now;
                return 0;
        }
        return sf_transfer_wait(t, (t->free_at_ns - now) / 1000000, err);
}

/* Waits for the socket and judges whether enough has come in the current window. */
static int await_bytes(struct sf_transfer *t, struct sf_error *err)
{
        uint64_t span_ms = (uint64_t)t->options.stall_timeout * 1000;
        uint64_t before = now_ms();

        if (curl_multi_poll(t->multi, NULL, 0, SLICE_MS, NULL) != CURLM_OK)
                return sf_error_set(err, SF_ERR_IO, "cannot wait for the network");
        t->waited_ms += now_ms() - before;
        if (t->waited_ms < span_ms)
                return 0;
        if (t->window_sent && t->window_sent >= t->options.stall_rate * t->options.stall_timeout) {
                t->waited_ms = t->window_sent = 0;
                return 0;
        }
        if (!t->answer.complete)
                return sf_error_set(err, SF_ERR_TIMEOUT, "no answer within %u s", t->options.stall_timeout);
        if (t->window_bytes < t->options.stall_rate * t->options.stall_timeout)
                return sf_error_set(err, SF_ERR_TIMEOUT, "stalled: %llu bytes in %u s",
                                    (unsigned long long)t->window_bytes, t->options.stall_timeout);
        t->waited_ms = 0;
        t->window_bytes = 0;
        return 0;
}

/* Lets libcurl work once; waits first where the caller found that nothing happened the last time. */
static int pump(struct sf_transfer *t, struct sf_error *err)
{
        uint64_t received = t->received, sent = t->sent;
        size_t head_bytes = t->answer.head_bytes;
        int active, left, r;

        if (stopped(t))
                return interrupted(err);
        if (t->tick)
                t->tick(t->tick_ctx);
        if ((r = obey_rate(t, err)) < 0)
                return r;
        t->pumped = 0;
        if (t->paused) {
                t->paused = false;
                curl_easy_pause(t->easy, CURLPAUSE_CONT);
        }
        if (curl_multi_perform(t->multi, &active) != CURLM_OK)
                return sf_error_set(err, SF_ERR_IO, "libcurl cannot go on");
        for (const CURLMsg *m; (m = curl_multi_info_read(t->multi, &left));) {
                if (m->msg == CURLMSG_DONE) {
                        t->finished = true;
                        t->result = m->data.result;
                }
        }
        if (t->finished || t->paused || t->sent != sent || t->received != received ||
            t->answer.head_bytes != head_bytes)
                return 0;
        return await_bytes(t, err);
}

static int set_options(struct sf_transfer *t)
{
        CURL *e = t->easy;
        const char *ca = t->options.ca_bundle ? t->options.ca_bundle : "/nonexistent";
        size_t receive = RECEIVE_BYTES;
        unsigned bad = 0;

        t->burst = SIZE_MAX;
        if (t->options.rate_limit && t->options.rate_limit / 8 < RECEIVE_BYTES)
                t->burst = receive = t->options.rate_limit / 8 < 1024 ? 1024 : (size_t)(t->options.rate_limit / 8);
        bad |= curl_easy_setopt(e, CURLOPT_HEADERFUNCTION, on_header);
        bad |= curl_easy_setopt(e, CURLOPT_HEADERDATA, t);
        bad |= curl_easy_setopt(e, CURLOPT_WRITEFUNCTION, on_body);
        bad |= curl_easy_setopt(e, CURLOPT_WRITEDATA, t);
        bad |= curl_easy_setopt(e, CURLOPT_READFUNCTION, sf_transfer_upload);
        bad |= curl_easy_setopt(e, CURLOPT_READDATA, t);
        bad |= curl_easy_setopt(e, CURLOPT_SEEKFUNCTION, sf_transfer_seek);
        bad |= curl_easy_setopt(e, CURLOPT_SEEKDATA, t);
        bad |= curl_easy_setopt(e, CURLOPT_ERRORBUFFER, t->reason);
        bad |= curl_easy_setopt(e, CURLOPT_BUFFERSIZE, (long)receive);
        bad |= curl_easy_setopt(e, CURLOPT_NOSIGNAL, 1L);
        bad |= curl_easy_setopt(e, CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L);
        bad |= curl_easy_setopt(e, CURLOPT_USERAGENT, "slurm-factory");
        bad |= curl_easy_setopt(e, CURLOPT_CONNECTTIMEOUT, (long)t->options.connect_timeout);
        bad |= curl_easy_setopt(e, CURLOPT_FOLLOWLOCATION, 0L);
        bad |= curl_easy_setopt(e, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
        bad |= curl_easy_setopt(e, CURLOPT_HTTP09_ALLOWED, 0L);
#if LIBCURL_VERSION_NUM >= 0x075500
        bad |= curl_easy_setopt(e, CURLOPT_PROTOCOLS_STR, "http,https");
#else
        bad |= curl_easy_setopt(e, CURLOPT_PROTOCOLS, CURLPROTO_HTTP | CURLPROTO_HTTPS);
#endif
#if LIBCURL_VERSION_NUM >= 0x075700
        /* A name server that does not answer must not hold up a signal: its thread is left behind. */
        bad |= curl_easy_setopt(e, CURLOPT_QUICK_EXIT, 1L);
#endif
        bad |= curl_easy_setopt(e, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
        bad |= curl_easy_setopt(e, CURLOPT_SSL_VERIFYPEER, 1L);
        bad |= curl_easy_setopt(e, CURLOPT_SSL_VERIFYHOST, 2L);
        bad |= curl_easy_setopt(e, CURLOPT_CAINFO, ca);
        /* A directory built into libcurl would widen a site's own bundle. */
        bad |= curl_easy_setopt(e, CURLOPT_CAPATH, NULL);
        /* Not every libcurl can speak TLS to a proxy; one that cannot has nothing to verify. */
        curl_easy_setopt(e, CURLOPT_PROXY_CAINFO, ca);
        bad |= (unsigned)sf_transfer_set_proxy(t);
        return bad ? -1 : 0;
}

void sf_transfer_tick(struct sf_transfer *t, void (*tick)(void *ctx), void *ctx)
{
        t->tick = tick;
        t->tick_ctx = ctx;
}

int sf_transfer_open(const struct sf_transfer_options *options, struct sf_transfer **ret, struct sf_error *err)
{
        struct sf_transfer *t = calloc(1, sizeof *t);

        if (!t)
                return sf_error_set(err, SF_ERR_NOMEM, "no memory for a transfer");
        t->options = *options;
        if (options->rate_limit && options->rate_limit / 2 < options->stall_rate)
                t->options.stall_rate = options->rate_limit / 2;
        t->spill = malloc(SPILL_BYTES);
        CURLcode started = curl_global_init(CURL_GLOBAL_DEFAULT);
        if (started == CURLE_OK) {
                t->multi = curl_multi_init();
                t->easy = curl_easy_init();
        }
        if (!t->spill || !t->multi || !t->easy) {
                sf_transfer_close(t);
                return started == CURLE_OK
                               ? sf_error_set(err, SF_ERR_NOMEM, "no memory for a transfer")
                               : sf_crypto_error(err, "libcurl does not start (%s)", curl_easy_strerror(started));
        }
        if (set_options(t) < 0) {
                sf_transfer_close(t);
                return sf_error_set(err, SF_ERR_UNSUPPORTED, "%s lacks an option that this program relies on",
                                    curl_version());
        }
        *ret = t;
        return 0;
}

void sf_transfer_close(struct sf_transfer *t)
{
        if (!t)
                return;
        if (t->running)
                sf_transfer_stop(t);
        curl_easy_cleanup(t->easy);
        curl_multi_cleanup(t->multi);
        curl_slist_free_all(t->headers);
        free(t->spill);
        free(t);
        curl_global_cleanup();
}

int sf_transfer_start(struct sf_transfer *t, const struct sf_request *request, const struct sf_http_head **ret,
                      struct sf_error *err)
{
        int r;

        sf_transfer_stop(t);
        if (!t->options.ca_bundle && strncasecmp(request->url, "https:", 6) == 0)
                return sf_error_set(err, SF_ERR_TRUST, "no CA bundle: the server's certificate cannot be checked");
        if ((r = sf_transfer_set_request(t, request, err)) < 0)
                return r;
        t->finished = t->paused = false;
        t->answer = (struct sf_http_head)SF_HTTP_HEAD_INIT;
        sf_error_clear(&t->refusal);
        t->result = CURLE_OK;
        t->reason[0] = '\0';
        t->received = t->waited_ms = t->window_bytes = 0;
        t->allowed = UINT64_MAX;
        t->spill_at = t->spill_end = 0;
        if (curl_multi_add_handle(t->multi, t->easy) != CURLM_OK)
                return sf_error_set(err, SF_ERR_NOMEM, "no memory for a request");
        t->running = true;
        atomic_fetch_add_explicit(&t->requests, 1, memory_order_relaxed);

        while (!t->answer.complete && !t->finished) {
                if ((r = pump(t, err)) < 0) {
                        sf_transfer_stop(t);
                        return r;
                }
        }
        if (!t->answer.complete || t->refusal.code) {
                if (t->result == CURLE_OK)
                        t->result = CURLE_GOT_NOTHING;
                r = curl_failure(t, err);
                sf_transfer_stop(t);
                return r;
        }
        t->waited_ms = 0; /* the stall window of the body begins */
        *ret = &t->answer;
        return 0;
}

const char *sf_transfer_location(struct sf_transfer *t)
{
        char *url = NULL;

        curl_easy_getinfo(t->easy, CURLINFO_REDIRECT_URL, &url);
        return url;
}

uint64_t sf_transfer_retry_after(struct sf_transfer *t)
{
        curl_off_t seconds = 0;

        curl_easy_getinfo(t->easy, CURLINFO_RETRY_AFTER, &seconds);
        return seconds > 0 ? (uint64_t)seconds : 0;
}

int sf_transfer_expect(struct sf_transfer *t, uint64_t bytes, struct sf_error *err)
{
        t->allowed = bytes;
        if (check_allowed(t, t->received) < 0)
                return sf_error_set(err, t->refusal.code, "%s", t->refusal.text);
        return 0;
}

static size_t take_spill(struct sf_transfer *t, void *buf, size_t len)
{
        size_t have = t->spill_end - t->spill_at;

        if (have > len)
                have = len;
        memcpy(buf, t->spill + t->spill_at, have);
        t->spill_at += have;
        if (t->spill_at == t->spill_end)
                t->spill_at = t->spill_end = 0;
        return have;
}

ssize_t sf_transfer_read(struct sf_transfer *t, void *buf, size_t len, struct sf_error *err)
{
        int r = 0;

        if (len > SSIZE_MAX)
                len = SSIZE_MAX;
        if (t->spill_end > t->spill_at)
                return (ssize_t)take_spill(t, buf, len);
        t->target = buf;
        t->target_len = len;
        t->target_used = 0;
        while (t->running && !t->finished && t->target_used == 0 && r == 0)
                r = pump(t, err);
        size_t got = t->target_used;
        t->target = NULL;
        t->target_len = t->target_used = 0;
        if (t->refusal.code)
                return sf_error_set(err, t->refusal.code, "%s", t->refusal.text);
        if (got)
                return (ssize_t)got;
        if (r < 0)
                return r;
        return t->finished && t->result != CURLE_OK ? curl_failure(t, err) : 0;
}

int sf_transfer_finish(struct sf_transfer *t, struct sf_error *err)
{
        uint64_t end = now_ms() + END_MS;

        t->allowed = t->received;
        while (t->running && !t->finished && now_ms() < end && pump(t, NULL) == 0)
                ;
        sf_transfer_stop(t);
        return t->refusal.code ? sf_error_set(err, t->refusal.code, "%s", t->refusal.text) : 0;
}

void sf_transfer_drain(struct sf_transfer *t)
{
        uint64_t end = now_ms() + END_MS;

        t->spill_at = t->spill_end = 0;
        while (t->running && !t->finished && t->received <= DRAIN_BYTES && now_ms() < end && pump(t, NULL) == 0)
                ;
        sf_transfer_stop(t);
}

void sf_transfer_stop(struct sf_transfer *t)
{
        if (t->running)
                curl_multi_remove_handle(t->multi, t->easy);
        t->running = false;
}

uint64_t sf_transfer_bytes(const struct sf_transfer *t)
{
        return atomic_load_explicit(&t->bytes, memory_order_relaxed);
}

uint64_t sf_transfer_requests(const struct sf_transfer *t)
{
        return atomic_load_explicit(&t->requests, memory_order_relaxed);
}
