"""Break the library on purpose, one bug at a time, and check that a test notices each.

    python tests/mutants/run.py             all mutants; writes report.md beside this file
    python tests/mutants/run.py --quick     those that mutants.toml marks as quick
    python tests/mutants/run.py --only NAME [NAME ...]

A mutant is a patch in this folder, whose first line says what the bug is, and an entry in
mutants.toml, which names the one test that must notice it.  The script copies the tree to a
temporary directory and builds it there once.  All named tests must pass on that copy.  Then it
applies one patch at a time, compiles what has changed, and runs the patch's test, which must fail
by an assertion.  The exit status is 1 if a mutant survives.

It needs git, a C compiler, and meson, ninja, cython and the extra `test` in the environment; the
mutants of the framework modules need the extra `integration`, too.  The environment must not have
an editable install of fastinit, which Python would import instead of the copy.
"""

from __future__ import annotations

import argparse
import os
import platform
import re
import shutil
import subprocess
import sys
import time
import tomllib
import xml.etree.ElementTree as ElementTree
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

HERE = Path(__file__).parent
ROOT = HERE.parents[1]

# How pytest's messages of failed assertions begin, and of an error that was not raised.
ASSERTIONS = ("AssertionError", "assert ", "Failed: DID NOT")
# What a test's own process may say where the mutant is no valid program.
BROKEN = ("ImportError", "ModuleNotFoundError", "SyntaxError", "NameError")

# The kernels are built for the portable instruction set alone, and with less optimization.  A build
# takes a tenth of the time then.  All instruction sets share the code that the mutants are in.
C_ARGS = "-Dc_args=-O1"
FAMILY = re.compile(r"host_machine\.cpu_family\(\) == '\w+'")

TEST_SECONDS = 180  # the most that one test may take


@dataclass(frozen=True)
class Mutant:
    """A bug, and the test that must notice it."""

    name: str
    test: str  # a node id of pytest, of all cases of the test or of one of them
    shipped: bool  # another library shipped it
    quick: bool
    integration: bool  # the test needs another library

    @property
    def patch(self):
        """The text of its patch."""
        return (HERE / f"{self.name}.patch").read_text(encoding="utf-8")

    @property
    def bug(self):
        """What is wrong, in a sentence."""
        return self.patch.splitlines()[0]


def read_mutants():
    """Return all mutants of mutants.toml in its order."""
    with open(HERE / "mutants.toml", "rb") as file:
        table = tomllib.load(file)
    return [
        Mutant(
            name=name,
            test=entry["test"],
            shipped=entry.get("shipped", False),
            quick=entry.get("quick", False),
            integration=entry.get("integration", False),
        )
        for name, entry in table.items()
    ]


def hunks(patch):
    """Return path, old text and new text of each hunk of a unified diff."""
    found, path = [], ""
    for line in patch.splitlines(keepends=True):
        if line.startswith("+++ "):
            path = line.removeprefix("+++ b/").strip()
        elif line.startswith("@@ "):
            found.append((path, [], []))
        elif found and not line.startswith(("diff ", "index ", "--- ")):
            _, old, new = found[-1]
            old += [line[1:]] if line[0] in " -" else []
            new += [line[1:]] if line[0] in " +" else []
    return [(path, "".join(old), "".join(new)) for path, old, new in found]


def patched(tree, patch):
    """Return {path: (text, text with the patch)}; raise ValueError where the patch does not apply.

    The old lines of a hunk must stand in the file exactly once, at whatever line.
    """
    files = {}
    for path, old, new in hunks(patch):
        if path not in files:
            text = (tree / path).read_text(encoding="utf-8")
            files[path] = text, text
        before, text = files[path]
        if old == new or text.count(old) != 1:
            raise ValueError(f"the patch does not apply: {path} has {text.count(old)} times\n{old}")
        files[path] = before, text.replace(old, new)
    if not files:
        raise ValueError("the patch is empty")
    return files


