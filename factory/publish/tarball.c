/* SPDX-License-Identifier: Apache-2.0 */
/* factory/publish/tarball.c - see tarball.h. */
#include "factory/publish/tarball.h"

#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/fs.h"
#include "base/log.h"
#include "factory/pack/builds.h"
#include "factory/pack/export.h"
#include "factory/publish/repo.h"

/* Would both get the same file, with `other` the newer one? */
static bool is_newer(const struct sf_release_name *name, const struct sf_release_name *other)
{
        struct sf_version a, b;

        return strcmp(name->toolchain, other->toolchain) == 0 && strcmp(name->arch, other->arch) == 0 &&
               strcmp(name->build, other->build) == 0 && sf_version_parse(name->version, &a, NULL) == 0 &&
               sf_version_parse(other->version, &b, NULL) == 0 && sf_version_same_series(&a, &b) &&
               sf_version_compare(&a, &b) < 0;
}

static int find_newer(const struct sf_tarballs *t, const struct sf_release_name *name, struct sf_release_name *ret,
                      bool *ret_found, struct sf_error *err)
{
        _cleanup_free_ struct sf_release_name *published = NULL;
        size_t count = 0;
        int r = sf_repo_releases(t->repository, &published, &count, err);

        *ret_found = false;
        for (size_t i = 0; i < count && r == 0; i++)
                if (is_newer(name, &published[i])) {
                        *ret = published[i];
                        *ret_found = true;
                }
        for (size_t i = 0; i < t->release_count && r == 0; i++) {
                _cleanup_(sf_build_close) struct sf_build build = { 0 };
                r = sf_build_open(t->builds, t->releases[i], &build, err);
                if (r == 0 && is_newer(name, &sf_build_release(&build)->name)) {
                        *ret = sf_build_release(&build)->name;
                        *ret_found = true;
                }
        }
        return r;
}

static int write_one(const struct sf_tarballs *t, const struct sf_build *build, struct sf_error *err)
{
        const struct sf_release_name *name = &sf_build_release(build)->name;
        struct sf_export_result exported;
        struct sf_version version;
        char size[32];
        int r = sf_version_parse(name->version, &version, err);

        if (r < 0)
                return r;
        _cleanup_free_ char *file = sf_export_name(name, SF_EXPORT_TAR_GZ);
        _cleanup_free_ char *relative = sf_format("%s/%u.%02u/%s", name->toolchain, version.major, version.minor,
                                                  name->arch);
        _cleanup_free_ char *directory = relative ? sf_fs_join(t->repository, relative) : NULL;
        _cleanup_free_ char *path = directory && file ? sf_fs_join(directory, file) : NULL;
        if (!path)
                return sf_error_set(err, SF_ERR_NOMEM, "no memory for a tar file's path");
        if (t->dry_run) {
                sf_log_info("would write %s/%s", relative, file);
                return 0;
        }
        if ((r = sf_fs_mkdirs(directory, 0755, err)) < 0 ||
            (r = sf_export_tar(build, SF_EXPORT_TAR_GZ, path, &exported, err)) < 0 ||
            (r = sf_export_sign(path, t->gpg_key, err)) < 0)
                return r;
        sf_log_info("%s/%s: %s%s", relative, file, sf_log_size(exported.size, size),
                    t->gpg_key ? ", signed" : ", not signed");
        return 0;
}

int sf_tarballs_write(const struct sf_tarballs *t, struct sf_error *err)
{
        int r = 0;

        for (size_t i = 0; i < t->release_count && r == 0; i++) {
                _cleanup_(sf_build_close) struct sf_build build = { 0 };
                struct sf_release_name newer;
                bool found;

                r = sf_build_open(t->builds, t->releases[i], &build, err);
                if (r == 0)
                        r = find_newer(t, &sf_build_release(&build)->name, &newer, &found, err);
                if (r == 0 && found)
                        sf_log_info("%s: no tar file, %s is newer", sf_build_release(&build)->name.text, newer.text);
                else if (r == 0)
                        r = write_one(t, &build, err);
        }
        return r;
}
