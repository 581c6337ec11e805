/* SPDX-License-Identifier: Apache-2.0 */
/* tests/rpath/check-relocate.c - there and back again, whatever the content, the prefixes and the sizes of the
 * pieces. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "rpath/relocate.h"

/* A fixed sequence (Marsaglia's xorshift64), so that a failure can be repeated. */
static uint64_t random_state = 88172645463325252u;

static uint64_t next_random(uint64_t below)
{
        random_state ^= random_state << 13;
        random_state ^= random_state >> 7;
        random_state ^= random_state << 17;
        return random_state % below;
}

/* "/" and letters of a small alphabet, so that parts of the string are likely to occur in random content. */
static void random_prefix(char *out, size_t len)
{
        for (size_t i = 0; i < len; i++)
                out[i] = "/ab"[i ? next_random(3) : 0];
        out[len] = '\0';
}

static void feed_in_pieces(struct sf_relocator *r, const struct sf_buffer *in, struct sf_buffer *out)
{
        for (size_t at = 0, piece; at < in->len; at += piece) {
                piece = 1 + next_random(next_random(4) ? 9 : 4000);
                if (piece > in->len - at)
                        piece = in->len - at;
                assert_int_equal(sf_relocator_feed(r, "random", in->data + at, piece, out, NULL), 0);
        }
        assert_int_equal(sf_relocator_finish(r, "random", NULL), 0);
}

/* One random content with `from` at random places; its canonical map is known by construction. */
static void there_and_back(size_t from_len, size_t to_len)
{
        char from[400], to[400];
        uint64_t offsets[40];
        struct sf_relocation relocation = { offsets, next_random(40), from, from_len, to, to_len };
        _cleanup_(sf_buffer_free) struct sf_buffer canonical = SF_BUFFER_INIT, installed = SF_BUFFER_INIT,
                                                   expected = SF_BUFFER_INIT, back = SF_BUFFER_INIT;
        struct sf_relocator r;

        random_prefix(from, from_len);
        random_prefix(to, to_len);
        for (size_t i = 0; i <= relocation.count; i++) {
                for (uint64_t filler = next_random(3) ? next_random(300) : 0; filler; filler--) {
                        uint8_t byte = (uint8_t) "/ab\0xyz"[next_random(7)];
                        assert_int_equal(sf_buffer_append(&canonical, &byte, 1, NULL), 0);
                        assert_int_equal(sf_buffer_append(&expected, &byte, 1, NULL), 0);
                }
                if (i == relocation.count)
                        break;
                offsets[i] = canonical.len;
                assert_int_equal(sf_buffer_puts(&canonical, from, NULL), 0);
                assert_int_equal(sf_buffer_puts(&expected, to, NULL), 0);
        }

        sf_relocator_start(&r, &relocation, false);
        feed_in_pieces(&r, &canonical, &installed);
        assert_int_equal(installed.len, sf_relocated_size(&relocation, canonical.len));
        assert_int_equal(installed.len, expected.len);
        if (installed.len)
                assert_memory_equal(installed.data, expected.data, expected.len);

        sf_relocator_start(&r, &relocation, true);
        feed_in_pieces(&r, &installed, &back);
        assert_int_equal(back.len, canonical.len);
        if (back.len)
                assert_memory_equal(back.data, canonical.data, canonical.len);

        if (from_len != to_len || canonical.len == 0)
                return;
        assert_int_equal(sf_relocate_in_place(back.data, back.len, "random", &relocation, false, NULL), 0);
        assert_memory_equal(back.data, expected.data, expected.len);
        assert_int_equal(sf_relocate_in_place(back.data, back.len, "random", &relocation, true, NULL), 0);
        assert_memory_equal(back.data, canonical.data, canonical.len);
}

static void random_content_survives_the_round_trip(void **state)
{
        (void)state;
        for (int i = 0; i < 3000; i++) {
                size_t from_len = 1 + next_random(300);
                there_and_back(from_len, next_random(2) ? from_len : 1 + next_random(300));
        }
}

static void finds_every_occurrence(void **state)
{
        static const char text[] = "P/abcP/abP/abP/ab/P/a";
        const uint64_t expected[] = { 0, 5, 9, 13 };
        uint64_t *offsets;
        size_t count;

        (void)state;
        assert_int_equal(sf_relocate_find(text, sizeof text - 1, "P/ab", &offsets, &count, NULL), 0);
        assert_int_equal(count, 4);
        assert_memory_equal(offsets, expected, sizeof expected);
        free(offsets);
        assert_int_equal(sf_relocate_find("aaaa", 4, "aa", &offsets, &count, NULL), 0);
        assert_int_equal(count, 2); /* occurrences never overlap */
        free(offsets);
        assert_int_equal(sf_relocate_find(text, 3, "P/ab", &offsets, &count, NULL), 0);
        assert_int_equal(count, 0);
        assert_null(offsets);
        assert_int_equal(sf_relocate_find(text, 3, "", &offsets, &count, NULL), SF_ERR_USAGE);
}

#define UNIQUE      "5fb1c9e07d2a4836b0e1f7c3958d6a24kz"
#define PLACEHOLDER "/opt/slurm/" UNIQUE

static int fragment_of(const char *text, const char *placeholder, uint64_t *ret)
{
        _cleanup_free_ uint64_t *offsets = NULL;
        size_t count;

        assert_int_equal(sf_relocate_find(text, strlen(text), placeholder, &offsets, &count, NULL), 0);
        return sf_relocate_find_fragment(text, strlen(text), placeholder, offsets, count, ret);
}

