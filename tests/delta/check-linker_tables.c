/* SPDX-License-Identifier: Apache-2.0 */
/* tests/delta/check-linker_tables.c - tables that are computed again: on programs at hand, on damaged ones, on
 * noise. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "base/cleanup.h"
#include "base/fs.h"
#include "delta/codec/linker_tables.h"
#include "delta/image/sections.h"
#include "tests/kit/deltaelf.h"

static uint64_t state = 1;

static uint64_t noise(void)
{
        state = state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
        return state >> 20;
}

static void assert_zero(const uint8_t *file, const struct sf_section *s, uint64_t kept)
{
        assert_non_null(s);
        for (uint64_t i = kept; i < s->size; i++)
                assert_int_equal(file[s->position + i], 0);
}

/* In a file whose section headers can be believed. */
static void check_zeros(const uint8_t *file, uint64_t size, unsigned which)
{
        struct sf_sections sections;

        sf_sections_read(file, size, &sections);
        if (which & SF_LINKER_TABLE_UNWIND)
                assert_zero(file, sf_sections_find(&sections, ".eh_frame_hdr"), 8);
        if (which & SF_LINKER_TABLE_HASH)
                assert_zero(file, sf_sections_find(&sections, ".gnu.hash"), 16);
}

/* Blank and restore in a copy to the byte, so that a sanitizer sees every step outside. Returns what was blank. */
static unsigned check_identity(const uint8_t *before, uint64_t size, bool whole)
{
        _cleanup_free_ uint8_t *file = malloc(size);
        unsigned which;

        assert_non_null(file);
        memcpy(file, before, size);
        assert_int_equal(sf_linker_tables_blank(file, size, &which, NULL), 0);
        for (uint64_t i = 0; i < size; i++)
                assert_true(file[i] == before[i] || (which && file[i] == 0));
        if (whole)
                check_zeros(file, size, which);
        assert_int_equal(sf_linker_tables_restore(file, size, which, NULL), 0);
        assert_memory_equal(file, before, size);
        return which;
}

/* This program, and every library it has mapped. */
static void test_programs(void **unused)
{
        _cleanup_(sf_buffer_free) struct sf_buffer self = SF_BUFFER_INIT;
        _cleanup_free_ char *line = NULL;
        char last[4096] = "";
        size_t room = 0, libraries = 0;

        (void)unused;
        assert_int_equal(sf_fs_read("/proc/self/exe", 256u << 20, &self, NULL), 0);
        unsigned found = check_identity(self.data, self.len, true);
        FILE *maps = fopen("/proc/self/maps", "re");
        assert_non_null(maps);
        while (getline(&line, &room, maps) > 0) {
                _cleanup_(sf_buffer_free) struct sf_buffer file = SF_BUFFER_INIT;
                char *path = strchr(line, '/');

                if (!path || !strstr(path, ".so") || strlen(path) >= sizeof last)
                        continue;
                path[strcspn(path, "\n")] = 0;
                if (strcmp(path, last) == 0 || sf_fs_read(path, 256u << 20, &file, NULL) < 0)
                        continue;
                strcpy(last, path);
                found |= check_identity(file.data, file.len, true);
                libraries++;
        }
        fclose(maps);
        assert_true(libraries > 0);
        assert_int_equal(found, SF_LINKER_TABLE_UNWIND | SF_LINKER_TABLE_HASH);
}

static void test_damaged(void **unused)
{
        struct deltaelf whole;
        unsigned kept = 0;

        (void)unused;
        deltaelf_make(&whole, &(struct deltaelf_order){ .turn = 1 });
        assert_int_equal(check_identity(whole.data, whole.size, true), SF_LINKER_TABLE_UNWIND | SF_LINKER_TABLE_HASH);
        for (unsigned round = 0; round < 3000; round++) {
                struct deltaelf e = whole;
                uint64_t size = round % 3 ? e.size : noise() % e.size + 1;

                for (uint64_t i = noise() % 6; i > 0; i--)
                        e.data[round % 2 ? noise() % 320 : noise() % size] = (uint8_t)noise();
                /* Section headers, the index and the hash table's own header: where sizes and places stand. */
                for (uint64_t i = noise() % 3; i > 0; i--)
                        e.data[0x2900 + noise() % 896] ^= (uint8_t)(1u << noise() % 8);
                kept += check_identity(e.data, size, false) != 0;
        }
        assert_in_range(kept, 1, 2999); /* neither all nor none was past saving */
}

static void test_noise(void **unused)
{
        uint8_t bytes[2000];

        (void)unused;
        for (unsigned round = 0; round < 300; round++) {
                for (size_t i = 0; i < sizeof bytes; i++)
                        bytes[i] = (uint8_t)noise();
                memcpy(bytes,
                       "\x7f"
                       "ELF\2\1\1",
                       round % 2 ? 7 : 0);
                check_identity(bytes, noise() % sizeof bytes + 1, false);
        }
}

/* Every symbol has the same long name: hashing them all would take a time that grows with the square of the size. */
static void test_long_names(void **unused)
{
        enum { SYMBOLS = 50000, NAME = 1000000 };
        static const uint64_t sizes[] = { 0, 24 * SYMBOLS, NAME, 16 + 8 + 4 + 4 * SYMBOLS };
        static const uint8_t types[] = { 0, 11, 3, 0xf6 }, links[] = { 0, 2, 0, 1 };
        uint64_t size = 64 + 4 * 64, position = size;
        unsigned which;

        (void)unused;
        for (unsigned i = 1; i < 4; i++)
                size += sizes[i];
        _cleanup_free_ uint8_t *file = calloc(size, 1);
        assert_non_null(file);
        memcpy(file,
               "\x7f"
               "ELF\2\1\1",
               7);
        file[40] = file[58] = 64;
        file[60] = 4;
        for (unsigned i = 1; i < 4; i++) {
                uint8_t *s = file + 64 + 64 * i;

                s[4] = types[i];
                if (i == 3)
                        memcpy(s + 5, "\xff\xff\x6f", 3); /* SHT_GNU_HASH */
                s[40] = links[i];
                memcpy(s + 24, &position, 8);
                memcpy(s + 32, &sizes[i], 8);
                position += sizes[i];
        }
        memset(file + 320 + sizes[1], 'x', NAME);
        file[size - sizes[3]] = file[size - sizes[3] + 8] = 1; /* one bucket, one word */
        assert_int_equal(sf_linker_tables_restore(file, size, SF_LINKER_TABLE_HASH, NULL), 0);
        assert_int_equal(sf_linker_tables_blank(file, size, &which, NULL), 0);
        assert_int_equal(which, 0);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_programs),
                cmocka_unit_test(test_damaged),
                cmocka_unit_test(test_noise),
                cmocka_unit_test(test_long_names),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
