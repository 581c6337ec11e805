/* SPDX-License-Identifier: Apache-2.0 */
/* installer/module_text.c - see module_text.h. */
#include "installer/module_text.h"

#include <string.h>

#include "base/cleanup.h"
#include "base/fs.h"

const struct sf_module_language_info sf_module_languages[SF_MODULE_LANGUAGES] = {
        [SF_MODULE_LUA] = { ".lua", ".modulerc.lua", "-- written by sf-node; changes will be lost\n" },
        [SF_MODULE_TCL] = { "", ".modulerc", "#%Module1.0\n# written by sf-node; changes will be lost\n" },
};

/* Directories of a release that belong into a search path of the shell, where the release has them. Not include/ and
 * lib/ themselves: a user's builds must not find our hwloc or libevent. */
static const struct {
        const char *directory, *variable;
} search_paths[] = {
        { "sbin", "PATH" },
        { "bin", "PATH" },
        { "share/man", "MANPATH" },
        { "share/slurm/devel/include", "CPATH" },
        { "share/slurm/devel/lib/pkgconfig", "PKG_CONFIG_PATH" },
        { "share/slurm/devel", "CMAKE_PREFIX_PATH" },
        /* Modules of the release itself: OpenMPI, which is never on the paths above. */
        { "mpi/modulefiles", "MODULEPATH" },
};

/* SLURM_CONF is the user's where it is set. What this module has set it takes back, which the second variable tells. A
 * node without the file gets its configuration from slurmctld, and the variable would be in the way. */
static const char lua_text[] =
        "whatis(\"Name: Slurm\")\n"
        "whatis(\"Version: %1$s\")\n"
        "whatis(\"Description: Slurm workload manager, release %2$s\")\n"
        "help([[Slurm %1$s for %3$s on %4$s: commands, daemons and manual pages.\n"
        "SLURM_INSTALL_PREFIX, set before loading, names another directory with the same release.]])\n"
        "conflict(\"slurm\")\n"
        "family(\"workloadmanager\")\n"
        "local root = os.getenv(\"SLURM_INSTALL_PREFIX\") or \"%5$s\"\n"
        "if mode() == \"load\" and not isFile(pathJoin(root, \"bin/scontrol\")) then\n"
        "   LmodError(\"Slurm %1$s is not in \" .. root .. \": there is no bin/scontrol\")\n"
        "end\n"
        "setenv(\"SLURM_ROOT\", root)\n"
        "if os.getenv(\"SF_SLURM_CONF_SET\") or\n"
        "   not os.getenv(\"SLURM_CONF\") and isFile(\"/etc/slurm/slurm.conf\") then\n"
        "   setenv(\"SLURM_CONF\", \"/etc/slurm/slurm.conf\")\n"
        "   setenv(\"SF_SLURM_CONF_SET\", \"1\")\n"
        "end\n"
        "setenv(\"SLURM_BUILD_VERSION\", \"%1$s\")\n"
        "setenv(\"SLURM_BUILD_TOOLCHAIN\", \"%3$s\")\n"
        "setenv(\"SLURM_BUILD_ARCH\", \"%4$s\")\n"
        "setenv(\"SLURM_BUILD_RELEASE\", \"%2$s\")\n";
static const char tcl_text[] =
        "module-whatis {Slurm workload manager, release %2$s}\n"
        "proc ModulesHelp {} {\n"
        "    puts stderr {Slurm %1$s for %3$s on %4$s: commands, daemons and manual pages.}\n"
        "    puts stderr {SLURM_INSTALL_PREFIX, set before loading, names another directory with the same release.}\n"
        "}\n"
        "conflict slurm\n"
        /* older environment-modules have no families */
        "if {[info commands family] ne {}} { family workloadmanager }\n"
        "set root {%5$s}\n"
        "if {[info exists env(SLURM_INSTALL_PREFIX)]} { set root $env(SLURM_INSTALL_PREFIX) }\n"
        "if {[module-info mode load] && ![file isfile $root/bin/scontrol]} {\n"
        "    puts stderr \"Slurm %1$s is not in $root: there is no bin/scontrol\"\n"
        "    break\n"
        "}\n"
        "setenv SLURM_ROOT $root\n"
        "if {[info exists env(SF_SLURM_CONF_SET)] ||\n"
        "    ![info exists env(SLURM_CONF)] && [file isfile /etc/slurm/slurm.conf]} {\n"
        "    setenv SLURM_CONF /etc/slurm/slurm.conf\n"
        "    setenv SF_SLURM_CONF_SET 1\n"
        "}\n"
        "setenv SLURM_BUILD_VERSION {%1$s}\n"
        "setenv SLURM_BUILD_TOOLCHAIN {%3$s}\n"
        "setenv SLURM_BUILD_ARCH {%4$s}\n"
        "setenv SLURM_BUILD_RELEASE {%2$s}\n";

int sf_module_write(const struct sf_module *module, enum sf_module_language language, struct sf_buffer *ret,
                    struct sf_error *err)
{
        const struct sf_release_name *name = module->name;
        int r = sf_buffer_puts(ret, sf_module_languages[language].mark, err);

        if (r == 0 && language == SF_MODULE_LUA)
                r = sf_buffer_printf(ret, err, lua_text, name->version, name->text, name->toolchain, name->arch,
                                     module->root);
        else if (r == 0)
                r = sf_buffer_printf(ret, err, tcl_text, name->version, name->text, name->toolchain, name->arch,
                                     module->root);
        for (size_t i = 0; r == 0 && i < sizeof search_paths / sizeof *search_paths; i++) {
                _cleanup_free_ char *directory = sf_fs_join(module->tree, search_paths[i].directory);
                if (!directory)
                        return sf_error_set(err, SF_ERR_NOMEM, "no memory for a path");
                if (!sf_fs_exists(directory))
                        continue;
                r = sf_buffer_printf(ret, err,
                                     language == SF_MODULE_LUA ? "prepend_path(\"%s\", pathJoin(root, \"%s\"))\n"
                                                               : "prepend-path %s $root/%s\n",
                                     search_paths[i].variable, search_paths[i].directory);
        }
        return r;
}

int sf_module_write_alias(enum sf_module_language language, const char *directory, const char *alias,
                          struct sf_buffer *ret, struct sf_error *err)
{
        return sf_buffer_printf(ret, err,
                                language == SF_MODULE_LUA ? "module_version(\"slurm/%s\", \"%s\")\n"
                                                          : "module-version {slurm/%s} {%s}\n",
                                directory, alias);
}
