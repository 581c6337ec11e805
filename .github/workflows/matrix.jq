# SPDX-License-Identifier: Apache-2.0
# matrix.jq - of `slurm-factory --json matrix --all --plan` what the inputs of a workflow name. $versions, $toolchains and
# $architectures are words with blanks or commas between them, or a JSON list; nothing, or "all", means the whole selection.
# A series (25.11) names its releases. A word that names nothing is an error: a misspelt one would never be missed.
def words: gsub("[\\[\\]\",\\s]+"; " ") | split(" ") | map(select(. != "" and . != "all"));
def fits($list): . as $is | ($list == []) or any($list[]; . == $is or (. as $series | $is | startswith($series + ".")));
def known($all; $what): . as $list
  | map(. as $w | select(any($all[]; fits([$w])) | not)) as $unknown
  | if $unknown == [] then $list else error("\($what): nothing is called \($unknown | join(", "))") end;
.include as $all
| ($versions | words | known([$all[].version]; "slurm_versions")) as $v
| ($toolchains | words | known([$all[].toolchain]; "toolchains")) as $t
| ($architectures | words | known([$all[].arch]; "architectures")) as $a
| [$all[] | select((.version | fits($v)) and (.toolchain | fits($t)) and (.arch | fits($a)))
   | . + {runner: (if .arch == "arm64" then "ubuntu-24.04-arm" else "ubuntu-24.04" end)}]
