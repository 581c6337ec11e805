/* SPDX-License-Identifier: Apache-2.0 */
/* agent/verbs/verify.c - the verb verify: an installed tree against its signed list, and the repair of what is
 * broken. */
#include "agent/verbs/verbs.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/node/lock.h"
#include "agent/node/report.h"
#include "agent/acquire/repository.h"
#include "agent/node/active.h"
#include "base/cleanup.h"
#include "base/fs.h"
#include "base/log.h"
#include "base/output.h"
#include "installer/file_writer.h"
#include "installer/reuse.h"
#include "installer/tree.h"
#include "installer/unpack.h"
#include "release/layout.h"

#define EXTRA "%zu files that are not part of the release lie in its tree; repair leaves them for you to look at"

/* What the comparison found. */
struct findings {
        const struct sf_filelist *list;
        uint8_t *wanted; /* per entry: to be fetched again */
        size_t broken;   /* differences that repair can mend */
        size_t extra;
        bool quiet;
};

static int note(void *ctx, enum sf_damage damage, const char *path, const struct sf_entry *entry, struct sf_error *err)
{
        struct findings *f = ctx;

        (void)err;
        if (!f->quiet)
                sf_output_line("%-9s %s", sf_damage_name(damage), path);
        if (entry) {
                f->wanted[entry - f->list->entries] = 1;
                f->broken++;
        } else {
                f->extra++;
        }
        return 0;
}

static int compare(const struct sf_tree *tree, bool quiet, struct findings *ret, struct sf_error *err)
{
        struct findings f = { .list = tree->list, .quiet = quiet };

        f.wanted = calloc(tree->list->entry_count + 1, 1);
        if (!f.wanted)
                return sf_error_set(err, SF_ERR_NOMEM, "no memory to verify %zu entries", tree->list->entry_count);
        int r = sf_tree_verify(tree, note, &f, err);
        if (r < 0) {
                free(f.wanted);
                return r;
        }
        *ret = f;
        return 0;
}

/* --- repair ---------------------------------------------------------------------------------------------------- */

struct repair {
        struct sf_repository *repository;
        const struct sf_filelist *list;
};

static int open_range(void *ctx, size_t layer, uint64_t offset, uint64_t length, struct sf_stream **ret,
                      struct sf_error *err)
{
        struct repair *repair = ctx;
        const struct sf_layer *l = &repair->list->layers[layer];

        return sf_repository_range(repair->repository, &(struct sf_blob){ l->digest, l->size }, offset, length, ret,
                                   err);
}

/* The list on this disk must be one that is signed today: a repair must not put back what an intruder listed. */
static int check_signed(const struct sf_repository *rp, const struct sf_store_release *release, struct sf_error *err)
{
        const struct sf_index_release *offered = sf_index_find(&rp->index, release->name.text);

        if (!offered)
                return sf_error_set(err, SF_ERR_NOT_FOUND, "the repository no longer offers %s", release->name.text);
        if (!sf_digest_equal(&offered->tree, &release->tree))
                return sf_error_set(err, SF_ERR_CORRUPT, "the file list on this disk is not the signed one of %s",
                                    release->name.text);
        return 0;
}

/* What another installed release holds intact costs no bytes: only the rest stays wanted. It goes into the
 * directories of the list, which may be gone or something else by now. */
static int repair_from_disk(const struct sf_store *store, const struct sf_tree *tree, uint8_t *wanted,
                            struct sf_error *err)
{
        _cleanup_reuse_ struct sf_reuse *installed = NULL;
        int r = sf_reuse_open(store, &installed, err);

        if (r == 0)
                r = sf_file_writer_skeleton(tree, wanted, true, err);
        return r < 0 ? r : sf_reuse_repair(installed, tree, wanted, err);
}

static int repair_tree(const struct sf_config *config, const struct sf_store *store, const struct sf_tree *tree,
                       const struct sf_store_release *release, struct findings *found, struct sf_report *report,
                       struct sf_error *err)
{
        struct sf_repository rp = { 0 };
        struct repair repair = { &rp, tree->list };
        struct sf_unpack job = {
                .tree = *tree, .open_range = open_range, .ctx = &repair, .wanted = found->wanted, .replace = true
        };
        _cleanup_close_ int lock = sf_lock_take(config->state, err);

