/* SPDX-License-Identifier: Apache-2.0 */
/* agent/node/slurm.c - see slurm.h. The clients print "Key   = value" lines, or "Key=value" pairs for a node. */
#include "agent/node/slurm.h"

#include <ctype.h>
#include <dirent.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agent/node/scratch.h"
#include "base/buffer.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/fs.h"

#define SILENCE_SECONDS 2 /* a client that fails sooner had an answer, or lacks something of its own */

struct sf_slurm sf_slurm_regardless(const struct sf_slurm *slurm)
{
        struct sf_slurm same = *slurm;

        same.silence = NULL;
        return same;
}

int sf_slurm_ask(const struct sf_slurm *slurm, const char *program, const char *const *words, struct sf_proc *proc,
                 int *status, struct sf_error *err)
{
        _cleanup_free_ char *path = sf_format("%s/bin/%s", slurm->tree, program);
        _cleanup_free_ char *conf = sf_format("SLURM_CONF=%s", slurm->conf ? slurm->conf : "");
        const char *argv[10] = { path };
        const char *env[7] = { "PATH=/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL=C.UTF-8", "TZ=UTC", "HOME=/" };
        struct sf_error why = SF_ERROR_INIT, *silence = slurm->silence;
        size_t count = 4;

        if (!path || !conf)
                return sf_error_set(err, SF_ERR_NOMEM, "no memory for a command");
        if (silence && silence->code)
                return sf_error_set(err, silence->code, "%s", silence->text);
        if (slurm->conf)
                env[count++] = conf;
        if (slurm->libraries && *slurm->libraries)
                env[count++] = slurm->libraries;
        for (size_t i = 0; words[i] && i + 2 < sizeof argv / sizeof *argv; i++)
                argv[i + 1] = words[i];
        proc->argv = argv;
        proc->env = env;
        proc->timeout_seconds = slurm->timeout;
        double asked = sf_clock_seconds();
        int r = status ? sf_proc_run(proc, &why) : sf_proc_check(proc, &why);
        proc->argv = proc->env = NULL;
        if (r < 0 && silence && sf_clock_seconds() - asked >= SILENCE_SECONDS)
                *silence = why;
        if (r < 0)
                return sf_error_set(err, r, "%s", why.text);
        if (!status)
                return r;
        *status = r;
        return 0;
}

/* scontrol. `errors` NULL: both outputs into one. */
static int ask(const struct sf_slurm *slurm, const char *const *words, struct sf_buffer *output,
               struct sf_buffer *errors, struct sf_error *err)
{
        struct sf_proc proc = { .output = output, .errors = errors };

        return sf_slurm_ask(slurm, "scontrol", words, &proc, NULL, err);
}

/* The value behind "key =" or "key=" at the start of a line or behind a blank; false where there is none. */
static bool find_value(const char *text, const char *key, char *out, size_t room)
{
        size_t len = strlen(key);

        for (const char *c = text; (c = strstr(c, key)); c += len) {
                const char *value = c + len;
                if (c != text && !isspace((unsigned char)c[-1]))
                        continue;
                value += strspn(value, " ");
                if (*value != '=')
                        continue;
                value++;
                value += strspn(value, " ");
                snprintf(out, room, "%.*s", (int)strcspn(value, " \n"), value);
                return true;
        }
        return false;
}

static int need(const char *text, const char *key, char *out, size_t room, struct sf_error *err)
{
        return find_value(text, key, out, room) ? 0 : sf_error_set(err, SF_ERR_CORRUPT, "scontrol says no '%s'", key);
}

/* 2026-11-23T19:31:40; NONE, Unknown and the like are 0. */
static time_t parse_time(const char *text)
{
        struct tm tm = { 0 };
        const char *end = strptime(text, "%Y-%m-%dT%H:%M:%S", &tm);

        return end && !*end ? timegm(&tm) : 0;
}

int sf_slurm_controller(const struct sf_slurm *slurm, struct sf_slurm_controller *ret, struct sf_error *err)
{
        _cleanup_(sf_buffer_free) struct sf_buffer text = SF_BUFFER_INIT, errors = SF_BUFFER_INIT;
        struct sf_slurm_controller c = { 0 };
        char timeout[32], port[32];
        int r = ask(slurm, (const char *[]){ "show", "config", NULL }, &text, &errors, err);

        if (r == 0)
                r = need(sf_buffer_text(&text), "SLURM_VERSION", c.version, sizeof c.version, err);
        if (r == 0)
                r = need(sf_buffer_text(&text), "SlurmdTimeout", timeout, sizeof timeout, err);
        if (r < 0)
                return sf_error_prefix(err, "asking slurmctld");
        c.slurmd_timeout = strtoull(timeout, NULL, 10);
        if (find_value(sf_buffer_text(&text), "SlurmdPort", port, sizeof port))
                c.slurmd_port = strtoull(port, NULL, 10);
        *ret = c;
        return 0;
}

