/* SPDX-License-Identifier: Apache-2.0 */
/* transport/fetch.c - see fetch.h. Patience lives here: which mirror is asked, when again, and from where on. */
#include "transport/fetch.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "transport/fetch-state.h"
#include "transport/url.h"

/* Debian and Ubuntu, Rocky 8 and 9, Rocky 10. */
static const char *const ca_bundles[] = {
        "/etc/ssl/certs/ca-certificates.crt",
        "/etc/pki/tls/certs/ca-bundle.crt",
        "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
};

void sf_fetch_options_default(struct sf_fetch_options *options)
{
        *options = (struct sf_fetch_options){ .retries = 4 };
}

static const char *find_ca_bundle(const struct sf_fetch_options *options)
{
        if (options->ca_bundle)
                return access(options->ca_bundle, R_OK) == 0 ? options->ca_bundle : NULL;
        for (size_t i = 0; i < sizeof ca_bundles / sizeof *ca_bundles; i++)
                if (access(ca_bundles[i], R_OK) == 0)
                        return ca_bundles[i];
        return NULL;
}

const char *sf_fetch_ca_bundle(const char *configured)
{
        const struct sf_fetch_options options = { .ca_bundle = configured };

        return find_ca_bundle(&options);
}

static int no_ca_bundle(const struct sf_fetch_options *options, struct sf_error *err)
{
        if (options->ca_bundle)
                return sf_error_set(err, SF_ERR_USAGE, "CA bundle %s cannot be read", options->ca_bundle);
        return sf_error_set(err, SF_ERR_USAGE,
                            "no CA bundle to check https servers with: looked for %s, %s and %s; "
                            "install ca-certificates or name a bundle",
                            ca_bundles[0], ca_bundles[1], ca_bundles[2]);
}

static int add_mirrors(struct sf_fetcher *f, bool have_ca, struct sf_error *err)
{
        char shown[SF_URL_SHOWN_MAX];
        int r;

        for (const char *const *base = f->options.bases; base && *base; base++) {
                struct sf_endpoint *m = &f->mirrors[f->count];
                if (f->count == SF_FETCH_BASES_MAX)
                        return sf_error_set(err, SF_ERR_USAGE, "more than %d base URLs", SF_FETCH_BASES_MAX);
                if ((r = sf_url_scheme(*base, &m->scheme, err)) < 0)
                        return r;
                if (strpbrk(*base, f->options.one_file ? "#" : "?#"))
                        return sf_error_set(err, SF_ERR_USAGE, "%s: a base URL has no '?' and no '#'",
                                            sf_url_shown(*base, shown));
                m->one_file = f->options.one_file;
                if (m->scheme == SF_URL_HTTPS && !have_ca)
                        return no_ca_bundle(&f->options, err);
                m->url = *base;
                f->order[f->count++] = m;
        }
        return f->count ? 0 : sf_error_set(err, SF_ERR_USAGE, "no base URL");
}

int sf_fetcher_open(const struct sf_fetch_options *options, struct sf_fetcher **ret, struct sf_error *err)
{
        _cleanup_fetcher_ struct sf_fetcher *f = calloc(1, sizeof *f);
        const char *ca_bundle = find_ca_bundle(options);
        int r;

        if (!f)
                return sf_error_set(err, SF_ERR_NOMEM, "no memory for a fetcher");
        f->options = *options;
        if (!f->options.retry_wait_ms)
                f->options.retry_wait_ms = 500;
        if (!f->options.retry_wait_max)
                f->options.retry_wait_max = 30;
        if ((r = add_mirrors(f, ca_bundle != NULL, err)) < 0)
                return r;
        struct sf_transfer_options transfer = {
                .ca_bundle = ca_bundle,
                .access = options->access,
                .rate_limit = options->rate_limit,
                .connect_timeout = options->connect_timeout ? options->connect_timeout : 15,
                .stall_timeout = options->stall_timeout ? options->stall_timeout : 30,
                .stall_rate = options->stall_rate ? options->stall_rate : 1024,
                .stop = options->stop,
        };
        if ((r = sf_transfer_open(&transfer, &f->transfer, err)) < 0)
                return r;
        *ret = sf_steal_pointer(f);
        return 0;
}

void sf_fetch_drop_parked(struct sf_fetcher *f)
{
        if (f->parked.path)
                sf_body_close(&f->parked.body);
        free(f->parked.path);
        f->parked = (struct sf_parked){ 0 };
}

