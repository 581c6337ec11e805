/* SPDX-License-Identifier: Apache-2.0 */
/* agent/acquire/acquire.c - see acquire.h. One staging tree. First everything that costs no bytes: what an
 * interrupted run left there, what installed releases hold. Only then it is known what is missing, and the planned
 * way fetches that; a way that fails before it has cost much (a delta that does not apply) gives way to the next
 * one. */
#include "agent/acquire/acquire.h"

#include "agent/node/process.h"
#include "agent/node/quiet.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/acquire/bases.h"
#include "base/cleanup.h"
#include "base/fs.h"
#include "base/log.h"
#include "base/progress.h"
#include "delta/container.h"
#include "installer/resume.h"
#include "installer/reuse.h"
#include "installer/file_writer.h"
#include "installer/tree.h"
#include "installer/unpack.h"
#include "release/layout.h"

/* What the steps share. */
struct work {
        const struct sf_config *config;
        struct sf_repository *repository;
        const struct sf_store *store;
        const struct sf_fetch_plan *plan;
        struct sf_report *report;
        unsigned threads;            /* decoders; 0 = as many as there are processors */
        struct sf_tree tree;         /* the staging tree */
        uint8_t *missing;            /* per entry: a file that is not in the staging tree yet */
        struct sf_stat_record *seen; /* per entry: what is known of files that were linked */
        struct sf_bases bases;       /* of the delta that is being applied */
        /* What is shown of the work in hand, in bytes: those received since `before`, or those of files rebuilt. */
        uint64_t before, rebuilt, total;
};

static int open_range(void *ctx, size_t layer, uint64_t offset, uint64_t length, struct sf_stream **ret,
                      struct sf_error *err)
{
        struct work *w = ctx;
        const struct sf_layer *l = &w->plan->list.layers[layer];

        return sf_repository_range(w->repository, &(struct sf_blob){ l->digest, l->size }, offset, length, ret, err);
}

/* --- what is shown ---------------------------------------------------------------------------------------------- */

static void show(const struct work *w, const char *what, uint64_t done, uint64_t total)
{
        char text[sizeof w->plan->release->name.text + 32];

        if (!sf_log_draws())
                return;
        snprintf(text, sizeof text, "%s: %s", w->plan->release->name.text, what);
        sf_progress_show(text, done, total);
}

/* Content is decoded and written while it arrives, but for the last of it. */
static void show_fetch(void *ctx)
{
        const struct work *w = ctx;

        show(w, "fetching", sf_repository_bytes(w->repository) - w->before, w->total);
}

static void show_received(void *ctx, uint64_t done)
{
        (void)done;
        show_fetch(ctx);
}

static void show_unpacked(void *ctx, uint64_t done, uint64_t total)
{
        show(ctx, "unpacking", done, total);
}

static void begin_fetch(struct work *w, uint64_t bytes)
{
        w->before = sf_repository_bytes(w->repository);
        w->total = bytes;
}

static int price(const struct sf_filelist *list, const uint8_t *wanted, uint64_t *ret_bytes, struct sf_error *err)
{
        _cleanup_free_ struct sf_unpack_range *ranges = NULL;
        size_t count;

        return sf_unpack_plan(list, wanted, &ranges, &count, ret_bytes, err);
}

/* Everything, or what `wanted` marks. */
static int unpack(struct work *w, const uint8_t *wanted, struct sf_error *err)
{
        struct sf_unpack job = {
                .tree = w->tree,
                .open_range = open_range,
                .ctx = w,
                .progress = show_received,
                .unpacked = show_unpacked,
                .wanted = wanted,
                .threads = w->threads,
        };

        uint64_t bytes = w->plan->full_bytes;
        int r = wanted ? price(&w->plan->list, wanted, &bytes, err) : 0;

        w->report->step = SF_STEP_UNPACK;
        begin_fetch(w, bytes);
        return r < 0 ? r : sf_unpack_run(&job, err);
}

