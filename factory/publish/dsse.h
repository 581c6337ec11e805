/* SPDX-License-Identifier: Apache-2.0 */
/* factory/publish/dsse.h - a text signed by a role's keys, as a DSSE envelope (secure-systems-lab/dsse, version 1.0.2):
 *
 *     {"payload": "<base64>", "payloadType": "...", "signatures": [{"keyid": "<TUF key id>", "sig": "<base64>"}, ...]}
 *
 * The key ids are those of the repository's TUF metadata, which holds the public keys: no other list of keys is needed
 * to verify it. */
#ifndef SF_FACTORY_PUBLISH_DSSE_H
#define SF_FACTORY_PUBLISH_DSSE_H

#include "base/buffer.h"
#include "base/error.h"
#include "factory/publish/metadata.h"

/* Signs with every key of the role that lies in `keys` (directories, NULL-terminated), and a threshold at least:
 * SF_ERR_NOT_FOUND names the role where there are fewer. Appends compact JSON with sorted members. */
int sf_dsse_sign(const struct sf_metadata *metadata, const char *const *keys, const char *role,
                 const char *payload_type, const struct sf_buffer *payload, struct sf_buffer *ret,
                 struct sf_error *err);

/* What is signed: DSSE's pre-authentication encoding. Appends. */
int sf_dsse_encode(const char *payload_type, const struct sf_buffer *payload, struct sf_buffer *ret,
                   struct sf_error *err);

#endif
