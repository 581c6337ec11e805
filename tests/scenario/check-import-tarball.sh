#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# A published software tarball of the first generation becomes a release: built here as they are built there (a Spack view, archived with
# links followed, signed with GnuPG), fetched, verified by sqv and by gpgv, imported, installed, run. And every signature that must not do.
set -euo pipefail

top_builddir=$(realpath "$top_builddir") top_srcdir=$(realpath "$top_srcdir")
for tool in gcc gpg gpgv python3; do
        command -v $tool >/dev/null || { echo "skipped: no $tool here"; exit 77; }
done
work=$(mktemp -d /tmp/sf-tarball.XXXXXX)
server=
trap '[ -z "$server" ] || kill "$server"; rm -rf "$work"' EXIT
cd "$work"
export LC_ALL=C GNUPGHOME=$work/gnupg
fail() { echo "FAILED: $*" >&2; cat said >&2; exit 1; }
says() { grep -q -- "$1" said || fail "not said: $1"; }

# --- keys -------------------------------------------------------------------------------------------------------------------
mkdir -m 700 gnupg
echo "allow-weak-digest-algos" >gnupg/gpg.conf
gpg() { command gpg --batch --quiet --yes --pinentry-mode loopback --passphrase '' "$@" 2>/dev/null; }
gpg --quick-gen-key 'good <good@example.org>' rsa2048 sign never
gpg --quick-gen-key 'other <other@example.org>' rsa2048 sign never
gpg --faked-system-time 20200101T000000 --quick-gen-key 'old <old@example.org>' rsa2048 sign 1d
gpg --faked-system-time 20200101T000000 --quick-gen-key 'lasting <lasting@example.org>' rsa2048 sign never
gpg --quick-gen-key 'revoked <revoked@example.org>' rsa2048 sign never
fingerprint() { command gpg --batch --with-colons --list-keys "$1" 2>/dev/null | awk -F: '/^fpr/ { print $10; exit }'; }
good=$(fingerprint good@) other=$(fingerprint other@) old=$(fingerprint old@) revoked=$(fingerprint revoked@) lasting=$(fingerprint lasting@)
gpg --quick-add-key "$good" ed25519 sign never # newer signatures are made by the subkey
gpg --armor --export >keyring.asc
gpg --export >keyring.gpg

