/* SPDX-License-Identifier: Apache-2.0 */
/* agent/node/step.c - see step.h. */
#include "agent/node/step.h"

#include <string.h>

static const char *const steps[SF_STEP_COUNT] = {
        [SF_STEP_NONE] = "",
        [SF_STEP_CONFIGURATION] = "configuration",
        [SF_STEP_PLAN] = "plan",
        [SF_STEP_FETCH] = "fetch",
        [SF_STEP_VERIFY] = "verify",
        [SF_STEP_UNPACK] = "unpack",
        [SF_STEP_RELOCATE] = "relocate",
        [SF_STEP_PREFLIGHT] = "preflight",
        [SF_STEP_INIT] = "init",
        [SF_STEP_DRAIN] = "drain",
        [SF_STEP_QUIET] = "quiet",
        [SF_STEP_ACTIVATE] = "activate",
        [SF_STEP_RESTART] = "restart",
        [SF_STEP_HEALTH] = "health",
        [SF_STEP_DONE] = "done",
        [SF_STEP_REPAIR] = "repair",
        [SF_STEP_DOCTOR] = "doctor",
        [SF_STEP_GC] = "gc",
        [SF_STEP_RECOVER] = "recover",
};

static const char *const results[SF_RESULT_COUNT] = {
        [SF_RESULT_NONE] = "",
        [SF_RESULT_DONE] = "done",
        [SF_RESULT_UNCHANGED] = "unchanged",
        [SF_RESULT_USAGE] = "usage",
        [SF_RESULT_FAILED] = "failed",
        [SF_RESULT_RETURNED] = "returned",
        [SF_RESULT_NEEDS_HUMAN] = "needs-human",
        [SF_RESULT_FINISHED] = "finished",
        [SF_RESULT_UNDONE] = "undone",
};

static unsigned find(const char *const *names, unsigned count, const char *name)
{
        unsigned i = 0;

        while (i < count && strcmp(names[i], name) != 0)
                i++;
        return i;
}

const char *sf_step_name(enum sf_step step)
{
        return step < SF_STEP_COUNT ? steps[step] : "";
}

const char *sf_result_name(enum sf_result result)
{
        return result < SF_RESULT_COUNT ? results[result] : "";
}

enum sf_step sf_step_parse(const char *name)
{
        return (enum sf_step)find(steps, SF_STEP_COUNT, name);
}

enum sf_result sf_result_parse(const char *name)
{
        return (enum sf_result)find(results, SF_RESULT_COUNT, name);
}
