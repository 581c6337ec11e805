/* SPDX-License-Identifier: Apache-2.0 */
/* factory/build/sbom.c - see sbom.h. Member names are those of the SPDX 2.3 JSON schema. */
#include "factory/build/sbom.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/digest.h"
#include "base/json.h"

#define NOT_SAID "NOASSERTION"

/* A document while it is made: its two lists are borrowed from it. */
struct document {
        const struct sf_plan *plan;
        json_t *packages, *relationships;
};

static int no_memory(struct sf_error *err)
{
        return sf_error_set(err, SF_ERR_NOMEM, "bill of materials");
}

/* SPDX identifiers hold letters, digits, '.' and '-' only: what else a name has is written as ".2B.", so that different
 * names stay different. A new reference. */
static json_t *make_id(const char *kind, const char *name)
{
        static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-";
        _cleanup_(sf_buffer_free) struct sf_buffer id = SF_BUFFER_INIT;
        int r = sf_buffer_printf(&id, NULL, "SPDXRef-%s-", kind);

        for (const char *c = name; *c && r == 0; c++)
                r = sf_buffer_printf(&id, NULL, strchr(plain, *c) ? "%c" : ".%02X.", (unsigned char)*c);
        return r == 0 ? json_string(sf_buffer_text(&id)) : NULL;
}

/* Takes both ends. */
static int relate(struct document *d, json_t *from, const char *how, json_t *to, struct sf_error *err)
{
        json_t *relation = json_pack("{s:o, s:s, s:o}", "spdxElementId", from, "relationshipType", how,
                                     "relatedSpdxElement", to);

        return json_array_append_new(d->relationships, relation) < 0 ? no_memory(err) : 0;
}

/* --- packages --------------------------------------------------------------------------------------------------- */

/* How the package's source was changed and where else it can be had, in words. */
static int describe_source(const struct sf_recipe *recipe, struct sf_buffer *ret, struct sf_error *err)
{
        char hex[SF_DIGEST_HEX + 1];
        int r = 0;

        for (size_t i = 0; i < recipe->patch_count && r == 0; i++)
                r = sf_buffer_printf(ret, err, "%spatched with %s (sha256 %s)", ret->len ? "; " : "",
                                     recipe->patches[i].file, sf_digest_hex(&recipe->patches[i].digest, hex));
        for (size_t i = 1; i < recipe->source_count && r == 0; i++)
                r = sf_buffer_printf(ret, err, "%sor from %s (sha256 %s)", ret->len ? "; " : "",
                                     recipe->sources[i].file, sf_digest_hex(&recipe->sources[i].digest, hex));
        if (r == 0 && *recipe->sources[0].directory)
                r = sf_buffer_printf(ret, err, "%sdirectory %s of the archive", ret->len ? "; " : "",
                                     recipe->sources[0].directory);
        return r;
}

static int append_encoded(struct sf_buffer *out, const char *text)
{
        int r = 0;

        for (const char *c = text; *c && r == 0; c++) {
                bool plain = strchr("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-_~", *c) != NULL;

                r = sf_buffer_printf(out, NULL, plain ? "%c" : "%%%02X", (unsigned char)*c);
        }
        return r;
}

/* pkg:generic/NAME@VERSION (package-url/purl-spec); '+' and the like are percent-encoded. Owned by the caller. */
static char *make_purl(const char *name, const char *version)
{
        _cleanup_(sf_buffer_free) struct sf_buffer purl = SF_BUFFER_INIT;

        if (sf_buffer_puts(&purl, "pkg:generic/", NULL) < 0 || append_encoded(&purl, name) < 0 ||
            sf_buffer_puts(&purl, "@", NULL) < 0 || append_encoded(&purl, version) < 0)
                return NULL;
        return strdup(sf_buffer_text(&purl));
}

static json_t *purl_reference(const char *purl)
{
        return json_pack("[{s:s, s:s, s:s}]", "referenceCategory", "PACKAGE-MANAGER", "referenceType", "purl",
                         "referenceLocator", purl);
}

static int add_package(struct document *d, const struct sf_plan_layer *layer, struct sf_error *err)
{
        const struct sf_recipe *recipe = &layer->recipe;
        const struct sf_recipe_source *source = &recipe->sources[0];
        _cleanup_(sf_buffer_free) struct sf_buffer words = SF_BUFFER_INIT;
        _cleanup_free_ char *purl = make_purl(recipe->name, recipe->version);
        _cleanup_free_ char *comment = sf_format("layer %s", recipe->layer);
        char hex[SF_DIGEST_HEX + 1];
        json_t *package;
        int r = describe_source(recipe, &words, err);

        if (r < 0 || !purl || !comment)
                return r < 0 ? r : no_memory(err);
        package = json_pack("{s:o, s:s, s:s, s:s, s:s, s:b, s:s, s:s, s:s, s:s, s:s, s:[{s:s, s:s}], s:o}", "SPDXID",
                            make_id("Package", recipe->name), "name", recipe->name, "versionInfo", recipe->version,
                            "downloadLocation", source->urls.count ? source->urls.items[0] : NOT_SAID,
                            "packageFileName", source->file, "filesAnalyzed", false, "supplier", NOT_SAID,
                            "licenseConcluded", NOT_SAID, "licenseDeclared",
                            *recipe->license ? recipe->license : NOT_SAID, "copyrightText", NOT_SAID, "comment",
                            comment, "checksums", "algorithm", "SHA256", "checksumValue",
                            sf_digest_hex(&source->digest, hex), "externalRefs", purl_reference(purl));
        if (package && words.len && json_object_set_new(package, "sourceInfo", json_string(sf_buffer_text(&words))) < 0)
                return no_memory(err);
        if (json_array_append_new(d->packages, package) < 0)
                return no_memory(err);
        if ((r = relate(d, make_id("Release", "this"), "CONTAINS", make_id("Package", recipe->name), err)) < 0)
                return r;
        for (size_t i = 0; i < recipe->depends.count && r == 0; i++)
                r = relate(d, make_id("Package", recipe->name), "DEPENDS_ON",
                           make_id("Package", recipe->depends.items[i]), err);
        for (size_t i = 0; i < recipe->os.count && r == 0; i++)
                r = relate(d, make_id("Package", recipe->name), "DEPENDS_ON", make_id("System", recipe->os.items[i]),
                           err);
        return r;
}

