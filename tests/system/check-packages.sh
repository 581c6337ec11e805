#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# `make packages`, with the static agent (SF_STATIC=FILE takes one that is there): the .deb is installed, upgraded, removed and purged
# in roots of Debian releases (SF_TEST_SUITES; bullseye, bookworm, trixie and forky by default), the .rpm in a root of the first one by
# `rpm --root`: no machine with an RPM distribution was to be had. Configuration that was edited stays; a release below /opt/slurm
# and what runs from it are not touched. What removal means to systemd's services: tests/system/check-node-gate.sh.
set -euo pipefail
[ "$(id -u)" = 0 ] || { echo "skipped: chroot needs root"; exit 77; }
for tool in mmdebstrap dpkg-deb rpmbuild lintian rpmlint; do
        command -v $tool >/dev/null || { echo "skipped: no $tool here"; exit 77; }
done
top_builddir=$(realpath "$top_builddir") top_srcdir=$(realpath "$top_srcdir")
. "$top_srcdir/tests/kit/suites.sh"
unset MAKEFLAGS MFLAGS MAKEOVERRIDES MAKELEVEL TESTS TEST_LOGS
work=$(mktemp -d)
pids=()
cleanup() {
        for pid in "${pids[@]}"; do kill "$pid" 2>/dev/null || :; done
        rm -rf "$work"
}
trap cleanup EXIT
fail() { echo "FAILED: $*" >&2; exit 1; }

arch=$(dpkg --print-architecture)
agent=${SF_STATIC:-$top_builddir/static-build/$arch/sf-node}
[ -n "${SF_STATIC-}" ] || make -s -C "$top_builddir" static
for release in 1 2; do
        PACKAGE_RELEASE=$release "$top_srcdir/packages/build.sh" 0.1.0 "$work/packages" "$agent" "$arch"
done
# The second package's own default configuration differs, as that of a newer version may.
mkdir "$work/edit"
dpkg-deb -R "$work/packages/sf-node_0.1.0-2_$arch.deb" "$work/edit/tree"
echo "# new in this version" >>"$work/edit/tree/etc/sf-node/sf-node.conf"
dpkg-deb -Zxz --root-owner-group -b "$work/edit/tree" "$work/packages/sf-node_0.1.0-2_$arch.deb" >/dev/null
lintian --allow-root --display-info --fail-on error,warning,info "$work/packages/sf-node_0.1.0-1_$arch.deb"
rpmlint -c "$top_srcdir/packages/rpm/rpmlint.toml" "$work"/packages/sf-node-0.1.0-1.*.rpm >"$work/said" || { cat "$work/said"; fail "rpmlint"; }
grep -q ' 0 errors, 0 warnings' "$work/said" || { cat "$work/said"; fail "rpmlint"; }

# A release that a node may run.
factory() { "$top_builddir/slurm-factory" --cache "$work/cache" --data "$top_srcdir/etc" -q "$@"; }
placeholder=/media/$(printf 'x%.0s' {1..280})
mkdir -p "$work/tree/sbin" "$work/tree/lib"
printf '#!/bin/sh\n# %s/sbin\nexec sleep 600\n' "$placeholder" >"$work/tree/sbin/slurmd"
chmod 755 "$work/tree/sbin/slurmd"
seq 1000 >"$work/tree/lib/libslurm.so"
factory import "$work/tree" --placeholder "$placeholder" --slurm-version 24.11.4 --toolchain test
factory keys init --repo "$work/repo" --keys "$work/keys"
factory publish 24.11.4 --repo "$work/repo" --keys "$work/keys"

