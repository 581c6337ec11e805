/* SPDX-License-Identifier: Apache-2.0 */
/* Hostile layers, each wrong in one respect. The table is printed: what is wrong, what must be answered, what was. */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zstd.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "base/fs.h"
#include "tests/kit/layer-scratch.h"

#define VICTIM "opt/slurm/view/lib/victim"

static struct maker_member victim(void)
{
        return (struct maker_member){ .name = VICTIM, .type = '0', .mode = 0644, .data = "victim\n", .size = 7 };
}

static void list_victim(struct maker *m)
{
        maker_list(m, SF_ENTRY_FILE, "lib/victim", 0644, NULL, "victim\n", 7);
}

/* Each puts the honest victim into the list, and something else into the layer. */
#define MEMBER_CASE(name, ...)                    \
        static void name(struct maker *m)         \
        {                                         \
                struct maker_member v = victim(); \
                __VA_ARGS__;                      \
                maker_tar(m, &v);                 \
                list_victim(m);                   \
        }

MEMBER_CASE(put_character_device, v.type = '3'; v.size = 0)
MEMBER_CASE(put_block_device, v.type = '4'; v.size = 0)
MEMBER_CASE(put_fifo, v.type = '6'; v.size = 0)
MEMBER_CASE(put_contiguous, v.type = '7'; v.mode = 02644)
MEMBER_CASE(put_setuid, v.mode = 04644)
MEMBER_CASE(put_sticky, v.mode = 01644)
MEMBER_CASE(put_world_writable, v.mode = 0666)
MEMBER_CASE(put_hard_link, v.type = '1'; v.size = 0; v.target = "opt/slurm/view/lib/first")
MEMBER_CASE(put_symlink, v.type = '2'; v.size = 0; v.target = "/etc/shadow")
MEMBER_CASE(put_directory, v.type = '5'; v.size = 0; v.mode = 0755)
MEMBER_CASE(put_dotdot, v.name = "opt/slurm/view/lib/../victim")
MEMBER_CASE(put_absolute, v.name = "/opt/slurm/view/lib/victim")
MEMBER_CASE(put_outside, v.name = "etc/passwd")
MEMBER_CASE(put_newline, v.name = "opt/slurm/view/lib/victim\nroot")
MEMBER_CASE(put_dot, v.name = "opt/slurm/view/./lib/victim")
MEMBER_CASE(put_other_name, v.name = "opt/slurm/view/lib/victor")
MEMBER_CASE(put_foreign_user, v.uid = 1000)
MEMBER_CASE(put_foreign_group, v.gid = 1000)
MEMBER_CASE(put_longer, v.data = "victim\nand more"; v.size = 15)
MEMBER_CASE(put_shorter, v.size = 6)
MEMBER_CASE(put_other_content, v.data = "VICTIM\n")
MEMBER_CASE(put_lying_size, v.stated_size = 1u << 20)

static void put_twice(struct maker *m)
{
        struct maker_member v = victim();

        maker_tar(m, &v);
        maker_tar(m, &v);
        list_victim(m);
}

static void put_extra(struct maker *m)
{
        struct maker_member v = victim(), extra = { .name = "opt/slurm/view/lib/extra.so", .type = '0', .mode = 0644 };

        maker_tar(m, &extra);
        maker_tar(m, &v);
        list_victim(m);
}

static void put_wrong_target(struct maker *m)
{
        maker_tar(m,
                  &(struct maker_member){ .name = VICTIM, .type = '2', .mode = 0777, .target = "../../../etc/shadow" });
        maker_list(m, SF_ENTRY_SYMLINK, "lib/victim", 0777, "first", NULL, 0);
}

static void put_escaping_listed(struct maker *m)
{
        maker_tar(m,
                  &(struct maker_member){ .name = VICTIM, .type = '2', .mode = 0777, .target = "../../../etc/shadow" });
        maker_list(m, SF_ENTRY_SYMLINK, "lib/victim", 0777, "../../../etc/shadow", NULL, 0);
}

