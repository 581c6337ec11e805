/* agent/switch.c - see switch.h. */
#include "agent/switch.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "agent/state.h"
#include "base/cleanup.h"
#include "base/fs.h"
#include "base/log.h"
#include "installer/activate.h"

int sf_switch_active(const struct sf_store *store, struct sf_store_release *ret, struct sf_error *err)
{
        _cleanup_free_ struct sf_store_release *all = NULL;
        char current[128];
        size_t count;
        int r = sf_activate_current(store, current, err);

        if (r < 0)
                return r;
        if (!*current)
                return sf_error_set(err, SF_ERR_NOT_FOUND, "no release is active");
        r = sf_store_list(store, &all, &count, err);
        for (size_t i = 0; r == 0 && i < count; i++) {
                if (strcmp(all[i].directory, current) == 0) {
                        *ret = all[i];
                        return 0;
                }
        }
        return r < 0 ? r
                     : sf_error_set(err, SF_ERR_NOT_FOUND, "%s/view points to %s, which is not a complete release",
                                    store->prefix, current);
}

void sf_switch_note_active(const struct sf_store *store, struct sf_report *report)
{
        struct sf_store_release active;

        report->from[0] = report->still[0] = '\0';
        if (sf_switch_active(store, &active, NULL) < 0)
                return;
        snprintf(report->from, sizeof report->from, "%s", active.name.text);
        snprintf(report->still, sizeof report->still, "%s", active.name.text);
}

/* A directory at view, made by hand before us, is kept as a release of its own. */
static int adopt(const struct sf_store *store, char current[128], struct sf_error *err)
{
        char date[16];
        time_t now = time(NULL);
        struct tm utc;

        strftime(date, sizeof date, "%Y%m%d", gmtime_r(&now, &utc));
        int r = sf_activate_adopt(store, date, current, err);
        if (r == 0)
                sf_log_info("kept the directory %s/view as release %s", store->prefix, current);
        return r;
}

int sf_switch_to(const struct sf_config *config, const struct sf_store *store, const struct sf_store_release *release,
                 struct sf_report *report, struct sf_error *err)
{
        char current[128] = "";
        struct sf_state state;

        report->step = "activate";
        int r = sf_state_load(config->state, &state, err);
        if (r == 0)
                r = sf_activate_current(store, current, err);
        if (r == SF_ERR_EXISTS)
                r = adopt(store, current, err);
        if (r < 0)
                return r;
        if (strcmp(current, release->directory) == 0) {
                report->result = "unchanged";
                return sf_activate_modules(store, release->directory, err);
        }
        /* Saved first: after a crash in between, rollback still knows where to go. */
        snprintf(state.active, sizeof state.active, "%s", release->directory);
        snprintf(state.previous, sizeof state.previous, "%s", current);
        sf_state_note(&state, report, "done");
        r = sf_fs_mkdirs(config->state, 0755, err);
        if (r == 0)
                r = sf_state_save(config->state, &state, err);
        if (r == 0)
                r = sf_activate_switch(store, release->directory, err);
        if (r < 0)
                return r;
        snprintf(report->still, sizeof report->still, "%s", release->name.text);
        return sf_activate_modules(store, release->directory, err);
}
