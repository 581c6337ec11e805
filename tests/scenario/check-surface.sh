#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# What an operator sees: list says what a release would fetch, as `upgrade --dry-run` finds it; the progress line has
# the rate of the last seconds and the time left, on a terminal only; bash and zsh complete releases from the last
# metadata, without network.
set -euo pipefail
command -v python3 >/dev/null || { echo "skipped: no python3 here"; exit 77; }
top_builddir=$(realpath "$top_builddir") top_srcdir=$(realpath "$top_srcdir")
unset http_proxy https_proxy HTTPS_PROXY all_proxy ALL_PROXY no_proxy NO_PROXY SLURM_FACTORY_CACHE_DIR
export TERM=xterm
work=$(mktemp -d)
pid=
trap '[ -z "$pid" ] || kill "$pid"; rm -rf "$work"' EXIT
cd "$work"
. "$top_srcdir/tests/kit/expect.sh"
. "$top_srcdir/tests/kit/nginx.sh"
terminal() { python3 "$top_srcdir/tests/kit/terminal.py" "$@"; }
factory() { "$top_builddir/slurm-factory" --cache cache --data "$top_srcdir/etc" -q "$@"; }
placeholder=/media/$(printf 'x%.0s' {1..280})
# Three releases of 4 MB that do not pack and share one file; only the second has a delta, from the first.
head -c 1000000 /dev/urandom >common
for version in 24.11.4 24.11.5 24.11.6; do
        mkdir -p tree-$version/sbin tree-$version/lib
        printf '#!/bin/sh\n# %s/sbin\necho slurm %s\n' "$placeholder" $version >tree-$version/sbin/slurmd
        chmod 755 tree-$version/sbin/slurmd
        cp common tree-$version/lib/common
        case $version in
        24.11.5) { cat tree-24.11.4/lib/libslurm.so; head -c 20000 /dev/urandom; } >tree-$version/lib/libslurm.so ;;
        *) head -c 3000000 /dev/urandom >tree-$version/lib/libslurm.so ;;
        esac
        factory import tree-$version --placeholder "$placeholder" --slurm-version $version --toolchain test --arch amd64
done
factory keys init --repo repo --keys keys
factory publish 24.11.4 --repo repo --keys keys
factory publish 24.11.5 --delta-from 24.11.4 --repo repo --keys keys
factory publish 24.11.6 --repo repo --keys keys
mkdir root
printf '[repository]\nurl = file://%s/repo\n[node]\ntoolchain = test\narch = amd64\n' "$work" >conf
cat >sf-node <<END
#!/bin/sh
exec "${SF_NODE:-$top_builddir/sf-node}" --config "$work/conf" --root "$work/root" "\$@"
END
chmod 755 sf-node
export PATH=$work:$PATH

