/* SPDX-License-Identifier: Apache-2.0 */
/* agent/switch/readahead.c - see readahead.h. */
#include "agent/switch/readahead.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/node/plugin_dir.h"
#include "agent/node/process.h"
#include "base/cleanup.h"
#include "base/fs.h"

#define CHUNK (128 << 10) /* what every kernel begins to read at one call, whatever it was asked for */

static void read_ahead(int dirfd, const char *name)
{
        _cleanup_close_ int fd = openat(dirfd, name, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
        struct stat st;

        if (fd < 0 || fstat(fd, &st) < 0 || !S_ISREG(st.st_mode))
                return;
        for (off_t at = 0; at < st.st_size; at += CHUNK)
                (void)posix_fadvise(fd, at, CHUNK, POSIX_FADV_WILLNEED);
}

static int read_plugin(void *ctx, int dirfd, const char *name, const char *path, const struct stat *st,
                       struct sf_error *err)
{
        (void)ctx, (void)path, (void)err;
        if (S_ISREG(st->st_mode) && strstr(name, ".so"))
                read_ahead(dirfd, name);
        return 0;
}

void sf_readahead_release(const char *tree, pid_t slurmd, const char *old_tree)
{
        _cleanup_close_ int fd = open(tree, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        _cleanup_close_ int plugins = fd < 0 ? -1 : openat(fd, sf_plugin_dir(tree), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        char **mapped = NULL;

        if (fd < 0)
                return;
        read_ahead(fd, "sbin/slurmd");
        read_ahead(fd, "sbin/slurmstepd");
        if (plugins >= 0)
                (void)sf_fs_walk_at(plugins, read_plugin, NULL, NULL);
        if (sf_process_mapped(slurmd, old_tree, &mapped, NULL) < 0)
                return;
        for (char **m = mapped; *m; m++)
                read_ahead(fd, *m);
        sf_process_free_names(mapped);
}