static int unpack_missing(struct work *w, struct sf_error *err)
{
        size_t left = 0;

        for (size_t i = 0; i < w->plan->list.entry_count; i++)
                left += w->missing[i];
        return left ? unpack(w, w->missing, err) : 0;
}

/* --- delta ----------------------------------------------------------------------------------------------------- */

static int read_base(void *ctx, const struct sf_entry *entry, struct sf_buffer *ret, struct sf_error *err)
{
        struct work *w = ctx;

        return sf_bases_read(&w->bases, entry, ret, err);
}

/* The rebuilt file, unless it is there already: a delta also rebuilds what a third release had. */
static int write_rebuilt(void *ctx, const struct sf_entry *entry, const uint8_t *data, size_t len, struct sf_error *err)
{
        struct work *w = ctx;
        uint8_t *missing = &w->missing[entry - w->plan->list.entries];
        int r = *missing ? sf_file_writer_write(&w->tree, false, entry, data, len, err) : 0;

        if (r == 0)
                *missing = 0;
        w->rebuilt += entry->size;
        show(w, "rebuilding from the delta", w->rebuilt, w->total);
        return r;
}

/* Bytes of the files that a delta is to rebuild, as far as it is known beforehand. */
static uint64_t missing_bytes(const struct work *w)
{
        uint64_t bytes = 0;

        for (size_t i = 0; i < w->plan->list.entry_count; i++)
                bytes += w->missing[i] ? w->plan->list.entries[i].size : 0;
        return bytes;
}

/* Applies the delta, once more where bases were damaged and could be mended for fewer bytes than `spare`. */
static int apply_blob(struct work *w, const struct sf_buffer *blob, uint64_t spare, struct sf_error *err)
{
        const struct sf_filelist *old = w->bases.tree->list, *new = &w->plan->list;
        const struct sf_delta_io io = { read_base, write_rebuilt, w };
        _cleanup_free_ size_t *entries = NULL;
        size_t count;
        int r = sf_delta_apply(old, new, blob->data, blob->len, w->config->delta_memory, &io, err);

        if (r == 0 || !w->bases.damaged)
                return r;
        r = sf_delta_bases(old, new, blob->data, blob->len, &entries, &count, err);
        if (r == 0)
                r = sf_bases_mend(&w->bases, entries, count, spare, err);
        if (r == 0)
                r = sf_delta_apply(old, new, blob->data, blob->len, w->config->delta_memory, &io, err);
        return r;
}

/* `spare`: by how many bytes the delta is cheaper than doing without it. */
static int apply_delta(struct work *w, const struct sf_tree *base, uint64_t spare, struct sf_error *err)
{
        _cleanup_(sf_buffer_free) struct sf_buffer blob = SF_BUFFER_INIT;

        w->report->step = SF_STEP_FETCH;
        begin_fetch(w, w->plan->delta->content.size);
        int r = sf_repository_blob(w->repository, &w->plan->delta->content, "delta", &blob, err);
        if (r < 0)
                return r;
        w->report->step = SF_STEP_UNPACK;
        w->rebuilt = 0;
        w->total = missing_bytes(w);
        show(w, "rebuilding from the delta", 0, w->total);
        w->bases = (struct sf_bases){
                .repository = w->repository, .installed = w->plan->installed, .tree = base, .dirfd = w->tree.dirfd
        };
        r = apply_blob(w, &blob, spare, err);
        int closed = sf_bases_close(&w->bases, r < 0 ? NULL : err);
        return r < 0 ? r : closed;
}

/* --- what is here already -------------------------------------------------------------------------------------- */

/* Nothing that was true of the tree of an attempt before is true of this one. */
static int prepare(struct work *w, struct sf_error *err)
{
        const struct sf_filelist *list = &w->plan->list;

        free(w->missing);
        free(w->seen);
        w->missing = calloc(list->entry_count + 1, 1);
        w->seen = calloc(list->entry_count + 1, sizeof *w->seen);
        if (!w->missing || !w->seen)
                return sf_error_set(err, SF_ERR_NOMEM, "no memory for %zu entries", list->entry_count);
        for (size_t i = 0; i < list->entry_count; i++)
                w->missing[i] = list->entries[i].type == SF_ENTRY_FILE;
        return 0;
}

