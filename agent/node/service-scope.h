/* SPDX-License-Identifier: Apache-2.0 */
/* agent/node/service-scope.h - this process in a systemd scope of its own: systemd.scope(5),
 * systemd.resource-control(5).
 */
#ifndef SF_AGENT_NODE_SERVICE_SCOPE_H
#define SF_AGENT_NODE_SERVICE_SCOPE_H

#include "base/error.h"

#define SF_SERVICE_WEIGHT_NORMAL 100

/* Moves this process into sf-node-<pid>.scope, in system.slice beside slurmd and its steps, with that CPUWeight and
 * IOWeight (1 to 10000). The scope ends with the process. SF_ERR_UNSUPPORTED: not booted with systemd. */
int sf_service_scope_enter(unsigned weight, struct sf_error *err);

/* Gives the scope that was entered another weight. */
int sf_service_scope_weigh(unsigned weight, struct sf_error *err);

#endif
