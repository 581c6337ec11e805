/* SPDX-License-Identifier: Apache-2.0 */
/* factory/build/run_paths.c - see run_paths.h. */
#include "factory/build/run_paths.h"

#include <stdlib.h>
#include <string.h>

#include "base/buffer.h"
#include "base/cleanup.h"
#include "base/fs.h"
#include "rpath/elf.h"
#include "rpath/runpath.h"

#define FILE_MAX ((size_t)1 << 31)

struct check {
        const char *tree, *prefix;
        void (*told)(void *ctx, const char *text);
        void *ctx;
        int count;
};

static int check_element(struct check *c, const char *element, size_t len, const char *path, struct sf_error *err)
{
        _cleanup_(sf_buffer_free) struct sf_buffer directory = SF_BUFFER_INIT;
        _cleanup_free_ char *place = NULL, *text = NULL;
        enum sf_runpath_place where;
        int r = sf_runpath_resolve(element, len, path, c->prefix, &where, &directory, err);

        if (r < 0 || where != SF_RUNPATH_INSIDE)
                return r;
        place = sf_fs_join(c->tree, sf_buffer_text(&directory));
        if (place && sf_fs_exists(place))
                return 0;
        text = sf_format("%s: its run path names %s, which is not there: was it linked with a library of this system?",
                         path, sf_buffer_text(&directory));
        if (!place || !text)
                return sf_error_set(err, SF_ERR_NOMEM, "%s", path);
        c->told(c->ctx, text);
        c->count++;
        return 0;
}

static int check_list(struct check *c, const struct sf_elf *elf, int64_t tag, const char *path, struct sf_error *err)
{
        Elf64_Dyn entry;
        const char *list = sf_elf_dynamic_find(elf, tag, &entry) ? sf_elf_dynstr(elf, entry.d_un.d_val) : NULL;
        int r = 0;

        while (list && r == 0) {
                size_t len = strcspn(list, ":");

                r = len ? check_element(c, list, len, path, err) : 0;
                list = list[len] ? list + len + 1 : NULL;
        }
        return r;
}

static int visit(void *ctx, int dirfd, const char *name, const char *path, const struct stat *st, struct sf_error *err)
{
        _cleanup_(sf_buffer_free) struct sf_buffer content = SF_BUFFER_INIT;
        struct sf_elf elf;
        int r;

        if (!S_ISREG(st->st_mode))
                return 0;
        if ((r = sf_fs_read_at(dirfd, name, FILE_MAX, &content, err)) < 0)
                return r;
        if (!sf_elf_is(content.data, content.len) || sf_elf_open(content.data, content.len, path, &elf, NULL) < 0)
                return 0;
        r = check_list(ctx, &elf, DT_RUNPATH, path, err);
        return r < 0 ? r : check_list(ctx, &elf, DT_RPATH, path, err);
}

int sf_run_paths_check(const char *tree, const char *prefix, void (*told)(void *ctx, const char *text), void *ctx,
                       struct sf_error *err)
{
        struct check c = { .tree = tree, .prefix = prefix, .told = told, .ctx = ctx };
        int r = sf_fs_walk(tree, visit, &c, err);

        return r < 0 ? r : c.count;
}
