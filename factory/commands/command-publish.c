/* SPDX-License-Identifier: Apache-2.0 */
/* factory/commands/command-publish.c - the verbs that offer releases: publish, withdraw, waves. */
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/cleanup.h"
#include "base/fs.h"
#include "base/log.h"
#include "factory/build/cache.h"
#include "factory/commands/command.h"
#include "factory/pack/builds.h"
#include "factory/publish/agents.h"
#include "factory/publish/layers.h"
#include "factory/publish/publish.h"
#include "factory/publish/registry.h"
#include "factory/publish/tarball.h"
#include "release/agents.h"

static int builds_of(const struct sf_factory *factory, struct sf_cache *cache, char **ret, struct sf_error *err)
{
        int r = sf_cache_open(factory->cache, cache, err);

        if (r < 0)
                return r;
        *ret = sf_cache_path(cache, "builds", NULL);
        return *ret ? 0 : sf_error_set(err, SF_ERR_NOMEM, "out of memory");
}

static void prepare(const struct sf_command_repository *repository, const struct sf_command_line *line,
                    struct sf_publish *ret)
{
        *ret = (struct sf_publish){ .repository = repository->options.repository,
                                    .keys = repository->options.keys,
                                    .now = repository->options.now,
                                    .releases = line->arguments,
                                    .release_count = line->argument_count,
                                    .replace = sf_option_given(line, "force"),
                                    .dry_run = sf_option_given(line, "dry-run"),
                                    .store = repository->bucket ? &repository->store : NULL };
}

/* The layers that a release of our own was packed from, as its `from` lists them. */
static int note_layers(const struct sf_cache *cache, const struct sf_buffer *from, struct sf_words *ret,
                       struct sf_error *err)
{
        _cleanup_free_ char *text = strdup(sf_buffer_text(from));
        char *state = NULL;
        int r = text ? 0 : sf_error_set(err, SF_ERR_NOMEM, "out of memory");

        for (char *line = text ? strtok_r(text, "\n", &state) : NULL; line && r == 0;
             line = strtok_r(NULL, "\n", &state))
                if (strncmp(line, "layer ", strlen("layer ")) == 0)
                        r = sf_words_printf(ret, err, "%s/buildcache/%s", cache->root, line + strlen("layer "));
        return r;
}

static int read_of(const char *directory, const char *name, struct sf_buffer *ret, struct sf_error *err)
{
        _cleanup_free_ char *path = sf_fs_join(directory, name);

        return path ? sf_fs_read(path, 1u << 20, ret, err) : sf_error_set(err, SF_ERR_NOMEM, "out of memory");
}

static int publish_layers_of(const struct sf_metadata_options *options, const struct sf_cache *cache,
                             const struct sf_build *build, struct sf_error *err)
{
        _cleanup_(sf_words_free) struct sf_words layers = SF_WORDS_INIT;
        _cleanup_(sf_buffer_free) struct sf_buffer from = SF_BUFFER_INIT, release = SF_BUFFER_INIT;
        const struct sf_release_name *name = &sf_build_release(build)->name;
        const struct sf_publish_layers what = { name->toolchain, name->arch, &layers, &from, &release };
        size_t added;
        int r;

        if ((r = read_of(build->directory, "from", &from, err)) < 0)
                return sf_error_prefix(err, "its layers are not known");
        if ((r = read_of(build->directory, "release.json", &release, err)) < 0 ||
            (r = note_layers(cache, &from, &layers, err)) < 0 ||
            (r = sf_publish_layers(options, &what, &added, err)) < 0)
                return r;
        sf_log_info("%s: %zu of %zu layers new in the build cache", name->text, added, layers.count);
        return 0;
}

static int publish_layers(const struct sf_metadata_options *options, const struct sf_command_line *line,
                          const struct sf_cache *cache, const char *builds, struct sf_error *err)
{
        int r = 0;

        for (size_t i = 0; i < line->argument_count && r == 0; i++) {
                struct sf_build build;

                if ((r = sf_build_open(builds, line->arguments[i], &build, err)) < 0)
                        return r;
                r = publish_layers_of(options, cache, &build, err);
                sf_build_close(&build);
        }
        return r;
}

/* The repository is complete and open to its readers by now, whatever becomes of this. */
static int publish_images(const struct sf_publish *publish, const struct sf_command_line *line, const char *gpg_key,
                          struct sf_error *err)
{
        const struct sf_registry registry = { .address = sf_option_get(line, "registry"),
                                              .repository = publish->repository,
                                              .builds = publish->builds,
                                              .releases = publish->releases,
                                              .release_count = publish->release_count,
                                              .gpg_key = gpg_key,
                                              .replace = publish->replace,
                                              .dry_run = publish->dry_run };
        int r = registry.address ? sf_registry_send(&registry, err) : 0;

        return r < 0 && !publish->dry_run ? sf_error_prefix(err, "published in the repository, but not sent: registry")
                                          : r;
}

