# SPDX-License-Identifier: Apache-2.0
"""What no honest repository serves: strictness of JSON, limits, versions, dates."""
import json

from registry import case, cases, refused, started
from simulator import DAY, timestamp_text


def serve_timestamp(repo, text):
    """Puts a text as timestamp version 2 in place; a client that reads it as JSON at all would find a good signature."""
    repo.publish("timestamp")
    repo.files["metadata/timestamp.json"] = text(repo.files["metadata/timestamp.json"])


JSON_TEXTS = {
    "key twice": lambda t: t.replace(b'"version": 2', b'"version": 2, "version": 2'),
    "key twice at the top": lambda t: t.replace(b'"signed"', b'"signed": {}, "signed"'),
    "key twice, once escaped": lambda t: t.replace(b'"version": 2', b'"version": 2, "versio\\u006e": 2'),
    "text after the end": lambda t: t + b"{}",
    "cut short": lambda t: t[:-3],
    "empty": lambda t: b"",
    "white space": lambda t: b" \n",
    "an array": lambda t: b"[" + t + b"]",
    "a string": lambda t: json.dumps(t.decode()).encode(),
    "comment": lambda t: b"/* hello */" + t,
    "trailing comma": lambda t: t.rstrip()[:-1] + b",}",
    "byte order mark": lambda t: b"\xef\xbb\xbf" + t,
    "UTF-16": lambda t: t.decode().encode("utf-16"),
    "bad UTF-8": lambda t: t.replace(b'"timestamp"', b'"timestamp\xff"'),
    "lone surrogate": lambda t: t.replace(b'"signed"', b'"x": "\\ud800", "signed"'),
    "NUL in a string": lambda t: t.replace(b'"signed"', b'"x": "a\\u0000b", "signed"'),
    "NUL byte": lambda t: t + b"\0",
    "real version": lambda t: t.replace(b'"version": 2', b'"version": 2.0'),
    "version with exponent": lambda t: t.replace(b'"version": 2', b'"version": 2e0'),
    "real in an unsigned member": lambda t: t.replace(b'"signed"', b'"x": 1.5, "signed"'),
    "NaN": lambda t: t.replace(b'"signed"', b'"x": NaN, "signed"'),
    "number beyond 64 bits": lambda t: t.replace(b'"signed"', b'"x": 99999999999999999999, "signed"'),
    "nested 100 deep": lambda t: t.replace(b'"signed"', b'"x": ' + b"[" * 100 + b"]" * 100 + b', "signed"'),
    "nested 5,000 deep": lambda t: t.replace(b'"signed"', b'"x": ' + b"[" * 5000 + b"]" * 5000 + b', "signed"'),
}


@cases(JSON_TEXTS)
def json_text(repo, client, change):
    started(repo, client)
    serve_timestamp(repo, change)
    assert client.refresh() == 1, "accepted"
    refused(client, "timestamp.json")
    assert client.version("timestamp") == 1


@case
def nested_60_deep_is_fine(repo, client):
    repo.timestamp["x"] = json.loads("[" * 60 + "]" * 60)
    repo.publish("timestamp")
    started(repo, client)


def drop(*path):
    def change(document):
        for name in path[:-1]:
            document = document[name]
        del document[path[-1]]
    return change


def put(value, *path):
    def change(document):
        for name in path[:-1]:
            document = document[name]
        document[path[-1]] = value
    return change


STRUCTURES = {
    "no signatures": ("timestamp", drop("signatures")), "signatures are an object": ("timestamp", put({}, "signatures")),
    "signature without keyid": ("timestamp", drop("signatures", 0, "keyid")),
    "signature without sig": ("timestamp", drop("signatures", 0, "sig")),
    "signature is text": ("timestamp", put("x", "signatures", 0)),
    "sig is a number": ("timestamp", put(5, "signatures", 0, "sig")),
    "no signed": ("timestamp", drop("signed")), "signed is an array": ("timestamp", put([], "signed")),
}


@cases(STRUCTURES)
def broken_envelope(repo, client, row):
    role, change = row
    started(repo, client)
    repo.publish(role)
    document = repo.served(role)
    change(document)
    repo.replace(role, document)
    assert client.refresh() == 1
    assert client.version(role) == 1


EMPTY_SNAPSHOT = put({}, "meta")

