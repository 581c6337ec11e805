/* SPDX-License-Identifier: Apache-2.0 */
/* factory/pack/tarball.c - see tarball.h. */
#include "factory/pack/tarball.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buffer.h"
#include "base/cleanup.h"
#include "factory/archive/member.h"
#include "base/fs.h"
#include "release/version.h"

#define TOP      "view/"
#define SUFFIX   "-software.tar.gz"
#define FLAGS    (ARCHIVE_EXTRACT_PERM | ARCHIVE_EXTRACT_SECURE_SYMLINKS | ARCHIVE_EXTRACT_SECURE_NODOTDOT)
#define FILE_MAX (1ull << 30)

int sf_tarball_name_parse(const char *path, struct sf_tarball_name *ret, struct sf_error *err)
{
        static const char *const architectures[] = { "amd64", "arm64" };
        const char *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path;
        size_t len = strlen(name), end = strlen(SUFFIX);
        char toolchain[64] = "", series[16] = "";

        if (len <= end || len > 100 || strcmp(name + len - end, SUFFIX) != 0 ||
            sscanf(name, "slurm-%15[0-9.]-%63[a-z0-9._]", series, toolchain) != 2)
                return sf_error_set(err, SF_ERR_USAGE,
                                    "%s: slurm-<series>-<toolchain>-<arch>" SUFFIX " is what such an archive is called",
                                    name);
        *ret = (struct sf_tarball_name){ .arch = "" };
        snprintf(ret->series, sizeof ret->series, "%s", series);
        if (strncmp(toolchain, "gcc", 3) != 0)
                snprintf(ret->toolchain, sizeof ret->toolchain, "%.47s", toolchain);
        for (size_t i = 0; i < sizeof architectures / sizeof *architectures; i++) {
                _cleanup_free_ char *tail = sf_format("-%s" SUFFIX, architectures[i]);
                if (tail && len > strlen(tail) && strcmp(name + len - strlen(tail), tail) == 0)
                        snprintf(ret->arch, sizeof ret->arch, "%s", architectures[i]);
        }
        return 0;
}

/* What follows view/ in a member's name; "" for view/ itself, NULL beside it. */
static const char *below_view(const char *name)
{
        while (name && strncmp(name, "./", 2) == 0)
                name += 2;
        if (!name || strncmp(name, TOP, strlen(TOP) - 1) != 0)
                return NULL;
        name += strlen(TOP) - 1;
        return *name == '/' ? name + 1 : *name ? NULL : name;
}

/* Puts a member below the directory; 1 where it does not belong there. */
static int place(struct archive_entry *entry, const char *directory, struct sf_error *err)
{
        const char *name = archive_entry_pathname(entry), *rest = below_view(name);
        const char *link = archive_entry_hardlink(entry), *other = below_view(link);
        _cleanup_free_ char *target = rest ? sf_format("%s/%s", directory, rest) : NULL;
        _cleanup_free_ char *source = other ? sf_format("%s/%s", directory, other) : NULL;
        size_t len = rest ? strlen(rest) : 0;

        if (!rest || !*rest)
                return 1;
        _cleanup_free_ char *plain = strndup(rest, rest[len - 1] == '/' ? len - 1 : len);
        if (!target || !plain || (other && !source))
                return sf_error_set(err, SF_ERR_NOMEM, "out of memory");
        if (!sf_fs_path_is_plain(plain) || (link && (!other || !sf_fs_path_is_plain(other))))
                return sf_error_set(err, SF_ERR_CORRUPT, "%s leads out of the archive", name);
        archive_entry_set_pathname(entry, target);
        if (link)
                archive_entry_set_hardlink(entry, source);
        return 0;
}

