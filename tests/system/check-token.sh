#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Keys in a PKCS#11 token, with SoftHSM and pkcs11-provider: first metadata, publishing, refreshing, rotation, and what is said of a
# wrong PIN, a missing token, key or provider. A node installs from such a repository. Where this machine has no pkcs11-provider, a
# Debian 13 root is made, the programs are built there, and the test runs inside: minutes.
set -euo pipefail
: "${top_srcdir:=.}" "${top_builddir:=.}"
top_builddir=$(realpath "$top_builddir") top_srcdir=$(realpath "$top_srcdir")
provider=$(find /usr/lib /usr/lib64 -path '*/ossl-modules/pkcs11.so' 2>/dev/null | head -n 1)
softhsm=$(find /usr/lib /usr/lib64 -name libsofthsm2.so 2>/dev/null | head -n 1)

# --- a root that has what this machine lacks --------------------------------------------------------------------------------

in_root() { # DIRECTORY COMMAND...: its own /proc, /dev and /tmp; nothing of the machine's is mounted there
        # shellcheck disable=SC2016  # for the inner shell
        unshare -m sh -c 'mount --make-rprivate /; root=$1; shift
                mount -t proc proc "$root/proc"; mount -t tmpfs none "$root/tmp"; mount -t tmpfs -o mode=755 none "$root/dev"
                mknod -m 666 "$root/dev/null" c 1 3; mknod -m 666 "$root/dev/zero" c 1 5; mknod -m 666 "$root/dev/urandom" c 1 9
                ln -s /proc/self/fd "$root/dev/fd"; ln -s /proc/self/fd/2 "$root/dev/stderr"
                exec chroot "$root" "$@"' sh "$@"
}
if [ -z "$provider" ] || [ -z "$softhsm" ]; then
        [ "$(id -u)" = 0 ] && command -v mmdebstrap >/dev/null ||
                { echo "skipped: no pkcs11-provider and SoftHSM here, and no root or mmdebstrap to make a Debian that has them"; exit 77; }
        root=${SF_TEST_TOKEN_ROOT:-${SF_TEST_CACHE:-$top_builddir/tests/cache}/token-trixie}
        packages=gcc,make,autoconf,automake,pkgconf,libarchive-dev,libcurl4-openssl-dev,libjansson-dev,libssl-dev,libzstd-dev,libinih-dev
        packages+=,libdivsufsort-dev,libsystemd-dev,librsync-dev,zlib1g-dev,pkcs11-provider,softhsm2,opensc,openssl,python3-minimal,ca-certificates
        if [ ! -e "$root/usr/bin/pkcs11-tool" ]; then
                mkdir -p "$(dirname "$root")"
                mmdebstrap --quiet --variant=apt --include=$packages trixie "$root" ||
                        { rm -rf "$root"; echo "skipped: no Debian 13 root can be made here"; exit 77; }
        fi
        mkdir -p "$root/src"
        tar -C "$top_srcdir" --exclude='*.[oa]' --exclude=.git --exclude='./tests/cache' --exclude=autom4te.cache --exclude=./demo \
                --exclude=./config.status --exclude=./Makefile --exclude='*.inc' --exclude=./sf-node --exclude=./slurm-factory -cf - . |
                tar -C "$root/src" -xf -
        in_root "$root" sh -c 'cd /src && { [ -x configure ] || autoreconf -i; } && ./configure -q && make -s factory/pack/relocate_script.inc &&
                make -s -j"$(nproc)" slurm-factory sf-node' >"$root/build.log" 2>&1 || { tail -n 20 "$root/build.log"; exit 1; }
        in_root "$root" env top_srcdir=/src top_builddir=/src bash /src/tests/system/check-token.sh
        exit 0
fi

