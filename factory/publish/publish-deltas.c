/* SPDX-License-Identifier: Apache-2.0 */
/* factory/publish/publish-deltas.c - see publish-deltas.h. */
#include "factory/publish/publish-deltas.h"

#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/fs.h"
#include "base/json.h"
#include "base/log.h"
#include "factory/publish/catalog.h"
#include "factory/publish/deltas.h"
#include "release/layout.h"

/* The place of the delta that starts from a tree; delta_count where there is none. */
static size_t find_delta(const struct sf_index_release *release, const struct sf_digest *tree)
{
        size_t i = 0;

        while (i < release->delta_count && !sf_digest_equal(&release->deltas[i].from, tree))
                i++;
        return i;
}

/* All that a delta reads of a release, from the store. */
static int fetch_base(const struct sf_publish *publish, const struct sf_index_release *old, struct sf_error *err)
{
        const struct sf_publish_store *store = publish->store;
        _cleanup_free_ char *name = sf_layout_blob(&old->manifest.digest);
        _cleanup_free_ char *path = name ? sf_fs_join(publish->repository, name) : NULL;
        _cleanup_(sf_buffer_free) struct sf_buffer text = SF_BUFFER_INIT;
        _cleanup_json_ json_t *manifest = NULL;
        const json_t *layer;
        size_t i;
        int r = path ? store->fetch(store->ctx, &old->manifest, err) : sf_error_set(err, SF_ERR_NOMEM, "out of memory");

        if (r == 0)
                r = store->fetch(store->ctx, &old->filelist, err);
        if (r == 0)
                r = sf_fs_read(path, SF_PUBLISH_MANIFEST_MAX, &text, err);
        if (r == 0)
                r = sf_json_parse(path, text.data, text.len, &manifest, err);
        json_array_foreach (json_object_get(manifest, "layers"), i, layer) {
                const char *digest = json_string_value(json_object_get(layer, "digest"));
                struct sf_blob blob = { .size = (uint64_t)json_integer_value(json_object_get(layer, "size")) };
                if (r == 0)
                        r = sf_digest_parse(digest ? digest : "", &blob.digest, err);
                if (r == 0)
                        r = store->fetch(store->ctx, &blob, err);
        }
        return r;
}

/* Blobs of a published release that were damaged come back from its build, where that is still in the cache. */
static int mend_base(const struct sf_publication *p, const struct sf_index_release *old, struct sf_error *err)
{
        const struct sf_publish *publish = p->session->publish;
        _cleanup_(sf_build_close) struct sf_build build = { 0 };

        if (sf_build_open(publish->builds, old->name.text, &build, NULL) < 0 ||
            !sf_publish_is_same(sf_build_release(&build), old))
                return publish->store ? fetch_base(publish, old, err) : 0;
        return sf_publish_copy_blobs(p->session, &build, err);
}

/* A delta that is there already and sound stays, unless all is to be replaced. */
static bool is_wanted(const struct sf_publication *p, const struct sf_index_release *old)
{
        bool known = find_delta(&p->release, &old->tree) < p->release.delta_count;

        return !sf_digest_equal(&old->tree, &p->release.tree) && (!known || p->session->publish->replace);
}

static int make_deltas(const struct sf_publish *publish, struct sf_delta_order *orders, size_t count,
                       struct sf_error *err)
{
        if (count == 1)
                sf_log_status("making the delta %s -> %s", orders->old->name.text, orders->new->name.text);
        else
                sf_log_status("making %zu deltas", count);
        int r = sf_deltas_make(publish->repository, orders, count, publish->delta_memory, err);
        sf_log_progress_end();
        return r;
}

/* --- damaged ones ------------------------------------------------------------------------------------------------ */

static const struct sf_index_release *find_tree(const struct sf_index *index, const struct sf_digest *tree)
{
        for (size_t i = 0; i < index->release_count; i++)
                if (sf_digest_equal(&index->releases[i].tree, tree))
                        return &index->releases[i];
        return NULL;
}

static int make_again(struct sf_publication *p, const struct sf_index_release *old, struct sf_index_delta *ret,
                      struct sf_error *err)
{
        struct sf_delta_order order = { .old = old, .new = &p->release };
        int r = mend_base(p, old, err);

        if (r == 0)
                r = make_deltas(p->session->publish, &order, 1, err);
        if (r < 0 || order.result < 0)
                return r < 0 ? r : sf_error_set(err, order.result, "%s", order.failure.text);
        *ret = order.made;
        return 0;
}

