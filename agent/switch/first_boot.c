/* SPDX-License-Identifier: Apache-2.0 */
/* agent/switch/first_boot.c - see first_boot.h. Here: what a node needs, and what of it is missing. How it is made is
 * in first_boot-make.c. */
#include "agent/switch/first_boot.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "agent/node/conf_source.h"
#include "agent/node/slurm_conf.h"
#include "agent/node/unit.h"
#include "agent/node/unit_text.h"
#include "base/buffer.h"
#include "base/cleanup.h"
#include "base/fs.h"
#include "base/log.h"
#include "base/output.h"
#include "base/pool.h"

#define SPOOL_DEFAULT "/var/spool/slurmd" /* slurm.conf(5), SlurmdSpoolDir */
#define LOG_DIR       "/var/log/slurm"
#define UNITS         "/etc/systemd/system"
#define WANTS         UNITS "/multi-user.target.wants"
#define SYSUSERS      "/etc/sysusers.d/sf-node-"
#define MUNGE_KEY     "/etc/munge/munge.key"
#define MUNGE_SOCKET  "/run/munge/munge.socket.2"
#define OPTIONS_MAX   (64u << 10)

/* What the node says, looked at once. */
struct look {
        struct sf_first_boot *boot;
        const struct sf_config *config;
        const struct sf_config_init *init;
        const char *root;
        struct sf_slurm_conf conf;
        bool has_conf;
        struct sf_account slurm, munge;
        char spool[1024];
};

static const struct sf_account root_account = { "root", 0, 0 };

static int no_memory(struct sf_error *err)
{
        return sf_error_set(err, SF_ERR_NOMEM, "no memory for a list");
}

/* lstat below the root, without leaving it. */
static bool is_there(const char *root, const char *path, struct stat *ret)
{
        _cleanup_free_ char *real = NULL;

        return sf_fs_in_root(root, path, &real, NULL) == 0 && lstat(real, ret) == 0;
}

static int add(struct look *l, struct sf_first_boot_item item, struct sf_error *err)
{
        struct sf_first_boot *boot = l->boot;

        if (boot->count == boot->room) {
                size_t room = boot->room ? boot->room * 2 : 16;
                struct sf_first_boot_item *grown = sf_pool_alloc(boot->pool, room, sizeof *grown);
                if (!grown)
                        return no_memory(err);
                if (boot->count)
                        memcpy(grown, boot->items, boot->count * sizeof *grown);
                boot->items = grown;
                boot->room = room;
        }
        item.path = sf_pool_copy(boot->pool, item.path, strlen(item.path));
        if (item.text)
                item.text = sf_pool_copy(boot->pool, item.text, strlen(item.text));
        boot->items[boot->count++] = item;
        return item.path ? 0 : no_memory(err);
}

/* --- accounts -------------------------------------------------------------------------------------------------- */

struct wish {
        const char *name, *section_key; /* "slurm": [init] slurm_uid */
        uint64_t uid, gid;
};

static bool can_make_users(void)
{
        return access("/usr/bin/systemd-sysusers", X_OK) == 0 || access("/bin/systemd-sysusers", X_OK) == 0;
}

/* Numbers of the configuration that nobody else has. */
static int check_free(const struct look *l, const struct sf_account *wanted, struct sf_error *err)
{
        struct sf_account other;
        char number[16];

        snprintf(number, sizeof number, "%u", (unsigned)wanted->uid);
        if (sf_account_find(l->root, number, &other, NULL) == 0)
                return sf_error_set(err, SF_ERR_USAGE, "user %s cannot have the number %s: %s has it", wanted->name,
                                    number, other.name);
        snprintf(number, sizeof number, "%u", (unsigned)wanted->gid);
        if (sf_account_find_group(l->root, number, &other, NULL) == 0 && strcmp(other.name, wanted->name) != 0)
                return sf_error_set(err, SF_ERR_USAGE, "group %s cannot have the number %s: %s has it", wanted->name,
                                    number, other.name);
        if (!can_make_users())
                return sf_error_set(err, SF_ERR_USAGE,
                                    "there is no systemd-sysusers here that could make user %s with number %u: make it "
                                    "by hand",
                                    wanted->name, (unsigned)wanted->uid);
        return 0;
}

static int differs(const struct wish *w, const char *what, unsigned is, uint64_t said, struct sf_error *err)
{
        return sf_error_set(err, SF_ERR_USAGE,
                            "%s of %s is %u on this node and %llu in [init] %s: a cluster needs one number "
                            "everywhere, so one of them is wrong",
                            what, w->name, is, (unsigned long long)said, w->section_key);
}

