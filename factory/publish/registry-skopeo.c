/* SPDX-License-Identifier: Apache-2.0 */
/* factory/publish/registry-skopeo.c - see registry-skopeo.h. */
#include "factory/publish/registry-skopeo.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/fs.h"
#include "base/json.h"
#include "base/proc.h"
#include "base/stop.h"
#include "factory/pack/oci.h"
#include "release/layout.h"

#define OUTPUT_MAX ((size_t)64 << 20)
#define TRIES      "--retry-times=2"

static int no_memory(struct sf_error *err)
{
        return sf_error_set(err, SF_ERR_NOMEM, "out of memory for a registry");
}

/* output: may be NULL. errors: what it said on standard error, for those who look for a reason. */
static int skopeo(const char *const argv[], struct sf_buffer *output, struct sf_buffer *errors, struct sf_error *err)
{
        _cleanup_(sf_buffer_free) struct sf_buffer own = SF_BUFFER_INIT;
        const struct sf_proc proc = { .argv = argv,
                                      .env = (const char *const *)environ,
                                      .output = output ? output : &own,
                                      .output_max = OUTPUT_MAX,
                                      .errors = errors,
                                      .stop = &sf_stop_requested };

        return sf_proc_check(&proc, err);
}

/* Does the registry say that there is no such thing? The words are those of the distribution API's error codes and of
 * skopeo for a bare 404; some registries refuse what does not exist. */
static bool is_missing(const struct sf_buffer *errors, bool trusting)
{
        static const char *const words[] = { "manifest unknown", "name unknown", "not found", "404", "NotFound" };
        static const char *const refusals[] = { "unauthorized", "denied" };

        for (size_t i = 0; i < sizeof words / sizeof *words; i++)
                if (strstr(sf_buffer_text(errors), words[i]))
                        return true;
        for (size_t i = 0; trusting && i < sizeof refusals / sizeof *refusals; i++)
                if (strstr(sf_buffer_text(errors), refusals[i]))
                        return true;
        return false;
}

int sf_skopeo_inspect(const char *address, const char *reference, bool *ret_there, struct sf_buffer *ret,
                      struct sf_error *err)
{
        _cleanup_free_ char *image = sf_format("%s%s", address, reference);
        _cleanup_(sf_buffer_free) struct sf_buffer errors = SF_BUFFER_INIT;
        const char *const argv[] = { "skopeo", "inspect", TRIES, "--raw", image, NULL };
        struct sf_error why = SF_ERROR_INIT;
        int r = image ? skopeo(argv, ret, &errors, &why) : no_memory(&why);

        *ret_there = r == 0;
        return r == 0 || (r == SF_ERR_FAILED && is_missing(&errors, true)) ? 0 : sf_error_set(err, r, "%s", why.text);
}

int sf_skopeo_tags(const char *address, bool trusting, json_t **ret, struct sf_error *err)
{
        _cleanup_(sf_buffer_free) struct sf_buffer text = SF_BUFFER_INIT, errors = SF_BUFFER_INIT;
        const char *const argv[] = { "skopeo", "list-tags", address, NULL };
        _cleanup_json_ json_t *document = NULL;
        struct sf_error why = SF_ERROR_INIT;
        int r = skopeo(argv, &text, &errors, &why);

        *ret = NULL;
        if (r < 0)
                return r == SF_ERR_FAILED && is_missing(&errors, trusting) ? 0 : sf_error_set(err, r, "%s", why.text);
        r = sf_json_parse("skopeo list-tags", text.data, text.len, &document, err);
        if (r == 0)
                *ret = json_incref(json_object_get(document, "Tags"));
        return r;
}

