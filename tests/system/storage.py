#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What a set of releases takes in a repository, layer by layer, with and without shared layers, and as tar.gz files. storage.py BUILD...

Each BUILD is a release directory of slurm-factory (CACHE/builds/RELEASE). Prints a table in Markdown; bytes."""
import json
import os
import subprocess
import sys
import tempfile


def look(directory):
    index = json.load(open(os.path.join(directory, "release.json")))["releases"][0]
    blobs = os.path.join(directory, "blobs/sha256")
    manifest = json.load(open(os.path.join(blobs, index["manifest"]["sha256"])))
    layers = {l["annotations"]["org.opencontainers.image.title"]: (l["digest"], l["size"]) for l in manifest["layers"]}
    with tempfile.TemporaryDirectory() as tree:
        for digest, _ in layers.values():
            subprocess.run(f"zstd -dcq {blobs}/{digest[7:]} | tar -x -C {tree}", shell=True, check=True)
        packed = subprocess.run(f"tar -c --sort=name --owner=0 --group=0 --mtime=@0 -C {tree}/opt/slurm view | gzip -9n | wc -c",
                                shell=True, check=True, capture_output=True, text=True)
    return index["name"], layers, index["installed"], int(packed.stdout)


def main(directories):
    print("| release | deps | mpi | slurm | layers | tar.gz | installed |\n| --- | --- | --- | --- | --- | --- | --- |")
    unique, whole, tars = {}, 0, 0
    for directory in sorted(directories):
        name, layers, installed, tar = look(directory)
        size = sum(s for _, s in layers.values())
        columns = [f"{layers[n][1]:,}" if n in layers else "-" for n in ("deps", "mpi", "slurm")]
        print("| " + " | ".join([name, *columns, f"{size:,}", f"{tar:,}", f"{installed:,}"]) + " |")
        unique.update(dict(layers.values()))
        whole, tars = whole + size, tars + tar
    shared = sum(unique.values())
    print(f"\n{len(directories)} releases: {tars:,} as tar.gz, {whole:,} in layers, {shared:,} with layers shared: "
          f"{100 - 100 * shared / whole:.0f} % less than not shared, {100 - 100 * shared / tars:.0f} % less than tar.gz.")


if __name__ == "__main__":
    main(sys.argv[1:])
