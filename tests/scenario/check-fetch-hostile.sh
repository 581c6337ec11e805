#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The fetcher against tests/kit/hostile-server.py: prints a table of behaviours, expected and real outcomes.
set -euo pipefail

for tool in python3 openssl; do
        command -v "$tool" >/dev/null || { echo "skipped: no $tool here"; exit 77; }
done
unset http_proxy https_proxy HTTPS_PROXY all_proxy ALL_PROXY no_proxy NO_PROXY
work=$(mktemp -d)
server=
cleanup() {
        exec 9>&- || true # the server ends with its standard input
        [ -z "$server" ] || wait "$server" || true
        rm -rf "$work"
}
trap cleanup EXIT

# certificate NAME DAYS ALT_NAME [CA]: a key and a certificate that CA (or the key itself) signed, in one file
certificate() {
        local at=$work/certificates/$1
        local signer=(-signkey "$at.key")
        [ $# -lt 4 ] || signer=(-CA "$work/$4.crt" -CAkey "$work/$4.key" -CAcreateserial)
        openssl req -new -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout "$at.key" -out "$at.csr" \
                -subj "/CN=$1" -batch
        openssl x509 -req -in "$at.csr" "${signer[@]}" -days "$2" -out "$at.crt" \
                -extfile <(echo "subjectAltName=$3")
        cat "$at.key" "$at.crt" >"$at.pem"
}
mkdir "$work/certificates"
{
        openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout "$work/ca.key" \
                -out "$work/ca.crt" -days 2 -subj /CN=ca -batch
        certificate good 2 IP:127.0.0.1 ca
        certificate old 2 IP:127.0.0.1 ca
        certificate self-signed 2 IP:127.0.0.1
        certificate wrong-host 2 DNS:elsewhere.invalid ca
        certificate expired -1 IP:127.0.0.1 ca
} 2>"$work/openssl.log" || { cat "$work/openssl.log"; exit 99; }

mkfifo "$work/stdin"
python3 "$top_srcdir/tests/kit/hostile-server.py" --certificates "$work/certificates" \
        <"$work/stdin" >"$work/ports" 2>"$work/server.log" &
server=$!
exec 9>"$work/stdin"
for _ in $(seq 100); do
        grep -q ready "$work/ports" && break
        kill -0 "$server" || { cat "$work/server.log"; exit 99; }
        sleep 0.1
done
mapfile -t ports < <(sed -n 's/^\([a-z-]*\) \([0-9]*\)$/\1=\2/p' "$work/ports")
"$top_builddir/tests/kit/fetch-table" "$work/ca.crt" "${ports[@]}"

# Where distributions keep their CA bundle, each alone in an /etc of its own; and none at all.
if ! unshare -rm true 2>/dev/null; then
        echo "skipped: CA bundle paths (no user namespaces here)"
        exit 0
fi
good=$(sed -n 's/^good //p' "$work/ports")
with_bundle_at() {
        # shellcheck disable=SC2016  # expanded in there
        unshare -rm bash -c 'mount -t tmpfs none /etc
                [ -z "$2" ] || { mkdir -p "$(dirname "$2")"; cp "$1/ca.crt" "$2"; }
                exec "$3/tests/kit/fetch-one" - "https://127.0.0.1:$4/good" blob 300000 0 300000 "$1/got"' \
                - "$work" "$1" "$(realpath "$top_builddir")" "$good" || true
}
for bundle in /etc/ssl/certs/ca-certificates.crt /etc/pki/tls/certs/ca-bundle.crt \
        /etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem; do
        said=$(with_bundle_at "$bundle")
        echo "CA bundle at $bundle: $said"
        [[ $said == ok* ]]
done
said=$(with_bundle_at "")
echo "no CA bundle: $said"
[[ $said == "usage: no CA bundle to check https servers with: looked for /etc/ssl/"* ]]
