/* SPDX-License-Identifier: Apache-2.0 */
/* tests/factory/check-layer.c - frames, layers and back, and what index.json says. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zstd.h>

#include "base/cleanup.h"
#include "base/fs.h"
#include "factory/pack/builds.h"
#include "factory/pack/contents.h"
#include "factory/pack/frames.h"
#include "factory/pack/pack.h"
#include "factory/pack/reuse.h"
#include "factory/publish/repo.h"

#define MIB (1u << 20)

/* Bytes that differ from seed to seed and compress in no time. */
static void fill(uint8_t *out, size_t len, unsigned seed)
{
        for (size_t i = 0; i < len; i++)
                out[i] = (uint8_t)((i % 251) * seed);
}

static void frames_are_independent_and_in_order(void **state)
{
        _cleanup_free_ char *path = sf_fs_join(*state, "frames");
        _cleanup_close_ int fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
        _cleanup_(sf_cleanup_frames) struct sf_frames *frames = NULL;
        _cleanup_(sf_buffer_free) struct sf_buffer blob = SF_BUFFER_INIT;
        _cleanup_free_ struct sf_frame_info *list = NULL;
        struct sf_digest digest, again;
        uint64_t size, at = 0;
        size_t count;

        assert_int_equal(sf_frames_new(fd, path, &frames, NULL), 0);
        /* More frames than slots, of very different cost, so that they end out of order. */
        for (size_t i = 0; i < 20; i++) {
                struct sf_buffer content = SF_BUFFER_INIT;
                size_t len = i % 3 ? 1000 + i : 400000;
                assert_int_equal(sf_buffer_reserve(&content, len, NULL), 0);
                memset(content.data, (int)i, len);
                content.len = len;
                assert_int_equal(sf_frames_add(frames, &content, NULL), 0);
                assert_null(content.data);
        }
        assert_int_equal(sf_frames_finish(frames, &list, &count, &size, &digest, NULL), 0);
        assert_int_equal(count, 20);
        assert_int_equal(sf_fs_read(path, MIB, &blob, NULL), 0);
        assert_int_equal(blob.len, size);
        sf_digest_of(blob.data, blob.len, &again);
        assert_true(sf_digest_equal(&digest, &again));
        for (size_t i = 0; i < count; at += list[i++].size) {
                _cleanup_free_ uint8_t *content = malloc(list[i].content_size);
                assert_int_equal(ZSTD_decompress(content, list[i].content_size, blob.data + at, list[i].size),
                                 list[i].content_size);
                assert_int_equal(content[0], i);
                sf_digest_of(blob.data + at, list[i].size, &again);
                assert_true(sf_digest_equal(&list[i].digest, &again));
        }
        assert_int_equal(at, size);
}

static void put(const char *root, const char *path, const char *magic, size_t len, unsigned seed)
{
        _cleanup_free_ char *full = sf_fs_join(root, path);
        _cleanup_free_ uint8_t *bytes = malloc(len);

        fill(bytes, len, seed);
        memcpy(bytes, magic, strlen(magic));
        assert_int_equal(sf_fs_write(full, bytes, len, 0644, NULL), 0);
}

