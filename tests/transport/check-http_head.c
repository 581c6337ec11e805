/* SPDX-License-Identifier: Apache-2.0 */
/* tests/transport/check-http_head.c - what strangers write: header lines and addresses, read strictly and shown
 * safely. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "transport/http_head.h"
#include "transport/url.h"

/* Feeds whole lines; returns the first refusal. */
static int feed(struct sf_http_head *a, const char *lines)
{
        *a = (struct sf_http_head)SF_HTTP_HEAD_INIT;
        while (*lines) {
                size_t len = strcspn(lines, "\n") + 1;
                int r = sf_http_head_line(a, lines, len, NULL);
                if (r < 0)
                        return r;
                lines += len;
        }
        return 0;
}

static void reads_a_partial_answer(void **state)
{
        (void)state;
        struct sf_http_head a;

        assert_int_equal(feed(&a, "HTTP/1.1 206 Partial Content\r\nCONTENT-LENGTH: 5\r\n"
                                  "Content-Range: bytes 10-14/999999999999999999\r\nETag: \"x y\"\r\n"
                                  "Last-Modified: Mon, 02 Jan 2006 15:04:05 GMT\r\n\r\n"),
                         0);
        assert_int_equal(a.status, 206);
        assert_true(a.complete && a.has_length && a.has_range && !a.encoded);
        assert_int_equal(a.length, 5);
        assert_int_equal(a.first, 10);
        assert_int_equal(a.last, 14);
        assert_int_equal(a.size, 999999999999999999);
        assert_string_equal(sf_http_head_validator(&a), "\"x y\"");
        assert_string_equal(a.modified, "Mon, 02 Jan 2006 15:04:05 GMT");
}

static void refuses_malformed_headers(void **state)
{
        static const char *const lines[] = {
                "HTTP/1.1 abc\r\n",
                "HTTP/1.1\r\n",
                "HTTP/1.1 99 Low\r\n",
                "Content-Length: \r\n",
                "Content-Length: 5, 5\r\n",
                "Content-Length: +5\r\n",
                "Content-Length: 0x5\r\n",
                "Content-Length: 9999999999999999999\r\n",
                "Content-Length: 5\r\nContent-Length: 6\r\n",
                "Content-Range: bytes 5-4/10\r\n",
                "Content-Range: bytes 0-10/10\r\n",
                "Content-Range: bytes 0-9/*\r\n",
                "Content-Range: bytes 0-9/10 \t x\r\n",
                "Content-Range: bytes -9/10\r\n",
                "Content-Range: bytes 0-/10\r\n",
                "Content-Range: bytes 0-9\r\n",
                "Content-Range: items 0-9/10\r\n",
                "Content-Range: bytes\r\n",
                "Content-Range: bytes 0-9999999999999999999/10\r\n",
                "Content-Range: bytes 0-8/10\r\nContent-Range: bytes 0-9/10\r\n",
        };

        (void)state;
        for (size_t i = 0; i < sizeof lines / sizeof *lines; i++) {
                struct sf_http_head a;
                if (feed(&a, lines[i]) != SF_ERR_CORRUPT)
                        fail_msg("accepted: %s", lines[i]);
        }
}

static void knows_which_validators_are_strong(void **state)
{
        static const struct {
                const char *line;
                const char *validator;
        } cases[] = {
                { "ETag: \"abc\"\r\n", "\"abc\"" },
                { "ETag: \"\"\r\n", "\"\"" },
                { "ETag: W/\"abc\"\r\n", "" },
                { "ETag: abc\r\n", "" },
                { "ETag: \"a\"b\"\r\n", "" },
                { "ETag: \"\r\n", "" },
                { "ETag: \"a\tb\"\r\n", "" },
                { "ETag: \"\xc3\xa4\"\r\n", "" },
                { "ETag: W/\"abc\"\r\nLast-Modified: today\r\n", "today" },
                { "ETag: \"abc\"\r\nLast-Modified: today\r\n", "\"abc\"" },
        };

        (void)state;
        for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
                struct sf_http_head a;
                assert_int_equal(feed(&a, cases[i].line), 0);
                assert_string_equal(sf_http_head_validator(&a), cases[i].validator);
        }
        char line[SF_HTTP_HEAD_VALIDATOR_MAX + 16] = "ETag: \"";
        memset(line + strlen(line), 'x', SF_HTTP_HEAD_VALIDATOR_MAX);
        strcat(line, "\"\n");
        struct sf_http_head a;
        assert_int_equal(feed(&a, line), 0);
        assert_string_equal(sf_http_head_validator(&a), "");
}

static void forgets_interim_answers_and_distrusts_trailers(void **state)
{
        (void)state;
        struct sf_http_head a;

        assert_int_equal(feed(&a, "HTTP/1.1 103 Early\r\nContent-Length: 7\r\nETag: \"early\"\r\n\r\n"), 0);
        assert_false(a.complete);
        assert_int_equal(sf_http_head_line(&a, "HTTP/1.1 200 OK\r\n", 17, NULL), 0);
        assert_true(!a.has_length && !a.etag[0]);
        assert_int_equal(sf_http_head_line(&a, "\r\n", 2, NULL), 0);
        assert_true(a.complete);
        assert_int_equal(sf_http_head_line(&a, "Content-Length: 8\r\n", 19, NULL), 0);
        assert_false(a.has_length);
}

