/* SPDX-License-Identifier: Apache-2.0 */
/* agent/node/history.c - see history.h. */
#include "agent/node/history.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/buffer.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/fs.h"

#define FILE_NAME "history.jsonl"
#define ENTRY_MAX (16u << 10)                   /* bytes that one line adds at most: names and an error text */
#define READ_MAX  (SF_HISTORY_MAX + (1u << 20)) /* more is not ours */

/* The newer half, from the start of a line on. */
static int shorten(const char *path, struct sf_error *err)
{
        _cleanup_(sf_buffer_free) struct sf_buffer text = SF_BUFFER_INIT;
        int r = sf_fs_read(path, READ_MAX, &text, err);

        if (r < 0)
                return r;
        const uint8_t *middle = text.data + text.len / 2, *end = text.data + text.len;
        const uint8_t *newline = memchr(middle, '\n', (size_t)(end - middle));
        const uint8_t *from = newline ? newline + 1 : end;
        return sf_fs_write(path, from, (size_t)(end - from), 0600, err);
}

/* A line that a crash cut off is ended first, so that it does not spoil the next one. */
static int append(const char *path, const char *line, struct sf_error *err)
{
        _cleanup_close_ int fd = open(path, O_RDWR | O_APPEND | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
        char last = '\n';
        struct stat st;

        if (fd < 0)
                return sf_error_errno(err, "cannot open %s", path);
        if (fstat(fd, &st) < 0 || (st.st_size > 0 && pread(fd, &last, 1, st.st_size - 1) < 0))
                return sf_error_errno(err, "cannot read %s", path);
        _cleanup_free_ char *whole = sf_format("%s%s\n", last == '\n' ? "" : "\n", line);
        if (!whole)
                return sf_error_set(err, SF_ERR_NOMEM, "no memory for a line");
        int r = sf_fs_write_all(fd, whole, strlen(whole), path, err);
        if (r == 0 && fsync(fd) < 0)
                r = sf_error_errno(err, "cannot write %s", path);
        return r;
}

int sf_history_add(const char *state_directory, const struct sf_report *report, enum sf_result result,
                   const struct sf_error *why, struct sf_error *err)
{
        _cleanup_free_ char *path = sf_fs_join(state_directory, FILE_NAME);
        _cleanup_json_ json_t *entry = sf_report_json(report, result, why);
        char stamp[SF_CLOCK_STAMP];

        json_object_set_new(entry, "time", json_string(sf_clock_stamp(time(NULL), stamp)));
        _cleanup_free_ char *line = json_dumps(entry, JSON_COMPACT | JSON_ENSURE_ASCII);
        struct stat st;

        if (!path || !line)
                return sf_error_set(err, SF_ERR_NOMEM, "no memory for a line");
        if (strlen(line) > ENTRY_MAX)
                return sf_error_set(err, SF_ERR_LIMIT, "%s: an entry of %zu bytes", path, strlen(line));
        int r = stat(path, &st) == 0 && st.st_size > (off_t)SF_HISTORY_MAX ? shorten(path, err) : 0;
        return r < 0 ? r : append(path, line, err);
}

int sf_history_load(const char *state_directory, size_t most, json_t **ret, struct sf_error *err)
{
        _cleanup_free_ char *path = sf_fs_join(state_directory, FILE_NAME);
        _cleanup_(sf_buffer_free) struct sf_buffer text = SF_BUFFER_INIT;
        _cleanup_json_ json_t *entries = json_array();
        char *saved = NULL;

        if (!path || !entries)
                return sf_error_set(err, SF_ERR_NOMEM, "no memory for a list");
        int r = sf_fs_read(path, READ_MAX, &text, err);
        if (r == SF_ERR_NOT_FOUND) {
                sf_error_clear(err);
                r = 0;
        }
        if (r < 0)
                return r;
        for (char *line = text.len ? strtok_r((char *)text.data, "\n", &saved) : NULL; line;
             line = strtok_r(NULL, "\n", &saved)) {
                json_t *entry = json_loads(line, JSON_REJECT_DUPLICATES, NULL);
                if (json_is_object(entry))
                        json_array_append(entries, entry);
                json_decref(entry);
        }
        while (json_array_size(entries) > most)
                json_array_remove(entries, 0);
        *ret = json_incref(entries);
        return 0;
}
