/* SPDX-License-Identifier: Apache-2.0 */
/* installer/direct_writer.c - see direct_writer.h. */
#include "installer/direct_writer.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/statfs.h>
#include <unistd.h>

#include "base/fs.h"

#define THREADS 4     /* all of them wait for one disk */
#define WAITING 32    /* files */
#define BLOCK   4096u /* direct writes are made of these: no logical block of a disk is larger */

#ifndef XFS_SUPER_MAGIC
#define XFS_SUPER_MAGIC 0x58465342
#endif

struct piece {
        struct sf_direct_writer_batch *batch;
        int fd;
        const uint8_t *data;
        size_t len;
        const char *path;
};

struct sf_direct_writer {
        pthread_mutex_t lock;
        pthread_cond_t filled, room, settled; /* a piece came; one of WAITING was taken; a batch has nothing pending */
        struct piece pieces[WAITING];
        size_t first, count;
        bool end;
        pthread_t thread[THREADS];
        unsigned threads;
};

bool sf_direct_writer_suits(int dirfd)
{
        struct statfs s;

        return fstatfs(dirfd, &s) == 0 && (s.f_type == EXT4_SUPER_MAGIC || s.f_type == XFS_SUPER_MAGIC);
}

/* Of this memory, length or file system; all else is trouble with the disk, which the page cache would only hide. */
static bool is_refusal(int number)
{
        return number == EINVAL || number == EOPNOTSUPP;
}

/* Whole blocks past the page cache: *ret_done bytes of them, fewer than there are where that is refused. */
static int write_direct(const struct piece *p, size_t *ret_done, struct sf_error *err)
{
        size_t len = p->len / BLOCK * BLOCK;

        *ret_done = 0;
        if (fcntl(p->fd, F_SETFL, O_DIRECT) < 0)
                return 0;
        while (*ret_done < len) {
                ssize_t n = pwrite(p->fd, p->data + *ret_done, len - *ret_done, (off_t)*ret_done);
                if (n < 0 && errno == EINTR)
                        continue;
                if (n < 0 && !is_refusal(errno))
                        return sf_error_errno(err, "cannot write %s", p->path);
                if (n <= 0 || n % BLOCK)
                        break;
                *ret_done += (size_t)n;
        }
        fcntl(p->fd, F_SETFL, 0);
        return 0;
}

/* What was not written past the page cache goes through it: the last bytes, or where that is refused everything. */
static int write_piece(const struct piece *p, struct sf_error *err)
{
        size_t done;

        /* Space in one piece, and known to be there; a file system that cannot do it finds out while writing. */
        if (fallocate(p->fd, 0, 0, (off_t)p->len) < 0 && (errno == ENOSPC || errno == EDQUOT || errno == EIO))
                return sf_error_errno(err, "cannot write %s", p->path);
        int r = write_direct(p, &done, err);
        if (r < 0 || done == p->len)
                return r;
        r = sf_fs_pwrite_all(p->fd, p->data + done, p->len - done, done, p->path, err);
        if (r == 0)
                (void)sync_file_range(p->fd, (off_t)done, 0, SYNC_FILE_RANGE_WRITE);
        return r;
}

static void *write_pieces(void *ctx)
{
        struct sf_direct_writer *w = ctx;

        pthread_mutex_lock(&w->lock);
        for (;;) {
                while (!w->count && !w->end)
                        pthread_cond_wait(&w->filled, &w->lock);
                if (!w->count)
                        break;
                struct piece piece = w->pieces[w->first];
                struct sf_error err = SF_ERROR_INIT;
                w->first = (w->first + 1) % WAITING;
                if (w->count-- == WAITING)
                        pthread_cond_broadcast(&w->room);
                pthread_mutex_unlock(&w->lock);
                write_piece(&piece, &err);
                close(piece.fd);
                pthread_mutex_lock(&w->lock);
                if (err.code && !piece.batch->error.code)
                        piece.batch->error = err;
                if (--piece.batch->pending == 0)
                        pthread_cond_broadcast(&w->settled);
        }
        pthread_mutex_unlock(&w->lock);
        return NULL;
}

int sf_direct_writer_open(struct sf_direct_writer **ret, struct sf_error *err)
{
        struct sf_direct_writer *w = calloc(1, sizeof *w);

        if (!w)
                return sf_error_set(err, SF_ERR_NOMEM, "no memory to write files");
        pthread_mutex_init(&w->lock, NULL);
        pthread_cond_init(&w->filled, NULL);
        pthread_cond_init(&w->room, NULL);
        pthread_cond_init(&w->settled, NULL);
        while (w->threads < THREADS && pthread_create(&w->thread[w->threads], NULL, write_pieces, w) == 0)
                w->threads++;
        if (!w->threads) {
                sf_direct_writer_close(w);
                return sf_error_set(err, SF_ERR_NOMEM, "cannot start a thread");
        }
        *ret = w;
        return 0;
}

void sf_direct_writer_close(struct sf_direct_writer *w)
{
        if (!w)
                return;
        pthread_mutex_lock(&w->lock);
        w->end = true;
        pthread_cond_broadcast(&w->filled);
        pthread_mutex_unlock(&w->lock);
        for (unsigned i = 0; i < w->threads; i++)
                pthread_join(w->thread[i], NULL);
        pthread_cond_destroy(&w->settled);
        pthread_cond_destroy(&w->room);
        pthread_cond_destroy(&w->filled);
        pthread_mutex_destroy(&w->lock);
        free(w);
}

static int outcome(const struct sf_direct_writer_batch *batch, struct sf_error *err)
{
        return batch->error.code ? sf_error_set(err, batch->error.code, "%s", batch->error.text) : 0;
}

int sf_direct_writer_put(struct sf_direct_writer *w, struct sf_direct_writer_batch *batch, int fd, const void *data,
                         size_t len, const char *path, struct sf_error *err)
{
        pthread_mutex_lock(&w->lock);
        while (w->count == WAITING)
                pthread_cond_wait(&w->room, &w->lock);
        int r = outcome(batch, err);
        if (r == 0) {
                w->pieces[(w->first + w->count++) % WAITING] = (struct piece){ batch, fd, data, len, path };
                batch->pending++;
                pthread_cond_signal(&w->filled);
        }
        pthread_mutex_unlock(&w->lock);
        if (r < 0)
                close(fd);
        return r;
}

int sf_direct_writer_wait(struct sf_direct_writer *w, struct sf_direct_writer_batch *batch, struct sf_error *err)
{
        pthread_mutex_lock(&w->lock);
        while (batch->pending)
                pthread_cond_wait(&w->settled, &w->lock);
        int r = outcome(batch, err);
        pthread_mutex_unlock(&w->lock);
        return r;
}
