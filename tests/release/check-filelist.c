/* SPDX-License-Identifier: Apache-2.0 */
/* tests/release/check-filelist.c - a good list word for word, and one line of each kind of lie. */
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "release/filelist.h"

#define D1    "1111111111111111111111111111111111111111111111111111111111111111"
#define D2    "2222222222222222222222222222222222222222222222222222222222222222"
#define HEAD  "sf-filelist 1\nrelease 24.11.5-bookworm-amd64\nprefix 288\n"
#define LAYER "layer deps 1000 " D1 "\nframe 1000 102400 " D2 "\n"

static const char good[] = HEAD "layer deps 700 " D1 "\n"
                                "frame 300 10240 " D2 "\n"
                                "d 0755 bin\n"
                                "f 0755 5 " D1 " - bin/a b\n"
                                "frame 400 8192 " D1 "\n"
                                "d 0755 lib\n"
                                "f 0644 2048 " D2 " b:10,120,5a0 lib/b.so\n"
                                "l 4 b.so lib/c.so\n"
                                "layer slurm 9 " D2 "\n"
                                "frame 9 20480 " D1 "\n"
                                "d 0755 lib\n"
                                "d 0700 lib/x\n"
                                "f 0600 100 " D2 " t:0,f,10 lib/x/t\n"
                                "f 0600 15 " D2 " v:0 lib/x/v\n"
                                "l 11 ../../bin/a lib/x/to a\n";

static void reads_and_writes_a_good_list(void **state)
{
        _cleanup_(sf_filelist_free) struct sf_filelist list = { 0 };
        _cleanup_(sf_buffer_free) struct sf_buffer text = SF_BUFFER_INIT;
        struct sf_error err = SF_ERROR_INIT;
        struct sf_digest digest;

        (void)state;
        assert_int_equal(sf_filelist_parse("good", good, sizeof good - 1, &list, &err), 0);
        assert_string_equal(list.release, "24.11.5-bookworm-amd64");
        assert_int_equal(list.prefix_length, 288);
        assert_int_equal(list.layer_count, 2);
        assert_string_equal(list.layers[1].name, "slurm");
        assert_int_equal(list.layers[1].first_frame, 2);
        assert_int_equal(list.layers[0].frame_count, 2);
        assert_int_equal(list.frames[1].offset, 300);
        assert_int_equal(list.frames[2].offset, 0);
        assert_int_equal(list.frames[1].first_entry, 2);
        assert_int_equal(list.frames[1].entry_count, 3);
        assert_int_equal(list.entry_count, 10);
        assert_int_equal(list.file_count, 4);
        assert_int_equal(list.content_size, 5 + 2048 + 100 + 15);
        sf_digest_of(good, sizeof good - 1, &digest);
        assert_true(sf_digest_equal(&list.tree, &digest));

        const struct sf_entry *entry = sf_filelist_find(&list, "lib/b.so");
        assert_non_null(entry);
        assert_int_equal(entry->map.kind, SF_MAP_BINARY);
        assert_int_equal(entry->map.count, 3);
        assert_int_equal(entry->map.offsets[1], 0x130);
        assert_int_equal(entry->map.offsets[2], 0x6d0);
        assert_int_equal(entry->frame, 1);
        assert_string_equal(sf_filelist_find(&list, "lib/x/to a")->target, "../../bin/a");
        assert_int_equal(sf_filelist_find(&list, "lib/x/v")->map.kind, SF_MAP_VIEW);
        assert_ptr_equal(sf_filelist_find(&list, "lib"), &list.entries[2]); /* the first of two */
        assert_int_equal(sf_filelist_find(&list, "bin/a b")->size, 5);
        assert_null(sf_filelist_find(&list, "bin/a"));
        assert_null(sf_filelist_find(&list, ""));
        assert_null(sf_filelist_find(&list, "zzz"));

        assert_int_equal(sf_filelist_write(&list, &text, &err), 0);
        assert_string_equal(sf_buffer_text(&text), good);
}

struct lie {
        const char *text;
        int expected;
        const char *reason; /* part of the error */
};

