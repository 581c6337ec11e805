/* SPDX-License-Identifier: Apache-2.0 */
/* agent/switch/database.c - see database.h. */
#include "agent/switch/database.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "agent/node/account.h"
#include "agent/node/slurm_conf.h"
#include "agent/switch/hooks.h"
#include "base/buffer.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/fs.h"
#include "base/log.h"
#include "release/version.h"

#define DBD_PORT  6819
#define PAUSE_MS  200
#define SAY_AGAIN 60 /* seconds between two words about a conversion that goes on */
#define TABLE_MAX (16u << 20)
#define FIRST_LOG "slurmdbd-first-start.log"

#define RECOVER_STOP_MS 600000

/* The first start of slurmdbd. */
struct start {
        char *program, *log;
        char *conf; /* SLURM_CONF=: slurmdbd.conf is beside it */
        struct sf_account user;
        unsigned port;
};

/* SlurmUser may be a number, or known to LDAP alone: getent is asked, for a static program cannot. */
static int read_conf(const struct sf_database *d, struct start *ret, struct sf_error *err)
{
        _cleanup_(sf_slurm_conf_free) struct sf_slurm_conf conf = SF_SLURM_CONF_INIT;
        const char *slash = strrchr(d->config->slurm_conf, '/');
        _cleanup_free_ char *path = sf_format("%.*s/slurmdbd.conf", (int)(slash ? slash - d->config->slurm_conf : 0),
                                              d->config->slurm_conf);
        int r = path ? sf_slurm_conf_load("", path, &conf, err)
                     : sf_error_set(err, SF_ERR_NOMEM, "no memory for a path");

        if (r < 0)
                return r;
        const char *user = sf_slurm_conf_get(&conf, "SlurmUser");
        ret->port = (unsigned)sf_slurm_conf_number(&conf, "DbdPort", DBD_PORT);
        r = sf_account_find("", user ? user : "root", &ret->user, err);
        if (r == SF_ERR_NOT_FOUND)
                return sf_error_set(err, SF_ERR_USAGE, "%s: SlurmUser=%s is no user of this host", path,
                                    user ? user : "root");
        return r < 0 ? sf_error_prefix(err, "%s: SlurmUser", path) : 0;
}

int sf_database_plan(struct sf_database *d, bool restart, struct sf_error *err)
{
        struct sf_version from, to;

        if (!d->unit || !*d->to_version || *d->config->root || sf_version_parse(d->to_version, &to, NULL) < 0)
                return 0;
        /* What an adopted tree was is not known: it is taken for another series. */
        bool known = sf_version_parse(d->from_version, &from, NULL) == 0;
        d->crosses = !known || !sf_version_same_series(&from, &to);
        d->back = known && d->crosses && sf_version_compare(&to, &from) < 0;
        if (!d->crosses)
                return 0;
        /* Now, and not between its stop and its start. */
        if (d->runs && !d->back) {
                struct start unused = { 0 };
                int r = read_conf(d, &unused, err);
                if (r < 0)
                        return sf_error_prefix(err, "the first start of slurmdbd %s", d->to_version);
        }
        if (d->back && !sf_hooks_exist(SF_DATABASE_RESTORE))
                return sf_error_set(err, SF_ERR_INCOMPATIBLE,
                                    "slurmdbd %s cannot use the database that %s has converted, and there is no "
                                    "program in " SF_DATABASE_RESTORE " that would restore a backup",
                                    d->to_version, d->from_version);
        if (!d->back && !sf_hooks_exist(SF_DATABASE_BACKUP))
                return sf_error_set(
                        err, SF_ERR_INCOMPATIBLE,
                        "slurmdbd %s converts the database and cannot give it back: a program in " SF_DATABASE_BACKUP
                        " has to make a backup first (mysqldump, a snapshot), and there is none",
                        d->to_version);
        if (d->runs && !restart)
                return sf_error_set(err, SF_ERR_INCOMPATIBLE,
                                    "%s runs, and its first start as %s has to be watched: without a restart (install, "
                                    "--no-restart) that cannot be; stop it first, or switch with a restart",
                                    d->unit, d->to_version);
        return 0;
}