static void finds_every_fragment(void **state)
{
        uint64_t place;

        (void)state;
        /* any 8 bytes of the unique part, wherever they stand */
        for (size_t i = 0; i + 8 <= sizeof UNIQUE - 1; i++) {
                char text[256];
                size_t at = next_random(100);
                memset(text, 'x', sizeof text);
                memcpy(text + at, &UNIQUE[i], 8);
                text[200] = '\0';
                assert_int_equal(fragment_of(text, PLACEHOLDER, &place), 1);
                assert_int_equal(place, at);
        }
        /* behind, before and between whole occurrences */
        assert_int_equal(fragment_of(PLACEHOLDER "/lib " UNIQUE, PLACEHOLDER, &place), 1);
        assert_int_equal(place, sizeof PLACEHOLDER "/lib " - 1);
        assert_int_equal(fragment_of("1c9e07d2a " PLACEHOLDER, PLACEHOLDER, &place), 1);
        assert_int_equal(place, 0);
        assert_int_equal(fragment_of(PLACEHOLDER "5fb1c9e0" PLACEHOLDER, PLACEHOLDER, &place), 1);
        assert_int_equal(place, sizeof PLACEHOLDER - 1);
        /* one that only starts in an occurrence: it ends in the byte that the unique part starts with */
        assert_int_equal(fragment_of("/0123456789abcdefghijklmnopqrstuvwx0123456 1234567",
                                     "/0123456789abcdefghijklmnopqrstuvwx0", &place),
                         0);
        assert_int_equal(fragment_of("/0123456789abcdefghijklmnopqrstuvwx01234567",
                                     "/0123456789abcdefghijklmnopqrstuvwx0", &place),
                         1);
        assert_int_equal(place, 35);
}

static void ignores_what_is_no_fragment(void **state)
{
        uint64_t place;

        (void)state;
        assert_int_equal(fragment_of(PLACEHOLDER PLACEHOLDER " " PLACEHOLDER, PLACEHOLDER, &place), 0);
        assert_int_equal(fragment_of("/opt/slurm/5fb1c9e", PLACEHOLDER, &place), 0); /* 7 bytes */
        assert_int_equal(fragment_of("", PLACEHOLDER, &place), 0);
        assert_int_equal(fragment_of("/home/user", "/home/user/slurm", &place), 0); /* nothing unique in it */
}

static void pads_and_refuses(void **state)
{
        struct sf_error err = SF_ERROR_INIT;
        char out[17];

        (void)state;
        assert_int_equal(sf_relocate_pad("/opt/slurm", 16, out, &err), 0);
        assert_string_equal(out, "/opt/slurm//////");
        assert_int_equal(sf_relocate_pad("/opt/slurm/view1", 16, out, &err), 0);
        assert_string_equal(out, "/opt/slurm/view1");
        assert_int_equal(sf_relocate_pad("/opt/slurm/view12", 16, out, &err), SF_ERR_NO_FIT);
        assert_string_equal(err.text, "prefix /opt/slurm/view12 has 17 bytes, the release has room for 16");
}

/* What does not stand where the map says ends the stream, and leaves an in-place file as it was. */
static void refuses_content_that_differs(void **state)
{
        const uint64_t offsets[] = { 2, 8 };
        struct sf_relocation relocation = { offsets, 2, "/a/b", 4, "/xyz", 4 };
        static const char *const wrong[] = { "..", "../a/", "../a/b../", "../a/c../a/b", "../a/b../a/", ".../a/b/a/b" };

        (void)state;
        for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
                _cleanup_(sf_buffer_free) struct sf_buffer out = SF_BUFFER_INIT;
                struct sf_error err = SF_ERROR_INIT;
                struct sf_relocator r;
                uint8_t copy[32];
                size_t len = strlen(wrong[i]);
                sf_relocator_start(&r, &relocation, false);
                int result = sf_relocator_feed(&r, "lib/a.so", wrong[i], len, &out, &err);
                if (result == 0)
                        result = sf_relocator_finish(&r, "lib/a.so", &err);
                assert_int_equal(result, SF_ERR_CORRUPT);
                assert_non_null(strstr(err.text, "lib/a.so: "));
                memcpy(copy, wrong[i], len);
                assert_int_equal(sf_relocate_in_place(copy, len, "lib/a.so", &relocation, false, NULL), SF_ERR_CORRUPT);
                assert_memory_equal(copy, wrong[i], len);
        }
        relocation.to_len = 3;
        assert_int_equal(sf_relocate_in_place((uint8_t[16]){ 0 }, 16, "lib/a.so", &relocation, false, NULL),
                         SF_ERR_NO_FIT);
}

/* A map that overlaps itself never gets through the file list's parser; here it must only do no harm. */
static void survives_a_map_that_overlaps(void **state)
{
        const uint64_t offsets[] = { 0, 1 };
        struct sf_relocation relocation = { offsets, 2, "aaaa", 4, "bbbb", 4 };
        _cleanup_(sf_buffer_free) struct sf_buffer out = SF_BUFFER_INIT;
        struct sf_relocator r;

        (void)state;
        sf_relocator_start(&r, &relocation, false);
        assert_int_equal(sf_relocator_feed(&r, "x", "aaaaaaaa", 8, &out, NULL), 0);
        assert_int_equal(sf_relocator_finish(&r, "x", NULL), SF_ERR_CORRUPT);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(random_content_survives_the_round_trip),
                cmocka_unit_test(finds_every_occurrence),
                cmocka_unit_test(finds_every_fragment),
                cmocka_unit_test(ignores_what_is_no_fragment),
                cmocka_unit_test(pads_and_refuses),
                cmocka_unit_test(refuses_content_that_differs),
                cmocka_unit_test(survives_a_map_that_overlaps),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
