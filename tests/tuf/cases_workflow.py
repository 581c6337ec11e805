# SPDX-License-Identifier: Apache-2.0
"""The client workflow: root, timestamp, snapshot, targets; keys and thresholds; rollback; expiry."""
import copy
import json

from registry import case, cases, refused, started
from simulator import DAY, TOP_ROLES, Key, timestamp_text

# --- the plain way ----------------------------------------------------------------------------------------------------


@case
def first_refresh_asks_for_four_files(repo, client):
    started(repo, client)
    assert repo.metadata_requests() == ["2.root.json", "timestamp.json", "1.snapshot.json", "1.targets.json"]


@case
def unchanged_metadata_costs_two_requests(repo, client):
    started(repo, client)
    repo.requests.clear()
    assert client.refresh() == 0
    assert repo.metadata_requests() == ["2.root.json", "timestamp.json"]


@case
def trusted_files_are_the_bytes_served(repo, client):
    for role in ("timestamp", "snapshot", "targets"):
        repo.replace(role, repo.files[repo.file_name(role, 1)] + b"  \n")
    started(repo, client)
    for role in TOP_ROLES:
        assert client.bytes_of(role) == repo.files[repo.file_name(role, 1)], role


@case
def download_refreshes_first(repo, client):
    assert client.init() == 0
    assert client.download("nothing of this name") == 1
    refused(client, "no trusted role lists")
    assert repo.metadata_requests() == ["2.root.json", "timestamp.json", "1.snapshot.json", "1.targets.json"]
    assert client.trusted() == {"root": 1, "timestamp": 1, "snapshot": 1, "targets": 1}


@case
def pinned_root_without_version(repo, client):
    root = json.loads(repo.files["metadata/1.root.json"])
    del root["signed"]["version"]
    client.init(json.dumps(root).encode())
    assert client.refresh() == 1
    assert repo.requests == []


@case
def pinned_root_with_a_wrong_signature(repo, client):
    root = json.loads(repo.files["metadata/1.root.json"])
    root["signatures"][0]["sig"] = Key().sign(b"something else")
    assert client.init(json.dumps(root).encode()) == 1
    refused(client, "good signatures")
    assert client.refresh() == 1
    assert repo.requests == []


@case
def the_same_root_may_be_pinned_again(repo, client):
    started(repo, client)
    repo.publish("root")
    assert client.refresh() == 0
    assert client.init() == 0
    assert client.version("root") == 2


@case
def another_root_is_not_pinned_over_the_first(repo, client):
    started(repo, client)
    other = copy.deepcopy(repo.sign("root"))
    other["signed"]["x"] = 1
    other = repo.sign("root", other["signed"])
    assert client.init(json.dumps(other).encode()) == 1
    refused(client, "another root is pinned")


UNSIGNED = {
    "root": {"root": 1},
    "timestamp": {"root": 2},
    "snapshot": {"root": 2, "timestamp": 2},
    "targets": {"root": 2, "timestamp": 2, "snapshot": 2},
}


@cases(UNSIGNED)
def unsigned_role(repo, client, trusted):
    role = next(r for r in ("root", "timestamp", "snapshot", "targets") if UNSIGNED[r] is trusted)
    repo.signers[role].pop()
    repo.publish("root", "targets", "snapshot", "timestamp")
    assert client.init() == 0
    assert client.refresh() == 1
    refused(client, "good signatures")
    assert client.trusted() == trusted


@cases({"root": {"root": 1}, "snapshot": {"root": 2, "timestamp": 2},
        "targets": {"root": 2, "timestamp": 2, "snapshot": 2}})
def version_differs_from_file_name(repo, client, trusted):
    role = {1: "root", 2: "snapshot", 3: "targets"}[len(trusted)]
    repo.publish("root", "targets", "snapshot", "timestamp")
    body = dict(repo.bodies[role], version=3)
    repo.replace(role, repo.sign(role, body))
    assert client.init() == 0
    assert client.refresh() == 1
    refused(client, "version")
    assert client.trusted() == trusted


@case
def timestamp_of_the_same_version_is_ignored(repo, client):
    started(repo, client)
    before = client.bytes_of("timestamp")
    repo.timestamp["meta"]["snapshot.json"]["version"] = 100
    repo.publish("timestamp", bump=False)
    repo.requests.clear()
    assert client.refresh() == 0
    assert repo.metadata_requests() == ["2.root.json", "timestamp.json"]
    assert client.bytes_of("timestamp") == before


