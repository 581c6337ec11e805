/* SPDX-License-Identifier: Apache-2.0 */
/* agent/acquire/repository.c - see repository.h. */
#include "agent/acquire/repository.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "agent/acquire/requires.h"
#include "agent/node/lock.h"
#include "base/cleanup.h"
#include "base/digest.h"
#include "base/fs.h"
#include "base/log.h"
#include "base/stop.h"
#include "release/layout.h"

#define CACHE_DIRECTORY "cache"
#define NO_REPOSITORY   "no repository: give --repo URL, or [repository] url = … in " SF_CONFIG_FILE
#define METADATA_WAIT   600 /* seconds for another agent that refreshes it */
#define OFFERS_MAX      32  /* toolchains that are named where there is none for this node */

/* Fails with a line that names the clock where it stands before the moment this program was built, after waiting at
 * most `wait` seconds for it to be set. */
static int check_clock(uint64_t wait, struct sf_error *err)
{
        bool said = false;

        for (uint64_t waited = 0; time(NULL) < (time_t)SF_BUILD_EPOCH; waited++) {
                if (waited >= wait)
                        return sf_error_set(err, SF_ERR_EXPIRED,
                                            "this node's clock (%lld) is before the day sf-node was built (%lld): set "
                                            "the time, then try again",
                                            (long long)time(NULL), (long long)SF_BUILD_EPOCH);
                if (!said)
                        sf_log_warning("the clock is before the day sf-node was built; waiting up to %llu s for it to "
                                       "be set",
                                       (unsigned long long)wait);
                said = true;
                sleep(1);
        }
        return 0;
}

static void warn(void *ctx, const char *text)
{
        (void)ctx;
        sf_log_warning("%s", text);
}

void sf_repository_wait(const struct sf_config *config)
{
        uint64_t seconds = config->jitter;
        struct timespec now;

        if (seconds == 0)
                return;
        sf_stop_catch();
        clock_gettime(CLOCK_REALTIME, &now);
        srandom((unsigned)(now.tv_nsec ^ (long)getpid()));
        uint64_t wait = (uint64_t)random() % (seconds + 1);
        sf_log_detail("waiting %llu s of at most %llu", (unsigned long long)wait, (unsigned long long)seconds);
        for (uint64_t i = 0; i < wait && !sf_stop_requested; i++)
                sleep(1);
}

static int open_fetcher(const struct sf_config *config, struct sf_fetcher **ret, struct sf_error *err)
{
        struct sf_fetch_options options;

        if (config->no_access || config->repository_count == 0)
                return sf_error_set(err, SF_ERR_USAGE, "%s", config->no_access ? config->no_access : NO_REPOSITORY);
        sf_fetch_options_default(&options);
        options.bases = config->repositories;
        options.rate_limit = config->rate_limit;
        options.access = (struct sf_access){ .credentials = config->credentials,
                                             .count = config->credential_count,
                                             .proxy = config->proxy };
        options.ca_bundle = config->ca_bundle;
        options.stall_timeout = (unsigned)config->stall_timeout;
        options.retries = (unsigned)config->retries;
        /* From here on a signal ends transfers and waits in order; what follows them runs to its end. */
        sf_stop_catch();
        options.stop = &sf_stop_requested;
        options.notice = warn;
        return sf_fetcher_open(&options, ret, err);
}

/* Somebody on the way (a captive portal, a proxy, a server's own error page) answers every request with a web page. */
static bool is_web_page(const struct sf_buffer *text, size_t from)
{
        const char *start = sf_buffer_text(text) + (text->len > from ? from : text->len);

        return start[strspn(start, " \t\r\n\xef\xbb\xbf")] == '<';
}

static int fetch_metadata(void *ctx, const char *name, size_t max, struct sf_buffer *ret, struct sf_error *err)
{
        _cleanup_free_ char *path = sf_format(SF_LAYOUT_METADATA "/%s", name);
        size_t len = ret->len;

        if (!path)
                return sf_error_set(err, SF_ERR_NOMEM, "no memory for a path");
        int r = sf_fetch_small(ctx, path, max, ret, err);
        if (r == 0 && is_web_page(ret, len))
                r = sf_error_set(err, SF_ERR_CORRUPT,
                                 "%s: a web page was answered, this is no repository (a captive portal or a proxy?)",
                                 path);
        return r;
}

/* What another mirror may have whole, or newer. */
static bool is_about_content(int code)
{
        return code == SF_ERR_CORRUPT || code == SF_ERR_LIMIT || code == SF_ERR_TRUST || code == SF_ERR_EXPIRED;
}

bool sf_repository_reject(struct sf_repository *repository, const struct sf_error *why)
{
        return is_about_content(why->code) && sf_fetcher_reject(repository->fetcher, why->text);
}

