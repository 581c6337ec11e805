/* SPDX-License-Identifier: Apache-2.0 */
/* tests/factory/check-compose.c - built files to canonical ones, and which trees are refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/fs.h"
#include "factory/pack/canonical.h"
#include "factory/pack/compose.h"
#include "factory/pack/frames.h"
#include "factory/pack/hidden.h"
#include "factory/pack/unit_type.h"

#define PLACEHOLDER "/opt/a-placeholder-that-is-long-enough-for-the-test/zqj"

static void kinds_are_told_by_content_first(void **state)
{
        static const struct {
                const char *path, *bytes;
                size_t len;
                enum sf_map_kind kind;
        } cases[] = {
                { "bin/tool", "\177ELF\2\1\1", 7, SF_MAP_BINARY },
                { "lib/x.pc", "\177ELF\2\1\1", 7, SF_MAP_BINARY },
                { "share/data", "text\0more", 9, SF_MAP_BINARY },
                { "share/data", "latin \xe9t\xe9", 9, SF_MAP_BINARY },
                { "share/data", "cut \xc3", 5, SF_MAP_BINARY },
                { "share/data", "\xc3\xa9 \xe2\x82\xac \xf0\x9f\x90\x8d", 11, SF_MAP_TEXT },
                { "share/empty", "", 0, SF_MAP_TEXT },
                { "bin/script", "#!/bin/sh\n\xe9", 11, SF_MAP_TEXT },
                { "lib/x.la", "libdir=", 7, SF_MAP_TEXT },
                { "lib/pkgconfig/x.pc", "prefix=", 7, SF_MAP_VIEW },
                { "lib/systemd/system/slurmd.service", "[Unit]", 6, SF_MAP_VIEW },
                { "bin/mpicc", "#!/bin/sh", 9, SF_MAP_VIEW },
                { "bin/srun", "#!/bin/sh", 9, SF_MAP_TEXT },
        };

        (void)state;
        for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
                if (sf_canonical_kind(cases[i].path, cases[i].bytes, cases[i].len) != cases[i].kind)
                        fail_msg("case %zu: %s", i, cases[i].path);
}

static void canonical(const char *path, const char *text, size_t len, struct sf_buffer *content, struct sf_map *map)
{
        const struct sf_canonical_rules rules = { NULL, NULL, NULL };
        struct sf_error err = SF_ERROR_INIT;

        assert_int_equal(sf_buffer_append(content, text, len, &err), 0);
        if (sf_canonical_make(path, PLACEHOLDER, content, &rules, map, &err) < 0)
                fail_msg("%s", err.text);
}

static void texts_shrink_and_offsets_follow(void **state)
{
        static const char text[] = "a=" PLACEHOLDER "/bin:" PLACEHOLDER "\nb=" PLACEHOLDER;
        static const char wanted[] = "a=/opt/slurm/view/bin:/opt/slurm/view\nb=/opt/slurm/view";
        _cleanup_(sf_buffer_free) struct sf_buffer content = SF_BUFFER_INIT;
        struct sf_map map;

        (void)state;
        canonical("etc/text", text, strlen(text), &content, &map);
        assert_string_equal(sf_buffer_text(&content), wanted);
        assert_int_equal(map.kind, SF_MAP_TEXT);
        assert_int_equal(map.count, 3);
        for (size_t i = 0; i < map.count; i++)
                assert_memory_equal(content.data + map.offsets[i], "/opt/slurm/view", 15);
        free(map.offsets);
}

static void binaries_keep_their_length(void **state)
{
        static const char bytes[] = "\0" PLACEHOLDER "/x\0" PLACEHOLDER;
        _cleanup_(sf_buffer_free) struct sf_buffer content = SF_BUFFER_INIT;
        size_t length = strlen(PLACEHOLDER);
        struct sf_map map;

        (void)state;
        canonical("lib/data", bytes, sizeof bytes, &content, &map);
        assert_int_equal(content.len, sizeof bytes);
        assert_int_equal(map.kind, SF_MAP_BINARY);
        assert_int_equal(map.count, 2);
        assert_int_equal(map.offsets[0], 1);
        assert_int_equal(map.offsets[1], 1 + length + 3);
        assert_memory_equal(content.data + 1, "/opt/slurm/view/////", 20);
        assert_memory_equal(content.data + 1 + length - 1, "//x", 4);
        free(map.offsets);
}

static void what_names_no_prefix_stays(void **state)
{
        _cleanup_(sf_buffer_free) struct sf_buffer content = SF_BUFFER_INIT;
        struct sf_map map;

        (void)state;
        canonical("lib/x.pc", "/opt/slurm/view", 15, &content, &map);
        assert_int_equal(map.kind, SF_MAP_NONE);
        assert_int_equal(map.count, 0);
        assert_string_equal(sf_buffer_text(&content), "/opt/slurm/view");
}

static void compressed_files_are_looked_into(void **state)
{
        size_t len = 300 << 10;
        _cleanup_free_ char *text = malloc(len);
        bool found = false;

        (void)state;
        assert_non_null(text);
        /* Wherever the decoder's pieces end: the placeholder across each of many places. */
        for (size_t at = (64 << 10) - 70; at < (64 << 10) + 10; at += 7) {
                _cleanup_(sf_buffer_free) struct sf_buffer content = SF_BUFFER_INIT;
                memset(text, 'x', len);
                memcpy(text + at, PLACEHOLDER, strlen(PLACEHOLDER));
                assert_int_equal(sf_frame_compress(text, len, &content, NULL), 0);
                assert_int_equal(sf_hidden_find(content.data, content.len, PLACEHOLDER, &found, NULL), 0);
                assert_true(found);
                assert_int_equal(sf_hidden_find(content.data, content.len, "/another/placeholder", &found, NULL), 0);
                assert_false(found);
        }
        assert_int_equal(sf_hidden_find("\x1f\x8bnot really", 12, PLACEHOLDER, &found, NULL), 0);
        assert_false(found);
}

