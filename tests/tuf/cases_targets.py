# SPDX-License-Identifier: Apache-2.0
"""Delegations and downloads: who may speak for a path, in which order, under which name, with which content."""
import hashlib
import json
from urllib.parse import quote

from registry import case, cases, refused, started
from simulator import DAY, Key, timestamp_text

# --- the order of the search ------------------------------------------------------------------------------------------

# name: (delegations as (delegator, role, options), roles visited in order)
GRAPHS = {
    "one": ([("targets", "A", {})], "A"),
    "two side by side": ([("targets", "A", {}), ("targets", "B", {})], "AB"),
    "two levels": ([("targets", "A", {}), ("targets", "B", {}), ("B", "C", {})], "ABC"),
    "depth first": ([("targets", "A", {}), ("targets", "B", {}), ("A", "C", {}), ("A", "D", {})], "ACDB"),
    "depth first, three levels": ([("targets", "A", {}), ("targets", "B", {}), ("A", "C", {}), ("C", "D", {})], "ACDB"),
    "terminating": ([("targets", "A", {}), ("targets", "B", {}), ("A", "C", {"terminating": True}), ("A", "D", {})], "AC"),
    "terminating has descendants": (
        [("targets", "A", {}), ("targets", "B", {}), ("A", "C", {"terminating": True}), ("C", "D", {})], "ACD"),
    "terminating at the top": ([("targets", "A", {"terminating": True}), ("targets", "B", {})], "A"),
    "terminating second": ([("targets", "A", {}), ("targets", "B", {"terminating": True}), ("targets", "C", {})], "AB"),
    "terminating for other paths only": (
        [("targets", "A", {"terminating": True, "paths": ["*.py"]}), ("targets", "B", {})], "B"),
    "path does not match": ([("targets", "A", {"paths": ["*.py"]}), ("targets", "B", {}), ("A", "C", {})], "B"),
    "path does not match below": (
        [("targets", "A", {}), ("targets", "B", {}), ("A", "C", {"paths": ["*.py"]}), ("C", "D", {})], "AB"),
    "cycle": ([("targets", "A", {}), ("targets", "B", {}), ("B", "C", {}), ("C", "D", {}), ("D", "B", {})], "ABCD"),
    "role that delegates to itself": ([("targets", "A", {}), ("A", "A", {})], "A"),
    "two ways to one role": ([("targets", "A", {}), ("targets", "B", {}), ("B", "C", {}), ("A", "C", {})], "ACB"),
    "two ways, one does not match": (
        [("targets", "A", {}), ("targets", "B", {}), ("B", "C", {}), ("A", "C", {"paths": ["*.py"]})], "ABC"),
}


@cases(GRAPHS)
def order_of_search(repo, client, graph):
    delegations, order = graph
    for delegator, role, options in delegations:
        repo.delegate(role, delegator, **options)
    repo.publish_all()
    assert client.init() == 0
    assert client.download("missing") == 1
    refused(client, "no trusted role lists")
    assert repo.metadata_requests()[4:] == ["1.%s.json" % role for role in order]
    repo.requests.clear()
    assert client.download("missing") == 1
    assert repo.metadata_requests() == ["2.root.json", "timestamp.json"]


FOUND = {"targetfile": "", "README.md": "A", "releases/x/x_v1": "BC", "releases/y/y_v1.zip": "BD"}


@cases({path: path for path in list(FOUND) + ["releases/z/z_v1.zip", "releases/x/deep/er", "README.doc/x"]})
def search_in_a_tree(repo, client, path):
    repo.delegate("A", paths=["*.doc", "*.md"])
    repo.delegate("B", paths=["releases/*/*"])
    repo.delegate("C", "B", paths=["releases/x/*"])
    repo.delegate("D", "B", paths=["releases/y/*.zip"])
    for role, name in (("targets", "targetfile"), ("A", "README.md"), ("C", "releases/x/x_v1"), ("C", "releases/x/deep/er"),
                       ("D", "releases/y/y_v1.zip"), ("D", "releases/z/z_v1.zip"), ("A", "README.doc/x")):
        repo.add_target(role, name, ("%s by %s" % (name, role)).encode())
    repo.publish_all()
    assert client.init() == 0
    assert client.download(path) == (path not in FOUND), client.said
    visited = FOUND.get(path, "B" if path.startswith("releases/z") else "")
    assert repo.metadata_requests()[4:] == ["1.%s.json" % role for role in visited]
    assert len(client.downloaded()) == (path in FOUND)


