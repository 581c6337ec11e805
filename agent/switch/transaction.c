/* SPDX-License-Identifier: Apache-2.0 */
/* agent/switch/transaction.c - see transaction.h. */
#include "agent/switch/transaction.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "agent/node/state.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/fs.h"
#include "base/json.h"

#define RECORD     SF_TRANSACTION_FILE
#define RECORD_MAX (64u << 10)

int sf_transaction_write(const char *state, struct sf_transaction *t, struct sf_error *err)
{
        _cleanup_free_ char *path = sf_fs_join(state, RECORD);

        if (!*t->time)
                sf_clock_stamp(time(NULL), t->time);
        json_t *services = json_array();
        for (size_t i = 0; i < t->service_count; i++)
                json_array_append_new(services, json_string(t->services[i]));
        _cleanup_json_ json_t *object = json_pack("{s:i,s:s,s:s,s:s,s:s,s:s,s:s,s:o}", "version",
                                                  SF_TRANSACTION_VERSION, "verb", t->verb, "from", t->from, "to", t->to,
                                                  "home", t->home, "step", sf_step_name(t->step), "time", t->time,
                                                  "services", services);
        /* A name that JSON cannot hold is left out. */
        if (*t->config)
                json_object_set_new(object, "config", json_string(t->config));
        _cleanup_free_ char *text = object ? json_dumps(object, JSON_COMPACT) : NULL;
        if (!path || !text)
                return sf_error_set(err, SF_ERR_NOMEM, "no memory for the transaction record");
        int r = sf_fs_mkdirs(state, 0755, err);
        return r < 0 ? r : sf_fs_write(path, text, strlen(text), 0644, err);
}

static int take(const json_t *object, const char *key, char *out, size_t room, struct sf_error *err)
{
        const char *text;
        int r = sf_json_string(object, RECORD, key, &text, err);

        if (r == 0 && strlen(text) >= room)
                r = sf_error_set(err, SF_ERR_CORRUPT, RECORD ".%s: too long", key);
        if (r == 0)
                strcpy(out, text);
        return r;
}

/* Other names than those of directories below releases/ and of units are nothing that this program wrote. */
static int check_names(const struct sf_transaction *t, struct sf_error *err)
{
        const char *const names[] = { t->from, t->to, t->home };

        for (size_t i = 0; i < sizeof names / sizeof *names; i++)
                if (*names[i] && (*names[i] == '.' || strchr(names[i], '/') || !sf_fs_path_is_plain(names[i])))
                        return sf_error_set(err, SF_ERR_CORRUPT, RECORD ": a release cannot be called that");
        return 0;
}

static int take_services(const json_t *object, struct sf_transaction *t, struct sf_error *err)
{
        const json_t *list = json_object_get(object, "services");

        for (size_t i = 0; i < json_array_size(list); i++) {
                const char *name = json_string_value(json_array_get(list, i));
                if (!name || strlen(name) >= sizeof *t->services || t->service_count == SF_TRANSACTION_SERVICES_MAX)
                        return sf_error_set(err, SF_ERR_CORRUPT, RECORD ".services: not a short list of units");
                strcpy(t->services[t->service_count++], name);
        }
        return 0;
}

int sf_transaction_load(const char *state, struct sf_transaction *ret, struct sf_error *err)
{
        _cleanup_(sf_buffer_free) struct sf_buffer text = SF_BUFFER_INIT;
        _cleanup_free_ char *path = sf_fs_join(state, RECORD);
        _cleanup_json_ json_t *object = NULL;
        struct sf_transaction t = { 0 };
        char step[16];

        *ret = t;
        if (!path)
                return sf_error_set(err, SF_ERR_NOMEM, "no memory for a path");
        int r = sf_fs_read(path, RECORD_MAX, &text, err);
        if (r == 0)
                r = sf_json_parse(path, text.data, text.len, &object, err);
        if (r == 0)
                r = sf_state_check_version(path, object, SF_TRANSACTION_VERSION, err);
        if (r == 0)
                r = take(object, "verb", t.verb, sizeof t.verb, err);
        if (r == 0)
                r = take(object, "from", t.from, sizeof t.from, err);
        if (r == 0)
                r = take(object, "to", t.to, sizeof t.to, err);
        if (r == 0)
                r = take(object, "home", t.home, sizeof t.home, err);
        if (r == 0)
                r = take(object, "step", step, sizeof step, err);
        if (r == 0 && ((t.step = sf_step_parse(step)) == SF_STEP_NONE || t.step == SF_STEP_COUNT))
                r = sf_error_set(err, SF_ERR_CORRUPT, RECORD ".step: unknown step '%s'", step);
        if (r == 0)
                r = take(object, "time", t.time, sizeof t.time, err);
        if (r == 0 && json_object_get(object, "config"))
                r = take(object, "config", t.config, sizeof t.config, err);
        if (r == 0)
                r = take_services(object, &t, err);
        if (r == 0)
                r = check_names(&t, err);
        if (r == 0)
                *ret = t;
        return r;
}

/* A missing file is success: the end was reached before. */
static int remove_file(const char *directory, const char *path, struct sf_error *err)
{
        if (unlink(path) < 0)
                return errno == ENOENT ? 0 : sf_error_errno(err, "%s", path);
        return sf_fs_sync_dir(directory, err);
}

int sf_transaction_end(const char *state, struct sf_error *err)
{
        _cleanup_free_ char *path = sf_fs_join(state, RECORD);

        return path ? remove_file(state, path, err) : sf_error_set(err, SF_ERR_NOMEM, "no memory for a path");
}

static char *failed_path(const char *state, const struct sf_digest *tree)
{
        char hex[SF_DIGEST_HEX + 1];

        return sf_format("%s/failed/%s", state, sf_digest_hex(tree, hex));
}

int sf_transaction_mark_failed(const char *state, const struct sf_digest *tree, const char *reason,
                               struct sf_error *err)
{
        _cleanup_free_ char *directory = sf_fs_join(state, "failed");
        _cleanup_free_ char *path = failed_path(state, tree);

        if (!directory || !path)
                return sf_error_set(err, SF_ERR_NOMEM, "no memory for a path");
        int r = sf_fs_mkdirs(directory, 0755, err);
        return r < 0 ? r : sf_fs_write(path, reason, strlen(reason), 0644, err);
}

int sf_transaction_forget_failed(const char *state, const struct sf_digest *tree, struct sf_error *err)
{
        _cleanup_free_ char *directory = sf_fs_join(state, "failed");
        _cleanup_free_ char *path = failed_path(state, tree);

        if (!directory || !path)
                return sf_error_set(err, SF_ERR_NOMEM, "no memory for a path");
        return remove_file(directory, path, err);
}

int sf_transaction_check_failed(const char *state, const struct sf_digest *tree, struct sf_error *err)
{
        _cleanup_(sf_buffer_free) struct sf_buffer reason = SF_BUFFER_INIT;
        _cleanup_free_ char *path = failed_path(state, tree);

        if (!path)
                return sf_error_set(err, SF_ERR_NOMEM, "no memory for a path");
        int r = sf_fs_read(path, RECORD_MAX, &reason, err);
        if (r == SF_ERR_NOT_FOUND) {
                sf_error_clear(err);
                return 0;
        }
        if (r < 0)
                return r;
        return sf_error_set(err, SF_ERR_FAILED, "it failed on this node before (%s); --force tries it again",
                            sf_buffer_text(&reason));
}