static int refresh(struct sf_repository *rp, struct sf_error *err)
{
        struct sf_tuf_source source = { fetch_metadata, rp->fetcher };
        struct sf_error why = SF_ERROR_INIT;
        int r;

        while ((r = sf_tuf_refresh(rp->trust, &source, &why)) < 0 && sf_repository_reject(rp, &why))
                sf_error_clear(&why);
        return r < 0 ? sf_error_set(err, r, "%s", why.text) : r;
}

/* A small signed file, from whichever mirror has it whole. */
static int fetch_target(struct sf_repository *rp, const char *path, const struct sf_tuf_target *target,
                        struct sf_buffer *ret, struct sf_error *err)
{
        for (;;) {
                struct sf_error why = SF_ERROR_INIT;
                sf_buffer_free(ret);
                int r = sf_fetch_small(rp->fetcher, path, (size_t)target->length, ret, &why);
                /* Not "there is none": that is for signed metadata to say. */
                if (r == SF_ERR_NOT_FOUND)
                        r = sf_error_set(&why, SF_ERR_CORRUPT, "%s: metadata lists it, the repository lacks it", path);
                if (r == 0)
                        r = sf_tuf_target_check(target, ret->data, ret->len, &why);
                if (r >= 0)
                        return 0;
                if (!sf_repository_reject(rp, &why))
                        return sf_error_set(err, r, "%s", why.text);
        }
}

/* Reads the cached copy of a target where it is still the signed one, else fetches and caches it. */
static int load_target(const struct sf_config *config, struct sf_repository *rp, const char *name, size_t max,
                       struct sf_buffer *ret, struct sf_error *err)
{
        struct sf_tuf_source source = { fetch_metadata, rp->fetcher };
        struct sf_tuf_target target;
        int r = sf_tuf_find(rp->trust, &source, name, &target, err);

        if (r < 0)
                return r;
        _cleanup_free_ char *cached = sf_format("%s/" CACHE_DIRECTORY "/%s", config->shared, strrchr(name, '/') + 1);
        _cleanup_free_ char *path = sf_format(SF_LAYOUT_TARGETS "/%s", target.download_name);
        if (!cached || !path) {
                r = sf_error_set(err, SF_ERR_NOMEM, "no memory for a path");
        } else if (target.length > max) {
                r = sf_error_set(err, SF_ERR_LIMIT, "%s: %llu bytes are more than the %zu allowed", name,
                                 (unsigned long long)target.length, max);
        } else if (sf_fs_read(cached, max, ret, NULL) == 0 &&
                   sf_tuf_target_check(&target, ret->data, ret->len, NULL) == 0) {
                r = 0;
        } else {
                r = fetch_target(rp, path, &target, ret, err);
                /* Only a cache: a node that cannot write it fails later, where it matters, with a better line. */
                if (r == 0 && !config->dry_run)
                        sf_fs_write(cached, ret->data, ret->len, 0644, NULL);
        }
        sf_tuf_target_free(&target);
        return r;
}

/* What the repository has for other systems: "a", "b", and of those which this one could run. */
struct offers {
        const struct sf_config *config;
        struct sf_words toolchains;
};

/* index/<toolchain>-<arch>.json */
static int note_offer(void *ctx, const char *name, struct sf_error *err)
{
        struct offers *offers = ctx;
        _cleanup_free_ char *tail = sf_format("-%s.json", offers->config->arch);
        const char *start = strncmp(name, "index/", 6) == 0 ? name + 6 : NULL;
        size_t len = start ? strlen(start) : 0;

        if (!tail)
                return sf_error_set(err, SF_ERR_NOMEM, "no memory for names");
        if (len <= strlen(tail) || strcmp(start + len - strlen(tail), tail) != 0)
                return 0;
        return sf_words_printf(&offers->toolchains, err, "%.*s", (int)(len - strlen(tail)), start);
}

/* Whether the newest release of that toolchain has all that it needs here: glibc, libraries, processor. */
static bool would_run(const struct sf_config *config, struct sf_repository *rp, const char *toolchain)
{
        _cleanup_(sf_buffer_free) struct sf_buffer text = SF_BUFFER_INIT;
        _cleanup_free_ char *name = sf_layout_index_target(toolchain, config->arch);
        struct sf_index index = { 0 };
        bool runs = false;

        if (name && load_target(config, rp, name, SF_INDEX_TEXT_MAX, &text, NULL) == 0 &&
            sf_index_parse(name, text.data, text.len, &index, NULL) == 0 && index.release_count &&
            *index.releases[0].requires.libc)
                runs = sf_requires_check(&index.releases[0], config->root, NULL) == 0;
        sf_index_free(&index);
        return runs;
}

