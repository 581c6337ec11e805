# SPDX-License-Identifier: Apache-2.0
"""A TUF repository in memory, a web server that serves it, and the client under test.

Written from the specification alone, sharing no code with release/ or factory/: what the client accepts here was not made
by its own project's signer. Needs python3-cryptography for the signatures.
"""
import copy
import datetime
import hashlib
import http.server
import json
import os
import shutil
import subprocess
import tempfile
import threading
from urllib.parse import quote

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa

DAY = 86400
TOP_ROLES = ("root", "timestamp", "snapshot", "targets")


def canonical(value):
    """OLPC canonical JSON."""
    if isinstance(value, dict):
        return "{" + ",".join(canonical(k) + ":" + canonical(value[k]) for k in sorted(value)) + "}"
    if isinstance(value, list):
        return "[" + ",".join(canonical(v) for v in value) + "]"
    if isinstance(value, str):
        return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'
    if isinstance(value, bool):
        return "true" if value else "false"
    if value is None:
        return "null"
    return str(value)


def timestamp_text(seconds):
    return datetime.datetime.fromtimestamp(seconds, datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")


def pem_of(public):
    return public.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo).decode()


class Key:
    """A key pair; `public` is the TUF key object and may be changed by a test before it is used."""

    def __init__(self, kind="ed25519"):
        self.kind = kind
        if kind == "ed25519":
            self.private = ed25519.Ed25519PrivateKey.generate()
            raw = self.private.public_key().public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)
            self.public = {"keytype": "ed25519", "scheme": "ed25519", "keyval": {"public": raw.hex()}}
        elif kind in ("ecdsa", "p384"):
            self.private = ec.generate_private_key(ec.SECP256R1() if kind == "ecdsa" else ec.SECP384R1())
            self.public = {"keytype": "ecdsa", "scheme": "ecdsa-sha2-nistp256",
                           "keyval": {"public": pem_of(self.private.public_key())}}
        else:
            bits = 1024 if kind == "rsa1024" else 2048
            self.private = rsa.generate_private_key(65537, bits)
            scheme = "rsa-pkcs1v15-sha256" if kind == "pkcs1" else "rsassa-pss-sha256"
            self.public = {"keytype": "rsa", "scheme": scheme, "keyval": {"public": pem_of(self.private.public_key())}}
        self.forced_id = None

    @property
    def keyid(self):
        return self.forced_id or hashlib.sha256(canonical(self.public).encode()).hexdigest()

    def alias(self, keyid):
        """The same key under another keyid."""
        other = copy.copy(self)
        other.public = copy.deepcopy(self.public)
        other.forced_id = keyid
        return other

    def sign(self, data):
        if self.kind == "ed25519":
            signature = self.private.sign(data)
        elif self.kind in ("ecdsa", "p384"):
            signature = self.private.sign(data, ec.ECDSA(hashes.SHA256()))
        elif self.kind == "pkcs1":
            signature = self.private.sign(data, padding.PKCS1v15(), hashes.SHA256())
        else:
            pss = padding.PSS(padding.MGF1(hashes.SHA256()), padding.PSS.DIGEST_LENGTH)
            signature = self.private.sign(data, pss, hashes.SHA256())
        return signature.hex()


