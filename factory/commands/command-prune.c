/* SPDX-License-Identifier: Apache-2.0 */
/* factory/commands/command-prune.c - the verb prune. */
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "base/log.h"
#include "factory/commands/command.h"
#include "factory/publish/prune.h"
#include "factory/publish/registry.h"

static int get_number(const struct sf_command_line *line, const char *name, unsigned min, unsigned max, unsigned *value,
                      struct sf_error *err)
{
        const char *text = sf_option_get(line, name);
        char *end;

        if (!text)
                return 0;
        unsigned long number = strtoul(text, &end, 10);
        if (end == text || *end || *text == '-' || number < min || number > max)
                return sf_error_set(err, SF_ERR_USAGE, "--%s %s: a number from %u to %u expected", name, text, min,
                                    max);
        *value = (unsigned)number;
        return 0;
}

static void report(const struct sf_prune *prune, const struct sf_prune_result *done, json_t *result)
{
        const char *would = prune->dry_run ? "would be " : "";
        json_t *removed = json_array();
        char bytes[32], waiting[32], when[SF_CLOCK_STAMP];

        for (size_t i = 0; i < done->removed.count; i++) {
                sf_log_info("%s: %staken off the offer", done->removed.items[i], would);
                json_array_append_new(removed, json_string(done->removed.items[i]));
        }
        if (done->deltas)
                sf_log_info("%zu deltas %staken off the offer", done->deltas, would);
        sf_log_info("%zu files %sdeleted, %s", done->files, would, sf_log_size(done->bytes, bytes));
        if (done->waiting_files) {
                sf_log_info("%zu files, %s, stay until %s: readers of earlier metadata may still ask for them",
                            done->waiting_files, sf_log_size(done->waiting_bytes, waiting),
                            sf_clock_stamp((int64_t)done->waiting_until, when));
        }
        json_object_set_new(result, "removed", removed);
        json_object_set_new(result, "deltas", json_integer((json_int_t)done->deltas));
        json_object_set_new(result, "files", json_integer((json_int_t)done->files));
        json_object_set_new(result, "bytes", json_integer((json_int_t)done->bytes));
        json_object_set_new(result, "waiting_files", json_integer((json_int_t)done->waiting_files));
        json_object_set_new(result, "waiting_bytes", json_integer((json_int_t)done->waiting_bytes));
        json_object_set_new(result, "dry_run", json_boolean(prune->dry_run));
}

/* The repository comes first: what it offers now is what the registry may keep. */
static int prune_registry(const struct sf_factory *factory, const struct sf_command_line *line,
                          const struct sf_prune *prune, json_t *result, struct sf_error *err)
{
        const struct sf_registry registry = { .address = sf_option_get(line, "registry"),
                                              .repository = prune->repository,
                                              .gpg_key = factory->gpg_key,
                                              .dry_run = prune->dry_run };
        size_t removed = 0;

        if (!registry.address)
                return 0;
        int r = sf_registry_prune(&registry, &removed, err);
        json_object_set_new(result, "registry_removed", json_integer((json_int_t)removed));
        return r < 0 ? sf_error_prefix(err, "the repository is pruned, the registry is not: registry") : 0;
}

/* What an interrupted publisher left; a day is more than anybody needs for one object. */
static int clear_uploads(const struct sf_command_repository *repository, const struct sf_prune *prune, json_t *result,
                         struct sf_error *err)
{
        size_t count = 0;

        if (!repository->bucket)
                return 0;
        int r = sf_bucket_clear_uploads(repository->bucket, prune->now - 86400, &count, err);
        if (count)
                sf_log_info("%zu uploads in parts that nobody finished %sgiven up", count,
                            prune->dry_run ? "would be " : "");
        json_object_set_new(result, "uploads", json_integer((json_int_t)count));
        return r;
}

int sf_command_prune(const struct sf_factory *factory, const struct sf_command_line *line, json_t *result,
                     struct sf_error *err)
{
        _cleanup_repository_ struct sf_command_repository repository = { 0 };
        struct sf_prune_result done;
        struct sf_files files;
        unsigned keep = 0, days = SF_PRUNE_GRACE / 86400;
        int r;

        if ((sf_option_given(line, "registry") && (r = sf_registry_check(sf_option_get(line, "registry"), err)) < 0) ||
            (r = get_number(line, "keep", 1, 10000, &keep, err)) < 0 ||
            (r = get_number(line, "grace-days", 0, 3650, &days, err)) < 0 ||
            (r = sf_command_repository_open(factory, sf_option_given(line, "dry-run"), &repository, err)) < 0)
                return r;
        if (repository.bucket)
                sf_bucket_files(repository.bucket, &files);
        const struct sf_prune prune = { .repository = repository.options.repository,
                                        .keys = repository.options.keys,
                                        .releases = line->arguments,
                                        .release_count = line->argument_count,
                                        .keep = keep,
                                        .grace = (int64_t)days * 86400,
                                        .now = repository.options.now,
                                        .dry_run = sf_option_given(line, "dry-run"),
                                        .files = repository.bucket ? &files : NULL,
                                        .after_commit = repository.options.after_commit,
                                        .after_commit_ctx = repository.options.after_commit_ctx };
        if ((r = sf_prune_run(&prune, &done, err)) < 0)
                return r;
        report(&prune, &done, result);
        sf_prune_result_free(&done);
        r = clear_uploads(&repository, &prune, result, err);
        return r < 0 ? r : prune_registry(factory, line, &prune, result, err);
}