/* A pax extension header with one record, then the honest member (POSIX.1-2017, pax Header Block). */
static void pax(struct maker *m, char type, const char *record, size_t padding)
{
        size_t body = strlen(record) + padding + 2, digits = 1;

        for (size_t ten = 10; body + digits >= ten; ten *= 10)
                digits++;
        _cleanup_free_ char *filler = malloc(padding + 1);
        memset(filler, 'x', padding);
        filler[padding] = '\0';
        _cleanup_free_ char *text = sf_format("%zu %s%s\n", body + digits, record, filler);
        maker_tar(m, &(struct maker_member){
                             .name = "PaxHeader", .type = type, .mode = 0644, .data = text, .size = strlen(text) });
}

#define PAX_CASE(name, type, record, padding)     \
        static void name(struct maker *m)         \
        {                                         \
                struct maker_member v = victim(); \
                pax(m, type, record, padding);    \
                maker_tar(m, &v);                 \
                list_victim(m);                   \
        }

PAX_CASE(put_pax_path, 'x', "path=opt/slurm/view/lib/slurm/evil.so", 0)
PAX_CASE(put_pax_link, 'x', "linkpath=/etc/shadow", 0)
PAX_CASE(put_pax_size, 'x', "size=9", 0)
PAX_CASE(put_pax_uid, 'x', "uid=4294967295", 0)
PAX_CASE(put_pax_user, 'x', "uname=nobody", 0)
PAX_CASE(put_pax_xattr, 'x', "SCHILY.xattr.security.capability=", 20)
PAX_CASE(put_pax_huge_xattr, 'x', "SCHILY.xattr.user.x=", 3u << 20)
PAX_CASE(put_pax_acl, 'x', "SCHILY.acl.access=user::rwx,group::rwx,other::rwx,user:1000:rwx:1000,mask::rwx", 0)
PAX_CASE(put_pax_sparse, 'x', "GNU.sparse.map=0,1,4,3", 0)
PAX_CASE(put_pax_global_path, 'g', "path=opt/slurm/view/lib/slurm/evil.so", 0)
PAX_CASE(put_pax_fflags, 'x', "SCHILY.fflags=sappnd", 0)

/* A name beyond ASCII is honest, however it is written and whatever the locale. */
static void put_pax_utf8(struct maker *m)
{
        struct maker_member v = victim();

        pax(m, 'x', "path=opt/slurm/view/lib/na\303\257ve", 0);
        maker_tar(m, &v);
        maker_list(m, SF_ENTRY_FILE, "lib/na\303\257ve", 0644, NULL, "victim\n", 7);
}

static void put_gnu_long_name(struct maker *m)
{
        static const char name[] = "opt/slurm/view/lib/slurm/evil.so";
        struct maker_member v = victim();

        maker_tar(m, &(struct maker_member){ .name = "././@LongLink", .type = 'L', .data = name, .size = sizeof name });
        maker_tar(m, &v);
        list_victim(m);
}

static void put_gnu_sparse(struct maker *m)
{
        struct maker_member v = victim();
        size_t start = m->tar.len;

        v.type = 'S';
        maker_tar(m, &v);
        /* old GNU format: the sparse map begins at byte 386 of the header; checksum left as it is, so it is wrong
         * too */
        memcpy(m->tar.data + start + 386,
               "00000000000\0"
               "00000000001\0",
               24);
        list_victim(m);
}

static void put_bad_checksum(struct maker *m)
{
        struct maker_member v = victim();
        size_t start = m->tar.len;

        maker_tar(m, &v);
        m->tar.data[start + 148] ^= 1;
        list_victim(m);
}

static void put_nothing(struct maker *m)
{
        list_victim(m);
}

static void put_end_marker(struct maker *m)
{
        static const uint8_t zeros[1024];
        struct maker_member v = victim();

        assert_int_equal(sf_buffer_append(&m->tar, zeros, sizeof zeros, NULL), 0);
        maker_tar(m, &v);
        list_victim(m);
}

static void put_honest(struct maker *m)
{
        struct maker_member v = victim();

        maker_tar(m, &v);
        list_victim(m);
}

static void put_wrong_map(struct maker *m)
{
        static const uint64_t offset = 3;
        char content[64] = "";
        struct maker_member v = victim();

        memset(content, 'x', sizeof content);
        v.data = content;
        v.size = sizeof content;
        maker_tar(m, &v);
        maker_map(m, maker_list(m, SF_ENTRY_FILE, "lib/victim", 0644, NULL, content, sizeof content), SF_MAP_TEXT,
                  &offset, 1);
}

