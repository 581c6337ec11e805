/* SPDX-License-Identifier: Apache-2.0 */
/* agent/node/spank.c - see spank.h. The plugin is read, never loaded: it is somebody else's code. */
#include "agent/node/spank.h"

#include <elf.h>
#include <glob.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/fs.h"
#include "rpath/elf.h"

#define CONF_MAX    (1u << 20)
#define PLUGIN_MAX  (64u << 20)
#define INCLUDE_MAX 8
#define BLANKS      " \t\r\n"

static bool read_at(const struct sf_elf *elf, uint64_t offset, void *out, uint64_t len)
{
        if (offset > elf->size || len > elf->size - offset)
                return false;
        memcpy(out, elf->data + offset, len);
        return true;
}

/* A 32-bit constant by its name in the dynamic symbol table. */
static bool find_constant(const struct sf_elf *elf, const char *name, uint32_t *ret)
{
        Elf64_Shdr section;
        Elf64_Sym symbol;

        for (uint64_t i = 0; i < elf->header.e_shnum; i++) {
                if (!read_at(elf, elf->header.e_shoff + i * sizeof section, &section, sizeof section))
                        return false;
                if (section.sh_type != SHT_DYNSYM)
                        continue;
                for (uint64_t s = 0; s < section.sh_size / sizeof symbol; s++) {
                        if (!read_at(elf, section.sh_offset + s * sizeof symbol, &symbol, sizeof symbol))
                                return false;
                        const char *text = sf_elf_dynstr(elf, symbol.st_name);
                        if (text && symbol.st_shndx != SHN_UNDEF && strcmp(text, name) == 0)
                                return read_at(elf, sf_elf_offset_of(elf, symbol.st_value), ret, sizeof *ret);
                }
        }
        return false;
}

static int check_plugin(const char *path, const struct sf_version *version, struct sf_buffer *ret, struct sf_error *err)
{
        _cleanup_(sf_buffer_free) struct sf_buffer file = SF_BUFFER_INIT;
        struct sf_error why = SF_ERROR_INIT;
        struct sf_elf elf;
        uint32_t built;

        if (sf_fs_read(path, PLUGIN_MAX, &file, &why) < 0 || sf_elf_open(file.data, file.len, path, &elf, &why) < 0)
                return sf_buffer_printf(ret, err, "required SPANK plugin cannot be read: %s\n", why.text);
        if (!find_constant(&elf, "plugin_version", &built))
                return sf_buffer_printf(ret, err, "required SPANK plugin %s says no plugin_version\n", path);
        if (built >> 8 == (version->major << 8 | version->minor))
                return 0;
        return sf_buffer_printf(
                ret, err,
                "required SPANK plugin %s is built for Slurm %u.%02u, not %u.%02u: every job would fail; "
                "rebuild it first\n",
                path, built >> 16, built >> 8 & 0xff, version->major, version->minor);
}

static int check_file(const char *path, const struct sf_version *version, unsigned depth, struct sf_buffer *ret,
                      struct sf_error *err);

static int check_included(const char *pattern, const struct sf_version *version, unsigned depth, struct sf_buffer *ret,
                          struct sf_error *err)
{
        glob_t found = { 0 };
        int r = 0;

        if (depth < INCLUDE_MAX && glob(pattern, 0, NULL, &found) == 0)
                for (size_t i = 0; r == 0 && i < found.gl_pathc; i++)
                        r = check_file(found.gl_pathv[i], version, depth + 1, ret, err);
        globfree(&found);
        return r;
}

static int check_file(const char *path, const struct sf_version *version, unsigned depth, struct sf_buffer *ret,
                      struct sf_error *err)
{
        _cleanup_(sf_buffer_free) struct sf_buffer text = SF_BUFFER_INIT;
        char *saved_line = NULL, *saved_word = NULL;
        int r = sf_fs_read(path, CONF_MAX, &text, err);

        for (char *line = r == 0 && text.len ? strtok_r((char *)text.data, "\n", &saved_line) : NULL; line && r == 0;
             line = strtok_r(NULL, "\n", &saved_line)) {
                line[strcspn(line, "#")] = '\0';
                const char *word = strtok_r(line, BLANKS, &saved_word);
                const char *value = word ? strtok_r(NULL, BLANKS, &saved_word) : NULL;
                if (!value)
                        continue;
                if (strcmp(word, "include") == 0)
                        r = check_included(value, version, depth, ret, err);
                /* A bare name is looked up in PluginDir: the release's own. */
                else if (strcmp(word, "required") == 0 && value[0] == '/')
                        r = check_plugin(value, version, ret, err);
        }
        return r;
}

int sf_spank_check(const char *plugstack, const struct sf_version *version, struct sf_buffer *ret, struct sf_error *err)
{
        return sf_fs_exists(plugstack) ? check_file(plugstack, version, 0, ret, err) : 0;
}
