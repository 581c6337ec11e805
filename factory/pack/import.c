/* SPDX-License-Identifier: Apache-2.0 */
/* factory/pack/import.c - why: sites have their own ways of building Slurm; how it is distributed must not depend on
 * that. */
#include "factory/pack/import.h"

#include <stdio.h>
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

/* The usual mistake is to name the prefix's parent, or one that DESTDIR was put in front of. A login node has
 * clients only. */
static int check_directory(const struct sf_import *import, struct sf_error *err)
{
        static const char *const programs[] = { "sbin/slurmd", "sbin/slurmctld", "sbin/sackd", "bin/sinfo",
                                                "bin/scontrol" };

        for (size_t i = 0; i < sizeof programs / sizeof *programs; i++) {
                _cleanup_free_ char *program = sf_fs_join(import->directory, programs[i]);
                if (!program)
                        return sf_error_set(err, SF_ERR_NOMEM, "out of memory");
                if (sf_fs_exists(program))
                        return 0;
        }
        if (!sf_fs_exists(import->directory))
                return sf_error_errno(err, "%s", import->directory);
        return sf_error_set(err, SF_ERR_NOT_FOUND,
                            "%s holds no sbin/slurmd, and no bin/sinfo: the directory that holds the prefix's bin, lib "
                            "and sbin is needed",
                            import->directory);
}

/* The prefixes as they were given, else as Spack left them in the files of all layers. */
static int find_prefixes(const struct sf_import *import, const struct sf_pack_layer *layers, size_t count,
                         struct sf_prefixes *ret, struct sf_error *err)
{
        int r = 0;

        for (size_t i = 0; import->placeholders && import->placeholders[i] && r == 0; i++)
                r = import->placeholders[i][0] == '/'
                            ? sf_prefixes_add(ret, import->placeholders[i], strlen(import->placeholders[i]), err)
                            : sf_error_set(err, SF_ERR_USAGE, "the placeholder must be an absolute path: %s",
                                           import->placeholders[i]);
        if (r < 0 || ret->words.count)
                return r;
        for (size_t i = 0; i < count && r == 0; i++)
                r = sf_prefixes_find_spack_in_tree(ret, layers[i].directory, err);
        if (r < 0)
                return r;
        if (!ret->words.count)
                return sf_error_set(
                        err, SF_ERR_USAGE,
                        "%s: no prefix of Spack's was found in it; --placeholder says what it was built for",
                        import->directory);
        if (import->note) {
                char text[SF_ERROR_TEXT_MAX];
                snprintf(text, sizeof text, "%zu prefixes of Spack packages, of %zu characters or more: %s",
                         ret->words.count, strlen(sf_prefixes_placeholder(ret)), sf_prefixes_placeholder(ret));
                import->note(import->finding_ctx, text);
        }
        return 0;
}

static void say_unused(const struct sf_import *import, const struct sf_leave_out *leave_out)
{
        for (size_t i = 0; import->exclude && import->exclude[i] && import->note; i++) {
                char text[SF_ERROR_TEXT_MAX];
                snprintf(text, sizeof text, "--exclude %s: matched nothing", import->exclude[i]);
                if (!leave_out->used[i])
                        import->note(import->finding_ctx, text);
        }
}

static int count_patterns(const struct sf_import *import, struct sf_error *err)
{
        size_t count = 0;

        while (import->exclude && import->exclude[count])
                count++;
        return count > SF_LEAVE_OUT_MAX ? sf_error_set(err, SF_ERR_USAGE, "more than %d --exclude", SF_LEAVE_OUT_MAX)
                                        : 0;
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
        _cleanup_(sf_prefixes_free) struct sf_prefixes prefixes = { SF_WORDS_INIT };
        struct sf_leave_out leave_out = { .patterns = import->exclude, .records = true };
        struct sf_pack_layer layers[IMPORT_LAYERS_MAX];
        struct sf_pack pack = { .name = ret_name,
                                .layers = layers,
                                .prefixes = &prefixes,
                                .leave_out = &leave_out,
                                .static_archives = import->static_archives,
                                .force = import->force,
                                .follow_links = true,
                                .agent = import->agent,
                                .builds = import->builds,
                                .epoch = sf_pack_epoch(),
                                .finding = import->finding,
                                .note = import->note,
                                .finding_ctx = import->finding_ctx };
        int r = sf_release_name_make(import->version, import->toolchain, import->arch,
                                     import->build ? import->build : "", ret_name, err);

        if (r == 0)
                r = parse_layers(import, layers, names, &pack.layer_count, err);
        if (r == 0)
                r = check_directory(import, err);
        if (r == 0)
                r = count_patterns(import, err);
        if (r == 0)
                r = find_prefixes(import, layers, pack.layer_count, &prefixes, err);
        if (r < 0)
                return r;
        pack.placeholder = sf_prefixes_placeholder(&prefixes);
        r = sf_pack_release(&pack, ret, err);
        say_unused(import, &leave_out);
        return r;
}
