/* SPDX-License-Identifier: Apache-2.0 */
/* agent/node/listener.h - where a process listens, and whether somebody answers there: proc(5), /proc/PID/net/tcp.
 */
#ifndef SF_AGENT_NODE_LISTENER_H
#define SF_AGENT_NODE_LISTENER_H

#include <stdbool.h>
#include <sys/types.h>

/* The lowest TCP port that the process listens on; 0 where it listens on none or cannot be looked at. */
unsigned sf_listener_port(pid_t pid);

/* slurmd since 25.11, built with an HTTP parser: does "GET /readyz" on a port of this host answer with success? A
 * slurmd that does not speak HTTP closes the connection, which is no. Waits for a second at most. */
bool sf_listener_ready(unsigned port);

#endif
