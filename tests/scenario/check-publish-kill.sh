#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# slurm-factory killed at each system call that changes a repository or a directory of keys, and such calls failing: at every
# moment a node that comes for the first time and one that was there before find a repository that they accept, every key in
# force has its private half at hand, and the same command given again arrives where it would have.
set -euo pipefail
: "${top_srcdir:=.}" "${top_builddir:=.}"

for tool in strace python3; do
        command -v "$tool" >/dev/null || { echo "skipped: no $tool here"; exit 77; }
done
top_builddir=$(realpath "$top_builddir") top_srcdir=$(realpath "$top_srcdir")
client=$top_builddir/tests/sf-tuf-client
unset SLURM_FACTORY_CACHE_DIR SOURCE_DATE_EPOCH
export ASAN_OPTIONS=detect_leaks=0 # a leak check cannot run under ptrace
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
cd "$scratch"
strace -o probe true 2>/dev/null || { echo "skipped: no permission to trace"; exit 77; }

fail() { echo "FAILED: $*" >&2; tail -n 5 said >&2; exit 1; }
factory() { "$top_builddir/slurm-factory" --cache "$scratch/cache" --data "$top_srcdir/etc" -q "$@"; }
at() { # DIRECTORY VERB...: with that directory's repository and keys
        local directory=$1
        shift
        factory "$@" --repo "$directory/repo" --keys "$directory/keys"
}

placeholder=/media/$(printf 'x%.0s' {1..280})
release() { # VERSION: 20 kB that do not compress, and a few that change
        mkdir -p "tree-$1/sbin"
        printf '#!/bin/sh\n# %s/sbin\necho slurm %s\n' "$placeholder" "$1" >"tree-$1/sbin/slurmd"
        chmod 755 "tree-$1/sbin/slurmd"
        cp random "tree-$1/sbin/data"
        factory import "tree-$1" --placeholder "$placeholder" --slurm-version "$1" --toolchain test >>said 2>&1
}
head -c 20000 /dev/urandom >random
for version in 24.11.5 24.11.6 25.05.2; do release $version; done

# --- what must hold at every moment -----------------------------------------------------------------------------------