def run(command, tree, **environment):
    """Run a command in the tree, with the modules of the tree; return its result."""
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    return subprocess.run(
        command,
        cwd=tree,
        env={
            **os.environ,
            "PATH": path,
            "PYTHONPATH": str(tree / "src"),
            "PYTHONDONTWRITEBYTECODE": "1",  # else a change within one second could be missed
            "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",  # plugins of others take a second to import
            **environment,
        },
        capture_output=True,
        text=True,
        timeout=TEST_SECONDS,
    )


def checked(command, tree):
    """Run a command that must succeed; return what it prints."""
    done = run(command, tree)
    if done.returncode:
        raise SystemExit(f"{' '.join(command)} failed:\n{done.stdout}{done.stderr}")
    return done.stdout.strip()


class Tree:
    """A copy of the tree, its build, and the tests on it."""

    def __init__(self, work):
        self.tree = work / "tree"
        self.build = work / "build"
        self.results = work / "results.xml"
        self.extensions = {}  # the compiled modules of the tree without a mutant

        names = checked(["git", "ls-files", "-z"], ROOT)
        for name in filter(None, names.split("\0")):
            (self.tree / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, self.tree / name)
        build = self.tree / "src" / "core" / "meson.build"
        build.write_text(FAMILY.sub("false", build.read_text(encoding="utf-8")), encoding="utf-8")
        meson = [sys.executable, "-m", "mesonbuild.mesonmain"]
        checked([*meson, "setup", C_ARGS, str(self.build), "."], self.tree)
        self.compile()
        for path in (self.tree / "src" / "fastinit").glob("_*.so"):
            self.extensions[path] = path.read_bytes()
        place = checked(
            [sys.executable, "-c", "import fastinit; print(fastinit.__file__)"], self.tree
        )
        if not self.is_imported(place):
            raise SystemExit(f"Python imports {place}, not the copy: is it an editable install?")

    def is_imported(self, place):
        """Return whether that file is the copy's."""
        return Path(place).resolve().is_relative_to(self.tree.resolve())

    def compile(self):
        """Build what has changed, and put the compiled modules beside the others."""
        checked(["ninja", "-C", str(self.build)], self.tree)
        for path in (self.build / "src" / "fastinit").glob("_*.so"):
            shutil.copy(path, self.tree / "src" / "fastinit")

    def test(self, tests, integration):
        """Run tests; return the messages of the failures, and how many tests have passed."""
        self.results.unlink(missing_ok=True)
        options = ["-q", "-x", "-p", "no:cacheprovider", f"--junitxml={self.results}"]
        options += ["-m", "integration"] if integration else []
        done = run([sys.executable, "-m", "pytest", *options, *tests], self.tree)
        if not self.results.exists():
            return [f"pytest said: {done.stdout}{done.stderr}"], 0
        failures, passed = [], 0
        for case in ElementTree.parse(self.results).iter("testcase"):
            wrong = [case.find(kind) for kind in ("failure", "error", "skipped")]
            messages = [found.get("message", "") for found in wrong if found is not None]
            failures += messages
            passed += not messages
        if done.returncode and not failures:
            failures.append(f"pytest said: {done.stdout}{done.stderr}")
        return failures, passed

    def survives(self, mutant):
        """Return why a mutant is not caught as it should be, or None; and the seconds it took."""
        start = time.monotonic()
        files = patched(self.tree, mutant.patch)
        try:
            for path, (_, text) in files.items():
                (self.tree / path).write_text(text, encoding="utf-8")
            if any(path.endswith((".c", ".h", ".pyx")) for path in files):
                self.compile()
            built = time.monotonic()
            try:
                failures, passed = self.test([mutant.test], mutant.integration)
            except subprocess.TimeoutExpired:
                failures, passed = [f"no result in {TEST_SECONDS} seconds"], 0
        finally:
            for path, (text, _) in files.items():
                (self.tree / path).write_text(text, encoding="utf-8")
            for path, content in self.extensions.items():
                path.write_bytes(content)
        end = time.monotonic()
        why = None
        if not failures:
            why = f"{passed} tests passed"
        elif not all(is_assertion(message) for message in failures):
            why = "the test did not fail by an assertion: " + " ".join(failures)[:2000]
        return why, built - start, end - built


