#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# packages/build.sh VERSION OUT [AGENT [ARCH]]: OUT/sf-node_VERSION-RELEASE_ARCH.deb and OUT/sf-node-VERSION-RELEASE.ARCH.rpm.
#
# AGENT is the static agent (default: what `make static` made in static-build/ARCH of the current directory), ARCH amd64 or arm64
# (default: this machine's). Made with dpkg-deb and, where it is installed, rpmbuild. SOURCE_DATE_EPOCH dates everything (default:
# the newest commit's time, else 1700000000): equal input gives equal packages, bit for bit. PACKAGE_RELEASE (default 1) counts
# packages of one version, PACKAGE_MAINTAINER names who answers for them. What belongs into the packages and where they were tried:
# docs/OPERATING.md.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
source=$(dirname "$here")
version=$1
mkdir -p "$2"
out=$(cd "$2" && pwd)
arch=${4:-$(dpkg --print-architecture 2>/dev/null || uname -m | sed 's/x86_64/amd64/; s/aarch64/arm64/')}
agent=${3:-static-build/$arch/sf-node}
release=${PACKAGE_RELEASE:-1}
maintainer=${PACKAGE_MAINTAINER:-slurm-factory maintainers <maintainers@slurm-factory.invalid>}
case $arch in
amd64) machine=x86_64 elf='Advanced Micro Devices X86-64' ;;
arm64) machine=aarch64 elf=AArch64 ;;
*) echo "packages: no package for $arch" >&2; exit 2 ;;
esac
[ -f "$agent" ] || { echo "packages: $agent is not there (make static)" >&2; exit 1; }
readelf -hW "$agent" | grep "Machine: *$elf" >/dev/null || { echo "packages: $agent is no program for $arch" >&2; exit 1; }
if readelf -lW "$agent" | grep INTERP >/dev/null && [ -z "${PACKAGE_DYNAMIC-}" ]; then
        echo "packages: $agent needs shared libraries, and the packages name none (make static)" >&2
        exit 1
fi
command -v dpkg-deb >/dev/null || { echo "packages: dpkg-deb is not here" >&2; exit 1; }
epoch=${SOURCE_DATE_EPOCH:-$(git -C "$source" log -1 --format=%ct 2>/dev/null || echo 1700000000)}
export SOURCE_DATE_EPOCH=$epoch LC_ALL=C TZ=UTC
umask 022
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# fill FILE: a template with its fields
fill()
{
        sed -e "s|@VERSION@|$version|g; s|@RELEASE@|$release|g; s|@ARCH@|$arch|g; s|@MACHINE@|$machine|g" \
                -e "s|@MAINTAINER@|$maintainer|g; s|@DATE@|$(date -R -d "@$epoch")|g" \
                -e "s|@RPMDATE@|$(date '+%a %b %d %Y' -d "@$epoch")|g; s|@SIZE@|${size-}|g; s|@TREE@|$work/tree|g" "$1"
}

# put MODE FILE PLACE
put() { install -D -m "$1" "$2" "$tree$3"; }

# The files that both kinds of package have.
tree=$work/tree
put 755 "$agent" /usr/sbin/sf-node
put 644 "$source/etc/sf-node.conf" /etc/sf-node/sf-node.conf
install -d -m 755 "$tree/etc/sf-node/conf.d" "$tree/etc/sf-node/health.d"
put 644 "$source/units/sf-node.catalog" /usr/lib/systemd/catalog/sf-node.catalog
# The unit that sf-node would write, without what only the node knows: there the options come from sf-node.conf. It keeps its first
# line, so that sf-node recognises it and writes a fuller one to /etc when it first switches.
sed -e 's|@AGENT@ --prefix @PREFIX@ --toolchain @TOOLCHAIN@|@AGENT@|' -e 's|@AGENT@|/usr/sbin/sf-node|g; s|@PREFIX@|/opt/slurm|g' \
        -e 's|@STATE@|/var/lib/sf-node|g' -e 's|@UNITS@|slurmd.service slurmctld.service slurmdbd.service slurmrestd.service sackd.service|' \
        "$source/units/sf-node-recover.service.in" >"$work/unit"
