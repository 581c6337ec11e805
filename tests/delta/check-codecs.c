/* SPDX-License-Identifier: Apache-2.0 */
/* tests/delta/check-codecs.c - every codec, random trees and random edits: delta, then apply, equals the new tree bit
 * for bit; a damaged or foreign delta is refused and writes nothing that is not listed. Seeds are fixed, so a failure
 * repeats.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "base/cleanup.h"
#include "base/fs.h"
#include "delta/container.h"
#include "delta/listpatch.h"
#include "delta/encode/make.h"

#define FILES_MAX 8

struct tree {
        struct sf_buffer files[FILES_MAX];
        size_t count;
        struct sf_buffer text;
        struct sf_filelist list;
};

struct pair {
        struct tree old, new;
        size_t written, reads;
        const struct sf_filelist *applied; /* the list apply was called with */
};

static uint64_t state;

static uint32_t chance(uint32_t below)
{
        state = state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
        return (uint32_t)(state >> 33) % below;
}

static void append_noise(struct sf_buffer *b, size_t len)
{
        for (size_t i = 0; i < len; i++) {
                uint8_t byte = (uint8_t)chance(chance(4) ? 7 : 256);

                assert_int_equal(sf_buffer_append(b, &byte, 1, NULL), 0);
        }
}

static size_t odd_size(void)
{
        static const size_t sizes[] = { 0, 1, 2, 3, 15, 16, 17, 31, 63, 64, 65, 255, 1000, 4095, 4096, 4097, 20000 };

        return sizes[chance(sizeof sizes / sizeof *sizes)];
}

/* A content with pieces of `from`, changed, moved, repeated, and noise between. */
static void edit(const struct sf_buffer *from, struct sf_buffer *to)
{
        unsigned pieces = 1 + chance(6);

        for (unsigned i = 0; i < pieces; i++) {
                size_t start = from->len ? chance((uint32_t)from->len) : 0, before = to->len;
                size_t len = from->len - start ? chance((uint32_t)(from->len - start) + 1) : 0;

                if (chance(3) == 0)
                        append_noise(to, chance(300));
                if (chance(2))
                        start = 0, len = from->len / (1 + chance(3));
                assert_int_equal(sf_buffer_append(to, from->data ? from->data + start : (const uint8_t *)"", len, NULL),
                                 0);
                for (unsigned k = chance(20); k-- > 0 && to->len > before;)
                        to->data[before + chance((uint32_t)(to->len - before))] ^= (uint8_t)(1 + chance(255));
                if (to->len > 60000)
                        return;
        }
}

/* Writes and parses the file list of a tree. */
static void seal(struct tree *t, const char *name)
{
        struct sf_error err = SF_ERROR_INIT;
        struct sf_digest digest;
        char hex[SF_DIGEST_HEX + 1];

        sf_digest_of(name, strlen(name), &digest);
        sf_digest_hex(&digest, hex);
        sf_buffer_printf(&t->text, NULL,
                         "sf-filelist 1\nrelease 1.0.0-test-amd64\nprefix 256\nlayer slurm 1 %s\n"
                         "frame 1 1099511627776 %s\n",
                         hex, hex);
        for (size_t i = 0; i < t->count; i++) {
                sf_digest_of(t->files[i].data, t->files[i].len, &digest);
                sf_buffer_printf(&t->text, NULL, "f 0644 %zu %s - file %zu\n", t->files[i].len,
                                 sf_digest_hex(&digest, hex), i);
        }
        assert_int_equal(sf_filelist_parse(name, t->text.data, t->text.len, &t->list, &err), 0);
}

static void free_pair(struct pair *p)
{
        for (size_t i = 0; i < FILES_MAX; i++) {
                sf_buffer_free(&p->old.files[i]);
                sf_buffer_free(&p->new.files[i]);
        }
        sf_buffer_free(&p->old.text);
        sf_buffer_free(&p->new.text);
        sf_filelist_free(&p->old.list);
        sf_filelist_free(&p->new.list);
}

/* The running test program: an ELF file that is always at hand. */
static void load_program(struct sf_buffer *ret)
{
        assert_int_equal(sf_fs_read("/proc/self/exe", 64 << 20, ret, NULL), 0);
}