static int resume(struct work *w, const struct sf_staging *staging, struct sf_error *err)
{
        size_t kept = 0;
        int r = staging->continued ? sf_resume_tree(&w->tree, w->missing, &kept, err) : 0;

        if (kept)
                sf_log_info("an interrupted run left %zu of %zu files, which are not fetched again", kept,
                            w->plan->list.file_count);
        return r;
}

/* Files that an installed release lists and none holds intact. They are fetched; whoever is to look after them is
 * told. */
static void tell_damaged(const struct work *w)
{
        const struct sf_filelist *list = &w->plan->list;
        const char *first = NULL;
        size_t count = 0;

        for (size_t i = 0; i < list->entry_count; i++)
                if (w->missing[i] && !w->plan->wanted[i] && count++ == 0)
                        first = list->entries[i].path;
        if (count == 1)
                sf_log_warning("%s: damaged in the installed release, fetching it ('sf-node verify' looks further)",
                               first);
        else if (count)
                sf_log_warning("%s and %zu other files: damaged in the installed release, fetching them", first,
                               count - 1);
}

/* Files that the base lists and the disk does not hold: the delta has none of them. Returns one byte per entry. */
static uint8_t *find_damaged(const struct work *w, const struct sf_tree *base)
{
        const struct sf_filelist *list = &w->plan->list;
        uint8_t *damaged = calloc(list->entry_count + 1, 1);

        for (size_t i = 0; damaged && i < list->entry_count; i++)
                damaged[i] = w->missing[i] && sf_reuse_listed(w->plan->installed, base, &list->entries[i]);
        return damaged;
}

/* --- the ways -------------------------------------------------------------------------------------------------- */

/* The delta, and by range what is damaged in the base and so missing besides; or all by range where that costs less. */
static int fill_by_delta(struct work *w, struct sf_error *err)
{
        const struct sf_filelist *list = &w->plan->list;
        const struct sf_tree *base = sf_reuse_tree(w->plan->installed, w->plan->base.directory);
        _cleanup_free_ uint8_t *damaged = base ? find_damaged(w, base) : NULL;
        uint64_t besides = 0, all = 0;
        int r = 0;

        if (!damaged)
                r = sf_error_set(err, base ? SF_ERR_NOMEM : SF_ERR_CORRUPT, "%s: its file list cannot be read",
                                 w->plan->base.directory);
        if (r == 0)
                r = price(list, damaged, &besides, err);
        if (r == 0)
                r = price(list, w->missing, &all, err);
        if (r == 0 && w->plan->delta_bytes + besides < all)
                r = apply_delta(w, base, all - w->plan->delta_bytes - besides, err);
        return r < 0 ? r : unpack_missing(w, err);
}

/* All that costs no bytes. A full unpack starts from nothing else than what an earlier one left: it is the last
 * resort. */
static int fill_from_disk(struct work *w, const struct sf_staging *staging, struct sf_error *err)
{
        int r = resume(w, staging, err);

        if (r == 0)
                r = sf_unpack_skeleton(&w->tree, err);
        if (r == 0 && w->plan->way != SF_FETCH_PLAN_FULL) {
                r = sf_reuse_run(w->plan->installed, &w->tree, w->missing, w->seen, err);
                if (r == 0)
                        tell_damaged(w);
        }
        return r;
}