# (pattern, path, does it match)
PATTERNS = [
    ("*", "a", True), ("*", "a/b", False), ("*/*", "a/b", True), ("a/*", "a/b/c", False), ("*.tgz", "foo.tgz", True),
    ("targets/*.tgz", "targets/foo.tgz", True), ("targets/*.tgz", "targets/foo.txt", False), ("foo-*.tgz", "foo-.tgz", True),
    ("foo-version-?.tgz", "foo-version-2.tgz", True), ("foo-version-?.tgz", "foo-version-10.tgz", False),
    ("?", "/", False), ("a?b", "a/b", False), ("[ab]x", "bx", True), ("[ab]x", "cx", False), ("[!ab]x", "cx", True),
    ("[!ab]x", "ax", False), ("[0-9]", "5", True), ("[0-9]", "a", False), ("a[/]b", "a/b", False), ("*a*b", "xaab", True),
    ("*a*b", "xaabc", False), ("**", "abc", True), ("a*", "a", True), ("", "a", False), ("A*", "ab", False),
    ("*\u00fc", "gr\u00fc", True), ("gr?n", "gr\u00fcn", True), ("a\\*", "a*", False), ("*/x", "a/b/x", False),
]


@cases({"%s %s %s" % (p, "matches" if m else "does not match", t): (p, t, m) for p, t, m in PATTERNS})
def path_pattern(repo, client, row):
    pattern, path, matches = row
    repo.delegate("A", paths=["never/this/one", pattern])
    repo.publish_all()
    assert client.init() == 0
    assert client.download(path) == 1
    assert ("1.A.json" in repo.metadata_requests()) == matches


@case
def a_pattern_made_to_take_for_ever(repo, client):
    repo.delegate("A", paths=["*a" * 60 + "b"])
    repo.publish_all()
    assert client.init() == 0
    assert client.download("a" * 200) == 1
    refused(client, "no trusted role lists")


@case
def path_hash_prefixes(repo, client):
    digest = hashlib.sha256(b"some/file").hexdigest()
    other = hashlib.sha256(b"other").hexdigest()
    assert digest[0] != other[0]
    repo.delegate("A", prefixes=[other[:4]])
    repo.delegate("B", prefixes=["ffffffff", digest[:2]])
    repo.add_target("B", "some/file", b"content")
    repo.add_target("B", "other", b"not B's to say")
    repo.publish_all()
    assert client.init() == 0
    assert client.download("some/file") == 0, client.said
    assert "1.A.json" not in repo.metadata_requests()
    assert client.download("other") == 1
    assert "1.A.json" in repo.metadata_requests()
    assert client.downloaded() == [b"content"]


@cases({bits: bits for bits in (1, 2, 4, 5, 8)})
def hashed_bins(repo, client, bits):
    names = repo.succinct(bits)
    paths = ["file-%d" % n for n in range(6)]
    for path in paths:
        number = int(hashlib.sha256(path.encode()).hexdigest()[:8], 16) >> (32 - bits)
        repo.add_target(names[number], path, path.encode())
    repo.publish_all()
    assert client.init() == 0
    assert client.download(*paths) == 0, client.said
    assert sorted(client.downloaded()) == sorted(p.encode() for p in paths)
    assert client.download("file-6") == 1


@case
def hashed_bins_ignore_what_the_wrong_bin_says(repo, client):
    names = repo.succinct(2, "odd bin")
    number = int(hashlib.sha256(b"file").hexdigest()[:8], 16) >> 30
    for i, name in enumerate(names):
        if i != number:
            repo.add_target(name, "file", b"not mine")
    repo.publish_all()
    assert client.init() == 0
    assert client.download("file") == 1
    assert repo.metadata_requests()[4:] == ["1." + quote(names[number], "") + ".json"]


@case
def a_bin_without_the_right_signature(repo, client):
    names = repo.succinct(1)
    for name in names:
        repo.signers[name] = [Key()]
        repo.add_target(name, "file", b"content")
    repo.publish_all()
    assert client.init() == 0
    assert client.download("file") == 1
    refused(client, "good signatures")


