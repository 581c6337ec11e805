/* SPDX-License-Identifier: Apache-2.0 */
/* agent/node/cluster.c - see cluster.h. */
#include "agent/node/cluster.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/node/ctld_state.h"
#include "base/cleanup.h"

#define ANSWER_MAX (256u << 20) /* a node line has some 700 bytes, and clusters have tens of thousands */

/* status NULL: an exit status other than 0 is an error. */
static int ask(const struct sf_slurm *slurm, const char *program, const char *const *words, struct sf_buffer *output,
               int *status, struct sf_error *err)
{
        _cleanup_(sf_buffer_free) struct sf_buffer errors = SF_BUFFER_INIT;
        struct sf_proc proc = { .output = output, .output_max = ANSWER_MAX, .errors = &errors };

        return sf_slurm_ask(slurm, program, words, &proc, status, err);
}

static int ask_slurmdbd(const struct sf_slurm *slurm, const char *const *words, struct sf_buffer *output,
                        struct sf_error *err)
{
        const struct sf_slurm other = sf_slurm_regardless(slurm);

        return ask(&other, "sacctmgr", words, output, NULL, err);
}

/* One more element at the end of an array; the new one is zero. NULL = no memory. */
static void *grow(void **array, size_t *count, size_t size)
{
        void *grown = reallocarray(*array, *count + 1, size);

        if (!grown)
                return NULL;
        *array = grown;
        return memset((char *)grown + (*count)++ * size, 0, size);
}

/* "Slurmctld(primary) at ctl is UP", "Slurmctld(backup1) at ctl2 is DOWN" */
static bool parse_ping(const char *line, struct sf_cluster_controller *ret)
{
        const char *host = strstr(line, ") at "), *is = host ? strstr(host, " is ") : NULL;

        if (strncmp(line, "Slurmctld(", 10) != 0 || !is)
                return false;
        snprintf(ret->host, sizeof ret->host, "%.*s", (int)(is - host - 5), host + 5);
        ret->up = strncmp(is + 4, "UP", 2) == 0;
        return true;
}

int sf_cluster_controllers(const struct sf_slurm *slurm, struct sf_cluster_controller **ret, size_t *ret_count,
                           struct sf_error *err)
{
        _cleanup_(sf_buffer_free) struct sf_buffer text = SF_BUFFER_INIT;
        _cleanup_free_ void *all = NULL;
        size_t count = 0;
        char *saved = NULL;
        const struct sf_slurm each = sf_slurm_regardless(slurm);
        int status; /* 1 where none of them answers, which is an answer */
        int r = ask(&each, "scontrol", (const char *[]){ "ping", NULL }, &text, &status, err);

        for (char *line = text.len ? strtok_r((char *)text.data, "\n", &saved) : NULL; r == 0 && line;
             line = strtok_r(NULL, "\n", &saved)) {
                struct sf_cluster_controller one, *place;
                if (!parse_ping(line, &one))
                        continue;
                if (!(place = grow(&all, &count, sizeof one)))
                        r = sf_error_set(err, SF_ERR_NOMEM, "no memory for controllers");
                else
                        *place = one;
        }
        if (r == 0 && !count)
                r = sf_error_set(err, SF_ERR_CORRUPT, "scontrol ping names no controller (exit status %d)", status);
        if (r < 0)
                return sf_error_prefix(err, "asking for controllers");
        *ret = sf_steal_pointer(all);
        *ret_count = count;
        return 0;
}

int sf_cluster_database(const struct sf_slurm *slurm, char version[48], struct sf_error *err)
{
        _cleanup_(sf_buffer_free) struct sf_buffer text = SF_BUFFER_INIT;
        int r = ask_slurmdbd(slurm, (const char *[]){ "-n", "show", "configuration", NULL }, &text, err);
        const char *found = r == 0 ? strstr(sf_buffer_text(&text), "SLURMDBD_VERSION") : NULL;

        if (r == 0 && !found)
                r = sf_error_set(err, SF_ERR_CORRUPT, "sacctmgr says no SLURMDBD_VERSION");
        if (r < 0)
                return sf_error_prefix(err, "asking slurmdbd");
        found += strcspn(found, "=\n");
        found += strspn(found, "= ");
        snprintf(version, 48, "%.*s", (int)strcspn(found, " \n"), found);
        return 0;
}

