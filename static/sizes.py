#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""sizes.py MAP BINARY: bytes of each library in a linked program, from the linker's map; the rest is headers and padding."""
import os
import re
import sys

INPUT = re.compile(r"^ +(?:(\.[^\s]+|COMMON) +)?0x[0-9a-f]+ +(0x[0-9a-f]+) (/?\S.*)$")
NAME = re.compile(r"^ (\.[^\s]+|COMMON)$")
LOADED = (".text", ".rodata", ".data", ".init", ".fini", ".eh_frame", ".gcc_except", ".rela", ".relr", ".dynsym", ".dynstr", ".hash",
          ".gnu.hash", ".tdata", ".preinit", ".ctors", ".dtors")


def owner(path):
    """The library an object belongs to: libcrypto for …/libcrypto.a(x.o), the agent for its own."""
    archive = re.match(r".*?([^/]+)\.a\(", path)
    if archive:
        name = archive.group(1)
        return "sf-node" if name in ("libagent", "libinstaller", "libdelta", "librelease", "libtuf", "libtransport", "librpath",
                                     "libbase") else {"libc": "musl", "libgcc": "libgcc", "libgcc_eh": "libgcc"}.get(name, name)
    return "musl" if os.path.basename(path) in ("rcrt1.o", "crti.o", "crtn.o") else "sf-node"


def main(map_path, binary):
    sizes, section = {}, None
    with open(map_path, encoding="utf-8", errors="replace") as f:
        text = f.read()
    for line in text[text.index("Linker script and memory map"):].split("\n"):
        name = NAME.match(line)
        if name:
            section = name.group(1)
            continue
        found = INPUT.match(line)
        if not found:
            continue
        section = found.group(1) or section
        if section and section.startswith(LOADED):
            key = owner(found.group(3))
            sizes[key] = sizes.get(key, 0) + int(found.group(2), 16)
    whole = os.path.getsize(binary)
    for key, size in sorted(sizes.items(), key=lambda item: -item[1]):
        print("%-12s %8d" % (key, size))
    print("%-12s %8d" % ("rest", whole - sum(sizes.values())))
    print("%-12s %8d" % ("whole", whole))


main(sys.argv[1], sys.argv[2])