/* A tree whose frames are known: archives of 9 MiB and 5 MiB, then others of 3 x 6 MiB and a small one. */
static void pack(const char *scratch, const char *version, struct sf_pack_result *ret)
{
        static const char placeholder[] =
                "/opt/a/placeholder/of/two/hundred/and/fifty/six/characters/or/more/is/what/the/factory/wants/so/here/"
                "it/is/in/all/its/length/with/many/slashes/that/nobody/will/ever/type/by/hand/because/the/machine/"
                "writes/it/into/every/file/and/takes/it/out/again/when/the/release/is/packed/zqj";
        _cleanup_free_ char *root = sf_fs_join(scratch, "tree"), *lib = sf_fs_join(root, "lib");
        _cleanup_free_ char *link = sf_fs_join(lib, "link"), *builds = sf_fs_join(scratch, "builds");
        struct sf_pack_layer layer = { "slurm", root };
        struct sf_release_name name;
        struct sf_pack job = {
                .name = &name, .layers = &layer, .layer_count = 1, .placeholder = placeholder, .builds = builds
        };
        struct sf_error err = SF_ERROR_INIT;

        assert_true(strlen(placeholder) >= 256);
        if (!sf_fs_exists(lib)) {
                assert_int_equal(sf_fs_mkdirs(lib, 0755, NULL), 0);
                put(root, "lib/a.a", "!<arch>\n", 9 * MIB, 1);
                put(root, "lib/b.a", "!<arch>\n", 5 * MIB, 2);
                put(root, "lib/x", "", 6 * MIB, 3);
                put(root, "lib/y", "", 6 * MIB, 4);
                put(root, "lib/z", "", 6 * MIB, 5);
                put(root, "lib/small", "", 5000, 6);
                assert_int_equal(symlink("small", link), 0);
        }
        assert_int_equal(sf_release_name_make(version, "bookworm", "amd64", "", &name, NULL), 0);
        if (sf_pack_release(&job, ret, &err) < 0)
                fail_msg("%s", err.text);
}

static void frames_are_cut_where_kinds_change_or_at_the_limit(void **state)
{
        _cleanup_(sf_pack_result_free) struct sf_pack_result result = { 0 };
        _cleanup_(sf_build_close) struct sf_build build = { 0 };
        _cleanup_(sf_contents_close) struct sf_contents contents = SF_CONTENTS_INIT;

        pack(*state, "24.11.5", &result);
        assert_int_equal(sf_build_open(result.directory, result.directory, &build, NULL), 0);
        assert_int_equal(sf_contents_open(build.blobs, sf_build_release(&build), &contents, NULL), 0);
        /* 9+5 MiB of archives | 12 MiB of others (a third would pass 16) | the rest */
        assert_int_equal(contents.list.frame_count, 3);
        assert_in_range(contents.list.frames[0].content_size, 14 * MIB, 14 * MIB + 16384);
        assert_in_range(contents.list.frames[1].content_size, 12 * MIB, 12 * MIB + 16384);
        assert_int_equal(sf_filelist_find(&contents.list, "lib/b.a")->frame, 0);
        assert_int_equal(sf_filelist_find(&contents.list, "lib/x")->frame, 1);
        assert_int_equal(sf_filelist_find(&contents.list, "lib/link")->frame, 2);
        assert_string_equal(sf_filelist_find(&contents.list, "lib/link")->target, "small");
        assert_int_equal(contents.list.content_size, result.installed);
}

static void contents_come_back_and_damage_is_found(void **state)
{
        _cleanup_(sf_pack_result_free) struct sf_pack_result result = { 0 };
        _cleanup_(sf_build_close) struct sf_build build = { 0 };
        _cleanup_(sf_contents_close) struct sf_contents contents = SF_CONTENTS_INIT;
        _cleanup_(sf_buffer_free) struct sf_buffer one = SF_BUFFER_INIT, blob = SF_BUFFER_INIT;
        _cleanup_free_ uint8_t *wanted = malloc(5000);
        char hex[SF_DIGEST_HEX + 1];
        struct sf_error err = SF_ERROR_INIT;

        pack(*state, "24.11.5", &result);
        assert_int_equal(sf_build_open(result.directory, result.directory, &build, NULL), 0);
        assert_int_equal(sf_contents_open(build.blobs, sf_build_release(&build), &contents, NULL), 0);
        fill(wanted, 5000, 6);
        assert_int_equal(sf_contents_read(&contents, sf_filelist_find(&contents.list, "lib/small"), &one, NULL), 0);
        assert_int_equal(one.len, 5000);
        assert_memory_equal(one.data, wanted, 5000);

        _cleanup_free_ char *path = sf_fs_join(build.blobs, sf_digest_hex(&contents.list.layers[0].digest, hex));
        assert_int_equal(sf_fs_read(path, 64 * MIB, &blob, NULL), 0);
        blob.data[blob.len / 2] ^= 1;
        assert_int_equal(sf_fs_write(path, blob.data, blob.len, 0644, NULL), 0);
        sf_contents_close(&contents);
        assert_int_equal(sf_contents_open(build.blobs, sf_build_release(&build), &contents, &err), SF_ERR_CORRUPT);
        assert_non_null(strstr(err.text, "layer slurm"));
        /* Nor does a damaged blob get into a repository. */
        _cleanup_free_ char *repo = sf_fs_join(*state, "repo-damaged");
        struct sf_blob layer = { .size = blob.len };
        assert_int_equal(sf_digest_parse(hex, &layer.digest, NULL), 0);
        assert_int_equal(sf_repo_open(repo, NULL), 0);
        assert_int_equal(sf_repo_copy(repo, build.blobs, &layer, &err), SF_ERR_CORRUPT);
        _cleanup_free_ char *copied = sf_format("%s/blobs/sha256/%s", repo, hex);
        assert_false(sf_fs_exists(copied));
}

