/* SPDX-License-Identifier: Apache-2.0 */
/* tests/kit/fetch-one.c - one fetch from the command line, for the scripts that need a real server beside it.
 *
 *     fetch-one CA_BUNDLE|- BASE PATH SIZE OFFSET LENGTH OUTPUT
 *
 * Prints "ok ranges R requests N bytes B", or the class and text of the failure (exit 1). CA_BUNDLE "-": the system's.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buffer.h"
#include "base/cleanup.h"
#include "base/fs.h"
#include "transport/fetch-state.h"
#include "transport/fetch.h"

static void print_notice(void *ctx, const char *text)
{
        (void)ctx;
        printf("notice: %s\n", text);
}

static int fetch(struct sf_fetcher *f, char **argv, struct sf_error *err)
{
        _cleanup_stream_ struct sf_stream *stream = NULL;
        _cleanup_(sf_buffer_free) struct sf_buffer got = SF_BUFFER_INIT;
        unsigned long long length = strtoull(argv[5], NULL, 10);
        int r;

        if ((r = sf_fetch_range(f, argv[2], strtoull(argv[3], NULL, 10), strtoull(argv[4], NULL, 10), length, &stream,
                                err)) < 0 ||
            (r = sf_stream_read_all(stream, length, &got, err)) < 0)
                return r;
        return sf_fs_write(argv[6], got.data, got.len, 0644, err);
}

int main(int argc, char **argv)
{
        struct sf_fetch_options options;
        _cleanup_fetcher_ struct sf_fetcher *f = NULL;
        struct sf_error err = SF_ERROR_INIT;

        setvbuf(stdout, NULL, _IOLBF, 0);
        if (argc != 8)
                return 99;
        sf_fetch_options_default(&options);
        options.ca_bundle = strcmp(argv[1], "-") == 0 ? NULL : argv[1];
        options.bases = (const char *[]){ argv[2], NULL };
        options.stall_timeout = 3;
        options.retry_wait_ms = 300;
        options.notice = print_notice;
        if (sf_fetcher_open(&options, &f, &err) < 0 || fetch(f, argv + 1, &err) < 0) {
                printf("%s: %s\n", sf_error_class(err.code), err.text);
                return 1;
        }
        printf("ok ranges %d requests %llu bytes %llu\n", sf_fetcher_ranges(f),
               (unsigned long long)sf_fetcher_requests(f), (unsigned long long)sf_fetcher_bytes(f));
        return 0;
}
