#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# spack-yaml: both environments, read by a real YAML reader. That Spack concretizes them is not shown here: docs/PUBLISHING.md.
set -euo pipefail

python3 -c 'import yaml' 2>/dev/null || { echo "skipped: no python3-yaml here"; exit 77; }
scratch=$(mktemp -d "${TMPDIR:-/tmp}/sf-check-spack.XXXXXX")
trap 'rm -rf "$scratch"' EXIT
cd "$scratch"
unset SLURM_FACTORY_CACHE_DIR
export HOME=$scratch
printf '[mirror]\nurl = /no/such/flat/mirror\n' >conf
data=$top_srcdir/etc

fail() {
        echo "FAILED: $*" >&2
        [ ! -f out ] || sed 's/^/    /' out >&2
        exit 1
}
run() { # run WANTED-EXIT-CODE OPTION...: output in ./out, messages in ./err
        local wanted=$1 code=0
        shift
        "$top_builddir/slurm-factory" --config conf --data "$data" --cache cache "$@" >out 2>err || code=$?
        [ "$code" = "$wanted" ] || { cat err >>out; fail "exit code $code instead of $wanted: $*"; }
}
# is EXPRESSION: what python says of s, the environment in ./out, and of v, the versions of the recipes
is() {
        python3 - "$1" "$data" <<'END' || fail "not so: $1"
import glob, os, re, sys, yaml
s = yaml.safe_load(open("out"))["spack"]
p = s["packages"]
v = {os.path.basename(f)[:-4]: re.search(r"^version = (\S+)", open(f).read(), re.M).group(1)
     for f in glob.glob(sys.argv[2] + "/recipes/*.ini") if not f.endswith("/slurm.ini")}
sys.exit(not eval(sys.argv[1]))
END
}
refused() { # refused TEXT OPTION...
        local text=$1
        shift
        run 2 spack-yaml "$@"
        grep -q -- "$text" err || { cp err out; fail "$*: no \"$text\""; }
        [ ! -s out ] || fail "$*: refused, and yet something was printed"
}

echo "== from source: the recipes' versions and Slurm's options"
run 0 spack-yaml --slurm-version 25.05.8 --toolchain rockylinux9 --arch amd64
[ ! -e cache ] || fail "a cache was made"
head -1 out | grep '^# Slurm 25.05.8 for rockylinux9 (gcc 11, glibc 2.34), from source\.$' >/dev/null || fail "heading"
grep -q '^#     version("25-05-8-1", sha256="3f77fa80[0-9a-f]*")$' out || fail "no line for a version that Spack does not know"
is 'sorted(s) == ["concretizer", "config", "modules", "packages", "specs", "view"]'
is 's["specs"] == ["slurm", "openmpi"] and s["view"] is True and s["concretizer"] == {"unify": True}'
is 's["config"]["install_tree"]["padded_length"] == 288'
is 'p["all"]["target"] == ["x86_64_v2"]'
is 'len(p["slurm"]["require"]) == 1 and p["slurm"]["require"][0].split()[0] == "@=25-05-8-1"'
is 'set("+hwloc +readline +pmix +mariadb +restd +pam +cgroup +multiple_slurmd ~hdf5 ~gtk sysconfdir=/etc/slurm".split()) <= set(p["slurm"]["require"][0].split())'
is 'all(p[n]["require"][0].split()[0] == "@=" + v[n] for n in ("munge", "hwloc", "pmix", "openmpi", "prrte", "libevent"))'
is 'all(p[n]["prefer"] == ["@=" + v[n]] for n in ("json-c", "lz4", "libyaml", "libjwt", "http-parser", "readline"))'
is 's["modules"]["default"]["enable"] == ["tcl"] and s["modules"]["default"]["tcl"]["slurm"]["conflict"] == ["slurm"]'
is '"LD_LIBRARY_PATH" not in open("out").read()'
# What the release has and Spack's Slurm has not is said.
for word in lua libmariadb pam_slurm_adopt; do grep -q "^# .*$word" out || fail "nothing is said of $word"; done

