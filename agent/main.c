/* SPDX-License-Identifier: Apache-2.0 */
/* agent/main.c - sf-node: the table of verbs, and what happens before each of them. */
#include <signal.h>
#include <sys/stat.h>

#include "agent/node/config.h"
#include "agent/node/report.h"
#include "agent/node/version.h"
#include "agent/verbs/verbs.h"
#include "base/program.h"

static const struct sf_option options[] = {
        { "config", 0, "FILE", "read this file instead of /etc/sf-node", false, NULL },
        { "repo", 0, "URL", "base of the repository: http://, https:// or file:///", true, NULL },
        { "root", 0, "DIR", "work on a tree that will be / elsewhere; no service is touched", false, NULL },
        { "prefix", 0, "DIR", "where Slurm lives (default /opt/slurm)", false, NULL },
        { "toolchain", 0, "T", "instead of the one of /etc/os-release", false, NULL },
        { "arch", 0, "A", "instead of this machine's: amd64, arm64", false, NULL },
        { "json", 0, NULL, "print one JSON object on one line", false, NULL },
        { "quiet", 'q', NULL, "only warnings and errors", false, NULL },
        { "verbose", 'v', NULL, "say more", false, NULL },
        { "names", 0, "WHICH", "names only: those \"offered\" when the metadata was verified last, or those \"here\"",
          false, NULL },
        { "all", 0, NULL, "list: withdrawn releases too; log: every switch on record", false, NULL },
        { "no-activate", 0, NULL, "stop before the switch", false, NULL },
        { "init", 0, NULL, "also make what a bare node or image lacks; nothing that exists is touched", false, NULL },
        { "conf-server", 0, "HOSTS", "with --init: slurmd has its configuration from HOST[:PORT][,...], or dns", false,
          NULL },
        { "with-munge", 0, NULL, "with --init: also the release's munge", false, NULL },
        { "with-pam", 0, NULL, "with --init: also pam_slurm_adopt", false, NULL },
        { "with-nss", 0, NULL, "with --init: also libnss_slurm", false, NULL },
        { "repair", 0, NULL, "fetch and replace what is broken", false, NULL },
        { "force", 0, NULL, "do what is refused otherwise (the message says when)", false, NULL },
        { "dry-run", 0, NULL, "only say what would be done, in bytes and steps", false, NULL },
        { "limit-rate", 0, "BYTES", "at most so many bytes per second (K, M, G accepted)", false, NULL },
        { "jitter", 0, "SECONDS", "wait a random time up to this first", false, NULL },
        { "fast", 0, NULL, "do not give way to running jobs while fetching and unpacking", false, NULL },
        { "drain", 0, NULL, "set the node to drain, wait for its jobs, resume it afterwards", false, NULL },
        { "drain-timeout", 0, "SECONDS", "give up when its jobs run longer than that", false, NULL },
        { "when-idle", 0, NULL, "wait until the node has no jobs, without draining it", false, NULL },
        { "no-restart", 0, NULL, "leave services alone", false, NULL },
        { "allow-downgrade", 0, NULL, "go back across a major release, at the risk of running steps", false, NULL },
        { "restore-state", 0, NULL,
          "on a controller, put back the copy of slurmctld's state and lose what happened since", false, NULL },
        { "ignore-hold", 0, NULL, "switch to what [policy] hold or series does not allow", false, NULL },
        { "ignore-window", 0, NULL, "switch outside of every [policy] window", false, NULL },
        { "ignore-waves", 0, NULL, "take a release whose wave has not reached this node", false, NULL },
        { "node-seed", 0, "N", "place this node in waves by this text instead of its name", false, NULL },
        { "keep", 0, "N", "keep the N newest releases as well", false, NULL },
        { "verify-only", 0, NULL, "only say whether this program is the repository's", false, NULL },
        { "self-test", 0, NULL, "only say whether this program can work on this node", false, NULL },
        { "boot", 0, NULL, "called before the services start", false, NULL },
        { 0 },
};

static const char *const global_options[] = { "config", "repo", "root",  "prefix",  "toolchain",
                                              "arch",   "json", "quiet", "verbose", NULL };
static const char *const list_options[] = { "all", "names", "limit-rate", "jitter", "node-seed", NULL };
static const char *const log_options[] = { "all", NULL };
static const char *const trust_options[] = { "force", NULL };
static const char *const install_options[] = { "no-activate",   "init",         "conf-server", "with-munge",
                                               "with-pam",      "with-nss",     "force",       "dry-run",
                                               "fast",          "limit-rate",   "jitter",      "ignore-hold",
                                               "ignore-window", "ignore-waves", "node-seed",   NULL };
