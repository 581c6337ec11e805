/* SPDX-License-Identifier: Apache-2.0 */
/* agent/node/state.c - see state.h. */
#include "agent/node/state.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/cleanup.h"
#include "base/fs.h"
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
        if (r < 0)
                return r;
        *ret = (struct sf_state){ 0 };
        read_members(object, top, sizeof top / sizeof *top, ret);
        read_members(json_object_get(object, "last"), last, sizeof last / sizeof *last, ret);
        read_result(json_object_get(object, "last"), ret);
        return 0;
}

int sf_state_save(const char *state_directory, const struct sf_state *state, struct sf_error *err)
{
        _cleanup_free_ char *path = sf_fs_join(state_directory, "state.json");
        _cleanup_json_ json_t *object = write_members(top, sizeof top / sizeof *top, state);

        json_t *done = write_members(last, sizeof last / sizeof *last, state);
        json_object_set_new(done, "result", sf_json_text(sf_result_name(state->result)));
        json_object_set_new(object, "last", done);
        _cleanup_free_ char *text = json_dumps(object, JSON_COMPACT);
        if (!path || !text)
                return sf_error_set(err, SF_ERR_NOMEM, "no memory for the state");
        return sf_fs_write(path, text, strlen(text), 0644, err);
}

void sf_state_note(struct sf_state *state, const struct sf_report *report, enum sf_result result)
{
        time_t now = time(NULL);
        struct tm utc;

        snprintf(state->verb, sizeof state->verb, "%s", report->verb);
        state->result = result;
        snprintf(state->from, sizeof state->from, "%s", report->from);
        snprintf(state->to, sizeof state->to, "%s", report->to);
        strftime(state->time, sizeof state->time, "%Y-%m-%dT%H:%M:%SZ", gmtime_r(&now, &utc));
}
