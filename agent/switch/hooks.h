/* SPDX-License-Identifier: Apache-2.0 */
/* agent/switch/hooks.h - the site's own programs at points of a switch: executables of a directory, in strcmp order.
 */
#ifndef SF_AGENT_SWITCH_HOOKS_H
#define SF_AGENT_SWITCH_HOOKS_H

#include <stdbool.h>

#include "base/error.h"

/* Is there any? A directory that is missing has none. */
bool sf_hooks_exist(const char *directory);

/* Runs each with this environment ("NAME=value", NULL-terminated) and without a time limit; the first that does not end
 * with 0 is SF_ERR_FAILED with its last line. */
int sf_hooks_run(const char *directory, const char *const *environment, struct sf_error *err);

#endif
