/* SPDX-License-Identifier: Apache-2.0 */
/* tests/base/check-base.c - errors, digests, INI, JSON, files and processes of base/. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <signal.h>
#include <stdio.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/conf.h"
#include "base/digest.h"
#include "base/error.h"
#include "base/fs.h"
#include "base/json.h"
#include "base/proc.h"
#include "base/progress.h"

static char scratch[64];

static int make_scratch(void **state)
{
        (void)state;
        strcpy(scratch, "/tmp/sf-check-base.XXXXXX");
        return mkdtemp(scratch) ? 0 : -1;
}

static int remove_scratch(void **state)
{
        (void)state;
        return sf_fs_remove_tree(scratch, NULL);
}

/* 10 MB in the first second, then 100 kB/s: three seconds later nothing of the start is left in the rate. */
static void progress_is_of_the_last_seconds(void **state)
{
        struct sf_progress progress = { .what = "fetching" };
        uint64_t done = 0;
        double rate = 0, now = 5000;
        char text[256];

        (void)state;
        assert_true(sf_progress_note(&progress, now, 0) < 0);
        for (int i = 0; i < 60; i++, now += 0.1) {
                rate = sf_progress_note(&progress, now, done);
                done += i < 10 ? 1000000 : 10000;
        }
        assert_true(rate > 99000 && rate < 101000);
        assert_string_equal(sf_progress_text(&progress, 102400, done, done + 6656000, text),
                            "fetching   61 %  100.0 KiB/s  1:05 left");
        assert_string_equal(sf_progress_text(&progress, 0, 0, 10, text), "fetching    0 %  0 B/s");
        assert_string_equal(sf_progress_text(&progress, -1, 2048, 0, text), "fetching  2.0 KiB");
        /* Stalled, then another try of the same work. */
        for (int i = 0; i < 40; i++, now += 0.1)
                rate = sf_progress_note(&progress, now, done);
        assert_true(rate >= 0 && rate < 1);
        assert_true(sf_progress_note(&progress, now, 100) < 0);
}

static void errors_travel_as_one_line(void **state)
{
        struct sf_error err = SF_ERROR_INIT;

        (void)state;
        errno = ENOSPC;
        assert_int_equal(sf_error_errno(&err, "cannot write %s", "a\nb"), SF_ERR_NO_SPACE);
        assert_int_equal(sf_error_prefix(&err, "layer %s", "deps"), SF_ERR_NO_SPACE);
        assert_string_equal(err.text, "layer deps: cannot write a b: No space left on device");
        assert_string_equal(sf_error_class(err.code), "no space");
        assert_string_equal(sf_error_class(-1000), "unknown");
        char *large = malloc(5000);
        memset(large, 'x', 4999);
        large[4999] = '\0';
        sf_error_set(&err, SF_ERR_IO, "%s", large);
        assert_int_equal(strlen(err.text), SF_ERROR_TEXT_MAX - 1);
        free(large);
}

static void digests_are_strict(void **state)
{
        const char *abc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"; /* FIPS 180-4 */
        struct sf_digest a, b;
        char hex[SF_DIGEST_HEX + 1], bad[80];

        (void)state;
        sf_digest_of("abc", 3, &a);
        assert_string_equal(sf_digest_hex(&a, hex), abc);
        assert_int_equal(sf_digest_parse(abc, &b, NULL), 0);
        assert_true(sf_digest_equal(&a, &b));
        snprintf(bad, sizeof bad, "sha256:%s", abc);
        assert_int_equal(sf_digest_parse(bad, &b, NULL), 0);
        snprintf(bad, sizeof bad, "%s0", abc);
        assert_int_equal(sf_digest_parse(bad, &b, NULL), SF_ERR_CORRUPT);
        snprintf(bad, sizeof bad, "%.63s", abc);
        assert_int_equal(sf_digest_parse(bad, &b, NULL), SF_ERR_CORRUPT);
        snprintf(bad, sizeof bad, "%.63sD", abc);
        assert_int_equal(sf_digest_parse(bad, &b, NULL), SF_ERR_CORRUPT);
        assert_int_equal(sf_digest_parse("", &b, NULL), SF_ERR_CORRUPT);
}

