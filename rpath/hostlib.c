/* SPDX-License-Identifier: Apache-2.0 */
/* rpath/hostlib.c - see hostlib.h. */
#include "rpath/hostlib.h"

#include <elf.h>
#include <fcntl.h>
#include <glob.h>
#include <stdlib.h>
#include <string.h>

#include "base/buffer.h"
#include "base/cleanup.h"
#include "base/fs.h"

#define CONFIGURATION     "/etc/ld.so.conf"
#define CONFIGURATION_MAX ((size_t)1 << 20)
#define INCLUDE_DEPTH_MAX 8

struct sf_hostlib {
        char **directories; /* with the sysroot in front */
        size_t count;
};

static int add_directory(struct sf_hostlib *h, const char *sysroot, const char *directory, struct sf_error *err)
{
        char **more = reallocarray(h->directories, h->count + 1, sizeof *more);

        if (more) {
                h->directories = more;
                more[h->count] = sf_format("%s%s", sysroot, directory);
        }
        if (!more || !more[h->count])
                return sf_error_set(err, SF_ERR_NOMEM, "no memory for the host's library directories");
        h->count++;
        return 0;
}

static int read_configuration(struct sf_hostlib *h, const char *sysroot, const char *file, int depth,
                              struct sf_error *err);

/* "include PATTERN": absolute, or relative to /etc. */
static int include_pattern(struct sf_hostlib *h, const char *sysroot, const char *pattern, int depth,
                           struct sf_error *err)
{
        _cleanup_free_ char *whole = sf_format("%s%s%s", sysroot, pattern[0] == '/' ? "" : "/etc/", pattern);
        glob_t files = { 0 };
        int r = 0;

        if (!whole)
                return sf_error_set(err, SF_ERR_NOMEM, "no memory for the host's library directories");
        if (glob(whole, 0, NULL, &files) == 0)
                for (size_t i = 0; r == 0 && i < files.gl_pathc; i++)
                        r = read_configuration(h, sysroot, files.gl_pathv[i], depth + 1, err);
        globfree(&files);
        return r;
}

static int read_configuration(struct sf_hostlib *h, const char *sysroot, const char *file, int depth,
                              struct sf_error *err)
{
        _cleanup_(sf_buffer_free) struct sf_buffer text = SF_BUFFER_INIT;
        int r = depth < INCLUDE_DEPTH_MAX ? sf_fs_read(file, CONFIGURATION_MAX, &text, err) : SF_ERR_NOT_FOUND;
        char *rest = NULL;

        if (r == SF_ERR_NOT_FOUND || text.len == 0)
                return r == SF_ERR_NOT_FOUND ? 0 : r;
        for (char *line = strtok_r((char *)text.data, "\n", &rest); r == 0 && line;
             line = strtok_r(NULL, "\n", &rest)) {
                line += strspn(line, " \t");
                line[strcspn(line, "#\r")] = '\0';
                for (size_t len = strlen(line); len && strchr(" \t", line[len - 1]); len--)
                        line[len - 1] = '\0';
                if (line[0] == '/')
                        r = add_directory(h, sysroot, line, err);
                else if (strncmp(line, "include", 7) == 0 && (line[7] == ' ' || line[7] == '\t'))
                        r = include_pattern(h, sysroot, line + 7 + strspn(line + 7, " \t"), depth, err);
        }
        return r;
}

int sf_hostlib_open(const char *sysroot, struct sf_hostlib **ret, struct sf_error *err)
{
        static const char *const trusted[] = { "/lib64", "/usr/lib64", "/lib", "/usr/lib" };
        _cleanup_free_ char *configuration = sf_format("%s" CONFIGURATION, sysroot);
        struct sf_hostlib *h = calloc(1, sizeof *h);
        int r = h && configuration ? 0
                                   : sf_error_set(err, SF_ERR_NOMEM, "no memory for the host's library directories");

        for (size_t i = 0; r == 0 && i < sizeof trusted / sizeof *trusted; i++)
                r = add_directory(h, sysroot, trusted[i], err);
        if (r == 0)
                r = read_configuration(h, sysroot, configuration, 0, err);
        if (r < 0) {
                sf_hostlib_close(h);
                return r;
        }
        *ret = h;
        return 0;
}

void sf_hostlib_close(struct sf_hostlib *hostlib)
{
        if (!hostlib)
                return;
        for (size_t i = 0; i < hostlib->count; i++)
                free(hostlib->directories[i]);
        free(hostlib->directories);
        free(hostlib);
}

bool sf_hostlib_fits(const char *file, uint16_t machine)
{
        _cleanup_close_ int fd = open(file, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
        Elf64_Ehdr header;

        return fd >= 0 && read(fd, &header, sizeof header) == (ssize_t)sizeof header &&
               memcmp(header.e_ident, ELFMAG, SELFMAG) == 0 && header.e_ident[EI_CLASS] == ELFCLASS64 &&
               header.e_ident[EI_DATA] == ELFDATA2LSB && header.e_machine == machine;
}

char *sf_hostlib_find(const struct sf_hostlib *hostlib, const char *name, uint16_t machine)
{
        for (size_t i = 0; i < hostlib->count; i++) {
                _cleanup_free_ char *file = sf_fs_join(hostlib->directories[i], name);
                if (file && sf_hostlib_fits(file, machine))
                        return sf_steal_pointer(file);
        }
        return NULL;
}

bool sf_hostlib_has(const struct sf_hostlib *hostlib, const char *name, uint16_t machine)
{
        _cleanup_free_ char *file = sf_hostlib_find(hostlib, name, machine);

        return file != NULL;
}
