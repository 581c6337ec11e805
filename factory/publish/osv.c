/* SPDX-License-Identifier: Apache-2.0 */
/* factory/publish/osv.c - see osv.h. */
#include "factory/publish/osv.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "base/cleanup.h"
#include "base/json.h"
#include "release/version.h"

/* --- reading ---------------------------------------------------------------------------------------------------- */

static int check_elements(const char *name, const json_t *list, struct sf_error *err)
{
        const json_t *element;
        size_t i;

        json_array_foreach ((json_t *)list, i, element) {
                const char *id = json_string_value(json_object_get(element, "id"));

                if (!id || !*id)
                        return sf_error_set(err, SF_ERR_CORRUPT, "%s: advisory %zu is no object with an id", name,
                                            i + 1);
        }
        return 0;
}

int sf_osv_parse(const char *name, const void *text, size_t len, json_t **ret, struct sf_error *err)
{
        _cleanup_json_ json_t *root = NULL;
        _cleanup_json_ json_t *list = NULL;
        json_error_t problem;
        int r;

        /* Not sf_json_parse: OSV has lists on top and real numbers. */
        root = json_loadb(text ? text : "", len, JSON_REJECT_DUPLICATES, &problem);
        if (!root)
                return sf_error_set(err, SF_ERR_CORRUPT, "%s: line %d: %s", name, problem.line, problem.text);
        if (json_is_array(root))
                list = json_incref(root);
        else if (json_is_array(json_object_get(root, "vulns")))
                list = json_incref(json_object_get(root, "vulns"));
        else if (json_is_object(root))
                list = json_pack("[O]", root);
        if (!list)
                return sf_error_set(err, SF_ERR_CORRUPT, "%s: neither an advisory nor a list of them", name);
        if ((r = check_elements(name, list, err)) < 0)
                return r;
        *ret = sf_steal_pointer(list);
        return 0;
}

const char *sf_osv_id(const json_t *advisory)
{
        return json_string_value(json_object_get(advisory, "id"));
}

bool sf_osv_is_withdrawn(const json_t *advisory)
{
        return json_is_string(json_object_get(advisory, "withdrawn"));
}

/* --- versions --------------------------------------------------------------------------------------------------- */

/* The order of one character in dpkg's comparison: '~' before the end, the end before letters, letters before the
 * rest. */
static int rank(char c)
{
        if (c == '~')
                return -1;
        if (c == '\0' || isdigit((unsigned char)c))
                return 0;
        return isalpha((unsigned char)c) ? (unsigned char)c : (unsigned char)c + 256;
}

/* True where a word for something before the release begins here. */
static bool is_early(const char *text)
{
        static const char *const words[] = { "rc", "alpha", "beta", "pre", "dev" };

        for (size_t i = 0; i < sizeof words / sizeof *words; i++)
                if (strncasecmp(text, words[i], strlen(words[i])) == 0)
                        return true;
        return false;
}

/* "1.0rc1", "1.0-rc1" and "1.0.rc1" become "1.0~rc1"; an epoch goes. */
static void normalize(const char *version, char *out, size_t room)
{
        const char *colon = strchr(version, ':');
        size_t n = 0;

        if (colon && strspn(version, "0123456789") == (size_t)(colon - version))
                version = colon + 1;
        if ((*version == 'v' || *version == 'V') && isdigit((unsigned char)version[1]))
                version++;
        for (const char *c = version; *c && n + 2 < room; c++) {
                bool begins = c == version || !isalpha((unsigned char)c[-1]);

                if (strchr("-._", *c) && is_early(c + 1))
                        continue;
                if (begins && is_early(c) && (c == version || c[-1] != '~'))
                        out[n++] = '~';
                out[n++] = *c;
        }
        out[n] = '\0';
}

/* Two numbers of any length; both pointers stand behind them after. */
static int compare_digits(const char **a, const char **b)
{
        size_t in_a, in_b;
        int order;

        *a += strspn(*a, "0");
        *b += strspn(*b, "0");
        in_a = strspn(*a, "0123456789");
        in_b = strspn(*b, "0123456789");
        order = in_a != in_b ? (in_a < in_b ? -1 : 1) : strncmp(*a, *b, in_a);
        *a += in_a;
        *b += in_b;
        return order;
}

