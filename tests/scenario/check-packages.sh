#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The packages as files, made from the agent of this build: what is in them, with which owners, modes and scripts; that equal input
# gives equal packages; lintian and rpmlint where they are installed. tests/system/check-packages.sh installs them.
set -euo pipefail
for tool in dpkg-deb readelf; do
        command -v $tool >/dev/null || { echo "skipped: no $tool here"; exit 77; }
done
top_builddir=$(realpath "$top_builddir") top_srcdir=$(realpath "$top_srcdir")
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
cd "$scratch"
fail() { echo "FAILED: $*" >&2; exit 1; }
cp "${SF_NODE:-$top_builddir/sf-node}" agent
strip agent
arch=$(dpkg --print-architecture)
case $arch in amd64) machine=x86_64 other=arm64 ;; arm64) machine=aarch64 other=amd64 ;; *) echo "skipped: no package for $arch"; exit 77 ;; esac
unset SOURCE_DATE_EPOCH PACKAGE_RELEASE PACKAGE_MAINTAINER
build=$top_srcdir/packages/build.sh

# An agent that is not one for these packages.
if [ -z "${SF_NODE-}" ]; then
        ! "$build" 0.1.0 out agent "$arch" 2>said || fail "an agent with shared libraries was packaged"
        grep -q "needs shared libraries" said || { cat said; fail "no reason given"; }
fi
! "$build" 0.1.0 out agent "$other" 2>said || fail "an agent for $arch was packaged for $other"
! "$build" 0.1.0 out missing "$arch" 2>said || fail "nothing was packaged"
[ -z "$(ls out)" ] || fail "something was made"

# Twice, as different people would.
export PACKAGE_DYNAMIC=1 SOURCE_DATE_EPOCH=1750000000
(umask 077; TZ=Asia/Tokyo LC_ALL=C.UTF-8 "$build" 0.1.0 one agent "$arch")
sleep 1
mkdir elsewhere
cp -a agent elsewhere/agent2
touch elsewhere/agent2
(umask 022; cd elsewhere; TMPDIR=$scratch/elsewhere HOME=/nonexistent "$build" 0.1.0 ../two agent2 "$arch")
deb=sf-node_0.1.0-1_$arch.deb rpm=sf-node-0.1.0-1.$machine.rpm
for f in one/*; do
        cmp "$f" "two/${f#one/}" || fail "$f differs from time to time"
done

dpkg-deb --info "one/$deb" >info
! grep -qE '^ (Pre-)?Depends:' info || fail "a static program depends on packages"
grep -q '^ Version: 0.1.0-1$' info || fail "version"
dpkg-deb -e "one/$deb" control
[ "$(cat control/conffiles)" = /etc/sf-node/sf-node.conf ] || fail "conffiles: $(cat control/conffiles)"
for script in postinst prerm postrm; do
        sh -n "control/$script"
        # Slurm's services and trees are not this package's.
        ! sed 's/#.*//; /echo /d' "control/$script" | grep -nE 'systemctl +(stop|restart|kill|start)|invoke-rc|/opt/slurm|slurmd|rm -r' ||
                fail "$script does what it must not"
done
dpkg-deb -c "one/$deb" | awk '{ print $1, $2, $6 }' >list
! awk '$2 != "root/root"' list | grep . || fail "owners"
! awk '$1 ~ /^.....w|^........w|s|t/' list | grep . || fail "modes"
dpkg-deb -x "one/$deb" deb
cmp agent deb/usr/sbin/sf-node
cmp "$top_srcdir/etc/sf-node.conf" deb/etc/sf-node/sf-node.conf
(cd deb && md5sum --quiet -c ../control/md5sums)
unit=deb/usr/lib/systemd/system/sf-node-recover.service
[ "$(head -n 1 "$unit")" = "$(head -n 1 "$top_srcdir/units/sf-node-recover.service.in")" ] || fail "sf-node would not know this unit"
grep -qx 'ExecStart=/usr/sbin/sf-node recover --boot' "$unit" || fail "ExecStart"
! grep @ "$unit" || fail "a field was left"
files() { (cd "$1" && find usr etc -type f | sort); }
expected="etc/sf-node/sf-node.conf
usr/lib/systemd/catalog/sf-node.catalog
usr/lib/systemd/system/sf-node-recover.service
usr/sbin/sf-node"
for page in "$top_srcdir"/man/sf-node*.[1-8]; do expected+=$'\n'usr/share/man/man${page##*.}/${page##*/}.gz; done
for f in $expected; do [ -f "deb/$f" ] || fail "$f is not in the .deb"; done

if [ -f "one/$rpm" ]; then
        rpm -K --nosignature "one/$rpm" | grep 'digests OK' >/dev/null || fail "digests"
        rpm -qpl "one/$rpm" | sort >rpm.list
        for f in $expected; do grep -qx "/$f" rpm.list || fail "$f is not in the .rpm"; done
        [ "$(rpm -qpc "one/$rpm")" = /etc/sf-node/sf-node.conf ] || fail "configuration files"
        # noreplace: 1 << 4, beside 1 << 0 for a configuration file
        rpm -qp --qf '[%{FILENAMES} %{FILEFLAGS}\n]' "one/$rpm" | grep -x '/etc/sf-node/sf-node.conf 17' >/dev/null || fail "not noreplace"
        ! rpm -qp --qf '[%{FILEUSERNAME} %{FILEGROUPNAME}\n]' "one/$rpm" | grep -vx 'root root' || fail "owners"
        ! rpm -qpR "one/$rpm" | grep -vE '^(rpmlib\(|/bin/sh$)' || fail "requirements"
        ! rpm -qp --scripts "one/$rpm" | sed 's/#.*//; /echo /d' | grep -nE 'systemctl +(stop|restart|kill)|/opt/slurm|slurmd|rm -r' || fail "scripts"
else
        echo "no rpmbuild here: no .rpm"
fi

# The dynamic agent is not what is published: what lintian says of it alone is left out.
if command -v lintian >/dev/null; then
        lintian --allow-root --display-info "one/$deb" >said 2>&1 || :
        ! grep '^[EWI]:' said | grep -vE 'prerequisites|missing-dependency-on-libc|unused-override|hardening-no|unneeded-section' || fail "lintian"
fi
if command -v rpmlint >/dev/null && [ -f "one/$rpm" ]; then
        rpmlint -c "$top_srcdir/packages/rpm/rpmlint.toml" "one/$rpm" >said || { cat said; fail "rpmlint"; }
        grep -q ' 0 errors, 0 warnings' said || { cat said; fail "rpmlint"; }
fi
echo "packages are as they should be"
