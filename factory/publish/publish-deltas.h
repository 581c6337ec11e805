/* SPDX-License-Identifier: Apache-2.0 */
/* factory/publish/publish-deltas.h - which deltas a publication has. Only factory/publish/publish includes this. */
#ifndef SF_FACTORY_PUBLISH_PUBLISH_DELTAS_H
#define SF_FACTORY_PUBLISH_PUBLISH_DELTAS_H

#include <stddef.h>

#include "base/error.h"
#include "factory/publish/publish-state.h"

/* A published delta whose blobs are damaged is made again; where its base is not published any more it is dropped. */
int sf_publish_mend_deltas(struct sf_publication *p, const struct sf_index *index, struct sf_error *err);
/* The deltas that were asked for, of all releases of this run, several at a time. One that is there already stays,
 * unless all is to be replaced. The indexes are only read. */
int sf_publish_add_deltas(struct sf_publish_session *s, struct sf_publication *all, size_t count, struct sf_error *err);

#endif
