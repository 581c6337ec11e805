/* SPDX-License-Identifier: Apache-2.0 */
/* tests/release/check-index.c - the signed index: round trip, order, choice, and every member that may lie. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "release/index.h"
#include "release/layout.h"

#define D1    "1111111111111111111111111111111111111111111111111111111111111111"
#define BLOB  "{\"sha256\":\"" D1 "\",\"size\":7}"
#define DELTA "{\"codec\":\"elf\",\"content\":" BLOB ",\"filelist\":" BLOB ",\"from\":\"" D1 "\",\"memory\":90}"
#define RELEASE(name, deltas)                                                                             \
        "{\"created\":\"2026-11-23T12:00:00Z\",\"deltas\":[" deltas "],\"download\":5,\"filelist\":" BLOB \
        ",\"installed\":24,\"manifest\":" BLOB ",\"name\":\"" name "\",\"tree\":\"" D1 "\",\"unit\":\"notify\"}"
#define INDEX(releases) "{\"arch\":\"amd64\",\"index\":1,\"releases\":[" releases "],\"toolchain\":\"noble\"}\n"

static int parse(const char *text, struct sf_index *ret, struct sf_error *err)
{
        return sf_index_parse("index/noble-amd64.json", text, strlen(text), ret, err);
}

static void reads_and_writes(void **state)
{
        static const char text[] = INDEX(
                RELEASE("25.11.6-noble-amd64", DELTA "," DELTA) "," RELEASE("24.11.5-noble-amd64", ""));
        _cleanup_(sf_index_free) struct sf_index index = { 0 };
        _cleanup_(sf_buffer_free) struct sf_buffer out = SF_BUFFER_INIT;
        struct sf_error err = SF_ERROR_INIT;

        (void)state;
        assert_int_equal(parse(text, &index, &err), 0);
        assert_int_equal(index.release_count, 2);
        assert_int_equal(index.releases[0].delta_count, 2);
        assert_string_equal(index.releases[0].deltas[1].codec, "elf");
        assert_int_equal(index.releases[0].deltas[1].memory, 90);
        assert_int_equal(index.releases[1].installed, 24);
        assert_int_equal(sf_index_write(&index, &out, &err), 0);
        assert_string_equal(sf_buffer_text(&out), text);
}

static void sorts_puts_and_finds(void **state)
{
        static const char text[] = INDEX(RELEASE("24.11.5-noble-amd64", "") "," RELEASE("24.11.10-noble-amd64", DELTA));
        _cleanup_(sf_index_free) struct sf_index index = { 0 };
        const struct sf_index_release *chosen;
        struct sf_index_release more;

        (void)state;
        assert_int_equal(parse(text, &index, NULL), 0);
        assert_string_equal(index.releases[0].name.text, "24.11.10-noble-amd64");
        assert_int_equal(sf_index_choose(&index, "24.11", &chosen, NULL), 0);
        assert_ptr_equal(chosen, &index.releases[0]);
        assert_int_equal(sf_index_choose(&index, "25.11", &chosen, NULL), SF_ERR_NOT_FOUND);
        assert_null(sf_index_find(&index, "24.11"));

        more = index.releases[0]; /* its deltas must be copied, not shared */
        assert_int_equal(sf_release_name_parse("25.11.0-noble-amd64", &more.name, NULL), 0);
        assert_int_equal(sf_index_put(&index, &more, NULL), 0);
        assert_int_equal(index.release_count, 3);
        assert_string_equal(index.releases[0].name.text, "25.11.0-noble-amd64");
        assert_int_equal(index.releases[0].delta_count, 1);
        more.deltas = NULL;
        more.delta_count = 0;
        assert_int_equal(sf_index_put(&index, &more, NULL), 0);
        assert_int_equal(index.release_count, 3);
        assert_int_equal(sf_index_find(&index, "25.11.0-noble-amd64")->delta_count, 0);
}

