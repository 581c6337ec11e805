/* SPDX-License-Identifier: Apache-2.0 */
/* base/stop.h - SIGINT and SIGTERM end long work soon and in order: builds, waits and transfers look at one flag.
 *
 * Only agent/ and factory/ catch; lower floors are handed the address of the flag.
 */
#ifndef SF_BASE_STOP_H
#define SF_BASE_STOP_H

#include <signal.h>

/* Not 0 once a signal asked this program to stop. */
extern volatile sig_atomic_t sf_stop_requested;

/* Catches SIGINT and SIGTERM. A second signal ends the program at once. */
void sf_stop_catch(void);

#endif
