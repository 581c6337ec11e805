/* SPDX-License-Identifier: Apache-2.0 */
/* agent/switch/first_boot.c - see first_boot.h. Here: what a node needs, and what of it is missing. Users and the place
 * of slurm.conf have files of their own; how all of it is made is in first_boot-make.c. */
#include "agent/switch/first_boot.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "agent/node/unit.h"
#include "agent/node/unit_text.h"
#include "agent/switch/first_boot-plan.h"
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
#define MUNGE_KEY     "/etc/munge/munge.key"
#define MUNGE_SOCKET  "/run/munge/munge.socket.2"

/* --- directories ----------------------------------------------------------------------------------------------- */

static int plan_directory(struct sf_first_boot_look *l, const char *path, const struct sf_account *owner, mode_t mode,
                          struct sf_error *err)
{
        struct sf_first_boot_item item = {
                .kind = SF_FIRST_BOOT_DIRECTORY, .path = (char *)(uintptr_t)path, .owner = *owner, .mode = mode
        };
        struct stat st;

        for (size_t i = 0; i < l->boot->count; i++)
                if (strcmp(l->boot->items[i].path, path) == 0)
                        return 0;
        if (!sf_first_boot_is_there(l->root, path, &st))
                return sf_first_boot_add(l, item, err);
        if (S_ISDIR(st.st_mode) && owner->uid != 0 && st.st_uid != owner->uid)
                return sf_words_printf(&l->boot->notes, err, "%s belongs to user number %u and not to %s: left so",
                                       path, (unsigned)st.st_uid, owner->name);
        return S_ISDIR(st.st_mode) || S_ISLNK(st.st_mode)
                       ? 0
                       : sf_words_printf(&l->boot->notes, err, "%s is no directory: left so", path);
}

/* The directory of a log file that slurm.conf names. */
static int plan_log(struct sf_first_boot_look *l, struct sf_error *err)
{
        const char *file = l->has_conf ? sf_slurm_conf_get(&l->conf, "SlurmdLogFile") : NULL;
        int r = plan_directory(l, LOG_DIR, &l->slurm, 0755, err);

        if (r < 0 || !file || *file != '/' || strchr(file, '%'))
                return r;
        _cleanup_free_ char *parent = strndup(file, (size_t)(strrchr(file, '/') - file));
        if (!parent)
                return sf_first_boot_no_memory(err);
        return *parent ? plan_directory(l, parent, &sf_first_boot_root, 0755, err) : 0;
}

/* %n and %h are the node's names, which an image does not know: its slurmd makes the last directory itself. */
static int name_spool(struct sf_first_boot_look *l, struct sf_error *err)
{
        const char *said = l->has_conf ? sf_slurm_conf_get(&l->conf, "SlurmdSpoolDir") : NULL;
        const char *path = l->init->spool_dir ? l->init->spool_dir : said && *said == '/' ? said : SPOOL_DEFAULT;
        const char *percent = strchr(path, '%');

        if (strlen(path) >= sizeof l->spool)
                return sf_error_set(err, SF_ERR_USAGE, "SlurmdSpoolDir has more than %zu bytes", sizeof l->spool - 1);
        strcpy(l->spool, path);
        if (!percent)
                return 0;
        l->spool[percent - path] = '\0';
        char *slash = strrchr(l->spool, '/');
        *slash = '\0';
        return 0;
}

static int plan_directories(struct sf_first_boot_look *l, struct sf_error *err)
{
        int r = plan_directory(l, "/etc/slurm", &sf_first_boot_root, 0755, err);

        if (r == 0)
                r = name_spool(l, err);
        if (r == 0 && *l->spool)
                r = plan_directory(l, l->spool, &sf_first_boot_root, 0755, err);
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

static int plan_tmpfiles(struct sf_first_boot_look *l, struct sf_error *err)
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
                     : sf_first_boot_add_text(l, SF_FIRST_BOOT_FILE, "/etc/tmpfiles.d/sf-node-slurm.conf",
                                              sf_buffer_text(&text), err);
}

/* Its name makes it the last one: Lmod's own file takes a MODULEPATH that is set before it for the whole of it. */
static int plan_profile(struct sf_first_boot_look *l, struct sf_error *err)
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

        return text ? sf_first_boot_add_text(l, SF_FIRST_BOOT_FILE, "/etc/profile.d/zz-sf-node-slurm.sh", text, err)
                    : sf_first_boot_no_memory(err);
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
                        if (link && sf_first_boot_is_there(root, link, &st))
                                return true;
                }
        return false;
}

