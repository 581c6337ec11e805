#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# build-slurm --check: a small release is the same when it is built again under other conditions, and packages that
# let the clock, the host, the processors or chance into their files are caught, with file and section.
set -euo pipefail

factory=$top_builddir/slurm-factory
scratch=$(mktemp -d "${TMPDIR:-/tmp}/sf-check-rebuild.XXXXXX")
trap 'rm -rf "$scratch"' EXIT
chmod 755 "$scratch"
cd "$scratch"
unset SLURM_FACTORY_CACHE_DIR
mkdir -p data/recipes data/slurm data/toolchains mirror
printf '[mirror]\nurl = mirror\n' >conf
printf '[toolchain]\ncflags = -O2 -g0\nldflags = -Wl,--build-id=none\n' >data/toolchains/default.ini

fail() {
        echo "FAILED: $*" >&2
        [ ! -f out ] || sed 's/^/    /' out >&2
        exit 1
}
run() { # run WANTED-EXIT-CODE VERB...: output in ./out
        local wanted=$1 code=0
        shift
        "$factory" --config conf --data data --cache cache "$@" >out 2>err || code=$?
        cat err >>out
        [ "$code" = "$wanted" ] || fail "exit code $code instead of $wanted: $*"
}
expect() { grep -q -- "$1" out || fail "no \"$1\" in the output"; }

# What a recipe's Makefile does with SPOIL is what is tested.
mkdir small
cat >small/main.c <<'END'
#include <stdio.h>
int main(void) { puts(WORD); puts(__DATE__ __TIME__); puts(__FILE__); return 0; }
END
cat >small/Makefile <<'END'
WORD = word
all:
	$(CC) $(CFLAGS) $(LDFLAGS) -DWORD='"$(WORD)"' -o slurmd $(CURDIR)/main.c
install: all
	install -D slurmd $(P)/sbin/slurmd
	mkdir -p $(P)/share
	echo "$$(pwd) $$HOME $$TZ $$LC_ALL $$CFLAGS $$USER $$LOGNAME $$CPATH $$(umask) $$(id -u)" >$(P)/share/surroundings
	touch -d @0 $(P)/share/old
	touch stamp && echo once >made && $(MAKE) made && cp made $(P)/share
	P=$(P) sh -c '$(SPOIL)'
# A clock that runs ahead for touch alone would have it made twice.
made: stamp
	echo again >>made
END
tar -c --sort=name --owner=0 --group=0 --mtime=@1000000000 small | gzip -n >mirror/small.tar.gz
# recipe SPOIL [WORD]: a shell command without quotes; the Makefile reads it, so that $(P) is the prefix and $$ a dollar
recipe() {
        printf '[package]\nname = slurm\nlayer = slurm\ndepends = base\n' >data/recipes/slurm.ini
        printf '[step install]\nrun = make install P=@PREFIX@ "SPOIL=%s" "WORD=%s"\n' "$1" "${2-word}" >>data/recipes/slurm.ini
}
digest=$(sha256sum mirror/small.tar.gz | cut -d' ' -f1)
printf '[package]\nversion = 9.9.1\n[source]\nfile = small.tar.gz\nsha256 = %s\n' "$digest" >data/slurm/9.9.1.ini
cat >data/recipes/base.ini <<END
[package]
name = base
version = 1.0
[source]
file = small.tar.gz
sha256 = $digest
[step install]
run = install -D -m 644 main.c @PREFIX@/include/base.h
END

echo "== a release that is the same every time"
recipe true
run 0 build-slurm --slurm-version 9.9.1 --check --json
python3 - <<'END' || fail "the JSON"
import json
o = json.loads(open("out").readline())
c = o["check"]
assert o["result"] == "ok" and o["release"].startswith("9.9.1-") and o["layers"], o
assert c["differences"] == [] and c["again"] == 2 and c["compared"] >= 8 and c["varied"], c
END
grep -q 'built twice, [0-9]* files compared, every bit the same' err || fail "not said"
[ ! -e cache/work/check ] || fail "the second cache was left"
[ "$(cut -d' ' -f1 cache/buildcache/slurm-*/tree/share/surroundings)" = /media/sf-build ] ||
        { echo "skipped: no private mount namespace here"; exit 77; }