# --- the tarball ------------------------------------------------------------------------------------------------------------
root=$work/opt/slurm-factory
while [ ${#root} -lt 230 ]; do root+=/__spack_path_placeholder__; done
munge=$root/__spack_path_pl/linux-x86_64_v3/munge-0.5.18-abcdefghijklmnopqrstuvwxyz234567
slurm=$root/__spack_path_pl/linux-x86_64_v3/slurm-25.11.4-zyxwvutsrqponmlkjihgfedcba765432
mkdir -p "$munge/lib" "$slurm"/{bin,sbin,lib/slurm,include/slurm} up/view up/assets/modules
echo "const char *munge_home(void) { return \"$munge/etc\"; }" >munge.c
gcc -shared -fPIC -O1 -o "$munge/lib/libmunge.so.2.0.0" -Wl,-soname,libmunge.so.2 munge.c
ln -s libmunge.so.2.0.0 "$munge/lib/libmunge.so.2"
ln -s libmunge.so.2 "$munge/lib/libmunge.so"
cat >slurmd.c <<END
#include <stdio.h>
const char *munge_home(void);
int main(void) { printf("%s %s %s\n", "25.11.4", "$slurm/etc", munge_home()); return 0; }
END
gcc -O1 -o "$slurm/sbin/slurmd" slurmd.c "$munge/lib/libmunge.so.2" "-Wl,-rpath,$slurm/lib:$munge/lib"
printf '#!%s/bin/sh\n' "$slurm" >"$slurm/bin/sinfo"
echo '#define SLURM_VERSION_NUMBER 0x190b04' >"$slurm/include/slurm/slurm_version.h"
echo "prepend_path('PATH', '/opt/slurm/view/bin')" >up/assets/modules/slurm.lua
for from in "$munge" "$slurm"; do
        (cd "$from" && find . \( -type f -o -type l \) -printf '%P\n') | while read -r file; do
                mkdir -p "up/view/$(dirname "$file")"
                ln -s "$from/$file" "up/view/$file"
        done
done
name=slurm-25.11-noble-amd64-software.tar.gz
mkdir -p www/noble/25.11/amd64
tarball=www/noble/25.11/amd64/$name
tar -C up --dereference -czf "$tarball" view assets
tar -tvzf "$tarball" | grep '^h.* link to ' >/dev/null || { echo "FAILED: no hard links in the archive"; exit 1; }
# sign KEY [OPTION...]: the signature beside the tarball
sign() { gpg --armor -u "$1" "${@:2}" --output "$tarball.asc" --detach-sign "$tarball"; }

# --- verified, imported, installed, run -------------------------------------------------------------------------------------
factory() { "$top_builddir/slurm-factory" --cache cache --data "$top_srcdir/etc" "$@"; }
# import EXIT PLACE FINGERPRINT OPTION... : with the verifiers of the directory $verifiers
import() {
        local want=$1 got=0 place=$2 key=$3
        shift 3
        PATH=$verifiers "$top_builddir/slurm-factory" --cache cache --data "$top_srcdir/etc" import --tarball "$place" \
                --keyring "$keyring" --fingerprint "$key" "$@" >said 2>&1 || got=$?
        [ "$got" = "$want" ] || fail "$way: exit $got instead of $want: import $place $*"
        [ -z "$(ls cache/work 2>/dev/null)" ] || fail "$way: something is left in cache/work"
}
mkdir gpgv sqv both
ln -s "$(command -v gpgv)" gpgv/gpgv
ln -s "$(command -v gpgv)" both/gpgv
keyring=keyring.asc
factory keys init --repo repo --keys keys >/dev/null
ways=gpgv
if command -v sqv >/dev/null; then
        ways="gpgv sqv both"
        ln -s "$(command -v sqv)" sqv/sqv
        ln -s "$(command -v sqv)" both/sqv
fi
for way in $ways; do
        verifiers=$work/$way
        sign "$good"
        import 0 "$tarball" "$good" --build $way
        says "signed by $good (.*${way/both/sqv and gpgv})"
        says 'note: .* members beside view/'
        says "25.11.4-noble-amd64-$way: "
        keyring=keyring.gpg import 0 "$tarball" "$good" --build again
        import 2 "$tarball" "${good:24}"
        says 'the full fingerprint of a key'

        import 3 "$tarball" "$other"
        says "signed by $good, not by $other"
        sign "$other"
        import 3 "$tarball" "$good"
        says "signed by $other, not by $good"
        gpg --armor --export "$other" >other.asc
        sign "$good"
        keyring=other.asc import 3 "$tarball" "$good"
        # The key has expired since.
        sign "$old" --faked-system-time 20200101T120000
        case $way in
        sqv) import 0 "$tarball" "$old" --build old ;; # it was valid when the signature says to have been made
        *) import 3 "$tarball" "$old"; says 'the key has expired' ;;
        esac
        sign "$good" -u "$other"
        import 3 "$tarball" "$good"
        says 'holds more than one signature'
        sign "$good!" --digest-algo SHA1
        import 3 "$tarball" "$good"
        says 'hash algorithm 2, weaker than SHA-256'
        # The signature has expired.
        sign "$lasting" --faked-system-time 20200102T000000 --default-sig-expire 1d
        import 3 "$tarball" "$lasting"
        says '[Ee]xpired'
        cp "$tarball" whole
        sign "$good"
        truncate -s -100 "$tarball"
        import 3 "$tarball" "$good"
        # Cut off, and signed as it is.
        sign "$good"
        import 3 "$tarball" "$good"
        says 'truncated'
        mv whole "$tarball"
        # A message, not a signature; a signature of text; something else; nothing.
        gpg --armor -u "$good" --output "$tarball.asc" --sign "$tarball"
        import 3 "$tarball" "$good"
        sign "$good" --textmode
        import 3 "$tarball" "$good"
        says 'of type 0x01'
        echo something >"$tarball.asc"
        import 3 "$tarball" "$good"
        : >"$tarball.asc"
        import 3 "$tarball" "$good"
        says 'not a detached OpenPGP signature'
        rm "$tarball.asc"
        import 3 "$tarball" "$good"
        says 'asc: no such file'
        echo "ok: $way"
