/* SPDX-License-Identifier: Apache-2.0 */
/* agent/switch/self_update.h - the agent replaces itself: fetched with the same trust as a release, proven before it
 * gets the name.
 *
 * The new program proves itself by "self-update --self-test", run with the same options: it can read configuration,
 * trust, state and the record of a switch, and plans what an upgrade would do. One that crashes, hangs, is another
 * version or cannot read something never gets the name.
 */
#ifndef SF_AGENT_SWITCH_SELF_UPDATE_H
#define SF_AGENT_SWITCH_SELF_UPDATE_H

#include <stdbool.h>

#include "agent/node/config.h"
#include "agent/node/report.h"
#include "base/verb.h"

/* Does all of it, with the node's lock; report gets from, to, step, result and bytes. 1: the program was replaced, 0:
 * there is nothing newer. */
int sf_self_update_run(const struct sf_config *config, const struct sf_command_line *line, struct sf_report *report,
                       struct sf_error *err);
/* The other side of the proof. */
int sf_self_update_test(const struct sf_config *config, struct sf_report *report, struct sf_error *err);

/* [upgrade] agent = follow: updates first, and then this process becomes the new agent with the same command line.
 * Returns where there was nothing to do, or where it failed, which is only a warning. */
void sf_self_update_follow(const struct sf_config *config, const struct sf_command_line *line);

#endif
