/* SPDX-License-Identifier: Apache-2.0 */
/* factory/pack/pack.c - why: the whole way from built trees to a release, in the order it happens: canonical tree,
 * lint, layers, file list, image, release.json. Everything is made in a hidden directory that gets its name last. */
#include "factory/pack/pack.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/fs.h"
#include "base/log.h"
#include "base/parallel.h"
#include "factory/pack/devel.h"
#include "factory/pack/layer.h"
#include "factory/pack/needs.h"
#include "factory/pack/oci.h"
#include "factory/pack/reuse.h"
#include "factory/pack/compose.h"
#include "factory/pack/survey.h"
#include "factory/pack/unit_type.h"
#include "release/agents.h"
#include "release/filelist.h"
#include "release/host.h"
#include "release/index.h"
#include "release/layout.h"
#include "rpath/lint.h"
#include "rpath/relocate.h"

#define LAYERS_MAX 8

/* What is known of a release while it is made. */
struct packing {
        const struct sf_pack *pack;
        char *placeholder; /* without trailing slashes */
        char *work;        /* the release directory under its hidden name */
        char *stage;       /* canonical tree inside it */
        char *blobs;       /* blobs/sha256 inside it */
        struct sf_compose tree;
        struct sf_oci_layer layers[LAYERS_MAX];
        struct sf_layer list_layers[LAYERS_MAX];
        struct sf_frame *frames;
        size_t frame_count;
        struct sf_buffer packed;  /* see reuse.h */
        struct sf_entry *entries; /* borrows from tree */
        struct sf_index_release release;
        size_t file_count, relocated, lint_findings;
};

static void packing_free(struct packing *p)
{
        if (p->work)
                (void)sf_fs_remove_tree(p->work, NULL);
        sf_compose_free(&p->tree);
        free(p->placeholder);
        free(p->work);
        free(p->stage);
        free(p->blobs);
        free(p->frames);
        free(p->entries);
        sf_buffer_free(&p->packed);
}

int64_t sf_pack_epoch(void)
{
        const char *text = getenv("SOURCE_DATE_EPOCH");
        char *end;
        long long value;

        if (!text || !*text)
                return 0;
        errno = 0;
        value = strtoll(text, &end, 10);
        return errno || *end || value < 0 ? 0 : value;
}

static int check(const struct sf_pack *pack, struct sf_error *err)
{
        size_t len = strlen(pack->placeholder);

        if (pack->placeholder[0] != '/')
                return sf_error_set(err, SF_ERR_USAGE, "the placeholder must be an absolute path: %s",
                                    pack->placeholder);
        if (len < strlen(SF_CANONICAL_PREFIX))
                return sf_error_set(err, SF_ERR_USAGE, "a placeholder of %zu characters has no room for %s", len,
                                    SF_CANONICAL_PREFIX);
        if (len < SF_PLACEHOLDER_MIN && !pack->force)
                return sf_error_set(err, SF_ERR_USAGE,
                                    "a placeholder of %zu characters is too short: under %d compilers split such "
                                    "strings into pieces that no search finds (--force packs it all the same)",
                                    len, SF_PLACEHOLDER_MIN);
        if (pack->layer_count == 0 || pack->layer_count > LAYERS_MAX)
                return sf_error_set(err, SF_ERR_USAGE, "a release has 1 to %d layers, not %zu", LAYERS_MAX,
                                    pack->layer_count);
        return 0;
}

/* Makes BUILDS/.<release>.partial; what a killed run left there is taken away. */
static int prepare(struct packing *p, struct sf_error *err)
{
        size_t len;
        int r;

        p->placeholder = strdup(p->pack->placeholder);
        p->work = sf_format("%s/.%s.partial", p->pack->builds, p->pack->name->text);
        if (!p->placeholder || !p->work)
                return sf_error_set(err, SF_ERR_NOMEM, "out of memory");
        for (len = strlen(p->placeholder); len > 1 && p->placeholder[len - 1] == '/'; len--)
                p->placeholder[len - 1] = 0;
        p->stage = sf_fs_join(p->work, "stage");
        p->blobs = sf_fs_join(p->work, SF_LAYOUT_BLOBS);
        if (!p->stage || !p->blobs)
                return sf_error_set(err, SF_ERR_NOMEM, "out of memory");
        r = sf_fs_remove_tree(p->work, err);
        if (r == 0)
                r = sf_fs_mkdirs(p->stage, 0755, err);
        return r < 0 ? r : sf_fs_mkdirs(p->blobs, 0755, err);
}

