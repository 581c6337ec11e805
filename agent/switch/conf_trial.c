/* SPDX-License-Identifier: Apache-2.0 */
/* agent/switch/conf_trial.c - see conf_trial.h. */
#include "agent/switch/conf_trial.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "agent/node/auth.h"
#include "agent/node/daemon.h"
#include "agent/node/scratch.h"
#include "base/cleanup.h"
#include "base/fs.h"
#include "base/proc.h"
#include "release/layout.h"
#include "release/version.h"

#define CGROUP_MAX (1u << 20)

/* Lines of the live file that the copy replaces. */
static const char *const replaced[] = { "SlurmdSpoolDir", "SlurmdLogFile", "SlurmdPidFile", "SlurmdSyslogDebug" };

/* What needs a cgroup plugin, and what stands in its place. */
static const struct {
        const char *key, *plugin, *instead;
} cgroup_users[] = {
        { "ProctrackType", "proctrack/cgroup", "proctrack/linuxproc" },
        { "JobAcctGatherType", "jobacct_gather/cgroup", "jobacct_gather/none" },
};

static bool is_replaced(const char *key)
{
        for (size_t i = 0; i < sizeof replaced / sizeof *replaced; i++)
                if (strcasecmp(key, replaced[i]) == 0)
                        return true;
        return false;
}

/* "task/affinity,task/cgroup" without the latter. */
static int without_cgroup(const char *value, struct sf_buffer *ret, struct sf_error *err)
{
        size_t begin = ret->len;
        int r = 0;

        for (const char *c = value; *c && r == 0; c += strcspn(c, ","), c += *c == ',') {
                int len = (int)strcspn(c, ",");
                if (strncasecmp(c, "task/cgroup", (size_t)len) != 0 && strncasecmp(c, "cgroup", (size_t)len) != 0)
                        r = sf_buffer_printf(ret, err, "%s%.*s", ret->len > begin ? "," : "", len, c);
        }
        return r == 0 && ret->len == begin ? sf_buffer_puts(ret, "task/none", err) : r;
}

/* A value as slurm.conf wants it; view becomes the release on trial. */
static int print_value(const struct sf_conf_trial *t, const char *tree, const char *value, struct sf_buffer *ret,
                       struct sf_error *err)
{
        _cleanup_free_ char *view = sf_format("%s/" SF_NODE_VIEW "/", t->prefix);
        bool quoted = !*value || value[strcspn(value, " \t")];
        int r = !view    ? sf_error_set(err, SF_ERR_NOMEM, "no memory for a path")
                : quoted ? sf_buffer_puts(ret, "\"", err)
                         : 0;

        for (const char *c = value; *c && r == 0;) {
                if (strncmp(c, view, strlen(view)) == 0) {
                        r = sf_buffer_printf(ret, err, "%s/", tree);
                        c += strlen(view);
                        continue;
                }
                r = sf_buffer_printf(ret, err, "%s%c", *c == '#' || *c == '\\' ? "\\" : "", *c);
                c++;
        }
        return r == 0 && quoted ? sf_buffer_puts(ret, "\"", err) : r;
}

static int print_line(const struct sf_conf_trial *t, const char *tree, const struct sf_slurm_conf_line *line,
                      struct sf_buffer *ret, struct sf_error *err)
{
        const char *key = line->pairs[0].key, *value = line->pairs[0].value;
        int r = 0;

        if (strcasecmp(key, "TaskPlugin") == 0 && strcasestr(value, "cgroup")) {
                r = sf_buffer_puts(ret, "TaskPlugin=", err);
                r = r == 0 ? without_cgroup(value, ret, err) : r;
                return r == 0 ? sf_buffer_puts(ret, "\n", err) : r;
        }
        for (size_t i = 0; i < sizeof cgroup_users / sizeof *cgroup_users; i++)
                if (strcasecmp(key, cgroup_users[i].key) == 0 && strcasecmp(value, cgroup_users[i].plugin) == 0)
                        value = cgroup_users[i].instead;
        for (size_t i = 0; i < line->count && r == 0; i++) {
                r = sf_buffer_printf(ret, err, "%s%s=", i ? " " : "", line->pairs[i].key);
                if (r == 0)
                        r = print_value(t, tree, i ? line->pairs[i].value : value, ret, err);
        }
        return r == 0 ? sf_buffer_puts(ret, "\n", err) : r;
}