#define BAD SF_ERR_CORRUPT
static const struct lie lies[] = {
        { "", BAD, "whole lines" },
        { "sf-filelist 1", BAD, "whole lines" },
        { "\n", BAD, "not a file list" },
        { "sf-filelist 2\n", SF_ERR_UNSUPPORTED, "does not know" },
        { "sf-filelist 1\n", BAD, "line 1: the release's name" },
        { "sf-filelist 1\nrelease ../..\n", BAD, "line 2: the release's name" },
        { "sf-filelist 1\nrelease 24.11.5-a-b\nprefix 14\n", BAD, "prefix's length" },
        { "sf-filelist 1\nrelease 24.11.5-a-b\nprefix 4097\n", BAD, "prefix's length" },
        { "sf-filelist 1\nrelease 24.11.5-a-b\nprefix 0288\n", BAD, "prefix's length" },
        { HEAD, BAD, "no layer" },
        { HEAD "d 0755 bin\n", BAD, "before the first frame" },
        { HEAD "frame 1 10240 " D1 "\n", BAD, "before the first layer" },
        { HEAD "layer deps 9 " D1 "\n", BAD, "short of its size" },
        { HEAD "layer Deps 9 " D1 "\n", BAD, "letters and digits" },
        { HEAD "layer  9 " D1 "\n", BAD, "letters and digits" },
        { HEAD "layer deps -9 " D1 "\n", BAD, "size and its SHA-256" },
        { HEAD "layer deps 09 " D1 "\n", BAD, "size and its SHA-256" },
        { HEAD "layer deps 18446744073709551617 " D1 "\n", BAD, "size and its SHA-256" },
        { HEAD "layer deps 9 " D1 "0\n", BAD, "size and its SHA-256" },
        { HEAD "layer deps 9 1234\n", BAD, "size and its SHA-256" },
        { HEAD "layer deps 9 " D1 "\nframe 10 10240 " D1 "\n", BAD, "past the end of layer deps" },
        { HEAD "layer deps 9 " D1 "\nframe 0 10240 " D1 "\n", BAD, "empty" },
        { HEAD "layer deps 9 " D1 "\nframe 8 10240 " D1 "\n", BAD, "1 bytes short" },
        { HEAD "layer deps 9 " D1 "\nframe 9 10241 " D1 "\n", BAD, "whole tar blocks" },
        { HEAD "layer deps 9 " D1 "\nframe 9 0 " D1 "\n", BAD, "whole tar blocks" },
        { HEAD "layer deps 9 " D1 "\nframe 9 1024 " D1 "\n", BAD, "root directories" },
        { HEAD "layer deps 9 " D1 "\nframe 9 2048 " D1 "\n", BAD, "end of the archive" },
        { HEAD LAYER "layer deps 9 " D1 "\nframe 9 10240 " D1 "\n", BAD, "layer deps is listed twice" },
        { HEAD LAYER "x 0755 bin\n", BAD, "no known kind" },
        { HEAD LAYER "\n", BAD, "no known kind" },
        { HEAD LAYER "d 0755 bin\r\n", BAD, "plain relative path" },
        { HEAD LAYER "d 755 bin\n", BAD, "mode" },
        { HEAD LAYER "d 4755 bin\n", BAD, "mode" },
        { HEAD LAYER "d 1777 bin\n", BAD, "mode" },
        { HEAD LAYER "d 0777 bin\n", BAD, "mode" },
        { HEAD LAYER "d 0759 bin\n", BAD, "mode" },
        { HEAD LAYER "f 0646 1 " D1 " - a\n", BAD, "mode" },
        { HEAD LAYER "f 2755 1 " D1 " - a\n", BAD, "mode" },
        { HEAD LAYER "d 0755 /etc\n", BAD, "plain relative path" },
        { HEAD LAYER "d 0755 ../etc\n", BAD, "plain relative path" },
        { HEAD LAYER "d 0755 a/../../etc\n", BAD, "plain relative path" },
        { HEAD LAYER "d 0755 .\n", BAD, "plain relative path" },
        { HEAD LAYER "d 0755 \n", BAD, "plain relative path" },
        { HEAD LAYER "d 0755 a/\n", BAD, "plain relative path" },
        { HEAD LAYER "d 0755 a\001b\n", BAD, "plain relative path" },
        { HEAD LAYER "f 0644 1 " D1 " a\n", BAD, "relocation map" },
        { HEAD LAYER "f 0644 1 " D1 "\n", BAD, "SHA-256" },
        { HEAD LAYER "f 0644 1 AAAA1111111111111111111111111111111111111111111111111111111111111 - a\n", BAD,
          "SHA-256" },
        { HEAD LAYER "f 0644 1e3 " D1 " - a\n", BAD, "size" },
        { HEAD LAYER "f 0644 99999999999999999999 " D1 " - a\n", BAD, "size" },
        { HEAD LAYER "f 0644 1125899906842624 " D1 " - a\n", BAD, "does not fit" },
        { HEAD LAYER "f 0644 100000 " D1 " - a\nf 0644 100000 " D1 " - b\n", BAD, "b does not fit" },
        { HEAD LAYER "f 0644 999 " D1 " x:1 a\n", BAD, "a map is" },
        { HEAD LAYER "f 0644 999 " D1 " b1 a\n", BAD, "a map is" },
        { HEAD LAYER "f 0644 999 " D1 " b: a\n", BAD, "offsets" },
        { HEAD LAYER "f 0644 999 " D1 " b:1, a\n", BAD, "offsets" },
        { HEAD LAYER "f 0644 999 " D1 " b:,1 a\n", BAD, "offsets" },
        { HEAD LAYER "f 0644 999 " D1 " b:01 a\n", BAD, "offsets" },
        { HEAD LAYER "f 0644 999 " D1 " b:1A a\n", BAD, "offsets" },
        { HEAD LAYER "f 0644 999 " D1 " b:-1 a\n", BAD, "offsets" },
        { HEAD LAYER "f 0644 999 " D1 " b:10000000000000000 a\n", BAD, "offsets" },
        { HEAD LAYER "f 0644 999 " D1 " b:1,11f a\n", BAD, "overlap" },        /* 287 < 288 */
        { HEAD LAYER "f 0644 999 " D1 " t:1,e a\n", BAD, "overlap" },          /* 14 < 15 */
        { HEAD LAYER "f 0644 999 " D1 " b:2c8 a\n", BAD, "outside the file" }, /* 712 + 288 = 1000 */
        { HEAD LAYER "f 0644 999 " D1 " b:1,ffffffffffffffff a\n", BAD, "outside the file" },
        { HEAD LAYER "f 0644 0 " D1 " t:0 a\n", BAD, "outside the file" },
        { HEAD LAYER "l 1 b\n", BAD, "target" },
        { HEAD LAYER "l 9 b a\n", BAD, "target" },
        { HEAD LAYER "l 0  a\n", BAD, "may lie outside" },
        { HEAD LAYER "l 4 /etc a\n", BAD, "may lie outside" },
        { HEAD LAYER "l 2 .. a\n", BAD, "may lie outside" },
        { HEAD LAYER "d 0755 d\nl 6 ../../x d/a\n", BAD, "target" },
        { HEAD LAYER "d 0755 d\nl 7 ../../x d/a\n", BAD, "may lie outside" },
        { HEAD LAYER "l 6 b/../c a\n", BAD, "may lie outside" }, /* b may be a link */
        { HEAD LAYER "l 1 b a\nf 0644 1 " D1 " - a/c\n", BAD, "a/c does not lie in a directory" },
        { HEAD LAYER "f 0644 1 " D1 " - a\nd 0755 a/c\n", BAD, "a/c does not lie in a directory" },
        { HEAD LAYER "f 0644 1 " D1 " - a/c\nd 0755 a\n", BAD, "a/c does not lie in a directory" }, /* too late */
        { HEAD LAYER "d 0755 a\nd 0755 a/b/c\n", BAD, "a/b/c does not lie in a directory" },
        { HEAD LAYER "d 0755 ab\nd 0755 a/c\n", BAD, "a/c does not lie in a directory" },
        { HEAD LAYER "f 0644 1 " D1 " - a\nf 0644 1 " D1 " - a\n", BAD, "a is listed twice" },
        { HEAD LAYER "d 0755 a\nl 1 b a\n", BAD, "a is listed twice" },
        { HEAD LAYER "d 0755 a\nd 0755 a\n", BAD, "a is listed twice" }, /* in one layer */
        { HEAD LAYER "d 0755 a\nlayer s 9 " D1 "\nframe 9 10240 " D1 "\nd 0700 a\n", BAD, "a is listed twice" },
        { HEAD LAYER "f 0644 1 " D1 " - a\nlayer s 9 " D1 "\nframe 9 10240 " D1 "\nf 0644 1 " D1 " - a\n", BAD,
          "a is listed twice" },
};