@cases({"sha256": ("sha256",), "sha512": ("sha512",), "both": ("sha256", "sha512")})
def metadata_hashes(repo, client, algorithms):
    repo.with_hashes = algorithms
    repo.publish_all()
    started(repo, client)
    repo.publish("targets")
    repo.snapshot["meta"]["targets.json"]["hashes"][algorithms[-1]] = "ab" * (32 if algorithms[-1] == "sha256" else 64)
    repo.publish("snapshot", "timestamp")
    assert client.refresh() == 1
    refused(client, "expected")
    assert (client.version("snapshot"), client.version("targets")) == (3, 2)


@case
def snapshot_hash_mismatch(repo, client):
    repo.with_hashes = ("sha256",)
    started(repo, client)
    repo.publish("snapshot")
    repo.timestamp["meta"]["snapshot.json"]["hashes"]["sha256"] = "0" * 64
    repo.publish("timestamp")
    assert client.refresh() == 1
    assert client.version("snapshot") == 1


@cases({"snapshot shorter": ("snapshot", -1), "snapshot longer": ("snapshot", 1), "targets shorter": ("targets", -1),
        "targets longer": ("targets", 1)})
def announced_length_differs(repo, client, change):
    role, by = change
    repo.with_hashes = ("sha256",)
    repo.publish("targets", "snapshot")
    lister = repo.timestamp if role == "snapshot" else repo.snapshot
    for where in (lister,):
        entry = where["meta"][role + ".json"]
        entry["length"] += by
        del entry["hashes"]
    if role == "targets":
        repo.publish("snapshot")
    repo.publish("timestamp")
    assert client.init() == 0
    assert client.refresh() == 1
    assert client.version(role) is None


@case
def metadata_with_unknown_hashes_only(repo, client):
    repo.publish("targets", "snapshot")
    repo.timestamp["meta"]["snapshot.json"]["hashes"] = {"md5": "0" * 32}
    repo.publish("timestamp")
    assert client.init() == 0
    assert client.refresh() == 1
    assert client.version("snapshot") is None


@case
def targets_that_no_snapshot_names_stay_away(repo, client):
    started(repo, client)
    repo.publish("targets")
    repo.requests.clear()
    assert client.refresh() == 0
    assert client.version("targets") == 1
    assert repo.metadata_requests() == ["2.root.json", "timestamp.json"]


@case
def unknown_members_are_signed_too(repo, client):
    started(repo, client)
    key = Key()
    key.public["x-extra"] = {"b": [True, None, "\"\\"], "a": 1}
    repo.root["x-custom"] = "value\nwith a line end, \u00fcml\u00e4ut and \U0001f511"
    repo.root["roles"]["root"]["x-other"] = -5
    repo.add_key("root", key)
    repo.publish("root")
    assert client.refresh() == 0, client.said
    assert client.version("root") == 2
    document = repo.served("root")
    document["signed"]["x-custom"] += "."
    repo.publish("root")
    broken = repo.served("root")
    broken["signed"]["x-custom"] = "changed after signing"
    repo.replace("root", broken)
    assert client.refresh() == 1
    assert client.version("root") == 2


@case
def keyid_hash_algorithms_mean_nothing(repo, client):
    key = Key()
    key.public["keyid_hash_algorithms"] = "md5"
    repo.root["roles"]["snapshot"]["keyids"].clear()
    repo.signers["snapshot"].clear()
    repo.add_key("snapshot", key)
    repo.publish("root", "snapshot", "timestamp")
    started(repo, client)
    assert client.version("snapshot") == 2


@cases({"timestamp": "timestamp", "snapshot": "snapshot", "targets": "targets"})
def role_is_missing(repo, client, role):
    started(repo, client)
    repo.publish_all()
    del repo.files[repo.file_name(role, 2)]
    assert client.refresh() == 1
    expected = {"timestamp": (1, 1, 1), "snapshot": (2, 1, 1), "targets": (2, 2, 1)}[role]
    assert (client.version("timestamp"), client.version("snapshot"), client.version("targets")) == expected


@cases({role: role for role in TOP_ROLES})
def wrong_type(repo, client, role):
    started(repo, client)
    repo.publish_all("root")
    body = dict(repo.bodies[role])
    body["_type"] = "snapshot" if role != "snapshot" else "timestamp"
    repo.replace(role, repo.sign(role, body))
    assert client.refresh() == 1
    refused(client, "its type is")
    assert client.version(role) == 1


