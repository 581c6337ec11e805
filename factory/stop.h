/* factory/stop.h - SIGINT and SIGTERM: builds run in process groups of their own, so Ctrl-C must be passed on to them. */
#ifndef SF_FACTORY_STOP_H
#define SF_FACTORY_STOP_H

#include <signal.h>

/* Not 0 once a signal asked this program to stop. */
extern volatile sig_atomic_t sf_stop_requested;

/* Catches SIGINT and SIGTERM. A second signal ends the program at once. */
void sf_stop_catch(void);

#endif
