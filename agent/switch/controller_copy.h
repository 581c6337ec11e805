/* SPDX-License-Identifier: Apache-2.0 */
/* agent/switch/controller_copy.h - copies of slurmctld's state, each kept with the release whose slurmctld wrote it.
 *
 *     STATE/controller/<release directory>/state/    StateSaveLocation as it was, for root alone
 *     STATE/controller/<release directory>/jobs      the queue at that time, see sf_cluster_jobs()
 *     STATE/controller/<release directory>/copy.json {"location": "/var/spool/slurmctld", "series": "24.11", "time": 1}
 *     STATE/controller/phase.json                    what a switch is in the middle of
 *
 * A copy without copy.json is not whole and counts for nothing. */
#ifndef SF_AGENT_SWITCH_CONTROLLER_COPY_H
#define SF_AGENT_SWITCH_CONTROLLER_COPY_H

#include <limits.h>
#include <stdbool.h>
#include <time.h>

#include "base/buffer.h"
#include "base/error.h"
#include "installer/store.h"

struct sf_controller_copy {
        char release[128]; /* directory below releases/ */
        char location[PATH_MAX];
        char series[8];
        time_t time;
};

/* Its directories. Owned by the caller, NULL = no memory. */
char *sf_controller_copy_place(const char *state, const char *release);
char *sf_controller_copy_tree(const char *state, const char *release);

/* Says that the copy is whole. */
int sf_controller_copy_write(const char *state, const struct sf_controller_copy *copy, struct sf_error *err);
/* SF_ERR_NOT_FOUND: there is none, or it is not whole. */
int sf_controller_copy_read(const char *state, const char *release, struct sf_controller_copy *ret,
                            struct sf_error *err);
/* The newest copy of a series and location; SF_ERR_NOT_FOUND. */
int sf_controller_copy_find(const char *state, const char *series, const char *location, struct sf_controller_copy *ret,
                            struct sf_error *err);
/* The queue at the time of a copy, appended; a missing file is an empty queue. */
int sf_controller_copy_jobs(const char *state, const char *release, struct sf_buffer *ret, struct sf_error *err);

/* Removes one, copy.json first. */
int sf_controller_copy_remove(const char *state, const char *release, struct sf_error *err);
/* For gc: removes copies of releases that are not installed any more, calling told() for each. dry: only calls it. */
int sf_controller_copy_prune(const char *state, const struct sf_store *store, bool dry,
                             void (*told)(const char *release), struct sf_error *err);

/* What a switch of slurmctld is doing, for whoever comes after a crash. */
enum sf_controller_phase {
        SF_CONTROLLER_NOTHING,
        SF_CONTROLLER_PLANNED,   /* nothing was changed yet; the copy need not be whole */
        SF_CONTROLLER_RESTORING, /* `release`'s copy is being put into `location`, `leaving`'s is whole */
        SF_CONTROLLER_STARTED,   /* slurmctld was started on what `release`'s copy holds, or is about to be */
};
struct sf_controller_mark {
        enum sf_controller_phase phase;
        char release[128]; /* "" while planned */
        char leaving[128]; /* whose copy holds the state as it was before the switch */
        char location[PATH_MAX];
};
/* Durably; SF_CONTROLLER_NOTHING removes the file. */
int sf_controller_mark_write(const char *state, const struct sf_controller_mark *mark, struct sf_error *err);
/* No file is SF_CONTROLLER_NOTHING. SF_ERR_UNSUPPORTED: a phase that this agent does not know. */
int sf_controller_mark_read(const char *state, struct sf_controller_mark *ret, struct sf_error *err);

/* Puts mark->release's copy into mark->location; the mark says so before (phase is set here) and is left. It can be
 * repeated after an interruption. No slurmctld may run. */
int sf_controller_copy_restore(const char *state, const struct sf_controller_mark *mark, struct sf_error *err);

#endif