int sf_publish_mend_deltas(struct sf_publication *p, const struct sf_index *index, struct sf_error *err)
{
        for (size_t i = p->release.delta_count; i-- > 0;) {
                struct sf_index_delta *delta = &p->release.deltas[i];
                const struct sf_index_release *old = find_tree(index, &delta->from);
                bool list, content;
                int r = sf_publish_has_blob(p->session, &delta->filelist, &list, err);

                if (r == 0)
                        r = sf_publish_has_blob(p->session, &delta->content, &content, err);
                if (r < 0)
                        return r;
                if ((list && content) || p->session->publish->dry_run)
                        continue;
                sf_log_warning("%s: a delta was damaged: it is %s", p->release.name.text,
                               old ? "made again" : "dropped");
                if (!old)
                        p->release.deltas[i] = p->release.deltas[--p->release.delta_count];
                else if ((r = make_again(p, old, delta, err)) < 0)
                        return r;
        }
        return 0;
}

/* --- what was asked for ------------------------------------------------------------------------------------------ */

/* The deltas of this run, and whose each is. */
struct plan {
        struct sf_delta_order *orders;  /* owned */
        struct sf_publication **owners; /* owned; one for each order */
        size_t count;
};

static void cleanup_plan(struct plan *plan)
{
        free(plan->orders);
        free(plan->owners);
}

static bool is_planned(const struct plan *plan, const struct sf_publication *p, const struct sf_index_release *old)
{
        for (size_t i = 0; i < plan->count; i++)
                if (plan->owners[i] == p && sf_digest_equal(&plan->orders[i].old->tree, &old->tree))
                        return true;
        return false;
}

static int plan_delta(struct plan *plan, struct sf_publication *p, const struct sf_index_release *old,
                      struct sf_error *err)
{
        if (!is_wanted(p, old) || is_planned(plan, p, old))
                return 0;
        if (p->session->publish->dry_run) {
                sf_log_info("delta %s -> %s: would be made", old->name.text, p->release.name.text);
                return 0;
        }
        plan->orders[plan->count] = (struct sf_delta_order){ .old = old, .new = &p->release };
        plan->owners[plan->count++] = p;
        return mend_base(p, old, err);
}

static int plan_release(struct sf_publish_session *s, struct plan *plan, struct sf_publication *p, struct sf_error *err)
{
        const struct sf_publish *publish = s->publish;
        struct sf_index *index;
        int r = sf_catalog_index(&s->catalog, &p->release.name, &index, err);

        for (size_t i = 0; i < publish->delta_from_count && r == 0; i++) {
                const struct sf_index_release *old;
                if ((r = sf_index_choose(index, publish->delta_from[i], &old, err)) < 0)
                        r = sf_error_prefix(err, "--delta-from %s", publish->delta_from[i]);
                else
                        r = plan_delta(plan, p, old, err);
        }
        return r < 0 ? sf_error_prefix(err, "%s", p->release.name.text) : 0;
}

/* Puts a delta into its release's entry, where it is worth its bytes. */
static void keep_delta(struct sf_publication *p, const struct sf_delta_order *order)
{
        struct sf_index_release *release = &p->release;
        const struct sf_index_delta *made = &order->made;
        const char *from = order->old->name.text, *to = release->name.text;

        if (order->result < 0) {
                sf_log_warning("%s: left out; nodes fetch what changed from the layers", order->failure.text);
                return;
        }
        size_t place = find_delta(release, &order->old->tree);
        bool known = place < release->delta_count;
        if (!known && made->content.size + made->filelist.size >= release->download) {
                sf_log_info("delta %s -> %s: dropped, the layers are smaller", from, to);
                return;
        }
        release->deltas[place] = *made;
        release->delta_count += !known;
        sf_log_info("delta %s -> %s: %s, %llu bytes and %llu for the file list", from, to, made->codec,
                    (unsigned long long)made->content.size, (unsigned long long)made->filelist.size);
}

int sf_publish_add_deltas(struct sf_publish_session *s, struct sf_publication *all, size_t count, struct sf_error *err)
{
        const struct sf_publish *publish = s->publish;
        _cleanup_(cleanup_plan) struct plan plan = { 0 };
        size_t room = count * publish->delta_from_count + 1;
        int r = 0;

        plan.orders = calloc(room, sizeof *plan.orders);
        plan.owners = calloc(room, sizeof(struct sf_publication *));
        if (!plan.orders || !plan.owners)
                return sf_error_set(err, SF_ERR_NOMEM, "out of memory");
        for (size_t i = 0; i < count && r == 0; i++)
                if (!sf_publish_is_repeated(all, i))
                        r = plan_release(s, &plan, &all[i], err);
        if (r < 0 || plan.count == 0)
                return r;
        r = make_deltas(publish, plan.orders, plan.count, err);
        for (size_t i = 0; i < plan.count && r == 0; i++)
                keep_delta(plan.owners[i], &plan.orders[i]);
        return r;
}
