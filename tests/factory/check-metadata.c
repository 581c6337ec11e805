/* SPDX-License-Identifier: Apache-2.0 */
/* tests/factory/check-metadata.c - the factory's metadata as the node's client sees it: init, publish, rotate,
 * refresh. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/buffer.h"
#include "base/cleanup.h"
#include "base/digest.h"
#include "base/fs.h"
#include "factory/publish/keyring.h"
#include "factory/publish/keys.h"
#include "factory/publish/metadata.h"
#include "release/layout.h"
#include "release/rollout.h"
#include "tuf/tuf.h"

#define NOW 1800000000
#define DAY 86400

struct world {
        char *top, *repository, *offline, *online, *node;
        const char *online_only[2], *both[3];
        unsigned requests;
};

static char *below(const char *top, const char *name)
{
        char *path = sf_fs_join(top, name);

        assert_non_null(path);
        return path;
}

static int set_up(void **state)
{
        struct world *w = calloc(1, sizeof *w);
        char pattern[] = "/tmp/check-factory-metadata.XXXXXX";

        assert_non_null(w);
        assert_non_null(mkdtemp(pattern));
        w->top = strdup(pattern);
        w->repository = below(w->top, "repo");
        w->offline = below(w->top, "offline");
        w->online = below(w->top, "online");
        w->node = below(w->top, "node");
        w->online_only[0] = w->both[0] = w->online;
        w->both[1] = w->offline;
        assert_int_equal(mkdir(w->node, 0755), 0);
        *state = w;
        return 0;
}

static int tear_down(void **state)
{
        struct world *w = *state;

        sf_fs_remove_tree(w->top, NULL);
        free(w->top);
        free(w->repository);
        free(w->offline);
        free(w->online);
        free(w->node);
        free(w);
        return 0;
}

static struct sf_metadata_options options_of(const struct world *w, const char *const *keys, int64_t now)
{
        return (struct sf_metadata_options){ .repository = w->repository, .keys = keys, .now = now };
}

static void init(struct world *w, unsigned keys, unsigned threshold)
{
        struct sf_metadata_options options = options_of(w, NULL, NOW);
        struct sf_keys_init how = { w->offline, w->online, keys, threshold };
        struct sf_error err = SF_ERROR_INIT;

        assert_int_equal(sf_keys_init(&options, &how, &err), 0);
}

static void put(struct world *w, const char *const *keys, const char *name, const char *text, int expected)
{
        struct sf_metadata_options options = options_of(w, keys, NOW);
        _cleanup_metadata_ struct sf_metadata *metadata = NULL;
        struct sf_error err = SF_ERROR_INIT;

        assert_int_equal(sf_metadata_open(&options, &metadata, &err), 0);
        assert_int_equal(sf_metadata_put_target(metadata, SF_ROLE_RELEASES, name, text, strlen(text), &err), 0);
        assert_int_equal(sf_metadata_commit(metadata, &err), expected);
}

/* --- the node's side ------------------------------------------------------------------------------------------- */

static int fetch(void *ctx, const char *name, size_t max, struct sf_buffer *ret, struct sf_error *err)
{
        struct world *w = ctx;
        _cleanup_free_ char *path = sf_format("%s/metadata/%s", w->repository, name);

        w->requests++;
        return sf_fs_read(path, max, ret, err);
}

static void pin(struct world *w)
{
        _cleanup_(sf_buffer_free) struct sf_buffer root = SF_BUFFER_INIT;
        _cleanup_free_ char *path = sf_format("%s/metadata/1.root.json", w->repository);
        struct sf_error err = SF_ERROR_INIT;

        assert_int_equal(sf_fs_read(path, 1u << 20, &root, &err), 0);
        assert_int_equal(sf_tuf_pin(w->node, root.data, root.len, false, &err), 0);
}

/* Refreshes and, where that works, finds and checks a target whose content must be `text`. */
static int refresh(struct world *w, int64_t now, const char *name, const char *text)
{
        struct sf_tuf_options options = { .directory = w->node, .now = now };
        struct sf_tuf_source source = { fetch, w };
        struct sf_tuf_target target;
        struct sf_tuf *trust;
        struct sf_error err = SF_ERROR_INIT;
        int r;

        assert_int_equal(sf_tuf_open(&options, &trust, &err), 0);
        w->requests = 0;
        r = sf_tuf_refresh(trust, &source, &err);
        if (r == 0 && name && (r = sf_tuf_find(trust, &source, name, &target, &err)) == 0) {
                _cleanup_(sf_buffer_free) struct sf_buffer content = SF_BUFFER_INIT;
                _cleanup_free_ char *path = sf_format("%s/targets/%s", w->repository, target.download_name);
                assert_int_equal(sf_fs_read(path, 1u << 20, &content, &err), 0);
                assert_int_equal(sf_tuf_target_check(&target, content.data, content.len, &err), 0);
                if (text)
                        assert_string_equal(sf_buffer_text(&content), text);
                sf_tuf_target_free(&target);
        }
        sf_tuf_close(trust);
        return r;
}

