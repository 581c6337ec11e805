#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What documents point to is there: links, and paths of this repository in backticks. No path of a build machine, no package
registry."""
import glob
import os
import re
import sys

ROOMS = "base release tuf transport rpath delta installer agent factory units etc static packages tests fuzz bench man docs".split()
PATH = re.compile(r"`((?:%s)/[A-Za-z0-9_./*<>-]*)`" % "|".join(ROOMS))
LINK = re.compile(r"\]\(([^)#\s]+)(?:#[^)]*)?\)")


def exists(path):
    pattern = re.sub(r"<[a-z]+>|NAME", "*", path).rstrip("/")
    return bool(glob.glob(pattern) or glob.glob(pattern + ".[ch]") or glob.glob(pattern + ".*"))


def check(document, text):
    bad = ["%s: %s is not there" % (document, p) for p in PATH.findall(text) if not exists(p)]
    for link in LINK.findall(text):
        if "://" not in link and not os.path.exists(os.path.join(os.path.dirname(document), link)):
            bad.append("%s: link to %s leads nowhere" % (document, link))
    return bad


def main():
    documents = sorted(glob.glob("*.md") + glob.glob("docs/*.md"))
    problems = []
    for document in documents:
        with open(document, encoding="utf-8") as f:
            problems += check(document, f.read())
    with open("docs/README.md", encoding="utf-8") as f:
        index = f.read()
    problems += ["docs/README.md does not list %s" % d for d in documents
                 if d.startswith("docs/") and d != "docs/README.md" and "(%s)" % d[5:] not in index]
    assert len(check("docs/X.md", "`base/no-such-file.c` [a](nowhere.md) `base/error.h` [b](ARCHITECTURE.md)")) == 2
    if len(documents) < 8:
        problems.append("only %d documents found" % len(documents))
    print("\n".join(problems) if problems else "%d documents point to what is there" % len(documents))
    return bool(problems)


sys.exit(main())
