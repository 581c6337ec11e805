/* installer/sync.c - see sync.h.
 *
 * A thousand fsync(2) one after the other cost a thousand waits for the disk. So writeback of everything is started
 * first; then several threads wait, and the journal commit of the first fsync usually covers all the others.
 */
#include "installer/sync.h"

#include <fcntl.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/fs.h"
#include "base/parallel.h"

#define THREADS 4 /* all of them wait for one disk */

struct pass {
        const struct sf_filelist *list;
        int dirfd;
        const struct sf_seen *seen;
        enum sf_entry_type type;
        int (*act)(int fd);
};

static int start_writeback(int fd)
{
        /* A hint: where the file system does not know it, fsync does all the work. */
        (void)sync_file_range(fd, 0, 0, SYNC_FILE_RANGE_WRITE);
        return 0;
}

static int act_on(void *ctx, size_t i, struct sf_error *err)
{
        const struct pass *pass = ctx;
        const struct sf_entry *entry = &pass->list->entries[i];

        if (entry->type != pass->type || (pass->seen && pass->seen[i].durable))
                return 0;
        _cleanup_close_ int fd = sf_fs_open_beneath(pass->dirfd, entry->path, O_RDONLY | O_NOFOLLOW, 0, err);
        if (fd < 0)
                return fd;
        return pass->act(fd) == 0 ? 0 : sf_error_errno(err, "%s: cannot sync it", entry->path);
}

int sf_sync_tree(const struct sf_filelist *list, int dirfd, const struct sf_seen *seen, struct sf_error *err)
{
        struct pass passes[] = {
                { list, dirfd, seen, SF_ENTRY_FILE, start_writeback },
                { list, dirfd, seen, SF_ENTRY_FILE, fsync },
                { list, dirfd, seen, SF_ENTRY_DIRECTORY, fsync },
        };

        for (size_t i = 0; i < sizeof passes / sizeof *passes; i++) {
                int r = sf_parallel_each(list->entry_count, THREADS, act_on, &passes[i], err);
                if (r < 0)
                        return r;
        }
        return fsync(dirfd) == 0 ? 0 : sf_error_errno(err, "cannot sync the release directory");
}
