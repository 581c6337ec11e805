/* SPDX-License-Identifier: Apache-2.0 */
/* agent/node/stop_limit.c - see stop_limit.h. */
#include "agent/node/stop_limit.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/fs.h"
#include "release/version.h"

#define PLACE    "/run/systemd/system"
#define NAME     "zzzz-sf-node-stop.conf" /* systemd takes the last name's word */
#define SLACK    10                       /* seconds, for the rest of a stop */
#define LONGEST  3600                     /* where nobody has a limit */
#define CAUTIOUS 200                      /* where slurmctld's limit is not known: two thirds of its default of 300 */

static const char *const script_keys[] = { "Prolog", "Epilog", "PlugStackConfig" };

static uint64_t timeout_of(const struct sf_slurm_conf *conf, const char *key, uint64_t otherwise)
{
        const char *value = sf_slurm_conf_get(conf, key);

        return value && strcasecmp(value, "INFINITE") == 0 ? UINT64_MAX : sf_slurm_conf_number(conf, key, otherwise);
}

uint64_t sf_stop_limit_scripts(const struct sf_slurm_conf *conf, const char *version)
{
        uint64_t both = timeout_of(conf, "PrologEpilogTimeout", UINT64_MAX);
        bool any = false;

        for (size_t i = 0; i < sizeof script_keys / sizeof *script_keys; i++)
                any |= sf_slurm_conf_get(conf, script_keys[i]) != NULL;
        if (!any)
                return 0;
        if (*version && sf_version_compare_series(version, "25.05") < 0)
                return both;
        uint64_t prolog = timeout_of(conf, "PrologTimeout", both), epilog = timeout_of(conf, "EpilogTimeout", both);
        return prolog > epilog ? prolog : epilog;
}

uint64_t sf_stop_limit_choose(uint64_t scripts, uint64_t unit, uint64_t slurmd_timeout)
{
        uint64_t most = slurmd_timeout == UINT64_MAX ? CAUTIOUS : slurmd_timeout ? slurmd_timeout / 3 * 2 : LONGEST;
        uint64_t wanted = scripts < LONGEST ? scripts + SLACK : LONGEST;

        if (!scripts)
                return 0;
        if (most > LONGEST)
                most = LONGEST;
        if (wanted > most)
                wanted = most;
        return wanted > unit ? wanted : 0;
}

int sf_stop_limit_set(const char *root, const char *unit, uint64_t seconds, struct sf_error *err)
{
        _cleanup_free_ char *directory = sf_format("%s" PLACE "/%s.d", root, unit);
        _cleanup_free_ char *path = directory ? sf_fs_join(directory, NAME) : NULL;
        _cleanup_free_ char *text = sf_format(
                "# Written by sf-node for the time of a switch.\n[Service]\nTimeoutStopSec=%llu\n",
                (unsigned long long)seconds);

        if (!path || !text)
                return sf_error_set(err, SF_ERR_NOMEM, "no memory for a drop-in");
        if (!seconds) {
                if (unlink(path) < 0)
                        return errno == ENOENT ? 0 : sf_error_errno(err, "%s", path);
                rmdir(directory);
                return 1;
        }
        int r = sf_fs_mkdirs(directory, 0755, err);
        if (r == 0)
                r = sf_fs_write(path, text, strlen(text), 0644, err);
        return r < 0 ? r : 1;
}
