/* SPDX-License-Identifier: Apache-2.0 */
/* factory/commands/spack.c - see spack.h. The names of packages and variants are those of Spack's own recipes
 * (github.com/spack/spack-packages, read in July 2026). */
#include "factory/commands/spack.h"

#include <fnmatch.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/fs.h"
#include "factory/build/plan.h"
#include "release/version.h"

/* What a release's packages are to Spack. */
enum use {
        USE_EXACT,  /* jobs and daemons meet in it: this version or none */
        USE_PREFER, /* this version where Spack knows it */
};

static const struct package {
        const char *recipe, *spack;
        enum use use;
        bool is_offered; /* as an external package */
} packages[] = {
        { "slurm", "slurm", USE_EXACT, true },
        { "munge", "munge", USE_EXACT, true },
        { "hwloc", "hwloc", USE_EXACT, true },
        { "pmix", "pmix", USE_EXACT, true },
        { "openmpi", "openmpi", USE_EXACT, true },
        { "prrte", "prrte", USE_EXACT, false },
        { "libevent", "libevent", USE_EXACT, false },
        { "json-c", "json-c", USE_PREFER, false },
        { "lz4", "lz4", USE_PREFER, false },
        { "libyaml", "libyaml", USE_PREFER, false },
        { "libjwt", "libjwt", USE_PREFER, false },
        { "jansson", "jansson", USE_PREFER, false },
        { "http-parser", "http-parser", USE_PREFER, false },
        { "numactl", "numactl", USE_PREFER, false },
        { "readline", "readline", USE_PREFER, false },
        { "ncurses", "ncurses", USE_PREFER, false },
        { "hdf5", "hdf5", USE_PREFER, false },
};

/* A word of a recipe's steps, and what it is called in a Spack spec. A variant that ends in '=' gets what follows the
 * word's own '='. */
static const struct {
        const char *recipe, *word, *with, *without;
} variants[] = {
        { "slurm", "--with-hwloc*", "+hwloc", "~hwloc" },
        { "slurm", "--with-readline*", "+readline", "~readline" },
        { "slurm", "--with-pmix*", "+pmix", "~pmix" },
        { "slurm", "--with-mysql_config*", "+mariadb", "~mariadb" },
        { "slurm", "--enable-slurmrestd", "+restd", "~restd" },
        { "slurm", "--enable-pam", "+pam", "~pam" },
        { "slurm", "--enable-multiple-slurmd", "+multiple_slurmd", "~multiple_slurmd" },
        { "slurm", "--with-hdf5*", "+hdf5", "~hdf5" },
        { "slurm", "--with-nvml*", "+nvml", "~nvml" },
        { "slurm", "--with-rsmi*", "+rsmi", "~rsmi" },
        { "slurm", "--enable-sview", "+gtk", "~gtk" },
        { "slurm", "--sysconfdir=*", "sysconfdir=", NULL },
        { "munge", "--localstatedir=*", "localstatedir=", NULL },
        { "hwloc", "--disable-libxml2", "~libxml2", NULL },
        { "hwloc", "--disable-pci", "~pci", NULL },
        { "hwloc", "--disable-static", "libs=shared", NULL },
        { "pmix", "--without-munge", "~munge", NULL },
        { "libevent", "--disable-openssl", "~openssl", NULL },
        { "openmpi", "--with-slurm", "schedulers=slurm", NULL },
        { "openmpi", "--disable-mpi-fortran", "~fortran", "+fortran" },
        { "openmpi", "--disable-io-romio", "~romio", "+romio" },
        { "prrte", "--with-slurm", "schedulers=slurm", NULL },
};

static int no_memory(struct sf_error *err)
{
        return sf_error_set(err, SF_ERR_NOMEM, "spack-yaml");
}

static const struct package *find_package(const char *recipe)
{
        for (size_t i = 0; i < sizeof packages / sizeof *packages; i++)
                if (strcmp(packages[i].recipe, recipe) == 0)
                        return &packages[i];
        return NULL;
}

/* --- specs ------------------------------------------------------------------------------------------------------ */

static const char *find_word(const struct sf_recipe *recipe, const char *pattern)
{
        for (size_t i = 0; i < recipe->step_count; i++)
                for (size_t k = 0; k < recipe->steps[i].run.count; k++)
                        if (fnmatch(pattern, recipe->steps[i].run.items[k], 0) == 0)
                                return recipe->steps[i].run.items[k];
        return NULL;
}

