/* SPDX-License-Identifier: Apache-2.0 */
/* factory/pack/compose.h - the trees that somebody built, put together as one canonical tree on disk and in memory.
 *
 * Every entry knows its layer. Modes are normalized (0755 for directories and whatever had an x bit, else 0644),
 * absolute links into the prefix become relative, contents are canonical and lie in the stage directory under their own
 * paths, so that the lint and the tar writer see exactly what a node will get.
 */
#ifndef SF_FACTORY_PACK_COMPOSE_H
#define SF_FACTORY_PACK_COMPOSE_H

#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"
#include "factory/pack/file_order.h"
#include "factory/pack/leave_out.h"
#include "factory/pack/prefixes.h"
#include "factory/pack/static_archive.h"
#include "release/filelist.h"

struct sf_node {
        struct sf_entry entry;        /* path, target and map offsets are owned; `frame` is set by the layer writer */
        unsigned layer;               /* index of the layer that carries it */
        enum sf_file_order_kind kind; /* files only */
};

struct sf_compose {
        const char *stage;       /* directory, made by the caller */
        const char *placeholder; /* without trailing slash */
        const struct sf_prefixes
                *prefixes;              /* where there are several, the placeholder being the last; NULL = only it */
        struct sf_leave_out *leave_out; /* NULL = everything is taken */
        enum sf_static_archive static_archives;
        /* Told what is worth a line but no reason to refuse; NULL = nothing is looked for. Gets finding_ctx. */
        void (*note)(void *ctx, const char *text);
        bool follow_links; /* links that leave their tree are replaced by what they point to */
        void (*finding)(void *ctx, const char *text);
        void *finding_ctx;
        size_t findings;        /* reported so far */
        struct sf_node **nodes; /* owned; after sf_compose_order in packing order */
        size_t count;
        size_t room;    /* private */
        size_t earlier; /* private: nodes of complete layers, sorted by path */
};

/* Reports one reason to refuse. */
void sf_compose_finding(struct sf_compose *tree, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Says one such line. */
void sf_compose_note(struct sf_compose *tree, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* After the last layer: links that lead to themselves, and programs that are links to nothing, are findings; other
 * links to nothing are noted. */
int sf_compose_check_links(struct sf_compose *tree, struct sf_error *err);

/* Adds all of `directory` as the next layer, `layer` counting from 0, or as more of the last one. What the tree already
 * holds is left out. */
int sf_compose_add(struct sf_compose *tree, unsigned layer, const char *directory, struct sf_error *err);

/* Puts the nodes into packing order: by layer; directories by path; then files, similar ones side by side; then
 * links. */
void sf_compose_order(struct sf_compose *tree);

/* Frees what the tree owns; the stage directory stays. */
void sf_compose_free(struct sf_compose *tree);

#endif