static void lint_finding(void *ctx, const char *path, const char *reason)
{
        struct packing *p = ctx;

        p->lint_findings++;
        if (p->pack->force)
                sf_log_warning("%s: %s", path, reason);
        else
                sf_compose_finding(&p->tree, "%s: %s", path, reason);
}

/* Whether the release is for another system than this one, whose libraries are therefore not here to be looked at. */
static bool is_foreign(const struct sf_release_name *name)
{
        _cleanup_free_ char *toolchain = NULL;

        return sf_host_toolchain(NULL, &toolchain, NULL) < 0 || strcmp(toolchain, name->toolchain) != 0 ||
               strcmp(sf_host_arch(), name->arch) != 0;
}

/* The lint sees the canonical tree: what stands there now is what a node gets. */
static int lint(struct packing *p, struct sf_error *err)
{
        const char *const trees[] = { p->stage };
        const struct sf_lint_options options = { .prefix = p->placeholder,
                                                 .canonical = SF_CANONICAL_PREFIX,
                                                 .trees = trees,
                                                 .tree_count = 1,
                                                 .sysroot = p->pack->sysroot,
                                                 .foreign = !p->pack->sysroot && is_foreign(p->pack->name),
                                                 .finding = lint_finding,
                                                 .ctx = p };
        struct sf_lint *lint;
        int r = sf_lint_open(&options, &lint, err);

        if (r < 0)
                return r;
        r = sf_lint_trees(lint, err);
        sf_lint_close(lint);
        return r < 0 ? r : 0;
}

static int add_layers(struct packing *p, struct sf_error *err)
{
        const struct sf_pack *pack = p->pack;
        _cleanup_free_ char *scratch = sf_fs_join(p->work, "devel");
        const struct sf_devel devel = { pack->name->version, scratch };
        int r = scratch ? 0 : sf_error_set(err, SF_ERR_NOMEM, "out of memory");

        for (unsigned i = 0; i < pack->layer_count && r == 0; i++) {
                r = sf_compose_add(&p->tree, i, pack->layers[i].directory, err);
                if (r == 0)
                        r = sf_devel_add(&p->tree, i, &devel, err);
                if (r < 0)
                        sf_error_prefix(err, "layer %s", pack->layers[i].name);
        }
        return r;
}

/* The canonical tree on disk, and nothing in it that a node could not use. */
static int compose(struct packing *p, struct sf_error *err)
{
        const struct sf_pack *pack = p->pack;
        int r;

        sf_log_status("taking in and checking the trees");
        p->tree = (struct sf_compose){ .stage = p->stage,
                                       .placeholder = p->placeholder,
                                       .prefixes = pack->prefixes,
                                       .leave_out = pack->leave_out,
                                       .static_archives = pack->static_archives,
                                       .follow_links = pack->follow_links,
                                       .note = pack->note,
                                       .finding = pack->finding,
                                       .finding_ctx = pack->finding_ctx };
        r = add_layers(p, err);
        if (r == 0)
                r = sf_compose_check_links(&p->tree, err);
        if (r == 0 && pack->note)
                r = sf_survey_tree(&p->tree, err);
        if (r == 0)
                r = lint(p, err);
        if (r < 0)
                return r;
        if (p->tree.findings)
                return sf_error_set(err, SF_ERR_CORRUPT, "%s: refused for %zu finding%s%s", pack->name->text,
                                    p->tree.findings, p->tree.findings == 1 ? "" : "s",
                                    p->tree.findings == p->lint_findings ? " (import --force only warns of such)" : "");
        sf_compose_order(&p->tree);
        return 0;
}

/* Takes a written layer into the lists. */
static int note_layer(struct packing *p, size_t index, struct sf_layer_blob *blob, struct sf_error *err)
{
        _cleanup_free_ struct sf_frame_info *infos = blob->frames;
        struct sf_frame *frames = realloc(p->frames, (p->frame_count + blob->frame_count) * sizeof *frames);

        if (!frames)
                return sf_error_set(err, SF_ERR_NOMEM, "out of memory");
        p->frames = frames;
        for (size_t i = 0; i < blob->frame_count; i++)
                frames[p->frame_count++] = (struct sf_frame){ .layer = (uint32_t)index,
                                                              .size = infos[i].size,
                                                              .content_size = infos[i].content_size,
                                                              .digest = infos[i].digest };
        p->layers[index] = (struct sf_oci_layer){ .name = p->pack->layers[index].name,
                                                  .blob = { blob->digest, blob->size },
                                                  .diff_id = blob->diff_id };
        p->list_layers[index] = (struct sf_layer){ .name = p->pack->layers[index].name,
                                                   .size = blob->size,
                                                   .digest = blob->digest };
        p->release.download += blob->size;
        return sf_reuse_note(&p->packed, p->pack->layers[index].name, blob, err);
}