@case
def snapshot_served_as_timestamp(repo, client):
    key = repo.signers["timestamp"][0]
    repo.add_key("snapshot", key)
    repo.snapshot["meta"] = {"snapshot.json": {"version": 1}}
    repo.publish("root", "snapshot")
    repo.files["metadata/timestamp.json"] = repo.files["metadata/2.snapshot.json"]
    assert client.init() == 0
    assert client.refresh() == 1
    assert client.trusted() == {"root": 2}


# --- keys and thresholds ----------------------------------------------------------------------------------------------


@case
def threshold_of_three(repo, client):
    repo.spec("snapshot")[0]["threshold"] = 3
    repo.add_key("snapshot")
    repo.add_key("snapshot")
    repo.publish("root", "targets", "snapshot", "timestamp")
    started(repo, client)
    repo.signers["snapshot"].pop()
    repo.publish_all()
    assert client.refresh() == 1
    assert client.version("snapshot") == 2


@case
def threshold_above_the_number_of_keys(repo, client):
    repo.spec("snapshot")[0]["threshold"] = 6
    for _ in range(4):
        repo.add_key("snapshot")
    repo.publish("root", "snapshot", "timestamp")
    assert client.init() == 0
    assert client.refresh() == 1
    assert (client.version("root"), client.version("snapshot")) == (2, None)


@cases({"zero": 0, "negative": -1, "text": "1", "true": True, "real": 1.0})
def threshold_is_no_positive_number(repo, client, threshold):
    started(repo, client)
    repo.spec("timestamp")[0]["threshold"] = threshold
    repo.publish("root")
    repo.signers["timestamp"].clear()
    repo.publish_all()
    assert client.refresh() == 1
    assert (client.version("root"), client.version("timestamp")) == (1, 1)


@case
def a_keyid_twice_in_a_role(repo, client):
    key = Key()
    for _ in range(9):
        repo.add_key("snapshot", key, sign=False)
    repo.signers["snapshot"].append(key)
    repo.spec("snapshot")[0]["threshold"] = 6
    repo.publish("root", "snapshot", "timestamp")
    document = repo.served("snapshot")
    document["signatures"] += [document["signatures"][-1]] * 8
    repo.replace("snapshot", document)
    assert client.init() == 0
    assert client.refresh() == 1
    assert client.version("snapshot") is None


@case
def a_keyid_twice_in_a_role_that_meets_its_threshold(repo, client):
    repo.add_key("snapshot", repo.signers["snapshot"][0], sign=False)
    repo.publish("root", "snapshot", "timestamp")
    assert client.init() == 0
    assert client.refresh() == 1
    assert client.version("root") == 1


@case
def a_signature_twice(repo, client):
    document = repo.served("snapshot")
    document["signatures"].append(document["signatures"][0])
    repo.replace("snapshot", document)
    assert client.init() == 0
    assert client.refresh() == 1
    refused(client, "two signatures with keyid")
    assert client.version("snapshot") is None


@case
def one_key_under_two_keyids_counts_once(repo, client):
    key = repo.signers["timestamp"][0]
    repo.add_key("timestamp", key.alias("another-name"))
    repo.spec("timestamp")[0]["threshold"] = 2
    repo.publish("root", "timestamp")
    assert client.init() == 0
    assert client.refresh() == 1
    refused(client, "1 good signatures of the 2")


@case
def keyids_are_opaque(repo, client):
    repo.rotate("timestamp")
    repo.root["roles"]["timestamp"]["keyids"].clear()
    repo.signers["timestamp"].clear()
    repo.add_key("timestamp", Key().alias("no digest at all \u00fc"))
    repo.publish("root", "timestamp")
    started(repo, client)


@case
def a_signature_of_another_roles_key(repo, client):
    repo.publish("snapshot")
    repo.signers["timestamp"] = list(repo.signers["snapshot"])
    repo.publish("timestamp")
    assert client.init() == 0
    assert client.refresh() == 1
    refused(client, "0 good signatures")


@cases({kind: kind for kind in ("ed25519", "ecdsa", "rsa")})
def key_types(repo, client, kind):
    started(repo, client)
    key = repo.add_key("root", Key(kind))
    repo.spec("root")[0]["threshold"] = 2
    repo.publish("root")
    assert client.refresh() == 0, client.said
    assert client.version("root") == 2
    repo.publish("root")
    document = repo.served("root")
    for signature in document["signatures"]:
        if signature["keyid"] == key.keyid:
            signature["sig"] = key.sign(b"something else")
    repo.replace("root", document)
    assert client.refresh() == 1
    assert client.version("root") == 2