/* A group that is there already keeps its number. */
static int plan_new(struct look *l, const struct wish *w, struct sf_account *ret, struct sf_error *err)
{
        struct sf_account group;
        char file[128];

        snprintf(ret->name, sizeof ret->name, "%s", w->name);
        ret->uid = (uid_t)w->uid;
        ret->gid = (gid_t)(w->gid == SF_INIT_UNSET ? w->uid : w->gid);
        if (sf_account_find_group(l->root, w->name, &group, NULL) == 0) {
                if (w->gid != SF_INIT_UNSET && w->gid != group.gid)
                        return differs(w, "the group number", (unsigned)group.gid, w->gid, err);
                ret->gid = group.gid;
        }
        int r = check_free(l, ret, err);
        snprintf(file, sizeof file, SYSUSERS "%s.conf", w->name);
        const struct sf_first_boot_item item = { .kind = SF_FIRST_BOOT_ACCOUNT, .path = file, .owner = *ret };
        return r < 0 ? r : add(l, item, err);
}

static int plan_account(struct look *l, const struct wish *w, struct sf_account *ret, struct sf_error *err)
{
        struct sf_error why = SF_ERROR_INIT;
        int r = sf_account_find(l->root, w->name, ret, &why);

        if (r == 0 && w->uid != SF_INIT_UNSET && w->uid != ret->uid)
                return differs(w, "the user number", (unsigned)ret->uid, w->uid, err);
        if (r == 0 && w->gid != SF_INIT_UNSET && w->gid != ret->gid)
                return differs(w, "the group number", (unsigned)ret->gid, w->gid, err);
        if (r == 0)
                return 0;
        if (r != SF_ERR_NOT_FOUND)
                return sf_error_set(err, r, "%s", why.text);
        if (w->uid != SF_INIT_UNSET)
                return plan_new(l, w, ret, err);
        return sf_error_set(err, SF_ERR_USAGE,
                            "there is no user %s in %s/etc/passwd%s, and sf-node does not invent its number: make it "
                            "with the number it has on the controller (useradd --system --uid UID %s), or name that "
                            "number in sf-node.conf ([init] %s = UID)",
                            w->name, l->root, *l->root ? "" : " or by getent", w->name, w->section_key);
}

static int plan_slurm_user(struct look *l, struct sf_error *err)
{
        const char *said = l->has_conf ? sf_slurm_conf_get(&l->conf, "SlurmUser") : NULL, *name = l->init->slurm_user;

        if (said && name && strcmp(said, name) != 0)
                return sf_error_set(err, SF_ERR_USAGE, "SlurmUser is %s in %s and %s in [init] slurm_user", said,
                                    l->config->slurm_conf, name);
        name = name ? name : said ? said : "slurm";
        const struct wish w = { name, "slurm_uid", l->init->slurm_uid, l->init->slurm_gid };
        if (strcmp(name, "root") != 0 && strcmp(name, "0") != 0)
                return plan_account(l, &w, &l->slurm, err);
        l->slurm = root_account;
        return 0;
}

/* --- directories ----------------------------------------------------------------------------------------------- */

static int plan_directory(struct look *l, const char *path, const struct sf_account *owner, mode_t mode,
                          struct sf_error *err)
{
        struct sf_first_boot_item item = {
                .kind = SF_FIRST_BOOT_DIRECTORY, .path = (char *)(uintptr_t)path, .owner = *owner, .mode = mode
        };
        struct stat st;

        for (size_t i = 0; i < l->boot->count; i++)
                if (strcmp(l->boot->items[i].path, path) == 0)
                        return 0;
        if (!is_there(l->root, path, &st))
                return add(l, item, err);
        if (S_ISDIR(st.st_mode) && owner->uid != 0 && st.st_uid != owner->uid)
                return sf_words_printf(&l->boot->notes, err, "%s belongs to user number %u and not to %s: left so",
                                       path, (unsigned)st.st_uid, owner->name);
        return S_ISDIR(st.st_mode) || S_ISLNK(st.st_mode)
                       ? 0
                       : sf_words_printf(&l->boot->notes, err, "%s is no directory: left so", path);
}

