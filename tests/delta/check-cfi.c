/* SPDX-License-Identifier: Apache-2.0 */
/* tests/delta/check-cfi.c - call frame information is predicted from the code, and from whatever else stands there. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "base/cleanup.h"
#include "delta/cfi/cfi.h"

static uint64_t state = 1;

static uint64_t noise(void)
{
        state = state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
        return state >> 20;
}

enum { CODE_AT = 0x270, INDEX_AT = 0x2e8, FRAMES_AT = 0x300, FRAMES_END = 0x364, FILE_END = 0x380 };

static void put(uint8_t *at, uint64_t value, unsigned bytes)
{
        for (unsigned i = 0; i < bytes; i++)
                at[i] = (uint8_t)(value >> (8 * i));
}

/* A file with two functions as gcc 12 compiles them, and what it says about their frames. */
static void make_framed_file(uint8_t *file)
{
        static const char code[] = "\x55\x48\x89\xe5\xe8\xe7\xff\xff\xff\x5d\x83\xc0\x01\xc3\x66\x90"
                                   "\x55\x48\x89\xe5\x41\x54\x4c\x63\xe6\x53\x48\x89\xfb\x48\x83\xec\x10"
                                   "\xe8\xca\xff\xff\xff\x83\xf8\x03\x7f\x25\x4a\x8d\x3c\xa3\xe8\xbc\xff\xff\xff"
                                   "\x48\x8d\x7d\xec\x89\x45\xec\xe8\xb0\xff\xff\xff\x8b\x45\xec"
                                   "\x48\x83\xc4\x10\x5b\x41\x5c\x5d\xc3\x0f\x1f\x40\x00"
                                   "\x48\x8d\x7b\x04\xe8\x97\xff\xff\xff\x48\x83\xc4\x10\x44\x01\xe0"
                                   "\x5b\x41\x5c\x5d\xc3\x66\x2e\x0f\x1f\x84\0\0\0\0\0\x90";
        static const char frames[] = "\x14\0\0\0\0\0\0\0\x01zR\0\x01\x78\x10\x01\x1b\x0c\x07\x08\x90\x01\0\0"
                                     "\x1c\0\0\0\x1c\0\0\0\x50\xff\xff\xff\x0e\0\0\0\0"
                                     "\x41\x0e\x10\x86\x02\x43\x0d\x06\x46\x0c\x07\x08\0\0\0"
                                     "\x28\0\0\0\x3c\0\0\0\x40\xff\xff\xff\x55\0\0\0\0"
                                     "\x41\x0e\x10\x86\x02\x43\x0d\x06\x42\x8c\x03\x44\x83\x04\x71\x0a\x0c\x07\x08"
                                     "\x45\x0b\x54\x0c\x07\x08\0\0";
        memset(file, 0, FILE_END);
        memcpy(file, "\177ELF\2\1\1", 7);
        put(file + 16, 3 | 62 << 16, 4);
        put(file + 32, 64, 8);
        put(file + 56, 2, 2);
        put(file + 64, 1 | UINT64_C(5) << 32, 8); /* PT_LOAD */
        put(file + 96, FILE_END, 8);
        put(file + 104, FILE_END, 8);
        put(file + 120, 0x6474e550, 4); /* PT_GNU_EH_FRAME */
        put(file + 128, INDEX_AT, 8);
        memcpy(file + CODE_AT, code, sizeof code - 1);
        put(file + INDEX_AT, 0x3b031b01, 4);
        put(file + INDEX_AT + 4, FRAMES_AT - INDEX_AT - 4, 4);
        memcpy(file + FRAMES_AT, frames, sizeof frames - 1);
}

/* Asks about every byte; returns how many were not predicted in [from, to). What is not known yet is noise. */
static unsigned count_surprises(const uint8_t *file, uint64_t from, uint64_t to)
{
        uint8_t known[FILE_END];
        struct sf_image image;
        struct sf_relocated relocated = { 0 };
        struct sf_table_layout layout = { 0 };
        _cleanup_(sf_cfi_close) struct sf_cfi cfi = { .over = true };
        unsigned surprises = 0;

        memset(known, 0xa5, sizeof known);
        memcpy(known, file, FRAMES_AT);
        sf_image_open(file, FRAMES_AT, &image);
        assert_int_equal(sf_cfi_open(&cfi, known, FILE_END, &image, &relocated, &layout, NULL), 0);
        for (uint64_t at = 64; at < FILE_END; at++) {
                sf_cfi_look(&cfi, at);
                if (at >= from && at < to)
                        surprises += cfi.expected != file[at] + 1u;
                known[at] = file[at];
        }
        return surprises;
}

static void test_cfi(void **unused)
{
        uint8_t file[FILE_END];
        const uint64_t second = FRAMES_AT + 0x38;

        (void)unused;
        make_framed_file(file);
        /* The first description cannot know which function it is about, only what is to be said about it. */
        assert_int_equal(count_surprises(file, FRAMES_AT + 0x18 + 16, second), 0);
        assert_int_equal(count_surprises(file, second, FRAMES_END), 0);
        /* After one that is strange, it goes on with what is written. */
        file[second + 17] = 0x42;
        file[second + 22] = 0x42;
        assert_int_equal(count_surprises(file, second, FRAMES_END), 1);
        for (unsigned round = 0; round < 3000; round++) {
                make_framed_file(file);
                for (unsigned i = 0; i < 1 + round % 8; i++)
                        file[noise() % sizeof file] = (uint8_t)noise();
                count_surprises(file, 0, FILE_END);
        }
}

int main(void)
{
        const struct CMUnitTest tests[] = { cmocka_unit_test(test_cfi) };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
