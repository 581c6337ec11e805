/* SPDX-License-Identifier: Apache-2.0 */
/* agent/node/daemon.c - see daemon.h. */
#include "agent/node/daemon.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agent/node/slurm_conf.h"
#include "agent/node/slurm_node.h"
#include "base/buffer.h"
#include "base/cleanup.h"
#include "base/fs.h"

#define WORDS_MAX   (1u << 20)
#define LIBRARY_MAX (256u << 20)
#define RUN_COPY    "/run/slurm/conf/slurm.conf"
#define SPOOL       "/var/spool/slurmd" /* SlurmdSpoolDir where slurm.conf names none */

static const struct {
        const char *name;
        const char *short_with_value; /* options whose value may be the next word */
} daemons[] = {
        [SF_DAEMON_SACKD] = { "sackd", "f" },
        [SF_DAEMON_SLURMDBD] = { "slurmdbd", "n" },
        [SF_DAEMON_SLURMCTLD] = { "slurmctld", "fLn" },
        [SF_DAEMON_SLURMD] = { "slurmd", "dfLnN" },
        [SF_DAEMON_SLURMRESTD] = { "slurmrestd", "adfgstu" },
        [SF_DAEMON_OTHER] = { "", "" },
};

const char *sf_daemon_name(enum sf_daemon daemon)
{
        return daemons[daemon].name;
}

/* Debian's slurmd-wlm, which its alternative "slurmd" leads to. */
static enum sf_daemon by_name(const char *name, size_t len)
{
        static const char debian[] = "-wlm";
        size_t tail = sizeof debian - 1;

        if (len > tail && strncmp(name + len - tail, debian, tail) == 0)
                len -= tail;
        for (size_t i = 0; i < SF_DAEMON_OTHER; i++)
                if (strlen(daemons[i].name) == len && strncmp(daemons[i].name, name, len) == 0)
                        return (enum sf_daemon)i;
        return SF_DAEMON_OTHER;
}

enum sf_daemon sf_daemon_of_program(const char *path)
{
        const char *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path;
        size_t len = strlen(name), deleted = strlen(" (deleted)");

        if (len > deleted && strcmp(name + len - deleted, " (deleted)") == 0)
                len -= deleted;
        return by_name(name, len);
}

enum sf_daemon sf_daemon_of_unit(const char *unit)
{
        size_t len = strcspn(unit, "@.-");

        return by_name(unit, len);
}

static void copy(char *out, size_t room, const char *value)
{
        snprintf(out, room, "%s", value);
}

/* Short options in one word: "-Df", "-N". Returns true where the value is the next word. */
static bool read_short(const char *word, const char *next, const char *with_value, struct sf_daemon_words *ret)
{
        for (const char *c = word + 1; *c; c++) {
                if (*c == 'D')
                        ret->foreground = true;
                else if (*c == 'Z')
                        ret->dynamic = true;
                if (!strchr(with_value, *c))
                        continue;
                const char *value = c[1] ? c + 1 : next;
                if (value && *c == 'f')
                        copy(ret->conf, sizeof ret->conf, value);
                else if (value && *c == 'N')
                        copy(ret->node, sizeof ret->node, value);
                return !c[1];
        }
        return false;
}

/* getopt_long(3) takes any unambiguous beginning of a long option. */
static bool is_long(const char *word, const char *name, size_t at_least, const char **value)
{
        size_t len = strcspn(word, "=");

        *value = word[len] == '=' ? word + len + 1 : NULL;
        return len >= at_least && strncmp(word, name, len) == 0 && strlen(name) >= len;
}

void sf_daemon_words_read(enum sf_daemon daemon, const char *const *argv, const char *const *environment,
                          struct sf_daemon_words *ret)
{
        struct sf_daemon_words w = { 0 };
        const char *value;

        for (const char *const *e = environment; e && *e; e++) {
                if (strncmp(*e, "SLURM_CONF=", 11) == 0)
                        copy(w.conf, sizeof w.conf, *e + 11);
                else if (strncmp(*e, "SLURM_CONF_SERVER=", 18) == 0)
                        copy(w.server, sizeof w.server, *e + 18);
                else if (strncmp(*e, "LD_LIBRARY_PATH=", 16) == 0)
                        copy(w.libraries, strlen(*e) < sizeof w.libraries ? sizeof w.libraries : 1, *e);
        }
        for (const char *const *a = argv && *argv ? argv + 1 : NULL; a && *a; a++) {
                if (is_long(*a, "--conf-server", 7, &value)) {
                        if (value || a[1])
                                copy(w.server, sizeof w.server, value ? value : *++a);
                } else if (is_long(*a, "--systemd", 4, &value)) {
                        w.systemd = true;
                } else if ((*a)[0] == '-' && (*a)[1] != '-') {
                        a += read_short(*a, a[1], daemons[daemon].short_with_value, &w) && a[1] ? 1 : 0;
                }
        }
        *ret = w;
}

/* "a\0b\0" as an array; the strings stay in the buffer. */
static char **split_nul(struct sf_buffer *text)
{
        size_t count = 0;

        for (size_t i = 0; i < text->len; i++)
                count += text->data[i] == '\0';
        char **words = calloc(count + 2, sizeof *words);
        count = 0;
        for (size_t i = 0; words && i < text->len; i += strlen((char *)text->data + i) + 1)
                words[count++] = (char *)text->data + i;
        return words;
}

