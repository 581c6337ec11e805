/* SPDX-License-Identifier: Apache-2.0 */
/* agent/node/journal.h - what an administrator finds in the journal of a node, with a MESSAGE_ID each.
 *
 * units/sf-node.catalog has a text per id that says what to do (journalctl -x). Ids are for ever.
 */
#ifndef SF_AGENT_NODE_JOURNAL_H
#define SF_AGENT_NODE_JOURNAL_H

enum sf_journal_event {
        SF_JOURNAL_SWITCHED,  /* a release was activated and found healthy */
        SF_JOURNAL_RETURNED,  /* it failed after the switch; the old one is back */
        SF_JOURNAL_STUCK,     /* and the old one could not be brought back */
        SF_JOURNAL_RECOVERED, /* an interrupted switch was finished or undone */
};

/* text is the message, one line; from and to are release directories ("" where there is none). Never fails: a node
 * without a journal loses the entry only. */
void sf_journal_send(enum sf_journal_event event, const char *from, const char *to, const char *text);

#endif
