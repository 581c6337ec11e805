#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The script for new nodes, from nginx, on an image: what comes is proven before it runs, a second run changes nothing, and nothing
# is left of what was refused.
set -euo pipefail

nginx=$(PATH=$PATH:/usr/sbin command -v nginx) || { echo "skipped: no nginx here"; exit 77; }
. "$top_srcdir/tests/kit/nginx.sh"
for tool in python3 curl; do command -v $tool >/dev/null || { echo "skipped: no $tool here"; exit 77; }; done
unset http_proxy https_proxy HTTPS_PROXY all_proxy ALL_PROXY no_proxy NO_PROXY SLURM_FACTORY_CACHE_DIR
top_builddir=$(realpath "$top_builddir") top_srcdir=$(realpath "$top_srcdir")
work=$(mktemp -d)
pid=
trap '[ -z "$pid" ] || { kill "$pid"; wait "$pid" || true; }; rm -rf "$work"' EXIT
cd "$work"
failures=0
check() { # WHAT COMMAND...
        local what=$1
        shift
        if "$@" >/dev/null 2>&1; then printf 'ok      %s\n' "$what"; else printf 'FAILED  %s\n' "$what"; cat said; failures=$((failures + 1)); fi
}
is() { [ "$1" = "$2" ]; }
says() { check "says: $1" grep -qF -- "$1" said; }

# --- the repository ------------------------------------------------------------------------------------------------------------

factory() { "$top_builddir/slurm-factory" --cache cache --data "$top_srcdir/etc" -q "$@"; }
placeholder=/media/$(printf 'x%.0s' {1..280})
mkdir -p tree/sbin tree/lib/systemd/system tmp
printf '#!/bin/sh\n# %s/sbin\n' "$placeholder" >tree/sbin/slurmd
chmod 755 tree/sbin/slurmd
printf '[Service]\nType=notify\nExecStart=%s/sbin/slurmd --systemd\n' "$placeholder" >tree/lib/systemd/system/slurmd.service
toolchain=$(. /etc/os-release && echo "${VERSION_CODENAME-}")
[ -n "$toolchain" ] || { echo "skipped: this system has no code name"; exit 77; }
factory import tree --placeholder "$placeholder" --slurm-version 24.11.4 --toolchain "$toolchain"
factory keys init --repo repo --keys keys
factory publish 24.11.4 --repo repo --keys keys
factory publish-agent --force --repo repo --keys keys "${SF_NODE:-$top_builddir/sf-node}"
version=$("${SF_NODE:-$top_builddir/sf-node}" --version | awk '{ print $2 }')
script=$work/repo/agent/$version/sf-node-$version.sh
root=$(sha256sum <repo/metadata/1.root.json | cut -d ' ' -f 1)
case $(uname -m) in x86_64) arch=amd64 ;; *) arch=arm64 ;; esac

nginx_port
nginx_configure "$work" <<END
        access_log $work/access.log;
        server {
                listen 127.0.0.1:$port;
                location /good/ { alias $work/repo/; }
                location /tampered/ { alias $work/repo/; }
                location /tampered/agent/ { alias $work/tampered/; }
                location /portal/ { return 200 "<html>Log in</html>"; }
        }
END
mkdir -p "tampered/$version"
sed 's/what is installed and active/what is installed and ACTIVE/' "repo/agent/$version/sf-node-$arch" >"tampered/$version/sf-node-$arch"
chmod -R a+rX "$work"
nginx_start "$work"
base=http://127.0.0.1:$port

# --- the node ------------------------------------------------------------------------------------------------------------------

id=$(id -u)
new() {
        image=$work/$1
        mkdir -p "$image/etc"
        printf 'root:x:0:0::/:/bin/sh\nslurm:x:%s:%s::/:/bin/false\n' "$((id ? id : 4711))" "$((id ? id : 4711))" >"$image/etc/passwd"
        cp /etc/os-release "$image/etc/"
}
# run CODE SHELL SCRIPT ARGUMENT...
run() {
        local want=$1 shell=$2 got=0
        shift 2
        SF_NODE_IMAGE=$image $shell "$@" >said 2>&1 || got=$?
        [ "$got" = "$want" ] || { echo "FAILED  exit code $got, not $want: $*"; cat said; failures=$((failures + 1)); }
}
left() { find "$image" -type f -name '*sf-node*' ! -path '*/etc/*' | wc -l; }
listing() { (cd "$image" && find . -path ./var/lib/sf-node -prune -o -printf '%p %y %m %U %l %T@ %s\n' | sort); }