int sf_skopeo_copy(const struct sf_skopeo_copy *copy, struct sf_error *err)
{
        _cleanup_free_ char *blobs = sf_format("--src-shared-blob-dir=%s", copy->blobs ? copy->blobs : "");
        const char *argv[14] = { "skopeo", "--insecure-policy", "copy", "--quiet", TRIES };
        size_t count = 5;

        if (!blobs)
                return no_memory(err);
        argv[count++] = copy->list ? "--all" : "--preserve-digests";
        if (copy->blobs)
                argv[count++] = blobs;
        argv[count++] = copy->source;
        argv[count++] = copy->target;
        if (copy->gpg_key) {
                argv[count++] = "--sign-by";
                argv[count++] = copy->gpg_key;
        }
        return skopeo(argv, NULL, NULL, err);
}

int sf_skopeo_delete(const char *address, const char *reference, struct sf_error *err)
{
        _cleanup_free_ char *image = sf_format("%s%s", address, reference);
        _cleanup_(sf_buffer_free) struct sf_buffer errors = SF_BUFFER_INIT;
        const char *const argv[] = { "skopeo", "delete", image, NULL };
        struct sf_error why = SF_ERROR_INIT;
        int r = image ? skopeo(argv, NULL, &errors, &why) : no_memory(&why);

        if (r == 0 || (r == SF_ERR_FAILED && is_missing(&errors, false)))
                return 0;
        bool forbidden = strstr(sf_buffer_text(&errors), "405") || strcasestr(sf_buffer_text(&errors), "unsupported");
        return sf_error_set(err, r, "%s%s", why.text,
                            forbidden ? " (this registry does not let anybody delete; docker-registry has "
                                        "storage.delete.enabled for it)"
                                      : "");
}

int sf_skopeo_layout(json_t *descriptor, char **ret, struct sf_error *err)
{
        static const char version[] = "{\"imageLayoutVersion\":\"1.0.0\"}";
        const char *parent = getenv("TMPDIR");
        _cleanup_(sf_skopeo_layout_remove) char *layout = NULL;
        _cleanup_free_ char *directory = sf_format("%s/slurm-factory-XXXXXX", parent && *parent ? parent : "/tmp");
        _cleanup_(sf_buffer_free) struct sf_buffer text = SF_BUFFER_INIT;
        _cleanup_json_ json_t *index = json_pack("{s:i, s:s, s:[o]}", "schemaVersion", 2, "mediaType", SF_OCI_INDEX,
                                                 "manifests", descriptor);
        int r;

        if (!directory || !index)
                return no_memory(err);
        if (!mkdtemp(directory))
                return sf_error_errno(err, "cannot make %s", directory);
        layout = sf_steal_pointer(directory);
        _cleanup_free_ char *mark = sf_fs_join(layout, SF_LAYOUT_OCI_LAYOUT);
        _cleanup_free_ char *path = sf_fs_join(layout, SF_LAYOUT_OCI_INDEX);
        if (!mark || !path)
                return no_memory(err);
        if ((r = sf_oci_dump(index, &text, err)) < 0 ||
            (r = sf_fs_write(mark, version, strlen(version), 0644, err)) < 0 ||
            (r = sf_fs_write(path, text.data, text.len, 0644, err)) < 0)
                return r;
        *ret = sf_steal_pointer(layout);
        return 0;
}

void sf_skopeo_layout_remove(char **layout)
{
        struct sf_error unused = SF_ERROR_INIT;

        if (*layout)
                sf_fs_remove_tree(*layout, &unused);
        free(*layout);
        *layout = NULL;
}

static const char *reference(const char *start, const struct sf_digest *digest,
                             char ret[static SF_SKOPEO_REFERENCE_MAX])
{
        char hex[SF_DIGEST_HEX + 1];

        snprintf(ret, SF_SKOPEO_REFERENCE_MAX, "%s%s", start, sf_digest_hex(digest, hex));
        return ret;
}

const char *sf_skopeo_by_digest(const struct sf_digest *digest, char ret[static SF_SKOPEO_REFERENCE_MAX])
{
        return reference("@sha256:", digest, ret);
}

const char *sf_skopeo_list_tag(const struct sf_digest *digest, char ret[static SF_SKOPEO_REFERENCE_MAX])
{
        return reference(":sha256-", digest, ret);
}
