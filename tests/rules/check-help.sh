#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The verb table (as --help prints it), the man pages and the completion name the same verbs and options.
set -euo pipefail
failed=0
# same WHAT A B: two lists, one word a line
same() {
        local difference
        difference=$(diff <(sort -u <<<"$2") <(sort -u <<<"$3")) || {
                printf '%s differ (< help, > other):\n%s\n' "$1" "$difference"
                failed=1
        }
}
for program in sf-node slurm-factory; do
        run=$top_builddir/$program
        page=$top_srcdir/man/$program.8
        help=$("$run" --help)
        verbs=$(sed -n '/^Verbs:/,/^$/s/^  \([a-z][a-z-]*\).*/\1/p' <<<"$help")
        options=$({
                echo "$help"
                for verb in $verbs; do "$run" "$verb" --help; done
        } | sed -nE 's/^ +(-[a-z], )?--([a-z-]+).*/\2/p' | grep -vxE 'help|version')
        [ "$(wc -l <<<"$verbs")" -ge 5 ] || { echo "$program --help shows too few verbs to be believed"; exit 1; }
        same "$program: verbs in the man page" "$verbs" "$(sed -nE 's/^\.It Ic ([a-z-]+).*/\1/p' "$page")"
        same "$program: options in the man page" "$options" \
                "$(sed -nE 's/^\.It Fl ([a-z] , Fl )?-([a-z-]+).*/\2/p' "$page" | grep -vxE 'help|version|completion')"
        # The completion is asked as bash would ask it.
        complete() {
                bash --norc -c 'eval "$("$1" --completion)"; name=${1##*/}
                        COMP_WORDS=("$1" "${@:2}"); COMP_CWORD=$((${#COMP_WORDS[@]} - 1)); COMPREPLY=(); "_${name//-/_}"
                        printf "%s\n" "${COMPREPLY[@]}"' - "$run" "$@"
        }
        same "$program: verbs in the completion" "$verbs" "$(complete "" | grep -v '^--')"
        for verb in $verbs; do
                same "$program $verb: options in the completion" \
                        "$("$run" "$verb" --help | sed -nE 's/^ +(-[a-z], )?--([a-z-]+).*/--\2/p')" \
                        "$(complete "$verb" -- | grep -vxE -e '--(help|version)')"
        done
        if command -v zsh >/dev/null; then
                same "$program: verbs in zsh" "$verbs" "$(PATH=$top_builddir:$PATH zsh -f "$top_srcdir/tests/kit/complete.zsh" \
                        "$top_srcdir/etc/completion" "$program" "" | grep -v '^--')"
        else
                echo "skipped: completion in zsh (zsh is not here)"
        fi
        "$run" --version | grep -E "^$program [0-9]+\.[0-9]+" >/dev/null || { echo "$program --version"; failed=1; }
        code=0
        "$run" --no-such-option 2>/dev/null || code=$?
        [ "$code" = 2 ] || { echo "$program: a wrong option exits with $code, not 2"; failed=1; }
        ! command -v mandoc >/dev/null || mandoc -Tlint -Wwarning "$page" || { echo "$program.8: mandoc complains"; failed=1; }
done
[ "$failed" = 1 ] || echo "help, man pages and completion agree"
exit "$failed"
