/* SPDX-License-Identifier: Apache-2.0 */
/* agent/node/service-job.c - the part of service.h that a switch needs besides plain jobs: a restart with two
 * limits, and a service of its own for the switch. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/node/service-bus.h"
#include "base/buffer.h"
#include "base/cleanup.h"
#include "base/clock.h"

#define LOOK_MS 100 /* between two looks at who is the main process */

static uint64_t now_ms(void)
{
        return (uint64_t)(sf_clock_seconds() * 1000);
}

/* The job's object. Owned by the caller. */
static int queue(struct sf_service_bus *bus, const char *method, const char *unit, char **ret, struct sf_error *err)
{
        sd_bus_error error = SD_BUS_ERROR_NULL;
        sd_bus_message *reply = NULL;
        const char *path;

        sf_service_forget(bus);
        int r = sd_bus_call_method(bus->bus, DESTINATION, MANAGER_PATH, MANAGER, method, &error, &reply, "ss", unit,
                                   "replace");
        if (r >= 0)
                r = sd_bus_message_read(reply, "o", &path);
        if (r < 0)
                r = sf_service_failed(err, r, &error, unit);
        else if (!(*ret = strdup(path)))
                r = sf_error_set(err, SF_ERR_NOMEM, "no memory for a job");
        sd_bus_message_unref(reply);
        sd_bus_error_free(&error);
        return r < 0 ? r : 0;
}

int sf_service_restart(struct sf_service_bus *bus, const char *unit, unsigned stop_ms, unsigned start_ms,
                       struct sf_error *err)
{
        _cleanup_free_ char *path = NULL, *job = NULL;
        struct sf_service before = { 0 }, now = { 0 };
        const char *result = "";
        int r = sf_service_path(bus, unit, &path, err);

        if (r == 0)
                r = sf_service_state(bus, path, &before, err);
        if (r == 0)
                r = queue(bus, "RestartUnit", unit, &job, err);
        if (r < 0)
                return r;
        uint64_t began = now_ms(), started = before.main_pid > 0 ? 0 : began;
        while ((r = sf_service_await(bus, job, now_ms() + LOOK_MS, &result, err)) == SF_ERR_TIMEOUT) {
                uint64_t t = now_ms();
                r = sf_service_state(bus, path, &now, err);
                if (r < 0)
                        return r;
                if (!started && now.main_pid != before.main_pid)
                        started = t;
                if (started && t >= started + start_ms)
                        return sf_error_set(err, SF_ERR_TIMEOUT, "restart of %s did not finish within %.1f s", unit,
                                            start_ms / 1000.0);
                if (!started && t >= began + stop_ms)
                        return sf_error_set(err, SF_ERR_BUSY,
                                            "%s: process %d, which was to stop, did not end within %.1f s", unit,
                                            (int)before.main_pid, stop_ms / 1000.0);
        }
        if (r == 0 && strcmp(result, "done") != 0)
                return sf_error_set(err, SF_ERR_FAILED, "restart of %s: %s", unit, result);
        if (r == 0 && err)
                sf_error_clear(err);
        return r;
}

int sf_service_restart_later(struct sf_service_bus *bus, const char *unit, struct sf_error *err)
{
        _cleanup_free_ char *job = NULL;

        return queue(bus, "RestartUnit", unit, &job, err);
}

/* --- a service for one program --------------------------------------------------------------------------------- */

/* systemd expands variables of its own in arguments, not in the program's path; "$$" stands for one dollar. */
static int append_argument(sd_bus_message *m, const char *argument)
{
        _cleanup_free_ char *escaped = malloc(2 * strlen(argument) + 1);
        char *out = escaped;

        for (const char *c = argument; escaped && *c; c++) {
                if (*c == '$')
                        *out++ = '$';
                *out++ = *c;
        }
        if (!escaped)
                return -ENOMEM;
        *out = '\0';
        return sd_bus_message_append(m, "s", escaped);
}

