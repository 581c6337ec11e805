/* SPDX-License-Identifier: Apache-2.0 */
/* factory/publish/layers.c - see layers.h. */
#include "factory/publish/layers.h"

#include <archive.h>
#include <archive_entry.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/digest.h"
#include "base/fs.h"
#include "base/json.h"
#include "base/log.h"
#include "release/layout.h"

/* One archive being written. */
struct packing {
        struct archive *tar;
        const char *layer;
        char chunk[65536];
};

static void archive_close(struct archive **a)
{
        archive_write_free(*a);
}

static int failed(const struct packing *p, struct sf_error *err)
{
        return sf_error_set(err, SF_ERR_IO, "layer %s: %s", p->layer, archive_error_string(p->tar));
}

static int put_content(struct packing *p, int dirfd, const char *name, struct sf_error *err)
{
        _cleanup_close_ int fd = openat(dirfd, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
        ssize_t n;

        if (fd < 0)
                return sf_error_errno(err, "%s", name);
        while ((n = read(fd, p->chunk, sizeof p->chunk)) > 0)
                if (archive_write_data(p->tar, p->chunk, (size_t)n) != n)
                        return failed(p, err);
        return n < 0 ? sf_error_errno(err, "%s", name) : 0;
}

static int put_entry(void *ctx, int dirfd, const char *name, const char *path, const struct stat *st,
                     struct sf_error *err)
{
        struct packing *p = ctx;
        struct archive_entry *entry = archive_entry_new();
        _cleanup_free_ char *member = sf_format("%s/%s", p->layer, path);
        char target[4096];
        ssize_t length;
        int r = 0;

        if (!entry || !member) {
                archive_entry_free(entry);
                return sf_error_set(err, SF_ERR_NOMEM, "layer %s", p->layer);
        }
        archive_entry_copy_stat(entry, st);
        archive_entry_set_pathname(entry, member);
        archive_entry_set_uid(entry, 0);
        archive_entry_set_gid(entry, 0);
        if (S_ISLNK(st->st_mode) && (length = readlinkat(dirfd, name, target, sizeof target - 1)) >= 0) {
                target[length] = '\0';
                archive_entry_set_symlink(entry, target);
        }
        if (archive_write_header(p->tar, entry) < ARCHIVE_WARN)
                r = failed(p, err);
        archive_entry_free(entry);
        return r == 0 && S_ISREG(st->st_mode) ? put_content(p, dirfd, name, err) : r;
}

static int pack_layer(const char *directory, const char *layer, const char *path, struct sf_error *err)
{
        _cleanup_(archive_close) struct archive *tar = archive_write_new();
        struct packing p = { .tar = tar, .layer = layer };
        int r;

        if (!tar)
                return sf_error_set(err, SF_ERR_NOMEM, "layer %s", layer);
        if (archive_write_set_format_pax_restricted(tar) != ARCHIVE_OK ||
            archive_write_add_filter_zstd(tar) != ARCHIVE_OK ||
            archive_write_set_filter_option(tar, "zstd", "compression-level", "12") != ARCHIVE_OK ||
            archive_write_open_filename(tar, path) != ARCHIVE_OK)
                return failed(&p, err);
        if ((r = sf_fs_walk(directory, put_entry, &p, err)) < 0)
                return r;
        return archive_write_close(tar) == ARCHIVE_OK ? 0 : failed(&p, err);
}

static int digest_of(const char *path, struct sf_digest *ret, uint64_t *ret_size, struct sf_error *err)
{
        _cleanup_digester_ struct sf_digester *digester = NULL;
        _cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC);
        char chunk[65536];
        ssize_t n;

        int r = sf_digester_new(&digester, err);
        if (r < 0)
                return sf_error_prefix(err, "%s", path);
        *ret_size = 0;
        while (fd >= 0 && (n = read(fd, chunk, sizeof chunk)) > 0) {
                sf_digester_update(digester, chunk, (size_t)n);
                *ret_size += (uint64_t)n;
        }
        if (fd < 0 || n < 0)
                return sf_error_errno(err, "%s", path);
        sf_digester_finish(digester, ret);
        return 0;
}