static int run_hooks(const struct sf_database *d, const char *directory, struct sf_error *err)
{
        _cleanup_free_ char *place = sf_fs_join(d->config->state, "database");
        _cleanup_free_ char *from = sf_format("SF_NODE_FROM=%s", d->from_version);
        _cleanup_free_ char *to = sf_format("SF_NODE_TO=%s", d->to_version);
        _cleanup_free_ char *backup = sf_format("SF_NODE_BACKUP=%s", place ? place : "");
        const char *environment[] = { "PATH=/usr/sbin:/usr/bin:/sbin:/bin",
                                      "HOME=/root",
                                      "LC_ALL=C.UTF-8",
                                      "SF_NODE_DAEMON=slurmdbd",
                                      from,
                                      to,
                                      backup,
                                      NULL };

        if (!place || !from || !to || !backup)
                return sf_error_set(err, SF_ERR_NOMEM, "no memory for a hook");
        int r = sf_fs_mkdirs(place, 0700, err);
        return r < 0 ? r : sf_hooks_run(directory, environment, err);
}

/* What is being done to the database, for whoever comes after a crash. */
#define CONVERTING "converting"
#define RESTORING  "restoring"

static char *mark_path(const struct sf_config *config, const char *name)
{
        return sf_format("%s/database/%s", config->state, name);
}

static int put_mark(const struct sf_database *d, const char *name, struct sf_error *err)
{
        _cleanup_free_ char *place = sf_fs_join(d->config->state, "database");
        _cleanup_free_ char *path = mark_path(d->config, name);
        int r = place && path ? sf_fs_mkdirs(place, 0700, err)
                              : sf_error_set(err, SF_ERR_NOMEM, "no memory for a path");

        return r < 0 ? r : sf_fs_write(path, d->to_version, strlen(d->to_version), 0600, err);
}

static bool has_mark(const struct sf_config *config, const char *name)
{
        _cleanup_free_ char *path = mark_path(config, name);

        return path && sf_fs_exists(path);
}

static int drop_mark(const struct sf_config *config, const char *name, struct sf_error *err)
{
        _cleanup_free_ char *path = mark_path(config, name);

        if (!path)
                return sf_error_set(err, SF_ERR_NOMEM, "no memory for a path");
        return unlink(path) < 0 && errno != ENOENT ? sf_error_errno(err, "%s", path) : 0;
}

int sf_database_end(const struct sf_config *config, struct sf_error *err)
{
        int r = drop_mark(config, CONVERTING, err);

        return r < 0 ? r : drop_mark(config, RESTORING, err);
}

/* A restore that was begun has to come to its end: what is half restored is nobody's database. */
static int restore(struct sf_database *d, struct sf_error *err)
{
        int r = put_mark(d, RESTORING, err);

        d->restoring = r == 0;
        if (r == 0)
                r = run_hooks(d, SF_DATABASE_RESTORE, err);
        if (r == 0)
                r = sf_database_end(d->config, err);
        d->restoring &= r < 0;
        return r < 0 ? sf_error_prefix(err, "restoring slurmdbd's database") : 0;
}

static int back_up(struct sf_database *d, struct sf_error *err)
{
        int r = run_hooks(d, SF_DATABASE_BACKUP, err);

        if (r < 0)
                return sf_error_prefix(err, "slurmdbd's backup");
        d->backed_up = true;
        r = put_mark(d, CONVERTING, err);
        d->converted = r == 0;
        return r;
}

/* In the child: a session of its own, so that no terminal's end reaches it, and the user that the service has. */
static _Noreturn void become_slurmdbd(const struct start *s, int log)
{
        char *environment[] = { (char[]){ "PATH=/usr/sbin:/usr/bin:/sbin:/bin" }, (char[]){ "LC_ALL=C.UTF-8" }, s->conf,
                                NULL };
        static const int restored[] = { SIGPIPE, SIGHUP, SIGINT, SIGTERM, SIGQUIT, SIGUSR1, SIGUSR2, SIGALRM };
        int null = open("/dev/null", O_RDONLY);

        setsid();
        for (size_t i = 0; i < sizeof restored / sizeof *restored; i++)
                signal(restored[i], SIG_DFL);
        if (null < 0 || dup2(null, 0) < 0 || dup2(log, 1) < 0 || dup2(log, 2) < 0 || chdir("/") < 0 ||
            initgroups(s->user.name, s->user.gid) < 0 || setgid(s->user.gid) < 0 || setuid(s->user.uid) < 0)
                _exit(126);
        execle(s->program, "slurmdbd", "-D", (char *)NULL, environment);
        _exit(127);
}

