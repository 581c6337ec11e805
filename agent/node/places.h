/* SPDX-License-Identifier: Apache-2.0 */
/* agent/node/places.h - the names in the state directory, and what each of them is: a file or a directory. */
#ifndef SF_AGENT_NODE_PLACES_H
#define SF_AGENT_NODE_PLACES_H

#include "base/error.h"

/* SF_ERR_IO where something else has one of these names, a link in the place of a file included: it is named, with what
 * to do about it. Nothing is opened, so nothing waits for the other end of a FIFO. */
int sf_places_check(const char *state_directory, struct sf_error *err);
/* The same of one name, that of a lock, in whatever directory. */
int sf_places_check_lock(const char *path, struct sf_error *err);

#endif
