#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# A small library and a small "Slurm" that needs it go the whole way from source archives to a packed release; then the
# ways it can go wrong: a step that fails, a source that is damaged or missing, a package that changes its dependency,
# an installation that reaches beyond the prefix, Ctrl-C.
set -euo pipefail

factory=$top_builddir/slurm-factory
scratch=$(mktemp -d "${TMPDIR:-/tmp}/sf-check-build.XXXXXX")
trap 'rm -rf "$scratch"' EXIT
cd "$scratch"
unset SLURM_FACTORY_CACHE_DIR
mkdir -p data/recipes data/slurm data/toolchains mirror
printf '[mirror]\nurl = mirror\n' >conf

fail() {
        echo "FAILED: $*" >&2
        [ ! -f out ] || sed 's/^/    /' out >&2
        exit 1
}

# run WANTED-EXIT-CODE VERB...: output in ./out
run() {
        local wanted=$1 code=0
        shift
        "$factory" --config conf --data data --cache cache "$@" >out 2>&1 || code=$?
        [ "$code" = "$wanted" ] || fail "exit code $code instead of $wanted: $*"
}

expect() {
        grep -q -- "$1" out || fail "no \"$1\" in the output"
}

refuse() {
        ! grep -q -- "$1" out || fail "\"$1\" in the output"
}

# archive NAME: packs directory NAME reproducibly into the mirror and prints its digest
archive() {
        tar -c --sort=name --owner=0 --group=0 --mtime=@1000000000 "$1" | gzip -n >"mirror/$1.tar.gz"
        sha256sum "mirror/$1.tar.gz" | cut -d' ' -f1
}

cat >data/toolchains/default.ini <<'END'
[toolchain]
cflags = -O2 -g0
ldflags = -Wl,--build-id=none
END

mkdir greet-1.0
cat >greet-1.0/greet.c <<'END'
const char *greet(void);
const char *greet(void) { return PREFIX "/share/greeting"; }
END
# Makefiles name the shell that configure found; commands run with /bin/sh all the same, but where the recipe says otherwise.
cat >greet-1.0/Makefile <<'END'
SHELL = /bin/false
libgreet.so: greet.c
	$(CC) $(CFLAGS) -DPREFIX='"$(P)"' -fPIC -shared $(LDFLAGS) -Wl,-rpath,$(P)/lib64:$(P)/lib -Wl,-soname,$@ -o $@ greet.c
install: libgreet.so
	install -D libgreet.so $(P)/lib/libgreet.so
	install -D -m 644 greet.c $(P)/share/greeting
	touch $(P)/lib/libgreet.la
END
cat >data/recipes/greet.ini <<END
[package]
name = greet
version = 1.0
remove = *.la
[source]
file = greet-1.0.tar.gz
sha256 = $(archive greet-1.0)
[step make]
run = make P=@PREFIX@
[step install]
run = make install P=@PREFIX@
END

mkdir small-9.9.1
cat >small-9.9.1/main.c <<'END'
#include <stdio.h>
const char *greet(void);
int main(void) { puts(greet()); puts(__FILE__); return 0; }
END
cat >small-9.9.1/Makefile <<'END'
slurmd: main.c
	test "$$BASH" = /bin/bash
	$(CC) $(CFLAGS) $(LDFLAGS) -o $@ $(CURDIR)/main.c -L$(P)/lib -lgreet -Wl,-rpath,$(P)/lib
install: slurmd
	install -D slurmd $(P)/sbin/slurmd
END
cat >data/recipes/slurm.ini <<'END'
[package]
name = slurm
depends = greet
[step make]
run = make SHELL=/bin/bash P=@PREFIX@
[step install]
run = make install P=@PREFIX@
END
cat >data/slurm/9.9.1.ini <<END
[package]
version = 9.9.1
[source]
file = small-9.9.1.tar.gz
sha256 = $(archive small-9.9.1)
END

