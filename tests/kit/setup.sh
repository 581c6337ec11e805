#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Installs what the tests use beyond the build's own needs, before the first test runs: real web servers, OCI tools, node images.
# Root on a Debian machine only; elsewhere the tests that miss something skip aloud. SF_TEST_NO_PACKAGES=1 leaves the system alone.
# Services that packages bring are not started: policy-rc.d says so while they are installed.
set -euo pipefail
packages="nginx-light skopeo docker-registry umoci zstd systemd-container mmdebstrap debian-archive-keyring iproute2 faketime lmod mandoc strace
        clang clang-format libclang-rt-14-dev python3-cryptography openssh-client gnupg sqv btrfs-progs xfsprogs
        meson ninja-build gperf python3-jinja2 libmount-dev libblkid-dev"

[ -z "${SF_TEST_NO_PACKAGES-}" ] || { echo "setup: SF_TEST_NO_PACKAGES is set, nothing installed"; exit 0; }
# An S3 store for the tests of publishing, in the tests' cache.
npm=${SF_TEST_CACHE:-tests/cache}/npm
if [ ! -x "$npm/node_modules/.bin/s3rver" ] && command -v npm >/dev/null; then
        mkdir -p "$npm"
        timeout 180 npm install --silent --no-audit --no-fund --prefix "$npm" s3rver@3.7.1 >/dev/null 2>&1 ||
                echo "setup: npm cannot install s3rver here"
fi
[ "$(id -u)" = 0 ] && command -v apt-get >/dev/null || { echo "setup: not root on Debian, nothing installed"; exit 0; }
# Debian's environment-modules conflicts with its lmod: unpacked, not installed.
modules=${SF_TEST_CACHE:-tests/cache}/environment-modules
if [ ! -e "$modules/usr/lib/modulecmd.tcl" ]; then
        mkdir -p "$modules"
        (cd "$modules" && apt-get download -qq environment-modules && dpkg -x environment-modules_*.deb .) >/dev/null 2>&1 ||
                echo "setup: no package environment-modules here"
fi
missing=
for p in $packages; do
        dpkg-query -W -f '${Status}' "$p" 2>/dev/null | grep 'ok installed' >/dev/null || missing="$missing $p"
done
[ -n "$missing" ] || exit 0
policy=/usr/sbin/policy-rc.d
if [ ! -e $policy ]; then
        printf '#!/bin/sh\nexit 101\n' >$policy
        chmod 755 $policy
        trap 'rm -f $policy' EXIT
fi
echo "setup: installing$missing"
export DEBIAN_FRONTEND=noninteractive
apt-get update -qq
# One at a time where the whole list fails: a package that is not to be had costs its tests only.
# shellcheck disable=SC2086  # a list of names
apt-get install -y -qq --no-install-recommends $missing >/dev/null || for p in $missing; do
        apt-get install -y -qq --no-install-recommends "$p" >/dev/null || echo "setup: no package $p here"
done
