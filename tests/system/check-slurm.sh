#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The whole way with real Slurm: `make demo`'s build (made here where it is missing: about 6 minutes on 2 cores), then
#   - the demo itself: published, installed over HTTP, a job on the relocated cluster
#   - the same at a second prefix
#   - the two layers unpacked by hand with tar, and run at /opt/slurm/view without sf-node
#   - every file of the release relocated and back, bit for bit
#   - skopeo reads the repository as an OCI layout
# In every cluster the build prefix and everything beside the tree are hidden.
set -euo pipefail
[ "$(id -u)" = 0 ] || { echo "skipped: namespaces and mounts need root"; exit 77; }
command -v ip >/dev/null || { echo "skipped: no iproute2 here"; exit 77; }
command -v python3 >/dev/null || { echo "skipped: no python3 here"; exit 77; }

demo=$top_builddir/demo
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
failures=0
# check WHAT COMMAND...: one line of the table
check() {
        local what=$1
        shift
        if "$@" >"$work/said" 2>&1; then
                printf 'ok      %s\n' "$what"
        else
                printf 'NOT OK  %s\n' "$what"
                tail -n 15 "$work/said" | sed 's/^/        /'
                failures=$((failures + 1))
        fi
}
cluster() { timeout -s KILL 120 "$top_srcdir/tests/kit/cluster.sh" "$@"; }

check "make demo: build, publish, install over HTTP, run a job" env top_srcdir="$top_srcdir" top_builddir="$top_builddir" \
        timeout -s KILL 1500 "$top_srcdir/tests/kit/demo.sh" "$demo"
release=$(basename "$(ls -d "$demo/cache/builds/24.11.5-"* | head -n 1)")
version=${release%%-*}
toolchain=$(cut -d- -f2 <<<"$release")

