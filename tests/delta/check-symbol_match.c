/* SPDX-License-Identifier: Apache-2.0 */
/* tests/delta/check-symbol_match.c - what names, texts and numbers predict, on two files whose parts lie in another
 * order; and the layout that travels in front. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "base/cleanup.h"
#include "delta/predict/table_layout.h"
#include "delta/predict/symbol_match.h"
#include "delta/predict/operand_history.h"
#include "delta/predict/predict.h"
#include "delta/predict/string_match.h"
#include "tests/kit/deltaelf.h"

static uint64_t state = 1;

static uint64_t noise(void)
{
        state = state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
        return state >> 20;
}

struct files {
        struct deltaelf old, new;
        struct sf_image image; /* of the new one */
        struct sf_table_layout layout;
        struct sf_predictor predictor;
};

/* Two files, and no copy between them: the map knows nothing. */
static void open_files(struct files *f, unsigned gap)
{
        deltaelf_make(&f->old, &(struct deltaelf_order){ .turn = 1 });
        deltaelf_make(&f->new, &(struct deltaelf_order){ .turn = 4, .gap = gap, .gap_at = 9, .lines = 13 });
        sf_image_open(f->new.data, f->new.size, &f->image);
        sf_table_layout_read(f->new.data, f->new.size, &f->layout);
        assert_int_equal(sf_predictor_open(&f->predictor, f->old.data, f->old.size, true, NULL), 0);
        assert_int_equal(sf_predictor_set_map(&f->predictor, NULL, 0, NULL), 0);
}

/* True where the field at a position of the old file is predicted as the new file has it. */
static bool is_right(const struct files *f, uint64_t old, uint64_t new, enum sf_prediction_source *ret_source)
{
        size_t i = sf_address_fields_first(&f->predictor.fields, old);
        const struct sf_field *field = &f->predictor.fields.fields[i];
        struct sf_prediction guess;

        assert_true(i < f->predictor.fields.count);
        assert_int_equal(field->position, old);
        sf_predict(&f->predictor, field, &f->image, f->new.data, new, &guess);
        *ret_source = guess.source;
        return guess.value == sf_field_get(field, f->new.data + new);
}

static void assert_named(const struct files *f, uint64_t old, uint64_t new)
{
        enum sf_prediction_source source;

        assert_true(is_right(f, old, new, &source));
        assert_true(source == SF_PREDICT_NAMED || source == SF_PREDICT_AGREED);
}

static unsigned count_right(const struct files *f, unsigned at)
{
        enum sf_prediction_source source;
        unsigned right = 0;

        for (unsigned i = 0; i < DELTAELF_FUNCTIONS; i++)
                right += is_right(f, f->old.function[i] + at, f->new.function[i] + at, &source);
        return right;
}

static void tell_names(struct files *f)
{
        _cleanup_(sf_symbol_match_close) struct sf_symbol_match names;

        assert_int_equal(sf_symbol_match_open(&names, &f->layout, NULL), 0);
        /* Step by step, as a decoder comes along; what is not known must not be read. */
        for (uint64_t known = 0; known <= f->new.size; known += 48) {
                _cleanup_free_ uint8_t *part = malloc(known + 1);

                assert_non_null(part);
                memcpy(part, f->new.data, known);
                if (known >= names.next)
                        sf_symbol_match_tell(&names, part, known, &f->image, &f->predictor, 1);
        }
        assert_true(names.next == UINT64_MAX);
}