/* The directory of a log file that slurm.conf names. */
static int plan_log(struct look *l, struct sf_error *err)
{
        const char *file = l->has_conf ? sf_slurm_conf_get(&l->conf, "SlurmdLogFile") : NULL;
        int r = plan_directory(l, LOG_DIR, &l->slurm, 0755, err);

        if (r < 0 || !file || *file != '/' || strchr(file, '%'))
                return r;
        char parent[1024];
        snprintf(parent, sizeof parent, "%.*s", (int)(strrchr(file, '/') - file), file);
        return *parent ? plan_directory(l, parent, &root_account, 0755, err) : 0;
}

/* %n and %h are the node's names, which an image does not know: its slurmd makes the last directory itself. */
static void name_spool(struct look *l)
{
        const char *said = l->has_conf ? sf_slurm_conf_get(&l->conf, "SlurmdSpoolDir") : NULL;
        const char *path = l->init->spool_dir ? l->init->spool_dir : said && *said == '/' ? said : SPOOL_DEFAULT;
        const char *percent = strchr(path, '%');

        snprintf(l->spool, sizeof l->spool, "%s", path);
        if (!percent)
                return;
        l->spool[percent - path] = '\0';
        char *slash = strrchr(l->spool, '/');
        *slash = '\0';
}

static int plan_directories(struct look *l, struct sf_error *err)
{
        int r = plan_directory(l, "/etc/slurm", &root_account, 0755, err);

        name_spool(l);
        if (r == 0 && *l->spool)
                r = plan_directory(l, l->spool, &root_account, 0755, err);
        if (r == 0)
                r = plan_log(l, err);
        if (r < 0 || !l->init->munge)
                return r;
        r = plan_directory(l, "/etc/munge", &l->munge, 0700, err);
        if (r == 0)
                r = plan_directory(l, "/var/lib/munge", &l->munge, 0711, err);
        return r < 0 ? r : plan_directory(l, "/var/log/munge", &l->munge, 0700, err);
}

/* --- files ----------------------------------------------------------------------------------------------------- */

static int plan_text(struct look *l, enum sf_first_boot_kind kind, const char *path, const char *text,
                     struct sf_error *err)
{
        const struct sf_first_boot_item item = {
                .kind = kind, .path = (char *)(uintptr_t)path, .text = (char *)(uintptr_t)text, .mode = 0644
        };
        struct stat st;

        return is_there(l->root, path, &st) ? 0 : add(l, item, err);
}

static int plan_tmpfiles(struct look *l, struct sf_error *err)
{
        _cleanup_(sf_buffer_free) struct sf_buffer text = SF_BUFFER_INIT;
        int r = sf_buffer_printf(&text, err,
                                 "# Written by \"sf-node install --init\"; yours to change. See tmpfiles.d(5).\n"
                                 "d /run/slurm 0755 root root -\n"
                                 "d %s 0755 root root -\n"
                                 "d " LOG_DIR " 0755 %s %u -\n",
                                 *l->spool ? l->spool : SPOOL_DEFAULT, l->slurm.name, (unsigned)l->slurm.gid);

        if (r == 0 && l->init->munge)
                r = sf_buffer_printf(&text, err,
                                     "d /var/lib/munge 0711 %1$s %2$u -\n"
                                     "d /var/log/munge 0700 %1$s %2$u -\n",
                                     l->munge.name, (unsigned)l->munge.gid);
        return r < 0 ? r
                     : plan_text(l, SF_FIRST_BOOT_FILE, "/etc/tmpfiles.d/sf-node-slurm.conf", sf_buffer_text(&text),
                                 err);
}

/* Its name makes it the last one: Lmod's own file takes a MODULEPATH that is set before it for the whole of it. */
static int plan_profile(struct look *l, struct sf_error *err)
{
        _cleanup_free_ char *text = sf_format("# Written by \"sf-node install --init\"; yours to change.\n"
                                              "case \":$PATH:\" in\n"
                                              "*:%1$s/view/bin:*) ;;\n"
                                              "*) PATH=$PATH:%1$s/view/bin ;;\n"
                                              "esac\n"
                                              "case \":${MODULEPATH-}:\" in\n"
                                              "*:%1$s/modules:*) ;;\n"
                                              "*) export MODULEPATH=\"${MODULEPATH:+$MODULEPATH:}%1$s/modules\" ;;\n"
                                              "esac\n",
                                              l->config->prefix);

        return text ? plan_text(l, SF_FIRST_BOOT_FILE, "/etc/profile.d/zz-sf-node-slurm.sh", text, err)
                    : no_memory(err);
}