# --- a token ----------------------------------------------------------------------------------------------------------------

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
. "$top_srcdir/tests/kit/expect.sh"
ok() { "$@" >said 2>&1 || fail "exit code $?: $*"; }
openssl version
mkdir tokens keys hidden
printf 'directories.tokendir = %s\nobjectstore.backend = file\nlog.level = ERROR\nslots.removable = false\n' "$work/tokens" >softhsm.conf
export SOFTHSM2_CONF=$work/softhsm.conf
pin=4711-0815
softhsm2-util --init-token --free --label factory --pin $pin --so-pin 9999 >/dev/null
make_key() { # LABEL TYPE
        number=$((${number:-0} + 1))
        pkcs11-tool --module "$softhsm" --token-label factory --login --pin $pin --keypairgen --key-type "$2" --id "$(printf %02d $number)" \
                --label "$1" >/dev/null 2>&1 || fail "the token makes no key $1 of type $2"
}
for label in root targets timestamp releases agent root2 releases2; do make_key $label EC:edwards25519; done
for label in snapshot buildcache timestamp2; do make_key $label EC:prime256v1; done
make_key rollout rsa:2048
# A spy between provider and token counts what the token is asked.
spy=$(find /usr/lib /usr/lib64 -name pkcs11-spy.so 2>/dev/null | head -n 1)
export PKCS11SPY=$softhsm PKCS11SPY_OUTPUT=$work/spy
configure() { # MODULE
        printf '%s\n' 'openssl_conf = init' '[init]' 'providers = providers' '[providers]' 'default = own' 'pkcs11 = token' \
                '[own]' 'activate = 1' '[token]' "module = $provider" "pkcs11-module-path = $1" \
                'pkcs11-module-quirks = no-deinit' 'activate = 1' >openssl.cnf
}
configure "${spy:-$softhsm}"
export OPENSSL_CONF=$work/openssl.cnf
umask 077
echo $pin >pin
export SLURM_FACTORY_PIN_FILE=$work/pin
unset SLURM_FACTORY_PIN SLURM_FACTORY_CACHE_DIR

factory() { setsid -w "$top_builddir/slurm-factory" --cache cache --data "$top_srcdir/etc" -q "$@" </dev/null; }
repo() { factory "$@" --repo repo --keys keys; }
uri() { echo "pkcs11:token=factory;object=$1;type=private"; }
for role in root targets snapshot timestamp releases rollout buildcache agent; do uri $role >keys/$role.1.uri; done
# said_no_pin: no message and no file of the repository shows it
said_no_pin() { ! grep -rlF -e $pin -e no-such-pin said repo keys >found 2>/dev/null || fail "a PIN is shown: $(cat found)"; }

# --- the ceremony, a publication, rotation ----------------------------------------------------------------------------------

placeholder=/media/$(printf 'x%.0s' {1..280})
release() { # VERSION
        rm -rf tree && mkdir -p tree/sbin
        printf '#!/bin/sh\n# %s/sbin\necho slurm %s\n' "$placeholder" "$1" >tree/sbin/slurmd
        chmod 755 tree/sbin/slurmd
        factory import tree --placeholder "$placeholder" --slurm-version "$1" --toolchain test --arch amd64
}
for version in 24.11.4 24.11.6 25.05.2; do release $version; done
rm -f spy
ok repo keys init
! grep 'C_Digest' spy 2>/dev/null || fail 'hashes are made by the token'
[ -z "$(ls keys/*.pem 2>/dev/null)" ] || fail "a key was made outside the token: $(ls keys)"
expect 0 'ecdsa-sha2-nistp256' repo keys show
grep 'rsassa-pss-sha256' said >/dev/null && grep 'ed25519' said >/dev/null || fail "not all kinds of keys are in use"
cp repo/metadata/1.root.json pinned.json
! grep 'BEGIN RSA PUBLIC KEY' repo/metadata/*.json >/dev/null || fail "an RSA key is not a SubjectPublicKeyInfo"

printf '' >node.conf
mkdir image
node() { "$top_builddir/sf-node" --config node.conf --root image --repo "file://$work/repo" --toolchain test --arch amd64 -q "$@"; }
ok repo publish 24.11.4
ok node trust pinned.json
ok node install 24.11.4
[ -x image/opt/slurm/view/sbin/slurmd ] || fail "nothing installed"
ok repo refresh
python3 -c 'import json; e = json.load(open("repo/metadata/timestamp.json")); assert e["signed"]["version"] > 1 and e["signatures"]' || fail "refresh"
ok repo keys rotate timestamp --new-key "$(uri timestamp2)"
ok repo keys rotate releases --new-key "$(uri releases2)"
ok repo publish 24.11.6
ok node upgrade
ok repo keys rotate root --new-key "$(uri root2)"
[ -e keys/root.1.uri.retired ] && [ "$(cat keys/root.2.uri)" = "$(uri root2)" ] || fail "files of the root keys: $(ls keys)"
ok repo publish 25.05.2
ok node upgrade 25.05.2
# A token's key and a file's in one repository, one after the other.
ok repo keys rotate timestamp
[ -n "$(ls keys/timestamp.*.pem)" ] || fail "no file key"
ok repo keys rotate timestamp --new-key "$(uri timestamp)"
said_no_pin

# --- where the PIN comes from -----------------------------------------------------------------------------------------------

( unset SLURM_FACTORY_PIN_FILE; SLURM_FACTORY_PIN=$pin; export SLURM_FACTORY_PIN; ok repo refresh )
( unset SLURM_FACTORY_PIN_FILE; expect 3 'asks for a PIN: set SLURM_FACTORY_PIN_FILE' repo refresh )
chmod 644 pin
expect 3 'pin: others may read it (mode 0644' repo refresh
chmod 600 pin
( SLURM_FACTORY_PIN_FILE=$work/none; expect 3 'SLURM_FACTORY_PIN_FILE .*none: No such file' repo refresh )
: >empty
( SLURM_FACTORY_PIN_FILE=$work/empty; expect 3 'no PIN in its first line' repo refresh )
cp keys/snapshot.1.uri saved
( unset SLURM_FACTORY_PIN_FILE
  for file in keys/*.uri; do echo "$(cat "$file")?pin-source=file:$work/pin" >"$file"; done
  ok repo refresh
  for file in keys/*.uri; do sed -i 's/?.*//' "$file"; done )
