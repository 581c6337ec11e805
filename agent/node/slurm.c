/* SPDX-License-Identifier: Apache-2.0 */
/* agent/node/slurm.c - see slurm.h. The clients print "Key   = value" lines, or "Key=value" pairs for a node. */
#include "agent/node/slurm.h"

#include <ctype.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buffer.h"
#include "base/cleanup.h"
#include "base/proc.h"

/* Runs TREE/bin/scontrol with times in UTC. `errors` NULL: both outputs into one. */
static int ask(const struct sf_slurm *slurm, const char *const *words, struct sf_buffer *output,
               struct sf_buffer *errors, struct sf_error *err)
{
        _cleanup_free_ char *program = sf_format("%s/bin/scontrol", slurm->tree);
        _cleanup_free_ char *conf = sf_format("SLURM_CONF=%s", slurm->conf ? slurm->conf : "");
        const char *argv[8] = { program };
        const char *env[] = { "PATH=/usr/sbin:/usr/bin:/sbin:/bin",
                              "LC_ALL=C.UTF-8",
                              "TZ=UTC",
                              "HOME=/",
                              slurm->conf ? conf : NULL,
                              NULL };
        struct sf_proc proc = {
                .argv = argv, .env = env, .output = output, .errors = errors, .timeout_seconds = slurm->timeout
        };

        if (!program || !conf)
                return sf_error_set(err, SF_ERR_NOMEM, "no memory for a command");
        for (size_t i = 0; words[i] && i + 2 < sizeof argv / sizeof *argv; i++)
                argv[i + 1] = words[i];
        return sf_proc_check(&proc, err);
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
        char timeout[32];
        int r = ask(slurm, (const char *[]){ "show", "config", NULL }, &text, &errors, err);

        if (r == 0)
                r = need(sf_buffer_text(&text), "SLURM_VERSION", c.version, sizeof c.version, err);
        if (r == 0)
                r = need(sf_buffer_text(&text), "SlurmdTimeout", timeout, sizeof timeout, err);
        if (r < 0)
                return sf_error_prefix(err, "asking slurmctld");
        c.slurmd_timeout = strtoull(timeout, NULL, 10);
        *ret = c;
        return 0;
}

int sf_slurm_daemon(const struct sf_slurm *slurm, struct sf_slurm_daemon *ret, struct sf_error *err)
{
        _cleanup_(sf_buffer_free) struct sf_buffer text = SF_BUFFER_INIT, errors = SF_BUFFER_INIT;
        struct sf_slurm_daemon d = { 0 };
        char pid[32] = "", last[64] = "";
        int r = ask(slurm, (const char *[]){ "show", "slurmd", NULL }, &text, &errors, err);

        if (r == 0)
                r = need(sf_buffer_text(&text), "Slurmd PID", pid, sizeof pid, err);
        if (r == 0)
                r = need(sf_buffer_text(&text), "Last slurmctld msg time", last, sizeof last, err);
        if (r == 0)
                r = need(sf_buffer_text(&text), "Version", d.version, sizeof d.version, err);
        if (r < 0)
                return sf_error_prefix(err, "asking slurmd");
        find_value(sf_buffer_text(&text), "Hostname", d.host, sizeof d.host);
        d.pid = (pid_t)strtol(pid, NULL, 10);
        d.last_message = parse_time(last);
        *ret = d;
        return 0;
}

int sf_slurm_node_started(const struct sf_slurm *slurm, const char *node, time_t *ret, struct sf_error *err)
{
        _cleanup_(sf_buffer_free) struct sf_buffer text = SF_BUFFER_INIT, errors = SF_BUFFER_INIT;
        char started[64];
        int r = ask(slurm, (const char *[]){ "show", "node", node, NULL }, &text, &errors, err);

        if (r == 0)
                r = need(sf_buffer_text(&text), "SlurmdStartTime", started, sizeof started, err);
        if (r < 0)
                return sf_error_prefix(err, "asking slurmctld about node %s", node);
        *ret = parse_time(started);
        return 0;
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
