/* SPDX-License-Identifier: Apache-2.0 */
/* agent/node/libraries.c - see libraries.h. */
#include "agent/node/libraries.h"

#include <elf.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/fs.h"
#include "base/proc.h"

#define PROGRAM_MAX (256u << 20)

int sf_libraries_loader(const char *tree, char **ret, struct sf_error *err)
{
        _cleanup_(sf_buffer_free) struct sf_buffer file = SF_BUFFER_INIT;
        _cleanup_free_ char *path = sf_fs_join(tree, "sbin/slurmd");
        Elf64_Ehdr header;
        Elf64_Phdr program;

        if (!path)
                return sf_error_set(err, SF_ERR_NOMEM, "no memory for a path");
        int r = sf_fs_read(path, PROGRAM_MAX, &file, err);
        if (r < 0)
                return r;
        if (file.len < sizeof header || memcmp(file.data, ELFMAG, SELFMAG) != 0)
                return sf_error_set(err, SF_ERR_CORRUPT, "%s: not a program", path);
        memcpy(&header, file.data, sizeof header);
        for (size_t i = 0; i < header.e_phnum; i++) {
                uint64_t at = header.e_phoff + i * sizeof program;
                if (at > file.len - sizeof program)
                        break;
                memcpy(&program, file.data + at, sizeof program);
                if (program.p_type != PT_INTERP || program.p_offset > file.len ||
                    program.p_filesz > file.len - program.p_offset)
                        continue;
                *ret = strndup((const char *)file.data + program.p_offset, program.p_filesz);
                return *ret ? 0 : sf_error_set(err, SF_ERR_NOMEM, "no memory for a path");
        }
        return sf_error_set(err, SF_ERR_CORRUPT, "%s: names no loader", path);
}

/* "libfoo.so.1 => not found" on one output, "...: version `GLIBC_2.38' not found (required by ...)" on the other. */
int sf_libraries_check(const char *loader, const char *tree, const char *path, struct sf_buffer *ret,
                       struct sf_error *err)
{
        _cleanup_(sf_buffer_free) struct sf_buffer text = SF_BUFFER_INIT;
        _cleanup_free_ char *file = sf_fs_join(tree, path);
        const char *argv[] = { loader, file, NULL };
        const char *env[] = { "LC_ALL=C", "LD_TRACE_LOADED_OBJECTS=1", NULL };
        struct sf_proc proc = { .argv = argv, .env = env, .output = &text, .timeout_seconds = 10 };
        char *saved = NULL;

        if (!file)
                return sf_error_set(err, SF_ERR_NOMEM, "no memory for a path");
        int status = sf_proc_run(&proc, err);
        if (status < 0)
                return status;
        size_t before = ret->len;
        int r = 0;
        for (char *line = text.len ? strtok_r((char *)text.data, "\n", &saved) : NULL; line && r == 0;
             line = strtok_r(NULL, "\n", &saved)) {
                line += strspn(line, " \t");
                char *arrow = strstr(line, " => not found"), *version = strstr(line, "version `");
                if (arrow)
                        r = sf_buffer_printf(ret, err, "%s: %.*s not found\n", path, (int)(arrow - line), line);
                else if (version)
                        r = sf_buffer_printf(ret, err, "%s: %s\n", path, version);
        }
        /* Refused for another reason, such as a foreign architecture: its own words. */
        if (r == 0 && status != 0 && ret->len == before)
                r = sf_buffer_printf(ret, err, "%s: the loader ends with status %d\n", path, status);
        return r;
}
