/* SPDX-License-Identifier: Apache-2.0 */
/* fuzz/fuzz-layer.c - what a layer's tar members and zstd frames may hold, against a list that stays honest.
 *
 * An input that begins with 'z' is a zstd frame (its digest taken for right), any other the tar bytes of one. Whatever
 * it says, below the tree there are only the listed files, each complete.
 */
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "installer/frame.h"
#include "installer/member.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define FILES 3
static const char *const contents[FILES] = { "first", "victim\n", "last" };

static struct sf_entry entries[1 + FILES] = {
        { .type = SF_ENTRY_DIRECTORY, .mode = 0755, .path = "lib" },
        { .type = SF_ENTRY_FILE, .mode = 0644, .path = "lib/first", .size = 5 },
        { .type = SF_ENTRY_FILE, .mode = 0644, .path = "lib/victim", .size = 7 },
        { .type = SF_ENTRY_FILE, .mode = 0644, .path = "lib/last", .size = 4 },
};
static struct sf_layer layer = { .name = "deps", .frame_count = 1 };
static struct sf_frame frame = { .entry_count = 1 + FILES };
static const struct sf_filelist list = { .prefix_length = 64,
                                         .layers = &layer,
                                         .layer_count = 1,
                                         .frames = &frame,
                                         .frame_count = 1,
                                         .entries = entries,
                                         .entry_count = 1 + FILES,
                                         .file_count = FILES };
static struct sf_tree tree = { .list = &list,
                               .installed_prefix = "/opt/slurm/releases/x",
                               .view_prefix = "/opt/slurm/view" };
static char scratch[] = "/tmp/fuzz-layer-XXXXXX";

static void require(int truth)
{
        if (!truth)
                abort();
}

static void remove_scratch(void)
{
        require(unlinkat(tree.dirfd, "lib", AT_REMOVEDIR) == 0 && rmdir(scratch) == 0);
}

static void set_up(void)
{
        if (tree.dirfd)
                return;
        require(mkdtemp(scratch) != NULL);
        tree.dirfd = open(scratch, O_RDONLY | O_DIRECTORY);
        require(tree.dirfd > 0 && mkdirat(tree.dirfd, "lib", 0755) == 0);
        for (size_t i = 0; i < FILES; i++)
                sf_digest_of(contents[i], strlen(contents[i]), &entries[1 + i].digest);
        atexit(remove_scratch);
}

struct input {
        const uint8_t *data;
        size_t size;
};

/* Whole blocks, a few at a time, so that members straddle pieces. */
static ssize_t next_piece(void *ctx, const void **ret, struct sf_error *err)
{
        struct input *in = ctx;
        size_t n = in->size < 1536 ? in->size : 1536;

        (void)err;
        *ret = in->data;
        in->data += n;
        in->size -= n;
        return (ssize_t)n;
}

static void check_file(size_t i, int complete)
{
        char found[16];
        int fd = openat(tree.dirfd, entries[1 + i].path, O_RDONLY | O_NOFOLLOW);

        require(fd >= 0 || !complete);
        if (fd < 0)
                return;
        ssize_t n = read(fd, found, sizeof found);
        require((size_t)n == strlen(contents[i]) && memcmp(found, contents[i], (size_t)n) == 0);
        close(fd);
        require(unlinkat(tree.dirfd, entries[1 + i].path, 0) == 0);
}

static void try_members(const uint8_t *data, size_t size)
{
        struct input in = { data, size };
        struct sf_member_source source = { next_piece, &in };
        struct sf_file_writer *writer = NULL;
        struct sf_error err = SF_ERROR_INIT;

        require(sf_file_writer_open(&tree, false, &writer, &err) == 0);
        int r = sf_member_walk(&list, 0, NULL, &source, writer, &err);
        require(r == 0 || r == err.code);
        sf_file_writer_close(writer);
        for (size_t i = 0; i < FILES; i++)
                check_file(i, r == 0);
}

static void try_frame(const uint8_t *data, size_t size)
{
        struct sf_frame one = { .size = size - 1, .content_size = (uint64_t)data[0] << 8 };
        _cleanup_free_ uint8_t *copy = malloc(size);
        struct sf_frame_bytes bytes = { copy, -1, size - 1 };
        struct sf_frame_decoder *decoder = NULL;
        struct sf_error err = SF_ERROR_INIT;
        uint64_t total = 0;
        const void *piece;
        ssize_t n;

        require(copy != NULL && sf_frame_decoder_open(&decoder, &err) == 0);
        memcpy(copy, data + 1, size - 1);
        sf_digest_of(bytes.data, size - 1, &one.digest);
        require(sf_frame_start(decoder, &one, &bytes, &err) == 0);
        while ((n = sf_frame_next(decoder, &piece, &err)) > 0)
                total += (uint64_t)n;
        require(n == 0 ? total == one.content_size : n == err.code);
        sf_frame_decoder_close(decoder);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        set_up();
        if (size > 1 && data[0] == 'z')
                try_frame(data + 1, size - 1);
        else
                try_members(data, size);
        return 0;
}
