/* SPDX-License-Identifier: Apache-2.0 */
/* agent/acquire/repository.c - see repository.h. */
#include "agent/acquire/repository.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/fs.h"
#include "base/log.h"
#include "base/stop.h"
#include "release/layout.h"

#define METADATA_DIRECTORY "metadata"
#define CACHE_DIRECTORY    "cache"

int sf_repository_check_clock(uint64_t wait, struct sf_error *err)
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

/* A spread-out start keeps a fleet from asking all at once. */
static void wait_jitter(uint64_t seconds)
{
        struct timespec now;

        if (seconds == 0)
                return;
        clock_gettime(CLOCK_REALTIME, &now);
        srandom((unsigned)(now.tv_nsec ^ (long)getpid()));
        uint64_t wait = (uint64_t)random() % (seconds + 1);
        sf_log_detail("waiting %llu s of at most %llu", (unsigned long long)wait, (unsigned long long)seconds);
        sleep((unsigned)wait);
}

static int open_fetcher(const struct sf_config *config, struct sf_fetcher **ret, struct sf_error *err)
{
        struct sf_fetch_options options;

        if (config->repository_count == 0)
                return sf_error_set(err, SF_ERR_USAGE,
                                    "no repository: give --repo URL, or [repository] url = … in " SF_CONFIG_FILE);
        sf_fetch_options_default(&options);
        options.bases = config->repositories;
        options.rate_limit = config->rate_limit;
        options.ca_bundle = config->ca_bundle;
        options.stall_timeout = (unsigned)config->stall_timeout;
        options.retries = (unsigned)config->retries;
        /* From here on a signal ends transfers and waits in order; what follows them runs to its end. */
        sf_stop_catch();
        options.stop = &sf_stop_requested;
        options.notice = warn;
        return sf_fetcher_open(&options, ret, err);
}

static int fetch_metadata(void *ctx, const char *name, size_t max, struct sf_buffer *ret, struct sf_error *err)
{
        _cleanup_free_ char *path = sf_format(SF_LAYOUT_METADATA "/%s", name);

        if (!path)
                return sf_error_set(err, SF_ERR_NOMEM, "no memory for a path");
        return sf_fetch_small(ctx, path, max, ret, err);
}

static int open_trust(const struct sf_config *config, struct sf_tuf **ret, struct sf_error *err)
{
        _cleanup_free_ char *directory = sf_fs_join(config->state, METADATA_DIRECTORY);
        struct sf_tuf_options options = {
                .directory = directory,
                .now = time(NULL),
                .grace = (int64_t)config->metadata_grace,
                .notice = warn,
        };

        if (!directory)
                return sf_error_set(err, SF_ERR_NOMEM, "no memory for a path");
        int r = sf_tuf_open(&options, ret, err);
        if (r == SF_ERR_NOT_FOUND)
                return sf_error_set(err, SF_ERR_USAGE,
                                    "no repository is trusted yet: run 'sf-node trust ROOT.json' with the root.json "
                                    "you were given");
        return r;
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
        _cleanup_free_ char *cached = sf_format("%s/" CACHE_DIRECTORY "/%s", config->state, strrchr(name, '/') + 1);
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
                sf_buffer_free(ret);
                r = sf_fetch_small(rp->fetcher, path, (size_t)target.length, ret, err);
                if (r == 0)
                        r = sf_tuf_target_check(&target, ret->data, ret->len, err);
                /* Only a cache: a node that cannot write it fails later, where it matters, with a better line. */
                if (r == 0 && !config->dry_run)
                        sf_fs_write(cached, ret->data, ret->len, 0644, NULL);
        }
        sf_tuf_target_free(&target);
        return r;
}

static int load_index(const struct sf_config *config, struct sf_repository *rp, struct sf_error *err)
{
        _cleanup_(sf_buffer_free) struct sf_buffer text = SF_BUFFER_INIT;
        _cleanup_free_ char *name = sf_layout_index_target(config->toolchain, config->arch);

        if (!name)
                return sf_error_set(err, SF_ERR_NOMEM, "no memory for a path");
        int r = load_target(config, rp, name, SF_INDEX_TEXT_MAX, &text, err);
        if (r == SF_ERR_NOT_FOUND)
                return sf_error_set(err, SF_ERR_NOT_FOUND, "the repository has no release for %s on %s",
                                    config->toolchain, config->arch);
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

int sf_repository_open(const struct sf_config *config, struct sf_repository *ret, struct sf_error *err)
{
        _cleanup_free_ char *cache = sf_fs_join(config->state, CACHE_DIRECTORY);
        struct sf_repository rp = { 0 };

        if (!cache)
                return sf_error_set(err, SF_ERR_NOMEM, "no memory for a path");
        int r = open_fetcher(config, &rp.fetcher, err);
        if (r == 0)
                r = open_trust(config, &rp.trust, err);
        if (r == 0)
                r = sf_repository_check_clock(config->clock_wait, err);
        if (r == 0) {
                struct sf_tuf_source source = { fetch_metadata, rp.fetcher };
                wait_jitter(config->jitter);
                r = sf_tuf_refresh(rp.trust, &source, err);
        }
        if (r == 0)
                r = sf_fs_mkdirs(cache, 0755, err);
        if (r == 0)
                r = load_index(config, &rp, err);
        if (r == 0)
                r = load_rollout(config, &rp, err);
        if (r < 0) {
                sf_repository_close(&rp);
                return r;
        }
        *ret = rp;
        return 0;
}

void sf_repository_close(struct sf_repository *repository)
{
        sf_index_free(&repository->index);
        sf_rollout_free(&repository->rollout);
        if (repository->trust)
                sf_tuf_close(repository->trust);
        if (repository->fetcher)
                sf_fetcher_close(repository->fetcher);
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

int sf_repository_blob(struct sf_repository *repository, const struct sf_blob *blob, const char *what,
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

uint64_t sf_repository_bytes(const struct sf_repository *repository)
{
        return repository->fetcher ? sf_fetcher_bytes(repository->fetcher) : 0;
}
