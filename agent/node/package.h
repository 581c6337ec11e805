/* SPDX-License-Identifier: Apache-2.0 */
/* agent/node/package.h - the distribution's package that a file belongs to, and a guard against its scripts.
 *
 * When a package of slurmd is removed or upgraded, its scripts stop or restart slurmd.service, whoever's it is by then.
 * Debian's ask first: invoke-rc.d(8) and deb-systemd-invoke run /usr/sbin/policy-rc.d and do nothing where it answers
 * 101 (init-system-helpers, README.policy-rc.d). RPM's %systemd_preun asks nobody.
 */
#ifndef SF_AGENT_NODE_PACKAGE_H
#define SF_AGENT_NODE_PACKAGE_H

#include "base/error.h"

enum sf_package_kind { SF_PACKAGE_NONE, SF_PACKAGE_DPKG, SF_PACKAGE_RPM };

/* The package that owns a file; name: "slurmd". SF_PACKAGE_NONE and "" where none does, or nobody knows. */
enum sf_package_kind sf_package_owner(const char *path, char name[128]);

/* Writes the guard: from now on package scripts leave slurmd.service alone, for as long as it is sf-node's. 0: so it
 * is; 1: the site has a policy-rc.d of its own, which is not touched. */
int sf_package_guard(const char *root, struct sf_error *err);
/* Removes it, if it is ours. */
void sf_package_unguard(const char *root);

#endif
