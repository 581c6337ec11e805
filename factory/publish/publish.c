/* SPDX-License-Identifier: Apache-2.0 */
/* factory/publish/publish.c - why: the story of a publication, in the order that keeps every node safe at every
 * moment: blobs, target files, metadata, index.json for tools, timestamp. */
#include "factory/publish/publish.h"

#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/fs.h"
#include "base/json.h"
#include "base/log.h"
#include "factory/pack/builds.h"
#include "factory/publish/deltas.h"
#include "factory/publish/metadata.h"
#include "factory/pack/oci.h"
#include "factory/pack/pack.h"
#include "factory/publish/repo.h"
#include "release/index.h"
#include "release/layout.h"
#include "release/rollout.h"

#define MANIFEST_MAX (4u << 20)

/* A release on its way into the repository's index. */
struct publication {
        const struct sf_publish *publish;
        struct sf_metadata *metadata;
        struct sf_repo_index *tags;
        struct sf_build build;
        char *target;                    /* index/<toolchain>-<arch>.json */
        struct sf_index index;           /* as it will be */
        struct sf_index_release release; /* the new entry; its deltas are owned */
};

static void publication_free(struct publication *p)
{
        sf_build_close(&p->build);
        sf_index_free(&p->index);
        free(p->target);
        free(p->release.deltas);
}

static int no_memory(struct sf_error *err)
{
        return sf_error_set(err, SF_ERR_NOMEM, "out of memory");
}

/* Copies the blob that an OCI descriptor names. */
static int copy_descriptor(const struct publication *p, const json_t *descriptor, const char *where,
                           struct sf_error *err)
{
        struct sf_blob blob;
        const char *digest;
        int64_t size;
        int r = sf_json_string(descriptor, where, "digest", &digest, err);

        if (r == 0)
                r = sf_digest_parse(digest, &blob.digest, err);
        if (r == 0)
                r = sf_json_integer(descriptor, where, "size", 0, INT64_MAX, &size, err);
        if (r < 0)
                return r;
        blob.size = (uint64_t)size;
        return sf_repo_copy(p->publish->repository, p->build.blobs, &blob, err);
}

/* Everything that the release consists of; the manifest comes after what it names. */
static int copy_blobs(const struct publication *p, struct sf_error *err)
{
        const struct sf_index_release *release = sf_build_release(&p->build);
        char hex[SF_DIGEST_HEX + 1];
        _cleanup_free_ char *path = sf_fs_join(p->build.blobs, sf_digest_hex(&release->manifest.digest, hex));
        _cleanup_(sf_buffer_free) struct sf_buffer text = SF_BUFFER_INIT;
        _cleanup_json_ json_t *manifest = NULL;
        json_t *config, *layers;
        const json_t *layer;
        size_t i;
        int r = path ? sf_fs_read(path, MANIFEST_MAX, &text, err) : no_memory(err);

        if (r == 0)
                r = sf_json_parse(path, text.data, text.len, &manifest, err);
        if (r == 0)
                r = sf_json_object(manifest, "manifest", "config", &config, err);
        if (r == 0)
                r = sf_json_array(manifest, "manifest", "layers", &layers, err);
        if (r == 0)
                r = copy_descriptor(p, config, "manifest.config", err);
        if (r < 0)
                return r;
        json_array_foreach (layers, i, layer) {
                r = copy_descriptor(p, layer, "manifest.layers", err);
                if (r < 0)
                        return r;
        }
        r = sf_repo_copy(p->publish->repository, p->build.blobs, &release->filelist, err);
        return r < 0 ? r : sf_repo_copy(p->publish->repository, p->build.blobs, &release->manifest, err);
}

static int load_index(struct sf_metadata *metadata, const char *target, const struct sf_release_name *name,
                      struct sf_index *ret, struct sf_error *err)
{
        _cleanup_(sf_buffer_free) struct sf_buffer text = SF_BUFFER_INIT;
        int r = sf_metadata_get_target(metadata, SF_ROLE_RELEASES, target, SF_INDEX_TEXT_MAX, &text, err);

        if (r == 0)
                return sf_index_parse(target, text.data, text.len, ret, err);
        if (r != SF_ERR_NOT_FOUND)
                return r;
        sf_error_clear(err);
        *ret = (struct sf_index){ 0 };
        memcpy(ret->toolchain, name->toolchain, sizeof ret->toolchain);
        memcpy(ret->arch, name->arch, sizeof ret->arch);
        return 0;
}

