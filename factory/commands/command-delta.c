/* SPDX-License-Identifier: Apache-2.0 */
/* factory/commands/command-delta.c - the verb delta: one delta between two releases of the cache, and what each
 * codec would cost. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/cleanup.h"
#include "base/fs.h"
#include "base/log.h"
#include "base/output.h"
#include "factory/pack/builds.h"
#include "factory/build/cache.h"
#include "factory/commands/command.h"
#include "factory/publish/deltas.h"

static void print_table(const struct sf_delta_result *result, size_t list_bytes)
{
        sf_output_line("%-10s %12s %14s %9s", "CODEC", "BYTES", "MEMORY", "SECONDS");
        for (size_t i = 0; i < result->attempt_count; i++) {
                const struct sf_delta_attempt *attempt = &result->attempts[i];
                sf_output_line("%-10s %12" PRIu64 " %14" PRIu64 " %9.1f  %s%s%s", attempt->codec, attempt->bytes,
                               attempt->memory, attempt->seconds, attempt->chosen ? "chosen" : "",
                               attempt->fits || *attempt->failure ? "" : "too much memory", attempt->failure);
        }
        sf_output_line("%" PRIu64 " changed files, %" PRIu64 " bytes; the file list takes another %zu bytes",
                       result->changed_files, result->changed_bytes, list_bytes);
}

static void report(const struct sf_delta_result *result, size_t list_bytes, json_t *json)
{
        json_t *attempts = json_array();

        for (size_t i = 0; i < result->attempt_count; i++)
                json_array_append_new(attempts,
                                      json_pack("{s:o, s:I, s:I}", "codec", sf_json_text(result->attempts[i].codec),
                                                "bytes", (json_int_t)result->attempts[i].bytes, "memory",
                                                (json_int_t)result->attempts[i].memory));
        json_object_set_new(json, "codec", sf_json_text(result->codec));
        json_object_set_new(json, "bytes", json_integer((json_int_t)result->blob.len));
        json_object_set_new(json, "filelist_bytes", json_integer((json_int_t)list_bytes));
        json_object_set_new(json, "memory", json_integer((json_int_t)result->memory));
        json_object_set_new(json, "attempts", attempts);
}

int sf_command_delta(const struct sf_factory *factory, const struct sf_command_line *line, json_t *result,
                     struct sf_error *err)
{
        _cleanup_(sf_cache_close) struct sf_cache cache = { NULL };
        _cleanup_(sf_build_close) struct sf_build from = { 0 }, to = { 0 };
        _cleanup_(sf_delta_result_free) struct sf_delta_result made = { 0 };
        _cleanup_(sf_buffer_free) struct sf_buffer list = SF_BUFFER_INIT;
        _cleanup_free_ char *builds = NULL;
        const char *output = sf_option_get(line, "output");
        int r = sf_cache_open(factory->cache, &cache, err);

        if (r < 0)
                return r;
        builds = sf_cache_path(&cache, "builds", NULL);
        if (!builds)
                return sf_error_set(err, SF_ERR_NOMEM, "out of memory");
        if ((r = sf_build_open(builds, line->arguments[0], &from, err)) < 0 ||
            (r = sf_build_open(builds, line->arguments[1], &to, err)) < 0)
                return r;
        const struct sf_delta_end old = { from.blobs, sf_build_release(&from) };
        const struct sf_delta_end new = { to.blobs, sf_build_release(&to) };
        sf_log_status("trying every codec for %s -> %s", old.release->name.text, new.release->name.text);
        r = sf_deltas_try(&old, &new, 0, &made, &list, err);
        sf_log_progress_end();
        if (r == 0 && output)
                r = sf_fs_write(output, made.blob.data, made.blob.len, 0644, err);
        if (r < 0)
                return r;
        if (!sf_output_is_json())
                print_table(&made, list.len);
        report(&made, list.len, result);
        return 0;
}
