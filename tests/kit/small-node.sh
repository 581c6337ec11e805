# SPDX-License-Identifier: Apache-2.0
# tests/kit/small-node.sh - a node in ./root that runs 24.11.4, with 24.11.5 on offer in ./repo; each a script of some bytes. Sourced,
# in an empty directory; `agent` is the scenario's own way to call sf-node, with --config conf --root root.
# shellcheck shell=bash

factory() { "$top_builddir/slurm-factory" --cache cache --data "$top_srcdir/etc" -q "$@"; }

small_node() {
        local placeholder version
        placeholder=/media/$(printf 'x%.0s' {1..280})
        for version in 24.11.4 24.11.5; do
                mkdir -p tree-$version/sbin
                printf '#!/bin/sh\n# %s/sbin\necho slurm %s\n' "$placeholder" $version >tree-$version/sbin/slurmd
                chmod 755 tree-$version/sbin/slurmd
                factory import tree-$version --placeholder "$placeholder" --slurm-version $version --toolchain test --arch amd64
        done
        factory keys init --repo repo --keys keys
        factory publish 24.11.4 --repo repo --keys keys
        factory publish 24.11.5 --repo repo --keys keys
        mkdir root
        printf '[repository]\nurl = file://%s/repo\n[node]\ntoolchain = test\narch = amd64\n' "$PWD" >conf
        agent -q trust repo/metadata/1.root.json
        agent -q install 24.11.4
}
