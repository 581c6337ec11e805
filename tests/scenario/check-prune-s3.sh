#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Pruning a bucket, against s3rver: nothing goes that a reader may still ask for, the rest does when metadata has expired (the clock is
# put ahead), and the publisher killed at requests that write leaves a repository that verifies and a run that can be repeated.
set -euo pipefail
: "${top_srcdir:=.}" "${top_builddir:=.}"

faketime=$(ls /usr/lib*/*/faketime/libfaketimeMT.so.1 2>/dev/null | head -n 1)
[ -n "$faketime" ] || { echo "skipped: no faketime here"; exit 77; }
. "$top_srcdir/tests/kit/s3.sh"

objects() { find "${1:-data}" -name '*_object' ! -path '*/lock/*' | sed "s,^${1:-data}/,," | sort; }
blobs() { objects "$@" | grep /blobs/ || true; }
state() { rm -rf data/* && cp -r "$1"/* data/; }

head -c 20000 /dev/urandom >random
for version in 24.11.5 24.11.6 25.05.1 25.05.2; do release $version; done
s3 -q keys init
s3 -q publish 24.11.5 25.05.1
s3 -q publish 24.11.6 --delta-from 24.11.5
s3 -q publish 25.05.2 --delta-from 24.11.5
verify "publish" "25.05.2+1 25.05.1+0 24.11.6+1 24.11.5+0"

# --- metadata that names it is valid ------------------------------------------------------------------------------------

: >proxy/log
expect 0 '24.11.5-test-amd64: would be taken off' s3 prune 24.11.5 --dry-run
[ "$(requests '^(PUT|POST|DELETE)')" = 0 ] || fail "a dry run wrote"
objects >before
: >proxy/log
expect 0 '24.11.5-test-amd64: taken off the offer' s3 prune 24.11.5
grep -q 'files deleted' said && grep -q 'stay until' said || fail "does not say what stays"
[ "$(requests '^DELETE .*/(blobs|targets|metadata)/')" = 0 ] || fail "deleted what may be asked for"
[ -z "$(objects | comm -23 before -)" ] || fail "gone: $(objects | comm -23 before -)"
verify "prune" "25.05.2+0 25.05.1+0 24.11.6+0"
# An object that nothing names, as a publisher leaves it that was killed.
nameless=$(printf x | sha256sum | cut -c1-64)
for file in $(find data -path '*/blobs/*' -name "$(basename "$(blobs | head -n 1)" _object)*"); do
        cp "$file" "$(dirname "$file")/$nameless._S3rver${file##*_S3rver}"
done
objects >before
s3 -q prune
[ -z "$(objects | comm -23 before -)" ] || fail "a new nameless object was deleted"

# --- 20 days later ------------------------------------------------------------------------------------------------------

kill "$server" && wait "$server" 2>/dev/null || true
clock=(env "LD_PRELOAD=$faketime" FAKETIME=+20d)
start_store
s3 -q refresh
verify "20 days later" "25.05.2+0 25.05.1+0 24.11.6+0"
cp -r data data.before
# From a machine that has no copy: a trial says which requests write, and what is left.
rm -rf cache/buckets
: >proxy/log
run -q prune 25.05.1 || fail "pruning"
verify "20 days later, pruned" "25.05.2+0 24.11.6+0"
mapfile -t writes < <(grep -nE '^(PUT|POST|DELETE)' proxy/log | cut -d: -f1)
cp proxy/log trial.log
deleted=$(requests '^DELETE .*/(blobs|targets|metadata)/')
[ "$deleted" -gt 8 ] || fail "only $deleted objects were deleted"
grep -nE '^(PUT|DELETE)' proxy/log | head -n 1 | grep /lock/ >/dev/null || fail "writes before it has the lock"
[ "$(grep -nE '^DELETE .*/(blobs|targets|metadata)/' proxy/log | head -n 1 | cut -d: -f1)" -gt \
        "$(grep -n '^PUT .*timestamp' proxy/log | cut -d: -f1)" ] || fail "deletes before the offer has shrunk"
blobs >left
# What is left is what the two releases need, and what the one that was just taken off has.
comm -23 <(blobs data.before) left >gone
[ "$(wc -l <gone)" -gt 3 ] && grep -q "$nameless" gone || fail "too little went: $(cat gone)"
s3 --json prune >said || fail "pruning again"
python3 -c 'import json; d = json.load(open("said")); assert d["files"] == 0 and d["waiting_files"] > 0, d' || fail "the second run"
[ "$(find data -path '*lock*' -name '*_object' | wc -l)" = 0 ] || fail "locks stay"

# --- killed at requests that write -------------------------------------------------------------------------------------

# Of the deletions every third one: those of a kind are in no order. SF_TEST_ALL=1: all.
mapfile -t deletions < <(grep -nE '^DELETE .*/(blobs|targets|metadata)/' trial.log | cut -d: -f1)
runs=0
for number in "${writes[@]}"; do
        [ -n "${SF_TEST_ALL-}" ] || ! grep -qx "$number" <(printf '%s\n' "${deletions[@]}") || [ $((number % 3)) = 0 ] || continue
        state data.before
        rm -rf cache/buckets
        echo "$number kill" >proxy/fault
        ! run -q prune 25.05.1 || [ "$number" = "${writes[-1]}" ] || fail "kill at request $number: not killed"
        rm proxy/fault
        verify "kill at request $number"
        grep -qx '25.05.2+0 24.11.6+0\|25.05.2+0 25.05.1+0 24.11.6+0' offered || fail "kill at request $number offers $(cat offered)"
        runs=$((runs + 1))
        [ $((runs % 4)) = 0 ] || continue
        grep -q 25.05.1 offered && what=25.05.1 || what=
        run -q prune $what || fail "kill at request $number: cannot be repeated"
        verify "kill at request $number, repeated" "25.05.2+0 24.11.6+0"
        blobs | cmp -s - left || fail "kill at request $number: the repeated run left $(blobs | comm -3 - left)"
done
[ $runs -gt 12 ] || fail "killed $runs times only"
echo "killed at $runs of ${#writes[@]} requests that write, of which $deleted delete"

# Somebody else's lock, new: nothing is deleted.
state data.before
mkdir -p data/slurm/site/lock
for file in data/slurm/site/metadata/*timestamp.json*; do cp "$file" "data/slurm/site/lock/elsewhere-1-2._S3rver${file##*_S3rver}"; done
touch -d '20 days' data/slurm/site/lock/*
objects >before
expect 3 'somebody else is publishing' s3 prune
objects | cmp -s - before || fail "pruned under somebody else's lock"
echo "all as expected"
