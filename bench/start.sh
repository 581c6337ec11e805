#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# What an agent costs on a node before it does anything: its bytes with the libraries it loads, the time of `--version` and its peak
# memory, beside tools that are installed here. Prints a section of docs/BENCHMARKS.md.
#
#     bench/start.sh AGENT     AGENT is the static agent (make static)
set -euo pipefail
agent=${1:?static agent}
[ -x /usr/bin/time ] || { echo "GNU time is missing"; exit 77; }
commas() { sed ':a;s/\([0-9]\)\([0-9]\{3\}\)\($\|,\)/\1,\2\3/;ta' <<<"$1"; }
# row NAME PROGRAM VERSION
row() {
        local own libraries count whole fastest memory file
        own=$(stat -Lc %s "$2") count=0 whole=$own
        libraries=$(ldd "$2" 2>/dev/null | grep -o '/[^ ]*' || :)
        for file in $libraries; do
                count=$((count + 1))
                whole=$((whole + $(stat -Lc %s "$file")))
        done
        fastest=$(for _ in $(seq 50); do
                start=$EPOCHREALTIME
                "$2" --version >/dev/null
                awk -v a="$start" -v b="$EPOCHREALTIME" 'BEGIN { printf "%.1f\n", (b - a) * 1000 }'
        done | sort -n | head -n 1)
        memory=$(/usr/bin/time -f %M "$2" --version 2>&1 >/dev/null | tail -n 1)
        printf '| %s | %s | %d | %s | %s | %s |\n' "$1 $3" "$(commas "$own")" "$count" "$(commas "$whole")" "$fastest" \
                "$(awk -v k="$memory" 'BEGIN { printf "%.1f", k / 1024 }')"
}
version() { dpkg-query -W -f '${Version}' "$1" 2>/dev/null || :; }
echo "## Size and start"
echo
echo "Programs as Debian's packages installed them on this machine, with the shared libraries that they load; \`--version\`, the fastest of 50 runs."
echo
echo "| program | bytes | libraries | bytes with them | ms | peak MiB |"
echo "| --- | ---: | ---: | ---: | ---: | ---: |"
row "sf-node, static" "$agent" ""
for tool in rauc ostree apt:apt-get curl; do
        program=$(command -v "${tool#*:}") || { echo "<!-- ${tool%:*} is not installed -->"; continue; }
        row "${tool#*:}" "$program" "$(version "${tool%:*}")"
done
