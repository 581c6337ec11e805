/* agent/acquire.c - see acquire.h. One staging tree, filled by the planned way; a way that fails before it has cost much
 * (a damaged base, a delta that does not apply) gives way to the next one. */
#include "agent/acquire.h"

#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/fs.h"
#include "base/log.h"
#include "delta/container.h"
#include "installer/reuse.h"
#include "installer/tree.h"
#include "installer/unpack.h"
#include "release/layout.h"

/* What the steps share. */
struct work {
        const struct sf_config *config;
        struct sf_repository *repository;
        const struct sf_store *store;
        const struct sf_plan *plan;
        struct sf_report *report;
        struct sf_tree tree; /* the staging tree */
        struct sf_tree base; /* the tree a delta starts from */
};

static int open_range(void *ctx, size_t layer, uint64_t offset, uint64_t length, struct sf_stream **ret,
                      struct sf_error *err)
{
        struct work *w = ctx;
        const struct sf_layer *l = &w->plan->list.layers[layer];

        return sf_repository_range(w->repository, &(struct sf_blob){ l->digest, l->size }, offset, length, ret, err);
}

static void show_progress(void *ctx, uint64_t done)
{
        struct work *w = ctx;

        sf_log_progress(w->plan->release->name.text, done, sf_plan_bytes(w->plan));
}

/* Everything, or what `wanted` marks. */
static int unpack(struct work *w, const uint8_t *wanted, struct sf_error *err)
{
        struct sf_unpack job = {
                .tree = w->tree,
                .open_range = open_range,
                .ctx = w,
                .progress = show_progress,
                .wanted = wanted,
        };

        w->report->step = "unpack";
        return sf_unpack_run(&job, err);
}

/* --- delta ----------------------------------------------------------------------------------------------------- */

static int read_base(void *ctx, const struct sf_entry *entry, struct sf_buffer *ret, struct sf_error *err)
{
        struct work *w = ctx;

        return sf_tree_read(&w->base, entry, ret, err);
}

/* The rebuilt file, unless another installed release had it and reuse has put it there already. */
static int write_rebuilt(void *ctx, const struct sf_entry *entry, const uint8_t *data, size_t len, struct sf_error *err)
{
        struct work *w = ctx;

        return w->plan->wanted[entry - w->plan->list.entries] ? sf_tree_write(&w->tree, entry, data, len, err) : 0;
}

static int apply_delta(struct work *w, struct sf_error *err)
{
        _cleanup_(sf_buffer_free) struct sf_buffer blob = SF_BUFFER_INIT;
        struct sf_delta_io io = { read_base, write_rebuilt, w };
        _cleanup_close_ int fd = -1;

        w->report->step = "fetch";
        int r = sf_repository_blob(w->repository, &w->plan->delta->content, "delta", &blob, err);
        if (r < 0)
                return r;
        _cleanup_free_ char *installed = sf_store_installed_prefix(w->store, w->plan->base.directory);
        if (!installed)
                return sf_error_set(err, SF_ERR_NOMEM, "no memory for a path");
        r = sf_store_open_release(w->store, w->plan->base.directory, &fd, err);
        if (r < 0)
                return r;
        w->base = (struct sf_tree){ .list = &w->plan->base_list,
                                    .dirfd = fd,
                                    .installed_prefix = installed,
                                    .view_prefix = w->tree.view_prefix };
        w->report->step = "unpack";
        return sf_delta_apply(&w->plan->base_list, &w->plan->list, blob.data, blob.len, w->config->delta_memory, &io,
                              err);
}

/* --- the ways -------------------------------------------------------------------------------------------------- */

/* Takes what installed releases hold. A file that turned out damaged there is marked wanted again in `missing`. */
static int reuse(struct work *w, uint8_t **ret_missing, struct sf_error *err)
{
        w->report->step = "unpack";
        int r = sf_unpack_skeleton(&w->tree, err);
        return r < 0 ? r : sf_reuse_run(w->store, &w->tree, ret_missing, err);
}

