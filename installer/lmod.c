/* SPDX-License-Identifier: Apache-2.0 */
/* installer/lmod.c - the side of activate.h for module systems: which release a user's shell finds.
 *
 * Lmod's documentation, "Providing Custom Labels" and "Marking a Version as Default": one .modulerc.lua beside the
 * module files names aliases and the default, so that a switch replaces a single file. environment-modules has the same
 * in .modulerc.
 */
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/buffer.h"
#include "base/cleanup.h"
#include "base/fs.h"
#include "installer/activate.h"
#include "installer/module_text.h"
#include "release/layout.h"

#define OURS_MAX (64u << 10) /* no file of ours is larger */

static bool is_ours(const char *text, enum sf_module_language language)
{
        const char *mark = sf_module_languages[language].mark;

        return strncmp(text, mark, strlen(mark)) == 0;
}

static int write_unless_foreign(const char *path, enum sf_module_language language, const struct sf_buffer *text,
                                struct sf_error *err)
{
        _cleanup_(sf_buffer_free) struct sf_buffer old = SF_BUFFER_INIT;
        struct sf_error unused = SF_ERROR_INIT;
        int r = sf_fs_read(path, OURS_MAX, &old, &unused);

        if (r == SF_ERR_NOT_FOUND)
                return sf_fs_write(path, text->data, text->len, 0644, err);
        if (r < 0 || !is_ours(sf_buffer_text(&old), language))
                return 0;
        if (old.len == text->len && memcmp(old.data, text->data, old.len) == 0)
                return 0;
        return sf_fs_write(path, text->data, text->len, 0644, err);
}

static int write_module(const struct sf_store *store, const char *modules, const struct sf_store_release *release,
                        enum sf_module_language language, struct sf_error *err)
{
        _cleanup_free_ char *installed = sf_store_installed_prefix(store, release->directory);
        _cleanup_free_ char *tree = sf_fs_join(store->releases, release->directory);
        _cleanup_free_ char *path = sf_format("%s/%s%s", modules, release->directory,
                                              sf_module_languages[language].suffix);
        _cleanup_(sf_buffer_free) struct sf_buffer text = SF_BUFFER_INIT;

        if (!installed || !path || !tree)
                return sf_error_set(err, SF_ERR_NOMEM, "no memory for a path");
        const struct sf_module module = { &release->name, installed, tree };
        int r = sf_module_write(&module, language, &text, err);
        return r < 0 ? r : write_unless_foreign(path, language, &text, err);
}

/* True where an earlier (newer) release already has the alias. */
static bool alias_is_taken(const struct sf_store_release *releases, size_t i, const struct sf_version *version)
{
        for (size_t j = 0; j < i; j++) {
                struct sf_version other;
                if (!releases[j].foreign && strcmp(releases[j].name.toolchain, releases[i].name.toolchain) == 0 &&
                    sf_version_parse(releases[j].name.version, &other, NULL) == 0 &&
                    sf_version_same_series(&other, version))
                        return true;
        }
        return false;
}

/* <major.minor>-<toolchain> stands for the newest release of its series; releases come newest first. */
static int write_aliases(const char *modules, enum sf_module_language language, const struct sf_store_release *releases,
                         size_t count, const char *active, struct sf_error *err)
{
        _cleanup_free_ char *path = sf_fs_join(modules, sf_module_languages[language].rc);
        _cleanup_(sf_buffer_free) struct sf_buffer text = SF_BUFFER_INIT;
        int r = path ? sf_buffer_puts(&text, sf_module_languages[language].mark, err)
                     : sf_error_set(err, SF_ERR_NOMEM, "no memory for a path");

        for (size_t i = 0; r == 0 && i < count; i++) {
                struct sf_version version;

                if (releases[i].foreign)
                        continue;
                if (strcmp(releases[i].directory, active) == 0)
                        r = sf_module_write_alias(language, active, "default", &text, err);
                if (r < 0 || sf_version_parse(releases[i].name.version, &version, NULL) < 0 ||
                    alias_is_taken(releases, i, &version))
                        continue;
                char alias[96];
                snprintf(alias, sizeof alias, "%u.%02u-%s", version.major, version.minor, releases[i].name.toolchain);
                r = sf_module_write_alias(language, releases[i].directory, alias, &text, err);
        }
        return r < 0 ? r : write_unless_foreign(path, language, &text, err);
}

static bool is_release(const struct sf_store_release *releases, size_t count, const char *directory, size_t len)
{
        for (size_t i = 0; i < count; i++)
                if (!releases[i].foreign && strlen(releases[i].directory) == len &&
                    strncmp(releases[i].directory, directory, len) == 0)
                        return true;
        return false;
}

/* Modules of releases that are gone. */
static int remove_stale(const char *modules, const struct sf_store_release *releases, size_t count,
                        struct sf_error *err)
{
        DIR *dir = opendir(modules);
        struct dirent *entry;

        if (!dir)
                return sf_error_errno(err, "cannot read %s", modules);
        while ((entry = readdir(dir))) {
                _cleanup_free_ char *path = sf_fs_join(modules, entry->d_name);
                _cleanup_(sf_buffer_free) struct sf_buffer text = SF_BUFFER_INIT;
                size_t len = strlen(entry->d_name);
                bool lua = len > 4 && strcmp(entry->d_name + len - 4, ".lua") == 0;

                if (!path || entry->d_name[0] == '.' || is_release(releases, count, entry->d_name, lua ? len - 4 : len))
                        continue;
                if (sf_fs_read(path, OURS_MAX, &text, NULL) == 0 &&
                    is_ours(sf_buffer_text(&text), lua ? SF_MODULE_LUA : SF_MODULE_TCL))
                        unlink(path);
        }
        closedir(dir);
        return 0;
}

int sf_lmod_write(const struct sf_store *store, const char *active, struct sf_error *err)
{
        _cleanup_free_ char *modules = sf_fs_join(store->base, SF_NODE_MODULES);
        _cleanup_free_ struct sf_store_release *releases = NULL;
        size_t count;

        if (!modules)
                return sf_error_set(err, SF_ERR_NOMEM, "no memory for a path");
        int r = sf_store_list(store, &releases, &count, err);
        if (r == 0)
                r = sf_fs_mkdirs(modules, 0755, err);
        for (int language = 0; language < SF_MODULE_LANGUAGES; language++) {
                for (size_t i = 0; r == 0 && i < count; i++)
                        if (!releases[i].foreign)
                                r = write_module(store, modules, &releases[i], (enum sf_module_language)language, err);
                if (r == 0)
                        r = write_aliases(modules, (enum sf_module_language)language, releases, count, active, err);
        }
        return r < 0 ? r : remove_stale(modules, releases, count, err);
}
