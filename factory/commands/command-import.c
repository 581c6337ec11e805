/* SPDX-License-Identifier: Apache-2.0 */
/* factory/commands/command-import.c - the verb import: a directory, or a published tarball that is fetched, verified
 * and unpacked first. */
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/fs.h"
#include "base/log.h"
#include "base/progress.h"
#include "base/stop.h"
#include "base/stream.h"
#include "factory/build/cache.h"
#include "factory/commands/command.h"
#include "factory/pack/import.h"
#include "factory/pack/openpgp.h"
#include "factory/pack/tarball.h"
#include "release/agents.h"
#include "release/host.h"
#include "transport/fetch.h"

#define TARBALL_MAX (16ull << 30)
#define CHUNK       (256u << 10)

static void print_finding(void *ctx, const char *text)
{
        (void)ctx;
        sf_log_error("%s", text);
}

static void print_note(void *ctx, const char *text)
{
        (void)ctx;
        sf_log_info("note: %s", text);
}

static void report_release(const struct sf_release_name *name, const struct sf_pack_result *packed, json_t *result)
{
        char download[32], installed[32];

        sf_log_info("%s: %zu files, %s; %s in %zu frames; %zu files name the prefix", name->text, packed->file_count,
                    sf_log_size(packed->installed, installed), sf_log_size(packed->download, download),
                    packed->frame_count, packed->relocated);
        json_object_set_new(result, "release", sf_json_text(name->text));
        json_object_set_new(result, "directory", sf_json_text(packed->directory));
        json_object_set_new(result, "download", json_integer((json_int_t)packed->download));
        json_object_set_new(result, "installed", json_integer((json_int_t)packed->installed));
        json_object_set_new(result, "files", json_integer((json_int_t)packed->file_count));
        json_object_set_new(result, "relocated", json_integer((json_int_t)packed->relocated));
        json_object_set_new(result, "frames", json_integer((json_int_t)packed->frame_count));
}

/* Everything that an import needs while it runs. */
struct session {
        const struct sf_factory *factory;
        const struct sf_command_line *line;
        struct sf_cache cache;
        struct sf_words layers, placeholders, exclude;
        char *builds, *toolchain, *directory, *scratch;
        struct sf_tarball_name tarball;
        char version[48];
};

static void session_close(struct session *s)
{
        if (s->scratch)
                (void)sf_fs_remove_tree(s->scratch, NULL);
        sf_cache_close(&s->cache);
        sf_words_free(&s->layers);
        sf_words_free(&s->placeholders);
        sf_words_free(&s->exclude);
        free(s->builds);
        free(s->toolchain);
        free(s->directory);
        free(s->scratch);
}

/* --- a tarball ---------------------------------------------------------------------------------------------------- */

static void tell_notice(void *ctx, const char *text)
{
        (void)ctx;
        sf_log_warning("%s", text);
}

