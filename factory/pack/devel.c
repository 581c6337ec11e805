/* SPDX-License-Identifier: Apache-2.0 */
/* factory/pack/devel.c - why: it is made of a tree that is complete, so that layers that were built before have it. */
#include "factory/pack/devel.h"

#include <dirent.h>
#include <string.h>
#include <unistd.h>

#include "base/buffer.h"
#include "base/cleanup.h"
#include "base/fs.h"

#define DEVEL   "share/slurm/devel"
#define TO_ROOT "../../../../" /* from DEVEL/include and DEVEL/lib */

/* A program outlives the release that it was linked against: first the path that stays, then the release's own. */
static const char pc_text[] = "libdir=${pcfiledir}/..\n"
                              "includedir=${pcfiledir}/../../include\n"
                              "\n"
                              "Name: slurm\n"
                              "Description: Slurm Workload Manager\n"
                              "Version: %s\n"
                              "Cflags: -I${includedir}\n"
                              "Libs: -L${libdir} -Wl,-rpath,%s/" DEVEL "/lib -Wl,-rpath,${libdir} -lslurm\n";

static bool has(const char *directory, const char *path)
{
        _cleanup_free_ char *full = sf_fs_join(directory, path);

        return full && sf_fs_exists(full);
}

/* A link in the directory `in` of DEVEL to `target`, below the release's root. */
static int put_link(const char *scratch, const char *in, const char *name, const char *target, struct sf_error *err)
{
        _cleanup_free_ char *directory = sf_format("%s/" DEVEL "/%s", scratch, in);
        _cleanup_free_ char *path = directory ? sf_fs_join(directory, name) : NULL;
        _cleanup_free_ char *up = sf_format(TO_ROOT "%s", target);
        int r;

        if (!path || !up)
                return sf_error_set(err, SF_ERR_NOMEM, "no memory for a path");
        if ((r = sf_fs_mkdirs(directory, 0755, err)) < 0)
                return r;
        return symlink(up, path) < 0 ? sf_error_errno(err, "cannot make %s", path) : 0;
}

static int put_libraries(const char *scratch, const char *stage, size_t *ret_count, struct sf_error *err)
{
        _cleanup_free_ char *directory = sf_fs_join(stage, "lib");
        DIR *dir = directory ? opendir(directory) : NULL;
        struct dirent *entry;
        int r = 0;

        *ret_count = 0;
        while (dir && r == 0 && (entry = readdir(dir))) {
                _cleanup_free_ char *target = sf_format("lib/%s", entry->d_name);
                if (strncmp(entry->d_name, "libslurm.so", strlen("libslurm.so")) != 0)
                        continue;
                r = target ? put_link(scratch, "lib", entry->d_name, target, err)
                           : sf_error_set(err, SF_ERR_NOMEM, "no memory for a path");
                ++*ret_count;
        }
        if (dir)
                closedir(dir);
        return r;
}

static int put_pc(const char *scratch, const char *version, const char *placeholder, struct sf_error *err)
{
        _cleanup_(sf_buffer_free) struct sf_buffer text = SF_BUFFER_INIT;
        _cleanup_free_ char *directory = sf_format("%s/" DEVEL "/lib/pkgconfig", scratch);
        _cleanup_free_ char *path = directory ? sf_fs_join(directory, "slurm.pc") : NULL;
        int r = path ? sf_fs_mkdirs(directory, 0755, err) : sf_error_set(err, SF_ERR_NOMEM, "no memory for a path");

        if (r == 0)
                r = sf_buffer_printf(&text, err, pc_text, version, placeholder);
        return r < 0 ? r : sf_fs_write(path, text.data, text.len, 0644, err);
}

int sf_devel_add(struct sf_compose *tree, unsigned layer, const struct sf_devel *devel, struct sf_error *err)
{
        size_t libraries = 0;
        int r;

        if (!has(tree->stage, "include/slurm/slurm.h") || has(tree->stage, DEVEL))
                return 0;
        r = put_link(devel->scratch, "include", "slurm", "include/slurm", err);
        if (r == 0)
                r = put_libraries(devel->scratch, tree->stage, &libraries, err);
        if (r == 0 && libraries)
                r = put_pc(devel->scratch, devel->version, tree->placeholder, err);
        if (r == 0)
                r = sf_compose_add(tree, layer, devel->scratch, err);
        return r < 0 ? r : sf_fs_remove_tree(devel->scratch, err);
}
