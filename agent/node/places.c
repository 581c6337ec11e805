/* SPDX-License-Identifier: Apache-2.0 */
/* agent/node/places.c - see places.h. */
#include "agent/node/places.h"

#include <stdbool.h>
#include <sys/stat.h>

#include "base/buffer.h"
#include "base/cleanup.h"
#include "base/fs.h"

enum kind {
        PLAIN,
        LOCK, /* a file; what is neither a directory nor a link gives way to it (lock.c) */
        DIRECTORY,
};

static const struct place {
        const char *name;
        enum kind kind;
} places[] = {
        { "lock", LOCK },
        { ".lock", LOCK },
        { "state.json", PLAIN },
        { "transaction.json", PLAIN },
        { "history.jsonl", PLAIN },
        { "expected-units", PLAIN },
        { "drained.json", PLAIN },
        { "slurmdbd-first-start.log", PLAIN },
        { "failed", DIRECTORY },
        { "units", DIRECTORY },
        { "controller", DIRECTORY },
        { "controller/phase.json", PLAIN },
        { "database", DIRECTORY },
        { "database/converting", PLAIN },
        { "database/restoring", PLAIN },
        { "prefix", DIRECTORY },
        { "cache", DIRECTORY },
        { "metadata", DIRECTORY },
        { "metadata/pinned-root", PLAIN },
        { "metadata/root.json", PLAIN },
        { "metadata/timestamp.json", PLAIN },
        { "metadata/snapshot.json", PLAIN },
        { "metadata/targets.json", PLAIN },
        { "metadata/releases.json", PLAIN },
};

/* A directory may lie elsewhere, behind a link; a file would lose the link when it is replaced. */
static int check_place(const char *path, enum kind kind, struct sf_error *err)
{
        bool directory = kind == DIRECTORY;
        struct stat st;

        if (lstat(path, &st) < 0)
                return 0;
        if (directory && S_ISLNK(st.st_mode) && stat(path, &st) < 0)
                return sf_error_set(err, SF_ERR_IO,
                                    "%s is a link that leads nowhere, where sf-node keeps a directory: mend or remove "
                                    "it",
                                    path);
        if ((directory ? S_ISDIR(st.st_mode) : S_ISREG(st.st_mode)) ||
            (kind == LOCK && !S_ISDIR(st.st_mode) && !S_ISLNK(st.st_mode)))
                return 0;
        return sf_error_set(err, SF_ERR_IO, "%s is %s, where sf-node keeps %s: move it away", path,
                            sf_fs_kind(st.st_mode), directory ? "a directory" : "a file");
}

int sf_places_check(const char *state_directory, struct sf_error *err)
{
        int r = 0;

        for (size_t i = 0; r == 0 && i < sizeof places / sizeof *places; i++) {
                _cleanup_free_ char *path = sf_fs_join(state_directory, places[i].name);
                r = path ? check_place(path, places[i].kind, err)
                         : sf_error_set(err, SF_ERR_NOMEM, "no memory for a path");
        }
        return r;
}

int sf_places_check_lock(const char *path, struct sf_error *err)
{
        return check_place(path, LOCK, err);
}
