/* SPDX-License-Identifier: Apache-2.0 */
/* release/rollout.h - what operations says about releases after they were published: the TUF target
 * rollout/rollout.json, signed by the `rollout` role.
 *
 *     { "rollout": 1,
 *       "compatibility": [ {"series": "25.11", "peers": ["25.05", "24.11", "24.05"]} ],
 *       "withdrawn": [ {"name": "25.11.3-noble-amd64", "reason": "..."} ],
 *       "waves": [ {"name": "25.11.4-noble-amd64", "percent": 10} ] }
 *
 * Unknown members are ignored, so that older agents read newer files; a higher "rollout" number is refused.
 */
#ifndef SF_RELEASE_ROLLOUT_H
#define SF_RELEASE_ROLLOUT_H

#include <stddef.h>

#include "base/buffer.h"
#include "base/error.h"
#include "release/version.h"

struct sf_withdrawal {
        char name[160];   /* release name */
        char reason[256]; /* one line, may be "" */
};

struct sf_wave {
        char name[160]; /* release name */
        int percent;    /* of the nodes to which it is offered, 0 to 99 */
};

struct sf_rollout {
        struct sf_window_row *rows;      /* owned; ended by an empty series, as sf_window_accepts wants it */
        size_t row_count;                /* without the end */
        struct sf_withdrawal *withdrawn; /* owned */
        size_t withdrawn_count;
        struct sf_wave *waves; /* owned */
        size_t wave_count;
};

#define SF_ROLLOUT_TEXT_MAX (1u << 20)

int sf_rollout_parse(const char *name, const void *text, size_t len, struct sf_rollout *ret, struct sf_error *err);
/* Compact JSON with sorted members, one LF at the end. */
int sf_rollout_write(const struct sf_rollout *rollout, struct sf_buffer *ret, struct sf_error *err);
/* The built-in compatibility table and no withdrawals. */
int sf_rollout_default(struct sf_rollout *ret, struct sf_error *err);
void sf_rollout_free(struct sf_rollout *rollout);

/* The withdrawal of a release, NULL where it is still on offer. */
const struct sf_withdrawal *sf_rollout_withdrawn(const struct sf_rollout *rollout, const char *release);
/* Takes a withdrawal back. SF_ERR_NOT_FOUND where the release is not withdrawn. */
int sf_rollout_restore(struct sf_rollout *rollout, const char *release, struct sf_error *err);
/* Adds or replaces a withdrawal. */
int sf_rollout_withdraw(struct sf_rollout *rollout, const char *release, const char *reason, struct sf_error *err);

/* To how many of a hundred nodes a release is offered: 100 where no wave names it. */
int sf_rollout_percent(const struct sf_rollout *rollout, const char *release);
/* Adds or replaces a wave; 100 takes it away. */
int sf_rollout_set_wave(struct sf_rollout *rollout, const char *release, int percent, struct sf_error *err);
/* Where a node stands among those that a release is offered to, 0 to 99: it is among the first N % where this is less
 * than N. The first 8 bytes of SHA-256 of "<release>\n<seed>", big endian, modulo 100: other nodes begin with each
 * release. */
int sf_rollout_position(const char *release, const char *seed);

#endif
