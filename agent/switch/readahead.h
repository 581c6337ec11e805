/* SPDX-License-Identifier: Apache-2.0 */
/* agent/switch/readahead.h - a release's programs in the page cache before a service starts from them.
 *
 * Files are written past the page cache (installer/direct_writer.h), so whoever reads a new release first waits for the
 * disk. That must not be slurmd's restart, while the node has none.
 */
#ifndef SF_AGENT_SWITCH_READAHEAD_H
#define SF_AGENT_SWITCH_READAHEAD_H

#include <sys/types.h>

/* Begins to read what slurmd and its steps will load: their programs, every plugin, and of the other libraries those
 * that the running slurmd has mapped from old_tree. Does not wait; what cannot be read is left to those who need it. */
void sf_readahead_release(const char *tree, pid_t slurmd, const char *old_tree);

#endif
