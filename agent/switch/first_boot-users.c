/* SPDX-License-Identifier: Apache-2.0 */
/* agent/switch/first_boot-users.c - a part of first_boot.h's plan: users that have to be there, and their numbers. */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "agent/switch/first_boot-plan.h"

const struct sf_account sf_first_boot_root = { "root", 0, 0 };

static bool can_make_users(void)
{
        return access("/usr/bin/systemd-sysusers", X_OK) == 0 || access("/bin/systemd-sysusers", X_OK) == 0;
}

/* Numbers of the configuration that nobody else has. */
static int check_free(const struct sf_first_boot_look *l, const struct sf_account *wanted, struct sf_error *err)
{
        struct sf_account other;
        char number[16];

        snprintf(number, sizeof number, "%u", (unsigned)wanted->uid);
        if (sf_account_find(l->root, number, &other, NULL) == 0)
                return sf_error_set(err, SF_ERR_USAGE, "user %s cannot have the number %s: %s has it", wanted->name,
                                    number, other.name);
        snprintf(number, sizeof number, "%u", (unsigned)wanted->gid);
        if (sf_account_find_group(l->root, number, &other, NULL) == 0 && strcmp(other.name, wanted->name) != 0)
                return sf_error_set(err, SF_ERR_USAGE, "group %s cannot have the number %s: %s has it", wanted->name,
                                    number, other.name);
        if (!can_make_users())
                return sf_error_set(err, SF_ERR_USAGE,
                                    "there is no systemd-sysusers here that could make user %s with number %u: make it "
                                    "by hand",
                                    wanted->name, (unsigned)wanted->uid);
        return 0;
}

static int differs(const struct sf_first_boot_user *w, const char *what, unsigned is, uint64_t said,
                   struct sf_error *err)
{
        return sf_error_set(err, SF_ERR_USAGE,
                            "%s of %s is %u on this node and %llu in [init] %s: a cluster needs one number "
                            "everywhere, so one of them is wrong",
                            what, w->name, is, (unsigned long long)said, w->section_key);
}

/* A group that is there already keeps its number. */
static int plan_new(struct sf_first_boot_look *l, const struct sf_first_boot_user *w, struct sf_account *ret,
                    struct sf_error *err)
{
        struct sf_account group;
        char file[128];

        snprintf(ret->name, sizeof ret->name, "%s", w->name);
        ret->uid = (uid_t)w->uid;
        ret->gid = (gid_t)(w->gid == SF_INIT_UNSET ? w->uid : w->gid);
        if (sf_account_find_group(l->root, w->name, &group, NULL) == 0) {
                if (w->gid != SF_INIT_UNSET && w->gid != group.gid)
                        return differs(w, "the group number", (unsigned)group.gid, w->gid, err);
                ret->gid = group.gid;
        }
        int r = check_free(l, ret, err);
        snprintf(file, sizeof file, SF_FIRST_BOOT_SYSUSERS "%s.conf", w->name);
        const struct sf_first_boot_item item = { .kind = SF_FIRST_BOOT_ACCOUNT, .path = file, .owner = *ret };
        return r < 0 ? r : sf_first_boot_add(l, item, err);
}

int sf_first_boot_plan_account(struct sf_first_boot_look *l, const struct sf_first_boot_user *w, struct sf_account *ret,
                               struct sf_error *err)
{
        struct sf_error why = SF_ERROR_INIT;
        int r = sf_account_find(l->root, w->name, ret, &why);

        if (r == 0 && w->uid != SF_INIT_UNSET && w->uid != ret->uid)
                return differs(w, "the user number", (unsigned)ret->uid, w->uid, err);
        if (r == 0 && w->gid != SF_INIT_UNSET && w->gid != ret->gid)
                return differs(w, "the group number", (unsigned)ret->gid, w->gid, err);
        if (r == 0)
                return 0;
        if (r != SF_ERR_NOT_FOUND)
                return sf_error_set(err, r, "%s", why.text);
        if (w->uid != SF_INIT_UNSET)
                return plan_new(l, w, ret, err);
        return sf_error_set(err, SF_ERR_USAGE,
                            "there is no user %s in %s/etc/passwd%s, and sf-node does not invent its number: make it "
                            "with the number it has on the controller (useradd --system --uid UID %s), or name that "
                            "number in sf-node.conf ([init] %s = UID)",
                            w->name, l->root, *l->root ? "" : " or by getent", w->name, w->section_key);
}

int sf_first_boot_plan_slurm_user(struct sf_first_boot_look *l, struct sf_error *err)
{
        const char *said = l->has_conf ? sf_slurm_conf_get(&l->conf, "SlurmUser") : NULL, *name = l->init->slurm_user;

        if (said && name && strcmp(said, name) != 0)
                return sf_error_set(err, SF_ERR_USAGE, "SlurmUser is %s in %s and %s in [init] slurm_user", said,
                                    l->config->slurm_conf, name);
        name = name ? name : said ? said : "slurm";
        const struct sf_first_boot_user w = { name, "slurm_uid", l->init->slurm_uid, l->init->slurm_gid };
        if (strcmp(name, "root") != 0 && strcmp(name, "0") != 0)
                return sf_first_boot_plan_account(l, &w, &l->slurm, err);
        l->slurm = sf_first_boot_root;
        return 0;
}