static void refuses_every_lie(void **state)
{
        (void)state;
        for (size_t i = 0; i < sizeof lies / sizeof *lies; i++) {
                struct sf_filelist list;
                struct sf_error err = SF_ERROR_INIT;
                size_t len = strlen(lies[i].text);
                /* exactly as long as the text, so that the sanitizers see every byte read too far */
                _cleanup_free_ char *copy = malloc(len ? len : 1);
                memcpy(copy, lies[i].text, len);
                int r = sf_filelist_parse("list", copy, len, &list, &err);
                print_message("    %s\n", err.text);
                assert_int_equal(r, lies[i].expected);
                assert_non_null(strstr(err.text, lies[i].reason));
        }
}

static void refuses_hidden_bytes_and_truncation(void **state)
{
        char text[sizeof good];
        struct sf_filelist list;

        (void)state;
        memcpy(text, good, sizeof good);
        text[sizeof good / 2] = '\0';
        assert_int_equal(sf_filelist_parse("list", text, sizeof good - 1, &list, NULL), SF_ERR_CORRUPT);
        /* a shorter list may be a good one only where a line ends and the layer is complete */
        for (size_t len = 0; len < sizeof good - 1; len++) {
                _cleanup_free_ char *copy = malloc(len ? len : 1);
                memcpy(copy, good, len);
                int r = sf_filelist_parse("list", copy, len, &list, NULL);
                if (r == 0) {
                        assert_int_equal(good[len - 1], '\n');
                        sf_filelist_free(&list);
                }
        }
}

