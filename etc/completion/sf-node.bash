# SPDX-License-Identifier: Apache-2.0
# bash-completion of sf-node: the program itself knows its verbs and options.
eval "$(sf-node --completion 2>/dev/null)"