/* deb-version(7): parts without digits and parts of digits, in turn. */
static int compare_plain(const char *a, const char *b)
{
        int order;

        while (*a || *b) {
                while ((*a && !isdigit((unsigned char)*a)) || (*b && !isdigit((unsigned char)*b))) {
                        if (rank(*a) != rank(*b))
                                return rank(*a) - rank(*b);
                        a++;
                        b++;
                }
                if ((order = compare_digits(&a, &b)) != 0)
                        return order;
        }
        return 0;
}

/* Identifiers of a pre-release: numbers before words, fewer before more (semver.org, 11.4). */
static int compare_early(const char *a, const char *b)
{
        while (*a && *b) {
                size_t in_a = strcspn(a, "."), in_b = strcspn(b, ".");
                bool number_a = strspn(a, "0123456789") == in_a, number_b = strspn(b, "0123456789") == in_b;
                const char *at_a = a, *at_b = b;
                int order;

                if (number_a != number_b)
                        return number_a ? -1 : 1;
                if (number_a) {
                        order = compare_digits(&at_a, &at_b);
                } else {
                        order = strncmp(a, b, in_a < in_b ? in_a : in_b);
                        order = order ? order : (in_a > in_b) - (in_a < in_b);
                }
                if (order)
                        return order;
                a += in_a + (a[in_a] == '.');
                b += in_b + (b[in_b] == '.');
        }
        return (*a != '\0') - (*b != '\0');
}

static int compare_semver(const char *a, const char *b)
{
        char whole[2][96];
        const char *early[2];
        const char *const from[2] = { a, b };
        int order;

        for (int i = 0; i < 2; i++) {
                const char *text = from[i] + (*from[i] == 'v');
                size_t numbers = strcspn(text, "-+");

                early[i] = text[numbers] == '-' ? text + numbers + 1 : "";
                snprintf(whole[i], sizeof whole[i], "%.*s", (int)numbers, text);
                /* "1" and "1.0" are written for "1.0.0". */
                for (size_t length; (length = strlen(whole[i])) > 2 && strcmp(whole[i] + length - 2, ".0") == 0;)
                        whole[i][length - 2] = '\0';
        }
        if ((order = compare_plain(whole[0], whole[1])) != 0)
                return order;
        if (!*early[0] || !*early[1])
                return (*early[0] == '\0') - (*early[1] == '\0');
        char words[2][96];
        for (int i = 0; i < 2; i++)
                snprintf(words[i], sizeof words[i], "%.*s", (int)strcspn(early[i], "+"), early[i]);
        return compare_early(words[0], words[1]);
}

int sf_osv_compare(const char *package, bool semver, const char *a, const char *b)
{
        struct sf_version slurm_a, slurm_b;
        char plain_a[256], plain_b[256];

        if (strcasecmp(package, "slurm") == 0 && sf_version_parse(a, &slurm_a, NULL) == 0 &&
            sf_version_parse(b, &slurm_b, NULL) == 0)
                return sf_version_compare(&slurm_a, &slurm_b);
        if (semver)
                return compare_semver(a, b);
        normalize(a, plain_a, sizeof plain_a);
        normalize(b, plain_b, sizeof plain_b);
        return compare_plain(plain_a, plain_b);
}

/* --- ranges ----------------------------------------------------------------------------------------------------- */

/* One question: an advisory, a package, and how far the answer has come. */
struct question {
        const json_t *advisory;
        const char *package, *version;
        enum sf_osv_verdict verdict;
        const char *fixed;
};

enum event { EVENT_INTRODUCED, EVENT_FIXED, EVENT_LAST_AFFECTED, EVENT_LIMIT, EVENT_COUNT };
static const char *const events[] = { [EVENT_INTRODUCED] = "introduced",
                                      [EVENT_FIXED] = "fixed",
                                      [EVENT_LAST_AFFECTED] = "last_affected",
                                      [EVENT_LIMIT] = "limit" };

static int malformed(const struct question *q, const char *what, struct sf_error *err)
{
        return sf_error_set(err, SF_ERR_CORRUPT, "advisory %.80s: %s", sf_osv_id(q->advisory), what);
}

