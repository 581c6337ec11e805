/* SPDX-License-Identifier: Apache-2.0 */
/* transport/transfer-request.c - a request as libcurl's options: method, headers, range, signature, and the body that
 * is sent.
 */
#include "transport/transfer-state.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

size_t sf_transfer_upload(char *buffer, size_t size, size_t count, void *ctx)
{
        struct sf_transfer *t = ctx;
        uint64_t left = t->upload.size - t->sent;
        size_t len = size * count < left ? size * count : (size_t)left;

        if (len && t->upload.data) {
                memcpy(buffer, (const char *)t->upload.data + t->sent, len);
        } else if (len) {
                ssize_t n = pread(t->upload.fd, buffer, len, (off_t)(t->upload.offset + t->sent));
                if (n <= 0) {
                        sf_error_set(&t->refusal, SF_ERR_IO, "the file that is being sent cannot be read to its end");
                        return CURL_READFUNC_ABORT;
                }
                len = (size_t)n;
        }
        t->sent += len;
        t->window_sent += len;
        return len;
}

/* A kept connection that turns out to be closed makes libcurl begin again. */
int sf_transfer_seek(void *ctx, curl_off_t offset, int origin)
{
        struct sf_transfer *t = ctx;

        if (origin != SEEK_SET || offset < 0 || (uint64_t)offset > t->upload.size)
                return CURL_SEEKFUNC_CANTSEEK;
        t->sent = (uint64_t)offset;
        return CURL_SEEKFUNC_OK;
}

static int set_signature(struct sf_transfer *t, const struct sf_transfer_signature *signature)
{
#if LIBCURL_VERSION_NUM >= 0x074b00
        char how[128] = "";
        int bad = 0;

        /* Left alone where no request was ever signed: a libcurl without signatures refuses the option's very name. */
        if (!signature && !t->signs)
                return false;
        t->signs = signature != NULL;
        if (signature)
                snprintf(how, sizeof how, "aws:amz:%.40s:%.40s", signature->region, signature->service);
        bad |= curl_easy_setopt(t->easy, CURLOPT_HTTPAUTH, signature ? CURLAUTH_NONE : CURLAUTH_BASIC) != CURLE_OK;
        bad |= curl_easy_setopt(t->easy, CURLOPT_AWS_SIGV4, signature ? how : NULL) != CURLE_OK;
        bad |= curl_easy_setopt(t->easy, CURLOPT_USERNAME, signature ? signature->access_key : NULL) != CURLE_OK;
        bad |= curl_easy_setopt(t->easy, CURLOPT_PASSWORD, signature ? signature->secret_key : NULL) != CURLE_OK;
        return bad;
#else
        (void)t;
        return signature != NULL;
#endif
}

/* GET, HEAD and DELETE carry nothing, PUT and POST may. HTTPGET comes first: it resets the others. */
static int set_method(struct sf_transfer *t, const struct sf_request *request)
{
        const char *method = request->method ? request->method : "GET";
        bool head = strcmp(method, "HEAD") == 0, get = strcmp(method, "GET") == 0;
        int bad = 0;

        t->upload = request->upload ? *request->upload : (struct sf_upload){ .fd = -1 };
        t->sent = t->window_sent = 0;
        bad |= curl_easy_setopt(t->easy, CURLOPT_HTTPGET, 1L) != CURLE_OK;
        bad |= curl_easy_setopt(t->easy, CURLOPT_NOBODY, head ? 1L : 0L) != CURLE_OK;
        bad |= curl_easy_setopt(t->easy, CURLOPT_UPLOAD, request->upload ? 1L : 0L) != CURLE_OK;
        bad |= curl_easy_setopt(t->easy, CURLOPT_INFILESIZE_LARGE,
                                request->upload ? (curl_off_t)t->upload.size : (curl_off_t)-1) != CURLE_OK;
        if (!head && !request->upload)
                bad |= curl_easy_setopt(t->easy, CURLOPT_HTTPGET, 1L) != CURLE_OK;
        bad |= curl_easy_setopt(t->easy, CURLOPT_CUSTOMREQUEST, head || get ? NULL : method) != CURLE_OK;
        return bad;
}

static int add_header(struct sf_transfer *t, const char *line)
{
        struct curl_slist *longer = curl_slist_append(t->headers, line);

        if (longer)
                t->headers = longer;
        return !longer;
}

