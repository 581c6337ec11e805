#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""How much slower do jobs compute while sf-node stages a release beside them?

usage: quiet.py SF_NODE REPO ROOT_JSON FROM TO TOOLCHAIN [ROUNDS [SECONDS]]      (as root; TO is staged on a node that has FROM)

A loop bound to each processor counts what it computes, all the while. Beside it, window by window and in changing order: nothing;
`sf-node stage` as it is beside jobs, again and again; the same with --fast. Where cgroup v1 has the processor
controller, also with the loops in a group of 1024 shares (CPUWeight=100) and sf-node in one beside it of 10 (CPUWeight=1) or 1024.

Per mode: processor time that sf-node took of all that the loops and it got, on the processors that it ran on and had to share
(what a loop loses); the loops' work per second of their processor time against that of windows without sf-node (caches, memory).
Both do not depend on what else the machine does; work per second of the clock does, and is told with its spread.
"""
import os, random, shutil, signal, statistics, subprocess, sys, tempfile, time

START = 4  # seconds

LOOP = r"""
#define _GNU_SOURCE
#include <sched.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <fcntl.h>
#include <time.h>
static double now(clockid_t c) { struct timespec t; clock_gettime(c, &t); return (double)t.tv_sec + (double)t.tv_nsec / 1e9; }
int main(int argc, char **argv)
{
        cpu_set_t set; CPU_ZERO(&set); CPU_SET(atoi(argv[1]), &set);
        int fd = open(argv[2], O_RDWR);
        volatile double *out = mmap(0, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
        static double a[1 << 15]; /* 256 KiB: what a kernel keeps in its cache */
        if (argc < 3 || sched_setaffinity(0, sizeof set, &set) < 0 || out == MAP_FAILED) return 1;
        for (uint64_t n = 0;; n++) {
                for (int i = 0; i < 1 << 15; i++) a[i] = a[i] * 0.999 + (double)(i ^ (int)n);
                out[0] = (double)n; out[1] = now(CLOCK_PROCESS_CPUTIME_ID);
        }
}
"""


def group(name, shares):
    path = f"/sys/fs/cgroup/cpu/sf-quiet-{os.getpid()}-{name}"
    os.mkdir(path)
    with open(path + "/cpu.shares", "w") as f:
        f.write(str(shares))
    return path


def enter(path):
    with open(path + "/cgroup.procs", "w") as f:
        f.write(str(os.getpid()))


class Loops:
    def __init__(self, directory, program):
        self.cells, self.children = [], []
        for cpu in sorted(os.sched_getaffinity(0)):
            cell = f"{directory}/cell{cpu}"
            with open(cell, "wb") as f:
                f.write(bytes(4096))
            self.children.append(subprocess.Popen([program, str(cpu), cell]))
            self.cells.append(cell)

    def read(self):
        import struct
        values = [struct.unpack("2d", open(c, "rb").read(16)) for c in self.cells]
        return sum(v[0] for v in values), sum(v[1] for v in values)

    def move(self, path):
        for child in self.children:
            with open(path + "/cgroup.procs", "w") as f:
                f.write(str(child.pid))

    def end(self):
        for child in self.children:
            child.kill()
            child.wait()


def session_time(leader):
    """Processor seconds of a session's processes and of those that they waited for."""
    total = 0
    for pid in subprocess.run(["pgrep", "-s", str(leader)], capture_output=True, text=True).stdout.split():
        try:
            with open(f"/proc/{pid}/stat") as f:
                total += sum(int(n) for n in f.read().rpartition(")")[2].split()[11:15])
        except OSError:
            pass
    return total / os.sysconf("SC_CLK_TCK")


def window(loops, command, seconds, where):
    """Work, processor time of the loops, processor time of the command, wall time. What the start of a command costs is left out:
    a stage that gives way takes minutes."""
    def begin():
        os.setsid()
        if where:
            enter(where)
    child = subprocess.Popen(command, preexec_fn=begin, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) if command else None
    time.sleep(START)
    spent = session_time(child.pid) if child else 0
    start, begun = loops.read(), time.monotonic()
    time.sleep(seconds)
    end, wall = loops.read(), time.monotonic() - begun
    if child:
        spent = session_time(child.pid) - spent
        os.killpg(child.pid, signal.SIGKILL)
        child.wait()
    return end[0] - start[0], end[1] - start[1], spent, wall


def main():
    agent, repo, root_json, base, version, toolchain = [os.path.abspath(a) if i < 3 else a for i, a in enumerate(sys.argv[1:7])]
    rounds, seconds = int((sys.argv[7:] + ["6"])[0]), float((sys.argv[8:] + ["8"])[0])
    if not os.environ.get("SF_QUIET_MOUNTS"):  # nothing of this machine's own sf-node is touched
        os.environ["SF_QUIET_MOUNTS"] = "1"
        os.execvp("unshare", ["unshare", "--mount", sys.executable] + sys.argv)
    directory = tempfile.mkdtemp(dir="/dev/shm")
    subprocess.run(["mount", "-t", "tmpfs", "sf-quiet", "/var/lib"], check=True)
    with open(directory + "/loop.c", "w") as f:
        f.write(LOOP)
    subprocess.run(["cc", "-O2", "-o", directory + "/loop", directory + "/loop.c"], check=True)
    open(directory + "/conf", "w").close()
    call = f"{agent} -q --config {directory}/conf --prefix {directory}/opt --toolchain {toolchain} --repo file://{repo}"
    subprocess.run(f"{call} trust {root_json} && {call} stage --fast {base}", shell=True, check=True)
    def again(flags=""):
        # A quiet process starts quiet each time; rm and shell are part of what is measured, and little.
        return ["sh", "-c", f"while rm -rf {directory}/opt/releases/*{version}*; do {call} stage {flags} {version} || exit; done"]
    modes = {"nothing": (None, None, False), "stage": (again(), None, False),
             "--fast": (again("--fast"), None, False)}
    groups = []
    if os.path.exists("/sys/fs/cgroup/cpu/cpu.shares"):
        jobs, light, heavy = group("jobs", 1024), group("light", 10), group("heavy", 1024)
        groups = [jobs, light, heavy]
        modes.update({"groups: nothing": (None, None, True), "groups: weight 1": (again("--fast"), light, True),
                      "groups: weight 100": (again("--fast"), heavy, True)})
    loops = Loops(directory, directory + "/loop")
    results = {name: [] for name in modes}
    try:
        for _ in range(rounds):
            for name in random.sample(sorted(modes), len(modes)):
                command, where, grouped = modes[name]
                if groups:
                    loops.move(groups[0] if grouped else "/sys/fs/cgroup/cpu")
                time.sleep(0.5)
                results[name].append(window(loops, command, seconds, where))
    finally:
        loops.end()
        for g in groups:
            for _ in range(50):
                try:
                    os.rmdir(g)
                    break
                except OSError:
                    time.sleep(0.1)
        shutil.rmtree(directory)
    cpus = len(loops.cells)
    print(f"{cpus} processors, {rounds} windows of {seconds:g} s each; load now {os.getloadavg()[0]:.0f}")
    for name, rows in results.items():
        base = results["groups: nothing" if name.startswith("groups") else "nothing"]
        taken = sum(r[2] for r in rows) / sum(r[1] + r[2] for r in rows) * 100
        # Side by side: this window against the one without sf-node of the same round.
        per_cpu = [r[0] / r[1] / (b[0] / b[1]) * 100 - 100 for r, b in zip(rows, base)]
        per_wall = [r[0] / r[3] / (b[0] / b[3]) * 100 - 100 for r, b in zip(rows, base)]
        print(f"{name:20} takes {taken:6.3f} % of the processor time; work per processor second {statistics.median(per_cpu):+6.2f} % "
              f"({min(per_cpu):+.1f} .. {max(per_cpu):+.1f}), per second {statistics.median(per_wall):+6.2f} % "
              f"({min(per_wall):+.1f} .. {max(per_wall):+.1f})")


main()