static void make_pair(struct pair *p, uint64_t seed, bool program)
{
        *p = (struct pair){ 0 };
        state = seed * 977 + 1;
        p->old.count = 1 + chance(FILES_MAX - 1);
        p->new.count = 1 + chance(FILES_MAX - 1);
        for (size_t i = 0; i < p->old.count; i++)
                append_noise(&p->old.files[i], odd_size());
        if (program)
                load_program(&p->old.files[0]);
        for (size_t i = 0; i < p->new.count; i++) {
                if (chance(5) == 0)
                        append_noise(&p->new.files[i], odd_size());
                else
                        edit(&p->old.files[i < p->old.count && chance(3) ? i : chance((uint32_t)p->old.count)],
                             &p->new.files[i]);
        }
        seal(&p->old, "old");
        seal(&p->new, "new");
}

static size_t number_of(const struct sf_entry *entry)
{
        return (size_t)strtoul(strrchr(entry->path, ' ') + 1, NULL, 10);
}

static int give_old(void *ctx, const struct sf_entry *entry, struct sf_buffer *ret, struct sf_error *err)
{
        struct pair *p = ctx;
        const struct sf_buffer *file = &p->old.files[number_of(entry)];

        p->reads++;
        return sf_buffer_append(ret, file->data, file->len, err);
}

static int give_new(void *ctx, const struct sf_entry *entry, struct sf_buffer *ret, struct sf_error *err)
{
        const struct sf_buffer *file = &((struct pair *)ctx)->new.files[number_of(entry)];

        return sf_buffer_append(ret, file->data, file->len, err);
}

/* Whatever apply hands over must be exactly what the list promises. */
static int take_new(void *ctx, const struct sf_entry *entry, const uint8_t *data, size_t len, struct sf_error *err)
{
        struct pair *p = ctx;
        const struct sf_buffer *file = &p->new.files[number_of(entry)];

        (void)err;
        assert_int_equal(len, file->len);
        if (len)
                assert_memory_equal(data, file->data, len);
        p->written++;
        return 0;
}

static unsigned threads; /* that make deltas; 0 = one per processor */

static struct sf_delta_make job_of(struct pair *p)
{
        return (struct sf_delta_make){
                .old = &p->old.list, .new = &p->new.list, .read_old = give_old, .read_new = give_new, .ctx = p
        };
}

static int make(struct pair *p, const char *codec, struct sf_delta_result *ret, struct sf_error *err)
{
        struct sf_delta_make job = job_of(p);

        job.codec = codec;
        job.threads = threads;
        return sf_delta_make(&job, ret, err);
}

static int apply(struct pair *p, const void *blob, size_t len, struct sf_error *err)
{
        struct sf_delta_io io = { give_old, take_new, p };

        p->written = 0;
        return sf_delta_apply(&p->old.list, &p->new.list, blob, len, 0, &io, err);
}

static size_t count_missing(const struct pair *p)
{
        size_t missing = 0;

        for (size_t i = 0; i < p->new.list.entry_count; i++) {
                bool found = false;

                for (size_t k = 0; k < p->old.list.entry_count; k++)
                        found |= sf_digest_equal(&p->new.list.entries[i].digest, &p->old.list.entries[k].digest);
                missing += !found;
        }
        return missing;
}

static void damage(struct pair *p, const struct sf_buffer *blob)
{
        _cleanup_(sf_buffer_free) struct sf_buffer bad = SF_BUFFER_INIT;

        for (unsigned i = 0; i < 12; i++) {
                bad.len = 0;
                assert_int_equal(sf_buffer_append(&bad, blob->data, blob->len, NULL), 0);
                if (i % 3 == 0)
                        bad.len = chance((uint32_t)blob->len);
                else
                        bad.data[chance((uint32_t)blob->len)] ^= (uint8_t)(1u << chance(8));
                struct sf_error err = SF_ERROR_INIT;
                int r = apply(p, bad.data, bad.len, &err);
                assert_true(r == 0 ? p->written == count_missing(p) : p->written == 0 && err.text[0]);
        }
}

