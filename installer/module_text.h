/* SPDX-License-Identifier: Apache-2.0 */
/* installer/module_text.h - module files for users' shells, in the two languages that sites use.
 *
 * Lmod reads <name>.lua and .modulerc.lua; environment-modules reads <name> and .modulerc, which are Tcl. Where both
 * lie in one directory each system takes its own. Lmod's documentation, "Lua Modulefile Functions"; modulefile(4) of
 * environment-modules.
 */
#ifndef SF_INSTALLER_MODULE_TEXT_H
#define SF_INSTALLER_MODULE_TEXT_H

#include "base/buffer.h"
#include "base/error.h"
#include "release/version.h"

enum sf_module_language { SF_MODULE_LUA, SF_MODULE_TCL, SF_MODULE_LANGUAGES };

struct sf_module_language_info {
        const char *suffix; /* of module files: ".lua", "" */
        const char *rc;     /* name of the file of aliases */
        const char *mark;   /* how a file of ours begins */
};
extern const struct sf_module_language_info sf_module_languages[SF_MODULE_LANGUAGES];

struct sf_module {
        const struct sf_release_name *name;
        const char *root; /* where the release's files are when the module is loaded */
        const char *tree; /* where they are now (differs with --root) */
};

/* Appends the module file of a release. The paths of the shell lead to its programs and manual pages; headers and .pc
 * files are those of share/slurm/devel, which has none but Slurm's (factory/pack/devel.h). Nothing sets a library
 * path. */
int sf_module_write(const struct sf_module *module, enum sf_module_language language, struct sf_buffer *ret,
                    struct sf_error *err);
/* Appends one line of the file of aliases: slurm/<alias> stands for slurm/<directory>. */
int sf_module_write_alias(enum sf_module_language language, const char *directory, const char *alias,
                          struct sf_buffer *ret, struct sf_error *err);

#endif