/* --- tests ----------------------------------------------------------------------------------------------------- */

static void publish_needs_online_keys_only(void **state)
{
        struct world *w = *state;

        init(w, 3, 2);
        pin(w);
        put(w, w->online_only, "index/bookworm-amd64.json", "one\n", 0);
        assert_int_equal(refresh(w, NOW + 1, "index/bookworm-amd64.json", "one\n"), 0);
        put(w, w->online_only, "index/bookworm-amd64.json", "two\n", 0);
        assert_int_equal(refresh(w, NOW + 2, "index/bookworm-amd64.json", "two\n"), 0);
        assert_int_equal(refresh(w, NOW + 3, NULL, NULL), 0);
        assert_int_equal(w->requests, 2);
        assert_int_equal(refresh(w, NOW + 3, "index/noble-amd64.json", NULL), SF_ERR_NOT_FOUND);
        assert_int_equal(refresh(w, NOW + 15 * DAY, NULL, NULL), SF_ERR_EXPIRED);
}

static void rollout_is_there_from_the_start(void **state)
{
        struct world *w = *state;
        _cleanup_(sf_buffer_free) struct sf_buffer text = SF_BUFFER_INIT;
        struct sf_metadata_options options;
        struct sf_metadata *metadata;
        struct sf_rollout rollout;
        struct sf_error err = SF_ERROR_INIT;

        init(w, 1, 1);
        pin(w);
        assert_int_equal(refresh(w, NOW, SF_LAYOUT_ROLLOUT_TARGET, NULL), 0);
        options = options_of(w, w->online_only, NOW);
        assert_int_equal(sf_metadata_open(&options, &metadata, &err), 0);
        assert_int_equal(
                sf_metadata_get_target(metadata, SF_ROLE_ROLLOUT, SF_LAYOUT_ROLLOUT_TARGET, 1u << 20, &text, &err), 0);
        sf_metadata_close(metadata);
        assert_int_equal(sf_rollout_parse("rollout.json", text.data, text.len, &rollout, &err), 0);
        assert_true(rollout.row_count > 0);
        assert_null(sf_rollout_withdrawn(&rollout, "25.11.6-noble-amd64"));
        assert_int_equal(sf_rollout_withdraw(&rollout, "25.11.6-noble-amd64", "eats jobs", &err), 0);
        assert_string_equal(sf_rollout_withdrawn(&rollout, "25.11.6-noble-amd64")->reason, "eats jobs");
        sf_rollout_free(&rollout);
}

static void rotate(struct world *w, const char *role, const char *const *keys, int expected)
{
        struct sf_metadata_options options = options_of(w, keys, NOW);
        struct sf_error err = SF_ERROR_INIT;

        assert_int_equal(sf_keys_rotate(&options, role, NULL, NULL, &err), expected);
}

static void every_role_can_be_rotated(void **state)
{
        static const char *const roles[] = { "root", "targets", "snapshot", "timestamp", "releases", "rollout" };
        struct world *w = *state;

        init(w, 1, 1);
        pin(w);
        put(w, w->online_only, "index/a-b.json", "one\n", 0);
        assert_int_equal(refresh(w, NOW, "index/a-b.json", "one\n"), 0);
        for (size_t i = 0; i < sizeof roles / sizeof *roles; i++) {
                rotate(w, roles[i], w->both, 0);
                assert_int_equal(refresh(w, NOW, "index/a-b.json", "one\n"), 0);
        }
        /* A node that slept through all of it starts from the first root. */
        assert_int_equal(sf_fs_remove_tree(w->node, NULL), 0);
        assert_int_equal(mkdir(w->node, 0755), 0);
        pin(w);
        assert_int_equal(refresh(w, NOW, "index/a-b.json", "one\n"), 0);
        put(w, w->online_only, "index/a-b.json", "two\n", 0);
        assert_int_equal(refresh(w, NOW, "index/a-b.json", "two\n"), 0);
}

