/* SPDX-License-Identifier: Apache-2.0 */
/* installer/stat_record.c - see stat_record.h. */
#include "installer/stat_record.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/cleanup.h"
#include "base/fs.h"
#include "release/layout.h"

#define LINE_MAX_BYTES 128u /* six numbers */

static int64_t nanoseconds(const struct statx_timestamp *t)
{
        return t->tv_sec * INT64_C(1000000000) + t->tv_nsec;
}

bool sf_stat_record_look(int dirfd, const char *path, uint64_t size, struct sf_stat_record *ret)
{
        struct statx st;

        if (statx(dirfd, path, AT_SYMLINK_NOFOLLOW, STATX_BASIC_STATS | STATX_BTIME, &st) < 0 ||
            !S_ISREG(st.stx_mode) || st.stx_size != size || !st.stx_ino)
                return false;
        *ret = (struct sf_stat_record){
                .inode = st.stx_ino,
                .birth = st.stx_mask & STATX_BTIME ? nanoseconds(&st.stx_btime) : 0,
                .modification = nanoseconds(&st.stx_mtime),
                .mode = st.stx_mode & 07777,
                .uid = st.stx_uid,
                .gid = st.stx_gid,
        };
        return true;
}

bool sf_stat_record_same(const struct sf_stat_record *a, const struct sf_stat_record *b)
{
        return a->inode && a->inode == b->inode && a->birth == b->birth && a->modification == b->modification &&
               a->mode == b->mode && a->uid == b->uid && a->gid == b->gid;
}

/* Only files without a map are ever taken over as they are. */
static bool is_worth_it(const struct sf_entry *entry)
{
        return entry->type == SF_ENTRY_FILE && !entry->map.count;
}

static bool parse_line(const char *line, struct sf_stat_record *ret)
{
        struct sf_stat_record s = { 0 };
        int end = 0;

        if (sscanf(line, "%" SCNu64 " %" SCNd64 " %" SCNd64 " %" SCNo32 " %" SCNu32 " %" SCNu32 "%n", &s.inode,
                   &s.birth, &s.modification, &s.mode, &s.uid, &s.gid, &end) != 6 ||
            line[end])
                return false;
        *ret = s;
        return true;
}

/* The next line without its LF; NULL where there is none. */
static char *next_line(char **at)
{
        char *line = *at, *end = strchr(line, '\n');

        if (!end)
                return NULL;
        *end = '\0';
        *at = end + 1;
        return line;
}

static bool parse(char *text, const struct sf_filelist *list, struct sf_stat_record *seen)
{
        char head[SF_DIGEST_HEX + 16] = "sf-seen 1 ";
        const char *line = next_line(&text);

        sf_digest_hex(&list->tree, head + strlen(head));
        if (!line || strcmp(line, head) != 0)
                return false;
        for (size_t i = 0; i < list->entry_count; i++) {
                if (list->entries[i].type != SF_ENTRY_FILE)
                        continue;
                line = next_line(&text);
                if (!line || (strcmp(line, "-") != 0 && !parse_line(line, &seen[i])))
                        return false;
                /* It is in a complete release, which was synced before it got its name. */
                seen[i].durable = seen[i].inode != 0;
        }
        return !*text;
}

void sf_stat_record_read(int dirfd, const struct sf_filelist *list, struct sf_stat_record *seen)
{
        _cleanup_(sf_buffer_free) struct sf_buffer text = SF_BUFFER_INIT;
        size_t max = (list->file_count + 1) * LINE_MAX_BYTES;

        if (sf_fs_read_at(dirfd, SF_NODE_RECORD "/" SF_STAT_RECORD_FILE, max, &text, NULL) < 0 || !text.len ||
            memchr(text.data, 0, text.len) || !parse((char *)text.data, list, seen))
                memset(seen, 0, list->entry_count * sizeof *seen);
}

int sf_stat_record_write(int dirfd, const struct sf_filelist *list, const struct sf_stat_record *seen,
                         struct sf_buffer *ret, struct sf_error *err)
{
        char hex[SF_DIGEST_HEX + 1];
        int r = sf_buffer_printf(ret, err, "sf-seen 1 %s\n", sf_digest_hex(&list->tree, hex));

        for (size_t i = 0; r == 0 && i < list->entry_count; i++) {
                const struct sf_entry *entry = &list->entries[i];
                struct sf_stat_record s = seen ? seen[i] : (struct sf_stat_record){ 0 };

                if (entry->type != SF_ENTRY_FILE)
                        continue;
                if (!is_worth_it(entry) || (!s.inode && !sf_stat_record_look(dirfd, entry->path, entry->size, &s)))
                        r = sf_buffer_puts(ret, "-\n", err);
                else
                        r = sf_buffer_printf(ret, err, "%" PRIu64 " %" PRId64 " %" PRId64 " %04o %u %u\n", s.inode,
                                             s.birth, s.modification, s.mode, s.uid, s.gid);
        }
        return r;
}