        if (lock < 0)
                return lock;
        report->step = SF_STEP_FETCH;
        int r = sf_repository_open(config, &rp, err);
        if (r == 0)
                r = check_signed(&rp, release, err);
        if (r == 0) {
                report->step = SF_STEP_REPAIR;
                r = repair_from_disk(store, tree, found->wanted, err);
        }
        if (r == 0)
                r = sf_unpack_run(&job, err);
        report->bytes_fetched = sf_repository_bytes(&rp);
        sf_repository_close(&rp);
        if (r < 0)
                return r;
        /* Believe the disk, not the program that wrote it. */
        struct findings again;
        report->step = SF_STEP_VERIFY;
        r = compare(tree, true, &again, err);
        if (r < 0)
                return r;
        size_t left = again.broken;
        free(again.wanted);
        return left ? sf_error_set(err, SF_ERR_FAILED, "%zu files still differ after the repair", left) : 0;
}

/* --- the verb -------------------------------------------------------------------------------------------------- */

static int verify_release(const struct sf_config *config, const struct sf_store *store,
                          const struct sf_store_release *release, bool repair, struct sf_report *report,
                          char summary[512], struct sf_error *err)
{
        _cleanup_(sf_filelist_free) struct sf_filelist list = { 0 };
        _cleanup_close_ int fd = -1;
        struct findings found;
        char size[32];

        if (release->foreign)
                return sf_error_set(err, SF_ERR_USAGE, "%s was adopted, there is no signed list of its files",
                                    release->name.text);
        int r = sf_store_filelist(store, release, &list, err);
        if (r == 0)
                r = sf_store_open_release(store, release->directory, &fd, err);
        if (r < 0)
                return r;
        _cleanup_free_ char *installed = sf_store_installed_prefix(store, release->directory);
        _cleanup_free_ char *view = sf_fs_join(store->prefix, SF_NODE_VIEW);
        if (!installed || !view)
                return sf_error_set(err, SF_ERR_NOMEM, "no memory for a path");
        struct sf_tree tree = { .list = &list, .dirfd = fd, .installed_prefix = installed, .view_prefix = view };
        report->step = SF_STEP_VERIFY;
        r = compare(&tree, sf_output_is_json(), &found, err);
        if (r < 0)
                return r;
        snprintf(summary, 512, "%s: %zu files, %zu entries, all as signed", release->name.text, list.file_count,
                 list.entry_count);
        if (found.broken && repair) {
                r = repair_tree(config, store, &tree, release, &found, report, err);
                snprintf(summary, 512, "%s: %zu of %zu entries repaired, %s fetched", release->name.text, found.broken,
                         list.entry_count, sf_log_size(report->bytes_fetched, size));
                if (found.extra)
                        sf_log_warning(EXTRA, found.extra);
        } else if (found.broken) {
                r = sf_error_set(err, SF_ERR_CORRUPT, "%zu of %zu entries differ ('verify --repair' mends them)",
                                 found.broken, list.entry_count);
        } else if (found.extra) {
                r = sf_error_set(err, SF_ERR_CORRUPT, EXTRA, found.extra);
        }
        free(found.wanted);
        return r;
}

int sf_verb_verify(const struct sf_config *config, const struct sf_command_line *line)
{
        struct sf_error err = SF_ERROR_INIT;
        struct sf_store store = { 0 };
        struct sf_store_release release;
        struct sf_report report;
        char summary[512] = "";

        sf_report_start(&report, "verify");
        int r = sf_store_open(config->root, config->prefix, &store, &err);
        if (r == 0) {
                sf_active_note(&store, &report);
                r = line->argument_count ? sf_store_choose(&store, line->arguments[0], &release, &err)
                                         : sf_active_find(&store, &release, &err);
        }
        if (r == 0) {
                snprintf(report.to, sizeof report.to, "%s", release.name.text);
                snprintf(report.from, sizeof report.from, "%s", release.name.text);
                r = verify_release(config, &store, &release, sf_option_given(line, "repair"), &report, summary, &err);
        }
        sf_store_close(&store);
        return r < 0 ? sf_report_failed(&report, 0, &err) : sf_report_done(&report, summary);
}