/* What kind of event it is and which version it names. */
static int read_event(const struct question *q, const json_t *event, enum event *ret, const char **ret_version,
                      struct sf_error *err)
{
        *ret = EVENT_COUNT;
        for (enum event i = 0; i < EVENT_COUNT; i++) {
                const json_t *value = json_object_get(event, events[i]);

                if (!value)
                        continue;
                if (*ret != EVENT_COUNT)
                        return malformed(q, "an event of a range is two at once", err);
                *ret = i;
                *ret_version = json_string_value(value);
                if (!*ret_version || !**ret_version || strlen(*ret_version) > 200)
                        return malformed(q, "a version in a range is not a short text", err);
        }
        return *ret == EVENT_COUNT ? malformed(q, "an event of a range is none that is known", err) : 0;
}

static bool is_lowest(enum event event, const char *version)
{
        return event == EVENT_INTRODUCED && strcmp(version, "0") == 0;
}

/* OSV's evaluation without sorting: the newest event that the version has reached decides; where an end and a new
 * beginning fall together, the beginning. */
struct progress {
        const char *last; /* the newest event's version so far; NULL = none */
        bool last_is_lowest;
        bool affected, has_introduced, has_limit, below_limit;
};

static void take_event(struct question *q, struct progress *p, bool semver, enum event event, const char *version)
{
        bool lowest = is_lowest(event, version);
        int order = lowest ? 1 : sf_osv_compare(q->package, semver, q->version, version);

        if (event == EVENT_LIMIT) {
                p->has_limit = true;
                p->below_limit = p->below_limit || order < 0 || strcmp(version, "*") == 0;
                return;
        }
        p->has_introduced = p->has_introduced || event == EVENT_INTRODUCED;
        if (event == EVENT_FIXED && order < 0 &&
            (!*q->fixed || sf_osv_compare(q->package, semver, version, q->fixed) < 0))
                q->fixed = version;
        if (order < 0 || (event == EVENT_LAST_AFFECTED && order == 0))
                return;
        int against = !p->last            ? 1
                      : lowest            ? -1
                      : p->last_is_lowest ? 1
                                          : sf_osv_compare(q->package, semver, version, p->last);
        if (against < 0 || (against == 0 && event != EVENT_INTRODUCED))
                return;
        p->last = version;
        p->last_is_lowest = lowest;
        p->affected = event == EVENT_INTRODUCED;
}

/* *judged where the range is one of versions, not of commits. */
static int judge_range(struct question *q, const json_t *range, bool *judged, struct sf_error *err)
{
        const char *type = json_string_value(json_object_get(range, "type")), *version = NULL;
        const json_t *list = json_object_get(range, "events"), *element;
        struct progress progress = { 0 };
        size_t i;
        int r;

        if (!type)
                return malformed(q, "a range has no type", err);
        if (!json_is_array(list) || json_array_size(list) == 0)
                return malformed(q, "a range has no events", err);
        bool semver = strcmp(type, "SEMVER") == 0;
        if (!semver && strcmp(type, "ECOSYSTEM") != 0)
                return 0;
        *judged = true;
        json_array_foreach ((json_t *)list, i, element) {
                enum event event;

                if ((r = read_event(q, element, &event, &version, err)) < 0)
                        return r;
                take_event(q, &progress, semver, event, version);
        }
        if (!progress.has_introduced)
                return malformed(q, "a range has no introduced event", err);
        if (progress.affected && (!progress.has_limit || progress.below_limit))
                q->verdict = SF_OSV_AFFECTED;
        return 0;
}

/* --- packages --------------------------------------------------------------------------------------------------- */

/* Ecosystems whose packages are other ones of the same name. */
static bool is_foreign(const char *ecosystem)
{
        static const char *const languages[] = { "npm",      "PyPI",  "Go",          "crates.io",
                                                 "Maven",    "NuGet", "RubyGems",    "Packagist",
                                                 "Hex",      "Pub",   "CRAN",        "Hackage",
                                                 "SwiftURL", "Julia", "opam",        "GitHub Actions",
                                                 "VSCode",   "GHC",   "Bioconductor" };
        size_t length = strcspn(ecosystem, ":");

        for (size_t i = 0; i < sizeof languages / sizeof *languages; i++)
                if (strlen(languages[i]) == length && strncasecmp(ecosystem, languages[i], length) == 0)
                        return true;
        return false;
}

