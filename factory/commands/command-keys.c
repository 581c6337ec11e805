/* SPDX-License-Identifier: Apache-2.0 */
/* factory/commands/command-keys.c - the verbs about trust: keys init|rotate|show, refresh. */
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/json.h"
#include "base/log.h"
#include "base/output.h"
#include "factory/commands/command.h"
#include "factory/publish/keys.h"
#include "factory/publish/metadata.h"

static int get_count(const struct sf_command_line *line, const char *name, unsigned *ret, struct sf_error *err)
{
        const char *text = sf_option_get(line, name);
        char *end;

        *ret = 1;
        if (!text)
                return 0;
        unsigned long value = strtoul(text, &end, 10);
        if (end == text || *end || value < 1 || value > 32)
                return sf_error_set(err, SF_ERR_USAGE, "--%s %s: a number from 1 to 32 expected", name, text);
        *ret = (unsigned)value;
        return 0;
}

static int init(const struct sf_factory *factory, const struct sf_command_line *line,
                const struct sf_metadata_options *options, struct sf_error *err)
{
        const char *offline = factory->offline_keys;
        struct sf_keys_init init = { .online_keys = factory->keys.items[0] };
        int r;

        /* The offline directory stands last in the list: alone it would receive the online keys too. */
        if (offline && factory->keys.count == 1)
                return sf_error_set(err, SF_ERR_USAGE, "--keys is needed for the keys that stay online");
        init.offline_keys = offline ? offline : init.online_keys;
        if ((r = get_count(line, "root-keys", &init.root_keys, err)) < 0 ||
            (r = get_count(line, "root-threshold", &init.root_threshold, err)) < 0 ||
            (r = sf_keys_init(options, &init, err)) < 0)
                return r;
        sf_log_info("%s: keys in %s%s%s; give nodes %s/metadata/1.root.json to trust", factory->repository,
                    init.online_keys, offline ? " and " : "", offline ? offline : "", factory->repository);
        return 0;
}

/* A role of a later version of this program, for a repository that was made before it. */
static int add(const struct sf_factory *factory, const char *role, const struct sf_metadata_options *options,
               struct sf_error *err)
{
        const char *online = factory->keys.items[0];
        const struct sf_keys_init init = { .online_keys = online,
                                           .offline_keys = factory->offline_keys ? factory->offline_keys : online };
        int r = sf_keys_add(options, role, &init, err);

        if (r == 0)
                sf_log_info("%s: role %s added", factory->repository, role);
        return r;
}

static int show(const struct sf_metadata_options *options, json_t *result, struct sf_error *err)
{
        json_t *rows = json_array();

        json_object_set_new(result, "keys", rows);
        return sf_keys_show(options, rows, err);
}

int sf_command_keys(const struct sf_factory *factory, const struct sf_command_line *line, json_t *result,
                    struct sf_error *err)
{
        const char *what = line->arguments[0];
        const char *role = line->argument_count > 1 ? line->arguments[1] : NULL;
        _cleanup_repository_ struct sf_command_repository repository = { 0 };
        const struct sf_metadata_options *options = &repository.options;
        int r = sf_command_repository_open(factory, false, &repository, err);

        if (r < 0)
                return r;
        if (strcmp(what, "init") == 0 && !role)
                return init(factory, line, options, err);
        if (strcmp(what, "show") == 0 && !role)
                return show(options, result, err);
        if (strcmp(what, "add") == 0 && role)
                return add(factory, role, options, err);
        if (strcmp(what, "rotate") == 0 && role)
                return sf_keys_rotate(options, role, sf_option_get(line, "retire"), sf_option_get(line, "new-key"),
                                      err);
        return sf_error_set(err, SF_ERR_USAGE, "init, add ROLE, rotate ROLE or show expected, not '%s%s%s'", what,
                            role ? " " : "", role ? role : "");
}

struct expiry {
        const struct sf_metadata *metadata;
        json_t *dates;
};

static void add_date(void *ctx, const char *role)
{
        const struct expiry *expiry = ctx;

        json_object_set(expiry->dates, role, json_object_get(sf_metadata_body(expiry->metadata, role), "expires"));
}

static void report_expiry(const struct sf_metadata *metadata, json_t *result)
{
        struct expiry expiry = { metadata, json_object() };

        sf_metadata_each(metadata, add_date, &expiry);
        json_object_set_new(result, "expires", expiry.dates);
}

int sf_command_refresh(const struct sf_factory *factory, const struct sf_command_line *line, json_t *result,
                       struct sf_error *err)
{
        _cleanup_repository_ struct sf_command_repository repository = { 0 };
        _cleanup_metadata_ struct sf_metadata *metadata = NULL;
        int r;

        (void)line;
        if ((r = sf_command_repository_open(factory, false, &repository, err)) < 0 ||
            (r = sf_metadata_open(&repository.options, &metadata, err)) < 0)
                return r;
        r = sf_metadata_refresh(metadata, err);
        json_object_set_new(result, "warnings", json_integer(sf_metadata_warn_expiry(metadata)));
        if (r < 0)
                return r;
        report_expiry(metadata, result);
        sf_log_info("%s: signed anew", factory->repository);
        return 0;
}