/* One layer, compressed or found in another build. */
struct layer_work {
        struct sf_layer_part part;
        struct sf_layer_blob blob;
};

struct layers_work {
        struct packing *p;
        struct layer_work layers[LAYERS_MAX];
};

static int write_layer(void *ctx, size_t i, struct sf_error *err)
{
        struct layers_work *all = ctx;
        struct layer_work *work = &all->layers[i];
        struct sf_digest diff_id;
        int r = sf_layer_digest(&work->part, &diff_id, err);

        if (r == 0 && !sf_reuse_layer(all->p->pack->builds, &work->part, &diff_id, all->p->blobs, &work->blob))
                r = sf_layer_write(&work->part, all->p->blobs, &work->blob, err);
        return r < 0 ? sf_error_prefix(err, "layer %s", work->part.name) : 0;
}

/* Frames are numbered through all layers. */
static void number_frames(struct packing *p, const struct layer_work *work)
{
        for (size_t i = 0; i < work->part.count; i++)
                p->tree.nodes[work->part.first + i]->entry.frame += (uint32_t)p->frame_count;
}

/* Side by side: a layer often is one frame, which takes one processor. */
static int write_layers(struct packing *p, struct sf_error *err)
{
        struct layers_work all = { .p = p };
        size_t first = 0, count = p->pack->layer_count;
        int r;

        sf_log_status("compressing %zu layer%s", count, count == 1 ? "" : "s");
        for (size_t i = 0; i < count; i++) {
                struct sf_layer_part *part = &all.layers[i].part;

                *part = (struct sf_layer_part){ p->pack->layers[i].name, &p->tree, first, 0, p->pack->epoch };
                while (first < p->tree.count && p->tree.nodes[first]->layer == i)
                        part->count++, first++;
        }
        r = sf_reuse_describe(&p->packed, err);
        if (r == 0)
                r = sf_parallel_each(count, 0, write_layer, &all, err);
        for (size_t i = 0; i < count; i++) {
                if (r == 0) {
                        number_frames(p, &all.layers[i]);
                        r = note_layer(p, i, &all.layers[i].blob, err);
                } else {
                        free(all.layers[i].blob.frames);
                }
        }
        sf_log_progress_end();
        return r;
}

static int put_blob(const struct packing *p, const struct sf_buffer *content, struct sf_blob *ret, struct sf_error *err)
{
        char hex[SF_DIGEST_HEX + 1];
        _cleanup_free_ char *path = NULL;

        sf_oci_blob_of(content, ret);
        path = sf_fs_join(p->blobs, sf_digest_hex(&ret->digest, hex));
        if (!path)
                return sf_error_set(err, SF_ERR_NOMEM, "out of memory");
        return sf_fs_write(path, content->data, content->len, 0644, err);
}

static int put_file(const struct packing *p, const char *name, const struct sf_buffer *content, struct sf_error *err)
{
        _cleanup_free_ char *path = sf_fs_join(p->work, name);

        if (!path)
                return sf_error_set(err, SF_ERR_NOMEM, "out of memory");
        return sf_fs_write(path, content->data, content->len, 0644, err);
}

static int write_filelist(struct packing *p, struct sf_error *err)
{
        _cleanup_(sf_buffer_free) struct sf_buffer text = SF_BUFFER_INIT, frame = SF_BUFFER_INIT;
        struct sf_filelist list = { .release = p->pack->name->text,
                                    .prefix_length = (uint32_t)strlen(p->placeholder),
                                    .layers = p->list_layers,
                                    .layer_count = p->pack->layer_count,
                                    .frames = p->frames,
                                    .frame_count = p->frame_count,
                                    .entry_count = p->tree.count };
        int r;

        list.entries = p->entries = calloc(p->tree.count ? p->tree.count : 1, sizeof *p->entries);
        if (!p->entries)
                return sf_error_set(err, SF_ERR_NOMEM, "out of memory");
        for (size_t i = 0; i < p->tree.count; i++) {
                p->entries[i] = p->tree.nodes[i]->entry;
                p->release.installed += p->entries[i].size;
                p->file_count += p->entries[i].type == SF_ENTRY_FILE;
                p->relocated += p->entries[i].map.count != 0;
        }
        r = sf_filelist_write(&list, &text, err);
        if (r == 0)
                r = sf_frame_compress(text.data, text.len, &frame, err);
        if (r < 0)
                return r;
        sf_digest_of(text.data, text.len, &p->release.tree);
        r = put_blob(p, &frame, &p->release.filelist, err);
        return r < 0 ? r : put_file(p, "filelist", &text, err);
}

