#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The static agent (`make static`, built here where it is missing): what kind of file it is, its size against static/budget, how
# fast it starts; and that it installs and upgrades over HTTPS where nothing of a system is: a directory that holds the agent, a
# CA bundle and resolv.conf. There: with a broken openssl.cnf, with IPv6 only, with an answer of the name server that does not fit
# into 512 bytes, in root directories of other Debian releases (SF_TEST_SUITES="bullseye bookworm trixie forky"; none by default).
# STATIC_ARCH=arm64 (tests/system/check-static-arm64.sh) does the same under qemu-user with the cross-compiled agent and a release of a
# program and a library for arm64, which must run from where they were relocated to.
set -euo pipefail
[ "$(id -u)" = 0 ] || { echo "skipped: chroot and namespaces need root"; exit 77; }
for tool in python3 openssl ip readelf unshare; do
        command -v $tool >/dev/null || { echo "skipped: no $tool here"; exit 77; }
done
for tool in meson ninja gperf; do
        [ -n "${SF_STATIC-}" ] || command -v $tool >/dev/null || { echo "skipped: no $tool here (make static-packages)"; exit 77; }
done
top_builddir=$(realpath "$top_builddir") top_srcdir=$(realpath "$top_srcdir")
arch=${STATIC_ARCH:-$(dpkg --print-architecture)}
. "$top_srcdir/tests/kit/suites.sh"
unset MAKEFLAGS MFLAGS MAKEOVERRIDES MAKELEVEL TESTS TEST_LOGS
runner=()
if [ "$arch" != "$(dpkg --print-architecture)" ]; then
        for tool in qemu-aarch64-static aarch64-linux-gnu-gcc; do
                command -v $tool >/dev/null || { echo "skipped: no $tool here"; exit 77; }
        done
        runner=("$(command -v qemu-aarch64-static)")
fi
agent=${SF_STATIC:-$top_builddir/static-build/$arch/sf-node}
[ -n "${SF_STATIC-}" ] || make -s -C "$top_builddir" static STATIC_ARCH="$arch"

work=$(mktemp -d)
net=sf-static-$$
servers=()
failures=0
cleanup() {
        for pid in "${servers[@]}"; do kill "$pid" 2>/dev/null || :; done
        ip netns del "$net" 2>/dev/null || :
        rm -rf "$work"
}
trap cleanup EXIT
# check WHAT COMMAND...
check() {
        local what=$1
        shift
        if "$@" >"$work/said" 2>&1; then
                echo "ok      $what"
        else
                echo "NOT OK  $what"
                tail -n 8 "$work/said" | sed 's/^/        /'
                failures=$((failures + 1))
        fi
}

# --- the file -----------------------------------------------------------------------------------------------------------

no_interpreter() { ! readelf -lW "$agent" | grep INTERP >/dev/null; }
no_libraries() { ! readelf -dW "$agent" | grep NEEDED; }
hardened() {
        readelf -hW "$agent" | grep 'DYN (' >/dev/null && readelf -lW "$agent" | grep GNU_RELRO >/dev/null &&
                readelf -dW "$agent" | grep -E 'BIND_NOW|FLAGS_1.*NOW' >/dev/null && ! readelf -dW "$agent" | grep TEXTREL >/dev/null &&
                ! readelf -lW "$agent" | grep GNU_STACK | grep RWE >/dev/null
}
packed() { readelf -dW "$agent" | grep RELR >/dev/null; }
stack() { [ "$((0x$(readelf -lW "$agent" | awk '/GNU_STACK/ { print substr($6, 3) }')))" -ge 1048576 ]; }
within_budget() {
        local name size allowed bad=0
        while read -r name size; do
                allowed=$(awk -v n="$name" -v column="$([ "$arch" = amd64 ] && echo 2 || echo 3)" '$1 == n { print $column }' \
                        "$top_srcdir/static/budget")
                [ -n "$allowed" ] || { echo "static/budget does not name $name ($size bytes)"; bad=1; continue; }
                [ "$size" -le "$allowed" ] || { echo "$name has $size bytes, $allowed are allowed"; bad=1; }
        done <"$(dirname "$agent")/sizes"
        return $bad
}
check "no interpreter" no_interpreter
check "no shared library" no_libraries
check "position independent, RELRO, bound at once, no text relocations, stack not executable" hardened
# The linker of Debian 12 packs them for x86 only.
[ "$arch" != amd64 ] || check "packed relative relocations" packed
check "stacks of threads: 1 MiB" stack
if [ -e "$(dirname "$agent")/sizes" ]; then
        check "each library within static/budget" within_budget
        sed 's/^/        /' "$(dirname "$agent")/sizes"
