/* SPDX-License-Identifier: Apache-2.0 */
/* factory/pack/compose-state.h - what the parts of compose share: a walk over one tree, and how an entry is added. */
#ifndef SF_FACTORY_PACK_COMPOSE_STATE_H
#define SF_FACTORY_PACK_COMPOSE_STATE_H

#include <sys/stat.h>

#include "factory/pack/compose.h"

/* One walk: the layer's own tree, or a directory outside it that a link led to. */
struct sf_compose_walk {
        struct sf_compose *tree;
        unsigned layer;
        const char *root;   /* real path of the layer's directory */
        const char *source; /* what this walk walks */
        const char *prefix; /* where it appears in the release, "" for the root */
        unsigned depth;
};

/* A file's content as a node gets it, and where it says the prefix; *ret_skip: the file is not taken. */
int sf_compose_take_in(const struct sf_compose_walk *walk, const char *path, struct sf_buffer *content,
                       struct sf_map *map, bool *ret_skip, struct sf_error *err);

/* What becomes of a symbolic link. */
enum sf_compose_link {
        SF_COMPOSE_LINK_KEPT,     /* a link with the target that is given, relative and inside the release */
        SF_COMPOSE_LINK_FOLLOWED, /* what it leads to comes in its place: a real path of this machine */
        SF_COMPOSE_LINK_REFUSED,  /* it was reported */
};
/* The link that the walk met, `relative` to its source. *ret_text is owned by the caller, NULL where it is refused. */
int sf_compose_resolve_link(const struct sf_compose_walk *walk, const char *relative, const char *path,
                            enum sf_compose_link *ret, char **ret_text, struct sf_error *err);

#endif
