/* SPDX-License-Identifier: Apache-2.0 */
/* factory/pack/builds.c - why: publish, delta and export all name releases the way users do. */
#include "factory/pack/builds.h"

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/buffer.h"
#include "base/cleanup.h"
#include "base/fs.h"
#include "release/layout.h"

int sf_build_names(const char *builds, struct sf_release_name **ret, size_t *ret_count, struct sf_error *err)
{
        _cleanup_free_ struct sf_release_name *names = NULL;
        struct sf_release_name name;
        size_t count = 0;
        DIR *dir = opendir(builds);

        if (!dir && errno != ENOENT)
                return sf_error_errno(err, "cannot open %s", builds);
        for (struct dirent *entry; dir && (entry = readdir(dir));) {
                if (entry->d_name[0] == '.' || sf_release_name_parse(entry->d_name, &name, NULL) < 0)
                        continue;
                struct sf_release_name *more = realloc(names, (count + 1) * sizeof *names);
                if (!more) {
                        closedir(dir);
                        return sf_error_set(err, SF_ERR_NOMEM, "%s: out of memory", builds);
                }
                names = more;
                names[count++] = name;
        }
        if (dir)
                closedir(dir);
        *ret = sf_steal_pointer(names);
        *ret_count = count;
        return 0;
}

static int find_directory(const char *builds, const char *wanted, char **ret, struct sf_error *err)
{
        _cleanup_free_ struct sf_release_name *names = NULL;
        size_t count = 0, chosen;
        int r;

        if (strchr(wanted, '/')) {
                *ret = strdup(wanted);
        } else {
                r = sf_build_names(builds, &names, &count, err);
                if (r == 0)
                        r = sf_release_name_choose(names, count, wanted, &chosen, err);
                if (r < 0)
                        return sf_error_prefix(err, "%s", builds);
                *ret = sf_fs_join(builds, names[chosen].text);
        }
        return *ret ? 0 : sf_error_set(err, SF_ERR_NOMEM, "%s: out of memory", builds);
}

int sf_build_open(const char *builds, const char *wanted, struct sf_build *ret, struct sf_error *err)
{
        _cleanup_(sf_buffer_free) struct sf_buffer text = SF_BUFFER_INIT;
        _cleanup_(sf_build_close) struct sf_build build = { 0 };
        _cleanup_free_ char *path = NULL;
        int r = find_directory(builds, wanted, &build.directory, err);

        if (r < 0)
                return r;
        path = sf_fs_join(build.directory, "release.json");
        build.blobs = sf_fs_join(build.directory, SF_LAYOUT_BLOBS);
        if (!path || !build.blobs)
                return sf_error_set(err, SF_ERR_NOMEM, "%s: out of memory", build.directory);
        r = sf_fs_read(path, SF_INDEX_TEXT_MAX, &text, err);
        if (r == 0)
                r = sf_index_parse(path, text.data, text.len, &build.index, err);
        if (r == 0 && build.index.release_count != 1)
                r = sf_error_set(err, SF_ERR_CORRUPT, "%s describes %zu releases, not one", path,
                                 build.index.release_count);
        if (r < 0)
                return r;
        *ret = build;
        build = (struct sf_build){ 0 };
        return 0;
}

void sf_build_close(struct sf_build *build)
{
        free(build->directory);
        free(build->blobs);
        sf_index_free(&build->index);
        build->directory = build->blobs = NULL;
}

const struct sf_index_release *sf_build_release(const struct sf_build *build)
{
        return &build->index.releases[0];
}

int sf_build_filelist(const struct sf_build *build, struct sf_filelist *ret, struct sf_error *err)
{
        _cleanup_free_ char *path = sf_fs_join(build->directory, "filelist");
        _cleanup_(sf_buffer_free) struct sf_buffer text = SF_BUFFER_INIT;
        int r = path ? sf_fs_read(path, SF_FILELIST_TEXT_MAX, &text, err)
                     : sf_error_set(err, SF_ERR_NOMEM, "%s: out of memory", build->directory);

        if (r == 0)
                r = sf_filelist_parse(path, sf_buffer_text(&text), text.len, ret, err);
        if (r < 0)
                return r;
        if (sf_digest_equal(&ret->tree, &sf_build_release(build)->tree))
                return 0;
        sf_filelist_free(ret);
        *ret = (struct sf_filelist){ 0 };
        return sf_error_set(err, SF_ERR_CORRUPT, "%s is not the list of this release", path);
}
