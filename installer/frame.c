/* SPDX-License-Identifier: Apache-2.0 */
/* installer/frame.c - see frame.h. */
#include "installer/frame.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>
#define ZSTD_STATIC_LINKING_ONLY /* for ZSTD_d_forceIgnoreChecksum */
#include <zstd.h>
#include <zstd_errors.h>

#include "base/cleanup.h"
#include "base/fs.h"

#define CHUNK            (256u << 10) /* bytes received or read back at once */
#define PIECE            (256u << 10) /* decoded bytes handed on at once: fits the second-level cache; whole blocks */
#define WHOLE_MAX        (32u << 20)  /* content up to this is decoded in one go: its buffer then is the window */
#define HUGE_PAGE        (2u << 20)
#define WINDOW_LOG_PLAIN 23 /* what zstd -19 uses for content of unknown size */
#define WINDOW_LOG_MAX   27 /* zstd --long */

static int make_spool(int dirfd, struct sf_error *err)
{
        static const char name[] = ".sf-spool"; /* for an instant, and only the receiving thread makes one */

        unlinkat(dirfd, name, 0);
        int fd = openat(dirfd, name, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
        if (fd < 0)
                return sf_error_errno(err, "cannot make a file for a large frame");
        unlinkat(dirfd, name, 0);
        return fd;
}

static int receive_spooled(struct sf_stream *stream, uint64_t size, int fd, struct sf_error *err)
{
        _cleanup_free_ uint8_t *chunk = malloc(CHUNK);
        int r = 0;

        if (!chunk)
                return sf_error_set(err, SF_ERR_NOMEM, "no memory to receive");
        for (uint64_t done = 0; done < size && r == 0;) {
                size_t n = size - done < CHUNK ? (size_t)(size - done) : CHUNK;
                r = sf_stream_read_full(stream, chunk, n, err);
                if (r < 0)
                        break;
                r = sf_fs_write_all(fd, chunk, n, "file for a large frame", err);
                done += n;
        }
        return r;
}

int sf_frame_spool(struct sf_stream *stream, uint64_t size, int dirfd, struct sf_frame_bytes *ret, struct sf_error *err)
{
        int fd = make_spool(dirfd, err);
        int r = fd < 0 ? fd : receive_spooled(stream, size, fd, err);

        if (r < 0) {
                if (fd >= 0)
                        close(fd);
                return r;
        }
        *ret = (struct sf_frame_bytes){ NULL, fd, size };
        return 0;
}

struct sf_frame_decoder {
        ZSTD_DCtx *zstd;
        struct sf_digester *digester;
        uint8_t *piece; /* PIECE bytes, made when a frame comes that is not decoded in one go */
        uint8_t *whole; /* the content of such a frame */
        size_t whole_room;
        uint8_t *chunk; /* CHUNK bytes, made when a spooled frame comes */
        const struct sf_frame *frame;
        const struct sf_frame_bytes *bytes;
        ZSTD_inBuffer in;
        uint64_t taken;    /* compressed bytes given to the decoder, or hashed */
        uint64_t produced; /* decoded bytes */
        bool ended;
};

int sf_frame_decoder_open(struct sf_frame_decoder **ret, struct sf_error *err)
{
        struct sf_frame_decoder *d = calloc(1, sizeof *d);
        int r = 0;

        if (d)
                d->zstd = ZSTD_createDCtx();
        if (!d || !d->zstd)
                r = sf_error_set(err, SF_ERR_NOMEM, "no memory for a decoder");
        if (r == 0)
                r = sf_digester_new(&d->digester, err);
        if (r < 0) {
                sf_frame_decoder_close(d);
                return r;
        }
        *ret = d;
        return 0;
}

void sf_frame_decoder_close(struct sf_frame_decoder *d)
{
        if (!d)
                return;
        ZSTD_freeDCtx(d->zstd);
        sf_digester_free(d->digester);
        free(d->piece);
        free(d->chunk);
        if (d->whole)
                munmap(d->whole, d->whole_room);
        free(d);
}

/* The compressed bytes from d->taken on; 0 at the end. */
static ssize_t more_input(struct sf_frame_decoder *d, const uint8_t **ret, struct sf_error *err)
{
        uint64_t left = d->bytes->size - d->taken;

        if (d->bytes->data) {
                *ret = d->bytes->data + d->taken;
                d->taken += left;
                return (ssize_t)left;
        }
        if (!d->chunk && !(d->chunk = malloc(CHUNK)))
                return sf_error_set(err, SF_ERR_NOMEM, "no memory for a decoder");
        ssize_t n = pread(d->bytes->fd, d->chunk, left < CHUNK ? (size_t)left : CHUNK, (off_t)d->taken);
        if (n < 0)
                return sf_error_errno(err, "cannot read a large frame back");
        *ret = d->chunk;
        d->taken += (uint64_t)n;
        return n;
}

static int window_log(uint64_t content_size)
{
        int log = WINDOW_LOG_PLAIN;

        while (log < WINDOW_LOG_MAX && (UINT64_C(1) << log) < content_size)
                log++;
        return log;
}

int sf_frame_start(struct sf_frame_decoder *d, const struct sf_frame *frame, const struct sf_frame_bytes *bytes,
                   struct sf_error *err)
{
        struct sf_digest digest;
        const uint8_t *input;
        ssize_t n;

        d->frame = frame;
        d->bytes = bytes;
        d->taken = 0;
        while ((n = more_input(d, &input, err)) > 0)
                sf_digester_update(d->digester, input, (size_t)n);
        sf_digester_finish(d->digester, &digest);
        if (n < 0)
                return (int)n;
        if (bytes->size != frame->size || !sf_digest_equal(&digest, &frame->digest))
                return sf_error_set(err, SF_ERR_CORRUPT, "sha256 mismatch");
        d->taken = 0;
        d->produced = 0;
        d->ended = false;
        d->in = (ZSTD_inBuffer){ NULL, 0, 0 };
        ZSTD_DCtx_reset(d->zstd, ZSTD_reset_session_and_parameters);
        ZSTD_DCtx_setParameter(d->zstd, ZSTD_d_windowLogMax, window_log(frame->content_size));
#ifdef ZSTD_d_forceIgnoreChecksum /* libzstd 1.4.7 */
        /* SHA-256 has just said what zstd's own checksum would say. An older library checks that, too. */
        (void)ZSTD_DCtx_setParameter(d->zstd, ZSTD_d_forceIgnoreChecksum, ZSTD_d_ignoreChecksum);
#endif
        return 0;
}

static int too_long(const struct sf_frame_decoder *d, struct sf_error *err)
{
        return sf_error_set(err, SF_ERR_CORRUPT, "decodes to more than the listed %" PRIu64 " bytes",
                            d->frame->content_size);
}

static int check_end(struct sf_frame_decoder *d, struct sf_error *err)
{
        if (d->produced != d->frame->content_size)
                return sf_error_set(err, SF_ERR_CORRUPT, "decodes to %" PRIu64 " bytes instead of %" PRIu64,
                                    d->produced, d->frame->content_size);
        if (d->in.pos < d->in.size || d->taken < d->bytes->size)
                return sf_error_set(err, SF_ERR_CORRUPT, "has bytes behind the zstd frame");
        return 0;
}

/* Room for the whole content. Matches are copied from all over it, so small pages would cost a miss in the address
 * cache each time. */
static int make_room(struct sf_frame_decoder *d, struct sf_error *err)
{
        size_t need = ((size_t)d->frame->content_size + HUGE_PAGE) / HUGE_PAGE * HUGE_PAGE;

        if (need <= d->whole_room)
                return 0;
        if (d->whole)
                munmap(d->whole, d->whole_room);
        d->whole_room = 0;
        d->whole = mmap(NULL, need, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (d->whole == MAP_FAILED) {
                d->whole = NULL;
                return sf_error_set(err, SF_ERR_NOMEM, "no memory for a frame of %" PRIu64 " bytes",
                                    d->frame->content_size);
        }
        d->whole_room = need;
        (void)madvise(d->whole, need, MADV_HUGEPAGE);
        return 0;
}

/* Decoding in one go needs no second copy of the content. */
static ssize_t decode_whole(struct sf_frame_decoder *d, const void **ret, struct sf_error *err)
{
        int r = make_room(d, err);

        if (r < 0)
                return r;
        /* ZSTD_decompressDCtx would go on with a second frame. */
        size_t own = ZSTD_findFrameCompressedSize(d->bytes->data, d->bytes->size);
        size_t n = ZSTD_isError(own)
                           ? own
                           : ZSTD_decompressDCtx(d->zstd, d->whole, d->frame->content_size, d->bytes->data, own);
        if (ZSTD_getErrorCode(n) == ZSTD_error_dstSize_tooSmall)
                return too_long(d, err);
        if (ZSTD_isError(n))
                return sf_error_set(err, SF_ERR_CORRUPT, "zstd: %s", ZSTD_getErrorName(n));
        d->produced = n;
        d->taken = own;
        d->ended = true;
        r = check_end(d, err);
        *ret = d->whole;
        return r < 0 ? r : (ssize_t)n;
}

static ssize_t decode_piece(struct sf_frame_decoder *d, const void **ret, struct sf_error *err)
{
        uint64_t left = d->frame->content_size - d->produced;

        if (!d->piece && !(d->piece = malloc(PIECE)))
                return sf_error_set(err, SF_ERR_NOMEM, "no memory for a decoder");
        /* One byte of room beyond the listed size tells "exactly that" from "more". */
        ZSTD_outBuffer out = { d->piece, left < PIECE ? (size_t)left + 1 : PIECE, 0 };
        while (!d->ended && out.pos < out.size) {
                if (d->in.pos == d->in.size) {
                        const uint8_t *input;
                        ssize_t n = more_input(d, &input, err);
                        if (n < 0)
                                return n;
                        if (n == 0)
                                return sf_error_set(err, SF_ERR_CORRUPT, "ends in the middle of a zstd frame");
                        d->in = (ZSTD_inBuffer){ input, (size_t)n, 0 };
                }
                size_t r = ZSTD_decompressStream(d->zstd, &out, &d->in);
                if (ZSTD_isError(r))
                        return sf_error_set(err, SF_ERR_CORRUPT, "zstd: %s", ZSTD_getErrorName(r));
                d->ended = r == 0;
        }
        if (out.pos > left)
                return too_long(d, err);
        d->produced += out.pos;
        int r = d->ended ? check_end(d, err) : 0;
        *ret = d->piece;
        return r < 0 ? r : (ssize_t)out.pos;
}

bool sf_frame_ended(const struct sf_frame_decoder *d)
{
        return d->ended;
}

ssize_t sf_frame_next(void *decoder, const void **ret, struct sf_error *err)
{
        struct sf_frame_decoder *d = decoder;

        if (d->ended)
                return 0;
        if (d->bytes->data && d->frame->content_size <= WHOLE_MAX)
                return decode_whole(d, ret, err);
        return decode_piece(d, ret, err);
}
