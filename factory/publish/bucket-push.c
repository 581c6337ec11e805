/* SPDX-License-Identifier: Apache-2.0 */
/* factory/publish/bucket-push.c - what is new goes to the bucket, in the order that keeps every reader consistent. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <fcntl.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/fs.h"
#include "base/log.h"
#include "base/parallel.h"
#include "factory/publish/bucket-state.h"
#include "release/layout.h"

/* Objects above PARTED go in parts of PART bytes, so that a broken upload goes on where it broke. */
#define PART   ((uint64_t)8 << 20)
#define PARTED ((uint64_t)16 << 20)

#define IMMUTABLE "public, max-age=31536000, immutable"
#define A_MINUTE  "public, max-age=60"

/* The order of sending; what lies in one step goes in any order. */
enum step { STEP_BLOBS, STEP_TARGETS, STEP_METADATA, STEP_PAGES, STEP_TIMESTAMP, STEP_ROOTS, STEP_COUNT };

struct item {
        char *path;
        uint64_t size;
        struct sf_digest digest;
};

struct push {
        struct sf_bucket *bucket;
        enum step step;
        struct item *items;
        size_t count;
};

static int no_memory(struct sf_error *err)
{
        return sf_error_set(err, SF_ERR_NOMEM, "no memory for sending");
}

static bool ends_with(const char *text, const char *end)
{
        size_t a = strlen(text), b = strlen(end);

        return a >= b && strcmp(text + a - b, end) == 0;
}

static enum step step_of(const char *path)
{
        if (strncmp(path, SF_LAYOUT_BLOBS "/", strlen(SF_LAYOUT_BLOBS "/")) == 0)
                return STEP_BLOBS;
        if (strncmp(path, SF_LAYOUT_TARGETS "/", strlen(SF_LAYOUT_TARGETS "/")) == 0)
                return STEP_TARGETS;
        if (strcmp(path, SF_LAYOUT_METADATA "/timestamp.json") == 0)
                return STEP_TIMESTAMP;
        if (ends_with(path, ".root.json"))
                return STEP_ROOTS;
        return strncmp(path, SF_LAYOUT_METADATA "/", strlen(SF_LAYOUT_METADATA "/")) == 0 ? STEP_METADATA : STEP_PAGES;
}

static const char *type_of(const char *path)
{
        if (ends_with(path, ".json") || strcmp(path, SF_LAYOUT_OCI_LAYOUT) == 0)
                return "application/json";
        if (ends_with(path, ".tar.gz"))
                return "application/gzip";
        if (ends_with(path, ".asc"))
                return "application/pgp-signature";
        return ends_with(path, ".html") ? "text/html; charset=utf-8" : "application/octet-stream";
}

/* What is named by its content or its version never changes. */
static const char *cache_of(enum step step)
{
        return step == STEP_PAGES || step == STEP_TIMESTAMP ? A_MINUTE : IMMUTABLE;
}

/* --- what is new ------------------------------------------------------------------------------------------------ */

static int digest_part(int fd, const char *path, uint64_t offset, uint64_t size, struct sf_digest *ret,
                       struct sf_error *err)
{
        _cleanup_digester_ struct sf_digester *digester = NULL;
        _cleanup_free_ char *piece = malloc(65536);

        if (!piece)
                return no_memory(err);
        int r = sf_digester_new(&digester, err);
        if (r < 0)
                return r;
        for (uint64_t done = 0; done < size;) {
                size_t want = size - done < 65536 ? (size_t)(size - done) : 65536;
                ssize_t n = pread(fd, piece, want, (off_t)(offset + done));
                if (n <= 0)
                        return sf_error_set(err, SF_ERR_IO, "%s cannot be read to its end", path);
                sf_digester_update(digester, piece, (size_t)n);
                done += (uint64_t)n;
        }
        sf_digester_finish(digester, ret);
        return 0;
}

static int open_item(const struct sf_bucket *b, const char *path, int *ret, struct sf_error *err)
{
        _cleanup_free_ char *full = sf_fs_join(b->copy, path);

        if (!full)
                return no_memory(err);
        *ret = open(full, O_RDONLY | O_CLOEXEC);
        return *ret < 0 ? sf_error_errno(err, "%s", full) : 0;
}

/* Blobs by name and size, all else by content. */
static bool is_known(const struct sf_bucket *b, enum step step, const struct item *item)
{
        const char *name = strrchr(item->path, '/');
        const json_t *there;
        char hex[SF_DIGEST_HEX + 1];

        if (step == STEP_BLOBS) {
                there = json_object_get(b->blobs, name + 1);
                return there && json_integer_value(there) == (json_int_t)item->size;
        }
        there = json_object_get(b->pulled, item->path);
        return there && strcmp(json_string_value(there), sf_digest_hex(&item->digest, hex)) == 0;
}

