/* SPDX-License-Identifier: Apache-2.0 */
/* agent/node/ctld_state.h - what slurmctld's files in StateSaveLocation say of themselves.
 *
 * src/slurmctld/job_mgr.c, dump_all_job_state(): job_state begins with packstr("PROTOCOL_VERSION"),
 * pack16(protocol), pack_time(written), pack32(last job id), all in network order (packstr: length with the NUL as
 * 32 bits, then the bytes); the same from 22.05 to 26.05. src/slurmctld/heartbeat.c: 64 bits of time and 64 bits of
 * the writer's place among the SlurmctldHost lines, written every SlurmctldTimeout/4 s, at least every 30 s, where
 * there is more than one such line. */
#ifndef SF_AGENT_NODE_CTLD_STATE_H
#define SF_AGENT_NODE_CTLD_STATE_H

#include <stddef.h>
#include <stdint.h>
#include <time.h>

#include "base/error.h"

struct sf_ctld_state {
        unsigned protocol; /* SLURM_PROTOCOL_VERSION of the slurmctld that wrote it: 42 << 8 for 24.11 */
        char series[8];    /* "24.11"; "" for a protocol that this program does not know */
        time_t written;
        uint32_t last_job; /* the last job id given; 0 = none yet */
};

/* The head of DIRECTORY/job_state. SF_ERR_NOT_FOUND: there is none (a new cluster). SF_ERR_CORRUPT: not such a file. */
int sf_ctld_state_read(const char *directory, struct sf_ctld_state *ret, struct sf_error *err);

struct sf_ctld_heartbeat {
        time_t time;
        uint64_t controller; /* 0 = the first SlurmctldHost */
};

/* DIRECTORY/heartbeat. SF_ERR_NOT_FOUND where no controller ever had a backup. */
int sf_ctld_heartbeat_read(const char *directory, struct sf_ctld_heartbeat *ret, struct sf_error *err);

/* "24.11" for 42 << 8; "" where it is not known. */
const char *sf_ctld_series_of(unsigned protocol);

#endif
