/* SPDX-License-Identifier: Apache-2.0 */
/* tests/factory/check-source.c - where sources come from and what is refused: directories, a web server that lies in
 * several ways, a cache that is damaged.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <arpa/inet.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/buffer.h"
#include "base/cleanup.h"
#include "base/fs.h"
#include "factory/build/source.h"

#define CONTENT "the real source\n"

static char scratch[64];
static pid_t server;
static unsigned port;

/* --- a web server: the path says how to behave ------------------------------------------------------------------ */

static void serve(int listener)
{
        for (;;) {
                _cleanup_close_ int fd = accept(listener, NULL, NULL);
                char request[4096] = "";

                if (fd < 0 || read(fd, request, sizeof request - 1) <= 0)
                        continue;
                if (strstr(request, "GET /good/"))
                        dprintf(fd, "HTTP/1.1 200 OK\r\nContent-Length: %zu\r\nConnection: close\r\n\r\n%s",
                                strlen(CONTENT), CONTENT);
                else if (strstr(request, "GET /cut/"))
                        dprintf(fd, "HTTP/1.1 200 OK\r\nContent-Length: %zu\r\nConnection: close\r\n\r\nthe real",
                                strlen(CONTENT));
                else if (strstr(request, "GET /cut-once/") && strstr(request, "Range: bytes=8-"))
                        dprintf(fd,
                                "HTTP/1.1 206 Partial Content\r\nETag: \"x\"\r\nContent-Range: bytes 8-%zu/%zu\r\n"
                                "Content-Length: %zu\r\nConnection: close\r\n\r\n%s",
                                strlen(CONTENT) - 1, strlen(CONTENT), strlen(CONTENT) - 8, &CONTENT[8]);
                else if (strstr(request, "GET /cut-once/"))
                        dprintf(fd,
                                "HTTP/1.1 200 OK\r\nETag: \"x\"\r\nContent-Length: %zu\r\nConnection: close\r\n\r\n"
                                "%.8s",
                                strlen(CONTENT), CONTENT);
                else if (strstr(request, "GET /gzip/")) /* as Apache labels archives */
                        dprintf(fd,
                                "HTTP/1.1 200 OK\r\nContent-Encoding: x-gzip\r\nContent-Length: %zu\r\n"
                                "Connection: close\r\n\r\n%s",
                                strlen(CONTENT), CONTENT);
                else if (strstr(request, "GET /huge/"))
                        dprintf(fd, "HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\nConnection: close\r\n\r\n");
                else if (strstr(request, "GET /again/"))
                        dprintf(fd, "HTTP/1.1 302 Found\r\nLocation: /again/x\r\nContent-Length: 0\r\nConnection: "
                                    "close\r\n\r\n");
                else if (strstr(request, "GET /evil/"))
                        dprintf(fd,
                                "HTTP/1.1 200 OK\r\nContent-Length: 16\r\nConnection: close\r\n\r\nthe evil source\n");
                else if (strstr(request, "GET /moved/"))
                        dprintf(fd, "HTTP/1.1 302 Found\r\nLocation: /good/x\r\nContent-Length: 0\r\nConnection: "
                                    "close\r\n\r\n");
                else if (strstr(request, "GET /file/"))
                        dprintf(fd, "HTTP/1.1 302 Found\r\nLocation: file:///etc/hostname\r\nContent-Length: 0\r\n"
                                    "Connection: close\r\n\r\n");
                else
                        dprintf(fd, "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
        }
}

static int start(void **state)
{
        struct sockaddr_in address = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
        socklen_t length = sizeof address;
        int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

        (void)state;
        strcpy(scratch, "/tmp/sf-check-source.XXXXXX");
        if (!mkdtemp(scratch) || listener < 0 || bind(listener, (struct sockaddr *)&address, sizeof address) < 0 ||
            listen(listener, 8) < 0 || getsockname(listener, (struct sockaddr *)&address, &length) < 0)
                return -1;
        port = ntohs(address.sin_port);
        if ((server = fork()) == 0)
                serve(listener);
        close(listener);
        /* No proxy stands between the test and its own server. */
        setenv("no_proxy", "127.0.0.1", 1);
        return server > 0 ? 0 : -1;
}

static int stop(void **state)
{
        (void)state;
        kill(server, SIGKILL);
        waitpid(server, NULL, 0);
        return sf_fs_remove_tree(scratch, NULL);
}

/* --- fetching --------------------------------------------------------------------------------------------------- */

struct fixture {
        struct sf_cache cache;
        struct sf_recipe recipe;
        struct sf_recipe_source source;
        struct sf_words mirrors;
        struct sf_error err;
        char *path;
        const struct sf_recipe_source *found;
};

/* A recipe for CONTENT and an empty cache; `place` is where the recipe or a mirror points to, "%u" being the port. */
static void prepare(struct fixture *f, const char *mirror, const char *url)
{
        static unsigned number;
        _cleanup_free_ char *root = sf_format("%s/cache%u", scratch, number++);

        *f = (struct fixture){ .source = { .file = "x.tar.gz", .pool = "" } };
        assert_int_equal(sf_cache_open(root, &f->cache, NULL), 0);
        sf_digest_of(CONTENT, strlen(CONTENT), &f->source.digest);
        if (mirror)
                sf_words_append(&f->mirrors, mirror, NULL);
        if (url)
                sf_words_append(&f->source.urls, url, NULL);
        f->recipe = (struct sf_recipe){ .name = "x", .version = "1", .sources = &f->source, .source_count = 1 };
}

static int fetch(struct fixture *f)
{
        return sf_source_fetch(&f->cache, &f->mirrors, &f->recipe, &f->path, &f->found, &f->err);
}

static void finish(struct fixture *f)
{
        sf_cache_close(&f->cache);
        sf_words_free(&f->mirrors);
        sf_words_free(&f->source.urls);
        free(f->path);
}

static void assert_content(const char *path)
{
        struct sf_buffer is = SF_BUFFER_INIT;

        assert_int_equal(sf_fs_read(path, 1000, &is, NULL), 0);
        assert_string_equal(sf_buffer_text(&is), CONTENT);
        sf_buffer_free(&is);
}

static void urls_are_tried_and_judged(void **state)
{
        static const struct {
                const char *path;
                int result;
                const char *said;
        } cases[] = {
                { "good/x.tar.gz", 0, "" },
                { "moved/x.tar.gz", 0, "" },
                { "missing/x.tar.gz", SF_ERR_NOT_FOUND, "HTTP 404" },
                { "evil/x.tar.gz", SF_ERR_NOT_FOUND, "sha256 is " },
                { "cut/x.tar.gz", SF_ERR_NOT_FOUND, "/cut/x.tar.gz (" },
                { "cut-once/x.tar.gz", 0, "" },
                { "good/x.tar.gz?format=raw", 0, "" },
                { "gzip/x.tar.gz", 0, "" },
                { "huge/x.tar.gz", SF_ERR_NOT_FOUND, "at most 4294967296 are allowed" },
                { "file/x.tar.gz", SF_ERR_NOT_FOUND, "a redirect to file:///etc/hostname is not followed" },
                { "again/x.tar.gz", SF_ERR_NOT_FOUND, "more than 5 redirects" },
        };

        (void)state;
        for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
                _cleanup_free_ char *url = sf_format("http://127.0.0.1:%u/%s", port, cases[i].path);
                _cleanup_free_ char *sources = NULL;
                struct fixture f;

                prepare(&f, NULL, url);
                assert_int_equal(fetch(&f), cases[i].result);
                if (cases[i].result == 0)
                        assert_content(f.path);
                else if (!strstr(f.err.text, cases[i].said) ||
                         !strstr(f.err.text, "no source for x 1: x.tar.gz; tried: "))
                        fail_msg("%s", f.err.text);
                /* Nothing half-fetched may stay. */
                sources = sf_cache_path(&f.cache, "sources", NULL);
                if (cases[i].result < 0)
                        assert_int_equal(rmdir(sources), 0);
                finish(&f);
        }
}

