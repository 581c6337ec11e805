/* SPDX-License-Identifier: Apache-2.0 */
/* agent/node/service-bus.h - what the parts of agent/node/service share; nobody else includes it.
 */
#ifndef SF_AGENT_NODE_SERVICE_BUS_H
#define SF_AGENT_NODE_SERVICE_BUS_H

#include <stddef.h>
#include <stdint.h>
#include <systemd/sd-bus.h>

#include "agent/node/service.h"

#define DESTINATION  "org.freedesktop.systemd1"
#define MANAGER_PATH "/org/freedesktop/systemd1"
#define MANAGER      "org.freedesktop.systemd1.Manager"
#define UNIT         "org.freedesktop.systemd1.Unit"
#define SERVICE      "org.freedesktop.systemd1.Service"

/* A job that was removed while we listened. */
struct removed {
        char *path;
        char result[32];
};

struct sf_service_bus {
        sd_bus *bus;
        sd_bus_slot *match;
        struct removed *removed; /* of the current job's wait; emptied before each job */
        size_t removed_count;
        bool no_memory;
};

/* SF_ERR_IO with what the bus said. */
int sf_service_failed(struct sf_error *err, int r, const sd_bus_error *bus_error, const char *what);
/* The bus object of a unit; systemd loads the unit for it where it has not yet. Owned by the caller. */
int sf_service_path(struct sf_service_bus *bus, const char *unit, char **ret, struct sf_error *err);
/* Its states and main process. */
int sf_service_state(struct sf_service_bus *bus, const char *path, struct sf_service *s, struct sf_error *err);
/* To be called before a job is queued, so that none that ends at once is missed. */
void sf_service_forget(struct sf_service_bus *bus);
/* Serves the bus until the job's removal was seen, or deadline (CLOCK_MONOTONIC milliseconds): SF_ERR_TIMEOUT. */
int sf_service_await(struct sf_service_bus *bus, const char *job, uint64_t deadline, const char **ret_result,
                     struct sf_error *err);

#endif
