#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# transcripts.sh update|check DOCUMENT: a first session with sf-node, its commands and what they say, as DOCUMENT has it
# between "<!-- transcript -->" and "<!-- end of transcript -->". `update` (make transcripts) writes it there, `check`
# compares what is no time, size or count. Everything runs below a --root tree. SF_TRANSCRIPT_RELEASES names a build
# cache with Slurm 24.11.5 and 24.11.6 for bookworm; without it two small trees take their place.
#
# transcripts.sh update|check DOCUMENT NAME FILE: the same with what a booted node said, in FILE, and "<!-- transcript NAME -->";
# versions are not compared. Scenarios call it (tests/testbed/node.sh).
set -euo pipefail
what=$1 document=$(realpath "$2") name=${3:+ $3}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
plain() {
        sed -E 's/[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:]{8}Z/TIME/g; s/[0-9.]+ (B|[KMG]iB|bytes)\b/SIZE/g; s/[0-9]+ (files|entries)/N \1/g
                s/[0-9.]+ s$/SECONDS/; s/ +/ /g'
}
# Of a node: what was away for how long, since which day, by which number, and how slurmd was believed at last.
plain_node() {
        plain | sed -E 's/[0-9]{2}\.[0-9]{2}\.[0-9]+/VERSION/g; s/[0-9.]+ s\b/SECONDS/g; s/foreign-[0-9]+/foreign-DATE/g
                s/pid [0-9]+/pid N/g; s/step [0-9]+\./step N./g; s/(new registration of [a-z0-9]+,).*/\1 .../'
}
finish() { # PLAIN HINT: what is in $work/session
        case $what in
        update)
                sed -i -e "/^<!-- transcript$name -->\$/,/^<!-- end of transcript -->\$/{//!d}" \
                        -e "/^<!-- transcript$name -->\$/r $work/session" "$document"
                ;;
        check)
                sed -n "/^<!-- transcript$name -->\$/,/^<!-- end of transcript -->\$/{//!p}" "$document" >"$work/written"
                grep '^# sf-node' "$work/written" >/dev/null || { echo "$document has no transcript$name"; exit 1; }
                diff -u <($1 <"$work/written") <($1 <"$work/session") ||
                        { echo "$document: its transcript$name is not what sf-node says today ($2)"; exit 1; }
                ;;
        esac
}
if [ -n "$name" ]; then
        { echo '```'; cat "$4"; echo '```'; } >"$work/session"
        finish plain_node "run the scenario with SF_TRANSCRIPT=update"
        exit 0
fi
export TZ=UTC
cache=${SF_TRANSCRIPT_RELEASES:-$work/cache}
factory() { "$top_builddir/slurm-factory" --cache "$cache" --data "$top_srcdir/etc" -q "$@"; }
placeholder=/media/$(printf 'x%.0s' {1..280})
small() {
        mkdir -p "$work/tree-$1/sbin" "$work/tree-$1/bin" "$work/tree-$1/lib"
        printf '#!/bin/sh\n# %s/sbin\necho slurm %s\n' "$placeholder" "$1" |
                tee "$work/tree-$1/bin/scontrol" >"$work/tree-$1/sbin/slurmd"
        chmod 755 "$work/tree-$1/sbin/slurmd" "$work/tree-$1/bin/scontrol"
        { seq 300000; echo "$1"; } >"$work/tree-$1/lib/libslurm.so"
        factory import "$work/tree-$1" --placeholder "$placeholder" --slurm-version "$1" --toolchain bookworm --arch amd64
}
[ -n "${SF_TRANSCRIPT_RELEASES-}" ] || for version in 24.11.5 24.11.6; do small $version; done
factory keys init --repo "$work/repo" --keys "$work/keys"
factory publish 24.11.5 --repo "$work/repo" --keys "$work/keys"
mkdir "$work/root"
cp "$work/repo/metadata/1.root.json" "$work/root.json"
printf '[repository]\nurl = file://%s/repo\n[node]\ntoolchain = bookworm\narch = amd64\n' "$work" >"$work/conf"
run() { # COMMAND: shown and run
        local words
        printf '# %s\n' "$*"
        read -ra words <<<"$*"
        (cd "$work" && "${SF_NODE:-$top_builddir/sf-node}" --config "$work/conf" --root "$work/root" "${words[@]:1}" 2>&1) |
                sed "s#$work/root##g; s#$work/##g"
}
session() {
        printf '```\n'
        run sf-node trust root.json
        run sf-node install 24.11
        factory publish 24.11.6 --delta-from 24.11.5 --repo "$work/repo" --keys "$work/keys"
        run sf-node list
        run sf-node upgrade --dry-run
        run sf-node upgrade --no-restart
        run sf-node status
        run sf-node verify
        run sf-node rollback --no-restart
        run sf-node log
        run sf-node gc --keep 1 --dry-run
        printf '```\n'
}
session >"$work/session"
finish plain "make transcripts"
