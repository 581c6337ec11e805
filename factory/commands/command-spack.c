/* SPDX-License-Identifier: Apache-2.0 */
/* factory/commands/command-spack.c - the verb spack-yaml: an environment on standard output, or with --json as the
 * member "environment". docs/PUBLISHING.md tells what it is for. */
#include <string.h>

#include "base/cleanup.h"
#include "base/output.h"
#include "factory/commands/command.h"
#include "factory/commands/spack.h"
#include "factory/commands/yaml.h"
#include "release/host.h"

static int print(const json_t *environment, const char *notes, struct sf_error *err)
{
        _cleanup_(sf_buffer_free) struct sf_buffer yaml = SF_BUFFER_INIT;
        int r = sf_yaml_write(environment, &yaml, err);

        if (r < 0)
                return r;
        /* Each note ends with its line. */
        for (const char *at = notes; *at; at += strcspn(at, "\n") + 1)
                sf_output_line("# %.*s", (int)strcspn(at, "\n"), at);
        sf_output_text(sf_buffer_text(&yaml));
        return 0;
}

int sf_command_spack_yaml(const struct sf_factory *factory, const struct sf_command_line *line, json_t *result,
                          struct sf_error *err)
{
        _cleanup_(sf_buffer_free) struct sf_buffer notes = SF_BUFFER_INIT;
        _cleanup_(sf_words_free) struct sf_words mirrors = SF_WORDS_INIT;
        _cleanup_json_ json_t *environment = NULL;
        _cleanup_free_ char *host = NULL;
        const char *arch = sf_option_get(line, "arch");
        struct sf_spack_query query = { .data = factory->data,
                                        .version = sf_option_get(line, "slurm-version"),
                                        .toolchain = factory->toolchain,
                                        .arch = arch ? arch : sf_host_arch(),
                                        .profile = sf_option_get(line, "profile"),
                                        .external = sf_option_get(line, "external"),
                                        .mirrors = &mirrors };
        int r;

        if (!query.version)
                return sf_error_set(err, SF_ERR_USAGE, "--slurm-version is needed");
        if (!query.toolchain && (r = sf_host_toolchain("", &host, err)) < 0)
                return r;
        if (!query.toolchain)
                query.toolchain = host;
        /* Those of the configuration are directories of archives, not laid out as Spack's mirrors are. */
        if ((r = sf_option_collect(line, "mirror", &mirrors, err)) < 0)
                return r;
        if ((r = sf_spack_environment(&query, &environment, &notes, err)) < 0)
                return r;
        if (sf_output_is_json())
                json_object_set(result, "environment", environment);
        else
                r = print(environment, sf_buffer_text(&notes), err);
        return r;
}