# --- delegated metadata -----------------------------------------------------------------------------------------------


def with_target(repo, role="A", path="path/file", content=b"content", **options):
    repo.delegate(role, **(options or {"paths": ["path/*"]}))
    entry = repo.add_target(role, path, content)
    repo.publish_all()
    return entry


@case
def delegated_target(repo, client):
    with_target(repo)
    assert client.init() == 0
    assert client.download("path/file") == 0, client.said
    assert client.downloaded() == [b"content"]
    assert client.trusted() == {"root": 1, "timestamp": 2, "snapshot": 2, "targets": 2, "A": 1}


@case
def delegated_role_signed_by_a_stranger(repo, client):
    repo.delegate("A")
    repo.add_target("A", "file", b"content")
    repo.signers["A"] = [Key()]
    repo.publish_all()
    assert client.init() == 0
    assert client.download("file") == 1
    refused(client, "good signatures")
    assert "A" not in client.trusted()
    assert client.downloaded() == []


@case
def delegated_threshold(repo, client):
    repo.delegate("A", threshold=2)
    repo.add_key("A", sign=False)
    repo.add_target("A", "file", b"content")
    repo.publish_all()
    assert client.init() == 0
    assert client.download("file") == 1
    refused(client, "1 good signatures of the 2")


@case
def the_key_of_a_delegated_role_is_replaced(repo, client):
    with_target(repo)
    started(repo, client)
    assert client.download("path/file") == 0
    repo.rotate("A")
    repo.publish_all()
    assert client.download("path/file") == 0, client.said
    assert client.version("A") == 2
    old = repo.signers["A"]
    repo.rotate("A")
    repo.signers["A"] = old
    repo.publish_all()
    assert client.download("path/file") == 1
    assert client.version("A") == 2


@case
def a_trusted_copy_does_not_outlive_its_key(repo, client):
    """The delegation's key changes, the role's file does not: the copy on disk has lost its signature."""
    with_target(repo)
    started(repo, client)
    assert client.download("path/file") == 0
    repo.rotate("A")
    repo.publish("targets", "snapshot", "timestamp")
    assert client.download("path/file") == 1
    refused(client, "good signatures")


@case
def a_role_is_checked_by_the_delegation_that_led_to_it(repo, client):
    """B may sign C for its own paths only: what A's key never signed does not count below A."""
    repo.delegate("A", paths=["a/*"])
    repo.delegate("B", paths=["b/*"])
    repo.delegate("C", "B", paths=["b/*"])
    entry = repo.delegate("C", "A", paths=["a/*"])
    entry["keyids"] = []
    stranger = Key()
    repo.bodies["A"]["delegations"]["keys"] = {stranger.keyid: stranger.public}
    entry["keyids"].append(stranger.keyid)
    repo.add_target("C", "a/file", b"a")
    repo.add_target("C", "b/file", b"b")
    repo.publish_all()
    assert client.init() == 0
    assert client.download("b/file") == 0, client.said
    assert client.download("a/file") == 1
    refused(client, "good signatures")
    assert client.download("b/file", "a/file") == 1
    assert client.downloaded() == [b"b"]


@case
def delegated_role_is_expired(repo, client):
    repo.delegate("A", paths=["path/*"])
    repo.bodies["A"]["expires"] = timestamp_text(repo.now - DAY)
    repo.add_target("A", "path/file", b"content")
    repo.publish_all()
    started(repo, client)
    assert client.download("path/file") == 1
    refused(client, "A version 1 expired")
    assert client.download("path/file", grace=9 * DAY) == 1
    assert "A" not in client.trusted()


@case
def delegated_role_expires_on_disk(repo, client):
    repo.delegate("A", paths=["path/*"])
    repo.bodies["A"]["expires"] = timestamp_text(repo.now + 7 * DAY)
    repo.add_target("A", "path/first", b"first")
    repo.add_target("A", "path/second", b"second")
    repo.publish_all()
    assert client.init() == 0
    assert client.download("path/first") == 0
    assert client.download("path/second", now=repo.now + 18 * DAY) == 1
    assert client.downloaded() == [b"first"]
    repo.bodies["A"]["expires"] = timestamp_text(repo.now + 21 * DAY)
    repo.publish("A", "snapshot", "timestamp")
    assert client.download("path/second", now=repo.now + 18 * DAY) == 0, client.said
    assert client.version("A") == 2


