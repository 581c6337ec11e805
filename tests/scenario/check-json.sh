#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# sf-node's side of the contract with other people's scripts: every verb's --json is one object on one line with the promised
# members, in the good case and in the bad one, and the exit code is in it. A dry run changes nothing.
set -euo pipefail

command -v python3 >/dev/null || { echo "skipped: no python3 here"; exit 77; }
top_builddir=$(realpath "$top_builddir") top_srcdir=$(realpath "$top_srcdir")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"

factory() {
        "$top_builddir/slurm-factory" --cache cache --data "$top_srcdir/etc" -q "$@"
}
placeholder=/media/$(printf 'x%.0s' {1..280})
for version in 24.11.4 24.11.5; do
        mkdir -p tree-$version/sbin
        printf '#!/bin/sh\n# %s/sbin\necho slurm %s\n' "$placeholder" $version >tree-$version/sbin/slurmd
        chmod 755 tree-$version/sbin/slurmd
        factory import tree-$version --placeholder "$placeholder" --slurm-version $version --toolchain test
done
factory keys init --repo repo --keys keys
factory publish 24.11.4 24.11.5 --repo repo --keys keys

mkdir root
failures=0
# expect EXIT RESULT TO VERB...: one run with --json; TO "-" = null.
expect() {
        local code=$1 result=$2 to=$3 got=0
        shift 3
        "${SF_NODE:-$top_builddir/sf-node}" --root "$work/root" --repo "file://$work/repo" --toolchain test --arch amd64 --json "$@" \
                >out 2>err || got=$?
        if python3 - "$code" "$got" "$result" "$to" <<-'END'
		import json, sys
		code, got, result, to = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3], sys.argv[4]
		lines = open("out").read().split("\n")
		assert len(lines) == 2 and lines[1] == "", "not one line"
		o = json.loads(lines[0])
		for key in ("result", "step", "from", "to", "bytes_fetched", "seconds", "downtime_seconds"):
		    assert key in o, "no " + key
		assert code == got == o["exit"], "exit %d, in the object %d" % (got, o["exit"])
		assert o["result"] == result, "result " + o["result"]
		assert (o["to"] or "-").startswith(to), "to %s" % o["to"]
		assert isinstance(o["step"], str) and o["bytes_fetched"] >= 0 and o["seconds"] >= 0
		assert code == 0 or o["error"], "no error"
		END
        then
                echo "ok      $*"
        else
                echo "FAILED  $*"
                cat out err
                failures=$((failures + 1))
        fi
}
here() {
        (cd root && find . -path ./var -prune -o -print | sort)
}

expect 2 usage - list
expect 2 usage - status --no-such-option
expect 2 usage - no-such-verb
expect 2 usage -
expect 2 usage - install
expect 2 usage - install 24.11.5 extra
expect 2 usage - --json status
expect 2 usage - --root
expect 2 usage - --config /nonexistent/file status
expect 2 usage - status --prefix ''
expect 2 usage - --repo= list
expect 2 usage - --repo "$(printf 'file:///x\033[2J\377')" --json=yes status
expect 0 done - status
expect 0 done - trust "$work/repo/metadata/1.root.json"
expect 0 done - list
here >before
expect 0 done 24.11.5 install --dry-run 24.11
expect 3 failed 23.02 install 23.02
expect 0 unchanged - gc
expect 2 usage - gc --keep many
expect 2 usage - --prefix "/opt/my slurm" status
here >after
cmp before after
expect 0 done 24.11.4 install 24.11.4
expect 0 unchanged 24.11.4 install 24.11.4
expect 0 done 24.11.5 stage 24.11.5
here >before
expect 0 done 24.11.5 upgrade --dry-run
expect 0 done 24.11.5 activate --dry-run 24.11.5
here >after
cmp before after
[ "$(readlink root/opt/slurm/view)" = releases/24.11.4-test ]
expect 0 done 24.11.5 activate 24.11.5
expect 0 done 24.11.4 rollback
expect 0 done 24.11.5 rollback
expect 0 done - status
expect 0 done 24.11.5 verify
echo more >>root/opt/slurm/view/sbin/slurmd
expect 3 failed 24.11.5 verify
expect 0 done 24.11.5 verify --repair
expect 0 done 24.11.5 verify
expect 0 unchanged - gc
expect 0 unchanged - recover
# Damaged records hide nothing else.
for file in state.json transaction.json; do
        echo '{' >"root/var/lib/sf-node/$file"
        expect 0 done - status
        grep "$file" err >/dev/null || { echo "FAILED  status does not name $file"; failures=$((failures + 1)); }
        rm "root/var/lib/sf-node/$file"
