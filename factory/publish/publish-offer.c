/* SPDX-License-Identifier: Apache-2.0 */
/* factory/publish/publish-offer.c - what happens to a release after it was published: withdrawn, offered again, or
 * offered to a part of the nodes. */
#include <string.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "factory/publish/publish-session.h"

/* A withdrawal may outlive its release: then its full name counts. */
static int choose_withdrawn(const struct sf_publish_session *s, const char *wanted, struct sf_release_name *ret,
                            struct sf_error *err)
{
        if (sf_rollout_withdrawn(&s->catalog.rollout, wanted) && sf_release_name_parse(wanted, ret, NULL) == 0)
                return 0;
        return sf_catalog_choose(&s->catalog, wanted, ret, err);
}

int sf_publish_withdraw(const struct sf_publish *publish, const char *wanted, const char *reason, struct sf_error *err)
{
        _cleanup_(sf_publish_session_close) struct sf_publish_session s = { .publish = publish };
        struct sf_release_name name;
        int r = sf_publish_session_open(&s, err);

        if (r == 0)
                r = sf_catalog_choose(&s.catalog, wanted, &name, err);
        if (r == 0)
                r = sf_rollout_withdraw(&s.catalog.rollout, name.text, reason, err);
        if (r == 0)
                r = sf_publish_session_commit(&s, err);
        if (r == 0)
                sf_log_info("%s: withdrawn%s%s", name.text, *reason ? ": " : "", reason);
        return r;
}

int sf_publish_restore(const struct sf_publish *publish, const char *wanted, struct sf_error *err)
{
        _cleanup_(sf_publish_session_close) struct sf_publish_session s = { .publish = publish };
        struct sf_release_name name;
        int r = sf_publish_session_open(&s, err);

        if (r == 0)
                r = choose_withdrawn(&s, wanted, &name, err);
        if (r == 0)
                r = sf_rollout_restore(&s.catalog.rollout, name.text, err);
        if (r == 0)
                r = sf_publish_session_commit(&s, err);
        if (r == 0)
                sf_log_info("%s: offered again", name.text);
        return r;
}

/* A wave may be set before its release is published: then its full name counts. */
static int choose_wave(const struct sf_publish_session *s, const char *wanted, struct sf_release_name *ret,
                       struct sf_error *err)
{
        int r = sf_catalog_choose(&s->catalog, wanted, ret, err);

        if (r != SF_ERR_NOT_FOUND || sf_release_name_parse(wanted, ret, NULL) < 0)
                return r;
        sf_error_clear(err);
        sf_log_info("%s is not published yet: this is for when it is", wanted);
        return 0;
}

int sf_publish_wave(const struct sf_publish *publish, const char *wanted, int percent, struct sf_error *err)
{
        _cleanup_(sf_publish_session_close) struct sf_publish_session s = { .publish = publish };
        struct sf_release_name name;
        int r = sf_publish_session_open(&s, err);

        if (r == 0)
                r = choose_wave(&s, wanted, &name, err);
        int before = r == 0 ? sf_rollout_percent(&s.catalog.rollout, name.text) : 0;
        if (r == 0)
                r = sf_rollout_set_wave(&s.catalog.rollout, name.text, percent, err);
        if (r == 0)
                r = sf_publish_session_commit(&s, err);
        if (r == 0)
                sf_log_info("%s: for %d %% of the nodes, before %d %%", name.text, percent, before);
        return r;
}