/* --- where slurmd has its configuration from ------------------------------------------------------------------- */

/* What a file says behind SLURMD_OPTIONS=, "" for nothing; false where it does not set it. */
static bool options_in(const char *root, const char *file, char *ret, size_t room)
{
        _cleanup_(sf_buffer_free) struct sf_buffer text = SF_BUFFER_INIT;
        _cleanup_free_ char *real = NULL;
        static const char name[] = "SLURMD_OPTIONS=";
        bool found = false;

        if (sf_fs_in_root(root, file, &real, NULL) < 0 || sf_fs_read(real, OPTIONS_MAX, &text, NULL) < 0)
                return false;
        for (const char *line = sf_buffer_text(&text); *line; line += strcspn(line, "\n"), line += *line == '\n') {
                line += strspn(line, " \t");
                if (strncmp(line, name, strlen(name)) != 0)
                        continue;
                found = true;
                snprintf(ret, room, "%.*s", (int)strcspn(line + strlen(name), "\n"), line + strlen(name));
        }
        return found;
}

/* "--conf-server X" and "--conf-server=X", as they stand between quotes. */
static bool says_server(const char *options, const char *server)
{
        const char *at = strstr(options, "--conf-server");
        size_t len = strlen(server);

        if (!at)
                return false;
        at += strlen("--conf-server");
        at += strspn(at, " \t=");
        return strncmp(at, server, len) == 0 && strchr("\"' \t", at[len]);
}

static int plan_server_file(struct look *l, const char *server, struct sf_error *err)
{
        static const char *const debian[] = { "/etc/default/slurmd", "/etc/sysconfig/slurmd" };
        static const char *const redhat[] = { "/etc/sysconfig/slurmd", "/etc/default/slurmd" };
        struct stat st;
        bool sysconfig = is_there(l->root, "/etc/sysconfig", &st);
        const char *const *files = sysconfig ? redhat : debian;
        char options[1024] = "";
        _cleanup_free_ char *text = sf_format("# Written by \"sf-node install --init\"; yours to change.\n"
                                              "SLURMD_OPTIONS=\"--conf-server %s\"\n",
                                              server);

        for (int i = 0; i < 2; i++) {
                if (!options_in(l->root, files[i], options, sizeof options))
                        continue;
                return says_server(options, server)
                               ? 0
                               : sf_error_set(err, SF_ERR_USAGE,
                                              "%s%s sets SLURMD_OPTIONS already, and it is the site's: write "
                                              "--conf-server %s into it, or leave --conf-server out",
                                              l->root, files[i], server);
        }
        for (int i = 0; text && i < 2; i++)
                if (!is_there(l->root, files[i], &st))
                        return plan_text(l, SF_FIRST_BOOT_FILE, files[i], text, err);
        return sf_error_set(err, SF_ERR_USAGE, "%s%s is the site's: write SLURMD_OPTIONS=\"--conf-server %s\" into it",
                            l->root, files[0], server);
}

static int plan_configuration(struct look *l, struct sf_error *err)
{
        const char *server = l->init->conf_server;
        struct sf_daemon_words words = { 0 };
        char options[1024] = "";

        sf_conf_source_words(l->root, SF_UNIT_SLURMD, SF_DAEMON_SLURMD, 0, &words);
        if (server && strcmp(server, "dns") == 0)
                return 0;
        if (server && *words.server)
                return strcmp(server, words.server) == 0
                               ? 0
                               : sf_error_set(err, SF_ERR_USAGE,
                                              "slurmd is told --conf-server %s on this node already, not %s: change it "
                                              "where it is set",
                                              words.server, server);
        if (server)
                return plan_server_file(l, server, err);
        if (l->has_conf || *words.server ||
            (options_in(l->root, "/etc/default/slurmd", options, sizeof options) ||
             options_in(l->root, "/etc/sysconfig/slurmd", options, sizeof options)))
                return 0;
        return sf_error_set(
                err, SF_ERR_USAGE,
                "there is no %s%s, and slurmd is not told where else its configuration is: "
                "--conf-server HOST[:PORT] names the controller, --conf-server dns leaves it to SRV records",
                l->root, l->config->slurm_conf);
}

/* --- units ----------------------------------------------------------------------------------------------------- */

