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

/* What the site's policy makes of an upgrade that names no version: *wanted, where that is NULL. 1 = the node is held
 * at what it runs, and there is nothing to do. Says which rule there is where bytes are only staged. */
int sf_switch_run_ask_policy(struct sf_switch_run *run, const char **wanted);
/* May this release become active? SF_ERR_USAGE names the rule and its file. */
int sf_switch_run_judge(const struct sf_switch_run *run, const struct sf_release_name *name, struct sf_error *err);
/* May services be switched at this time? The same; with --dry-run only a warning. */
int sf_switch_run_window(const struct sf_switch_run *run, struct sf_error *err);

/* Is the release active already, with every service in its tree? `to` has to be known. */
bool sf_switch_run_is_settled(const struct sf_switch_run *run);

/* What the second half has to know (agent/switch/handover.h): an object for sf_handover_run, and back. */
json_t *sf_switch_run_pack(const struct sf_switch_run *run);
int sf_switch_run_unpack(struct sf_switch_run *run, const json_t *letter, struct sf_error *err);

/* What the step to that version means for slurmctld and slurmdbd, as far as they are this node's. */
int sf_switch_run_plan_controllers(struct sf_switch_run *run, const char *to_version, struct sf_error *err);

/* The steps, see the table in switch.c. A negative value ends the run. */
int sf_switch_step_plan(struct sf_switch_run *run, struct sf_error *err);
int sf_switch_step_fetch(struct sf_switch_run *run, struct sf_error *err);
int sf_switch_step_preflight(struct sf_switch_run *run, struct sf_error *err);
int sf_switch_step_init(struct sf_switch_run *run, struct sf_error *err);
int sf_switch_step_drain(struct sf_switch_run *run, struct sf_error *err);
int sf_switch_step_quiet(struct sf_switch_run *run, struct sf_error *err);
int sf_switch_step_activate(struct sf_switch_run *run, struct sf_error *err);
int sf_switch_step_restart(struct sf_switch_run *run, struct sf_error *err);
int sf_switch_step_health(struct sf_switch_run *run, struct sf_error *err);
int sf_switch_step_done(struct sf_switch_run *run, struct sf_error *err);

/* state.json from run->state. A failure is only warned of. */
void sf_switch_run_save_state(struct sf_switch_run *run);
/* Takes the record of the transaction away, then the marks that belong to it. */
int sf_switch_run_end_record(struct sf_switch_run *run, struct sf_error *err);
/* run->to stays: into state.json, and the record goes. */
int sf_switch_run_save_switch(struct sf_switch_run *run, enum sf_result result, struct sf_error *err);

/* For "sf-node log". why: NULL for a good end. A failure is only said in detail. */
void sf_switch_run_tell_log(struct sf_switch_run *run, enum sf_result result, const struct sf_error *why);
/* Reports a failure, also to the log; returns the exit code. */
int sf_switch_run_refuse(struct sf_switch_run *run, int code, const struct sf_error *why);
/* The same, after the way back where services were touched. code: 0, or what it is where nothing was. */
int sf_switch_run_fail(struct sf_switch_run *run, const struct sf_error *why, int code);

/* The line for people at the good end. */
void sf_switch_run_summarize(const struct sf_switch_run *run, char *out, size_t room);

#endif