/* The factory can not write a list that no agent would read. */
static void writes_only_what_it_reads(void **state)
{
        _cleanup_(sf_buffer_free) struct sf_buffer text = SF_BUFFER_INIT;
        _cleanup_(sf_filelist_free) struct sf_filelist list = { 0 };

        (void)state;
        assert_int_equal(sf_filelist_parse("good", good, sizeof good - 1, &list, NULL), 0);
        list.entries[0].mode = 0777;
        assert_int_equal(sf_filelist_write(&list, &text, NULL), SF_ERR_CORRUPT);
        list.entries[0].mode = 0755;
        list.entries[0].frame = 1;
        assert_int_equal(sf_filelist_write(&list, &text, NULL), SF_ERR_CORRUPT);
        assert_int_equal(text.len, 0);
}

/* 100,000 entries in shuffled directories; the time on the processor is printed, the limit is generous because
 * machines differ. */
static void is_fast(void **state)
{
        _cleanup_(sf_buffer_free) struct sf_buffer text = SF_BUFFER_INIT;
        _cleanup_(sf_filelist_free) struct sf_filelist list = { 0 };
        struct sf_error err = SF_ERROR_INIT;
        struct timespec before, after;

        (void)state;
        assert_int_equal(sf_buffer_puts(&text, HEAD "layer deps 1 " D1 "\nframe 1 1024000000 " D1 "\n", NULL), 0);
        for (unsigned i = 0; i < 1000; i++)
                assert_int_equal(sf_buffer_printf(&text, NULL, "d 0755 %u\n", i), 0);
        for (unsigned i = 0; i < 100000; i++)
                assert_int_equal(sf_buffer_printf(&text, NULL, "f 0644 1000 " D2 " t:5,20,30 %u/file-%u\n",
                                                  i * 7919u % 1000, i * 31u % 100000),
                                 0);
        clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &before);
        assert_int_equal(sf_filelist_parse("long", text.data, text.len, &list, &err), 0);
        clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &after);
        double seconds = (double)(after.tv_sec - before.tv_sec) + (double)(after.tv_nsec - before.tv_nsec) / 1e9;
        print_message("    %zu entries, %zu bytes: %.3f s\n", list.entry_count, text.len, seconds);
        assert_true(seconds < 5);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(reads_and_writes_a_good_list),
                cmocka_unit_test(refuses_every_lie),
                cmocka_unit_test(refuses_hidden_bytes_and_truncation),
                cmocka_unit_test(writes_only_what_it_reads),
                cmocka_unit_test(is_fast),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
