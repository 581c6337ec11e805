#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Are releases that one toolchain built alike? consistency.py BUILD...

Each BUILD is a release directory of slurm-factory (CACHE/builds/RELEASE), all of one cache, recipe set and profile. Compared with the
newest: the layout, programs, units and their environment, modules, where configuration is looked for, versions of dependencies and what
the node must have. A difference is intended when INTENDED names it; any other fails.
"""
import glob
import hashlib
import json
import os
import re
import subprocess
import sys
import tempfile

# (what, pattern of what differs, why). Slurm's own changes from series to series.
INTENDED = [
    ("programs", r"bin/swait", "new in 26.05"),
    ("environment", r"slurmrestd.service: Environment=SLURMRESTD_LISTEN=:6820", "23.11 says it in ExecStart"),
]
# What every slurmd.service of ours must say, whatever the series.
UNIT = [r"^\[Unit\]", r"^Type=(notify|simple|forking)$", r"^ExecStart=.*/sbin/slurmd", r"^KillMode=process$", r"^Delegate=yes$",
        r"^WantedBy=multi-user.target$"]


class Release:
    def __init__(self, directory, scratch):
        self.name = os.path.basename(directory.rstrip("/"))
        index = json.load(open(os.path.join(directory, "release.json")))["releases"][0]
        self.unit_type = index["unit"]
        self.libraries = set(index.get("requires", {}).get("libraries", []))
        self.has_requires = "requires" in index
        self.tree = os.path.join(scratch, self.name)
        os.mkdir(self.tree)
        manifest = json.load(open(os.path.join(directory, "blobs/sha256", index["manifest"]["sha256"])))
        for layer in manifest["layers"]:
            blob = os.path.join(directory, "blobs/sha256", layer["digest"].split(":")[1])
            subprocess.run(f"zstd -dcq {blob} | tar -x -C {self.tree} --strip-components=3", shell=True, check=True)
        self.deps = set()
        for line in open(os.path.join(directory, "from")):
            if line.startswith("layer ") and not line.startswith("layer slurm-"):
                self.deps.add(line.split()[1].rsplit("-", 1)[0])
        self.layout = {p for p in self.walk(2) if os.path.isdir(os.path.join(self.tree, p))}
        self.programs = {p for d in ("bin", "sbin") for p in self.files(d)}
        self.units = {os.path.basename(p) for p in self.files("lib/systemd/system")}
        # Quotes around one assignment without spaces say nothing.
        self.environment = {os.path.basename(p) + ": " + re.sub(r'="(\S*)"$', r"=\1", line.strip()) for p in self.files("lib/systemd/system")
                            for line in self.read(p).decode().splitlines() if re.match(r"(Environment|PassEnvironment)", line)}
        self.modules = {p + " " + hashlib.sha256(self.read(p)).hexdigest()[:12] for p in self.below("mpi/modulefiles")}

    def walk(self, depth):
        for folder, folders, _ in os.walk(self.tree):
            relative = os.path.relpath(folder, self.tree)
            if relative.count("/") < depth - 1:
                for f in folders:
                    yield os.path.normpath(os.path.join(relative, f))

    def files(self, directory):
        return [os.path.join(directory, f) for f in sorted(os.listdir(os.path.join(self.tree, directory)))]

    def below(self, directory):
        for folder, _, files in os.walk(os.path.join(self.tree, directory)):
            for f in files:
                yield os.path.relpath(os.path.join(folder, f), self.tree)

    def read(self, path):
        return open(os.path.join(self.tree, path), "rb").read()


problems, intended = [], []


def differ(what, release, against, things, how):
    for thing in sorted(things):
        why = [w for k, p, w in INTENDED if k == what and re.fullmatch(p, thing)]
        (intended if why else problems).append(f"{release.name}: {what}: {thing} is {how} {against.name}" + (f" ({why[0]})" if why else ""))


def compare(release, newest):
    for what, a, b in (("layout", release.layout, newest.layout), ("programs", release.programs, newest.programs),
                       ("units", release.units, newest.units), ("deps", release.deps, newest.deps),
                       ("environment", release.environment, newest.environment), ("modules", release.modules, newest.modules)):
        differ(what, release, newest, b - a, "missing here, in")
        differ(what, release, newest, a - b, "here, not in")
    if release.has_requires and newest.has_requires:
        differ("libraries", release, newest, release.libraries ^ newest.libraries, "needed by one of this and")
    if release.unit_type != newest.unit_type:
        problems.append(f"{release.name}: slurmd is Type={release.unit_type}, in {newest.name} {newest.unit_type}")


def check_alone(release):
    """What must be so in each of them."""
    configured = [p for p in release.programs if b"/etc/slurm" in release.read(p)] if release.programs else []
    libraries = glob.glob(os.path.join(release.tree, "lib/slurm/libslurmfull*")) + glob.glob(os.path.join(release.tree, "lib/libslurm.so*"))
    inside = b"/opt/slurm/view"
    full = b"".join(open(p, "rb").read() for p in libraries if not os.path.islink(p))
    if b"/etc/slurm" not in full and not configured:
        problems.append(f"{release.name}: nothing looks for its configuration in /etc/slurm")
    if re.search(re.escape(inside) + rb"/*/etc[/\0]", full):
        problems.append(f"{release.name}: configuration is looked for inside the release")
    text = release.read("lib/systemd/system/slurmd.service").decode()
    for pattern in UNIT:
        if not re.search(pattern, text, re.M):
            problems.append(f"{release.name}: slurmd.service has no line {pattern}")


def main(arguments):
    key = lambda p: [int(n) for n in re.findall(r"\d+", os.path.basename(p.rstrip("/")).split("-")[0])]
    with tempfile.TemporaryDirectory() as scratch:
        releases = [Release(d, scratch) for d in sorted(arguments, key=key)]
        for release in releases:
            check_alone(release)
            compare(release, releases[-1])
    for line in intended:
        print("intended: " + line)
    for line in problems:
        print("NOT ALIKE: " + line)
    print(f"{len(releases)} releases, {len(intended)} intended differences, {len(problems)} others")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
