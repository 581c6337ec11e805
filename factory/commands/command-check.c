/* SPDX-License-Identifier: Apache-2.0 */
/* factory/commands/command-check.c - build-slurm --check: the command line of the two builds that are compared. */
#include <string.h>

#include "base/cleanup.h"
#include "factory/commands/command.h"
#include "factory/rebuild/rebuild.h"

/* Options that decide what is built and what is said; those that decide how go to the first build alone. */
static bool decides_result(const char *option)
{
        static const char *const names[] = { "slurm-version", "toolchain", "arch",  "qemu",   "profile",
                                             "gpu",           "mirror",    "quiet", "verbose" };

        for (size_t i = 0; i < sizeof names / sizeof *names; i++)
                if (strcmp(option, names[i]) == 0)
                        return true;
        return false;
}

static bool is_ours(const char *option)
{
        static const char *const names[] = { "check", "check-only", "json", "cache", "data" };

        for (size_t i = 0; i < sizeof names / sizeof *names; i++)
                if (strcmp(option, names[i]) == 0)
                        return true;
        return false;
}

static int add_option(struct sf_words *words, const struct sf_option_value *value, struct sf_error *err)
{
        int r = sf_words_printf(words, err, "--%s", value->option->name);

        return r == 0 && value->value ? sf_words_append(words, value->value, err) : r;
}

/* The second build reads no configuration, which another user may not. What it would say is given. */
static int begin_second(const struct sf_factory *factory, const struct sf_command_line *line, struct sf_words *words,
                        struct sf_error *err)
{
        static const char *const head[] = { "build-slurm", "--no-buildcache" };
        int r = 0;

        for (size_t i = 0; i < sizeof head / sizeof *head && r == 0; i++)
                r = sf_words_append(words, head[i], err);
        if (r == 0 && factory->toolchain && !sf_option_given(line, "toolchain"))
                if ((r = sf_words_append(words, "--toolchain", err)) == 0)
                        r = sf_words_append(words, factory->toolchain, err);
        if (r == 0 && factory->qemu && !sf_option_given(line, "qemu"))
                if ((r = sf_words_append(words, "--qemu", err)) == 0)
                        r = sf_words_append(words, factory->qemu, err);
        return r;
}

int sf_command_check(const struct sf_factory *factory, const struct sf_command_line *line, json_t *result,
                     struct sf_error *err)
{
        _cleanup_(sf_words_free) struct sf_words first = SF_WORDS_INIT, second = SF_WORDS_INIT,
                                                 packages = SF_WORDS_INIT;
        _cleanup_(sf_cache_close) struct sf_cache cache = { NULL };
        int r;

        if (sf_option_given(line, "dry-run"))
                return sf_error_set(err, SF_ERR_USAGE, "--check builds: it cannot be a --dry-run");
        if ((r = sf_words_append(&first, "build-slurm", err)) < 0 ||
            (r = begin_second(factory, line, &second, err)) < 0 || (r = sf_cache_open(factory->cache, &cache, err)) < 0)
                return r;
        for (size_t i = 0; i < line->value_count && r == 0; i++) {
                const struct sf_option_value *option = &line->values[i];

                if (!is_ours(option->option->name))
                        r = add_option(&first, option, err);
                if (r == 0 && decides_result(option->option->name))
                        r = add_option(&second, option, err);
        }
        if (r == 0)
                r = sf_option_collect(line, "check-only", &packages, err);
        if (r < 0)
                return r;
        const struct sf_rebuild rebuild = {
                .cache = &cache,
                .data = factory->data,
                .toolchain = factory->toolchain,
                .arch = sf_option_get(line, "arch"),
                .first = &first,
                .second = &second,
                .packages = &packages,
                .jobs = factory->jobs,
        };
        return sf_rebuild_check(&rebuild, result, err);
}
