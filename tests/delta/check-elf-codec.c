/* SPDX-License-Identifier: Apache-2.0 */
/* tests/delta/check-elf-codec.c - the codec as a whole: programs that a compiler and a linker have made from almost the
 * same source, and the memory that is stated.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

#include "base/cleanup.h"
#include "base/fs.h"
#include "delta/codec/codecs.h"
#include "delta/codec/bindiff.h"
#include "delta/encode/effort.h"
#include "delta/encode/memory.h"

#if defined __SANITIZE_ADDRESS__
#define SANITIZED 1
#elif defined __has_feature
#if __has_feature(address_sanitizer)
#define SANITIZED 1
#endif
#endif

#define FUNCTIONS 120

/* A source file of functions that log, count and call one another; `more` inserts one with five lines near the
 * front. */
static int write_source(const char *path, bool more)
{
        _cleanup_(sf_buffer_free) struct sf_buffer text = SF_BUFFER_INIT;

        sf_buffer_puts(&text,
                       "#include <stdio.h>\n#include <string.h>\n"
                       "#define LOG(text) printf(\"%s:%d \" text, __func__, __LINE__)\n",
                       NULL);
        for (int i = 0; i < FUNCTIONS; i++)
                sf_buffer_printf(&text, NULL, "int work%d(int n, char *to);\n", i);
        for (int i = 0; i < FUNCTIONS; i++) {
                if (more && i == 7)
                        sf_buffer_puts(&text,
                                       "\nint inserted(int n)\n{\n LOG(\"a new message\");\n"
                                       " for (int i = 0; i < n; i++) n += n / (i + 3);\n return n * 77;\n}\n",
                                       NULL);
                sf_buffer_printf(
                        &text, NULL,
                        "static int state%d[%d];\nint work%d(int n, char *to)\n{\n LOG(\"message %d\\n\");\n"
                        " for (int i = 0; i < n %% %d; i++)\n  state%d[i] += work%d(n - i, to) + (int)strlen(to);\n"
                        " if (n > %d) { LOG(\"too much\"); memset(to, n, %d); }\n return state%d[n %% %d];\n}\n",
                        i, 5 + i % 9, i, i * i * 31, 3 + i % 9, i, (i * 7 + 3) % FUNCTIONS, i * 13, 1 + i % 5, i,
                        5 + i % 9);
        }
        return sf_fs_write(path, text.data, text.len, 0600, NULL);
}

/* A shared object in `dir`; false where there is no compiler. */
static bool compile(const char *dir, bool more, struct sf_buffer *ret)
{
        char source[300], object[300], command[1000];

        snprintf(source, sizeof source, "%s/%d.c", dir, more);
        snprintf(object, sizeof object, "%s/%d.so", dir, more);
        snprintf(command, sizeof command, "${CC:-cc} -O2 -fPIC -shared -s -o '%s' '%s' 2>/dev/null", object, source);
        if (write_source(source, more) < 0 || system(command) != 0)
                return false;
        return sf_fs_read(object, 64u << 20, ret, NULL) == 0;
}

static void round_trip(const struct sf_delta_codec *encoder, const struct sf_delta_files *old,
                       const struct sf_delta_files *new, struct sf_buffer *patch)
{
        const struct sf_delta_file unknown = { NULL, new->files[0].size, new->files[0].ancestor };
        _cleanup_free_ uint8_t *out = malloc(unknown.size);

        assert_int_equal(encoder->encode(old, new, NULL, patch, NULL), 0);
        assert_non_null(out);
        assert_int_equal(
                sf_delta_codec_find(encoder->name)
                        ->decode(old, &(struct sf_delta_files){ &unknown, 1 }, patch->data, patch->len, out, NULL),
                0);
        assert_memory_equal(out, new->files[0].data, unknown.size);
}

/* Everything behind the inserted function has moved, every line number in it has changed. */
static void test_insertion(void **unused)
{
        _cleanup_(sf_buffer_free) struct sf_buffer old = SF_BUFFER_INIT, new = SF_BUFFER_INIT;
        _cleanup_(sf_buffer_free) struct sf_buffer plain = SF_BUFFER_INIT, elf = SF_BUFFER_INIT;
        char dir[] = "/tmp/check-delta-elf.XXXXXX", command[100];

        (void)unused;
        assert_non_null(mkdtemp(dir));
        bool made = compile(dir, false, &old) && compile(dir, true, &new);
        snprintf(command, sizeof command, "rm -r '%s'", dir);
        assert_int_equal(system(command), 0);
        if (!made) {
                fprintf(stderr, "no C compiler here: skipped\n");
                skip();
        }
        const struct sf_delta_file before = { old.data, old.len, 0 }, after = { new.data, new.len, 1 };
        const struct sf_delta_files all_old = { &before, 1 }, all_new = { &after, 1 };
        round_trip(&sf_delta_bindiff_encoder, &all_old, &all_new, &plain);
        round_trip(&sf_delta_elf_encoder, &all_old, &all_new, &elf);
        fprintf(stderr, "%zu bytes: bindiff %zu, elf %zu\n", new.len, plain.len, elf.len);
        assert_true(elf.len * 4 < plain.len); /* a twelfth with gcc 12 */
        /* And the same again is next to nothing. */
        elf.len = 0;
        round_trip(&sf_delta_elf_encoder, &all_new, &(struct sf_delta_files){ &after, 1 }, &elf);
        assert_in_range(elf.len, 1, 40);
}