static int no_release(const struct sf_config *config, struct sf_repository *rp, const char *name, struct sf_error *err)
{
        struct sf_tuf_source source = { fetch_metadata, rp->fetcher };
        _cleanup_(sf_buffer_free) struct sf_buffer there = SF_BUFFER_INIT, running = SF_BUFFER_INIT;
        struct offers offers = { .config = config, .toolchains = SF_WORDS_INIT };
        int r = sf_tuf_each_beside(rp->trust, &source, name, note_offer, &offers, NULL);

        for (size_t i = 0; r == 0 && i < offers.toolchains.count && i < OFFERS_MAX; i++) {
                const char *toolchain = offers.toolchains.items[i];
                r = sf_buffer_printf(&there, NULL, "%s%s", there.len ? ", " : "", toolchain);
                if (r == 0 && would_run(config, rp, toolchain))
                        r = sf_buffer_printf(&running, NULL, "%s%s", running.len ? ", " : "", toolchain);
        }
        sf_words_free(&offers.toolchains);
        if (r < 0 || there.len == 0)
                return sf_error_set(err, SF_ERR_NOT_FOUND, "the repository has no release for %s on %s",
                                    config->toolchain, config->arch);
        if (running.len == 0)
                return sf_error_set(err, SF_ERR_NOT_FOUND,
                                    "the repository has no release for %s on %s; it has those of %s, which need other "
                                    "libraries or a newer glibc than this system has, or do not say what they need",
                                    config->toolchain, config->arch, sf_buffer_text(&there));
        return sf_error_set(err, SF_ERR_NOT_FOUND,
                            "the repository has no release for %s on %s; it has those of %s; by glibc and libraries "
                            "this system could run %s (--toolchain, or toolchain = in [node])",
                            config->toolchain, config->arch, sf_buffer_text(&there), sf_buffer_text(&running));
}

static int load_index(const struct sf_config *config, struct sf_repository *rp, struct sf_error *err)
{
        _cleanup_(sf_buffer_free) struct sf_buffer text = SF_BUFFER_INIT;
        _cleanup_free_ char *name = sf_layout_index_target(config->toolchain, config->arch);

        if (!name)
                return sf_error_set(err, SF_ERR_NOMEM, "no memory for a path");
        int r = load_target(config, rp, name, SF_INDEX_TEXT_MAX, &text, err);
        if (r == SF_ERR_NOT_FOUND)
                return no_release(config, rp, name, err);
        return r < 0 ? r : sf_index_parse(name, text.data, text.len, &rp->index, err);
}

static int load_rollout(const struct sf_config *config, struct sf_repository *rp, struct sf_error *err)
{
        _cleanup_(sf_buffer_free) struct sf_buffer text = SF_BUFFER_INIT;
        int r = load_target(config, rp, SF_LAYOUT_ROLLOUT_TARGET, SF_ROLLOUT_TEXT_MAX, &text, err);

        if (r == SF_ERR_NOT_FOUND) {
                sf_error_clear(err);
                return sf_rollout_default(&rp->rollout, err);
        }
        return r < 0 ? r : sf_rollout_parse(SF_LAYOUT_ROLLOUT_TARGET, text.data, text.len, &rp->rollout, err);
}

/* Agents of other prefixes share the metadata. -1 with --dry-run, which works on a copy. */
static int lock_metadata(const struct sf_config *config, int *ret, struct sf_error *err)
{
        const struct sf_lock_wait wait = { .seconds = METADATA_WAIT, .stop = &sf_stop_requested };
        int waited, r;

        *ret = -1;
        if (config->dry_run)
                return 0;
        r = *ret = sf_lock_take_shared(config->shared, &wait, &waited, err);
        return r < 0 ? r : 0;
}

/* Looks in roles that may have to be fetched first. */
static int find_target(const struct sf_config *config, struct sf_repository *rp, const char *name,
                       struct sf_tuf_target *ret, struct sf_error *err)
{
        struct sf_tuf_source source = { fetch_metadata, rp->fetcher };
        _cleanup_close_ int lock = -1;
        int r = lock_metadata(config, &lock, err);

        return r < 0 ? r : sf_tuf_find(rp->trust, &source, name, ret, err);
}

int sf_repository_target(const struct sf_config *config, struct sf_repository *repository, const char *name, size_t max,
                         struct sf_buffer *ret, struct sf_error *err)
{
        struct sf_tuf_target target;
        int r = find_target(config, repository, name, &target, err);

        if (r < 0)
                return r;
        _cleanup_free_ char *path = sf_format(SF_LAYOUT_TARGETS "/%s", target.download_name);
        if (!path)
                r = sf_error_set(err, SF_ERR_NOMEM, "no memory for a path");
        else if (target.length > max)
                r = sf_error_set(err, SF_ERR_LIMIT, "%s: %llu bytes are more than the %zu allowed", name,
                                 (unsigned long long)target.length, max);
        else
                r = fetch_target(repository, path, &target, ret, err);
        sf_tuf_target_free(&target);
        return r;
}

