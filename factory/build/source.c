/* SPDX-License-Identifier: Apache-2.0 */
/* factory/build/source.c - see source.h. */
#include "factory/build/source.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/fs.h"
#include "base/log.h"
#include "base/progress.h"
#include "base/proc.h"
#include "base/stop.h"
#include "base/stream.h"
#include "transport/fetch.h"
#include "transport/url.h"

#define CHUNK      ((size_t)128 << 10)
#define SOURCE_MAX ((uint64_t)4 << 30) /* bytes of one source archive */

/* One search: where the verified file goes, and the list of places that did not have it. */
struct search {
        const struct sf_recipe_source *source;
        char *final, *partial;
        struct sf_buffer tried; /* "place (reason), place (reason)" */
};

static void search_free(struct search *s)
{
        free(s->final);
        free(s->partial);
        sf_buffer_free(&s->tried);
}

static int note_failure(struct search *s, const char *place, const struct sf_error *why, struct sf_error *err)
{
        char shown[SF_URL_SHOWN_MAX];

        place = strstr(place, "://") ? sf_url_shown(place, shown) : place;
        /* Reasons usually begin with the place itself. */
        const char *reason = strncmp(why->text, place, strlen(place)) == 0 ? why->text + strlen(place) : why->text;

        reason += strspn(reason, ": ");
        return sf_buffer_printf(&s->tried, err, "%s%s (%s)", s->tried.len ? ", " : "", place, reason);
}

static void tell_notice(void *ctx, const char *text)
{
        (void)ctx;
        sf_log_detail("%s", text);
}

/* Hashes a stream and writes it to a file, where one is named, until it is on the disk. total: bytes that are
 * expected, for the progress line; 0 = unknown. */
static int save(struct sf_stream *in, const char *to, const char *what, uint64_t total, struct sf_digest *ret,
                struct sf_error *err)
{
        _cleanup_digester_ struct sf_digester *digester = NULL;
        _cleanup_free_ char *chunk = malloc(CHUNK);
        _cleanup_close_ int fd = -1;
        uint64_t done = 0;
        ssize_t n;
        int r = 0;

        if (!chunk)
                return sf_error_set(err, SF_ERR_NOMEM, "%s: no memory", what);
        if ((r = sf_digester_new(&digester, err)) < 0)
                return r;
        if (to && (fd = open(to, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644)) < 0)
                return sf_error_errno(err, "cannot create %s", to);
        while (r == 0 && (n = sf_stream_read(in, chunk, CHUNK, err)) != 0) {
                if (n < 0)
                        return (int)n;
                sf_digester_update(digester, chunk, (size_t)n);
                r = to ? sf_fs_write_all(fd, chunk, (size_t)n, to, err) : 0;
                sf_progress_show(what, done += (uint64_t)n, total);
        }
        if (r == 0 && to && fsync(fd) < 0)
                r = sf_error_errno(err, "cannot write %s", to);
        if (r == 0)
                sf_digester_finish(digester, ret);
        return r;
}

static int copy_file(const char *from, const char *to, const char *what, struct sf_digest *ret, struct sf_error *err)
{
        _cleanup_stream_ struct sf_stream *in = NULL;
        int r = sf_stream_from_file(from, &in, err);

        return r < 0 ? r : save(in, to, what, 0, ret, err);
}

static int download(const char *url, const char *to, const char *what, struct sf_digest *ret, struct sf_error *err)
{
        const char *const bases[] = { url, NULL };
        _cleanup_fetcher_ struct sf_fetcher *fetcher = NULL;
        _cleanup_stream_ struct sf_stream *in = NULL;
        struct sf_fetch_options options;
        uint64_t total;
        int r;

        sf_fetch_options_default(&options);
        options.bases = bases;
        options.one_file = true;
        options.retries = 2;
        options.stop = &sf_stop_requested;
        options.notice = tell_notice;
        if ((r = sf_fetcher_open(&options, &fetcher, err)) < 0 ||
            (r = sf_fetch_file(fetcher, "", SOURCE_MAX, &in, &total, err)) < 0)
                return r;
        return save(in, to, what, total, ret, err);
}

static int check_digest(const struct sf_digest *is, const struct sf_recipe_source *source, struct sf_error *err)
{
        char got[SF_DIGEST_HEX + 1], wanted[SF_DIGEST_HEX + 1];

        return sf_digest_equal(is, &source->digest)
                       ? 0
                       : sf_error_set(err, SF_ERR_CORRUPT, "sha256 is %.16s…, not %.16s…", sf_digest_hex(is, got),
                                      sf_digest_hex(&source->digest, wanted));
}

