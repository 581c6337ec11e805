# SPDX-License-Identifier: Apache-2.0
# tests/testbed/packaged.sh - a node whose Slurm is Debian's. Sourced after node.sh.
# shellcheck shell=bash
#
#   packaged_base SUITE PACKAGES   a base with slurmd and slurm-client of that suite, and these packages (a list with commas). Numbers
#                                  of users are those of the other nodes; nothing is started while it is made
#   packaged_node                  $BED/bare gets the same sf-node as $BED/layer, and n1 munge's key
#   packaged_boot                  boots n1 on both, and waits until it serves the cluster with Debian's slurmd
#   from_package                   does n1 run Debian's slurmd?

packaged_base()
{
        local uid
        uid=$(bed_base_uid slurm)
        # shellcheck disable=SC2016
        bed_make_base "$1" "$2" \
                "chroot \"\$1\" useradd --system --uid $uid --home-dir /nonexistent --shell /usr/sbin/nologin slurm" \
                'chroot "$1" useradd --create-home user' \
                'printf "#!/bin/sh\nexit 101\n" >"$1/usr/sbin/policy-rc.d"; chmod +x "$1/usr/sbin/policy-rc.d"' \
                'chroot "$1" apt-get install -y --no-install-recommends slurmd slurm-client' \
                'rm "$1/usr/sbin/policy-rc.d"'
}

packaged_node()
{
        install -D "${SF_NODE:-$top_builddir/sf-node}" "$BED/bare/usr/sbin/sf-node"
        mkdir -p "$BED/bare/etc" "$BED/files/n1/etc/munge"
        cp -a "$BED/layer/etc/sf-node" "$BED/bare/etc/"
        cp -a "$BED/files/all/etc/munge/munge.key" "$BED/files/n1/etc/munge/"
        chown -R "$(stat -c %u:%g "$BED_MADE/etc/munge")" "$BED/files/n1/etc/munge"
}

packaged_boot()
{
        BED_LOWER=$BED/bare:$BED_MADE bed_boot n1 10.77.0.11
        cluster_wait "n1 idle" cluster_is n1 idle || fail "$(bed_in n1 journalctl -u slurmd -u munge --no-pager | tail -n 40)"
        from_package || fail "not Debian's slurmd"
        expect 0 bed_in n1 sf-node --repo file:///srv/repo trust /srv/repo/metadata/1.root.json
}

from_package()
{
        case $(bed_in n1 sh -c 'readlink /proc/$(systemctl show -P MainPID slurmd)/exe') in
        /usr/sbin/slurmd-wlm) ;;
        *) return 1 ;;
        esac
}
