#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# demo.sh DIR: the main job on real Slurm, with embedded defaults. Builds Slurm and its first dependencies from source for
# this machine, publishes the release to a repository directory, serves that on loopback, installs it with sf-node into a
# scratch root, and runs a job on the relocated cluster. `make demo` calls it. Everything it makes lies in DIR; a second
# run finds the build there. Leaves nothing running.
set -euo pipefail
demo=$1
src=${top_srcdir:-$(cd "$(dirname "$0")/.." && pwd)}
bin=${top_builddir:-$PWD}
version=${SF_DEMO_VERSION:-24.11.5}
mkdir -p "$demo"
demo=$(cd "$demo" && pwd)
factory() { "$bin/slurm-factory" --data "$src/etc" --cache "$demo/cache" "$@"; }
node() { "${SF_NODE:-$bin/sf-node}" --config "$demo/sf-node.conf" --root "$demo/node" "$@"; }

started=$SECONDS
server=
trap '[ -z "$server" ] || kill "$server" 2>/dev/null || :' EXIT
say() { printf '\n== %s  [%d s]\n' "$*" $((SECONDS - started)); }

say "1. Dependencies of Slurm, from source"
factory build-deps --profile minimal
say "2. Slurm $version, from source"
factory build-slurm --profile minimal --slurm-version "$version"
release=$(basename "$(ls -d "$demo/cache/builds/$version-"* | head -n 1)")

say "3. Publish $release, signed"
[ -d "$demo/repo/metadata" ] || factory keys init --repo "$demo/repo" --keys "$demo/keys"
factory publish "$release" --repo "$demo/repo" --keys "$demo/keys" || {
        # A run before today's recipes published the same version with other content: the demo begins anew.
        rm -rf "$demo/repo" "$demo/keys"
        factory keys init --repo "$demo/repo" --keys "$demo/keys"
        factory publish "$release" --repo "$demo/repo" --keys "$demo/keys"
}

say "4. Install with sf-node, over HTTP"
rm -rf "$demo/node"
mkdir -p "$demo/node"
: >"$demo/server.log" # that of a run before names another port
# Any web server does: the repository is a directory of files.
python3 -u -m http.server --bind 127.0.0.1 --directory "$demo/repo" 0 >"$demo/server.log" 2>&1 &
server=$!
port=
for _ in $(seq 100); do
        port=$(sed -nE 's/.* port ([0-9]+) .*/\1/p' "$demo/server.log")
        [ -z "$port" ] || break
        sleep 0.05
done
[ -n "$port" ] || { echo "demo: the web server did not start:" >&2; cat "$demo/server.log" >&2; exit 1; }
printf '[repository]\nurl = http://127.0.0.1:%s/\n' "$port" >"$demo/sf-node.conf"
node trust "$demo/repo/metadata/1.root.json"
node list
node install "${version%.*}"
node verify
kill "$server"
wait "$server" 2>/dev/null || :
server=

say "5. A job on the relocated cluster, in namespaces of its own"
if [ "$(id -u)" = 0 ]; then
        timeout -s KILL 120 "$src/tests/kit/cluster.sh" "$demo/node/opt/slurm" /opt/slurm bash -c '
                set -e
                echo "slurmd -V:      $(slurmd -V)"
                echo "slurmd runs at: $(readlink /proc/$(pidof slurmd)/exe)"
                echo "srun hostname:  $(srun hostname)"
                echo "munge | unmunge: $(munge -n | unmunge | sed -n "s/STATUS: *//p")"'
else
        echo "skipped: the cluster's namespaces need root"
fi

layers=$(du -cb "$demo/repo/blobs" | tail -n 1 | cut -f 1)
installed=$(du -sb "$demo/node/opt/slurm/releases" | cut -f 1)
say "Done"
cat <<END
  release     $release
  repository  $demo/repo ($layers bytes of blobs)
  installed   $installed bytes below $demo/node/opt/slurm
  time        $((SECONDS - started)) s; the next run finds the build in $demo/cache

Next, on a node that should run it (serve $demo/repo with any web server):
  sf-node trust root.json                    # a copy of $demo/repo/metadata/1.root.json
  sf-node --repo http://YOUR-SERVER/ install ${version%.*}
  sf-node status
END
