/* SPDX-License-Identifier: Apache-2.0 */
/* agent/switch/controller_copy.c - see controller_copy.h. */
#include "agent/switch/controller_copy.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agent/switch/state_copy.h"
#include "base/cleanup.h"
#include "base/fs.h"
#include "base/json.h"
#include "release/version.h"

#define RECORD     "copy.json"
#define RECORD_MAX (64u << 10)
#define JOBS_MAX   (256u << 20)

char *sf_controller_copy_place(const char *state, const char *release)
{
        return sf_format("%s/controller/%s", state, release);
}

char *sf_controller_copy_tree(const char *state, const char *release)
{
        return sf_format("%s/controller/%s/state", state, release);
}

static int no_memory(struct sf_error *err)
{
        return sf_error_set(err, SF_ERR_NOMEM, "no memory for slurmctld's state");
}

static int write_json(const char *directory, const char *name, json_t *object, struct sf_error *err)
{
        _cleanup_free_ char *text = object ? json_dumps(object, JSON_COMPACT) : NULL;
        _cleanup_free_ char *path = sf_fs_join(directory, name);

        json_decref(object);
        if (!text || !path)
                return no_memory(err);
        int r = sf_fs_mkdirs(directory, 0700, err);
        return r < 0 ? r : sf_fs_write(path, text, strlen(text), 0600, err);
}

static int read_json(const char *directory, const char *name, json_t **ret, struct sf_error *err)
{
        _cleanup_(sf_buffer_free) struct sf_buffer text = SF_BUFFER_INIT;
        _cleanup_free_ char *path = sf_fs_join(directory, name);
        int r = path ? sf_fs_read(path, RECORD_MAX, &text, err) : no_memory(err);

        return r < 0 ? r : sf_json_parse(path, text.data, text.len, ret, err);
}

static int take(const json_t *object, const char *where, const char *key, char *out, size_t room, struct sf_error *err)
{
        const char *text = NULL;
        int r = sf_json_string(object, where, key, &text, err);

        if (r == 0 && strlen(text) >= room)
                r = sf_error_set(err, SF_ERR_CORRUPT, "%s.%s: too long", where, key);
        if (r == 0)
                strcpy(out, text);
        return r;
}

int sf_controller_copy_write(const char *state, const struct sf_controller_copy *copy, struct sf_error *err)
{
        _cleanup_free_ char *place = sf_controller_copy_place(state, copy->release);

        if (!place)
                return no_memory(err);
        return write_json(place, RECORD,
                          json_pack("{s:s,s:s,s:I}", "location", copy->location, "series", copy->series, "time",
                                    (json_int_t)copy->time),
                          err);
}

int sf_controller_copy_read(const char *state, const char *release, struct sf_controller_copy *ret,
                            struct sf_error *err)
{
        _cleanup_free_ char *place = sf_controller_copy_place(state, release);
        _cleanup_json_ json_t *object = NULL;
        struct sf_controller_copy copy = { 0 };
        int64_t seconds = 0;
        int r = place ? read_json(place, RECORD, &object, err) : no_memory(err);

        if (r == 0)
                r = take(object, RECORD, "location", copy.location, sizeof copy.location, err);
        if (r == 0)
                r = take(object, RECORD, "series", copy.series, sizeof copy.series, err);
        if (r == 0)
                r = sf_json_integer(object, RECORD, "time", 0, INT64_MAX, &seconds, err);
        if (r < 0)
                return r;
        snprintf(copy.release, sizeof copy.release, "%s", release);
        copy.time = (time_t)seconds;
        *ret = copy;
        return 0;
}

static int is_place(const struct dirent *e)
{
        return e->d_name[0] != '.' && strcmp(e->d_name, "phase.json") != 0;
}

/* Calls visit for every directory of a copy, whole or not. */
static int each_copy(const char *state, int (*visit)(void *ctx, const char *release, struct sf_error *err), void *ctx,
                     struct sf_error *err)
{
        _cleanup_free_ char *all = sf_fs_join(state, "controller");
        struct dirent **names = NULL;
        int count = all ? scandir(all, &names, is_place, alphasort) : -1, r = all ? 0 : no_memory(err);

        if (all && count < 0 && errno != ENOENT)
                return sf_error_errno(err, "%s", all);
        for (int i = 0; i < count; i++) {
                if (r == 0)
                        r = visit(ctx, names[i]->d_name, err);
                free(names[i]);
        }
        free(names);
        return r;
}

struct search {
        const char *state, *series, *location;
        struct sf_controller_copy best;
};

static int look_at(void *ctx, const char *release, struct sf_error *err)
{
        struct search *s = ctx;
        struct sf_controller_copy copy;

        (void)err;
        if (sf_controller_copy_read(s->state, release, &copy, NULL) == 0 && strcmp(copy.series, s->series) == 0 &&
            strcmp(copy.location, s->location) == 0 && copy.time >= s->best.time)
                s->best = copy;
        return 0;
}

int sf_controller_copy_find(const char *state, const char *series, const char *location, struct sf_controller_copy *ret,
                            struct sf_error *err)
{
        struct search search = { .state = state, .series = series, .location = location };
        int r = each_copy(state, look_at, &search, err);

        if (r < 0)
                return r;
        if (!*search.best.release)
                return sf_error_set(err, SF_ERR_NOT_FOUND, "no copy of slurmctld's state of %s is kept", series);
        *ret = search.best;
        return 0;
}