int sf_daemon_words_of(enum sf_daemon daemon, int pid, struct sf_daemon_words *ret, struct sf_error *err)
{
        _cleanup_(sf_buffer_free) struct sf_buffer line = SF_BUFFER_INIT, environment = SF_BUFFER_INIT;
        char path[64];

        snprintf(path, sizeof path, "/proc/%d/cmdline", pid);
        int r = sf_fs_read(path, WORDS_MAX, &line, err);
        snprintf(path, sizeof path, "/proc/%d/environ", pid);
        if (r == 0)
                r = sf_fs_read(path, WORDS_MAX, &environment, err);
        if (r < 0)
                return r;
        _cleanup_free_ char **argv = split_nul(&line), **env = split_nul(&environment);
        if (!argv || !env)
                return sf_error_set(err, SF_ERR_NOMEM, "no memory for a command line");
        sf_daemon_words_read(daemon, (const char *const *)argv, (const char *const *)env, ret);
        return 0;
}

bool sf_daemon_variable(int pid, const char *name, char *ret, size_t room)
{
        _cleanup_(sf_buffer_free) struct sf_buffer environment = SF_BUFFER_INIT;
        char path[64];
        size_t len = strlen(name);

        snprintf(path, sizeof path, "/proc/%d/environ", pid);
        if (sf_fs_read(path, WORDS_MAX, &environment, NULL) < 0)
                return false;
        _cleanup_free_ char **words = split_nul(&environment);
        for (char **w = words; w && *w; w++)
                if (strncmp(*w, name, len) == 0 && (*w)[len] == '=') {
                        snprintf(ret, room, "%s", *w + len + 1);
                        return true;
                }
        return false;
}

static bool exists(const char *root, const char *path)
{
        _cleanup_free_ char *real = sf_format("%s%s", root, path);

        return real && access(real, F_OK) == 0;
}

/* The copy that a configless slurmd of this name keeps. /run/slurm/conf belongs to whichever slurmd started last, so
 * its SlurmdSpoolDir is filled in with our own name. */
static void find_copy(const struct sf_daemon_words *words, const char *root, char *ret, size_t room)
{
        _cleanup_(sf_slurm_conf_free) struct sf_slurm_conf conf = SF_SLURM_CONF_INIT;
        struct sf_slurm_node node = { 0 };
        char **hosts = sf_slurm_node_hosts(false);
        const char *spool = NULL;

        if (sf_slurm_conf_load(root, RUN_COPY, &conf, NULL) == 0) {
                spool = sf_slurm_conf_get(&conf, "SlurmdSpoolDir");
                if (sf_slurm_node_find(&conf, *words->node ? words->node : NULL, (const char *const *)hosts, &node,
                                       NULL) < 0)
                        copy(node.name, sizeof node.name, *words->node ? words->node : hosts && *hosts ? *hosts : "");
                if (!*node.host)
                        copy(node.host, sizeof node.host, hosts && *hosts ? *hosts : "");
        }
        _cleanup_free_ char *expanded = sf_slurm_node_expand(&node, spool ? spool : SPOOL);
        snprintf(ret, room, "%s/conf-cache/slurm.conf", expanded ? expanded : SPOOL);
        if (!exists(root, ret))
                copy(ret, room, RUN_COPY);
        sf_slurm_node_hosts_free(hosts);
}

void sf_daemon_conf(const struct sf_daemon_words *words, const char *root, const char *fallback, char *ret, size_t room)
{
        if (*words->server || (!*words->conf && !exists(root, fallback) && exists(root, RUN_COPY)))
                find_copy(words, root, ret, room);
        else
                copy(ret, room, *words->conf ? words->conf : fallback);
}

/* Relocation fills the room it does not need with slashes. */
static void copy_path(char *out, const char *path)
{
        for (const char *c = path; *c; c++)
                if (*c != '/' || c[1] != '/')
                        *out++ = *c;
        *out = '\0';
}

/* The one string "/.../slurm.conf" of libslurmfull.so that is not the copy of a configless node. */
void sf_daemon_default_conf(const char *tree, char *ret, size_t room)
{
        static const char *const libraries[] = { "lib/slurm/libslurmfull.so", "lib64/slurm/libslurmfull.so" };
        static const char end[] = "/slurm.conf"; /* with its NUL */

        *ret = '\0';
        for (size_t i = 0; i < sizeof libraries / sizeof *libraries; i++) {
                _cleanup_(sf_buffer_free) struct sf_buffer file = SF_BUFFER_INIT;
                _cleanup_free_ char *path = sf_fs_join(tree, libraries[i]);
                if (!path || sf_fs_read(path, LIBRARY_MAX, &file, NULL) < 0)
                        continue;
                const char *at = (const char *)file.data, *stop = at + file.len;
                while ((at = memmem(at, (size_t)(stop - at), end, sizeof end))) {
                        const char *begin = at;
                        while (begin > (const char *)file.data && begin[-1] != '\0')
                                begin--;
                        if (*begin == '/' && strcmp(begin, RUN_COPY) != 0 && strlen(begin) < room) {
                                copy_path(ret, begin);
                                return;
                        }
                        at += sizeof end - 1;
                }
        }
}
