/* SPDX-License-Identifier: Apache-2.0 */
/* factory/commands/command-repository.c - what --repo and --keys name, for every verb that changes a repository. */
#include <string.h>
#include <time.h>

#include "base/log.h"
#include "factory/commands/command.h"

static int send(void *ctx, struct sf_error *err)
{
        struct sf_command_repository *repository = ctx;
        struct sf_bucket_sent sent;
        char bytes[32];
        int r = sf_bucket_push(repository->bucket, &sent, err);

        if (r < 0)
                return r;
        repository->sent = true;
        sf_log_info("%llu files sent, %s", (unsigned long long)sent.files, sf_log_size(sent.bytes, bytes));
        return 0;
}

static int open_bucket(const struct sf_factory *factory, bool dry_run, struct sf_command_repository *repository,
                       struct sf_error *err)
{
        struct sf_bucket_options options = { .url = factory->repository,
                                             .endpoint = factory->endpoint,
                                             .dry_run = dry_run };
        int r = sf_cache_open(factory->cache, &repository->cache, err);

        options.cache = repository->cache.root;
        if (r == 0)
                r = sf_bucket_open(&options, &repository->bucket, err);
        if (r < 0)
                return r;
        repository->options.repository = sf_bucket_copy(repository->bucket);
        repository->options.after_commit = send;
        repository->options.after_commit_ctx = repository;
        repository->store = (struct sf_publish_store){ sf_bucket_has, sf_bucket_fetch, repository->bucket };
        return 0;
}

int sf_command_repository_open(const struct sf_factory *factory, bool dry_run, struct sf_command_repository *ret,
                               struct sf_error *err)
{
        const char *where = factory->repository;

        if (!where)
                return sf_error_set(err, SF_ERR_USAGE,
                                    "--repo is needed (or [repository] directory in the configuration)");
        if (factory->keys.count == 0)
                return sf_error_set(err, SF_ERR_USAGE, "--keys is needed (or [repository] keys in the configuration)");
        ret->options = (struct sf_metadata_options){ .repository = where,
                                                     .keys = sf_words_argv(&factory->keys),
                                                     .now = time(NULL) };
        if (strncmp(where, "s3://", strlen("s3://")) == 0)
                return open_bucket(factory, dry_run, ret, err);
        if (strstr(where, "://"))
                return sf_error_set(err, SF_ERR_USAGE, "--repo %s: a directory or an s3:// URL is needed", where);
        return 0;
}

int sf_command_repository_finish(struct sf_command_repository *repository, struct sf_error *err)
{
        return repository->bucket && !repository->sent ? send(repository, err) : 0;
}

void sf_command_repository_close(struct sf_command_repository *repository)
{
        sf_bucket_close(repository->bucket);
        sf_cache_close(&repository->cache);
}
