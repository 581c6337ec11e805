/* factory/command-build.c - the verbs that build and clean: build-deps, build-slurm, clean. */
#include <stdlib.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/fs.h"
#include "base/log.h"
#include "factory/build.h"
#include "factory/command.h"

/* What a build verb holds open. */
struct session {
        struct sf_cache cache;
        struct sf_toolchain toolchain;
        struct sf_workshop workshop;
        struct sf_build build;
};

static void session_close(struct session *s)
{
        sf_build_free(&s->build);
        sf_workshop_close(&s->workshop);
        sf_toolchain_free(&s->toolchain);
        sf_cache_close(&s->cache);
}

static int session_open(const struct sf_factory *factory, struct session *s, struct sf_error *err)
{
        _cleanup_free_ char *toolchains = sf_fs_join(factory->data, "toolchains");
        int r;

        if (!toolchains)
                return sf_error_set(err, SF_ERR_NOMEM, "toolchain");
        if ((r = sf_toolchain_load(toolchains, factory->toolchain, &s->toolchain, err)) < 0 ||
            (r = sf_cache_open(factory->cache, &s->cache, err)) < 0 ||
            (r = sf_workshop_open(&s->cache, &s->toolchain, &s->workshop, err)) < 0)
                return r;
        if (!s->workshop.is_private)
                sf_log_warning("no private mount namespace (%s): building at a path inside %s, which becomes part of "
                               "every layer's key",
                               s->workshop.refusal, s->cache.root);
        sf_log_detail("toolchain %s %s: %s, %s", s->toolchain.name, s->toolchain.arch, s->toolchain.compiler,
                      s->toolchain.libc);
        s->build = (struct sf_build){
                .cache = &s->cache,
                .toolchain = &s->toolchain,
                .workshop = &s->workshop,
                .data = factory->data,
                .mirrors = &factory->mirrors,
                .jobs = factory->jobs,
        };
        return 0;
}

static void report_layers(const struct session *s, json_t *result)
{
        json_t *layers = json_array();

        for (size_t i = 0; i < s->build.layer_count; i++)
                json_array_append_new(layers, json_string(s->build.layers[i].key.name));
        json_object_set_new(result, "toolchain", json_string(s->toolchain.name));
        json_object_set_new(result, "layers", layers);
}

int sf_command_build_deps(const struct sf_factory *factory, const struct sf_command_line *line, json_t *result,
                          struct sf_error *err)
{
        _cleanup_(session_close) struct session s = { 0 };
        int r;

        (void)line;
        if ((r = session_open(factory, &s, err)) < 0 || (r = sf_build_deps(&s.build, err)) < 0)
                return r;
        report_layers(&s, result);
        return 0;
}

int sf_command_build_slurm(const struct sf_factory *factory, const struct sf_command_line *line, json_t *result,
                           struct sf_error *err)
{
        _cleanup_(session_close) struct session s = { 0 };
        const char *version = sf_option_get(line, "slurm-version");
        int r;

        if (!version)
                return sf_error_set(err, SF_ERR_USAGE, "--slurm-version is needed");
        if ((r = session_open(factory, &s, err)) < 0 || (r = sf_build_slurm(&s.build, version, err)) < 0)
                return r;
        report_layers(&s, result);
        return 0;
}

int sf_command_clean(const struct sf_factory *factory, const struct sf_command_line *line, json_t *result,
                     struct sf_error *err)
{
        _cleanup_(sf_cache_close) struct sf_cache cache = { NULL };
        uint64_t bytes;
        char size[32];
        int r;

        if ((r = sf_cache_open(factory->cache, &cache, err)) < 0 ||
            (r = sf_cache_clean(&cache, sf_option_given(line, "full"), &bytes, err)) < 0)
                return r;
        sf_log_info("%s: %s freed", cache.root, sf_log_size(bytes, size));
        json_object_set_new(result, "bytes_freed", json_integer((json_int_t)bytes));
        return 0;
}