static void bounds_the_head(void **state)
{
        (void)state;
        struct sf_http_head a = SF_HTTP_HEAD_INIT;
        size_t lines = 0;

        while (sf_http_head_line(&a, "HTTP/1.1 100 Continue\r\n", 23, NULL) == 0)
                assert_true(lines++ <= SF_HTTP_HEAD_MAX / 23);
        assert_int_equal(lines, SF_HTTP_HEAD_MAX / 23);
}

static void reads_lines_without_a_terminator(void **state)
{
        (void)state;
        struct sf_http_head a = SF_HTTP_HEAD_INIT;
        const char line[] = { 'E', 'T', 'a', 'g', ':', '"', 'x', '"' };
        const char odd[] = { 'C', '\0', ':', '\0' };

        assert_int_equal(sf_http_head_line(&a, line, sizeof line, NULL), 0);
        assert_string_equal(a.etag, "\"x\"");
        assert_int_equal(sf_http_head_line(&a, odd, sizeof odd, NULL), 0);
        assert_int_equal(sf_http_head_line(&a, "Content-Encoding: br", 20, NULL), 0);
        assert_true(a.encoded);
}

static void joins_addresses(void **state)
{
        static const struct {
                const char *base, *path, *url; /* url NULL = refused */
        } cases[] = {
                { "http://h", "a/b", "http://h/a/b" },
                { "http://h/r//", "//a", "http://h/r/a" },
                { "http://h/r", "a b?c#d", "http://h/r/a%20b%3Fc%23d" },
                { "http://h/r", "..%2Frole.json", "http://h/r/..%2Frole.json" },
                { "http://h/r", "\xc3\xa4\x01", "http://h/r/%C3%A4%01" },
                { "http://h/r", "a..b/...", "http://h/r/a..b/..." },
                { "http://h/r", "a/../b", NULL },
                { "http://h/r", "..", NULL },
        };

        (void)state;
        for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
                char *url = NULL;
                int r = sf_url_join(cases[i].base, cases[i].path, &url, NULL);
                assert_int_equal(r, cases[i].url ? 0 : SF_ERR_USAGE);
                if (cases[i].url)
                        assert_string_equal(url, cases[i].url);
                free(url);
        }
}

static void finds_local_files(void **state)
{
        static const struct {
                const char *url, *path; /* path NULL = refused */
        } cases[] = {
                { "file:///a/b%20c", "/a/b c" }, { "file://localhost/a", "/a" }, { "FILE:///a%2", "/a%2" },
                { "file://elsewhere/a", NULL },  { "file://a", NULL },           { "file:///a%00b", NULL },
                { "file:///a/%2e%2E/b", NULL },  { "file:///a/..%2fb", NULL },
        };

        (void)state;
        for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
                char *path = NULL;
                int r = sf_url_local_path(cases[i].url, &path, NULL);
                assert_int_equal(r, cases[i].path ? 0 : SF_ERR_USAGE);
                if (cases[i].path)
                        assert_string_equal(path, cases[i].path);
                free(path);
        }
}

static void shows_no_secrets(void **state)
{
        static const struct {
                const char *url, *shown;
        } cases[] = {
                { "https://user:secret@host:1/a?token=secret#secret", "https://host:1/a" },
                { "https://user:se@cret@host/a@b", "https://host/a@b" },
                { "https://user:secret@", "https://" },
                { "https://host?secret", "https://host" },
                { "no url?secret", "no url" },
                { "user:secret@host/a", "host/a" },
                { "a/b?secret://c", "a/b" },
                { "ftp://host/a@b://c", "ftp://host/a@b://c" },
                { "file:///a", "file:///a" },
        };
        char shown[SF_URL_SHOWN_MAX], long_url[3 * SF_URL_SHOWN_MAX];

        (void)state;
        for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
                assert_string_equal(sf_url_shown(cases[i].url, shown), cases[i].shown);
        memset(long_url, 'x', sizeof long_url);
        memcpy(long_url + 2 * SF_URL_SHOWN_MAX, "://", 3);
        long_url[sizeof long_url - 1] = '\0';
        assert_int_equal(strlen(sf_url_shown(long_url, shown)), SF_URL_SHOWN_MAX - 1);
}

static void knows_schemes(void **state)
{
        (void)state;
        enum sf_url_scheme scheme;

        assert_int_equal(sf_url_scheme("HTTPS://h", &scheme, NULL), 0);
        assert_int_equal(scheme, SF_URL_HTTPS);
        assert_int_equal(sf_url_scheme("file:/a", &scheme, NULL), SF_ERR_USAGE);
        assert_int_equal(sf_url_scheme("gopher://h", &scheme, NULL), SF_ERR_USAGE);
        assert_int_equal(sf_url_scheme("", &scheme, NULL), SF_ERR_USAGE);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(reads_a_partial_answer),
                cmocka_unit_test(refuses_malformed_headers),
                cmocka_unit_test(knows_which_validators_are_strong),
                cmocka_unit_test(forgets_interim_answers_and_distrusts_trailers),
                cmocka_unit_test(bounds_the_head),
                cmocka_unit_test(reads_lines_without_a_terminator),
                cmocka_unit_test(joins_addresses),
                cmocka_unit_test(finds_local_files),
                cmocka_unit_test(shows_no_secrets),
                cmocka_unit_test(knows_schemes),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