/* Does this process listen on the port? By the kernel's table and the process' own descriptors. */
static bool owns_socket(pid_t pid, unsigned long inode)
{
        char path[64], link[64], wanted[64];
        bool found = false;

        snprintf(path, sizeof path, "/proc/%d/fd", (int)pid);
        snprintf(wanted, sizeof wanted, "socket:[%lu]", inode);
        DIR *dir = opendir(path);
        for (struct dirent *e; dir && !found && (e = readdir(dir));) {
                ssize_t len = readlinkat(dirfd(dir), e->d_name, link, sizeof link - 1);
                link[len > 0 ? len : 0] = '\0';
                found = strcmp(link, wanted) == 0;
        }
        if (dir)
                closedir(dir);
        return found;
}

/* proc_pid_net(5): "sl local_address rem_address st ... inode"; state 0A is LISTEN. */
static bool listens(pid_t pid, unsigned port)
{
        static const char *const tables[] = { "tcp", "tcp6" };

        for (size_t i = 0; i < sizeof tables / sizeof *tables; i++) {
                _cleanup_(sf_buffer_free) struct sf_buffer text = SF_BUFFER_INIT;
                char path[64], *saved = NULL;
                snprintf(path, sizeof path, "/proc/%d/net/%s", (int)pid, tables[i]);
                if (sf_fs_read(path, TABLE_MAX, &text, NULL) < 0 || !text.len)
                        continue;
                for (char *line = strtok_r((char *)text.data, "\n", &saved); line;
                     line = strtok_r(NULL, "\n", &saved)) {
                        unsigned local, state;
                        unsigned long inode;
                        if (sscanf(line, " %*u: %*[0-9A-Fa-f]:%x %*[0-9A-Fa-f]:%*x %x %*x:%*x %*x:%*x %*x %*u %*u %lu",
                                   &local, &state, &inode) == 3 &&
                            state == 0x0a && local == port && owns_socket(pid, inode))
                                return true;
                }
        }
        return false;
}

static void wait_a_little(void)
{
        struct timespec pause = { 0, PAUSE_MS * 1000000L };

        nanosleep(&pause, NULL);
}

/* Until it listens, however long that takes; or ends. */
static int watch(pid_t pid, const struct start *s, struct sf_error *err)
{
        double began = sf_clock_seconds(), said = began;
        int status;

        while (!listens(pid, s->port)) {
                if (waitpid(pid, &status, WNOHANG) == pid)
                        return sf_error_set(err, SF_ERR_FAILED, "the first start of %s ended (%s %d): see %s",
                                            s->program, WIFEXITED(status) ? "status" : "signal",
                                            WIFEXITED(status) ? WEXITSTATUS(status) : WTERMSIG(status), s->log);
                if (sf_clock_seconds() - said > SAY_AGAIN) {
                        said = sf_clock_seconds();
                        sf_log_info("slurmdbd converts the database for %.0f s now, and must not be interrupted; it "
                                    "writes %s",
                                    said - began, s->log);
                }
                wait_a_little();
        }
        kill(pid, SIGTERM);
        while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
                ;
        return 0;
}

/* A conversion whose sf-node was killed goes on: slurmdbd has this file open, and the lock with it. Nothing is done to
 * the database before it has ended, however long that takes. */
static int lock_log(const char *path, struct sf_error *err)
{
        _cleanup_close_ int log = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NONBLOCK, 0600);
        double said = 0;

        if (log < 0)
                return sf_error_errno(err, "%s", path);
        while (flock(log, LOCK_EX | LOCK_NB) < 0) {
                if (errno != EWOULDBLOCK)
                        return sf_error_errno(err, "%s", path);
                if (sf_clock_seconds() - said > SAY_AGAIN) {
                        said = sf_clock_seconds();
                        sf_log_info(
                                "waiting for the slurmdbd of an interrupted switch, which converts the database and "
                                "must not be interrupted; it writes %s",
                                path);
                }
                wait_a_little();
        }
        return sf_steal_fd(&log);
}

