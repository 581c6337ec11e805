/* SPDX-License-Identifier: Apache-2.0 */
/* factory/main.c - slurm-factory: builds Slurm from source and publishes signed releases as static files.
 *
 * The table of verbs, the settings they share, and what an exit code means. Each verb lives in a command-*.c.
 */
#include <stdlib.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/digest.h"
#include "base/fs.h"
#include "base/log.h"
#include "base/output.h"
#include "base/parallel.h"
#include "base/program.h"
#include "factory/commands/command.h"

#define CONFIG_FILE "/etc/slurm-factory.conf"

enum { EXIT_DONE = 0, EXIT_FOUND = 1, EXIT_USAGE = 2, EXIT_FAILED = 3 };

static const struct sf_option options[] = {
        { "config", 'c', "FILE", "configuration instead of " CONFIG_FILE, false, NULL },
        { "cache", 0, "DIR", "cache instead of $SLURM_FACTORY_CACHE_DIR or ~/.slurm-factory", false, NULL },
        { "data", 0, "DIR", "recipes and toolchains instead of the installed ones", false, NULL },
        { "json", 0, NULL, "print one JSON object about the result", false, NULL },
        { "quiet", 'q', NULL, "say nothing but errors", false, NULL },
        { "verbose", 'v', NULL, "say more", false, NULL },
        { "toolchain", 't', "T", "what to build for, e.g. bookworm; default: this host", false, NULL },
        { "slurm-version", 0, "V", "Slurm release to build, e.g. 24.11.5", false, NULL },
        { "mirror", 'm', "DIR_OR_URL", "look here for source files first; may be repeated", true, NULL },
        { "jobs", 'j', "N", "compile N files at once; default: the number of processors", false, NULL },
        { "profile", 0, "P", "another selection than full: compute, login, control, minimal, extra", false, NULL },
        { "gpu", 0, NULL, "with gpu/nvml, for which a site's options/nvml.ini says where NVIDIA's header is", false,
          NULL },
        { "check", 0, NULL, "build twice, under different conditions, and compare", false, NULL },
        { "check-only", 0, "PACKAGE", "as --check, build only this package again; may be repeated", true, NULL },
        { "dry-run", 'n', NULL, "only say what would be done, and why", false, NULL },
        { "buildcache", 0, "URL", "use built layers of this repository (see trust); may be repeated", true, NULL },
        { "no-buildcache", 0, NULL, "build what the local cache lacks, fetch no layers", false, NULL },
        { "local-cache", 0, "DIR", "use layers of another cache directory too", false, NULL },
        { "layers", 0, NULL, "also put the release's layers into the build cache; without RELEASE: all built layers",
          false, NULL },
        { "tarball", 0, NULL, "also put tar files of the releases into the repository (see export)", false, "publish" },
        { "registry", 0, "docker://HOST/NAME",
          "publish: also send releases to this OCI registry; prune: delete there too", false, NULL },
        { "keep-going", 0, NULL, "after a failure build what does not depend on it", false, NULL },
        { "from", 0, "WHAT", "make the root from a directory, a tarball, or an image as skopeo names it", false, NULL },
        { "no-packages", 0, NULL, "install nothing into the root", false, NULL },
        { "repo", 'r', "DIR_OR_URL", "the repository to publish into: a directory or s3://BUCKET/PREFIX", false, NULL },
        { "endpoint", 0, "URL", "of an S3 store that is not Amazon's", false, NULL },
        { "keys", 'k', "DIR", "directory of private keys; may be repeated", true, NULL },
        { "offline-keys", 0, "DIR", "keep root's and targets' keys here instead", false, NULL },
        { "root-keys", 0, "N", "number of root keys, default 1", false, NULL },
        { "root-threshold", 0, "M", "signatures a root needs, default 1", false, NULL },
        { "retire", 0, "KEYID", "the key to take out; default: the role's only one", false, NULL },
        { "new-key", 0, "FILE_OR_URI", "use this key instead of making one", false, NULL },
        { "placeholder", 'p', "PATH", "a prefix that the tree was built for; may be repeated; default: Spack's", true,
          NULL },
        { "tarball", 0, "URL_OR_FILE", "import this published slurm-...-software.tar.gz, signed beside it (.asc)",
          false, "import" },
        { "keyring", 0, "FILE", "OpenPGP public keys, one of which signed the tarball", false, NULL },
        { "fingerprint", 0, "HEX", "the full fingerprint of the key that must have signed it", false, NULL },
        { "exclude", 0, "PATTERN", "leave out what matches; may be repeated", true, NULL },
        { "static", 0, "keep|strip|drop", "what becomes of static libraries; default: keep", false, NULL },
        { "layer", 0, "NAME=DIR", "another layer, below the one of Slurm; may be repeated", true, NULL },
        { "arch", 0, "A", "the architecture, by default this host's; matrix: only this one", false, NULL },
        { "qemu", 0, "FILE", "emulator for --arch, instead of qemu-aarch64-static or the like in PATH", false, NULL },
        { "needs-agent", 0, "V", "sf-node older than this refuses the release", false, NULL },
        { "build", 0, "B", "tells builds of one version apart", false, NULL },
        { "force", 0, NULL,
          "import: a short placeholder, what the lint finds; publish, publish-agent: other content under a known name; "
          "trust: another root than before",
          false, NULL },
        { "delta-from", 0, "RELEASE", "make a delta from this published release; may be repeated", true, NULL },
        { "output", 'o', "FILE", "write the delta, or what is exported, here", false, NULL },
        { "format", 0, "F", "what to export: tar.gz (default), tar.zst or oci", false, NULL },
        { "base", 0, "ROOT_OR_IMAGE", "oci: the system below the release: a directory, a tar file, an image", false,
          NULL },
        { "gpg-key", 0, "KEY", "sign tar files, and images in a registry, with this key of gpg", false, NULL },
        { "external", 0, "VIEW", "use the release that is installed there, e.g. /opt/slurm/view", false, NULL },
        { "reason", 0, "TEXT", "what nodes are told about the withdrawal", false, NULL },
        { "undo", 0, NULL, "offer the withdrawn release again", false, NULL },
        { "keep", 0, "N", "of each series keep the newest N releases; default: all", false, NULL },
        { "grace-days", 0, "D", "keep files D days longer than metadata that names them is valid; default 1", false,
          NULL },
        { "all", 0, NULL, "also what has only a recipe so far", false, NULL },
        { "missing", 0, NULL, "only what matrix.ini selects and is neither built nor published", false, NULL },
        { "plan", 0, NULL, "the commands that build what is missing, or with --all the whole selection", false, NULL },
        { "full", 0, NULL, "also drop downloaded sources, releases and logs", false, NULL },
        { NULL, 0, NULL, NULL, false, NULL },
};