/* "bed|10.77.0.2|10752": a cluster whose slurmctld is away has no host. */
int sf_cluster_peers(const struct sf_slurm *slurm, struct sf_cluster_peer **ret, size_t *ret_count,
                     struct sf_error *err)
{
        static const char *const words[] = { "-nP", "show", "cluster", "format=Cluster,ControlHost,RPC", NULL };
        _cleanup_(sf_buffer_free) struct sf_buffer text = SF_BUFFER_INIT;
        _cleanup_free_ void *all = NULL;
        size_t count = 0;
        char *saved = NULL;
        int r = ask_slurmdbd(slurm, words, &text, err);

        for (char *line = text.len ? strtok_r((char *)text.data, "\n", &saved) : NULL; r == 0 && line;
             line = strtok_r(NULL, "\n", &saved)) {
                char *host = strchr(line, '|'), *rpc = host ? strchr(host + 1, '|') : NULL;
                struct sf_cluster_peer *place;
                if (!rpc || rpc == host + 1)
                        continue;
                if (!(place = grow(&all, &count, sizeof *place)))
                        return sf_error_set(err, SF_ERR_NOMEM, "no memory for clusters");
                snprintf(place->name, sizeof place->name, "%.*s", (int)(host - line), line);
                snprintf(place->series, sizeof place->series, "%s",
                         sf_ctld_series_of((unsigned)strtoul(rpc + 1, NULL, 10)));
        }
        if (r < 0)
                return sf_error_prefix(err, "asking slurmdbd for clusters");
        *ret = sf_steal_pointer(all);
        *ret_count = count;
        return 0;
}

/* The value of " Key=value " in a one-line record; false where there is none. */
static bool field(const char *line, const char *key, char *out, size_t room)
{
        size_t len = strlen(key);

        for (const char *c = line; (c = strstr(c, key)); c += len) {
                if ((c != line && c[-1] != ' ') || c[len] != '=')
                        continue;
                snprintf(out, room, "%.*s", (int)strcspn(c + len + 1, " "), c + len + 1);
                return true;
        }
        return false;
}

/* Nodes that do not answer ("DOWN*", "IDLE*") or were never there have nothing to lose by a controller's switch. */
static bool parse_node(const char *line, struct sf_cluster_node *ret)
{
        char state[128];

        return field(line, "NodeName", ret->name, sizeof ret->name) && field(line, "State", state, sizeof state) &&
               field(line, "Version", ret->version, sizeof ret->version) && isdigit((unsigned char)ret->version[0]) &&
               !strchr(state, '*') && strncmp(state, "DOWN", 4) != 0 && strncmp(state, "UNKNOWN", 7) != 0;
}

int sf_cluster_nodes(const struct sf_slurm *slurm, struct sf_cluster_node **ret, size_t *ret_count,
                     struct sf_error *err)
{
        _cleanup_(sf_buffer_free) struct sf_buffer text = SF_BUFFER_INIT;
        _cleanup_free_ void *all = NULL;
        size_t count = 0;
        char *saved = NULL;
        int r = ask(slurm, "scontrol", (const char *[]){ "-o", "show", "node", NULL }, &text, NULL, err);

        for (char *line = text.len ? strtok_r((char *)text.data, "\n", &saved) : NULL; r == 0 && line;
             line = strtok_r(NULL, "\n", &saved)) {
                struct sf_cluster_node one, *place;
                if (!parse_node(line, &one))
                        continue;
                if (!(place = grow(&all, &count, sizeof one)))
                        return sf_error_set(err, SF_ERR_NOMEM, "no memory for nodes");
                *place = one;
        }
        if (r < 0)
                return sf_error_prefix(err, "asking slurmctld for nodes");
        *ret = sf_steal_pointer(all);
        *ret_count = count;
        return 0;
}

int sf_cluster_jobs(const struct sf_slurm *slurm, struct sf_buffer *ret, struct sf_error *err)
{
        static const char *const words[] = { "-a", "-h", "-t", "all", "-o", "%A %t", NULL };
        int r = ask(slurm, "squeue", words, ret, NULL, err);

        return r < 0 ? sf_error_prefix(err, "asking slurmctld for jobs") : 0;
}

