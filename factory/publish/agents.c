/* SPDX-License-Identifier: Apache-2.0 */
/* factory/publish/agents.c - see agents.h. */
#include "factory/publish/agents.h"

#include <elf.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/digest.h"
#include "base/fs.h"
#include "base/log.h"
#include "release/agents.h"
#include "release/layout.h"

#define SCRIPT_MAX (1u << 20)

static const struct {
        const char *arch;
        unsigned machine;
} machines[] = { { "amd64", EM_X86_64 }, { "arm64", EM_AARCH64 } };
#define MACHINES (sizeof machines / sizeof *machines)

struct program {
        const char *path, *arch;
        char version[SF_AGENTS_VERSION_MAX];
        struct sf_buffer bytes;
};

/* --- what a file is ---------------------------------------------------------------------------------------------- */

/* A static-pie has no interpreter: it runs on every distribution. */
static int look_at_elf(struct program *p, bool force, struct sf_error *err)
{
        Elf64_Ehdr head;
        bool wants_loader = false;

        if (p->bytes.len < sizeof head)
                return sf_error_set(err, SF_ERR_CORRUPT, "%s is no program", p->path);
        memcpy(&head, p->bytes.data, sizeof head);
        if (memcmp(head.e_ident, ELFMAG, SELFMAG) != 0 || head.e_ident[EI_CLASS] != ELFCLASS64)
                return sf_error_set(err, SF_ERR_CORRUPT, "%s is no ELF program", p->path);
        for (size_t i = 0; i < MACHINES; i++)
                if (head.e_machine == machines[i].machine)
                        p->arch = machines[i].arch;
        if (!p->arch)
                return sf_error_set(err, SF_ERR_UNSUPPORTED, "%s: a processor that nodes do not have", p->path);
        for (size_t i = 0; i < head.e_phnum; i++) {
                Elf64_Phdr part;
                size_t at = head.e_phoff + i * sizeof part;
                if (at < head.e_phoff || at + sizeof part > p->bytes.len)
                        return sf_error_set(err, SF_ERR_CORRUPT, "%s is cut off", p->path);
                memcpy(&part, p->bytes.data + at, sizeof part);
                wants_loader |= part.p_type == PT_INTERP;
        }
        if (wants_loader && !force)
                return sf_error_set(err, SF_ERR_USAGE,
                                    "%s needs shared libraries, and nodes of other distributions could not run it: "
                                    "'make static' builds one that they can (--force takes this one)",
                                    p->path);
        return 0;
}

static int read_program(const char *path, bool force, struct program *p, struct sf_error *err)
{
        static const char mark[] = SF_AGENTS_MARK;

        p->path = path;
        int r = sf_fs_read(path, SF_AGENTS_PROGRAM_MAX, &p->bytes, err);
        if (r == 0)
                r = look_at_elf(p, force, err);
        if (r < 0)
                return r;
        const char *at = memmem(p->bytes.data, p->bytes.len, mark, strlen(mark));
        if (at)
                snprintf(p->version, sizeof p->version, "%s", at + strlen(mark));
        return at && sf_agents_is_version(p->version)
                       ? 0
                       : sf_error_set(err, SF_ERR_CORRUPT, "%s is not sf-node: it does not say a version", path);
}

/* --- into the repository ----------------------------------------------------------------------------------------- */

static int put_program(struct sf_metadata *metadata, const struct program *p, bool force, struct sf_error *err)
{
        _cleanup_(sf_buffer_free) struct sf_buffer index = SF_BUFFER_INIT, next = SF_BUFFER_INIT;
        _cleanup_free_ char *target = sf_layout_agent_target(p->version, p->arch);
        const char *published = target ? sf_metadata_target_hash(metadata, SF_ROLE_AGENT, target) : NULL;
        char hex[SF_DIGEST_HEX + 1];
        struct sf_digest digest;

        if (!target)
                return sf_error_set(err, SF_ERR_NOMEM, "no memory for a path");
        sf_digest_of(p->bytes.data, p->bytes.len, &digest);
        if (published && !force && strcmp(published, sf_digest_hex(&digest, hex)) != 0)
                return sf_error_set(err, SF_ERR_EXISTS,
                                    "sf-node %s for %s is published with other content: a new one needs a new version "
                                    "(--force replaces it)",
                                    p->version, p->arch);
        int r = sf_metadata_put_target(metadata, SF_ROLE_AGENT, target, p->bytes.data, p->bytes.len, err);
        if (r == 0)
                r = sf_metadata_get_target(metadata, SF_ROLE_AGENT, SF_LAYOUT_AGENTS_TARGET, SF_AGENTS_TEXT_MAX, &index,
                                           err);
        if (r < 0 && r != SF_ERR_NOT_FOUND)
                return r;
        r = sf_agents_set(SF_LAYOUT_AGENTS_TARGET, index.data, index.len, p->arch, p->version, &next, err);
        return r < 0 ? r
                     : sf_metadata_put_target(metadata, SF_ROLE_AGENT, SF_LAYOUT_AGENTS_TARGET, next.data, next.len,
                                              err);
}

/* The plain file; it is there before anything names it. */
static int put_plain(const char *repository, const char *path, const struct sf_buffer *bytes, mode_t mode,
                     struct sf_error *err)
{
        _cleanup_free_ char *full = sf_fs_join(repository, path), *directory = full ? strdup(full) : NULL;

