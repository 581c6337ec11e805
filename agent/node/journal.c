/* SPDX-License-Identifier: Apache-2.0 */
/* agent/node/journal.c - see journal.h. */
#include "agent/node/journal.h"

#include <syslog.h>
#include <systemd/sd-journal.h>

static const struct {
        const char *id;
        int priority;
} events[] = {
        [SF_JOURNAL_SWITCHED] = { "c9410d3dbbb6497eb1c17d9345090a41", LOG_NOTICE },
        [SF_JOURNAL_RETURNED] = { "c9410d3dbbb6497eb1c17d9345090a42", LOG_ERR },
        [SF_JOURNAL_STUCK] = { "c9410d3dbbb6497eb1c17d9345090a43", LOG_CRIT },
        [SF_JOURNAL_RECOVERED] = { "c9410d3dbbb6497eb1c17d9345090a44", LOG_WARNING },
};

void sf_journal_send(enum sf_journal_event event, const char *from, const char *to, const char *text)
{
        sd_journal_send("MESSAGE=%s", text, "MESSAGE_ID=%s", events[event].id, "PRIORITY=%d", events[event].priority,
                        "SYSLOG_IDENTIFIER=sf-node", "SF_FROM=%s", from, "SF_TO=%s", to, NULL);
}
