#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What every source has: a licence line; C sources and headers of the rooms a first comment that names the file and says what
it is for, lines of at most 120 columns, functions of at most 80 lines."""
import os
import re
import sys

ROOMS = "base release tuf transport rpath delta installer agent factory".split()
FUNCTION = re.compile(r"^[a-z_][^;={}#/]*\([^;]*\)\n\{\n(.*?)^\}", re.M | re.S)


def check(path, text, room):
    """What is wrong with a file, one string each."""
    lines, bad = text.split("\n"), []
    if not any("SPDX-License-Identifier: Apache-2.0" in line for line in lines[:3]):
        bad.append("no SPDX-License-Identifier in its first lines")
    if not path.endswith((".c", ".h")):
        return bad
    if room and not lines[1].startswith("/* %s - " % path):
        bad.append("its second line is not '/* %s - what it is for'" % path)
    for number, line in enumerate(lines, 1):
        if len(line) > 120:
            bad.append("line %d has more than 120 columns" % number)
    for function in FUNCTION.finditer(text) if path.endswith(".c") else ():
        length = function.group(1).count("\n")
        if length > 80:
            bad.append("a function of %d lines at line %d" % (length, text.count("\n", 0, function.start()) + 1))
    return bad


def main():
    problems, seen = [], 0
    for top in ROOMS + ["tests", "fuzz", "bench"]:
        for folder, folders, names in os.walk(top):
            folders[:] = [f for f in folders if f not in ("corpus", "cache", "__pycache__")]
            for name in names:
                if name.endswith((".c", ".h", ".sh", ".py")):
                    path = os.path.join(folder, name)
                    seen += 1
                    with open(path, encoding="utf-8") as f:
                        problems += ["%s: %s" % (path, b) for b in check(path, f.read(), top in ROOMS)]
    # The test must see what is wrong where something is.
    wrong = "int a;\n" + "b" * 121 + "\nint f(void)\n{\n" + "x\n" * 81 + "}\n"
    assert len(check("base/a.c", wrong, True)) == 4
    if seen < 300:
        problems.append("only %d files looked at" % seen)
    print("\n".join(problems) if problems else "%d files as they should be" % seen)
    return bool(problems)


sys.exit(main())
