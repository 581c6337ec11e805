/* SPDX-License-Identifier: Apache-2.0 */
/* agent/node/ctld_state.c - see ctld_state.h. */
#include "agent/node/ctld_state.h"

#include <endian.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "base/buffer.h"
#include "base/cleanup.h"
#include "base/fs.h"

#define MARK      "PROTOCOL_VERSION"
#define HEAD_SIZE (4 + sizeof MARK + 2 + 8 + 4)

/* src/common/slurm_protocol_common.h, from 22.05 on one number a release. */
static const char *const series[] = { "22.05", "23.02", "23.11", "24.05", "24.11", "25.05", "25.11", "26.05" };
#define FIRST_PROTOCOL 38

const char *sf_ctld_series_of(unsigned protocol)
{
        unsigned index = (protocol >> 8) - FIRST_PROTOCOL;

        return (protocol & 0xff) == 0 && index < sizeof series / sizeof *series ? series[index] : "";
}

/* The first `len` bytes of a file; the number that it has. */
static ssize_t read_head(const char *directory, const char *name, void *out, size_t len, struct sf_error *err)
{
        _cleanup_free_ char *path = sf_fs_join(directory, name);

        if (!path)
                return sf_error_set(err, SF_ERR_NOMEM, "no memory for a path");
        _cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
        if (fd < 0)
                return sf_error_errno(err, "%s", path);
        ssize_t n = pread(fd, out, len, 0);
        return n < 0 ? sf_error_errno(err, "%s", path) : n;
}

static uint64_t take(const unsigned char **cursor, size_t bytes)
{
        uint64_t value = 0;

        for (size_t i = 0; i < bytes; i++)
                value = value << 8 | *(*cursor)++;
        return value;
}

int sf_ctld_state_read(const char *directory, struct sf_ctld_state *ret, struct sf_error *err)
{
        unsigned char head[HEAD_SIZE];
        const unsigned char *cursor = head;
        struct sf_ctld_state state = { 0 };
        ssize_t n = read_head(directory, "job_state", head, sizeof head, err);

        if (n < 0)
                return (int)n;
        if (n != (ssize_t)sizeof head || take(&cursor, 4) != sizeof MARK || memcmp(cursor, MARK, sizeof MARK) != 0)
                return sf_error_set(err, SF_ERR_CORRUPT, "%s/job_state: not written by a slurmctld of 22.05 or newer",
                                    directory);
        cursor += sizeof MARK;
        state.protocol = (unsigned)take(&cursor, 2);
        strcpy(state.series, sf_ctld_series_of(state.protocol));
        state.written = (time_t)take(&cursor, 8);
        state.last_job = (uint32_t)take(&cursor, 4);
        *ret = state;
        return 0;
}

int sf_ctld_heartbeat_read(const char *directory, struct sf_ctld_heartbeat *ret, struct sf_error *err)
{
        uint64_t words[2];
        ssize_t n = read_head(directory, "heartbeat", words, sizeof words, err);

        if (n < 0)
                return (int)n;
        if (n != (ssize_t)sizeof words)
                return sf_error_set(err, SF_ERR_CORRUPT, "%s/heartbeat: %zd bytes instead of 16", directory, n);
        *ret = (struct sf_ctld_heartbeat){ .time = (time_t)be64toh(words[0]), .controller = be64toh(words[1]) };
        return 0;
}
