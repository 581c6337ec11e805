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

# --- an image with a libc below --------------------------------------------------------------------------------------------------
command -v skopeo >/dev/null || { echo "skipped: no skopeo here, images not tried"; exit 0; }
root=$scratch/root
mkdir -p "$root"/{bin,etc,dev,tmp,proc}
cp /bin/dash "$root/bin/sh"
touch "$root/dev/left-out"
# The libraries of the system that the programs name, where the dynamic linker of this machine has them.
for program in "$view/sbin/slurmd" "$view/bin/sinfo" /bin/dash; do
        ldd "$program" | grep -oE '/[^ ]+' | grep -v "^$scratch" | while read -r library; do
                mkdir -p "$root$(dirname "$library")" && cp -L "$library" "$root$library"
        done
done
printf 'root:x:0:0::/:/bin/sh\n' >"$root/etc/passwd"
export_oci() { "$top_builddir/slurm-factory" --cache "$cache" export "$release/" --format oci "$@"; }
export_oci --base "$root" -o "$scratch/image"
tag=24.11.5-$(basename "$release" | cut -d- -f2)
export_oci --base "$root" -o "$scratch/again" -q
cmp "$scratch/image/index.json" "$scratch/again/index.json" || fail "two images of one base differ"
skopeo --insecure-policy copy --quiet "oci:$scratch/image:$tag" "oci:$scratch/copied:slurm" || fail "skopeo copy"
# On top of an image: what was just made serves as one. And from a tar file.
export_oci --base "oci:$scratch/image:$tag" -o "$scratch/second" -q
[ "$(skopeo inspect --raw "oci:$scratch/second:$tag" | grep -o '"digest"' | wc -l)" -gt \
        "$(skopeo inspect --raw "oci:$scratch/image:$tag" | grep -o '"digest"' | wc -l)" ] || fail "layers on top of an image"
[ "$(skopeo inspect --config "oci:$scratch/second:$tag" | grep -oE '"sha256:[0-9a-f]{64}"' | wc -l)" = \
        "$(($(skopeo inspect --raw "oci:$scratch/second:$tag" | grep -o '"digest"' | wc -l) - 1))" ] || fail "layers and diff_ids"
tar -C "$root" --exclude=./dev/left-out -czf "$scratch/root.tar.gz" .
export_oci --base "$scratch/root.tar.gz" -o "$scratch/third" -q
got=0
export_oci -o "$scratch/none" 2>/dev/null || got=$?
[ $got = 2 ] || fail "without --base: exit code $got"
export_oci --base "$scratch/no-such" -o "$scratch/none" 2>/dev/null && fail "a base that is not there" || :
if [ "$(id -u)" = 0 ]; then
        # umoci 0.4.7 (Debian 12) reads no zstd; the layers in order are what a container is.
        for image in copied:slurm third:"$tag"; do
                mkdir "$scratch/bundle"
                for layer in $(skopeo inspect --raw "oci:$scratch/$image" | python3 -c 'import json, sys
for layer in json.load(sys.stdin)["layers"]: print(layer["digest"][7:])'); do
                        tar -C "$scratch/bundle" --zstd -xf "$scratch/${image%:*}/blobs/sha256/$layer"
                done
                [ ! -e "$scratch/bundle/dev/left-out" ] || fail "contents of /dev are in the image"
                path=$(skopeo inspect --config "oci:$scratch/$image" | grep -oE 'PATH=[^"]*')
                mkdir -p "$scratch/bundle/proc" # the dynamic linker asks /proc what $ORIGIN is
                [ "$(unshare -m sh -c 'mount -t proc proc "$1/proc" && exec env -i "$2" chroot "$1" slurmd -V' - "$scratch/bundle" "$path")" = "slurm 24.11.5" ] || fail "slurmd -V in $image"
                rm -rf "$scratch/bundle"
        done
        echo "an image with a libc: copied by skopeo, its layers unpacked, slurmd -V runs in it"
fi
if [ -z "${SF_TEST_PODMAN-}" ]; then
        echo "podman not tried: SF_TEST_PODMAN=1 does"
else
        [ "$(podman run --rm "oci:$scratch/image:$tag" slurmd -V)" = "slurm 24.11.5" ] || fail "podman run"
fi
