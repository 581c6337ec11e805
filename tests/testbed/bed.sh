# SPDX-License-Identifier: Apache-2.0
# tests/testbed/bed.sh - real nodes on one machine, for scenario scripts to source.
# shellcheck shell=bash
#
# A node is a booted systemd in systemd-nspawn: an overlay over a common base system, a cgroup2 subtree and a network
# namespace of its own. The nodes of one bed share a bridge (10.77.0.0/24) that lives in a further namespace, so that
# several beds can run side by side and nothing reaches the machine's network.
#
#   bed_begin             checks what is needed (skips aloud where it is missing), makes the base system, sets a trap;
#                         $BED_PACKAGES (a,b,c) go into the base as well
#   bed_layer DIR         puts DIR between the base system and every node booted from now on
#   bed_boot NAME IP      boots a node; files in $BED/files/NAME and $BED/files/all are copied over it first
#   bed_in NAME CMD...    runs a command in a node
#   bed_outside CMD...    runs a command of this machine in the bed's network (10.77.0.1): a web server
#   bed_cut NAME          power cut: every process of the node dies at once
#   bed_halt NAME         clean shutdown
#   bed_boot NAME IP      ... and after either of the two the node boots again from its own disk
#   bed_end               everything away; also done when the script ends

bed_skip()
{
        echo "SKIP: $*"
        exit 77
}

bed_need()
{
        local tool
        [ "$(id -u)" = 0 ] || bed_skip "booting nodes needs root"
        [ -e /sys/fs/cgroup/unified/cgroup.procs ] || [ -e /sys/fs/cgroup/cgroup.procs ] || bed_skip "no cgroup2 here"
        for tool in systemd-nspawn mmdebstrap ip nsenter unshare dpkg; do
                command -v "$tool" >/dev/null || bed_skip "$tool is not installed"
        done
}

# The libraries that the dynamic agent of this build and Slurm's clients want from the system, as package names of this machine. The same
# for a static agent, which needs none: one base system serves both.
bed_packages()
{
        local libraries
        libraries=$({ ldd "$top_builddir/sf-node" 2>/dev/null | awk '{ print $1 }'; echo libreadline.so.8; } | sed 's|.*/||')
        # One question for all: dpkg reads its whole database for each. Of several packages the first that it names.
        # shellcheck disable=SC2046
        { dpkg -S $(printf '*/%s ' $libraries) 2>/dev/null || true; } |
                awk '{ name = $NF; sub(/.*\//, "", name); if (!seen[name]++) { sub(/[:,].*/, ""); print } }' |
                sort -u | grep -vx libc6
}

# bed_make_base SUITE PACKAGES [HOOK...] : a directory with a bare node of a Debian suite, made once and kept, in BED_MADE.
# Each HOOK is a command of a shell that has the new system's root in $1.
bed_make_base()
{
        local cache suite=$1 packages=$2 key mirror hook hooks=()
        shift 2
        cache=${SF_TEST_CACHE:-$top_builddir/tests/cache}
        key=$(echo "$suite $packages" "$@" | sha256sum | cut -c1-12)
        BED_MADE=$cache/node-$suite-$key
        [ ! -d "$BED_MADE" ] || return 0
        mkdir -p "$cache"
        for hook in "$@"; do hooks+=("--customize-hook=$hook"); done
        (
                flock 9
                [ ! -d "$BED_MADE" ] || exit 0
                echo "making a node base in $BED_MADE"
                mirror=$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' | grep -v security | head -n 1)
                rm -rf "$BED_MADE.new"
                # A resolver that refuses at once: a silent one costs slurmd ten seconds at every start.
                mmdebstrap --quiet --variant=minbase --mode=root --include="$packages" \
                        --aptopt='Acquire::Check-Valid-Until "false"' --aptopt='Acquire::Languages "none"' \
                        --aptopt='APT::Install-Recommends "false"' --dpkgopt='path-exclude=/usr/share/man/*' \
                        --dpkgopt='path-exclude=/usr/share/doc/*' --dpkgopt='path-exclude=/usr/share/locale/*' \
                        --dpkgopt=force-unsafe-io "${hooks[@]}" \
                        --customize-hook='echo nameserver 127.0.0.1 >"$1/etc/resolv.conf"' \
                        --customize-hook='rm -f "$1/etc/munge/munge.key"' \
                        "$suite" "$BED_MADE.new" "$mirror"
                mv "$BED_MADE.new" "$BED_MADE"
        ) 9>"$cache/lock"
}

# A bare node of this machine's own distribution.
bed_base()
{
        bed_make_base "$(. /etc/os-release && echo "$VERSION_CODENAME")" \
                "systemd,systemd-sysv,dbus,munge,iproute2,procps,netbase,$(bed_packages | paste -sd,)${BED_PACKAGES:+,$BED_PACKAGES}" \
                'chroot "$1" useradd --system --home-dir /nonexistent --shell /usr/sbin/nologin slurm' \
                'chroot "$1" useradd --create-home user'
        BED_BASE=$BED_MADE
}

