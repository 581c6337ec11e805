/* factory/build/download.c - see download.h. */
#include "factory/build/download.h"

#include <curl/curl.h>
#include <fcntl.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/fs.h"
#include "base/log.h"
#include "base/stop.h"

struct transfer {
        const char *what, *path;
        int fd;
        struct sf_digester *digester;
        struct sf_error *err;
        int result; /* of writing */
};

static size_t on_data(char *data, size_t size, size_t count, void *ctx)
{
        struct transfer *t = ctx;

        sf_digester_update(t->digester, data, size * count);
        t->result = sf_fs_write_all(t->fd, data, size * count, t->path, t->err);
        return t->result < 0 ? 0 : size * count;
}

static int on_progress(void *ctx, curl_off_t total, curl_off_t now, curl_off_t up_total, curl_off_t up_now)
{
        const struct transfer *t = ctx;

        (void)up_total, (void)up_now;
        sf_log_progress(t->what, (uint64_t)now, (uint64_t)total);
        return sf_stop_requested;
}

static void set_options(CURL *curl, const char *url, struct transfer *transfer, char *message)
{
        curl_easy_setopt(curl, CURLOPT_URL, url);
#if LIBCURL_VERSION_NUM >= 0x075500
        curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https");
        curl_easy_setopt(curl, CURLOPT_REDIR_PROTOCOLS_STR, "http,https");
#else
        curl_easy_setopt(curl, CURLOPT_PROTOCOLS, (long)(CURLPROTO_HTTP | CURLPROTO_HTTPS));
        curl_easy_setopt(curl, CURLOPT_REDIR_PROTOCOLS, (long)(CURLPROTO_HTTP | CURLPROTO_HTTPS));
#endif
        curl_easy_setopt(curl, CURLOPT_FOLLOWLOCATION, 1L);
        curl_easy_setopt(curl, CURLOPT_MAXREDIRS, 5L);
        curl_easy_setopt(curl, CURLOPT_FAILONERROR, 1L);
        curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
        curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT, 15L);
        curl_easy_setopt(curl, CURLOPT_LOW_SPEED_LIMIT, 100L);
        curl_easy_setopt(curl, CURLOPT_LOW_SPEED_TIME, 30L);
        curl_easy_setopt(curl, CURLOPT_USERAGENT, "slurm-factory");
        curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, message);
        curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, on_data);
        curl_easy_setopt(curl, CURLOPT_WRITEDATA, transfer);
        curl_easy_setopt(curl, CURLOPT_XFERINFOFUNCTION, on_progress);
        curl_easy_setopt(curl, CURLOPT_XFERINFODATA, transfer);
        curl_easy_setopt(curl, CURLOPT_NOPROGRESS, 0L);
}

/* What curl's result means for the caller. */
static int judge(CURL *curl, CURLcode code, const struct transfer *transfer, const char *url, const char *message,
                 struct sf_error *err)
{
        long status = 0;

        if (code == CURLE_OK)
                return 0;
        if (transfer->result < 0)
                return transfer->result;
        if (code == CURLE_ABORTED_BY_CALLBACK)
                return sf_error_set(err, SF_ERR_INTERRUPTED, "%s: interrupted", url);
        curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &status);
        if (code == CURLE_HTTP_RETURNED_ERROR)
                return sf_error_set(err,
                                    status == 403 || status == 404 || status == 410 ? SF_ERR_NOT_FOUND : SF_ERR_NETWORK,
                                    "%s: HTTP status %ld", url, status);
        return sf_error_set(err, SF_ERR_NETWORK, "%s: %s", url, *message ? message : curl_easy_strerror(code));
}

int sf_download(const char *url, const char *path, const char *what, struct sf_digest *ret, struct sf_error *err)
{
        _cleanup_digester_ struct sf_digester *digester = sf_digester_new();
        _cleanup_close_ int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
        char message[CURL_ERROR_SIZE] = "";
        CURL *curl;
        int r;

        if (fd < 0)
                return sf_error_errno(err, "cannot create %s", path);
        if (!digester || !(curl = curl_easy_init()))
                return sf_error_set(err, SF_ERR_NOMEM, "%s: no memory", url);
        struct transfer transfer = { .what = what, .path = path, .fd = fd, .digester = digester, .err = err };
        set_options(curl, url, &transfer, message);
        r = judge(curl, curl_easy_perform(curl), &transfer, url, message, err);
        curl_easy_cleanup(curl);
        sf_log_progress_end();
        if (r == 0)
                sf_digester_finish(digester, ret);
        return r;
}
