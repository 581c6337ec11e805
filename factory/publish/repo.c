/* SPDX-License-Identifier: Apache-2.0 */
/* factory/publish/repo.c - why: the one place that knows how bytes get into a repository directory, so that another
 * kind of store needs to be written only here. */
#include "factory/publish/repo.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/fs.h"
#include "base/log.h"
#include "base/stream.h"
#include "factory/pack/oci.h"
#include "release/layout.h"

#define OCI_LAYOUT_TEXT "{\"imageLayoutVersion\":\"1.0.0\"}"
#define COPY_PIECE      (256u << 10)

int sf_repo_open(const char *repository, struct sf_error *err)
{
        _cleanup_free_ char *blobs = sf_fs_join(repository, SF_LAYOUT_BLOBS);
        _cleanup_free_ char *layout = sf_fs_join(repository, SF_LAYOUT_OCI_LAYOUT);
        int r;

        if (strstr(repository, "://"))
                return sf_error_set(err, SF_ERR_UNSUPPORTED, "%s: a directory is needed here", repository);
        if (!blobs || !layout)
                return sf_error_set(err, SF_ERR_NOMEM, "%s: out of memory", repository);
        r = sf_fs_mkdirs(blobs, 0755, err);
        if (r < 0 || sf_fs_exists(layout))
                return r;
        return sf_fs_write(layout, OCI_LAYOUT_TEXT, strlen(OCI_LAYOUT_TEXT), 0644, err);
}

static char *blob_path(const char *repository, const struct sf_digest *digest)
{
        _cleanup_free_ char *name = sf_layout_blob(digest);

        return name ? sf_fs_join(repository, name) : NULL;
}

static int check_content(const char *path, const struct sf_blob *blob, struct sf_error *err)
{
        _cleanup_stream_ struct sf_stream *file = NULL, *checked = NULL;
        _cleanup_free_ char *piece = malloc(COPY_PIECE);
        ssize_t n;
        int r;

        if (!piece)
                return sf_error_set(err, SF_ERR_NOMEM, "%s: out of memory", path);
        if ((r = sf_stream_from_file(path, &file, err)) < 0 ||
            (r = sf_stream_exact(file, path, blob->size, &blob->digest, &checked, err)) < 0)
                return r;
        file = NULL;
        while ((n = sf_stream_read(checked, piece, COPY_PIECE, err)) > 0)
                ;
        return (int)n;
}

int sf_repo_check(const char *repository, const struct sf_blob *blob, bool *ret_intact, struct sf_error *err)
{
        _cleanup_free_ char *path = blob_path(repository, &blob->digest);
        struct sf_error why = SF_ERROR_INIT;
        int r;

        if (!path)
                return sf_error_set(err, SF_ERR_NOMEM, "%s: out of memory", repository);
        *ret_intact = false;
        if (!sf_fs_exists(path))
                return 0;
        r = check_content(path, blob, &why);
        *ret_intact = r == 0;
        if (r == 0 || r == SF_ERR_CORRUPT)
                return 0;
        return sf_error_set(err, why.code, "%s", why.text);
}

/* Whether a blob has to be written; said where it is because of damage. */
static int wants_blob(const char *repository, const struct sf_blob *blob, const char *path, bool *ret,
                      struct sf_error *err)
{
        bool intact;
        int r = sf_repo_check(repository, blob, &intact, err);

        if (r == 0 && !intact && sf_fs_exists(path))
                sf_log_warning("%s was damaged: it is written again", path);
        *ret = !intact;
        return r;
}

int sf_repo_put(const char *repository, const void *data, size_t len, struct sf_blob *ret, struct sf_error *err)
{
        _cleanup_free_ char *path = NULL;
        bool wanted;
        int r;

        ret->size = len;
        sf_digest_of(data, len, &ret->digest);
        if (!(path = blob_path(repository, &ret->digest)))
                return sf_error_set(err, SF_ERR_NOMEM, "%s: out of memory", repository);
        r = wants_blob(repository, ret, path, &wanted, err);
        return r < 0 || !wanted ? r : sf_fs_write(path, data, len, 0644, err);
}

/* Everything of a checked stream into a file of its own, durably. */
static int write_stream(struct sf_stream *stream, const char *path, struct sf_error *err)
{
        _cleanup_close_ int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
        _cleanup_free_ char *piece = malloc(COPY_PIECE);
        ssize_t n;

        if (fd < 0)
                return sf_error_errno(err, "cannot make %s", path);
        if (!piece)
                return sf_error_set(err, SF_ERR_NOMEM, "%s: out of memory", path);
        while ((n = sf_stream_read(stream, piece, COPY_PIECE, err)) > 0) {
                int r = sf_fs_write_all(fd, piece, (size_t)n, path, err);
                if (r < 0)
                        return r;
        }
        if (n < 0)
                return (int)n;
        return fsync(fd) < 0 ? sf_error_errno(err, "cannot sync %s", path) : 0;
}

int sf_repo_copy(const char *repository, const char *blobs, const struct sf_blob *blob, struct sf_error *err)
{
        _cleanup_free_ char *path = NULL, *source = NULL, *partial = NULL, *directory = NULL;
        _cleanup_stream_ struct sf_stream *file = NULL, *checked = NULL;
        char hex[SF_DIGEST_HEX + 1];
        bool wanted;
        int r;

        if (!(path = blob_path(repository, &blob->digest)))
                return sf_error_set(err, SF_ERR_NOMEM, "%s: out of memory", repository);
        if ((r = wants_blob(repository, blob, path, &wanted, err)) < 0 || !wanted)
                return r;
        source = sf_fs_join(blobs, sf_digest_hex(&blob->digest, hex));
        partial = sf_format("%s.partial", path);
        directory = sf_fs_join(repository, SF_LAYOUT_BLOBS);
        if (!source || !partial || !directory)
                return sf_error_set(err, SF_ERR_NOMEM, "%s: out of memory", repository);
        r = sf_stream_from_file(source, &file, err);
        if (r == 0)
                r = sf_stream_exact(file, source, blob->size, &blob->digest, &checked, err);
        if (r < 0)
                return r;
        file = NULL;
        r = write_stream(checked, partial, err);
        if (r == 0 && rename(partial, path) < 0)
                r = sf_error_errno(err, "cannot rename %s", partial);
        if (r < 0) {
                unlink(partial);
                return r;
        }
        return sf_fs_sync_dir(directory, err);
}