static void put_map_at_end(struct maker *m)
{
        static const uint64_t offset = 7;
        static const char content[] = "victim\n/opt/slurm";
        struct maker_member v = victim();

        v.data = content;
        v.size = sizeof content - 1;
        maker_tar(m, &v);
        maker_map(m, maker_list(m, SF_ENTRY_FILE, "lib/victim", 0644, NULL, content, sizeof content - 1), SF_MAP_TEXT,
                  &offset, 1);
}

/* What happens to the layer after its frames are made; before it is listed, and after. */
static void no_end_marker(struct maker *m)
{
        maker_cut(m);
}

static void garbage_behind_end(struct maker *m)
{
        static const uint8_t tail[2048] = { [1500] = 1 };

        assert_int_equal(sf_buffer_append(&m->tar, tail, sizeof tail, NULL), 0);
        maker_cut(m);
}

static void end_marker_in_first_frame(struct maker *m)
{
        maker_end_layer(m);
        maker_file(m, "lib/second", 0644, "second", 6);
        maker_end_layer(m);
}

static void longer_than_listed(struct maker *m)
{
        static const uint8_t zeros[512];
        assert_int_equal(sf_buffer_append(&m->tar, zeros, sizeof zeros, NULL), 0);
        struct sf_frame *frame = maker_end_layer(m);
        frame->content_size -= 512;
}

static void shorter_than_listed(struct maker *m)
{
        struct sf_frame *frame = maker_end_layer(m);
        frame->content_size += 512;
}

/* 300 MB of zeros in a few kilobytes, listed as what an honest frame would have. */
static void bomb(struct maker *m)
{
        size_t honest_size = m->tar.len + 1024, size = 300u << 20;

        assert_int_equal(sf_buffer_reserve(&m->tar, size, NULL), 0);
        memset(m->tar.data + m->tar.len, 0, size);
        m->tar.len += size;
        maker_cut(m)->content_size = honest_size;
}

static void two_zstd_frames(struct maker *m)
{
        size_t half = m->tar.len / 1024 * 512;
        _cleanup_free_ uint8_t *rest = malloc(m->tar.len);
        size_t rest_len = m->tar.len - half;

        memcpy(rest, m->tar.data + half, rest_len);
        m->tar.len = half;
        maker_cut(m);
        assert_int_equal(sf_buffer_append(&m->tar, rest, rest_len, NULL), 0);
        struct sf_frame *second = maker_end_layer(m);
        struct sf_frame *first = &m->list.frames[0];
        first->size += second->size;
        first->content_size += second->content_size;
        m->list.frame_count--;
        m->list.layers[0].frame_count--;
}

/* Too large to be decoded in one go, so that the decoder needs a window. */
static void put_big(struct maker *m)
{
        static uint8_t big[33u << 20];

        list_victim(m);
        maker_tar(m,
                  &(struct maker_member){ .name = VICTIM, .type = '0', .mode = 0644, .data = "victim\n", .size = 7 });
        maker_file(m, "lib/big", 0644, big, sizeof big);
}

/* A frame that asks for a window of 512 MiB. */
static void huge_window(struct maker *m)
{
        struct sf_frame *frame = maker_end_layer(m);
        struct sf_buffer *blob = &m->blobs[0];
        size_t room = ZSTD_compressBound(frame->content_size);
        _cleanup_free_ uint8_t *plain = malloc(frame->content_size), *out = malloc(room);
        ZSTD_CCtx *zstd = ZSTD_createCCtx();
        ZSTD_inBuffer in = { plain, frame->content_size, 0 };
        ZSTD_outBuffer to = { out, room, 0 };

        ZSTD_decompress(plain, frame->content_size, blob->data, blob->len);
        ZSTD_CCtx_setParameter(zstd, ZSTD_c_windowLog, 29);
        /* Not told the size in advance, zstd keeps the window it was asked for. */
        while (in.pos < in.size)
                assert_false(ZSTD_isError(ZSTD_compressStream2(zstd, &to, &in, ZSTD_e_flush)));
        assert_int_equal(ZSTD_compressStream2(zstd, &to, &in, ZSTD_e_end), 0);
        ZSTD_freeCCtx(zstd);
        blob->len = 0;
        assert_int_equal(sf_buffer_append(blob, out, to.pos, NULL), 0);
        frame->size = to.pos;
}