static bool is_enabled(const char *root, const char *unit)
{
        static const char *const places[] = { UNITS, "/run/systemd/system", "/usr/local/lib/systemd/system",
                                              "/usr/lib/systemd/system", "/lib/systemd/system" };
        static const char *const targets[] = { "multi-user.target.wants", "multi-user.target.requires",
                                               "graphical.target.wants", "default.target.wants" };
        struct stat st;

        for (size_t i = 0; i < sizeof places / sizeof *places; i++)
                for (size_t k = 0; k < sizeof targets / sizeof *targets; k++) {
                        _cleanup_free_ char *link = sf_format("%s/%s/%s", places[i], targets[k], unit);
                        if (link && is_there(root, link, &st))
                                return true;
                }
        return false;
}

/* fragment: where the unit file is, or will be. */
static int plan_enabled(struct look *l, const char *unit, const char *fragment, struct sf_error *err)
{
        char link[256];

        if (is_enabled(l->root, unit))
                return 0;
        snprintf(link, sizeof link, WANTS "/%s", unit);
        return plan_text(l, SF_FIRST_BOOT_ENABLE, link, fragment, err);
}

static int plan_slurmd(struct look *l, struct sf_error *err)
{
        _cleanup_(sf_unit_text_free) struct sf_unit_text text = SF_UNIT_TEXT_INIT;
        int r = sf_unit_text_load(l->root, SF_UNIT_SLURMD, &text, err);

        if (r == SF_ERR_NOT_FOUND) {
                if (err)
                        sf_error_clear(err);
                r = plan_text(l, SF_FIRST_BOOT_UNIT, UNITS "/" SF_UNIT_SLURMD, NULL, err);
                return r < 0 ? r : plan_enabled(l, SF_UNIT_SLURMD, UNITS "/" SF_UNIT_SLURMD, err);
        }
        if (r < 0)
                return r;
        if (text.masked)
                return sf_words_append(&l->boot->notes, SF_UNIT_SLURMD " is masked on this node: left so", err);
        _cleanup_(sf_words_free) struct sf_words environment = SF_WORDS_INIT, command = SF_WORDS_INIT;
        r = sf_unit_text_environment(&text, l->root, &environment, err);
        if (r == 0)
                r = sf_unit_text_command(&text, &environment, &command, err);
        if (r < 0)
                return r;
        const char *program = command.count ? command.items[0] : "";
        size_t len = strlen(l->config->prefix);
        if (strncmp(program, l->config->prefix, len) != 0 || program[len] != '/')
                r = sf_words_printf(&l->boot->notes, err, "%s, which sf-node did not write, starts %s: left so",
                                    text.fragment, *program ? program : "nothing");
        return r < 0 ? r : plan_enabled(l, SF_UNIT_SLURMD, text.fragment, err);
}

static bool answers(const char *path)
{
        struct sockaddr_un address = { .sun_family = AF_UNIX };
        _cleanup_close_ int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

        snprintf(address.sun_path, sizeof address.sun_path, "%s", path);
        return fd >= 0 && connect(fd, (struct sockaddr *)&address, sizeof address) == 0;
}

/* A munge that is there already, by unit or by its answer, is the site's. False: it was left alone. */
static bool wants_munge(struct look *l, struct sf_error *err)
{
        _cleanup_(sf_unit_text_free) struct sf_unit_text text = SF_UNIT_TEXT_INIT;
        const char *note = NULL;

        if (!l->init->munge)
                return false;
        if (!*l->root && answers(MUNGE_SOCKET))
                note = "a munged answers on this node already: left alone";
        else if (sf_unit_text_load(l->root, "munge.service", &text, NULL) == 0)
                note = "there is a munge.service already: left alone";
        if (note)
                sf_words_append(&l->boot->notes, note, err);
        return !note;
}

static int plan_munge(struct look *l, struct sf_error *err)
{
        struct stat st;
        int r = plan_text(l, SF_FIRST_BOOT_MUNGE, UNITS "/munge.service", NULL, err);

        if (r == 0)
                r = plan_enabled(l, "munge.service", UNITS "/munge.service", err);
        if (r == 0 && !is_there(l->root, MUNGE_KEY, &st))
                r = sf_words_append(&l->boot->notes,
                                    "there is no " MUNGE_KEY ": munged does not start before the site puts its key "
                                    "there (owner munge, mode 0400)",
                                    err);
        return r;
}

/* --- modules that other programs load -------------------------------------------------------------------------- */

