/* SPDX-License-Identifier: Apache-2.0 */
/* factory/pack/compose-file.c - why: a file may be one that no release wants, and what it holds must become what a node
 * gets. */
#include "factory/pack/compose-state.h"

#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/fs.h"
#include "factory/pack/canonical.h"
#include "factory/pack/hidden.h"
#include "factory/pack/survey.h"

/* Whether a directory of the release has a library: in this layer's own tree, or staged from an earlier one. */
static bool holds(const struct sf_compose_walk *walk, const char *directory, const char *library)
{
        const char *const trees[] = { walk->root, walk->tree->stage };

        for (size_t i = 0; i < sizeof trees / sizeof *trees; i++) {
                _cleanup_free_ char *path = sf_format("%s/%s/%s", trees[i], directory, library);
                if (path && access(path, F_OK) == 0)
                        return true;
        }
        return false;
}

/* One file's way through the rules of canonical.h. */
struct intake {
        const struct sf_compose_walk *walk;
        const char *path;
};

static bool intake_holds(void *ctx, const char *directory, const char *library)
{
        const struct intake *intake = ctx;

        return holds(intake->walk, directory, library);
}

static void intake_dropped(void *ctx, const char *element, size_t len)
{
        const struct intake *intake = ctx;

        sf_compose_note(intake->walk->tree, "%s: RUNPATH element %.*s dropped: the dynamic linker looks there anyway",
                        intake->path, (int)len, element);
}

/* Static libraries by what was asked for; *ret_skip: it is not taken. */
static int treat_archive(const struct sf_compose *tree, const char *path, struct sf_buffer *content, bool *ret_skip,
                         struct sf_error *err)
{
        if (!sf_static_archive_is(content->data, content->len))
                return 0;
        if (tree->static_archives == SF_STATIC_DROP) {
                *ret_skip = true;
                sf_compose_note((struct sf_compose *)(uintptr_t)tree, "%s: left out (--static drop)", path);
                return 0;
        }
        if (!sf_static_archive_has_debug(content->data, content->len))
                return 0;
        if (tree->static_archives == SF_STATIC_STRIP) {
                _cleanup_free_ char *scratch = sf_format("%s/.sf-strip", tree->stage);
                if (!scratch)
                        return sf_error_set(err, SF_ERR_NOMEM, "%s: out of memory", path);
                return sf_static_archive_strip(path, scratch, content, err);
        }
        sf_compose_note((struct sf_compose *)(uintptr_t)tree,
                        "%s: a static library of %zu bytes with debug information, which makes deltas large "
                        "(--static strip or drop)",
                        path, content->len);
        return 0;
}

/* What hides the prefix where no map reaches it. */
static int look_inside(const struct sf_compose_walk *walk, const char *path, const struct sf_buffer *content,
                       bool *ret_skip, struct sf_error *err)
{
        struct sf_compose *tree = walk->tree;
        const struct sf_prefixes *prefixes = tree->prefixes;
        bool hidden = false;
        int r = 0;

        if (!prefixes)
                r = sf_hidden_find(content->data, content->len, tree->placeholder, &hidden, err);
        for (size_t i = 0; prefixes && i < prefixes->words.count && r == 0 && !hidden; i++)
                r = sf_hidden_find(content->data, content->len, prefixes->words.items[i], &hidden, err);
        if (r < 0 || !hidden)
                return r;
        *ret_skip = tree->leave_out && sf_leave_out_is_log(path);
        if (*ret_skip)
                sf_compose_note(tree, "%s: left out: a compressed log that names the build prefix", path);
        else
                sf_compose_finding(tree, "%s: names the build prefix inside compressed content%s", path,
                                   tree->leave_out ? " (leave it out with --exclude)" : "");
        return 0;
}

int sf_compose_take_in(const struct sf_compose_walk *walk, const char *path, struct sf_buffer *content,
                       struct sf_map *map, bool *ret_skip, struct sf_error *err)
{
        struct intake intake = { walk, path };
        const struct sf_canonical_rules rules = { .holds = intake_holds, .dropped = intake_dropped, .ctx = &intake };
        int r = treat_archive(walk->tree, path, content, ret_skip, err);

        if (r == 0 && !*ret_skip)
                r = look_inside(walk, path, content, ret_skip, err);
        if (r == 0 && !*ret_skip && walk->tree->prefixes)
                r = sf_prefixes_unify(walk->tree->prefixes, path, content, err);
        if (r < 0 || *ret_skip)
                return r;
        r = sf_canonical_make(path, walk->tree->placeholder, content, &rules, map, err);
        if (r == 0 && walk->tree->note)
                sf_survey_content(walk->tree, path, content, map);
        return r;
}