void sf_fetcher_close(struct sf_fetcher *f)
{
        if (!f)
                return;
        sf_fetch_drop_parked(f);
        sf_transfer_close(f->transfer);
        free(f->skipped_path);
        free(f);
}

uint64_t sf_fetcher_bytes(const struct sf_fetcher *f)
{
        return sf_transfer_bytes(f->transfer) + atomic_load_explicit(&f->file_bytes, memory_order_relaxed);
}

void sf_fetcher_tick(struct sf_fetcher *f, void (*tick)(void *ctx), void *ctx)
{
        sf_transfer_tick(f->transfer, tick, ctx);
}

uint64_t sf_fetcher_requests(const struct sf_fetcher *f)
{
        return sf_transfer_requests(f->transfer) + atomic_load_explicit(&f->file_requests, memory_order_relaxed);
}

int sf_fetcher_ranges(const struct sf_fetcher *f)
{
        return f->order[0]->ranges;
}

static void notice(const struct sf_fetcher *f, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void notice(const struct sf_fetcher *f, const char *format, ...)
{
        char text[SF_ERROR_TEXT_MAX];
        va_list args;

        if (!f->options.notice)
                return;
        va_start(args, format);
        vsnprintf(text, sizeof text, format, args);
        va_end(args);
        f->options.notice(f->options.notice_ctx, text);
}

static bool may_pass(int code)
{
        return code == SF_ERR_NETWORK || code == SF_ERR_TIMEOUT;
}

/* Failures that are ours: no other mirror makes them better. */
static bool is_ours(int code)
{
        return code == SF_ERR_NOMEM || code == SF_ERR_INTERRUPTED || code == SF_ERR_USAGE;
}

static void move_back(struct sf_fetcher *f, struct sf_endpoint *m)
{
        size_t i = 0;

        m->failed = true;
        while (f->order[i] != m)
                i++;
        memmove(&f->order[i], &f->order[i + 1], (f->count - 1 - i) * sizeof f->order[0]);
        f->order[f->count - 1] = m;
}

/* The wait before try number `attempt` + 1: doubled each time, never less than the least demanding mirror asks for,
 * never more than the limit; half of it random, so that a thousand nodes do not come back in step. */
static int back_off(struct sf_fetcher *f, unsigned attempt, const struct sf_error *why, struct sf_error *err)
{
        uint64_t max = (uint64_t)f->options.retry_wait_max * 1000;
        uint64_t wait = (uint64_t)f->options.retry_wait_ms << (attempt < 16 ? attempt : 16);
        uint64_t asked = f->options.retry_wait_max;
        uint32_t dice = 0;

        if (getrandom(&dice, sizeof dice, GRND_NONBLOCK) < 0)
                dice = (uint32_t)getpid();
        wait = wait / 2 + wait * (dice % 1024) / 2048;
        for (size_t i = 0; i < f->count; i++)
                if (!f->mirrors[i].hopeless && f->mirrors[i].retry_after < asked)
                        asked = f->mirrors[i].retry_after;
        if (wait < asked * 1000)
                wait = asked * 1000;
        if (wait > max)
                wait = max;
        notice(f, "%s; retry %u of %u in %llu.%llu s", why->text, attempt + 1, f->options.retries,
               (unsigned long long)wait / 1000, (unsigned long long)wait % 1000 / 100);
        return sf_transfer_wait(f->transfer, wait, err);
}

/* Which of two failures says more: that the thing does not exist, then what may pass, then the rest. */
static int rank(int code)
{
        return code == SF_ERR_NOT_FOUND ? 2 : may_pass(code) ? 1 : 0;
}

/* Asks each mirror that is worth it once. *ret_from is the one whose body it is. */
static int ask_mirrors(struct sf_fetcher *f, const struct sf_wanted *wanted, struct sf_body *ret,
                       struct sf_endpoint **ret_from, struct sf_error *err)
{
        struct sf_endpoint *order[SF_FETCH_BASES_MAX];
        struct sf_error worst = SF_ERROR_INIT;

        memcpy(order, f->order, sizeof order);
        for (size_t i = 0; i < f->count; i++) {
                struct sf_endpoint *m = order[i];
                struct sf_error why = SF_ERROR_INIT;
                /* Missing is an answer: it is not worth waiting for a mirror that is down. */
                if (m->rejected || m->hopeless || (worst.code == SF_ERR_NOT_FOUND && m->failed))
                        continue;
                int r = sf_endpoint_open(m, f->transfer, wanted, ret, &why);
                if (m->scheme == SF_URL_FILE)
                        atomic_fetch_add_explicit(&f->file_requests, 1, memory_order_relaxed);
                if (r == 0) {
                        *ret_from = f->last = m;
                        return 0;
                }
                if (worst.code == 0 || is_ours(r) || rank(r) > rank(worst.code))
                        worst = why;
                if (is_ours(r))
                        break;
                m->hopeless = !may_pass(r);
                if (r == SF_ERR_NOT_FOUND)
                        continue;
                move_back(f, m);
                if (i + 1 < f->count)
                        notice(f, "%s; trying the next mirror", why.text);
        }
        return sf_error_set(err, worst.code, "%s", worst.text);
}

int sf_fetch_open_body(struct sf_fetcher *f, const struct sf_wanted *wanted, struct sf_body *ret,
                       struct sf_endpoint **ret_from, struct sf_error *err)
{
        for (size_t i = 0; i < f->count; i++)
                f->mirrors[i].hopeless = false;
        for (unsigned attempt = 0;; attempt++) {
                struct sf_error why = SF_ERROR_INIT;
                int r = ask_mirrors(f, wanted, ret, ret_from, &why);
                if (r < 0 && may_pass(r) && attempt < f->options.retries) {
                        if ((r = back_off(f, attempt, &why, err)) < 0)
                                return r;
                        continue;
                }
                return r < 0 ? sf_error_set(err, why.code, "%s", why.text) : 0;
        }
}

int sf_fetch_after_break(struct sf_fetcher *f, struct sf_endpoint *from, const char *path, unsigned *breaks,
                         struct sf_error *why, struct sf_error *err)
{
        bool elsewhere = f->count > 1 && !is_ours(why->code);
        char shown[SF_URL_SHOWN_MAX];

        sf_error_prefix(why, "%s%s%s", path, *path ? " from " : "", sf_url_shown(from->url, shown));
        if ((*breaks)++ == f->options.retries || !(may_pass(why->code) || elsewhere))
                return sf_error_set(err, why->code, "%s", why->text);
        move_back(f, from);
        if (f->order[0]->failed)
                return back_off(f, *breaks - 1, why, err);
        notice(f, "%s; going on with the next mirror", why->text);
        return 0;
}

bool sf_fetcher_reject(struct sf_fetcher *f, const char *why)
{
        char shown[SF_URL_SHOWN_MAX];
        bool another = false;

        if (!f->last)
                return false;
        sf_fetch_drop_parked(f);
        f->last->rejected = true;
        for (size_t i = 0; i < f->count; i++)
                another |= !f->mirrors[i].rejected;
        if (another) {
                notice(f, "%s: %s; trying the next mirror", sf_url_shown(f->last->url, shown), why);
                return true;
        }
        for (size_t i = 0; i < f->count; i++)
                f->mirrors[i].rejected = false;
        return false;
}

static int read_small(struct sf_body *body, struct sf_buffer *ret, struct sf_error *err)
{
        for (;;) {
                int r = sf_buffer_reserve(ret, 4096, err);
                if (r < 0)
                        return r;
                ssize_t n = sf_body_read(body, ret->data + ret->len, ret->room - ret->len - 1, err);
                if (n < 0)
                        return (int)n;
                ret->len += (size_t)n;
                ret->data[ret->len] = 0;
                if (n == 0)
                        return sf_body_finish(body, err);
        }
}

int sf_fetch_small(struct sf_fetcher *f, const char *path, size_t max, struct sf_buffer *ret, struct sf_error *err)
{
        struct sf_wanted wanted = { .path = path, .size = max, .validator = "" };
        size_t len = ret->len;
        unsigned breaks = 0;

        for (;;) {
                struct sf_body body = SF_BODY_INIT;
                struct sf_endpoint *from;
                struct sf_error why = SF_ERROR_INIT;
                int r = sf_fetch_open_body(f, &wanted, &body, &from, err);
                if (r < 0)
                        return r;
                r = read_small(&body, ret, &why);
                sf_body_close(&body);
                if (r == 0) {
                        if (from->scheme == SF_URL_FILE)
                                atomic_fetch_add_explicit(&f->file_bytes, ret->len - len, memory_order_relaxed);
                        return 0;
                }
                ret->len = len;
                if ((r = sf_fetch_after_break(f, from, path, &breaks, &why, err)) < 0)
                        return r;
        }
}
