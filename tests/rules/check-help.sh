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
        # An option whose text in the man page begins with a verb names every verb that has it. The agent's verbs that switch share a
        # table, and what one of them does nothing with is not said for it.
        while read -r option named; do
                [ "$program" = slurm-factory ] || continue
                for verb in $verbs; do
                        "$run" "$verb" --help | grep -E "^ +(-[a-z], )?--$option( |=|\$)" >/dev/null || continue
                        case " $named " in *" $verb "*) continue ;; esac
                        echo "$program.8: --$option does not say what it is for $verb"
                        failed=1
                done
        done < <(awk '/^\.It Fl /{ option = $0; sub(/^\.It Fl ([a-z] , Fl )?-/, "", option); sub(/ .*/, "", option); first = 1; next }
                /^\.(It|El|Sh|Ss|Bl)/{ option = ""; next }
                option == "" { next }
                first { first = 0; begins[option] = begins[option] || !/^\.Ic .* :$/; known[option] = 1 }
                /^\.Ic .* :$/ {
                        n = split(substr($0, 5), parts, ",")
                        for (i = 1; i <= n; i++) {
                                split(parts[i], word, " ")
                                named[option] = named[option] " " word[1]
                        }
                }
                END { for (o in known) if (!begins[o]) print o named[o] }' "$page")
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
