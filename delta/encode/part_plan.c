/* SPDX-License-Identifier: Apache-2.0 */
/* delta/encode/part_plan.c - see part_plan.h. */
#include "delta/encode/part_plan.h"

#include <stdlib.h>

#include "base/cleanup.h"
#include "base/parallel.h"
#include "delta/codec/codecs.h"
#include "delta/encode/memory.h"

#define LOG_LEAST    22 /* smaller parts save a node no memory worth the bytes they cost */
#define PROBES_MOST  8u /* at a time */
#define PROBE_COPIES 4  /* of a part that a probe takes in memory, at most: ancestors, result, tables */

/* The work of a part, for its place in the order, in bytes that zstd compresses in the same time: so many for each byte
 * that the model codes. */
#define MODEL_WORK 8

struct planning {
        const struct sf_delta_files *old, *new;
        struct sf_part_plan *plan;
};

void sf_part_plan_free(struct sf_part_plan *plan)
{
        free(plan->parts);
        free(plan->order);
        *plan = (struct sf_part_plan){ 0 };
}

static size_t count_parts(const struct planning *p, unsigned log)
{
        size_t count = 0;

        for (size_t i = 0; i < p->new->count; i = sf_part_end(p->old, p->new, i, log))
                count++;
        return count;
}

/* 0 is any memory, before and after. */
static uint64_t memory_left(uint64_t memory, uint64_t taken)
{
        return memory > taken ? memory - taken : memory != 0;
}

/* What the walk over parts of 2^log bytes asks of each; stops at the first failure. */
static int each_part(const struct sf_delta_files *old, const struct sf_delta_files *new_files, unsigned log,
                     int (*look)(void *ctx, const struct sf_part *part), void *ctx, struct sf_error *err)
{
        int r = 0;

        for (size_t i = 0; i < new_files->count && r == 0;) {
                _cleanup_(sf_part_close) struct sf_part part = { 0 };

                if ((r = sf_part_outline(&part, old, new_files, i, log, err)) < 0)
                        return r;
                i += part.new.count;
                r = look(ctx, &part);
        }
        return r;
}

struct needs {
        uint64_t memory;  /* that there is; 0 = any */
        uint64_t fitting; /* bytes of new files in parts for which that is enough under elf */
        uint64_t zstd;    /* what the dearest part takes under zstd */
};

static int look_at_needs(void *ctx, const struct sf_part *part)
{
        struct needs *needs = ctx;
        uint64_t zstd = sf_part_memory(part, SF_PART_ZSTD);

        needs->zstd = zstd > needs->zstd ? zstd : needs->zstd;
        if (!needs->memory || sf_part_memory(part, SF_PART_ELF) <= needs->memory)
                needs->fitting += part->new_size;
        return 0;
}

int sf_part_plan_log(const struct sf_delta_files *old, const struct sf_delta_files *new_files, uint64_t memory,
                     unsigned *ret, struct sf_error *err)
{
        uint64_t left = memory_left(memory, sf_parts_tables(old, new_files, SF_PARTS_MAX));
        struct needs least = { .memory = left };
        int r = memory ? each_part(old, new_files, LOG_LEAST, look_at_needs, &least, err) : 0;
        unsigned log = SF_PART_LOG;

        for (; memory && r == 0 && log > LOG_LEAST; log--) {
                struct needs needs = { .memory = left };

                r = each_part(old, new_files, log, look_at_needs, &needs, err);
                if (r == 0 && needs.zstd <= left && needs.fitting >= least.fitting / 8 * 7)
                        break;
        }
        if (r == 0)
                *ret = log;
        return r;
}

uint64_t sf_part_plan_least_memory(const struct sf_delta_files *old, const struct sf_delta_files *new_files)
{
        struct needs needs = { 0 };

        if (each_part(old, new_files, LOG_LEAST, look_at_needs, &needs, NULL) < 0)
                return UINT64_MAX / 2; /* does not fit here in any case */
        return needs.zstd + sf_parts_tables(old, new_files, SF_PARTS_MAX);
}

static int look_at_part(void *ctx, size_t index, struct sf_error *err)
{
        const struct planning *p = ctx;
        struct sf_planned_part *planned = &p->plan->parts[index];
        _cleanup_(sf_part_close) struct sf_part part = { 0 };
        int r = sf_part_open(&part, p->old, p->new, planned->first, p->plan->log, err);

        if (r < 0)
                return r;
        planned->size = part.new_size;
        planned->making = sf_encode_memory(&part.old, &part.new, 1);
        planned->decoding = sf_part_memory(&part, SF_PART_ELF);
        planned->large = !sf_part_is_small(&part);
        planned->estimate = sf_delta_zstd_probe(&part.old, &part.new);
        if (planned->estimate > UINT32_MAX) /* it failed, for want of memory */
                planned->estimate = UINT32_MAX;
        planned->codec = SF_PART_ZSTD;
        return 0;
}

