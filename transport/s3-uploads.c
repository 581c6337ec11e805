/* SPDX-License-Identifier: Apache-2.0 */
/* transport/s3-uploads.c - large objects in parts: see s3.h. */
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "transport/s3-state.h"

/* --- parts ------------------------------------------------------------------------------------------------------ */

int sf_s3_upload_begin(struct sf_s3 *s3, const struct sf_s3_object *object, char ret_id[SF_S3_UPLOAD_ID_MAX],
                       struct sf_error *err)
{
        struct sf_s3_object nothing = { .key = object->key,
                                        .data = "",
                                        .content_type = object->content_type,
                                        .cache_control = object->cache_control };
        struct sf_s3_call c = {
                .method = "POST", .key = object->key, .query = "uploads=", .object = &nothing, .max = SF_S3_ANSWER_MAX
        };
        int r = sf_s3_check_key(object->key, err);

        sf_digest_of("", 0, &nothing.digest);
        if (r == 0)
                r = sf_s3_send(s3, &c, err);
        _cleanup_free_ char *id = r == 0 ? sf_s3_find_element(&c.body, "UploadId") : NULL;
        sf_buffer_free(&c.body);
        if (r < 0)
                return r;
        if (!id || strlen(id) >= SF_S3_UPLOAD_ID_MAX)
                return sf_error_set(err, SF_ERR_CORRUPT, "%s: an upload without a name", object->key);
        memcpy(ret_id, id, strlen(id) + 1);
        return 0;
}

int sf_s3_upload_part(struct sf_s3 *s3, const struct sf_s3_object *part, const char *id, unsigned number,
                      char ret_tag[SF_S3_TAG_MAX], struct sf_error *err)
{
        _cleanup_(sf_buffer_free) struct sf_buffer query = SF_BUFFER_INIT;
        struct sf_s3_call c = { .method = "PUT", .key = part->key, .object = part, .max = SF_S3_ANSWER_MAX };
        int r = sf_buffer_printf(&query, err, "partNumber=%u&uploadId=", number);

        if (r == 0)
                r = sf_s3_encode(&query, id, err);
        c.query = sf_buffer_text(&query);
        if (r == 0)
                r = sf_s3_send(s3, &c, err);
        sf_buffer_free(&c.body);
        if (r < 0)
                return r;
        if (!c.tag[0] || strlen(c.tag) >= SF_S3_TAG_MAX)
                return sf_error_set(err, SF_ERR_CORRUPT, "%s: a part without a tag", part->key);
        memcpy(ret_tag, c.tag, strlen(c.tag) + 1);
        return 0;
}

int sf_s3_upload_finish(struct sf_s3 *s3, const char *key, const char *id, const char (*tags)[SF_S3_TAG_MAX],
                        unsigned count, struct sf_error *err)
{
        _cleanup_(sf_buffer_free) struct sf_buffer query = SF_BUFFER_INIT, text = SF_BUFFER_INIT;
        struct sf_s3_object list = { .key = key, .content_type = "application/xml" };
        struct sf_s3_call c = { .method = "POST", .key = key, .object = &list, .max = SF_S3_ANSWER_MAX };
        int r = sf_buffer_puts(&query, "uploadId=", err);

        if (r == 0)
                r = sf_s3_encode(&query, id, err);
        if (r == 0)
                r = sf_buffer_puts(&text, "<CompleteMultipartUpload>", err);
        for (unsigned i = 0; r == 0 && i < count; i++) /* tags are quoted strings: '"' may stand in XML text */
                r = sf_buffer_printf(&text, err, "<Part><PartNumber>%u</PartNumber><ETag>%s</ETag></Part>", i + 1,
                                     tags[i]);
        if (r == 0)
                r = sf_buffer_puts(&text, "</CompleteMultipartUpload>", err);
        if (r < 0)
                return r;
        list.data = text.data;
        list.size = text.len;
        sf_digest_of(text.data, text.len, &list.digest);
        c.query = sf_buffer_text(&query);
        r = sf_s3_send(s3, &c, err);
        /* The store may say 200 first and find out after. */
        _cleanup_free_ char *code = r == 0 && strstr(sf_buffer_text(&c.body), "<Error>")
                                            ? sf_s3_find_element(&c.body, "Code")
                                            : NULL;
        sf_buffer_free(&c.body);
        return code ? sf_error_set(err, SF_ERR_NETWORK, "%s: %s", key, code) : r;
}

