/* SPDX-License-Identifier: Apache-2.0 */
/* factory/build/builder.h - makes what a plan lacks: the layers of packages, each once, independent ones side by side.
 *
 * A layer is built in a prefix that holds its dependencies' layers and nothing else; what the package added is kept in
 * the cache under its key. Every package is built by a process of its own, with mounts of its own; all of them share
 * one job server (GNU make's), so that no more than `jobs` commands run at once however many packages are being built.
 * A run that was interrupted goes on with the layers that are not in the cache yet.
 */
#ifndef SF_FACTORY_BUILD_BUILDER_H
#define SF_FACTORY_BUILD_BUILDER_H

#include <stdbool.h>

#include "base/error.h"
#include "base/words.h"
#include "factory/build/plan.h"

struct sf_builder {
        /* all borrowed */
        struct sf_plan *plan;
        const struct sf_words *mirrors;
        unsigned jobs;
        bool keep_going; /* after a failure go on with what does not depend on it */
};

/* Every layer of the plan is in the cache afterwards. The error is that of the first layer that failed; with keep_going
 * the others are told aloud. */
int sf_builder_run(struct sf_builder *builder, struct sf_error *err);

/* --- private to builder.c and schedule.c --- */

/* What the package's process tells the one that waits for it, in memory that both see. */
struct sf_builder_progress {
        char step[48];
        unsigned number, count; /* step `number` of `count` */
        double start;           /* of the step, sf_clock_seconds */
};

/* Provides one layer: takes the lock, looks again, fetches or builds. */
int sf_builder_provide(const struct sf_builder *builder, const struct sf_plan_layer *layer, const char *makeflags,
                       struct sf_builder_progress *progress, struct sf_error *err);

#endif
