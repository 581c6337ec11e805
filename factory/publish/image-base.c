/* SPDX-License-Identifier: Apache-2.0 */
/* factory/publish/image-base.c - see image-base.h. tar and skopeo do what they are made for. */
#include "factory/publish/image-base.h"

#include <archive.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zstd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/fs.h"
#include "base/json.h"
#include "base/proc.h"
#include "base/stop.h"
#include "factory/pack/oci.h"
#include "factory/pack/pack.h"
#include "factory/publish/repo.h"
#include "release/layout.h"

#define LEVEL        10 /* a base is large and not ours to keep */
#define PIECE        ((size_t)1 << 20)
#define DOCUMENT_MAX (4u << 20)

static int no_memory(struct sf_error *err)
{
        return sf_error_set(err, SF_ERR_NOMEM, "out of memory for an image");
}

static int run(const char *const argv[], struct sf_error *err)
{
        const struct sf_proc proc = { .argv = argv, .env = (const char *const *)environ, .stop = &sf_stop_requested };

        return sf_proc_check(&proc, err);
}

/* --- images ---------------------------------------- */

/* A JSON document among blobs, by its descriptor's digest ("sha256:..."). */
static int read_document(const char *blobs, const char *digest, json_t **ret, struct sf_error *err)
{
        _cleanup_free_ char *path = NULL;
        _cleanup_(sf_buffer_free) struct sf_buffer text = SF_BUFFER_INIT;
        struct sf_digest parsed, found;
        char hex[SF_DIGEST_HEX + 1];

        if (sf_oci_parse_digest(digest, &parsed) < 0)
                return sf_error_set(err, SF_ERR_CORRUPT, "%s: '%s' is no SHA-256", blobs, digest);
        path = sf_fs_join(blobs, sf_digest_hex(&parsed, hex));
        int r = path ? sf_fs_read(path, DOCUMENT_MAX, &text, err) : no_memory(err);
        if (r < 0)
                return r;
        sf_digest_of(text.data, text.len, &found);
        if (!sf_digest_equal(&found, &parsed))
                return sf_error_set(err, SF_ERR_CORRUPT, "%s is damaged", path);
        return sf_json_parse(path, text.data, text.len, ret, err);
}

int sf_image_read(const char *blobs, const char *digest, json_t **ret_manifest, json_t **ret_config,
                  struct sf_error *err)
{
        _cleanup_json_ json_t *manifest = NULL;
        const char *config;
        json_t *descriptor;
        int r = read_document(blobs, digest, &manifest, err);

        if (r == 0)
                r = sf_json_object(manifest, "manifest", "config", &descriptor, err);
        if (r == 0)
                r = sf_json_string(descriptor, "config", "digest", &config, err);
        if (r == 0)
                r = read_document(blobs, config, ret_config, err);
        if (r == 0)
                *ret_manifest = sf_steal_pointer(manifest);
        return r;
}

/* --- a tar file as a layer ------------------------------------------------------------------------------------- */

struct packer {
        struct archive *in; /* decompresses whatever the tar file is compressed with */
        ZSTD_CCtx *zstd;
        struct sf_digester *inner, *outer; /* of the tar bytes, of the compressed ones */
        uint64_t size;
        int fd;
};

static void packer_free(struct packer *p)
{
        archive_read_free(p->in);
        ZSTD_freeCCtx(p->zstd);
        sf_digester_free(p->inner);
        sf_digester_free(p->outer);
}

static int compress_piece(struct packer *p, const void *bytes, size_t len, ZSTD_EndDirective end, struct sf_error *err)
{
        uint8_t out[1 << 16];
        ZSTD_inBuffer from = { bytes, len, 0 };
        size_t left;

        do {
                ZSTD_outBuffer to = { out, sizeof out, 0 };
                left = ZSTD_compressStream2(p->zstd, &to, &from, end);
                if (ZSTD_isError(left))
                        return sf_error_set(err, SF_ERR_FAILED, "zstd: %s", ZSTD_getErrorName(left));
                int r = sf_fs_write_all(p->fd, out, to.pos, "the base's layer", err);
                if (r < 0)
                        return r;
                sf_digester_update(p->outer, out, to.pos);
                p->size += to.pos;
        } while (end == ZSTD_e_end ? left > 0 : from.pos < from.size);
        return 0;
}