static int visit_item(void *ctx, int dirfd, const char *name, const char *path, const struct stat *st,
                      struct sf_error *err)
{
        struct push *p = ctx;
        struct item item = { .size = (uint64_t)st->st_size };
        _cleanup_close_ int fd = -1;
        int r;

        (void)dirfd;
        if (!S_ISREG(st->st_mode) || *name == '.' || ends_with(name, ".partial") || step_of(path) != p->step)
                return 0;
        if ((r = open_item(p->bucket, path, &fd, err)) < 0 ||
            (r = digest_part(fd, path, 0, item.size, &item.digest, err)) < 0)
                return r;
        item.path = strdup(path);
        if (!item.path)
                return no_memory(err);
        if (is_known(p->bucket, p->step, &item)) {
                free(item.path);
                return 0;
        }
        struct item *grown = reallocarray(p->items, p->count + 1, sizeof *grown);
        if (!grown) {
                free(item.path);
                return no_memory(err);
        }
        p->items = grown;
        p->items[p->count++] = item;
        return 0;
}

static void push_free(struct push *p)
{
        for (size_t i = 0; i < p->count; i++)
                free(p->items[i].path);
        free(p->items);
}

/* --- uploads in parts ------------------------------------------------------------------------------------------- */

/* uploads/<name of the blob>: the upload's name, then the tag of each part that is there, one a line. */
struct upload {
        char *path;
        char id[SF_S3_UPLOAD_ID_MAX];
        char (*tags)[SF_S3_TAG_MAX];
        unsigned done, count;
};

static void upload_free(struct upload *u)
{
        free(u->path);
        free(u->tags);
}

static int save_upload(const struct upload *u, struct sf_error *err)
{
        _cleanup_(sf_buffer_free) struct sf_buffer text = SF_BUFFER_INIT;
        int r = sf_buffer_printf(&text, err, "%s\n", u->id);

        for (unsigned i = 0; r == 0 && i < u->done; i++)
                r = sf_buffer_printf(&text, err, "%s\n", u->tags[i]);
        return r < 0 ? r : sf_fs_write(u->path, text.data, text.len, 0600, err);
}

static void load_upload(struct upload *u)
{
        _cleanup_(sf_buffer_free) struct sf_buffer text = SF_BUFFER_INIT;

        u->id[0] = '\0';
        u->done = 0;
        if (sf_fs_read(u->path, 1u << 20, &text, NULL) < 0 || text.len == 0)
                return;
        char *rest = (char *)text.data, *line = strsep(&rest, "\n");
        snprintf(u->id, sizeof u->id, "%s", line);
        while (u->done < u->count && (line = strsep(&rest, "\n")) && *line)
                snprintf(u->tags[u->done++], SF_S3_TAG_MAX, "%s", line);
}

static int send_parts(struct sf_s3 *s3, const struct sf_s3_object *whole, struct upload *u, struct sf_error *err)
{
        while (u->done < u->count) {
                struct sf_s3_object part = *whole;
                part.offset = u->done * PART;
                part.size = whole->size - part.offset < PART ? whole->size - part.offset : PART;
                part.content_type = part.cache_control = NULL;
                int r = digest_part(part.fd, part.key, part.offset, part.size, &part.digest, err);
                if (r == 0)
                        r = sf_s3_upload_part(s3, &part, u->id, u->done + 1, u->tags[u->done], err);
                if (r < 0)
                        return r;
                u->done++;
                if ((r = save_upload(u, err)) < 0)
                        return r;
        }
        return sf_s3_upload_finish(s3, whole->key, u->id, (const char(*)[SF_S3_TAG_MAX])u->tags, u->count, err);
}

static int begin_upload(struct sf_s3 *s3, const struct sf_s3_object *whole, struct upload *u, struct sf_error *err)
{
        int r = sf_s3_upload_begin(s3, whole, u->id, err);

        u->done = 0;
        return r < 0 ? r : save_upload(u, err);
}

/* Goes on with an upload that was begun, unless the store has forgotten it. */
static int send_in_parts(const struct sf_bucket *b, struct sf_s3 *s3, const struct sf_s3_object *whole,
                         struct sf_error *err)
{
        _cleanup_(upload_free) struct upload u = { .count = (unsigned)((whole->size + PART - 1) / PART) };
        struct sf_error why = SF_ERROR_INIT;
        bool resumed;
        int r;

