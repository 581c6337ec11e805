/* SPDX-License-Identifier: Apache-2.0 */
/* agent/switch/database.h - what a switch owes slurmdbd: a backup before another series gets hold of the database, and
 * a first start that nobody interrupts.
 *
 * A newer slurmdbd converts the database's tables at its first start; that may take hours, must not be killed, and
 * cannot be undone. So slurmdbd is stopped, the site's programs in BACKUP.d make a backup (mysqldump is theirs to
 * call), and slurmdbd of the new release is run in the foreground as SlurmUser, without a time limit, until it
 * listens on DbdPort. Then it is ended with SIGTERM and started as the service it is. The way back is only through
 * the site's programs in RESTORE.d. SchedMD's upgrade guide says the same.
 */
#ifndef SF_AGENT_SWITCH_DATABASE_H
#define SF_AGENT_SWITCH_DATABASE_H

#include <stdbool.h>

#include "agent/node/config.h"
#include "agent/node/service.h"
#include "base/error.h"

struct sf_database {
        /* Set by the caller before sf_database_plan(). */
        const struct sf_config *config;
        const char *unit; /* slurmdbd's, NULL = none runs from PREFIX on this host */
        bool runs;        /* it is up, or is meant to be */
        const char *from_version, *to_version;
        /* Found by sf_database_plan(). */
        bool crosses; /* another series comes */
        bool back;    /* ... an older one */
        /* During the switch. */
        bool backed_up, converted; /* converted: slurmdbd of the new series was started on the database */
        bool restoring;            /* a restore was begun and has not succeeded */
};

/* Where the two kinds of programs are. */
#define SF_DATABASE_BACKUP  "/etc/sf-node/backup.d"
#define SF_DATABASE_RESTORE "/etc/sf-node/restore.d"

/* Says whether a series is crossed, and refuses (SF_ERR_INCOMPATIBLE) where no program would make the backup, or the
 * way back has no program that restores one; SF_ERR_USAGE where slurmdbd.conf cannot be read or its SlurmUser is nobody
 * here. restart: services will be restarted. */
int sf_database_plan(struct sf_database *d, bool restart, struct sf_error *err);

/* Stop, backup or restore, first start in the foreground, start. tree: of the release that comes. On failure before the
 * first start the service is stopped and the database as it was. */
int sf_database_restart(struct sf_database *d, struct sf_service_bus *bus, const char *tree, unsigned timeout_ms,
                        struct sf_error *err);

/* May the switch be undone? The same answers as sf_controller_may_return(). */
int sf_database_may_return(const struct sf_database *d, struct sf_error *err);

/* Restores the backup with the site's programs where a conversion was begun. The service is stopped. */
int sf_database_return(struct sf_database *d, struct sf_error *err);

/* After a crash. A restore that broke off is run again, with slurmdbd stopped: the programs must bear that. 1 = so it
 * was, and the database is the older release's. back: slurmctld of this node has not taken part yet, so a conversion is
 * undone where the site's programs can.
 * *ret_converted: slurmdbd of another series was started on the database (STATE/database/converting); an older one
 * cannot use its tables, so home is where the switch led, and sf_database_restart() goes on with the first start. */
int sf_database_recover(struct sf_database *d, struct sf_service_bus *bus, bool back, bool *ret_converted,
                        struct sf_error *err);
/* The end, good or bad: the marks for recovery go. */
int sf_database_end(const struct sf_config *config, struct sf_error *err);

#endif
