/* SPDX-License-Identifier: Apache-2.0 */
/* agent/switch/run-adopt.c - what a switch does besides where it takes over a slurmd that something else installed. See
 * run.h. */
#include <stdio.h>
#include <unistd.h>

#include "agent/switch/adoption.h"
#include "agent/switch/run.h"
#include "base/cleanup.h"
#include "base/log.h"

/* What was adopted lies elsewhere, and somebody may have removed it. */
int sf_switch_run_check_origin(const struct sf_switch_run *run, struct sf_error *err)
{
        _cleanup_free_ char *slurmd = sf_format("%s/%s/sbin/slurmd", run->store.releases, run->to.directory);

        if (!slurmd)
                return sf_error_set(err, SF_ERR_NOMEM, "no memory for a path");
        return !*run->to.origin || access(slurmd, X_OK) == 0
                       ? 0
                       : sf_error_set(err, SF_ERR_USAGE, "slurmd %s of %s is not there any more", run->to.name.version,
                                      run->to.origin);
}

/* Who asked for it: the verb adopt, or a rollback from the package to what had taken it over. */
int sf_switch_run_find_adoption(struct sf_switch_run *run, struct sf_error *err)
{
        const struct sf_switch *what = run->what;

        if (what->adopt && !run->live.bus)
                return sf_error_set(err, SF_ERR_USAGE, "adopt takes over a slurmd that systemd runs on this node");
        if (!what->adopt && !(what->back && *run->from.origin))
                return 0;
        int r = sf_adoption_find(&run->live.units, run->config->prefix, &run->adoption, err);
        if (r == 0 && what->adopt)
                r = sf_adoption_check_all(&run->adoption, &run->live.units, err);
        if (r < 0 || !run->adoption.units.count)
                return r;
        run->live.adoption = &run->adoption;
        if (*run->adoption.conf)
                run->live.own_config->slurm_conf = run->adoption.conf;
        r = sf_adoption_release(&run->adoption, &run->store, &run->from, err);
        snprintf(run->report.from, sizeof run->report.from, "%s", run->from.name.text);
        run->ran = run->adoption.pid != 0;
        return r;
}

/* What is taken over from elsewhere becomes a release of its own, too. */
int sf_switch_run_keep_origin(struct sf_switch_run *run, struct sf_error *err)
{
        if (!run->live.adoption || *run->from.directory)
                return 0;
        int r = sf_adoption_keep(run->live.adoption, &run->store, run->record.from, err);
        if (r == 0)
                r = sf_store_find(&run->store, run->record.from, &run->from, err);
        if (r < 0)
                return r;
        run->live.changed = true;
        sf_log_info("%s of %s is kept as release %s: sf-node rollback goes back to it", run->from.name.version,
                    run->from.origin, run->record.from);
        snprintf(run->record.home, sizeof run->record.home, "%s", run->record.from);
        return sf_transaction_write(run->config->record, &run->record, err);
}