/* Slurm's versions are called as its tags are: 25.05.8 is 25-05-8-1, 26.05.0-0rc1 is 26-05-0-0rc1. */
static int append_version(const struct sf_recipe *recipe, struct sf_buffer *ret, struct sf_error *err)
{
        struct sf_version v;
        int r;

        if (strcmp(recipe->name, "slurm") != 0)
                return sf_buffer_puts(ret, recipe->version, err);
        if ((r = sf_version_parse(recipe->version, &v, err)) < 0)
                return r;
        return sf_buffer_printf(ret, err, "%02u-%02u-%u-%u%s", v.major, v.minor, v.micro, v.build, v.suffix);
}

static bool has_os(const struct sf_recipe *recipe, const char *library)
{
        for (size_t i = 0; i < recipe->os.count; i++)
                if (strcmp(recipe->os.items[i], library) == 0)
                        return true;
        return false;
}

/* One variant with several values. */
static int append_fabrics(const struct sf_recipe *recipe, struct sf_buffer *ret, struct sf_error *err)
{
        const char *ucx = find_word(recipe, "--with-ucx*") ? "ucx" : "",
                   *ofi = find_word(recipe, "--with-ofi*") ? "ofi" : "";

        return sf_buffer_printf(ret, err, " fabrics=%s%s%s", ucx, *ucx && *ofi ? "," : "", *ucx || *ofi ? ofi : "none");
}

static int append_variants(const struct sf_recipe *recipe, struct sf_buffer *ret, struct sf_error *err)
{
        int r = 0;

        for (size_t i = 0; i < sizeof variants / sizeof *variants && r == 0; i++) {
                if (strcmp(variants[i].recipe, recipe->name) != 0)
                        continue;
                const char *word = find_word(recipe, variants[i].word);
                const char *is = word ? variants[i].with : variants[i].without;
                bool has_value = is && is[strlen(is) - 1] == '=';

                if (is)
                        r = sf_buffer_printf(ret, err, " %s%s", is, has_value ? strchr(word, '=') + 1 : "");
        }
        /* cgroup/v2 has no option in Slurm up to 24.05: it is built where the headers of dbus are. */
        if (r == 0 && strcmp(recipe->name, "slurm") == 0)
                r = sf_buffer_puts(ret, has_os(recipe, "dbus") ? " +cgroup" : " ~cgroup", err);
        if (r == 0 && strcmp(recipe->name, "openmpi") == 0)
                r = append_fabrics(recipe, ret, err);
        return r;
}

/* "pmix@=5.0.5 ~munge"; with no name "@=5.0.5 ~munge". A new reference. */
static int make_spec(const struct sf_recipe *recipe, const char *name, json_t **ret, struct sf_error *err)
{
        _cleanup_(sf_buffer_free) struct sf_buffer spec = SF_BUFFER_INIT;
        int r;

        if ((r = sf_buffer_printf(&spec, err, "%s@=", name)) < 0 || (r = append_version(recipe, &spec, err)) < 0 ||
            (r = append_variants(recipe, &spec, err)) < 0)
                return r;
        return (*ret = json_string(sf_buffer_text(&spec))) ? 0 : no_memory(err);
}

/* --- packages --------------------------------------------------------------------------------------------------- */

/* Takes the value. */
static int set(json_t *object, const char *key, json_t *value, struct sf_error *err)
{
        return json_object_set_new(object, key, value) < 0 ? no_memory(err) : 0;
}

static int add_external(json_t *ret, const struct sf_spack_query *query, const struct sf_recipe *recipe,
                        const struct package *package, struct sf_error *err)
{
        bool is_below = strcmp(recipe->layer, "mpi") == 0;
        size_t length = strlen(query->external);

        while (query->external[length - 1] == '/')
                length--;
        _cleanup_free_ char *prefix = sf_format("%.*s%s", (int)length, query->external, is_below ? "/mpi" : "");
        json_t *spec;
        int r = prefix ? make_spec(recipe, package->spack, &spec, err) : no_memory(err);

        if (r < 0)
                return r;
        return set(ret, package->spack,
                   json_pack("{s:[{s:o, s:s}], s:b}", "externals", "spec", spec, "prefix", prefix, "buildable", 0),
                   err);
}

static int add_wanted(json_t *ret, const struct sf_recipe *recipe, const struct package *package, struct sf_error *err)
{
        json_t *spec;
        int r = make_spec(recipe, "", &spec, err);

        if (r < 0)
                return r;
        return set(ret, package->spack, json_pack("{s:[o]}", package->use == USE_EXACT ? "require" : "prefer", spec),
                   err);
}