static void rotation_without_the_root_key_changes_nothing(void **state)
{
        struct world *w = *state;
        const char *const online[] = { w->online, NULL };
        struct sf_keyring ring;

        init(w, 1, 1);
        pin(w);
        rotate(w, "timestamp", online, SF_ERR_NOT_FOUND);
        assert_int_equal(sf_keyring_load(online, "timestamp", &ring, NULL), 0);
        assert_int_equal(ring.count, 1);
        sf_keyring_free(&ring);
        assert_int_equal(refresh(w, NOW, NULL, NULL), 0);
}

static void a_missing_key_publishes_nothing(void **state)
{
        struct world *w = *state;
        const char *const nowhere[] = { w->node, NULL };

        init(w, 1, 1);
        pin(w);
        put(w, nowhere, "index/a-b.json", "one\n", SF_ERR_NOT_FOUND);
        assert_int_equal(refresh(w, NOW, "index/a-b.json", NULL), SF_ERR_NOT_FOUND);
}

static void refresh_prolongs(void **state)
{
        struct world *w = *state;
        struct sf_metadata_options options;
        struct sf_metadata *metadata;
        struct sf_error err = SF_ERROR_INIT;

        init(w, 1, 1);
        pin(w);
        options = options_of(w, w->online_only, NOW + 100 * DAY);
        assert_int_equal(refresh(w, NOW + 100 * DAY, NULL, NULL), SF_ERR_EXPIRED);
        assert_int_equal(sf_metadata_open(&options, &metadata, &err), 0);
        assert_int_equal(sf_metadata_refresh(metadata, &err), 0);
        sf_metadata_close(metadata);
        assert_int_equal(refresh(w, NOW + 100 * DAY, SF_LAYOUT_ROLLOUT_TARGET, NULL), 0);
        /* Less than half of their time was left: the delegated roles were signed again, too. */
        assert_int_equal(refresh(w, NOW + 113 * DAY, SF_LAYOUT_ROLLOUT_TARGET, NULL), 0);
}

/* With the offline keys at hand root and targets live on as well; without them a warning says so. */
static void refresh_renews_what_it_has_keys_for(void **state)
{
        struct world *w = *state;
        struct sf_error err = SF_ERROR_INIT;

        init(w, 1, 1);
        pin(w);
        for (int with_offline = 0; with_offline < 2; with_offline++) {
                struct sf_metadata_options options = options_of(w, with_offline ? w->both : w->online_only,
                                                                NOW + 350 * DAY);
                _cleanup_metadata_ struct sf_metadata *metadata = NULL;
                assert_int_equal(sf_metadata_open(&options, &metadata, &err), 0);
                assert_int_equal(sf_metadata_refresh(metadata, &err), 0);
                assert_int_equal(sf_metadata_warn_expiry(metadata), with_offline ? 0 : 3);
        }
        assert_int_equal(refresh(w, NOW + 363 * DAY, SF_LAYOUT_ROLLOUT_TARGET, NULL), 0);
        /* Half of their time is left: nothing but snapshot and timestamp changes. */
        struct sf_metadata_options options = options_of(w, w->both, NOW + 400 * DAY);
        _cleanup_metadata_ struct sf_metadata *metadata = NULL;
        assert_int_equal(sf_metadata_open(&options, &metadata, &err), 0);
        assert_int_equal(sf_metadata_refresh(metadata, &err), 0);
        assert_int_equal(json_integer_value(json_object_get(sf_metadata_body(metadata, "root"), "version")), 2);
        assert_int_equal(json_integer_value(json_object_get(sf_metadata_body(metadata, "targets"), "version")), 2);
        assert_int_equal(refresh(w, NOW + 400 * DAY, SF_LAYOUT_ROLLOUT_TARGET, NULL), 0);
}

static void an_expired_root_is_warned_of_and_can_be_renewed(void **state)
{
        struct world *w = *state;
        struct sf_error err = SF_ERROR_INIT;

        init(w, 1, 1);
        pin(w);
        struct sf_metadata_options options = options_of(w, w->both, NOW + 500 * DAY);
        _cleanup_metadata_ struct sf_metadata *metadata = NULL;
        assert_int_equal(sf_metadata_open(&options, &metadata, &err), 0);
        assert_int_equal(sf_metadata_warn_expiry(metadata), 8); /* all of them */
        assert_int_equal(refresh(w, NOW + 500 * DAY, NULL, NULL), SF_ERR_EXPIRED);
        assert_int_equal(sf_metadata_refresh(metadata, &err), 0);
        assert_int_equal(sf_metadata_warn_expiry(metadata), 0);
        assert_int_equal(refresh(w, NOW + 500 * DAY, SF_LAYOUT_ROLLOUT_TARGET, NULL), 0);
}