/* The new entry: as it was built; what is published by this name already lends its date and its deltas. */
static int start_entry(struct publication *p, struct sf_error *err)
{
        const struct sf_index_release *built = sf_build_release(&p->build);
        const struct sf_index_release *before = sf_index_find(&p->index, built->name.text);
        size_t room = p->publish->delta_from_count;
        bool same = before && sf_digest_equal(&before->manifest.digest, &built->manifest.digest) &&
                    sf_digest_equal(&before->tree, &built->tree);

        if (before && !same && !p->publish->replace)
                return sf_error_set(err, SF_ERR_EXISTS,
                                    "%s is published with other content; give this one a build name (--build), or "
                                    "--force to replace it",
                                    built->name.text);
        p->release = *built;
        p->release.delta_count = 0;
        room += same ? before->delta_count : 0;
        p->release.deltas = calloc(room + 1, sizeof *p->release.deltas);
        if (!p->release.deltas)
                return no_memory(err);
        if (same) {
                memcpy(p->release.created, before->created, sizeof p->release.created);
                if (before->delta_count)
                        memcpy(p->release.deltas, before->deltas, before->delta_count * sizeof *before->deltas);
                p->release.delta_count = before->delta_count;
        } else if (sf_pack_epoch() == 0) {
                sf_oci_time(p->publish->now, p->release.created);
        }
        return 0;
}

/* The index of the delta that starts from a tree; delta_count where there is none. */
static size_t find_delta(const struct sf_index_release *release, const struct sf_digest *tree)
{
        size_t i = 0;

        while (i < release->delta_count && !sf_digest_equal(&release->deltas[i].from, tree))
                i++;
        return i;
}

static int add_deltas(struct publication *p, struct sf_error *err)
{
        for (size_t i = 0; i < p->publish->delta_from_count; i++) {
                const struct sf_index_release *old;
                int r = sf_index_choose(&p->index, p->publish->delta_from[i], &old, err);

                if (r < 0)
                        return sf_error_prefix(err, "--delta-from %s", p->publish->delta_from[i]);
                size_t place = find_delta(&p->release, &old->tree);
                bool known = place < p->release.delta_count;
                if (sf_digest_equal(&old->tree, &p->release.tree) || (known && !p->publish->replace))
                        continue;
                struct sf_index_delta *delta = &p->release.deltas[place];
                sf_log_status("making the delta %s -> %s", old->name.text, p->release.name.text);
                r = sf_deltas_make(p->publish->repository, old, &p->release, p->publish->delta_memory, delta, err);
                if (r < 0)
                        return r;
                sf_log_progress_end();
                if (!known && delta->content.size + delta->filelist.size >= p->release.download) {
                        sf_log_info("delta %s -> %s: dropped, the layers are smaller", old->name.text,
                                    p->release.name.text);
                        continue;
                }
                p->release.delta_count += !known;
                sf_log_info("delta %s -> %s: %s, %llu bytes and %llu for the file list", old->name.text,
                            p->release.name.text, delta->codec, (unsigned long long)delta->content.size,
                            (unsigned long long)delta->filelist.size);
        }
        return 0;
}

static int put_artifact(const struct publication *p, const char *type, const struct sf_blob *blobs, size_t count,
                        struct sf_repo_artifact *ret, struct sf_error *err)
{
        _cleanup_(sf_buffer_free) struct sf_buffer text = SF_BUFFER_INIT;
        int r = sf_oci_artifact(type, blobs, count, &p->release.manifest, &text, err);

        ret->type = type;
        return r < 0 ? r : sf_repo_put(p->publish->repository, text.data, text.len, &ret->manifest, err);
}

/* For OCI tools: the tag, and file list and deltas hung on the image. */
static int tag(const struct publication *p, struct sf_error *err)
{
        _cleanup_free_ struct sf_repo_artifact *artifacts = calloc(1 + p->release.delta_count, sizeof *artifacts);
        struct sf_blob empty;
        int r;

        if (!artifacts)
                return no_memory(err);
        r = sf_repo_put(p->publish->repository, SF_OCI_EMPTY_TEXT, strlen(SF_OCI_EMPTY_TEXT), &empty, err);
        if (r == 0)
                r = put_artifact(p, SF_MEDIA_FILELIST, &p->release.filelist, 1, &artifacts[0], err);
        for (size_t i = 0; i < p->release.delta_count && r == 0; i++) {
                const struct sf_blob pair[] = { p->release.deltas[i].filelist, p->release.deltas[i].content };
                r = put_artifact(p, SF_MEDIA_DELTA, pair, 2, &artifacts[1 + i], err);
        }
        return r < 0 ? r : sf_repo_index_put(p->tags, &p->release, artifacts, 1 + p->release.delta_count, err);
}

/* Stages the signed index with the new entry; nothing of it is visible before the commit. */
static int stage(struct publication *p, struct sf_error *err)
{
        _cleanup_(sf_buffer_free) struct sf_buffer text = SF_BUFFER_INIT;
        int r = sf_index_put(&p->index, &p->release, err);

        if (r == 0)
                r = sf_index_write(&p->index, &text, err);
        if (r == 0 && text.len > SF_INDEX_TEXT_MAX)
                r = sf_error_set(err, SF_ERR_LIMIT, "%s would be larger than nodes accept", p->target);
        if (r == 0)
                r = sf_metadata_put_target(p->metadata, SF_ROLE_RELEASES, p->target, text.data, text.len, err);
        return r;
}

