/* SPDX-License-Identifier: Apache-2.0 */
/* tests/delta/check-delta_parts.c - a large changed set part by part: where it is split, what it takes, and what is
 * made of damaged patches. Parts hold more than 32 MB: their files are zeros here, which zstd makes in no time. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "delta/codec/codecs.h"
#include "delta/codec/parts.h"
#include "delta/encode/effort.h"
#include "delta/encode/part_plan.h"

#define MB    ((uint64_t)1 << 20)
#define FILES 5

/* Five new files of which the first and the last share an ancestor; old file 1 is nobody's. */
struct set {
        uint8_t *old_bytes, *new_bytes; /* owned */
        struct sf_delta_file old_files[4], new_files[FILES];
        struct sf_delta_files old, new;
};

static void make_set(struct set *s)
{
        static const uint64_t old_sizes[4] = { 9 * MB, 100, 12 * MB, 3 * MB };
        static const uint64_t new_sizes[FILES] = { 10 * MB, 11 * MB, 2 * MB, 40 * MB, 50 };
        static const uint32_t ancestors[FILES] = { 1, 3, 4, 0, 1 };

        *s = (struct set){ .old_bytes = calloc(25, MB), .new_bytes = calloc(64, MB) };
        assert_non_null(s->old_bytes);
        assert_non_null(s->new_bytes);
        uint8_t *at = s->old_bytes;
        for (size_t i = 0; i < 4; at += old_sizes[i++])
                s->old_files[i] = (struct sf_delta_file){ at, old_sizes[i], 0 };
        at = s->new_bytes;
        for (size_t i = 0; i < FILES; at += new_sizes[i++]) {
                s->new_files[i] = (struct sf_delta_file){ at, new_sizes[i], ancestors[i] };
                memset(at, (int)i + 1, 50);
        }
        memset(s->old_bytes, 9, 77);
        s->old = (struct sf_delta_files){ s->old_files, 4 };
        s->new = (struct sf_delta_files){ s->new_files, FILES };
}

static void free_set(struct set *s)
{
        free(s->old_bytes);
        free(s->new_bytes);
}

/* 10 + 9 | 11 + 12 + 2 + 3 | 40 | 50 + 9 */
static const size_t ends[] = { 1, 3, 4, 5 };
#define PARTS (sizeof ends / sizeof *ends)

static void test_split(void **unused)
{
        _cleanup_(free_set) struct set s;
        size_t first = 0;

        (void)unused;
        make_set(&s);
        for (size_t i = 0; i < PARTS; i++) {
                _cleanup_(sf_part_close) struct sf_part part = { 0 };

                assert_int_equal(sf_part_end(&s.old, &s.new, first, SF_PART_LOG), ends[i]);
                assert_int_equal(sf_part_open(&part, &s.old, &s.new, first, SF_PART_LOG, NULL), 0);
                assert_int_equal(part.new.count, ends[i] - first);
                assert_true(sf_part_is_small(&part));
                for (size_t k = 0; k < part.new.count; k++) {
                        uint32_t ancestor = part.new.files[k].ancestor, was = s.new_files[first + k].ancestor;

                        assert_int_equal(ancestor == 0, was == 0);
                        if (!was)
                                continue;
                        const struct sf_delta_file *base = &part.old.files[ancestor - 1];
                        assert_int_equal(base->size, s.old_files[was - 1].size);
                        assert_memory_equal(base->data, s.old_files[was - 1].data, 100);
                }
                first = ends[i];
        }
}

/* The patch as the encoder would write it, all parts under zstd. */
static void make_patch(const struct set *s, struct sf_buffer *ret)
{
        for (size_t i = 0, first = 0; i < PARTS; first = ends[i++]) {
                _cleanup_(sf_part_close) struct sf_part part = { 0 };
                _cleanup_(sf_buffer_free) struct sf_buffer patch = SF_BUFFER_INIT;
                uint8_t header[SF_PART_HEADER] = { SF_PART_ZSTD };

                assert_int_equal(sf_part_open(&part, &s->old, &s->new, first, SF_PART_LOG, NULL), 0);
                assert_int_equal(sf_delta_zstd_encoder.encode(&part.old, &part.new, NULL, &patch, NULL), 0);
                for (unsigned k = 0; k < 4; k++)
                        header[1 + k] = (uint8_t)(patch.len >> (8 * k));
                assert_int_equal(sf_buffer_append(ret, header, sizeof header, NULL), 0);
                assert_int_equal(sf_buffer_append(ret, patch.data, patch.len, NULL), 0);
        }
}

