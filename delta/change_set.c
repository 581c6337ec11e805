/* SPDX-License-Identifier: Apache-2.0 */
/* delta/change_set.c - see change_set.h. */
#include "delta/change_set.h"

#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "delta/codec/codec.h"
#include "delta/entropy/coder.h"

/* A file of a list under its digest, for sorting. */
struct named {
        const struct sf_digest *digest;
        size_t entry;
};

static int compare_named(const void *a, const void *b)
{
        const struct named *x = a, *y = b;
        int order = sf_digest_compare(x->digest, y->digest);

        return order ? order : (x->entry > y->entry) - (x->entry < y->entry);
}

static int compare_digest(const void *key, const void *element)
{
        return sf_digest_compare(key, ((const struct named *)element)->digest);
}

static int compare_target(const void *a, const void *b)
{
        size_t x = ((const struct sf_delta_target *)a)->entry, y = ((const struct sf_delta_target *)b)->entry;

        return (x > y) - (x < y);
}

/* The files of a list sorted by digest, then by position. */
static struct named *sort_files(const struct sf_filelist *list, size_t *ret_count)
{
        struct named *files = calloc(list->entry_count + 1, sizeof *files);
        size_t count = 0;

        if (!files)
                return NULL;
        for (size_t i = 0; i < list->entry_count; i++)
                if (list->entries[i].type == SF_ENTRY_FILE)
                        files[count++] = (struct named){ &list->entries[i].digest, i };
        qsort(files, count, sizeof *files, compare_named);
        *ret_count = count;
        return files;
}

int sf_change_set_changed(const struct sf_filelist *old, const struct sf_filelist *new, struct sf_change_set *ret,
                          struct sf_error *err)
{
        size_t old_count, new_count, count = 0;
        _cleanup_free_ struct named *before = sort_files(old, &old_count);
        _cleanup_free_ struct named *after = sort_files(new, &new_count);
        struct sf_delta_target *targets = calloc(new->entry_count + 1, sizeof *targets);

        if (!before || !after || !targets) {
                free(targets);
                return sf_error_set(err, SF_ERR_NOMEM, "no memory to compare two file lists");
        }
        for (size_t i = 0; i < new_count; i++) {
                if (i && sf_digest_equal(after[i].digest, after[i - 1].digest))
                        continue;
                if (bsearch(after[i].digest, before, old_count, sizeof *before, compare_digest))
                        continue;
                targets[count++] = (struct sf_delta_target){ after[i].entry, SF_DELTA_NO_ANCESTOR };
        }
        qsort(targets, count, sizeof *targets, compare_target);
        *ret = (struct sf_change_set){ .targets = targets, .target_count = count };
        return 0;
}

int sf_change_set_complete(struct sf_change_set *plan, const struct sf_filelist *old, const struct sf_filelist *new,
                           struct sf_error *err)
{
        _cleanup_free_ uint32_t *base_of_entry = calloc(old->entry_count + 1, sizeof *base_of_entry);
        size_t *bases = calloc(plan->target_count + 1, sizeof *bases);
        uint32_t *base_of = calloc(plan->target_count + 1, sizeof *base_of);

        free(plan->bases);
        free(plan->base_of);
        plan->bases = bases;
        plan->base_of = base_of;
        plan->base_count = 0;
        plan->old_size = plan->new_size = 0;
        if (!base_of_entry || !bases || !base_of)
                return sf_error_set(err, SF_ERR_NOMEM, "no memory for a delta's plan");
        for (size_t i = 0; i < plan->target_count; i++) {
                size_t ancestor = plan->targets[i].ancestor;
                uint64_t size = new->entries[plan->targets[i].entry].size;

                if (size > SF_DELTA_CONTENT_MAX - plan->new_size)
                        return sf_error_set(err, SF_ERR_LIMIT, "the changed files are too large for a delta");
                plan->new_size += size;
                if (ancestor == SF_DELTA_NO_ANCESTOR)
                        continue;
                if (!base_of_entry[ancestor]) {
                        if (old->entries[ancestor].size > SF_DELTA_CONTENT_MAX - plan->old_size)
                                return sf_error_set(err, SF_ERR_LIMIT, "the old files are too large for a delta");
                        plan->old_size += old->entries[ancestor].size;
                        bases[plan->base_count++] = ancestor;
                        base_of_entry[ancestor] = (uint32_t)plan->base_count;
                }
                base_of[i] = base_of_entry[ancestor];
        }
        return 0;
}

/* The old file of the same path, SF_DELTA_NO_ANCESTOR where there is none. */
static size_t namesake(const struct sf_filelist *old, const struct sf_entry *entry)
{
        const struct sf_entry *found = sf_filelist_find(old, entry->path);

        return found && found->type == SF_ENTRY_FILE ? (size_t)(found - old->entries) : SF_DELTA_NO_ANCESTOR;
}