echo "== a layer, then the same from the cache"
run 0 build-deps
expect 'greet 1.0: building'
expect 'greet 1.0: install'
expect 'greet 1.0: lib/libgreet.so: its run path names lib64, which is not there'
refuse 'its run path names lib,'
run 0 build-deps
expect 'greet 1.0: cached'
refuse building
tree=$(echo cache/buildcache/greet-1.0-*/tree)
[ -f "$tree/lib/libgreet.so" ] || fail "no library in $tree"
[ ! -e "$tree/lib/libgreet.la" ] || fail "the recipe's remove was not obeyed"
prefix=$(sed -n 's/^prefix //p' "$tree/../key")
[ ${#prefix} = 288 ] || fail "the placeholder has ${#prefix} characters"
grep -q -F "$prefix/share/greeting" "$tree/lib/libgreet.so" || fail "the library does not name the placeholder"
[ ! -e "$prefix" ] || fail "the placeholder exists outside the build"
[ -z "$(ls cache/work)" ] || [ -n "${prefix##/media/*}" ] || fail "left in the work directory: $(ls cache/work)"

echo "== Slurm on top of it, packed"
run 0 build-slurm --slurm-version 9.9.1 --json
tree=$(echo cache/buildcache/slurm-9.9.1-*/tree)
[ "$(cd "$tree" && find . -type f)" = ./sbin/slurmd ] || fail "the slurm layer holds more than Slurm: $(find "$tree")"
release=$(sed -n 's/.*"release":"\([^"]*\)".*/\1/p' out)
[ -s "cache/builds/$release/release.json" ] || fail "no release.json in cache/builds/$release"
grep -q ' sbin/slurmd$' "cache/builds/$release/filelist" || fail "sbin/slurmd is not in the file list"
grep -q ' lib/libgreet.so$' "cache/builds/$release/filelist" || fail "the dependency is not in the file list"
! grep -q -a "$scratch" "$tree/sbin/slurmd" || fail "the program names the cache"
run 0 build-slurm --slurm-version 9.9.1
expect 'packed already'
run 0 matrix
expect "^$release *yes *yes *yes"

echo "== built twice, every bit the same"
cp -a cache/buildcache first
first=$(sha256sum <"cache/builds/$release/release.json")
run 0 clean
[ -z "$(ls cache/buildcache)" ] || fail "clean left layers"
rm -r cache/builds
(umask 077 && TZ=Asia/Kolkata LC_ALL=C.UTF-8 CFLAGS=-O0 run 0 build-slurm --slurm-version 9.9.1 --jobs 1)
expect 'slurm 9.9.1: building'
diff -r first cache/buildcache >out || fail "the second build differs"
modes() { (cd "$1" && find . -printf '%m %p\n' | sort); }
diff <(modes first) <(modes cache/buildcache) >out || fail "the second build has other modes"
[ "$first" = "$(sha256sum <"cache/builds/$release/release.json")" ] || fail "the second release differs"

echo "== a comment changes nothing, a flag builds anew"
sed -i '1i # a comment' data/recipes/greet.ini
run 0 build-deps
expect 'greet 1.0: cached'
sed -i 's/-O2/-O1/' data/toolchains/default.ini
run 0 build-deps
expect 'greet 1.0: building'

echo "== a failing step shows its line and its log"
cp data/recipes/greet.ini good.ini
cp -r greet-1.0 greet-1.1
echo 'int broken(void) { return undeclared_thing; }' >>greet-1.1/greet.c
sed "s/greet-1.0/greet-1.1/; s/^version = .*/version = 1.1/; s/^sha256 = .*/sha256 = $(archive greet-1.1)/" good.ini >data/recipes/greet.ini
run 3 build-deps
expect 'greet 1.1: step make: '
expect 'greet.c:3:.*undeclared_thing'
log=$(grep -o '/[^ ]*/logs/greet-1.1-[^ ]*/1-make.log' out | head -1)
grep -q undeclared_thing "$log" || fail "the log $log does not show the error"
sed -i 's/-O1/-O2/' data/toolchains/default.ini
run 3 build-deps
other=$(grep -o '/[^ ]*/logs/greet-1.1-[^ ]*/1-make.log' out | head -1)
[ "$log" != "$other" ] && [ -s "$log" ] && [ -s "$other" ] || fail "two layers of one version share their logs"
[ ! -e cache/buildcache/greet-1.1-* ] || fail "a failed build was cached"

echo "== a disk that is full"
if unshare -rm sh -c 'mount -t tmpfs -o size=1m none /mnt' 2>/dev/null; then
        mkdir small
        cp good.ini data/recipes/greet.ini
        printf '[step fill]\nrun = sh -c "head -c 100000000 /dev/zero"\n' >>data/recipes/greet.ini
        code=0
        # shellcheck disable=SC2016
        unshare -rm sh -c 'mount -t tmpfs -o size=24m none small && exec "$@"' \
                sh "$factory" --config conf --data data --cache small build-deps >out 2>&1 || code=$?
        [ "$code" = 3 ] || fail "exit code $code"
        expect 'greet 1.0: step fill: .*; the file system of the cache is full: [0-9]* KiB left'
else
        echo "   skipped: needs mount namespaces"
fi

echo "== a damaged and a missing source"
cp good.ini data/recipes/greet.ini
run 0 clean --full
mv mirror/greet-1.0.tar.gz whole
head -c 100 whole >mirror/greet-1.0.tar.gz
run 3 build-deps
expect 'mirror/greet-1.0.tar.gz (sha256 is '
rm mirror/greet-1.0.tar.gz
run 3 build-deps
expect 'no source for greet 1.0: greet-1.0.tar.gz; tried: mirror/greet-1.0.tar.gz (.*No such file'
mv whole mirror/greet-1.0.tar.gz

echo "== what the recipe means to be there is asserted after the build, as for Slurm itself"
run 0 build-deps
cp data/recipes/slurm.ini slurm.good
mkdir data/recipes/patches
cp "$top_srcdir/etc/recipes/patches/slurm-built.patch" data/recipes/patches/
printf '[patch built]\nfile = slurm-built.patch\nsha256 = %s\n' "$(sha256sum data/recipes/patches/slurm-built.patch | cut -d' ' -f1)" >>data/recipes/slurm.ini
cp data/recipes/slurm.ini asserting.ini
printf '[step built]\nrun = sh sf-built.sh @PREFIX@ sbin/slurmd:libgreet.so sbin/nothing sbin/slurmd:libother.so */greeting no*/greeting\n\t%s\n' \
        '!sbin/slurmd !sbin/slurmctld' >>data/recipes/slurm.ini
run 3 build-slurm --slurm-version 9.9.1
expect 'slurm 9.9.1: step built: .*not as the recipe means it: sbin/nothing sbin/slurmd:libother.so no[*]/greeting !sbin/slurmd; log: '
log=$(grep -o '/[^ ]*/[0-9]-built.log' out | head -1)
grep -q 'sbin/nothing' "$log" || fail "the log $log does not name what is missing"
cp asserting.ini data/recipes/slurm.ini
printf '[step built]\nrun = sh sf-built.sh @PREFIX@ sbin/slurmd:libgreet.so */greeting !sbin/slurmctld\n' >>data/recipes/slurm.ini
run 0 build-slurm --slurm-version 9.9.1
cp slurm.good data/recipes/slurm.ini

echo "== a package that changes its dependency"
run 0 build-deps
printf '[step spoil]\nrun = cp main.c @PREFIX@/share/greeting\n' >>data/recipes/slurm.ini
run 3 build-slurm --slurm-version 9.9.1
expect 'share/greeting of a dependency was changed'
cp slurm.good data/recipes/slurm.ini

echo "== an installation that reaches beyond the prefix"
if [ "$(id -u)" = 0 ] && [ -n "${prefix##*$scratch*}" ]; then
        printf '[step leak]\nrun = touch /etc/sf-check-build-leak\n' >>data/recipes/slurm.ini
        run 3 build-slurm --slurm-version 9.9.1
        [ ! -e /etc/sf-check-build-leak ] || { rm -f /etc/sf-check-build-leak; fail "a step wrote to /etc"; }
        expect 'step leak: .*Read-only file system'
        cp slurm.good data/recipes/slurm.ini
else
        echo "   skipped: needs root and mount namespaces"
fi

echo "== mistakes on the command line and in recipes"
run 2 build-slurm
expect '--slurm-version is needed'
run 2 build-slurm --slurm-version 1.2.3
expect 'no recipe for Slurm 1.2.3; there are: 9.9.1$'
run 3 build-deps --toolchain nonesuch
expect 'toolchain nonesuch cannot be built on this host'
run 2 build-deps --jobs none
expect '--jobs none'
sed -i 's/^remove/remoev/' data/recipes/greet.ini
run 2 build-deps
expect 'remoev'
cp good.ini data/recipes/greet.ini

if command -v dpkg-query >/dev/null; then
        echo "== packages that this machine lacks: all at once, before the first step misses one"
        cp data/toolchains/default.ini default.good
        printf '[root]\nmanager = apt\npackages = sf-none-one dpkg\npackages = sf-none-two\n' >>data/toolchains/default.ini
        printf '[step more]\nrun = true\n' >>data/recipes/greet.ini
        run 0 build-deps
        expect 'lacks packages; as root: apt-get install -y --no-install-recommends sf-none-one sf-none-two)'
        run 0 build-deps
        refuse 'lacks packages'
        printf '[os thing]\npackage = sf-none-three\n' >>data/toolchains/default.ini
        printf '[step most]\nrun = true\n' >>data/recipes/greet.ini
        run 0 build-deps
        expect 'sf-none-one sf-none-two)' # the library that no package uses is not asked for
        sed -i 's/^version = 1.0/&\nos = thing/' data/recipes/greet.ini
        run 3 build-deps
        expect 'package sf-none-three (thing) is not installed (.*as root: apt-get .* sf-none-one sf-none-two sf-none-three)'
        cp default.good data/toolchains/default.ini
        cp good.ini data/recipes/greet.ini
fi

echo "== two at once: one builds, the other waits and takes it from the cache"
printf '[step linger]\nrun = sleep 1\n' >>data/recipes/greet.ini
"$factory" --config conf --data data --cache cache build-deps >out.first 2>&1 &
first_builder=$!
"$factory" --config conf --data data --cache cache build-deps >out.second 2>&1 || fail "the second builder failed"
wait "$first_builder" || fail "the first builder failed"
cat out.first out.second >out
[ "$(grep -c 'greet 1.0: building' out)" = 1 ] || fail "built more than once, or never"
expect 'another slurm-factory is building, waiting'
expect 'greet 1.0: cached'
cp good.ini data/recipes/greet.ini

echo "== where namespaces are refused: aloud, and below the cache"
if unshare -rU sh -c 'echo 0 >/proc/sys/user/max_mnt_namespaces && echo 0 >/proc/sys/user/max_user_namespaces' 2>/dev/null; then
        code=0
        unshare -rU sh -c 'echo 0 >/proc/sys/user/max_mnt_namespaces; echo 0 >/proc/sys/user/max_user_namespaces; exec "$@"' \
                sh "$factory" --config conf --data data --cache cache2 build-slurm --slurm-version 9.9.1 >out 2>&1 || code=$?
        [ "$code" = 0 ] || fail "exit code $code"
        expect 'warning: no private mount namespace'
        tree=$(echo cache2/buildcache/greet-1.0-*/tree)
        prefix=$(sed -n 's/^prefix //p' "$tree/../key")
        [ ${#prefix} = 288 ] || fail "the placeholder has ${#prefix} characters"
        [ -n "${prefix##*/media/*}" ] && [ -z "${prefix##"$scratch"/cache2/*}" ] || fail "unexpected prefix $prefix"
        grep -q -F "$prefix/share/greeting" "$tree/lib/libgreet.so" || fail "the library does not name the placeholder"
        [ ! -e "$prefix" ] || fail "the placeholder was left behind"
else
        echo "   skipped: namespaces cannot be refused here"
fi

echo "== Ctrl-C ends the build and what it started"
printf '[step wait]\nrun = sh -c "echo $$ >%s/started; sleep 1000"\n' "$scratch" >>data/recipes/greet.ini
"$factory" --config conf --data data --cache cache build-deps >out 2>&1 &
pid=$!
for _ in $(seq 100); do
        [ -s started ] && break
        sleep 0.1
done
[ -s started ] || fail "the waiting step did not start"
kill -TERM "$pid"
code=0
wait "$pid" || code=$?
[ "$code" = 3 ] || fail "exit code $code after SIGTERM"
expect 'was interrupted'
! kill -0 "$(cat started)" 2>/dev/null || fail "the step's process lives on"
echo "all well"
