# SPDX-License-Identifier: Apache-2.0
"""python-tuf, the reference implementation, as an independent opinion: oracle.py PACKAGES CLIENT FACTORY.

What slurm-factory signs must verify with it; what it signs must verify with our client; and whatever our client accepts of
repositories damaged at random (and signed again), it must accept as well. PACKAGES is the directory that holds the `tuf`
and `securesystemslib` modules.
"""
import copy
import datetime
import glob
import os
import random
import subprocess
import sys
import tempfile
import time
import types

import cryptography.hazmat.primitives.asymmetric.types as key_types

# Newer python3-cryptography has these two names, Debian 12's has the same types under older ones.
for new, old in (("PrivateKeyTypes", "PRIVATE_KEY_TYPES"), ("PublicKeyTypes", "PUBLIC_KEY_TYPES")):
    if not hasattr(key_types, new):
        setattr(key_types, new, getattr(key_types, old))
sys.path.insert(0, sys.argv[1])
# Its own fetcher wants python3-requests; ours below replaces it.
stub = types.ModuleType("tuf.ngclient._internal.requests_fetcher")
stub.RequestsFetcher = type("RequestsFetcher", (), {})
sys.modules[stub.__name__] = stub

from securesystemslib.signer import CryptoSigner, SSlibKey  # noqa: E402,F401
from tuf.api import exceptions  # noqa: E402
from tuf.api.metadata import (DelegatedRole, Delegations, Metadata, MetaFile, Root, Snapshot, SuccinctRoles,  # noqa: E402
                              TargetFile, Targets, Timestamp)
from tuf.ngclient.fetcher import FetcherInterface  # noqa: E402
from tuf.ngclient.updater import Updater  # noqa: E402

from simulator import Client, Repository, Server, canonical  # noqa: E402

CLIENT, FACTORY = sys.argv[2:4]
SEED, DAMAGED = int(os.environ.get("TUF_SEED", "20261123")), 150


class Files(FetcherInterface):
    """Answers the reference client from a directory or from a dictionary of paths."""

    def __init__(self, source):
        self.source = source

    def _fetch(self, url):
        path = url[len("repo:/"):]
        if isinstance(self.source, dict):
            data = self.source.get(path)
        else:
            full = os.path.join(self.source, path)
            data = open(full, "rb").read() if os.path.exists(full) else None
        if data is None:
            raise exceptions.DownloadHTTPError("not there", 404)
        yield data


def reference_accepts(source, root, *targets):
    """None, or why python-tuf refuses the repository or a target."""
    with tempfile.TemporaryDirectory() as top:
        with open(os.path.join(top, "root.json"), "wb") as f:
            f.write(root)
        try:
            updater = Updater(top, "repo:/metadata/", top, "repo:/targets/", Files(source))
            updater.refresh()
            for name in targets:
                info = updater.get_targetinfo(name)
                if info is None:
                    return "no target " + name
                updater.download_target(info, os.path.join(top, "content"))
        except Exception as problem:  # the reference raises what it likes on damaged input
            return repr(problem)
    return None


# --- the factory's repositories ---------------------------------------------------------------------------------------