/* --- trees ------------------------------------------------------------------------------------------------------ */

struct findings {
        size_t count;
        char last[SF_ERROR_TEXT_MAX];
};

static void remember(void *ctx, const char *text)
{
        struct findings *findings = ctx;

        findings->count++;
        snprintf(findings->last, sizeof findings->last, "%s", text);
}

static void put(const char *root, const char *path, const char *text)
{
        _cleanup_free_ char *full = sf_fs_join(root, path);
        _cleanup_free_ char *parent = strndup(full, (size_t)(strrchr(full, '/') - full));

        assert_int_equal(sf_fs_mkdirs(parent, 0755, NULL), 0);
        assert_int_equal(sf_fs_write(full, text, strlen(text), 0640, NULL), 0);
}

static void put_link(const char *root, const char *path, const char *target)
{
        _cleanup_free_ char *full = sf_fs_join(root, path);

        assert_int_equal(symlink(target, full), 0);
}

/* A tree with one link in lib/: what becomes of it. NULL = refused. */
static void check_link(const char *scratch, const char *target, const char *wanted)
{
        _cleanup_free_ char *root = sf_fs_join(scratch, "linked"), *stage = sf_fs_join(scratch, "stage");
        struct findings findings = { 0 };
        _cleanup_(sf_compose_free) struct sf_compose tree = {
                .stage = stage, .placeholder = PLACEHOLDER, .finding = remember, .finding_ctx = &findings
        };
        struct sf_error err = SF_ERROR_INIT;

        assert_int_equal(sf_fs_remove_tree(root, NULL), 0);
        assert_int_equal(sf_fs_remove_tree(stage, NULL), 0);
        assert_int_equal(sf_fs_mkdirs(stage, 0755, NULL), 0);
        put(root, "lib/slurm/file", "");
        put_link(root, "lib/link", target);
        if (sf_compose_add(&tree, 0, root, &err) < 0)
                fail_msg("%s", err.text);
        sf_compose_order(&tree);
        assert_int_equal(findings.count, wanted ? 0 : 1);
        if (!wanted) {
                assert_non_null(strstr(findings.last, "lib/link"));
                return;
        }
        const struct sf_entry *last = &tree.nodes[tree.count - 1]->entry;
        assert_int_equal(last->type, SF_ENTRY_SYMLINK);
        assert_string_equal(last->target, wanted);
}

static void links_stay_inside_or_are_refused(void **state)
{
        const char *scratch = *state;
        _cleanup_free_ char *inside = sf_format("%s/linked/lib/slurm/file", scratch);

        check_link(scratch, "slurm/file", "slurm/file");
        check_link(scratch, "../lib/slurm", "../lib/slurm");
        check_link(scratch, PLACEHOLDER "/lib/slurm/file", "slurm/file");
        check_link(scratch, PLACEHOLDER "/sbin/slurmd", "../sbin/slurmd");
        check_link(scratch, PLACEHOLDER "/", "..");
        check_link(scratch, "./slurm//file/.", "slurm/file");
        check_link(scratch, ".", ".");
        check_link(scratch, PLACEHOLDER "/lib", "../lib");
        check_link(scratch, inside, "slurm/file");
        check_link(scratch, "/usr/lib/libc.so.6", NULL);
        check_link(scratch, PLACEHOLDER "-other/lib", NULL);
        check_link(scratch, PLACEHOLDER "/../../etc", NULL);
        check_link(scratch, "../../etc/passwd", NULL);
        check_link(scratch, "slurm/../../../etc", NULL);
}

static const struct sf_node *node(const struct sf_compose *tree, const char *path, unsigned layer)
{
        for (size_t i = 0; i < tree->count; i++)
                if (tree->nodes[i]->layer == layer && strcmp(tree->nodes[i]->entry.path, path) == 0)
                        return tree->nodes[i];
        return NULL;
}