static void conf_remembers_places(void **state)
{
        static const char text[] = "; comment\n[repository]\nurl = https://a/\n\nurl=https://b/\n[node]\njitter = 5x\n"
                                   "size = 3M\nyes = On\n";
        struct sf_conf conf = SF_CONF_INIT;
        struct sf_error err = SF_ERROR_INIT;
        uint64_t number = 7, size = 0;
        bool flag = false;

        (void)state;
        assert_int_equal(sf_conf_parse(&conf, "a.conf", text, &err), 0);
        assert_string_equal(sf_conf_get(&conf, "repository", "url"), "https://b/");
        const struct sf_conf_entry *e = sf_conf_next(&conf, "repository", "url", NULL);
        assert_string_equal(e->value, "https://a/");
        assert_int_equal(e->line, 3);
        assert_int_equal(sf_conf_next(&conf, "repository", "url", e)->line, 5);
        assert_int_equal(sf_conf_get_u64(&conf, "node", "jitter", 10, &number, &err), SF_ERR_USAGE);
        assert_string_equal(err.text, "a.conf:7: [node] jitter = 5x: a number up to 10 expected");
        assert_int_equal(number, 7);
        assert_int_equal(sf_conf_get_size(&conf, "node", "size", &size, &err), 0);
        assert_int_equal(size, 3u << 20);
        assert_int_equal(sf_conf_check_used(&conf, &err), SF_ERR_USAGE);
        assert_non_null(strstr(err.text, "a.conf:9"));
        assert_int_equal(sf_conf_get_bool(&conf, "node", "yes", &flag, &err), 0);
        assert_true(flag);
        assert_int_equal(sf_conf_check_used(&conf, &err), 0);
        assert_int_equal(sf_conf_parse(&conf, "b.conf", "[x]\nno equals sign\n", &err), SF_ERR_USAGE);
        assert_non_null(strstr(err.text, "b.conf:2"));
        char *large = sf_format("[x]\na = 1\nb = %0300d\n", 0);
        assert_int_equal(sf_conf_parse(&conf, "c.conf", large, &err), SF_ERR_USAGE);
        assert_non_null(strstr(err.text, "c.conf:3: the line is too long"));
        free(large);
        sf_conf_free(&conf);
}

static void sizes_have_units(void **state)
{
        uint64_t n;

        (void)state;
        assert_true(sf_conf_parse_size("10", &n) && n == 10);
        assert_true(sf_conf_parse_size("10K", &n) && n == 10240);
        assert_true(sf_conf_parse_size("2G", &n) && n == 2ull << 30);
        assert_false(sf_conf_parse_size("", &n));
        assert_false(sf_conf_parse_size("-1", &n));
        assert_false(sf_conf_parse_size("1KB", &n));
        assert_false(sf_conf_parse_size("18446744073709551616", &n));
        assert_false(sf_conf_parse_size("18446744073709551615K", &n));
}

static void json_is_strict(void **state)
{
        static const char *const refused[] = {
                "", "[]", "{\"a\":1,\"a\":2}", "{\"a\":1} x", "{\"a\":1.5}", "{\"a\":[1e3]}", "{\"a\":\"\xff\"}", "{",
        };
        char deep[512] = "{\"a\":";
        json_t *value;

        (void)state;
        for (size_t i = 0; i < sizeof refused / sizeof *refused; i++)
                assert_int_equal(sf_json_parse("x", refused[i], strlen(refused[i]), &value, NULL), SF_ERR_CORRUPT);
        for (int i = 0; i < 70; i++)
                strcat(deep, "[");
        for (int i = 0; i < 70; i++)
                strcat(deep, "]");
        strcat(deep, "}");
        assert_int_equal(sf_json_parse("x", deep, strlen(deep), &value, NULL), SF_ERR_CORRUPT);
}

static void json_getters_name_the_place(void **state)
{
        static const char text[] = "{\"n\":5,\"s\":\"a\\u0000b\",\"o\":{}}";
        struct sf_error err = SF_ERROR_INIT;
        const char *s;
        int64_t n;
        json_t *value;

        (void)state;
        assert_int_equal(sf_json_parse("x", text, strlen(text), &value, &err), SF_ERR_CORRUPT); /* NUL escapes */
        assert_int_equal(sf_json_parse("x", "{\"n\":5,\"s\":\"t\"}", 15, &value, &err), 0);
        assert_int_equal(sf_json_integer(value, "x", "n", 0, 4, &n, &err), SF_ERR_CORRUPT);
        assert_string_equal(err.text, "x.n: 5 is not between 0 and 4");
        assert_int_equal(sf_json_string(value, "x", "n", &s, &err), SF_ERR_CORRUPT);
        assert_string_equal(err.text, "x.n: not a string");
        assert_int_equal(sf_json_string(value, "x", "gone", &s, &err), SF_ERR_CORRUPT);
        assert_string_equal(err.text, "x.gone: missing");
        json_decref(value);
}