static const char *const global_options[] = { "config", "cache", "data", "json", "quiet", "verbose", NULL };
static const char *const build_deps_options[] = { "toolchain",  "arch",          "qemu",        "profile",
                                                  "mirror",     "jobs",          "keep-going",  "dry-run",
                                                  "buildcache", "no-buildcache", "local-cache", NULL };
static const char *const build_slurm_options[] = { "slurm-version", "toolchain", "arch",       "qemu",
                                                   "profile",       "gpu",       "mirror",     "jobs",
                                                   "keep-going",    "dry-run",   "buildcache", "no-buildcache",
                                                   "local-cache",   "check",     "check-only", NULL };
static const char *const mirror_options[] = { "slurm-version", "profile", "mirror", NULL };
static const char *const trust_options[] = { "force", NULL };
static const char *const root_options[] = { "from", "arch", "qemu", "no-packages", NULL };
static const char *const keys_options[] = { "repo",   "endpoint", "keys", "offline-keys", "root-keys", "root-threshold",
                                            "retire", "new-key",  NULL };
static const char *const refresh_options[] = { "repo", "endpoint", "keys", "offline-keys", NULL };
static const char *const import_options[] = { "placeholder", "slurm-version", "toolchain",   "layer",  "exclude",
                                              "tarball",     "keyring",       "fingerprint", "static", "arch",
                                              "build",       "needs-agent",   "force",       NULL };
static const char *const publish_options[] = { "repo",     "endpoint", "keys",  "delta-from", "layers", "tarball",
                                               "registry", "gpg-key",  "force", "dry-run",    NULL };
static const char *const publish_agent_options[] = { "repo", "endpoint", "keys", "offline-keys", "force", NULL };
static const char *const delta_options[] = { "output", NULL };
static const char *const export_options[] = { "format", "base", "output", "gpg-key", NULL };
static const char *const withdraw_options[] = { "repo", "endpoint", "keys", "reason", "undo", NULL };
static const char *const waves_options[] = { "repo", "endpoint", "keys", NULL };
static const char *const prune_options[] = { "repo",     "endpoint", "keys",    "keep", "grace-days",
                                             "registry", "gpg-key",  "dry-run", NULL };
static const char *const matrix_options[] = { "all",           "missing",   "plan", "repo",
                                              "slurm-version", "toolchain", "arch", NULL };
static const char *const advisories_options[] = { "repo", "endpoint", NULL };
static const char *const spack_options[] = {
        "slurm-version", "toolchain", "arch", "profile", "external", "mirror", NULL
};
static const char *const clean_options[] = { "full", NULL };

static int exit_code(int code)
{
        if (code >= 0)
                return code == SF_COMMAND_FOUND ? EXIT_FOUND : EXIT_DONE;
        return code == SF_ERR_USAGE ? EXIT_USAGE : EXIT_FAILED;
}

