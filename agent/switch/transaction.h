/* SPDX-License-Identifier: Apache-2.0 */
/* agent/switch/transaction.h - what a switch is in the middle of, on disk, so that a crash or power cut is finished or
 * undone.
 *
 * STATE/transaction.json exists from the first step that leaves a trace until the end. It names `home`: the release
 * that recovery makes active. For an upgrade that is the old one, for a rollback the one it goes back to: an unproven
 * release is never what a node wakes up with.
 *
 *     {"version": 2, "verb": "upgrade", "from": "24.11.5-noble", "to": "25.11.6-noble", "home": "24.11.5-noble",
 *      "step": "restart", "time": "2026-11-23T12:00:00Z", "services": ["slurmd.service"],
 *      "config": "/etc/sf-node/site.conf"}
 *
 * A record without a version is the first format, which had no "services". One of a higher version is a newer agent's,
 * and stops every verb that changes something with one line.
 */
#ifndef SF_AGENT_SWITCH_TRANSACTION_H
#define SF_AGENT_SWITCH_TRANSACTION_H

#include "agent/node/step.h"
#include "base/digest.h"
#include "base/error.h"

#define SF_TRANSACTION_FILE         "transaction.json"
#define SF_TRANSACTION_VERSION      2
#define SF_TRANSACTION_SERVICES_MAX 16

struct sf_transaction {
        char verb[16];
        char from[128]; /* directories below releases/; "" where none was active */
        char to[128];
        char home[128];                                  /* "" = leave view as it is */
        enum sf_step step;                               /* under way */
        char time[32];                                   /* RFC 3339, UTC: when it began */
        char config[1024];                               /* the caller's --config; "" = the usual files */
        char services[SF_TRANSACTION_SERVICES_MAX][128]; /* units that ran when it began: those recovery starts again */
        size_t service_count;
};

/* Writes the record, durably; also to say that a new step begins. Sets time where it is empty. */
int sf_transaction_write(const char *state, struct sf_transaction *transaction, struct sf_error *err);
/* SF_ERR_NOT_FOUND: nothing is under way. SF_ERR_CORRUPT: it cannot be read. SF_ERR_UNSUPPORTED: a newer agent's.
 * *ret is set in every case: empty where it could not be read. */
int sf_transaction_load(const char *state, struct sf_transaction *ret, struct sf_error *err);
/* The end, good or bad: removes the record. */
int sf_transaction_end(const char *state, struct sf_error *err);

/* Content that failed on this node, by tree digest: STATE/failed/<sha256> holds the reason. It is not tried again
 * without --force, until something else is published under its name. */
int sf_transaction_mark_failed(const char *state, const struct sf_digest *tree, const char *reason,
                               struct sf_error *err);
int sf_transaction_forget_failed(const char *state, const struct sf_digest *tree, struct sf_error *err);
/* SF_ERR_FAILED with the reason where this content failed before; else 0. */
int sf_transaction_check_failed(const char *state, const struct sf_digest *tree, struct sf_error *err);

#endif
