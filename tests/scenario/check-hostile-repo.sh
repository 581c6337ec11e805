#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# sf-node against repositories and servers that lie, and at bad moments: each time the documented exit code, one clear line,
# nothing half-made, and `view` still on the release it was on. Prints a table.
set -euo pipefail

command -v python3 >/dev/null || { echo "skipped: no python3 here"; exit 77; }
unset http_proxy https_proxy HTTPS_PROXY all_proxy ALL_PROXY no_proxy NO_PROXY SLURM_FACTORY_CACHE_DIR
top_builddir=$(realpath "$top_builddir") top_srcdir=$(realpath "$top_srcdir")
work=$(mktemp -d)
server=
background=
failures=0
cleanup() {
        exec 9>&- || true # the server ends with its standard input
        [ -z "$background" ] || kill -KILL "$background" 2>/dev/null || true
        [ -z "$server" ] || wait "$server" || true
        rm -rf "$work"
}
trap cleanup EXIT
cd "$work"

# --- two releases, published and signed -------------------------------------------------------------------------------

factory() {
        "$top_builddir/slurm-factory" --cache cache --data "$top_srcdir/etc" -q "$@"
}
placeholder=/media/$(printf 'x%.0s' {1..280})
# release VERSION: a tree with a program that names its prefix, and content that does not compress
release() {
        mkdir -p "tree-$1/sbin" "tree-$1/lib"
        printf '#!/bin/sh\n# %s/sbin\necho slurm %s\n' "$placeholder" "$1" >"tree-$1/sbin/slurmd"
        chmod 755 "tree-$1/sbin/slurmd"
        head -c 2000000 /dev/urandom >"tree-$1/lib/libslurm.so"
        factory import "tree-$1" --placeholder "$placeholder" --slurm-version "$1" --toolchain test
}
release 24.11.5
release 25.11.1
factory keys init --repo repo --keys keys
factory publish 24.11.5 25.11.1 --repo repo --keys keys

