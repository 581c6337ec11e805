#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# What an upgrade may cost, counted by the server (nginx) and by the kernel: bytes over the network by each way, bytes read and
# written on the node, and what is fetched again after a kill. Prints a table.
set -euo pipefail

nginx=$(PATH=$PATH:/usr/sbin command -v nginx) || { echo "skipped: no nginx here"; exit 77; }
. "$top_srcdir/tests/kit/nginx.sh"
command -v python3 >/dev/null || { echo "skipped: no python3 here"; exit 77; }
unset http_proxy https_proxy HTTPS_PROXY all_proxy ALL_PROXY no_proxy NO_PROXY SLURM_FACTORY_CACHE_DIR
export LC_ALL=C
top_builddir=$(realpath "$top_builddir") top_srcdir=$(realpath "$top_srcdir")
work=$(mktemp -d)
server=
hostile=
failures=0
cleanup() {
        exec 9>&- || true # the hostile server ends with its standard input
        [ -z "$server" ] || { kill "$server" && wait "$server" || true; }
        [ -z "$hostile" ] || wait "$hostile" || true
        rm -rf "$work"
}
trap cleanup EXIT
cd "$work"

# --- releases: 128 files of 1 MB in frames of some 12 MB, and eight small ones ------------------------------------------

factory() { "$top_builddir/slurm-factory" --cache cache --data "$top_srcdir/etc" -q "$@"; }
placeholder=/media/$(printf 'x%.0s' {1..280})
mkdir tree tree/sbin
printf '#!/bin/sh\n# %s/sbin\n' "$placeholder" >tree/sbin/slurmd
# change VERSION: from a new directory tree to what VERSION has instead. Big files repeat 40 kB of their own, so that packing
# is quick and a frame still has some hundred kB.
change() {
        python3 - "$1" <<'END'
import os, random, sys
def write(name, size, seed, repeat=1):
    os.makedirs("tree/lib", exist_ok=True)
    with open("tree/lib/" + name, "wb") as file:
        file.write(random.Random(seed).randbytes(size) * repeat)
def edit(name):
    with open("tree/lib/" + name, "r+b") as file:
        file.seek(20000)
        file.write(random.Random(name).randbytes(1000))
if sys.argv[1] == "24.11.1":
    for n in range(128): write(f"big-{n:03}", 40000, n, 25)
    for n in range(8): write(f"small-{n}", 50000, 100 + n)
elif sys.argv[1] == "24.11.2":  # eight small edits in a frame, and one in another
    for n in range(8): edit(f"small-{n}")
    edit("big-060")
elif sys.argv[1] == "24.11.3":  # at both ends of the layer
    edit("big-000"), edit("big-127")
END
}
for version in 24.11.1 24.11.2 24.11.3; do
        change "$version"
        factory import tree --placeholder "$placeholder" --slurm-version "$version" --toolchain test
