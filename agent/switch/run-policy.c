/* SPDX-License-Identifier: Apache-2.0 */
/* agent/switch/run-policy.c - a switch and the site's policy (agent/node/policy.h). See run.h. */
#include <string.h>
#include <time.h>

#include "agent/switch/run.h"
#include "base/log.h"

int sf_switch_run_ask_policy(struct sf_switch_run *run, const char **wanted)
{
        const struct sf_switch *what = run->what;
        const struct sf_conf_entry *rule = sf_policy_wants(&run->config->policy);

        if (!rule || what->back || run->config->ignore_hold)
                return 0;
        if (!what->flip)
                sf_log_info("%s = %s (%s:%d) is for what becomes active: staging is free", rule->key, rule->value,
                            rule->file, rule->line);
        if (!what->flip || *wanted)
                return 0;
        *wanted = rule->value;
        if (rule != run->config->policy.hold || what->adopt || !*run->from.directory ||
            sf_policy_forbids(&run->config->policy, run->from.name.text, run->from.name.version))
                return 0;
        run->to = run->from;
        run->unchanged = sf_switch_run_is_settled(run);
        if (run->unchanged && !run->config->dry_run)
                run->report.details = json_pack("{s:{s:s,s:o,s:o,s:i}}", "policy", "rule", rule->key, "value",
                                                sf_json_text(rule->value), "file", sf_json_text(rule->file), "line",
                                                rule->line);
        if (run->unchanged)
                sf_log_info("%s = %s (%s:%d) keeps this node where it is (--ignore-hold goes on)", rule->key,
                            rule->value, rule->file, rule->line);
        return run->unchanged;
}

int sf_switch_run_judge(const struct sf_switch_run *run, const struct sf_release_name *name, struct sf_error *err)
{
        const struct sf_conf_entry *rule = sf_policy_forbids(&run->config->policy, name->text, name->version);

        if (!rule || !run->what->flip || run->what->back || run->config->ignore_hold)
                return 0;
        return sf_error_set(err, SF_ERR_USAGE, "%s = %s (%s:%d) does not allow it (--ignore-hold does)", rule->key,
                            rule->value, rule->file, rule->line);
}

/* A node that has nothing yet has nothing to disturb. */
int sf_switch_run_window(const struct sf_switch_run *run, struct sf_error *err)
{
        const struct sf_policy *policy = &run->config->policy;
        struct sf_error why = SF_ERROR_INIT;
        time_t now = time(NULL);
        struct tm local;

        if (!run->what->flip || run->what->back || run->unchanged || run->config->ignore_window ||
            (!*run->view && !run->ran) || sf_policy_open(policy, localtime_r(&now, &local)))
                return 0;
        const struct sf_conf_entry *rule = policy->windows[0].entry;
        int r = sf_error_set(
                &why, SF_ERR_USAGE,
                "not at this time: window = %s (%s:%d)%s; 'sf-node stage' is free, --ignore-window switches",
                rule->value, rule->file, rule->line, policy->window_count > 1 ? " and others" : "");
        if (run->config->dry_run) {
                sf_log_warning("%s", why.text);
                return 0;
        }
        if (err)
                *err = why;
        return r;
}
