#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""workflows.py check BUILDDIR: the workflows' structure, what each job may do and see, and every call of our programs against --help.
workflows.py step FILE JOB WORD: prints the shell, then the `run`, of the one step whose lines or variables hold the word."""
import glob
import re
import shlex
import subprocess
import sys

import yaml

INPUTS = {"slurm_versions", "toolchains", "architectures", "use_buildcache"}
STAGES = ["build-and-publish-slurm-dependencies", "build-and-publish-slurm"]
CALL = re.compile(r"(?:^|[\s(|&;])(?:\./)?(slurm-factory|sf-node)(?=\s)((?:\\\n|[^\n|;&])*)")


def options_of(text):
    """name -> does it take an argument"""
    return {m[1]: m[2] is not None for m in re.finditer(r"^ +(?:-\w, )?(--[a-z-]+)(?: (\S+))?(?:  |$| )", text, re.M)}


class Program:
    def __init__(self, path):
        self.path = path
        text = self.help()
        self.verbs = re.findall(r"^  ([a-z][a-z-]*)", text[text.index("Verbs:"):].split("\n\n")[0], re.M)
        assert len(self.verbs) >= 5, path

    def help(self, *verb):
        return subprocess.run([self.path, *verb, "--help"], check=True, capture_output=True, text=True).stdout

    def check(self, words):
        """What is wrong with a call; words without the program itself."""
        verb = next((w for w in words if w in self.verbs), None)
        if not verb:
            return "no verb in: %s" % " ".join(words)
        known = options_of(self.help(verb))
        rest = iter(words)
        seen = False
        for word in rest:
            name = word.split("=")[0]
            if word.startswith("-") and name not in known:
                return "%s has no %s" % (verb, name)
            if word.startswith("--") and known[name] and "=" not in word and next(rest, None) is None:
                return "%s %s without its argument" % (verb, name)
            if not word.startswith("-") and not seen:
                if word != verb:
                    return "%s is no verb" % word
                seen = True
        return None


def triggers(workflow):
    return workflow.get("on", workflow.get(True))  # YAML 1.1 reads "on" as a boolean


def check_job(name, job, jobs):
    bad = []
    needs = job.get("needs", [])
    for need in [needs] if isinstance(needs, str) else needs:
        if need not in jobs:
            bad.append("needs %s, which is no job" % need)
    if "runs-on" not in job or not job.get("steps"):
        bad.append("no runs-on or no steps")
    if "strategy" in job and job["strategy"].get("fail-fast") is not False:
        bad.append("fail-fast is not off")
    for step in job.get("steps", []):
        if ("run" in step) == ("uses" in step):
            bad.append("a step is neither run nor uses: %s" % step)
        if "uses" in step and not re.fullmatch(r"[\w.-]+/[\w.-]+@v\d+", step["uses"]):
            bad.append("uses %s: no version" % step["uses"])
        if "${{" in step.get("run", "") and "matrix.suite" not in step["run"]:
            bad.append("an expression inside run, where it becomes shell: %s" % step["run"])
    # What can sign or write stands behind an environment's rules, and nothing is built there by strangers' inputs.
    text = yaml.safe_dump(job)
    powers = "secrets." in text or job.get("permissions", {}).get("id-token") == "write"
    if powers and "environment" not in job:
        bad.append("secrets or id-token without an environment")
    if "environment" in job and job.get("concurrency") != {"group": "slurm-repository", "cancel-in-progress": False}:
        bad.append("two of its kind may run at once")
    if "configure-aws-credentials" in text and ("role-to-assume" not in text or "access-key" in text):
        bad.append("AWS without a role")
    return ["%s: %s" % (name, b) for b in bad]


def check_stages(workflows):
    bad = []
    for stage in STAGES:
        inputs = triggers(workflows[stage])["workflow_dispatch"]["inputs"]
        if set(inputs) != INPUTS or inputs["use_buildcache"]["type"] != "boolean":
            bad.append("%s: inputs %s" % (stage, sorted(inputs)))
        if workflows[stage].get("permissions") != {"contents": "read"}:
            bad.append("%s: permissions" % stage)
    second = workflows[STAGES[1]]
    if not triggers(second).get("schedule") or "schedule" not in second["jobs"]["refresh"]["if"]:
        bad.append("refresh is not scheduled")
    if any("id-token" in yaml.safe_dump(j) for n, j in second["jobs"].items() if n not in ("publish", "refresh")):
        bad.append("another job than publish and refresh gets a token")
    if "RELEASES" in yaml.safe_dump(second["jobs"]["refresh"]):
        bad.append("refresh sees the key of releases")
    return bad


def check_calls(workflows, builddir):
    programs = {name: Program("%s/%s" % (builddir, name)) for name in ("slurm-factory", "sf-node")}
    bad, verbs = [], set()
    for where, workflow in workflows.items():
        for job in workflow["jobs"].values():
            for step in job["steps"]:
                for name, text in CALL.findall(step.get("run", "")):
                    words = shlex.split(text.replace("\\\n", " "))
                    problem = programs[name].check(words)
                    bad += ["%s: %s: %s" % (where, name, problem)] if problem else []
                    verbs |= {w for w in words if w in programs[name].verbs}
    want = {"matrix", "root", "trust", "build-deps", "build-slurm", "publish", "refresh"}
    if not want <= verbs:
        bad.append("calls that were not found: %s" % sorted(want - verbs))
    for wrong in ("--data etc publsh x", "publish x --lyers", "publish x --repo"):
        assert programs["slurm-factory"].check(wrong.split()), wrong
    return bad


def check(builddir):
    workflows = {}
    for path in glob.glob(".github/workflows/*.yml"):
        with open(path, encoding="utf-8") as f:
            workflows[path.split("/")[-1][:-4]] = yaml.safe_load(f)
    bad = check_stages(workflows) + check_calls(workflows, builddir)
    for where, workflow in workflows.items():
        for name, job in workflow["jobs"].items():
            bad += ["%s: %s" % (where, b) for b in check_job(name, job, workflow["jobs"])]
    print("\n".join(bad) if bad else "%d workflows as they should be" % len(workflows))
    return bool(bad)


def step(path, job, word):
    with open(path, encoding="utf-8") as f:
        steps = [s for s in yaml.safe_load(f)["jobs"][job]["steps"] if word in s.get("run", "") + str(s.get("env", ""))]
    assert len(steps) == 1, (job, word, steps)
    # In a container the default is sh.
    print(steps[0].get("shell", "sh"), steps[0]["run"], sep="\n")


if sys.argv[1] == "check":
    sys.exit(check(sys.argv[2]))
step(*sys.argv[2:5])