bed_begin()
{
        bed_need
        bed_base
        BED=$(mktemp -d "${TMPDIR:-/var/tmp}/sf-bed.XXXXXX")
        BED_NAME=${BED##*.}
        BED_LOWER=$BED_BASE
        mkdir "$BED/files" "$BED/nodes"
        trap bed_end EXIT
        trap 'exit 1' INT TERM
        # Interface names have 15 characters at most, and several beds share the machine's name space of namespaces.
        ip netns add "sf-$BED_NAME"
        ip -n "sf-$BED_NAME" link set lo up
        ip -n "sf-$BED_NAME" link add bed type bridge
        ip -n "sf-$BED_NAME" addr add 10.77.0.1/24 dev bed
        ip -n "sf-$BED_NAME" link set bed up
}

bed_layer()
{
        BED_LOWER=$1:$BED_LOWER
}

bed_outside()
{
        ip netns exec "sf-$BED_NAME" "$@"
}

# The network of a node survives its power cuts.
bed_plug()
{
        local name=$1 ip=$2 space=sf-$BED_NAME-$1
        ip netns list | grep "^$space\b" >/dev/null && return 0
        ip netns add "$space"
        ip -n "$space" link add host0 type veth peer name "$name" netns "sf-$BED_NAME"
        ip -n "sf-$BED_NAME" link set "$name" master bed up
        ip -n "$space" addr add "$ip/24" dev host0
        ip -n "$space" link set host0 up
        ip -n "$space" link set lo up
}

# Runs in a mount namespace of its own: nspawn wants a pure cgroup2, and a group to itself, or it would put its
# payload's groups into the caller's.
bed_boot_inside()
{
        local name=$1 node=$2 lower=$3 files=$4 space=$5 bed=$6 directory
        umount -R /sys/fs/cgroup
        mount -t cgroup2 cgroup2 /sys/fs/cgroup
        mkdir -p "/sys/fs/cgroup/sf-bed/$bed-$name"
        echo $$ >"/sys/fs/cgroup/sf-bed/$bed-$name/cgroup.procs"
        mount -t overlay "$name" -o "lowerdir=$lower,upperdir=$node/disk,workdir=$node/work" "$node/root"
        if [ ! -e "$node/root/etc/bed-node" ]; then
                echo "$name" >"$node/root/etc/hostname"
                : >"$node/root/etc/machine-id"
                # A link of the base to an absolute path would lead out of the node: it is replaced, not written through.
                for directory in "$files/all" "$files/$name"; do
                        [ ! -d "$directory" ] || cp -a --remove-destination "$directory/." "$node/root/"
                done
                : >"$node/root/etc/bed-node"
        fi
        exec systemd-nspawn --quiet --directory="$node/root" --boot --register=no --keep-unit --machine="$name" \
                --hostname="$name" --network-namespace-path="/run/netns/$space" --resolv-conf=off --link-journal=no \
                --console=read-only ${BED_NSPAWN:-}
}

bed_boot()
{
        local name=$1 ip=$2 node=$BED/nodes/$1 try init
        mkdir -p "$node/disk" "$node/work" "$node/root"
        bed_plug "$name" "$ip"
        export -f bed_boot_inside
        setsid unshare --mount --propagation private bash -ec 'bed_boot_inside "$@"' bed "$name" "$node" "$BED_LOWER" \
                "$BED/files" "sf-$BED_NAME-$name" "$BED_NAME" </dev/null >>"$node/console" 2>&1 &
        echo $! >"$node/nspawn"
        disown $! # or the shell would report each power cut
        for try in $(seq 200); do
                init=$(pgrep -P "$(cat "$node/nspawn")" -x systemd || true)
                [ -z "$init" ] || break
                sleep 0.05
        done
        [ -n "$init" ] || { echo "node $name does not boot:"; cat "$node/console"; return 1; }
        echo "$init" >"$node/init"
        for try in $(seq 200); do
                bed_in "$name" test -S /run/dbus/system_bus_socket 2>/dev/null && return 0
                sleep 0.05
        done
        echo "node $name: no system bus (try $try)"
        return 1
}

bed_in()
{
        local name=$1
        shift
        nsenter -t "$(cat "$BED/nodes/$name/init")" -m -u -i -n -p -C -r -w \
                env -i HOME=/root TERM=dumb LC_ALL=C.UTF-8 PATH=/opt/slurm/view/sbin:/opt/slurm/view/bin:/usr/sbin:/usr/bin:/sbin:/bin "$@"
}

bed_group()
{
        local base=/sys/fs/cgroup/unified
        [ -d "$base" ] || base=/sys/fs/cgroup
        echo "$base/sf-bed/$BED_NAME-$1"
}

# Waits until a node's last process is gone, then takes its control groups away.
bed_wait_dead()
{
        local group try
        group=$(bed_group "$1")
        for try in $(seq 400); do
                grep -qs 'populated 1' "$group/cgroup.events" || break
                sleep 0.05
        done
        [ "$try" -lt 400 ] || { echo "node $1 does not end"; return 1; }
        [ ! -d "$group" ] || find "$group" -depth -type d -exec rmdir {} + 2>/dev/null || true
        rm -f "$BED/nodes/$1/init"
}

bed_cut()
{
        # Never SIGKILL nspawn alone: the container's first process would survive it.
        echo 1 >"$(bed_group "$1")/cgroup.kill"
        bed_wait_dead "$1"
}

bed_halt()
{
        kill -TERM "$(cat "$BED/nodes/$1/nspawn")"
        bed_wait_dead "$1"
}

bed_end()
{
        local status=$? name
        trap - EXIT
        set +e
        for name in $(ls "$BED/nodes"); do
                [ ! -e "$(bed_group "$name")/cgroup.kill" ] || bed_cut "$name"
                ip netns del "sf-$BED_NAME-$name" 2>/dev/null
        done
        ip netns del "sf-$BED_NAME"
        rm -rf "${BED:?}"
        exit $status
}
