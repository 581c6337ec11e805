/* SPDX-License-Identifier: Apache-2.0 */
/* agent/node/unit.h - unit files: slurmd's, a real file that each switch writes and that rollback brings back, and the
 * one that looks after interrupted switches at boot.
 *
 * systemd.unit(5), systemd.service(5). A unit file that sf-node did not write is never replaced. Paths are below `root`
 * ("" on a live node).
 */
#ifndef SF_AGENT_NODE_UNIT_H
#define SF_AGENT_NODE_UNIT_H

#include "base/buffer.h"
#include "base/error.h"

#define SF_UNIT_SLURMD "slurmd.service"

enum sf_unit_owner {
        SF_UNIT_NONE,    /* there is no unit file */
        SF_UNIT_OURS,    /* it carries our first line */
        SF_UNIT_FOREIGN, /* the site's, the distribution's, or a mask */
};

/* Whose unit file systemd would use, by its search path. The text of ours is appended to text (may be NULL). */
int sf_unit_find(const char *root, enum sf_unit_owner *ret, struct sf_buffer *text, struct sf_error *err);

/* The unit of a release of this Type ("notify", "simple") under this prefix. Appends to ret. SF_ERR_UNSUPPORTED:
 * another Type. */
int sf_unit_render(const char *prefix, const char *type, struct sf_buffer *ret, struct sf_error *err);

/* Writes the unit file, durably. The caller has made sure that no foreign one is there. */
int sf_unit_write(const char *root, const struct sf_buffer *text, struct sf_error *err);

/* The text that a release's unit had when we left it: kept in STATE/units/<directory>.service, so that going back
 * brings the very same file. Loading a missing one is SF_ERR_NOT_FOUND. */
int sf_unit_keep(const char *state, const char *directory, const struct sf_buffer *text, struct sf_error *err);
int sf_unit_kept(const char *state, const char *directory, struct sf_buffer *ret, struct sf_error *err);

/* The unit that calls "sf-node recover --boot" after a power cut: written where systemd would not find one yet or
 * ours says something else, and enabled where it is not. */
struct sf_unit_recovery {
        const char *root;
        const char *name;  /* "sf-node-recover.service" */
        const char *agent; /* absolute path of this program */
        const char *prefix, *toolchain;
        const char *state;        /* where transaction.json is, without root */
        const char *const *units; /* that run from the prefix: it comes before them; NULL-terminated, may be NULL */
};
int sf_unit_ensure_recovery(const struct sf_unit_recovery *wanted, struct sf_error *err);

#endif