fi
python3 - "${runner[@]}" "$agent" <<'END'
import subprocess, sys, time
times = []
for _ in range(30):
    start = time.perf_counter()
    subprocess.run(sys.argv[1:] + ["--version"], stdout=subprocess.DEVNULL, check=True)
    times.append(time.perf_counter() - start)
print("        --version: fastest of 30 runs %.1f ms, median %.1f ms" % (min(times) * 1e3, sorted(times)[15] * 1e3))
END

# --- two releases, served over HTTPS, with a name server, on the loopback of a namespace of its own ------------------------

factory() { "$top_builddir/slurm-factory" --cache "$work/cache" --data "$top_srcdir/etc" -q "$@"; }
placeholder=/media/$(printf 'x%.0s' {1..280})
# A library, and a program that finds it by its run path and knows its own prefix; the later release has more code in front.
cross_build() {
        local i more=0
        case $1 in *.6) more=5 ;; esac
        { printf '#include <stdio.h>\n#include <stdlib.h>\n#include <string.h>\n'
                for i in $(seq "$more"); do printf 'int more%d(int n) { printf("%%d more %d\\n", n); return n * %d; }\n' "$i" "$i" "$((i * 7 + 3))"; done
                for i in $(seq 400); do
                        printf 'static int state%d[9]; int work%d(int n) { if (n > %d) printf("%%s:%%d step %d\\n", __func__, __LINE__); ' "$i" "$i" "$((i * 31))" "$i"
                        printf 'state%d[n %% 9] += n; return n > 1 ? work%d(n - 1) + state%d[n %% 7] : abs(n); }\n' "$i" "$((i > 1 ? i - 1 : 1))" "$i"
                done
                printf 'const char *home(void) { return "%s/share"; }\n' "$placeholder"
        } | aarch64-linux-gnu-gcc -O2 -w -fPIC -shared -s -Wl,-soname,libwork.so -o "$work/tree-$1/lib/libwork.so" -x c -
        mkdir -p "$work/tree-$1/bin"
        printf '#include <stdio.h>\nint work400(int); const char *home(void); int main(void) { printf("%s %%d %%s\\n", work400(3), home()); }\n' "$1" |
                aarch64-linux-gnu-gcc -O2 -s -o "$work/tree-$1/bin/work" -x c - -L"$work/tree-$1/lib" -lwork -Wl,-rpath,"$placeholder/lib"
}
release() {
        mkdir -p "$work/tree-$1/sbin" "$work/tree-$1/lib"
        printf '#!/bin/sh\n# %s/sbin\necho slurm %s\n' "$placeholder" "$1" >"$work/tree-$1/sbin/slurmd"
        chmod 755 "$work/tree-$1/sbin/slurmd"
        # Much in common, so that a delta is worth its while.
        { seq 60000; echo "$1"; } >"$work/tree-$1/lib/libslurm.so"
        [ ${#runner[@]} = 0 ] || cross_build "$1"
        factory import "$work/tree-$1" --placeholder "$placeholder" --slurm-version "$1" --toolchain test --arch "$arch"
}
release 24.11.5
release 24.11.6
factory keys init --repo "$work/repo" --keys "$work/keys"
factory publish 24.11.5 --repo "$work/repo" --keys "$work/keys"
factory publish 24.11.6 --delta-from 24.11.5 --repo "$work/repo" --keys "$work/keys"

openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 30 -subj /CN=test-ca -keyout "$work/ca.key" \
        -out "$work/ca.crt" -addext basicConstraints=critical,CA:TRUE 2>/dev/null
openssl req -new -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN=repo.test -keyout "$work/server.key" \
        -out "$work/server.csr" 2>/dev/null
openssl x509 -req -in "$work/server.csr" -CA "$work/ca.crt" -CAkey "$work/ca.key" -CAcreateserial -days 30 -out "$work/server.crt" \
        -extfile <(printf 'subjectAltName=DNS:repo.test,DNS:six.test,DNS:many.test\n') 2>/dev/null

# Servers of other kinds, each on a port of its own: PORT KEY VERSION CIPHERS GROUP CLIENT; - is Python's default.
keys="rsa2048 rsa3072 pss p256 p384 p521 ed25519"
key() { # KIND FILE
        case $1 in
        rsa*) openssl genpkey -algorithm RSA -pkeyopt "rsa_keygen_bits:${1#rsa}" -out "$2" ;;
        pss) openssl genpkey -algorithm RSA-PSS -pkeyopt rsa_keygen_bits:2048 -out "$2" ;;
        p*) openssl genpkey -algorithm EC -pkeyopt "ec_paramgen_curve:P-${1#p}" -out "$2" ;;
        ed25519) openssl genpkey -algorithm ED25519 -out "$2" ;;
        esac 2>/dev/null
}
# Issued by an intermediate of RSA below the root of P-256, with the usual extensions and one that nobody knows.
printf 'basicConstraints=critical,CA:TRUE,pathlen:0\nkeyUsage=critical,keyCertSign,cRLSign\n
nameConstraints=critical,permitted;DNS:test\ncertificatePolicies=2.23.140.1.2.1
crlDistributionPoints=URI:http://ca.test/crl\n' >"$work/middle.ext"
key rsa2048 "$work/middle.key"
openssl req -new -key "$work/middle.key" -subj /CN=middle -out "$work/middle.csr"
openssl x509 -req -in "$work/middle.csr" -CA "$work/ca.crt" -CAkey "$work/ca.key" -CAcreateserial -days 30 \
        -out "$work/middle.crt" -extfile "$work/middle.ext" 2>/dev/null