static void test_decode(void **unused)
{
        _cleanup_(free_set) struct set s;
        _cleanup_(sf_buffer_free) struct sf_buffer patch = SF_BUFFER_INIT;
        _cleanup_free_ uint8_t *out = malloc(64 * MB);
        const struct sf_delta_codec *codec = sf_delta_codec_find("parts");
        struct sf_error err = SF_ERROR_INIT;
        uint64_t size;

        (void)unused;
        make_set(&s);
        size = sf_delta_files_size(&s.new);
        make_patch(&s, &patch);
        assert_non_null(out);
        assert_int_equal(codec->decode(&s.old, &s.new, patch.data, patch.len, out, &err), 0);
        assert_memory_equal(out, s.new_bytes, size);
        memset(out, 0xff, size);
        assert_int_equal(codec->decode(&s.old, &s.new, patch.data, patch.len, out, &err), 0);
        assert_memory_equal(out, s.new_bytes, size);
        /* cut anywhere, longer, another codec, a codec that is none */
        for (size_t len = 0; len < patch.len; len += 1 + patch.len / 40)
                assert_true(codec->decode(&s.old, &s.new, patch.data, len, out, &err) < 0 && err.text[0]);
        assert_int_equal(sf_buffer_append(&patch, "", 1, NULL), 0);
        assert_int_equal(codec->decode(&s.old, &s.new, patch.data, patch.len, out, &err), SF_ERR_CORRUPT);
        patch.len--;
        patch.data[0] = SF_PART_RSYNC;
        assert_true(codec->decode(&s.old, &s.new, patch.data, patch.len, out, &err) < 0);
        patch.data[0] = SF_PART_CODECS;
        assert_int_equal(codec->decode(&s.old, &s.new, patch.data, patch.len, out, &err), SF_ERR_CORRUPT);
}

/* Progress only goes forward, arrives, and is told file by file where elf makes a part. */
struct told {
        uint64_t done, total;
        size_t count;
};

static void note_progress(void *ctx, uint64_t done, uint64_t total)
{
        struct told *told = ctx;

        assert_true(done >= told->done && done <= total);
        *told = (struct told){ done, total, told->count + 1 };
}

static void test_progress(void **unused)
{
        _cleanup_(free_set) struct set s;
        _cleanup_(sf_buffer_free) struct sf_buffer patch = SF_BUFFER_INIT;
        struct told told = { 0 };
        size_t parts = 0;

        (void)unused;
        make_set(&s);
        /* Only the part with the small last file is within the memory. */
        for (size_t i = 0; i < FILES; i = sf_part_end(&s.old, &s.new, i, SF_PART_LOG))
                parts++;
        struct sf_delta_effort effort = { .threads = 1,
                                          .memory = 400 * MB,
                                          .progress = note_progress,
                                          .ctx = &told,
                                          .lock = PTHREAD_MUTEX_INITIALIZER,
                                          .total = 2 * sf_delta_files_size(&s.new) };
        assert_int_equal(sf_delta_parts_encoder.encode(&s.old, &s.new, &effort, &patch, NULL), 0);
        assert_int_equal(told.done, told.total);
        assert_true(told.count > parts);
}

/* A part takes no more than its own files do, however many there are. */
static void test_memory(void **unused)
{
        static struct sf_delta_file old_files[400], new_files[400];
        const struct sf_delta_files few_old = { old_files, 8 }, few_new = { new_files, 8 };
        const struct sf_delta_files many_old = { old_files, 400 }, many_new = { new_files, 400 };
        const struct sf_delta_codec *parts = sf_delta_codec_find("parts"), *elf = sf_delta_codec_find("elf");

        (void)unused;
        for (uint32_t i = 0; i < 400; i++) {
                old_files[i].size = MB;
                new_files[i] = (struct sf_delta_file){ NULL, MB, i + 1 };
        }
        assert_true(parts->decode_memory(&many_old, &many_new) < parts->decode_memory(&few_old, &few_new) + 24 * MB);
        assert_true(elf->decode_memory(&many_old, &many_new) > parts->decode_memory(&many_old, &many_new) + 300 * MB);
        /* a file that is too large for elf */
        struct sf_delta_file before = { NULL, 300 * MB, 0 }, after = { NULL, 300 * MB, 1 };
        uint64_t memory = parts->decode_memory(&(struct sf_delta_files){ &before, 1 },
                                               &(struct sf_delta_files){ &after, 1 });
        assert_true(memory < 700 * MB);
}