look() { # DIRECTORY NODE: the node refreshes, takes the index, and every blob of it is there
        local directory=$1 node=$2
        "$client" --metadata-url "file://$directory/repo/metadata" --metadata-dir "$node" refresh >>said 2>&1 || return 1
        rm -rf got && mkdir got
        "$client" --metadata-url "file://$directory/repo/metadata" --metadata-dir "$node" --target-dir got \
                --target-base-url "file://$directory/repo/targets" --target-name index/test-amd64.json download \
                >>said 2>&1 || { grep -q "no trusted role lists" said && return 0; return 1; }
        python3 "$top_srcdir/tests/kit/offered.py" "file://$directory/repo" got/* >/dev/null
}
accepted() { # DIRECTORY WHERE
        local directory=$1
        [ -e "$directory/repo/metadata/1.root.json" ] || return 0 # nobody can have come yet
        : >said
        rm -rf fresh && mkdir fresh
        "$client" --metadata-dir fresh init "$directory/repo/metadata/1.root.json" >>said 2>&1 || fail "$2: a root that cannot be pinned"
        look "$directory" fresh || fail "$2: a new node does not accept the repository"
        if [ -d node ]; then
                rm -rf again && cp -r node again
                look "$directory" again || fail "$2: a node that was there before does not accept the repository"
        fi
        at "$directory" keys show >shown 2>>said || fail "$2: keys show"
        ! grep -q "private key elsewhere" shown || { cat shown; fail "$2: a key in force has no private half"; }
}

# A run that a fault did not end is worth nothing: how many were.
# What a killed run leaves differs only by the names that it made or took away: files are written beside and renamed.
calls=rename,renameat,renameat2,unlink,unlinkat,mkdir,mkdirat
runs=0 ended=0
# everywhere NAME FAULT CALLS VERB...: from the state in ./from, the verb with the fault at each of these calls
everywhere() {
        local name=$1 fault=$2 wanted=$3 point call number
        shift 3
        rm -rf to && cp -r from to
        ( strace -f -qq -o trace -e "trace=$wanted" -e signal=none "$top_builddir/slurm-factory" --cache cache -q "$@" \
                --repo to/repo --keys to/keys >>said 2>&1 ) || fail "$name: does not work untouched"
        accepted "$PWD/to" "$name"
        mapfile -t points < <(sed -E 's/^[0-9]+ +//; s/\(.*//' trace | awk '{ print $1, ++seen[$1] }')
        [ ${#points[@]} -ge 3 ] || fail "$name: no calls were seen"
        for point in "${points[@]}"; do
                read -r call number <<<"$point"
                rm -rf work && cp -r from work
                runs=$((runs + 1))
                ( strace -f -qq -o trace -e "trace=$call" -e signal=none -e "inject=$call:$fault:when=$number" \
                        "$top_builddir/slurm-factory" --cache cache -q "$@" --repo work/repo --keys work/keys \
                        >>said 2>&1
                  exit $? ) 2>>said || ended=$((ended + 1))
                accepted "$PWD/work" "$name, $fault at $point"
                # What a repetition may refuse: what is done already.
                factory "$@" --repo work/repo --keys work/keys >said 2>&1 || grep -q "already has a root\|is not withdrawn" said ||
                        fail "$name, $fault at $point: cannot be repeated"
                accepted "$PWD/work" "$name, $fault at $point, repeated"
                "check_$name" || fail "$name, $fault at $point: not the end that was wanted"
        done
        echo "$name: $fault at each of ${#points[@]} calls"
}

# --- the ceremonies ---------------------------------------------------------------------------------------------------

check_init() { [ "$(at work keys show | wc -l)" = 8 ]; }
mkdir from
everywhere init signal=KILL $calls keys init
mv to from.new && rm -rf from && mv from.new from
at from publish 24.11.5 >>said 2>&1
mkdir node
"$client" --metadata-dir node init from/repo/metadata/1.root.json >>said
look "$PWD/from" node

# A rotation that was visible is not undone by its repetition: one key more, never one less.
check_rotate() { at work publish 24.11.6 >>said 2>&1 && accepted "$PWD/work" "publishing after a rotation"; }
for role in root timestamp releases targets; do
        everywhere rotate signal=KILL $calls keys rotate $role
done
# The file system that fails after the new root became visible.
everywhere rotate error=EIO rename,renameat,renameat2,fsync keys rotate root
everywhere rotate error=EIO rename,renameat,renameat2,fsync keys rotate releases

# --- releases ---------------------------------------------------------------------------------------------------------

offered() { python3 -c 'import json, sys; print(*[r["name"] + "+%d" % len(r["deltas"]) for r in json.load(open(sys.argv[1]))["releases"]])' got/*; }
check_publish() { look "$PWD/work" fresh && [ "$(offered)" = "24.11.6-test-amd64+1 24.11.5-test-amd64+0" ]; }
everywhere publish signal=KILL $calls publish 24.11.6 --delta-from 24.11.5
rm -rf from && mv to from
check_withdraw() { grep -q '"reason":"leaks"' work/repo/targets/rollout/* && ! grep -q '"24.11.6-test"' work/repo/index.json; }
everywhere withdraw signal=KILL $calls withdraw 24.11.6 --reason leaks
rm -rf from && mv to from
check_undo() { grep -q '"24.11.6-test"' work/repo/index.json; }
everywhere undo signal=KILL $calls withdraw 24.11.6 --undo
rm -rf from && mv to from
check_refresh() { true; }
everywhere refresh signal=KILL $calls refresh

# --- prune ------------------------------------------------------------------------------------------------------------

at from publish 25.05.2 >>said 2>&1
touch -d '3 days ago' from/repo/blobs/sha256/* from/repo/targets/*/* from/repo/metadata/*
echo garbage >from/repo/blobs/sha256/$(printf 'a%.0s' {1..64})
check_prune() {
        look "$PWD/work" fresh && [ "$(offered)" = "25.05.2-test-amd64+0 24.11.6-test-amd64+0" ] &&
                [ ! -e "work/repo/blobs/sha256/$(printf 'a%.0s' {1..64})" ]
}
everywhere prune signal=KILL $calls prune --keep 1 --grace-days 0
echo "$ended of $runs runs ended early"
[ "$ended" -gt $((runs * 9 / 10)) ] || fail "the faults did not arrive"