/* --- layers of another build ------------------------------------------------------------------------------------- */

static void change_line(const char *path, const char *from, const char *to)
{
        _cleanup_(sf_buffer_free) struct sf_buffer text = SF_BUFFER_INIT;
        char *at;

        assert_int_equal(sf_fs_read(path, MIB, &text, NULL), 0);
        at = strstr((char *)text.data, from);
        assert_non_null(at);
        assert_int_equal(strlen(from), strlen(to));
        memcpy(at, to, strlen(to));
        assert_int_equal(sf_fs_write(path, text.data, text.len, 0644, NULL), 0);
}

/* The tree that pack() packs, as the layer writer sees it. */
static void compose(const char *scratch, struct sf_compose *tree)
{
        _cleanup_free_ char *root = sf_fs_join(scratch, "tree");

        assert_int_equal(sf_fs_mkdirs(tree->stage, 0755, NULL), 0);
        assert_int_equal(sf_compose_add(tree, 0, root, NULL), 0);
        sf_compose_order(tree);
}

static int reuse(const char *scratch, const struct sf_layer_part *part, struct sf_layer_blob *ret)
{
        _cleanup_free_ char *builds = sf_fs_join(scratch, "builds"), *blobs = sf_fs_join(scratch, "reused");
        struct sf_digest diff_id;

        assert_int_equal(sf_fs_mkdirs(blobs, 0755, NULL), 0);
        assert_int_equal(sf_layer_digest(part, &diff_id, NULL), 0);
        return sf_reuse_layer(builds, part, &diff_id, blobs, ret);
}