@case
def delegated_role_is_not_in_the_snapshot(repo, client):
    repo.delegate("A")
    repo.publish("A")
    del repo.snapshot["meta"]["A.json"]
    repo.publish("targets", "snapshot", "timestamp")
    assert client.init() == 0
    assert client.download("file") == 1
    refused(client, "not listed by the snapshot")


@cases({"version": "version", "hash": "hash", "length": "length", "missing": "missing"})
def delegated_role_is_not_what_the_snapshot_names(repo, client, what):
    repo.with_hashes = ("sha256",)
    repo.delegate("A")
    repo.publish("A")
    entry = repo.snapshot["meta"]["A.json"]
    if what == "version":
        entry["version"] = 2
        repo.files["metadata/2.A.json"] = repo.files["metadata/1.A.json"]
    elif what == "hash":
        entry["hashes"]["sha256"] = "a" * 64
    elif what == "length":
        entry["length"] -= 1
    else:
        del repo.files["metadata/1.A.json"]
    repo.publish("targets", "snapshot", "timestamp")
    assert client.init() == 0
    assert client.download("file") == 1
    assert "A" not in client.trusted()


@case
def thirty_two_roles_are_visited_and_no_more(repo, client):
    for n in range(33):
        repo.delegate("role%d" % n)
    repo.add_target("role31", "thirty-second", b"found")
    repo.add_target("role32", "thirty-third", b"too far")
    repo.publish_all()
    assert client.init() == 0
    assert client.download("thirty-second") == 0, client.said
    assert client.download("thirty-third") == 1
    refused(client, "first 32 delegated roles")
    assert "1.role32.json" not in repo.metadata_requests()


def damage_delegations(repo, change):
    repo.delegate("A")
    repo.publish("A")
    change(repo.targets["delegations"])
    repo.publish("targets", "snapshot", "timestamp")


def rename(to):
    return lambda d: d["roles"][0].update(name=to)


BROKEN_DELEGATIONS = {
    "to root": rename("root"), "to timestamp": rename("timestamp"), "to snapshot": rename("snapshot"),
    "to targets": rename("targets"), "to nobody": rename(""), "to a name of 300 bytes": rename("x" * 300),
    "to a name that is encoded into 300 bytes": rename("/" * 100), "to a number": rename(5),
    "twice to one role": lambda d: d["roles"].append(d["roles"][0]),
    "paths and prefixes": lambda d: d["roles"][0].update(path_hash_prefixes=["00"]),
    "neither paths nor prefixes": lambda d: d["roles"][0].pop("paths"),
    "paths that are no list": lambda d: d["roles"][0].update(paths="*"),
    "a path that is no string": lambda d: d["roles"][0].update(paths=[1]),
    "no terminating": lambda d: d["roles"][0].pop("terminating"),
    "terminating is text": lambda d: d["roles"][0].update(terminating="false"),
    "no threshold": lambda d: d["roles"][0].pop("threshold"),
    "threshold zero": lambda d: d["roles"][0].update(threshold=0),
    "a keyid twice": lambda d: d["roles"][0]["keyids"].append(d["roles"][0]["keyids"][0]),
    "no keys": lambda d: d.pop("keys"),
    "no roles": lambda d: d.pop("roles"),
    "roles and bins": lambda d: d.update(succinct_roles={"keyids": [], "threshold": 1, "bit_length": 1, "name_prefix": "b"}),
    "bins with 0 bits": lambda d: (d.pop("roles"), d.update(
        succinct_roles={"keyids": [], "threshold": 1, "bit_length": 0, "name_prefix": "b"})),
    "bins with 33 bits": lambda d: (d.pop("roles"), d.update(
        succinct_roles={"keyids": [], "threshold": 1, "bit_length": 33, "name_prefix": "b"})),
    "bins without a prefix": lambda d: (d.pop("roles"), d.update(
        succinct_roles={"keyids": [], "threshold": 1, "bit_length": 3})),
    "a key without a scheme": lambda d: next(iter(d["keys"].values())).pop("scheme"),
    "a key without a type": lambda d: next(iter(d["keys"].values())).pop("keytype"),
    "a key without a value": lambda d: next(iter(d["keys"].values())).pop("keyval"),
}