static int start_once(const struct sf_database *d, const char *tree, struct sf_error *err)
{
        struct start s = { 0 };
        int r = read_conf(d, &s, err);

        s.program = sf_fs_join(tree, "sbin/slurmdbd");
        s.log = sf_fs_join(d->config->state, FIRST_LOG);
        s.conf = sf_format("SLURM_CONF=%s", d->config->slurm_conf);
        if (r == 0 && (!s.program || !s.log || !s.conf))
                r = sf_error_set(err, SF_ERR_NOMEM, "no memory for a path");
        _cleanup_close_ int log = r == 0 ? lock_log(s.log, err) : r;
        if (r == 0 && log < 0)
                r = log;
        if (r == 0) {
                sf_log_info("the first start of slurmdbd %s, in the foreground as %s: it may convert the database, "
                            "which takes "
                            "its time",
                            d->to_version, s.user.name);
                pid_t pid = fork();
                if (pid == 0)
                        become_slurmdbd(&s, log);
                r = pid < 0 ? sf_error_errno(err, "fork") : watch(pid, &s, err);
        }
        free(s.program);
        free(s.log);
        free(s.conf);
        return r;
}

int sf_database_restart(struct sf_database *d, struct sf_service_bus *bus, const char *tree, unsigned timeout_ms,
                        struct sf_error *err)
{
        int r = sf_service_run(bus, SF_SERVICE_STOP, d->unit, timeout_ms, err);

        if (r == 0 && d->back)
                r = restore(d, err);
        /* A conversion that broke off goes on, from the backup that there is. */
        if (r == 0 && !d->back && !d->converted)
                r = back_up(d, err);
        if (r == 0 && !d->back)
                r = start_once(d, tree, err);
        return r < 0 ? r : sf_service_run(bus, SF_SERVICE_START, d->unit, timeout_ms, err);
}

int sf_database_may_return(const struct sf_database *d, struct sf_error *err)
{
        if (d->restoring) {
                sf_error_set(
                        err, 0,
                        "the database may be half restored, so neither slurmdbd was started on it: mend the program "
                        "in " SF_DATABASE_RESTORE " or restore the backup yourself, then start %s; or 'sf-node "
                        "activate' another release",
                        d->unit);
                return 0;
        }
        if (!d->crosses || !d->converted || sf_hooks_exist(SF_DATABASE_RESTORE))
                return 1;
        sf_error_set(err, 0,
                     "slurmdbd of %s was started on the database, and no program in " SF_DATABASE_RESTORE
                     " gives it back, so nothing was undone: either mend it and stay (systemctl status %s), or restore "
                     "the backup yourself and go back with 'sf-node rollback'",
                     d->to_version, d->unit);
        return 0;
}

int sf_database_return(struct sf_database *d, struct sf_error *err)
{
        int r = d->crosses && d->converted ? restore(d, err) : 0;

        /* From here on its restart is one like any other's. */
        if (r == 0)
                d->converted = d->crosses = d->back = false;
        return r;
}

static int await_conversion(const struct sf_config *config, struct sf_error *err)
{
        _cleanup_free_ char *path = sf_fs_join(config->state, FIRST_LOG);
        int log = path ? lock_log(path, err) : sf_error_set(err, SF_ERR_NOMEM, "no memory for a path");

        if (log >= 0)
                close(log);
        return log < 0 ? log : 0;
}

int sf_database_recover(struct sf_database *d, struct sf_service_bus *bus, bool back, bool *ret_converted,
                        struct sf_error *err)
{
        bool converting = has_mark(d->config, CONVERTING);
        int r = 0;

        *ret_converted = false;
        if (converting)
                r = await_conversion(d->config, err);
        if (r < 0)
                return r;
        if (has_mark(d->config, RESTORING) || (back && converting && sf_hooks_exist(SF_DATABASE_RESTORE))) {
                if (bus && d->unit)
                        r = sf_service_run(bus, SF_SERVICE_STOP, d->unit, RECOVER_STOP_MS, err);
                if (r == 0)
                        r = restore(d, err);
                return r < 0 ? r : 1;
        }
        *ret_converted = d->crosses = d->converted = converting;
        return 0;
}