@case
def ecdsa_by_its_older_key_type_and_as_a_point(repo, client):
    key = Key("ecdsa")
    key.public["keytype"] = "ecdsa-sha2-nistp256"
    repo.add_key("timestamp", key)
    point = Key("ecdsa")
    numbers = point.private.public_key().public_numbers()
    point.public["keyval"]["public"] = "04%064x%064x" % (numbers.x, numbers.y)
    repo.add_key("timestamp", point)
    repo.spec("timestamp")[0]["threshold"] = 3
    repo.publish("root", "timestamp")
    started(repo, client)


@cases({"1,024-bit RSA": "rsa1024", "PKCS #1 v1.5": "pkcs1", "P-384 under the name of P-256": "p384"})
def keys_that_do_not_count(repo, client, kind):
    key = Key(kind)
    repo.root["roles"]["timestamp"]["keyids"].clear()
    repo.signers["timestamp"].clear()
    repo.add_key("timestamp", key)
    repo.publish("root", "timestamp")
    assert client.init() == 0
    assert client.refresh() == 1
    refused(client, "0 good signatures of the 1")


@cases({"another scheme": {"scheme": "rsassa-pss-sha256"}, "another type": {"keytype": "ecdsa"}, "an odd type": {"keytype": "x"}})
def an_ed25519_key_under_another_name_does_not_count(repo, client, change):
    key = repo.signers["timestamp"][0]
    repo.spec("timestamp")[1][key.keyid] = dict(key.public, **change)
    repo.publish("root", "timestamp")
    assert client.init() == 0
    assert client.refresh() == 1
    refused(client, "0 good signatures of the 1")


UNUSABLE = {
    "unknown scheme": {"keytype": "quantum", "scheme": "quantum-2048", "keyval": {"public": "00"}},
    "unknown scheme without a public value": {"keytype": "sigstore-oidc", "scheme": "Fulcio", "keyval": {"identity": "x"}},
    "ed25519 with too few digits": {"keytype": "ed25519", "scheme": "ed25519", "keyval": {"public": "00ff"}},
    "no PEM at all": {"keytype": "rsa", "scheme": "rsassa-pss-sha256", "keyval": {"public": "hello"}},
}


@cases(UNUSABLE)
def unusable_keys_are_tolerated_where_the_threshold_is_met(repo, client, public):
    started(repo, client)
    spec, keys = repo.spec("timestamp")
    spec["keyids"].append("odd")
    keys["odd"] = public
    repo.publish("root", "timestamp")
    document = repo.served("timestamp")
    document["signatures"].append({"keyid": "odd", "sig": "00"})
    repo.replace("timestamp", document)
    assert client.refresh() == 0, client.said
    spec["threshold"] = 2
    repo.publish("root", "timestamp")
    assert client.refresh() == 1
    assert client.version("timestamp") == 2


@cases({"wrong": None, "empty": "", "not hexadecimal": "zz", "odd": "abc", "huge": "ab" * 3000})
def a_bad_signature_beside_a_good_one(repo, client, text):
    started(repo, client)
    repo.add_key("timestamp")
    repo.publish("root", "timestamp")
    document = repo.served("timestamp")
    document["signatures"][0]["sig"] = Key().sign(b"x") if text is None else text
    repo.replace("timestamp", document)
    assert client.refresh() == 0, client.said
    assert client.version("timestamp") == 2


@case
def a_role_names_a_key_that_is_not_there(repo, client):
    repo.spec("timestamp")[0]["keyids"].append("f" * 64)
    repo.publish("root", "timestamp")
    started(repo, client)


@case
def the_signed_part_was_changed(repo, client):
    document = repo.served("timestamp")
    document["signed"]["expires"] = timestamp_text(repo.now + 3650 * DAY)
    repo.replace("timestamp", document)
    assert client.init() == 0
    assert client.refresh() == 1
    assert client.version("timestamp") is None


# --- root rotation ----------------------------------------------------------------------------------------------------