#ifndef SANITIZED
static uint64_t address_space(void)
{
        _cleanup_(sf_buffer_free) struct sf_buffer text = SF_BUFFER_INIT;

        if (sf_fs_read("/proc/self/statm", 4096, &text, NULL) < 0)
                _exit(90);
        return strtoull(sf_buffer_text(&text), NULL, 10) * (uint64_t)sysconf(_SC_PAGESIZE);
}

/* In a process of its own that can get no more memory than is stated (and what malloc keeps for itself). */
static int decode_within(const struct sf_delta_codec *codec, const struct sf_delta_files *old,
                         const struct sf_delta_files *new, const struct sf_buffer *patch, uint64_t memory, uint8_t *out)
{
        int status = 0;
        pid_t child = fork();

        if (child == 0) {
                const rlim_t most = address_space() + memory + (1u << 20);

                if (setrlimit(RLIMIT_AS, &(struct rlimit){ most, most }) < 0)
                        _exit(91);
                _exit(-codec->decode(old, new, patch->data, patch->len, out, NULL));
        }
        assert_true(child > 0 && waitpid(child, &status, 0) == child && WIFEXITED(status));
        return -WEXITSTATUS(status);
}

/* This program against itself with a hole: a patch, and the same patch asking for the largest model there may be. */
static void check_memory(const struct sf_delta_codec *encoder)
{
        const struct sf_delta_codec *codec = sf_delta_codec_find(encoder->name);
        _cleanup_(sf_buffer_free) struct sf_buffer old = SF_BUFFER_INIT, new = SF_BUFFER_INIT, patch = SF_BUFFER_INIT;

        assert_int_equal(sf_fs_read("/proc/self/exe", 64u << 20, &old, NULL), 0);
        for (size_t i = 0; i < 4; i++) /* long enough that the model is not all there is */
                assert_int_equal(sf_buffer_append(&new, old.data, old.len - i * 4000, NULL), 0);
        const struct sf_delta_file before[] = { { old.data, old.len, 0 } }, after = { new.data, new.len, 1 };
        const struct sf_delta_file unknown = { NULL, new.len, 1 };
        const struct sf_delta_files all_old = { before, 1 }, all_new = { &unknown, 1 };
        uint64_t memory = codec->decode_memory(&all_old, &all_new);
        _cleanup_free_ uint8_t *out = malloc(new.len);
        assert_non_null(out);
        assert_int_equal(encoder->encode(&all_old, &(struct sf_delta_files){ &after, 1 }, NULL, &patch, NULL), 0);
        assert_int_equal(decode_within(codec, &all_old, &all_new, &patch, memory, out), 0);
        patch.data[1] = SF_REPLAY_SLOTS_LOG_MAX;
        assert_int_not_equal(decode_within(codec, &all_old, &all_new, &patch, memory, out), SF_ERR_NOMEM);
        /* The limit is felt at all. */
        assert_int_equal(decode_within(codec, &all_old, &all_new, &patch, 32u << 20, out), SF_ERR_NOMEM);
}

/* Encoding in a process that gets no more memory than is told beforehand; and the limit is felt. */
static int encode_within(const struct sf_delta_files *old, const struct sf_delta_files *new, uint64_t memory)
{
        int status = 0;
        pid_t child = fork();

        if (child == 0) {
                struct sf_delta_effort effort = { .threads = 2, .lock = PTHREAD_MUTEX_INITIALIZER };
                const rlim_t most = address_space() + memory;
                struct sf_buffer patch = SF_BUFFER_INIT;

                if (setrlimit(RLIMIT_AS, &(struct rlimit){ most, most }) < 0)
                        _exit(91);
                _exit(-sf_delta_elf_encoder.encode(old, new, &effort, &patch, NULL));
        }
        assert_true(child > 0 && waitpid(child, &status, 0) == child && WIFEXITED(status));
        return -WEXITSTATUS(status);
}

static void test_encoder_memory(void **unused)
{
        _cleanup_(sf_buffer_free) struct sf_buffer old = SF_BUFFER_INIT, new = SF_BUFFER_INIT;

        (void)unused;
        assert_int_equal(sf_fs_read("/proc/self/exe", 64u << 20, &old, NULL), 0);
        for (size_t i = 0; i < 4; i++)
                assert_int_equal(sf_buffer_append(&new, old.data, old.len - i * 4000, NULL), 0);
        const struct sf_delta_file before = { old.data, old.len, 0 };
        const struct sf_delta_file after[] = { { new.data, new.len / 2, 1 },
                                               { new.data + new.len / 2, new.len - new.len / 2, 1 } };
        const struct sf_delta_files all_old = { &before, 1 }, all_new = { after, 2 };
        /* Two threads align, and one codes. */
        assert_int_equal(encode_within(&all_old, &all_new, sf_encode_memory(&all_old, &all_new, 3)), 0);
        assert_int_equal(encode_within(&all_old, &all_new, new.len), SF_ERR_NOMEM);
        /* Less memory, fewer threads; too little, none. */
        assert_int_equal(sf_encode_threads(&all_old, &all_new, 8, sf_encode_memory(&all_old, &all_new, 3)), 3);
        assert_int_equal(sf_encode_threads(&all_old, &all_new, 8, sf_encode_memory(&all_old, &all_new, 1) - 1), 0);
}

static void test_memory(void **unused)
{
        (void)unused;
        check_memory(&sf_delta_elf_encoder);
        check_memory(&sf_delta_bindiff_encoder);
}
#else
static void test_encoder_memory(void **unused)
{
        (void)unused;
        skip();
}

static void test_memory(void **unused)
{
        (void)unused;
        skip(); /* a sanitizer takes more than any limit */
}
#endif

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_insertion),
                cmocka_unit_test(test_memory),
                cmocka_unit_test(test_encoder_memory),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
