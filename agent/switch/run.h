/* SPDX-License-Identifier: Apache-2.0 */
/* agent/switch/run.h - what the steps of a switch share. Only agent/switch/switch and its parts include this.
 */
#ifndef SF_AGENT_SWITCH_RUN_H
#define SF_AGENT_SWITCH_RUN_H

#include "agent/acquire/candidate.h"
#include "agent/node/report.h"
#include "agent/node/state.h"
#include "agent/switch/adoption.h"
#include "agent/switch/first_boot.h"
#include "agent/switch/node_switch.h"
#include "agent/switch/switch.h"
#include "agent/switch/transaction.h"

struct sf_switch_run {
        const struct sf_switch *what;
        const struct sf_config *config;
        struct sf_store store;
        struct sf_report report;
        struct sf_state state;
        struct sf_node_switch live;
        struct sf_adoption adoption; /* live.adoption points to it where this run adopts */
        struct sf_candidate offer;   /* the repository's side; closed where `bytes` is false */
        char view[128];              /* directory that view points to at the start; "" where it points to none */
        struct sf_store_release
                from; /* what runs, or where nothing does, what view points to; directory "" where neither */
        struct sf_store_release to;
        struct sf_first_boot boot; /* what the node lacks; empty without --init */
        struct sf_transaction record;
        int lock;       /* -1 = not held */
        bool ran;       /* services ran from `from` when this began: it is worth going back to */
        bool recorded;  /* the record is on the disk: from here on failure means going back */
        bool unchanged; /* there was nothing to do */
};

/* Whether this run takes over a slurmd (agent/switch/adoption.h): then `from` is what runs now. */
int sf_switch_run_find_adoption(struct sf_switch_run *run, struct sf_error *err);
/* `to` was adopted: SF_ERR_USAGE where it has been removed since. */
int sf_switch_run_check_origin(const struct sf_switch_run *run, struct sf_error *err);
/* Makes what is taken over a release of this node, and home. Called with the record on the disk. */
int sf_switch_run_keep_origin(struct sf_switch_run *run, struct sf_error *err);

/* What the second half has to know (agent/switch/handover.h): an object for sf_handover_run, and back. */
json_t *sf_switch_run_pack(const struct sf_switch_run *run);
int sf_switch_run_unpack(struct sf_switch_run *run, const json_t *letter, struct sf_error *err);

/* The line for people at the good end. */
void sf_switch_run_summarize(const struct sf_switch_run *run, char *out, size_t room);

#endif