# Rows of (keys, threshold, signers); the last row is refused where the name says so.
ROOT_CHAINS = {
    "one key": [([1], 1, [1]), ([2], 1, [2, 1]), ([2], 1, [2])],
    "one key among strangers": [([1], 1, [3, 1, 4]), ([2], 1, [3, 2, 1, 4]), ([2], 1, [3, 2, 4])],
    "three of five, other hands each time": [([0, 1, 2, 3, 4], 3, [0, 2, 4]), ([0, 1, 2, 3, 4], 3, [0, 4, 1]),
                                             ([0, 1, 2, 3, 4], 3, [0, 1, 3])],
    "three of five, one replaced": [([0, 1, 2, 3, 4], 3, [0, 2, 4]), ([0, 1, 3, 4, 5], 3, [0, 4, 1])],
    "three of five, one replaced by steps": [([0, 1, 2, 3, 4], 3, [0, 2, 4]), ([0, 1, 3, 4, 5], 3, [0, 2, 4, 5]),
                                             ([0, 1, 3, 4, 5], 3, [0, 4, 5])],
    "three of five, all replaced": [([0, 1, 2, 3, 4], 3, [0, 2, 4]), ([5, 6, 7, 8, 9], 3, [0, 2, 4, 5, 6, 7]),
                                    ([5, 6, 7, 8, 9], 3, [5, 6, 7])],
    "threshold raised": [([1, 2, 3], 1, [1]), ([1, 2, 3], 2, [1, 2])],
    "threshold lowered": [([1, 2, 3], 2, [1, 2]), ([1, 2, 3], 1, [1, 2]), ([1, 2, 3], 1, [1])],
    "a key added": [([1], 1, [1]), ([1, 2], 2, [1, 2])],
    "refused: not signed by the old key": [([1], 1, [1]), ([2], 1, [2, 3, 4])],
    "refused: not signed by the new key": [([1], 1, [1]), ([2], 1, [1, 3, 4])],
    "refused: new threshold not met": [([0, 1, 2, 3, 4], 3, [0, 2, 4]), ([0, 1, 3, 4, 5], 3, [0, 2, 4])],
    "refused: old threshold not met": [([0, 1, 2, 3, 4], 3, [0, 2, 4]), ([0, 1, 3, 4, 5], 3, [0, 4, 5])],
    "refused: raised threshold not met": [([1, 2, 3], 1, [1]), ([1, 2, 3], 2, [2])],
    "refused: lowered threshold used too early": [([1, 2, 3], 2, [1, 2]), ([1, 2, 3], 1, [1])],
}


@cases({name: (name, rows) for name, rows in ROOT_CHAINS.items()})
def root_chain(repo, client, chain):
    name, rows = chain
    keys = [Key() for _ in range(10)]
    repo.root["version"] = 0
    for ids, threshold, signers in rows:
        repo.root["roles"]["root"] = {"keyids": [], "threshold": threshold}
        repo.signers["root"] = []
        for i in ids:
            repo.add_key("root", keys[i], sign=False)
        repo.signers["root"] = [keys[i] for i in signers]
        repo.publish("root")
    bad = name.startswith("refused")
    assert client.init() == 0, client.said
    assert client.refresh() == bad, client.said
    assert client.version("root") == len(rows) - bad
    assert client.bytes_of("root") == repo.files["metadata/%d.root.json" % (len(rows) - bad)]


ROLE_KEYS = {
    "new key": ([2], 1, [2], True),
    "strangers sign as well": ([1], 1, [3, 1, 4], True),
    "not by the new key": ([2], 1, [1, 3, 4], False),
    "one of three by a stranger": ([0, 1, 3, 4, 5], 3, [0, 2, 4], False),
    "one short": ([0, 1, 3, 4, 5], 3, [0, 4], False),
    "three of five": ([0, 1, 2, 3, 4], 3, [0, 2, 4], True),
    "other three of five": ([0, 1, 2, 3, 4], 3, [2, 3, 4], True),
}


@cases(ROLE_KEYS)
def role_keys_change(repo, client, row):
    ids, threshold, signers, good = row
    keys = [Key() for _ in range(6)]
    assert client.init() == 0
    for role in ("timestamp", "snapshot", "targets"):
        repo.root["roles"][role] = {"keyids": [], "threshold": threshold}
        for i in ids:
            repo.add_key(role, keys[i], sign=False)
        repo.signers[role] = [keys[i] for i in signers]
        repo.publish("root", "targets", "snapshot", "timestamp")
        assert client.refresh() == (not good), client.said
        if good:
            assert client.bytes_of(role) == repo.files[repo.file_name(role, repo.bodies[role]["version"])]