def factory(top, *arguments):
    keys = ["--keys", top + "/online", "--keys", top + "/offline"]
    done = subprocess.run([FACTORY, *arguments, "--repo", top + "/repo", *keys], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def check_factory():
    with tempfile.TemporaryDirectory() as top:
        factory(top, "keys", "init", "--offline-keys", top + "/offline", "--root-keys", "1")
        root = open(top + "/repo/metadata/1.root.json", "rb").read()
        for role in (None, "timestamp", "snapshot", "releases", "rollout", "targets", "root", "root", None):
            if role:
                factory(top, "keys", "rotate", role)
            else:
                factory(top, "refresh")
            problem = reference_accepts(top + "/repo", root, "rollout/rollout.json")
            assert problem is None, (role, problem)
        timestamp = top + "/repo/metadata/timestamp.json"
        data = open(timestamp, "rb").read()
        with open(timestamp, "wb") as f:
            f.write(data.replace(b'"version":', b'"version":1'))
        assert reference_accepts(top + "/repo", root), "the reference accepts anything"
    with tempfile.TemporaryDirectory() as top:
        factory(top, "keys", "init", "--root-keys", "5", "--root-threshold", "3")
        root = open(top + "/repo/metadata/1.root.json", "rb").read()
        assert reference_accepts(top + "/repo", root, "rollout/rollout.json") is None
        assert len(glob.glob(top + "/online/root.*.pem")) == 5
    print("ok      python-tuf accepts what slurm-factory signs, through every rotation")


# --- the reference's repositories -------------------------------------------------------------------------------------

SIGNERS = {"ed25519": CryptoSigner.generate_ed25519, "ecdsa": CryptoSigner.generate_ecdsa, "rsa": CryptoSigner.generate_rsa}


class ReferenceRepository:
    """Made and signed by python-tuf from beginning to end."""

    def __init__(self, kind, consistent):
        self.files, self.requests = {}, []
        self.consistent = consistent
        expires = datetime.datetime.now(datetime.timezone.utc).replace(microsecond=0) + datetime.timedelta(days=3)
        self.expires = expires
        self.root, self.snapshot = Root(expires=expires, consistent_snapshot=consistent), Snapshot(expires=expires)
        self.timestamp, self.targets = Timestamp(expires=expires), Targets(expires=expires)
        self.signers = {}
        for role in ("root", "timestamp", "snapshot", "targets"):
            self.signers[role] = [SIGNERS[kind](), SIGNERS["ed25519"]()]
            for signer in self.signers[role]:
                self.root.add_key(signer.public_key, role)
            self.root.roles[role].threshold = 2

    def put(self, role, signed):
        metadata = Metadata(signed)
        for signer in self.signers[role]:
            metadata.sign(signer, append=True)
        data = metadata.to_bytes()
        versioned = role == "root" or (self.consistent and role != "timestamp")
        self.files["metadata/%s%s.json" % ("%d." % signed.version if versioned else "", role)] = data
        if role not in ("root", "timestamp", "snapshot"):
            self.snapshot.meta[role + ".json"] = MetaFile.from_data(signed.version, data, ["sha256", "sha512"])
        if role == "snapshot":
            self.timestamp.snapshot_meta = MetaFile.from_data(signed.version, data, ["sha512"])

    def add_target(self, targets, path, content):
        info = TargetFile.from_data(path, content, ["sha256", "sha512"])
        targets.targets[path] = info
        directory, _, name = path.rpartition("/")
        prefix = info.hashes["sha256"] + "." if self.consistent else ""
        self.files["targets/" + (directory + "/" if directory else "") + prefix + name] = content

    def finish(self):
        self.put("targets", self.targets)
        self.put("snapshot", self.snapshot)
        self.put("timestamp", self.timestamp)
        self.put("root", self.root)


def with_roles(repo):
    """targets -> by pattern -> by hash prefix."""
    first, second = Targets(expires=repo.expires), Targets(expires=repo.expires)
    repo.targets.delegations = Delegations({}, {"first": DelegatedRole("first", [], 1, True, paths=["dir/*"])})
    first.delegations = Delegations({}, {"second": DelegatedRole("second", [], 1, False, path_hash_prefixes=list("0123456789abcdef"))})
    for role, delegator in (("first", repo.targets), ("second", first)):
        repo.signers[role] = [CryptoSigner.generate_ecdsa()]
        delegator.add_key(repo.signers[role][0].public_key, role)
    repo.add_target(repo.targets, "plain", b"by targets")
    repo.add_target(first, "dir/one", b"by first")
    repo.add_target(second, "dir/two", b"by second")
    repo.put("second", second)
    repo.put("first", first)
    return ["plain", "dir/one", "dir/two"]


def with_bins(repo):
    signer = CryptoSigner.generate_ed25519()
    bins = SuccinctRoles([], 1, 4, "bin")
    repo.targets.delegations = Delegations({}, None, bins)
    repo.targets.add_key(signer.public_key)
    roles = {name: Targets(expires=repo.expires) for name in bins.get_roles()}
    names = ["file-%d" % n for n in range(8)]
    for name in names:
        repo.add_target(roles[bins.get_role_for_target(name)], name, name.encode())
    for name, targets in roles.items():
        repo.signers[name] = [signer]
        repo.put(name, targets)
    return names


def check_reference(server):
    for kind in SIGNERS:
        for consistent in (True, False):
            for build in (with_roles, with_bins):
                repo = ReferenceRepository(kind, consistent)
                names = build(repo)
                repo.finish()
                problem = reference_accepts(repo.files, repo.files["metadata/1.root.json"], *names)
                assert problem is None, problem
                client = Client(CLIENT, server, repo)
                assert client.init() == 0, client.said
                assert client.download(*names) == 0, client.said
                assert len(client.downloaded()) == len(names)
                client.close()
    print("ok      our client accepts what python-tuf signs: 3 kinds of keys, consistent or not, delegations, bins")


# --- damage -----------------------------------------------------------------------------------------------------------

VALUES = [None, True, False, 0, 1, 2, -1, "", "x", "1", [], {}, ["x"], {"x": 1}, "targets", "2.0.0", 1 << 40]


def places(value, path=()):
    yield path
    if isinstance(value, dict):
        for key in value:
            yield from places(value[key], path + (key,))
    elif isinstance(value, list):
        for i, element in enumerate(value):
            yield from places(element, path + (i,))


def damage(chance, body):
    """Takes away, replaces or adds one thing somewhere."""
    body = copy.deepcopy(body)
    # Two tolerances of ours are meant: keys of unknown kinds do not count, and unknown hashes beside known ones neither.
    path = chance.choice([p for p in places(body) if p and "keys" not in p and "hashes" not in p[:-1]])
    at = body
    for step in path[:-1]:
        at = at[step]
    what = chance.randrange(3)
    if what == 0:
        del at[path[-1]]
    elif what == 1 or not isinstance(at, dict):
        at[path[-1]] = chance.choice(VALUES)
    else:
        at[chance.choice(["x", "length", "hashes", "paths", "path_hash_prefixes", "succinct_roles"])] = chance.choice(VALUES)
    return body, path


def check_damage(server):
    chance = random.Random(SEED)
    accepted = refused = 0
    for n in range(DAMAGED):
        repo = Repository(int(time.time()))
        repo.with_hashes = chance.choice([(), ("sha256",)])
        repo.delegate("A", paths=["dir/*"])
        repo.add_target("A", "dir/file", b"content")
        role = chance.choice(["root", "timestamp", "snapshot", "targets", "A"])
        first = repo.files["metadata/1.root.json"]
        repo.publish_all("root")
        before = repo.bodies[role]
        repo.bodies[role], path = damage(chance, before)
        canonical(repo.bodies[role])
        order = {"root": ["root"], "A": ["A", "targets", "snapshot", "timestamp"],
                 "targets": ["targets", "snapshot", "timestamp"], "snapshot": ["snapshot", "timestamp"],
                 "timestamp": ["timestamp"]}[role]
        try:
            repo.publish(*order, bump=False)
        except (KeyError, TypeError, AttributeError):
            continue  # damaged beyond what can be signed and listed
        client = Client(CLIENT, server, repo)
        assert client.init(first) == 0
        ours = client.download("dir/file") == 0
        said = client.said
        client.close()
        theirs = reference_accepts(repo.files, first, "dir/file")
        assert not (ours and theirs), "case %d, %s %s: ours accepts, python-tuf says %s" % (n, role, path, theirs)
        if not ours and theirs is None:
            stricter.append("%s %s: %s" % (role, ".".join(map(str, path)), said.strip()))
        accepted, refused = accepted + ours, refused + (not ours)
    assert accepted > 10 and refused > 10
    print("ok      %d damaged repositories: %d accepted by both, %d refused by ours, %d of those accepted by python-tuf" %
          (accepted + refused, accepted, refused, len(stricter)))


stricter = []
check_factory()
server = Server()
check_reference(server)
check_damage(server)
if os.environ.get("V"):
    print("\n".join(stricter))
