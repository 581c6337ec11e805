#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Each name in the state directory as something that it is not: a directory, a FIFO, a socket, a link. Every verb says which and what
# to do, changes nothing, and waits for nobody. A lock takes the place of what is no directory or link.
set -euo pipefail
command -v python3 >/dev/null || { echo "skipped: no python3 here"; exit 77; }
top_builddir=$(realpath "$top_builddir") top_srcdir=$(realpath "$top_srcdir")
unset http_proxy https_proxy HTTPS_PROXY all_proxy ALL_PROXY no_proxy NO_PROXY SLURM_FACTORY_CACHE_DIR
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
. "$top_srcdir/tests/kit/expect.sh"
. "$top_srcdir/tests/kit/small-node.sh"
# What waits for the other end of a FIFO is ended, with exit code 124.
agent() { timeout 20 "${SF_NODE:-$top_builddir/sf-node}" --config conf --root root "$@"; }
small_node
state=root/var/lib/sf-node
cp -a $state kept

# put KIND NAME: in the place of what is there
put()
{
        rm -rf "${state:?}/$2"
        mkdir -p "$(dirname "$state/$2")"
        case $1 in
        directory) mkdir "$state/$2" ;;
        FIFO) mkfifo "$state/$2" ;;
        # The path of a socket has a limit.
        socket) (cd "$(dirname "$state/$2")" && python3 -c 'import socket, sys; socket.socket(socket.AF_UNIX).bind(sys.argv[1])' "$(basename "$2")") ;;
        link) ln -s nowhere "$state/$2" ;;
        esac
}
try() # KIND NAME
{
        put "$1" "$2"
        case $1$2 in
        FIFO*lock | socket*lock)
                expect 0 '' agent list
                [ -f "$state/$2" ] || fail "$2 is still a $1"
                return
                ;;
        esac
        for verb in upgrade "upgrade --dry-run" list "trust repo/metadata/1.root.json"; do
                # shellcheck disable=SC2086
                expect 3 "/$2 is a.* $1.*, where sf-node keeps a" agent $verb
                grep -E ': (move it away|mend or remove it)' said >/dev/null || fail "$1 $2: not said what to do: $verb"
                [ "$(wc -l <said)" -le 2 ] || fail "$1 $2: more than that is said: $verb"
        done
        # Those that read alone, and recovery at boot, end as well.
        [ "$1" != FIFO ] || for verb in status log doctor recover "verify 24.11.4" "gc --dry-run"; do
                # shellcheck disable=SC2086
                agent $verb >said 2>&1 || [ $? != 124 ] || fail "$1 $2: $verb hangs"
        done
        rm -rf "${state:?}"
        cp -a kept $state
}
count=0
for name in lock .lock state.json transaction.json history.jsonl expected-units drained.json slurmdbd-first-start.log \
        controller/phase.json database/converting metadata/root.json metadata/timestamp.json; do
        kinds="directory FIFO"
        case $name in lock | .lock | state.json | transaction.json) kinds="directory FIFO socket link" ;; esac
        for kind in $kinds; do
                try "$kind" "$name"
                count=$((count + 1))
        done
done
for name in failed units metadata cache; do
        for kind in FIFO link; do
                try $kind "$name"
                count=$((count + 1))
        done
done
[ "$(readlink root/opt/slurm/view)" = releases/24.11.4-test ] || fail "something was switched"

# What may not be read, for one who is not above that. (A lock of another mode is made anew.)
if [ "$(id -u)" = 0 ]; then
        for name in state.json transaction.json; do
                : >>$state/$name
                chmod 000 $state/$name
                got=0
                timeout 20 setpriv --bounding-set=-dac_override,-dac_read_search "${SF_NODE:-$top_builddir/sf-node}" --config conf --root root \
                        upgrade >said 2>&1 || got=$?
                [ $got != 0 ] && [ $got != 124 ] || fail "an unreadable $name: exit code $got"
                grep "cannot open .*/$name: Permission denied" said >/dev/null || fail "an unreadable $name is not named"
                rm -rf "${state:?}"
                cp -a kept $state
        done
fi
# A directory may lie elsewhere.
mv $state/metadata elsewhere
ln -s "$work/elsewhere" $state/metadata
expect 0 '24.11.5-test-amd64 is active' agent upgrade
echo "$count names of the wrong kind, each named"