static void junk_in_frame(struct maker *m)
{
        struct sf_frame *frame = maker_end_layer(m);

        assert_int_equal(sf_buffer_append(&m->blobs[0], "garbage", 7, NULL), 0);
        frame->size += 7;
}

static void frame_cut_short(struct maker *m)
{
        struct sf_frame *frame = maker_end_layer(m);

        m->blobs[0].len -= 5;
        frame->size -= 5;
}

static void flip_byte(struct maker *m)
{
        m->blobs[0].data[m->blobs[0].len / 2] ^= 0x10;
}

static void flip_last_byte(struct maker *m)
{
        m->blobs[0].data[m->blobs[0].len - 1] ^= 1;
}

static void cut_short(struct maker *m)
{
        m->blobs[0].len -= 5;
}

static void wrong_layer_digest(struct maker *m)
{
        m->list.layers[0].digest.bytes[0] ^= 1;
}

static const struct hostile {
        const char *what;
        void (*put)(struct maker *m);    /* victim's place in layer and list */
        void (*end)(struct maker *m);    /* NULL = maker_end_layer */
        void (*tamper)(struct maker *m); /* after the digests are listed */
        int code;
        const char *says;
} hostiles[] = {
        { "character device", put_character_device, NULL, NULL, SF_ERR_CORRUPT, "lib/victim: is a device" },
        { "block device", put_block_device, NULL, NULL, SF_ERR_CORRUPT, "lib/victim: is a device" },
        { "fifo", put_fifo, NULL, NULL, SF_ERR_CORRUPT, "lib/victim: is a fifo" },
        { "contiguous file, set-gid", put_contiguous, NULL, NULL, SF_ERR_CORRUPT, "mode 2644, listed as 0644" },
        { "set-uid", put_setuid, NULL, NULL, SF_ERR_CORRUPT, "mode 4644, listed as 0644" },
        { "sticky", put_sticky, NULL, NULL, SF_ERR_CORRUPT, "mode 1644, listed as 0644" },
        { "world-writable", put_world_writable, NULL, NULL, SF_ERR_CORRUPT, "mode 0666, listed as 0644" },
        { "hard link", put_hard_link, NULL, NULL, SF_ERR_CORRUPT, "lib/victim: is a hard link" },
        { "link where a file is listed", put_symlink, NULL, NULL, SF_ERR_CORRUPT,
          "is a symbolic link, listed as a file" },
        { "directory where a file is listed", put_directory, NULL, NULL, SF_ERR_CORRUPT, "is a directory" },
        { "link to another target", put_wrong_target, NULL, NULL, SF_ERR_CORRUPT, "points to ../../../etc/shadow" },
        { "link that escapes, listed", put_escaping_listed, NULL, NULL, SF_ERR_CORRUPT, "outside the prefix" },
        { "name with ..", put_dotdot, NULL, NULL, SF_ERR_CORRUPT, "not listed here" },
        { "name with .", put_dot, NULL, NULL, SF_ERR_CORRUPT, "not listed here" },
        { "absolute name", put_absolute, NULL, NULL, SF_ERR_CORRUPT, "not listed here" },
        { "name outside the prefix", put_outside, NULL, NULL, SF_ERR_CORRUPT, "etc/passwd: not listed here" },
        { "name with a line break", put_newline, NULL, NULL, SF_ERR_CORRUPT, "not listed here" },
        { "another name", put_other_name, NULL, NULL, SF_ERR_CORRUPT, "lib/victor: not listed here" },
        { "the same member twice", put_twice, NULL, NULL, SF_ERR_CORRUPT, "not listed here, lib/last is next" },
        { "extra member", put_extra, NULL, NULL, SF_ERR_CORRUPT, "lib/extra.so: not listed here" },
        { "missing member", put_nothing, NULL, NULL, SF_ERR_CORRUPT, "lib/last: not listed here, lib/victim" },
        { "foreign user", put_foreign_user, NULL, NULL, SF_ERR_CORRUPT, "has a foreign owner" },
        { "foreign group", put_foreign_group, NULL, NULL, SF_ERR_CORRUPT, "has a foreign owner" },
        { "longer file", put_longer, NULL, NULL, SF_ERR_CORRUPT, "15 bytes, listed as 7" },
        { "shorter file", put_shorter, NULL, NULL, SF_ERR_CORRUPT, "6 bytes, listed as 7" },
        { "size beyond the frame", put_lying_size, NULL, NULL, SF_ERR_CORRUPT, "listed as 7" },
        { "other content", put_other_content, NULL, NULL, SF_ERR_CORRUPT, "lib/victim: sha256 mismatch" },
        { "no prefix where the map says", put_wrong_map, NULL, NULL, SF_ERR_CORRUPT, "lib/victim" },
        { "pax: another path", put_pax_path, NULL, NULL, SF_ERR_CORRUPT, "lib/slurm/evil.so: not listed here" },
        { "pax: UTF-8 name, listed (honest)", put_pax_utf8, NULL, NULL, 0, "" },
        { "pax: global path (has no effect)", put_pax_global_path, NULL, NULL, 0, "" },
        { "pax: link target on a file (same)", put_pax_link, NULL, NULL, 0, "" },
        { "pax: another size", put_pax_size, NULL, NULL, SF_ERR_CORRUPT, "9 bytes, listed as 7" },
        { "pax: another user", put_pax_uid, NULL, NULL, SF_ERR_CORRUPT, "has a foreign owner" },
        { "pax: another user by name", put_pax_user, NULL, NULL, SF_ERR_CORRUPT, "has a foreign owner by name" },
        { "pax: capability", put_pax_xattr, NULL, NULL, SF_ERR_CORRUPT, "has extended attributes" },
        { "pax: attribute of 3 MiB", put_pax_huge_xattr, NULL, NULL, SF_ERR_CORRUPT, "layer deps" },
        { "pax: access control list", put_pax_acl, NULL, NULL, SF_ERR_CORRUPT, "has an access control list" },
        { "pax: file flags", put_pax_fflags, NULL, NULL, SF_ERR_CORRUPT, "has file flags" },
        { "pax: sparse", put_pax_sparse, NULL, NULL, SF_ERR_CORRUPT, "is sparse" },
        { "GNU long name", put_gnu_long_name, NULL, NULL, SF_ERR_CORRUPT, "lib/slurm/evil.so: not listed here" },
        { "GNU sparse", put_gnu_sparse, NULL, NULL, SF_ERR_CORRUPT, "layer deps" },
        { "damaged header", put_bad_checksum, NULL, NULL, SF_ERR_CORRUPT, "not a readable tar member" },
        { "end marker before the end", put_end_marker, NULL, NULL, SF_ERR_CORRUPT, "lib/victim: listed, but missing" },
        { "no end marker", put_honest, no_end_marker, NULL, SF_ERR_CORRUPT, "no room for the end" },
        { "bytes behind the end marker", put_honest, garbage_behind_end, NULL, SF_ERR_CORRUPT, "not zero" },
        { "end marker in the first frame", put_honest, end_marker_in_first_frame, NULL, SF_ERR_CORRUPT,
          "1024 bytes behind the last member" },
        { "frame longer than listed", put_honest, longer_than_listed, NULL, SF_ERR_CORRUPT, "more than the listed" },
        { "frame shorter than listed", put_honest, shorter_than_listed, NULL, SF_ERR_CORRUPT, "instead of" },
        { "300 MiB bomb", put_honest, bomb, NULL, SF_ERR_CORRUPT, "more than the listed" },
        { "two zstd frames as one", put_honest, two_zstd_frames, NULL, SF_ERR_CORRUPT, "frame 0" },
        { "window of 512 MiB", put_big, huge_window, NULL, SF_ERR_CORRUPT, "too much memory" },
        { "bytes behind the zstd frame", put_honest, junk_in_frame, NULL, SF_ERR_CORRUPT,
          "bytes behind the zstd frame" },
        { "frame ends early", put_honest, frame_cut_short, NULL, SF_ERR_CORRUPT, "frame 0: zstd" },
        { "large frame ends early", put_big, frame_cut_short, NULL, SF_ERR_CORRUPT, "in the middle of a zstd frame" },
        { "map beyond the end", put_map_at_end, NULL, NULL, SF_ERR_CORRUPT, "points outside the file" },
        { "flipped bit", put_honest, NULL, flip_byte, SF_ERR_CORRUPT, "frame 0: sha256 mismatch" },
        { "flipped last bit", put_honest, NULL, flip_last_byte, SF_ERR_CORRUPT, "frame 0: sha256 mismatch" },
        { "layer cut short", put_honest, NULL, cut_short, SF_ERR_CORRUPT, "layer deps: ends after" },
        /* A signed list that contradicts itself about a blob's name. What is in the blob is what the frames say. */
        { "another layer digest (has no effect)", put_honest, NULL, wrong_layer_digest, 0, "" },
};

