/* SPDX-License-Identifier: Apache-2.0 */
/* agent/switch/handover.h - from "activate" to "done" a switch runs beyond the reach of whoever called: a terminal that
 * hangs up, parallel-ssh's time-out, the end of a job step.
 *
 * The second half is this program again, with the same command line, as a child of systemd (a transient unit,
 * SF_HANDOVER_UNIT) or, where there is no bus, in a session of its own. It gets a letter of JSON and the lock through a
 * socket that is its standard input, and gives back the exit code; what it says is relayed to the caller, who only
 * watches. A reader who stops reading loses text, nothing else. Should it be killed, systemd runs "sf-node recover" in
 * its place.
 *
 *     caller                                   second half
 *     letter + lock, start            ───►     ready
 *     go (the point of no return)     ───►     runs; its output through two pipes
 *                                     ◄───     exit code
 */
#ifndef SF_AGENT_SWITCH_HANDOVER_H
#define SF_AGENT_SWITCH_HANDOVER_H

#include <stdbool.h>

#include "agent/node/config.h"
#include "agent/node/service.h"
#include "base/error.h"
#include "base/json.h"

#define SF_HANDOVER_UNIT    "sf-node-switch"
#define SF_HANDOVER_VERSION 1

/* In the caller. Hands over and waits: 0 with the exit code in *ret_code; the second half has said everything and
 * *lock is closed. SF_ERR_UNSUPPORTED: it could not be started, and nothing happened (go on in this process, behind
 * sf_handover_shield). SF_ERR_FAILED: it was killed in the middle; *lock is closed. bus: NULL where there is no
 * systemd. */
struct sf_handover {
        const struct sf_config *config;
        struct sf_service_bus *bus;
        const json_t *letter;
        bool patient; /* whatever the second half leaves behind is waited for: a database that is converted */
};
int sf_handover_run(const struct sf_handover *what, int *lock, int *ret_code, struct sf_error *err);

/* From here on no signal that a caller, a terminal or a session manager sends ends this process. */
void sf_handover_shield(void);

/* Was this process started as a second half? */
bool sf_handover_is_second(void);
/* In the second half: the letter (owned by the caller), and the lock. Waits for "go": a caller who vanished before
 * has changed his mind, SF_ERR_INTERRUPTED. */
int sf_handover_receive(json_t **ret_letter, int *ret_lock, struct sf_error *err);
/* The last thing: tells the exit code. Returns it. */
int sf_handover_finish(int code);

#endif