static void mirrors_are_flat_or_a_pool(void **state)
{
        _cleanup_free_ char *flat = sf_format("%s/flat", scratch), *pool = sf_format("%s/pool-mirror", scratch);
        _cleanup_free_ char *in_flat = sf_fs_join(flat, "x.tar.gz"), *in_pool = sf_fs_join(pool, "pool/main/x.tar.gz");
        _cleanup_free_ char *folder = sf_fs_join(pool, "pool/main"), *as_url = sf_format("file://%s//", pool);
        const char *const mirrors[] = { flat, pool, as_url };

        (void)state;
        assert_int_equal(sf_fs_mkdirs(flat, 0755, NULL), 0);
        assert_int_equal(sf_fs_mkdirs(folder, 0755, NULL), 0);
        assert_int_equal(sf_fs_write(in_flat, CONTENT, strlen(CONTENT), 0644, NULL), 0);
        assert_int_equal(sf_fs_write(in_pool, CONTENT, strlen(CONTENT), 0644, NULL), 0);
        for (size_t i = 0; i < sizeof mirrors / sizeof *mirrors; i++) {
                struct fixture f;

                prepare(&f, mirrors[i], NULL);
                f.source.pool = "pool/main/x.tar.gz";
                assert_int_equal(fetch(&f), 0);
                assert_content(f.path);
                finish(&f);
        }
}

static void a_bad_mirror_does_not_stop_the_search(void **state)
{
        _cleanup_free_ char *url = sf_format("http://127.0.0.1:%u/good/x.tar.gz", port);
        _cleanup_free_ char *evil = sf_format("http://127.0.0.1:%u/evil/", port);
        struct fixture f;
        char *again = NULL;

        (void)state;
        prepare(&f, evil, url);
        assert_int_equal(fetch(&f), 0);
        assert_content(f.path);
        /* From now on the cache has it: nobody is asked any more. */
        f.source.urls.count = f.mirrors.count = 0;
        assert_int_equal(sf_source_fetch(&f.cache, &f.mirrors, &f.recipe, &again, &f.found, &f.err), 0);
        assert_string_equal(again, f.path);
        free(again);
        f.source.urls.count = f.mirrors.count = 1;
        finish(&f);
}

