/* SPDX-License-Identifier: Apache-2.0 */
/* rpath/lint.c - see lint.h. */
#include "rpath/lint.h"

#include <fnmatch.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buffer.h"
#include "base/cleanup.h"
#include "base/fs.h"
#include "base/path.h"
#include "rpath/elf.h"
#include "rpath/hostlib.h"
#include "rpath/relocate.h"
#include "rpath/runpath.h"
#include "rpath/symbols.h"

#define FILE_MAX ((size_t)4 << 30)

struct sf_lint {
        struct sf_lint_options options;
        struct sf_hostlib *hostlib;
        const char *tree; /* the one that is being walked */
        int findings;     /* so far */
};

__attribute__((format(printf, 3, 4))) static void report(struct sf_lint *lint, const char *path, const char *format,
                                                         ...)
{
        char reason[SF_ERROR_TEXT_MAX];
        va_list args;

        va_start(args, format);
        vsnprintf(reason, sizeof reason, format, args);
        va_end(args);
        lint->findings++;
        lint->options.finding(lint->options.ctx, path, reason);
}

/* One element of a search list; "$ORIGIN/../lib" in lib/slurm/a.so gives lib in *ret_directory. */
typedef int element_fn(struct sf_lint *lint, const char *element, int len, enum sf_runpath_place place,
                       const char *directory, void *ctx);

/* Calls visit for the elements of a list until one returns non-zero, which is returned. */
static int each_element(struct sf_lint *lint, const char *path, const char *list, element_fn *visit, void *ctx,
                        struct sf_error *err)
{
        for (const char *at = list; *list; at++) {
                _cleanup_(sf_buffer_free) struct sf_buffer directory = SF_BUFFER_INIT;
                size_t len = strcspn(at, ":");
                enum sf_runpath_place place;
                int r = sf_runpath_resolve(at, len, path, lint->options.prefix, &place, &directory, err);
                if (r == 0 && place == SF_RUNPATH_FOREIGN && lint->options.canonical)
                        r = sf_runpath_resolve(at, len, path, lint->options.canonical, &place, &directory, err);
                if (r == 0)
                        r = visit(lint, at, (int)len, place, sf_buffer_text(&directory), ctx);
                if (r != 0)
                        return r;
                at += len;
                if (!*at)
                        break;
        }
        return 0;
}

static int check_element(struct sf_lint *lint, const char *element, int len, enum sf_runpath_place place,
                         const char *directory, void *ctx)
{
        const char *path = ctx;

        (void)directory;
        if (place == SF_RUNPATH_RELATIVE)
                report(lint, path, "RUNPATH element \"%.*s\" is relative to the working directory", len, element);
        if (place == SF_RUNPATH_FOREIGN)
                report(lint, path, "RUNPATH element \"%.*s\" lies outside the prefix", len, element);
        return 0;
}

struct needed {
        const char *name;
        uint16_t machine;
};

/* 1 where the directory holds the library in one of the trees. */
static int find_needed(struct sf_lint *lint, const char *element, int len, enum sf_runpath_place place,
                       const char *directory, void *ctx)
{
        const struct needed *needed = ctx;

        (void)element;
        (void)len;
        for (size_t i = 0; place == SF_RUNPATH_INSIDE && i < lint->options.tree_count; i++) {
                _cleanup_free_ char *file = sf_format("%s/%s/%s", lint->options.trees[i], directory, needed->name);
                if (file && sf_hostlib_fits(file, needed->machine))
                        return 1;
        }
        return 0;
}

static int check_needed(struct sf_lint *lint, const struct sf_elf *elf, const char *path, const char *list,
                        const char *name, struct sf_error *err)
{
        struct needed needed = { name, elf->header.e_machine };

        if (!name) {
                report(lint, path, "a DT_NEEDED has no end inside the string table");
                return 0;
        }
        if (strchr(name, '/')) {
                report(lint, path, "needs \"%s\": a path instead of a name", name);
                return 0;
        }
        int r = each_element(lint, path, list, find_needed, &needed, err);
        if (r == 0 && !lint->options.foreign && !sf_hostlib_has(lint->hostlib, name, needed.machine))
                report(lint, path, "needs %s, which is neither in its RUNPATH nor a library of this system", name);
        return r < 0 ? r : 0;
}

