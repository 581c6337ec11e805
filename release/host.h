/* SPDX-License-Identifier: Apache-2.0 */
/* release/host.h - what this machine is called in release names: its toolchain and its architecture.
 *
 * Both programs ask: the factory to know what it builds for, the agent to know what fits the node.
 * A toolchain is a distribution's release as its users call it: the code name where there is one (bookworm, trixie,
 * noble), else ID and major version. A derivative is what it was built from: UBUNTU_CODENAME (Mint, Pop!_OS),
 * DEBIAN_CODENAME (LMDE), and PLATFORM_ID "platform:el9", else ID_LIKE, for what is rebuilt from RHEL 8 and later,
 * which all run rockylinux9's releases. Source: os-release(5).
 */
#ifndef SF_RELEASE_HOST_H
#define SF_RELEASE_HOST_H

#include "base/error.h"

/* The toolchain of the system below root ("" or NULL = /), read from etc/os-release or usr/lib/os-release.
 * Owned by the caller. SF_ERR_NOT_FOUND without os-release, SF_ERR_UNSUPPORTED where it names no release. */
int sf_host_toolchain(const char *root, char **ret, struct sf_error *err);

/* The same from os-release's text; `name` stands for the file in errors. */
int sf_host_toolchain_from_text(const char *name, const char *text, char **ret, struct sf_error *err);

/* "amd64", "arm64", ...: Debian's name of the architecture this program was compiled for. */
const char *sf_host_arch(void);

#endif