/* The level of the psABI as archspec names it: "x86-64-v2" is x86_64_v2; of arm64 only the common one. */
static int add_target(json_t *ret, const struct sf_spack_query *query, struct sf_conf *toolchain, struct sf_error *err)
{
        const char *cpu = sf_conf_get(toolchain, "toolchain", "cpu");
        bool is_arm = strcmp(query->arch, "arm64") == 0;
        _cleanup_free_ char *target = strdup(is_arm ? "aarch64" : cpu ? cpu : "x86-64");

        if (!is_arm && strcmp(query->arch, "amd64") != 0)
                return sf_error_set(err, SF_ERR_USAGE, "--arch %s: amd64 or arm64 is expected", query->arch);
        for (char *c = target; c && *c; c++)
                if (*c == '-')
                        *c = '_';
        return target ? set(ret, "all", json_pack("{s:[s]}", "target", target), err) : no_memory(err);
}

static int add_packages(json_t *ret, const struct sf_spack_query *query, const struct sf_plan *plan,
                        struct sf_error *err)
{
        int r = 0;

        for (size_t i = 0; i < plan->count && r == 0; i++) {
                const struct sf_recipe *recipe = &plan->layers[i].recipe;
                const struct package *package = find_package(recipe->name);

                if (query->external)
                        r = package && package->is_offered ? add_external(ret, query, recipe, package, err) : 0;
                else
                        r = package ? add_wanted(ret, recipe, package, err) : 0;
        }
        if (r == 0 && sf_plan_find(plan, "openmpi"))
                r = set(ret, "mpi", json_pack("{s:[s]}", "require", "openmpi"), err);
        return r;
}

/* --- the rest of the environment -------------------------------------------------------------------------------- */

static json_t *make_roots(const struct sf_plan *plan)
{
        json_t *specs = json_pack("[s]", "slurm");

        if (sf_plan_find(plan, "openmpi"))
                json_array_append_new(specs, json_string("openmpi"));
        return specs;
}

static int add_config(json_t *ret, struct sf_conf *toolchain, struct sf_error *err)
{
        uint64_t length = 288;
        int r = sf_conf_get_u64(toolchain, "toolchain", "placeholder_length", 2048, &length, err);

        if (r < 0)
                return r;
        return set(ret, "config", json_pack("{s:{s:I}}", "install_tree", "padded_length", (json_int_t)length), err);
}

/* Spack reads '$' and '~' in paths as its own variables. */
static int check_place(const char *what, const char *place, struct sf_error *err)
{
        if (*place == '~' || strpbrk(place, "$ \t\r\n"))
                return sf_error_set(err, SF_ERR_USAGE, "%s %s: Spack takes no blanks and no \"$\" or \"~\" there", what,
                                    place);
        return 0;
}

static int add_mirrors(json_t *ret, const struct sf_words *mirrors, struct sf_error *err)
{
        json_t *list = json_object();
        int r = set(ret, "mirrors", list, err);

        for (size_t i = 0; i < mirrors->count && r == 0; i++) {
                const char *place = mirrors->items[i];
                _cleanup_free_ char *name = sf_format("mirror-%zu", i + 1);
                _cleanup_free_ char *path = strstr(place, "://") ? strdup(place) : realpath(place, NULL);

                if (!path)
                        return sf_error_errno(err, "--mirror %s", place);
                if (!name)
                        return no_memory(err);
                if ((r = check_place("--mirror", path, err)) == 0)
                        r = set(list, name, json_pack("{s:s, s:b, s:b}", "url", path, "source", 1, "binary", 0), err);
        }
        return r;
}

/* Lmod reads Tcl's files as well. No two versions of Slurm at once, and no library path. */
static int add_modules(json_t *ret, struct sf_error *err)
{
        json_t *tcl = json_pack("{s:i, s:b, s:{s:s}, s:{s:s}, s:{s:[s], s:{s:{s:s}}}}", "hash_length", 0,
                                "exclude_implicits", 1, "all", "autoload", "none", "projections", "all",
                                "{name}/{version}", "slurm", "conflict", "slurm", "environment", "set", "SLURM_ROOT",
                                "{prefix}");
        json_t *modules = json_pack("{s:{s:[s], s:o}}", "default", "enable", "tcl", "tcl", tcl);

        return set(ret, "modules", modules, err);
}

static int add_all(json_t *ret, const struct sf_spack_query *query, const struct sf_plan *plan,
                   struct sf_conf *toolchain, struct sf_error *err)
{
        json_t *list = json_object();
        int r;

        if ((r = set(ret, "specs", make_roots(plan), err)) < 0 ||
            (r = set(ret, "concretizer", json_pack("{s:b}", "unify", 1), err)) < 0 ||
            (r = set(ret, "packages", list, err)) < 0 ||
            (!query->external && (r = add_target(list, query, toolchain, err)) < 0) ||
            (r = add_packages(list, query, plan, err)) < 0)
                return r;
        if (query->mirrors->count && (r = add_mirrors(ret, query->mirrors, err)) < 0)
                return r;
        if (!query->external && ((r = add_config(ret, toolchain, err)) < 0 || (r = add_modules(ret, err)) < 0))
                return r;
        return set(ret, "view", json_boolean(!query->external), err);
}

