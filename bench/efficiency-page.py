#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""efficiency-page.py TABLE DIR: writes DIR/EFFICIENCY.md and DIR/efficiency.svg from what efficiency.sh measured.

TABLE has lines of row, seconds, processor seconds, load, date and remark, separated by tabs. A row without a line was not
measured, and the page says so.
"""
import sys

ROWS = [
    ("first", "first build of everything, 2 cores", "90 min (35 with cache)", None),
    ("second", "second Slurm version, same toolchain", "5 min, then 1 m 45 s", None),
    ("micro-old", "a release with nothing compiled before", "-", None),
    ("micro", "micro release after its predecessor", "-", "a third of the row above"),
    ("dependency", "a dependency changed, Slurm compiled again with ccache", "-", None),
    ("published", "anyone, popular combination, from a published cache", "2 min", "seconds on loopback"),
    ("rebuild", "rebuild of the same", "45 s", "1 s"),
    ("deltas-micro", "publish with deltas from predecessors of the same series", "-", "60 s"),
    ("deltas-major", "publish with deltas from three predecessors, majors among them", "-", "120 s"),
    ("deps", "a change of the deps layer, programs that all differ", "-", "5 min"),
]
HEAD = """# How long it takes

`bench/efficiency.sh ROW...` measures rows of this page and writes it anew (`make bench-efficiency ROWS='...'`); the figures are kept in
[efficiency.tsv](efficiency.tsv). The load is the machine's at the end of the row: above 2 the seconds are those of a shared machine,
and the processor seconds tell more. Two virtual cores, Debian 12.

| what | seed | aim | seconds | processor | load | day | measured with |
| --- | --- | --- | --- | --- | --- | --- | --- |
"""
TAIL = """
Compare rows of one measurement: the machine's processors are shared with others, and the same compile (Slurm 25.11.3, nothing in ccache) took
314 s (457 s of processor time) in the afternoon of 30 November and 419 s (729 s) in the night. "a release with nothing compiled before",
"micro" and "a change of the deps layer" are one measurement of 1 December; "second", "published" and "rebuild" are the night's before,
"first build" and the other rows of deltas the afternoon's, with the recipes, the packing and the encoder of then.

A micro release takes 38 % of the time and 37 % of the processor time of its predecessor (51 % and 47 % the day before); the aim is a third.
ccache finds what no change reached: the version is kept out of the headers that every source includes, and plugins that only tell it are
compiled up to the assembly with a number that stays the same (`etc/recipes/patches/slurm-make.patch`). What is left are 26 changed sources
and 45 that say the version, everything linked again, configure (17 s and 8 s for its makefiles) and compressing one layer
(10 s on one processor).

A changed set that zstd's quickest level leaves more than 12 MiB of is made in parts, of which those that differ most take zstd
(docs/DELTA.md). With one stream for all, the same set took 443 s to make and 300 s to apply, for 26,046,298 bytes; what is made now
is applied in 72 s of processor time (94 s beside other work).

![Seconds per row, logarithmic](efficiency.svg)
"""


def read(path):
    rows = {}
    with open(path, encoding="utf-8") as f:
        for line in f:
            key, *rest = line.rstrip("\n").split("\t")
            rows[key] = rest
    # A delta row is named after its release; the kind follows from the series of the bases.
    for key in [k for k in rows if k.startswith("deltas-")]:
        release, bases = key[len("deltas-"):], rows[key][4].split(": ")[0].split(" from ")[1].split()
        series = {".".join(name.split(".")[:2]) for name in bases + [release]}
        rows["deltas-micro" if len(series) == 1 else "deltas-major"] = rows[key]
    return rows


def page(rows):
    text = HEAD
    for key, what, seed, aim in ROWS:
        seconds, busy, load, day, remark = rows.get(key, ["not measured", "", "", "", ""])
        text += f"| {what} | {seed} | {aim or '-'} | {seconds} | {busy} | {load} | {day} | {remark} |\n"
    return text + TAIL


def plot(rows):
    import math

    width, bar, left = 900, 26, 420
    shown = [(what, float(rows[key][0])) for key, what, _, _ in ROWS if key in rows]
    top = max([s for _, s in shown] + [10])
    scale = (width - left - 90) / math.log10(top / 0.1)
    out = [f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{bar * len(shown) + 40}" font-family="sans-serif" '
           'font-size="13">', '<rect width="100%" height="100%" fill="white"/>']
    for decade in range(-1, int(math.log10(top)) + 1):
        x = left + scale * (decade + 1)
        out.append(f'<line x1="{x:.0f}" y1="8" x2="{x:.0f}" y2="{bar * len(shown) + 12}" stroke="#ddd"/>')
        out.append(f'<text x="{x:.0f}" y="{bar * len(shown) + 28}" text-anchor="middle" fill="#666">{10.0 ** decade:g} s</text>')
    for i, (what, seconds) in enumerate(shown):
        y, length = 12 + bar * i, max(2, scale * math.log10(max(seconds, 0.1) / 0.1))
        out.append(f'<text x="{left - 8}" y="{y + 14}" text-anchor="end">{what}</text>')
        out.append(f'<rect x="{left}" y="{y}" width="{length:.0f}" height="18" fill="#4878a8"/>')
        out.append(f'<text x="{left + length + 5:.0f}" y="{y + 14}">{seconds:g} s</text>')
    return "\n".join(out + ["</svg>", ""])


def main():
    table, directory = sys.argv[1:3]
    rows = read(table)
    for name, text in (("EFFICIENCY.md", page(rows)), ("efficiency.svg", plot(rows))):
        with open(f"{directory}/{name}", "w", encoding="utf-8") as f:
            f.write(text)


main()
