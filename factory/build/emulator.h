/* SPDX-License-Identifier: Apache-2.0 */
/* factory/build/emulator.h - lets this process run another architecture's programs, by qemu-user.
 *
 * The kernel is told which program interprets them (binfmt_misc) for a user namespace of this process only, never for
 * the machine: since Linux 6.7 each user namespace may have a table of its own. The interpreter is opened when it is
 * registered (flag F): a root that programs run in with chroot(2) needs nothing of it. It must be linked statically.
 * Source: Documentation/admin-guide/binfmt-misc.rst, elf(5).
 */
#ifndef SF_FACTORY_BUILD_EMULATOR_H
#define SF_FACTORY_BUILD_EMULATOR_H

#include <stdbool.h>

#include "base/error.h"

struct sf_emulator {
        /* all borrowed */
        const char *arch;    /* "arm64", "amd64"; NULL = this machine's */
        const char *program; /* interpreter; NULL = the first in PATH of qemu-aarch64-static and qemu-aarch64, say */
};

/* Whether the architecture is another than this machine's; SF_ERR_USAGE where nothing is known of it. 0 or 1. */
int sf_emulator_is_needed(const struct sf_emulator *emulator, struct sf_error *err);

/* Moves this process into a user namespace, with `others` (CLONE_NEWNS and the like, at least that), in which programs
 * of that architecture run as long as this process lives. root: a system that has such programs. Where the kernel
 * cannot do it for a namespace, or there is no interpreter, and the machine itself runs the root's programs, that is
 * good enough; else SF_ERR_UNSUPPORTED or SF_ERR_NOT_FOUND says what is needed. */
int sf_emulator_enter(const struct sf_emulator *emulator, const char *root, int others, struct sf_error *err);

/* SF_ERR_INCOMPATIBLE where root's programs are known to be for another architecture than `arch`. */
int sf_emulator_check_root(const char *root, const char *arch, struct sf_error *err);

#endif