static int fill(struct work *w, struct sf_error *err)
{
        _cleanup_free_ uint8_t *missing = NULL;

        if (w->plan->way == SF_PLAN_FULL)
                return unpack(w, NULL, err);
        int r = reuse(w, &missing, err);
        if (r < 0)
                return r;
        if (w->plan->way == SF_PLAN_RANGES)
                return unpack(w, missing, err);
        for (size_t i = 0; i < w->plan->list.entry_count; i++)
                if (missing[i] && !w->plan->wanted[i])
                        return sf_error_set(err, SF_ERR_CORRUPT, "%s: damaged in the installed release",
                                            w->plan->list.entries[i].path);
        return apply_delta(w, err);
}

/* Network trouble would meet every other way too; a damaged base or delta would not. */
static bool another_way_may_help(const struct sf_plan *plan, int code)
{
        if (plan->way == SF_PLAN_FULL)
                return false;
        return code == SF_ERR_CORRUPT || code == SF_ERR_NOMEM || code == SF_ERR_UNSUPPORTED ||
               code == SF_ERR_NOT_FOUND || code == SF_ERR_LIMIT;
}

/* What kind of failure names the step better than where the single pass happened to be. */
static void name_step(struct sf_report *report, int code)
{
        if (code == SF_ERR_NETWORK || code == SF_ERR_TIMEOUT)
                report->step = "fetch";
        else if (code == SF_ERR_CORRUPT || code == SF_ERR_TRUST)
                report->step = "verify";
        else if (code == SF_ERR_NO_FIT)
                report->step = "relocate";
}

static int attempt(struct work *w, struct sf_staging *staging, struct sf_error *err)
{
        const struct sf_index_release *release = w->plan->release;
        struct sf_store_release record = { .name = release->name, .tree = release->tree };

        snprintf(record.unit, sizeof record.unit, "%s", release->unit);
        sf_store_directory(&release->name, record.directory);
        w->tree.dirfd = staging->dirfd;
        int r = sf_unpack_check_space(&w->plan->list, staging->dirfd, err);
        if (r == 0)
                r = fill(w, err);
        if (r == 0) {
                w->report->step = "unpack";
                r = sf_store_commit(w->store, staging, &w->plan->list, w->plan->list_text.data, w->plan->list_text.len,
                                    &record, err);
        }
        return r;
}

int sf_acquire_run(const struct sf_config *config, struct sf_repository *repository, const struct sf_store *store,
                   struct sf_plan *plan, struct sf_report *report, struct sf_error *err)
{
        char directory[128];
        int r = 0;

        if (plan->way == SF_PLAN_NOTHING)
                return 0;
        sf_store_directory(&plan->release->name, directory);
        _cleanup_free_ char *installed = sf_store_installed_prefix(store, directory);
        _cleanup_free_ char *view = sf_fs_join(store->prefix, SF_NODE_VIEW);
        if (!installed || !view)
                return sf_error_set(err, SF_ERR_NOMEM, "no memory for a path");
        struct work w = {
                .config = config,
                .repository = repository,
                .store = store,
                .plan = plan,
                .report = report,
                .tree = { .list = &plan->list, .dirfd = -1, .installed_prefix = installed, .view_prefix = view },
        };
        do {
                struct sf_staging staging;
                if (r < 0) {
                        sf_log_warning("%s: %s; trying the next way", sf_plan_way_name(plan->way), err->text);
                        sf_plan_next_way(plan, NULL);
                }
                r = sf_store_begin(store, &plan->release->name, &staging, err);
                if (r < 0)
                        break;
                r = attempt(&w, &staging, err);
                sf_log_progress_end();
                if (r < 0)
                        sf_store_abort(store, &staging);
        } while (r < 0 && another_way_may_help(plan, r));
        report->bytes_fetched = sf_repository_bytes(repository);
        if (r < 0)
                name_step(report, r);
        return r;
}