class Repository:
    """Metadata as dictionaries, published into `files` (URL path -> bytes)."""

    def __init__(self, now):
        self.now = now
        self.files = {}
        self.requests = []
        self.with_hashes = ()
        far = timestamp_text(now + 30 * DAY)
        self.bodies = {}
        self.signers = {}
        for role in TOP_ROLES:
            self.bodies[role] = {"_type": role, "spec_version": "1.0.31", "version": 0, "expires": far}
        self.root.update(consistent_snapshot=True, keys={}, roles={})
        self.snapshot["meta"] = {}
        self.timestamp["meta"] = {}
        self.targets["targets"] = {}
        for role in TOP_ROLES:
            self.root["roles"][role] = {"keyids": [], "threshold": 1}
            self.add_key(role)
        self.publish("root", "targets", "snapshot", "timestamp")

    root = property(lambda self: self.bodies["root"])
    timestamp = property(lambda self: self.bodies["timestamp"])
    snapshot = property(lambda self: self.bodies["snapshot"])
    targets = property(lambda self: self.bodies["targets"])

    # --- keys

    def spec(self, role, delegator=None):
        """(object that holds keyids and threshold, object of keys) of a role."""
        if role in TOP_ROLES:
            return self.root["roles"][role], self.root["keys"]
        for body in [self.bodies[delegator]] if delegator else self.bodies.values():
            delegations = body.get("delegations", {})
            for entry in delegations.get("roles", []):
                if entry["name"] == role:
                    return entry, delegations["keys"]
        raise KeyError(role)

    def add_key(self, role, key=None, sign=True, delegator=None):
        key = key or Key()
        spec, keys = self.spec(role, delegator)
        spec["keyids"].append(key.keyid)
        keys[key.keyid] = key.public
        if sign:
            self.signers.setdefault(role, []).append(key)
        return key

    def rotate(self, role):
        spec, _ = self.spec(role)
        spec["keyids"].clear()
        self.signers[role] = []
        return self.add_key(role)

    # --- delegations and targets

    def delegate(self, name, delegator="targets", paths=("*",), prefixes=None, terminating=False, threshold=1, sign=True):
        delegations = self.bodies[delegator].setdefault("delegations", {"keys": {}, "roles": []})
        entry = {"name": name, "keyids": [], "threshold": threshold, "terminating": terminating}
        if prefixes is not None:
            entry["path_hash_prefixes"] = list(prefixes)
        else:
            entry["paths"] = list(paths)
        delegations["roles"].append(entry)
        if name not in self.bodies:
            self.new_targets(name)
            self.add_key(name, delegator=delegator)
        else:
            for key in self.signers[name]:
                entry["keyids"].append(key.keyid)
                delegations["keys"][key.keyid] = key.public
        return entry

    def new_targets(self, name):
        self.bodies[name] = {"_type": "targets", "spec_version": "1.0.31", "version": 0,
                             "expires": timestamp_text(self.now + 30 * DAY), "targets": {}}

    def succinct(self, bits, prefix="bin"):
        key = Key()
        self.targets["delegations"] = {"keys": {key.keyid: key.public}, "succinct_roles": {
            "keyids": [key.keyid], "threshold": 1, "bit_length": bits, "name_prefix": prefix}}
        digits = (bits + 3) // 4
        names = ["%s-%0*x" % (prefix, digits, n) for n in range(1 << bits)]
        for name in names:
            self.new_targets(name)
            self.signers[name] = [key]
        return names

    def add_target(self, role, path, content, algorithms=("sha256",)):
        entry = {"length": len(content), "hashes": {a: hashlib.new(a, content).hexdigest() for a in algorithms}}
        self.bodies[role]["targets"][path] = entry
        self.serve_target(path, content, entry)
        return entry

    def serve_target(self, path, content, entry):
        directory, _, name = path.rpartition("/")
        for digest in entry["hashes"].values():
            served = (directory + "/" if directory else "") + digest + "." + name
            self.files["targets/" + quote(served, "/!$&'()*+,;=:@")] = content
        self.files["targets/" + quote(path, "/!$&'()*+,;=:@")] = content

    # --- publishing

    def sign(self, role, body=None, keys=None):
        body = body if body is not None else self.bodies[role]
        data = canonical(body).encode()
        signatures = [{"keyid": k.keyid, "sig": k.sign(data)} for k in (self.signers[role] if keys is None else keys)]
        return {"signatures": signatures, "signed": body}

    def file_name(self, role, version):
        name = quote(role, "")
        if role == "timestamp" or (role != "root" and not self.root["consistent_snapshot"]):
            return "metadata/%s.json" % name
        return "metadata/%d.%s.json" % (version, name)

    def put(self, role, version, data):
        self.files[self.file_name(role, version)] = data

    def publish(self, *roles, bump=True):
        """Signs and serves roles in the order given; snapshot and timestamp learn of what was published before."""
        for role in roles:
            body = self.bodies[role]
            body["version"] += bump
            data = json.dumps(self.sign(role), indent=1).encode()
            self.put(role, body["version"], data)
            self.list_role(role, data)

    def list_role(self, role, data):
        entry = {"version": self.bodies[role]["version"]}
        if self.with_hashes:
            entry["length"] = len(data)
            entry["hashes"] = {a: hashlib.new(a, data).hexdigest() for a in self.with_hashes}
        if role == "snapshot":
            self.timestamp["meta"]["snapshot.json"] = entry
        elif role not in ("root", "timestamp"):
            self.snapshot["meta"][role + ".json"] = entry

    def publish_all(self, *more):
        """Everything below root, delegated roles first."""
        self.publish(*[r for r in self.bodies if r not in TOP_ROLES], *more, "targets", "snapshot", "timestamp")

    def served(self, role):
        """The document that is served now, as something a test can damage and put back with `replace`."""
        return json.loads(self.files[self.file_name(role, self.bodies[role]["version"])])

    def replace(self, role, document):
        data = document if isinstance(document, bytes) else json.dumps(document).encode()
        self.put(role, self.bodies[role]["version"], data)

    def metadata_requests(self):
        prefix = "metadata/"
        return [r[len(prefix):] for r in self.requests if r.startswith(prefix)]