/* --- the operating system's own --------------------------------------------------------------------------------- */

static bool is_used(const struct sf_plan *plan, const char *library)
{
        for (size_t i = 0; i < plan->count; i++)
                for (size_t k = 0; k < plan->layers[i].recipe.os.count; k++)
                        if (strcmp(plan->layers[i].recipe.os.items[k], library) == 0)
                                return true;
        return false;
}

/* Not in the release: the node's own package serves it, and its updates reach it. */
static int add_system(struct document *d, const struct sf_toolchain_os *os, struct sf_error *err)
{
        _cleanup_free_ char *comment = sf_format("not in the release: expected on the node%s%s; built with package %s",
                                                 *os->library ? " as " : "", os->library, os->package);
        json_t *package = !comment ? NULL
                                   : json_pack("{s:o, s:s, s:s, s:s, s:b, s:s, s:s, s:s, s:s, s:s}", "SPDXID",
                                               make_id("System", os->name), "name", os->package, "versionInfo",
                                               os->version ? os->version : NOT_SAID, "downloadLocation", NOT_SAID,
                                               "filesAnalyzed", false, "supplier", NOT_SAID, "licenseConcluded",
                                               NOT_SAID, "licenseDeclared", NOT_SAID, "copyrightText", NOT_SAID,
                                               "comment", comment);

        return json_array_append_new(d->packages, package) < 0 ? no_memory(err) : 0;
}

static int add_release(struct document *d, const char *release, struct sf_error *err)
{
        json_t *package = json_pack("{s:o, s:s, s:s, s:s, s:b, s:s, s:s, s:s, s:s, s:s}", "SPDXID",
                                    make_id("Release", "this"), "name", release, "versionInfo", d->plan->version,
                                    "downloadLocation", NOT_SAID, "filesAnalyzed", false, "supplier", NOT_SAID,
                                    "licenseConcluded", NOT_SAID, "licenseDeclared", NOT_SAID, "copyrightText",
                                    NOT_SAID, "primaryPackagePurpose", "ARCHIVE");

        if (json_array_append_new(d->packages, package) < 0)
                return no_memory(err);
        return relate(d, json_string("SPDXRef-DOCUMENT"), "DESCRIBES", make_id("Release", "this"), err);
}

/* --- the document ----------------------------------------------------------------------------------------------- */

static int fill(struct document *d, const char *release, struct sf_error *err)
{
        const struct sf_plan *plan = d->plan;
        int r = add_release(d, release, err);

        for (size_t i = 0; i < plan->count && r == 0; i++)
                r = add_package(d, &plan->layers[i], err);
        for (size_t i = 0; i < plan->toolchain->os_count && r == 0; i++)
                if (is_used(plan, plan->toolchain->os[i].name))
                        r = add_system(d, &plan->toolchain->os[i], err);
        return r;
}

/* A name of its own for each content: of the release and of every layer's key. */
static int make_namespace(const struct sf_plan *plan, const char *release, char **ret, struct sf_error *err)
{
        _cleanup_(sf_buffer_free) struct sf_buffer text = SF_BUFFER_INIT;
        char hex[SF_DIGEST_HEX + 1];
        struct sf_digest digest;
        int r = sf_buffer_printf(&text, err, "%s\n", release);

        for (size_t i = 0; i < plan->count && r == 0; i++)
                r = sf_buffer_printf(&text, err, "%s %s\n", plan->layers[i].key.name, plan->layers[i].recipe.license);
        if (r < 0)
                return r;
        sf_digest_of(text.data, text.len, &digest);
        *ret = sf_format("https://spdx.org/spdxdocs/slurm-factory-%s-%.32s", release, sf_digest_hex(&digest, hex));
        return *ret ? 0 : no_memory(err);
}

int sf_sbom_write(const struct sf_plan *plan, const char *release, int64_t epoch, struct sf_buffer *ret,
                  struct sf_error *err)
{
        _cleanup_json_ json_t *document = NULL;
        _cleanup_free_ char *text = NULL, *namespace = NULL;
        struct document d = { .plan = plan, .packages = json_array(), .relationships = json_array() };
        char created[SF_CLOCK_STAMP];
        int r = make_namespace(plan, release, &namespace, err);

        sf_clock_stamp(epoch, created);
        document = json_pack("{s:s, s:s, s:s, s:s, s:s, s:{s:s, s:[s]}, s:o, s:o}", "spdxVersion", "SPDX-2.3",
                             "dataLicense", "CC0-1.0", "SPDXID", "SPDXRef-DOCUMENT", "name", release,
                             "documentNamespace", namespace ? namespace : "", "creationInfo", "created", created,
                             "creators", "Tool: slurm-factory-" SF_VERSION, "packages", d.packages, "relationships",
                             d.relationships);
        if (!document)
                return no_memory(err);
        if (r < 0 || (r = fill(&d, release, err)) < 0)
                return r;
        text = json_dumps(document, JSON_COMPACT | JSON_SORT_KEYS);
        return text ? sf_buffer_puts(ret, text, err) : no_memory(err);
}
