/* SPDX-License-Identifier: Apache-2.0 */
/* factory/publish/publish-session.c - see publish-session.h. */
#include "factory/publish/publish-session.h"

#include "base/log.h"
#include "factory/publish/page.h"
#include "factory/publish/repo.h"

void sf_publish_session_close(struct sf_publish_session *s)
{
        sf_catalog_close(&s->catalog);
        sf_repo_index_close(&s->tags);
        sf_metadata_close(s->metadata);
}

static int store_pages(void *ctx, struct sf_error *err)
{
        struct sf_publish_session *s = ctx;
        int r = sf_repo_index_store(&s->tags, err);

        return r < 0 ? r : sf_page_store(&s->catalog, s->publish->repository, err);
}

/* Tags are read under the lock that open metadata holds, and written by its commit. */
int sf_publish_session_open(struct sf_publish_session *s, struct sf_error *err)
{
        const struct sf_publish *publish = s->publish;
        const struct sf_metadata_options options = { .repository = publish->repository,
                                                     .keys = publish->keys,
                                                     .now = publish->now,
                                                     .before_timestamp = store_pages,
                                                     .before_timestamp_ctx = s };
        int r = sf_repo_open(publish->repository, err);

        if (r == 0)
                r = sf_metadata_open(&options, &s->metadata, err);
        if (r == 0)
                r = sf_catalog_open(s->metadata, &s->catalog, err);
        return r < 0 ? r : sf_repo_index_open(publish->repository, &s->tags, err);
}

int sf_publish_session_commit(struct sf_publish_session *s, struct sf_error *err)
{
        int r;

        if (s->publish->dry_run) {
                sf_log_info("%llu blobs, %llu bytes would be added", (unsigned long long)s->missing_count,
                            (unsigned long long)s->missing_bytes);
                return 0;
        }
        r = sf_catalog_stage(&s->catalog, err);

        if (r == 0)
                r = sf_catalog_tag(&s->catalog, s->publish->repository, &s->tags, err);
        if (r == 0)
                r = sf_metadata_commit(s->metadata, err);
        if (r == 0)
                sf_metadata_warn_expiry(s->metadata);
        return r;
}
