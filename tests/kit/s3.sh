# SPDX-License-Identifier: Apache-2.0
# For tests of repositories in a bucket, sourced: s3rver, a proxy before it that logs and kills, small releases, and what a new node
# makes of the repository. Leaves the test in a scratch directory. What `clock` holds (env LD_PRELOAD=...)
# is put before the store, slurm-factory and the node. proxy_data=data: the proxy lists uploads in parts, see there.

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

. "$top_srcdir/tests/kit/expect.sh"

# --- a store, and a proxy before it -------------------------------------------------------------------------------------

port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
start_store() {
        "${clock[@]}" node "$s3rver" -s -d data -a 127.0.0.1 -p "$port" --configure-bucket slurm >server.log 2>&1 &
        server=$!
        for _ in $(seq 100); do
                (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null && return
                sleep 0.1
        done
        fail "s3rver does not start"
}
clock=()
start_store
mkfifo stdin
python3 "$top_srcdir/tests/kit/s3-proxy.py" "$port" proxy ${proxy_data:+"$proxy_data"} <stdin >proxy.port &
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

factory() { "${clock[@]}" "$top_builddir/slurm-factory" --cache "${cache:-cache}" --data "$top_srcdir/etc" "$@"; }
s3() { factory "$@" --repo s3://slurm/site --endpoint "$at" --keys keys; }
run() { # in the background, so that its number is known to the proxy
        ( echo "$BASHPID" >proxy/pid; exec "${clock[@]}" "$top_builddir/slurm-factory" --cache "${cache:-cache}" --data "$top_srcdir/etc" \
                "$@" --repo s3://slurm/site --endpoint "$at" --keys keys >said 2>&1 ) &
        wait $! 2>/dev/null
}
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
# What a node sees: OFFERED is what the index must hold.
verify() { # WHERE OFFERED
        rm -rf fresh got && mkdir fresh got
        curl -fsS "$at/slurm/site/metadata/1.root.json" >root.json 2>>said || fail "$1: no root"
        "${clock[@]}" "$client" --metadata-dir fresh init root.json >said 2>&1 || fail "$1: a root that cannot be pinned"
        "${clock[@]}" "$client" --metadata-url "$at/slurm/site/metadata" --metadata-dir fresh --target-dir got --target-base-url \
                "$at/slurm/site/targets" --target-name index/test-amd64.json download >said 2>&1 || {
                grep -q "no trusted role lists" said && [ -z "${2-}" ] && return 0
                fail "$1: a new node does not accept the repository"
        }
        python3 "$top_srcdir/tests/kit/offered.py" "$at/slurm/site" got/* >offered || fail "$1: a blob is missing or damaged"
        [ -z "${2-}" ] || [ "$(cat offered)" = "$2" ] || fail "$1: offers $(cat offered), not $2"
}