BODIES = {
    "timestamp without type": ("timestamp", drop("_type")),
    "timestamp without version": ("timestamp", drop("version")),
    "timestamp without expires": ("timestamp", drop("expires")),
    "timestamp without spec_version": ("timestamp", drop("spec_version")),
    "timestamp without meta": ("timestamp", drop("meta")),
    "timestamp without snapshot.json": ("timestamp", drop("meta", "snapshot.json")),
    "timestamp, snapshot without version": ("timestamp", drop("meta", "snapshot.json", "version")),
    "timestamp, snapshot version 0": ("timestamp", put(0, "meta", "snapshot.json", "version")),
    "timestamp, snapshot version is text": ("timestamp", put("1", "meta", "snapshot.json", "version")),
    "timestamp, snapshot length negative": ("timestamp", put(-1, "meta", "snapshot.json", "length")),
    "timestamp, snapshot hashes empty": ("timestamp", put({}, "meta", "snapshot.json", "hashes")),
    "timestamp, snapshot hash null": ("timestamp", put({"sha256": None}, "meta", "snapshot.json", "hashes")),
    "version 0": ("timestamp", put(0, "version")), "version -1": ("timestamp", put(-1, "version")),
    "version is text": ("timestamp", put("2", "version")), "version is true": ("timestamp", put(True, "version")),
    "version is null": ("timestamp", put(None, "version")),
    "snapshot without meta": ("snapshot", drop("meta")), "snapshot meta is an array": ("snapshot", put([], "meta")),
    "snapshot entry is a number": ("snapshot", put(1, "meta", "targets.json")),
    "snapshot does not list targets": ("snapshot", EMPTY_SNAPSHOT),
    "targets without targets": ("targets", drop("targets")), "targets are an array": ("targets", put([], "targets")),
    "delegations are an array": ("targets", put([], "delegations")),
    "root without keys": ("root", drop("keys")), "root without roles": ("root", drop("roles")),
    "root without role timestamp": ("root", drop("roles", "timestamp")),
    "root without role targets": ("root", drop("roles", "targets")),
    "root, a role that nobody knows": ("root", lambda b: b["roles"].update(x={"keyids": [], "threshold": 1})),
    "root, a role that is null": ("root", put(None, "roles", "snapshot")),
    "root, role without keyids": ("root", drop("roles", "snapshot", "keyids")),
    "root, keyids are text": ("root", put("abc", "roles", "snapshot", "keyids")),
    "root, keyid is a number": ("root", put([1], "roles", "snapshot", "keyids")),
    "root, consistent_snapshot is text": ("root", put("true", "consistent_snapshot")),
    "root, key is text": ("root", lambda b: b["keys"].update(x="y")),
}


@cases(BODIES)
def broken_body(repo, client, row):
    """Signed as it is: only the structure is wrong."""
    role, change = row
    started(repo, client)
    repo.bodies[role]["version"] += 1
    before = repo.bodies[role]
    repo.bodies[role] = json.loads(json.dumps(before))
    change(repo.bodies[role])
    data = json.dumps(repo.sign(role)).encode()
    repo.files["metadata/" + ("timestamp" if role == "timestamp" else "2." + role) + ".json"] = data
    repo.bodies[role] = before
    if role in ("targets", "snapshot"):
        repo.list_role(role, data)
    repo.publish(*{"targets": ("snapshot", "timestamp"), "snapshot": ("timestamp",)}.get(role, ()))
    assert client.refresh() == 1, "accepted"
    if change is not EMPTY_SNAPSHOT:
        assert client.version(role) == 1


@cases({"0": 0, "-1": -1})
def first_timestamp_with_version(repo, client, version):
    repo.timestamp["version"] = version
    repo.publish("timestamp", bump=False)
    assert client.init() == 0
    assert client.refresh() == 1
    refused(client, "version")
    assert client.version("timestamp") is None


@cases({v: v for v in ("2.0.0", "0.9", "10.0.0", "1", "1.", ".1", "1.0.0.0", "1.0.x", "v1.0", "", " 1.0", "1..0", "-1.0")})
def spec_version_refused(repo, client, version):
    started(repo, client)
    repo.timestamp["spec_version"] = version
    repo.publish("timestamp")
    assert client.refresh() == 1
    refused(client, "timestamp.json")
    assert client.version("timestamp") == 1


