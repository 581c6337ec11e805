/* SPDX-License-Identifier: Apache-2.0 */
/* factory/commands/command.h - the verbs of slurm-factory: each turns options into one call of a module below and says
 * what came of it. The table of verbs is in main.c.
 */
#ifndef SF_FACTORY_COMMANDS_COMMAND_H
#define SF_FACTORY_COMMANDS_COMMAND_H

#include <stdbool.h>

#include "base/conf.h"
#include "base/error.h"
#include "base/json.h"
#include "base/verb.h"
#include "base/words.h"
#include "factory/publish/metadata.h"

/* Settings that several verbs need: options over configuration over defaults. */
struct sf_factory {
        const char *cache;           /* NULL = sf_cache_open's default */
        const char *data;            /* recipes/, toolchains/, slurm/ */
        const char *toolchain;       /* NULL = the host's */
        const char *repository;      /* NULL = not configured */
        const char *registry;        /* where toolchain images come from, "docker://..."; NULL = not configured */
        const char *offline_keys;    /* directory of root's and targets' keys; NULL = with the others */
        struct sf_words keys;        /* directories of private keys, the offline one last */
        struct sf_words buildcaches; /* repositories whose built layers are used, in order */
        struct sf_words mirrors;     /* places to look for sources, in order */
        unsigned jobs;
        struct sf_conf conf; /* private: owns what the configuration gave */
};

/* Every command returns 0 or an error, and may set members of `result`, which is printed with --json. */
typedef int sf_command_fn(const struct sf_factory *factory, const struct sf_command_line *line, json_t *result,
                          struct sf_error *err);

sf_command_fn sf_command_build_deps, sf_command_build_slurm, sf_command_matrix, sf_command_clean;
sf_command_fn sf_command_root, sf_command_mirror, sf_command_trust;
sf_command_fn sf_command_import, sf_command_publish, sf_command_delta, sf_command_withdraw;
sf_command_fn sf_command_keys, sf_command_refresh, sf_command_prune;

/* The repository and the keys as options and configuration name them; SF_ERR_USAGE where one is missing. Borrows. */
int sf_command_metadata_options(const struct sf_factory *factory, struct sf_metadata_options *ret,
                                struct sf_error *err);

#endif