@cases(BROKEN_DELEGATIONS)
def broken_delegation(repo, client, change):
    started(repo, client)
    before = client.bytes_of("root")
    damage_delegations(repo, change)
    assert client.refresh() == 1, "accepted"
    refused(client, "targets")
    assert client.version("targets") == 1
    assert client.bytes_of("root") == before


@case
def too_many_delegated_roles(repo, client):
    started(repo, client)
    damage_delegations(repo, lambda d: d["roles"].extend(dict(d["roles"][0], name="r%d" % n) for n in range(4096)))
    assert client.refresh() == 1
    refused(client, "4097 delegated roles")
    assert client.version("targets") == 1


# --- names in URLs and on the disk ------------------------------------------------------------------------------------

ROLE_NAMES = ["?", "#", "%", "%2f", "/delegated", "../delegated", "..", ".", "a b", "\u00fc\u4e2d\U0001f511", "1.root",
              "root.json", "a\nb", "-rf", "\\", "~", "a:b", "CON", "timestamp.json.tmp"]


@cases({repr(name): name for name in ROLE_NAMES})
def unusual_role_name(repo, client, name):
    repo.delegate(name)
    repo.add_target(name, "file", b"content")
    repo.publish_all()
    assert client.init() == 0
    assert client.download("file") == 0, client.said
    assert "1.%s.json" % quote(name, "") in repo.metadata_requests()
    assert len(client.trusted()) == 5
    assert client.version(name) == 1
    repo.requests.clear()
    assert client.download("file") == 0
    assert len(repo.metadata_requests()) == 2


TARGET_NAMES = ["a b", "100%", "a?b", "a#b", "\u00fc/\u4e2d", "a//b", "a&b=c;d", "a+b", "~x", "a\\b", "%2e%2e", "x.", "[set]"]


@cases({repr(name): name for name in TARGET_NAMES})
def unusual_target_name(repo, client, name):
    repo.add_target("targets", name, b"content")
    repo.publish_all()
    assert client.init() == 0
    assert client.download(name) == 0, client.said
    assert client.downloaded() == [b"content"]


@cases({repr(name): name for name in ("../../escape", "/etc/escape", "a/../../escape", "..", "a/..")})
def a_target_name_does_not_leave_its_directory(repo, client, name):
    repo.add_target("targets", name, b"content")
    repo.publish_all()
    assert client.init() == 0
    client.download(name)
    assert all(content == b"content" for content in client.downloaded())
    import os
    assert sorted(os.listdir(client.top)) == ["initial", "metadata", "targets"]
    assert all(not n.startswith("escape") for n in os.listdir(client.downloads))


# --- snapshots that are not consistent --------------------------------------------------------------------------------


@case
def plain_names_without_consistent_snapshot(repo, client):
    repo.root["consistent_snapshot"] = False
    repo.delegate("A", paths=["path/*"])
    repo.add_target("A", "path/file", b"content")
    repo.publish("root")
    repo.publish_all()
    assert client.init() == 0
    assert client.download("path/file") == 0, client.said
    assert repo.metadata_requests() == ["2.root.json", "3.root.json", "timestamp.json", "snapshot.json", "targets.json",
                                        "A.json"]
    assert repo.requests[-1] == "targets/path/file"


@case
def consistent_snapshot_is_off_where_it_is_not_said(repo, client):
    del repo.root["consistent_snapshot"]
    repo.signers["root"] = repo.signers["root"]
    data = json.dumps(repo.sign("root", dict(repo.root, version=2))).encode()
    repo.files["metadata/2.root.json"] = data
    repo.root["consistent_snapshot"] = False
    repo.publish_all()
    assert client.init() == 0
    assert client.refresh() == 0, client.said
    assert "snapshot.json" in repo.metadata_requests()


