/* SPDX-License-Identifier: Apache-2.0 */
/* installer/activate.h - the switch: PREFIX/view points to another release by one atomic rename.
 */
#ifndef SF_INSTALLER_ACTIVATE_H
#define SF_INSTALLER_ACTIVATE_H

#include <stdbool.h>

#include "base/error.h"
#include "installer/store.h"

/* The directory below releases/ that view points to; "" where there is no view. SF_ERR_EXISTS where view is
 * something else: a directory (hand-made install, see sf_activate_adopt) or a link that leads out of releases/. out:
 * 128 bytes. */
int sf_activate_current(const struct sf_store *store, char out[128], struct sf_error *err);

/* Points view at releases/<directory>: a temporary link renamed over it, then the directory synced. One that points
 * there already is not touched. */
int sf_activate_switch(const struct sf_store *store, const char *directory, struct sf_error *err);

/* A real directory at view becomes release foreign-<YYYYMMDD> (or -2, -3 ... behind it) by RENAME_EXCHANGE with a link
 * that points to it: at no moment is there no view. out: its directory below releases/. */
int sf_activate_adopt(const struct sf_store *store, const char *date, char out[128], struct sf_error *err);

/* (Re)writes PREFIX/modules/slurm: a file for Lmod and one for environment-modules per complete release, aliases
 * <major.minor>-<toolchain>, default = active. Files that we did not write are left alone. */
int sf_lmod_write(const struct sf_store *store, const char *active, struct sf_error *err);

#endif
