/* SPDX-License-Identifier: Apache-2.0 */
/* factory/build/emulator.c - see emulator.h. */
#include "factory/build/emulator.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/fs.h"
#include "base/log.h"
#include "base/proc.h"
#include "factory/build/namespace.h"
#include "release/host.h"

static const struct machine {
        const char *arch;
        unsigned char number; /* e_machine; its upper byte is 0 */
        const char *names[2];
} machines[] = {
        { "amd64", EM_X86_64, { "qemu-x86_64-static", "qemu-x86_64" } },
        { "arm64", EM_AARCH64, { "qemu-aarch64-static", "qemu-aarch64" } },
};

static const struct machine *find_machine(const char *arch)
{
        for (size_t i = 0; i < sizeof machines / sizeof *machines; i++)
                if (strcmp(machines[i].arch, arch) == 0)
                        return &machines[i];
        return NULL;
}

int sf_emulator_is_needed(const struct sf_emulator *emulator, struct sf_error *err)
{
        if (!emulator->arch || strcmp(emulator->arch, sf_host_arch()) == 0)
                return 0;
        return find_machine(emulator->arch)
                       ? 1
                       : sf_error_set(err, SF_ERR_USAGE, "--arch %s: amd64 or arm64 is expected", emulator->arch);
}

/* --- the interpreter ------------------------------------------------------------------------------------------- */

/* The first of that name in PATH; NULL = there is none. Owned by the caller. */
static char *find_program(const char *name)
{
        const char *path = getenv("PATH");

        for (const char *at = path ? path : "/usr/bin"; *at; at += strspn(at, ":")) {
                int length = (int)strcspn(at, ":");
                char *file = sf_format("%.*s/%s", length, at, name);
                struct stat st;

                if (file && *file == '/' && stat(file, &st) == 0 && S_ISREG(st.st_mode) && access(file, X_OK) == 0)
                        return file;
                free(file);
                at += length;
        }
        return NULL;
}

/* The root has neither its loader nor its libraries. */
static int check_static(const char *file, struct sf_error *err)
{
        _cleanup_close_ int fd = open(file, O_RDONLY | O_CLOEXEC);
        Elf64_Ehdr header;

        if (fd < 0)
                return sf_error_errno(err, "%s", file);
        if (pread(fd, &header, sizeof header, 0) != (ssize_t)sizeof header ||
            memcmp(header.e_ident, ELFMAG, SELFMAG) != 0 || header.e_ident[EI_CLASS] != ELFCLASS64)
                return sf_error_set(err, SF_ERR_UNSUPPORTED, "%s is not a program of 64 bits", file);
        for (unsigned i = 0; i < header.e_phnum; i++) {
                Elf64_Phdr segment;
                off_t at = (off_t)(header.e_phoff + (Elf64_Off)i * sizeof segment);

                if (pread(fd, &segment, sizeof segment, at) != (ssize_t)sizeof segment)
                        return sf_error_set(err, SF_ERR_UNSUPPORTED, "%s is damaged", file);
                if (segment.p_type == PT_INTERP)
                        return sf_error_set(err, SF_ERR_UNSUPPORTED,
                                            "%s is linked dynamically: inside a root only a static one runs", file);
        }
        return 0;
}

static int find_interpreter(const struct sf_emulator *emulator, const struct machine *machine, char **ret,
                            struct sf_error *err)
{
        _cleanup_free_ char *found = NULL;
        int r = SF_ERR_NOT_FOUND;

        if (emulator->program) {
                if (!(found = realpath(emulator->program, NULL)))
                        return sf_error_errno(err, "emulator %s", emulator->program);
                r = check_static(found, err);
        }
        for (size_t i = 0; i < 2 && r < 0 && !emulator->program; i++) {
                free(found);
                if ((found = find_program(machine->names[i])))
                        r = check_static(found, err);
        }
        if (r == SF_ERR_NOT_FOUND && !emulator->program)
                return sf_error_set(err, SF_ERR_NOT_FOUND,
                                    "programs for %s need an emulator here: neither %s nor %s is in PATH (Debian: "
                                    "qemu-user-static), and --qemu names none",
                                    machine->arch, machine->names[0], machine->names[1]);
        if (r == 0)
                *ret = sf_steal_pointer(found);
        return r;
}

/* --- registering it -------------------------------------------------------------------------------------------- */

/* ":NAME:M::MAGIC:MASK:INTERPRETER:FLAGS". The magic is an ELF header of 64 bits, little-endian, for that machine: a
 * program or a shared object (2 or 3), of whatever ABI. P: the interpreter is told argv[0]. */
static char *describe(const struct machine *machine, const char *interpreter)
{
        return sf_format(":slurm-factory-%s:M::"
                         "\\x7fELF\\x02\\x01\\x01\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x02\\x00\\x%02x\\x00:"
                         "\\xff\\xff\\xff\\xff\\xff\\xff\\xff\\x00\\xff\\xff\\xff\\xff\\xff\\xff\\xff\\xff"
                         "\\xfe\\xff\\xff\\xff:%s:PF",
                         machine->arch, machine->number, interpreter);
}

