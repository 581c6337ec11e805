# SPDX-License-Identifier: Apache-2.0
"""Breaks the client on purpose, one line at a time, and shows that some case notices: mutants.py SOURCE BUILD SCRATCH.

Each mutant is a text that stands exactly once in a source file, what it becomes, and the case that is expected to fail;
where that case lets it live, all of them are tried. A mutant that no case kills is a hole in the tests.
"""
import os
import re
import shlex
import subprocess
import sys

import run
from simulator import Server

TRUST, META, KEY = "tuf/tuf.c", "tuf/tufmeta.c", "tuf/tufkey.c"
WALK, STORE, TEXT, JSON = "tuf/tufdelegation.c", "tuf/tufstore.c", "tuf/tuftext.c", "base/json.c"
META_H, WALK_H = "tuf/tufmeta.h", "tuf/tufdelegation.h"

MUTANTS = [
    # signatures
    ("threshold ignored", KEY, "threshold < 1 || good < threshold", "good < 1", "threshold_of_three"),
    ("signatures not verified", KEY, "return EVP_DigestVerify(context, raw, digits / 2, data, len) == 1;", "return true;",
     "pinned_root_with_a_wrong_signature"),
    ("one key counts under two keyids", KEY, "&& count_once(counted, pkey)", "", "one_key_under_two_keyids_counts_once"),
    ("two signatures with one keyid accepted", META, "if (json_object_get(seen, keyid))", "if (false)", "a_signature_twice"),
    ("a keyid twice in a role accepted", META, "if (json_object_get(seen, text))", "if (false)",
     "a_keyid_twice_in_a_role_that_meets_its_threshold"),
    ("curve of ECDSA keys not checked", KEY, "fits = pkey && is_p256(pkey);", "fits = pkey != NULL;", "keys_that_do_not_count[[]P-384*"),
    ("type of keys not checked", KEY, '&& strcmp(keytype, "ed25519") == 0', "", "an_ed25519_key_under*"),
    ("short RSA keys accepted", KEY, "&& EVP_PKEY_bits(pkey) >= RSA_BITS_MIN", "", "keys_that_do_not_count[[]1,024*"),
    ("RSA without PSS", KEY, "RSA_PKCS1_PSS_PADDING", "RSA_PKCS1_PADDING", "key_types[[]rsa]"),
    ("a bad signature text is a fault", KEY, "int fits = pkey ? verify(",
     "if (signature && !*signature) return SF_ERR_CORRUPT; int fits = pkey ? verify(", "a_bad_signature_beside*"),
    ("threshold 0 accepted in metadata", META, '"threshold", 1, INT32_MAX', '"threshold", -9, INT32_MAX', "threshold_is_no_positive*"),
    # root
    ("new root not checked by the old keys", TRUST, 'r = sf_tufmeta_verify_top(&next, &trust->root, "root", err);', "r = 0;",
     "root_chain[[]refused: not signed by the old key]"),
    ("new root not checked by its own keys", TRUST, 'r = sf_tufmeta_verify_top(&next, &next, "root", err);', "r = 0;",
     "root_chain[[]refused: not signed by the new key]"),
    ("root versions may be skipped", TRUST, "next.version != trust->root.version + 1", "next.version <= trust->root.version",
     "a_root_version_is_skipped"),
    ("root may go back", TRUST, "next.version != trust->root.version + 1", "next.version > trust->root.version + 1",
     "an_old_root_is_served_as_the_next"),
    ("only one root per refresh", TRUST, "i < ROOT_ROTATIONS_MAX", "i < 1", "root_chain[[]one key]"),
    ("pinned root not checked", STORE, '(r = sf_tufmeta_verify_top(&meta, &meta, "root", err)) < 0', "(r = 0) < 0",
     "pinned_root_with_a_wrong_signature"),
    ("another root is pinned over the first", STORE, "if (!force)", "if (false)", "another_root_is_not_pinned_over_the_first"),
    ("root never expires", TRUST, 'return check_expiry(trust, &trust->root, "root", 0, err);', "return 0;", "expired_root*"),
    # rollback and recovery
    ("timestamp may go back", TRUST, "if (new->version < old->version)", "if (false)", "timestamp_rollback"),
    ("timestamp of the same version replaces", TRUST, "if (new->version == old->version)", "if (false)",
     "timestamp_of_the_same_version_is_ignored"),
    ("snapshot in timestamp may go back", TRUST,
     'if (listed_version(sf_tufmeta_listed(new, "snapshot")) < listed_version(sf_tufmeta_listed(old, "snapshot")))',
     "if (false)", "snapshot_rollback_named_by_timestamp*"),
    ("targets in snapshot may go back", TRUST, "if (listed_version(now) < listed_version(before))", "if (false)",
     "targets_rollback*"),
    ("roles may vanish from the snapshot", TRUST, "if (!now)", "if (false)", "a_role_vanishes_from_the_snapshot"),
    ("no rollback check of snapshots at all", TRUST, "r = check_no_rollback(&old, &new, err);", "r = 0;", "targets_rollback*"),
    ("no recovery after timestamp keys", TRUST, 'key_retired(trust, &next, "timestamp") || ', "", "recovery_where_only_one*"),
    ("no recovery after snapshot keys", TRUST, ' || key_retired(trust, &next, "snapshot")', "", "targets_recover_where*"),
    ("every root forgets", TRUST, 'if (key_retired(trust, &next, "timestamp") || key_retired(trust, &next, "snapshot"))',
     "if (true)", "a_key_that_is_only_added_forgets_nothing"),
    ("version need not be the announced one", TRUST, "if (meta->version != listed_version(entry))", "if (false)",
     "version_differs_from_file_name*"),
    # expiry
    ("expiry ignored", TRUST, "if (meta->expires > trust->options.now)", "if (true)", "expired_role_is_refused*"),
    ("expired in its last second only later", TRUST, "meta->expires > trust->options.now", "meta->expires >= trust->options.now",
     "expiry_is_the_first_second*"),
    ("timestamp never expires", TRUST, 'newer ? &new : &old, "timestamp", trust->options.grace, err)',
     'newer ? &new : &old, "timestamp", INT64_MAX, err)', "expired_role_is_refused[[]timestamp]"),
    ("new snapshot never expires", TRUST, 'r = check_expiry(trust, &new, "snapshot", trust->options.grace, err);', "r = 0;",
     "expired_role_is_refused[[]snapshot]"),
    ("trusted snapshot never expires", TRUST, '(r = check_expiry(trust, &old, "snapshot", trust->options.grace, err)) < 0',
     "(r = 0) < 0", "trusted_role_expires_while_nothing_new_is_served[[]snapshot]"),
    ("new targets never expire", TRUST, "r = check_expiry(trust, &meta, role, 0, err);", "r = 0;",
     "expired_role_is_refused[[]targets]"),
    ("trusted targets never expire", TRUST, "(r = check_expiry(trust, &meta, role, 0, err)) < 0", "(r = 0) < 0",
     "trusted_role_expires_while_nothing_new_is_served[[]targets]"),
    ("grace without end", TRUST, "trust->options.now - meta->expires >= grace", "grace == 0", "grace_for_a_mirror*"),
    ("grace is silent", TRUST, "if (trust->options.notice)", "if (false)", "grace_for_a_mirror*"),
    # hashes, lengths, limits
    ("hashes ignored", META, "if (strcmp(hex, expected) != 0)", "if (false)", "metadata_hashes*"),
    ("only sha256 is checked", META, 'strcmp(algorithm, "sha512") == 0', "false", "target_hashes[[]both]"),
    ("unknown hashes suffice", META, "if (!known)", "if (false)", "metadata_with_unknown_hashes_only"),
    ("lengths ignored", META, "if (length && (json_int_t)len != json_integer_value(length))", "if (false)",
     "announced_length_differs*"),
    ("length in metadata may be anything", TRUST, "max = (size_t)json_integer_value(length);", "max = SIZE_MAX / 2;",
     "announced_length_is_the_limit"),
    ("root without a size limit", META_H, "SF_TUF_ROOT_MAX 512000u", "SF_TUF_ROOT_MAX 512000000u", "size_limit[[]root]"),
    ("timestamp without a size limit", META_H, "SF_TUF_TIMESTAMP_MAX 16384u", "SF_TUF_TIMESTAMP_MAX 16384000u",
     "size_limit[[]timestamp]"),
    ("snapshot without a size limit", META_H, "SF_TUF_SNAPSHOT_MAX 2000000u", "SF_TUF_SNAPSHOT_MAX 2000000000u",
     "size_limit[[]snapshot]"),
    ("targets without a size limit", META_H, "SF_TUF_TARGETS_MAX 5000000u", "SF_TUF_TARGETS_MAX 4000000000u",
     "size_limit[[]targets]"),
    ("announced length above the limit is taken", TRUST, "if (length && (uint64_t)json_integer_value(length) > max)",
     "if (false)", "announced_length_above_the_limit"),
    ("any number of delegated roles", META_H, "SF_TUF_DELEGATIONS_MAX 4096u", "SF_TUF_DELEGATIONS_MAX 40960u",
     "too_many_delegated_roles"),
    ("any number of visits", WALK, "if (walk->visits++ == SF_TUF_VISITS_MAX)", "if (walk->visits++ == 2 * SF_TUF_VISITS_MAX)",
     "thirty_two_roles*"),
    ("role names of any length", META, "strlen(encoded) > SF_TUF_ROLE_NAME_MAX", "strlen(encoded) > 100000",
     "broken_delegation[[]to a name of 300 bytes]"),
    # structure
    ("spec_version not checked", META, "if (major != 1)", "if (false)", "spec_version_refused*"),
    ("spec_version may be anything", META, '(text[used] && (sscanf(text + used, ".%u%n", &patch, &r), text[used + r]))', "false",
     "spec_version_refused*"),
    ("type not checked", META, "if (strcmp(text, type) != 0)", "if (false)", "wrong_type*"),
    ("duplicate keys accepted", JSON, "JSON_REJECT_DUPLICATES", "0", "json_text[[]key twice]"),
    ("reals accepted", JSON, "if (has_real(value))", "if (false)", "json_text[[]real in an unsigned member]"),
    ("any depth accepted", JSON, "if (too_deep(value, SF_JSON_DEPTH_MAX))", "if (false)", "json_text[[]nested 100 deep]"),
    ("text after the end accepted", JSON, "JSON_REJECT_DUPLICATES", "JSON_REJECT_DUPLICATES | JSON_DISABLE_EOF_CHECK",
     "json_text[[]text after the end]"),
    ("NUL in strings accepted", JSON, "JSON_REJECT_DUPLICATES", "JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL",
     "json_text[[]NUL in a string]"),
    ("version 0 accepted", META, '"version", 1, INT64_MAX - 1', '"version", -5, INT64_MAX - 1', "first_timestamp*"),
    ("dates that do not exist accepted", TEXT, "back.tm_mday == tm.tm_mday && back.tm_mon == tm.tm_mon", "true",
     "date_refused[[]2099-02-30*"),
    ("length of targets may be negative", META, '"length", 0, INT64_MAX, &length', '"length", INT64_MIN, INT64_MAX, &length',
     "broken_target[[]length is negative]"),
    ("targets without hashes accepted", META, "if (json_object_size(hashes) == 0)", "if (false)", "broken_target[[]empty hashes]"),
    ("hash text not checked before it is a name", TRUST, 'strspn(text, "0123456789abcdef") != room - 1', "false",
     "target_without_a_usable_hash*"),
    # delegations
    ("delegation to top-level roles accepted", META, "        if (is_top_role(name))", "        if (false)",
     "broken_delegation[[]to root]"),
    ("two delegations to one role accepted", META, "if (json_object_get(names, name))", "if (false)",
     "broken_delegation[[]twice to one role]"),
    ("paths and prefixes accepted together", META, "if (paths == prefixes)", "if (false)",
     "broken_delegation[[]paths and prefixes]"),
    ("roles and bins accepted together", META,
     'if (!json_object_get(delegations, "roles") == !json_object_get(delegations, "succinct_roles"))', "if (false)",
     "broken_delegation[[]roles and bins]"),
    ("no path_hash_prefixes", WALK, "if (strncmp(hex, json_string_value(element), json_string_length(element)) == 0)",
     "if (false)", "path_hash_prefixes"),
    ("every hash prefix matches", WALK, "if (strncmp(hex, json_string_value(element), json_string_length(element)) == 0)",
     "if (true)", "path_hash_prefixes"),
    ("paths ignored", WALK, "if (sf_tufpath_matches(json_string_value(element), path))", "if (true)", "search_in_a_tree*"),
    ("no hashed bins", WALK, "return push_one(walk, bin_name(succinct, &digest), keys, succinct, err);", "return 0;",
     "hashed_bins[[]1]"),
    ("hashed bins by the wrong bits", WALK, "head >> (32 - bits)", "head & ((1u << (bits - 1) << 1) - 1)", "hashed_bins*"),
    ("star matches slashes", WALK, "star && *star_path != '/'", "star", "path_pattern*"),
    ("question mark matches a slash", WALK, "if (**path == '/')", "if (false)", "path_pattern*"),
    ("sets match a slash", WALK, "if (**path == '/' || !set_holds", "if (!set_holds", "path_pattern*"),
    ("terminating ignored", WALK, "if (terminating)", "if (false)", "order_of_search[[]terminating]"),
    ("terminating does not hide its siblings", WALK, "last < count && !terminating", "last < count",
     "order_of_search[[]terminating at the top]"),
    ("everything is terminating", WALK, '&& json_is_true(json_object_get(role, "terminating"))', "", "order_of_search*"),
    ("siblings in reverse order", WALK, "for (size_t i = last; i-- > 0;) {", "for (size_t i = 0; i < last; i++) {",
     "order_of_search*"),
    ("roles visited again and again", WALK, "if (json_object_get(walk->seen, visit.role))", "if (false)", "order_of_search[[]cycle]"),
    ("delegated roles not verified", TRUST, "r = sf_tufmeta_verify(&meta, role, keys, spec, err);", "r = 0;",
     "delegated_role_signed_by_a_stranger"),
    ("role need not be in the snapshot", TRUST, "if (!entry)\n                return sf_error_set(err, SF_ERR_TRUST, \"%s: not listed",
     "if (false)\n                return sf_error_set(err, SF_ERR_TRUST, \"%s: not listed", "delegated_role_is_not_in_the_snapshot"),
    # storage
    ("trusted copies not verified", STORE, "r = sf_tufmeta_verify(&meta, role->name, role->keys, role->spec, NULL);", "r = 0;",
     "a_forged_trusted_copy_is_not_trusted"),
    ("an unreadable trusted copy counts as none", STORE, "if (r < 0 && r != SF_ERR_NOT_FOUND && r != SF_ERR_LIMIT)", "if (false)",
     "a_trusted_copy_that_cannot_be_read*"),
    ("trusted snapshot not compared with the announcement", TRUST,
     '&&\n            sf_tufmeta_check_bytes("snapshot", entry, old_bytes.data, old_bytes.len, NULL) == 0', "",
     "a_changed_trusted_copy_is_fetched_anew"),
    ("trusted targets not compared with the announcement", TRUST,
     "&&\n            sf_tufmeta_check_bytes(role, entry, old_bytes.data, old_bytes.len, NULL) == 0", "",
     "a_changed_trusted_copy_is_fetched_anew"),
    ("role names not encoded", STORE, 'sf_format("%s/%s.json", directory, encoded)', 'sf_format("%s/%s.json", directory, role)',
     "unusual_role_name*"),
    ("timestamp stored before it was checked", TRUST, "        if (newer && (r = sf_tufstore_write(trust->directory, \"timestamp\"",
     "        if (false && (r = sf_tufstore_write(trust->directory, \"timestamp\"", "trusted_files_are_the_bytes_served"),
    ("targets found without the hash in their name", TRUST, "if (!encoded || !consistent_snapshot(trust))", "if (true)",
     "target_names_carry_the_hash"),
    ("consistent snapshots only", TRUST, 'return json_is_true(json_object_get(trust->root.body, "consistent_snapshot"));',
     "return true;", "plain_names_without_consistent_snapshot"),
]