/* The system's directory of shared libraries: the one that has `probe` in it. */
static bool library_directory(const struct look *l, const char *probe, char *ret, size_t room)
{
        static const char *const amd64[] = { "/usr/lib/x86_64-linux-gnu", "/lib/x86_64-linux-gnu", "/usr/lib64",
                                             "/lib64", NULL };
        static const char *const arm64[] = { "/usr/lib/aarch64-linux-gnu", "/lib/aarch64-linux-gnu", "/usr/lib64",
                                             "/lib64", NULL };
        const char *const *places = strcmp(l->config->arch, "arm64") == 0 ? arm64 : amd64;
        struct stat st;

        for (; *places; places++) {
                snprintf(ret, room, "%s/%s", *places, probe);
                if (!is_there(l->root, ret, &st))
                        continue;
                *strrchr(ret, '/') = '\0';
                return true;
        }
        return false;
}

static int plan_module(struct look *l, const char *probe, const char *name, const char *in_release,
                       struct sf_error *err)
{
        char path[512];

        if (!library_directory(l, probe, path, sizeof path))
                return sf_error_set(err, SF_ERR_USAGE, "there is no %s below %s/usr/lib: no place for %s is known",
                                    probe, l->root, name);
        size_t len = strlen(path);
        snprintf(path + len, sizeof path - len, "/%s", name);
        _cleanup_free_ char *target = sf_format("%s/view/%s", l->config->prefix, in_release);
        return target ? plan_text(l, SF_FIRST_BOOT_LINK, path, target, err) : no_memory(err);
}

static int plan_modules(struct look *l, struct sf_error *err)
{
        int r = 0;

        if (l->init->pam) {
                r = plan_module(l, "security/pam_unix.so", "pam_slurm_adopt.so", "lib/security/pam_slurm_adopt.so",
                                err);
                if (r == 0)
                        r = sf_words_append(&l->boot->notes,
                                            "who may log in is the site's: pam_slurm_adopt.so works once a line of "
                                            "/etc/pam.d/sshd names it",
                                            err);
        }
        if (r == 0 && l->init->nss) {
                r = plan_module(l, "libc.so.6", "libnss_slurm.so.2", "lib/libnss_slurm.so.2", err);
                if (r == 0)
                        r = sf_words_append(&l->boot->notes,
                                            "libnss_slurm works once \"slurm\" stands in /etc/nsswitch.conf and "
                                            "LaunchParameters=enable_nss_slurm in slurm.conf",
                                            err);
        }
        return r;
}

/* --- all of it ------------------------------------------------------------------------------------------------- */

static int look_at_conf(struct look *l, struct sf_error *err)
{
        int r = sf_slurm_conf_load(l->root, l->config->slurm_conf, &l->conf, err);

        l->has_conf = r == 0;
        if (r == SF_ERR_NOT_FOUND) {
                if (err)
                        sf_error_clear(err);
                r = 0;
        }
        return r;
}

static int plan_all(struct look *l, struct sf_error *err)
{
        const struct wish munge = { "munge", "munge_uid", l->init->munge_uid, l->init->munge_gid };
        struct sf_config_init own = *l->init;
        int r = look_at_conf(l, err);

        if (r == 0)
                r = plan_slurm_user(l, err);
        own.munge = wants_munge(l, err);
        l->init = &own;
        if (r == 0 && own.munge)
                r = plan_account(l, &munge, &l->munge, err);
        if (r == 0)
                r = plan_directories(l, err);
        if (r == 0)
                r = plan_configuration(l, err);
        if (r == 0)
                r = plan_tmpfiles(l, err);
        if (r == 0)
                r = plan_profile(l, err);
        if (r == 0)
                r = plan_modules(l, err);
        if (r == 0)
                r = plan_slurmd(l, err);
        return r < 0 || !own.munge ? r : plan_munge(l, err);
}

int sf_first_boot_plan(const struct sf_config *config, struct sf_first_boot *ret, struct sf_error *err)
{
        struct sf_first_boot boot = { .config = config, .notes = SF_WORDS_INIT, .pool = sf_pool_new() };
        struct look l = { .boot = &boot, .config = config, .init = &config->init, .root = config->root };
        int r = boot.pool ? plan_all(&l, err) : no_memory(err);

        sf_slurm_conf_free(&l.conf);
        if (r < 0)
                sf_first_boot_free(&boot);
        else
                *ret = boot;
        return r;
}

void sf_first_boot_free(struct sf_first_boot *boot)
{
        sf_words_free(&boot->notes);
        sf_pool_free(boot->pool);
        *boot = (struct sf_first_boot){ 0 };
}
