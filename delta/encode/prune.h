/* SPDX-License-Identifier: Apache-2.0 */
/* delta/encode/prune.h - copies that cost more than they save (encoder only).
 *
 * The aligner takes what matches longest. But a short copy from far away has to be told in some fifty bits, and the way
 * back in as many, while the literal coder finds the same bytes by itself and spells them out for a bit or two each.
 */
#ifndef SF_DELTA_ENCODE_PRUNE_H
#define SF_DELTA_ENCODE_PRUNE_H

#include <stdbool.h>

#include "delta/codec/script.h"

/* Turns such copies into literals. */
void sf_prune_script(struct sf_script *script, bool a64);

#endif