LIBRARIES = ("tuf/libtuf.a", "transport/libtransport.a", "base/libbase.a")


def make_variable(build, name):
    with open(os.path.join(build, "Makefile"), encoding="utf-8") as makefile:
        return shlex.split(re.search("^%s = (.*)$" % name, makefile.read(), re.M).group(1))


def sources_of(file):
    """A changed header concerns every file of its room that includes it."""
    if file == META_H:
        return [TRUST, META, STORE]
    return [file]


def build_mutant(source, build, scratch, file, old, new):
    with open(os.path.join(source, file), encoding="utf-8") as original:
        text = original.read()
    if text.count(old) != 1:
        raise SystemExit("%s: %r stands there %d times: bring the list of mutants up to date" % (file, old, text.count(old)))
    changed = os.path.join(scratch, file)
    os.makedirs(os.path.dirname(changed), exist_ok=True)
    with open(changed, "w", encoding="utf-8") as mutant:
        mutant.write(text.replace(old, new))
    compiler, flags = make_variable(build, "CC"), make_variable(build, "CFLAGS")
    flags = [f for f in flags if not f.startswith("-O")] + ["-O0", "-w", "-std=gnu11", "-D_GNU_SOURCE", "-DHAVE_CONFIG_H"]
    objects = []
    for name in sources_of(file):
        path = changed if name == file else os.path.join(source, name)
        if file.endswith(".h"):
            # The copy's own directory comes first for quoted names only if it holds the file that includes them.
            with open(os.path.join(source, name), encoding="utf-8") as original:
                path = os.path.join(scratch, name)
                with open(path, "w", encoding="utf-8") as copy:
                    copy.write(original.read())
        objects.append(os.path.join(scratch, os.path.basename(name) + ".o"))
        subprocess.run(compiler + flags + ["-I" + scratch, "-I" + source, "-I" + build, "-c", path, "-o", objects[-1]], check=True)
    client = os.path.join(scratch, "client")
    libraries = [os.path.join(build, name) for name in LIBRARIES]
    system = [f for name in ("CURL_LIBS", "CRYPTO_LIBS", "JANSSON_LIBS", "ZSTD_LIBS", "INIH_LIBS", "THREAD_LIBS")
              for f in make_variable(build, name)]
    subprocess.run(compiler + flags + ["-o", client, os.path.join(build, "tests/kit/sf-tuf-client.o")] + objects + libraries + system,
                   check=True)
    # The scratch copy must not leak into the next mutant.
    for name in [file] + sources_of(file):
        path = os.path.join(scratch, name)
        if os.path.exists(path):
            os.unlink(path)
    return client


def killer(server, client, pattern):
    """The first case that fails with this client; the expected one is asked first."""
    for name, function in run.chosen([pattern]) + run.chosen(["*"]):
        if run.run(name, function, client, server):
            return name
    return None


def main():
    source, build, scratch = sys.argv[1:4]
    wanted = sys.argv[4:]
    server, survivors = Server(), 0
    for name, file, old, new, pattern in MUTANTS:
        if wanted and not any(w in name for w in wanted):
            continue
        by = killer(server, build_mutant(source, build, scratch, file, old, new), pattern)
        print("%-55s %s" % (name, "killed by " + by if by else "SURVIVED"), flush=True)
        survivors += by is None
    print("%d mutants, %d survived" % (len(MUTANTS), survivors))
    return survivors > 0


if __name__ == "__main__":
    sys.exit(main())
