# SPDX-License-Identifier: Apache-2.0
# bash-completion of slurm-factory: the program itself knows its verbs and options.
eval "$(slurm-factory --completion 2>/dev/null)"