/* Replaces the first `old` in a good index by `new`; what must come out. */
static const struct {
        const char *old, *new;
        int expected;
} lies[] = {
        { "\"unit\"", "\"requires\":{\"cpu\":\"x86-64-v2\",\"libc\":\"2.34\",\"libraries\":[\"a.so.1\"]},\"unit\"", 0 },
        { "\"unit\"", "\"requires\":{},\"unit\"", 0 },
        { "\"unit\"", "\"requires\":[],\"unit\"", SF_ERR_CORRUPT },
        { "\"unit\"", "\"requires\":{\"libc\":2},\"unit\"", SF_ERR_CORRUPT },
        { "\"unit\"", "\"requires\":{\"libraries\":{}},\"unit\"", SF_ERR_CORRUPT },
        { "\"unit\"", "\"requires\":{\"libraries\":[\"a b\"]},\"unit\"", SF_ERR_CORRUPT },
        { "\"unit\"", "\"requires\":{\"libraries\":[\"a/b\"]},\"unit\"", SF_ERR_CORRUPT },
        { "\"unit\"", "\"requires\":{\"libraries\":[1]},\"unit\"", SF_ERR_CORRUPT },
        { "\"unit\"", "\"later\":{\"x\":[1]},\"unit\"", 0 }, /* a member of the future */
        { "\"index\":1", "\"index\":2", SF_ERR_UNSUPPORTED },
        { "\"index\":1", "\"index\":0", SF_ERR_CORRUPT },
        { "\"index\":1", "\"index\":\"1\"", SF_ERR_CORRUPT },
        { "\"index\":1,", "", SF_ERR_CORRUPT },
        { "\"index\":1", "\"index\":1,\"index\":1", SF_ERR_CORRUPT },
        { "\"arch\":\"amd64\"", "\"arch\":\"arm64\"", SF_ERR_CORRUPT },
        { "\"toolchain\":\"noble\"", "\"toolchain\":\"../x\"", SF_ERR_CORRUPT },
        { "\"toolchain\":\"noble\"", "\"toolchain\":\"\"", SF_ERR_CORRUPT },
        { "24.11.5-noble", "24.11.5-jammy", SF_ERR_CORRUPT },
        { "24.11.5-noble-amd64", "../../etc", SF_ERR_CORRUPT },
        { "24.11.5-noble-amd64", "25.11.6-noble-amd64", SF_ERR_CORRUPT },
        { "2026-11-23T12:00:00Z", "2026-11-23 12:00:00Z", SF_ERR_CORRUPT },
        { "2026-11-23T12:00:00Z", "2026-11-23T12:00:00Zx", SF_ERR_CORRUPT },
        { "2026-11-23T12:00:00Z", "", SF_ERR_CORRUPT },
        { "\"download\":5", "\"download\":-5", SF_ERR_CORRUPT },
        { "\"download\":5", "\"download\":5.5", SF_ERR_CORRUPT },
        { "\"download\":5", "\"download\":9223372036854775807", SF_ERR_CORRUPT },
        { "\"download\":5", "\"download\":99999999999999999999", SF_ERR_CORRUPT },
        { "\"unit\":\"notify\"", "\"unit\":\"a-very-long-unit-type\"", SF_ERR_CORRUPT },
        { "\"unit\":\"notify\"", "\"unit\":\"no\\u0000tify\"", SF_ERR_CORRUPT },
        { "\"codec\":\"elf\"", "\"codec\":\"../elf\"", SF_ERR_CORRUPT },
        { "\"tree\":\"1", "\"tree\":\"", SF_ERR_CORRUPT },
        { "\"tree\":\"1", "\"tree\":\"A", SF_ERR_CORRUPT },
        { "\"tree\":\"", "\"tree\":\"sha256:", SF_ERR_CORRUPT },
        { "\"manifest\":" BLOB, "\"manifest\":[]", SF_ERR_CORRUPT },
        { "\"size\":7", "\"size\":true", SF_ERR_CORRUPT },
        { "[" DELTA "]", "{}", SF_ERR_CORRUPT },
        { "[" DELTA "]", "[1]", SF_ERR_CORRUPT },
        { "[" DELTA "]", "[[[[[[[[[[[[[]]]]]]]]]]]]]", SF_ERR_CORRUPT },
        { "\"releases\":[", "\"releases\":[7,", SF_ERR_CORRUPT },
        { "}\n", "}}\n", SF_ERR_CORRUPT },
};

static void refuses_every_lie(void **state)
{
        static const char text[] = INDEX(RELEASE("25.11.6-noble-amd64", DELTA) "," RELEASE("24.11.5-noble-amd64", ""));

        (void)state;
        for (size_t i = 0; i < sizeof lies / sizeof *lies; i++) {
                const char *place = strstr(text, lies[i].old);
                struct sf_error err = SF_ERROR_INIT;
                struct sf_index index = { 0 };
                assert_non_null(place);
                _cleanup_free_ char *lie = sf_format("%.*s%s%s", (int)(place - text), text, lies[i].new,
                                                     place + strlen(lies[i].old));
                int r = parse(lie, &index, &err);
                print_message("    %-40.40s %s\n", lies[i].new, r < 0 ? err.text : "accepted");
                assert_int_equal(r, lies[i].expected);
                if (r == 0)
                        sf_index_free(&index);
                else
                        assert_non_null(strstr(err.text, "index/noble-amd64.json"));
        }
}

static void refuses_every_truncation(void **state)
{
        static const char text[] = INDEX(RELEASE("25.11.6-noble-amd64", DELTA));

        (void)state;
        for (size_t len = 0; len + 2 < sizeof text; len++) {
                struct sf_index index;
                _cleanup_free_ char *copy = malloc(len ? len : 1);
                memcpy(copy, text, len);
                assert_true(sf_index_parse("index", copy, len, &index, NULL) < 0);
        }
}

static void names_places_once(void **state)
{
        struct sf_digest digest;

        (void)state;
        assert_int_equal(sf_digest_parse(D1, &digest, NULL), 0);
        _cleanup_free_ char *blob = sf_layout_blob(&digest), *index = sf_layout_index_target("noble", "amd64");
        assert_string_equal(blob, "blobs/sha256/" D1);
        assert_string_equal(index, "index/noble-amd64.json");
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(reads_and_writes),  cmocka_unit_test(sorts_puts_and_finds),
                cmocka_unit_test(refuses_every_lie), cmocka_unit_test(refuses_every_truncation),
                cmocka_unit_test(names_places_once),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
