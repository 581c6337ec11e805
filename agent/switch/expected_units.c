/* SPDX-License-Identifier: Apache-2.0 */
/* agent/switch/expected_units.c - see expected_units.h. */
#include "agent/switch/expected_units.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "base/buffer.h"
#include "base/cleanup.h"
#include "base/fs.h"

#define NAME     "expected-units"
#define LIST_MAX (64u << 10)

static int no_memory(struct sf_error *err)
{
        return sf_error_set(err, SF_ERR_NOMEM, "no memory for units");
}

int sf_expected_units_write(const char *state, const char *const *units, const bool *running, size_t count,
                            struct sf_error *err)
{
        _cleanup_(sf_buffer_free) struct sf_buffer text = SF_BUFFER_INIT;
        _cleanup_free_ char *path = sf_fs_join(state, NAME);
        int r = path ? sf_fs_mkdirs(state, 0755, err) : no_memory(err);

        for (size_t i = 0; r == 0 && i < count; i++)
                if (running[i])
                        r = sf_buffer_printf(&text, err, "%s\n", units[i]);
        return r < 0 ? r : sf_fs_write(path, sf_buffer_text(&text), text.len, 0644, err);
}

int sf_expected_units_read(const char *state, const char *const *units, bool *running, size_t count,
                           struct sf_error *err)
{
        _cleanup_(sf_buffer_free) struct sf_buffer text = SF_BUFFER_INIT;
        _cleanup_free_ char *path = sf_fs_join(state, NAME);
        char *saved = NULL;
        int r = path ? sf_fs_read(path, LIST_MAX, &text, err) : no_memory(err);

        if (r == SF_ERR_NOT_FOUND) {
                if (err)
                        sf_error_clear(err);
                return 0;
        }
        if (r < 0)
                return r;
        for (char *line = text.len ? strtok_r((char *)text.data, "\n", &saved) : NULL; line;
             line = strtok_r(NULL, "\n", &saved))
                for (size_t i = 0; i < count; i++)
                        if (strcmp(units[i], line) == 0)
                                running[i] = true;
        return 0;
}

int sf_expected_units_remove(const char *state, struct sf_error *err)
{
        _cleanup_free_ char *path = sf_fs_join(state, NAME);

        if (!path)
                return no_memory(err);
        if (unlink(path) < 0)
                return errno == ENOENT ? 0 : sf_error_errno(err, "%s", path);
        return sf_fs_sync_dir(state, err);
}