static void check_pair(uint64_t seed, const char *codec, bool program)
{
        _cleanup_(free_pair) struct pair p;
        _cleanup_(sf_delta_result_free) struct sf_delta_result result = { 0 };
        struct sf_error err = SF_ERROR_INIT;

        make_pair(&p, seed, program);
        if (make(&p, codec, &result, &err) < 0)
                fail_msg("seed %llu, %s: %s", (unsigned long long)seed, codec, err.text);
        assert_string_equal(result.codec, codec);
        if (apply(&p, result.blob.data, result.blob.len, &err) < 0)
                fail_msg("seed %llu, %s: %s", (unsigned long long)seed, codec, err.text);
        assert_int_equal(p.written, count_missing(&p));
        damage(&p, &result.blob);
}

static void test_round_trips(void **unused)
{
        static const char *const codecs[] = { "elf", "parts", "bindiff", "zstd", "rsync" };

        (void)unused;
        for (uint64_t seed = 1; seed <= 24; seed++)
                for (size_t i = 0; i < sizeof codecs / sizeof *codecs; i++)
                        check_pair(seed, codecs[i], false);
}

static void test_programs(void **unused)
{
        (void)unused;
        for (uint64_t seed = 100; seed <= 103; seed++)
                check_pair(seed, "elf", true);
}

/* A delta between two releases is none between two others. */
static void test_swapped(void **unused)
{
        _cleanup_(free_pair) struct pair a, b;
        _cleanup_(sf_delta_result_free) struct sf_delta_result for_a = { 0 }, for_b = { 0 };
        struct sf_error err = SF_ERROR_INIT;

        (void)unused;
        make_pair(&a, 7, false);
        make_pair(&b, 8, false);
        assert_int_equal(make(&a, "elf", &for_a, &err), 0);
        assert_int_equal(make(&b, "elf", &for_b, &err), 0);
        assert_int_equal(apply(&a, for_b.blob.data, for_b.blob.len, &err), SF_ERR_CORRUPT);
        assert_int_equal(apply(&b, for_a.blob.data, for_a.blob.len, &err), SF_ERR_CORRUPT);
        assert_int_equal(a.written + b.written, 0);
}

/* The smallest that fits is kept; the budget is refused before a single old file is read. */
static void test_budget(void **unused)
{
        _cleanup_(free_pair) struct pair p;
        _cleanup_(sf_delta_result_free) struct sf_delta_result result = { 0 };
        struct sf_error err = SF_ERROR_INIT;
        struct sf_delta_info info;

        (void)unused;
        make_pair(&p, 11, false);
        assert_int_equal(make(&p, NULL, &result, &err), 0);
        assert_int_equal(result.attempt_count, 5);
        for (size_t i = 0; i < result.attempt_count; i++) {
                bool made = result.attempts[i].bytes != 0;

                assert_true(made ? result.attempts[i].bytes >= result.blob.len : result.attempts[i].failure[0] != 0);
                assert_int_equal(result.attempts[i].chosen, !strcmp(result.attempts[i].codec, result.codec));
        }
        assert_int_equal(sf_delta_inspect(&p.old.list, &p.new.list, result.blob.data, result.blob.len, &info, &err), 0);
        assert_int_equal(info.memory, result.memory);
        p.reads = 0;
        struct sf_delta_io io = { give_old, take_new, &p };
        assert_int_equal(
                sf_delta_apply(&p.old.list, &p.new.list, result.blob.data, result.blob.len, info.memory - 1, &io, &err),
                SF_ERR_NOMEM);
        assert_int_equal(p.reads, 0);
}

/* What is new for the most part costs the elf codec too much: zstd makes it, and the table says why. */
static void test_given_up(void **unused)
{
        static const uint8_t zeros[100000];
        _cleanup_(free_pair) struct pair p = { 0 };
        _cleanup_(sf_delta_result_free) struct sf_delta_result result = { 0 };
        struct sf_error err = SF_ERROR_INIT;

        (void)unused;
        state = 5;
        p.old.count = p.new.count = 1;
        append_noise(&p.old.files[0], 1 << 16);
        for (unsigned i = 0; i < 42; i++) /* zeros: nothing that the old file has, and quick for zstd */
                assert_int_equal(sf_buffer_append(&p.new.files[0], zeros, sizeof zeros, NULL), 0);
        seal(&p.old, "old");
        seal(&p.new, "new");
        assert_int_equal(make(&p, NULL, &result, &err), 0);
        assert_string_equal(result.attempts[0].codec, "elf");
        assert_int_equal(result.attempts[0].bytes, 0);
        assert_non_null(strstr(result.attempts[0].failure, "given up"));
        assert_true(!strcmp(result.codec, "parts") || !strcmp(result.codec, "zstd"));
        assert_int_equal(apply(&p, result.blob.data, result.blob.len, &err), 0);
        assert_int_equal(p.written, 1);
}