        u.path = sf_fs_join(b->uploads, strrchr(whole->key, '/') + 1);
        u.tags = calloc(u.count, sizeof *u.tags);
        if (!u.path || !u.tags)
                return no_memory(err);
        load_upload(&u);
        resumed = u.id[0] != '\0';
        if (resumed)
                sf_log_detail("%s: going on after part %u of %u", whole->key, u.done, u.count);
        else if ((r = begin_upload(s3, whole, &u, err)) < 0)
                return r;
        r = send_parts(s3, whole, &u, &why);
        if (r < 0 && resumed && r != SF_ERR_INTERRUPTED && r != SF_ERR_NETWORK && r != SF_ERR_TIMEOUT) {
                sf_error_clear(&why);
                if ((r = begin_upload(s3, whole, &u, err)) < 0)
                        return r;
                r = send_parts(s3, whole, &u, &why);
        }
        if (r < 0)
                return sf_error_set(err, r, "%s", why.text);
        unlink(u.path);
        return 0;
}

/* --- sending ---------------------------------------------------------------------------------------------------- */

static int send_item(const struct push *p, struct sf_s3 *s3, const struct item *item, struct sf_error *err)
{
        struct sf_s3_object object = { .key = item->path,
                                       .size = item->size,
                                       .digest = item->digest,
                                       .content_type = type_of(item->path),
                                       .cache_control = cache_of(p->step) };
        _cleanup_close_ int fd = -1;
        int r = open_item(p->bucket, item->path, &fd, err);

        object.fd = fd;
        if (r < 0)
                return r;
        return p->step == STEP_BLOBS && item->size > PARTED ? send_in_parts(p->bucket, s3, &object, err)
                                                            : sf_s3_put(s3, &object, err);
}

static int send_one(void *ctx, size_t i, struct sf_error *err)
{
        const struct push *p = ctx;
        struct sf_s3 *s3;
        int r;

        if (p->bucket->options.dry_run) {
                sf_log_info("would send %s, %llu bytes", p->items[i].path, (unsigned long long)p->items[i].size);
        } else {
                if ((r = sf_bucket_connect(p->bucket, &s3, err)) < 0)
                        return r;
                r = send_item(p, s3, &p->items[i], err);
                sf_bucket_release(p->bucket, s3);
                if (r < 0)
                        return r;
                sf_log_detail("sent %s, %llu bytes", p->items[i].path, (unsigned long long)p->items[i].size);
        }
        pthread_mutex_lock(&p->bucket->mutex);
        p->bucket->sent.files++;
        p->bucket->sent.bytes += p->items[i].size;
        pthread_mutex_unlock(&p->bucket->mutex);
        return 0;
}

/* Lock or no lock. */
int sf_bucket_check_unchanged(struct sf_bucket *b, struct sf_error *err)
{
        _cleanup_(sf_buffer_free) struct sf_buffer now = SF_BUFFER_INIT;
        struct sf_error why = SF_ERROR_INIT;
        int r = sf_bucket_check_lock(b, err);

        if (r < 0)
                return r;
        r = sf_s3_get(b->s3, SF_LAYOUT_METADATA "/timestamp.json", 1u << 20, &now, &why);
        if (r < 0 && r != SF_ERR_NOT_FOUND)
                return sf_error_set(err, why.code, "%s", why.text);
        if (now.len != b->timestamp.len || (now.len && memcmp(now.data, b->timestamp.data, now.len) != 0))
                return sf_error_set(err, SF_ERR_BUSY, "%s: somebody else has published meanwhile; run it again",
                                    b->options.url);
        return 0;
}

static int push_step(struct sf_bucket *b, enum step step, struct sf_error *err)
{
        _cleanup_(push_free) struct push p = { .bucket = b, .step = step };
        int r = sf_fs_walk(b->copy, visit_item, &p, err);

        if (r < 0 || p.count == 0)
                return r;
        /* From here on files of fixed names are replaced. */
        if (step >= STEP_METADATA && !b->options.dry_run && (r = sf_bucket_check_unchanged(b, err)) < 0)
                return r;
        r = sf_parallel_each(p.count, b->options.dry_run ? 1 : SF_BUCKET_CONNECTIONS, send_one, &p, err);
        if (r == 0 && step == STEP_TIMESTAMP && !b->options.dry_run) { /* what the roots' step finds */
                b->timestamp.len = 0;
                _cleanup_free_ char *path = sf_fs_join(b->copy, p.items[0].path);
                r = path ? sf_fs_read(path, 1u << 20, &b->timestamp, err) : no_memory(err);
        }
        return r;
}

int sf_bucket_push(struct sf_bucket *b, struct sf_bucket_sent *ret, struct sf_error *err)
{
        int r = 0;

        for (enum step step = 0; r == 0 && step < STEP_COUNT; step++)
                r = push_step(b, step, err);
        *ret = b->sent;
        return r;
}