/* Who we are to this host; what an earlier request of another one had is taken back. */
static int set_credentials(struct sf_transfer *t, const char *url, struct sf_error *err)
{
        const struct sf_access *known = &t->options.access;
        const struct sf_credentials *who = sf_credentials_find(known->credentials, known->count, url);
        const char *files[] = { who ? who->certificate : NULL, who ? who->key : NULL };
        int bad = 0;

        if (known->count == 0)
                return 0;
        if (who && (who->user || who->token) && !sf_credentials_may_be_sent(who, url))
                return sf_error_set(err, SF_ERR_TRUST,
                                    "the credentials of %s are not sent over plain http (plain_http = yes sends them)",
                                    who->host);
        for (size_t i = 0; i < 2; i++)
                if (files[i] && access(files[i], R_OK) < 0)
                        return sf_error_errno(err, "client certificate or key %s", files[i]);
        if (who && who->token) {
                char line[SF_CREDENTIALS_TOKEN_MAX + 32];
                if (snprintf(line, sizeof line, "Authorization: Bearer %s", who->token) >= (int)sizeof line)
                        return sf_error_set(err, SF_ERR_USAGE, "the token of %s is too long", who->host);
                bad |= add_header(t, line);
        }
        bad |= curl_easy_setopt(t->easy, CURLOPT_HTTPAUTH, CURLAUTH_BASIC) != CURLE_OK;
        bad |= curl_easy_setopt(t->easy, CURLOPT_USERNAME, who ? who->user : NULL) != CURLE_OK;
        bad |= curl_easy_setopt(t->easy, CURLOPT_PASSWORD, who ? who->password : NULL) != CURLE_OK;
        bad |= curl_easy_setopt(t->easy, CURLOPT_SSLCERT, files[0]) != CURLE_OK;
        bad |= curl_easy_setopt(t->easy, CURLOPT_SSLKEY, files[1]) != CURLE_OK;
        return bad ? sf_error_set(err, SF_ERR_NOMEM, "no memory for a request") : 0;
}

int sf_transfer_set_proxy(struct sf_transfer *t)
{
        const struct sf_proxy *proxy = &t->options.access.proxy;
        int bad = 0;

        if (proxy->url)
                bad |= curl_easy_setopt(t->easy, CURLOPT_PROXY, proxy->url) != CURLE_OK;
        if (proxy->except)
                bad |= curl_easy_setopt(t->easy, CURLOPT_NOPROXY, proxy->except) != CURLE_OK;
        if (proxy->user) {
                bad |= curl_easy_setopt(t->easy, CURLOPT_PROXYUSERNAME, proxy->user) != CURLE_OK;
                bad |= curl_easy_setopt(t->easy, CURLOPT_PROXYPASSWORD, proxy->password) != CURLE_OK;
        }
        return bad;
}

/* If-Range has no option of its own in libcurl. */
int sf_transfer_set_request(struct sf_transfer *t, const struct sf_request *request, struct sf_error *err)
{
        char range[64], if_range[SF_HTTP_HEAD_VALIDATOR_MAX + 16];
        int bad = 0;

        curl_slist_free_all(t->headers);
        t->headers = NULL;
        if (request->validator && request->validator[0]) {
                snprintf(if_range, sizeof if_range, "If-Range: %s", request->validator);
                bad |= add_header(t, if_range);
        }
        int r = set_credentials(t, request->url, err);
        if (r < 0)
                return r;
        for (const char *const *line = request->headers; line && *line; line++)
                bad |= add_header(t, *line);
        bad |= set_method(t, request);
        snprintf(range, sizeof range, "%llu-%llu", (unsigned long long)request->offset,
                 (unsigned long long)(request->offset + request->length - 1));
        bad |= curl_easy_setopt(t->easy, CURLOPT_URL, request->url) != CURLE_OK;
        bad |= curl_easy_setopt(t->easy, CURLOPT_RANGE, request->ranged ? range : NULL) != CURLE_OK;
        bad |= curl_easy_setopt(t->easy, CURLOPT_HTTPHEADER, t->headers) != CURLE_OK;
        if (bad)
                return sf_error_set(err, SF_ERR_NOMEM, "no memory for a request");
        if (set_signature(t, request->signature))
                return sf_error_set(err, SF_ERR_UNSUPPORTED, "%s cannot sign requests", curl_version());
        return 0;
}
