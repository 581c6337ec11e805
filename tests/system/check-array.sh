#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# docs/MATRIX.md on a real cluster: a plan of small packages as sbatch --array on two nodes with one cache, a task that fails and is
# run again, and a plan that is empty afterwards.
set -euo pipefail
. "$top_srcdir/tests/testbed/node.sh"

# The compiler, and the libraries of slurm-factory that the agent does not need.
libraries=$(ldd "$top_builddir/slurm-factory" | awk '{ print $1 }' | sed 's|.*/||' | grep -E 'divsufsort|inih|gomp')
# shellcheck disable=SC2046
BED_PACKAGES=gcc,libc6-dev,make,binutils,$(dpkg -S $(printf '*/%s ' $libraries) 2>/dev/null | sed 's/[:,].*//' | sort -u | paste -sd,)
shared=$(mktemp -d "${TMPDIR:-/var/tmp}/sf-array.XXXXXX")
trap 'rm -rf "$shared"' EXIT
node_site() { BED_NSPAWN="$BED_NSPAWN --bind=$shared:/shared"; }
CLUSTER_SLURMD_TIMEOUT=60 node_cluster 2
trap 'rm -rf "$shared"; bed_end' EXIT

# What everybody on the cluster sees in /shared: the factory, its data, sources, and a cache that the user may write.
data=$shared/data
mkdir -p "$data"/{recipes,slurm,toolchains} "$shared"/{bin,mirror,cache}
cp "$top_builddir/slurm-factory" "$shared/bin/slurm-factory.real"
printf '#!/bin/sh\nexec /shared/bin/slurm-factory.real --config /shared/conf --data /shared/data "$@"\n' >"$shared/bin/slurm-factory"
chmod +x "$shared/bin/slurm-factory"
cp "$top_srcdir/etc/build-matrix.sbatch" "$shared/"
printf '[mirror]\nurl = /shared/mirror\n' >"$shared/conf"
mkdir "$shared/small"
printf 'int main(void) { return 0; }\n' >"$shared/small/main.c"
printf 'install:\n\t$(CC) $(LDFLAGS) -o slurmd main.c\n\tinstall -D slurmd $(P)/sbin/slurmd\n' >"$shared/small/Makefile"
tar -C "$shared" -c --sort=name --owner=0 --group=0 --mtime=@1000000000 small | gzip -n >"$shared/mirror/small.tar.gz"
printf '[toolchain]\ncflags = -O2\nldflags = -Wl,--build-id=none\n' >"$data/toolchains/default.ini"
printf '[package]\nname = slurm\nlayer = slurm\n[step install]\nrun = make install P=@PREFIX@\n' >"$data/recipes/slurm.ini"
for v in 9.9.1 9.9.2 9.10.1 9.11.0 9.12.0; do
        file=small.tar.gz
        [ $v != 9.10.1 ] || file=late.tar.gz
        printf '[package]\nversion = %s\n[source]\nfile = %s\nsha256 = %s\n' $v $file \
                "$(sha256sum "$shared/mirror/small.tar.gz" | cut -d' ' -f1)" >"$data/slurm/$v.ini"
done
uid=$(bed_base_uid user)
chmod 755 "$shared"
chown -R "$uid:$uid" "$shared"

# as_user CMD... : on ctl, which is the login node
as_user()
{
        bed_in ctl setpriv --reuid=user --regid=user --init-groups --reset-env env -C /shared SLURM_FACTORY_CACHE_DIR=/shared/cache \
                PATH=/shared/bin:/opt/slurm/view/bin:/usr/bin:/bin "$@"
}

states() { bed_in ctl scontrol -o show job "$array" | sed -n 's/.*JobState=\([A-Z]*\).*/\1/p' | sort | uniq -c | awk '{ print $2 "=" $1 }' | paste -sd' '; }
ended() { ! states | grep -E 'PENDING|RUNNING|COMPLETING|CONFIGURING' >/dev/null; }

# run ARRAY : submits as docs/MATRIX.md says and waits for the end
run()
{
        array=$(as_user sbatch --parsable --array="$1" --export=ALL,SLURM_FACTORY_CACHE_DIR=/shared/cache build-matrix.sbatch plan)
        CLUSTER_WAIT=120 cluster_wait "array $array to end" ended
        echo "array $array: $(states)"
}

as_user sh -c 'slurm-factory matrix --missing --plan >plan'
[ "$(wc -l <"$shared/plan")" = 5 ] || fail "not five lines in the plan: $(cat "$shared/plan")"
run "1-$(wc -l <"$shared/plan")"
[ "$(states)" = "COMPLETED=4 FAILED=1" ] || fail "not four of five: $(cat "$shared"/build-matrix-*.log)"
nodes=$(bed_in ctl scontrol -o show job "$array" | sed -n 's/.* NodeList=\([^ ]*\).*/\1/p' | sort -u | paste -sd' ')
echo "run on $nodes"
late=$(grep -n -- '--slurm-version 9.10.1 ' "$shared/plan" | cut -d: -f1)
grep 'late.tar.gz' "$shared/build-matrix-$late.log" || fail "the failed task does not say why: $(cat "$shared/build-matrix-$late.log")"

# Mended, that task alone is run again.
cp "$shared/mirror/small.tar.gz" "$shared/mirror/late.tar.gz"
run "$late"
[ "$(states)" = "COMPLETED=1" ] || fail "$(cat "$shared/build-matrix-$late.log")"
as_user sh -c 'slurm-factory matrix --missing --plan >plan'
[ ! -s "$shared/plan" ] || fail "still to do: $(cat "$shared/plan")"
as_user slurm-factory matrix
# Six copies of one task at the same time build it once.
rm -rf "$shared/cache/builds/9.9.1"* "$shared/cache/buildcache/slurm-9.9.1"*
as_user sh -c 'slurm-factory matrix --missing --plan >plan'
[ "$(wc -l <"$shared/plan")" = 1 ] || fail "not one line in the plan"
as_user sh -c 'for i in 1 2 3 4 5 6; do cat plan; done >six; mv six plan'
run 1-6
[ "$(states)" = "COMPLETED=6" ] || fail "$(cat "$shared"/build-matrix-*.log)"
