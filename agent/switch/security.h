/* SPDX-License-Identifier: Apache-2.0 */
/* agent/switch/security.h - what else on a node decides whether a program may run: mount options, SELinux,
 * fapolicyd. A release is made known to them by the distribution's own tools.
 */
#ifndef SF_AGENT_SWITCH_SECURITY_H
#define SF_AGENT_SWITCH_SECURITY_H

#include "base/buffer.h"
#include "base/error.h"

/* A finding where the file system below the prefix is mounted noexec. The nearest directory that exists is looked
 * at. */
int sf_security_check(const char *prefix, struct sf_buffer *ret, struct sf_error *err);

/* Before a tree is used: restorecon(8) where SELinux is on, which keeps labels by path; fapolicyd-cli(8) where
 * fapolicyd runs, which only lets files run that it trusts. Must not be called for another system's root. Warns of a
 * tool that is missing. */
int sf_security_admit(const char *tree, struct sf_error *err);

#endif