static int split(struct planning *p, struct sf_error *err)
{
        struct sf_part_plan *plan = p->plan;

        plan->count = count_parts(p, plan->log);
        if (plan->count > SF_PARTS_MAX)
                return sf_error_set(err, SF_ERR_LIMIT, "more than %d parts", SF_PARTS_MAX);
        plan->parts = calloc(plan->count + 1, sizeof *plan->parts);
        plan->order = calloc(plan->count + 1, sizeof *plan->order);
        if (!plan->parts || !plan->order)
                return sf_error_set(err, SF_ERR_NOMEM, "no memory for %zu parts", plan->count);
        for (size_t i = 0, k = 0; i < p->new->count; i = sf_part_end(p->old, p->new, i, plan->log), k++) {
                plan->parts[k].first = i;
                plan->order[k] = k;
        }
        return 0;
}

/* Of each byte what is left of it, in units that tell 1/65536. */
static uint64_t density(const struct sf_planned_part *part)
{
        return (part->estimate << 16) / (part->size + 1);
}

static uint64_t work(const struct sf_planned_part *part)
{
        return part->codec == SF_PART_ELF ? MODEL_WORK * part->estimate + part->size : part->size;
}

static int compare_density(const void *a, const void *b, void *ctx)
{
        const struct sf_planned_part *parts = ctx;
        size_t x = *(const size_t *)a, y = *(const size_t *)b;
        uint64_t of_x = density(&parts[x]), of_y = density(&parts[y]);

        return of_x != of_y ? (of_x < of_y ? -1 : 1) : (x < y ? -1 : x > y);
}

static int compare_work(const void *a, const void *b, void *ctx)
{
        const struct sf_planned_part *parts = ctx;
        size_t x = *(const size_t *)a, y = *(const size_t *)b;
        uint64_t of_x = work(&parts[x]), of_y = work(&parts[y]);

        return of_x != of_y ? (of_x > of_y ? -1 : 1) : (x < y ? -1 : x > y);
}

/* The parts that differ least first: there the better codec saves most for its time. */
static void choose_codecs(struct sf_part_plan *plan, uint64_t node_memory, const struct sf_delta_effort *effort)
{
        uint64_t left = sf_delta_effort_model_bytes(effort), making = sf_delta_effort_memory(effort);

        qsort_r(plan->order, plan->count, sizeof *plan->order, compare_density, plan->parts);
        for (size_t i = 0; i < plan->count; i++) {
                struct sf_planned_part *part = &plan->parts[plan->order[i]];

                if (part->large)
                        continue;
                if ((node_memory && part->decoding > node_memory) || part->estimate > left) {
                        plan->bounded++;
                        continue;
                }
                left -= part->estimate;
                if (making && part->making > making)
                        plan->cheaper++;
                else
                        part->codec = SF_PART_ELF;
        }
        qsort_r(plan->order, plan->count, sizeof *plan->order, compare_work, plan->parts);
}

/* Parts of zstd alone are for a set that one thread would take too long for. */
static bool is_of_use(const struct sf_part_plan *plan, uint64_t model_bytes)
{
        uint64_t estimate = 0;

        for (size_t i = 0; i < plan->count; i++) {
                estimate += plan->parts[i].estimate;
                if (plan->parts[i].codec == SF_PART_ELF)
                        return true;
        }
        return plan->cheaper || !plan->bounded || estimate > model_bytes;
}

/* As many at a time as the factory has memory for. */
static int look_at_parts(struct planning *p, const struct sf_delta_effort *effort, struct sf_error *err)
{
        uint64_t room = sf_delta_effort_memory(effort) / ((uint64_t)PROBE_COPIES << p->plan->log);
        unsigned threads = sf_delta_effort_threads(effort);

        if (!threads)
                threads = sf_parallel_processors();
        if (threads > PROBES_MOST)
                threads = PROBES_MOST;
        if (sf_delta_effort_memory(effort) && room < threads)
                threads = room ? (unsigned)room : 1;
        return sf_parallel_each(p->plan->count, threads, look_at_part, p, err);
}

/* Parts of the size that every agent knows, where any patch of them fits. */
static int choose_log(const struct planning *p, const struct sf_delta_effort *effort, struct sf_error *err)
{
        uint64_t memory = sf_delta_effort_node_memory(effort);

        p->plan->log = SF_PART_LOG;
        p->plan->limited = memory && sf_parts_memory(p->old, p->new) > memory;
        int r = p->plan->limited ? sf_part_plan_log(p->old, p->new, memory, &p->plan->log, err) : 0;
        if (effort && effort->part_log && effort->part_log < p->plan->log) {
                p->plan->log = effort->part_log;
                p->plan->limited = true;
        }
        return r;
}

int sf_part_plan_make(const struct sf_delta_files *old, const struct sf_delta_files *new_files,
                      const struct sf_delta_effort *effort, struct sf_part_plan *ret, struct sf_error *err)
{
        struct sf_part_plan plan = { 0 };
        struct planning p = { old, new_files, &plan };
        uint64_t memory = sf_delta_effort_node_memory(effort);
        int r = choose_log(&p, effort, err);

        if (r == 0 && (r = split(&p, err)) == 0)
                r = look_at_parts(&p, effort, err);
        if (r == 0) {
                choose_codecs(&plan, memory_left(memory, sf_parts_tables(old, new_files, plan.count)), effort);
                if (!is_of_use(&plan, sf_delta_effort_model_bytes(effort)))
                        r = sf_error_set(err, SF_ERR_LIMIT,
                                         "not made: a node has no memory for what parts are good for");
        }
        if (r < 0)
                sf_part_plan_free(&plan);
        else
                *ret = plan;
        return r;
}
