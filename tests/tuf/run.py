# SPDX-License-Identifier: Apache-2.0
"""Runs the cases against a client: run.py CLIENT [PATTERN...]. One line per case; exit 1 if one failed.

PATTERNs are shell-style names of cases.
"""
import fnmatch
import sys
import time
import traceback

import cases_hostile  # noqa: F401  (registers its cases)
import cases_targets  # noqa: F401
import cases_workflow  # noqa: F401
from registry import CASES
from simulator import Client, Repository, Server


def run(name, function, program, server):
    repository = Repository(int(time.time()))
    client = Client(program, server, repository)
    try:
        function(repository, client)
        return None
    except Exception:  # whatever happened, the case failed
        return traceback.format_exc() + client.said
    finally:
        client.close()


def chosen(patterns):
    return [c for c in CASES if any(fnmatch.fnmatchcase(c[0], p) for p in patterns)]


def main():
    program, patterns = sys.argv[1], sys.argv[2:] or ["*"]
    wanted = chosen(patterns)
    server, failed = Server(), 0
    if not wanted:
        sys.exit("no case matches")
    for name, function in wanted:
        problem = run(name, function, program, server)
        print("not ok  %s\n%s" % (name, problem) if problem else "ok      %s" % name, flush=True)
        failed += problem is not None
    print("%d of %d cases passed" % (len(wanted) - failed, len(wanted)))
    return failed > 0


if __name__ == "__main__":
    sys.exit(main())
