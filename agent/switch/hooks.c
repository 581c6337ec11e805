/* SPDX-License-Identifier: Apache-2.0 */
/* agent/switch/hooks.c - see hooks.h. */
#include "agent/switch/hooks.h"

#include <dirent.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/buffer.h"
#include "base/cleanup.h"
#include "base/fs.h"
#include "base/proc.h"

static int not_hidden(const struct dirent *e)
{
        return e->d_name[0] != '.';
}

static int by_bytes(const struct dirent **a, const struct dirent **b)
{
        return strcmp((*a)->d_name, (*b)->d_name);
}

static int run_one(const char *path, const char *const *environment, struct sf_error *err)
{
        _cleanup_(sf_buffer_free) struct sf_buffer output = SF_BUFFER_INIT;
        const char *argv[] = { path, NULL };
        struct sf_proc proc = { .argv = argv, .env = environment, .output = &output };
        int r = sf_proc_check(&proc, err);

        return r < 0 ? sf_error_prefix(err, "%s", path) : 0;
}

/* Calls every executable; environment NULL: only counts them. */
static int each(const char *directory, const char *const *environment, size_t *ret_count, struct sf_error *err)
{
        struct dirent **names = NULL;
        int count = scandir(directory, &names, not_hidden, by_bytes), r = 0;

        *ret_count = 0;
        for (int i = 0; i < count; i++) {
                _cleanup_free_ char *path = sf_fs_join(directory, names[i]->d_name);
                free(names[i]);
                if (!path)
                        r = sf_error_set(err, SF_ERR_NOMEM, "no memory for a path");
                if (r < 0 || access(path, X_OK) < 0)
                        continue;
                ++*ret_count;
                r = environment ? run_one(path, environment, err) : 0;
        }
        if (count >= 0)
                free(names);
        return r;
}

bool sf_hooks_exist(const char *directory)
{
        size_t count;

        return each(directory, NULL, &count, NULL) == 0 && count > 0;
}

int sf_hooks_run(const char *directory, const char *const *environment, struct sf_error *err)
{
        size_t count;

        return each(directory, environment, &count, err);
}
