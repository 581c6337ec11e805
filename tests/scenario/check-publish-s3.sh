#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Publishing to S3, against s3rver: order, what is sent, headers, parts, two publishers at once, and the publisher killed at
# each request. After every run the repository is read over HTTP by a new node and every blob of the index is compared.
set -euo pipefail
: "${top_srcdir:=.}" "${top_builddir:=.}"

proxy_data=data
. "$top_srcdir/tests/kit/s3.sh"

head -c 20000 /dev/urandom >random
for version in 24.11.5 24.11.6 25.05.2; do release $version; done
release 25.11.4 20

# --- keys, regions, addresses -------------------------------------------------------------------------------------------

expect 3 'no metadata\|1.root.json\|No such file' s3 publish 24.11.5
AWS_PROFILE=nobody expect 2 'no AWS keys.*nobody' s3 keys init
AWS_ACCESS_KEY_ID=S3RVER AWS_SECRET_ACCESS_KEY=wrong expect 3 'SignatureDoesNotMatch' s3 keys init
expect 3 'NoSuchBucket' factory keys init --repo s3://nobucket/x --endpoint "$at" --keys other-keys
expect 2 's3://BUCKET/PREFIX expected' factory keys init --repo s3://X --endpoint "$at" --keys other-keys
s3 -q keys init
verify "keys init"
expect 3 'already has a root' s3 keys init

# --- publishing ---------------------------------------------------------------------------------------------------------

: >proxy/log
expect 0 'would send .*blobs/sha256\|would be' s3 publish 24.11.5 --dry-run
[ "$(requests '^(PUT|POST|DELETE)')" = 0 ] || fail "a dry run wrote"
: >proxy/log
s3 -q publish 24.11.5
verify "publish" "24.11.5+0"
# Blobs, targets, metadata, pages, timestamp: no request of a kind comes before the last one of the kinds before it.
grep '^PUT /slurm/site/[a-z]' proxy/log | grep -v '/lock/' | sed -E 's,.*/blobs/.*,1,; s,.*/targets/.*,2,; s,.*timestamp.*,5,; s,.*/metadata/.*,3,; s,^PUT.*,4,' >order
sort -c order || fail "the order of sending"
[ "$(tail -n 1 order)" = 5 ] || fail "the timestamp is not the last"
[ "$(requests '^(PUT|POST) .*/blobs/')" -gt 3 ] || fail "no blobs were sent"
: >proxy/log
s3 -q publish 24.11.5
[ "$(requests '^PUT .*site/(blobs|targets|metadata)')" = 0 ] || fail "what is there was sent again"
: >proxy/log
s3 -q publish 24.11.6 --delta-from 24.11.5
verify "publish with a delta" "24.11.6+1 24.11.5+0"
# From another machine, which has the builds but no copy of the bucket: the same release keeps its delta.
rm -rf cache/buckets
s3 -q publish 24.11.6
verify "publish from another machine" "24.11.6+1 24.11.5+0"
# And one that has the new build only: the base of a delta comes from the bucket.
cp -r cache cache2 && rm -rf cache2/buckets cache2/builds/24.11.*
cache=cache2 s3 -q publish 25.05.2 --delta-from 24.11.6
verify "a delta from a base in the bucket" "25.05.2+1 24.11.6+1 24.11.5+0"

