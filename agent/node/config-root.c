/* SPDX-License-Identifier: Apache-2.0 */
/* agent/node/config-root.c - may releases and state lie where the configuration puts them? Below --root a link to /srv
 * means DIR/srv to the system that will run there, and this host's /srv to whoever opens it here. What would be written
 * outside of DIR is refused. */
#include "agent/node/config.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "base/buffer.h"
#include "base/cleanup.h"
#include "base/fs.h"

/* The prefix is written into units, scripts, .pc and module files, each with its own quoting, and into lists of
 * paths. */
static int check_prefix(const char *prefix, struct sf_error *err)
{
        static const char harmless[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789/._-+@=~,";

        if (*prefix != '/' || !sf_fs_path_is_plain(prefix + 1))
                return sf_error_set(
                        err, SF_ERR_USAGE,
                        "prefix '%s': an absolute path below / is needed, without '.', '..' or names of more "
                        "than 255 bytes",
                        prefix);
        if (prefix[strspn(prefix, harmless)])
                return sf_error_set(
                        err, SF_ERR_USAGE,
                        "prefix '%s': letters, digits and ._-+@=~, only, for it is written into unit files, "
                        "scripts and modules",
                        prefix);
        return 0;
}

/* Of a path that need not exist: the real path of as much of it as there is. */
static char *real_part(const char *path)
{
        _cleanup_free_ char *part = strdup(path);
        char *real = NULL;

        /* A link to nothing would be created where it points. */
        while (part && *part && !(real = realpath(part, NULL)) && !sf_fs_exists(part))
                *strrchr(part, '/') = '\0';
        return real;
}

static int check_place(const char *root, const char *place, struct sf_error *err)
{
        _cleanup_free_ char *path = sf_format("%s%s", root, place), *real = path ? real_part(path) : NULL;
        _cleanup_free_ char *real_root = real_part(root);
        size_t len = real_root ? strlen(real_root) : 0;

        if (!path)
                return sf_error_set(err, SF_ERR_NOMEM, "no memory for a path");
        /* Of a root that is not there yet both are the same directory above it. */
        if (real && len && (len == 1 || (strncmp(real, real_root, len) == 0 && (real[len] == '/' || !real[len]))))
                return 0;
        return sf_error_set(err, SF_ERR_USAGE,
                            "--root: %s leads out of %s by a link, to what it is on this host: work in it with chroot, "
                            "or name another --prefix",
                            path, root);
}

int sf_config_check_places(const struct sf_config *config, struct sf_error *err)
{
        const char *const places[] = { config->prefix, config->state + strlen(config->root), "/etc/systemd/system" };
        int r = check_prefix(config->prefix, err);

        for (size_t i = 0; *config->root && r == 0 && i < sizeof places / sizeof *places; i++)
                r = check_place(config->root, places[i], err);
        return r;
}

/* A prefix that cannot be written to is never in the middle of a switch. */
int sf_config_place_record(struct sf_config *config, struct sf_error *err)
{
        bool outlived = !*config->root && sf_fs_storage(config->state) != SF_FS_DISK &&
                        sf_fs_storage(config->prefix) == SF_FS_DISK && access(config->prefix, F_OK) == 0 &&
                        !sf_fs_is_read_only(config->prefix);

        config->record = outlived ? sf_fs_join(config->prefix, ".sf-node") : strdup(config->state);
        return config->record ? 0 : sf_error_set(err, SF_ERR_NOMEM, "no memory for a path");
}