/* Checks every RUNPATH and RPATH. *ret_list is the one ld.so searches: the last RUNPATH, else the last RPATH, else
 * "". */
static int check_search_lists(struct sf_lint *lint, const struct sf_elf *elf, const char *path, const char **ret_list,
                              struct sf_error *err)
{
        const char *runpath = NULL, *rpath = NULL;
        int r = 0;

        for (uint64_t i = 0; r == 0 && i < elf->dynamic_count; i++) {
                Elf64_Dyn entry = sf_elf_dynamic(elf, i);
                if (entry.d_tag != DT_RUNPATH && entry.d_tag != DT_RPATH)
                        continue;
                const char *list = sf_elf_dynstr(elf, entry.d_un.d_val);
                if (!list)
                        report(lint, path, "its RUNPATH has no end inside the string table");
                else
                        r = each_element(lint, path, list, check_element, (void *)path, err);
                *(entry.d_tag == DT_RUNPATH ? &runpath : &rpath) = list;
        }
        *ret_list = runpath ? runpath : rpath ? rpath : "";
        return r;
}

/* A file of the trees whose symbols are looked at. */
struct provider {
        struct sf_buffer content;
        struct sf_elf elf;
        const char *path;
};

static void providers_free(struct provider (*providers)[5])
{
        for (size_t i = 0; i < sizeof *providers / sizeof **providers; i++)
                sf_buffer_free(&(*providers)[i].content);
}

/* False where no tree has it, or nobody can read it: that is told where the file itself is checked. */
static bool open_provider(const struct sf_lint *lint, const char *path, struct provider *ret,
                          struct sf_symbols *ret_symbols)
{
        ret->path = path;
        for (size_t i = 0; i < lint->options.tree_count; i++) {
                _cleanup_free_ char *file = sf_fs_join(lint->options.trees[i], path);
                if (file && sf_fs_read(file, FILE_MAX, &ret->content, NULL) == 0)
                        return sf_elf_open(ret->content.data, ret->content.len, path, &ret->elf, NULL) == 0 &&
                               sf_symbols_open(&ret->elf, path, ret_symbols, NULL) == 0;
        }
        return false;
}

/* Whether the plugin could be loaded by every daemon that may want it. */
static int check_binding(struct sf_lint *lint, const struct sf_elf *elf, const char *path, struct sf_error *err)
{
        static const char *const daemons[] = { "sbin/slurmctld", "sbin/slurmd", "sbin/slurmdbd", "sbin/slurmstepd" };
        _cleanup_(providers_free) struct provider providers[5] = { 0 };
        struct sf_symbols full, some[4], plugin;
        struct sf_symbols_search search = { .everywhere = &full, .somewhere = some };
        const char *which[4], *symbol;
        uint64_t index;

        if (fnmatch("lib*/slurm/*.so", path, FNM_PATHNAME) != 0 || fnmatch("*/libslurm*", path, 0) == 0 ||
            !sf_symbols_are_bound_eagerly(elf))
                return 0;
        _cleanup_free_ char *library = sf_format("%.*s/libslurmfull.so", (int)sf_path_parent_length(path), path);
        if (!library)
                return sf_error_set(err, SF_ERR_NOMEM, "%s: no memory", path);
        search.everywhere_count = open_provider(lint, library, &providers[0], &full);
        for (size_t i = 0; i < sizeof daemons / sizeof *daemons; i++)
                if (open_provider(lint, daemons[i], &providers[i + 1], &some[search.somewhere_count]))
                        which[search.somewhere_count++] = daemons[i];
        if (sf_symbols_open(elf, path, &plugin, err) == 0 && sf_symbols_find_partial(&plugin, &search, &symbol, &index))
                report(lint, path,
                       "is linked with -z now and needs %s, which only some programs have (%s): the others cannot load "
                       "it; build Slurm with LDFLAGS=-Wl,-z,lazy",
                       symbol, which[index]);
        return 0;
}

