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
#include "factory/build/cache.h"
#include "factory/publish/bucket.h"
#include "factory/publish/metadata.h"
#include "factory/publish/publish.h"

/* Settings that several verbs need: options over configuration over defaults. */
struct sf_factory {
        const char *cache;           /* NULL = sf_cache_open's default */
        const char *data;            /* recipes/, toolchains/, slurm/ */
        const char *toolchain;       /* NULL = the host's */
        const char *repository;      /* directory or s3:// URL; NULL = not configured */
        const char *endpoint;        /* of an S3 store; NULL = found */
        const char *registry;        /* where toolchain images come from, "docker://..."; NULL = not configured */
        const char *qemu;            /* runs another architecture's programs; NULL = found in PATH */
        const char *gpg_key;         /* what tar files are signed with; NULL = not signed */
        const char *offline_keys;    /* directory of root's and targets' keys; NULL = with the others */
        struct sf_words keys;        /* directories of private keys, the offline one last */
        struct sf_words buildcaches; /* repositories whose built layers are used, in order */
        struct sf_words mirrors;     /* places to look for sources, in order */
        unsigned jobs;
        struct sf_conf conf; /* private: owns what the configuration gave */
};

/* What a command that looks for something returns where it found it: exit code 1. */
#define SF_COMMAND_FOUND 100

/* Every command returns 0 (or SF_COMMAND_FOUND) or an error, and may set members of `result`, which is printed with
 * --json. */
typedef int sf_command_fn(const struct sf_factory *factory, const struct sf_command_line *line, json_t *result,
                          struct sf_error *err);

sf_command_fn sf_command_build_deps, sf_command_build_slurm, sf_command_matrix, sf_command_clean;
sf_command_fn sf_command_check; /* build-slurm --check */
sf_command_fn sf_command_advisories, sf_command_sbom, sf_command_spack_yaml;
sf_command_fn sf_command_root, sf_command_mirror, sf_command_trust;
/* publish without a release: the layers of the local cache, with --layers only. */
int sf_command_publish_layers(const struct sf_factory *factory, const struct sf_command_line *line,
                              struct sf_error *err);
sf_command_fn sf_command_import, sf_command_publish, sf_command_delta, sf_command_withdraw, sf_command_waves;
sf_command_fn sf_command_export;
sf_command_fn sf_command_keys, sf_command_refresh, sf_command_prune, sf_command_publish_agent;

/* The repository and the keys as options and configuration name them, ready to be changed. A bucket is locked, and
 * worked on through a copy; each commit sends what is new. */
struct sf_command_repository {
        struct sf_metadata_options options; /* borrows */
        struct sf_cache cache;
        struct sf_bucket *bucket; /* NULL = a directory */
        bool sent;
        struct sf_publish_store store; /* of the bucket */
};

/* SF_ERR_USAGE where repository or keys are missing. */
int sf_command_repository_open(const struct sf_factory *factory, bool dry_run, struct sf_command_repository *ret,
                               struct sf_error *err);
/* Sends what no commit has sent. */
int sf_command_repository_finish(struct sf_command_repository *repository, struct sf_error *err);
void sf_command_repository_close(struct sf_command_repository *repository);
#define _cleanup_repository_ __attribute__((cleanup(sf_command_repository_close)))

#endif