/* Parts as their headers alone: what they take is told by these. */
static size_t fake_patch(const struct sf_delta_files *old, const struct sf_delta_files *new, unsigned log,
                         enum sf_part_codec codec, uint8_t *ret)
{
        size_t len = 0;

        ret[len++] = (uint8_t)log;
        for (size_t i = 0; i < new->count; i = sf_part_end(old, new, i, log)) {
                memset(ret + len, 0, SF_PART_HEADER);
                ret[len] = (uint8_t)codec;
                len += SF_PART_HEADER;
        }
        return len;
}

/* Smaller parts take less memory, and so do parts under a codec that takes less; what is no patch takes what any does.
 * A node that has no room for the largest parts gets smaller ones. */
static void test_limited_memory(void **unused)
{
        static struct sf_delta_file old_files[40], new_files[40];
        const struct sf_delta_files old = { old_files, 40 }, new = { new_files, 40 };
        const struct sf_delta_codec *parts = sf_delta_codec_find("parts");
        static uint8_t patch[1 + 40 * SF_PART_HEADER];
        uint64_t any, last = UINT64_MAX;
        unsigned log = 0;

        (void)unused;
        for (uint32_t i = 0; i < 40; i++) {
                old_files[i].size = 2 * MB;
                new_files[i] = (struct sf_delta_file){ NULL, 2 * MB, i + 1 };
        }
        any = parts->decode_memory(&old, &new);
        for (unsigned i = SF_PART_LOG; i >= 22; i--) {
                size_t len = fake_patch(&old, &new, i, SF_PART_ELF, patch);
                uint64_t elf = sf_delta_patch_memory(parts, &old, &new, patch, len), zstd;

                assert_true(elf < last && elf <= any + MB);
                last = elf;
                assert_int_equal(sf_part_plan_log(&old, &new, elf + MB, &log, NULL), 0);
                assert_int_equal(log, i);
                len = fake_patch(&old, &new, i, SF_PART_ZSTD, patch);
                zstd = sf_delta_patch_memory(parts, &old, &new, patch, len);
                assert_true(zstd < elf - 50 * MB);
                assert_int_equal(sf_delta_patch_memory(parts, &old, &new, patch, len - 1), any);
                assert_int_equal(sf_delta_patch_memory(parts, &old, &new, patch + 1, len - 1), any);
        }
        assert_int_equal(sf_part_plan_log(&old, &new, 0, &log, NULL), 0);
        assert_int_equal(log, SF_PART_LOG);
        assert_true(sf_part_plan_least_memory(&old, &new) < 10 * MB);
}

#define SMALL      8
#define SMALL_SIZE 30000u

/* Eight files of some kilobytes, of which each differs from its ancestor in more places than the one before. */
static void make_small(struct set *s, struct sf_delta_file *olds, struct sf_delta_file *news)
{
        uint32_t state = 1;

        *s = (struct set){ .old_bytes = malloc(SMALL * SMALL_SIZE), .new_bytes = malloc(SMALL * SMALL_SIZE) };
        assert_non_null(s->old_bytes);
        assert_non_null(s->new_bytes);
        for (uint32_t i = 0; i < SMALL * SMALL_SIZE; i++) {
                state = state * 1664525 + 1013904223;
                s->old_bytes[i] = s->new_bytes[i] = (uint8_t)(state >> 24);
                if (state >> 8 & 0xff && i % (SMALL * 40) < i / SMALL_SIZE * 40)
                        s->new_bytes[i] = (uint8_t)(s->old_bytes[i] * 7 + 1);
        }
        for (uint32_t i = 0; i < SMALL; i++) {
                olds[i] = (struct sf_delta_file){ s->old_bytes + i * SMALL_SIZE, SMALL_SIZE, 0 };
                news[i] = (struct sf_delta_file){ s->new_bytes + i * SMALL_SIZE, SMALL_SIZE, i + 1 };
        }
        s->old = (struct sf_delta_files){ olds, SMALL };
        s->new = (struct sf_delta_files){ news, SMALL };
}

static void encode_small(const struct set *s, uint64_t model_bytes, unsigned threads, uint64_t *ret_bounded,
                         struct sf_buffer *ret)
{
        struct sf_delta_effort effort = { .threads = threads,
                                          .part_log = SF_PART_LOG_MIN,
                                          .model_bytes = model_bytes,
                                          .lock = PTHREAD_MUTEX_INITIALIZER };