        if (!directory)
                return sf_error_set(err, SF_ERR_NOMEM, "no memory for a path");
        *strrchr(directory, '/') = '\0';
        int r = sf_fs_mkdirs(directory, 0755, err);
        return r < 0 ? r : sf_fs_write(full, bytes->data, bytes->len, mode, err);
}

/* --- the script -------------------------------------------------------------------------------------------------- */

/* "" where this version is not there for that architecture. */
static const char *hash_of(struct sf_metadata *metadata, const char *version, const char *arch)
{
        _cleanup_free_ char *target = sf_layout_agent_target(version, arch);
        const char *hash = target ? sf_metadata_target_hash(metadata, SF_ROLE_AGENT, target) : NULL;

        return hash ? hash : "";
}

static int put_script(const struct sf_publish_agents *publish, struct sf_metadata *metadata, const char *version,
                      struct sf_error *err)
{
        _cleanup_(sf_buffer_free) struct sf_buffer template = SF_BUFFER_INIT, text = SF_BUFFER_INIT;
        _cleanup_free_ char *target = sf_format(SF_LAYOUT_AGENT "/%1$s/sf-node-%1$s.sh", version);
        const struct {
                const char *name, *value;
        } fields[] = { { "@VERSION@", version },
                       { "@SHA256_AMD64@", hash_of(metadata, version, "amd64") },
                       { "@SHA256_ARM64@", hash_of(metadata, version, "arm64") } };
        int r = sf_fs_read(publish->script, SCRIPT_MAX, &template, err);

        for (const char *c = sf_buffer_text(&template); r == 0 && *c;) {
                size_t i = 0, count = sizeof fields / sizeof *fields;
                while (i < count && strncmp(c, fields[i].name, strlen(fields[i].name)) != 0)
                        i++;
                r = i < count ? sf_buffer_puts(&text, fields[i].value, err) : sf_buffer_append(&text, c, 1, err);
                c += i < count ? strlen(fields[i].name) : 1;
        }
        if (r == 0 && !target)
                r = sf_error_set(err, SF_ERR_NOMEM, "no memory for a path");
        if (r == 0)
                r = sf_metadata_put_target(metadata, SF_ROLE_AGENT, target, text.data, text.len, err);
        return r < 0 ? r : put_plain(publish->options->repository, target, &text, 0755, err);
}

/* --- all of it --------------------------------------------------------------------------------------------------- */

static int put_all(const struct sf_publish_agents *publish, struct sf_metadata *metadata,
                   const struct program *programs, struct sf_error *err)
{
        int r = 0;

        for (size_t i = 0; r == 0 && i < publish->count; i++) {
                _cleanup_free_ char *path = sf_layout_agent_target(programs[i].version, programs[i].arch);
                r = put_program(metadata, &programs[i], publish->force, err);
                if (r == 0)
                        r = path ? put_plain(publish->options->repository, path, &programs[i].bytes, 0755, err)
                                 : sf_error_set(err, SF_ERR_NOMEM, "no memory for a path");
        }
        if (r == 0)
                r = put_script(publish, metadata, programs[0].version, err);
        return r < 0 ? r : sf_metadata_commit(metadata, err);
}

static int read_all(const struct sf_publish_agents *publish, struct program *programs, struct sf_error *err)
{
        int r = 0;

        for (size_t i = 0; r == 0 && i < publish->count; i++) {
                r = read_program(publish->files[i], publish->force, &programs[i], err);
                for (size_t k = 0; r == 0 && k < i; k++) {
                        if (strcmp(programs[k].version, programs[i].version) != 0)
                                r = sf_error_set(err, SF_ERR_USAGE, "%s is version %s and %s is %s: one at a time",
                                                 programs[k].path, programs[k].version, programs[i].path,
                                                 programs[i].version);
                        else if (strcmp(programs[k].arch, programs[i].arch) == 0)
                                r = sf_error_set(err, SF_ERR_USAGE, "%s and %s are both for %s", programs[k].path,
                                                 programs[i].path, programs[i].arch);
                }
        }
        return r;
}

int sf_publish_agents(const struct sf_publish_agents *publish, char *ret_version, struct sf_error *err)
{
        _cleanup_metadata_ struct sf_metadata *metadata = NULL;
        struct program *programs = calloc(publish->count, sizeof *programs);
        int r = programs ? read_all(publish, programs, err) : sf_error_set(err, SF_ERR_NOMEM, "no memory for programs");

        if (r == 0)
                r = sf_metadata_open(publish->options, &metadata, err);
        if (r == 0 && !sf_metadata_body(metadata, SF_ROLE_AGENT))
                r = sf_error_set(err, SF_ERR_NOT_FOUND,
                                 "%s has no role " SF_ROLE_AGENT ": 'keys add " SF_ROLE_AGENT "' makes one",
                                 publish->options->repository);
        if (r == 0)
                r = put_all(publish, metadata, programs, err);
        if (r == 0)
                strcpy(ret_version, programs[0].version);
        for (size_t i = 0; programs && i < publish->count; i++)
                sf_buffer_free(&programs[i].bytes);
        free(programs);
        return r;
}
