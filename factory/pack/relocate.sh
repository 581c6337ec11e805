#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# relocate.sh - makes an extracted Slurm tree name the directory that it lies in.
#
#     sh view/relocate.sh [--check] [PREFIX]
#
# PREFIX is where the tree will be used, by default where it is now. --check changes nothing and tells what would be
# changed. The tree may be moved and relocated again as often as needed; a run that was interrupted is finished by the
# next one. Needs a POSIX shell and cat, cmp, cp, dd, dirname, mkdir, mv, rm, wc.
#
# .relocate/map, made with the release, lists every file that holds the prefix, one per line:
#     KIND SIZE OFFSET[,OFFSET...] PATH
# Sizes and offsets are decimal bytes of the released content. KIND b: a binary, the prefix is padded with slashes to
# the length "room". KIND t: a text, the prefix is replaced as it is and the file changes its length.
# .relocate/prefixes lists the prefixes that files of this tree may hold, one per line.
set -uf
LC_ALL=C
export LC_ALL
unset CDPATH
newline='
'
harmless=ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789/._+@=~,-

die() {
        printf 'relocate.sh: %s\n' "$*" >&2
        exit 1
}

usage() {
        printf 'usage: sh view/relocate.sh [--check] [PREFIX]\n'
        printf 'Makes the Slurm tree beside this script name PREFIX, by default the directory that it lies in.\n'
        printf '%s\n' '--check changes nothing and tells what would be changed.'
}

# What the release says of itself, and the prefixes that its files may hold: lines of `known`, numbered from 0.
read_description() {
        release='' canonical='' room=0
        while IFS=' ' read -r key value; do
                case $key in
                release) release=$value ;;
                canonical) canonical=$value ;;
                room) room=$value ;;
                esac
        done <.relocate/description || die "cannot read $PWD/.relocate/description"
        if [ -z "$release" ] || [ -z "$canonical" ] || [ "$room" -le 0 ]; then
                die "$PWD/.relocate/description is damaged"
        fi
        known=$prefix$newline
        if [ -f .relocate/prefixes ]; then
                while IFS= read -r line; do known=$known$line$newline; done <.relocate/prefixes
        fi
        known=$known$canonical$newline
}

check_prefix() {
        case $prefix in
        /*) ;;
        *) die "prefix '$prefix': an absolute path is needed" ;;
        esac
        while case $prefix in ?*/) true ;; *) false ;; esac do prefix=${prefix%/}; done
        case $prefix in
        / | *//* | */./* | */../* | */. | */..) die "prefix '$prefix': a path below / without '//', '.' and '..' is needed" ;;
        *[!$harmless]*)
                die "prefix '$prefix': letters, digits and ._-+@=~, only, for it is written into unit files and scripts" ;;
        esac
}