        assert_int_equal(sf_delta_parts_encoder.encode(&s->old, &s->new, &effort, ret, NULL), 0);
        *ret_bounded = effort.bounded;
}

/* The codecs of the parts of a patch, which are one file each, and with bit i set where file i's is elf. */
static unsigned elf_parts(const struct sf_buffer *patch)
{
        unsigned elf = 0, count = 0;

        assert_int_equal(patch->data[0], SF_PART_LOG_MIN);
        for (size_t at = 1; at < patch->len; count++) {
                const uint8_t *p = patch->data + at;

                assert_true(*p == SF_PART_ELF || *p == SF_PART_ZSTD);
                elf |= *p == SF_PART_ELF ? 1u << count : 0;
                at += SF_PART_HEADER + (p[1] | (size_t)p[2] << 8 | (size_t)p[3] << 16 | (size_t)p[4] << 24);
        }
        assert_int_equal(count, SMALL);
        return elf;
}

/* The model is given the files that differ least, as far as its bytes go; on any number of threads. */
static void test_bounded(void **unused)
{
        static const struct {
                uint64_t model_bytes, bounded;
                unsigned elf;
        } cases[] = { { 0, 0, 0xff }, { 1, SMALL, 0 }, { 40000, 0, 0 } };
        struct sf_delta_file olds[SMALL], news[SMALL];
        _cleanup_(free_set) struct set s;

        (void)unused;
        make_small(&s, olds, news);
        for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
                _cleanup_(sf_buffer_free) struct sf_buffer one = SF_BUFFER_INIT;
                _cleanup_free_ uint8_t *out = malloc(SMALL * SMALL_SIZE);
                uint64_t bounded;

                encode_small(&s, cases[i].model_bytes, 1, &bounded, &one);
                for (unsigned threads = 2; threads <= 5; threads += 3) {
                        _cleanup_(sf_buffer_free) struct sf_buffer many = SF_BUFFER_INIT;

                        encode_small(&s, cases[i].model_bytes, threads, &bounded, &many);
                        assert_int_equal(many.len, one.len);
                        assert_memory_equal(many.data, one.data, one.len);
                }
                unsigned elf = elf_parts(&one);
                if (cases[i].bounded || cases[i].elf) {
                        assert_int_equal(elf, cases[i].elf);
                        assert_int_equal(bounded, cases[i].bounded);
                } else {
                        assert_true(elf && elf != 0xff && !(elf & (elf + 1))); /* the first ones */
                        assert_int_equal(bounded, SMALL - __builtin_popcount(elf));
                }
                assert_non_null(out);
                assert_int_equal(sf_delta_parts.decode(&s.old, &s.new, one.data, one.len, out, NULL), 0);
                assert_memory_equal(out, s.new_bytes, SMALL * SMALL_SIZE);
        }
}

/* A limit that is none, or another one than the parts were made with, ends in an error. */
static void test_hostile_limits(void **unused)
{
        struct sf_delta_file olds[SMALL], news[SMALL];
        _cleanup_(free_set) struct set s;
        _cleanup_(sf_buffer_free) struct sf_buffer patch = SF_BUFFER_INIT;
        _cleanup_free_ uint8_t *out = malloc(SMALL * SMALL_SIZE);
        uint64_t bounded;

        (void)unused;
        make_small(&s, olds, news);
        encode_small(&s, 1, 1, &bounded, &patch);
        assert_non_null(out);
        for (unsigned byte = 0; byte < 256; byte++) {
                struct sf_error err = SF_ERROR_INIT;

                patch.data[0] = (uint8_t)byte;
                int r = sf_delta_parts.decode(&s.old, &s.new, patch.data, patch.len, out, &err);
                if (byte == SF_PART_LOG_MIN)
                        assert_int_equal(r, 0);
                else
                        assert_true(r < 0 && err.text[0]);
                assert_true(sf_parts_patch_memory(&s.old, &s.new, patch.data, patch.len) > 0);
        }
        patch.data[0] = SF_PART_LOG_MIN;
        for (size_t len = 0; len < 3 && len < patch.len; len++)
                assert_int_equal(sf_delta_parts.decode(&s.old, &s.new, patch.data, len, out, NULL), SF_ERR_CORRUPT);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_split),          cmocka_unit_test(test_decode),
                cmocka_unit_test(test_memory),         cmocka_unit_test(test_progress),
                cmocka_unit_test(test_limited_memory), cmocka_unit_test(test_bounded),
                cmocka_unit_test(test_hostile_limits),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
