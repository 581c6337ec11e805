#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# An openssl.cnf that leaves both programs without SHA-256 (a provider that is not there, properties that none has) is named, with
# OpenSSL's own reason; what needs no digest goes on. One that is garbage hurts nobody.
set -euo pipefail
top_builddir=$(realpath "$top_builddir") top_srcdir=$(realpath "$top_srcdir")
unset http_proxy https_proxy HTTPS_PROXY all_proxy ALL_PROXY no_proxy NO_PROXY SLURM_FACTORY_CACHE_DIR OPENSSL_CONF SF_NODE
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
. "$top_srcdir/tests/kit/expect.sh"
. "$top_srcdir/tests/kit/small-node.sh"
# Static programs read no openssl.cnf: the agent of this build is asked, whatever SF_NODE names.
agent() { "$top_builddir/sf-node" --config conf --root root "$@"; }
small_node

printf 'openssl_conf = i\n[i]\nproviders = p\n[p]\nnosuch = n\n[n]\nactivate = 1\n' >provider.cnf
printf 'openssl_conf = i\n[i]\nalg_section = a\n[a]\ndefault_properties = fips=yes\n' >fips.cnf
head -c 3000 /dev/urandom >garbage.cnf
for conf in provider fips; do
        export OPENSSL_CONF=$work/$conf.cnf
        for what in list "stage 24.11.5" "upgrade --dry-run" "verify" "trust --force repo/metadata/1.root.json"; do
                # shellcheck disable=SC2086
                expect 3 "OpenSSL: .*unsupported.* (configured by $work/$conf.cnf" agent $what
                ! grep -i 'memory\|mismatch' said || fail "a guess: $what"
        done
        expect 2 "SHA-256: OpenSSL: .*(configured by $work/$conf.cnf" factory publish 24.11.5 --repo repo --keys keys
        expect 2 "SHA-256: OpenSSL: .*(configured by $work/$conf.cnf" factory keys init --repo other --keys other-keys
        for what in status log "activate 24.11.4 --no-restart" recover "gc --dry-run"; do
                # shellcheck disable=SC2086
                expect 0 '' agent $what
        done
done
export OPENSSL_CONF=$work/garbage.cnf
expect 0 '' agent upgrade --no-restart
export OPENSSL_CONF=$work/provider.cnf
expect 0 '' agent rollback --no-restart
echo "openssl.cnf: named where it leaves no SHA-256, and the way back goes without"