static void canonical_json_is_olpcs(void **state)
{
        static const char text[] = "{\"b\":[1,true,null],\"a\":\"q\\\"\\\\\\n\"}";
        struct sf_buffer out = SF_BUFFER_INIT;
        json_t *value;

        (void)state;
        assert_int_equal(sf_json_parse("x", text, strlen(text), &value, NULL), 0);
        assert_int_equal(sf_json_canonical(value, &out, NULL), 0);
        assert_string_equal(sf_buffer_text(&out), "{\"a\":\"q\\\"\\\\\n\",\"b\":[1,true,null]}");
        sf_buffer_free(&out);
        json_decref(value);
}

static void files_are_replaced_whole(void **state)
{
        _cleanup_free_ char *path = sf_fs_join(scratch, "state.json");
        struct sf_buffer b = SF_BUFFER_INIT;
        struct sf_error err = SF_ERROR_INIT;
        struct stat st;

        (void)state;
        assert_int_equal(sf_fs_write(path, "one", 3, 0640, &err), 0);
        assert_int_equal(sf_fs_write(path, "second", 6, 0600, &err), 0);
        assert_int_equal(sf_fs_read(path, 100, &b, &err), 0);
        assert_string_equal(sf_buffer_text(&b), "second");
        assert_int_equal(stat(path, &st), 0);
        assert_int_equal(st.st_mode & 07777, 0600);
        sf_buffer_free(&b);
        assert_int_equal(sf_fs_read(path, 5, &b, &err), SF_ERR_LIMIT);
        sf_buffer_free(&b);
        assert_int_equal(sf_fs_read(scratch, 5, &b, &err), SF_ERR_IO);
        sf_buffer_free(&b);
}

static void beneath_means_beneath(void **state)
{
        _cleanup_free_ char *inside = sf_fs_join(scratch, "tree/sub"), *tree = sf_fs_join(scratch, "tree");
        _cleanup_free_ char *link = sf_fs_join(tree, "link"), *secret = sf_fs_join(scratch, "secret");
        struct sf_error err = SF_ERROR_INIT;

        (void)state;
        assert_int_equal(sf_fs_mkdirs(inside, 0755, &err), 0);
        assert_int_equal(sf_fs_write(secret, "s", 1, 0600, &err), 0);
        assert_int_equal(symlink("..", link), 0);
        _cleanup_close_ int dirfd = open(tree, O_RDONLY | O_DIRECTORY);
        assert_true(sf_fs_open_beneath(dirfd, "link/secret", O_RDONLY, 0, &err) < 0);
        assert_true(sf_fs_open_beneath(dirfd, "../secret", O_RDONLY, 0, &err) < 0);
        assert_true(sf_fs_open_beneath(dirfd, secret, O_RDONLY, 0, &err) < 0);
        assert_true(sf_fs_open_beneath(dirfd, "link", O_RDONLY, 0, &err) < 0);
        _cleanup_close_ int fd = sf_fs_open_beneath(dirfd, "sub/new", O_WRONLY | O_CREAT | O_EXCL, 0644, &err);
        assert_true(fd >= 0);
}

static int record(void *ctx, int dirfd, const char *name, const char *path, const struct stat *st, struct sf_error *err)
{
        (void)dirfd, (void)name, (void)st;
        return sf_buffer_printf(ctx, err, "%s ", path);
}

static void walks_are_sorted_and_removal_stays_inside(void **state)
{
        _cleanup_free_ char *tree = sf_fs_join(scratch, "walk"), *b = sf_fs_join(tree, "b/c");
        _cleanup_free_ char *a = sf_fs_join(tree, "a"), *outside = sf_fs_join(scratch, "outside");
        struct sf_buffer seen = SF_BUFFER_INIT;

        (void)state;
        assert_int_equal(sf_fs_mkdirs(b, 0755, NULL), 0);
        assert_int_equal(sf_fs_mkdirs(outside, 0755, NULL), 0);
        assert_int_equal(symlink(outside, a), 0);
        assert_int_equal(sf_fs_walk(tree, record, &seen, NULL), 0);
        assert_string_equal(sf_buffer_text(&seen), "a b b/c ");
        assert_int_equal(sf_fs_remove_tree(tree, NULL), 0);
        assert_false(sf_fs_exists(tree));
        assert_true(sf_fs_exists(outside));
        assert_int_equal(sf_fs_remove_tree(tree, NULL), 0);
        sf_buffer_free(&seen);
}

