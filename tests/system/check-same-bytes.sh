#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# What a build machine has installed must not show in a release: Slurm is compiled again in a copy of a root that has headers of
# Lua, MySQL, readline, http-parser, libnuma, hwloc, JSON, YAML, JWT, libevent and others, and every byte of it is compared. With
# SF_TEST_FULL_ALL=1 so is each package that the release consists of.
# SF_TEST_FULL is a cache with a release of SF_TEST_FULL_RELEASE (VERSION-TOOLCHAIN-ARCH[-PROFILE]) built in a root of its own
# (slurm-factory root TOOLCHAIN). Installs packages into the copy of the root: needs root and the network.
set -euo pipefail
release=${SF_TEST_FULL_RELEASE:-}
[ -n "${SF_TEST_FULL:-}" ] && [ -n "$release" ] || { echo "skipped: SF_TEST_FULL and SF_TEST_FULL_RELEASE name no release"; exit 77; }
[ "$(id -u)" = 0 ] || { echo "skipped: a root is made as root"; exit 77; }
IFS=- read -r version toolchain _ profile <<<"$release"
[ -d "$SF_TEST_FULL/roots/$toolchain/tree" ] || { echo "skipped: $release was not built in a root"; exit 77; }
scratch=$(mktemp -d "${TMPDIR:-/var/tmp}/sf-check-same.XXXXXX")
trap 'rm -rf "$scratch"' EXIT
fail() { echo "FAILED: $*" >&2; exit 1; }
from=$SF_TEST_FULL/builds/$release/from
wanted='slurm-.*'
[ -z "${SF_TEST_FULL_ALL:-}" ] || wanted='.*'
mapfile -t again < <(sed -n "s/^layer \($wanted\)/\1/p" "$from")
[ ${#again[@]} -gt 0 ] || fail "no layer to make again in $from"

cp -r "${SF_TEST_DATA:-$top_srcdir/etc}" "$scratch/data"
more="liblua5.4-dev default-libmysqlclient-dev libreadline-dev libncurses-dev libhttp-parser-dev libnuma-dev libhwloc-dev libjson-c-dev
        libyaml-dev libjwt-dev libevent-dev liblz4-dev libmunge-dev libpmix-dev libfreeipmi-dev libipmimonitoring-dev librdkafka-dev
        libhdf5-dev libgtk2.0-dev libibverbs-dev libxml2-dev libselinux1-dev man2html-base mt-st libnl-route-3-dev libltdl-dev libucx-dev
        libfabric-dev libpsm2-dev libcurl4-openssl-dev libjansson-dev libzstd-dev liblzma-dev libgcrypt20-dev valgrind"
mkdir -p "$scratch/cache/sources"
cp "$SF_TEST_FULL"/sources/* "$scratch/cache/sources/"
[ ! -d "$SF_TEST_FULL/ccache" ] || cp -a "$SF_TEST_FULL/ccache" "$scratch/cache/"

echo "== a root with more in it"
# One package at a time would take long, all at once fails for one that a suite does not have: what there is, is asked first.
tree=$SF_TEST_FULL/roots/$toolchain/tree
known=$(chroot "$tree" apt-cache pkgnames | sort)
have=$(for p in $more; do grep -qx "$p" <<<"$known" && printf '%s ' "$p"; done; :)
[ "$(wc -w <<<"$have")" -ge 12 ] || fail "only these are to be had: $have"
{ echo '[root]'; fold -s -w 100 <<<"$have" | sed 's/^/packages = /'; } >>"$scratch/data/toolchains/debian.ini"
"$top_builddir/slurm-factory" --data "$scratch/data" --cache "$scratch/cache" root "$toolchain" --from "$tree"
before=$(wc -l <"$SF_TEST_FULL/roots/$toolchain/packages") after=$(wc -l <"$scratch/cache/roots/$toolchain/packages")
[ "$after" -ge $((before + 12)) ] || fail "$after packages, $before without"

echo "== the same layers, compiled there"
mkdir -p "$scratch/others/buildcache"
for l in $(sed -n 's/^layer //p' "$from"); do
        case " ${again[*]} " in *" $l "*) ;; *) cp -al "$SF_TEST_FULL/buildcache/$l" "$scratch/others/buildcache/" ;; esac
done
"$top_builddir/slurm-factory" --data "$scratch/data" --cache "$scratch/cache" build-slurm --slurm-version "$version" \
        --toolchain "$toolchain" ${profile:+--profile "$profile"} --local-cache "$scratch/others" 2>&1 | tee "$scratch/said"
[ "$(grep -c ': built in' "$scratch/said")" = ${#again[@]} ] || fail "not just these were compiled: ${again[*]}"
for l in "${again[@]}"; do
        [ -d "$scratch/cache/buildcache/$l/tree" ] || fail "the layer has another key: $l"
        diff -r --no-dereference "$SF_TEST_FULL/buildcache/$l/tree" "$scratch/cache/buildcache/$l/tree" || fail "the bytes differ: $l"
        files=$((${files:-0} + $(find "$scratch/cache/buildcache/$l/tree" -type f | wc -l)))
done
# The provenance statement names the root by its list of packages, which is another one.
but_provenance() { sed 's/"provenance":{[^}]*},//' "$1/builds/$release/release.json"; }
cmp <(but_provenance "$SF_TEST_FULL") <(but_provenance "$scratch/cache") || fail "another release"
echo "all well: $files files of ${#again[@]} packages of Slurm $version are the same, with $((after - before)) packages more"
