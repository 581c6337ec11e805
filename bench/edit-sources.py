#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
# edit-sources.py DIR: edits some sixty of the .c files below DIR as bug fixes do: another message, a condition in front of a
# statement, an early return. The same edits every time. What a micro release of Slurm changes is of this kind and size.
import os
import random
import re
import sys

FILES = 60
SKIP = ("slurmrestd", "mysql", "sview", "testsuite")
MESSAGE = re.compile(r'\berror\("([^"\\%]{12,})"')
FREE = re.compile(r"\n\t(xfree\((\w+)\);)\n")
RETURN = re.compile(r"\n\treturn SLURM_ERROR;\n")

chance = random.Random(7)


def longer_message(text):
    found = MESSAGE.findall(text)
    if not found:
        return text
    message = chance.choice(found)
    return text.replace('error("%s"' % message, 'error("%s (again)"' % message, 1)


def replace_one(pattern, text, replacement):
    found = list(pattern.finditer(text))
    if not found:
        return text
    at = chance.choice(found)
    return text[: at.start()] + replacement(at) + text[at.end():]


def flag():
    return "slurm_conf.debug_flags & 0x%x" % (1 << chance.randrange(4, 20))


def say_when_freed(text):
    return replace_one(FREE, text, lambda at: (
        "\n\tif (%s && (%s))\n\t\terror(\"%%s: releasing\", __func__);\n\t%s\n" % (at.group(2), flag(), at.group(1))))


def return_early(text):
    return replace_one(RETURN, text, lambda at: (
        "\n\tif (%s)\n\t\treturn SLURM_SUCCESS;\n\treturn SLURM_ERROR;\n" % flag()))


def main():
    paths = sorted(
        os.path.join(directory, name)
        for directory, _, names in os.walk(sys.argv[1])
        if not any(word in directory for word in SKIP)
        for name in names
        if name.endswith(".c"))
    chance.shuffle(paths)
    edited = 0
    for path in paths:
        with open(path, encoding="utf-8") as f:
            before = f.read()
        if "error(" not in before or "slurm_conf." not in before:
            continue
        text = before
        for _ in range(chance.choice((1, 1, 2, 3))):
            text = chance.choice((longer_message, say_when_freed, return_early))(text)
        if text == before:
            continue
        with open(path, "w", encoding="utf-8") as f:
            f.write(text)
        edited += 1
        if edited == FILES:
            break
    print(edited)


main()
