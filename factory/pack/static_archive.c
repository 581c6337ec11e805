/* SPDX-License-Identifier: Apache-2.0 */
/* factory/pack/static_archive.c - see static_archive.h. */
#include "factory/pack/static_archive.h"

#include <string.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/proc.h"

#define STRIPPED_MAX (4ull << 30)

int sf_static_archive_parse(const char *text, enum sf_static_archive *ret, struct sf_error *err)
{
        static const char *const names[] = {
                [SF_STATIC_KEEP] = "keep", [SF_STATIC_STRIP] = "strip", [SF_STATIC_DROP] = "drop"
        };

        for (size_t i = 0; i < sizeof names / sizeof *names; i++)
                if (strcmp(text, names[i]) == 0) {
                        *ret = (enum sf_static_archive)i;
                        return 0;
                }
        return sf_error_set(err, SF_ERR_USAGE, "--static %s: keep, strip or drop expected", text);
}

bool sf_static_archive_is(const void *data, size_t len)
{
        return len > 8 && memcmp(data, "!<arch>\n", 8) == 0;
}

bool sf_static_archive_has_debug(const void *data, size_t len)
{
        static const char section[] = "\0.debug_info";

        /* The name of a section stands behind another name's NUL, in .shstrtab of a member; "\0.rela.debug_info"
         * holds it too. */
        return memmem(data, len, section + 1, sizeof section - 1) != NULL;
}

int sf_static_archive_strip(const char *path, const char *scratch, struct sf_buffer *content, struct sf_error *err)
{
        const char *const argv[] = { "strip", "--strip-debug", "--enable-deterministic-archives", scratch, NULL };
        const struct sf_proc strip = { .argv = argv, .timeout_seconds = 600 };
        int r = sf_fs_write(scratch, content->data, content->len, 0600, err);

        if (r == 0)
                r = sf_proc_check(&strip, err);
        if (r == 0) {
                sf_buffer_free(content);
                r = sf_fs_read(scratch, STRIPPED_MAX, content, err);
        }
        unlink(scratch);
        return r < 0 ? sf_error_prefix(err, "%s: --static strip", path) : 0;
}
