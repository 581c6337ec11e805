/* SPDX-License-Identifier: Apache-2.0 */
/* agent/acquire/repository.h - the repository as this run sees it: transport, verified metadata, the index for this
 * node.
 */
#ifndef SF_AGENT_ACQUIRE_REPOSITORY_H
#define SF_AGENT_ACQUIRE_REPOSITORY_H

#include <stdbool.h>
#include <stdint.h>

#include "agent/node/config.h"
#include "base/buffer.h"
#include "base/error.h"
#include "transport/fetch.h"
#include "release/index.h"
#include "release/rollout.h"
#include "tuf/tuf.h"

struct sf_repository {
        struct sf_fetcher *fetcher;
        struct sf_tuf *trust;
        struct sf_index index;     /* of the configured toolchain and architecture */
        char *scratch;             /* with --dry-run: a copy of the metadata, which goes with it; else NULL */
        int scratch_lock;          /* its lock */
        struct sf_rollout rollout; /* withdrawals and compatibility table; the built-in one where none is published */
};

/* --jitter: waits a random time up to it, which spreads the requests of a fleet. Called before the lock is taken. A
 * signal ends the wait; what follows finds sf_stop_requested set. */
void sf_repository_wait(const struct sf_config *config);

/* Waits for a sane clock, refreshes the metadata (two small requests when nothing changed) and loads index and rollout,
 * which are cached below the state directory. SF_ERR_USAGE: no repository configured, or none trusted yet;
 * SF_ERR_NOT_FOUND: it offers nothing for this toolchain and architecture. */
int sf_repository_open(const struct sf_config *config, struct sf_repository *ret, struct sf_error *err);
/* The same without index and rollout: for the agent's own releases, which are for every toolchain. */
int sf_repository_open_trust(const struct sf_config *config, struct sf_repository *ret, struct sf_error *err);
/* A signed target, from whichever mirror has it whole; appends to ret. More than max bytes is SF_ERR_LIMIT;
 * SF_ERR_NOT_FOUND: nobody who is trusted for it lists it. */
int sf_repository_target(const struct sf_config *config, struct sf_repository *repository, const char *name, size_t max,
                         struct sf_buffer *ret, struct sf_error *err);
/* Are these bytes that target, as it is signed now? SF_ERR_NOT_FOUND, SF_ERR_CORRUPT. */
int sf_repository_check_target(const struct sf_config *config, struct sf_repository *repository, const char *name,
                               const void *data, size_t len, struct sf_error *err);
/* A part of both: loads the trusted metadata, beginning with config->trusted_root where there is none yet; with
 * --dry-run a copy of it. */
int sf_repository_load_trust(const struct sf_config *config, struct sf_repository *repository, struct sf_error *err);
void sf_repository_close(struct sf_repository *repository);

/* After content that came from here was damaged: may it be fetched again, from another mirror? */
bool sf_repository_reject(struct sf_repository *repository, const struct sf_error *why);

/* A whole blob in memory, its size and digest checked; `what` names it in errors. Appends to ret. */
int sf_repository_blob(struct sf_repository *repository, const struct sf_blob *blob, const char *what,
                       struct sf_buffer *ret, struct sf_error *err);

/* Bytes [offset, offset + length) of a blob as a stream; what they are worth is checked by whoever reads them. */
int sf_repository_range(struct sf_repository *repository, const struct sf_blob *blob, uint64_t offset, uint64_t length,
                        struct sf_stream **ret, struct sf_error *err);

/* See sf_fetcher_tick. */
void sf_repository_tick(struct sf_repository *repository, void (*tick)(void *ctx), void *ctx);

/* Bytes received so far. */
uint64_t sf_repository_bytes(const struct sf_repository *repository);

#endif