printf 'basicConstraints=critical,CA:FALSE\nkeyUsage=critical,digitalSignature,keyEncipherment
extendedKeyUsage=serverAuth,clientAuth\ncertificatePolicies=2.23.140.1.2.1\nnsCertType=server,client
authorityInfoAccess=OCSP;URI:http://ca.test/,caIssuers;URI:http://ca.test/ca
subjectAltName=DNS:repo.test\nauthorityKeyIdentifier=keyid\n1.2.3.4.5=ASN1:UTF8String:what\n' >"$work/leaf.ext"
for k in $keys; do
        key "$k" "$work/$k.key"
        openssl req -new -key "$work/$k.key" -subj "/CN=$k/O=Test/emailAddress=a@b.test" -out "$work/$k.csr"
        openssl x509 -req -in "$work/$k.csr" -CA "$work/middle.crt" -CAkey "$work/middle.key" -CAcreateserial -days 30 \
                -extfile "$work/leaf.ext" 2>/dev/null | cat - "$work/middle.crt" >"$work/$k.crt"
done
openssl pkey -in "$work/rsa2048.key" -traditional -out "$work/rsa2048.old.key"
cat >"$work/kinds" <<'END'
4401 p256 1.2 ECDHE-ECDSA-AES128-GCM-SHA256 prime256v1 -
4402 p384 1.2 ECDHE-ECDSA-AES256-GCM-SHA384 secp384r1 -
4403 rsa2048 1.2 ECDHE-RSA-AES256-GCM-SHA384 X25519 -
4404 rsa2048 1.2 ECDHE-RSA-AES256-SHA384 - -
4405 rsa2048 1.2 AES128-GCM-SHA256 - -
4406 ed25519 1.2 - - ed25519
4407 rsa3072 1.3 - X25519 rsa2048
4408 p256 1.3 - secp384r1 p256
4409 p384 1.3 - secp521r1 p384
4410 ed25519 1.3 - prime256v1 ed25519
4411 pss 1.3 - - pss
4412 p521 1.3 - - p521
4413 rsa2048 1.2 - - rsa2048
END

cat >"$work/servers.py" <<'END'
"""A web server over TLS on [::]:443 and on the ports of the file kinds; a name server on 127.0.0.1 and ::1: many.test
has 60 addresses, of which only TCP can tell; six.test has an IPv6 address alone."""
import functools, http.server, os, socket, socketserver, ssl, struct, sys, threading
work = sys.argv[1]

