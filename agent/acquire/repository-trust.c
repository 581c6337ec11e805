/* SPDX-License-Identifier: Apache-2.0 */
/* agent/acquire/repository-trust.c - the part of repository.h about whom this node believes. */
#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "agent/acquire/repository.h"
#include "agent/node/scratch.h"
#include "base/cleanup.h"
#include "base/fs.h"
#include "base/log.h"
#include "release/layout.h"

#define METADATA_DIRECTORY "metadata"
#define METADATA_MAX       (64u << 20)  /* bytes of one file */
#define ROOT_MAX           (512u << 10) /* bytes of a root.json */

static void warn(void *ctx, const char *text)
{
        (void)ctx;
        sf_log_warning("%s", text);
}

/* --dry-run leaves even the metadata as it is: newer metadata is fetched into a copy. */
static int copy_metadata(const char *directory, struct sf_repository *rp, struct sf_error *err)
{
        DIR *dir = opendir(directory);
        int r = !dir && errno != ENOENT ? sf_error_errno(err, "%s", directory) : 0;

        if (r < 0)
                return r;
        sf_scratch_clear("/tmp");
        r = rp->scratch_lock = sf_scratch_make("/tmp", "dry-run", &rp->scratch, err);
        r = r < 0 ? r : 0;
        for (struct dirent *e; r == 0 && dir && (e = readdir(dir));) {
                _cleanup_(sf_buffer_free) struct sf_buffer text = SF_BUFFER_INIT;
                _cleanup_free_ char *to = sf_fs_join(rp->scratch, e->d_name);
                if (e->d_name[0] == '.')
                        continue;
                r = sf_fs_read_at(dirfd(dir), e->d_name, METADATA_MAX, &text, err);
                if (r == 0)
                        r = to ? sf_fs_write(to, text.data, text.len, 0600, err)
                               : sf_error_set(err, SF_ERR_NOMEM, "no memory for a path");
        }
        if (dir)
                closedir(dir);
        return r;
}

/* The first use of a node whose state is empty: after its installation, or at each boot of one without a disk. */
static int pin(const char *file, const char *directory, struct sf_error *err)
{
        _cleanup_(sf_buffer_free) struct sf_buffer root = SF_BUFFER_INIT;
        int r = sf_fs_read(file, ROOT_MAX, &root, err);

        if (r < 0)
                return sf_error_set(err, SF_ERR_USAGE,
                                    "the root to begin with ([repository] root) cannot be read: %s: %s", file,
                                    err ? err->text : "");
        r = sf_fs_mkdirs(directory, 0755, err);
        if (r == 0)
                r = sf_tuf_pin(directory, root.data, root.len, false, err);
        if (r < 0)
                return sf_error_prefix(err, "%s", file);
        sf_log_info("this node begins to trust by %s: which metadata it had seen before is not known here", file);
        return 0;
}

int sf_repository_load_trust(const struct sf_config *config, struct sf_repository *rp, struct sf_error *err)
{
        _cleanup_free_ char *directory = sf_fs_join(config->shared, METADATA_DIRECTORY);
        struct sf_tuf_options options = {
                .now = time(NULL),
                .grace = (int64_t)config->metadata_grace,
                .notice = warn,
        };

        if (!directory)
                return sf_error_set(err, SF_ERR_NOMEM, "no memory for a path");
        int r = config->dry_run ? copy_metadata(directory, rp, err) : 0;
        options.directory = rp->scratch ? rp->scratch : directory;
        if (r == 0)
                r = sf_tuf_open(&options, &rp->trust, err);
        if (r == SF_ERR_NOT_FOUND && config->trusted_root) {
                sf_error_clear(err);
                r = pin(config->trusted_root, options.directory, err);
                if (r == 0)
                        r = sf_tuf_open(&options, &rp->trust, err);
        }
        if (r == SF_ERR_NOT_FOUND)
                return sf_error_set(err, SF_ERR_USAGE,
                                    "no repository is trusted yet: run 'sf-node trust ROOT.json' with the root.json "
                                    "you were given, or put it at " SF_CONFIG_TRUSTED_ROOT);
        return r;
}