/* One line of a list. */
struct job {
        unsigned long id;
        char state[8];
};

struct jobs {
        struct job *all; /* by id */
        size_t count;
};

static int by_id(const void *a, const void *b)
{
        unsigned long left = ((const struct job *)a)->id, right = ((const struct job *)b)->id;

        return (left > right) - (left < right);
}

/* A job array has a line per task and state: of its lines the last counts, in the order that squeue gives. */
static struct jobs read_jobs(const char *text)
{
        struct jobs jobs = { 0 };

        for (const char *line = text; *line; line += strcspn(line, "\n"), line += *line == '\n') {
                void *array = jobs.all;
                struct job one, *place;
                if (sscanf(line, "%lu %7s", &one.id, one.state) != 2)
                        continue;
                if (!(place = grow(&array, &jobs.count, sizeof one)))
                        break;
                jobs.all = array;
                *place = one;
        }
        if (jobs.count)
                qsort(jobs.all, jobs.count, sizeof *jobs.all, by_id);
        return jobs;
}

static const char *state_of(const struct jobs *jobs, unsigned long id)
{
        const struct job key = { .id = id };
        const struct job *found = jobs->count ? bsearch(&key, jobs->all, jobs->count, sizeof key, by_id) : NULL;

        return found ? found->state : "";
}

static bool is_waiting(const char *state)
{
        return strcmp(state, "PD") == 0 || strcmp(state, "CF") == 0 || strcmp(state, "RH") == 0 ||
               strcmp(state, "RQ") == 0 || strcmp(state, "SE") == 0 || strcmp(state, "RD") == 0;
}

static bool is_running(const char *state)
{
        return strcmp(state, "R") == 0 || strcmp(state, "CG") == 0 || strcmp(state, "S") == 0 ||
               strcmp(state, "ST") == 0 || strcmp(state, "SI") == 0 || strcmp(state, "RS") == 0 ||
               strcmp(state, "SO") == 0;
}

static void count_one(unsigned long id, size_t *count, char *ids, size_t room)
{
        size_t used = strlen(ids);

        /* Room for " and 4294967295 more" is left, which say_rest() fills. */
        if (used + 40 < room)
                snprintf(ids + used, room - used, "%s%lu", used ? ", " : "", id);
        (*count)++;
}

static void say_rest(size_t count, char *ids, size_t room)
{
        size_t said = *ids ? 1 : 0, used = strlen(ids);

        for (const char *c = ids; *c; c++)
                said += *c == ',';
        if (count > said)
                snprintf(ids + used, room - used, " and %zu more", count - said);
}

void sf_cluster_compare(const char *before, const char *after, struct sf_cluster_change *ret)
{
        struct jobs then = read_jobs(before), now = read_jobs(after);
        struct sf_cluster_change c = { 0 };

        for (size_t i = 0; i < now.count; i++) {
                const char *was = state_of(&then, now.all[i].id), *is = now.all[i].state;
                if (i && now.all[i].id == now.all[i - 1].id)
                        continue;
                if (!*was)
                        count_one(now.all[i].id, &c.submitted, c.submitted_ids, sizeof c.submitted_ids);
                if ((!*was || is_waiting(was)) && !is_waiting(is) && strcmp(is, "CA") != 0)
                        count_one(now.all[i].id, &c.started, c.started_ids, sizeof c.started_ids);
                if ((!*was || is_waiting(was) || is_running(was)) && !is_waiting(is) && !is_running(is))
                        count_one(now.all[i].id, &c.ended, c.ended_ids, sizeof c.ended_ids);
        }
        for (size_t i = 0; i < then.count; i++) {
                if ((i && then.all[i].id == then.all[i - 1].id) || *state_of(&now, then.all[i].id))
                        continue;
                if (is_waiting(then.all[i].state) || is_running(then.all[i].state))
                        count_one(then.all[i].id, &c.ended, c.ended_ids, sizeof c.ended_ids);
        }
        say_rest(c.submitted, c.submitted_ids, sizeof c.submitted_ids);
        say_rest(c.started, c.started_ids, sizeof c.started_ids);
        say_rest(c.ended, c.ended_ids, sizeof c.ended_ids);
        free(then.all);
        free(now.all);
        *ret = c;
}