if grep @ "$work/unit"; then echo "packages: units/sf-node-recover.service.in has a field that is not known here" >&2; exit 1; fi
put 644 "$work/unit" /usr/lib/systemd/system/sf-node-recover.service
for page in "$source"/man/sf-node*.[1-8]; do
        gzip -9n <"$page" >"$work/page"
        put 644 "$work/page" "/usr/share/man/man${page##*.}/$(basename "$page").gz"
done
if [ -f "$source/etc/completion/sf-node.bash" ]; then put 644 "$source/etc/completion/sf-node.bash" /usr/share/bash-completion/completions/sf-node; fi
zsh=$source/etc/completion/_sf-node

deb()
{
        local tree=$work/deb file
        cp -a "$work/tree" "$tree"
        if [ -f "$zsh" ]; then put 644 "$zsh" /usr/share/zsh/vendor-completions/_sf-node; fi
        put 644 "$here/deb/copyright" /usr/share/doc/sf-node/copyright
        gzip -9n <"$source/CHANGELOG.md" >"$work/gz"
        put 644 "$work/gz" /usr/share/doc/sf-node/changelog.gz
        fill "$here/deb/changelog.in" | gzip -9n >"$work/gz"
        put 644 "$work/gz" /usr/share/doc/sf-node/changelog.Debian.gz
        put 644 "$here/deb/lintian-overrides" /usr/share/lintian/overrides/sf-node
        size=$(du -sk --apparent-size "$tree" | cut -f1)
        mkdir "$tree/DEBIAN"
        fill "$here/deb/control.in" >"$tree/DEBIAN/control"
        echo /etc/sf-node/sf-node.conf >"$tree/DEBIAN/conffiles"
        for file in postinst prerm postrm; do put 755 "$here/deb/$file" "/DEBIAN/$file"; done
        (cd "$tree" && find usr etc -type f ! -path etc/sf-node/sf-node.conf | sort | xargs md5sum >DEBIAN/md5sums)
        find "$tree" -exec touch -h -d "@$epoch" {} +
        # xz: the dpkg of bullseye reads no zstd.
        dpkg-deb -Zxz --root-owner-group --build "$tree" "$out/sf-node_$version-${release}_$arch.deb" >/dev/null
        echo "packages: $out/sf-node_$version-${release}_$arch.deb"
}

rpm()
{
        local tree=$work/rpm
        cp -a "$work/tree" "$tree"
        if [ -f "$zsh" ]; then put 644 "$zsh" /usr/share/zsh/site-functions/_sf-node; fi
        put 644 "$source/LICENSE" /usr/share/licenses/sf-node/LICENSE
        put 644 "$here/deb/copyright" /usr/share/licenses/sf-node/copyright
        put 644 "$source/CHANGELOG.md" /usr/share/doc/sf-node/CHANGELOG.md
        find "$tree" -exec touch -h -d "@$epoch" {} +
        (cd "$tree" && find . ! -type d | sed 's/^\.//' | sort) | sed -e 's|^/etc/.*\.conf$|%config(noreplace) &|' \
                -e 's|^/usr/share/licenses/.*|%license &|; s|^/usr/share/doc/.*|%doc &|' >"$work/files"
        printf '%%dir %s\n' /etc/sf-node /etc/sf-node/conf.d /etc/sf-node/health.d /usr/share/licenses/sf-node /usr/share/doc/sf-node >>"$work/files"
        fill "$here/sf-node.spec.in" >"$work/sf-node.spec"
        rpmbuild --quiet -bb --target "$machine-linux" --define "_topdir $work/rpmbuild" --define "_rpmdir $work" \
                --define "sf_tree $tree" --define "sf_files $work/files" "$work/sf-node.spec" >"$work/rpm.log" 2>&1 ||
                { cat "$work/rpm.log" >&2; exit 1; }
        mv "$work/$machine/sf-node-$version-$release.$machine.rpm" "$out/"
        echo "packages: $out/sf-node-$version-$release.$machine.rpm"
}

deb
if command -v rpmbuild >/dev/null; then rpm; else echo "packages: no .rpm: rpmbuild is not here (Debian's package rpm)"; fi
