"""Runs the cases against a client: run.py CLIENT [PATTERN...]. One line per case; exit 1 if one failed.

PATTERNs are shell-style names of cases. --quick stops at the first failure and prints nothing but its name: what the
mutants are judged by.
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


def main():
    arguments = [a for a in sys.argv[1:] if a != "--quick"]
    quick = "--quick" in sys.argv
    program, patterns = arguments[0], arguments[1:] or ["*"]
    # Brackets are part of names here, not sets.
    patterns = [p.replace("[", "[[]") for p in patterns]
    chosen = [c for c in CASES if any(fnmatch.fnmatchcase(c[0], p) for p in patterns)]
    server, failed = Server(), 0
    if not chosen:
        sys.exit("no case matches")
    for name, function in chosen:
        problem = run(name, function, program, server)
        if problem and quick:
            print(name)
            return 1
        if problem:
            print("not ok  %s\n%s" % (name, problem))
            failed += 1
        elif not quick:
            print("ok      %s" % name)
    if not quick:
        print("%d of %d cases passed" % (len(chosen) - failed, len(chosen)))
    return failed > 0


if __name__ == "__main__":
    sys.exit(main())