static int save(struct sf_stream *in, const char *to, uint64_t total, struct sf_error *err)
{
        _cleanup_free_ char *chunk = malloc(CHUNK);
        _cleanup_close_ int fd = open(to, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
        uint64_t done = 0;
        ssize_t n;
        int r = 0;

        if (!chunk)
                return sf_error_set(err, SF_ERR_NOMEM, "out of memory");
        if (fd < 0)
                return sf_error_errno(err, "cannot make %s", to);
        while (r == 0 && (n = sf_stream_read(in, chunk, CHUNK, err)) != 0) {
                if (n < 0)
                        return (int)n;
                r = sf_fs_write_all(fd, chunk, (size_t)n, to, err);
                sf_progress_show("fetching", done += (uint64_t)n, total);
        }
        return r;
}

static int download(const char *url, const char *to, struct sf_error *err)
{
        const char *const bases[] = { url, NULL };
        _cleanup_fetcher_ struct sf_fetcher *fetcher = NULL;
        _cleanup_stream_ struct sf_stream *in = NULL;
        struct sf_fetch_options options;
        uint64_t total = 0;
        int r;

        sf_fetch_options_default(&options);
        options.bases = bases;
        options.one_file = true;
        options.stop = &sf_stop_requested;
        options.notice = tell_notice;
        r = sf_fetcher_open(&options, &fetcher, err);
        if (r == 0)
                r = sf_fetch_file(fetcher, "", TARBALL_MAX, &in, &total, err);
        if (r == 0)
                r = save(in, to, total, err);
        sf_log_progress_end();
        return r < 0 ? sf_error_prefix(err, "%s", url) : 0;
}

/* The file on this machine that a URL or a path names; fetched to `to` where it is elsewhere. */
static int obtain(const char *place, const char *to, char **ret, struct sf_error *err)
{
        bool remote = strstr(place, "://") != NULL;
        int r = remote ? download(place, to, err) : 0;

        if (r < 0)
                return r;
        if (!remote && !sf_fs_exists(place))
                return sf_error_set(err, SF_ERR_NOT_FOUND, "%s: no such file", place);
        *ret = strdup(remote ? to : place);
        return *ret ? 0 : sf_error_set(err, SF_ERR_NOMEM, "out of memory");
}

static int verify(const struct session *s, const char *file, const char *signature, struct sf_error *err)
{
        const struct sf_openpgp openpgp = { .file = file,
                                            .signature = signature,
                                            .keyring = sf_option_get(s->line, "keyring"),
                                            .fingerprint = sf_option_get(s->line, "fingerprint"),
                                            .scratch = s->scratch };
        const char *tool = "";
        int r = sf_openpgp_verify(&openpgp, &tool, err);

        if (r == 0)
                sf_log_info("signed by %s (%s)", openpgp.fingerprint, tool);
        return r;
}

/* Nothing of the archive is looked at before its signature is verified. */
static int open_tarball(struct session *s, const char *place, struct sf_error *err)
{
        _cleanup_free_ char *signature_place = sf_format("%s.asc", place), *file = NULL, *signature = NULL;
        _cleanup_free_ char *here = NULL, *signature_here = NULL;
        unsigned long others;
        int r;

        if (!sf_option_given(s->line, "keyring") || !sf_option_given(s->line, "fingerprint"))
                return sf_error_set(err, SF_ERR_USAGE,
                                    "--tarball needs --keyring and --fingerprint, which say who must have signed it");
        if ((r = sf_tarball_name_parse(place, &s->tarball, err)) < 0)
                return r;
        s->scratch = sf_format("%s/work/tarball.%ld", s->cache.root, (long)getpid());
        s->directory = s->scratch ? sf_fs_join(s->scratch, "view") : NULL;
        file = s->scratch ? sf_fs_join(s->scratch, "tarball") : NULL;
        signature = s->scratch ? sf_fs_join(s->scratch, "signature") : NULL;
        if (!signature_place || !s->directory || !file || !signature)
                return sf_error_set(err, SF_ERR_NOMEM, "out of memory");
        if ((r = sf_fs_remove_tree(s->scratch, err)) < 0 || (r = sf_fs_mkdirs(s->directory, 0700, err)) < 0 ||
            (r = obtain(signature_place, signature, &signature_here, err)) < 0 ||
            (r = obtain(place, file, &here, err)) < 0 || (r = verify(s, here, signature_here, err)) < 0 ||
            (r = sf_tarball_unpack(here, s->directory, &others, err)) < 0)
                return r;
        if (others)
                sf_log_info("note: %lu members beside view/ are left out", others);
        return 0;
}

/* What the archive's name and content say, where no option says it. */
static int describe_tarball(struct session *s, struct sf_import *import, struct sf_error *err)
{
        /* The name decides, not what this factory usually builds for. */
        import->toolchain = sf_option_get(s->line, "toolchain");
        if (!import->toolchain && *s->tarball.toolchain)
                import->toolchain = s->tarball.toolchain;
        if (!import->toolchain)
                return sf_error_set(err, SF_ERR_USAGE,
                                    "the archive's name says no system that it is for; --toolchain does");
        if (!import->arch && *s->tarball.arch)
                import->arch = s->tarball.arch;
        if (import->version)
                return 0;
        import->version = s->version;
        return sf_tarball_version(s->directory, s->tarball.series, s->version, err);
}

/* --- the verb ----------------------------------------------------------------------------------------------------- */

static int open_session(struct session *s, struct sf_import *import, struct sf_error *err)
{
        const char *treatment = sf_option_get(s->line, "static");
        int r;

        if ((r = sf_cache_open(s->factory->cache, &s->cache, err)) < 0 ||
            (r = sf_option_collect(s->line, "layer", &s->layers, err)) < 0 ||
            (r = sf_option_collect(s->line, "placeholder", &s->placeholders, err)) < 0 ||
            (r = sf_option_collect(s->line, "exclude", &s->exclude, err)) < 0 ||
            (treatment && (r = sf_static_archive_parse(treatment, &import->static_archives, err)) < 0))
                return r;
        s->builds = sf_cache_path(&s->cache, "builds", NULL);
        if (!s->builds)
                return sf_error_set(err, SF_ERR_NOMEM, "out of memory");
        import->builds = s->builds;
        import->layers = sf_words_argv(&s->layers);
        import->placeholders = sf_words_argv(&s->placeholders);
        import->exclude = sf_words_argv(&s->exclude);
        return 0;
}

/* A directory was given, or a tarball becomes one. */
static int choose_directory(struct session *s, struct sf_import *import, struct sf_error *err)
{
        const char *tarball = sf_option_get(s->line, "tarball");
        int r;

        if (!tarball == (s->line->argument_count == 0))
                return sf_error_set(err, SF_ERR_USAGE, "a directory or --tarball is needed");
        if (tarball) {
                sf_stop_catch();
                r = open_tarball(s, tarball, err);
                if (r == 0)
                        r = describe_tarball(s, import, err);
                import->directory = s->directory;
                return r;
        }
        import->directory = s->line->arguments[0];
        if (!import->version)
                return sf_error_set(err, SF_ERR_USAGE, "--slurm-version is needed");
        return 0;
}

int sf_command_import(const struct sf_factory *factory, const struct sf_command_line *line, json_t *result,
                      struct sf_error *err)
{
        _cleanup_(session_close) struct session s = { .factory = factory, .line = line };
        _cleanup_(sf_pack_result_free) struct sf_pack_result packed = { 0 };
        struct sf_import import = { .version = sf_option_get(line, "slurm-version"),
                                    .toolchain = factory->toolchain,
                                    .arch = sf_option_get(line, "arch"),
                                    .build = sf_option_get(line, "build"),
                                    .agent = sf_option_get(line, "needs-agent"),
                                    .force = sf_option_given(line, "force"),
                                    .finding = print_finding,
                                    .note = print_note };
        struct sf_release_name name;
        int r;

        if (import.agent && !sf_agents_is_version(import.agent))
                return sf_error_set(err, SF_ERR_USAGE, "--needs-agent %s: not a version", import.agent);
        if ((r = open_session(&s, &import, err)) < 0 || (r = choose_directory(&s, &import, err)) < 0 ||
            (!import.toolchain && (r = sf_host_toolchain(NULL, &s.toolchain, err)) < 0))
                return r;
        import.arch = import.arch ? import.arch : sf_host_arch();
        import.toolchain = import.toolchain ? import.toolchain : s.toolchain;
        r = sf_import_run(&import, &name, &packed, err);
        if (r == 0)
                report_release(&name, &packed, result);
        return r;
}