cmp saved keys/snapshot.1.uri
# A PIN in the URI is used, and hidden.
( unset SLURM_FACTORY_PIN_FILE
  for file in keys/*.uri; do echo "$(cat "$file")?pin-value=$pin" >"$file"; done
  ok repo refresh
  ! grep -F $pin said || fail "shown"
  echo "$(uri nothing)?pin-value=$pin" >keys/snapshot.1.uri
  expect 3 'object=nothing;type=private?pin-value=\.\.\.' repo refresh
  ! grep -F $pin said || fail "shown"
  echo "$(cat saved)?pin-value=$pin" >keys/snapshot.1.uri
  chmod 644 keys/snapshot.1.uri
  expect 3 'holds a PIN and others may read it' repo refresh
  chmod 600 keys/*.uri
  ( export OPENSSL_CONF=/dev/null; expect 3 'no provider of OpenSSL serves pkcs11:' repo refresh )
  ! grep -F $pin said || fail "shown"
  for file in keys/*.uri; do sed -i 's/?.*//' "$file"; done
  cp saved keys/snapshot.1.uri )

# --- what is missing or wrong -----------------------------------------------------------------------------------------------

before=$(cat repo/metadata/*.json | sha256sum)
echo no-such-pin >pin
rm -f spy
expect 3 'the token refuses the PIN' repo refresh
said_no_pin
[ -z "$spy" ] || [ "$(grep -c 'C_Login$' spy)" = 1 ] || fail "the wrong PIN was tried $(grep -c 'C_Login$' spy) times"
echo $pin >pin
uri other >keys/snapshot.1.uri
expect 3 'object=other;type=private: the token holds no such private key' repo refresh
echo 'pkcs11:token=elsewhere;object=snapshot;type=private' >keys/snapshot.1.uri
expect 3 'token=elsewhere;object=snapshot;type=private: no such token is there' repo refresh
cp saved keys/snapshot.1.uri
mv tokens away && mkdir tokens
expect 3 'no such token is there' repo refresh
rmdir tokens && mv away tokens
( export OPENSSL_CONF=/dev/null; expect 3 'no provider of OpenSSL serves pkcs11: here; install pkcs11-provider' repo refresh )
configure "$work/no-such-module.so"
expect 3 'snapshot' repo refresh
cat said
configure "${spy:-$softhsm}"
( export OPENSSL_CONF=/dev/null; expect 3 'pkcs11-provider' factory keys init --repo fresh --keys keys; [ ! -e fresh/metadata/1.root.json ] )
[ "$before" = "$(cat repo/metadata/*.json | sha256sum)" ] || fail "a refusal changed the metadata"
ok repo refresh
echo "all as expected"