static void make_hostile(const struct hostile *h, struct maker *m)
{
        m->list.release = RELEASE;
        m->list.prefix_length = MAKER_PREFIX;
        maker_layer(m, "deps");
        maker_directory(m, "lib");
        maker_file(m, "lib/first", 0644, "first", 5);
        h->put(m);
        maker_file(m, "lib/last", 0644, "last", 4);
        if (h->end) {
                h->end(m);
        } else {
                /* Room for what a case leaves away: a frame too small for its list would not even be parsed. */
                static const uint8_t zeros[2048];
                assert_int_equal(sf_buffer_append(&m->tar, zeros, sizeof zeros, NULL), 0);
                maker_end_layer(m);
        }
        maker_seal(m);
        if (h->tamper)
                h->tamper(m);
}

/* Whatever happened, only listed names exist, and a file that has its name is complete. */
static int only_honest_files(void *ctx, int dirfd, const char *name, const char *path, const struct stat *st,
                             struct sf_error *err)
{
        (void)ctx;
        (void)err;
        if (S_ISDIR(st->st_mode) && strcmp(path, "lib") == 0)
                return 0;
        if (S_ISLNK(st->st_mode)) {
                char target[8] = "";
                assert_int_equal(readlinkat(dirfd, name, target, sizeof target - 1), 5);
                assert_string_equal(target, "first");
                return 0;
        }
        assert_true(S_ISREG(st->st_mode));
        assert_int_equal(st->st_mode & 07777, 0644);
        if (strcmp(path, "lib/big") == 0 || strcmp(path, "lib/na\303\257ve") == 0)
                return 0;
        const char *expected = strcmp(path, "lib/first") == 0    ? "first"
                               : strcmp(path, "lib/last") == 0   ? "last"
                               : strcmp(path, "lib/second") == 0 ? "second"
                               : strcmp(path, "lib/victim") == 0 ? "victim\n"
                                                                 : "";
        assert_int_equal(st->st_size, strlen(expected));
        assert_int_not_equal(st->st_size, 0);
        return 0;
}