done
# A revoked key, in the keyring as such.
sign "$revoked"
{ echo y; echo 0; echo; echo y; } | command gpg --no-tty --command-fd 0 --status-fd 2 --pinentry-mode loopback --passphrase '' \
        --output revocation --gen-revoke "$revoked" >/dev/null 2>&1
gpg --import revocation
gpg --armor --export >keyring.asc
for way in $ways; do
        verifiers=$work/$way
        import 3 "$tarball" "$revoked"
        says '[Rr]evoked'
done
echo "ok: a revoked key"

# --- from a server, by the names there are; installed and run ---------------------------------------------------------------
sign "$good"
mkdir -p www/builds
cp "$tarball" www/builds/slurm-25.11-gcc13.4.0-software.tar.gz
cp "$tarball.asc" www/builds/slurm-25.11-gcc13.4.0-software.tar.gz.asc
cp "$tarball" www/builds/slurm-24.11-noble-software.tar.gz
cp "$tarball.asc" www/builds/slurm-24.11-noble-software.tar.gz.asc
python3 -u -c 'import functools, http.server
server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(http.server.SimpleHTTPRequestHandler, directory="www"))
print(server.server_address[1], flush=True)
server.serve_forever()' >port 2>/dev/null &
server=$!
while [ ! -s port ]; do sleep 0.1; done
url=http://127.0.0.1:$(cat port)
rm -rf cache/builds
fetch() {
        local want=$1 got=0
        shift
        factory import --keyring keyring.asc --fingerprint "$good" --tarball "$@" >said 2>&1 || got=$?
        [ "$got" = "$want" ] || fail "exit $got instead of $want: $*"
}
fetch 0 "$url/noble/25.11/amd64/$name"
[ -d cache/builds/25.11.4-noble-amd64 ] || fail "no release 25.11.4-noble-amd64"
fetch 2 "$url/builds/slurm-25.11-gcc13.4.0-software.tar.gz"
says "the archive's name says no system"
fetch 0 "$url/builds/slurm-25.11-gcc13.4.0-software.tar.gz" --toolchain jammy --arch amd64
[ -d cache/builds/25.11.4-jammy-amd64 ] || fail "no release 25.11.4-jammy-amd64"
fetch 3 "$url/builds/slurm-24.11-noble-software.tar.gz"
says 'it is called 24.11 and holds Slurm 25.11.4'
fetch 3 "$url/noble/25.11/arm64/slurm-25.11-noble-arm64-software.tar.gz"
fetch 2 "$url/other.tar.gz"
factory -q publish 25.11.4-noble --repo repo --keys keys
mkdir node
node() { "$top_builddir/sf-node" --repo repo --root node --toolchain noble --arch amd64 "$@" >said 2>&1 || fail "sf-node $*"; }
node trust repo/metadata/1.root.json
node install 25.11
home=/opt/slurm/releases/25.11.4-noble
node/opt/slurm/view/sbin/slurmd >said
tr -s / <said | grep -x "25.11.4 $home/etc $home/etc" >/dev/null || fail "the program says other paths"
! grep -rqa 'spack_path\|abcdefghijklmnopqrstuvwxyz234567' node/opt/slurm/view/* || fail "a prefix of Spack is left"
[ "$(readlink node/opt/slurm/view/lib/libmunge.so.2)" = libmunge.so.2.0.0 ] || fail "libmunge.so.2 is no link"
echo "ok: fetched, imported, installed, run"