int sf_tarball_unpack(const char *path, const char *directory, unsigned long *ret_others, struct sf_error *err)
{
        _cleanup_(sf_archive_close_reader) struct archive *in = archive_read_new();
        _cleanup_(sf_archive_close_writer) struct archive *out = archive_write_disk_new();
        struct archive_entry *entry;
        size_t taken = 0;
        int r;

        if (!in || !out)
                return sf_error_set(err, SF_ERR_NOMEM, "out of memory");
        archive_read_support_format_tar(in);
        archive_read_support_filter_gzip(in);
        archive_write_disk_set_options(out, FLAGS);
        *ret_others = 0;
        if (archive_read_open_filename(in, path, 1 << 16) != ARCHIVE_OK)
                return sf_error_set(err, SF_ERR_CORRUPT, "%s: %s", path, archive_error_string(in));
        while ((r = archive_read_next_header(in, &entry)) == ARCHIVE_OK || r == ARCHIVE_WARN) {
                r = place(entry, directory, err);
                if (r == 1) {
                        *ret_others += below_view(archive_entry_pathname(entry)) == NULL;
                        continue;
                }
                if (r == 0)
                        r = sf_archive_copy_member(in, out, entry, err);
                if (r < 0)
                        return sf_error_prefix(err, "%s", path);
                taken++;
        }
        if (r != ARCHIVE_EOF)
                return sf_error_set(err, SF_ERR_CORRUPT, "%s: %s", path, archive_error_string(in));
        return taken ? 0 : sf_error_set(err, SF_ERR_CORRUPT, "%s: holds no directory view/", path);
}

/* --- the version ----------------------------------------------------------------------------------------------- */

/* slurm_version.h: #define SLURM_VERSION_NUMBER 0x190b05, three bytes (slurm.h, SLURM_VERSION_NUM). */
static bool version_in_header(const char *directory, char ret[48])
{
        _cleanup_free_ char *path = sf_fs_join(directory, "include/slurm/slurm_version.h");
        _cleanup_(sf_buffer_free) struct sf_buffer text = SF_BUFFER_INIT;
        const char *line;
        unsigned number;

        if (!path || sf_fs_read(path, 1u << 20, &text, NULL) < 0)
                return false;
        line = strstr(sf_buffer_text(&text), "SLURM_VERSION_NUMBER 0x");
        if (!line || sscanf(line, "SLURM_VERSION_NUMBER 0x%x", &number) != 1)
                return false;
        snprintf(ret, 48, "%u.%02u.%u", number >> 16 & 0xff, number >> 8 & 0xff, number & 0xff);
        return true;
}

/* SLURM_VERSION_STRING is a string of its own in every program: NUL, series, ".", digits, NUL. */
static bool version_in_program(const char *directory, const char *program, const char *series, char ret[48])
{
        _cleanup_free_ char *path = sf_fs_join(directory, program);
        _cleanup_(sf_buffer_free) struct sf_buffer bytes = SF_BUFFER_INIT;
        size_t len = strlen(series);

        if (!path || sf_fs_read(path, FILE_MAX, &bytes, NULL) < 0)
                return false;
        for (const uint8_t *at = bytes.data, *end = at + bytes.len; (at = memmem(at, (size_t)(end - at), series, len));
             at++) {
                size_t n = len;
                if (at == bytes.data || at[-1] != '\0' || at + n >= end || at[n] != '.')
                        continue;
                for (n++; at + n < end && n < 40 && (isdigit(at[n]) || at[n] == '-'); n++)
                        ;
                if (at + n < end && at[n] == '\0' && n > len + 1) {
                        snprintf(ret, 48, "%s", (const char *)at);
                        return true;
                }
        }
        return false;
}

int sf_tarball_version(const char *directory, const char *series, char ret[48], struct sf_error *err)
{
        static const char *const programs[] = { "lib/slurm/libslurmfull.so", "lib64/slurm/libslurmfull.so",
                                                "sbin/slurmd", "bin/scontrol" };
        bool found = false;
        struct sf_version is, wanted;
        int r;

        for (size_t i = 0; i < sizeof programs / sizeof *programs && !found; i++)
                found = version_in_program(directory, programs[i], series, ret);
        found = found || version_in_header(directory, ret);
        if (!found)
                return sf_error_set(err, SF_ERR_NOT_FOUND,
                                    "nothing in the archive says which %s it holds; --slurm-version does", series);
        if ((r = sf_version_parse(ret, &is, err)) < 0 || (r = sf_version_parse(series, &wanted, err)) < 0)
                return r;
        if (!sf_version_same_series(&is, &wanted) || (wanted.has_micro && sf_version_compare(&is, &wanted) != 0))
                return sf_error_set(err, SF_ERR_INCOMPATIBLE, "it is called %s and holds Slurm %s", series, ret);
        return 0;
}