/* The file appears whole under its name; the index that names it follows. */
static int add_layer(const char *repository, const char *directory, json_t *layers, size_t *added, struct sf_error *err)
{
        const char *layer = strrchr(directory, '/') + 1;
        _cleanup_free_ char *final = sf_format("%s/" SF_LAYOUT_BUILDCACHE "/%s.tar.zst", repository, layer);
        _cleanup_free_ char *partial = final ? sf_format("%s.partial", final) : NULL;
        char hex[SF_DIGEST_HEX + 1];
        struct sf_digest digest;
        uint64_t size;
        int r;

        if (!partial)
                return sf_error_set(err, SF_ERR_NOMEM, "layer %s", layer);
        if (json_object_get(layers, layer) && sf_fs_exists(final))
                return 0;
        sf_log_status("build cache: %s", layer);
        if ((r = pack_layer(directory, layer, partial, err)) < 0 || (r = digest_of(partial, &digest, &size, err)) < 0)
                return r;
        if (rename(partial, final) < 0)
                return sf_error_errno(err, "cannot move %s", partial);
        json_object_set_new(layers, layer,
                            json_pack("{s:s,s:I}", "sha256", sf_digest_hex(&digest, hex), "size", (json_int_t)size));
        ++*added;
        return 0;
}

static int load_index(struct sf_metadata *metadata, const char *target, json_t **ret, struct sf_error *err)
{
        _cleanup_(sf_buffer_free) struct sf_buffer text = SF_BUFFER_INIT;
        int r = sf_metadata_get_target(metadata, SF_ROLE_BUILDCACHE, target, SF_BUILDCACHE_INDEX_MAX, &text, err);

        if (r == SF_ERR_NOT_FOUND) {
                sf_error_clear(err);
                *ret = json_pack("{s:i,s:{}}", "buildcache", SF_BUILDCACHE_FORMAT, "layers");
                return *ret ? 0 : sf_error_set(err, SF_ERR_NOMEM, "build cache");
        }
        return r < 0 ? r : sf_json_parse(target, text.data, text.len, ret, err);
}

/* Names what was packed from these layers, so that others need not pack it again (factory/build/release_source.h). */
static int add_release(json_t *index, const struct sf_publish_layers *what, struct sf_error *err)
{
        json_t *releases = json_object_get(index, "releases"), *release;
        char hex[SF_DIGEST_HEX + 1];
        struct sf_digest digest;
        int r = sf_json_parse("release.json", what->release->data, what->release->len, &release, err);

        if (r < 0)
                return r;
        if (!releases) {
                releases = json_object();
                json_object_set_new(index, "releases", releases);
        }
        sf_digest_of(what->from->data, what->from->len, &digest);
        return json_object_set_new(releases, sf_digest_hex(&digest, hex), release) < 0
                       ? sf_error_set(err, SF_ERR_NOMEM, "build cache")
                       : 0;
}

int sf_publish_layers(const struct sf_metadata_options *options, const struct sf_publish_layers *what,
                      size_t *ret_added, struct sf_error *err)
{
        _cleanup_free_ char *directory = sf_format("%s/" SF_LAYOUT_BUILDCACHE, options->repository);
        _cleanup_free_ char *target = sf_layout_buildcache_target(what->toolchain, what->arch);
        _cleanup_(sf_buffer_free) struct sf_buffer text = SF_BUFFER_INIT;
        _cleanup_metadata_ struct sf_metadata *metadata = NULL;
        _cleanup_json_ json_t *index = NULL;
        int r;

        *ret_added = 0;
        if (!directory || !target)
                return sf_error_set(err, SF_ERR_NOMEM, "build cache");
        if ((r = sf_metadata_open(options, &metadata, err)) < 0)
                return r;
        if (!sf_metadata_body(metadata, SF_ROLE_BUILDCACHE))
                return sf_error_set(err, SF_ERR_NOT_FOUND, "%s has no role " SF_ROLE_BUILDCACHE ": its keys are older",
                                    options->repository);
        if ((r = load_index(metadata, target, &index, err)) < 0 || (r = sf_fs_mkdirs(directory, 0755, err)) < 0)
                return r;
        for (size_t i = 0; i < what->layers->count; i++)
                if ((r = add_layer(options->repository, what->layers->items[i], json_object_get(index, "layers"),
                                   ret_added, err)) < 0)
                        return r;
        sf_log_progress_end();
        if ((what->release && (r = add_release(index, what, err)) < 0) ||
            (r = sf_json_canonical(index, &text, err)) < 0 ||
            (r = sf_metadata_put_target(metadata, SF_ROLE_BUILDCACHE, target, text.data, text.len, err)) < 0)
                return r;
        return sf_metadata_commit(metadata, err);
}
