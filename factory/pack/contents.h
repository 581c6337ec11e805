/* SPDX-License-Identifier: Apache-2.0 */
/* factory/pack/contents.h - the canonical files of a packed release, read back from its blobs in any order. */
#ifndef SF_FACTORY_PACK_CONTENTS_H
#define SF_FACTORY_PACK_CONTENTS_H

#include "base/buffer.h"
#include "base/error.h"
#include "release/filelist.h"
#include "release/index.h"

struct sf_contents {
        struct sf_buffer text;   /* of the file list */
        struct sf_filelist list;
        int fd;                  /* nameless file with every file's content */
        uint64_t *positions;     /* per entry of the list */
};

#define SF_CONTENTS_INIT { .fd = -1 }

/* Decodes all layers once; everything is checked against the list, and the list against the release's tree digest.
 * `blobs` is a directory of blobs by digest; the decoded files lie in a nameless file of the same directory. */
int sf_contents_open(const char *blobs, const struct sf_index_release *release, struct sf_contents *ret,
                     struct sf_error *err);
void sf_contents_close(struct sf_contents *contents);

/* Appends one file's content. */
int sf_contents_read(const struct sf_contents *contents, const struct sf_entry *entry, struct sf_buffer *ret,
                     struct sf_error *err);

#endif