static int write_image(struct packing *p, struct sf_error *err)
{
        _cleanup_(sf_buffer_free) struct sf_buffer config = SF_BUFFER_INIT, manifest = SF_BUFFER_INIT;
        struct sf_blob config_blob;
        int r = sf_oci_config(p->pack->name, p->pack->epoch, p->layers, p->pack->layer_count, &config, err);

        if (r == 0)
                r = put_blob(p, &config, &config_blob, err);
        if (r == 0)
                r = sf_oci_manifest(p->pack->name, &config_blob, p->layers, p->pack->layer_count, &manifest, err);
        return r < 0 ? r : put_blob(p, &manifest, &p->release.manifest, err);
}

/* What is in the release, and what it was made from. */
static int write_papers(struct packing *p, struct sf_error *err)
{
        _cleanup_(sf_buffer_free) struct sf_buffer statement = SF_BUFFER_INIT;
        int r = 0;

        p->release.name = *p->pack->name;
        if (p->pack->sbom)
                r = put_blob(p, p->pack->sbom, &p->release.sbom, err);
        if (r == 0 && p->pack->describe)
                r = p->pack->describe(p->pack->describe_ctx, &p->release, &statement, err);
        return r < 0 || !p->pack->describe ? r : put_blob(p, &statement, &p->release.provenance, err);
}

static int write_release(struct packing *p, struct sf_error *err)
{
        _cleanup_(sf_buffer_free) struct sf_buffer text = SF_BUFFER_INIT;
        struct sf_index index = { .releases = &p->release, .release_count = 1 };
        int r;

        p->release.name = *p->pack->name;
        strcpy(index.toolchain, p->pack->name->toolchain);
        strcpy(index.arch, p->pack->name->arch);
        sf_clock_stamp(p->pack->epoch, p->release.created);
        snprintf(p->release.requires.cpu, sizeof p->release.requires.cpu, "%s", p->pack->cpu ? p->pack->cpu : "");
        snprintf(p->release.requires.agent, sizeof p->release.requires.agent, "%s",
                 p->pack->agent ? p->pack->agent : SF_AGENTS_NEEDED);
        r = sf_unit_type_of(p->stage, p->pack->name->version, p->release.unit, err);
        if (r == 0)
                r = sf_needs_collect(&p->tree, &p->release.requires, err);
        if (r == 0)
                r = sf_index_write(&index, &text, err);
        if (r == 0)
                r = put_file(p, "release.json", &text, err);
        return r < 0 ? r : put_file(p, SF_REUSE_FILE, &p->packed, err);
}

/* Gives the release its name. An older one of that name is gone for the moment between the two steps; builds are
 * remade. */
static int finish(struct packing *p, struct sf_pack_result *ret, struct sf_error *err)
{
        _cleanup_free_ char *directory = sf_fs_join(p->pack->builds, p->pack->name->text);
        int r = directory ? sf_fs_remove_tree(p->stage, err) : SF_ERR_NOMEM;

        if (!directory)
                return sf_error_set(err, SF_ERR_NOMEM, "out of memory");
        if (r == 0)
                r = sf_fs_remove_tree(directory, err);
        if (r < 0)
                return r;
        if (rename(p->work, directory) < 0)
                return sf_error_errno(err, "cannot rename %s", p->work);
        if (ret)
                *ret = (struct sf_pack_result){ .directory = sf_steal_pointer(directory),
                                                .download = p->release.download,
                                                .installed = p->release.installed,
                                                .file_count = p->file_count,
                                                .relocated = p->relocated,
                                                .frame_count = p->frame_count };
        return 0;
}

int sf_pack_release(const struct sf_pack *pack, struct sf_pack_result *ret, struct sf_error *err)
{
        _cleanup_(packing_free) struct packing p = { .pack = pack, .packed = SF_BUFFER_INIT };
        int r = check(pack, err);

        if (r == 0)
                r = prepare(&p, err);
        if (r == 0)
                r = compose(&p, err);
        if (r == 0)
                r = write_layers(&p, err);
        if (r == 0)
                r = write_filelist(&p, err);
        if (r == 0)
                r = write_image(&p, err);
        if (r == 0)
                r = write_papers(&p, err);
        if (r == 0)
                r = write_release(&p, err);
        return r < 0 ? r : finish(&p, ret, err);
}

void sf_pack_result_free(struct sf_pack_result *result)
{
        free(result->directory);
        result->directory = NULL;
}
