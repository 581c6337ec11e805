/* SPDX-License-Identifier: Apache-2.0 */
/* agent/switch/first_boot.h - what a bare node, or an image below --root, lacks before slurmd can run on it: "install
 * --init".
 *
 * A list of things: accounts, directories, files, links, enabled units. Whatever is there already, in whatever shape,
 * is left as it is; a difference that will hurt is a note. So a second run finds nothing to do. slurmd.service itself
 * is the switch's (agent/node/unit.h): here it is written only where the switch had nothing to do.
 *
 * Numbers of users are never invented: they are the host's, or those of [init] in the configuration.
 */
#ifndef SF_AGENT_SWITCH_FIRST_BOOT_H
#define SF_AGENT_SWITCH_FIRST_BOOT_H

#include <stdbool.h>
#include <stddef.h>

#include "agent/node/account.h"
#include "agent/node/config.h"
#include "base/error.h"
#include "base/json.h"
#include "base/words.h"
#include "installer/store.h"

enum sf_first_boot_kind {
        SF_FIRST_BOOT_ACCOUNT, /* path: the sysusers.d file */
        SF_FIRST_BOOT_DIRECTORY,
        SF_FIRST_BOOT_FILE,
        SF_FIRST_BOOT_LINK,   /* text: where it points; it must lead to something in the release */
        SF_FIRST_BOOT_UNIT,   /* slurmd.service */
        SF_FIRST_BOOT_MUNGE,  /* munge.service as the release has it */
        SF_FIRST_BOOT_ENABLE, /* path: the link in multi-user.target.wants, text: where it points */
};

struct sf_first_boot_item {
        enum sf_first_boot_kind kind;
        char *path; /* without root */
        char *text; /* content of a file, target of a link; NULL otherwise */
        struct sf_account owner;
        mode_t mode;
};

/* What is missing, in the order of making; what is there is not in it. */
struct sf_first_boot {
        const struct sf_config *config;
        struct sf_first_boot_item *items;
        size_t count, room;
        struct sf_words notes; /* what a human has to know or do */
        struct sf_pool *pool;  /* private */
};

/* Looks, changes nothing. SF_ERR_USAGE where a decision is the site's: no slurm user and no number for it, neither
 * slurm.conf nor --conf-server, another --conf-server than the one slurmd is told already. */
int sf_first_boot_plan(const struct sf_config *config, struct sf_first_boot *ret, struct sf_error *err);
void sf_first_boot_free(struct sf_first_boot *boot);

/* Makes what is missing, with parts from this release; says each in a line. *ret_units: systemd has to be told. */
int sf_first_boot_apply(const struct sf_first_boot *boot, const struct sf_store *store,
                        const struct sf_store_release *release, bool *ret_units, struct sf_error *err);

/* "make directory /var/log/slurm (slurm 0755)": room for one item's line. */
void sf_first_boot_describe(const struct sf_first_boot_item *item, char *out, size_t room);
/* For --json: {"lacks": [lines], "notes": [lines]}; and for people, on standard output. */
json_t *sf_first_boot_json(const struct sf_first_boot *boot);
void sf_first_boot_print(const struct sf_first_boot *boot);

#endif
