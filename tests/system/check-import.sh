#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# A prefix that plain `./configure && make install` filled becomes a release: Slurm 22.05.8 and munge, built by hand here
# (about 5 minutes on 2 cores the first time, then kept in demo/plain), imported, published, installed and run. The build
# prefix is hidden while it runs. 22.05 is also the release whose unit is Type=simple.
set -euo pipefail
[ "$(id -u)" = 0 ] || { echo "skipped: namespaces need root"; exit 77; }
command -v ip >/dev/null || { echo "skipped: no iproute2 here"; exit 77; }

demo=$top_builddir/demo
plain=$demo/plain
mkdir -p "$plain"
plain=$(cd "$plain" && pwd)
# At least 256 characters, never periodic, ending in a token that occurs nowhere else.
prefix=$plain/prefix/$(seq -s_ 1 60 | head -c 150)/$(seq -s_ 61 100 | head -c 110)/pfxq

# get RECIPE: the source of a recipe, by name and digest, from the factory's cache or this machine's package mirror
get() {
        local file sha pool base
        file=$(sed -nE 's/^file = //p' "$1") sha=$(sed -nE 's/^sha256 = //p' "$1") pool=$(sed -nE 's/^pool = //p' "$1")
        cp "$(find "$demo/cache/sources" -name "*$file" 2>/dev/null | head -n 1)" "$plain/$file" 2>/dev/null || :
        [ -s "$plain/$file" ] || apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' | sort -u |
                while read -r base; do
                        ! curl -sfL -o "$plain/$file" "${base%/}/$pool" || break
                done
        echo "$sha  $plain/$file" | sha256sum -c --quiet || { rm -f "$plain/$file"; return 1; }
        mkdir "$plain/$2" && tar -xf "$plain/$file" -C "$plain/$2" --strip-components=1
}
# step DIR LOG COMMAND...
step() {
        local dir=$1 log=$plain/$2.log
        shift 2
        (cd "$dir" && env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/ LC_ALL=C CFLAGS='-O2 -g0' "$@") >"$log" 2>&1 ||
                { echo "FAILED: $*"; tail -n 20 "$log"; exit 1; }
}
if [ ! -e "$plain/complete" ]; then
        rm -rf "$plain"/{munge,slurm,prefix}
        get "$top_srcdir/etc/recipes/munge.ini" munge || { echo "skipped: munge's source is not to be had"; exit 77; }
        get "$top_srcdir/etc/slurm/22.05.8.ini" slurm || { echo "skipped: Slurm 22.05.8's source is not to be had"; exit 77; }
        step "$plain/munge" munge-bootstrap ./bootstrap
        step "$plain/munge" munge-configure ./configure --prefix="$prefix" --sysconfdir=/etc --localstatedir=/var \
                --runstatedir=/run --disable-static
        step "$plain/munge" munge-make make -j2
        # All of "make install" would also make /etc/munge and /var/log/munge, on this machine.
        step "$plain/munge" munge-install make -C src install
        step "$plain/slurm" slurm-configure ./configure --prefix="$prefix" --sysconfdir=/etc/slurm --localstatedir=/var \
                --disable-debug --disable-static --with-munge="$prefix" --disable-sview --disable-gtktest \
                --disable-glibtest --disable-slurmrestd --without-mysql_config --without-hwloc --without-rdkafka
        step "$plain/slurm" slurm-make make -j2 -C src
        step "$plain/slurm" slurm-install make -C src install
        rm -rf "$plain/munge" "$plain/slurm"
        touch "$plain/complete"
fi

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
factory() { "$top_builddir/slurm-factory" --data "$top_srcdir/etc" --cache "$work/cache" "$@"; }
node() { "${SF_NODE:-$top_builddir/sf-node}" --repo "file://$work/repo" --root "$work/node" --toolchain plain "$@"; }

factory import "$prefix" --placeholder "$prefix" --slurm-version 22.05.8 --toolchain plain
factory keys init --repo "$work/repo" --keys "$work/keys"
factory publish 22.05.8 --repo "$work/repo" --keys "$work/keys"
mkdir "$work/node"
node trust "$work/repo/metadata/1.root.json"
node install 22.05
node verify
# The build prefix lies below the first directory of /opt/slurm's own namespace only if somebody builds in /opt: hide it.
timeout -s KILL 120 unshare -m bash -c '
        mount -t tmpfs none "$1"
        exec "$2/tests/kit/cluster.sh" "$3" /opt/slurm bash -ec "
                test ! -e \"$4\"
                test \"\$(slurmd -V)\" = \"slurm 22.05.8\"
                test \"\$(srun hostname)\" = sfdemo
                munge -n | unmunge | grep \"Success (0)\"
                ! grep -aq \"$4\" /proc/\$(pidof slurmd)/maps"' \
        - "$plain" "$top_srcdir" "$work/node/opt/slurm" "$prefix"
echo "imported, installed, ran a job"
