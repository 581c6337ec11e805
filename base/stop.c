/* SPDX-License-Identifier: Apache-2.0 */
/* base/stop.c - see stop.h. */
#include "base/stop.h"

#include <stddef.h>

volatile sig_atomic_t sf_stop_requested;

static void on_signal(int number)
{
        (void)number;
        sf_stop_requested = 1;
}

void sf_stop_catch(void)
{
        /* RESETHAND: the second signal has its ordinary effect. No RESTART: waiting calls return. */
        struct sigaction action = { .sa_handler = on_signal, .sa_flags = (int)SA_RESETHAND };

        sigemptyset(&action.sa_mask);
        sigaction(SIGINT, &action, NULL);
        sigaction(SIGTERM, &action, NULL);
}