header() { curl -fsSI "$at/slurm/site/$1" | tr -d '\r' | grep -i "^$2:" || true; }
blob=$(python3 -c 'import json, sys; print(json.load(open(sys.argv[1]))["releases"][0]["manifest"]["sha256"])' got/*)
header "blobs/sha256/$blob" cache-control | grep 'max-age=31536000, immutable' >/dev/null || fail "Cache-Control of a blob"
header metadata/timestamp.json cache-control | grep 'max-age=60$' >/dev/null || fail "Cache-Control of the timestamp"
header index.json cache-control | grep 'max-age=60$' >/dev/null || fail "Cache-Control of index.json"
header metadata/1.root.json content-type | grep 'application/json' >/dev/null || fail "Content-Type of metadata"
header "blobs/sha256/$blob" content-type | grep 'application/octet-stream' >/dev/null || fail "Content-Type of a blob"

# Tar files at the addresses that scripts know; an older release does not replace a newer one's.
tar=test/24.11/amd64/slurm-24.11-test-amd64-software.tar.gz
s3 publish 24.11.5 24.11.6 --tarball >said 2>&1 || fail "publish --tarball"
grep -q '24.11.5.*24.11.6-test-amd64 is newer' said || fail "two releases of a series"
header $tar cache-control | grep 'max-age=60$' >/dev/null || fail "Cache-Control of a tar file"
header $tar content-type | grep 'application/gzip' >/dev/null || fail "Content-Type of a tar file"
curl -fsS -o tarball.tar.gz "$at/slurm/site/$tar"
tar -xzf tarball.tar.gz
grep -qx 'release 24.11.6-test-amd64' view/.relocate/description && sh view/relocate.sh >/dev/null || fail "the tar file"
s3 publish 24.11.5 --tarball >said 2>&1 || fail "publish --tarball of an older release"
curl -fsS "$at/slurm/site/$tar" | cmp - tarball.tar.gz || fail "an older release replaced a newer one's tar file"
: >proxy/log
s3 -q publish 24.11.6
[ "$(requests "^PUT .*software")" = 0 ] || fail "a tar file was sent without being asked for"
verify "tar files" "25.05.2+1 24.11.6+1 24.11.5+0"

# An object that was cut short is sent again.
damaged=$(find data -path "*blobs*$blob*" -name '*_object')
truncate -s -1 "$damaged"
s3 -q publish 25.05.2 24.11.6 24.11.5
verify "a damaged object" "25.05.2+1 24.11.6+1 24.11.5+0"

# Withdrawals, rotations and refresh go the same way.
s3 -q withdraw 25.05.2 --reason 'leaks' && s3 -q withdraw 25.05.2 --undo
for role in root timestamp releases; do
        s3 -q keys rotate $role
        verify "rotation of $role" "25.05.2+1 24.11.6+1 24.11.5+0"
done
s3 -q refresh
verify "refresh" "25.05.2+1 24.11.6+1 24.11.5+0"
! s3 keys show 2>/dev/null | grep elsewhere || fail "a key in force has no private half"
[ "$(find data -path '*lock*' -name '*_object' | wc -l)" = 0 ] || fail "locks stay"

# --- large objects ------------------------------------------------------------------------------------------------------

: >proxy/log
second_part() { grep -n 'partNumber=2' proxy/log | head -n 1 | cut -d: -f1; }
# A trial run says where the second part comes; the bucket is put back after.
cp -r data data.before
run -q publish 25.11.4 || fail "publishing a large release"
verify "a large release" "25.11.4+0 25.05.2+1 24.11.6+1 24.11.5+0"
parts=$(requests 'partNumber=')
[ "$parts" -ge 3 ] || fail "only $parts parts"
number=$(second_part)
rm -rf data/* && cp -r data.before/* data/
: >proxy/log
echo "$number kill" >proxy/fault
run -q publish 25.11.4 && fail "was not killed"
rm proxy/fault
verify "killed at the second part" "25.05.2+1 24.11.6+1 24.11.5+0"
: >proxy/log
run -q publish 25.11.4 || fail "publishing a large release again"
verify "a large release that was resumed" "25.11.4+0 25.05.2+1 24.11.6+1 24.11.5+0"
[ "$(requests 'partNumber=')" -lt "$parts" ] || fail "all parts were sent again"
[ "$(requests 'uploads=')" = 0 ] || fail "the upload was begun anew"

# What nobody finishes is given up when it is a day old: not the one that is young, nor the one of another repository.
unfinished() { find data -name key -path '*uploads*' | wc -l; }
rm -rf cache/buckets # from another machine: nobody goes on with these
rm -rf data/* && cp -r data.before/* data/
for round in 1 2 3; do
        echo "partNumber=2 kill" >proxy/fault
        run -q publish 25.11.4 && fail "was not killed"
        rm -rf proxy/fault cache/buckets
done
[ "$(unfinished)" = 3 ] || fail "$(unfinished) uploads are open, not 3"
find data -name key -path '*uploads*' | sort >open
sed 1d open | xargs touch -d '2 days ago'
printf other/blobs/x >"$(sed -n 2p open)" && touch -d '2 days ago' "$(sed -n 2p open)"
expect 0 '1 uploads in parts that nobody finished would be given up' s3 prune --dry-run
[ "$(unfinished)" = 3 ] || fail "a dry run gave something up"
expect 0 '1 uploads in parts that nobody finished given up' s3 prune
[ "$(unfinished)" = 2 ] && [ -e "$(sed -n 1p open)" ] && [ -e "$(sed -n 2p open)" ] || fail "others' uploads, or young ones, were given up"
run -q publish 25.11.4 || fail "publishing after uploads were given up"
verify "after uploads were given up" "25.11.4+0 25.05.2+1 24.11.6+1 24.11.5+0"
# A store that cannot list them: s3rver itself.
expect 0 'not looked for: .*HTTP 501.*AbortIncompleteMultipartUpload' factory prune --repo s3://slurm/site --endpoint "http://127.0.0.1:$port" --keys keys

# --- the agent ----------------------------------------------------------------------------------------------------------

cp "$top_builddir/sf-node" sf-node
strip sf-node
expect 0 'sf-node .* is offered' s3 publish-agent --force sf-node
version=$(sed -n 's/.*sf-node \(.*\) is offered.*/\1/p' said)
rm -rf fresh got cache/buckets && mkdir fresh got
"$client" --metadata-dir fresh init root.json
"$client" --metadata-url "$at/slurm/site/metadata" --metadata-dir fresh --target-dir got --target-base-url "$at/slurm/site/targets" \
        --target-name "agent/$version/sf-node-amd64" download >said 2>&1 || fail "no node gets the agent from the bucket"
cmp got/* sf-node || fail "another agent comes from the bucket"
curl -fsS "$at/slurm/site/agent/$version/sf-node-amd64" | cmp - sf-node || fail "the agent at its address for people"
curl -fsS "$at/slurm/site/agent/$version/sf-node-$version.sh" | sh -n || fail "the script for new nodes"
expect 0 'is offered' s3 publish-agent --force sf-node
verify "after the agent" "25.11.4+0 25.05.2+1 24.11.6+1 24.11.5+0"

# --- bad moments --------------------------------------------------------------------------------------------------------

rm -rf data/* && cp -r data.before/* data/
for how in 503 cut; do
        sleep 0.01
        echo "7 $how" >proxy/fault
        run -q publish 24.11.5 || fail "$how is not survived"
done
rm proxy/fault

# Killed at each request, before the store has it and after: s3://slurm/kill, one release there, one on its way.
# Killed at each request that writes, before the store has it and after.
state() { rm -rf data/* && cp -r "$1"/* data/; }
state data.before
: >proxy/log
run -q publish 25.05.2 24.11.6 24.11.5 || fail "publishing"
for version in 24.11.7; do release $version; done
: >proxy/log
run -q publish 24.11.7 || fail "publishing"
mapfile -t writes < <(grep -nE '^(PUT|POST|DELETE)' proxy/log | cut -d: -f1)
[ ${#writes[@]} -gt 8 ] || fail "only ${#writes[@]} requests write"
runs=0
for how in kill kill-after; do
        for number in "${writes[@]}"; do
                state data.before
                rm -rf cache/buckets # another machine would not have it
                echo "$number $how" >proxy/fault
                ! run -q publish 24.11.7 || [ "$number" = "${writes[-1]}" ] || fail "$how at request $number: not killed"
                rm proxy/fault
                verify "$how at request $number"
                grep -qx "25.05.2+1 24.11.6+1 24.11.5+0\|24.11.7+0 .*\|25.05.2+1 24.11.7+0 24.11.6+1 24.11.5+0" offered || fail "$how at request $number offers $(cat offered)"
                run -q publish 24.11.7 || fail "$how at request $number: cannot be repeated"
                verify "$how at request $number, repeated" "25.05.2+1 24.11.7+0 24.11.6+1 24.11.5+0"
                runs=$((runs + 1))
        done
done
echo "killed at each of ${#writes[@]} requests that write, before and after: $runs runs"

# Two at once: one gives way or waits, none breaks anything.
for _ in 1 2 3; do
        state data.before
        cp -r cache/builds cache2/
        ( cache=cache s3 -q publish 24.11.7 >one 2>&1 ) & one=$!
        ( cache=cache2 s3 -q publish 25.11.4 >two 2>&1 ) & two=$!
        wait $one && first=0 || first=$?
        wait $two && second=0 || second=$?
        [ $first = 0 ] || grep -q 'somebody else\|lock was lost' one || { cat one; fail "the first of two"; }
        [ $second = 0 ] || grep -q 'somebody else\|lock was lost' two || { cat two; fail "the second of two"; }
        verify "two at once"
        [ $first = 0 ] || s3 -q publish 24.11.7
        [ $second = 0 ] || s3 -q publish 25.11.4
        verify "two at once, both repeated" "25.11.4+0 25.05.2+1 24.11.7+0 24.11.6+1 24.11.5+0"
done
echo "all as expected"
