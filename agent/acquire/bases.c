/* SPDX-License-Identifier: Apache-2.0 */
/* agent/acquire/bases.c - see bases.h. */
#include "agent/acquire/bases.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/fs.h"
#include "base/log.h"
#include "installer/unpack.h"

#define SCRATCH ".bases" /* below the staging directory; gone before the release gets its name */

int sf_bases_read(struct sf_bases *bases, const struct sf_entry *entry, struct sf_buffer *ret, struct sf_error *err)
{
        if (bases->again.list && sf_tree_read(&bases->again, entry, ret, NULL) == 0)
                return 0;
        int r = sf_reuse_read(bases->installed, entry, ret, err);
        if (r < 0)
                bases->damaged = true;
        return r;
}

static int open_range(void *ctx, size_t layer, uint64_t offset, uint64_t length, struct sf_stream **ret,
                      struct sf_error *err)
{
        struct sf_bases *bases = ctx;
        const struct sf_layer *l = &bases->tree->list->layers[layer];

        return sf_repository_range(bases->repository, &(struct sf_blob){ l->digest, l->size }, offset, length, ret,
                                   err);
}

static int open_scratch(struct sf_bases *bases, struct sf_error *err)
{
        if (mkdirat(bases->dirfd, SCRATCH, 0700) < 0)
                return sf_error_errno(err, "cannot make " SCRATCH);
        int fd = openat(bases->dirfd, SCRATCH, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        if (fd < 0)
                return sf_error_errno(err, "cannot open " SCRATCH);
        bases->again = *bases->tree;
        bases->again.dirfd = fd;
        return 0;
}

/* Marks the bases that cannot be read, and every directory for them to lie in. Fewer bytes than the budget must do. */
static int find_damaged(const struct sf_bases *bases, const size_t *entries, size_t count, uint64_t budget,
                        uint8_t *wanted, struct sf_error *err)
{
        const struct sf_filelist *list = bases->tree->list;
        _cleanup_free_ struct sf_unpack_range *ranges = NULL;
        size_t range_count;
        uint64_t bytes;

        for (size_t i = 0; i < count; i++) {
                _cleanup_(sf_buffer_free) struct sf_buffer content = SF_BUFFER_INIT;
                if (sf_reuse_read(bases->installed, &list->entries[entries[i]], &content, NULL) == 0)
                        continue;
                wanted[entries[i]] = 1;
                sf_log_warning("%s: damaged in the installed release, and the delta needs it",
                               list->entries[entries[i]].path);
        }
        int r = sf_unpack_plan(list, wanted, &ranges, &range_count, &bytes, err);
        if (r == 0 && bytes >= budget)
                r = sf_error_set(err, SF_ERR_CORRUPT, "fetching the damaged files again costs more than it saves");
        for (size_t i = 0; i < list->entry_count; i++)
                wanted[i] |= list->entries[i].type == SF_ENTRY_DIRECTORY;
        return r;
}

int sf_bases_mend(struct sf_bases *bases, const size_t *entries, size_t count, uint64_t budget, struct sf_error *err)
{
        _cleanup_free_ uint8_t *wanted = calloc(bases->tree->list->entry_count + 1, 1);

        if (!wanted)
                return sf_error_set(err, SF_ERR_NOMEM, "no memory for %zu entries", bases->tree->list->entry_count);
        int r = find_damaged(bases, entries, count, budget, wanted, err);
        if (r == 0)
                r = open_scratch(bases, err);
        if (r < 0)
                return r;
        struct sf_unpack job = { .tree = bases->again, .open_range = open_range, .ctx = bases, .wanted = wanted };
        return sf_unpack_run(&job, err);
}

int sf_bases_close(struct sf_bases *bases, struct sf_error *err)
{
        if (!bases->again.list)
                return 0;
        close(bases->again.dirfd);
        bases->again = (struct sf_tree){ 0 };
        return sf_fs_remove_tree_at(bases->dirfd, SCRATCH, err);
}