@cases({role: role for role in ("root", "snapshot", "targets")})
def spec_version_of_every_role(repo, client, role):
    started(repo, client)
    repo.bodies[role]["spec_version"] = "2.0.0"
    repo.publish_all("root")
    assert client.refresh() == 1
    refused(client, "written for TUF 2.0.0")
    assert client.version(role) == 1


@cases({v: v for v in ("1.0", "1.0.0", "1.0.99", "1.9.3", "1.31")})
def spec_version_accepted(repo, client, version):
    started(repo, client)
    repo.timestamp["spec_version"] = version
    repo.publish("timestamp")
    assert client.refresh() == 0, client.said


@cases({d: d for d in ("2099-01-01", "2099-01-01T00:00:00", "2099-01-01T00:00:00+00:00", "2099-01-01T00:00:00.5Z",
                       "2099-13-01T00:00:00Z", "2099-02-30T00:00:00Z", "2099-01-01T24:00:00Z", "2099-01-01T00:61:00Z",
                       "2099-01-01 00:00:00Z", "99-01-01T00:00:00Z", "20990101T000000Z", " 2099-01-01T00:00:00Z",
                       "never", "", "4070908800")})
def date_refused(repo, client, text):
    started(repo, client)
    repo.timestamp["expires"] = text
    repo.publish("timestamp")
    assert client.refresh() == 1
    refused(client, "expires")
    assert client.version("timestamp") == 1


@case
def date_that_is_a_number(repo, client):
    started(repo, client)
    repo.timestamp["expires"] = repo.now + DAY
    repo.publish("timestamp")
    assert client.refresh() == 1


# --- size -------------------------------------------------------------------------------------------------------------

LIMITS = {"root": 512000, "timestamp": 16384, "snapshot": 2000000, "targets": 5000000}


@cases({role: role for role in LIMITS})
def size_limit(repo, client, role):
    """White space counts: one byte over the limit is refused, the limit itself is not."""
    started(repo, client)
    for excess in (0, 1):
        repo.publish_all("root")
        data = repo.files[repo.file_name(role, repo.bodies[role]["version"])]
        padded = data + b" " * (LIMITS[role] + excess - len(data))
        repo.replace(role, padded)
        assert client.refresh() == excess, client.said
    assert client.version(role) == 2


@case
def size_limit_of_a_delegated_role(repo, client):
    repo.delegate("A")
    repo.publish_all()
    repo.replace("A", repo.files["metadata/1.A.json"] + b" " * 5000000)
    assert client.init() == 0
    assert client.download("file") == 1
    assert "A" not in client.trusted()


@case
def announced_length_above_the_limit(repo, client):
    repo.timestamp["meta"]["snapshot.json"]["length"] = 1 << 40
    repo.publish("timestamp")
    assert client.init() == 0
    assert client.refresh() == 1
    refused(client, "announced with")


@case
def announced_length_is_the_limit(repo, client):
    """Not one byte more than announced is taken, whatever the server sends."""
    repo.with_hashes = ("sha256",)
    repo.publish("targets", "snapshot", "timestamp")
    repo.replace("targets", repo.files["metadata/2.targets.json"] + b" " * 100000)
    assert client.init() == 0
    assert client.refresh() == 1
    refused(client, "at most")
    assert client.version("targets") is None


@case
def pinned_root_above_the_limit(repo, client):
    assert client.init(repo.files["metadata/1.root.json"] + b" " * 512000) == 1
    assert client.trusted() == {}


@case
def versions_up_to_63_bits(repo, client):
    repo.timestamp["version"] = (1 << 63) - 3
    repo.publish("timestamp")
    started(repo, client)
    assert client.version("timestamp") == (1 << 63) - 2
    repo.timestamp["version"] = (1 << 63) - 2
    repo.publish("timestamp")
    assert client.refresh() == 1
    assert client.version("timestamp") == (1 << 63) - 2


@case
def expiry_in_the_year_9999(repo, client):
    repo.timestamp["expires"] = "9999-12-31T23:59:59Z"
    repo.publish("timestamp")
    started(repo, client)


@case
def no_grace_at_all_by_default(repo, client):
    repo.timestamp["expires"] = timestamp_text(repo.now)
    repo.publish("timestamp")
    assert client.init() == 0
    assert client.refresh() == 1