static void a_layer_of_another_build_is_taken_if_it_is_what_packing_would_make(void **state)
{
        _cleanup_(sf_pack_result_free) struct sf_pack_result result = { 0 };
        _cleanup_(sf_build_close) struct sf_build build = { 0 };
        _cleanup_(sf_contents_close) struct sf_contents contents = SF_CONTENTS_INIT;
        _cleanup_free_ char *stage = sf_fs_join(*state, "reuse-stage");
        _cleanup_(sf_compose_free) struct sf_compose tree = { .stage = stage, .placeholder = "/nowhere" };
        _cleanup_(sf_buffer_free) struct sf_buffer is = SF_BUFFER_INIT, was = SF_BUFFER_INIT;
        struct sf_layer_blob taken = { 0 };
        char hex[SF_DIGEST_HEX + 1];

        pack(*state, "24.11.5", &result);
        assert_int_equal(sf_build_open(result.directory, result.directory, &build, NULL), 0);
        assert_int_equal(sf_contents_open(build.blobs, sf_build_release(&build), &contents, NULL), 0);
        compose(*state, &tree);
        struct sf_layer_part part = { "slurm", &tree, 0, tree.count, 0 };
        _cleanup_free_ char *noted = sf_fs_join(result.directory, SF_REUSE_FILE);
        _cleanup_free_ char *blob = sf_format("%s/%s", build.blobs,
                                              sf_digest_hex(&contents.list.layers[0].digest, hex));
        _cleanup_free_ char *copy = sf_format("%s/reused/%s", (const char *)*state, hex);

        assert_int_equal(reuse(*state, &part, &taken), 1);
        assert_true(sf_digest_equal(&taken.digest, &contents.list.layers[0].digest));
        assert_int_equal(taken.size, contents.list.layers[0].size);
        assert_int_equal(taken.frame_count, 3);
        for (size_t i = 0; i < tree.count; i++)
                assert_int_equal(tree.nodes[i]->entry.frame, contents.list.entries[i].frame);
        assert_int_equal(sf_fs_read(copy, 64 * MIB, &is, NULL), 0);
        assert_int_equal(sf_fs_read(blob, 64 * MIB, &was, NULL), 0);
        assert_int_equal(is.len, was.len);
        assert_memory_equal(is.data, was.data, was.len);
        free(taken.frames);

        /* Not from another zstd, of another layer, with other times in it, or where the blob is damaged. */
        change_line(noted, "sf-packed 1 zstd", "sf-packed 1 xstd");
        assert_int_equal(reuse(*state, &part, &taken), 0);
        change_line(noted, "sf-packed 1 xstd", "sf-packed 1 zstd");
        part.name = "deps";
        assert_int_equal(reuse(*state, &part, &taken), 0);
        part.name = "slurm";
        part.epoch = 1;
        assert_int_equal(reuse(*state, &part, &taken), 0);
        part.epoch = 0;
        assert_int_equal(reuse(*state, &part, &taken), 1);
        free(taken.frames);
        was.data[was.len / 2] ^= 1;
        assert_int_equal(sf_fs_write(blob, was.data, was.len, 0644, NULL), 0);
        assert_int_equal(reuse(*state, &part, &taken), 0);
}

/* Packing again beside the damaged build gives what it gave. */
static void a_release_is_the_same_with_and_without_another_build(void **state)
{
        _cleanup_(sf_pack_result_free) struct sf_pack_result first = { 0 }, second = { 0 };
        _cleanup_(sf_build_close) struct sf_build one = { 0 }, two = { 0 };

        pack(*state, "24.11.5", &first);
        pack(*state, "24.11.6", &second);
        assert_int_equal(sf_build_open(first.directory, first.directory, &one, NULL), 0);
        assert_int_equal(sf_build_open(second.directory, second.directory, &two, NULL), 0);
        assert_int_equal(sf_build_release(&one)->download, sf_build_release(&two)->download);
        _cleanup_(sf_contents_close) struct sf_contents a = SF_CONTENTS_INIT, b = SF_CONTENTS_INIT;
        assert_int_equal(sf_contents_open(one.blobs, sf_build_release(&one), &a, NULL), 0);
        assert_int_equal(sf_contents_open(two.blobs, sf_build_release(&two), &b, NULL), 0);
        assert_true(sf_digest_equal(&a.list.layers[0].digest, &b.list.layers[0].digest));
        assert_int_equal(a.list.frame_count, b.list.frame_count);
        for (size_t i = 0; i < a.list.entry_count; i++)
                assert_int_equal(a.list.entries[i].frame, b.list.entries[i].frame);
}

/* --- index.json -------------------------------------------------------------------------------------------------- */

static void tag(const char *repo, const char *version, const char *arch, const char *build)
{
        _cleanup_(sf_repo_index_close) struct sf_repo_index index = SF_REPO_INDEX_INIT;
        struct sf_index_release release = { .manifest = { .size = 10 } };

        assert_int_equal(sf_release_name_make(version, "bookworm", arch, build, &release.name, NULL), 0);
        sf_digest_of(version, strlen(version), &release.manifest.digest);
        assert_int_equal(sf_repo_index_open(repo, &index, NULL), 0);
        assert_int_equal(sf_repo_index_put(&index, &release, NULL, 0, NULL), 0);
        assert_int_equal(sf_repo_index_store(&index, NULL), 0);
}

