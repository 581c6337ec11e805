/* SPDX-License-Identifier: Apache-2.0 */
/* agent/node/journal.c - see journal.h. */
#include "agent/node/journal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <syslog.h>
#include <systemd/sd-journal.h>

#include "base/buffer.h"

static const struct {
        const char *id;
        int priority;
} events[] = {
        [SF_JOURNAL_SWITCHED] = { "c9410d3dbbb6497eb1c17d9345090a41", LOG_NOTICE },
        [SF_JOURNAL_RETURNED] = { "c9410d3dbbb6497eb1c17d9345090a42", LOG_ERR },
        [SF_JOURNAL_STUCK] = { "c9410d3dbbb6497eb1c17d9345090a43", LOG_CRIT },
        [SF_JOURNAL_RECOVERED] = { "c9410d3dbbb6497eb1c17d9345090a44", LOG_WARNING },
};

/* One field of an entry: what sd_journal_sendv takes. Empty without memory, which the journal then lacks. */
static struct iovec field(const char *name, const char *value)
{
        char *text = sf_format("%s=%s", name, value);

        return (struct iovec){ text, text ? strlen(text) : 0 };
}

/* Fields are made here: sd_journal_send() reads its arguments by glibc's parse_printf_format(3), which musl lacks. */
void sf_journal_send(enum sf_journal_event event, const char *from, const char *to, const char *text)
{
        char priority[8];

        snprintf(priority, sizeof priority, "%d", events[event].priority);
        struct iovec fields[] = { field("MESSAGE", text),      field("MESSAGE_ID", events[event].id),
                                  field("PRIORITY", priority), field("SYSLOG_IDENTIFIER", "sf-node"),
                                  field("SF_FROM", from),      field("SF_TO", to) };
        const int count = (int)(sizeof fields / sizeof *fields);

        sd_journal_sendv(fields, count);
        for (int i = 0; i < count; i++)
                free(fields[i].iov_base);
}