/* Gives a whole file its name. */
static int settle(const char *partial, const char *final, struct sf_error *err)
{
        if (rename(partial, final) < 0)
                return sf_error_errno(err, "cannot move %s to %s", partial, final);
        return sf_fs_sync_parent(final, err);
}

/* Fetches one place into the partial file and accepts it when the digest is right. `place` is a path or a URL. */
static int take(const struct search *s, const char *place, struct sf_error *err)
{
        struct sf_digest digest;
        int r = (strstr(place, "://") ? download : copy_file)(place, s->partial, s->source->file, &digest, err);

        sf_log_progress_end();
        if (r == 0)
                r = check_digest(&digest, s->source, err);
        return r < 0 ? r : settle(s->partial, s->final, err);
}

/* Returns 0 when the source is there, 1 to go on searching, or an error that ends the search. */
static int try_place(struct search *s, const char *place, struct sf_error *err)
{
        struct sf_error why = SF_ERROR_INIT;
        int r = take(s, place, &why);

        if (r == 0) {
                char shown[SF_URL_SHOWN_MAX];

                sf_log_detail("source %s from %s", s->source->file,
                              strstr(place, "://") ? sf_url_shown(place, shown) : place);
                return 0;
        }
        unlink(s->partial);
        if (r == SF_ERR_INTERRUPTED || r == SF_ERR_NO_SPACE || r == SF_ERR_NOMEM) {
                if (err)
                        *err = why;
                return r;
        }
        r = note_failure(s, place, &why, err);
        return r < 0 ? r : 1;
}

/* BASE/<file>, then BASE/<pool path>. */
static int try_base(struct search *s, const char *base, bool flat, struct sf_error *err)
{
        const char *const layouts[] = { flat ? s->source->file : "", s->source->pool };
        size_t length = strlen(base);
        int r = 1;

        if (strncmp(base, "file://", strlen("file://")) == 0) {
                base += strlen("file://");
                length -= strlen("file://");
        }
        /* A double slash is a 404 on some mirrors. */
        while (length > 1 && base[length - 1] == '/')
                length--;
        for (size_t i = 0; i < sizeof layouts / sizeof *layouts && r == 1; i++) {
                _cleanup_free_ char *place = NULL;

                if (!*layouts[i])
                        continue;
                if (!(place = sf_format("%.*s/%s", (int)length, base, layouts[i])))
                        return sf_error_set(err, SF_ERR_NOMEM, "source");
                r = try_place(s, place, err);
        }
        return r;
}

int sf_source_apt_bases(struct sf_words *bases, struct sf_error *err)
{
        static const char *const argv[] = { "apt-get",     "indextargets",         "--format",
                                            "$(REPO_URI)", "Created-By: Packages", NULL };
        _cleanup_(sf_buffer_free) struct sf_buffer out = SF_BUFFER_INIT, errors = SF_BUFFER_INIT;
        const struct sf_proc proc = { .argv = argv, .output = &out, .errors = &errors, .timeout_seconds = 60 };
        _cleanup_(sf_words_free) struct sf_words lines = SF_WORDS_INIT;
        int r;

        if (sf_proc_check(&proc, NULL) < 0)
                return 0;
        if ((r = sf_words_split(&lines, sf_buffer_text(&out), err)) < 0)
                return r;
        for (size_t i = 0; i < lines.count; i++) {
                char *line = lines.items[i];
                bool known = false;

                for (size_t n = strlen(line); n > 1 && line[n - 1] == '/'; n--)
                        line[n - 1] = '\0';
                for (size_t j = 0; j < bases->count && !known; j++)
                        known = strcmp(bases->items[j], line) == 0;
                if (!known && strncmp(line, "http", 4) == 0 && (r = sf_words_append(bases, line, err)) < 0)
                        return r;
        }
        return 0;
}

static int try_all(struct search *s, const struct sf_words *mirrors, struct sf_error *err)
{
        _cleanup_(sf_words_free) struct sf_words bases = SF_WORDS_INIT;
        int r = 1;

        for (size_t i = 0; i < mirrors->count && r == 1; i++)
                r = try_base(s, mirrors->items[i], true, err);
        if (r == 1 && *s->source->pool) {
                int listed = sf_source_apt_bases(&bases, err);
                if (listed < 0)
                        return listed;
                for (size_t i = 0; i < bases.count && r == 1; i++)
                        r = try_base(s, bases.items[i], false, err);
        }
        for (size_t i = 0; i < s->source->urls.count && r == 1; i++)
                r = try_place(s, s->source->urls.items[i], err);
        return r;
}

