/* SPDX-License-Identifier: Apache-2.0 */
/* agent/verbs/gc.c - the verb gc: removes releases that are neither active nor the one before nor used by any
 * process. */
#include "agent/verbs/verbs.h"

#include <errno.h>
#include <linux/magic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "agent/node/active.h"
#include "agent/node/lease.h"
#include "agent/node/lock.h"
#include "agent/node/process.h"
#include "agent/switch/controller_copy.h"
#include "agent/switch/recovery.h"
#include "agent/node/report.h"
#include "agent/node/state.h"
#include "base/cleanup.h"
#include "base/fs.h"
#include "base/log.h"
#include "installer/activate.h"

#define SHARED_WAIT 3600 /* seconds for a node that writes into the same releases/ */

/* Other nodes' processes are not in this node's /proc. Numbers that linux/magic.h lacks are from statfs(2) and from the
 * file systems' own sources. */
static const struct {
        long type;
        const char *name;
} shared[] = {
        { NFS_SUPER_MAGIC, "NFS" },     { 0x0bd00bd0, "Lustre" },     { 0x47504653, "GPFS" },
        { CEPH_SUPER_MAGIC, "CephFS" }, { (long)0xff534d42, "CIFS" }, { (long)0xfe534d42, "SMB2" },
        { V9FS_MAGIC, "9p" },           { AFS_SUPER_MAGIC, "AFS" },   { 0x19830326, "BeeGFS" },
        { FUSE_SUPER_MAGIC, "FUSE" },   { 0x01161970, "GFS2" },       { 0x7461636f, "OCFS2" },
};

static int check_shared(const struct sf_store *store, bool force, struct sf_error *err)
{
        struct statfs st;

        if (statfs(store->releases, &st) < 0)
                return errno == ENOENT ? 0 : sf_error_errno(err, "%s", store->releases);
        for (size_t i = 0; i < sizeof shared / sizeof *shared; i++)
                if ((long)st.f_type == shared[i].type && !force)
                        return sf_error_set(
                                err, SF_ERR_BUSY,
                                "%s is on a shared file system (%s): other nodes may run from releases that look "
                                "unused here; --force removes them all the same",
                                store->releases, shared[i].name);
        return 0;
}

struct collection {
        const struct sf_config *config;
        const struct sf_store *store;
        struct sf_store_release *all; /* newest first */
        size_t count;
        char **trees;
        struct sf_process_user *users;
        size_t user_count;
        bool blind;              /* processes cannot be seen: every release may be in use */
        bool keep_given;         /* --keep */
        bool read_only;          /* releases/ cannot be written to */
        struct sf_lease *leases; /* of other nodes */
        size_t lease_count;
        char active[128];
        struct sf_state state;
        size_t kept, removed;
};

/* Without /proc nobody knows what is in use. */
static int look_at_processes(struct collection *c, struct sf_error *err)
{
        struct sf_error why = SF_ERROR_INIT;

        int r = sf_process_find((const char *const *)c->trees, c->count, &c->users, &c->user_count, &why);
        if (r == SF_ERR_NOMEM)
                return sf_error_set(err, r, "%s", why.text);
        if (r < 0) {
                c->blind = true;
                sf_log_warning("%s: every release counts as used", why.text);
        }
        return 0;
}

static int look_around(struct collection *c, struct sf_error *err)
{
        int r = sf_store_list(c->store, &c->all, &c->count, err);

        if (r == 0)
                r = sf_activate_current(c->store, c->active, err);
        if (r == SF_ERR_EXISTS)
                r = 0; /* a hand-made view is none of the releases */
        if (r == 0)
                r = c->config->dry_run ? sf_state_load(c->config->state, &c->state, err)
                                       : sf_state_load_or_set_aside(c->config->state, &c->state, err);
        if (r == 0)
                r = sf_lease_others(c->store, &c->leases, &c->lease_count, err);
        c->trees = calloc(c->count + 1, sizeof *c->trees);
        for (size_t i = 0; r == 0 && i < c->count; i++)
                if (!c->trees || !(c->trees[i] = sf_fs_join(c->store->releases, c->all[i].directory)))
                        r = sf_error_set(err, SF_ERR_NOMEM, "no memory for releases");
        return r < 0 ? r : look_at_processes(c, err);
}

/* Why this node needs a release; NULL where nothing speaks for it. */
static const char *own_reason(const struct collection *c, size_t i, char room[96])
{
        if (strcmp(c->all[i].directory, c->active) == 0)
                return "active";
        if (strcmp(c->all[i].directory, c->state.previous) == 0)
                return "rollback goes to it";
        if (sf_state_is_staged(&c->state, c->all[i].directory))
                return "it is staged";
        if (c->read_only)
                return "releases/ is read-only";
        /* A state that began empty, as at each boot of a node without a disk. */
        if (!*c->state.active && !c->keep_given)
                return "which release was before is not on record here (--keep N decides)";
        if (c->blind)
                return "it may be in use";
        for (size_t u = 0; u < c->user_count; u++) {
                if (c->users[u].tree != i)
                        continue;
                snprintf(room, 96, "pid %d (%s%s%s) uses it", (int)c->users[u].pid, c->users[u].command,
                         *c->users[u].step ? " of step " : "", c->users[u].step);
                return room;
        }
        return NULL;
}