static void layers_share_what_is_the_same(void **state)
{
        _cleanup_free_ char *deps = sf_fs_join(*state, "deps"), *whole = sf_fs_join(*state, "whole");
        _cleanup_free_ char *stage = sf_fs_join(*state, "stage2");
        struct findings findings = { 0 };
        _cleanup_(sf_compose_free) struct sf_compose tree = {
                .stage = stage, .placeholder = PLACEHOLDER, .finding = remember, .finding_ctx = &findings
        };
        struct sf_error err = SF_ERROR_INIT;

        put(deps, "lib/shared", PLACEHOLDER);
        put(deps, "share/doc/readme", "doc");
        put(whole, "lib/shared", PLACEHOLDER);
        put(whole, "lib/own", "own");
        put(whole, "share/doc/readme", "doc");
        put(whole, "share/doc-more/own", "more"); /* sorts between share/doc and share/doc/readme */
        assert_int_equal(sf_fs_mkdirs(stage, 0755, NULL), 0);
        if (sf_compose_add(&tree, 0, deps, &err) < 0 || sf_compose_add(&tree, 1, whole, &err) < 0)
                fail_msg("%s", err.text);
        assert_int_equal(findings.count, 0);
        assert_non_null(node(&tree, "lib/shared", 0));
        assert_null(node(&tree, "lib/shared", 1));
        assert_non_null(node(&tree, "lib", 1));
        assert_non_null(node(&tree, "share", 1));
        assert_non_null(node(&tree, "share/doc", 0));
        assert_null(node(&tree, "share/doc", 1));
        assert_int_equal(node(&tree, "lib/own", 1)->entry.mode, 0644);
        sf_compose_order(&tree);
        for (size_t i = 1; i < tree.count; i++)
                assert_true(tree.nodes[i - 1]->layer <= tree.nodes[i]->layer);
}

static void layers_that_disagree_are_refused(void **state)
{
        _cleanup_free_ char *deps = sf_fs_join(*state, "deps3"), *whole = sf_fs_join(*state, "whole3");
        _cleanup_free_ char *stage = sf_fs_join(*state, "stage3");
        struct findings findings = { 0 };
        _cleanup_(sf_compose_free) struct sf_compose tree = {
                .stage = stage, .placeholder = PLACEHOLDER, .finding = remember, .finding_ctx = &findings
        };

        put(deps, "lib/file", "one");
        put(deps, "lib/name", "a file");
        put(whole, "lib/file", "two");
        put_link(whole, "lib/name", "file");
        assert_int_equal(sf_fs_mkdirs(stage, 0755, NULL), 0);
        assert_int_equal(sf_compose_add(&tree, 0, deps, NULL), 0);
        assert_int_equal(sf_compose_add(&tree, 1, whole, NULL), 0);
        assert_int_equal(findings.count, 2);
        assert_int_equal(tree.findings, 2);
}

static void unit_type(const char *tree, const char *version, const char *wanted)
{
        char type[16] = "";

        assert_int_equal(sf_unit_type_of(tree, version, type, NULL), 0);
        assert_string_equal(type, wanted);
}

static void the_unit_file_beats_the_version(void **state)
{
        _cleanup_free_ char *tree = sf_fs_join(*state, "units");

        assert_int_equal(sf_fs_mkdirs(tree, 0755, NULL), 0);
        unit_type(tree, "22.05.8", "simple");
        unit_type(tree, "24.11.5", "notify");
        put(tree, "lib/systemd/system/slurmd.service", "[Service]\n#Type=notify\nType=simple\n");
        unit_type(tree, "24.11.5", "simple");
        put(tree, "lib/systemd/system/slurmd.service", "[Service]\nType=notify\n");
        unit_type(tree, "22.05.8", "notify");
        put(tree, "lib/systemd/system/slurmd.service", "[Service]\nType=forking\n");
        unit_type(tree, "22.05.8", "simple");
}

static int set_up(void **state)
{
        char path[] = "/tmp/sf-check-compose.XXXXXX";

        *state = mkdtemp(path) ? strdup(path) : NULL;
        return *state ? 0 : -1;
}

static int tear_down(void **state)
{
        int r = sf_fs_remove_tree(*state, NULL);

        free(*state);
        return r;
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(kinds_are_told_by_content_first),  cmocka_unit_test(texts_shrink_and_offsets_follow),
                cmocka_unit_test(binaries_keep_their_length),       cmocka_unit_test(what_names_no_prefix_stays),
                cmocka_unit_test(compressed_files_are_looked_into), cmocka_unit_test(links_stay_inside_or_are_refused),
                cmocka_unit_test(layers_share_what_is_the_same),    cmocka_unit_test(layers_that_disagree_are_refused),
                cmocka_unit_test(the_unit_file_beats_the_version),
        };

        return cmocka_run_group_tests(tests, set_up, tear_down);
}