@case
def a_root_version_is_skipped(repo, client):
    started(repo, client)
    repo.root["version"] = 2
    repo.publish("root")
    repo.files["metadata/2.root.json"] = repo.files["metadata/3.root.json"]
    assert client.refresh() == 1
    assert client.version("root") == 1


@case
def an_old_root_is_served_as_the_next(repo, client):
    started(repo, client)
    repo.files["metadata/2.root.json"] = repo.files["metadata/1.root.json"]
    assert client.refresh() == 1
    assert client.version("root") == 1


@case
def an_expired_root_in_the_middle_is_a_step_like_any_other(repo, client):
    assert client.init() == 0
    repo.root["expires"] = timestamp_text(repo.now - DAY)
    repo.publish("root")
    repo.root["expires"] = timestamp_text(repo.now + DAY)
    repo.publish("root")
    assert client.refresh() == 0, client.said
    assert client.version("root") == 3


@case
def thirty_roots_in_one_refresh(repo, client):
    for _ in range(30):
        repo.publish("root")
    started(repo, client)
    assert client.version("root") == 31


# --- rollback and recovery --------------------------------------------------------------------------------------------


@case
def timestamp_rollback(repo, client):
    repo.publish("timestamp")
    started(repo, client)
    repo.timestamp["version"] = 1
    repo.publish("timestamp", bump=False)
    repo.requests.clear()
    assert client.refresh() == 1
    refused(client, "was seen")
    assert client.version("timestamp") == 2
    assert repo.metadata_requests()[-1] == "timestamp.json"


@cases({"plain": (), "with hashes": ("sha256",)})
def snapshot_rollback_named_by_timestamp(repo, client, algorithms):
    repo.with_hashes = algorithms
    repo.publish("snapshot", "timestamp")
    started(repo, client)
    repo.snapshot["version"] = 1
    repo.publish("snapshot", "timestamp", bump=False)
    repo.publish("timestamp")
    assert client.refresh() == 1
    refused(client, "was seen")
    assert (client.version("timestamp"), client.version("snapshot")) == (2, 2)


@cases({"plain": (), "with hashes": ("sha256",)})
def targets_rollback(repo, client, algorithms):
    repo.with_hashes = algorithms
    repo.publish_all()
    started(repo, client)
    repo.targets["version"] = 1
    repo.publish("targets", bump=False)
    repo.publish("snapshot", "timestamp")
    assert client.refresh() == 1
    refused(client, "after 2 was seen")
    assert (client.version("timestamp"), client.version("snapshot"), client.version("targets")) == (3, 2, 2)


@case
def a_delegated_role_is_rolled_back(repo, client):
    repo.delegate("A")
    repo.publish("A")
    repo.publish_all()
    started(repo, client)
    repo.bodies["A"]["version"] = 1
    repo.publish("A", bump=False)
    repo.publish("snapshot", "timestamp")
    assert client.refresh() == 1
    refused(client, "A.json version 1 after 2")


@case
def a_role_vanishes_from_the_snapshot(repo, client):
    repo.delegate("A")
    repo.publish_all()
    started(repo, client)
    del repo.snapshot["meta"]["A.json"]
    repo.publish("snapshot", "timestamp")
    assert client.refresh() == 1
    refused(client, "no longer lists A.json")
    assert client.version("snapshot") == 2


@case
def rollback_protection_outlives_expiry(repo, client):
    """The trusted files have expired; they still tell which versions were seen."""
    for role in ("snapshot", "timestamp"):
        repo.bodies[role]["expires"] = timestamp_text(repo.now + DAY)
    repo.publish("targets")
    repo.publish("targets", "snapshot", "timestamp")
    started(repo, client)
    for role in ("snapshot", "timestamp"):
        repo.bodies[role]["expires"] = timestamp_text(repo.now + 30 * DAY)
    repo.targets["version"] = 2
    repo.publish("targets", bump=False)
    repo.publish("snapshot", "timestamp")
    assert client.refresh(now=repo.now + 2 * DAY) == 1
    refused(client, "was seen")
    repo.timestamp["version"] = 1
    repo.publish("timestamp", bump=False)
    assert client.refresh(now=repo.now + 2 * DAY) == 1
    refused(client, "was seen")


