#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# static/trim-openssl.sh: run in OpenSSL's source directory before Configure. Takes out what a TLS client does not reach
# and what no option of Configure leaves out: a table that names a function links it, whether it is called or not. An
# expression that changes nothing (another version of OpenSSL) ends the run.
#
# What stays: TLS 1.2 and 1.3 as a client; X25519, P-256, P-384, P-521; RSA, RSA-PSS, ECDSA and Ed25519; AES in GCM, CCM
# and CBC; SHA-1, SHA-2, MD5; encrypted PKCS#8 keys; the extensions of certificates that verification looks at.
set -euo pipefail

# edit FILE PERL-EXPRESSION: over the whole file at once
edit()
{
        cp "$1" edit.before
        perl -0777 -pi -e "$2" "$1"
        ! cmp -s "$1" edit.before || { echo "trim-openssl: $1 is as it was after: $2" >&2; exit 1; }
        rm edit.before
}

# --- algorithms that the default provider offers ---------------------------------------------------
# algorithms NAMES: an alternation of what follows PROV_NAMES_
algorithms()
{
        edit providers/defltprov.c "s/^ +(ALGC?\\(|\\{ )PROV_NAMES_($1),[^{}]*?(\\)|\\}),\\n//mg"
}
algorithms 'AES_\d+_(CBC_CTS|OFB|CFB1?8?|XTS|WRAP(_PAD)?(_INV)?|CBC_HMAC_SHA\d+)|AES_192_(ECB|CTR|GCM|CCM)'
algorithms 'SHA3_\d+|KECCAK_\w+|SHAKE_\d+|(RSA|ECDSA)_SHA3_\d+'
algorithms 'GMAC|KMAC_\d+|SSKDF|SSHKDF|X963KDF|KBKDF|X942KDF_ASN1|KRB5KDF|HMAC_DRBG_KDF'
algorithms 'HASH_DRBG|HMAC_DRBG|TEST_RAND'
algorithms 'X448|ED448(ph)?|ED25519(ph|ctx)'
# Key encapsulation is for hybrid groups (ML-KEM) and HPKE.
edit providers/defltprov.c 's/(deflt_asym_kem\[\] = \{\n).*?(    \{ NULL)/$1$2/s'
# The agent writes public keys as DER, nothing else.
kept='"(RSA|RSA-PSS|EC|ED25519)", \w+, yes, der, SubjectPublicKeyInfo'
edit providers/encoders.inc 's/^ENCODER\w*\((?!'"$kept"').*?\),\n//msg'
edit providers/decoders.inc 's/^DECODER\w*\((?="(X448|ED448)"|"RSA", (msblob|pvk)).*?\),\n//msg'
# The base provider has the same encoders and decoders a second time.
edit providers/baseprov.c 's/#include "(en|de)coders.inc"\n//g'

# --- Curve448 --------------------------------------------------------------------------------------
edit crypto/asn1/standard_methods.h 's/^ +&ossl_(ecx|ed)448_asn1_meth,\n//mg'
edit crypto/evp/pmeth_lib.c 's/^ +ossl_(ecx|ed)448_pkey_method,\n//mg'
edit crypto/ec/ecx_backend.c 's/ossl_x448_public_from_private\([^;]*;/return 0;/'
edit crypto/ec/ecx_backend.c 's/!ossl_ed448_public_from_private\([^)]*\)/1/'
edit providers/common/capabilities.c 's/^ +TLS_GROUP_ENTRY\("x448".*\n//m'

# --- ciphers by name, from before there were providers: they are fetched ---------------------------
edit crypto/evp/c_allc.c 's/(void openssl_add_all_ciphers_int\(void\)\n\{).*/$1\n}\n/s'

# Digests by name stay, as signatures on certificates are looked up so; but for these.
edit crypto/evp/c_alld.c 's/^ +EVP_add_digest\(EVP_(sha3_\d+|shake\d+)\(\)\);\n//mg'

