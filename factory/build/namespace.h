/* SPDX-License-Identifier: Apache-2.0 */
/* factory/build/namespace.h - moves this process into a user namespace, and with it into others that only it may then
 * change.
 *
 * Started as root: every id that there is here is itself inside. Started by somebody else: root inside is that user
 * outside, and there is nobody else. Source of the maps' format: user_namespaces(7).
 */
#ifndef SF_FACTORY_BUILD_NAMESPACE_H
#define SF_FACTORY_BUILD_NAMESPACE_H

#include "base/error.h"

/* `others`: CLONE_NEWNS and the like, made with it. The process may have one thread only. */
int sf_namespace_enter(int others, struct sf_error *err);

#endif