int sf_conf_trial_text(const struct sf_conf_trial *trial, const char *tree, const char *directory,
                       struct sf_buffer *ret, struct sf_error *err)
{
        int r = 0;

        for (size_t i = 0; r == 0 && i < trial->conf->count; i++)
                if (!is_replaced(trial->conf->lines[i].pairs[0].key))
                        r = print_line(trial, tree, &trial->conf->lines[i], ret, err);
        /* Or slurmd would take over the socket that the commands on this node ask, and leave them with nobody. */
        const char *info = sf_slurm_conf_get(trial->conf, "AuthInfo");
        if (r == 0 && sf_auth_is_slurm(trial->conf))
                r = sf_buffer_printf(ret, err, "AuthInfo=%s%sdisable_sack\n", info ? info : "", info ? "," : "");
        return r < 0 ? r
                     : sf_buffer_printf(ret, err,
                                        "SlurmdSpoolDir=%s/spool\nSlurmdLogFile=%s/log\nSlurmdPidFile=%s/pid\n",
                                        directory, directory, directory);
}

/* Everything beside slurm.conf: cgroup.conf with its plugin off, the rest as it is. */
static int link_others(const struct sf_conf_trial *t, const char *directory, struct sf_error *err)
{
        int len = (int)(strrchr(t->conf->path, '/') - t->conf->path);
        _cleanup_free_ char *live = strndup(t->conf->path, (size_t)len);
        DIR *dir = live ? opendir(live) : NULL;
        int r = 0;

        for (const struct dirent *e; dir && r == 0 && (e = readdir(dir));) {
                _cleanup_free_ char *from = sf_format("%s/%s", live, e->d_name);
                _cleanup_free_ char *to = sf_format("%s/%s", directory, e->d_name);
                if (!from || !to)
                        r = sf_error_set(err, SF_ERR_NOMEM, "no memory for a path");
                else if (e->d_name[0] != '.' && strcmp(e->d_name, "slurm.conf") != 0 &&
                         strcmp(e->d_name, "cgroup.conf") != 0 && symlink(from, to) < 0)
                        r = sf_error_errno(err, "%s", to);
        }
        if (dir)
                closedir(dir);
        return r;
}

/* What auth/slurm reads may be elsewhere. */
static int link_key(const struct sf_conf_trial *t, const char *tree, const char *directory, struct sf_error *err)
{
        char usual[1024] = "";

        if (!sf_auth_is_slurm(t->conf))
                return 0;
        sf_daemon_default_conf(tree, usual, sizeof usual);
        if (strrchr(usual, '/'))
                *strrchr(usual, '/') = '\0';
        _cleanup_free_ char *from = sf_auth_slurm_key(t->conf, t->pid, usual);
        const char *name = from && strstr(from, "jwks") ? "slurm.jwks" : "slurm.key";
        _cleanup_free_ char *to = sf_format("%s/%s", directory, name);
        if (!from || !to)
                return sf_error_set(err, SF_ERR_NOMEM, "no memory for a path");
        unlink(to);
        return symlink(from, to) < 0 ? sf_error_errno(err, "%s", to) : 0;
}

int sf_conf_trial_cgroup_text(const char *live, const char *version, struct sf_buffer *ret, struct sf_error *err)
{
        static const char key[] = "CgroupPlugin";
        int r = 0;

        for (const char *line = live; *line && r == 0;) {
                size_t len = strcspn(line, "\n");
                const char *word = line + strspn(line, " \t");
                if (strncasecmp(word, key, sizeof key - 1) != 0)
                        r = sf_buffer_printf(ret, err, "%.*s\n", (int)len, line);
                line += len + (line[len] == '\n');
        }
        /* "disabled" came with 24.05; without it a slurmd ends at once. */
        bool has_disabled = !*version || sf_version_compare_series(version, "24.05") >= 0;
        return r < 0 ? r : sf_buffer_printf(ret, err, "%s=%s\n", key, has_disabled ? "disabled" : "cgroup/v1");
}

