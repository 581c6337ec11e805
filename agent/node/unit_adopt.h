/* SPDX-License-Identifier: Apache-2.0 */
/* agent/node/unit_adopt.h - a slurmd's unit that something else installed, made to start PREFIX/view/sbin/slurmd, and
 * given back: files only, nobody is told.
 *
 * A unit of a package (anywhere but /etc/systemd/system) is put aside by a unit file of ours in /etc/systemd/system,
 * which systemd finds first. What it says beyond ours is kept in the drop-in 00-sf-node.conf, so that the site's own
 * drop-ins still win. A unit that lies in /etc/systemd/system itself is the site's and stays: the drop-in
 * zz-sf-node.conf replaces its command, and only the program in it. The same drop-in is written where a drop-in of the
 * site's sets the command, or a package's command has arguments of its own.
 */
#ifndef SF_AGENT_NODE_UNIT_ADOPT_H
#define SF_AGENT_NODE_UNIT_ADOPT_H

#include <stdbool.h>

#include "base/error.h"

struct sf_unit_adopt {
        const char *root;
        const char *unit; /* "slurmd.service" */
        const char *prefix;
        const char *type; /* of the release's slurmd: "notify", "simple"; "" = not known: no unit file is written */
        const char *conf; /* SLURM_CONF that it has to be told from now on; NULL = nothing */
        bool libraries;   /* its LD_LIBRARY_PATH names what the old programs needed: our slurmd must not see it */
};

/* SF_ERR_UNSUPPORTED: the command is a script that hides slurmd. */
int sf_unit_adopt(const struct sf_unit_adopt *adopt, struct sf_error *err);
/* Removes what the above wrote; what is not there, or not ours, is left alone. */
int sf_unit_give_back(const char *root, const char *unit, struct sf_error *err);

#endif
