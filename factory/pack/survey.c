/* SPDX-License-Identifier: Apache-2.0 */
/* factory/pack/survey.c - see survey.h. */
#include "factory/pack/survey.h"

#include <fcntl.h>
#include <fnmatch.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/xattr.h>

#include "base/cleanup.h"
#include "factory/pack/canonical.h"

/* What a release would publish to everybody who can read the repository. */
static const char *const secrets[] = { "*/munge.key",     "*/slurm.key",       "*/jwt_hs256.key",
                                       "*/slurmdbd.conf", "*/slurm.jwks",      "*/statesave/*.key",
                                       "*/ssl/private/*", "*/ca_cert_key.pem", "*_cert_key.pem" };

void sf_survey_file(struct sf_compose *tree, int dirfd, const char *name, const char *path, mode_t mode)
{
        _cleanup_close_ int fd = openat(dirfd, name, O_RDONLY | O_CLOEXEC | O_NONBLOCK);

        for (size_t i = 0; i < sizeof secrets / sizeof *secrets; i++)
                if (fnmatch(secrets[i], path, 0) == 0) {
                        sf_compose_finding(tree,
                                           "%s: by its name it holds a key or a password; whoever can read the "
                                           "repository could read it (leave it out with --exclude)",
                                           path);
                        return;
                }
        if (mode & (S_ISUID | S_ISGID))
                sf_compose_note(tree, "%s: its set-%s-ID bit is not part of a release", path,
                                mode & S_ISUID ? "user" : "group");
        if (fd >= 0 && fgetxattr(fd, "security.capability", NULL, 0) > 0)
                sf_compose_note(tree, "%s: its capabilities are not part of a release; setcap(8) on the nodes", path);
        if (!(mode & 0004))
                sf_compose_note(tree, "%s: was not readable by everybody (mode %04o) and will be", path, mode & 07777);
}

void sf_survey_content(struct sf_compose *tree, const char *path, const struct sf_buffer *content,
                       const struct sf_map *map)
{
        static const char *const places[] = { "/etc/slurm.conf", "/etc/slurm/slurm.conf" };
        size_t prefix = strlen(tree->placeholder);

        if (map->kind != SF_MAP_BINARY || fnmatch("lib*/libslurmfull*", path, 0) != 0)
                return;
        for (size_t i = 0; i < map->count; i++)
                for (size_t j = 0; j < sizeof places / sizeof *places; j++) {
                        const uint64_t at = map->offsets[i] + prefix;
                        size_t len = strlen(places[j]) + 1;
                        if (at + len > content->len || memcmp(content->data + at, places[j], len) != 0)
                                continue;
                        sf_compose_note(tree,
                                        "%s: built with its configuration inside the prefix: nodes look "
                                        "for " SF_CANONICAL_PREFIX
                                        "%s, which an upgrade replaces with the release; put slurm.conf elsewhere and "
                                        "set SLURM_CONF, or build with --sysconfdir=/etc/slurm",
                                        path, places[j]);
                        return;
                }
}

static int by_case(const void *a, const void *b)
{
        const struct sf_node *x = *(struct sf_node *const *)a, *y = *(struct sf_node *const *)b;

        return strcasecmp(x->entry.path, y->entry.path);
}

static int find_case(struct sf_compose *tree, struct sf_error *err)
{
        _cleanup_free_ struct sf_node **sorted = calloc(tree->count + 1, sizeof *sorted);

        if (!sorted)
                return sf_error_set(err, SF_ERR_NOMEM, "out of memory");
        memcpy(sorted, tree->nodes, tree->count * sizeof *sorted);
        qsort(sorted, tree->count, sizeof *sorted, by_case);
        for (size_t i = 1; i < tree->count; i++) {
                const char *a = sorted[i - 1]->entry.path, *b = sorted[i]->entry.path;
                if (strcasecmp(a, b) == 0 && strcmp(a, b) != 0)
                        sf_compose_note(tree, "%s and %s differ in case only; both are taken", a, b);
        }
        return 0;
}

int sf_survey_tree(struct sf_compose *tree, struct sf_error *err)
{
        bool slurmd = false;

        for (size_t i = 0; i < tree->count; i++) {
                const char *path = tree->nodes[i]->entry.path;

                slurmd = slurmd || strcmp(path, "sbin/slurmd") == 0;
                if (sf_canonical_kind("", path, strlen(path)) == SF_MAP_BINARY)
                        sf_compose_note(tree, "%s: its name is not UTF-8; it is taken byte for byte", path);
        }
        if (!slurmd)
                sf_compose_note(tree, "no sbin/slurmd: a release for login nodes");
        return find_case(tree, err);
}