/* What the cache holds instead of CONTENT; returns its path. */
static char *spoil(const struct fixture *f, const char *content)
{
        char hex[SF_DIGEST_HEX + 1];
        char *path = sf_format("%s/sources/%s-x.tar.gz", f->cache.root, sf_digest_hex(&f->source.digest, hex));

        assert_int_equal(sf_fs_write(path, content, strlen(content), 0644, NULL), 0);
        return path;
}

static void a_damaged_file_in_the_cache_is_fetched_again(void **state)
{
        _cleanup_free_ char *url = sf_format("http://127.0.0.1:%u/good/x.tar.gz", port), *there = NULL, *lost = NULL;
        struct fixture f;

        (void)state;
        prepare(&f, NULL, url);
        there = spoil(&f, "the real");
        assert_int_equal(fetch(&f), 0);
        assert_string_equal(f.path, there);
        assert_content(f.path);
        finish(&f);
        /* Nowhere else: it is gone, and nobody takes it. */
        prepare(&f, NULL, NULL);
        lost = spoil(&f, "the evil source\n");
        assert_int_equal(fetch(&f), SF_ERR_NOT_FOUND);
        assert_false(sf_fs_exists(lost));
        finish(&f);
}

/* Writes the one content for the first who reads the pipe and another one for the next. */
static void feed(const char *fifo)
{
        int fd = open(fifo, O_WRONLY);

        if (write(fd, CONTENT, strlen(CONTENT)) < 0)
                _exit(1);
        close(fd);
        while ((fd = open(fifo, O_WRONLY | O_NONBLOCK)) >= 0) {
                close(fd);
                usleep(1000);
        }
        fd = open(fifo, O_WRONLY);
        if (write(fd, "the evil source\n", 16) < 0)
                _exit(1);
        _exit(0);
}

static void a_mirror_gets_no_damaged_copy(void **state)
{
        _cleanup_free_ char *to = sf_format("%s/collected", scratch), *there = NULL;
        struct fixture f;
        pid_t feeder;

        (void)state;
        prepare(&f, NULL, NULL);
        there = spoil(&f, "");
        assert_int_equal(unlink(there), 0);
        assert_int_equal(mkfifo(there, 0600), 0);
        assert_int_equal(sf_fs_mkdirs(to, 0755, NULL), 0);
        if ((feeder = fork()) == 0)
                feed(there);
        assert_int_equal(sf_source_mirror(&f.cache, &f.mirrors, &f.recipe, to, &f.err), SF_ERR_CORRUPT);
        kill(feeder, SIGKILL);
        waitpid(feeder, NULL, 0);
        if (!strstr(f.err.text, "/collected/x.tar.gz: sha256 is ") || !strstr(f.err.text, ", not "))
                fail_msg("%s", f.err.text);
        /* Neither the copy nor a part of it. */
        assert_int_equal(rmdir(to), 0);
        finish(&f);
}

static void an_alternative_in_the_cache_is_preferred(void **state)
{
        struct sf_recipe_source both[2];
        _cleanup_free_ char *url = sf_format("http://127.0.0.1:%u/good/x.tar.gz", port), *there = NULL;
        char hex[SF_DIGEST_HEX + 1];
        struct fixture f;

        (void)state;
        prepare(&f, NULL, url);
        both[0] = f.source;
        both[1] = (struct sf_recipe_source){ .file = "other.tar.gz", .pool = "" };
        sf_digest_of("other", 5, &both[1].digest);
        there = sf_format("%s/sources/%s-other.tar.gz", f.cache.root, sf_digest_hex(&both[1].digest, hex));
        assert_int_equal(sf_fs_write(there, "other", 5, 0644, NULL), 0);
        f.recipe.sources = both;
        f.recipe.source_count = 2;
        assert_int_equal(fetch(&f), 0);
        assert_string_equal(f.path, there);
        finish(&f);
}

static void apt_names_its_archives(void **state)
{
        struct sf_words bases = SF_WORDS_INIT;

        (void)state;
        if (access("/usr/bin/apt-get", X_OK) < 0)
                skip();
        assert_int_equal(sf_source_apt_bases(&bases, NULL), 0);
        for (size_t i = 0; i < bases.count; i++) {
                assert_int_equal(strncmp(bases.items[i], "http", 4), 0);
                assert_int_not_equal(bases.items[i][strlen(bases.items[i]) - 1], '/');
                for (size_t j = 0; j < i; j++)
                        assert_string_not_equal(bases.items[i], bases.items[j]);
        }
        sf_words_free(&bases);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(urls_are_tried_and_judged),
                cmocka_unit_test(mirrors_are_flat_or_a_pool),
                cmocka_unit_test(a_bad_mirror_does_not_stop_the_search),
                cmocka_unit_test(a_damaged_file_in_the_cache_is_fetched_again),
                cmocka_unit_test(a_mirror_gets_no_damaged_copy),
                cmocka_unit_test(an_alternative_in_the_cache_is_preferred),
                cmocka_unit_test(apt_names_its_archives),
        };
        return cmocka_run_group_tests(tests, start, stop);
}
