/* SPDX-License-Identifier: Apache-2.0 */
/* agent/switch/expected_units.h - which services are meant to run, while a switch is under way and after one that
 * needs a human.
 *
 * STATE/expected-units, one unit a line: written before a switch touches services, removed when they are what they
 * were. What a failed attempt left is not what the administrator wanted: the next switch starts these units as well. */
#ifndef SF_AGENT_SWITCH_EXPECTED_UNITS_H
#define SF_AGENT_SWITCH_EXPECTED_UNITS_H

#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"

/* Writes the units[i] with running[i]. */
int sf_expected_units_write(const char *state, const char *const *units, const bool *running, size_t count,
                            struct sf_error *err);
/* Sets running[i] of the units that are listed, leaves the others. No list: nothing to do. */
int sf_expected_units_read(const char *state, const char *const *units, bool *running, size_t count,
                           struct sf_error *err);
int sf_expected_units_remove(const char *state, struct sf_error *err);

#endif