@case
def the_snapshot_is_not_downloaded_again(repo, client):
    repo.publish("snapshot", "timestamp")
    started(repo, client)
    repo.files["metadata/2.snapshot.json"] = repo.files["metadata/1.snapshot.json"]
    repo.requests.clear()
    assert client.refresh() == 0
    assert repo.metadata_requests()[-1] == "timestamp.json"
    assert client.version("snapshot") == 2


@case
def a_changed_trusted_copy_is_fetched_anew(repo, client):
    repo.with_hashes = ("sha256",)
    repo.publish_all()
    started(repo, client)
    for role in ("snapshot", "targets"):
        with open(client.metadata + "/" + role + ".json", "ab") as f:
            f.write(b" ")
    repo.requests.clear()
    assert client.refresh() == 0
    assert repo.metadata_requests() == ["2.root.json", "timestamp.json", "2.snapshot.json", "2.targets.json"]


@case
def a_forged_trusted_copy_is_not_trusted(repo, client):
    started(repo, client)
    for role in ("timestamp", "snapshot", "targets"):
        document = json.loads(client.bytes_of(role))
        document["signed"]["expires"] = timestamp_text(repo.now + 3650 * DAY)
        with open(client.metadata + "/" + role + ".json", "w", encoding="utf-8") as f:
            json.dump(document, f)
    repo.requests.clear()
    assert client.refresh() == 0
    assert len(repo.metadata_requests()) == 4
    for role in ("timestamp", "snapshot", "targets"):
        assert client.bytes_of(role) == repo.files[repo.file_name(role, 1)]


@case
def a_trusted_copy_that_cannot_be_read_ends_the_update(repo, client):
    """Going on as if nothing had been seen would open the door to rollback. (A directory in its place: root reads all.)"""
    import os
    repo.publish("timestamp")
    started(repo, client)
    os.rename(client.metadata + "/timestamp.json", client.top + "/aside")
    os.mkdir(client.metadata + "/timestamp.json")
    repo.timestamp["version"] = 1
    repo.publish("timestamp", bump=False)
    assert client.refresh() == 1
    refused(client, "timestamp.json is not a regular file")
    os.rmdir(client.metadata + "/timestamp.json")
    os.rename(client.top + "/aside", client.metadata + "/timestamp.json")
    assert client.refresh() == 1
    refused(client, "was seen")


@case
def snapshot_ahead_of_its_announcement(repo, client):
    assert client.init() == 0
    body = dict(repo.snapshot, version=2)
    repo.files["metadata/1.snapshot.json"] = json.dumps(repo.sign("snapshot", body)).encode()
    assert client.refresh() == 1
    assert client.trusted() == {"root": 1, "timestamp": 1}


@case
def timestamp_recovers_from_fast_forward(repo, client):
    repo.timestamp["version"] = 99999
    repo.publish("timestamp")
    started(repo, client)
    assert client.version("timestamp") == 100000
    repo.rotate("timestamp")
    repo.timestamp["version"] = 0
    repo.publish("root", "timestamp")
    assert client.refresh() == 0, client.said
    assert client.version("timestamp") == 1


@case
def snapshot_recovers_from_fast_forward(repo, client):
    repo.snapshot["version"] = 99999
    repo.publish("snapshot", "timestamp")
    started(repo, client)
    repo.rotate("snapshot")
    repo.rotate("timestamp")
    repo.snapshot["version"] = 0
    repo.publish("root", "snapshot", "timestamp")
    assert client.refresh() == 0, client.said
    assert client.version("snapshot") == 1


@case
def targets_recover_from_fast_forward(repo, client):
    repo.targets["version"] = 99999
    repo.publish_all()
    started(repo, client)
    repo.rotate("snapshot")
    repo.targets["version"] = 0
    repo.publish("root")
    repo.publish_all()
    assert client.refresh() == 0, client.said
    assert client.version("targets") == 1


@case
def recovery_where_only_one_of_two_keys_was_lost(repo, client):
    """The stored files still meet the threshold by the key that stays: only the rotation says to forget them."""
    lost = repo.add_key("timestamp")
    repo.publish("root")
    repo.timestamp["version"] = 99999
    repo.publish("timestamp")
    started(repo, client)
    repo.root["roles"]["timestamp"]["keyids"].remove(lost.keyid)
    repo.signers["timestamp"].remove(lost)
    repo.timestamp["version"] = 0
    repo.publish("root", "timestamp")
    assert client.refresh() == 0, client.said
    assert client.version("timestamp") == 1