static int unpack_hostile(const struct hostile *h, struct sf_error *err)
{
        struct maker m = { 0 };
        struct sf_filelist list;
        struct scratch s = make_scratch();

        make_hostile(h, &m);
        int r = read_list(&m, &list, err);
        if (r == 0) {
                struct sf_unpack u = unpack_of(&m, &list, s.dirfd, 1);
                r = sf_unpack_run(&u, err);
                sf_filelist_free(&list);
        }
        assert_int_equal(sf_fs_walk(s.path, only_honest_files, NULL, NULL), 0);
        drop_scratch(&s);
        maker_free(&m);
        return r;
}

static void test_hostile(void **state)
{
        int wrong = 0;

        (void)state;
        /* the frame itself is fine: what is refused below is refused for its own fault */
        static const struct hostile harmless = { "honest", put_honest, NULL, NULL, 0, "" };
        assert_int_equal(unpack_hostile(&harmless, NULL), 0);
        printf("%-34s | %-10s | got\n", "hostile layer", "expected");
        for (size_t i = 0; i < sizeof hostiles / sizeof *hostiles; i++) {
                struct sf_error err = SF_ERROR_INIT;
                int r = unpack_hostile(&hostiles[i], &err);
                bool as_expected = r == hostiles[i].code && strstr(err.text, hostiles[i].says);

                printf("%-34s | %-10s | %s%s: %.120s\n", hostiles[i].what, sf_error_class(hostiles[i].code),
                       as_expected ? "" : "*** ", sf_error_class(r), err.text);
                wrong += !as_expected;
        }
        assert_int_equal(wrong, 0);
}

int main(void)
{
        const struct CMUnitTest tests[] = { cmocka_unit_test(test_hostile) };
        return cmocka_run_group_tests_name("hostile layers", tests, NULL, NULL);
}