/* A codec that does not fit the node is not tried, unless it is asked for by name. */
static void test_too_large(void **unused)
{
        _cleanup_(free_pair) struct pair p;
        _cleanup_(sf_delta_result_free) struct sf_delta_result result = { 0 };
        struct sf_error err = SF_ERROR_INIT;

        (void)unused;
        make_pair(&p, 13, false);
        struct sf_delta_make job = job_of(&p);

        job.memory_budget = 32 << 20;
        assert_int_equal(sf_delta_make(&job, &result, &err), 0);
        for (size_t i = 0; i < result.attempt_count; i++)
                assert_true(result.attempts[i].fits || (!result.attempts[i].bytes && result.attempts[i].failure[0]));
        assert_false(result.attempts[0].fits);
        assert_true(result.memory <= 32 << 20);
}

/* What differs more than the model is given is made in parts, and nothing is tried that takes long and cannot win; the
 * memory that is stated is that of the codecs the parts have, also where the model alone would take more than there is.
 */
static void test_expensive(void **unused)
{
        static const uint64_t budgets[] = { 0, 48 << 20 };

        (void)unused;
        for (size_t i = 0; i < sizeof budgets / sizeof *budgets; i++) {
                _cleanup_(free_pair) struct pair p;
                _cleanup_(sf_delta_result_free) struct sf_delta_result result = { 0 };
                struct sf_error err = SF_ERROR_INIT;
                struct sf_delta_info info;

                make_pair(&p, 13, false);
                struct sf_delta_make job = job_of(&p);
                struct sf_delta_io io = { give_old, take_new, &p };

                job.model_bytes = 1;
                job.memory_budget = budgets[i];
                assert_int_equal(sf_delta_make(&job, &result, &err), 0);
                assert_string_equal(result.codec, "parts");
                assert_non_null(strstr(result.attempts[0].failure, budgets[i] ? "more memory" : "in parts"));
                assert_non_null(strstr(result.attempts[2].failure, budgets[i] ? "more memory" : "takes too long"));
                assert_non_null(strstr(result.attempts[3].failure, "where parts were made"));
                assert_int_equal(result.bounded, 1);
                assert_int_equal(result.cheaper, 0);
                assert_true(!budgets[i] || result.memory <= budgets[i]);
                assert_int_equal(
                        sf_delta_inspect(&p.old.list, &p.new.list, result.blob.data, result.blob.len, &info, &err), 0);
                assert_int_equal(info.memory, result.memory);
                assert_int_equal(sf_delta_apply(&p.old.list, &p.new.list, result.blob.data, result.blob.len,
                                                info.memory - 1, &io, &err),
                                 SF_ERR_NOMEM);
                assert_int_equal(sf_delta_apply(&p.old.list, &p.new.list, result.blob.data, result.blob.len,
                                                info.memory, &io, &err),
                                 0);
                assert_int_equal(p.written, count_missing(&p));
        }
}

/* Little memory to make it in: parts take zstd, and that is counted; too little for the contents: refused before a file
 * is read. */
static void test_work_memory(void **unused)
{
        _cleanup_(free_pair) struct pair p;
        _cleanup_(sf_delta_result_free) struct sf_delta_result result = { 0 };
        struct sf_error err = SF_ERROR_INIT;

        (void)unused;
        make_pair(&p, 13, false);
        struct sf_delta_make job = job_of(&p);

        job.work_memory = 32 << 20;
        assert_int_equal(sf_delta_make(&job, &result, &err), 0);
        assert_non_null(strstr(result.attempts[0].failure, "MB of memory, more than"));
        assert_string_equal(result.codec, "zstd");
        assert_true(result.cheaper > 0 && result.cheaper == result.attempts[1].cheaper);
        assert_int_equal(apply(&p, result.blob.data, result.blob.len, &err), 0);
        sf_delta_result_free(&result);
        result = (struct sf_delta_result){ 0 };
        p.reads = 0;
        job.work_memory = 1;
        assert_int_equal(sf_delta_make(&job, &result, &err), SF_ERR_LIMIT);
        assert_int_equal(p.reads, 0);
}