in_root() { chroot "$root" env PATH=/usr/sbin:/usr/bin:/sbin:/bin DEBIAN_FRONTEND=noninteractive "$@"; }
picture() { (cd "$root" && find opt/slurm var/lib/sf-node -printf '%p %m %U %G %s %l %T@\n' | sort && find opt/slurm var/lib/sf-node -type f -print0 | sort -z | xargs -0 sha256sum) | sha256sum; }
# what a site does with the agent of the package
run_slurm() {
        cp -a "$work/repo" "$root/repo"
        printf '[repository]\nurl = file:///repo\n[node]\ntoolchain = test\n' >"$root/etc/sf-node/conf.d/site.conf"
        in_root sf-node -q trust /repo/metadata/1.root.json
        in_root sf-node -q install 24.11.4
        in_root sf-node -q verify
        before=$(picture)
        chroot "$root" /opt/slurm/view/sbin/slurmd &
        slurmd=$!
        pids+=("$slurmd")
}
untouched() {
        [ "$(picture)" = "$before" ] || fail "$suite: $1 changed /opt/slurm or /var/lib/sf-node"
        kill -0 "$slurmd" || fail "$suite: $1 stopped slurmd"
}
enabled() { [ -L "$root/etc/systemd/system/multi-user.target.wants/sf-node-recover.service" ]; }
new_root() {
        local base
        base=$(suite_root "$suite") || fail "no root of $suite"
        root=$work/root
        rm -rf "$root"
        cp -a "$base" "$root"
        cp "$work"/packages/* "$root/tmp/"
}

for suite in ${SF_TEST_SUITES:-bullseye bookworm trixie forky}; do
        started=$SECONDS
        new_root
        in_root dpkg -i "/tmp/sf-node_0.1.0-1_$arch.deb" >"$work/said" 2>&1 || { cat "$work/said"; fail "$suite: dpkg -i"; }
        in_root sf-node --version
        enabled || fail "$suite: the unit is not enabled"
        run_slurm
        # An upgrade keeps what the site edited; the new default lies beside it.
        echo "# the site's" >>"$root/etc/sf-node/sf-node.conf"
        in_root dpkg --force-confold -i "/tmp/sf-node_0.1.0-2_$arch.deb" >"$work/said" 2>&1 || { cat "$work/said"; fail "$suite: upgrade"; }
        [ "$(in_root dpkg-query -W -f '${Version}' sf-node)" = 0.1.0-2 ] || fail "$suite: version"
        grep -q "the site's" "$root/etc/sf-node/sf-node.conf" || fail "$suite: the site's configuration is lost"
        grep -q "new in this" "$root/etc/sf-node/sf-node.conf.dpkg-dist" || fail "$suite: no new default beside it"
        untouched "an upgrade"
        # A unit that the site disabled stays disabled.
        rm "$root/etc/systemd/system/multi-user.target.wants/sf-node-recover.service"
        in_root dpkg --force-confold -i "/tmp/sf-node_0.1.0-2_$arch.deb" >/dev/null 2>&1
        ! enabled || fail "$suite: what the site disabled was enabled"
        # Not in the middle of a switch.
        touch "$root/var/lib/sf-node/transaction.json"
        ! in_root dpkg -r sf-node >"$work/said" 2>&1 || fail "$suite: removed in the middle of a switch"
        grep -q 'sf-node recover' "$work/said" || { cat "$work/said"; fail "$suite: no reason given"; }
        in_root sf-node --version >/dev/null || fail "$suite: half removed"
        rm "$root/var/lib/sf-node/transaction.json"
        before=$(picture)
        in_root dpkg -r sf-node >"$work/said" 2>&1 || { cat "$work/said"; fail "$suite: dpkg -r"; }
        [ ! -e "$root/usr/sbin/sf-node" ] && [ -e "$root/etc/sf-node/sf-node.conf" ] || fail "$suite: removal"
        untouched "removal"
        in_root dpkg -i "/tmp/sf-node_0.1.0-2_$arch.deb" >/dev/null 2>&1
        in_root sf-node -q status >/dev/null || fail "$suite: after reinstallation"
        in_root sf-node -q verify
        before=$(picture)
        # The unit that sf-node itself wrote goes with the program that it starts, a site's own does not.
        cp "$root/usr/lib/systemd/system/sf-node-recover.service" "$root/etc/systemd/system/"
        printf '[Service]\nExecStart=/bin/true\n' >"$root/etc/systemd/system/slurmd.service"
        in_root dpkg -P sf-node >"$work/said" 2>&1 || { cat "$work/said"; fail "$suite: dpkg -P"; }
        [ ! -e "$root/etc/sf-node/sf-node.conf" ] && [ -e "$root/etc/sf-node/conf.d/site.conf" ] || fail "$suite: purge"
        [ -e "$root/etc/systemd/system/slurmd.service" ] && [ ! -e "$root/etc/systemd/system/sf-node-recover.service" ] || fail "$suite: units"
        ! enabled || fail "$suite: a link to nothing is left"
        untouched "purge"
        ! find "$root" -xdev -name '*sf-node*' -not -path "$root/tmp/*" -not -path "$root/var/lib/sf-node*" -not -path "$root/etc/sf-node*" \
                -not -path "$root/opt/*" -not -path "$root/repo*" | grep . || fail "$suite: left after purge"
        kill "$slurmd"
        echo "ok      $suite: .deb installed, upgraded, removed, installed again, purged ($((SECONDS - started)) s)"
done

# --- .rpm, by rpm 4.18 of Debian into a root: no distribution with RPM ------------------------------------------------------
suite=bookworm
new_root
rpm_root() { rpm --root "$root" --nosignature "$@"; }
rpm_root --initdb
rpm_root -i --nodeps "$work"/packages/sf-node-0.1.0-1.*.rpm
in_root sf-node --version
[ "$(rpm_root -V --nodeps sf-node)" = "" ] || fail "rpm -V: $(rpm_root -V --nodeps sf-node)"
run_slurm
echo "# the site's" >>"$root/etc/sf-node/sf-node.conf"
rpm_root -U --nodeps "$work"/packages/sf-node-0.1.0-2.*.rpm
grep -q "the site's" "$root/etc/sf-node/sf-node.conf" || fail "rpm: the site's configuration is lost"
untouched "rpm -U"
touch "$root/var/lib/sf-node/transaction.json"
! rpm_root -e --nodeps sf-node >"$work/said" 2>&1 || fail "rpm: removed in the middle of a switch"
grep -q 'sf-node recover' "$work/said" || fail "rpm: no reason given"
rm "$root/var/lib/sf-node/transaction.json"
before=$(picture)
rpm_root -e --nodeps sf-node >"$work/said" 2>&1 || { cat "$work/said"; fail "rpm -e"; }
[ ! -e "$root/usr/sbin/sf-node" ] && [ -e "$root/etc/sf-node/sf-node.conf.rpmsave" ] || fail "rpm -e"
untouched "rpm -e"
kill "$slurmd"
echo "ok      .rpm installed, upgraded, removed in a root"
