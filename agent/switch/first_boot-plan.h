/* SPDX-License-Identifier: Apache-2.0 */
/* agent/switch/first_boot-plan.h - what the parts of the plan share. Private to first_boot*.c.
 *
 * Each part looks at one thing and adds what is missing. */
#ifndef SF_AGENT_SWITCH_FIRST_BOOT_PLAN_H
#define SF_AGENT_SWITCH_FIRST_BOOT_PLAN_H

#include <sys/stat.h>

#include "agent/node/slurm_conf.h"
#include "agent/switch/first_boot.h"

/* What the node says, looked at once. */
struct sf_first_boot_look {
        struct sf_first_boot *boot;
        const struct sf_config *config;
        const struct sf_config_init *init;
        const char *root;
        struct sf_slurm_conf conf;
        bool has_conf;
        struct sf_account slurm, munge;
        char spool[1024];
};

/* A user that the node needs; numbers SF_INIT_UNSET = the host's. */
struct sf_first_boot_user {
        const char *name, *section_key; /* "slurm": [init] slurm_uid */
        uint64_t uid, gid;
};

#define SF_FIRST_BOOT_SYSUSERS "/etc/sysusers.d/sf-node-"

int sf_first_boot_no_memory(struct sf_error *err);
/* lstat below the root, without leaving it. */
bool sf_first_boot_is_there(const char *root, const char *path, struct stat *ret);
/* Adds a copy; the second one only where the path is free. */
int sf_first_boot_add(struct sf_first_boot_look *l, struct sf_first_boot_item item, struct sf_error *err);
int sf_first_boot_add_text(struct sf_first_boot_look *l, enum sf_first_boot_kind kind, const char *path,
                           const char *text, struct sf_error *err);

extern const struct sf_account sf_first_boot_root;
/* Fills l->slurm; the account of a user, found or to be made. */
int sf_first_boot_plan_slurm_user(struct sf_first_boot_look *l, struct sf_error *err);
int sf_first_boot_plan_account(struct sf_first_boot_look *l, const struct sf_first_boot_user *w, struct sf_account *ret,
                               struct sf_error *err);
/* Where slurmd has its configuration from. */
int sf_first_boot_plan_conf(struct sf_first_boot_look *l, struct sf_error *err);

#endif