static void paths_are_plain_or_not(void **state)
{
        static const char *const plain[] = { "a", "bin/srun", "a.b/..c", "lib/x y" };
        static const char *const odd[] = { "", "/a", "a/", "a//b", ".", "..", "a/../b", "./a", "a\nb", "a\x7f" };

        (void)state;
        for (size_t i = 0; i < sizeof plain / sizeof *plain; i++)
                assert_true(sf_fs_path_is_plain(plain[i]));
        for (size_t i = 0; i < sizeof odd / sizeof *odd; i++)
                assert_false(sf_fs_path_is_plain(odd[i]));
}

static void joins_have_one_slash(void **state)
{
        static const char *const rows[][3] = {
                { "/a", "b", "/a/b" }, { "/a/", "/b", "/a/b" }, { "/", "b", "/b" },
                { "", "b", "b" },      { "/a", "", "/a" },
        };

        (void)state;
        for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
                _cleanup_free_ char *joined = sf_fs_join(rows[i][0], rows[i][1]);
                assert_string_equal(joined, rows[i][2]);
        }
}

static int run(const char *script, unsigned timeout, struct sf_buffer *out, struct sf_buffer *errors,
               struct sf_error *err)
{
        const char *argv[] = { "sh", "-c", script, NULL };
        struct sf_proc proc = { .argv = argv, .output = out, .errors = errors, .timeout_seconds = timeout };

        return sf_proc_check(&proc, err);
}

static void children_are_collected(void **state)
{
        struct sf_buffer out = SF_BUFFER_INIT, errors = SF_BUFFER_INIT;
        struct sf_error err = SF_ERROR_INIT;

        (void)state;
        setenv("SF_SECRET", "leaks", 1);
        assert_int_equal(run("echo \"[$SF_SECRET]\"; echo bad >&2", 0, &out, &errors, &err), 0);
        assert_string_equal(sf_buffer_text(&out), "[]\n");
        assert_string_equal(sf_buffer_text(&errors), "bad\n");
        sf_buffer_free(&out);
        sf_buffer_free(&errors);
        assert_int_equal(run("echo fine; echo 'x.c:3: error: no such thing'; echo 'make: *** [x] 1'; exit 7", 0, &out,
                             NULL, &err),
                         SF_ERR_FAILED);
        assert_string_equal(err.text, "sh failed with exit status 7: x.c:3: error: no such thing");
        sf_buffer_free(&out);
        assert_int_equal(run("kill -9 $$", 0, NULL, NULL, &err), SF_ERR_FAILED);
        assert_non_null(strstr(err.text, "signal 9"));
        assert_int_equal(run("sleep 30", 1, NULL, NULL, &err), SF_ERR_TIMEOUT);
        const char *missing[] = { "no-such-program-here", NULL };
        struct sf_proc proc = { .argv = missing };
        assert_int_equal(sf_proc_run(&proc, &err), SF_ERR_NOT_FOUND);
        assert_non_null(strstr(err.text, "no-such-program-here"));
}

/* A caller that nothing may end does not make its children so. */
static void children_heed_signals(void **state)
{
        static const char *const names[] = { "HUP", "QUIT", "USR1", "USR2", "ALRM", "INT", "TERM", "PIPE" };
        static const int numbers[] = { SIGHUP, SIGQUIT, SIGUSR1, SIGUSR2, SIGALRM, SIGINT, SIGTERM, SIGPIPE };
        struct sf_error err = SF_ERROR_INIT;

        (void)state;
        for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
                char script[64], wanted[32];
                void (*before)(int) = signal(numbers[i], SIG_IGN);
                snprintf(script, sizeof script, "kill -%s $$; exit 0", names[i]);
                snprintf(wanted, sizeof wanted, "signal %d ", numbers[i]);
                assert_int_equal(run(script, 10, NULL, NULL, &err), SF_ERR_FAILED);
                assert_non_null(strstr(err.text, wanted));
                signal(numbers[i], before);
        }
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(errors_travel_as_one_line),
                cmocka_unit_test(digests_are_strict),
                cmocka_unit_test(conf_remembers_places),
                cmocka_unit_test(sizes_have_units),
                cmocka_unit_test(json_is_strict),
                cmocka_unit_test(json_getters_name_the_place),
                cmocka_unit_test(canonical_json_is_olpcs),
                cmocka_unit_test(files_are_replaced_whole),
                cmocka_unit_test(beneath_means_beneath),
                cmocka_unit_test(walks_are_sorted_and_removal_stays_inside),
                cmocka_unit_test(paths_are_plain_or_not),
                cmocka_unit_test(progress_is_of_the_last_seconds),
                cmocka_unit_test(joins_have_one_slash),
                cmocka_unit_test(children_are_collected),
                cmocka_unit_test(children_heed_signals),
        };

        return cmocka_run_group_tests_name("base", tests, make_scratch, remove_scratch);
}