int sf_command_publish(const struct sf_factory *factory, const struct sf_command_line *line, json_t *result,
                       struct sf_error *err)
{
        _cleanup_repository_ struct sf_command_repository repository = { 0 };
        _cleanup_(sf_cache_close) struct sf_cache cache = { NULL };
        _cleanup_(sf_words_free) struct sf_words delta_from = SF_WORDS_INIT;
        _cleanup_free_ char *builds = NULL;
        struct sf_publish publish;
        int r;

        (void)result;
        if (line->argument_count == 0)
                return sf_command_publish_layers(factory, line, err);
        if ((sf_option_given(line, "registry") && (r = sf_registry_check(sf_option_get(line, "registry"), err)) < 0) ||
            (r = builds_of(factory, &cache, &builds, err)) < 0 ||
            (r = sf_option_collect(line, "delta-from", &delta_from, err)) < 0 ||
            (r = sf_command_repository_open(factory, sf_option_given(line, "dry-run"), &repository, err)) < 0)
                return r;
        if (repository.bucket && sf_option_given(line, "layers"))
                return sf_error_set(err, SF_ERR_UNSUPPORTED, "--layers: only a directory can hold a build cache");
        prepare(&repository, line, &publish);
        publish.builds = builds;
        publish.delta_from = sf_words_argv(&delta_from);
        publish.delta_from_count = delta_from.count;
        const struct sf_tarballs tarballs = { publish.repository,    builds,           publish.releases,
                                              publish.release_count, factory->gpg_key, publish.dry_run };
        /* A bucket is sent within sf_publish_run; what is refused there is not sent at all. */
        if (sf_option_given(line, "tarball") && repository.bucket)
                r = sf_tarballs_write(&tarballs, err);
        if (r == 0)
                r = sf_publish_run(&publish, err);
        if (r == 0 && sf_option_given(line, "tarball") && !repository.bucket)
                r = sf_tarballs_write(&tarballs, err);
        if (r == 0)
                r = sf_command_repository_finish(&repository, err);
        if (r == 0 && sf_option_given(line, "layers") && !publish.dry_run)
                r = publish_layers(&repository.options, line, &cache, builds, err);
        return r < 0 ? r : publish_images(&publish, line, factory->gpg_key, err);
}

int sf_command_withdraw(const struct sf_factory *factory, const struct sf_command_line *line, json_t *result,
                        struct sf_error *err)
{
        _cleanup_repository_ struct sf_command_repository repository = { 0 };
        const char *reason = sf_option_get(line, "reason");
        bool undo = sf_option_given(line, "undo");
        struct sf_publish publish;
        int r;

        (void)result;
        if (undo && reason)
                return sf_error_set(err, SF_ERR_USAGE,
                                    "--reason says why a release is withdrawn, --undo offers it again");
        if ((r = sf_command_repository_open(factory, false, &repository, err)) < 0)
                return r;
        prepare(&repository, line, &publish);
        r = undo ? sf_publish_restore(&publish, line->arguments[0], err)
                 : sf_publish_withdraw(&publish, line->arguments[0], reason ? reason : "", err);
        return r < 0 ? r : sf_command_repository_finish(&repository, err);
}

int sf_command_waves(const struct sf_factory *factory, const struct sf_command_line *line, json_t *result,
                     struct sf_error *err)
{
        _cleanup_repository_ struct sf_command_repository repository = { 0 };
        const char *text = line->arguments[1];
        size_t len = strlen(text);
        struct sf_publish publish;
        int percent = 0;

        (void)result;
        /* "10%" is what it means. */
        len -= len && text[len - 1] == '%';
        for (size_t i = 0; i < len; i++)
                percent = text[i] >= '0' && text[i] <= '9' && percent <= 100 ? percent * 10 + text[i] - '0' : 1000;
        if (!len || len > 3 || percent > 100)
                return sf_error_set(err, SF_ERR_USAGE, "waves: PERCENT is a number from 0 to 100, not '%s'", text);
        int r = sf_command_repository_open(factory, false, &repository, err);
        if (r < 0)
                return r;
        prepare(&repository, line, &publish);
        r = sf_publish_wave(&publish, line->arguments[0], percent, err);
        return r < 0 ? r : sf_command_repository_finish(&repository, err);
}

int sf_command_publish_agent(const struct sf_factory *factory, const struct sf_command_line *line, json_t *result,
                             struct sf_error *err)
{
        _cleanup_repository_ struct sf_command_repository repository = { 0 };
        _cleanup_free_ char *script = sf_format("%s/first-boot.sh.in", factory->data);
        const struct sf_publish_agents publish = { .options = &repository.options,
                                                   .files = line->arguments,
                                                   .count = line->argument_count,
                                                   .script = script,
                                                   .force = sf_option_given(line, "force") };
        char version[SF_AGENTS_VERSION_MAX];
        int r = script ? sf_command_repository_open(factory, false, &repository, err)
                       : sf_error_set(err, SF_ERR_NOMEM, "no memory for a path");

        if (r == 0)
                r = sf_publish_agents(&publish, version, err);
        if (r == 0)
                r = sf_command_repository_finish(&repository, err);
        if (r < 0)
                return r;
        json_object_set_new(result, "version", sf_json_text(version));
        sf_log_info("sf-node %1$s is offered; new nodes: agent/%1$s/sf-node-%1$s.sh", version);
        return 0;
}