int sf_repository_check_target(const struct sf_config *config, struct sf_repository *repository, const char *name,
                               const void *data, size_t len, struct sf_error *err)
{
        struct sf_tuf_target target;
        int r = find_target(config, repository, name, &target, err);

        if (r < 0)
                return r;
        r = sf_tuf_target_check(&target, data, len, err);
        sf_tuf_target_free(&target);
        return r;
}

/* What is for this node's toolchain, cached. */
static int load_offer(const struct sf_config *config, struct sf_repository *rp, struct sf_error *err)
{
        _cleanup_free_ char *cache = sf_fs_join(config->shared, CACHE_DIRECTORY);
        int r = cache ? 0 : sf_error_set(err, SF_ERR_NOMEM, "no memory for a path");

        if (r == 0 && !config->dry_run)
                r = sf_fs_mkdirs(cache, 0755, err);
        if (r == 0)
                r = load_index(config, rp, err);
        return r < 0 ? r : load_rollout(config, rp, err);
}

static int open_repository(const struct sf_config *config, bool with_offer, struct sf_repository *ret,
                           struct sf_error *err)
{
        struct sf_repository rp = { 0 };
        _cleanup_close_ int lock = -1;
        int r = sf_digest_ready(err);

        if (r == 0)
                r = open_fetcher(config, &rp.fetcher, err);
        if (r == 0)
                r = sf_repository_load_trust(config, &rp, err);
        if (r == 0)
                r = check_clock(config->clock_wait, err);
        if (r == 0)
                r = lock_metadata(config, &lock, err);
        if (r == 0)
                r = refresh(&rp, err);
        if (r == 0 && with_offer)
                r = load_offer(config, &rp, err);
        if (r < 0) {
                sf_repository_close(&rp);
                return r;
        }
        *ret = rp;
        return 0;
}

int sf_repository_open(const struct sf_config *config, struct sf_repository *ret, struct sf_error *err)
{
        return open_repository(config, true, ret, err);
}

int sf_repository_open_trust(const struct sf_config *config, struct sf_repository *ret, struct sf_error *err)
{
        return open_repository(config, false, ret, err);
}

void sf_repository_close(struct sf_repository *repository)
{
        sf_index_free(&repository->index);
        sf_rollout_free(&repository->rollout);
        if (repository->trust)
                sf_tuf_close(repository->trust);
        if (repository->fetcher)
                sf_fetcher_close(repository->fetcher);
        if (repository->scratch) {
                sf_fs_remove_tree(repository->scratch, NULL);
                close(repository->scratch_lock);
        }
        free(repository->scratch);
        *repository = (struct sf_repository){ 0 };
}

int sf_repository_range(struct sf_repository *repository, const struct sf_blob *blob, uint64_t offset, uint64_t length,
                        struct sf_stream **ret, struct sf_error *err)
{
        _cleanup_free_ char *path = sf_layout_blob(&blob->digest);

        if (!path)
                return sf_error_set(err, SF_ERR_NOMEM, "no memory for a path");
        return sf_fetch_range(repository->fetcher, path, blob->size, offset, length, ret, err);
}

static int read_blob(struct sf_repository *repository, const struct sf_blob *blob, const char *what,
                     struct sf_buffer *ret, struct sf_error *err)
{
        _cleanup_stream_ struct sf_stream *stream = NULL;
        struct sf_stream *raw;
        int r = sf_repository_range(repository, blob, 0, blob->size, &raw, err);

        if (r == 0) {
                r = sf_stream_exact(raw, what, blob->size, &blob->digest, &stream, err);
                if (r < 0)
                        sf_stream_close(raw);
        }
        if (r == 0)
                r = sf_stream_read_all(stream, (size_t)blob->size, ret, err);
        return r;
}

int sf_repository_blob(struct sf_repository *repository, const struct sf_blob *blob, const char *what,
                       struct sf_buffer *ret, struct sf_error *err)
{
        size_t len = ret->len;

        for (;;) {
                struct sf_error why = SF_ERROR_INIT;
                int r = read_blob(repository, blob, what, ret, &why);
                if (r == 0)
                        return 0;
                ret->len = len;
                if (!sf_repository_reject(repository, &why))
                        return sf_error_set(err, r, "%s", why.text);
        }
}

void sf_repository_tick(struct sf_repository *repository, void (*tick)(void *ctx), void *ctx)
{
        if (repository->fetcher)
                sf_fetcher_tick(repository->fetcher, tick, ctx);
}

uint64_t sf_repository_bytes(const struct sf_repository *repository)
{
        return repository->fetcher ? sf_fetcher_bytes(repository->fetcher) : 0;
}
