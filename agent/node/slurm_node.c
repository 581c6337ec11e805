/* SPDX-License-Identifier: Apache-2.0 */
/* agent/node/slurm_node.c - see slurm_node.h. */
#include "agent/node/slurm_node.h"

#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "agent/node/hostlist.h"
#include "base/buffer.h"

#define HOSTS_MAX 8

/* A name is worth listing once. */
static void add_host(char **hosts, size_t *count, const char *name)
{
        for (size_t i = 0; i < *count; i++)
                if (strcasecmp(hosts[i], name) == 0)
                        return;
        if (*name && *count < HOSTS_MAX && (hosts[*count] = strdup(name)))
                ++*count;
}

char **sf_slurm_node_hosts(bool resolve)
{
        struct addrinfo hints = { .ai_flags = AI_CANONNAME, .ai_socktype = SOCK_STREAM }, *found = NULL;
        char **hosts = calloc(HOSTS_MAX + 1, sizeof *hosts), full[256] = "";
        size_t count = 0;

        if (!hosts || gethostname(full, sizeof full - 1) < 0)
                return hosts;
        char *head = strndup(full, strcspn(full, "."));
        if (head)
                add_host(hosts, &count, head);
        free(head);
        add_host(hosts, &count, full);
        if (resolve && getaddrinfo(full, NULL, &hints, &found) == 0) {
                for (const struct addrinfo *a = found; a; a = a->ai_next)
                        if (a->ai_canonname)
                                add_host(hosts, &count, a->ai_canonname);
                freeaddrinfo(found);
        }
        add_host(hosts, &count, "localhost");
        return hosts;
}

void sf_slurm_node_hosts_free(char **hosts)
{
        for (char **h = hosts; h && *h; h++)
                free(*h);
        free(hosts);
}

/* The item of a list that belongs to the node at `index`: lists of one item stand for all of them. */
static bool item_at(const char *list, uint64_t index, char *ret, size_t room)
{
        return list && sf_hostlist_nth(list, sf_hostlist_count(list) == 1 ? 0 : index, ret, room);
}

static void fill_node(const struct sf_slurm_conf *conf, const struct sf_slurm_conf_line *line, const char *shared_port,
                      uint64_t index, struct sf_slurm_node *ret)
{
        const char *hosts = sf_slurm_conf_pair(line, "NodeHostname"), *port = sf_slurm_conf_pair(line, "Port");
        struct sf_slurm_node node = { .file = line->file, .line = line->number };
        char number[32];

        sf_hostlist_nth(line->pairs[0].value, index, node.name, sizeof node.name);
        if (!item_at(hosts, index, node.host, sizeof node.host))
                snprintf(node.host, sizeof node.host, "%s", node.name);
        if (!item_at(sf_slurm_conf_pair(line, "NodeAddr"), index, node.address, sizeof node.address))
                snprintf(node.address, sizeof node.address, "%s", node.host);
        if (item_at(port ? port : shared_port, index, number, sizeof number))
                node.port = (unsigned)strtoul(number, NULL, 10);
        if (!node.port)
                node.port = (unsigned)sf_slurm_conf_number(conf, "SlurmdPort", SF_SLURM_PORT_SLURMD);
        *ret = node;
}

/* Searches NodeName (key NULL) or NodeHostname, which is NodeName where a line has none, for a name. */
static bool find_by(const struct sf_slurm_conf *conf, bool by_host, const char *name, struct sf_slurm_node *ret)
{
        const char *shared_port = NULL;

        for (const struct sf_slurm_conf_line *l = NULL; (l = sf_slurm_conf_next(conf, "NodeName", l));) {
                const char *names = l->pairs[0].value, *hosts = sf_slurm_conf_pair(l, "NodeHostname");
                if (strcasecmp(names, "DEFAULT") == 0) {
                        const char *port = sf_slurm_conf_pair(l, "Port");
                        shared_port = port ? port : shared_port;
                        continue;
                }
                int64_t index = sf_hostlist_find(by_host && hosts ? hosts : names, name);
                if (index < 0)
                        continue;
                fill_node(conf, l, shared_port, (uint64_t)index, ret);
                return true;
        }
        return false;
}

int sf_slurm_node_find(const struct sf_slurm_conf *conf, const char *wanted, const char *const *hosts,
                       struct sf_slurm_node *ret, struct sf_error *err)
{
        if (wanted)
                return find_by(conf, false, wanted, ret)
                               ? 0
                               : sf_error_set(err, SF_ERR_NOT_FOUND, "%s defines no node %s", conf->path, wanted);
        for (const char *const *h = hosts; h && *h; h++)
                if (find_by(conf, true, *h, ret))
                        return 0;
        return sf_error_set(err, SF_ERR_NOT_FOUND, "%s defines no node for this host (%s)", conf->path,
                            hosts && *hosts ? *hosts : "no host name");
}

char *sf_slurm_node_expand(const struct sf_slurm_node *node, const char *path)
{
        struct sf_buffer text = SF_BUFFER_INIT;
        int r = sf_buffer_puts(&text, "", NULL);

        for (const char *c = path; *c && r == 0; c++) {
                const char *value = c[0] == '%' && c[1] == 'h'   ? node->host
                                    : c[0] == '%' && c[1] == 'n' ? node->name
                                                                 : NULL;
                r = value ? sf_buffer_puts(&text, value, NULL) : sf_buffer_append(&text, c, 1, NULL);
                c += value ? 1 : 0;
        }
        if (r == 0)
                return (char *)text.data;
        sf_buffer_free(&text);
        return NULL;
}