/* One release into the staged index, with or without new deltas. */
static int publish_one(const struct sf_publish *publish, struct sf_metadata *metadata, struct sf_repo_index *tags,
                       const char *wanted, bool deltas, struct sf_error *err)
{
        _cleanup_(publication_free) struct publication p = { .publish = publish, .metadata = metadata, .tags = tags };
        int r = sf_build_open(publish->builds, wanted, &p.build, err);

        if (r < 0)
                return r;
        const struct sf_release_name *name = &sf_build_release(&p.build)->name;
        p.target = sf_layout_index_target(name->toolchain, name->arch);
        if (!p.target)
                return no_memory(err);
        r = load_index(metadata, p.target, name, &p.index, err);
        if (r == 0)
                r = start_entry(&p, err);
        if (r == 0)
                r = copy_blobs(&p, err);
        if (r == 0 && deltas)
                r = add_deltas(&p, err);
        if (r == 0)
                r = tag(&p, err);
        if (r == 0)
                r = stage(&p, err);
        if (r < 0)
                return sf_error_prefix(err, "%s", name->text);
        if (!deltas)
                sf_log_info("%s: %llu bytes in layers", name->text, (unsigned long long)p.release.download);
        return 0;
}

static int store_tags(void *ctx, struct sf_error *err)
{
        return sf_repo_index_store(ctx, err);
}

/* Tags are read under the lock that open metadata holds, and written by its commit. */
static int open_repository(const struct sf_publish *publish, struct sf_repo_index *tags, struct sf_metadata **ret,
                           struct sf_error *err)
{
        const struct sf_metadata_options options = { .repository = publish->repository,
                                                     .keys = publish->keys,
                                                     .now = publish->now,
                                                     .before_timestamp = store_tags,
                                                     .before_timestamp_ctx = tags };
        int r = sf_repo_open(publish->repository, err);

        if (r == 0)
                r = sf_metadata_open(&options, ret, err);
        return r < 0 ? r : sf_repo_index_open(publish->repository, tags, err);
}

int sf_publish_run(const struct sf_publish *publish, struct sf_error *err)
{
        _cleanup_(sf_repo_index_close) struct sf_repo_index tags = SF_REPO_INDEX_INIT;
        _cleanup_metadata_ struct sf_metadata *metadata = NULL;
        int r = open_repository(publish, &tags, &metadata, err);

        /* Deltas come second: they may start from a release that is published in the same run. */
        for (size_t i = 0; i < publish->release_count && r == 0; i++)
                r = publish_one(publish, metadata, &tags, publish->releases[i], false, err);
        for (size_t i = 0; publish->delta_from_count && i < publish->release_count && r == 0; i++)
                r = publish_one(publish, metadata, &tags, publish->releases[i], true, err);
        return r < 0 ? r : sf_metadata_commit(metadata, err);
}

static int put_rollout(struct sf_metadata *metadata, const char *release, const char *reason, struct sf_error *err)
{
        _cleanup_(sf_buffer_free) struct sf_buffer before = SF_BUFFER_INIT, after = SF_BUFFER_INIT;
        _cleanup_(sf_rollout_free) struct sf_rollout rollout = { 0 };
        int r = sf_metadata_get_target(metadata, SF_ROLE_ROLLOUT, SF_LAYOUT_ROLLOUT_TARGET, SF_ROLLOUT_TEXT_MAX,
                                       &before, err);

        if (r == 0)
                r = sf_rollout_parse(SF_LAYOUT_ROLLOUT_TARGET, before.data, before.len, &rollout, err);
        if (r == 0)
                r = sf_rollout_withdraw(&rollout, release, reason, err);
        if (r == 0)
                r = sf_rollout_write(&rollout, &after, err);
        return r < 0 ? r
                     : sf_metadata_put_target(metadata, SF_ROLE_ROLLOUT, SF_LAYOUT_ROLLOUT_TARGET, after.data,
                                              after.len, err);
}

/* The full name of a published release. */
static int choose_published(const struct sf_publish *publish, const char *wanted, struct sf_release_name *ret,
                            struct sf_error *err)
{
        _cleanup_free_ struct sf_release_name *names = NULL;
        size_t count = 0, chosen;
        int r = sf_repo_releases(publish->repository, &names, &count, err);

        if (r == 0)
                r = sf_release_name_choose(names, count, wanted, &chosen, err);
        if (r == 0)
                *ret = names[chosen];
        return r;
}

int sf_publish_withdraw(const struct sf_publish *publish, const char *wanted, const char *reason, struct sf_error *err)
{
        _cleanup_(sf_repo_index_close) struct sf_repo_index tags = SF_REPO_INDEX_INIT;
        _cleanup_metadata_ struct sf_metadata *metadata = NULL;
        struct sf_release_name name;
        int r = open_repository(publish, &tags, &metadata, err);

        if (r == 0)
                r = choose_published(publish, wanted, &name, err);
        if (r == 0)
                r = put_rollout(metadata, name.text, reason, err);
        if (r < 0)
                return r;
        sf_repo_index_remove(&tags, name.text);
        return sf_metadata_commit(metadata, err);
}