static int compress_all(struct packer *p, const char *tar, struct sf_error *err)
{
        _cleanup_free_ char *piece = malloc(PIECE);
        struct archive_entry *entry;
        la_ssize_t got = 0;
        int r = 0;

        p->in = archive_read_new();
        p->zstd = ZSTD_createCCtx();
        if (!piece || !p->in || !p->zstd)
                return no_memory(err);
        if ((r = sf_digester_new(&p->inner, err)) < 0 || (r = sf_digester_new(&p->outer, err)) < 0)
                return r;
        ZSTD_CCtx_setParameter(p->zstd, ZSTD_c_compressionLevel, LEVEL);
        archive_read_support_format_raw(p->in);
        archive_read_support_filter_all(p->in);
        if (archive_read_open_filename(p->in, tar, PIECE) != ARCHIVE_OK ||
            archive_read_next_header(p->in, &entry) != ARCHIVE_OK)
                return sf_error_set(err, SF_ERR_CORRUPT, "%s: %s", tar, archive_error_string(p->in));
        while (r == 0 && (got = archive_read_data(p->in, piece, PIECE)) > 0) {
                sf_digester_update(p->inner, piece, (size_t)got);
                r = compress_piece(p, piece, (size_t)got, ZSTD_e_continue, err);
        }
        if (got < 0)
                return sf_error_set(err, SF_ERR_CORRUPT, "%s: %s", tar, archive_error_string(p->in));
        return r < 0 ? r : compress_piece(p, NULL, 0, ZSTD_e_end, err);
}