/* --- those that nobody finished --------------------------------------------------------------------------------- */

/* Members of a query in the order of their names: what is signed is sorted. */
static int uploads_query(const struct sf_s3 *s3, const char *under, const char *key, const char *id,
                         struct sf_buffer *ret, struct sf_error *err)
{
        int r = 0;

        ret->len = 0;
        if (key && ((r = sf_buffer_puts(ret, "key-marker=", err)) < 0 || (r = sf_s3_encode(ret, key, err)) < 0 ||
                    (r = sf_buffer_puts(ret, "&", err)) < 0))
                return r;
        if ((r = sf_buffer_puts(ret, "prefix=", err)) < 0 || (r = sf_s3_encode(ret, s3->prefix, err)) < 0 ||
            (r = sf_s3_encode(ret, under, err)) < 0)
                return r;
        if (key && id &&
            ((r = sf_buffer_puts(ret, "&upload-id-marker=", err)) < 0 || (r = sf_s3_encode(ret, id, err)) < 0))
                return r;
        return sf_buffer_puts(ret, "&uploads=", err);
}

static int visit_uploads(const struct sf_s3 *s3, const struct sf_buffer *answer, sf_s3_visit_upload_fn *visit,
                         void *ctx, struct sf_error *err)
{
        const char *at = sf_buffer_text(answer), *end = at + answer->len;
        size_t head = strlen(s3->prefix);
        int r = 0;

        for (char *entry; r == 0 && (entry = sf_s3_take_element(&at, end, "Upload"));) {
                const char *a = entry, *b = entry, *c = entry, *stop = entry + strlen(entry);
                _cleanup_free_ __attribute__((unused)) char *owned = entry;
                _cleanup_free_ char *key = sf_s3_take_element(&a, stop, "Key");
                _cleanup_free_ char *id = sf_s3_take_element(&b, stop, "UploadId");
                _cleanup_free_ char *when = sf_s3_take_element(&c, stop, "Initiated");
                if (!key || !id || strncmp(key, s3->prefix, head) != 0)
                        return sf_error_set(err, SF_ERR_CORRUPT, "%s: a list of uploads that cannot be read", s3->host);
                r = visit(ctx, key + head, id, when ? sf_s3_parse_time(when) : 0, err);
        }
        return r;
}

int sf_s3_uploads(struct sf_s3 *s3, const char *under, sf_s3_visit_upload_fn *visit, void *ctx, struct sf_error *err)
{
        _cleanup_(sf_buffer_free) struct sf_buffer query = SF_BUFFER_INIT;
        _cleanup_free_ char *key = NULL, *id = NULL;

        for (;;) {
                struct sf_s3_call c = { .method = "GET", .max = SF_S3_ANSWER_MAX };
                int r = uploads_query(s3, under, key, id, &query, err);
                c.query = sf_buffer_text(&query);
                if (r == 0)
                        r = sf_s3_send(s3, &c, err);
                if (r == 0)
                        r = visit_uploads(s3, &c.body, visit, ctx, err);
                _cleanup_free_ char *more = r == 0 ? sf_s3_find_element(&c.body, "IsTruncated") : NULL;
                bool goes_on = more && strcmp(more, "true") == 0;
                free(key);
                free(id);
                key = goes_on ? sf_s3_find_element(&c.body, "NextKeyMarker") : NULL;
                id = goes_on ? sf_s3_find_element(&c.body, "NextUploadIdMarker") : NULL;
                sf_buffer_free(&c.body);
                if (r < 0 || !key)
                        return r;
        }
}

int sf_s3_upload_abort(struct sf_s3 *s3, const char *key, const char *id, struct sf_error *err)
{
        _cleanup_(sf_buffer_free) struct sf_buffer query = SF_BUFFER_INIT;
        struct sf_s3_call c = { .method = "DELETE", .key = key, .max = SF_S3_ANSWER_MAX };
        struct sf_error why = SF_ERROR_INIT;
        int r = sf_s3_check_key(key, err);

        if (r == 0)
                r = sf_buffer_puts(&query, "uploadId=", err);
        if (r == 0)
                r = sf_s3_encode(&query, id, err);
        if (r < 0)
                return r;
        c.query = sf_buffer_text(&query);
        r = sf_s3_send(s3, &c, &why);
        sf_buffer_free(&c.body);
        return r < 0 && r != SF_ERR_NOT_FOUND ? sf_error_set(err, r, "%s", why.text) : 0;
}