/* --- a slurmd that listens elsewhere --------------------------------------------------------------------------- */

/* A directory in which slurm.conf is the site's with another SlurmdPort (the last value of a key counts), and
 * everything beside it the site's own: keys, topology.conf and what is included by a relative name. */
static int make_conf(const char *site, unsigned port, const char *directory, struct sf_error *err)
{
        _cleanup_free_ char *base = strndup(site, strrchr(site, '/') ? (size_t)(strrchr(site, '/') - site) : 0);
        _cleanup_free_ char *text = sf_format("Include %s\nSlurmdPort=%u\n", site, port);
        _cleanup_free_ char *path = sf_format("%s/slurm.conf", directory);
        DIR *d = base ? opendir(base) : NULL;

        if (!text || !path)
                return sf_error_set(err, SF_ERR_NOMEM, "no memory for a path");
        if (!d)
                return sf_error_errno(err, "%s", base ? base : site);
        for (struct dirent *e; (e = readdir(d));) {
                _cleanup_free_ char *from = sf_format("%s/%s", base, e->d_name);
                _cleanup_free_ char *to = sf_format("%s/%s", directory, e->d_name);
                if (e->d_name[0] != '.' && strcmp(e->d_name, "slurm.conf") != 0 && from && to && symlink(from, to) < 0)
                        break;
        }
        closedir(d);
        return sf_fs_write(path, text, strlen(text), 0600, err);
}

static int ask_at_port(const struct sf_slurm *slurm, unsigned port, struct sf_buffer *text, struct sf_buffer *errors,
                       struct sf_error *err)
{
        _cleanup_free_ char *directory = NULL;
        _cleanup_close_ int lock = sf_scratch_make("/run", "conf", &directory, err);

        if (lock < 0)
                return lock;
        int r = make_conf(slurm->conf, port, directory, err);
        if (r == 0) {
                _cleanup_free_ char *conf = sf_format("%s/slurm.conf", directory);
                struct sf_slurm elsewhere = {
                        .tree = slurm->tree, .conf = conf, .timeout = slurm->timeout, .libraries = slurm->libraries
                };
                r = conf ? ask(&elsewhere, (const char *[]){ "show", "slurmd", NULL }, text, errors, err)
                         : sf_error_set(err, SF_ERR_NOMEM, "no memory for a path");
        }
        sf_fs_remove_tree(directory, NULL);
        return r;
}

int sf_slurm_daemon(const struct sf_slurm *slurm, unsigned port, struct sf_slurm_daemon *ret, struct sf_error *err)
{
        _cleanup_(sf_buffer_free) struct sf_buffer text = SF_BUFFER_INIT, errors = SF_BUFFER_INIT;
        struct sf_slurm_daemon d = { 0 };
        const struct sf_slurm here = sf_slurm_regardless(slurm);
        char pid[32] = "", last[64] = "";
        int r = port && slurm->conf ? ask_at_port(&here, port, &text, &errors, err)
                                    : ask(&here, (const char *[]){ "show", "slurmd", NULL }, &text, &errors, err);

        if (r == 0)
                r = need(sf_buffer_text(&text), "Slurmd PID", pid, sizeof pid, err);
        if (r == 0)
                r = need(sf_buffer_text(&text), "Last slurmctld msg time", last, sizeof last, err);
        if (r == 0)
                r = need(sf_buffer_text(&text), "Version", d.version, sizeof d.version, err);
        if (r < 0)
                return sf_error_prefix(err, "asking slurmd");
        find_value(sf_buffer_text(&text), "Hostname", d.node, sizeof d.node);
        d.pid = (pid_t)strtol(pid, NULL, 10);
        d.last_message = parse_time(last);
        *ret = d;
        return 0;
}

/* --- slurmctld's record of a node ------------------------------------------------------------------------------ */

/* The words of State= that matter here; "IDLE+DRAIN+INVALID_REG" has one base state and any number of flags. */
static bool has_word(const char *state, const char *word)
{
        size_t len = strlen(word);

        for (const char *c = state; *c; c += strcspn(c, "+"), c += *c == '+')
                if (strcspn(c, "+") == len && strncmp(c, word, len) == 0)
                        return true;
        return false;
}