/* What an interrupted init of an older version left: a root and nothing that it leads to. */
static void init_goes_on_from_a_lone_root(void **state)
{
        struct world *w = *state;
        struct sf_metadata_options options = options_of(w, NULL, NOW + DAY);
        struct sf_keys_init how = { w->offline, w->online, 1, 1 }, other = { w->node, w->node, 1, 1 };
        _cleanup_free_ char *timestamp = sf_format("%s/metadata/timestamp.json", w->repository);
        _cleanup_free_ char *root = sf_format("%s/metadata/1.root.json", w->repository);
        _cleanup_(sf_buffer_free) struct sf_buffer before = SF_BUFFER_INIT, after = SF_BUFFER_INIT;
        struct sf_error err = SF_ERROR_INIT;

        init(w, 1, 1);
        pin(w);
        assert_int_equal(sf_fs_read(root, 1u << 20, &before, &err), 0);
        assert_int_equal(unlink(timestamp), 0);
        assert_int_equal(sf_keys_init(&options, &other, &err), SF_ERR_EXISTS);
        assert_int_equal(sf_keys_init(&options, &how, &err), 0);
        assert_int_equal(sf_fs_read(root, 1u << 20, &after, &err), 0);
        assert_string_equal(sf_buffer_text(&before), sf_buffer_text(&after));
        assert_int_equal(refresh(w, NOW + DAY, SF_LAYOUT_ROLLOUT_TARGET, NULL), 0);
}

/* Whoever may open a file may lock it, so that only the owner may open this one. */
static void the_lock_belongs_to_who_may_write(void **state)
{
        struct world *w = *state;
        _cleanup_free_ char *lock = below(w->repository, ".lock"), *directory = below(w->repository, "metadata");
        struct sf_metadata_options options = options_of(w, w->online_only, NOW);
        struct sf_error err = SF_ERROR_INIT;
        struct stat st;

        init(w, 1, 1);
        assert_int_equal(stat(lock, &st), 0);
        assert_int_equal(st.st_mode & 07777, 0600);
        /* One that was left open to all is closed; who held the directory never mattered. */
        assert_int_equal(chmod(lock, 0666), 0);
        _cleanup_close_ int fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        assert_int_equal(flock(fd, LOCK_EX), 0);
        for (int shared = 0; shared < 2; shared++) {
                _cleanup_metadata_ struct sf_metadata *metadata = NULL;
                assert_int_equal(sf_metadata_open(&options, &metadata, &err), 0);
                assert_int_equal(stat(lock, &st), 0);
                assert_int_equal(st.st_mode & 07777, shared ? 0660 : 0600);
                assert_int_equal(chmod(directory, 0775), 0);
        }
        assert_int_equal(unlink(lock), 0);
        assert_int_equal(symlink("/dev/null", lock), 0);
        struct sf_metadata *metadata;
        assert_true(sf_metadata_open(&options, &metadata, &err) < 0);
}

static void a_damaged_target_is_not_signed_again(void **state)
{
        struct world *w = *state;
        struct sf_metadata_options options = options_of(w, w->online_only, NOW);
        _cleanup_metadata_ struct sf_metadata *metadata = NULL;
        _cleanup_(sf_buffer_free) struct sf_buffer text = SF_BUFFER_INIT;
        _cleanup_free_ char *path = NULL;
        struct sf_digest digest;
        char hex[SF_DIGEST_HEX + 1];
        struct sf_error err = SF_ERROR_INIT;

        init(w, 1, 1);
        put(w, w->online_only, "index/a-b.json", "one\n", 0);
        path = sf_format("%s/targets/index/%s.a-b.json", w->repository,
                         sf_digest_hex((sf_digest_of("one\n", 4, &digest), &digest), hex));
        assert_int_equal(truncate(path, 2), 0);
        assert_int_equal(sf_metadata_open(&options, &metadata, &err), 0);
        assert_int_equal(sf_metadata_get_target(metadata, SF_ROLE_RELEASES, "index/a-b.json", 100, &text, &err),
                         SF_ERR_CORRUPT);
        assert_non_null(strstr(err.text, path));
}

static void init_refuses_a_second_root(void **state)
{
        struct world *w = *state;
        struct sf_metadata_options options = options_of(w, NULL, NOW);
        struct sf_keys_init how = { w->offline, w->online, 1, 1 };
        struct sf_error err = SF_ERROR_INIT;

        init(w, 1, 1);
        assert_int_equal(sf_keys_init(&options, &how, &err), SF_ERR_EXISTS);
}

