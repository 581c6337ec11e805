/* SPDX-License-Identifier: Apache-2.0 */
/* agent/node/scripts.h - does a slurmd wait for a prolog, an epilog or another script of the site?
 *
 * slurmd starts such scripts as children of its own and waits for them before it ends, 23.11 to 26.05 alike
 * (common/run_command.c; from 24.11 on the child begins as a copy of slurmd and then becomes the script). SPANK's are
 * children called "slurmstepd spank prolog". Steps' slurmstepds are not its children: they are handed to init at once
 * (slurmd/req.c, _forkexec_slurmstepd). With PrologFlags=RunInJob a prolog is a child of a slurmstepd, and slurmd
 * waits for that one's answer (slurmstepd/mgr.c, _run_prolog_epilog); an epilog there is nothing it waits for.
 */
#ifndef SF_AGENT_NODE_SCRIPTS_H
#define SF_AGENT_NODE_SCRIPTS_H

#include <sys/types.h>

/* 1 and one of them in `who`, as "pid 123 (epilog.sh)", printable ASCII; 0 = none, or /proc does not tell. */
int sf_scripts_find(pid_t slurmd, char who[128]);

#endif