/* fragment: where the unit file is, or will be. */
static int plan_enabled(struct sf_first_boot_look *l, const char *unit, const char *fragment, struct sf_error *err)
{
        char link[256];

        if (is_enabled(l->root, unit))
                return 0;
        snprintf(link, sizeof link, WANTS "/%s", unit);
        return sf_first_boot_add_text(l, SF_FIRST_BOOT_ENABLE, link, fragment, err);
}

static int plan_slurmd(struct sf_first_boot_look *l, struct sf_error *err)
{
        _cleanup_(sf_unit_text_free) struct sf_unit_text text = SF_UNIT_TEXT_INIT;
        int r = sf_unit_text_load(l->root, SF_UNIT_SLURMD, &text, err);

        if (r == SF_ERR_NOT_FOUND) {
                if (err)
                        sf_error_clear(err);
                r = sf_first_boot_add_text(l, SF_FIRST_BOOT_UNIT, UNITS "/" SF_UNIT_SLURMD, NULL, err);
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
static bool wants_munge(struct sf_first_boot_look *l, struct sf_error *err)
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

static int plan_munge(struct sf_first_boot_look *l, struct sf_error *err)
{
        struct stat st;
        int r = sf_first_boot_add_text(l, SF_FIRST_BOOT_MUNGE, UNITS "/munge.service", NULL, err);

        if (r == 0)
                r = plan_enabled(l, "munge.service", UNITS "/munge.service", err);
        if (r == 0 && !sf_first_boot_is_there(l->root, MUNGE_KEY, &st))
                r = sf_words_append(&l->boot->notes,
                                    "there is no " MUNGE_KEY ": munged does not start before the site puts its key "
                                    "there (owner munge, mode 0400)",
                                    err);
        return r;
}

/* --- modules that other programs load -------------------------------------------------------------------------- */

/* The system's directory of shared libraries: the one that has `probe` in it. */
static bool library_directory(const struct sf_first_boot_look *l, const char *probe, char *ret, size_t room)
{
        static const char *const amd64[] = { "/usr/lib/x86_64-linux-gnu", "/lib/x86_64-linux-gnu", "/usr/lib64",
                                             "/lib64", NULL };
        static const char *const arm64[] = { "/usr/lib/aarch64-linux-gnu", "/lib/aarch64-linux-gnu", "/usr/lib64",
                                             "/lib64", NULL };
        const char *const *places = strcmp(l->config->arch, "arm64") == 0 ? arm64 : amd64;
        struct stat st;

        for (; *places; places++) {
                snprintf(ret, room, "%s/%s", *places, probe);
                if (!sf_first_boot_is_there(l->root, ret, &st))
                        continue;
                *strrchr(ret, '/') = '\0';
                return true;
        }
        return false;
}

static int plan_module(struct sf_first_boot_look *l, const char *probe, const char *name, const char *in_release,
                       struct sf_error *err)
{
        char path[512];

        if (!library_directory(l, probe, path, sizeof path))
                return sf_error_set(err, SF_ERR_USAGE, "there is no %s below %s/usr/lib: no place for %s is known",
                                    probe, l->root, name);
        size_t len = strlen(path);
        snprintf(path + len, sizeof path - len, "/%s", name);
        _cleanup_free_ char *target = sf_format("%s/view/%s", l->config->prefix, in_release);
        return target ? sf_first_boot_add_text(l, SF_FIRST_BOOT_LINK, path, target, err) : sf_first_boot_no_memory(err);
}

static int plan_modules(struct sf_first_boot_look *l, struct sf_error *err)
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

static int look_at_conf(struct sf_first_boot_look *l, struct sf_error *err)
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

static int plan_all(struct sf_first_boot_look *l, struct sf_error *err)
{
        const struct sf_first_boot_user munge = { "munge", "munge_uid", l->init->munge_uid, l->init->munge_gid };
        struct sf_config_init own = *l->init;
        int r = look_at_conf(l, err);

        if (r == 0)
                r = sf_first_boot_plan_slurm_user(l, err);
        own.munge = wants_munge(l, err);
        l->init = &own;
        if (r == 0 && own.munge)
                r = sf_first_boot_plan_account(l, &munge, &l->munge, err);
        if (r == 0)
                r = plan_directories(l, err);
        if (r == 0)
                r = sf_first_boot_plan_conf(l, err);
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
        struct sf_first_boot_look l = { .boot = &boot, .config = config, .init = &config->init, .root = config->root };
        int r = boot.pool ? plan_all(&l, err) : sf_first_boot_no_memory(err);

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