static void untag(const char *repo, const char *release)
{
        _cleanup_(sf_repo_index_close) struct sf_repo_index index = SF_REPO_INDEX_INIT;

        assert_int_equal(sf_repo_index_open(repo, &index, NULL), 0);
        sf_repo_index_remove(&index, release);
        assert_int_equal(sf_repo_index_store(&index, NULL), 0);
}

/* The digest that a tag points to: that of `version`, where NULL means no such tag. */
static void expect_tag(const char *repo, const char *name, const char *version)
{
        _cleanup_free_ char *path = sf_fs_join(repo, "index.json"), *wanted = NULL;
        _cleanup_(sf_buffer_free) struct sf_buffer text = SF_BUFFER_INIT;
        char hex[SF_DIGEST_HEX + 1];
        struct sf_digest digest;

        assert_int_equal(sf_fs_read(path, MIB, &text, NULL), 0);
        _cleanup_free_ char *ref = sf_format("ref.name\":\"%s\"}", name);
        const char *at = strstr(sf_buffer_text(&text), ref);
        if (!version) {
                assert_null(at);
                return;
        }
        assert_non_null(at);
        sf_digest_of(version, strlen(version), &digest);
        wanted = sf_format("%s,\"digest\":\"sha256:%s\"", ref, sf_digest_hex(&digest, hex));
        assert_memory_equal(at, wanted, strlen(wanted));
}

static void series_tags_follow_the_newest(void **state)
{
        _cleanup_free_ char *repo = sf_fs_join(*state, "tags");
        _cleanup_free_ struct sf_release_name *names = NULL;
        size_t count;

        assert_int_equal(sf_repo_open(repo, NULL), 0);
        tag(repo, "24.11.10", "amd64", "");
        tag(repo, "24.11.9", "amd64", "");
        tag(repo, "25.05.1", "amd64", "");
        tag(repo, "24.11.11", "arm64", "");
        tag(repo, "24.11.12", "amd64", "debug");
        expect_tag(repo, "24.11-bookworm", "24.11.10");
        expect_tag(repo, "24.11.9-bookworm", "24.11.9");
        expect_tag(repo, "25.05-bookworm", "25.05.1");
        expect_tag(repo, "24.11-bookworm-arm64", "24.11.11");
        expect_tag(repo, "24.11.12-bookworm-debug", "24.11.12");
        untag(repo, "24.11.10-bookworm-amd64");
        expect_tag(repo, "24.11-bookworm", "24.11.9");
        expect_tag(repo, "24.11.10-bookworm", NULL);
        assert_int_equal(sf_repo_releases(repo, &names, &count, NULL), 0);
        assert_int_equal(count, 4);
}

static void only_directories_are_repositories(void **state)
{
        (void)state;
        assert_int_equal(sf_repo_open("s3://bucket/slurm", NULL), SF_ERR_UNSUPPORTED);
}

static int set_up(void **state)
{
        char path[] = "/tmp/sf-check-layer.XXXXXX";

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
                cmocka_unit_test(frames_are_independent_and_in_order),
                cmocka_unit_test(frames_are_cut_where_kinds_change_or_at_the_limit),
                cmocka_unit_test(contents_come_back_and_damage_is_found),
                cmocka_unit_test(a_layer_of_another_build_is_taken_if_it_is_what_packing_would_make),
                cmocka_unit_test(a_release_is_the_same_with_and_without_another_build),
                cmocka_unit_test(series_tags_follow_the_newest),
                cmocka_unit_test(only_directories_are_repositories),
        };

        return cmocka_run_group_tests(tests, set_up, tear_down);
}