static unsigned trouble_of(const char *state)
{
        static const struct {
                const char *word;
                unsigned trouble;
        } words[] = {
                { "DOWN", SF_SLURM_DOWN }, { "DRAIN", SF_SLURM_DRAIN },       { "INVALID_REG", SF_SLURM_INVALID },
                { "FAIL", SF_SLURM_FAIL }, { "UNKNOWN", SF_SLURM_UNCERTAIN }, { "NOT_RESPONDING", SF_SLURM_UNCERTAIN },
        };
        unsigned trouble = 0;

        for (size_t i = 0; i < sizeof words / sizeof *words; i++)
                if (has_word(state, words[i].word))
                        trouble |= words[i].trouble;
        return trouble;
}

int sf_slurm_record_parse(const char *text, struct sf_slurm_record *ret, struct sf_error *err)
{
        struct sf_slurm_record node = { 0 };
        char started[64];
        const char *reason;
        int r = need(text, "SlurmdStartTime", started, sizeof started, err);

        if (r == 0)
                r = need(text, "State", node.state, sizeof node.state, err);
        if (r < 0)
                return r;
        /* A node that never registered has no version. */
        find_value(text, "Version", node.version, sizeof node.version);
        node.started = parse_time(started);
        node.trouble = trouble_of(node.state);
        node.busy = has_word(node.state, "ALLOCATED") || has_word(node.state, "MIXED") ||
                    has_word(node.state, "COMPLETING");
        /* Free text to the end of its line; where a reason has several lines, the first. */
        if ((reason = strstr(text, "\n   Reason=")))
                snprintf(node.reason, sizeof node.reason, "%.*s", (int)strcspn(reason + 11, "\n"), reason + 11);
        *ret = node;
        return 0;
}

int sf_slurm_record(const struct sf_slurm *slurm, const char *node, struct sf_slurm_record *ret, struct sf_error *err)
{
        _cleanup_(sf_buffer_free) struct sf_buffer text = SF_BUFFER_INIT, errors = SF_BUFFER_INIT;
        int r = ask(slurm, (const char *[]){ "show", "node", node, NULL }, &text, &errors, err);

        if (r == 0)
                r = sf_slurm_record_parse(sf_buffer_text(&text), ret, err);
        return r < 0 ? sf_error_prefix(err, "asking slurmctld about node %s", node) : 0;
}

static int update(const struct sf_slurm *slurm, const char *node, const char *state, const char *reason,
                  struct sf_error *err)
{
        _cleanup_(sf_buffer_free) struct sf_buffer text = SF_BUFFER_INIT;
        _cleanup_free_ char *which = sf_format("NodeName=%s", node);
        _cleanup_free_ char *what = sf_format("State=%s", state);
        _cleanup_free_ char *why = reason ? sf_format("Reason=%s", reason) : NULL;

        if (!which || !what || (reason && !why))
                return sf_error_set(err, SF_ERR_NOMEM, "no memory for a command");
        int r = ask(slurm, (const char *[]){ "update", which, what, why, NULL }, &text, NULL, err);
        return r < 0 ? sf_error_prefix(err, "setting node %s to %s", node, state) : 0;
}

int sf_slurm_drain(const struct sf_slurm *slurm, const char *node, const char *reason, struct sf_error *err)
{
        return update(slurm, node, "DRAIN", reason, err);
}

int sf_slurm_resume(const struct sf_slurm *slurm, const char *node, struct sf_error *err)
{
        return update(slurm, node, "RESUME", NULL, err);
}

/* "show hostnames" reads slurm.conf and talks to nobody; what it does not understand it says on standard error. */
int sf_slurm_check_conf(const struct sf_slurm *slurm, struct sf_buffer *ret, struct sf_error *err)
{
        _cleanup_(sf_buffer_free) struct sf_buffer text = SF_BUFFER_INIT, errors = SF_BUFFER_INIT;
        struct sf_error ignored = SF_ERROR_INIT;
        int r = ask(slurm, (const char *[]){ "show", "hostnames", "node", NULL }, &text, &errors, &ignored);

        for (char *line = errors.len ? strtok((char *)errors.data, "\n") : NULL; line; line = strtok(NULL, "\n"))
                if (strstr(line, "error:") || strstr(line, "fatal:")) {
                        int p = sf_buffer_printf(ret, err, "%s\n", line);
                        if (p < 0)
                                return p;
                }
        /* A client that fails without a word about it would be a lie to call content. */
        return r < 0 && !ret->len ? sf_buffer_printf(ret, err, "%s\n", ignored.text) : 0;
}