/* Why a release stays. */
static const char *reason_to_keep(const struct collection *c, size_t i, uint64_t keep, char room[96])
{
        const char *own = own_reason(c, i, room);

        for (size_t l = 0; !own && l < c->lease_count; l++) {
                if (strcmp(c->leases[l].directory, c->all[i].directory) != 0)
                        continue;
                snprintf(room, 96, "node %.60s needs it", c->leases[l].node);
                return room;
        }
        return own ? own : i < keep ? "among the newest" : NULL;
}

static int collect(struct collection *c, uint64_t keep, struct sf_error *err)
{
        int r = 0;

        for (size_t i = 0; r == 0 && i < c->count; i++) {
                char room[96];
                const char *why = reason_to_keep(c, i, keep, room);
                if (why) {
                        sf_log_info("keeping %s: %s", c->all[i].directory, why);
                        c->kept++;
                        continue;
                }
                sf_log_info("%s %s", c->config->dry_run ? "would remove" : "removing", c->all[i].directory);
                if (!c->config->dry_run)
                        r = sf_store_remove(c->store, c->all[i].directory, err);
                c->removed++;
        }
        /* Modules of releases that are gone go with them. */
        if (r == 0 && c->removed && !c->config->dry_run && *c->active)
                r = sf_lmod_write(c->store, c->active, err);
        return r;
}

static int parse_keep(const struct sf_command_line *line, uint64_t *ret, struct sf_error *err)
{
        const char *text = sf_option_get(line, "keep");

        *ret = 0;
        if (text && !sf_conf_parse_size(text, ret))
                return sf_error_set(err, SF_ERR_USAGE, "--keep %s: not a number", text);
        return 0;
}

/* What this node needs of the releases that are left. */
static void renew_lease(const struct collection *c)
{
        _cleanup_free_ const char **needed = calloc(c->count + 1, sizeof *needed);
        struct sf_error why = SF_ERROR_INIT;
        size_t count = 0;

        for (size_t i = 0; needed && i < c->count; i++) {
                char room[96];
                if (own_reason(c, i, room))
                        needed[count++] = c->all[i].directory;
        }
        if (needed && sf_lease_write(c->store, needed, count, false, &why) < 0)
                sf_log_detail("no lease for other nodes' gc: %s", why.text);
}

static void say_waiting(void *ctx, const char *holder)
{
        (void)ctx;
        sf_log_info("waiting for sf-node %s, which writes here", holder);
}

static void say_copy(const char *release)
{
        sf_log_info("the copy of slurmctld's state of %s: the release is not installed any more", release);
}

static int collect_locked(struct collection *c, uint64_t keep, struct sf_error *err)
{
        const struct sf_lock_wait wait = { .seconds = SHARED_WAIT, .waiting = say_waiting };
        int waited, r = 0;
        _cleanup_close_ int lock = -1;

        c->read_only = sf_fs_is_read_only(c->store->releases);
        bool writes = !c->config->dry_run && !c->read_only;
        if (writes && sf_fs_exists(c->store->releases))
                r = lock = sf_lock_take_shared(c->store->releases, &wait, &waited, err);
        if (r < 0)
                return r;
        sf_store_forget(c->store);
        r = look_around(c, err);
        if (r == 0)
                r = collect(c, keep, err);
        if (r == 0)
                r = sf_controller_copy_prune(c->config->state, c->store, c->config->dry_run, say_copy, err);
        if (r == 0 && writes)
                r = sf_store_clear(c->store, err); /* a download that nobody continued */
        if (r == 0 && writes && !*c->config->root)
                renew_lease(c);
        return r;
}

int sf_verb_gc(const struct sf_config *config, const struct sf_command_line *line)
{
        struct sf_error err = SF_ERROR_INIT;
        struct sf_store store = { 0 };
        struct collection c = { .config = config, .store = &store };
        _cleanup_close_ int lock = -1;
        struct sf_report report;
        char text[512];
        uint64_t keep;
        int code = 0;

        sf_report_start(&report, "gc");
        report.step = SF_STEP_GC;
        int r = parse_keep(line, &keep, &err);
        c.keep_given = sf_option_given(line, "keep");
        if (r == 0)
                r = sf_store_open(config->root, config->prefix, &store, &err);
        if (r == 0) {
                sf_active_note(&store, &report);
                r = sf_recovery_begin(config, &store, &report, &lock, &code, &err);
        }
        if (r == 0)
                r = check_shared(&store, config->force, &err);
        if (r == 0)
                r = collect_locked(&c, keep, &err);
        snprintf(text, sizeof text, "%zu releases removed, %zu kept", config->dry_run ? (size_t)0 : c.removed, c.kept);
        report.result = c.removed && !config->dry_run ? SF_RESULT_DONE : SF_RESULT_UNCHANGED;
        sf_process_free_names(c.trees);
        free(c.users);
        free(c.leases);
        free(c.all);
        if (store.base)
                sf_store_close(&store);
        return r < 0 ? sf_report_failed(&report, code, &err) : sf_report_done(&report, text);
}