# --- list ----------------------------------------------------------------------------------------------------------
# fetch RELEASE: "bytes way" as list has it, by JSON
fetch() { sf-node list --json | python3 -c 'import json, sys
print(*[(r["fetch"], r["fetch_way"]) for r in json.load(sys.stdin)["releases"] if r["version"] == sys.argv[1]][0])' "$1"; }
# dry RELEASE: the same as upgrade --dry-run plans it
dry() { sf-node upgrade "$1" --dry-run --no-restart --json | python3 -c 'import json, sys
plan = json.load(sys.stdin)["plan"]; print(plan[plan["way"]] if plan["way"] != "nothing" else 0, plan["way"])'; }
same() { [ "$1" = "$2" ] || fail "$3: $1, not $2"; }
sf-node list --names offered >names 2>/dev/null && fail "names before there was metadata"
[ ! -s names ] || fail "names before there was metadata: $(cat names)"
sf-node -q trust repo/metadata/1.root.json
full=$(fetch 24.11.4)
[[ $full = *" full" ]] || fail "nothing is installed, and 24.11.4 is $full"
sf-node -q install 24.11.4
same "$(fetch 24.11.4)" "0 nothing" "the installed release"
same "$(fetch 24.11.5)" "$(dry 24.11.5)" "a release with a delta"
[[ $(fetch 24.11.5) = *" delta" ]] || fail "24.11.5 is not fetched by delta: $(fetch 24.11.5)"
same "$(fetch 24.11.6)" "None None" "a release of which only the file list would tell"
expect 0 ' -  *[0-9.]* MiB  *-  ' sf-node list
! grep -n ' $' said >shown || fail "blanks at the end of: $(cat shown)"
echo "list says what an upgrade would fetch"

# --- progress ------------------------------------------------------------------------------------------------------
if nginx=$(PATH=$PATH:/usr/sbin command -v nginx); then
        nginx_port
        nginx_configure "$work" <<END
        access_log off;
        server { listen 127.0.0.1:$port; location / { alias $work/repo/; limit_rate 300k; limit_rate_after 2000k; } }
END
        nginx_start "$work" || fail "nginx"
        slow() { "$work/sf-node" --repo "http://127.0.0.1:$port/" "$@"; }
        export work port
        export -f slow
        # Half at once, the rest at 300 KiB/s: the average since the start stays far above.
        terminal bash -c 'slow stage 24.11.6' >shown || fail "stage on a terminal: $(cat shown)"
        python3 - shown <<'END' || fail "the progress line"
import re, sys
text = open(sys.argv[1], newline="").read()
units = {"B": 1, "KiB": 1024, "MiB": 1 << 20}
line = r"24\.11\.6-test-amd64: fetching +(\d+) %(?:  ([0-9.]+) (B|KiB|MiB)/s)?(?:  (\d+):(\d\d) left)?"
lines = re.findall(line, text)
assert len(lines) > 15, "%d lines: %r" % (len(lines), text[-400:])
percent = [int(l[0]) for l in lines]
assert percent == sorted(percent) and percent[-1] > 85, percent
last = [l for l in lines if l[1]][-1]
rate = float(last[1]) * units[last[2]]
assert 200 * 1024 < rate < 400 * 1024, "the last rate is %s %s/s" % (last[1], last[2])
left = [int(l[3]) * 60 + int(l[4]) for l in lines if l[3] and int(l[0]) > 80]
assert left and all(s <= 8 for s in left) and left[-1] <= 2, left
assert not re.search("\x1b\\[[0-9;]*m", text), "a colour"
unpacked = [int(p) for p in re.findall(r"24\.11\.6-test-amd64: unpacking +(\d+) %", text)]
assert unpacked and unpacked == sorted(unpacked) and unpacked[-1] == 100, unpacked
assert len(unpacked) < 30, "%d lines of unpacking: not throttled" % len(unpacked)
assert text.count("fetching  100 %") < 10, "all is fetched is said again and again"
drawn = [l for l in re.split("\r\x1b\\[K|\r\n", text) if ": fetching" in l]
assert all(len(l) < 100 for l in drawn), "wider than the terminal"
END
        kill "$pid"
        pid=
        echo "progress: the rate of the last seconds and what is left"
else
        echo "skipped: the progress line (no nginx here)"
fi
terminal bash -c "sf-node upgrade 24.11.5 --no-restart" >shown || fail "upgrade on a terminal: $(cat shown)"
grep -F '24.11.5-test-amd64: rebuilding from the delta' shown >/dev/null || fail "nothing of the delta: $(cat shown)"
for how in "NO_COLOR=1" "TERM=dumb"; do
        rm -rf root/opt/slurm/releases/24.11.6-test
        terminal env "$how" sf-node stage 24.11.6 --fast >shown || fail "stage with $how"
        ! grep "$(printf '\033')"'\[[0-9;]*m' shown >/dev/null || fail "a colour with $how"
        [ "$how" != TERM=dumb ] || ! grep "$(printf '\033')" shown >/dev/null || fail "a progress line on a dumb terminal"
done
rm -rf root/opt/slurm/releases/24.11.6-test
sf-node stage 24.11.6 >said 2>&1
! grep "$(printf '[\033\r]')" said >/dev/null || fail "a progress line in a file"

# --- completion ----------------------------------------------------------------------------------------------------
rm -rf repo # whatever is completed now comes from what is here
same "$(sf-node list --names offered | sort | tr '\n' ' ')" \
        "24.11.4-test-amd64 24.11.5-test-amd64 24.11.6-test-amd64 " "names that were offered"
terminal --keys ". $top_srcdir/etc/completion/sf-node.bash\n" --keys 'sf-node upgrade 24.11.6\t' --until 24.11.6-test-amd64 \
        env PS1='> ' bash --norc --noprofile -i >shown || fail "bash completes no release: $(cat shown)"
terminal --keys ". $top_srcdir/etc/completion/sf-node.bash\n" --keys 'sf-node activate \t\t' --until 24.11.4-test-amd64 \
        env PS1='> ' bash --norc --noprofile -i >shown || fail "bash completes no installed release: $(cat shown)"
if command -v zsh >/dev/null; then
        mkdir zsh
        printf 'fpath=(%s/etc/completion $fpath)\nautoload -Uz compinit && compinit -u -D\nPS1="> "\n' "$top_srcdir" \
                >zsh/.zshrc
        terminal --keys 'sf-node upgrade 24.11.6\t' --until 24.11.6-test-amd64 \
                env ZDOTDIR="$work/zsh" zsh -d -i >shown ||
                fail "zsh completes no release: $(cat shown)"
else
        echo "skipped: completion in zsh (zsh is not here)"
fi
started=$(date +%s%N)
sf-node list --names offered >/dev/null
echo "completion: names in $((($(date +%s%N) - started) / 1000000)) ms"
if [ "$(id -u)" = 0 ]; then
        # For somebody who is not root: the files are readable, and so are these here.
        chmod 755 "$work"
        same "$(setpriv --reuid=65534 --regid=65534 --clear-groups "${SF_NODE:-$top_builddir/sf-node}" --config "$work/conf" \
                --root "$work/root" list --names offered | wc -l)" 3 "names for an ordinary user"
fi
bash "$top_srcdir/tests/kit/transcripts.sh" check "$top_srcdir/docs/OPERATING.md"
rm -rf root/var/lib/sf-node
expect 0 '^$' bash -c 'sf-node list --names offered 2>/dev/null || echo'
echo "bash and zsh complete releases"
