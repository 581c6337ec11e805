/* SPDX-License-Identifier: Apache-2.0 */
/* agent/acquire/candidate.c - see candidate.h. */
#include "agent/acquire/candidate.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "agent/acquire/acquire.h"
#include "agent/acquire/requires.h"
#include "agent/node/version.h"
#include "base/buffer.h"
#include "base/cleanup.h"
#include "base/fs.h"
#include "base/log.h"
#include "base/output.h"

static int check_withdrawn(const struct sf_config *config, const struct sf_candidate *offer, struct sf_error *err)
{
        const char *name = offer->release->name.text;
        const struct sf_withdrawal *w = sf_rollout_withdrawn(&offer->repository.rollout, name);

        if (!w || config->force)
                return 0;
        return sf_error_set(err, SF_ERR_INCOMPATIBLE, "release %s was withdrawn%s%s (--force takes it all the same)",
                            name, *w->reason ? ": " : "", w->reason);
}

/* Where this node stands. Not by machine-id: cloned images share it, and stateless nodes have another at each boot. */
int sf_candidate_position(const struct sf_config *config, const char *release)
{
        return sf_rollout_position(release, config->node_seed ? config->node_seed : config->policy.node);
}

/* Has its wave reached this node, the publisher's and the site's, or is it named, or active already? */
static bool is_reached(const struct sf_config *config, const struct sf_candidate *offer, const char *wanted,
                       const char *active, const struct sf_release_name *name)
{
        int percent = sf_rollout_percent(&offer->repository.rollout, name->text);
        int position = sf_candidate_position(config, name->text);
        const struct sf_index_release *release = sf_index_find(&offer->repository.index, name->text);
        bool offered = position < percent, due = sf_policy_reached(&config->policy, release->created, time(NULL));

        if (config->ignore_waves || (offered && due) || strcmp(name->text, active) == 0)
                return true;
        bool named = sf_release_name_is_exact(wanted, name->text, name->version);
        const char *so = named ? "taken because it is named" : "passed over (--ignore-waves takes it)";
        if (!offered)
                sf_log_info("%s is offered to %d %% of the nodes, and this one comes at %d %%: %s", name->text, percent,
                            position + 1, so);
        if (!due) {
                const struct sf_conf_entry *rule = sf_policy_own_wave(&config->policy)->entry;
                sf_log_info("%s was published at %s, wave = %s (%s:%d): %s", name->text, release->created, rule->value,
                            rule->file, rule->line, so);
        }
        return named;
}

/* What `wanted` means among the releases that are on offer; where only withdrawn ones fit, the line says that. */
static int choose(const struct sf_config *config, const char *wanted, const char *active, struct sf_candidate *offer,
                  struct sf_error *err)
{
        const struct sf_index *index = &offer->repository.index;
        _cleanup_free_ struct sf_release_name *names = calloc(index->release_count + 1, sizeof *names);
        size_t count = 0, chosen;
        bool passed = false;
        int r;

        if (!names)
                return sf_error_set(err, SF_ERR_NOMEM, "no memory to choose a release");
        for (size_t i = 0; i < index->release_count; i++) {
                const struct sf_release_name *name = &index->releases[i].name;
                if (config->force || !sf_rollout_withdrawn(&offer->repository.rollout, name->text))
                        names[count++] = *name;
        }
        while ((r = sf_release_name_choose(names, count, wanted, &chosen, err)) == 0) {
                if (is_reached(config, offer, wanted, active, &names[chosen])) {
                        offer->release = sf_index_find(index, names[chosen].text);
                        return 0;
                }
                passed = true;
                names[chosen] = names[--count];
        }
        if (r == SF_ERR_NOT_FOUND && passed)
                return sf_error_set(err, SF_ERR_INCOMPATIBLE,
                                    "no wave of a release that matches \"%s\" has reached "
                                    "this node (--ignore-waves)",
                                    wanted);
        if (r == SF_ERR_NOT_FOUND)
                r = sf_index_choose(index, wanted, &offer->release, err);
        return r < 0 ? r : check_withdrawn(config, offer, err);
}

/* "24.11" for an active 24.11.5: micro releases come by themselves, a major release is asked for by name. */
static int series_of(const struct sf_store_release *active, char *out, size_t room, struct sf_error *err)
{
        struct sf_version v;

        if (!*active->name.version)
                return sf_error_set(err, SF_ERR_USAGE, "no release of a known series is active: name the version");
        int r = sf_version_parse(active->name.version, &v, err);
        if (r == 0)
                snprintf(out, room, "%u.%02u", v.major, v.minor);
        return r;
}

static int choose_and_plan(const struct sf_config *config, const struct sf_store *store, const char *wanted,
                           const char *active, struct sf_report *report, struct sf_candidate *offer,
                           struct sf_error *err)
{
        int r = choose(config, wanted, active, offer, err);

        if (r == 0 && (r = sf_requires_check_agent(offer->release, sf_version_own(), err)) < 0)
                report->step = SF_STEP_PREFLIGHT;
        if (r == 0 && !config->force && (r = sf_requires_check(offer->release, config->root, err)) < 0)
                report->step = SF_STEP_PREFLIGHT;
        if (r < 0)
                return r;
        snprintf(report->to, sizeof report->to, "%s", offer->release->name.text);
        report->step = SF_STEP_FETCH;
        r = sf_fetch_plan_make(config, &offer->repository, store, offer->release, &offer->plan, err);
        if (r < 0)
                report->step = r == SF_ERR_NO_FIT    ? SF_STEP_RELOCATE
                               : r == SF_ERR_CORRUPT ? SF_STEP_VERIFY
                                                     : SF_STEP_FETCH;
        else
                report->step = SF_STEP_PLAN;
        return r;
}

