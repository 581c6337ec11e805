/* SPDX-License-Identifier: Apache-2.0 */
/* tests/base/check-printable.c - text from outside, on its way to a terminal, into an error line and into JSON. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/error.h"
#include "base/json.h"
#include "base/output.h"
#include "base/escape.h"
#include "base/printable.h"

static const struct {
        const char *text;
        const char *shown;   /* by sf_escape_append */
        const char *in_json; /* the same with controls kept */
        const char *flat;    /* by sf_printable_flatten */
} cases[] = {
        { "", "", "", "" },
        { "slurmd → n1", "slurmd → n1", "slurmd → n1", "slurmd → n1" },
        { "\xf0\x9f\x90\x8d", "\xf0\x9f\x90\x8d", "\xf0\x9f\x90\x8d", "\xf0\x9f\x90\x8d" },
        { "a\033[2Jb", "a\\x1b[2Jb", "a\033[2Jb", "a [2Jb" },
        { "a\nb\tc\rd\x7f", "a\\x0ab\\x09c\\x0dd\\x7f", "a\nb\tc\rd\x7f", "a b c d " },
        /* C1: a terminal may take U+009B for ESC [. */
        { "a\xc2\x9b"
          "2J",
          "a\\xc2\\x9b2J",
          "a\xc2\x9b"
          "2J",
          "a  2J" },
        /* Right-to-left override, line separator, byte order mark. */
        { "x\xe2\x80\xaey", "x\\xe2\\x80\\xaey", "x\xe2\x80\xaey", "x   y" },
        { "x\xe2\x80\xa8y", "x\\xe2\\x80\\xa8y", "x\xe2\x80\xa8y", "x   y" },
        { "\xef\xbb\xbfx", "\\xef\\xbb\\xbfx", "\xef\xbb\xbfx", "   x" },
        /* Latin-1, a lone continuation, an overlong slash, a surrogate, beyond Unicode. */
        { "caf\xe9!", "caf\\xe9!", "caf\\xe9!", "caf?!" },
        { "\x80y", "\\x80y", "\\x80y", "?y" },
        { "\xc0\xaf.", "\\xc0\\xaf.", "\\xc0\\xaf.", "??." },
        { "\xed\xa0\x80.", "\\xed\\xa0\\x80.", "\\xed\\xa0\\x80.", "???." },
        { "\xf5\x80\x80\x80.", "\\xf5\\x80\\x80\\x80.", "\\xf5\\x80\\x80\\x80.", "????." },
        /* Cut by a buffer that was too short. */
        { "x\xe2\x86", "x\\xe2\\x86", "x\\xe2\\x86", "x" },
        { "x\xf0\x9f\x90", "x\\xf0\\x9f\\x90", "x\\xf0\\x9f\\x90", "x" },
};

static void texts(void **ctx)
{
        (void)ctx;
        for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
                _cleanup_(sf_buffer_free) struct sf_buffer shown = SF_BUFFER_INIT, in_json = SF_BUFFER_INIT;
                char flat[64];
                strcpy(flat, cases[i].text);
                assert_int_equal(sf_escape_append(&shown, cases[i].text, false, NULL), 0);
                assert_int_equal(sf_escape_append(&in_json, cases[i].text, true, NULL), 0);
                sf_printable_flatten(flat);
                assert_string_equal(sf_buffer_text(&shown), cases[i].shown);
                assert_string_equal(sf_buffer_text(&in_json), cases[i].in_json);
                assert_string_equal(flat, cases[i].flat);
        }
}

/* Whatever bytes come, nothing is lost, the result is a string of JSON, and what is shown has no control character. */
static void every_pair_of_bytes(void **ctx)
{
        (void)ctx;
        for (unsigned i = 1; i < 0x10000; i++) {
                char text[] = { (char)(i & 0xff), (char)(i >> 8), 'z', '\0' };
                _cleanup_(sf_buffer_free) struct sf_buffer shown = SF_BUFFER_INIT;
                if (!text[0])
                        continue;
                _cleanup_json_ json_t *value = sf_json_text(text);
                assert_true(json_is_string(value));
                assert_int_equal(sf_escape_append(&shown, text, false, NULL), 0);
                for (const char *c = sf_buffer_text(&shown); *c; c++)
                        assert_true((unsigned char)*c >= 0x20 && *c != 0x7f);
        }
}

static void members(void **ctx)
{
        _cleanup_json_ json_t *object = json_object();

        (void)ctx;
        sf_json_set_name(object, "command", "a\xff");
        sf_json_set_name(object, "nothing", "");
        assert_string_equal(json_string_value(json_object_get(object, "command")), "a\\xff");
        assert_true(json_is_null(json_object_get(object, "nothing")));
        json_object_set_new(object, "null", sf_json_text(NULL));
        assert_true(json_is_null(json_object_get(object, "null")));
}

static void errors(void **ctx)
{
        struct sf_error err = SF_ERROR_INIT;

        (void)ctx;
        assert_int_equal(sf_error_set(&err, SF_ERR_IO, "file %s", "\033]0;x\a\xfe"), SF_ERR_IO);
        assert_string_equal(err.text, "file  ]0;x ?");
        /* Without a text the code still travels. */
        assert_int_equal(sf_error_set(NULL, SF_ERR_NO_SPACE, "x"), SF_ERR_NO_SPACE);
        assert_int_equal(sf_error_prefix(NULL, "outer"), SF_ERR_NO_SPACE);
        sf_error_clear(NULL);
        char filler[SF_ERROR_TEXT_MAX + 2];
        memset(filler, 'x', sizeof filler - 1);
        filler[sizeof filler - 1] = '\0';
        memcpy(filler + SF_ERROR_TEXT_MAX - 2, "→", 3);
        sf_error_set(&err, SF_ERR_IO, "%s", filler);
        assert_int_equal(strlen(err.text), SF_ERROR_TEXT_MAX - 2);
}

/* Standard output during one call, into `out`. */
static void capture(char *out, size_t room, void (*call)(void))
{
        FILE *file = tmpfile();
        int saved = dup(STDOUT_FILENO);

        fflush(stdout);
        dup2(fileno(file), STDOUT_FILENO);
        call();
        fflush(stdout);
        dup2(saved, STDOUT_FILENO);
        close(saved);
        rewind(file);
        size_t len = fread(out, 1, room - 1, file);
        out[len] = '\0';
        fclose(file);
}

static void write_lines(void)
{
        sf_output_open(false);
        sf_output_line("%s\033[31m", "red\n");
        sf_output_text("[Service]\nKillMode=process\n");
}

static void write_object(void)
{
        _cleanup_json_ json_t *object = json_pack("{s:o}", "name", sf_json_text("→\x7f\xff\033"));

        sf_output_open(true);
        sf_output_line("not here");
        sf_output_json(object);
        sf_output_json(object);
}

static void output(void **ctx)
{
        char out[256];

        (void)ctx;
        capture(out, sizeof out, write_lines);
        assert_string_equal(out, "red\\x0a\\x1b[31m\n[Service]\nKillMode=process\n");
        capture(out, sizeof out, write_object);
        assert_string_equal(out, "{\"name\":\"\\u2192\\u007f\\\\xff\\u001B\"}\n");
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(texts),   cmocka_unit_test(every_pair_of_bytes),
                cmocka_unit_test(members), cmocka_unit_test(errors),
                cmocka_unit_test(output),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
