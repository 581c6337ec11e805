#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# static/build.sh SOURCE_TREE WORK [ARCH]: sf-node as one file that needs nothing of the system it runs on.
#
# SOURCE_TREE is a distribution tree of this project (make distdir). Everything is built below WORK: musl, then each library of
# static/sources with what the agent uses of it and no more, then the agent, linked as a static position-independent executable.
# ARCH is amd64 or arm64 (default: this machine's); the other one is cross-compiled. A library whose archive and step are as
# they were is not built again. The result is WORK/ARCH/sf-node, with WORK/ARCH/sf-node.debug and WORK/ARCH/sizes beside it.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
tree=$(cd "$1" && pwd)
mkdir -p "$2"
work=$(cd "$2" && pwd)
arch=${3:-$(dpkg --print-architecture 2>/dev/null || uname -m | sed 's/x86_64/amd64/; s/aarch64/arm64/')}
jobs=$(nproc)
case $arch in
amd64) machine=x86_64 openssl=linux-x86_64 ;;
arm64) machine=aarch64 openssl=linux-aarch64 ;;
*) echo "static: no recipe for $arch" >&2; exit 2 ;;
esac
cross=
[ "$(uname -m)" = "$machine" ] || cross=$machine-linux-gnu-
for tool in "${cross}gcc" meson ninja gperf pkg-config make curl tar xz python3 autoreconf libtoolize; do
        command -v "$tool" >/dev/null || { echo "static: $tool is not here (make static-packages installs what is needed)" >&2; exit 1; }
done

sources=$work/sources
"$here/fetch.sh" "$sources"
out=$work/$arch prefix=$work/$arch/inst build=$work/$arch/build
mkdir -p "$prefix/lib/pkgconfig" "$prefix/include/sys" "$build" "$work/$arch/stamps"
export SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-1700000000} LC_ALL=C TZ=UTC
unset CFLAGS CPPFLAGS LDFLAGS PKG_CONFIG_PATH

flags="-Os -pipe -fPIE -ffunction-sections -fdata-sections -fstack-protector-strong -fno-asynchronous-unwind-tables
-fno-unwind-tables -fno-ident -ffile-prefix-map=$work=."
flags=$(echo $flags)
# Kernel headers come after musl's own.
kernel=$work/$arch/kernel-headers
if [ ! -d "$kernel" ]; then
        mkdir -p "$kernel"
        base=/usr/include asm=/usr/include/$machine-linux-gnu/asm
        [ -z "$cross" ] || { base=/usr/$machine-linux-gnu/include; asm=$base/asm; }
        ln -s "$base/linux" "$base/asm-generic" "$kernel/"
        [ ! -d "$base/mtd" ] || ln -s "$base/mtd" "$kernel/"
        ln -s "$asm" "$kernel/asm"
fi
cc=$work/$arch/cc
cat >"$cc" <<END
#!/bin/sh
# gcc with musl's headers and libraries; -static links a static position-independent executable.
for a in "\$@"; do
        # OpenSSL asks which instructions the assembler knows: AVX2, but not AVX-512, whose AES-GCM alone has 700 kB.
        case \$a in -Wa,-v) echo 'GNU assembler version 2.25'; exit 0 ;; esac
        case \$a in -c | -E | -S | -M | -MM) exec ${cross}gcc -specs "$prefix/lib/musl-gcc.specs" "\$@" -idirafter "$kernel" ;; esac
done
libgcc=\$(${cross}gcc -print-libgcc-file-name)
exec ${cross}gcc -nostdinc -isystem "$prefix/include" -isystem "\${libgcc%/*}/include" -idirafter "$kernel" -fPIE \\
        -nostdlib -nostartfiles -static -Wl,-pie -Wl,--no-dynamic-linker -Wl,-z,text -L"$prefix/lib" \\
        "$prefix/lib/rcrt1.o" "$prefix/lib/crti.o" "\$@" -Wl,--start-group -lc "\$libgcc" "\${libgcc%/*}/libgcc_eh.a" -Wl,--end-group \\
        "$prefix/lib/crtn.o"
END
chmod +x "$cc"

