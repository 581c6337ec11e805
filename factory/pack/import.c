/* SPDX-License-Identifier: Apache-2.0 */
/* factory/pack/import.c - why: sites have their own ways of building Slurm; how it is distributed must not depend on
 * that. */
#include "factory/pack/import.h"

#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/fs.h"

#define IMPORT_LAYERS_MAX 8

/* The named layers and then the directory itself. Names are owned by the caller through `names`. */
static int parse_layers(const struct sf_import *import, struct sf_pack_layer *layers, char **names, size_t *ret_count,
                        struct sf_error *err)
{
        size_t count = 0;

        for (; import->layers && import->layers[count]; count++) {
                const char *equals = strchr(import->layers[count], '=');

                if (!equals || equals == import->layers[count] || !equals[1])
                        return sf_error_set(err, SF_ERR_USAGE, "--layer %s: NAME=DIR expected", import->layers[count]);
                if (count + 1 == IMPORT_LAYERS_MAX)
                        return sf_error_set(err, SF_ERR_USAGE, "more than %d layers", IMPORT_LAYERS_MAX);
                names[count] = strndup(import->layers[count], (size_t)(equals - import->layers[count]));
                if (!names[count])
                        return sf_error_set(err, SF_ERR_NOMEM, "out of memory");
                layers[count] = (struct sf_pack_layer){ names[count], equals + 1 };
        }
        layers[count++] = (struct sf_pack_layer){ "slurm", import->directory };
        *ret_count = count;
        return 0;
}

/* The usual mistake is to name the prefix's parent, or one that DESTDIR was put in front of. */
static int check_directory(const struct sf_import *import, struct sf_error *err)
{
        _cleanup_free_ char *slurmd = sf_fs_join(import->directory, "sbin/slurmd");

        if (!slurmd)
                return sf_error_set(err, SF_ERR_NOMEM, "out of memory");
        if (!sf_fs_exists(slurmd))
                return sf_error_set(err, SF_ERR_NOT_FOUND,
                                    "%s holds no sbin/slurmd: the directory that holds the prefix's bin, lib and sbin "
                                    "is needed",
                                    import->directory);
        return 0;
}

static void free_names(char *(*names)[IMPORT_LAYERS_MAX])
{
        for (size_t i = 0; i < IMPORT_LAYERS_MAX; i++)
                free((*names)[i]);
}

int sf_import_run(const struct sf_import *import, struct sf_release_name *ret_name, struct sf_pack_result *ret,
                  struct sf_error *err)
{
        _cleanup_(free_names) char *names[IMPORT_LAYERS_MAX] = { NULL };
        struct sf_pack_layer layers[IMPORT_LAYERS_MAX];
        struct sf_pack pack = { .name = ret_name,
                                .layers = layers,
                                .placeholder = import->placeholder,
                                .force = import->force,
                                .follow_links = true,
                                .builds = import->builds,
                                .epoch = sf_pack_epoch(),
                                .finding = import->finding,
                                .finding_ctx = import->finding_ctx };
        int r = sf_release_name_make(import->version, import->toolchain, import->arch,
                                     import->build ? import->build : "", ret_name, err);

        if (r == 0)
                r = parse_layers(import, layers, names, &pack.layer_count, err);
        if (r == 0)
                r = check_directory(import, err);
        return r < 0 ? r : sf_pack_release(&pack, ret, err);
}