/* Both directions at once: what `targets` holds is written or filled in. `ranks` are places in the changed set. */
static int code_plan(struct sf_coder *c, const struct sf_filelist *old, const struct sf_filelist *new,
                     const struct sf_delta_target *changed, uint64_t *ranks, struct sf_delta_target *targets,
                     size_t count)
{
        struct sf_number order, ancestors;
        uint64_t expected = 0;

        sf_number_start(&order);
        sf_number_start(&ancestors);
        for (size_t i = 0; i < count; i++) {
                struct sf_delta_target *t = &targets[i];

                ranks[i] = expected + (uint64_t)sf_coder_signed(c, &order, (int64_t)(ranks[i] - expected));
                if (ranks[i] >= count)
                        return SF_ERR_CORRUPT;
                expected = ranks[i] + 1;
                t->entry = changed[ranks[i]].entry;
                size_t same = namesake(old, &new->entries[t->entry]);
                uint64_t choice = t->ancestor == same ? 0 : t->ancestor == SF_DELTA_NO_ANCESTOR ? 1 : t->ancestor + 2;
                choice = sf_coder_number(c, &ancestors, choice);
                if (choice >= 2 && (choice - 2 >= old->entry_count || old->entries[choice - 2].type != SF_ENTRY_FILE))
                        return SF_ERR_CORRUPT;
                t->ancestor = choice == 0 ? same : choice == 1 ? SF_DELTA_NO_ANCESTOR : (size_t)choice - 2;
        }
        return 0;
}

int sf_change_set_write(const struct sf_change_set *plan, const struct sf_filelist *old, const struct sf_filelist *new,
                        struct sf_buffer *ret, struct sf_error *err)
{
        size_t count = plan->target_count;
        _cleanup_free_ struct sf_delta_target *changed = calloc(count + 1, sizeof *changed);
        _cleanup_free_ uint64_t *ranks = calloc(count + 1, sizeof *ranks);
        struct sf_coder coder;

        if (!changed || !ranks)
                return sf_error_set(err, SF_ERR_NOMEM, "no memory for a delta's plan");
        memcpy(changed, plan->targets, count * sizeof *changed);
        qsort(changed, count, sizeof *changed, compare_target);
        for (size_t i = 0; i < count; i++) {
                const struct sf_delta_target *found = bsearch(&plan->targets[i], changed, count, sizeof *changed,
                                                              compare_target);

                ranks[i] = (uint64_t)(found - changed);
        }
        sf_coder_encode(&coder, ret);
        if (code_plan(&coder, old, new, changed, ranks, plan->targets, count) < 0)
                return sf_error_set(err, SF_ERR_CORRUPT, "a delta's plan does not fit its file lists");
        return sf_coder_finish(&coder, err);
}

static int check_permutation(const uint64_t *ranks, size_t count, struct sf_error *err)
{
        _cleanup_free_ uint8_t *seen = calloc(count + 1, 1);

        if (!seen)
                return sf_error_set(err, SF_ERR_NOMEM, "no memory for a delta's plan");
        for (size_t i = 0; i < count; i++)
                if (seen[ranks[i]]++)
                        return sf_error_set(err, SF_ERR_CORRUPT, "the delta's plan names a file twice");
        return 0;
}

int sf_change_set_read(const struct sf_filelist *old, const struct sf_filelist *new, const void *text, size_t len,
                       struct sf_change_set *ret, struct sf_error *err)
{
        _cleanup_(sf_change_set_free) struct sf_change_set plan = { 0 };
        _cleanup_free_ struct sf_delta_target *changed = NULL;
        _cleanup_free_ uint64_t *ranks = NULL;
        struct sf_coder coder;
        int r = sf_change_set_changed(old, new, &plan, err);

        if (r < 0)
                return r;
        changed = calloc(plan.target_count + 1, sizeof *changed);
        ranks = calloc(plan.target_count + 1, sizeof *ranks);
        if (!changed || !ranks)
                return sf_error_set(err, SF_ERR_NOMEM, "no memory for a delta's plan");
        memcpy(changed, plan.targets, plan.target_count * sizeof *changed);
        sf_coder_decode(&coder, text, len);
        if (code_plan(&coder, old, new, changed, ranks, plan.targets, plan.target_count) < 0)
                return sf_error_set(err, SF_ERR_CORRUPT, "the delta's plan names files that are not there");
        if ((r = sf_coder_finish(&coder, err)) < 0 || (r = check_permutation(ranks, plan.target_count, err)) < 0)
                return r;
        if ((r = sf_change_set_complete(&plan, old, new, err)) < 0)
                return r;
        *ret = plan;
        plan = (struct sf_change_set){ 0 };
        return 0;
}

void sf_change_set_free(struct sf_change_set *plan)
{
        free(plan->targets);
        free(plan->bases);
        free(plan->base_of);
        *plan = (struct sf_change_set){ 0 };
}