/* The table of this process's user namespace, as a file system that is mounted nowhere: it lasts as long as *ret_fd.
 * Before 6.7 only the machine's own user namespace may mount one. */
static int open_table(int *ret_fd, struct sf_error *err)
{
        _cleanup_close_ int fs = fsopen("binfmt_misc", FSOPEN_CLOEXEC);
        int fd;

        if (fs < 0 && (errno == ENODEV || errno == ENOSYS))
                return sf_error_set(err, SF_ERR_UNSUPPORTED, "this kernel has no binfmt_misc");
        if (fs < 0 || fsconfig(fs, FSCONFIG_CMD_CREATE, NULL, NULL, 0) < 0 ||
            (fd = fsmount(fs, FSMOUNT_CLOEXEC, MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV)) < 0) {
                if (errno == EPERM)
                        return sf_error_set(err, SF_ERR_UNSUPPORTED,
                                            "this kernel knows emulators for the whole machine only: Linux 6.7 or "
                                            "later is needed, or qemu-user registered by the machine (flag F)");
                return sf_error_errno(err, "binfmt_misc of a user namespace");
        }
        *ret_fd = fd;
        return 0;
}

/* The table's descriptor stays open on purpose: when the process and its children have ended, the table has too. */
static int register_interpreter(const struct machine *machine, const char *interpreter, struct sf_error *err)
{
        _cleanup_free_ char *line = describe(machine, interpreter);
        _cleanup_close_ int table = -1, fd = -1;
        int r;

        if (!line)
                return sf_error_set(err, SF_ERR_NOMEM, "emulator");
        if (strchr(interpreter, ':'))
                return sf_error_set(err, SF_ERR_UNSUPPORTED, "emulator %s: a ':' cannot be registered", interpreter);
        if ((r = open_table(&table, err)) < 0)
                return r;
        if ((fd = openat(table, "register", O_WRONLY | O_CLOEXEC)) < 0)
                return sf_error_errno(err, "binfmt_misc: register");
        if (write(fd, line, strlen(line)) < 0)
                return sf_error_errno(err, "the kernel does not take %s as an emulator", interpreter);
        sf_log_detail("programs for %s are run by %s", machine->arch, interpreter);
        sf_steal_fd(&table);
        return 0;
}

/* By what the machine's own table says, or because its processor can. */
static bool runs_already(const char *root)
{
        const char *const argv[] = { "getconf", "GNU_LIBC_VERSION", NULL };
        _cleanup_(sf_buffer_free) struct sf_buffer said = SF_BUFFER_INIT;
        const struct sf_proc proc = { .argv = argv, .root = root, .output = &said, .timeout_seconds = 60 };

        return sf_proc_run(&proc, NULL) == 0;
}

int sf_emulator_enter(const struct sf_emulator *emulator, const char *root, int others, struct sf_error *err)
{
        const struct machine *machine = find_machine(emulator->arch);
        _cleanup_free_ char *interpreter = NULL;
        struct sf_error why = SF_ERROR_INIT;
        int r;

        if (!machine)
                return sf_error_set(err, SF_ERR_USAGE, "architecture %s", emulator->arch);
        int found = find_interpreter(emulator, machine, &interpreter, &why);
        if ((r = sf_namespace_enter(others, err)) < 0)
                return r;
        if (found == 0)
                found = register_interpreter(machine, interpreter, &why);
        if (found == 0)
                return 0;
        if (emulator->program || !runs_already(root))
                return sf_error_set(err, found, "%s", why.text);
        sf_log_detail("programs for %s are run by what the machine has registered (%s)", machine->arch, why.text);
        return 0;
}

/* --- what a root is for ---------------------------------------------------------------------------------------- */

int sf_emulator_check_root(const char *root, const char *arch, struct sf_error *err)
{
        _cleanup_free_ char *file = NULL;
        _cleanup_close_ int fd = -1;
        Elf64_Ehdr header;
        int r = sf_fs_in_root(root, "/usr/bin/getconf", &file, err);

        if (r < 0)
                return r;
        fd = open(file, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
        if (fd < 0 || read(fd, &header, sizeof header) != (ssize_t)sizeof header ||
            memcmp(header.e_ident, ELFMAG, SELFMAG) != 0)
                return 0;
        for (size_t i = 0; i < sizeof machines / sizeof *machines; i++)
                if (header.e_machine == machines[i].number && strcmp(machines[i].arch, arch) != 0)
                        return sf_error_set(err, SF_ERR_INCOMPATIBLE, "%s is a system for %s, not %s (--arch %s)", root,
                                            machines[i].arch, arch, machines[i].arch);
        return 0;
}
