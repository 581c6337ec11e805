/* SPDX-License-Identifier: Apache-2.0 */
/* agent/node/state.c - see state.h. */
#include "agent/node/state.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/fs.h"
#include "base/log.h"
#include "base/json.h"

#define STATE_MAX (64u << 10)

/* One string member and where it lives in struct sf_state. */
struct member {
        const char *key;
        size_t offset, size;
};

#define MEMBER(name)                                                                            \
        {                                                                                       \
#name, offsetof(struct sf_state, name), sizeof(((struct sf_state *)NULL)->name) \
        }
static const struct member top[] = { MEMBER(active), MEMBER(previous) };
static const struct member last[] = { MEMBER(verb), MEMBER(from), MEMBER(to), MEMBER(time) };

int sf_state_check_version(const char *path, const json_t *object, int known, struct sf_error *err)
{
        json_int_t version = json_integer_value(json_object_get(object, "version"));

        if (version <= known)
                return 0;
        return sf_error_set(err, SF_ERR_UNSUPPORTED,
                            "%s was written by a newer sf-node (format %lld, this one knows %d): use that one", path,
                            (long long)version, known);
}

int sf_state_set_aside(const char *state_directory, const char *file, const char *why, struct sf_error *err)
{
        _cleanup_free_ char *path = sf_fs_join(state_directory, file);
        _cleanup_free_ char *aside = path ? sf_format("%s.damaged", path) : NULL;

        if (!aside)
                return sf_error_set(err, SF_ERR_NOMEM, "no memory for a path");
        if (rename(path, aside) < 0)
                return sf_error_errno(err, "cannot set %s aside", path);
        sf_log_warning("%s; it is set aside as %s", why, aside);
        return sf_fs_sync_dir(state_directory, err);
}

static void read_staged(const json_t *list, struct sf_state *state)
{
        size_t count = json_array_size(list), used = 0;

        for (size_t i = 0; i < count && used < SF_STATE_STAGED_MAX; i++) {
                const char *text = json_string_value(json_array_get(list, i));
                if (text && *text && strlen(text) < sizeof *state->staged)
                        strcpy(state->staged[used++], text);
        }
}

static json_t *write_staged(const struct sf_state *state)
{
        json_t *list = json_array();

        for (size_t i = 0; i < SF_STATE_STAGED_MAX && *state->staged[i]; i++)
                json_array_append_new(list, json_string(state->staged[i]));
        return list;
}

void sf_state_unstage(struct sf_state *state, const char *directory)
{
        size_t kept = 0;

        for (size_t i = 0; i < SF_STATE_STAGED_MAX; i++)
                if (*state->staged[i] && strcmp(state->staged[i], directory) != 0) {
                        if (kept != i)
                                memcpy(state->staged[kept], state->staged[i], sizeof *state->staged);
                        kept++;
                }
        for (; kept < SF_STATE_STAGED_MAX; kept++)
                *state->staged[kept] = '\0';
}

void sf_state_stage(struct sf_state *state, const char *directory)
{
        sf_state_unstage(state, directory);
        memmove(state->staged[1], state->staged[0], sizeof state->staged - sizeof *state->staged);
        snprintf(state->staged[0], sizeof *state->staged, "%s", directory);
}

bool sf_state_is_staged(const struct sf_state *state, const char *directory)
{
        for (size_t i = 0; i < SF_STATE_STAGED_MAX; i++)
                if (*state->staged[i] && strcmp(state->staged[i], directory) == 0)
                        return true;
        return false;
}

static void read_members(const json_t *object, const struct member *members, size_t count, struct sf_state *state)
{
        for (size_t i = 0; i < count; i++) {
                const char *text = json_string_value(json_object_get(object, members[i].key));
                snprintf((char *)state + members[i].offset, members[i].size, "%s", text ? text : "");
        }
}

static json_t *write_members(const struct member *members, size_t count, const struct sf_state *state)
{
        json_t *object = json_object();

        for (size_t i = 0; i < count; i++)
                json_object_set_new(object, members[i].key, sf_json_text((const char *)state + members[i].offset));
        return object;
}

/* A word that this agent does not know is no result: only people read it. */
static void read_result(const json_t *object, struct sf_state *state)
{
        const char *text = json_string_value(json_object_get(object, "result"));
        enum sf_result result = sf_result_parse(text ? text : "");

        state->result = result == SF_RESULT_COUNT ? SF_RESULT_NONE : result;
}

int sf_state_load(const char *state_directory, struct sf_state *ret, struct sf_error *err)
{
        _cleanup_free_ char *path = sf_fs_join(state_directory, "state.json");
        _cleanup_(sf_buffer_free) struct sf_buffer text = SF_BUFFER_INIT;
        _cleanup_json_ json_t *object = NULL;

        if (!path)
                return sf_error_set(err, SF_ERR_NOMEM, "no memory for a path");
        int r = sf_fs_read(path, STATE_MAX, &text, err);
        if (r == SF_ERR_NOT_FOUND) {
                sf_error_clear(err);
                *ret = (struct sf_state){ 0 };
                return 0;
        }
        if (r == 0)
                r = sf_json_parse(path, text.data, text.len, &object, err);
        if (r == 0)
                r = sf_state_check_version(path, object, SF_STATE_VERSION, err);
        if (r < 0)
                return r;
        *ret = (struct sf_state){ 0 };
        read_members(object, top, sizeof top / sizeof *top, ret);
        read_members(json_object_get(object, "last"), last, sizeof last / sizeof *last, ret);
        read_result(json_object_get(object, "last"), ret);
        read_staged(json_object_get(object, "staged"), ret);
        return 0;
}

int sf_state_load_or_set_aside(const char *state_directory, struct sf_state *ret, struct sf_error *err)
{
        struct sf_error why = SF_ERROR_INIT;
        int r = sf_state_load(state_directory, ret, &why);

        if (r != SF_ERR_CORRUPT && r != SF_ERR_LIMIT)
                return r < 0 ? sf_error_set(err, r, "%s", why.text) : r;
        *ret = (struct sf_state){ 0 };
        return sf_state_set_aside(state_directory, "state.json", why.text, err);
}

int sf_state_save(const char *state_directory, const struct sf_state *state, struct sf_error *err)
{
        _cleanup_free_ char *path = sf_fs_join(state_directory, "state.json");
        _cleanup_json_ json_t *object = write_members(top, sizeof top / sizeof *top, state);

        json_t *done = write_members(last, sizeof last / sizeof *last, state);
        json_object_set_new(done, "result", sf_json_text(sf_result_name(state->result)));
        json_object_set_new(object, "last", done);
        json_object_set_new(object, "version", json_integer(SF_STATE_VERSION));
        json_object_set_new(object, "staged", write_staged(state));
        _cleanup_free_ char *text = json_dumps(object, JSON_COMPACT);
        if (!path || !text)
                return sf_error_set(err, SF_ERR_NOMEM, "no memory for the state");
        return sf_fs_write(path, text, strlen(text), 0644, err);
}

void sf_state_note(struct sf_state *state, const struct sf_report *report, enum sf_result result)
{
        snprintf(state->verb, sizeof state->verb, "%s", report->verb);
        state->result = result;
        snprintf(state->from, sizeof state->from, "%s", report->from);
        snprintf(state->to, sizeof state->to, "%s", report->to);
        sf_clock_stamp(time(NULL), state->time);
}