@case
def target_names_carry_the_hash(repo, client):
    entry = repo.add_target("targets", "dir/file.txt", b"content")
    repo.publish_all()
    assert client.init() == 0
    assert client.download("dir/file.txt") == 0, client.said
    assert repo.requests[-1] == "targets/dir/%s.file.txt" % entry["hashes"]["sha256"]


# --- content ----------------------------------------------------------------------------------------------------------


@case
def a_file_is_downloaded_once(repo, client):
    repo.add_target("targets", "file", b"content")
    repo.publish_all()
    assert client.init() == 0
    assert client.download("file") == 0
    repo.requests.clear()
    assert client.download("file") == 0
    assert not [r for r in repo.requests if r.startswith("targets/")]


@cases({"sha256": ("sha256",), "sha512": ("sha512",), "both": ("sha256", "sha512")})
def target_hashes(repo, client, algorithms):
    entry = repo.add_target("targets", "file", b"content", algorithms)
    repo.publish_all()
    assert client.init() == 0
    assert client.download("file") == 0, client.said
    last = algorithms[-1]
    entry["hashes"][last] = hashlib.new(last, b"another").hexdigest()
    for digest in entry["hashes"].values():
        repo.files["targets/%s.file" % digest] = b"content"
    repo.publish_all()
    assert client.download("file") == 1
    refused(client, "expected")
    assert client.downloaded() == [b"content"]


@case
def an_empty_file(repo, client):
    repo.add_target("targets", "file", b"")
    repo.publish_all()
    assert client.init() == 0
    assert client.download("file") == 0, client.said
    assert client.downloaded() == [b""]


@cases({"longer": b"content and more", "shorter": b"conten", "other": b"CONTENT", "empty": b"", "endless": b"x" * (1 << 20)})
def substituted_content(repo, client, served):
    repo.add_target("targets", "file", b"content")
    second = repo.add_target("targets", "second", b"content")
    repo.publish_all()
    assert client.init() == 0
    assert client.download("file") == 0
    repo.serve_target("second", served, second)
    assert client.download("second") == 1
    assert client.downloaded() == [b"content"]


@case
def a_file_changes_and_changes_again(repo, client):
    assert client.init() == 0
    for n in range(6):
        content = b"version %d" % n
        entry = repo.add_target("targets", "file", content)
        repo.publish_all()
        assert client.download("file") == 0, client.said
        assert client.downloaded() == [content]
        repo.serve_target("file", b"evil", entry)
        client.download("file")
        assert client.downloaded() == [content]


BROKEN_TARGETS = {
    "no hashes": lambda e: e.pop("hashes"), "empty hashes": lambda e: e.update(hashes={}),
    "hash is a number": lambda e: e.update(hashes={"sha256": 5}), "no length": lambda e: e.pop("length"),
    "length is text": lambda e: e.update(length="7"), "length is negative": lambda e: e.update(length=-1),
    "length is a real": lambda e: e.update(length=7.0), "length is true": lambda e: e.update(length=True),
}


@cases(BROKEN_TARGETS)
def broken_target(repo, client, change):
    started(repo, client)
    change(repo.add_target("targets", "file", b"content"))
    body = repo.targets
    body["version"] += 1
    # The simulator's canonical form of a real is what a careless signer would sign.
    data = json.dumps(repo.sign("targets")).encode()
    repo.put("targets", body["version"], data)
    repo.list_role("targets", data)
    repo.publish("snapshot", "timestamp")
    assert client.refresh() == 1
    assert client.version("targets") == 1


@cases({"md5": {"md5": "9a0364b9e99bb480dd25e1f0284c8555"}, "short sha256": {"sha256": "abcd"},
        "capitals": {"sha256": "A" * 64}, "a path": {"sha256": "../" * 21 + "x"}})
def target_without_a_usable_hash(repo, client, hashes):
    repo.add_target("targets", "file", b"content")["hashes"] = hashes
    repo.publish_all()
    assert client.init() == 0
    assert client.download("file") == 1
    refused(client, "no sha256 or sha512")
    assert not [r for r in repo.requests if r.startswith("targets/")]


@case
def an_unknown_hash_beside_a_known_one(repo, client):
    repo.add_target("targets", "file", b"content")["hashes"]["blake3"] = "00"
    repo.publish_all()
    assert client.init() == 0
    assert client.download("file") == 0, client.said