static int search_begin(struct search *s, const struct sf_cache *cache, const struct sf_recipe_source *source,
                        struct sf_error *err)
{
        char hex[SF_DIGEST_HEX + 1];

        sf_digest_hex(&source->digest, hex);
        s->source = source;
        s->final = sf_format("%s/sources/%s-%s", cache->root, hex, source->file);
        s->partial = sf_format("%s/sources/.%s-%s.%ld", cache->root, hex, source->file, (long)getpid());
        return s->final && s->partial ? 0 : sf_error_set(err, SF_ERR_NOMEM, "source");
}

/* A file that a full disk or a power cut left short, or that somebody changed, is no source: it goes. */
static bool is_cached(const struct search *s)
{
        struct sf_error why = SF_ERROR_INIT;
        struct sf_digest digest;
        int r;

        if (!sf_fs_exists(s->final))
                return false;
        r = copy_file(s->final, NULL, s->source->file, &digest, &why);
        sf_log_progress_end();
        if (r == 0)
                r = check_digest(&digest, s->source, &why);
        if (r == 0)
                return true;
        sf_log_warning("%s: %s; it is taken from elsewhere", s->final, why.text);
        unlink(s->final);
        return false;
}

/* Returns like try_place. cache_only: no alternative is downloaded while another one is already here. */
static int try_source(const struct sf_cache *cache, const struct sf_words *mirrors,
                      const struct sf_recipe_source *source, bool cache_only, char **ret_path, struct sf_buffer *report,
                      struct sf_error *err)
{
        _cleanup_(search_free) struct search s = { .tried = SF_BUFFER_INIT };
        int r = search_begin(&s, cache, source, err);

        if (r < 0)
                return r;
        if (cache_only)
                r = is_cached(&s) ? 0 : 1;
        else
                r = try_all(&s, mirrors, err);
        if (r == 0)
                *ret_path = sf_steal_pointer(s.final);
        if (r != 1 || cache_only)
                return r;
        r = sf_buffer_printf(report, err, "%s%s; tried: %s", report->len ? "; " : "", source->file,
                             s.tried.len ? sf_buffer_text(&s.tried) : "no place is known");
        return r < 0 ? r : 1;
}

int sf_source_fetch(const struct sf_cache *cache, const struct sf_words *mirrors, const struct sf_recipe *recipe,
                    char **ret_path, const struct sf_recipe_source **ret_source, struct sf_error *err)
{
        _cleanup_(sf_buffer_free) struct sf_buffer report = SF_BUFFER_INIT;

        for (int pass = 0; pass < 2; pass++)
                for (size_t i = 0; i < recipe->source_count; i++) {
                        int r = try_source(cache, mirrors, &recipe->sources[i], pass == 0, ret_path, &report, err);
                        if (r == 0)
                                *ret_source = &recipe->sources[i];
                        if (r <= 0)
                                return r;
                }
        return sf_error_set(err, SF_ERR_NOT_FOUND, "no source for %s %s: %s", recipe->name, recipe->version,
                            sf_buffer_text(&report));
}

/* A copy of a source under its own name, which is right when it gets it. Returns 1. */
static int copy_source(const struct sf_recipe_source *source, const char *archive, const char *copy,
                       struct sf_error *err)
{
        _cleanup_free_ char *partial = sf_format("%s.%ld.partial", copy, (long)getpid());
        struct sf_digest digest;
        int r;

        if (!partial)
                return sf_error_set(err, SF_ERR_NOMEM, "mirror");
        r = copy_file(archive, partial, source->file, &digest, err);
        if (r == 0 && (r = check_digest(&digest, source, err)) < 0)
                sf_error_prefix(err, "%s", copy);
        if (r == 0)
                r = settle(partial, copy, err);
        if (r < 0)
                unlink(partial);
        return r < 0 ? r : 1;
}

int sf_source_mirror(const struct sf_cache *cache, const struct sf_words *mirrors, const struct sf_recipe *recipe,
                     const char *directory, struct sf_error *err)
{
        _cleanup_free_ char *archive = NULL, *copy = NULL;
        const struct sf_recipe_source *source;
        struct sf_digest digest;
        int r = sf_source_fetch(cache, mirrors, recipe, &archive, &source, err);

        if (r < 0)
                return r;
        if (!(copy = sf_fs_join(directory, source->file)))
                return sf_error_set(err, SF_ERR_NOMEM, "mirror");
        if (sf_fs_exists(copy) && copy_file(copy, NULL, source->file, &digest, NULL) == 0 &&
            sf_digest_equal(&digest, &source->digest))
                return 0;
        return copy_source(source, archive, copy, err);
}
