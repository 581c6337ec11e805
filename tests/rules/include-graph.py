#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Who includes whom, from the sources; who calls whom, from the objects of a build.

    include-graph.py [--objects BUILDDIR] [--edges]

Checks: includes point down only (FLOORS), also between the sub-rooms of a room; no circle between files, by includes or by
symbols that one object takes from another; no header that nobody includes; edges between rooms are those of the table in
docs/ARCHITECTURE.md. --edges prints that table.
"""
import os, re, subprocess, sys

# A room may include itself and what its line names.
FLOORS = {
    "base": "",
    "tuf": "base",
    "transport": "base",
    "rpath": "base",
    "release": "base tuf",
    "delta": "base release rpath",
    "installer": "base release tuf transport rpath delta",
    "agent": "base release tuf transport rpath delta installer units",
    "factory": "base release tuf transport rpath delta",
}
# Sub-rooms from the bottom up; "" is what lies in the room itself. A sub-room may include those before it.
SUBROOMS = {
    "delta": ["image", "entropy", "predict", "cfi", "codec", "", "encode"],
    "agent": ["node", "acquire", "switch", "verbs", ""],
    "factory": ["archive", "build", "pack", "publish", "rebuild", "commands", ""],
}
# Sub-rooms that lie side by side: no door between the two.
NO_DOOR = {("factory/pack", "factory/build"), ("factory/publish", "factory/build")}
INCLUDE = re.compile(r'^\s*#\s*include\s*[<"]([a-z]+/[^>"]+)[>"]', re.M)


def place(path):
    """The room and sub-room of a source."""
    parts = path.split("/")
    return parts[0], parts[1] if len(parts) == 3 else ""


def sources():
    for room in FLOORS:
        for folder, _, names in os.walk(room):
            for name in names:
                if name.endswith((".c", ".h")):
                    yield os.path.join(folder, name)


def wrong_edge(source, target):
    """Why source may not include target; None where it may."""
    (room, sub), (to, to_sub) = place(source), place(target)
    if to not in FLOORS:
        return None
    if room != to:
        return None if to in FLOORS[room].split() else f"{source} includes {target}: not below {room}/"
    order = SUBROOMS.get(room)
    if not order:
        return None
    if (f"{room}/{sub}", f"{to}/{to_sub}") in NO_DOOR:
        return f"{source} includes {target}: no door between the two"
    if order.index(to_sub) > order.index(sub):
        return f"{source} includes {target}: {to_sub or room}/ lies above"
    return None


def circles(graph):
    """Strongly connected sets of more than one node (Tarjan)."""
    index, low, stack, on, found = {}, {}, [], set(), []

    def visit(v):
        index[v] = low[v] = len(index)
        stack.append(v)
        on.add(v)
        for w in graph.get(v, ()):
            if w not in index:
                visit(w)
                low[v] = min(low[v], low[w])
            elif w in on:
                low[v] = min(low[v], index[w])
        if low[v] == index[v]:
            component = []
            while True:
                w = stack.pop()
                on.discard(w)
                component.append(w)
                if w == v:
                    break
            if len(component) > 1:
                found.append(sorted(component))

    sys.setrecursionlimit(10000)
    for v in sorted(graph):
        if v not in index:
            visit(v)
    return found


def object_graph(build):
    """File -> files whose symbols it takes."""
    defined, wanted = {}, {}
    for source in sources():
        if not source.endswith(".c"):
            continue
        stem = source[:-2]
        path = os.path.join(build, stem + ".o")
        if not os.path.exists(path):
            continue
        for line in subprocess.run(["nm", path], capture_output=True, text=True, check=True).stdout.splitlines():
            fields = line.split()
            kind, name = fields[-2], fields[-1]
            if kind == "U":
                wanted.setdefault(stem, set()).add(name)
            elif kind.isupper():
                defined.setdefault(name, stem)
    return {s: {defined[n] for n in names if n in defined} - {s} for s, names in wanted.items()}


def main(arguments):
    problems, graph, included, seen = [], {}, set(), 0
    edges = {}
    for source in sorted(sources()):
        seen += 1
        with open(source, encoding="utf-8") as f:
            targets = INCLUDE.findall(f.read())
        for target in targets:
            if source[:-2] != target[:-2]:
                included.add(target)
            graph.setdefault(source, set()).add(target)
            reason = wrong_edge(source, target)
            if reason:
                problems.append(reason)
            a, b = place(source)[0], place(target)[0]
            if a != b and b in FLOORS:
                edges.setdefault(a, set()).add(b)
    problems += ["circle by includes: " + " ".join(c) for c in circles(graph)]
    for header in sorted(s for s in sources() if s.endswith(".h") and s not in included):
        problems.append(f"{header}: nobody but its own source includes it")
    if "--objects" in arguments:
        calls = object_graph(arguments[arguments.index("--objects") + 1])
        problems += ["circle by symbols: " + " ".join(c) for c in circles(calls)]
        print(f"{len(calls)} objects looked at")
    table = [f"{room} → {' '.join(sorted(edges.get(room, ()))) or '(nothing)'}" for room in FLOORS]
    if "--edges" in arguments:
        print("\n".join(table))
    else:
        with open("docs/ARCHITECTURE.md", encoding="utf-8") as f:
            text = f.read()
        problems += [f"docs/ARCHITECTURE.md does not say '{line}'" for line in table if line not in text]
    # The test must see what is wrong where something is.
    assert wrong_edge("base/x.c", "agent/node/config.h") and wrong_edge("delta/image/x.c", "delta/codec/replay.h")
    assert wrong_edge("factory/pack/x.c", "factory/build/recipe.h") and not wrong_edge("agent/main.c", "agent/verbs/verbs.h")
    assert circles({"a": {"b"}, "b": {"a"}, "c": {"a"}}) == [["a", "b"]]
    if seen < 200:
        problems.append(f"only {seen} files looked at")
    print("\n".join(problems) if problems else f"{seen} files keep to their floors")
    return 1 if problems else 0


sys.exit(main(sys.argv[1:]))