static void print_json(json_t *result, int code, const struct sf_error *err, double seconds)
{
        json_object_set_new(result, "result", sf_json_text(code < 0 ? "failed" : "ok"));
        json_object_set_new(result, "seconds", json_integer((json_int_t)(seconds + 0.5)));
        if (code < 0) {
                json_object_set_new(result, "class", sf_json_text(sf_error_class(code)));
                json_object_set_new(result, "error", sf_json_text(err->text));
        }
        sf_output_json(result);
}

static int run_command(const struct sf_factory *factory, const struct sf_command_line *line, sf_command_fn *command)
{
        struct sf_error err = SF_ERROR_INIT;
        _cleanup_json_ json_t *result = json_object();

        json_object_set_new(result, "verb", json_string(line->verb->name));
        double start = sf_clock_seconds();
        int r = command(factory, line, result, &err);
        if (r < 0)
                sf_log_error("%s: %s", line->verb->name, err.text);
        if (sf_output_is_json())
                print_json(result, r, &err, sf_clock_seconds() - start);
        return exit_code(r);
}

#define VERB(function)                                                           \
        static int run_##function(void *ctx, const struct sf_command_line *line) \
        {                                                                        \
                return run_command(ctx, line, sf_command_##function);            \
        }
VERB(build_deps)
VERB(build_slurm)
VERB(trust)
VERB(root)
VERB(mirror)
VERB(import)
VERB(publish)
VERB(publish_agent)
VERB(withdraw)
VERB(waves)
VERB(delta)
VERB(export)
VERB(keys)
VERB(refresh)
VERB(prune)
VERB(matrix)
VERB(advisories)
VERB(sbom)
VERB(spack_yaml)
VERB(clean)

static const struct sf_verb verbs[] = {
        { "build-deps", "", "build every dependency of Slurm from source", 0, 0, build_deps_options, run_build_deps },
        { "build-slurm", "", "build Slurm and make a release", 0, 0, build_slurm_options, run_build_slurm },
        { "trust", "ROOT.json", "trust the build cache of a repository", 1, 1, trust_options, run_trust },
        { "root", "TOOLCHAIN", "make the root of another distribution, to build in", 1, 1, root_options, run_root },
        { "mirror", "create DIR", "collect the sources of a release, for building offline", 2, 2, mirror_options,
          run_mirror },
        { "import", "[DIR]", "make a release of a prefix that something else built", 0, 1, import_options, run_import },
        { "publish", "[RELEASE...]", "add releases to a repository", 0, SIZE_MAX, publish_options, run_publish },
        { "publish-agent", "FILE...", "add the agent itself, one file per architecture, and its script for new nodes",
          1, SIZE_MAX, publish_agent_options, run_publish_agent },
        { "advisories", "FILE", "what published releases contain that advisories (OSV) are about; exit code 1 if any",
          1, 1, advisories_options, run_advisories },
        { "sbom", "RELEASE", "print the bill of materials of a release that was built", 1, 1, NULL, run_sbom },
        { "delta", "FROM TO", "make one delta and show what each method costs", 2, 2, delta_options, run_delta },
        { "export", "RELEASE", "write a release as a tar file or an image, for use without sf-node", 1, 1,
          export_options, run_export },
        { "withdraw", "RELEASE", "take a release off the offer, or correct the reason", 1, 1, withdraw_options,
          run_withdraw },
        { "waves", "RELEASE PERCENT", "offer a release to so many of a hundred nodes", 2, 2, waves_options, run_waves },
        { "prune", "[RELEASE...]", "take old releases off the offer, delete what no reader may still fetch", 0,
          SIZE_MAX, prune_options, run_prune },
        { "keys", "init|add ROLE|rotate ROLE|show", "make, replace or list the keys that sign", 1, 2, keys_options,
          run_keys },
        { "refresh", "", "sign the timestamp and what is about to expire anew, warn of the rest", 0, 0, refresh_options,
          run_refresh },
        { "matrix", "", "list releases and how far they have come", 0, 0, matrix_options, run_matrix },
        { "spack-yaml", "", "print a Spack environment that builds the same, or that uses an installed release", 0, 0,
          spack_options, run_spack_yaml },
        { "clean", "", "drop built layers from the cache", 0, 0, clean_options, run_clean },
        { NULL, NULL, NULL, 0, 0, NULL, NULL },
};

static const struct sf_program program = {
        .name = "slurm-factory",
        .summary = "builds Slurm from source and publishes signed releases as static files",
        .version = SF_VERSION,
        .options = options,
        .global_options = global_options,
        .verbs = verbs,
};

/* --- settings -------------------------------------------------------------------------------------------------- */

static int add_all(struct sf_conf *conf, const char *section, const char *key, struct sf_words *words,
                   struct sf_error *err)
{
        const struct sf_conf_entry *entry = NULL;
        int r = 0;

        while (r == 0 && (entry = sf_conf_next(conf, section, key, entry)))
                r = sf_words_append(words, entry->value, err);
        return r;
}

static int load_config(struct sf_factory *f, const char *path, struct sf_error *err)
{
        uint64_t jobs = 0;
        int r;

        if ((path || sf_fs_exists(CONFIG_FILE)) && (r = sf_conf_load(&f->conf, path ? path : CONFIG_FILE, err)) < 0)
                return r;
        f->cache = sf_conf_get(&f->conf, "factory", "cache");
        f->data = sf_conf_get(&f->conf, "factory", "data");
        f->toolchain = sf_conf_get(&f->conf, "factory", "toolchain");
        f->registry = sf_conf_get(&f->conf, "factory", "registry");
        f->qemu = sf_conf_get(&f->conf, "factory", "qemu");
        f->repository = sf_conf_get(&f->conf, "repository", "directory");
        f->endpoint = sf_conf_get(&f->conf, "repository", "endpoint");
        f->gpg_key = sf_conf_get(&f->conf, "export", "gpg-key");
        f->offline_keys = sf_conf_get(&f->conf, "repository", "offline-keys");
        if ((r = sf_conf_get_u64(&f->conf, "factory", "jobs", 4096, &jobs, err)) < 0)
                return r;
        f->jobs = (unsigned)jobs;
        return 0;
}

static int parse_jobs(const char *text, unsigned *ret, struct sf_error *err)
{
        char *end;
        unsigned long value = strtoul(text, &end, 10);

        if (end == text || *end || value < 1 || value > 4096)
                return sf_error_set(err, SF_ERR_USAGE, "--jobs %s: a number from 1 to 4096 expected", text);
        *ret = (unsigned)value;
        return 0;
}

/* Single values: options win. Lists: the command line's come first, then the configuration's. */
static int apply_options(struct sf_factory *f, const struct sf_command_line *line, struct sf_error *err)
{
        const struct {
                const char *name, **value;
        } words[] = {
                { "cache", &f->cache },     { "data", &f->data },         { "toolchain", &f->toolchain },
                { "repo", &f->repository }, { "endpoint", &f->endpoint }, { "offline-keys", &f->offline_keys },
                { "gpg-key", &f->gpg_key }, { "qemu", &f->qemu },
        };
        const struct {
                const char *option, *section, *key;
                struct sf_words *values;
        } lists[] = {
                { "mirror", "mirror", "url", &f->mirrors },
                { "buildcache", "buildcache", "url", &f->buildcaches },
                { "keys", "repository", "keys", &f->keys },
        };
        const char *value;
        int r;

        for (size_t i = 0; i < sizeof words / sizeof *words; i++)
                if ((value = sf_option_get(line, words[i].name)))
                        *words[i].value = value;
        for (size_t i = 0; i < sizeof lists / sizeof *lists; i++) {
                if ((r = sf_option_collect(line, lists[i].option, lists[i].values, err)) < 0 ||
                    (r = add_all(&f->conf, lists[i].section, lists[i].key, lists[i].values, err)) < 0)
                        return r;
        }
        if ((f->offline_keys && (r = sf_words_append(&f->keys, f->offline_keys, err)) < 0) ||
            (r = sf_conf_check_used(&f->conf, err)) < 0)
                return r;
        if ((value = sf_option_get(line, "jobs")) && (r = parse_jobs(value, &f->jobs, err)) < 0)
                return r;
        if (f->jobs == 0)
                f->jobs = sf_parallel_processors();
        if (!f->data)
                f->data = SF_DATADIR;
        return 0;
}

static int load(void *ctx, const struct sf_command_line *line, struct sf_error *err)
{
        int r = load_config(ctx, sf_option_get(line, "config"), err);

        if (r == 0)
                r = apply_options(ctx, line, err);
        return r < 0 ? r : sf_digest_ready(err);
}

static int refuse(const char *verb, bool loading, const struct sf_error *err)
{
        _cleanup_json_ json_t *result = json_object();

        sf_json_set_name(result, "verb", verb);
        sf_log_error("%s", err->text);
        print_json(result, err->code, err, 0);
        return loading ? EXIT_USAGE : exit_code(err->code);
}

static void factory_free(struct sf_factory *f)
{
        sf_words_free(&f->keys);
        sf_words_free(&f->mirrors);
        sf_words_free(&f->buildcaches);
        sf_conf_free(&f->conf);
}

int main(int argc, char **argv)
{
        static const struct sf_program_calls calls = { load, refuse };
        _cleanup_(factory_free) struct sf_factory factory = { .conf = SF_CONF_INIT };

        return sf_program_main(&program, &calls, &factory, argc, argv);
}
