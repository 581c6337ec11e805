#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Publishing to S3, against s3rver: order, what is sent, headers, parts, two publishers at once, and the publisher killed at
# each request. After every run the repository is read over HTTP by a new node and every blob of the index is compared.
set -euo pipefail
: "${top_srcdir:=.}" "${top_builddir:=.}"

top_builddir=$(realpath "$top_builddir") top_srcdir=$(realpath "$top_srcdir")
s3rver=${SF_TEST_S3RVER:-${SF_TEST_CACHE:-$top_builddir/tests/cache}/npm/node_modules/.bin/s3rver}
for tool in node python3; do
        command -v "$tool" >/dev/null || { echo "skipped: no $tool here"; exit 77; }
done
[ -x "$s3rver" ] || { echo "skipped: no s3rver (tests/kit/setup.sh installs it with npm, or SF_TEST_S3RVER names it)"; exit 77; }
client=$top_builddir/tests/sf-tuf-client
for name in $(env | sed -n 's/^\(AWS_[A-Z0-9_]*\)=.*/\1/p'); do unset "$name"; done
unset SLURM_FACTORY_CACHE_DIR SOURCE_DATE_EPOCH http_proxy https_proxy HTTPS_PROXY all_proxy ALL_PROXY no_proxy NO_PROXY
scratch=$(mktemp -d)
server=
proxy=
cleanup() {
        exec 9>&- || true # the proxy ends with its standard input
        [ -z "$server" ] || kill "$server" || true
        [ -z "$proxy" ] || wait "$proxy" || true
        rm -rf "$scratch"
}
trap cleanup EXIT
cd "$scratch"
export HOME=$scratch/home
mkdir home proxy data

fail() { echo "FAILED: $*" >&2; [ ! -e said ] || tail -n 5 said >&2; exit 1; }

# --- a store, and a proxy before it -------------------------------------------------------------------------------------

port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
node "$s3rver" -s -d data -a 127.0.0.1 -p "$port" --configure-bucket slurm >server.log 2>&1 &
server=$!
for _ in $(seq 100); do
        (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null && break
        sleep 0.1
done
mkfifo stdin
python3 "$top_srcdir/tests/kit/s3-proxy.py" "$port" proxy <stdin >proxy.port &
proxy=$!
exec 9>stdin
for _ in $(seq 100); do
        [ -s proxy.port ] && break
        sleep 0.1
done
at=http://127.0.0.1:$(cat proxy.port)
mkdir home/.aws
printf '[other]\naws_access_key_id = X\n[default]\naws_access_key_id = S3RVER\naws_secret_access_key=S3RVER\n' >home/.aws/credentials
printf '[default]\nregion = us-east-1\ns3 =\n  region = nowhere\n' >home/.aws/config

factory() { "$top_builddir/slurm-factory" --cache "${cache:-cache}" --data "$top_srcdir/etc" "$@"; }
s3() { factory "$@" --repo s3://slurm/site --endpoint "$at" --keys keys; }
requests() { grep -cE "$1" proxy/log || true; }

placeholder=/media/$(printf 'x%.0s' {1..280})
release() { # VERSION [MIB]
        mkdir -p "tree-$1/sbin"
        printf '#!/bin/sh\n# %s/sbin\necho slurm %s\n' "$placeholder" "$1" >"tree-$1/sbin/slurmd"
        chmod 755 "tree-$1/sbin/slurmd"
        cp random "tree-$1/sbin/data"
        [ $# -lt 2 ] || head -c "${2}M" /dev/urandom >"tree-$1/sbin/large"
        factory -q import "tree-$1" --placeholder "$placeholder" --slurm-version "$1" --toolchain test >>said 2>&1
}
head -c 20000 /dev/urandom >random
for version in 24.11.5 24.11.6 25.05.2; do release $version; done
release 25.11.4 20

# What a node sees: OFFERED is what the index must hold.
verify() { # WHERE OFFERED
        rm -rf fresh got && mkdir fresh got
        curl -fsS "$at/slurm/site/metadata/1.root.json" >root.json 2>>said || fail "$1: no root"
        "$client" --metadata-dir fresh init root.json >said 2>&1 || fail "$1: a root that cannot be pinned"
        "$client" --metadata-url "$at/slurm/site/metadata" --metadata-dir fresh --target-dir got --target-base-url \
                "$at/slurm/site/targets" --target-name index/test-amd64.json download >said 2>&1 || {
                grep -q "no trusted role lists" said && [ -z "${2-}" ] && return 0
                fail "$1: a new node does not accept the repository"
        }
        python3 - "$at/slurm/site" got/* >offered <<-'END' || fail "$1: a blob is missing or damaged"
	import hashlib, json, sys, urllib.request
	def need(blob):
	    with urllib.request.urlopen("%s/blobs/sha256/%s" % (sys.argv[1], blob["sha256"])) as f: content = f.read()
	    assert len(content) == blob["size"] and hashlib.sha256(content).hexdigest() == blob["sha256"], blob
	    return content
	with open(sys.argv[2]) as f: index = json.load(f)
	for release in index["releases"]:
	    manifest = json.loads(need(release["manifest"]))
	    need(release["filelist"])
	    for part in [manifest["config"]] + manifest["layers"]:
	        need({"sha256": part["digest"].split(":")[1], "size": part["size"]})
	    for delta in release["deltas"]:
	        need(delta["filelist"])
	        need(delta["content"])
	print(*["%s+%d" % (r["name"].split("-")[0], len(r["deltas"])) for r in index["releases"]])
	END
        [ -z "${2-}" ] || [ "$(cat offered)" = "$2" ] || fail "$1: offers $(cat offered), not $2"
}

# --- keys, regions, addresses -------------------------------------------------------------------------------------------

expect() { # CODE PATTERN COMMAND...
        local code=$1 pattern=$2 got=0
        shift 2
        "$@" >said 2>&1 || got=$?
        [ "$got" = "$code" ] || fail "exit code $got instead of $code: $*"
        grep -q -- "$pattern" said || fail "nothing says '$pattern': $*"
}
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
header "blobs/sha256/$blob" cache-control | grep -q 'max-age=31536000, immutable' || fail "Cache-Control of a blob"
header metadata/timestamp.json cache-control | grep -q 'max-age=60$' || fail "Cache-Control of the timestamp"
header index.json cache-control | grep -q 'max-age=60$' || fail "Cache-Control of index.json"
header metadata/1.root.json content-type | grep -q 'application/json' || fail "Content-Type of metadata"
header "blobs/sha256/$blob" content-type | grep -q 'application/octet-stream' || fail "Content-Type of a blob"

# Tar files at the addresses that scripts know; an older release does not replace a newer one's.
tar=test/24.11/amd64/slurm-24.11-test-amd64-software.tar.gz
s3 publish 24.11.5 24.11.6 --tarball >said 2>&1 || fail "publish --tarball"
grep -q '24.11.5.*24.11.6-test-amd64 is newer' said || fail "two releases of a series"
header $tar cache-control | grep -q 'max-age=60$' || fail "Cache-Control of a tar file"
header $tar content-type | grep -q 'application/gzip' || fail "Content-Type of a tar file"
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

run() { # in the background, so that its number is known to the proxy
        ( echo "$BASHPID" >proxy/pid; exec "$top_builddir/slurm-factory" --cache "${cache:-cache}" --data "$top_srcdir/etc" \
                "$@" --repo s3://slurm/site --endpoint "$at" --keys keys >said 2>&1 ) &
        wait $! 2>/dev/null
}
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
