/* SPDX-License-Identifier: Apache-2.0 */
/* agent/node/service.c - see service.h. Signals are matched before a job is queued, so that a job which ends at once
 * is not missed, and told apart by their object path: other people's jobs end at the same time. */
#include "agent/node/service.h"

#include "agent/node/process.h"

#include <limits.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "agent/node/service-bus.h"
#include "base/buffer.h"
#include "base/cleanup.h"

#define SETTLE_STEP_MS 50
#define EXEC_MS        2000 /* for a forked process to become its program, on a busy node */

int sf_service_failed(struct sf_error *err, int r, const sd_bus_error *bus_error, const char *what)
{
        const char *text = bus_error && sd_bus_error_is_set(bus_error) ? bus_error->message : strerror(-r);

        return sf_error_set(err, SF_ERR_IO, "systemd: %s: %s", what, text);
}

static uint64_t now_ms(void)
{
        struct timespec t;

        clock_gettime(CLOCK_MONOTONIC, &t);
        return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

void sf_service_forget(struct sf_service_bus *bus)
{
        for (size_t i = 0; i < bus->removed_count; i++)
                free(bus->removed[i].path);
        free(bus->removed);
        bus->removed = NULL;
        bus->removed_count = 0;
}

static int on_removed(sd_bus_message *m, void *ctx, sd_bus_error *error)
{
        struct sf_service_bus *bus = ctx;
        const char *path, *unit, *result;
        uint32_t id;

        (void)error;
        if (sd_bus_message_read(m, "uoss", &id, &path, &unit, &result) < 0)
                return 0;
        struct removed *grown = reallocarray(bus->removed, bus->removed_count + 1, sizeof *grown);
        if (!grown) {
                bus->no_memory = true;
                return 0;
        }
        bus->removed = grown;
        struct removed *r = &grown[bus->removed_count];
        r->path = strdup(path);
        snprintf(r->result, sizeof r->result, "%s", result);
        bus->no_memory |= !r->path;
        bus->removed_count += r->path ? 1 : 0;
        return 0;
}

/* sd_booted(3), unless somebody says where else to ask. */
static bool has_systemd(void)
{
        return access("/run/systemd/system", F_OK) == 0 || getenv("DBUS_SYSTEM_BUS_ADDRESS");
}

int sf_service_open(struct sf_service_bus **ret, struct sf_error *err)
{
        if (!has_systemd())
                return sf_error_set(err, SF_ERR_UNSUPPORTED, "this system was not booted with systemd");
        struct sf_service_bus *bus = calloc(1, sizeof *bus);
        sd_bus_error error = SD_BUS_ERROR_NULL;
        const char *what = "connecting to the system bus";

        if (!bus)
                return sf_error_set(err, SF_ERR_NOMEM, "no memory for the system bus");
        int r = sd_bus_open_system(&bus->bus);
        if (r >= 0) {
                what = "watching jobs";
                r = sd_bus_match_signal(bus->bus, &bus->match, DESTINATION, MANAGER_PATH, MANAGER, "JobRemoved",
                                        on_removed, bus);
        }
        if (r >= 0)
                r = sd_bus_call_method(bus->bus, DESTINATION, MANAGER_PATH, MANAGER, "Subscribe", &error, NULL, "");
        if (r < 0) {
                r = sf_service_failed(err, r, &error, what);
                sd_bus_error_free(&error);
                sf_service_close(bus);
                return r;
        }
        *ret = bus;
        return 0;
}

void sf_service_close(struct sf_service_bus *bus)
{
        if (!bus)
                return;
        sd_bus_slot_unref(bus->match);
        sd_bus_flush_close_unref(bus->bus);
        sf_service_forget(bus);
        free(bus);
}

/* A property as text, cut to the room there is; "" where the unit has none (a service's, asked of something else). */
static int read_string(struct sf_service_bus *bus, const char *path, const char *interface, const char *name, char *out,
                       size_t room, struct sf_error *err)
{
        sd_bus_error error = SD_BUS_ERROR_NULL;
        _cleanup_free_ char *value = NULL;
        int r = sd_bus_get_property_string(bus->bus, DESTINATION, path, interface, name, &error, &value);

        if (r < 0)
                r = sf_service_failed(err, r, &error, name);
        else
                snprintf(out, room, "%s", value);
        sd_bus_error_free(&error);
        return r < 0 ? r : 0;
}

static int read_bool(struct sf_service_bus *bus, const char *path, const char *interface, const char *name, bool *out,
                     struct sf_error *err)
{
        sd_bus_error error = SD_BUS_ERROR_NULL;
        int value = 0, r;

        r = sd_bus_get_property_trivial(bus->bus, DESTINATION, path, interface, name, &error, 'b', &value);
        if (r < 0)
                r = sf_service_failed(err, r, &error, name);
        *out = value;
        sd_bus_error_free(&error);
        return r < 0 ? r : 0;
}

static int read_pid(struct sf_service_bus *bus, const char *path, pid_t *out, struct sf_error *err)
{
        sd_bus_error error = SD_BUS_ERROR_NULL;
        uint32_t value = 0;
        int r = sd_bus_get_property_trivial(bus->bus, DESTINATION, path, SERVICE, "MainPID", &error, 'u', &value);

        if (r < 0)
                r = sf_service_failed(err, r, &error, "MainPID");
        *out = (pid_t)value;
        sd_bus_error_free(&error);
        return r < 0 ? r : 0;
}

/* ExecStart is an array of structures; only program and argv[0] of the first command matter. */
static int read_command(struct sf_service_bus *bus, const char *path, struct sf_service *s, struct sf_error *err)
{
        sd_bus_error error = SD_BUS_ERROR_NULL;
        sd_bus_message *m = NULL;
        const char *program = NULL;
        char **argv = NULL;
        int r = sd_bus_get_property(bus->bus, DESTINATION, path, SERVICE, "ExecStart", &error, &m, "a(sasbttttuii)");

        if (r < 0) {
                r = sf_service_failed(err, r, &error, "ExecStart");
                sd_bus_error_free(&error);
                return r;
        }
        r = sd_bus_message_enter_container(m, 'a', "(sasbttttuii)");
        if (r > 0)
                r = sd_bus_message_enter_container(m, 'r', "sasbttttuii");
        if (r > 0)
                r = sd_bus_message_read(m, "s", &program);
        if (r > 0)
                r = sd_bus_message_read_strv(m, &argv);
        if (program)
                snprintf(s->command, sizeof s->command, "%s", program);
        if (argv && argv[0])
                snprintf(s->argv0, sizeof s->argv0, "%s", argv[0]);
        for (char **a = argv; a && *a; a++) {
                size_t used = strlen(s->arguments);
                if (a > argv)
                        snprintf(s->arguments + used, sizeof s->arguments - used, "%s%s", used ? " " : "", *a);
                free(*a);
        }
        free(argv);
        sd_bus_message_unref(m);
        return r < 0 ? sf_service_failed(err, r, NULL, "ExecStart") : 0;
}

int sf_service_list(struct sf_service_bus *bus, struct sf_words *ret, struct sf_error *err)
{
        sd_bus_error error = SD_BUS_ERROR_NULL;
        sd_bus_message *reply = NULL;
        const char *name;
        int r = sd_bus_call_method(bus->bus, DESTINATION, MANAGER_PATH, MANAGER, "ListUnitsByPatterns", &error, &reply,
                                   "asas", 0, 1, "*.service");

        if (r >= 0)
                r = sd_bus_message_enter_container(reply, 'a', "(ssssssouso)");
        while (r >= 0 && (r = sd_bus_message_enter_container(reply, 'r', "ssssssouso")) > 0) {
                r = sd_bus_message_read(reply, "s", &name);
                if (r >= 0 && sf_words_append(ret, name, err) < 0)
                        r = -ENOMEM;
                if (r >= 0)
                        r = sd_bus_message_skip(reply, "sssssouso");
                if (r >= 0)
                        r = sd_bus_message_exit_container(reply);
        }
        if (r < 0)
                r = sf_service_failed(err, r, &error, "listing units");
        sd_bus_message_unref(reply);
        sd_bus_error_free(&error);
        return r < 0 ? r : 0;
}

/* The bus object of a unit; systemd loads the unit for it where it has not yet. Owned by the caller. */
int sf_service_path(struct sf_service_bus *bus, const char *unit, char **ret, struct sf_error *err)
{
        sd_bus_error error = SD_BUS_ERROR_NULL;
        sd_bus_message *reply = NULL;
        const char *path;
        int r = sd_bus_call_method(bus->bus, DESTINATION, MANAGER_PATH, MANAGER, "LoadUnit", &error, &reply, "s", unit);

        if (r >= 0)
                r = sd_bus_message_read(reply, "o", &path);
        if (r < 0)
                r = sf_service_failed(err, r, &error, unit);
        else if (!(*ret = strdup(path)))
                r = sf_error_set(err, SF_ERR_NOMEM, "no memory for %s", unit);
        sd_bus_message_unref(reply);
        sd_bus_error_free(&error);
        return r < 0 ? r : 0;
}

int sf_service_state(struct sf_service_bus *bus, const char *path, struct sf_service *s, struct sf_error *err)
{
        int r = read_string(bus, path, UNIT, "LoadState", s->load_state, sizeof s->load_state, err);

        if (r == 0)
                r = read_string(bus, path, UNIT, "ActiveState", s->active_state, sizeof s->active_state, err);
        if (r == 0)
                r = read_string(bus, path, UNIT, "SubState", s->sub_state, sizeof s->sub_state, err);
        return r < 0 ? r : read_pid(bus, path, &s->main_pid, err);
}

/* What is no service has none. */
static int read_stop_limit(struct sf_service_bus *bus, const char *path, struct sf_service *s, struct sf_error *err)
{
        uint64_t value = 0;

        (void)err;
        if (sd_bus_get_property_trivial(bus->bus, DESTINATION, path, SERVICE, "TimeoutStopUSec", NULL, 't', &value) < 0)
                return 0;
        s->stop_seconds = value == UINT64_MAX ? UINT64_MAX : value / 1000000;
        return 0;
}

static int read_settings(struct sf_service_bus *bus, const char *path, struct sf_service *s, struct sf_error *err)
{
        int r = read_string(bus, path, SERVICE, "Type", s->type, sizeof s->type, err);

        if (r == 0)
                r = read_string(bus, path, SERVICE, "KillMode", s->kill_mode, sizeof s->kill_mode, err);
        if (r == 0)
                r = read_string(bus, path, UNIT, "Id", s->id, sizeof s->id, err);
        if (r == 0)
                r = read_string(bus, path, UNIT, "FragmentPath", s->fragment, sizeof s->fragment, err);
        if (r == 0)
                r = read_string(bus, path, UNIT, "UnitFileState", s->file_state, sizeof s->file_state, err);
        if (r == 0)
                r = read_bool(bus, path, SERVICE, "Delegate", &s->delegate, err);
        if (r == 0)
                r = read_bool(bus, path, UNIT, "NeedDaemonReload", &s->stale, err);
        if (r == 0)
                r = read_stop_limit(bus, path, s, err);
        return r < 0 ? r : read_command(bus, path, s, err);
}

int sf_service_read(struct sf_service_bus *bus, const char *unit, struct sf_service *ret, struct sf_error *err)
{
        struct sf_service s = { 0 };
        _cleanup_free_ char *path = NULL;
        int r = sf_service_path(bus, unit, &path, err);

        if (r == 0)
                r = sf_service_state(bus, path, &s, err);
        if (r == 0)
                r = read_settings(bus, path, &s, err);
        if (r == 0)
                *ret = s;
        return r;
}

int sf_service_reload(struct sf_service_bus *bus, struct sf_error *err)
{
        sd_bus_error error = SD_BUS_ERROR_NULL;
        int r = sd_bus_call_method(bus->bus, DESTINATION, MANAGER_PATH, MANAGER, "Reload", &error, NULL, "");

        if (r < 0)
                r = sf_service_failed(err, r, &error, "daemon-reload");
        sd_bus_error_free(&error);
        return r < 0 ? r : 0;
}

/* Serves the bus until the job's removal was seen. */
int sf_service_await(struct sf_service_bus *bus, const char *job, uint64_t deadline, const char **ret_result,
                     struct sf_error *err)
{
        for (size_t seen = 0;;) {
                for (; seen < bus->removed_count; seen++)
                        if (strcmp(bus->removed[seen].path, job) == 0) {
                                *ret_result = bus->removed[seen].result;
                                return 0;
                        }
                if (bus->no_memory)
                        return sf_error_set(err, SF_ERR_NOMEM, "no memory for the system bus");
                int r = sd_bus_process(bus->bus, NULL);
                if (r < 0)
                        return sf_service_failed(err, r, NULL, "waiting for a job");
                if (r > 0)
                        continue;
                uint64_t now = now_ms();
                if (now >= deadline)
                        return sf_error_set(err, SF_ERR_TIMEOUT, "not finished");
                r = sd_bus_wait(bus->bus, (deadline - now) * 1000);
                if (r < 0 && r != -EINTR)
                        return sf_service_failed(err, r, NULL, "waiting for a job");
        }
}

void sf_service_forgive(struct sf_service_bus *bus, const char *unit)
{
        sd_bus_call_method(bus->bus, DESTINATION, MANAGER_PATH, MANAGER, "ResetFailedUnit", NULL, NULL, "s", unit);
}

int sf_service_run(struct sf_service_bus *bus, enum sf_service_job job, const char *unit, unsigned timeout_ms,
                   struct sf_error *err)
{
        static const char *const methods[] = { "StartUnit", "StopUnit", "RestartUnit" };
        static const char *const words[] = { "start", "stop", "restart" };
        sd_bus_error error = SD_BUS_ERROR_NULL;
        sd_bus_message *reply = NULL;
        const char *path, *result = "";
        uint64_t deadline = now_ms() + timeout_ms;

        sf_service_forget(bus);
        int r = sd_bus_call_method(bus->bus, DESTINATION, MANAGER_PATH, MANAGER, methods[job], &error, &reply, "ss",
                                   unit, "replace");
        if (r >= 0)
                r = sd_bus_message_read(reply, "o", &path);
        if (r < 0)
                r = sf_service_failed(err, r, &error, unit);
        else
                r = sf_service_await(bus, path, deadline, &result, err);
        if (r == SF_ERR_TIMEOUT)
                sf_error_set(err, r, "%s of %s did not finish within %.1f s", words[job], unit, timeout_ms / 1000.0);
        else if (r >= 0 && strcmp(result, "done") != 0)
                r = sf_error_set(err, SF_ERR_FAILED, "%s of %s: %s", words[job], unit, result);
        sd_bus_message_unref(reply);
        sd_bus_error_free(&error);
        return r < 0 ? r : 0;
}

int sf_service_kill_main(struct sf_service_bus *bus, const char *unit, struct sf_error *err)
{
        sd_bus_error error = SD_BUS_ERROR_NULL;
        int r = sd_bus_call_method(bus->bus, DESTINATION, MANAGER_PATH, MANAGER, "KillUnit", &error, NULL, "ssi", unit,
                                   "main", SIGKILL);

        if (r < 0)
                r = sf_service_failed(err, r, &error, unit);
        sd_bus_error_free(&error);
        return r < 0 ? r : 0;
}

static int check_program(pid_t pid, const char *unit, const char *tree, struct sf_error *err)
{
        char program[PATH_MAX] = "";

        if (sf_process_runs_from(pid, tree, program))
                return 0;
        if (!*program)
                return sf_error_set(err, SF_ERR_FAILED, "%s: its main process %d is gone", unit, (int)pid);
        return sf_error_set(err, SF_ERR_FAILED, "%s: its main process %d runs %s, not a program of %s", unit, (int)pid,
                            program, tree);
}

int sf_service_settle(struct sf_service_bus *bus, const char *unit, const char *tree, unsigned settle_ms,
                      pid_t *ret_pid, struct sf_error *err)
{
        uint64_t begin = now_ms(), end = begin + settle_ms;
        _cleanup_free_ char *path = NULL;
        bool inside = false;
        pid_t first = 0;
        int r = sf_service_path(bus, unit, &path, err);

        while (r == 0) {
                struct sf_service s = { 0 };
                r = sf_service_state(bus, path, &s, err);
                if (r < 0)
                        return r;
                if (strcmp(s.active_state, "active") != 0 || strcmp(s.sub_state, "running") != 0 || s.main_pid <= 0)
                        return sf_error_set(err, SF_ERR_FAILED, "%s is %s (%s)", unit, s.active_state, s.sub_state);
                if (first && s.main_pid != first)
                        return sf_error_set(err, SF_ERR_FAILED, "%s: main process changed from %d to %d", unit,
                                            (int)first, (int)s.main_pid);
                first = s.main_pid;
                r = tree ? check_program(first, unit, tree, err) : 0;
                uint64_t now = now_ms();
                if (r == 0 && now >= end) {
                        *ret_pid = first;
                        return 0;
                }
                /* For Type=simple a start is done before the program is executed: until then the process is
                 * systemd's. */
                if (r < 0 && !inside && now < begin + EXEC_MS)
                        r = 0;
                else
                        inside = r == 0;
                struct timespec pause = { 0, SETTLE_STEP_MS * 1000000L };
                nanosleep(&pause, NULL);
        }
        return r;
}
