/* agent/install.c - the verb install: acquire a release and make it the active one. Services are upgrade's matter. */
#include "agent/verbs.h"

#include <stdio.h>
#include <string.h>

#include "agent/acquire.h"
#include "agent/lock.h"
#include "agent/plan.h"
#include "agent/report.h"
#include "agent/repository.h"
#include "agent/switch.h"
#include "base/cleanup.h"
#include "base/log.h"

static int check_withdrawn(const struct sf_config *config, const struct sf_repository *rp,
                           const struct sf_index_release *release, struct sf_error *err)
{
        const struct sf_withdrawal *w = sf_rollout_withdrawn(&rp->rollout, release->name.text);

        if (!w || config->force)
                return 0;
        return sf_error_set(err, SF_ERR_INCOMPATIBLE, "release %s was withdrawn%s%s (--force installs it all the same)",
                            release->name.text, *w->reason ? ": " : "", w->reason);
}

static void print_plan(const struct sf_plan *plan, bool activate)
{
        const char *names[] = { "delta", "ranges", "full" };
        const uint64_t bytes[] = { plan->delta_bytes, plan->ranges_bytes, plan->full_bytes };
        char size[32];

        printf("release   %s\n", plan->release->name.text);
        if (plan->way == SF_PLAN_NOTHING)
                printf("fetch     nothing: the release is on this disk\n");
        for (size_t i = 0; plan->way != SF_PLAN_NOTHING && i < 3; i++) {
                if (bytes[i] == SF_PLAN_IMPOSSIBLE)
                        printf("%-9s -\n", names[i]);
                else
                        printf("%-9s %llu bytes (%s)%s\n", names[i], (unsigned long long)bytes[i],
                               sf_log_size(bytes[i], size),
                               strcmp(names[i], sf_plan_way_name(plan->way)) == 0 ? "  <- chosen" : "");
        }
        printf("steps     %s%s\n", plan->way == SF_PLAN_NOTHING ? "" : "fetch, verify, unpack, relocate",
               !activate                      ? ""
               : plan->way == SF_PLAN_NOTHING ? "activate"
                                              : ", activate");
}

/* Everything between the open repository and the switch. */
static int install_release(const struct sf_config *config, struct sf_repository *rp, const struct sf_store *store,
                           const char *wanted, bool activate, struct sf_report *report, struct sf_error *err)
{
        const struct sf_index_release *release;
        struct sf_store_release installed;
        struct sf_plan plan;
        int r = sf_index_choose(&rp->index, wanted, &release, err);

        if (r < 0)
                return r;
        snprintf(report->to, sizeof report->to, "%s", release->name.text);
        r = check_withdrawn(config, rp, release, err);
        if (r < 0)
                return r;
        report->step = "fetch";
        r = sf_plan_make(config, rp, store, release, &plan, err);
        if (r < 0) {
                report->step = r == SF_ERR_NO_FIT ? "relocate" : r == SF_ERR_CORRUPT ? "verify" : "fetch";
                return r;
        }
        if (config->dry_run) {
                print_plan(&plan, activate);
                sf_plan_free(&plan);
                return 0;
        }
        report->result = plan.way == SF_PLAN_NOTHING ? "unchanged" : "done";
        r = sf_acquire_run(config, rp, store, &plan, report, err);
        sf_plan_free(&plan);
        if (r < 0 || !activate)
                return r;
        r = sf_store_choose(store, release->name.text, &installed, err);
        if (r < 0)
                return r;
        const char *so_far = report->result;
        r = sf_switch_to(config, store, &installed, report, err);
        if (r == 0 && strcmp(so_far, "done") == 0)
                report->result = so_far;
        return r;
}

static void summarize(const struct sf_report *report, bool activate, const struct sf_store *store, char *out,
                      size_t size)
{
        char fetched[32];

        if (strcmp(report->result, "unchanged") == 0)
                snprintf(out, size, "%s is installed%s already: nothing to do", report->to,
                         activate ? " and active" : "");
        else
                snprintf(out, size, "%s %s in %.1f s, %s fetched; %s/view/bin/scontrol is it", report->to,
                         activate ? "installed and active" : "installed", sf_report_clock() - report->started,
                         sf_log_size(report->bytes_fetched, fetched), store->prefix);
        if (!activate && strcmp(report->result, "unchanged") != 0)
                snprintf(out, size, "%s installed in %.1f s, %s fetched; 'sf-node activate %s' makes it the active one",
                         report->to, sf_report_clock() - report->started, sf_log_size(report->bytes_fetched, fetched),
                         report->to);
}

int sf_verb_install(const struct sf_config *config, const struct sf_command_line *line)
{
        bool activate = !sf_option_given(line, "no-activate");
        struct sf_error err = SF_ERROR_INIT;
        struct sf_repository rp = { 0 };
        struct sf_store store = { 0 };
        struct sf_report report;
        _cleanup_close_ int lock = -1;
        char summary[512];

        sf_report_start(&report, "install");
        snprintf(report.to, sizeof report.to, "%s", line->arguments[0]);
        int r = sf_store_open(config->root, config->prefix, &store, &err);
        if (r == 0) {
                sf_switch_note_active(&store, &report);
                r = lock = sf_lock_take(config->state, &err);
        }
        if (r >= 0)
                r = sf_repository_open(config, &rp, &err);
        if (r < 0)
                report.step = r == SF_ERR_NETWORK || r == SF_ERR_TIMEOUT ? "fetch"
                              : r == SF_ERR_BUSY                         ? "plan"
                                                                         : "verify";
        if (r >= 0)
                r = install_release(config, &rp, &store, line->arguments[0], activate, &report, &err);
        if (r >= 0) {
                report.step = "done";
                report.bytes_fetched = sf_repository_bytes(&rp);
                summarize(&report, activate, &store, summary, sizeof summary);
        }
        int code = r < 0 ? sf_report_failed(&report, config->json, 0, &err)
                         : sf_report_done(&report, config->json, config->dry_run ? NULL : summary);
        sf_repository_close(&rp);
        sf_store_close(&store);
        return code;
}
