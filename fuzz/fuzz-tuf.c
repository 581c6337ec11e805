/* SPDX-License-Identifier: Apache-2.0 */
/* fuzz/fuzz-tuf.c - TUF metadata as a hostile server writes it. The first byte chooses the type, the rest is the file;
 * what is accepted goes through signature checks, listings and the walk over delegations, where every delegated role
 * answers with the same file.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/buffer.h"
#include "base/cleanup.h"
#include "tuf/tufdelegation.h"
#include "tuf/tufmeta.h"
#include "tuf/tuftext.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void walk(const struct sf_tufmeta *targets, const char *path)
{
        struct sf_tufwalk walk;
        struct sf_tufvisit visit;

        if (sf_tufwalk_init(&walk, path, NULL) < 0)
                return;
        for (int r = sf_tufwalk_push(&walk, targets->body, NULL); r == 0 && sf_tufwalk_next(&walk, &visit, NULL) > 0;) {
                _cleanup_free_ char *encoded = sf_tuftext_encode(visit.role);
                if (!encoded || strchr(encoded, '/'))
                        abort(); /* a name that leaves its directory */
                sf_tufmeta_verify(targets, visit.role, visit.keys, visit.spec, NULL);
                free(visit.role);
                r = sf_tufwalk_push(&walk, targets->body, NULL);
        }
        if (walk.visits > SF_TUF_VISITS_MAX + 1)
                abort();
        sf_tufwalk_free(&walk);
}

/* Every target the file lists, and what it says about its own bytes. */
static void check_targets(const struct sf_tufmeta *meta, const uint8_t *data, size_t size)
{
        const char *path;
        json_t *entry;

        json_object_foreach (json_object_get(meta->body, "targets"), path, entry) {
                _cleanup_free_ char *encoded = sf_tuftext_encode_path(path);
                if (!encoded || strpbrk(encoded, " \n?#"))
                        abort(); /* a name that is more than a path in a URL */
                sf_tufmeta_check_bytes(path, entry, data, size, NULL);
        }
        walk(meta, "index/bookworm-amd64.json");
        walk(meta, "a");
}

/* A pattern and a path, cut at the first line end. */
static void match(const uint8_t *data, size_t size)
{
        _cleanup_free_ char *text = strndup((const char *)data, size < 400 ? size : 400);
        char *path = text ? strchr(text, '\n') : NULL;

        if (!path)
                return;
        *path++ = '\0';
        sf_tufpath_matches(text, path);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        static const char *const types[] = { "root", "timestamp", "snapshot", "targets" };
        _cleanup_tufmeta_ struct sf_tufmeta meta = SF_TUFMETA_INIT;
        const char *type;

        if (size == 0)
                return 0;
        type = types[*data % 4];
        data++;
        size--;
        match(data, size);
        if (sf_tufmeta_parse(type, type, data, size, &meta, NULL) < 0)
                return 0;
        if (strcmp(type, "root") == 0)
                sf_tufmeta_verify_top(&meta, &meta, "root", NULL);
        else if (strcmp(type, "targets") == 0)
                check_targets(&meta, data, size);
        else if (sf_tufmeta_listed(&meta, "snapshot"))
                sf_tufmeta_check_bytes(type, sf_tufmeta_listed(&meta, "snapshot"), data, size, NULL);
        return 0;
}
