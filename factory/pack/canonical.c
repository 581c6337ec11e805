/* SPDX-License-Identifier: Apache-2.0 */
/* factory/pack/canonical.c - why: a release must not depend on where it was built, so the build prefix is taken out
 * of every file once, here, and the places are written down for the nodes. */
#include "factory/pack/canonical.h"

#include <fnmatch.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "rpath/elf.h"
#include "rpath/relocate.h"
#include "rpath/runpath.h"

/* What users copy or compile against, and therefore keep longer than one release. */
static const char *const outliving[] = {
        "bin/mpi*",
        "share/openmpi/*-wrapper-data.txt",
        "mpi/bin/mpi*",
        "mpi/share/openmpi/*-wrapper-data.txt",
        "mpi/modulefiles/*",
        "share/pmix/*-wrapper-data.txt",
        "*.pc",
        "*.service",
        "*.socket",
        "*.timer",
        "*.target",
};

/* UTF-8 (RFC 3629) without NUL. Surrogates and overlong forms are left to the readers: this only tells text from
 * not. */
static bool is_text(const uint8_t *bytes, size_t len)
{
        for (size_t i = 0; i < len; i++) {
                size_t follow;
                if (bytes[i] == 0)
                        return false;
                if (bytes[i] < 0x80)
                        continue;
                if (bytes[i] >= 0xc2 && bytes[i] <= 0xdf)
                        follow = 1;
                else if ((bytes[i] & 0xf0) == 0xe0)
                        follow = 2;
                else if (bytes[i] >= 0xf0 && bytes[i] <= 0xf4)
                        follow = 3;
                else
                        return false;
                for (; follow > 0; follow--)
                        if (++i == len || (bytes[i] & 0xc0) != 0x80)
                                return false;
        }
        return true;
}

enum sf_map_kind sf_canonical_kind(const char *path, const void *data, size_t len)
{
        bool script = len > 2 && memcmp(data, "#!", 2) == 0;

        if (sf_elf_is(data, len) || (!script && !is_text(data, len)))
                return SF_MAP_BINARY;
        for (size_t i = 0; i < sizeof outliving / sizeof outliving[0]; i++)
                if (fnmatch(outliving[i], path, 0) == 0)
                        return SF_MAP_VIEW;
        return SF_MAP_TEXT;
}

/* The placeholder's occurrences replaced in a text, whose length changes; offsets become those in the result. */
static int substitute_text(const char *path, const struct sf_relocation *placeholder, uint64_t *offsets,
                           struct sf_buffer *content, struct sf_error *err)
{
        _cleanup_(sf_buffer_free) struct sf_buffer canonical = SF_BUFFER_INIT;
        struct sf_relocator relocator;
        int r;

        sf_relocator_start(&relocator, placeholder, false);
        r = sf_relocator_feed(&relocator, path, content->data, content->len, &canonical, err);
        if (r == 0)
                r = sf_relocator_finish(&relocator, path, err);
        if (r < 0)
                return r;
        for (size_t i = 0; i < placeholder->count; i++)
                offsets[i] -= i * (placeholder->from_len - placeholder->to_len);
        sf_buffer_free(content);
        *content = canonical;
        canonical = (struct sf_buffer)SF_BUFFER_INIT;
        return 0;
}

/* How the dynamic linker finds a file's libraries. Clients, libraries and plugins have a DT_RPATH, which a user's
 * LD_LIBRARY_PATH cannot override. Daemons have a DT_RUNPATH, because an executable's RPATH also serves what NSS,
 * PAM and SPANK modules need; for the same reason the lists of programs and of Slurm's own libraries, which load
 * such modules, keep only the directories that hold what they themselves need. Modules that the system loads by a
 * path of its own (NSS, PAM) keep the whole path of the release: a link to them would make $ORIGIN another
 * directory. */
enum run_path_use { FOR_PLUGIN, FOR_LIBRARY, FOR_PROGRAM, FOR_DAEMON, FOR_MODULE };

static enum run_path_use run_path_use_of(const char *path)
{
        static const struct {
                const char *pattern;
                enum run_path_use search;
        } places[] = {
                { "sbin/*", FOR_DAEMON },
                { "bin/*", FOR_PROGRAM },
                { "lib/libnss_*", FOR_MODULE },
                { "lib/security/*", FOR_MODULE },
                { "lib/slurm/libslurm*", FOR_LIBRARY },
                { "lib/libslurm*", FOR_LIBRARY },
        };

        for (size_t i = 0; i < sizeof places / sizeof *places; i++)
                if (fnmatch(places[i].pattern, path, 0) == 0)
                        return places[i].search;
        return FOR_PLUGIN;
}

static int set_search(const char *path, const char *placeholder, struct sf_buffer *content,
                      const struct sf_canonical_rules *from, struct sf_error *err)
{
        enum run_path_use search = run_path_use_of(path);
        const struct sf_runpath_rules rules = {
                .holds = search == FOR_PLUGIN || search == FOR_MODULE ? NULL : from->holds,
                .drop_default = true,
                .dropped = from->dropped,
                .ctx = from->ctx,
                .tag = search == FOR_DAEMON ? DT_RUNPATH : DT_RPATH,
        };
        /* Nothing lies below "//": every element stays as it is. */
        int r = sf_runpath_apply(content->data, content->len, path, search == FOR_MODULE ? "//" : placeholder, &rules,
                                 err);

        return r < 0 ? r : 0;
}

int sf_canonical_make(const char *path, const char *placeholder, struct sf_buffer *content,
                      const struct sf_canonical_rules *rules, struct sf_map *ret_map, struct sf_error *err)
{
        _cleanup_free_ uint64_t *offsets = NULL;
        _cleanup_free_ char *padded = NULL;
        struct sf_relocation relocation = { .from = placeholder, .from_len = strlen(placeholder) };
        enum sf_map_kind kind = sf_canonical_kind(path, content->data, content->len);
        int r;

        if (kind == SF_MAP_BINARY) {
                r = set_search(path, placeholder, content, rules, err);
                if (r < 0)
                        return r;
        }
        r = sf_relocate_find(content->data, content->len, placeholder, &offsets, &relocation.count, err);
        if (r < 0)
                return r;
        if (relocation.count == 0) {
                *ret_map = (struct sf_map){ .kind = SF_MAP_NONE };
                return 0;
        }
        padded = malloc(relocation.from_len + 1);
        if (!padded)
                return sf_error_set(err, SF_ERR_NOMEM, "%s: out of memory", path);
        r = sf_relocate_pad(SF_CANONICAL_PREFIX, relocation.from_len, padded, err);
        if (r < 0)
                return r;
        relocation.offsets = offsets;
        relocation.to = kind == SF_MAP_BINARY ? padded : SF_CANONICAL_PREFIX;
        relocation.to_len = strlen(relocation.to);
        if (kind == SF_MAP_BINARY)
                r = sf_relocate_in_place(content->data, content->len, path, &relocation, false, err);
        else
                r = substitute_text(path, &relocation, offsets, content, err);
        if (r < 0)
                return r;
        *ret_map = (struct sf_map){ .kind = kind, .count = relocation.count };
        ret_map->offsets = sf_steal_pointer(offsets);
        return 0;
}
