/* SPDX-License-Identifier: Apache-2.0 */
/* factory/publish/publish.c - why: the story of a publication, in the order that keeps every node safe at every
 * moment: blobs, target files, metadata, index.json for tools, timestamp. */
#include "factory/publish/publish.h"

#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/fs.h"
#include "base/json.h"
#include "base/log.h"
#include "factory/pack/builds.h"
#include "factory/pack/oci.h"
#include "factory/pack/pack.h"
#include "factory/publish/catalog.h"
#include "factory/publish/dsse.h"
#include "factory/publish/metadata.h"
#include "factory/publish/publish-deltas.h"
#include "factory/publish/publish-session.h"
#include "factory/publish/publish-state.h"
#include "factory/publish/repo.h"
#include "release/layout.h"

static void publication_free(struct sf_publication *p)
{
        sf_build_close(&p->build);
        free(p->release.deltas);
}

static int no_memory(struct sf_error *err)
{
        return sf_error_set(err, SF_ERR_NOMEM, "out of memory");
}

/* --- one release ------------------------------------------------------------------------------------------------ */

/* The new entry: as it was built; what is published by this name already lends its date and its deltas. */
static int start_entry(struct sf_publication *p, const struct sf_index *index, struct sf_error *err)
{
        const struct sf_publish *publish = p->session->publish;
        const struct sf_index_release *built = sf_build_release(&p->build);
        const struct sf_index_release *before = sf_index_find(index, built->name.text);
        bool same = before && sf_publish_is_same(before, built);
        size_t room = publish->delta_from_count + (same ? before->delta_count : 0);

        if (before && !same && !publish->replace)
                return sf_error_set(err, SF_ERR_EXISTS,
                                    "%s is published with other content; give this one a build name (--build), or "
                                    "--force to replace it",
                                    built->name.text);
        p->release = *built;
        p->release.delta_count = 0;
        p->release.deltas = calloc(room + 1, sizeof *p->release.deltas);
        if (!p->release.deltas)
                return no_memory(err);
        if (same) {
                memcpy(p->release.created, before->created, sizeof p->release.created);
                if (before->delta_count)
                        memcpy(p->release.deltas, before->deltas, before->delta_count * sizeof *before->deltas);
                p->release.delta_count = before->delta_count;
                p->release.provenance = before->provenance;
        } else if (sf_pack_epoch() == 0) {
                sf_clock_stamp(publish->now, p->release.created);
        }
        return 0;
}

/* The statement of where the release comes from, signed; one that is published and whole stays. A statement in a build
 * is not signed: the keys are here. */
static int sign_provenance(struct sf_publication *p, struct sf_error *err)
{
        const struct sf_publish *publish = p->session->publish;
        const struct sf_blob *statement = &sf_build_release(&p->build)->provenance;
        _cleanup_(sf_buffer_free) struct sf_buffer text = SF_BUFFER_INIT, envelope = SF_BUFFER_INIT;
        char hex[SF_DIGEST_HEX + 1];
        _cleanup_free_ char *path = sf_fs_join(p->build.blobs, sf_digest_hex(&statement->digest, hex));
        bool there = false;
        int r = path ? 0 : no_memory(err);

        if (r == 0 && p->release.provenance.size && !sf_digest_equal(&p->release.provenance.digest, &statement->digest))
                r = sf_publish_has_blob(p->session, &p->release.provenance, &there, err);
        if (r < 0 || there || !statement->size)
                return r;
        if (publish->dry_run) {
                p->release.provenance = (struct sf_blob){ .size = 0 };
                return 0;
        }
        r = sf_fs_read(path, SF_PUBLISH_MANIFEST_MAX, &text, err);
        if (r == 0)
                r = sf_dsse_sign(p->session->metadata, publish->keys, SF_ROLE_RELEASES, SF_MEDIA_STATEMENT, &text,
                                 &envelope, err);
        return r < 0 ? r : sf_repo_put(publish->repository, envelope.data, envelope.len, &p->release.provenance, err);
}

/* --- all of them ------------------------------------------------------------------------------------------------ */

static int offer(struct sf_publish_session *s, struct sf_publication *p, struct sf_error *err)
{
        struct sf_index *index;
        int r = sf_catalog_index(&s->catalog, &p->release.name, &index, err);

        return r < 0 ? r : sf_index_put(index, &p->release, err);
}

/* One release as it was built, with the deltas that it has already. */
static int add_release(struct sf_publish_session *s, struct sf_publication *p, const char *wanted, struct sf_error *err)
{
        const struct sf_withdrawal *withdrawn;
        struct sf_index *index;
        int r = sf_build_open(s->publish->builds, wanted, &p->build, err);

        if (r < 0)
                return r;
        const struct sf_release_name *name = &sf_build_release(&p->build)->name;
        p->session = s;
        r = sf_catalog_index(&s->catalog, name, &index, err);
        if (r == 0)
                r = start_entry(p, index, err);
        if (r == 0)
                r = sf_publish_copy_blobs(s, &p->build, err);
        if (r == 0)
                r = sign_provenance(p, err);
        if (r == 0)
                r = sf_publish_mend_deltas(p, index, err);
        if (r == 0)
                r = sf_index_put(index, &p->release, err);
        if (r < 0)
                return sf_error_prefix(err, "%s", name->text);
        sf_log_info("%s: %llu bytes in layers", name->text, (unsigned long long)p->release.download);
        if ((withdrawn = sf_rollout_withdrawn(&s->catalog.rollout, name->text)))
                sf_log_warning("%s is withdrawn (%s): nodes do not take it before `withdraw --undo %s`", name->text,
                               withdrawn->reason, name->text);
        return 0;
}

/* Deltas come second: they may start from a release that is published in the same run. */
static int add_all(struct sf_publish_session *s, struct sf_publication *all, struct sf_error *err)
{
        const struct sf_publish *publish = s->publish;
        int r = 0;

        for (size_t i = 0; i < publish->release_count && r == 0; i++)
                r = add_release(s, &all[i], publish->releases[i], err);
        if (r == 0 && publish->delta_from_count)
                r = sf_publish_add_deltas(s, all, publish->release_count, err);
        for (size_t i = 0; publish->delta_from_count && i < publish->release_count && r == 0; i++)
                if (!sf_publish_is_repeated(all, i))
                        r = offer(s, &all[i], err);
        return r < 0 ? r : sf_publish_session_commit(s, err);
}

int sf_publish_run(const struct sf_publish *publish, struct sf_error *err)
{
        _cleanup_(sf_publish_session_close) struct sf_publish_session s = { .publish = publish };
        struct sf_publication *all = calloc(publish->release_count + 1, sizeof *all);
        int r = all ? sf_publish_session_open(&s, err) : no_memory(err);

        if (r == 0)
                r = add_all(&s, all, err);
        for (size_t i = 0; all && i < publish->release_count; i++)
                publication_free(&all[i]);
        free(all);
        return r;
}