# step NAME ARCHIVE-PREFIX: builds with the function build_NAME in a fresh directory that holds the archive's content, unless
# that was done with the same archive and the same words.
step()
{
        local name=$1 archive=$2 line key stamp=$work/$arch/stamps/$1 started=$SECONDS
        line=$(grep " $archive" "$here/sources")
        key=$({ echo "$line $flags $cross"; declare -f "build_$name"; cat "$here"/shim/* "$here/trim-$name.sh" 2>/dev/null; ${cross}gcc -dumpfullversion; } | sha256sum)
        if [ "$(cat "$stamp" 2>/dev/null)" = "$key" ]; then return 0; fi
        rm -rf "${build:?}/$name"
        mkdir -p "$build/$name"
        tar xf "$sources/$(echo "$line" | cut -d' ' -f2)" -C "$build/$name" --strip-components=1
        set +e # a subshell in a condition would go on after a command that failed
        (set -e; cd "$build/$name"; "build_$name") >"$build/$name.log" 2>&1
        local status=$?
        set -e
        if [ "$status" != 0 ]; then
                echo "static: $name failed; the end of $build/$name.log:" >&2
                tail -n 20 "$build/$name.log" >&2
                exit 1
        fi
        echo "$key" >"$stamp"
        echo "static: $name $((SECONDS - started)) s"
}

build_musl()
{
        ./configure --prefix="$prefix" --target="$machine-linux-gnu" --disable-shared --enable-wrapper=gcc CC="${cross}gcc" \
                CFLAGS="-Os -pipe -fPIE -ffunction-sections -fdata-sections -fno-asynchronous-unwind-tables -fno-unwind-tables"
        make -j"$jobs"
        make install
        [ -e "$prefix/lib/musl-gcc.specs" ]
}

build_openssl()
{
        # Kept: TLS 1.2 and 1.3 with ECDHE and AES-GCM, X25519, P-256 and P-384, RSA, Ed25519; error texts. A word that
        # this version does not know ends its configuration.
        # P-256 without its tables of 150 kB: a handshake takes a millisecond more.
        sed -i 's/ECP_NISTZ256_ASM//; s/ecp_nistz256\.c ecp_nistz256-[a-z0-9_]*\.[sS]//' crypto/ec/build.info
        # Without the second of two codes for processors that lack AES-NI, and without the stitched CBC and SHA of TLS 1.2: the
        # plain ones serve.
        sed -i 's/ BSAES_ASM//' crypto/aes/build.info
        sed -i '/CBC_HMAC_SHA_CAPABLE/d' include/crypto/aes_platform.h
        # Without what a client does not reach and no option below leaves out: 380 kB.
        "$here/trim-openssl.sh"
        local word without=
        for word in shared module dso engine legacy tests apps docs ui-console comp cmp cms ct ts ocsp srp srtp psk dtls ssl3 tls1 \
                tls1_1 weak-ssl-ciphers dsa idea seed camellia aria bf cast des rc2 rc4 rc5 md4 mdc2 rmd160 whirlpool sm2 sm3 sm4 \
                siphash scrypt blake2 ocb siv gost nextprotoneg afalgeng rfc3779 ec2m cached-fetch autoload-config async \
                secure-memory multiblock quic http argon2 ml-dsa slh-dsa ml-kem tfo zlib sslkeylog filenames dh cmac \
                integrity-only-ciphers tls-deprecated-ec deprecated default-thread-pool thread-pool \
                chacha poly1305; do
                without="$without no-$word"
        done
        # shellcheck disable=SC2086
        ./Configure $openssl --prefix="$prefix" --openssldir=/etc/ssl --libdir=lib CC="$cc" AR="${cross}ar" RANLIB="${cross}ranlib" \
                $without ${flags/-Os/-Oz} -DOPENSSL_SMALL_FOOTPRINT
        make -j"$jobs" build_libs
        make install_dev
}

build_zstd()
{
        # The decoder alone.
        mkdir objects && cd objects
        "$cc" $flags -DZSTD_LEGACY_SUPPORT=0 -DDYNAMIC_BMI2=0 -DZSTD_DISABLE_ASM -DZSTD_NO_INLINE -c ../lib/common/*.c \
                ../lib/decompress/*.c
        "${cross}ar" rcs "$prefix/lib/libzstd.a" ./*.o
        cp ../lib/zstd.h ../lib/zstd_errors.h "$prefix/include/"
        printf 'Name: libzstd\nDescription: decoder\nVersion: 1.5.7\nLibs: -L%s/lib -lzstd\nCflags: -I%s/include\n' "$prefix" "$prefix" \
                >"$prefix/lib/pkgconfig/libzstd.pc"
}

build_libarchive()
{
        # The tar reader is all that is linked in the end.
        ./configure --host="$machine-linux-musl" --prefix="$prefix" CC="$cc" AR="${cross}ar" RANLIB="${cross}ranlib" \
                CFLAGS="${flags/-Os/-Oz} -Wno-error" LDFLAGS=-static \
                --disable-shared --disable-bsdtar --disable-bsdcat --disable-bsdcpio --disable-bsdunzip --disable-acl --disable-xattr \
                --without-zlib --without-bz2lib --without-lzma --without-lz4 --without-lzo2 --without-zstd --without-nettle \
                --without-openssl --without-xml2 --without-expat --without-libb2 --without-iconv --without-cng --without-mbedtls
        make -j"$jobs" libarchive.la
        make install-libLTLIBRARIES install-includeHEADERS install-pkgconfigDATA
}

build_librsync()
{
        # Two headers that cmake would make; one hash comes with the sources.
        mkdir objects && cd objects
        cp "$here/librsync-config.h" config.h
        "$cc" $flags -DHAVE_CONFIG_H -DLIBRSYNC_STATIC_DEFINE -I. -I../src -I../src/blake2 -c \
                $(ls ../src/*.c | grep -v -e rdiff -e isprefix) ../src/blake2/blake2b-ref.c
        "${cross}ar" rcs "$prefix/lib/librsync.a" ./*.o
        cp ../src/librsync*.h "$prefix/include/"
}

build_inih()
{
        "$cc" $flags -c ini.c
        "${cross}ar" rcs "$prefix/lib/libinih.a" ini.o
        cp ini.h "$prefix/include/"
        printf 'Name: inih\nDescription: INI reader\nVersion: 61\nLibs: -L%s/lib -linih\nCflags: -I%s/include\n' "$prefix" "$prefix" \
                >"$prefix/lib/pkgconfig/inih.pc"
}

build_jansson()
{
        autoreconf -fi
        ./configure --host="$machine-linux-musl" --prefix="$prefix" CC="$cc" AR="${cross}ar" RANLIB="${cross}ranlib" CFLAGS="${flags/-Os/-Oz}" \
                LDFLAGS=-static --disable-shared --disable-dtoa
        make -j"$jobs" -C src install
        make install-pkgconfigDATA
}

build_curl()
{
        # http, https and file; proxies; nothing else.
        PKG_CONFIG_LIBDIR=$prefix/lib/pkgconfig ./configure --host="$machine-linux-musl" --prefix="$prefix" CC="$cc" AR="${cross}ar" \
                RANLIB="${cross}ranlib" CFLAGS="$flags" CPPFLAGS="-I$prefix/include" LDFLAGS="-static -L$prefix/lib" --disable-shared --enable-static \
                --with-openssl="$prefix" --enable-threaded-resolver --enable-proxy --enable-ipv6 --disable-verbose \
                --without-nghttp2 --without-brotli --without-zstd --without-zlib --without-libpsl --without-libssh2 --without-librtmp \
                --without-libidn2 --without-gssapi --without-libgsasl --without-ca-bundle --without-ca-path --disable-ldap --disable-ldaps \
                --disable-ftp --disable-rtsp --disable-dict --disable-telnet --disable-tftp --disable-pop3 --disable-imap --disable-smb \
                --disable-smtp --disable-gopher --disable-mqtt --disable-ipfs --disable-websockets --disable-manual --disable-ntlm --disable-docs \
                --disable-tls-srp --disable-alt-svc --disable-hsts --disable-doh --disable-libcurl-option --disable-netrc \
                --disable-unix-sockets --disable-cookies --disable-mime --disable-form-api --disable-dateparse --disable-aws \
                --disable-progress-meter --disable-get-easy-options --disable-headers-api --disable-kerberos-auth --disable-negotiate-auth \
                --disable-digest-auth --disable-bindlocal --disable-openssl-auto-load-config --disable-ech --disable-ares --disable-sha512-256
        make -j"$jobs" -C lib
        make -C lib install
        make -C include install
        make install-pkgconfigDATA
}

build_libcap()
{
        cd libcap
        make CC="$cc $flags" BUILD_CC=gcc AR="${cross}ar" RANLIB="${cross}ranlib" SHARED=no lib=lib libcap.a
        cp libcap.a "$prefix/lib/"
        cp include/sys/capability.h "$prefix/include/sys/"
        printf 'Name: libcap\nDescription: capabilities\nVersion: 2.75\nLibs: -L%s/lib -lcap\nCflags: -I%s/include\n' "$prefix" "$prefix" \
                >"$prefix/lib/pkgconfig/libcap.pc"
}

build_systemd()
{
        # sd-bus alone. Two headers of util-linux are asked for and never used.
        mkdir sf-headers
        cp /usr/include/libmount/libmount.h /usr/include/blkid/blkid.h sf-headers/
        local pc=$PWD/sf-pkgconfig p
        mkdir "$pc"
        cp "$prefix/lib/pkgconfig/libcap.pc" "$pc/"
        for p in mount blkid; do
                printf 'Name: %s\nDescription: headers\nVersion: 2.38\nLibs:\nCflags: -I%s/sf-headers\n' $p "$PWD" >"$pc/$p.pc"
        done
        printf '#!/bin/sh\nPKG_CONFIG_LIBDIR=%s exec pkg-config "$@"\n' "$pc" >sf-pkg-config
        chmod +x sf-pkg-config
        cat >cross.ini <<END
[binaries]
c = '$cc'
ar = '${cross}gcc-ar'
strip = '${cross}strip'
pkgconfig = '$PWD/sf-pkg-config'
pkg-config = '$PWD/sf-pkg-config'
[host_machine]
system = 'linux'
cpu_family = '$machine'
cpu = '$machine'
endian = 'little'
[properties]
needs_exe_wrapper = true
END
        meson setup sd . --cross-file cross.ini --buildtype=plain -Doptimization=s -Db_ndebug=true -Dstatic-libsystemd=pic \
                -Dmode=release --auto-features=disabled -Dzstd=false -Dxz=false -Dlz4=false -Dgcrypt=false -Dacl=false -Dtests=false \
                -Dman=false -Dhtml=false "-Dc_args=${flags/-Os/-Oz} -I$here/shim -I$prefix/include -include $here/shim/musl-compat.h -D__UAPI_DEF_ETHHDR=0 -Wno-error -Wno-error=format -Wno-error=incompatible-pointer-types"
        ninja -C sd version.h
        # Two sources that sd-bus does not need have no musl form.
        ninja -j"$jobs" -k0 -C sd libsystemd.a || :
        grep -q . sd/libsystemd.a.p/src_libsystemd_sd-bus_sd-bus.c.o 2>/dev/null ||
                find sd/libsystemd.a.p -name '*sd-bus_sd-bus.c.o' | grep . >/dev/null
        rm -f "$prefix/lib/libsystemd.a"
        find sd -path '*libsystemd.a.p*' -name '*.o' -print0 | xargs -0 "${cross}ar" rcs "$prefix/lib/libsystemd.a"
        mkdir -p "$prefix/include/systemd"
        cp src/systemd/*.h "$prefix/include/systemd/"
        printf 'Name: libsystemd\nDescription: sd-bus\nVersion: 252\nLibs: -L%s/lib -lsystemd -lcap\nCflags: -I%s/include\n' "$prefix" "$prefix" \
                >"$prefix/lib/pkgconfig/libsystemd.pc"
}

step musl musl_
step openssl openssl_
step zstd libzstd_
step libarchive libarchive_
step librsync librsync_
step inih libinih_
step jansson jansson_
step curl curl_
step libcap libcap2_
step systemd systemd_

# The agent. --gc-sections, packed relative relocations, RELRO; threads get a stack of 1 MiB (musl's default is 128 KiB).
rm -rf "$build/agent"
mkdir -p "$build/agent"
cd "$build/agent"
# Without separate pages for headers and read-only data: 7 kB of padding.
link="-static -L$prefix/lib -Wl,--gc-sections -Wl,-z,relro,-z,now -Wl,-z,noexecstack -Wl,-z,noseparate-code -Wl,-z,pack-relative-relocs -Wl,-z,stack-size=1048576
-Wl,--build-id=sha1 -Wl,-Map=$out/sf-node.map"
PKG_CONFIG_LIBDIR=$prefix/lib/pkgconfig "$tree/configure" --quiet --host="$machine-linux-musl" --disable-factory --prefix=/usr \
        --sysconfdir=/etc --localstatedir=/var PKG_CONFIG="pkg-config --static" CC="$cc" AR="${cross}gcc-ar" RANLIB="${cross}gcc-ranlib" \
        CFLAGS="$flags -g -flto" CPPFLAGS="-I$prefix/include" LDFLAGS="$(echo $link)" >"$build/agent.log" 2>&1 ||
        { tail -n 20 "$build/agent.log" >&2; exit 1; }
# Bytes before speed where no content is decoded.
rooms="agent/libagent.a transport/libtransport.a tuf/libtuf.a release/librelease.a"
make -j"$jobs" units/templates.h >>"$build/agent.log" 2>&1 &&
        make -j"$jobs" $rooms CFLAGS="${flags/-Os/-Oz} -g -flto" >>"$build/agent.log" 2>&1 && make -j"$jobs" sf-node >>"$build/agent.log" 2>&1 || { tail -n 20 "$build/agent.log" >&2; exit 1; }
"${cross}objcopy" --only-keep-debug sf-node "$out/sf-node.debug"
"${cross}strip" --strip-all -R .comment -o "$out/sf-node" sf-node
"$here/sizes.py" "$out/sf-node.map" "$out/sf-node" >"$out/sizes"
echo "static: $out/sf-node, $(stat -c %s "$out/sf-node") bytes"
