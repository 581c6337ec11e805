#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""offered.py URL INDEX : what a repository (http:// or file://) offers by an index, every blob of it there and whole."""
import hashlib, json, sys, urllib.request


def need(blob):
    with urllib.request.urlopen("%s/blobs/sha256/%s" % (sys.argv[1], blob["sha256"])) as f:
        content = f.read()
    assert len(content) == blob["size"] and hashlib.sha256(content).hexdigest() == blob["sha256"], blob
    return content


with open(sys.argv[2]) as f:
    index = json.load(f)
for release in index["releases"]:
    manifest = json.loads(need(release["manifest"]))
    need(release["filelist"])
    for part in [manifest["config"]] + manifest["layers"]:
        need({"sha256": part["digest"].split(":")[1], "size": part["size"]})
    for delta in release["deltas"]:
        need(delta["filelist"])
        need(delta["content"])
print(*["%s+%d" % (r["name"].split("-")[0], len(r["deltas"])) for r in index["releases"]])
