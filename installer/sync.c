/* SPDX-License-Identifier: Apache-2.0 */
/* installer/sync.c - see sync.h.
 *
 * A thousand fsync(2) one after the other cost a thousand waits for the disk. Writeback of every file was started when
 * it was complete (installer/file_writer.c); what is left are the inodes and the barrier of each fsync. Several threads
 * wait: the journal commit of the first usually covers the others, and barriers that wait at the same time become one.
 */
#include "installer/sync.h"

#include <fcntl.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/fs.h"
#include "base/parallel.h"

#define THREADS 16 /* none of them computes anything */

struct pass {
        const struct sf_filelist *list;
        int dirfd;
        const struct sf_stat_record *seen;
        enum sf_entry_type type;
};

static int sync_one(void *ctx, size_t i, struct sf_error *err)
{
        const struct pass *pass = ctx;
        const struct sf_entry *entry = &pass->list->entries[i];

        if (entry->type != pass->type || (pass->seen && pass->seen[i].durable))
                return 0;
        _cleanup_close_ int fd = sf_fs_open_beneath(pass->dirfd, entry->path, O_RDONLY | O_NOFOLLOW, 0, err);
        if (fd < 0)
                return fd;
        return fsync(fd) == 0 ? 0 : sf_error_errno(err, "%s: cannot sync it", entry->path);
}

int sf_sync_tree(const struct sf_filelist *list, int dirfd, const struct sf_stat_record *seen, struct sf_error *err)
{
        struct pass passes[] = {
                { list, dirfd, seen, SF_ENTRY_FILE },
                { list, dirfd, seen, SF_ENTRY_DIRECTORY },
        };

        for (size_t i = 0; i < sizeof passes / sizeof *passes; i++) {
                int r = sf_parallel_each(list->entry_count, THREADS, sync_one, &passes[i], err);
                if (r < 0)
                        return r;
        }
        return fsync(dirfd) == 0 ? 0 : sf_error_errno(err, "cannot sync the release directory");
}