expect 'umask 077, TZ'
if [ "$(id -u)" = 0 ]; then
        expect 'user 65534'
        expect 'host name rebuild-check'
fi

echo "== caught: trees that are the same, packed in another way"
cp -r cache/builds builds
sed -i 's/1970-/1971-/' cache/builds/9.9.1-*/release.json
run 3 build-slurm --slurm-version 9.9.1 --check-only slurm
expect 'packed release: release.json: line 1: .*1970-'
rm -r cache/builds
mv builds cache

echo "== only one package again; what is cached counts as the first build"
run 0 build-slurm --slurm-version 9.9.1 --check-only slurm
expect 'second build, of 1 package,'
run 2 build-slurm --slurm-version 9.9.1 --check-only nonesuch
expect 'no package of this release'
run 2 build-slurm --slurm-version 9.9.1 --check --dry-run

# caught WHERE SPOIL [WORD]: the check must fail and say where
caught() {
        local where=$1
        shift
        recipe "$@"
        run 3 build-slurm --slurm-version 9.9.1 --check-only slurm
        expect "$where"
        expect 'is not reproducible: '
        [ -d cache/work/check/cache/buildcache ] || fail "the second build was not kept"
}
echo "== caught: a program that knows when it was made"
caught 'slurm: sbin/slurmd: section .rodata: .*"[0-9]* built" instead of "[0-9]* built"' true '$(shell date +%s) built'
echo "== caught: the time in a text, in an archive, in a compressed file"
caught 'slurm: share/when: line 2: "on [0-9]*" instead of "on [0-9]*"' 'echo built >$(P)/share/when; echo on $$(date +%s%N) >>$(P)/share/when'
caught 'slurm: share/x.a: table of symbols: .*; member main.o: time, owner or mode' \
        '$(CC) -c main.c -DWORD=__FILE__ && ar crU $(P)/share/x.a main.o'
caught 'slurm: share/main.c.gz: gzip header: time' 'cp main.c $(P)/share && touch $(P)/share/main.c && gzip $(P)/share/main.c'
echo "== caught: chance, in a name, a mode, a link"
caught 'slurm: share/[0-9a-f-]*: only in the second build' 'cp main.c $(P)/share/$$(cat /proc/sys/kernel/random/uuid)'
caught 'slurm: share/link: link to ' 'ln -s $$(cat /proc/sys/kernel/random/uuid) $(P)/share/link'
# Three files: one alone has the same mode twice in one run of 64.
caught 'slurm: share/mode[123]: mode 0[0-7]* instead of 0[0-7]*' \
        'for i in 1 2 3; do cp main.c $(P)/share/mode$$i && chmod 6$$(date +%N | tr 89 01 | cut -c4-5) $(P)/share/mode$$i; done'
echo "== the host's name does not show"
recipe true 'on $(shell uname -n)'
run 0 build-slurm --slurm-version 9.9.1 --check-only slurm
strings -n 3 cache/buildcache/slurm-*/tree/sbin/slurmd | grep "on slurm-factory" >/dev/null || fail "another host name in what was built"
if [ "$(nproc)" -gt 1 ]; then
        echo "== caught: the processors"
        caught 'slurm: share/n: line 1: ' 'nproc >$(P)/share/n'
fi
echo "== caught: the number of jobs"
caught 'slurm: share/jobs: line 1: ' 'echo @JOBS@ >$(P)/share/jobs'
if ls /usr/lib*/*/faketime/libfaketimeMT.so.1 >/dev/null 2>&1; then
        echo "== caught: the day, which both builds would share"
        caught 'slurm: share/day: line 1: "20[0-9-]*" instead of "20' 'date +%Y-%m-%d >$(P)/share/day'
        caught 'section .rodata' 'env -u SOURCE_DATE_EPOCH $(CC) -DWORD=__FILE__ -o $(P)/sbin/dated main.c'
else
        echo "   not tried: the day (no libfaketime here)"
fi

echo "== a second build that fails is told as such, and a clean takes it away"
recipe '[ @JOBS@ = 2 ] || exit 7'
run 3 build-slurm --slurm-version 9.9.1 --check-only slurm --jobs 2
expect 'second build: slurm 9.9.1: step install'
run 0 clean
[ ! -e cache/work/check ] || fail "clean left the second build"
echo "all well"
