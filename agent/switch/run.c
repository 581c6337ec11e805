/* SPDX-License-Identifier: Apache-2.0 */
/* agent/switch/run.c - see run.h. */
#include "agent/switch/run.h"

#include <stdio.h>
#include <string.h>

#include "agent/switch/handover.h"
#include "base/clock.h"
#include "base/log.h"

/* Which release view points to, and which runs, are told by directory; "" for none. */
json_t *sf_switch_run_pack(const struct sf_switch_run *run)
{
        const struct sf_report *report = &run->report;
        const struct sf_slurm_controller *controller = &run->live.controller;

        return json_pack("{s:i, s:s, s:s, s:s, s:b, s:s, s:s, s:s, s:I, s:I, s:s, s:I}", "version", SF_HANDOVER_VERSION,
                         "view", run->view, "from", run->from.directory, "to", run->to.directory, "ran", run->ran,
                         "from_name", report->from, "to_name", report->to, "still", report->still, "bytes_fetched",
                         (json_int_t)report->bytes_fetched, "started_us", (json_int_t)(report->started * 1e6),
                         "slurmctld", controller->version, "slurmd_timeout", (json_int_t)controller->slurmd_timeout);
}

static int find(const struct sf_switch_run *run, const char *directory, struct sf_store_release *ret,
                struct sf_error *err)
{
        *ret = (struct sf_store_release){ 0 };
        return *directory ? sf_store_find(&run->store, directory, ret, err) : 0;
}

int sf_switch_run_unpack(struct sf_switch_run *run, const json_t *letter, struct sf_error *err)
{
        const char *view, *from, *to, *from_name, *to_name, *still, *controller;
        json_int_t bytes, timeout, started;
        int version, ran;

        if (json_unpack((json_t *)(uintptr_t)letter, "{s:i, s:s, s:s, s:s, s:b, s:s, s:s, s:s, s:I, s:I, s:s, s:I}",
                        "version", &version, "view", &view, "from", &from, "to", &to, "ran", &ran, "from_name",
                        &from_name, "to_name", &to_name, "still", &still, "bytes_fetched", &bytes, "started_us",
                        &started, "slurmctld", &controller, "slurmd_timeout", &timeout) < 0 ||
            version != SF_HANDOVER_VERSION)
                return sf_error_set(err, SF_ERR_UNSUPPORTED, "the letter of the first half is another agent's");
        snprintf(run->view, sizeof run->view, "%s", view);
        snprintf(run->report.from, sizeof run->report.from, "%s", from_name);
        snprintf(run->report.to, sizeof run->report.to, "%s", to_name);
        snprintf(run->report.still, sizeof run->report.still, "%s", still);
        snprintf(run->live.controller.version, sizeof run->live.controller.version, "%s", controller);
        run->live.controller.slurmd_timeout = (uint64_t)timeout;
        run->report.bytes_fetched = (uint64_t)bytes;
        run->report.started = (double)started / 1e6;
        run->ran = ran != 0;
        int r = find(run, from, &run->from, err);
        return r < 0 ? r : find(run, to, &run->to, err);
}

bool sf_switch_run_is_settled(const struct sf_switch_run *run)
{
        /* A slurmd of another origin is for the preflight to judge. */
        for (size_t i = 0; run->what->restart && i < run->live.units.count; i++)
                if (run->live.units.items[i].running &&
                    sf_adoption_concerns(&run->live.units.items[i], run->store.prefix) && !*run->to.origin)
                        return false;
        return strcmp(run->view, run->to.directory) == 0 &&
               !(run->what->restart && sf_node_switch_runs_elsewhere(&run->live, run->to.directory));
}

void sf_switch_run_summarize(const struct sf_switch_run *run, char *out, size_t room)
{
        char fetched[32], away[64] = "";

        sf_log_size(run->report.bytes_fetched, fetched);
        if (run->report.downtime >= 0)
                snprintf(away, sizeof away, "; slurmd was away for %.3f s", run->report.downtime);
        if (run->config->init.wanted && run->live.bus && !run->live.slurmd.main_pid)
                snprintf(away, sizeof away, "; 'systemctl start slurmd' starts it");
        if (run->report.result == SF_RESULT_UNCHANGED)
                snprintf(out, room, "%s is %s already: nothing to do", run->report.to,
                         run->what->flip ? "active" : "installed");
        else if (!run->what->flip)
                snprintf(out, room, "%s installed in %.1f s, %s fetched; 'sf-node activate %s' makes it the active one",
                         run->report.to, sf_clock_seconds() - run->report.started, fetched, run->report.to);
        else
                snprintf(out, room, "%s is active, %s fetched%s; %s/view/bin/scontrol is it", run->report.to, fetched,
                         run->what->restart && run->live.bus && run->report.downtime < 0 && !run->live.slurmd.main_pid
                                 ? "; slurmd did not run and is left so"
                                 : away,
                         run->store.prefix);
}