static int check_elf(struct sf_lint *lint, const char *path, const void *data, size_t len, struct sf_error *err)
{
        struct sf_error reason = SF_ERROR_INIT;
        struct sf_elf elf;
        const char *list;

        if (sf_elf_open(data, len, path, &elf, &reason) < 0) {
                report(lint, path, "%s", reason.text);
                return 0;
        }
        int r = check_search_lists(lint, &elf, path, &list, err);
        if (r == 0)
                r = check_binding(lint, &elf, path, err);
        for (uint64_t i = 0; r == 0 && i < elf.dynamic_count; i++) {
                Elf64_Dyn entry = sf_elf_dynamic(&elf, i);
                if (entry.d_tag == DT_NEEDED)
                        r = check_needed(lint, &elf, path, list, sf_elf_dynstr(&elf, entry.d_un.d_val), err);
        }
        return r;
}

static int check_fragment(struct sf_lint *lint, const char *path, const void *data, size_t len, struct sf_error *err)
{
        _cleanup_free_ uint64_t *offsets = NULL;
        size_t count;
        uint64_t place;
        int r = sf_relocate_find(data, len, lint->options.prefix, &offsets, &count, err);

        if (r == 0)
                r = sf_relocate_find_fragment(data, len, lint->options.prefix, offsets, count, &place);
        if (r == 1)
                report(lint, path, "holds a fragment of the build prefix at byte %llu", (unsigned long long)place);
        return r < 0 ? r : 0;
}

int sf_lint_file(struct sf_lint *lint, const char *path, const void *data, size_t len, struct sf_error *err)
{
        int before = lint->findings;
        int r = check_fragment(lint, path, data, len, err);

        if (r == 0 && sf_elf_is(data, len))
                r = check_elf(lint, path, data, len, err);
        return r < 0 ? r : lint->findings - before;
}

/* One symbolic link: 0 or 1 finding. */
static int lint_link(struct sf_lint *lint, const char *path, const char *target)
{
        if (sf_path_link_stays(path, target))
                return 0;
        if (target[0] == '/')
                report(lint, path, "is an absolute symbolic link to %s", target);
        else
                report(lint, path, "is a symbolic link to %s, which may lie outside the tree", target);
        return 1;
}

static int visit(void *ctx, int dirfd, const char *name, const char *path, const struct stat *st, struct sf_error *err)
{
        struct sf_lint *lint = ctx;

        if (S_ISREG(st->st_mode)) {
                _cleanup_(sf_buffer_free) struct sf_buffer content = SF_BUFFER_INIT;
                int r = sf_fs_read_at(dirfd, name, FILE_MAX, &content, err);
                if (r == 0)
                        r = sf_lint_file(lint, path, sf_buffer_text(&content), content.len, err);
                return r < 0 ? r : 0;
        }
        if (S_ISLNK(st->st_mode)) {
                _cleanup_free_ char *file = sf_fs_join(lint->tree, path), *target = NULL;
                int r = file ? sf_fs_readlink(file, &target, err)
                             : sf_error_set(err, SF_ERR_NOMEM, "%s: no memory", path);
                if (r < 0)
                        return r;
                lint_link(lint, path, target);
        }
        return 0;
}

int sf_lint_trees(struct sf_lint *lint, struct sf_error *err)
{
        int before = lint->findings;

        for (size_t i = 0; i < lint->options.tree_count; i++) {
                lint->tree = lint->options.trees[i];
                int r = sf_fs_walk(lint->tree, visit, lint, err);
                if (r < 0)
                        return r;
        }
        return lint->findings - before;
}

int sf_lint_open(const struct sf_lint_options *options, struct sf_lint **ret, struct sf_error *err)
{
        struct sf_lint *lint = calloc(1, sizeof *lint);

        if (!lint)
                return sf_error_set(err, SF_ERR_NOMEM, "no memory to check a tree");
        lint->options = *options;
        int r = sf_hostlib_open(options->sysroot ? options->sysroot : "", &lint->hostlib, err);
        if (r < 0) {
                free(lint);
                return r;
        }
        *ret = lint;
        return 0;
}

void sf_lint_close(struct sf_lint *lint)
{
        if (!lint)
                return;
        sf_hostlib_close(lint->hostlib);
        free(lint);
}