/* The name in "pkg:generic/space/NAME@1.0?x#y"; false where it is no purl. */
static bool purl_is(const char *purl, const char *package)
{
        const char *type = strncmp(purl, "pkg:", 4) == 0 ? purl + 4 : NULL, *slash = type ? strchr(type, '/') : NULL;
        const char *name = slash ? slash + 1 : NULL;
        char kind[32];

        if (!name)
                return false;
        snprintf(kind, sizeof kind, "%.*s", (int)(slash - type < 31 ? slash - type : 31), type);
        if (is_foreign(kind) || strcasecmp(kind, "cargo") == 0 || strcasecmp(kind, "golang") == 0 ||
            strcasecmp(kind, "gem") == 0 || strcasecmp(kind, "composer") == 0)
                return false;
        size_t length = strcspn(name, "@?#");
        for (size_t i = 0; i < length; i++)
                if (name[i] == '/') {
                        name += i + 1;
                        length -= i + 1;
                        i = (size_t)-1;
                }
        return strlen(package) == length && strncasecmp(name, package, length) == 0;
}

static int is_meant(const struct question *q, const json_t *affected, bool *ret, struct sf_error *err)
{
        const json_t *package = json_object_get(affected, "package");
        const char *name = json_string_value(json_object_get(package, "name"));
        const char *ecosystem = json_string_value(json_object_get(package, "ecosystem"));
        const char *purl = json_string_value(json_object_get(package, "purl"));

        *ret = false;
        if (!json_is_object(affected))
                return malformed(q, "an element of \"affected\" is no object", err);
        if (!package) /* only commits of a repository, of whatever package */
                return 0;
        if (!json_is_object(package) || (!name && !purl))
                return malformed(q, "a package has neither name nor purl", err);
        if (ecosystem && is_foreign(ecosystem))
                return 0;
        *ret = (name && strcasecmp(name, q->package) == 0) || (purl && purl_is(purl, q->package));
        return 0;
}

static int judge_affected(struct question *q, const json_t *affected, struct sf_error *err)
{
        const json_t *ranges = json_object_get(affected, "ranges"), *versions = json_object_get(affected, "versions");
        const json_t *element;
        bool meant;
        size_t i;
        int r = is_meant(q, affected, &meant, err);

        if (r < 0 || !meant)
                return r;
        if ((ranges && !json_is_array(ranges)) || (versions && !json_is_array(versions)))
                return malformed(q, "ranges or versions are no list", err);
        bool judged = json_array_size(versions) > 0;
        json_array_foreach ((json_t *)versions, i, element) {
                if (!json_is_string(element))
                        return malformed(q, "an element of \"versions\" is no text", err);
                if (sf_osv_compare(q->package, false, json_string_value(element), q->version) == 0)
                        q->verdict = SF_OSV_AFFECTED;
        }
        json_array_foreach ((json_t *)ranges, i, element)
                if ((r = judge_range(q, element, &judged, err)) < 0)
                        return r;
        enum sf_osv_verdict least = judged ? SF_OSV_UNAFFECTED : SF_OSV_UNCLEAR;
        q->verdict = q->verdict < least ? least : q->verdict;
        return 0;
}

int sf_osv_judge(const json_t *advisory, const char *package, const char *version, enum sf_osv_verdict *ret,
                 const char **ret_fixed, struct sf_error *err)
{
        struct question q = { .advisory = advisory, .package = package, .version = version, .fixed = "" };
        const json_t *affected = json_object_get(advisory, "affected"), *element;
        size_t i;
        int r;

        if (affected && !json_is_array(affected))
                return malformed(&q, "\"affected\" is no list", err);
        json_array_foreach ((json_t *)affected, i, element)
                if ((r = judge_affected(&q, element, err)) < 0)
                        return r;
        *ret = q.verdict;
        *ret_fixed = q.fixed;
        return 0;
}