/* ret: the layer, in the output's blobs, with the digest of the tar file inside. */
static int add_tar(const char *tar, const char *output, struct sf_oci_layer *ret, struct sf_error *err)
{
        _cleanup_free_ char *blobs = sf_fs_join(output, SF_LAYOUT_BLOBS), *partial = NULL, *path = NULL;
        char hex[SF_DIGEST_HEX + 1];

        partial = blobs ? sf_fs_join(blobs, ".base.partial") : NULL;
        if (!partial)
                return no_memory(err);
        _cleanup_close_ int fd = open(partial, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
        _cleanup_(packer_free) struct packer packer = { .fd = fd };
        if (fd < 0)
                return sf_error_errno(err, "cannot make %s", partial);
        int r = compress_all(&packer, tar, err);
        if (r == 0) {
                sf_digester_finish(packer.inner, &ret->diff_id);
                sf_digester_finish(packer.outer, &ret->blob.digest);
                ret->blob.size = packer.size;
                ret->name = "base";
                path = sf_fs_join(blobs, sf_digest_hex(&ret->blob.digest, hex));
                if (!path || fsync(fd) < 0 || rename(partial, path) < 0)
                        r = sf_error_errno(err, "cannot finish %s", partial);
        }
        if (r < 0)
                unlink(partial);
        return r;
}

/* --- the three kinds of base ----------------------------------------------------------------------------------- */

/* Config and layers of an image of this one layer. */
static int describe(const struct sf_oci_layer *layer, const char *arch, json_t **ret_config, json_t **ret_layers,
                    struct sf_error *err)
{
        char digest[7 + SF_DIGEST_HEX + 1] = "sha256:", time[32];

        sf_digest_hex(&layer->diff_id, digest + 7);
        sf_clock_stamp(sf_pack_epoch(), time);
        *ret_config = json_pack("{s:s, s:s, s:{}, s:{s:s, s:[s]}, s:[{s:s, s:s}]}", "architecture", arch, "os", "linux",
                                "config", "rootfs", "type", "layers", "diff_ids", digest, "history", "created", time,
                                "created_by", "slurm-factory: base");
        *ret_layers = json_pack("[o]", sf_oci_descriptor(SF_MEDIA_LAYER, &layer->blob));
        return *ret_config && *ret_layers ? 0 : no_memory(err);
}

static int tar_directory(const char *root, const char *tar, struct sf_error *err)
{
        const char *const argv[] = { "tar",
                                     "--create",
                                     "--sort=name",
                                     "--numeric-owner",
                                     "--format=posix",
                                     "--pax-option=exthdr.name=%d/PaxHeaders/%f,delete=atime,delete=ctime",
                                     "--one-file-system",
                                     "--anchored",
                                     "--exclude=./dev/*",
                                     "--exclude=./proc/*",
                                     "--exclude=./sys/*",
                                     "--exclude=./run/*",
                                     "--exclude=./tmp/*",
                                     "--directory",
                                     root,
                                     "--file",
                                     tar,
                                     ".",
                                     NULL };

        return run(argv, err);
}

/* The only image of a layout whose blobs lie in the output. */
static int read_copied(const char *index_path, const char *output, json_t **ret_config, json_t **ret_layers,
                       struct sf_error *err)
{
        _cleanup_(sf_buffer_free) struct sf_buffer text = SF_BUFFER_INIT;
        _cleanup_json_ json_t *index = NULL, *manifest = NULL, *config = NULL;
        _cleanup_free_ char *blobs = sf_fs_join(output, SF_LAYOUT_BLOBS);
        json_t *manifests, *layers;
        const char *digest;
        int r = blobs ? sf_fs_read(index_path, DOCUMENT_MAX, &text, err) : no_memory(err);

        if (r == 0)
                r = sf_json_parse(index_path, text.data, text.len, &index, err);
        if (r == 0)
                r = sf_json_array(index, index_path, "manifests", &manifests, err);
        if (r == 0)
                r = sf_json_string(json_array_get(manifests, 0), index_path, "digest", &digest, err);
        if (r == 0)
                r = sf_image_read(blobs, digest, &manifest, &config, err);
        if (r == 0)
                r = sf_json_array(manifest, "manifest", "layers", &layers, err);
        if (r < 0)
                return r;
        *ret_layers = json_incref(layers);
        *ret_config = sf_steal_pointer(config);
        return 0;
}

static int add_image(const char *base, const char *arch, const char *work, const char *output, json_t **ret_config,
                     json_t **ret_layers, struct sf_error *err)
{
        _cleanup_free_ char *layout = sf_format("oci:%s:base", work), *override = sf_format("--override-arch=%s", arch),
                            *into = sf_format("--dest-shared-blob-dir=%s/blobs", output);
        _cleanup_free_ char *index_path = sf_fs_join(work, "index.json");

        if (!layout || !override || !into || !index_path)
                return no_memory(err);
        const char *const copy[] = { "skopeo", "--insecure-policy", override, "copy", "--quiet", into, base, layout,
                                     NULL };
        int r = run(copy, err);
        return r < 0 ? sf_error_prefix(err, "base image %s", base)
                     : read_copied(index_path, output, ret_config, ret_layers, err);
}

int sf_image_base_add(const char *base, const char *arch, const char *output, json_t **ret_config, json_t **ret_layers,
                      struct sf_error *err)
{
        _cleanup_free_ char *work = sf_fs_join(output, ".base"), *tar = sf_fs_join(output, ".base/base.tar");
        struct sf_error unused = SF_ERROR_INIT;
        struct sf_oci_layer layer = { 0 };
        struct stat st;
        int r;

        if (!work || !tar)
                return no_memory(err);
        if ((r = sf_fs_remove_tree(work, err)) < 0 || (r = sf_fs_mkdirs(work, 0700, err)) < 0)
                return r;
        if (stat(base, &st) < 0) {
                r = strchr(base, ':') ? add_image(base, arch, work, output, ret_config, ret_layers, err)
                                      : sf_error_errno(err, "--base %s", base);
        } else {
                if (S_ISDIR(st.st_mode))
                        r = tar_directory(base, tar, err);
                if (r == 0)
                        r = add_tar(S_ISDIR(st.st_mode) ? tar : base, output, &layer, err);
                if (r == 0)
                        r = describe(&layer, arch, ret_config, ret_layers, err);
        }
        sf_fs_remove_tree(work, &unused);
        return r;
}