static int append_exec(sd_bus_message *m, const char *name, const char *const *argv)
{
        int r = sd_bus_message_open_container(m, 'r', "sv");

        if (r >= 0)
                r = sd_bus_message_append(m, "s", name);
        if (r >= 0)
                r = sd_bus_message_open_container(m, 'v', "a(sasb)");
        if (r >= 0)
                r = sd_bus_message_open_container(m, 'a', "(sasb)");
        if (r >= 0)
                r = sd_bus_message_open_container(m, 'r', "sasb");
        if (r >= 0)
                r = sd_bus_message_append(m, "s", argv[0]);
        if (r >= 0)
                r = sd_bus_message_open_container(m, 'a', "s");
        for (const char *const *a = argv; r >= 0 && *a; a++)
                r = append_argument(m, *a);
        if (r >= 0)
                r = sd_bus_message_close_container(m);
        if (r >= 0)
                r = sd_bus_message_append(m, "b", 0);
        for (int i = 0; r >= 0 && i < 4; i++)
                r = sd_bus_message_close_container(m);
        return r;
}

static int append_env(sd_bus_message *m, const char *const *env)
{
        int r = sd_bus_message_open_container(m, 'r', "sv");

        if (r >= 0)
                r = sd_bus_message_append(m, "s", "Environment");
        if (r >= 0)
                r = sd_bus_message_open_container(m, 'v', "as");
        if (r >= 0)
                r = sd_bus_message_open_container(m, 'a', "s");
        for (const char *const *e = env; r >= 0 && *e; e++)
                r = sd_bus_message_append(m, "s", *e);
        for (int i = 0; r >= 0 && i < 3; i++)
                r = sd_bus_message_close_container(m);
        return r;
}

/* org.freedesktop.systemd1(5), StartTransientUnit; properties as in systemd.exec(5), systemd.kill(5). */
static int append_properties(sd_bus_message *m, const struct sf_service_transient *t)
{
        int r = sd_bus_message_append(m, "(sv)(sv)(sv)(sv)(sv)", "Description", "s", t->description, "Type", "s",
                                      "simple", "CollectMode", "s", "inactive-or-failed", "WorkingDirectory", "s",
                                      t->directory, "OOMScoreAdjust", "i", -900);

        if (r >= 0)
                r = sd_bus_message_append(m, "(sv)(sv)(sv)", "StandardInputFileDescriptor", "h", t->input,
                                          "StandardOutputFileDescriptor", "h", t->output, "StandardErrorFileDescriptor",
                                          "h", t->errors);
        /* 3, 4 and 5 are answers, not crashes. */
        if (r >= 0)
                r = sd_bus_message_append(m, "(sv)", "SuccessExitStatus", "(aiai)", 4, 2, 3, 4, 5, 0);
        /* What comes after the program may have to restart services, and wait for them. */
        if (r >= 0)
                r = sd_bus_message_append(m, "(sv)", "TimeoutStopUSec", "t",
                                          t->stop_seconds ? (uint64_t)t->stop_seconds * 1000000 : UINT64_MAX);
        if (r >= 0)
                r = append_env(m, t->env);
        if (r >= 0)
                r = append_exec(m, "ExecStart", t->argv);
        if (r >= 0 && t->post)
                r = append_exec(m, "ExecStopPost", t->post);
        return r;
}

int sf_service_run_transient(struct sf_service_bus *bus, const struct sf_service_transient *t, struct sf_error *err)
{
        sd_bus_error error = SD_BUS_ERROR_NULL;
        sd_bus_message *m = NULL, *reply = NULL;
        int r = sd_bus_message_new_method_call(bus->bus, &m, DESTINATION, MANAGER_PATH, MANAGER, "StartTransientUnit");

        if (r >= 0)
                r = sd_bus_message_append(m, "ss", t->unit, "fail");
        if (r >= 0)
                r = sd_bus_message_open_container(m, 'a', "(sv)");
        if (r >= 0)
                r = append_properties(m, t);
        if (r >= 0)
                r = sd_bus_message_close_container(m);
        if (r >= 0)
                r = sd_bus_message_append(m, "a(sa(sv))", 0);
        if (r >= 0)
                r = sd_bus_call(bus->bus, m, 0, &error, &reply);
        if (r < 0)
                r = sf_service_failed(err, r, &error, t->unit);
        sd_bus_message_unref(m);
        sd_bus_message_unref(reply);
        sd_bus_error_free(&error);
        return r < 0 ? r : 0;
}