int sf_controller_copy_jobs(const char *state, const char *release, struct sf_buffer *ret, struct sf_error *err)
{
        _cleanup_free_ char *path = sf_format("%s/controller/%s/jobs", state, release);
        int r = path ? sf_fs_read(path, JOBS_MAX, ret, err) : no_memory(err);

        if (r != SF_ERR_NOT_FOUND)
                return r;
        if (err)
                sf_error_clear(err);
        return 0;
}

int sf_controller_copy_remove(const char *state, const char *release, struct sf_error *err)
{
        _cleanup_free_ char *place = sf_controller_copy_place(state, release);
        _cleanup_free_ char *record = place ? sf_fs_join(place, RECORD) : NULL;

        if (!record)
                return no_memory(err);
        if (unlink(record) < 0 && errno != ENOENT && errno != ENOTDIR)
                return sf_error_errno(err, "%s", record);
        return sf_fs_remove_tree(place, err);
}

struct pruning {
        const char *state;
        const struct sf_store_release *all;
        size_t count;
        bool dry;
        void (*told)(const char *release);
};

/* A copy is named after its series where the active release had not written the state; an adopted tree's version is not
 * known, so it may be any series' last one. */
static bool is_of_series(const struct sf_store_release *installed, const char *copy)
{
        char series[8];

        sf_version_series(copy, series);
        return strcmp(series, copy) == 0 &&
               (installed->foreign || sf_version_compare_series(installed->name.version, copy) == 0);
}

static int prune_one(void *ctx, const char *release, struct sf_error *err)
{
        const struct pruning *p = ctx;

        for (size_t i = 0; i < p->count; i++)
                if (strcmp(p->all[i].directory, release) == 0 || is_of_series(&p->all[i], release))
                        return 0;
        p->told(release);
        return p->dry ? 0 : sf_controller_copy_remove(p->state, release, err);
}

int sf_controller_copy_prune(const char *state, const struct sf_store *store, bool dry,
                             void (*told)(const char *release), struct sf_error *err)
{
        _cleanup_free_ struct sf_store_release *all = NULL;
        struct pruning pruning = { .state = state, .dry = dry, .told = told };
        int r = sf_store_list(store, &all, &pruning.count, err);

        pruning.all = all;
        return r < 0 ? r : each_copy(state, prune_one, &pruning, err);
}

static const char *const phases[] = {
        [SF_CONTROLLER_NOTHING] = "nothing",
        [SF_CONTROLLER_PLANNED] = "planned",
        [SF_CONTROLLER_RESTORING] = "restoring",
        [SF_CONTROLLER_STARTED] = "started",
};

int sf_controller_mark_write(const char *state, const struct sf_controller_mark *mark, struct sf_error *err)
{
        _cleanup_free_ char *place = sf_fs_join(state, "controller");
        _cleanup_free_ char *path = place ? sf_fs_join(place, "phase.json") : NULL;

        if (!path)
                return no_memory(err);
        if (mark->phase != SF_CONTROLLER_NOTHING)
                return write_json(place, "phase.json",
                                  json_pack("{s:s,s:s,s:s,s:s}", "phase", phases[mark->phase], "release", mark->release,
                                            "leaving", mark->leaving, "location", mark->location),
                                  err);
        if (unlink(path) < 0)
                return errno == ENOENT ? 0 : sf_error_errno(err, "%s", path);
        return sf_fs_sync_dir(place, err);
}

int sf_controller_mark_read(const char *state, struct sf_controller_mark *ret, struct sf_error *err)
{
        _cleanup_free_ char *place = sf_fs_join(state, "controller");
        _cleanup_json_ json_t *object = NULL;
        struct sf_controller_mark mark = { 0 };
        char phase[24];
        int r = place ? read_json(place, "phase.json", &object, err) : no_memory(err);

        if (r == SF_ERR_NOT_FOUND) {
                if (err)
                        sf_error_clear(err);
                *ret = mark;
                return 0;
        }
        if (r == 0)
                r = take(object, "phase.json", "phase", phase, sizeof phase, err);
        if (r == 0)
                r = take(object, "phase.json", "release", mark.release, sizeof mark.release, err);
        if (r == 0)
                r = take(object, "phase.json", "location", mark.location, sizeof mark.location, err);
        /* The first format had none: what was put back was what was left. */
        if (r == 0 && !json_object_get(object, "leaving"))
                strcpy(mark.leaving, mark.release);
        else if (r == 0)
                r = take(object, "phase.json", "leaving", mark.leaving, sizeof mark.leaving, err);
        if (r < 0)
                return r;
        size_t i = 0, count = sizeof phases / sizeof *phases;
        while (i < count && strcmp(phase, phases[i]) != 0)
                i++;
        if (i == count)
                return sf_error_set(err, SF_ERR_UNSUPPORTED,
                                    "%s/phase.json was written by a newer sf-node (phase '%s'): use that one", place,
                                    phase);
        mark.phase = (enum sf_controller_phase)i;
        *ret = mark;
        return 0;
}

int sf_controller_copy_restore(const char *state, const struct sf_controller_mark *mark, struct sf_error *err)
{
        _cleanup_free_ char *tree = sf_controller_copy_tree(state, mark->release);
        struct sf_controller_mark next = *mark;
        struct sf_controller_copy copy;

        next.phase = SF_CONTROLLER_RESTORING;
        int r = tree ? sf_controller_copy_read(state, mark->release, &copy, err) : no_memory(err);
        if (r == 0)
                r = sf_controller_mark_write(state, &next, err);
        if (r == 0)
                r = sf_state_copy_finish(tree, mark->location, NULL, err);
        return r < 0 ? sf_error_prefix(err, "putting back slurmctld's state of %s", mark->release) : 0;
}