# What every relocated tree must be able to do. Runs inside the cluster; $1 is the prefix the programs must come from.
cat >"$work/exercise" <<'EOT'
set -e
place=$1
[ "$(slurmd -V)" = "slurm 24.11.5" ]
[ "$(scontrol --version)" = "slurm 24.11.5" ]
slurmd -C | grep '^NodeName=' >/dev/null
srun --mpi=list 2>&1 | grep 'none' >/dev/null
[ "$(srun hostname)" = sfdemo ]
sbatch --wait -o /run/slurm/out --wrap 'echo batch $SLURM_JOB_ID' >/dev/null
grep -q '^batch [0-9]' /run/slurm/out
munge -n | unmunge | grep 'Success (0)' >/dev/null
sacctmgr --version >/dev/null
# Nothing of what runs comes from anywhere else, and no process sees another prefix.
for pid in $(pidof slurmd slurmctld munged); do
        case $(readlink /proc/$pid/exe) in "$place"/*) ;; *) echo "$pid runs $(readlink /proc/$pid/exe)"; exit 1 ;; esac
        ! grep -E 'slurm|munge|hwloc|json-c' /proc/$pid/maps | grep -v " $place/" | grep ' /' || exit 1
done
! scontrol show config | grep -E '/media/' || exit 1
scontrol show config | grep -E "PluginDir *= $place/+lib/slurm$" >/dev/null || { scontrol show config | grep PluginDir; exit 1; }
EOT

check "jobs at /opt/slurm, build prefix hidden" \
        cluster "$demo/node/opt/slurm" /opt/slurm bash "$work/exercise" "/opt/slurm/releases/$version-$toolchain"

# A second prefix, from the same repository.
second=/opt/hpc/site-wide/tools/slurm
node() { "${SF_NODE:-$top_builddir/sf-node}" --repo "file://$(realpath "$demo/repo")" --root "$work/second" --prefix "$second" "$@"; }
mkdir -p "$work/second"
check "a second prefix: trust" node trust "$demo/repo/metadata/1.root.json"
check "a second prefix: install" node install 24.11
check "a second prefix: verify" node verify
check "a second prefix: jobs" \
        cluster "$work/second$second" "$second" bash "$work/exercise" "$second/releases/$version-$toolchain"

# By hand: what lies in the repository is a working tree at /opt/slurm/view.
mkdir -p "$work/hand"
manifest=$(python3 - "$demo/repo" "$version-$toolchain" <<'EOP'
import json, sys
repo, tag = sys.argv[1:]
index = json.load(open(repo + "/index.json"))
one = [m for m in index["manifests"] if m.get("annotations", {}).get("org.opencontainers.image.ref.name") == tag]
manifest = json.load(open(repo + "/blobs/sha256/" + one[0]["digest"].split(":")[1]))
for layer in manifest["layers"]:
    print(layer["digest"].split(":")[1])
EOP
)
by_hand() {
        local layer
        [ "$(wc -w <<<"$manifest")" = 2 ]
        for layer in $manifest; do
                tar -C "$work/hand" --zstd -xf "$demo/repo/blobs/sha256/$layer"
        done
}
if command -v zstd >/dev/null; then
        check "both layers unpacked with tar" by_hand
        check "jobs at /opt/slurm/view, without sf-node" \
                cluster "$work/hand/opt/slurm" /opt/slurm bash "$work/exercise" /opt/slurm/view
else
        echo "skipped: layers by hand (no zstd here)"
fi
if command -v skopeo >/dev/null; then
        inspect() { skopeo inspect "oci:$demo/repo:$version-$toolchain" | grep '"Layers"' >/dev/null; }
        check "skopeo inspect oci:REPO:$version-$toolchain" inspect
else
        echo "skipped: skopeo inspect (no skopeo here)"
fi

# There and back, every file of the release, at prefixes of several lengths, against the signed digests.
if [ -d "$work/hand/opt/slurm/view" ]; then
        check "every file relocated and back, bit for bit" \
                "$top_builddir/tests/kit/sf-relocate-tree" "$demo/cache/builds/$release/filelist" "$work/hand/opt/slurm/view" \
                "/opt/slurm/releases/$version-$toolchain" "$second/releases/$version-$toolchain" /s
fi

# Nothing to do costs two small requests: the next root (which is not there) and the timestamp.
mkfifo "$work/stdin"
python3 "$top_srcdir/tests/kit/hostile-server.py" --directory "$demo/repo" <"$work/stdin" >"$work/ports" 2>"$work/server.log" &
server=$!
exec 9>"$work/stdin" # the server ends with its standard input
for _ in $(seq 100); do
        ! grep -q ready "$work/ports" || break
        sleep 0.1
done
quiet_upgrade() {
        "${SF_NODE:-$top_builddir/sf-node}" --json --repo "http://127.0.0.1:$(sed -n 's/^http //p' "$work/ports")/plain" \
                --root "$work/second" --prefix "$second" upgrade >"$work/json" || return 1
        python3 - "$work/json" <<'EOP'
import json, sys
report = json.load(open(sys.argv[1]))
assert report["result"] == "unchanged" and report["bytes_fetched"] < 2000, report
EOP
}
check "an upgrade with nothing to do fetches less than 2,000 bytes" quiet_upgrade
exec 9>&-
wait "$server" || :

# A damaged file is found and mended with a few bytes.
tree=$work/second$second/releases/$version-$toolchain
printf 'x' | dd of="$tree/bin/srun" bs=1 seek=5000 conv=notrunc status=none
rm "$tree/lib/slurm/auth_munge.so"
chmod 777 "$tree/bin/sinfo"
broken() { ! node verify >"$work/verify" && [ "$(grep -cE 'bin/srun|auth_munge.so|bin/sinfo' "$work/verify")" -ge 3 ]; }
check "verify finds content, absence and mode" broken
check "verify --repair mends them" node verify --repair
check "and the tree is whole again" node verify

echo "$failures not ok"
[ "$failures" != 0 ] || echo "check-slurm: demo, second prefix, by hand, relocated and back, repaired" >"$demo/cache/builds/$release/tested"
[ "$failures" = 0 ]