new good
run 0 sh "$script" "$base/good" "$root" 24.11.4 --conf-server ctl
check "it says nothing where nobody watches" test ! -s said
check "the agent is there" cmp "$image/usr/local/sbin/sf-node" "repo/agent/$version/sf-node-$arch"
check "the release is active" test -e "$image/opt/slurm/view/sbin/slurmd"
check "slurmd is enabled" test -L "$image/etc/systemd/system/multi-user.target.wants/slurmd.service"
check "the repository is remembered" grep -qx "url = $base/good/" "$image/etc/sf-node/sf-node.conf"
listing >before
requests=$(wc -l <access.log)
run 0 sh "$script" "$base/good" "$root" 24.11.4 --conf-server ctl
listing >after
check "a second run changes nothing" cmp before after
check "and does not fetch the agent again" is "$(tail -n +$((requests + 1)) access.log | grep -c "agent/$version")" 0
# What decided for this run decides for the next one, which knows the configuration only; a refused run leaves none.
new options
sed -i -e 's/^ID=.*/ID=other/' -e '/^VERSION_CODENAME=/d' "$image/etc/os-release"
run 3 sh "$script" "$base/good" "$root" 24.11.4 --conf-server ctl --toolchain other
check "a refused run leaves no configuration" test ! -e "$image/etc/sf-node/sf-node.conf"
run 0 sh "$script" "$base/good" "$root" 24.11.4 --conf-server ctl --prefix=/opt/hpc --toolchain "$toolchain"
check "the release is below the prefix" test -e "$image/opt/hpc/view/sbin/slurmd"
check "a later run goes on with the options" "$image/usr/local/sbin/sf-node" -q --root "$image" --config "$image/etc/sf-node/sf-node.conf" upgrade --dry-run 24.11.4
new environment
SF_NODE_URL=$base/good SF_NODE_ROOT_SHA256=$root SF_NODE_RELEASE=24.11 run 0 sh "$script" --conf-server ctl
check "arguments by environment" test -e "$image/opt/slurm/view/sbin/slurmd"
for shell in dash "busybox sh" "bash --posix"; do
        command -v "${shell%% *}" >/dev/null || continue
        new "shell-${shell%% *}"
        run 0 "$shell" "$script" "$base/good" "$root" 24.11.4 --conf-server ctl
        check "as $shell" test -e "$image/opt/slurm/view/sbin/slurmd"
done
if command -v wget >/dev/null; then
        new wget
        mkdir nocurl
        for tool in sh wget uname mktemp mkdir chmod sha256sum cut cat rm mv cp; do ln -s "$(command -v $tool)" nocurl/; done
        PATH=$work/nocurl run 0 "$(command -v sh)" "$script" "$base/good" "$root" 24.11.4 --conf-server ctl
        check "with wget alone" test -e "$image/opt/slurm/view/sbin/slurmd"
fi

# --- refused -------------------------------------------------------------------------------------------------------------------

new refused
run 2 sh "$script"
run 2 sh "$script" "$base/good" notahash 24.11.4
run 2 sh "$script" "file:///srv" "$root" 24.11.4
run 3 sh "$script" "$base/good" "$(printf x | sha256sum | cut -d ' ' -f 1)" 24.11.4 --conf-server ctl
says "this is not the repository that was meant"
check "nothing is trusted" test ! -e "$image/var/lib/sf-node/metadata"
check "a refused agent does not stay" is "$(left)" 0
run 3 sh "$script" "$base/tampered" "$root" 24.11.4 --conf-server ctl
says "is damaged or another one"
check "a tampered agent does not stay" is "$(left)" 0
run 3 sh "$script" "$base/nowhere" "$root" 24.11.4 --conf-server ctl
says "sf-node cannot be fetched from"
run 3 sh "$script" "$base/portal" "$root" 24.11.4 --conf-server ctl
says "is damaged or another one"
# Where somebody has changed the script as well, the agent still proves itself against the root.
sed "s/^sha256_$arch=.*/sha256_$arch=$(sha256sum <"tampered/$version/sf-node-$arch" | cut -d ' ' -f 1)/" "$script" >changed.sh
run 3 sh changed.sh "$base/tampered" "$root" 24.11.4 --conf-server ctl
check "an agent that only the script knows does not stay" is "$(left)" 0
# Cut off anywhere, the script does nothing.
size=$(stat -c %s "$script")
for at in 100 $((size / 2)) $((size - 60)) $((size - 9)); do
        head -c "$at" "$script" >cut.sh
        SF_NODE_IMAGE=$image sh cut.sh "$base/good" "$root" 24.11.4 --conf-server ctl >said 2>&1 || true
        check "cut off after $at bytes: nothing happens" is "$(left)$(ls "$image/opt" 2>/dev/null)" 0
done
# The agent's exit codes are kept.
rm "$image/etc/passwd"
run 2 sh "$script" "$base/good" "$root" 24.11.4 --conf-server ctl
says "does not invent its number"
printf 'slurm:x:%s:%s::/:/bin/false\n' "$((id ? id : 4711))" "$((id ? id : 4711))" >"$image/etc/passwd"
run 3 sh "$script" "$base/good" "$root" 23.02 --conf-server ctl
if command -v shellcheck >/dev/null; then check "shellcheck" shellcheck -s sh -e SC2015,SC2166 "$script"; fi

[ "$failures" = 0 ] || { echo "$failures checks failed"; exit 1; }
echo "first boot: all as it should be"