# Writes the strings to compare with: known prefix number i as text into t<i>, padded into b<i>.
write_strings() {
        i=0
        printf %s "$known" >"$busy/known" || die "cannot write to $busy"
        while IFS= read -r line; do
                printf %s "$line" >"$busy/t$i" || die "cannot write to $busy"
                while [ ${#line} -lt "$room" ]; do line=$line/; done
                printf %s "$line" >"$busy/b$i" || die "cannot write to $busy"
                i=$((i + 1))
        done <"$busy/known"
}

# One directory serves as lock and as scratch space. One that a killed run left behind is taken over.
take_lock() {
        busy=.relocate/busy
        if ! mkdir "$busy" 2>/dev/null; then
                [ -d "$busy" ] || die "cannot write to $PWD/.relocate"
                owner=
                read -r owner 2>/dev/null <"$busy/pid"
                if [ "$owner" ] && kill -0 "$owner" 2>/dev/null; then
                        die "process $owner is relocating this tree"
                fi
                rm -rf "$busy"
                mkdir "$busy" || die "cannot write to $PWD/.relocate"
        fi
        trap 'rm -rf "$busy"' 0
        trap 'exit 1' 1 2 15
        echo $$ >"$busy/pid" || die "cannot write to $PWD/$busy"
}

# parse LINE: sets kind, size, offsets and path.
parse() {
        kind=${1%% *} rest=${1#* }
        size=${rest%% *} rest=${rest#* }
        offsets=${rest%% *} path=${rest#* }
        case $kind in
        b | t) ;;
        *) die "$PWD/.relocate/map is damaged: $1" ;;
        esac
}

# True where every place of the file holds prefix number $1, which is the string $2.
holds() {
        string=$busy/$kind$1 length=${#2} growth=0
        count=0
        if [ "$kind" = t ]; then growth=$((length - ${#canonical})); else length=$room; fi
        for offset in $places; do count=$((count + 1)); done
        [ "$actual" -eq $((size + count * growth)) ] || return 1
        count=0
        for offset in $places; do
                dd if="$path" bs=1 skip=$((offset + count * growth)) count="$length" 2>/dev/null |
                        cmp -s - "$string" || return 1
                count=$((count + 1))
        done
}

# Writes the number of the known prefix that each file holds, in front of its line of the map.
find_current() {
        while IFS= read -r line <&3; do
                parse "$line"
                rm -f "$path.relocating" 2>/dev/null
                if [ ! -e "$path" ] && [ ! -h "$path" ]; then
                        printf 'relocate.sh: %s is not there, left out\n' "$path" >&2
                        missing=yes
                        continue
                fi
                [ -f "$path" ] && [ ! -h "$path" ] || die "$path is not the release's file"
                # shellcheck disable=SC2086  # split on purpose
                places=$(IFS=,; printf '%s ' $offsets)
                actual=$(($(wc -c <"$path"))) || die "cannot read $path"
                found=
                i=0
                while IFS= read -r candidate; do
                        if holds "$i" "$candidate"; then
                                found=$i
                                break
                        fi
                        i=$((i + 1))
                done <"$busy/known"
                [ "$found" ] || die "$path was changed: it holds none of the prefixes that it should; nothing was done"
                printf '%s %s\n' "$found" "$line" || die "cannot write to $busy"
        done 3<.relocate/map >"$busy/plan" || exit 1
}

# copy_range FILE START COUNT: large parts in blocks.
copy_range() {
        start=$2 left=$3
        if [ "$left" -gt 16384 ]; then
                edge=$(((4096 - start % 4096) % 4096))
                [ "$edge" -eq 0 ] || dd if="$1" bs=1 skip="$start" count="$edge" 2>/dev/null || return 1
                start=$((start + edge)) left=$((left - edge))
                dd if="$1" bs=4096 skip=$((start / 4096)) count=$((left / 4096)) 2>/dev/null || return 1
                start=$((start + left / 4096 * 4096)) left=$((left % 4096))
        fi
        [ "$left" -eq 0 ] || dd if="$1" bs=1 skip="$start" count="$left" 2>/dev/null
}

# replace_text LENGTH: the text goes to standard output, the prefix of this length replaced at every place.
replace_text() {
        at=0 count=0
        for offset in $places; do
                offset=$((offset + count * ($1 - ${#canonical})))
                copy_range "$path" "$at" $((offset - at)) && cat "$busy/t0" || return 1
                at=$((offset + $1)) count=$((count + 1))
        done
        copy_range "$path" "$at" $((actual - at))
}

# A copy beside the file is changed and renamed: running programs keep what they run.
change() {
        new=$path.relocating
        cp -p "$path" "$new" || return 1
        if [ "$kind" = t ]; then
                replace_text "$1" >"$new" || return 1
        else
                for offset in $places; do
                        dd if="$busy/b0" of="$new" bs=1 seek="$offset" conv=notrunc 2>/dev/null || return 1
                done
        fi
        mv -f "$new" "$path"
}

change_all() {
        while IFS= read -r line <&3; do
                current=${line%% *}
                [ "$current" != 0 ] || continue
                parse "${line#* }"
                # shellcheck disable=SC2086  # split on purpose
                places=$(IFS=,; printf '%s ' $offsets)
                actual=$(($(wc -c <"$path")))
                change $(($(wc -c <"$busy/t$current"))) || {
                        rm -f "$path.relocating"
                        die "cannot change $path; run again to finish"
                }
        done 3<"$busy/plan"
}

checking=
prefix=
missing=
for argument; do
        case $argument in
        --help) usage; exit 0 ;;
        --check) checking=yes ;;
        -*) usage >&2; exit 2 ;;
        *)
                [ -z "$prefix" ] || { usage >&2; exit 2; }
                prefix=$argument
                ;;
        esac
done
cd "$(dirname "$0")" || exit 1
[ -f .relocate/map ] || die "$(pwd): no .relocate/map here"
if [ -z "$prefix" ]; then
        prefix=$(pwd)
        [ -f "$prefix/.relocate/map" ] || die "the path of this directory ends in a line feed"
fi
check_prefix
read_description
[ ${#prefix} -le "$room" ] || die "prefix $prefix has ${#prefix} bytes, the release has room for $room"
take_lock
write_strings
find_current
changes=0
while IFS=' ' read -r current line; do
        [ "$current" = 0 ] || changes=$((changes + 1))
done <"$busy/plan"
if [ "$changes" -gt 0 ] && [ "$checking" ]; then
        printf '%s: %s files do not name %s yet\n' "$release" "$changes" "$prefix"
        exit 1
fi
if [ "$changes" -gt 0 ]; then
        cp "$busy/known" .relocate/prefixes || die "cannot write $PWD/.relocate/prefixes"
        change_all
fi
if [ -z "$checking" ]; then
        # A file that is not there may come back with a prefix of before.
        [ "$missing" ] || known=$prefix$newline
        { printf %s "$known" >"$busy/prefixes" && mv -f "$busy/prefixes" .relocate/prefixes; } ||
                die "cannot write $PWD/.relocate/prefixes"
fi
printf '%s: %s files changed, the tree names %s\n' "$release" "$changes" "$prefix"
