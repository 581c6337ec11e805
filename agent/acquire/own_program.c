/* SPDX-License-Identifier: Apache-2.0 */
/* agent/acquire/own_program.c - see own_program.h. */
#include "agent/acquire/own_program.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "agent/node/version.h"
#include "base/cleanup.h"
#include "base/fs.h"
#include "release/host.h"
#include "release/layout.h"

int sf_own_program_name(char out[PATH_MAX], bool *ret_replaced, struct sf_error *err)
{
        static const char deleted[] = " (deleted)";
        ssize_t len = readlink("/proc/self/exe", out, PATH_MAX - 1);

        if (len < 0)
                return sf_error_set(err, SF_ERR_UNSUPPORTED,
                                    "without /proc it is not known which file this program is");
        out[len] = '\0';
        *ret_replaced = !sf_fs_exists(out);
        char *tail = out + len - (len < (ssize_t)strlen(deleted) ? len : (ssize_t)strlen(deleted));
        if (*ret_replaced && strcmp(tail, deleted) == 0)
                *tail = '\0';
        return 0;
}

int sf_own_program_path(char out[PATH_MAX], struct sf_error *err)
{
        bool replaced;
        int r = sf_own_program_name(out, &replaced, err);

        return r == 0 && replaced
                       ? sf_error_set(err, SF_ERR_UNSUPPORTED, "%s: this program was replaced while it runs", out)
                       : r;
}

int sf_own_program_verify(const struct sf_config *config, struct sf_repository *repository, struct sf_error *err)
{
        _cleanup_free_ char *target = sf_layout_agent_target(sf_version_own(), sf_host_arch());
        _cleanup_(sf_buffer_free) struct sf_buffer bytes = SF_BUFFER_INIT;
        struct sf_error why = SF_ERROR_INIT;
        char path[PATH_MAX];
        int r = target ? sf_own_program_path(path, err) : sf_error_set(err, SF_ERR_NOMEM, "no memory for a path");

        if (r == 0)
                r = sf_fs_read("/proc/self/exe", SF_AGENTS_PROGRAM_MAX, &bytes, err);
        if (r < 0)
                return r;
        r = sf_repository_check_target(config, repository, target, bytes.data, bytes.len, &why);
        if (r == SF_ERR_NOT_FOUND)
                return sf_error_set(err, SF_ERR_TRUST, "the repository does not vouch for sf-node %s on %s",
                                    sf_version_own(), sf_host_arch());
        if (r == SF_ERR_CORRUPT)
                return sf_error_set(err, SF_ERR_TRUST, "%s is not the sf-node %s of the repository: %s", path,
                                    sf_version_own(), why.text);
        return r < 0 ? sf_error_set(err, r, "%s", why.text) : 0;
}

int sf_own_program_offered(const struct sf_config *config, struct sf_repository *repository,
                           char ret[SF_AGENTS_VERSION_MAX], struct sf_error *err)
{
        _cleanup_(sf_buffer_free) struct sf_buffer text = SF_BUFFER_INIT;
        int r = sf_repository_target(config, repository, SF_LAYOUT_AGENTS_TARGET, SF_AGENTS_TEXT_MAX, &text, err);

        if (r == SF_ERR_NOT_FOUND)
                return sf_error_set(err, r, "the repository offers no sf-node");
        return r < 0 ? r : sf_agents_current(SF_LAYOUT_AGENTS_TARGET, text.data, text.len, sf_host_arch(), ret, err);
}

/* Where nothing can be written beside the program, the program is part of something that is updated as a whole. */
static int explain(const char *program, int r, struct sf_error *err)
{
        return errno == EROFS
                       ? sf_error_prefix(err, "%s cannot be replaced, for it comes with a read-only system image",
                                         program)
                       : r;
}

int sf_own_program_fetch(const struct sf_config *config, struct sf_repository *repository, const char *version,
                         const char *program, uint64_t *ret_bytes, struct sf_error *err)
{
        _cleanup_free_ char *target = sf_layout_agent_target(version, sf_host_arch());
        _cleanup_free_ char *place = sf_format("%s.new", program);
        _cleanup_(sf_buffer_free) struct sf_buffer bytes = SF_BUFFER_INIT;
        int r = target && place ? sf_repository_target(config, repository, target, SF_AGENTS_PROGRAM_MAX, &bytes, err)
                                : sf_error_set(err, SF_ERR_NOMEM, "no memory for a path");

        if (r < 0)
                return r;
        *ret_bytes = bytes.len;
        errno = 0;
        r = sf_fs_write(place, bytes.data, bytes.len, 0755, err);
        return r < 0 ? explain(program, r, err) : 0;
}

int sf_own_program_switch(const char *program, struct sf_error *err)
{
        _cleanup_free_ char *new = sf_format("%s.new", program), *old = sf_format("%s.old", program);
        _cleanup_free_ char *between = sf_format("%s.old-new", program);

        if (!new || !old || !between)
                return sf_error_set(err, SF_ERR_NOMEM, "no memory for a path");
        unlink(between); /* an interrupted run's */
        if (link(program, between) < 0 || rename(between, old) < 0)
                return sf_error_errno(err, "cannot keep the old program as %s", old);
        unlink(between); /* rename(2) leaves both names where they are one file already */
        if (rename(new, program) < 0)
                return sf_error_errno(err, "cannot rename %s", new);
        return sf_fs_sync_parent(program, err);
}

void sf_own_program_drop(const char *program)
{
        _cleanup_free_ char *new = sf_format("%s.new", program);

        if (new)
                unlink(new);
}