static void one_publisher_at_a_time(void **state)
{
        struct world *w = *state;
        struct sf_metadata_options options = options_of(w, w->online_only, NOW);
        struct sf_metadata *first, *second;
        struct sf_error err = SF_ERROR_INIT;

        init(w, 1, 1);
        assert_int_equal(sf_metadata_open(&options, &first, &err), 0);
        assert_int_equal(sf_metadata_open(&options, &second, &err), SF_ERR_BUSY);
        sf_metadata_close(first);
}

static void a_readable_key_is_refused(void **state)
{
        struct world *w = *state;
        _cleanup_free_ char *path = NULL;
        struct sf_signer *signer;
        struct sf_error err = SF_ERROR_INIT;

        init(w, 1, 1);
        path = below(w->online, "timestamp.1.pem");
        assert_int_equal(sf_signer_open(path, &signer, &err), 0);
        sf_signer_free(signer);
        assert_int_equal(chmod(path, 0644), 0);
        assert_int_equal(sf_signer_open(path, &signer, &err), SF_ERR_TRUST);
}

/* The same key through OpenSSL's store: what a provider's URI goes through. */
static void a_key_behind_a_uri_signs(void **state)
{
        struct world *w = *state;
        _cleanup_free_ char *pem = NULL, *elsewhere = NULL, *uri_file = NULL, *uri = NULL;

        init(w, 1, 1);
        pin(w);
        pem = below(w->online, "releases.1.pem");
        elsewhere = below(w->top, "token.pem");
        uri_file = below(w->online, "releases.1.uri");
        assert_int_equal(rename(pem, elsewhere), 0);
        put(w, w->online_only, "index/a-b.json", "one\n", SF_ERR_NOT_FOUND);
        uri = sf_format("file:%s\n", elsewhere);
        assert_int_equal(sf_fs_write(uri_file, uri, strlen(uri), 0600, NULL), 0);
        put(w, w->online_only, "index/a-b.json", "one\n", 0);
        assert_int_equal(refresh(w, NOW, "index/a-b.json", "one\n"), 0);
}

struct hook {
        struct world *world;
        int calls, result;
};

/* The snapshot that names the new target is there, the timestamp that would show it is not. */
static int look_before_timestamp(void *ctx, struct sf_error *err)
{
        struct hook *hook = ctx;
        _cleanup_free_ char *snapshot = sf_format("%s/metadata/2.snapshot.json", hook->world->repository);

        hook->calls++;
        assert_true(sf_fs_exists(snapshot));
        assert_int_equal(refresh(hook->world, NOW, "index/a.json", NULL), SF_ERR_NOT_FOUND);
        return hook->result ? sf_error_set(err, hook->result, "asked for") : 0;
}

static void nothing_shows_before_the_timestamp(void **state)
{
        struct world *w = *state;
        struct hook hook = { .world = w, .result = SF_ERR_IO };
        struct sf_metadata_options options = options_of(w, w->online_only, NOW);
        struct sf_error err = SF_ERROR_INIT;

        init(w, 1, 1);
        pin(w);
        options.before_timestamp = look_before_timestamp;
        options.before_timestamp_ctx = &hook;
        for (int run = 0; run < 2; run++) {
                _cleanup_metadata_ struct sf_metadata *metadata = NULL;
                assert_int_equal(sf_metadata_open(&options, &metadata, &err), 0);
                assert_int_equal(sf_metadata_put_target(metadata, SF_ROLE_RELEASES, "index/a.json", "{}", 2, &err), 0);
                assert_int_equal(sf_metadata_commit(metadata, &err), hook.result);
                assert_int_equal(hook.calls, run + 1);
                assert_int_equal(refresh(w, NOW, "index/a.json", "{}"), hook.result ? SF_ERR_NOT_FOUND : 0);
                hook.result = 0;
        }
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
        const struct CMUnitTest tests[] = {
                TEST(publish_needs_online_keys_only),
                TEST(rollout_is_there_from_the_start),
                TEST(every_role_can_be_rotated),
                TEST(rotation_without_the_root_key_changes_nothing),
                TEST(a_missing_key_publishes_nothing),
                TEST(refresh_prolongs),
                TEST(init_refuses_a_second_root),
                TEST(one_publisher_at_a_time),
                TEST(a_readable_key_is_refused),
                TEST(a_key_behind_a_uri_signs),
                TEST(nothing_shows_before_the_timestamp),
                TEST(refresh_renews_what_it_has_keys_for),
                TEST(an_expired_root_is_warned_of_and_can_be_renewed),
                TEST(init_goes_on_from_a_lone_root),
                TEST(the_lock_belongs_to_who_may_write),
                TEST(a_damaged_target_is_not_signed_again),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