static void test_names(void **unused)
{
        struct files f;

        (void)unused;
        open_files(&f, 64);
        assert_true(count_right(&f, DELTAELF_AT_IMPORT) < DELTAELF_FUNCTIONS / 2);
        assert_true(count_right(&f, DELTAELF_AT_FUNCTION) < DELTAELF_FUNCTIONS);
        tell_names(&f);
        for (unsigned i = 0; i < DELTAELF_FUNCTIONS; i++) {
                assert_named(&f, f.old.function[i] + DELTAELF_AT_IMPORT, f.new.function[i] + DELTAELF_AT_IMPORT);
                assert_named(&f, f.old.function[i] + DELTAELF_AT_FUNCTION, f.new.function[i] + DELTAELF_AT_FUNCTION);
                assert_named(&f, f.old.symbol_of[i] + 8, f.new.symbol_of[i] + 8); /* st_value */
        }
        for (unsigned i = 0; i < DELTAELF_IMPORTS; i++) {
                assert_named(&f, f.old.stub[i] + 6, f.new.stub[i] + 6); /* the stub's slot */
                assert_named(&f, f.old.slot[i], f.new.slot[i]);         /* the slot's lazy stub */
        }
        /* The table stays where it is, wherever its first record goes. */
        assert_named(&f, f.old.plt_header + 16, f.new.plt_header + 16);
        assert_named(&f, f.old.plt_header + 24, f.new.plt_header + 24);
        sf_predictor_close(&f.predictor);
}

static void test_texts(void **unused)
{
        struct files f;

        (void)unused;
        open_files(&f, 0);
        assert_true(count_right(&f, DELTAELF_AT_TEXT) < DELTAELF_FUNCTIONS / 2);
        assert_int_equal(sf_string_match_tell(f.new.data, SF_TABLE_TEXTS, &f.layout.tables[SF_TABLE_TEXTS],
                                              &f.predictor, 1, NULL),
                         0);
        for (unsigned i = 0; i < DELTAELF_FUNCTIONS; i++)
                assert_named(&f, f.old.function[i] + DELTAELF_AT_TEXT, f.new.function[i] + DELTAELF_AT_TEXT);
        sf_predictor_close(&f.predictor);
}

/* Lines behind the gap move; once one of them has told so, all others follow. */
static void test_lines(void **unused)
{
        struct files f;
        unsigned right = 0;

        (void)unused;
        open_files(&f, 32);
        for (unsigned i = 0; i < DELTAELF_FUNCTIONS; i++) {
                uint64_t old = f.old.function[i] + DELTAELF_AT_LINE, new = f.new.function[i] + DELTAELF_AT_LINE;
                const struct sf_field *field =
                        &f.predictor.fields.fields[sf_address_fields_first(&f.predictor.fields, old)];
                enum sf_prediction_source source;

                right += is_right(&f, old, new, &source);
                sf_predict_learn(&f.predictor, field, &f.image, new, sf_field_get(field, f.new.data + new));
        }
        assert_in_range(right, DELTAELF_FUNCTIONS - 1, DELTAELF_FUNCTIONS);
        sf_predictor_close(&f.predictor);
}

static void test_numbers(void **unused)
{
        struct sf_operand_history n = { 0 };
        uint64_t value, other;

        (void)unused;
        assert_int_equal(sf_operand_history_guess(&n, 70, &value, &other), SF_OPERAND_KEPT);
        assert_true(value == 70 && other == 70);
        sf_operand_history_learn(&n, 100, 110);
        assert_int_equal(sf_operand_history_guess(&n, 100, &value, &other), SF_OPERAND_SAME);
        assert_int_equal(sf_operand_history_guess(&n, 120, &value, &other), SF_OPERAND_NEAR);
        assert_true(value == 130 && other == 120);
        assert_int_equal(sf_operand_history_guess(&n, 100000, &value, &other), SF_OPERAND_FAR);
        assert_true(value == 100000 && other == 100010);
        sf_operand_history_learn(&n, 119, 119);
        assert_int_equal(sf_operand_history_guess(&n, 120, &value, &other), SF_OPERAND_KEPT);
        assert_int_equal(sf_operand_history_guess(&n, 119, &value, &other), SF_OPERAND_STAYED);
        sf_operand_history_learn(&n, 119, 118); /* of equals the latest counts, downwards too */
        assert_int_equal(sf_operand_history_guess(&n, 119, &value, &other), SF_OPERAND_SAME);
        assert_int_equal(value, 118);
        for (unsigned i = 0; i < 10 * SF_OPERANDS_KEPT; i++)
                sf_operand_history_learn(&n, 5000 + i, 5000 + i);
        assert_int_equal(sf_operand_history_guess(&n, 100, &value, &other), SF_OPERAND_KEPT); /* forgotten */
        assert_int_equal(value, 100);
}

