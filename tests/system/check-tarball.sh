#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The tar file of a real Slurm release, extracted at three places and relocated by the script inside it: byte for byte what the C
# code makes, slurmd and sinfo run, and the dynamic linker finds every library without LD_LIBRARY_PATH.
set -euo pipefail
cache=${SF_TEST_RELEASES:-$top_builddir/demo/cache}
release=$(ls -d "$cache"/builds/24.11.5-*-amd64 2>/dev/null | head -n 1)
[ -n "$release" ] || { echo "skipped: no build of 24.11.5 in $cache"; exit 77; }
scratch=$(mktemp -d "${TMPDIR:-/tmp}/sf-check-tarball.XXXXXX")
trap 'rm -rf "$scratch"' EXIT
fail() { echo "FAILED: $*" >&2; exit 1; }
unset LD_LIBRARY_PATH SLURM_CONF

"$top_builddir/slurm-factory" --cache "$cache" export "$release/" --format tar.zst -o "$scratch"
tarball=$(ls "$scratch"/slurm-24.11-*-amd64-software.tar.zst)
mkdir "$scratch/canonical"
tar -C "$scratch/canonical" --zstd -xf "$tarball"
printf 'ClusterName=c\nSlurmctldHost=localhost\nNodeName=n\nPartitionName=p Nodes=n\n' >"$scratch/slurm.conf"
for place in a "Odd,@~=+-place/$(printf 'x%.0s' {1..150})" opt/slurm/view/opt/slurm; do
        mkdir -p "$scratch/$place"
        tar -C "$scratch/$place" --zstd -xf "$tarball"
        view=$scratch/$place/view
        sh "$view/relocate.sh"
        "$top_builddir/tests/kit/sf-relocate-tree" --compare "$release/filelist" "$scratch/canonical/view" "$view" "$view" >/dev/null
        [ "$("$view/sbin/slurmd" -V)" = "slurm 24.11.5" ] || fail "slurmd -V in $view"
        [ "$(SLURM_CONF=$scratch/slurm.conf "$view/bin/sinfo" -V)" = "slurm 24.11.5" ] || fail "sinfo -V in $view"
        count=0
        while read -r file; do
                case $file in */mpi/* | */lib/security/*) continue ;; esac # need what is not ours to bring
                ldd "$file" >"$scratch/ldd" 2>&1 || continue # no dynamic program
                ! grep -H --label="$file" 'not found' "$scratch/ldd" || fail "ldd"
                count=$((count + 1))
        done < <(find "$view" -type f \( -path '*bin/*' -o -name '*.so*' \))
        [ $count -gt 50 ] || fail "ldd saw $count files only"
        # Whatever is opened below /opt/slurm or the build's prefix would be of another tree.
        if command -v strace >/dev/null; then
                SLURM_CONF=$scratch/slurm.conf strace -f -e trace=open,openat,stat,access -o "$scratch/trace" "$view/bin/sinfo" -V >/dev/null
                ! grep -E '"/opt/slurm' "$scratch/trace" || fail "sinfo looks elsewhere"
        fi
done
echo "extracted and relocated at three places; $count files found their libraries"