int sf_candidate_open(const struct sf_config *config, const struct sf_store *store, const char *wanted,
                      const struct sf_store_release *active, struct sf_report *report, struct sf_candidate *ret,
                      struct sf_error *err)
{
        char series[32];
        int r = *wanted ? 0 : series_of(active, series, sizeof series, err);

        if (r < 0)
                return r;
        r = sf_repository_open(config, &ret->repository, err);
        if (r < 0) {
                report->step = r == SF_ERR_NETWORK || r == SF_ERR_TIMEOUT ? SF_STEP_FETCH : SF_STEP_VERIFY;
                return r;
        }
        ret->remote = true;
        ret->rows = ret->repository.rollout.rows;
        return choose_and_plan(config, store, *wanted ? wanted : series, active->name.text, report, ret, err);
}

int sf_candidate_plan_again(const struct sf_config *config, const struct sf_store *store, struct sf_candidate *offer,
                            struct sf_error *err)
{
        sf_fetch_plan_free(&offer->plan);
        return sf_fetch_plan_make(config, &offer->repository, store, offer->release, &offer->plan, err);
}

int sf_candidate_local(const struct sf_config *config, struct sf_candidate *ret, struct sf_error *err)
{
        _cleanup_free_ char *path = sf_fs_join(config->shared, "cache/rollout.json");
        _cleanup_(sf_buffer_free) struct sf_buffer text = SF_BUFFER_INIT;
        int r;

        if (!path)
                return sf_error_set(err, SF_ERR_NOMEM, "no memory for a path");
        /* The copy was verified when it was kept. */
        if (sf_fs_read(path, SF_ROLLOUT_TEXT_MAX, &text, NULL) == 0)
                r = sf_rollout_parse(path, text.data, text.len, &ret->local, err);
        else
                r = sf_rollout_default(&ret->local, err);
        if (r == 0)
                ret->rows = ret->local.rows;
        return r;
}

int sf_candidate_last_seen(const struct sf_config *config, struct sf_index *ret, struct sf_error *err)
{
        _cleanup_free_ char *path = sf_format("%s/cache/%s-%s.json", config->shared, config->toolchain, config->arch);
        _cleanup_(sf_buffer_free) struct sf_buffer text = SF_BUFFER_INIT;

        if (!path)
                return sf_error_set(err, SF_ERR_NOMEM, "no memory for a path");
        int r = sf_fs_read(path, SF_INDEX_TEXT_MAX, &text, err);
        return r < 0 ? r : sf_index_parse(path, text.data, text.len, ret, err);
}

void sf_candidate_close(struct sf_candidate *offer)
{
        sf_fetch_plan_free(&offer->plan);
        if (offer->remote)
                sf_repository_close(&offer->repository);
        sf_rollout_free(&offer->local);
        *offer = (struct sf_candidate){ 0 };
}

int sf_candidate_acquire(const struct sf_config *config, const struct sf_store *store, struct sf_candidate *offer,
                         struct sf_report *report, struct sf_error *err)
{
        return sf_acquire_run(config, &offer->repository, store, &offer->plan, report, err);
}

uint64_t sf_candidate_bytes(const struct sf_candidate *offer)
{
        return offer->remote ? sf_repository_bytes(&offer->repository) : 0;
}

json_t *sf_candidate_json(const struct sf_candidate *offer, const char *steps)
{
        const struct sf_fetch_plan *plan = &offer->plan;
        json_t *object = json_object();

        json_object_set_new(object, "way", sf_json_text(sf_fetch_plan_way_name(plan->way)));
        for (enum sf_fetch_plan_way way = SF_FETCH_PLAN_DELTA;
             plan->way != SF_FETCH_PLAN_NOTHING && way <= SF_FETCH_PLAN_FULL; way++) {
                uint64_t bytes = sf_fetch_plan_way_bytes(plan, way);
                json_object_set_new(object, sf_fetch_plan_way_name(way),
                                    bytes == SF_FETCH_PLAN_IMPOSSIBLE ? json_null() : json_integer((json_int_t)bytes));
        }
        json_object_set_new(object, "steps", sf_json_text(steps));
        return object;
}

static void print_costs(const struct sf_fetch_plan *plan)
{
        char size[32];

        for (enum sf_fetch_plan_way way = SF_FETCH_PLAN_DELTA; way <= SF_FETCH_PLAN_FULL; way++) {
                uint64_t bytes = sf_fetch_plan_way_bytes(plan, way);
                if (bytes == SF_FETCH_PLAN_IMPOSSIBLE)
                        sf_output_line("%-9s -", sf_fetch_plan_way_name(way));
                else
                        sf_output_line("%-9s %llu bytes (%s)%s", sf_fetch_plan_way_name(way), (unsigned long long)bytes,
                                       sf_log_size(bytes, size), way == plan->way ? "  <- chosen" : "");
        }
}

void sf_candidate_print(const struct sf_candidate *offer, const char *name, const char *steps)
{
        sf_output_line("release   %s", name);
        if (offer->plan.way != SF_FETCH_PLAN_NOTHING)
                print_costs(&offer->plan);
        else
                sf_output_line("fetch     nothing: the release is on this disk");
        sf_output_line("steps     %s", steps);
}