static int copy_cgroup_conf(const struct sf_conf_trial *t, const char *directory, struct sf_error *err)
{
        _cleanup_free_ char *from = sf_slurm_conf_beside(t->conf, "cgroup.conf");
        _cleanup_free_ char *to = sf_format("%s/cgroup.conf", directory);
        _cleanup_(sf_buffer_free) struct sf_buffer live = SF_BUFFER_INIT, text = SF_BUFFER_INIT;
        struct sf_error why = SF_ERROR_INIT;
        int r = from && to ? sf_fs_read(from, CGROUP_MAX, &live, &why)
                           : sf_error_set(err, SF_ERR_NOMEM, "no memory for a path");

        if (r == SF_ERR_NOT_FOUND)
                r = 0;
        else if (r < 0 && *why.text)
                return sf_error_set(err, r, "%s", why.text);
        if (r == 0)
                r = sf_conf_trial_cgroup_text(live.len ? sf_buffer_text(&live) : "", t->version, &text, err);
        return r < 0 ? r : sf_fs_write(to, text.data, text.len, 0600, err);
}

static int make_copy(const struct sf_conf_trial *t, const char *tree, const char *directory, struct sf_error *err)
{
        _cleanup_free_ char *conf = sf_format("%s/slurm.conf", directory);
        _cleanup_free_ char *spool = sf_format("%s/spool", directory);
        _cleanup_(sf_buffer_free) struct sf_buffer text = SF_BUFFER_INIT;
        int r = conf && spool ? sf_conf_trial_text(t, tree, directory, &text, err)
                              : sf_error_set(err, SF_ERR_NOMEM, "no memory for a path");

        if (r == 0)
                r = sf_fs_write(conf, text.data, text.len, 0600, err);
        if (r == 0)
                r = sf_fs_mkdirs(spool, 0700, err);
        if (r == 0)
                r = link_others(t, directory, err);
        if (r == 0)
                r = link_key(t, tree, directory, err);
        return r < 0 ? r : copy_cgroup_conf(t, directory, err);
}

/* The copy's name is of no use to anybody. */
static void forget_directory(char *text, const char *directory)
{
        size_t len = strlen(directory);

        for (char *c = text; (c = strstr(c, directory)) && c[len] == '/';)
                memmove(c, c + len + 1, strlen(c + len + 1) + 1);
}

/* What it died of, and what it complained of first, which is often the key that it does not know. */
static void pick_reason(char *output, const char *directory, char *out, size_t room)
{
        char *saved = NULL, *complaint = NULL, *end = NULL;

        for (char *line = strtok_r(output, "\n", &saved); line && !end; line = strtok_r(NULL, "\n", &saved)) {
                char *fatal = strstr(line, "fatal: "), *error = strstr(line, "error: ");
                end = fatal ? fatal + 7 : NULL;
                if (!fatal && error && !complaint)
                        complaint = error + 7;
        }
        snprintf(out, room, "%s%s%s", end ? end : "", end && complaint ? ": " : "", complaint ? complaint : "");
        forget_directory(out, directory);
}

static int run_slurmd(const struct sf_conf_trial *t, const char *tree, const char *directory, struct sf_error *err)
{
        _cleanup_free_ char *program = sf_format("%s/sbin/slurmd", tree);
        _cleanup_free_ char *conf = sf_format("%s/slurm.conf", directory);
        _cleanup_(sf_buffer_free) struct sf_buffer output = SF_BUFFER_INIT;
        const char *argv[] = { "unshare", "--mount", "--net", "--pid", "--fork", "--kill-child", "--mount-proc",
                               program,   "-G",      "-f",    conf,    "-N",     t->node,        NULL };
        struct sf_proc proc = {
                .argv = argv, .directory = directory, .output = &output, .timeout_seconds = t->timeout
        };
        char reason[1024];

        if (!program || !conf)
                return sf_error_set(err, SF_ERR_NOMEM, "no memory for a command");
        int r = sf_proc_run(&proc, err);
        if (r <= 0)
                return r;
        pick_reason(output.len ? (char *)output.data : (char[]){ "" }, directory, reason, sizeof reason);
        return sf_error_set(err, *reason ? SF_ERR_USAGE : SF_ERR_FAILED, "%s",
                            *reason ? reason : "slurmd -G ended without a word");
}

int sf_conf_trial_slurmd(const struct sf_conf_trial *trial, const char *tree, struct sf_error *err)
{
        _cleanup_free_ char *directory = NULL;
        _cleanup_close_ int lock = sf_scratch_make(trial->directory, "trial", &directory, err);

        if (lock < 0)
                return lock;
        int r = make_copy(trial, tree, directory, err);
        if (r == 0)
                r = run_slurmd(trial, tree, directory, err);
        sf_fs_remove_tree(directory, NULL);
        return r;
}
