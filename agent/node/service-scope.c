/* SPDX-License-Identifier: Apache-2.0 */
/* agent/node/service-scope.c - see service-scope.h. */
#include "agent/node/service-scope.h"

#include <inttypes.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <systemd/sd-bus.h>
#include <systemd/sd-daemon.h>
#include <unistd.h>

#define DESTINATION  "org.freedesktop.systemd1"
#define MANAGER_PATH "/org/freedesktop/systemd1"
#define MANAGER      "org.freedesktop.systemd1.Manager"

static void name_scope(char out[64])
{
        snprintf(out, 64, "sf-node-%ld.scope", (long)getpid());
}

static int append_weights(sd_bus_message *m, unsigned weight)
{
        return sd_bus_message_append(m, "(sv)(sv)", "CPUWeight", "t", (uint64_t)weight, "IOWeight", "t",
                                     (uint64_t)weight);
}

static int append_scope(sd_bus_message *m, unsigned weight)
{
        char unit[64];

        name_scope(unit);
        int r = sd_bus_message_append(m, "ss", unit, "fail");
        if (r >= 0)
                r = sd_bus_message_open_container(m, 'a', "(sv)");
        if (r >= 0)
                r = sd_bus_message_append(m, "(sv)(sv)(sv)", "Description", "s", "sf-node at work beside jobs", "Slice",
                                          "s", "system.slice", "PIDs", "au", 1, (uint32_t)getpid());
        if (r >= 0)
                r = append_weights(m, weight);
        if (r >= 0)
                r = sd_bus_message_close_container(m);
        return r < 0 ? r : sd_bus_message_append(m, "a(sa(sv))", 0);
}

static int append_change(sd_bus_message *m, unsigned weight)
{
        char unit[64];

        name_scope(unit);
        int r = sd_bus_message_append(m, "sb", unit, 1);
        if (r >= 0)
                r = sd_bus_message_open_container(m, 'a', "(sv)");
        if (r >= 0)
                r = append_weights(m, weight);
        return r < 0 ? r : sd_bus_message_close_container(m);
}

static int call(const char *method, int (*append)(sd_bus_message *m, unsigned weight), unsigned weight,
                struct sf_error *err)
{
        sd_bus_error error = SD_BUS_ERROR_NULL;
        sd_bus_message *m = NULL;
        sd_bus *bus = NULL;

        if (sd_booted() <= 0)
                return sf_error_set(err, SF_ERR_UNSUPPORTED, "this system was not booted with systemd");
        int r = sd_bus_open_system(&bus);
        if (r >= 0)
                r = sd_bus_message_new_method_call(bus, &m, DESTINATION, MANAGER_PATH, MANAGER, method);
        if (r >= 0)
                r = append(m, weight);
        if (r >= 0)
                r = sd_bus_call(bus, m, 0, &error, NULL);
        if (r < 0)
                r = sf_error_set(err, SF_ERR_FAILED, "%s: %s", method, error.message ? error.message : strerror(-r));
        sd_bus_error_free(&error);
        sd_bus_message_unref(m);
        sd_bus_flush_close_unref(bus);
        return r < 0 ? r : 0;
}

int sf_service_scope_enter(unsigned weight, struct sf_error *err)
{
        return call("StartTransientUnit", append_scope, weight, err);
}

int sf_service_scope_weigh(unsigned weight, struct sf_error *err)
{
        return call("SetUnitProperties", append_change, weight, err);
}