static const char *const upgrade_options[] = { "force",         "dry-run",         "fast",          "drain",
                                               "drain-timeout", "when-idle",       "limit-rate",    "jitter",
                                               "no-restart",    "allow-downgrade", "restore-state", "ignore-hold",
                                               "ignore-window", "ignore-waves",    "node-seed",     NULL };
static const char *const stage_options[] = { "force",  "dry-run",      "fast",      "limit-rate",
                                             "jitter", "ignore-waves", "node-seed", NULL };
static const char *const switch_options[] = {
        "force",           "dry-run",       "drain",       "drain-timeout", "when-idle", "no-restart",
        "allow-downgrade", "restore-state", "ignore-hold", "ignore-window", NULL
};
static const char *const gc_options[] = { "keep", "dry-run", "force", NULL };
static const char *const self_update_options[] = { "verify-only", "self-test", "force", "dry-run",
                                                   "limit-rate",  "jitter",    NULL };
static const char *const recover_options[] = { "boot", NULL };
static const char *const verify_options[] = { "repair", "limit-rate", "jitter", NULL };

#define VERB(name)                                                           \
        static int run_##name(void *ctx, const struct sf_command_line *line) \
        {                                                                    \
                return sf_verb_##name(ctx, line);                            \
        }
VERB(trust)
VERB(list)
VERB(install)
VERB(upgrade)
VERB(adopt)
VERB(stage)
VERB(activate)
VERB(rollback)
VERB(status)
VERB(log)
VERB(verify)
VERB(doctor)
VERB(gc)
VERB(recover)
VERB(self_update)

static const struct sf_verb verbs[] = {
        { "trust", "ROOT.json", "pin the repository's TUF root", 1, 1, trust_options, run_trust },
        { "list", "", "releases on offer for this node", 0, 0, list_options, run_list },
        { "install", "VERSION", "download, verify, unpack, relocate and activate a release", 1, 1, install_options,
          run_install },
        { "upgrade", "[VERSION]", "the same from what is installed, with restart, health check and return", 0, 1,
          upgrade_options, run_upgrade },
        { "adopt", "[VERSION]", "upgrade from a slurmd that a package, Spack, EasyBuild or hands installed elsewhere",
          0, 1, upgrade_options, run_adopt },
        { "stage", "VERSION", "the first half of upgrade: bytes", 1, 1, stage_options, run_stage },
        { "activate", "RELEASE", "the second half: make an installed release the active one", 1, 1, switch_options,
          run_activate },
        { "rollback", "", "back to the release before", 0, 0, switch_options, run_rollback },
        { "status", "", "what is installed and active", 0, 0, NULL, run_status },
        { "log", "", "the last switches of this node, with their reasons", 0, 0, log_options, run_log },
        { "verify", "[RELEASE]", "every file against the signed list", 0, 1, verify_options, run_verify },
        { "doctor", "", "what would hurt Slurm on this node", 0, 0, NULL, run_doctor },
        { "gc", "", "remove releases that nothing uses", 0, 0, gc_options, run_gc },
        { "self-update", "", "replace this program by the one that the repository offers", 0, 0, self_update_options,
          run_self_update },
        { "recover", "", "finish or undo an interrupted switch (run at boot)", 0, 0, recover_options, run_recover },
        { 0 },
};

static const struct sf_verb_names names[] = { { "VERSION", "--names offered" }, { "RELEASE", "--names here" }, { 0 } };

static const struct sf_program program = {
        .name = "sf-node",
        .summary = "keeps Slurm on a node current",
        .version = SF_VERSION_TEXT,
        .options = options,
        .global_options = global_options,
        .verbs = verbs,
        .names = names,
};

static int load(void *ctx, const struct sf_command_line *line, struct sf_error *err)
{
        return sf_config_load(line, ctx, err);
}

int main(int argc, char **argv)
{
        static const struct sf_program_calls calls = { load, sf_report_refused };
        struct sf_config config = { 0 };

        umask(022);
        signal(SIGPIPE, SIG_IGN);
        int code = sf_program_main(&program, &calls, &config, argc, argv);
        sf_config_free(&config);
        return code;
}