static int load_toolchain(const struct sf_spack_query *query, struct sf_conf *ret, struct sf_error *err)
{
        _cleanup_free_ char *directory = sf_fs_join(query->data, "toolchains");
        _cleanup_free_ char *path = sf_format("%s/toolchains/%s.ini", query->data, query->toolchain);
        int r;

        if (!directory || !path)
                return no_memory(err);
        if ((r = sf_toolchain_load_conf(directory, query->toolchain, ret, err)) < 0)
                return r;
        return sf_fs_exists(path)
                       ? 0
                       : sf_error_set(err, SF_ERR_USAGE, "there is no toolchain %s: no %s", query->toolchain, path);
}

static int note_heading(const struct sf_spack_query *query, const struct sf_plan *plan, struct sf_conf *toolchain,
                        struct sf_buffer *notes, struct sf_error *err)
{
        const char *compiler = sf_conf_get(toolchain, "expect", "compiler");
        const char *libc = sf_conf_get(toolchain, "expect", "libc");

        return sf_buffer_printf(notes, err, "Slurm %s for %s (%s, %s), %s.\n", plan->version, query->toolchain,
                                compiler ? compiler : "any compiler", libc ? libc : "any C library",
                                query->external ? "as external packages" : "from source");
}

/* Spack refuses a version that its recipe does not list. The line to be added, where the archive is the one that Spack
 * fetches: GitHub's of the tag. */
static int note_version(const struct sf_recipe *slurm, struct sf_buffer *notes, struct sf_error *err)
{
        _cleanup_(sf_buffer_free) struct sf_buffer version = SF_BUFFER_INIT;
        char hex[SF_DIGEST_HEX + 1];
        int r = append_version(slurm, &version, err);

        for (size_t i = 0; i < slurm->source_count && r == 0; i++)
                for (size_t k = 0; k < slurm->sources[i].urls.count && r == 0; k++)
                        if (strstr(slurm->sources[i].urls.items[k], "/archive/refs/tags/"))
                                r = sf_buffer_printf(notes, err,
                                                     "Where Spack does not know this version, \"spack edit slurm\" and "
                                                     "add:\n    version(\"%s\", sha256=\"%s\")\n",
                                                     sf_buffer_text(&version),
                                                     sf_digest_hex(&slurm->sources[i].digest, hex));
        return r;
}

/* What the release has and Spack's Slurm has not. */
static int note_missing(const struct sf_plan *plan, struct sf_buffer *notes, struct sf_error *err)
{
        const struct sf_recipe *slurm = &sf_plan_find(plan, "slurm")->recipe;
        int r = 0;

        for (size_t i = 0; i < plan->count && r == 0; i++)
                if (!find_package(plan->layers[i].recipe.name))
                        r = sf_buffer_printf(notes, err,
                                             "Spack's recipe of Slurm does not use %s; the release has %s.\n",
                                             plan->layers[i].recipe.name, plan->layers[i].recipe.version);
        if (r == 0 && find_word(slurm, "*contribs*"))
                r = sf_buffer_puts(notes,
                                   "Of contribs/ it builds pmi2 only: no pam_slurm_adopt, nss_slurm, Perl API, seff.\n",
                                   err);
        return r == 0 ? note_version(slurm, notes, err) : r;
}

static int check_external(const char *place, struct sf_error *err)
{
        if (*place != '/' || strspn(place, "/") == strlen(place))
                return sf_error_set(err, SF_ERR_USAGE,
                                    "--external %s: the absolute path of a release is needed, e.g. /opt/slurm/view",
                                    place);
        return check_place("--external", place, err);
}

int sf_spack_environment(const struct sf_spack_query *query, json_t **ret, struct sf_buffer *ret_notes,
                         struct sf_error *err)
{
        _cleanup_(sf_conf_free) struct sf_conf toolchain = SF_CONF_INIT;
        _cleanup_(sf_plan_free) struct sf_plan plan = { .data = query->data, .profile = query->profile };
        _cleanup_json_ json_t *spack = json_object();
        int r;

        if ((query->external && (r = check_external(query->external, err)) < 0) ||
            (r = load_toolchain(query, &toolchain, err)) < 0 || (r = sf_plan_slurm(&plan, query->version, err)) < 0 ||
            (r = add_all(spack, query, &plan, &toolchain, err)) < 0 ||
            (r = note_heading(query, &plan, &toolchain, ret_notes, err)) < 0 ||
            (!query->external && (r = note_missing(&plan, ret_notes, err)) < 0))
                return r;
        return (*ret = json_pack("{s:O}", "spack", spack)) ? 0 : no_memory(err);
}