/* As many symbols of one name as fit: what would take hours must be over at once. The first of them counts. */
static void test_equal_names(void **unused)
{
        enum { SYMBOLS = 400000 };
        struct files f;
        uint64_t size = 24 * SYMBOLS + 8;
        _cleanup_free_ uint8_t *file = calloc(size, 1);
        _cleanup_(sf_symbol_match_close) struct sf_symbol_match names;
        struct sf_table_layout layout = {
                .tables = { [SF_TABLE_SYMBOLS] = { 0, 24 * SYMBOLS }, [SF_TABLE_STRINGS] = { 24 * SYMBOLS, 8 } }
        };

        (void)unused;
        assert_non_null(file);
        for (size_t i = 0; i < SYMBOLS; i++)
                file[24 * i] = 1;
        memcpy(file + 24 * SYMBOLS, "\0alike!", 8);
        open_files(&f, 0);
        sf_predictor_close(&f.predictor);
        assert_int_equal(sf_predictor_open(&f.predictor, f.old.data, f.old.size, SF_PREDICTOR_VERSION, NULL), 0);
        f.predictor.data = file;
        f.predictor.layout = layout;
        assert_int_equal(sf_symbol_match_open(&names, &layout, NULL), 0);
        sf_symbol_match_tell(&names, file, size, &f.image, &f.predictor, 1);
        sf_predictor_close(&f.predictor);
}

static void code_layout(struct sf_coder *c, const struct sf_table_layout *old, const struct sf_map_of_file *map,
                        uint64_t size, struct sf_table_layout *layout)
{
        struct sf_table_layout_model m;

        sf_table_layout_model_start(&m);
        sf_table_layout_code(c, &m, old, map, size, layout);
}

/* What lies inside comes back, what does not is none at both ends, and so is what the old file has not. */
static void test_layout(void **unused)
{
        static const uint64_t odd[] = { 0, 1, UINT64_MAX, UINT64_MAX - 5, UINT64_C(1) << 63, 9999, 10000 };
        struct sf_piece piece = { 100, 350, 5000 };
        _cleanup_(sf_map_free) struct sf_map_of_file map;

        (void)unused;
        assert_int_equal(sf_map_build(&piece, 1, &map, NULL), 0);
        for (unsigned round = 0; round < 500; round++) {
                _cleanup_(sf_buffer_free) struct sf_buffer coded = SF_BUFFER_INIT;
                struct sf_table_layout old = { 0 }, new, told, back = { 0 };
                struct sf_coder c;

                for (size_t i = 0; i < SF_TABLES; i++) {
                        if (noise() % 4)
                                old.tables[i] = (struct sf_table_extent){ noise() % 8000, noise() % 2000 };
                        new.tables[i] = (struct sf_table_extent){ noise() % 10000, noise() % 3000 };
                        if (noise() % 3 == 0)
                                new.tables[i].position = odd[noise() % 7];
                        if (noise() % 3 == 0)
                                new.tables[i].size = odd[noise() % 7];
                }
                told = new;
                sf_coder_encode(&c, &coded);
                code_layout(&c, &old, &map, 10000, &told);
                assert_int_equal(sf_coder_finish(&c, NULL), 0);
                sf_coder_decode(&c, coded.data, coded.len);
                code_layout(&c, &old, &map, 10000, &back);
                assert_int_equal(sf_coder_finish(&c, NULL), 0);
                assert_memory_equal(&told, &back, sizeof back);
                for (size_t i = 0; i < SF_TABLES; i++) {
                        struct sf_table_extent *a = &new.tables[i], *b = &back.tables[i];
                        bool inside = a->position <= 10000 && a->size <= 10000 - a->position && old.tables[i].size;

                        assert_int_equal(b->position, inside ? a->position : 0);
                        assert_int_equal(b->size, inside ? a->size : 0);
                }
        }
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_names),   cmocka_unit_test(test_texts),       cmocka_unit_test(test_lines),
                cmocka_unit_test(test_numbers), cmocka_unit_test(test_equal_names), cmocka_unit_test(test_layout),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