done
factory keys init --repo repo --keys keys
factory publish 24.11.1 24.11.2 --delta-from 24.11.1 --repo repo --keys keys
factory publish 24.11.3 --repo repo --keys keys
tree_size=$(du -sb tree | cut -f1)
delta=repo/blobs/sha256/$(cat repo/targets/index/*test-amd64.json | sed -nE '1s/.*"codec":"[a-z]*","content":\{"sha256":"([0-9a-f]*)".*/\1/p')
[ -f "$delta" ] || { echo "no delta in the index"; exit 99; }
cp -a repo flipped
python3 -c 'import sys; f = open(sys.argv[1], "r+b"); f.seek(-9, 2); b = f.read(1); f.seek(-1, 1); f.write(bytes([b[0] ^ 4]))' "flipped/${delta#repo/}"
cp -a repo lost
rm "lost/${delta#repo/}"

# --- servers ------------------------------------------------------------------------------------------------------------

nginx_port
nginx_configure "$work" <<END
        log_format sent '\$status \$body_bytes_sent \$uri \$http_range';
        access_log $work/access.log sent;
        server {
                listen 127.0.0.1:$port;
                location /plain/ { alias $work/repo/; }
                location /gzip/ { alias $work/repo/; gzip on; gzip_types *; gzip_proxied any; }
                location /none/ { alias $work/repo/; max_ranges 0; }
                location /slow/ { alias $work/repo/; limit_rate 2000k; }
                location /flipped/ { alias $work/flipped/; }
                location /lost/ { alias $work/lost/; }
        }
END
nginx_start "$work"
server=$pid
mkfifo stdin
python3 "$top_srcdir/tests/kit/hostile-server.py" --directory repo <stdin >ports 2>hostile.log &
hostile=$!
exec 9>stdin
for _ in $(seq 100); do
        grep -q ready ports && break
        sleep 0.1
done
http=http://127.0.0.1:$port
drops=http://127.0.0.1:$(sed -n 's/^http //p' ports)/breaks_once

# --- the node -----------------------------------------------------------------------------------------------------------

printf '[repository]\nretries = 2\n' >conf
agent=("${SF_NODE:-$top_builddir/sf-node}" --config conf --root "$work/root" --toolchain test --arch amd64)
io() { awk -v what="$1" '$1 == what ":" { print $2 }' /proc/$$/io; } # children that were waited for are in it
# node LOCATION VERB...: exit code in $code, what it said in ./said; $fetched and $sent by agent and nginx, $read and $written by it
node() {
        local r w
        : >access.log
        r=$(io rchar) w=$(io wchar)
        code=0
        "${agent[@]}" --repo "$http/$1" --json "${@:2}" >out 2>said 9>&- || code=$?
        read=$(($(io rchar) - r)) written=$(($(io wchar) - w))
        fetched=$(sed -nE 's/.*"bytes_fetched": ?([0-9]+).*/\1/p' out)
        sent=$(awk '{ s += $2 } END { print s + 0 }' access.log)
}
fresh() { # [VERSION]: a node with nothing, or with that release
        rm -rf root
        mkdir root
        "${agent[@]}" -q --repo "$http/plain" trust repo/metadata/1.root.json 9>&-
        [ -z "${1-}" ] || node plain install "$1"
}
tree=root/opt/slurm/releases
# damage VERSION FILE: one byte, as a failing disk or a stray program would
damage() { printf X | dd of="$tree/$1-test/lib/$2" bs=1 seek=777 conv=notrunc status=none; }
# check WHAT CONDITION...: judges the last run; every condition is an arithmetic one
check() {
        local what=$1 condition ok=ok
        shift
        for condition in "code == 0" "$@"; do
                ((condition)) || ok="NOT OK: $condition"
        done
        printf '%-66s %9s fetched, %9s sent, %9s read  %s\n' "$what" "${fetched:--}" "$sent" "$read" "$ok"
        [ "$ok" = ok ] || { failures=$((failures + 1)); sed 's/^/        /' said out; }
}
says() { grep -qE "$1" said || { echo "NOT OK: does not say: $1"; sed 's/^/        /' said; failures=$((failures + 1)); }; }
# whole [VERSION]: every byte as signed
whole() {
        "${agent[@]}" -q --repo "$http/plain" verify "$1" >verified 2>&1 9>&- ||
                { echo "NOT OK: $1 is not whole"; tail -n 3 verified; failures=$((failures + 1)); }
        [ -z "$(find $tree -maxdepth 1 -name '.*' ! -name .lock ! -path $tree)" ] ||
                { echo "NOT OK: something is left in $tree"; failures=$((failures + 1)); }
}
plan() { sed -nE "s/.*\"$1\": ?([0-9]+|\"[a-z]*\").*/\1/p" out; } # a member of the last dry run

# --- the plan -----------------------------------------------------------------------------------------------------------

fresh
node plain install 24.11.1
full=$fetched
check "a first install" "fetched == sent" "fetched > 2500000"
largest=$(awk '$1 == "frame" && $2 > m { m = $2 } END { print m }' $tree/24.11.1-test/.sf-release/filelist)
frames=$(grep -c '^frame ' $tree/24.11.1-test/.sf-release/filelist)
[ "$frames" -ge 8 ] || { echo "only $frames frames: the test proves nothing"; exit 99; }
node plain upgrade --dry-run 24.11.2
delta_bytes=$(plan delta) ranges_bytes=$(plan ranges) full_bytes=$(plan full)
check "a dry run" "fetched == sent" "sent < 20000" "delta_bytes < ranges_bytes" "ranges_bytes < full_bytes" \
        "delta_bytes == $(stat -c %s "$delta")" "full_bytes > full - 15000" "full_bytes < full"
[ "$(plan way)" = '"delta"' ] || { echo "NOT OK: the plan takes $(plan way)"; failures=$((failures + 1)); }
metadata=$sent

# --- a delta, and what an upgrade reads and writes ----------------------------------------------------------------------

# 1.4 MB of bases are read and written anew; the lists and the program itself are some 100 kB more.
node plain upgrade 24.11.2
check "an upgrade by delta" "fetched == sent" "sent <= metadata + delta_bytes" "read < 5000000" "written < 3000000"
whole 24.11.2
[ "$(stat -c %h $tree/24.11.2-test/lib/big-007)" = 2 ] || { echo "NOT OK: unchanged files are not shared"; failures=$((failures + 1)); }

fresh 24.11.1
rm $tree/24.11.1-test/.sf-release/seen
node plain upgrade 24.11.2
check "... from a release that does not say how its files looked" "sent <= metadata + delta_bytes" "read > tree_size"
whole 24.11.2

fresh 24.11.1
cp -a root copy && rm -rf root && mv copy root
node plain upgrade 24.11.2
check "... from a copy of the tree" "sent <= metadata + delta_bytes" "read > tree_size"
whole 24.11.2

fresh 24.11.1
touch $tree/24.11.1-test/lib/big-*
node plain upgrade 24.11.2
check "... after somebody touched the files" "sent <= metadata + delta_bytes" "read > tree_size"
whole 24.11.2

# --- damaged bases --------------------------------------------------------------------------------------------------------

fresh 24.11.1
damage 24.11.1 big-020
node plain upgrade 24.11.2
check "an unchanged file is damaged: the delta, and one frame" "fetched == sent" "sent <= metadata + delta_bytes + largest"
says 'lib/big-020: damaged in the installed release'
whole 24.11.2

fresh 24.11.1
damage 24.11.1 big-060
damage 24.11.1 big-020
node plain upgrade 24.11.2
check "... and a file that the delta starts from: its old frame, too" "fetched == sent" "sent <= metadata + delta_bytes + 2 * largest" \
        "sent < ranges_bytes"
says 'lib/big-060: damaged in the installed release'
whole 24.11.2

fresh 24.11.1
damage 24.11.1 big-060
damage 24.11.1 small-3
node plain upgrade 24.11.2
check "so much is damaged that the delta is of no use: ranges" "fetched == sent" "sent <= metadata + delta_bytes + ranges_bytes"
says 'lib/small-3: damaged in the installed release'
says 'delta: .*costs more than it saves; trying the next way'
whole 24.11.2

fresh 24.11.1
cp -a $tree/24.11.1-test spare
damage 24.11.1 small-3
mv spare $tree/24.11.1-test-spare
node plain upgrade 24.11.2
check "... but another tree still has it: the delta" "fetched == sent" "sent <= metadata + delta_bytes"
whole 24.11.2

# --- a delta that is no good ------------------------------------------------------------------------------------------------

for location in flipped lost; do
        fresh 24.11.1
        node $location upgrade 24.11.2
        # What says "not there" is a page of nginx, some hundred bytes.
        check "a delta that is $location" "sent <= metadata + delta_bytes + ranges_bytes + 1000"
        says '^sf-node: .*delta: .*; trying the next way'
        whole 24.11.2
done

# One frame has it all: without the delta only a full download is left. What the first attempt had linked is written anew,
# so what was known of those files is true no more, least of all that they need no sync.
rm -r tree/lib && mkdir tree/lib
for n in $(seq 20); do head -c 5000 /dev/urandom >"tree/lib/same-$n"; done
for version in 24.11.1 24.11.2; do
        seq "${version##*.}" 20000 >tree/lib/other
        factory import tree --placeholder "$placeholder" --slurm-version "$version" --toolchain one
done
factory keys init --repo one --keys one-keys
factory publish 24.11.1-one 24.11.2-one --delta-from 24.11.1-one --repo one --keys one-keys
one=("${SF_NODE:-$top_builddir/sf-node}" --config conf --root "$work/root" --toolchain one --arch amd64 --repo "file://$work/one")
fresh
rm -rf root/var root/etc
"${one[@]}" -q trust one/metadata/1.root.json
"${one[@]}" -q install 24.11.1
fetched=- sent=- read=- # from file:, and nobody counts
delta=one/blobs/sha256/$(cat one/targets/index/*one-amd64.json | sed -nE '1s/.*"codec":"[a-z]*","content":\{"sha256":"([0-9a-f]*)".*/\1/p')
python3 -c 'import sys; f = open(sys.argv[1], "r+b"); f.seek(-9, 2); b = f.read(1); f.seek(-1, 1); f.write(bytes([b[0] ^ 4]))' "$delta"
code=0
"${one[@]}" --json upgrade 24.11.2 >out 2>said || code=$?
check "a delta that is no good where all frames have something new"
says '^sf-node: .*delta: .*; trying the next way'
python3 - $tree/24.11.2-one <<'END' || { echo "NOT OK: the record of how its files look is wrong"; failures=$((failures + 1)); }
import os, sys
entries = (line.split() for line in open(sys.argv[1] + "/.sf-release/filelist"))
files = [fields[-1] for fields in entries if fields[0] == "f"]
seen = open(sys.argv[1] + "/.sf-release/seen").read().splitlines()[1:]
assert len(files) == len(seen) == 22
for path, line in zip(files, seen):
    assert line == "-" or int(line.split()[0]) == os.stat(os.path.join(sys.argv[1], path)).st_ino, path
    assert path == "sbin/slurmd" or os.stat(os.path.join(sys.argv[1], path)).st_nlink == 1, path # a full download
END

for in_the_way in "" "touch" "ln -s .."; do
        rm -rf $tree/24.11.2-one/lib
        [ -z "$in_the_way" ] || $in_the_way $tree/24.11.2-one/lib
        code=0
        "${one[@]}" --json verify --repair 24.11.2 >out 2>said || code=$?
        check "... and a directory of it is repaired${in_the_way:+, where $in_the_way was}"
done

# --- no delta ------------------------------------------------------------------------------------------------------------------

fresh 24.11.1
node plain upgrade --dry-run 24.11.3
ranges_bytes=$(plan ranges) full_bytes=$(plan full)
check "no delta: a dry run" "ranges_bytes < full_bytes * 3 / 4"
[ "$(plan way)" = '"ranges"' ] || { echo "NOT OK: the plan takes $(plan way)"; failures=$((failures + 1)); }
metadata=$sent
for location in plain gzip; do
        fresh 24.11.1
        node $location upgrade 24.11.3
        check "no delta, $location: the frames that hold what is new" "fetched == sent" "sent == metadata + ranges_bytes"
        grep -c 'bytes=' access.log >requests || true
        ! grep -q 'bytes=.*,' access.log || { echo "NOT OK: several ranges in a request"; failures=$((failures + 1)); }
        [ "$(cat requests)" -le 4 ] || { echo "NOT OK: $(cat requests) range requests"; failures=$((failures + 1)); }
        whole 24.11.3
done
fresh 24.11.1
node none upgrade 24.11.3
check "a server without ranges: never more than everything" "sent <= metadata + full_bytes" "fetched <= sent"
whole 24.11.3
damage 24.11.3 big-127
node plain verify --repair
check "... and one file repaired" "fetched == sent" "sent <= metadata + largest"
whole 24.11.3
damage 24.11.3 big-040
[ "$(stat -c %h $tree/24.11.3-test/lib/big-040)" = 2 ] || { echo "NOT OK: big-040 is not shared"; failures=$((failures + 1)); }
node none verify --repair
check "a shared file repaired, without ranges" "sent <= metadata + full_bytes"
whole 24.11.3
node plain verify --repair 24.11.1
check "... and for the other release from this one's" "sent <= metadata"
whole 24.11.1

# --- interruptions ----------------------------------------------------------------------------------------------------------------

# What nginx says it sent is not judged here: it counts the broken transfer when it notices.
# interrupted SIGNAL: an install that is ended when half of the frames are on the disk
interrupted() {
        local wanted pid
        fresh
        : >access.log
        "${agent[@]}" -q --repo "$http/slow" install 24.11.1 >out 2>said 9>&- &
        pid=$!
        for _ in $(seq 300); do
                wanted=$({ find $tree/.incoming-24.11.1-test/lib -name 'big-*' -perm 644 || true; } 2>/dev/null | wc -l)
                [ "$wanted" -lt 64 ] || break
                sleep 0.02
        done
        kill "-$1" $pid
        { wait $pid || true; } 2>/dev/null
        [ -d $tree/.incoming-24.11.1-test ] || { echo "NOT OK: nothing is left of the interrupted run"; failures=$((failures + 1)); }
}
for signal in KILL TERM; do
        interrupted $signal
        node plain install 24.11.1
        check "after SIG$signal half way: the rest" "fetched < full * 6 / 10 + largest" "fetched > full / 10"
        whole 24.11.1
done
interrupted KILL
damage ".incoming-24.11.1" big-005
truncate -s -100 $tree/.incoming-24.11.1-test/lib/big-006
mkdir $tree/.incoming-24.11.1-test/more && touch $tree/.incoming-24.11.1-test/more/files
ln -sf /etc/passwd $tree/.incoming-24.11.1-test/lib/big-127
node plain install 24.11.1
check "... and what was left is damaged: that frame again" "fetched < full * 6 / 10 + 2 * largest"
whole 24.11.1
interrupted KILL
node plain install 24.11.3
check "... and another release is wanted now" "fetched > full - 15000"
whole 24.11.3
interrupted KILL
"${agent[@]}" -q gc 9>&-
[ -z "$(ls -A -I .lock $tree)" ] || { echo "NOT OK: gc leaves an interrupted download"; failures=$((failures + 1)); }

fresh 24.11.1
"${agent[@]}" -q --repo "$http/slow" upgrade 24.11.3 >out 2>said 9>&- &
pid=$!
for _ in $(seq 300); do
        [ -z "$(find $tree/.incoming-24.11.3-test -type f -links 1 -name 'big-*' -perm 644 2>/dev/null)" ] || break
        sleep 0.02
done
sleep 0.2 # the others of its frame
kill -KILL $pid
{ wait $pid || true; } 2>/dev/null
node plain upgrade 24.11.3
check "an upgrade by ranges is killed: the frames that were not whole" "fetched < ranges_bytes" "read < 8000000"
whole 24.11.3

fresh
"${agent[@]}" --repo "$drops" --json install 24.11.1 >out 2>said 9>&- && code=0 || code=$?
fetched=$(sed -nE 's/.*"bytes_fetched": ?([0-9]+).*/\1/p' out)
check "connections that drop half way: only the rest is asked for" "fetched >= full - 1000" "fetched < full + 1000"
says 'retry 1 of 2'
whole 24.11.1

echo "$failures not ok"
[ "$failures" = 0 ]
