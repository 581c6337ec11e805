/* SPDX-License-Identifier: Apache-2.0 */
/* tests/kit/layer-scratch.c - see layer.h. */
#include "tests/kit/layer-scratch.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "base/fs.h"

struct scratch make_scratch(void)
{
        struct scratch s = { .path = "/tmp/check-unpack-XXXXXX" };

        assert_non_null(mkdtemp(s.path));
        s.dirfd = open(s.path, O_RDONLY | O_DIRECTORY);
        assert_true(s.dirfd >= 0);
        return s;
}

void drop_scratch(struct scratch *s)
{
        close(s->dirfd);
        assert_int_equal(sf_fs_remove_tree(s->path, NULL), 0);
}

int read_list(const struct maker *m, struct sf_filelist *ret, struct sf_error *err)
{
        _cleanup_(sf_buffer_free) struct sf_buffer text = SF_BUFFER_INIT;
        int r = sf_filelist_write(&m->list, &text, err);

        return r < 0 ? r : sf_filelist_parse("filelist", text.data, text.len, ret, err);
}

struct sf_unpack unpack_of(struct maker *m, const struct sf_filelist *list, int dirfd, unsigned threads)
{
        return (struct sf_unpack){
                .tree = { list, dirfd, PREFIX, "/opt/slurm/view" },
                .open_range = maker_open_range,
                .ctx = m,
                .threads = threads,
        };
}
