/* SPDX-License-Identifier: Apache-2.0 */
/* factory/publish/files.h - the files of a repository, wherever they lie: what deleting some of them needs.
 *
 * Paths are relative to the repository. Deleting ends early where the repository is somebody else's by now.
 */
#ifndef SF_FACTORY_PUBLISH_FILES_H
#define SF_FACTORY_PUBLISH_FILES_H

#include <stddef.h>
#include <stdint.h>

#include "base/buffer.h"
#include "base/error.h"

/* modified: seconds since the epoch. Not 0 ends the walk and is returned. */
typedef int sf_files_visit_fn(void *ctx, const char *path, uint64_t size, int64_t modified, struct sf_error *err);

struct sf_files {
        /* Each regular file below a directory; none where that is missing. */
        int (*walk)(void *place, const char *under, sf_files_visit_fn *visit, void *ctx, struct sf_error *err);
        /* Appended to ret. SF_ERR_NOT_FOUND; SF_ERR_LIMIT for more than max bytes. */
        int (*read)(void *place, const char *path, size_t max, struct sf_buffer *ret, struct sf_error *err);
        /* In any order. */
        int (*remove)(void *place, const char *const *paths, size_t count, struct sf_error *err);
        void *place;
};

/* Of a directory; `repository` is borrowed. A bucket's: bucket.h. */
void sf_files_of_directory(const char *repository, struct sf_files *ret);

#endif
