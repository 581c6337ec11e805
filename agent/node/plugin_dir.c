/* SPDX-License-Identifier: Apache-2.0 */
/* agent/node/plugin_dir.c - see plugin_dir.h. */
#include "agent/node/plugin_dir.h"

#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/fs.h"

static const char *const places[] = { "lib/slurm", "lib64/slurm" };
#define PLACES (sizeof places / sizeof *places)

const char *sf_plugin_dir(const char *tree)
{
        for (size_t i = 0; i < PLACES; i++) {
                _cleanup_free_ char *path = sf_fs_join(tree, places[i]);
                if (path && access(path, F_OK) == 0)
                        return places[i];
        }
        return places[0];
}

size_t sf_plugin_dir_length(const char *path)
{
        for (size_t i = 0; i < PLACES; i++) {
                size_t len = strlen(places[i]);
                if (strncmp(path, places[i], len) == 0 && path[len] == '/')
                        return len + 1;
        }
        return 0;
}
