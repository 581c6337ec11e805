/* SPDX-License-Identifier: Apache-2.0 */
/* installer/sync.h - a release's own files onto stable storage, without syncfs(2): a node's other file traffic is not
 * ours to wait for.
 */
#ifndef SF_INSTALLER_SYNC_H
#define SF_INSTALLER_SYNC_H

#include "base/error.h"
#include "installer/stat_record.h"
#include "release/filelist.h"

/* Syncs every listed file and directory below dirfd, and dirfd itself; but no file that `seen` (per entry; may be
 * NULL) says to be durable: it is linked from a release that was synced. */
int sf_sync_tree(const struct sf_filelist *list, int dirfd, const struct sf_stat_record *seen, struct sf_error *err);

#endif
