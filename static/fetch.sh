#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# static/fetch.sh DIR: the archives of static/sources into DIR, each by SHA-256.
#
# SF_STATIC_MIRROR (a directory or URL, files by name) is asked first, then the Debian pool that this machine's apt uses, then
# upstream. A file that is there already is only checked.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
directory=$1
mkdir -p "$directory"

pool()
{
        local uri
        command -v apt-get >/dev/null || return 0
        uri=$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' | grep -v security | head -n 1)
        local source=${1%%_*} letter
        case $source in lib*) letter=${source:0:4} ;; *) letter=${source:0:1} ;; esac
        echo "${uri%/}/pool/main/$letter/$source/$1"
}

right() { [ -s "$1" ] && [ "$(sha256sum <"$1" | cut -d' ' -f1)" = "$2" ]; }

# get ADDRESS FILE: a directory's file or an address
get()
{
        case $1 in
        *://*) curl --silent --show-error --fail --location --retry 2 --max-time 600 --output "$2" "$1" ;;
        *) cp "$1" "$2" ;;
        esac
}

while read -r digest file upstream; do
        case $digest in '#'* | '') continue ;; esac
        if right "$directory/$file" "$digest"; then continue; fi
        found=
        for address in ${SF_STATIC_MIRROR:+"${SF_STATIC_MIRROR%/}/$file"} "$(pool "$file")" "$upstream"; do
                [ -n "$address" ] && [ "$address" != - ] || continue
                get "$address" "$directory/$file.part" 2>"$directory/fetch.log" || continue
                if right "$directory/$file.part" "$digest"; then
                        mv "$directory/$file.part" "$directory/$file"
                        found=yes
                        break
                fi
                echo "static: $address is not the file with SHA-256 $digest" >&2
        done
        [ -n "$found" ] || { echo "static: $file is nowhere to be had" >&2; cat "$directory/fetch.log" >&2; exit 1; }
done <"$here/sources"
rm -f "$directory"/*.part "$directory/fetch.log"