done
# A run that was killed had --config FILE: recovery without it reads that file.
interrupted() { # interrupted FILE
        printf '{"version":2,"verb":"upgrade","from":"24.11.5-test","to":"24.11.4-test","home":"24.11.5-test","step":"activate",%s' \
                "\"time\":\"2026-11-30T00:00:00Z\",\"config\":\"$1\",\"services\":[]}" >root/var/lib/sf-node/transaction.json
}
printf '[service]\nno_such_key = 1\n' >site.conf
interrupted "$work/site.conf"
expect 0 done - recover
grep "$work/site.conf:2: .*no_such_key.*recovering without it" err >/dev/null || { cat err; failures=$((failures + 1)); }
printf '[service]\nunit = slurmd.service\n' >site.conf
interrupted "$work/site.conf"
expect 0 done - recover
! grep 'without it' err || failures=$((failures + 1))
# What was withdrawn is no longer meant by a series, and refused by name.
factory withdraw 24.11.5 --repo repo --keys keys --reason 'slurmd leaks'
expect 0 unchanged 24.11.4 install --no-activate --dry-run 24.11
expect 3 failed 24.11.5 install --no-activate --dry-run 24.11.5
grep -q 'was withdrawn: slurmd leaks' err
expect 0 unchanged 24.11.5 install --no-activate --dry-run --force 24.11

# Names that drive a terminal or are no text at all: the process is listed all the same, in valid JSON and without raw bytes.
hostile=$(printf 'e\033[2J\n\377x')
cp "$(command -v sleep)" "root/opt/slurm/view/$hostile"
"root/opt/slurm/view/$hostile" 30 &
pid=$!
trap 'kill $pid; rm -rf "$work"' EXIT
expect 0 done - status
python3 - $pid <<-'END' || failures=$((failures + 1))
	import json, sys
	raw = open("out", "rb").read()
	assert all(0x20 <= b < 0x7f for b in raw[:-1]), "raw bytes"
	processes = [p for p in json.loads(raw)["processes"] if p["pid"] == int(sys.argv[1])]
	assert processes and processes[0]["command"] == "e\x1b[2J\n\\xffx", processes
END
"$top_builddir/sf-node" --root "$work/root" --toolchain test --arch amd64 status >out
python3 - $pid <<-'END' || failures=$((failures + 1))
	import sys
	raw = open("out", "rb").read()
	assert all(b >= 0x20 or b == 0x0a for b in raw) and raw.decode(), "raw bytes"
	assert b"pid " + sys.argv[1].encode() + rb" e\x1b[2J\x0a\xffx (" in raw, raw
END
kill $pid
trap 'rm -rf "$work"' EXIT

# slurm-factory EXIT ARG...: the same promise, for every verb, wrong command lines included.
expect_factory() {
        local code=$1 got=0
        shift
        "$top_builddir/slurm-factory" --cache cache --data "$top_srcdir/etc" --json "$@" >out 2>err || got=$?
        if python3 - "$code" "$got" <<-'END'
		import json, sys
		lines = open("out").read().split("\n")
		assert len(lines) == 2 and lines[1] == "", "not one line"
		o = json.loads(lines[0])
		assert sys.argv[1] == sys.argv[2], "exit " + sys.argv[2]
		assert o["result"] == ("ok" if sys.argv[1] == "0" else "failed"), o["result"]
		assert sys.argv[1] == "0" or o["error"] and o["class"], "no error"
		END
        then
                echo "ok      slurm-factory $*"
        else
                echo "FAILED  slurm-factory $*"
                cat out err
                failures=$((failures + 1))
        fi
}
expect_factory 2
expect_factory 2 no-such-verb
expect_factory 2 --jobs
for verb in advisories sbom build-deps build-slurm import publish delta withdraw keys refresh matrix clean; do
        expect_factory 2 $verb --no-such-option
done
expect_factory 2 build-slurm --jobs many
expect_factory 2 --config /nonexistent/file matrix
expect_factory 2 publish
expect_factory 2 import tree-24.11.4 --placeholder
expect_factory 3 publish 1.2.3 --repo repo --keys keys
expect_factory 0 keys show --repo repo --keys keys
python3 -c 'import json; keys = json.load(open("out"))["keys"]; assert {k["role"] for k in keys} >= {"root", "timestamp"}, keys'
expect_factory 0 refresh --repo repo --keys keys
expect_factory 0 matrix --all --repo repo
expect_factory 0 delta 24.11.4 24.11.5
expect_factory 0 withdraw 24.11.4 --repo repo --keys keys --reason old
expect_factory 0 clean
for option in --help --version --completion; do
        for program in sf-node slurm-factory; do
                "$top_builddir/$program" --json $option | python3 -c 'import json, sys; assert json.load(sys.stdin)["text"]'
        done
done
[ $failures = 0 ]