/* The same bytes on one processor and on many. */
static void test_threads(void **unused)
{
        static const char *const codecs[] = { "elf", "parts" };

        (void)unused;
        for (uint64_t seed = 40; seed < 43; seed++) {
                for (size_t i = 0; i < sizeof codecs / sizeof *codecs; i++) {
                        _cleanup_(free_pair) struct pair p;
                        _cleanup_(sf_delta_result_free) struct sf_delta_result one = { 0 }, many = { 0 };
                        struct sf_error err = SF_ERROR_INIT;

                        make_pair(&p, seed, seed == 40);
                        threads = 1;
                        assert_int_equal(make(&p, codecs[i], &one, &err), 0);
                        threads = 5;
                        assert_int_equal(make(&p, codecs[i], &many, &err), 0);
                        threads = 0;
                        assert_int_equal(one.blob.len, many.blob.len);
                        assert_memory_equal(one.blob.data, many.blob.data, one.blob.len);
                }
        }
}

/* Progress only goes forward, and arrives. */
struct told {
        uint64_t done, total;
};

static void note_progress(void *ctx, uint64_t done, uint64_t total)
{
        struct told *told = ctx;

        assert_true(done >= told->done && done <= total);
        *told = (struct told){ done, total };
}

static void test_progress(void **unused)
{
        _cleanup_(free_pair) struct pair p;
        _cleanup_(sf_delta_result_free) struct sf_delta_result result = { 0 };
        struct sf_error err = SF_ERROR_INIT;
        struct told told = { 0 };

        (void)unused;
        make_pair(&p, 12, false);
        struct sf_delta_make job = job_of(&p);

        job.codec = "elf";
        job.progress = note_progress;
        job.progress_ctx = &told;
        assert_int_equal(sf_delta_make(&job, &result, &err), 0);
        assert_true(told.total > 0 && told.done == told.total);
}

static void test_lists(void **unused)
{
        (void)unused;
        for (uint64_t seed = 1; seed <= 20; seed++) {
                _cleanup_(free_pair) struct pair p;
                _cleanup_(sf_buffer_free) struct sf_buffer patch = SF_BUFFER_INIT, back = SF_BUFFER_INIT;
                struct sf_error err = SF_ERROR_INIT;

                make_pair(&p, seed, false);
                assert_int_equal(sf_listpatch_make(p.old.text.data, p.old.text.len, p.new.text.data, p.new.text.len,
                                                   &patch, &err),
                                 0);
                assert_int_equal(sf_listpatch_apply(p.old.text.data, p.old.text.len, patch.data, patch.len,
                                                    p.new.text.len, &back, &err),
                                 0);
                assert_int_equal(back.len, p.new.text.len);
                assert_memory_equal(back.data, p.new.text.data, back.len);
                /* Digests cannot be compressed, the rest nearly vanishes. */
                assert_true(patch.len < 40 * (p.new.count + 2) + 60);
                for (unsigned i = 0; i < 20; i++) {
                        _cleanup_(sf_buffer_free) struct sf_buffer out = SF_BUFFER_INIT;

                        patch.data[chance((uint32_t)patch.len)] ^= (uint8_t)(1u << chance(8));
                        sf_listpatch_apply(p.old.text.data, p.old.text.len, patch.data, chance((uint32_t)patch.len + 1),
                                           1 << 20, &out, NULL);
                        assert_true(out.len <= (1 << 20) + p.old.text.len);
                }
        }
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_round_trips), cmocka_unit_test(test_programs),    cmocka_unit_test(test_swapped),
                cmocka_unit_test(test_budget),      cmocka_unit_test(test_lists),       cmocka_unit_test(test_given_up),
                cmocka_unit_test(test_too_large),   cmocka_unit_test(test_work_memory), cmocka_unit_test(test_threads),
                cmocka_unit_test(test_progress),    cmocka_unit_test(test_expensive),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
