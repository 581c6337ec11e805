/* SPDX-License-Identifier: Apache-2.0 */
/* agent/node/account.h - users and groups of this node, or of the tree below --root.
 *
 * passwd(5), group(5). A static program has no NSS: on a live node the host's getent(1) is asked, which knows LDAP and
 * SSSD, and where there is none /etc/passwd is read. Below a root only its own files count.
 */
#ifndef SF_AGENT_NODE_ACCOUNT_H
#define SF_AGENT_NODE_ACCOUNT_H

#include <sys/types.h>

#include "base/error.h"

#define SF_ACCOUNT_NAME_MAX 33 /* with its NUL: what utmp, useradd and Slurm take */

struct sf_account {
        char name[SF_ACCOUNT_NAME_MAX];
        uid_t uid;
        gid_t gid;
};

/* key: a name or a number. SF_ERR_NOT_FOUND. */
int sf_account_find(const char *root, const char *key, struct sf_account *ret, struct sf_error *err);
/* The same for a group; ret->uid is 0. */
int sf_account_find_group(const char *root, const char *key, struct sf_account *ret, struct sf_error *err);

/* Makes the user, and its group where that is missing, through systemd-sysusers(8) and the sysusers.d(5) file
 * `file` (without root), which stays: an image makes its users again from it. Afterwards the node has exactly these
 * numbers, or it is an error. The caller has made sure that they are free. */
int sf_account_make(const char *root, const struct sf_account *account, const char *file, struct sf_error *err);

#endif