def is_assertion(message):
    """Return whether a failure is that of an assertion, and not that of a broken program."""
    return message.startswith(ASSERTIONS) and not any(word in message for word in BROKEN)


def processor():
    """Return the name of the processor and how many of them may be used."""
    name = platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text().splitlines() if cpuinfo.exists() else []
    for line in lines:
        if line.startswith("model name"):
            name = line.partition(":")[2].strip()
    return f"{name}, {os.cpu_count()} processors"


def report(rows, seconds, isas):
    """Return the page: a table of the mutants, and where and when they were made."""
    caught = sum(why is None for _, why, _, _ in rows)
    lines = [
        "# Mutants",
        "",
        "`python tests/mutants/run.py` wrote this page. Each mutant is a bug that a patch puts",
        "into a copy of the tree. The test beside it passes without the patch, and fails by an",
        "assertion with it. The bugs of the first table were shipped by other libraries.",
        "",
        f"{caught} of {len(rows)} mutants were caught, in {seconds:.0f} seconds, on {processor()},",
        f"{platform.system()}, Python {platform.python_version()}, kernels {isas},",
        f"{time.strftime('%Y-%m-%d', time.gmtime())}.",
    ]
    for title, shipped in (("Bugs that others shipped", True), ("Other bugs", False)):
        lines += [
            "",
            f"## {title}",
            "",
            "| mutant | bug | test | seconds to build | and to test |",
            "|---|---|---|---:|---:|",
        ]
        for mutant, why, build, test in rows:
            if mutant.shipped == shipped:
                caught_by = f"`{mutant.test}`" if why is None else f"SURVIVES `{mutant.test}`"
                name = f"[{mutant.name}]({mutant.name}.patch)"
                lines.append(f"| {name} | {mutant.bug} | {caught_by} | {build:.1f} | {test:.1f} |")
    return "\n".join(lines) + "\n"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", nargs="+", metavar="NAME", help="run these mutants")
    parser.add_argument("--quick", action="store_true", help="run the mutants marked as quick")
    parser.add_argument("--report", type=Path, help="where to write the table")
    asked = parser.parse_args()
    mutants = read_mutants()
    if asked.only:
        unknown = set(asked.only) - {mutant.name for mutant in mutants}
        if unknown:
            parser.error(f"unknown mutants: {', '.join(sorted(unknown))}")
        mutants = [mutant for mutant in mutants if mutant.name in asked.only]
    elif asked.quick:
        mutants = [mutant for mutant in mutants if mutant.quick]
    page = asked.report
    if page is None and not asked.only and not asked.quick:
        page = HERE / "report.md"

    start = time.monotonic()
    rows = []
    with TemporaryDirectory(prefix="mutants-") as work:
        tree = Tree(Path(work))
        isas = checked(
            [
                sys.executable,
                "-c",
                "from fastinit import _kernels as k; print(*k.isas(), sep=', ')",
            ],
            Path(work) / "tree",
        )
        print(f"[{time.monotonic() - start:.0f} s] built without a mutant", flush=True)
        for integration in (False, True):
            tests = [mutant.test for mutant in mutants if mutant.integration == integration]
            failures, _ = tree.test(dict.fromkeys(tests), integration) if tests else ([], 0)
            if failures:
                raise SystemExit("a test does not pass without a mutant:\n" + "\n".join(failures))
        print(f"[{time.monotonic() - start:.0f} s] all tests pass without a mutant", flush=True)
        for mutant in mutants:
            why, build, test = tree.survives(mutant)
            rows.append((mutant, why, build, test))
            state = "caught" if why is None else f"SURVIVES: {why}"
            times = f"{build:.1f} s to build, {test:.1f} s to test"
            print(
                f"[{time.monotonic() - start:.0f} s] {mutant.name}: {state} ({times})", flush=True
            )
    if page is not None:
        page.write_text(report(rows, time.monotonic() - start, isas), encoding="utf-8")
    return 1 if any(why is not None for _, why, _, _ in rows) else 0


if __name__ == "__main__":
    sys.exit(main())