# --- the server's half of TLS ----------------------------------------------------------------------
edit ssl/statem/statem.c 's/\bossl_statem_server_\w+;/NULL;/g'
edit ssl/statem/extensions.c 's/\btls_(parse_ctos|construct_stoc)_(?!sig_algs)\w+/NULL/g'

# --- extensions of certificates that verification does not look at ---------------------------------
kept='nscert|pci|skey_id|key_usage|alt|bcons|crl_num|cpols|akey_id|crld|ext_ku|delta_crl|crl_reason|info|policy_|'
kept+='name_constraints|inhibit_anyp|idp|freshest_crl|tls_feature'
edit crypto/x509/standard_exts.h 's/^ +&ossl_v3_(?!'"$kept"')\w+(\[\d+\])?,\n//mg'

# --- names and numbers of objects ------------------------------------------------------------------
# Object identifiers that no certificate of a web server has, without those that libssl names (EVP_PKEY_DSA too).
without='tcg|set[A-Z_]|setct|setext|'
without+='id_(set|smime|ct_|aa_|it_|reg|cmc|mod|pda|aca|qcs|cct|ppl|tc26|Gost|HMACGost|camellia|alg_|pkix1)|'
without+='gost|kuznyechik|magma|grasshopper|crypto(pro|com)|camellia|aria|seed|kisa|sm[234]|SM2|idea|bf_|'
without+='cast5|rc[245]_|rc4|des_|desx|pilot|wap|uacurve|dstu|ISO_UA|ua_pki|ML_|SLH_|HASH_ML|dsa|ms_|'
without+='netscape(?!_cert_type)|ns_sgc|blake2|oracle|RSA_SHA3|ecdsa_with_SHA3|hmac_sha3|sha3_|shake|kmac|'
without+='X9_62_(c2|.*[bB]asis)|sect\d|pbe(With|_With)|cades|etsi|electronic_sig|ess_attr|mime_|id_hex|sbgp|'
without+='ipAddr_|hold_inst|aes_\d+_(ofb|cfb|xts|ocb|siv|cbc_hmac)|class?SignTool|subjectSignTool|'
without+='issuerSignTool|INN|OGRN|SNILS|dh(Single|_std|_cofactor)|(iA5|caseIgnoreIA5)StringSyntax|document|'
without+='room|janet|friendly|quality|(singleLevel|subtreeM\w+)Quality|(a|mX|nS|sOA|cNAME)Record|'
without+='last[mM]odified|homeT|homeP|mobileT|pagerT|buildingName|personal|audio|photo|favourite|ac_|'
without+='aaControls|send(Router|Owner|Proxied)|capwap|cmc|whirlpool|mdc2|md[24]|ripemd|sxnet'
used=$(grep -ohE 'NID_\w+' ssl/*.[ch] ssl/*/*.c include/openssl/evp.h | sed 's/NID_//' | sort -u | tr '\n' '|')
perl -ne 'print unless /^#define (SN|LN|NID)_(?!(?:'"$used"'undef)\s)(?:'"$without"')/' \
        include/openssl/obj_mac.h >objects.few
perl crypto/objects/obj_dat.pl objects.few >objects.new
[ "$(grep -c 'NID_' objects.new)" -lt "$(grep -c 'NID_' crypto/objects/obj_dat.h)" ]
mv objects.new crypto/objects/obj_dat.h
rm objects.few
# The table by number has gaps of 40 bytes where one is missing: without them, and with the place of each number.
edit crypto/objects/obj_dat.h '
        my ($before, $rows, $after) = /^(.*nid_objs\[)NUM_NID\] = \{\n(.*?)^\};\n(.*)$/ms or die;
        my ($kept, $n, @place) = ("", 0);
        for (split /^/, $rows) {
                if (/NULL, NULL, NID_undef/) { push @place, 0 } else { push @place, $n++; $kept .= $_ }
        }
        $_ = "$before] = {\n$kept};\n\nstatic const unsigned short nid_place[NUM_NID] = {" .
                join(",", @place) . "};\n\n$after"'
edit crypto/objects/obj_dat.c 's/\bnid_objs\[([^\]]+)\]/nid_objs[nid_place[$1]]/g'
