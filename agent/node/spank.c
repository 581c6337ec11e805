/* SPDX-License-Identifier: Apache-2.0 */
/* agent/node/spank.c - see spank.h. The plugin is read, never loaded: it is somebody else's code. */
#include "agent/node/spank.h"

#include <elf.h>
#include <glob.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

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

struct run {
        const struct sf_spank *spank;
        const char *open[INCLUDE_MAX]; /* files being read, outermost first, without root */
        unsigned depth;
        struct sf_buffer *ret, *notes;
};

static int no_memory(struct sf_error *err)
{
        return sf_error_set(err, SF_ERR_NOMEM, "no memory for a path");
}

/* Where Slurm finds a plugin. Owned by the caller; NULL where it does not. */
static char *find_plugin(const struct sf_spank *spank, const char *name)
{
        if (*name == '/')
                return sf_format("%s%s", spank->root, name);
        for (const char *const *d = spank->plugin_dirs; d && *d; d++) {
                char *path = sf_fs_join(*d, name);
                if (path && sf_fs_exists(path))
                        return path;
                free(path);
        }
        return NULL;
}

static bool fits(uint32_t built, const struct sf_version *version)
{
        return version && built >> 8 == (version->major << 8 | version->minor);
}

/* Why Slurm would not load it, "" where it would; *ret_new tells whether the release before does. */
static void judge_plugin(const struct sf_spank *spank, const char *name, char *why, size_t room, bool *ret_new)
{
        _cleanup_(sf_buffer_free) struct sf_buffer file = SF_BUFFER_INIT;
        _cleanup_free_ char *path = find_plugin(spank, name);
        struct sf_error err = SF_ERROR_INIT;
        struct sf_elf elf;
        uint32_t built;

        *why = '\0';
        *ret_new = false;
        if (!path)
                snprintf(why, room, "is in no directory of PluginDir");
        else if (sf_fs_read(path, PLUGIN_MAX, &file, &err) < 0 ||
                 sf_elf_open(file.data, file.len, path, &elf, &err) < 0)
                snprintf(why, room, "cannot be read: %s", err.text);
        else if (!find_constant(&elf, "plugin_version", &built))
                snprintf(why, room, "says no plugin_version");
        else if (!fits(built, spank->version)) {
                snprintf(why, room, "is built for Slurm %u.%02u, not %u.%02u", built >> 16, built >> 8 & 0xff,
                         spank->version->major, spank->version->minor);
                *ret_new = fits(built, spank->before);
        }
}

static int check_plugin(const struct run *run, const char *name, bool required, struct sf_error *err)
{
        char why[2560];
        bool loaded_before;

        judge_plugin(run->spank, name, why, sizeof why, &loaded_before);
        if (!*why || (!required && !loaded_before))
                return 0;
        return required ? sf_buffer_printf(run->ret, err,
                                           "required SPANK plugin %s (%s) %s: every job would fail; rebuild it first\n",
                                           name, run->open[run->depth - 1], why)
                        : sf_buffer_printf(run->notes, err,
                                           "optional SPANK plugin %s (%s) %s: jobs would run without it; rebuild it\n",
                                           name, run->open[run->depth - 1], why);
}

static int check_file(struct run *run, const char *path, struct sf_error *err);

static int check_included(struct run *run, const char *pattern, struct sf_error *err)
{
        const char *from = run->open[run->depth - 1];
        _cleanup_free_ char *real = *pattern == '/' ? sf_format("%s%s", run->spank->root, pattern)
                                                    : sf_format("%s%.*s%s", run->spank->root,
                                                                (int)(strrchr(from, '/') + 1 - from), from, pattern);
        size_t skip = strlen(run->spank->root);
        glob_t found = { 0 };
        int r = real ? 0 : no_memory(err);

        if (r == 0 && glob(real, 0, NULL, &found) == 0)
                for (size_t i = 0; r == 0 && i < found.gl_pathc; i++)
                        r = check_file(run, found.gl_pathv[i] + skip, err);
        globfree(&found);
        return r;
}

/* Anything that is none of the three words is skipped, as Slurm does with an error. */
static int check_line(struct run *run, char *line, struct sf_error *err)
{
        char *saved = NULL;

        line[strcspn(line, "#")] = '\0';
        const char *word = strtok_r(line, BLANKS, &saved), *value = word ? strtok_r(NULL, BLANKS, &saved) : NULL;
        if (!value)
                return 0;
        if (strcmp(word, "include") == 0)
                return check_included(run, value, err);
        bool required = strcmp(word, "required") == 0;
        return required || strcmp(word, "optional") == 0 ? check_plugin(run, value, required, err) : 0;
}

static int check_file(struct run *run, const char *path, struct sf_error *err)
{
        _cleanup_(sf_buffer_free) struct sf_buffer text = SF_BUFFER_INIT;
        _cleanup_free_ char *real = sf_format("%s%s", run->spank->root, path);
        char *saved = NULL;
        int r = real ? 0 : no_memory(err);

        for (unsigned i = 0; i < run->depth; i++)
                if (strcmp(run->open[i], path) == 0)
                        return sf_buffer_printf(run->ret, err, "%s: %s is included again from within itself\n",
                                                run->open[run->depth - 1], path);
        if (run->depth == INCLUDE_MAX)
                return sf_buffer_printf(run->ret, err, "%s: more than %d nested includes\n", path, INCLUDE_MAX);
        if (r == 0 && access(real, F_OK) < 0)
                return 0;
        r = r == 0 ? sf_fs_read(real, CONF_MAX, &text, err) : r;
        run->open[run->depth++] = path;
        for (char *line = r == 0 && text.len ? strtok_r((char *)text.data, "\n", &saved) : NULL; line && r == 0;
             line = strtok_r(NULL, "\n", &saved))
                r = check_line(run, line, err);
        run->depth--;
        return r;
}

int sf_spank_check(const struct sf_spank *spank, struct sf_buffer *ret, struct sf_buffer *notes, struct sf_error *err)
{
        struct run run = { .spank = spank, .ret = ret, .notes = notes };

        return check_file(&run, spank->plugstack, err);
}