echo "== every version, toolchain, architecture and profile"
mkdir all
for file in "$data"/slurm/*.ini; do
        for options in '' '--profile minimal' '--profile compute' '--profile extra' '--external /opt/slurm/view'; do
                # shellcheck disable=SC2086
                run 0 spack-yaml --slurm-version "$(basename "$file" .ini)" --toolchain noble --arch arm64 $options
                cp out "all/$(basename "$file" .ini)${options//\//_}"
        done
done
for file in "$data"/toolchains/*.ini; do
        run 0 spack-yaml --slurm-version 25.05 --toolchain "$(basename "$file" .ini)" --arch arm64
        cp out "all/$(basename "$file" .ini)"
done
python3 - all/* <<'END' || fail "one of them is not what it should be"
import sys, yaml
for f in sys.argv[1:]:
    s = yaml.safe_load(open(f))["spack"]
    assert "slurm" in s["specs"] and "slurm" in s["packages"], f
    assert "external" in f or s["packages"]["all"]["target"] == ["aarch64"], f
assert len(sys.argv) > 50
END
run 0 spack-yaml --slurm-version 24.11.6 --toolchain noble --profile minimal
is 's["specs"] == ["slurm"] and not {"pmix", "openmpi", "prrte", "mpi"} & set(p)'
is 'set("~pmix ~mariadb ~restd ~pam ~readline +hwloc +cgroup".split()) <= set(p["slurm"]["require"][0].split())'
run 0 spack-yaml --slurm-version 24.11.6 --toolchain noble --profile extra
is '"+hdf5" in p["slurm"]["require"][0] and "hdf5" in p'

echo "== an installed release as external packages"
run 0 spack-yaml --slurm-version 25.05.8 --toolchain noble --external /srv/slurm/view/
is 'set(p) == {"slurm", "munge", "hwloc", "pmix", "openmpi", "mpi"}'
is 'all(p[n]["buildable"] is False and len(p[n]["externals"]) == 1 for n in p if n != "mpi")'
is 'all(p[n]["externals"][0]["prefix"] == "/srv/slurm/view" for n in ("slurm", "munge", "hwloc", "pmix"))'
is 'p["openmpi"]["externals"][0]["prefix"] == "/srv/slurm/view/mpi" and p["mpi"] == {"require": ["openmpi"]}'
is 'all(p[n]["externals"][0]["spec"].split()[0] == n + "@=" + v[n] for n in ("munge", "hwloc", "pmix", "openmpi"))'
is 'p["slurm"]["externals"][0]["spec"].startswith("slurm@=25-05-8-1 ") and s["view"] is False and "config" not in s'

echo "== no text becomes another"
mkdir 'mirror: #1 "a"' plain
refused 'no blanks' --slurm-version 25.05 --toolchain noble --mirror 'mirror: #1 "a"'
run 0 spack-yaml --slurm-version 25.05 --toolchain noble --mirror plain --mirror 's3://b/"x":#\y,{z}' --external '/a:"b\c#d'
is 's["mirrors"]["mirror-1"] == {"url": os.path.realpath("plain"), "source": True, "binary": False}'
is 's["mirrors"]["mirror-2"]["url"] == "s3://b/\"x\":#\\y,{z}" and len(s["mirrors"]) == 2'
is 'p["hwloc"]["externals"][0]["prefix"] == "/a:\"b\\c#d"'
for place in 'a/view' '' / // '~/view' '/a b' '/a$spack' $'/a\nb: c'; do
        refused '--external' --slurm-version 25.05 --toolchain noble --external "$place"
done
refused 'control character' --slurm-version 25.05 --toolchain noble --external $'/a\177b'

echo "== JSON is the same environment"
run 0 --json spack-yaml --slurm-version 25.05.8 --toolchain noble
mv out json
run 0 spack-yaml --slurm-version 25.05.8 --toolchain noble
python3 -c 'import json, yaml; assert json.load(open("json"))["environment"] == yaml.safe_load(open("out"))' || fail "it is not"

echo "== mistakes"
refused '--slurm-version is needed' --toolchain noble
refused 'no recipe for Slurm 9.9' --slurm-version 9.9 --toolchain noble
refused 'there is no toolchain nobel' --slurm-version 25.05 --toolchain nobel
refused 'not the name of a toolchain' --slurm-version 25.05 --toolchain ../recipes/slurm
refused 'there is no profile none' --slurm-version 25.05 --toolchain noble --profile none
refused 'amd64 or arm64' --slurm-version 25.05 --toolchain noble --arch riscv64
run 3 spack-yaml --slurm-version 25.05 --toolchain noble --mirror nowhere
grep -q -- '--mirror nowhere' err || fail "what is not there is not named"
echo "all well"