class Dual(http.server.ThreadingHTTPServer):
    address_family = socket.AF_INET6

def web():
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=work + "/repo")
    server = Dual(("::", 443), handler)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(work + "/server.crt", work + "/server.key")
    server.socket = context.wrap_socket(server.socket, server_side=True)
    server.serve_forever()

def kind(port, key, version, ciphers, group, client):
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=work + "/repo")
    server = Dual(("::", int(port)), handler)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain("%s/%s.crt" % (work, key), "%s/%s.key" % (work, key))
    context.minimum_version = context.maximum_version = ssl.TLSVersion["TLSv" + version.replace(".", "_")]
    if ciphers != "-":
        context.set_ciphers(ciphers)
    if group != "-":
        context.set_ecdh_curve(group)
    if client != "-":
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_verify_locations(work + "/ca.crt")
    server.socket = context.wrap_socket(server.socket, server_side=True)
    server.serve_forever()

def answer(query, tcp):
    end = 12
    labels = []
    while query[end]:
        labels.append(query[end + 1:end + 1 + query[end]].decode())
        end += 1 + query[end]
    name, kind = ".".join(labels).lower(), struct.unpack(">H", query[end + 1:end + 3])[0]
    records = []
    if kind == 1 and name == "repo.test":
        records = [socket.inet_aton("127.0.0.1")]
    elif kind == 28 and name == "six.test":
        records = [socket.inet_pton(socket.AF_INET6, "::1")]
    elif kind == 1 and name == "many.test":
        # All of them are this machine's, so whichever is tried answers.
        records = [socket.inet_aton("127.0.0.%d" % (i + 1)) for i in range(60)]
    body = b"".join(b"\xc0\x0c" + struct.pack(">HHIH", kind, 1, 60, len(r)) + r for r in records)
    truncated = not tcp and 12 + len(query[12:end + 5]) + len(body) > 512
    flags = 0x8180 | (0x0200 if truncated else 0)
    if tcp and name == "many.test":
        open(work + "/asked-over-tcp", "w").close()
    return query[:2] + struct.pack(">HHHHH", flags, 1, 0 if truncated else len(records), 0, 0) + query[12:end + 5] + \
        (b"" if truncated else body)

def udp(family, address):
    s = socket.socket(family, socket.SOCK_DGRAM)
    s.bind((address, 53))
    while True:
        query, peer = s.recvfrom(512)
        s.sendto(answer(query, False), peer)

def tcp(family, address):
    s = socket.socket(family, socket.SOCK_STREAM)
    s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    s.bind((address, 53))
    s.listen()
    while True:
        c, _ = s.accept()
        size = struct.unpack(">H", c.recv(2))[0]
        reply = answer(c.recv(size), True)
        c.sendall(struct.pack(">H", len(reply)) + reply)
        c.close()