@case
def targets_recover_where_only_one_of_two_snapshot_keys_was_lost(repo, client):
    lost = repo.add_key("snapshot")
    repo.publish("root")
    repo.targets["version"] = 99999
    repo.publish_all()
    started(repo, client)
    repo.root["roles"]["snapshot"]["keyids"].remove(lost.keyid)
    repo.signers["snapshot"].remove(lost)
    repo.targets["version"] = 0
    repo.publish("root")
    repo.publish_all()
    assert client.refresh() == 0, client.said
    assert client.version("targets") == 1


@case
def a_key_that_is_only_added_forgets_nothing(repo, client):
    repo.publish("timestamp")
    started(repo, client)
    repo.add_key("timestamp")
    repo.add_key("snapshot")
    repo.timestamp["version"] = 0
    repo.publish("root", "timestamp")
    assert client.refresh() == 1
    assert client.version("timestamp") == 2


# --- expiry -----------------------------------------------------------------------------------------------------------


@cases({role: role for role in ("timestamp", "snapshot", "targets")})
def expired_role_is_refused(repo, client, role):
    started(repo, client)
    repo.bodies[role]["expires"] = timestamp_text(repo.now - 5 * DAY)
    repo.publish_all()
    assert client.refresh() == 1
    refused(client, role + " version 2 expired")
    assert client.version(role) == 1


@case
def expired_root_is_stored_but_ends_the_update(repo, client):
    started(repo, client)
    repo.root["expires"] = timestamp_text(repo.now - DAY)
    repo.publish("root")
    repo.publish_all()
    repo.requests.clear()
    assert client.refresh() == 1
    refused(client, "root version 2 expired")
    assert client.trusted() == {"root": 2, "timestamp": 1, "snapshot": 1, "targets": 1}
    assert repo.metadata_requests() == ["2.root.json", "3.root.json"]


@cases({role: role for role in TOP_ROLES})
def trusted_role_expires_while_nothing_new_is_served(repo, client, role):
    """A freeze: the repository keeps serving what the client has."""
    repo.bodies[role]["expires"] = timestamp_text(repo.now + 7 * DAY)
    repo.publish_all()
    repo.publish("root")
    started(repo, client)
    assert client.refresh(now=repo.now + 6 * DAY) == 0
    assert client.refresh(now=repo.now + 18 * DAY) == 1
    refused(client, "expired")


@cases({role: role for role in TOP_ROLES})
def expired_trusted_role_is_replaced(repo, client, role):
    repo.bodies[role]["expires"] = timestamp_text(repo.now + 7 * DAY)
    repo.publish_all("root")
    started(repo, client)
    repo.bodies[role]["expires"] = timestamp_text(repo.now + 21 * DAY)
    repo.publish_all("root")
    assert client.refresh(now=repo.now + 18 * DAY) == 0, client.said
    assert client.version(role) == 3


@case
def expiry_is_the_first_second_of_not_being_valid(repo, client):
    repo.timestamp["expires"] = timestamp_text(repo.now + 100)
    repo.publish("timestamp")
    assert client.init() == 0
    assert client.refresh(now=repo.now + 100) == 1
    assert client.refresh(now=repo.now + 99) == 0


@cases({role: role for role in ("timestamp", "snapshot")})
def grace_for_a_mirror_without_a_network(repo, client, role):
    repo.bodies[role]["expires"] = timestamp_text(repo.now - 2 * DAY)
    repo.publish_all()
    assert client.init() == 0
    assert client.refresh() == 1
    assert client.refresh(grace=2 * DAY - 1000) == 1
    assert client.refresh(grace=3 * DAY) == 0, client.said
    assert "within the configured grace" in client.said
    assert client.version(role) == 2


@cases({"root": "root", "targets": "targets"})
def no_grace_for(repo, client, role):
    repo.bodies[role]["expires"] = timestamp_text(repo.now - 60)
    repo.publish_all("root")
    assert client.init() == 0
    assert client.refresh(grace=30 * DAY) == 1
    refused(client, role + " version 2 expired")


@case
def grace_is_not_for_rollback(repo, client):
    repo.timestamp["expires"] = timestamp_text(repo.now - 60)
    repo.publish("timestamp")
    assert client.init() == 0
    assert client.refresh(grace=DAY) == 0
    repo.timestamp["version"] = 1
    repo.publish("timestamp", bump=False)
    assert client.refresh(grace=DAY) == 1
    refused(client, "was seen")
