/* SPDX-License-Identifier: Apache-2.0 */
/* tests/kit/sf-tuf-client.c - release/trust behind the command line that TUF conformance suites call.
 *
 *     sf-tuf-client --metadata-dir D init ROOT
 *     sf-tuf-client --metadata-url U --metadata-dir D refresh
 *     sf-tuf-client --metadata-url U --metadata-dir D --target-name P... --target-dir T --target-base-url B download
 *
 * Exit 0 or 1. The time is time(2)'s, so that faketime works on this dynamic build. --grace SECONDS and --now SECONDS
 * are ours.
 */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/buffer.h"
#include "base/cleanup.h"
#include "base/error.h"
#include "base/fs.h"
#include "transport/fetch.h"
#include "tuf/tuf.h"
#include "tuf/tufmeta.h"
#include "tuf/tuftext.h"

#define NAMES_MAX 64

/* Built with AddressSanitizer this program has to live with faketime's library being loaded before the sanitizer's. */
const char *__asan_default_options(void);
const char *__asan_default_options(void)
{
        return "verify_asan_link_order=0";
}

struct arguments {
        const char *metadata_url, *metadata_dir, *target_dir, *target_base_url;
        const char *names[NAMES_MAX];
        size_t name_count;
        int64_t grace, now;
};

/* base/name into ret, at most max bytes. */
static int get(const char *base, const char *name, size_t max, struct sf_buffer *ret, struct sf_error *err)
{
        const char *const bases[] = { base, NULL };
        _cleanup_fetcher_ struct sf_fetcher *fetcher = NULL;
        struct sf_fetch_options options;
        int r;

        sf_fetch_options_default(&options);
        options.bases = bases;
        r = sf_fetcher_open(&options, &fetcher, err);
        return r < 0 ? r : sf_fetch_small(fetcher, name, max, ret, err);
}

static int fetch(void *ctx, const char *name, size_t max, struct sf_buffer *ret, struct sf_error *err)
{
        const struct arguments *a = ctx;

        return get(a->metadata_url, name, max, ret, err);
}

static void notice(void *ctx, const char *text)
{
        (void)ctx;
        fprintf(stderr, "sf-tuf-client: %s\n", text);
}

static int init(const struct arguments *a, const char *path, struct sf_error *err)
{
        _cleanup_(sf_buffer_free) struct sf_buffer root = SF_BUFFER_INIT;
        int r = sf_fs_read(path, SF_TUF_ROOT_MAX, &root, err);

        return r < 0 ? r : sf_tuf_pin(a->metadata_dir, root.data, root.len, false, err);
}

/* One target: kept under its percent-encoded name, fetched only where the copy is not what is signed. */
static int download_one(struct sf_tuf *trust, const struct sf_tuf_source *source, const struct arguments *a,
                        const char *name, struct sf_error *err)
{
        _cleanup_(sf_buffer_free) struct sf_buffer content = SF_BUFFER_INIT, there = SF_BUFFER_INIT;
        _cleanup_free_ char *encoded = sf_tuftext_encode(name), *path = sf_fs_join(a->target_dir, encoded);
        struct sf_tuf_target target;
        int r = sf_tuf_find(trust, source, name, &target, err);

        if (r < 0)
                return r;
        if (sf_fs_read(path, (size_t)target.length, &there, NULL) == 0 &&
            sf_tuf_target_check(&target, there.data, there.len, NULL) == 0) {
                sf_tuf_target_free(&target);
                return 0;
        }
        r = get(a->target_base_url, target.download_name, (size_t)target.length, &content, err);
        if (r == 0)
                r = sf_tuf_target_check(&target, content.data, content.len, err);
        if (r == 0)
                r = sf_fs_write(path, content.data, content.len, 0644, err);
        sf_tuf_target_free(&target);
        return r;
}

static int update(struct arguments *a, struct sf_error *err)
{
        struct sf_tuf_options options = {
                .directory = a->metadata_dir, .now = a->now ? a->now : time(NULL), .grace = a->grace, .notice = notice
        };
        struct sf_tuf_source source = { fetch, a };
        struct sf_tuf *trust;
        int r = sf_tuf_open(&options, &trust, err);

        if (r < 0)
                return r;
        r = sf_tuf_refresh(trust, &source, err);
        for (size_t i = 0; r == 0 && i < a->name_count; i++)
                r = download_one(trust, &source, a, a->names[i], err);
        sf_tuf_close(trust);
        return r;
}

static int usage(void)
{
        fprintf(stderr,
                "usage: sf-tuf-client --metadata-dir D [--metadata-url U] [--target-name P]... [--target-dir T] "
                "[--target-base-url B] [--grace SECONDS] [--now SECONDS] init ROOT | refresh | download\n");
        return 1;
}

static bool read_options(int argc, char **argv, struct arguments *a)
{
        static const struct option options[] = {
                { "metadata-url", required_argument, NULL, 'u' },
                { "metadata-dir", required_argument, NULL, 'd' },
                { "target-name", required_argument, NULL, 'n' },
                { "target-dir", required_argument, NULL, 't' },
                { "target-base-url", required_argument, NULL, 'b' },
                { "grace", required_argument, NULL, 'g' },
                { "now", required_argument, NULL, 'w' },
                { NULL, 0, NULL, 0 },
        };
        int c;

        while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
                if (c == 'u')
                        a->metadata_url = optarg;
                else if (c == 'd')
                        a->metadata_dir = optarg;
                else if (c == 't')
                        a->target_dir = optarg;
                else if (c == 'b')
                        a->target_base_url = optarg;
                else if (c == 'g')
                        a->grace = strtoll(optarg, NULL, 10);
                else if (c == 'w')
                        a->now = strtoll(optarg, NULL, 10);
                else if (c == 'n' && a->name_count < NAMES_MAX)
                        a->names[a->name_count++] = optarg;
                else
                        return false;
        }
        return a->metadata_dir != NULL;
}

int main(int argc, char **argv)
{
        struct arguments a = { 0 };
        struct sf_error err = SF_ERROR_INIT;
        const char *verb;
        int r;

        if (!read_options(argc, argv, &a) || optind >= argc)
                return usage();
        verb = argv[optind];
        if (strcmp(verb, "init") == 0 && optind + 2 == argc)
                r = init(&a, argv[optind + 1], &err);
        else if (strcmp(verb, "refresh") == 0 && a.metadata_url && a.name_count == 0)
                r = update(&a, &err);
        else if (strcmp(verb, "download") == 0 && a.metadata_url && a.target_dir && a.target_base_url && a.name_count)
                r = update(&a, &err);
        else
                return usage();
        if (r < 0)
                fprintf(stderr, "sf-tuf-client: %s: %s\n", verb, err.text);
        return r < 0;
}
