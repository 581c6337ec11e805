# SPDX-License-Identifier: Apache-2.0
# complete.zsh DIRECTORY PROGRAM WORD : what zsh offers for PROGRAM WORD, one a line. The completion of DIRECTORY is loaded as
# compinit does it, then the function that it registers is called as bashcompinit does it; no terminal is needed.
fpath=($1 $fpath)
autoload -Uz compinit && compinit -u -D
[[ $_comps[$2] = _$2 ]] || { print "compinit does not know $2"; exit 1 }
# Outside of a completion widget the last word of the file complains; what it registered counts.
source $1/_$2 2>/dev/null
[[ $_comps[$2] = _bash_complete*-F\ _* ]] || { print "$1/_$2 registers nothing: $_comps[$2]"; exit 1 }
function ask {
        emulate -L sh
        COMP_WORDS=("$1" "$2") COMP_CWORD=1 COMPREPLY=()
        "_$(echo "$1" | tr - _)"
        printf '%s\n' "${COMPREPLY[@]}"
}
ask $2 "$3"