# The same releases, signed by somebody else; not signed at all; cut off; with another file's bytes.
factory keys init --repo other --keys other-keys
factory publish 24.11.5 25.11.1 --repo other --keys other-keys
for name in unsigned cut swapped; do cp -a repo $name; done
for file in unsigned/metadata/*.json; do
        python3 - "$file" <<-'END'
	import json, sys
	with open(sys.argv[1]) as f: metadata = json.load(f)
	metadata["signatures"] = []
	with open(sys.argv[1], "w") as f: json.dump(metadata, f)
	END
done
cp -a repo lost
rm lost/targets/index/*.json
truncate -s -10 cut/metadata/timestamp.json
mapfile -t blobs < <(find swapped/blobs -size +1000k | sort)
cp "${blobs[0]}" swapped/first
cp "${blobs[1]}" "${blobs[0]}"
cp swapped/first "${blobs[1]}"

mkfifo stdin
python3 "$top_srcdir/tests/kit/hostile-server.py" --directory repo <stdin >ports 2>server.log &
server=$!
exec 9>stdin
for _ in $(seq 100); do
        grep -q ready ports && break
        kill -0 "$server" || { cat server.log; exit 99; }
        sleep 0.1
done
http=http://127.0.0.1:$(sed -n 's/^http //p' ports)

# --- the node ---------------------------------------------------------------------------------------------------------

mkdir -p root/etc root/opt/slurm/releases
toolchain=test
printf '[repository]\nretries = 1\nstall_timeout = 2\nclock_wait = 1\n' >conf
# node BASE VERB...: output in ./said, exit code in $code
node() {
        code=0
        timeout 60 ${clock:+faketime -f "$clock"} "${SF_NODE:-$top_builddir/sf-node}" --config conf --root "$work/root" --toolchain "$toolchain" --arch amd64 --repo "$@" \
                >out 2>said 9>&- || code=$?
}
# The state of the node in a line: what view points to, and what lies in releases/.
state() {
        echo "view -> $(readlink root/opt/slurm/view) [$(cd root/opt/slurm/releases && echo *)]"
}
# expect WHAT CODE PATTERN [STATE]: judges the last node run. PATTERN is about the last line of standard error.
expect() {
        local ok=ok now
        now=$(state)
        [ "$code" = "$2" ] || ok="NOT OK: exit code $code"
        tail -1 said | grep -E "$3" >/dev/null || ok="NOT OK: message"
        [ "$now" = "${4-$before}" ] || ok="NOT OK: state $now instead of ${4-$before}"
        printf '%-52s exit %s  %s\n' "$1" "$2" "$ok"
        [ "$ok" = ok ] || failures=$((failures + 1))
        sed 's/^/        /' said | tail -3
}

node "$http/plain" trust repo/metadata/1.root.json
node "$http/plain" install 24.11.5
before="view -> releases/24.11.5-test [24.11.5-test]"
expect "a good repository" 0 ""
both="view -> releases/25.11.1-test [24.11.5-test 25.11.1-test]"

node "$http/halves" install 25.11.1
expect "layers stop half way" 3 "failed.*; still on 24.11.5"
node "$http/flipped" install 25.11.1
expect "a flipped bit in a layer" 3 "failed.*; still on 24.11.5"
node "$http/shorter" install 25.11.1
expect "metadata stops half way" 3 "failed.*; still on 24.11.5"
node "$http/endless_timestamp" install 25.11.1
expect "endless metadata" 3 "failed.*more than.*; still on 24.11.5"
node "$http/busy" install 25.11.1
expect "503 for ever" 3 "failed.*503.*; still on 24.11.5"
node "$http/redirect_loop" install 25.11.1
expect "redirects in a circle" 3 "failed.*redirects.*; still on 24.11.5"
node http://127.0.0.1:1 install 25.11.1
expect "nobody listens" 3 "failed.*connect.*; still on 24.11.5"
node "file://$work/unsigned" install 25.11.1
expect "unsigned metadata" 3 "failed.*; still on 24.11.5"
node "file://$work/other" install 25.11.1
expect "signed by somebody else" 3 "failed.*; still on 24.11.5"
node "file://$work/cut" install 25.11.1
expect "a timestamp without its last bytes" 3 "failed.*; still on 24.11.5"
rm -rf root/var/lib/sf-node/cache
node "file://$work/lost" install 25.11.1
expect "an index that is signed and not there" 3 "failed.*metadata lists it, the repository lacks it; still on 24.11.5"
node "file://$work/swapped" install 25.11.1
expect "another layer's bytes" 3 "failed.*; still on 24.11.5"
node "file://$work/nothing-here" install 25.11.1
expect "an empty directory for a repository" 3 "failed.*; still on 24.11.5"
clock=
if command -v faketime >/dev/null; then
        clock=+60d
        node "$http/plain" install 25.11.1
        expect "metadata past its date" 3 "failed.*expired.*; still on 24.11.5"
        node "$http/plain" verify
        expect "what is installed is verified all the same" 0 ""
        clock=-9000d
        node "$http/plain" install 25.11.1
        expect "a clock before sf-node was built" 3 "failed.*clock.*before.*; still on 24.11.5"
        clock=
else
        echo "skipped: expired metadata (no faketime here)"
fi
toolchain=nosuch
node "$http/plain" install 25.11.1
toolchain=test
expect "no release for this toolchain" 3 "nosuch.*; still on 24.11.5"
node "$http/plain" --prefix "$(printf '/opt/far%.0s' {1..40})" install 25.11.1
expect "a prefix that does not fit" 3 "failed.*prefix"

# --- bad moments ------------------------------------------------------------------------------------------------------

# during COMMAND...: while an install from a slow server runs, and its layer is on the way
during() {
        "${SF_NODE:-$top_builddir/sf-node}" --config conf --root "$work/root" --toolchain "$toolchain" --arch amd64 --repo "$http/slowly" \
                install 25.11.1 >out-slow 2>said-slow 9>&- &
        background=$!
        for _ in $(seq 50); do
                [ -z "$(find root/opt/slurm/releases -maxdepth 1 -name '.incoming*')" ] || break
                sleep 0.1
        done
        "$@"
        code=0
        wait $background || code=$?
        background=
}
second_agent() {
        node "$http/plain" install 25.11.1
        expect "a second agent at once" 3 "failed.*another.*; still on 24.11.5"
        kill -TERM $background
}
during second_agent
cp said-slow said
expect "SIGTERM while a layer arrives" 3 "interrupted.*; still on 24.11.5"
# shellcheck disable=SC2016  # expanded later
during eval 'sleep 0.5; kill -KILL $background' 2>/dev/null
echo killed >said
expect "SIGKILL while a layer arrives" 137 "killed"
[ -n "$(find root/opt/slurm/releases -maxdepth 1 -name '.incoming*')" ] ||
        { echo "SIGKILL came too late to prove anything"; failures=$((failures + 1)); }
node "$http/breaks_once" install 25.11.1
expect "the run after it, over connections that break" 0 "" "$both"
[ -z "$(find root/opt/slurm/releases -maxdepth 1 -name '.incoming*')" ] ||
        { echo "the killed run's leftovers are still there"; failures=$((failures + 1)); }
before=$both
node "$http/plain" verify
expect "and the result is whole" 0 ""

# --- full disks: a tmpfs of its own for each ---------------------------------------------------------------------------

# full OPTIONS: installs into a file system that is too small; output in ./said
full() {
        code=0
        mkdir -p full
        # shellcheck disable=SC2016  # expanded in there
        unshare -rm bash -c 'mount -t tmpfs -o "$1" none "$PWD/full"
                "$2/sf-node" --config conf --root "$PWD/full" --toolchain test --arch amd64 --repo "$3" -q \
                        trust repo/metadata/1.root.json
                "$2/sf-node" --config conf --root "$PWD/full" --toolchain test --arch amd64 --repo "$3" install 25.11.1' \
                - "$1" "$top_builddir" "$http/plain" >out 2>said 9>&- || code=$?
}
if unshare -rm true 2>/dev/null; then
        full size=1500k
        expect "a disk with too few bytes" 3 "failed.*(space|bytes)"
        full size=100m,nr_inodes=30
        expect "a disk with too few inodes" 3 "failed.*(space|inodes)"
else
        echo "skipped: full disks (no user namespaces here)"
fi

echo "$failures not ok"
[ "$failures" = 0 ]
