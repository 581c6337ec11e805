/* installer/sync.c - see sync.h.
 *
 * A thousand fsync(2) one after the other cost a thousand waits for the disk. So writeback of everything is started
 * first; then several threads wait, and the journal commit of the first fsync usually covers all the others.
 */
#include "installer/sync.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/fs.h"

#define THREADS 4 /* all of them wait for one disk */

struct pass {
        const struct sf_filelist *list;
        int dirfd;
        int (*one)(int fd);
        enum sf_entry_type type;
        atomic_size_t next;
        atomic_bool failed;
        pthread_mutex_t lock;
        struct sf_error error;
};

static int start_writeback(int fd)
{
        /* A hint: where the file system does not know it, fsync does all the work. */
        (void)sync_file_range(fd, 0, 0, SYNC_FILE_RANGE_WRITE);
        return 0;
}

static int wait_until_stable(int fd)
{
        return fsync(fd);
}

static void *run(void *ctx)
{
        struct pass *pass = ctx;
        size_t i;

        while (!pass->failed && (i = pass->next++) < pass->list->entry_count) {
                const struct sf_entry *entry = &pass->list->entries[i];
                struct sf_error err = SF_ERROR_INIT;

                if (entry->type != pass->type)
                        continue;
                _cleanup_close_ int fd = sf_fs_open_beneath(pass->dirfd, entry->path, O_RDONLY | O_NOFOLLOW, 0, &err);
                if (fd >= 0 && pass->one(fd) == 0)
                        continue;
                if (fd >= 0)
                        sf_error_errno(&err, "%s: cannot sync it", entry->path);
                pthread_mutex_lock(&pass->lock);
                pass->error = err;
                pass->failed = true;
                pthread_mutex_unlock(&pass->lock);
        }
        return NULL;
}

/* The calling thread works too, so it also works where no thread can be had. */
static int run_pass(const struct sf_filelist *list, int dirfd, enum sf_entry_type type, int (*one)(int fd),
                    struct sf_error *err)
{
        struct pass pass = {
                .list = list, .dirfd = dirfd, .one = one, .type = type, .lock = PTHREAD_MUTEX_INITIALIZER
        };
        pthread_t threads[THREADS - 1];
        int started = 0;

        while (started < THREADS - 1 && pthread_create(&threads[started], NULL, run, &pass) == 0)
                started++;
        run(&pass);
        for (int i = 0; i < started; i++)
                pthread_join(threads[i], NULL);
        if (!pass.failed)
                return 0;
        return sf_error_set(err, pass.error.code, "%s", pass.error.text);
}

int sf_sync_tree(const struct sf_filelist *list, int dirfd, struct sf_error *err)
{
        int r = run_pass(list, dirfd, SF_ENTRY_FILE, start_writeback, err);

        if (r == 0)
                r = run_pass(list, dirfd, SF_ENTRY_FILE, wait_until_stable, err);
        if (r == 0)
                r = run_pass(list, dirfd, SF_ENTRY_DIRECTORY, wait_until_stable, err);
        if (r == 0 && fsync(dirfd) < 0)
                r = sf_error_errno(err, "cannot sync the release directory");
        return r;
}