static int fill(struct work *w, const struct sf_staging *staging, struct sf_error *err)
{
        bool all = w->plan->way == SF_FETCH_PLAN_FULL && !staging->continued;
        int r = prepare(w, err);

        w->report->step = SF_STEP_UNPACK;
        if (r == 0 && !all)
                r = fill_from_disk(w, staging, err);
        if (r == 0)
                r = sf_unpack_check_space(&w->plan->list, all ? NULL : w->missing, staging->dirfd, err);
        if (r < 0)
                return r;
        if (all)
                return unpack(w, NULL, err);
        return w->plan->way == SF_FETCH_PLAN_DELTA ? fill_by_delta(w, err) : unpack_missing(w, err);
}

/* Network trouble would meet every other way too; a damaged base or delta would not. */
static bool another_way_may_help(const struct sf_fetch_plan *plan, int code)
{
        if (plan->way == SF_FETCH_PLAN_FULL)
                return false;
        return code == SF_ERR_CORRUPT || code == SF_ERR_NOMEM || code == SF_ERR_UNSUPPORTED ||
               code == SF_ERR_NOT_FOUND || code == SF_ERR_LIMIT;
}

/* What kind of failure names the step better than where the single pass happened to be. */
static void name_step(struct sf_report *report, int code)
{
        if (code == SF_ERR_NETWORK || code == SF_ERR_TIMEOUT)
                report->step = SF_STEP_FETCH;
        else if (code == SF_ERR_CORRUPT || code == SF_ERR_TRUST)
                report->step = SF_STEP_VERIFY;
        else if (code == SF_ERR_NO_FIT)
                report->step = SF_STEP_RELOCATE;
}

/* What broke off may go on: whole files stay in the staging directory for the next run. */
static bool may_continue(int code)
{
        return code == SF_ERR_NETWORK || code == SF_ERR_TIMEOUT || code == SF_ERR_INTERRUPTED;
}

static int attempt(struct work *w, struct sf_staging *staging, struct sf_error *err)
{
        w->tree.dirfd = staging->dirfd;
        int r = fill(w, staging, err);
        if (r == 0) {
                w->report->step = SF_STEP_UNPACK;
                staging->seen = w->seen;
                sf_log_status("%s: making sure that it is on the disk", w->plan->release->name.text);
                r = sf_store_commit(w->store, staging, &w->plan->list, w->plan->list_text.data, w->plan->list_text.len,
                                    &w->plan->target, err);
        }
        return r;
}

int sf_acquire_run(const struct sf_config *config, struct sf_repository *repository, const struct sf_store *store,
                   struct sf_fetch_plan *plan, struct sf_report *report, struct sf_error *err)
{
        const char *directory = plan->target.directory;
        bool again = false; /* the same way, from another mirror */
        int r = 0;

        if (plan->way == SF_FETCH_PLAN_NOTHING)
                return 0;
        struct sf_quiet quiet = { 0 };
        bool beside_jobs = !config->fast && !*config->root;
        if (beside_jobs)
                sf_quiet_begin(&quiet);
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
                .threads = beside_jobs && sf_process_has_steps() ? 1 : 0,
                .tree = { .list = &plan->list, .dirfd = -1, .installed_prefix = installed, .view_prefix = view },
        };
        do {
                struct sf_staging staging;
                if (r < 0 && !again) {
                        sf_log_warning("%s: %s; trying the next way", sf_fetch_plan_way_name(plan->way), err->text);
                        sf_fetch_plan_next_way(plan, NULL);
                }
                r = sf_store_resume(store, directory, &staging, err);
                if (r < 0)
                        break;
                sf_repository_tick(repository, show_fetch, &w);
                r = attempt(&w, &staging, err);
                sf_repository_tick(repository, NULL, NULL);
                sf_log_progress_end();
                again = r < 0 && sf_repository_reject(repository, err);
                if (may_continue(r) || again)
                        sf_store_leave(&staging);
                else if (r < 0)
                        sf_store_abort(store, &staging);
        } while (r < 0 && (again || another_way_may_help(plan, r)));
        sf_quiet_end(&quiet);
        free(w.missing);
        free(w.seen);
        report->bytes_fetched = sf_repository_bytes(repository);
        if (r < 0)
                name_step(report, r);
        return r;
}