class Server:
    """Serves one repository at a time on loopback."""

    def __init__(self):
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            wbufsize = -1  # one segment per answer: two would wait for each other (Nagle, delayed acknowledgement)

            def do_GET(self):
                path = self.path.lstrip("/")
                outer.repository.requests.append(path)
                data = outer.repository.files.get(path)
                if data is None:
                    self.send_response(404)
                    data = b"not here\n"
                else:
                    self.send_response(200)
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                try:
                    self.wfile.write(data)
                except OSError:
                    pass  # the client refused to read on

            def log_message(self, *args):
                pass

        self.repository = None
        self.http = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.http.daemon_threads = True
        self.http.handle_error = lambda *a: None  # a client that hangs up early is part of the test
        threading.Thread(target=self.http.serve_forever, args=(0.05,), daemon=True).start()
        self.url = "http://127.0.0.1:%d" % self.http.server_address[1]


class Client:
    """The program under test with a scratch directory."""

    def __init__(self, program, server, repository):
        self.program = program
        self.server = server
        self.repository = repository
        memory = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None  # every trusted file is synced: slow on a disk
        self.top = tempfile.mkdtemp(prefix="check-tuf.", dir=memory)
        self.metadata = os.path.join(self.top, "metadata")
        self.downloads = os.path.join(self.top, "targets")
        os.mkdir(self.metadata)
        os.mkdir(self.downloads)
        self.said = ""

    def close(self):
        shutil.rmtree(self.top)

    def run(self, *arguments):
        done = subprocess.run([self.program, "--metadata-dir", self.metadata, *arguments], capture_output=True,
                              timeout=60, check=False)
        self.said = done.stderr.decode(errors="replace")
        if done.returncode not in (0, 1):
            raise AssertionError("exit code %d: %s" % (done.returncode, self.said[-1500:]))
        return done.returncode

    def init(self, root=None):
        path = os.path.join(self.top, "initial")
        with open(path, "wb") as f:
            f.write(root if root is not None else self.repository.files["metadata/1.root.json"])
        return self.run("init", path)

    def online(self, now, grace):
        self.server.repository = self.repository
        options = ["--metadata-url", self.server.url + "/metadata/"]
        if now is not None:
            options += ["--now", str(int(now))]
        return options + (["--grace", str(grace)] if grace else [])

    def refresh(self, now=None, grace=0):
        return self.run(*self.online(now, grace), "refresh")

    def download(self, *names, now=None, grace=0):
        options = self.online(now, grace)
        for name in names:
            options += ["--target-name", name]
        return self.run(*options, "--target-dir", self.downloads, "--target-base-url", self.server.url + "/targets",
                        "download")

    def bytes_of(self, role):
        try:
            with open(os.path.join(self.metadata, quote(role, "") + ".json"), "rb") as f:
                return f.read()
        except FileNotFoundError:
            return None

    def version(self, role):
        data = self.bytes_of(role)
        return json.loads(data)["signed"]["version"] if data else None

    def trusted(self):
        names = sorted(n[:-5] for n in os.listdir(self.metadata) if n.endswith(".json"))
        return {n: json.loads(open(os.path.join(self.metadata, n + ".json"), "rb").read())["signed"]["version"]
                for n in names}

    def downloaded(self):
        found = []
        for directory, _, names in os.walk(self.top):
            for name in names:
                path = os.path.join(directory, name)
                if not path.startswith(self.metadata) and name != "initial":
                    found.append((os.path.relpath(path, self.downloads), open(path, "rb").read()))
        return [content for _, content in sorted(found)]