for f in (udp, tcp):
    for family, address in ((socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")):
        threading.Thread(target=f, args=(family, address), daemon=True).start()
for line in open(work + "/kinds"):
    threading.Thread(target=kind, args=line.split(), daemon=True).start()
threading.Timer(0.5, lambda: open(work + "/ready", "w").close()).start()
web()
END
ip netns add "$net"
ip -n "$net" link set lo up
ip netns exec "$net" python3 "$work/servers.py" "$work" >"$work/servers.log" 2>&1 &
servers+=($!)
for _ in $(seq 100); do [ -e "$work/ready" ] && break; sleep 0.1; done
[ -e "$work/ready" ] || { cat "$work/servers.log"; exit 99; }

# --- in a directory that holds next to nothing ------------------------------------------------------------------------------

# bare NAME NAMESERVER: $root is such a directory
bare() {
        root=$work/root-$1
        mkdir -p "$root/etc/ssl/certs" "$root/tmp"
        cp "$agent" "$root/sf-node"
        cp "$work/ca.crt" "$root/etc/ssl/certs/ca-certificates.crt"
        echo "nameserver $2" >"$root/etc/resolv.conf"
        cp "$work/repo/metadata/1.root.json" "$root/root.json"
}
here=()
if [ ${#runner[@]} != 0 ]; then here=(/qemu); fi
# What a program of the release says: it and its library run from where they lie.
runs() {
        [ ${#runner[@]} = 0 ] && return
        mkdir -p "$root/lib"
        cp -n /usr/aarch64-linux-gnu/lib/{ld-linux-aarch64.so.1,libc.so.6} "$root/lib/"
        chroot "$root" /qemu /opt/slurm/view/bin/work | tee "$work/work"
        grep -q "^$1 .* /opt/slurm/releases/$1-test/share$" <(tr -s / / <"$work/work")
}
node() {
        [ ${#runner[@]} = 0 ] || cp "${runner[0]}" "$root/qemu"
        ip netns exec "$net" chroot "$root" "${here[@]}" /sf-node --toolchain test --arch "$arch" --repo "https://$host/" "$@"
}
whole_way() {
        node trust /root.json || return 1
        node install 24.11.5 || return 1
        runs 24.11.5 || return 1
        node upgrade 24.11.6 --no-restart || return 1
        runs 24.11.6 || return 1
        node verify || return 1
        node status && [ "$(readlink "$root/opt/slurm/view")" = releases/24.11.6-test ] || return 1
        node rollback --no-restart && [ "$(readlink "$root/opt/slurm/view")" = releases/24.11.5-test ]
}
host=repo.test
bare plain 127.0.0.1
check "a directory with a CA bundle and resolv.conf: install, upgrade, verify, rollback" whole_way
bare cnf 127.0.0.1
printf 'openssl_conf = nowhere\n[nowhere\n.include /no/such/file\n' >"$root/etc/ssl/openssl.cnf"
check "a broken openssl.cnf" whole_way
host=six.test
bare six ::1
check "IPv6 only, its name server included" whole_way
host=many.test
bare many 127.0.0.1
check "a name server's answer of more than 512 bytes" whole_way
check "which came over TCP" test -e "$work/asked-over-tcp"
host=repo.test
bare untrusted 127.0.0.1
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 30 -subj /CN=other -keyout /dev/null \
        -out "$root/etc/ssl/certs/ca-certificates.crt" 2>/dev/null
untrusted() { ! whole_way >"$work/refused" 2>&1 && cat "$work/refused" && grep -qi certificate "$work/refused"; }
check "a server that the CA bundle does not know is refused" untrusted

# --- the kinds of servers, and of nodes that show a certificate ----------------------------------------------------

bare kinds 127.0.0.1
mkdir -p "$root/etc/sf-node"
kind() { # PORT CLIENT-KEY
        local host=repo.test:$1
        : >"$root/etc/sf-node/sf-node.conf"
        if [ "$2" != - ]; then
                cp "$work/$2.crt" "$root/node.pem"
                cp "$work/${3:-$2}.key" "$root/node.key"
                printf '[credentials %s]\nclient_certificate = /node.pem\nclient_key = /node.key\n' "$host" \
                        >"$root/etc/sf-node/sf-node.conf"
        fi
        node list --json | grep '24.11.6-test' >/dev/null
}
node trust /root.json >"$work/said" 2>&1 || { cat "$work/said"; failures=$((failures + 1)); }
while read -r port key version ciphers group client; do
        check "TLS $version, a key of $key, ${ciphers/#-/any cipher}, ${group/#-/any group}, client key: $client" \
                kind "$port" "$client"
done <"$work/kinds"
check "a client key of OpenSSL's older format" kind 4413 rsa2048 rsa2048.old
nobody() { ! kind 4407 -; }
check "a server that wants a client certificate gets none: refused" nobody

for suite in ${SF_TEST_SUITES-}; do
        root=$(suite_root "$suite") || { echo "NOT OK  no root of $suite"; failures=$((failures + 1)); continue; }
        copy=$work/copy-$suite
        cp -a "$root" "$copy"
        rm -f "$copy/etc/resolv.conf"
        ln -sfn "$copy" "$work/root-$suite"
        bare "$suite" 127.0.0.1
        check "$suite: install, upgrade, verify, rollback" whole_way
        rm -rf "$copy"
done
[ "$failures" = 0 ]
