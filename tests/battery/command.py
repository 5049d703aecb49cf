"""The command line of the battery, and its report."""

import argparse
import platform
import time
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

from fastinit import _kernels

from . import haar
from .controls import CONTROLS, check
from .engine import HARD, RERUN, SOFT, UNIFORMITY, execute, find, runner, uniformity
from .plan import P_VALUES, SEEDS, TESTS

REPORT = Path(__file__).with_name("report.md")
PROCESSES = 2


def main(arguments=None):
    """Run what the arguments say, and return the exit status."""
    parser = argparse.ArgumentParser(prog="python tests/battery", description=__doc__)
    parser.add_argument("--full", action="store_true", help="2^32 samples and more")
    parser.add_argument("--controls", action="store_true", help="faults that must be found")
    parser.add_argument("--only", metavar="NAME", help="the tests whose names begin with this")
    parser.add_argument("--list", action="store_true", help="print the names and sizes")
    parser.add_argument("--processes", type=int, default=PROCESSES, metavar="N")
    parser.add_argument("--report", type=Path, default=REPORT, metavar="FILE")
    options = parser.parse_args(arguments)
    if options.list:
        for test in TESTS.values():
            print(f"{test.name}: {test.short:,} / {test.full:,} samples, {test.count} p-values")
        print(f"{P_VALUES['short']} p-values in the short form, {P_VALUES['full']} in the full one")
        return 0
    with runner(options.processes) as run:
        if options.controls:
            return run_controls(run)
        return run_tests(run, options)


def run_controls(run):
    missed = 0
    for control in CONTROLS:
        start = time.perf_counter()
        result, failures = check(run, control)
        judged = {**result.p, **{n: min(p, result.p[n]) for n, p in _again(result).items()}}
        seconds = time.perf_counter() - start
        if failures:
            name = min(failures, key=judged.get)
            print(
                f"found in {seconds:.1f} s: {control.name}, by {control.test}, {name}: "
                f"p = {judged[name]:.1e}",
                flush=True,
            )
        else:
            missed += 1
            print(f"MISSED in {seconds:.1f} s: {control.name}, by {control.test}", flush=True)
    return 1 if missed else 0


def _again(result):
    return result.rerun.p if result.rerun else {}


def run_tests(run, options):
    start = time.perf_counter()
    form = "full" if options.full else "short"
    chosen = [
        test
        for test in (find(options.only) if options.only else TESTS.values())
        if getattr(test, form)
    ]
    results = []
    for i, test in enumerate(chosen, 1):
        result = execute(run, test, form)
        results.append(result)
        least = min(result.p, key=result.p.get)
        words = f"least p {result.p[least]:.2g} ({least})"
        if result.rerun:
            words += f", again {result.rerun.p[least]:.2g}"
        if result.failures:
            words += f"; FAILED: {', '.join(result.failures)}"
        print(
            f"{time.perf_counter() - start:6.0f} s  {i}/{len(chosen)}  {test.name}, "
            f"{_power(result.n)}: {words}",
            flush=True,
        )
        if options.only:
            for name, p in result.p.items():
                print(f"          {name}: {p:.3g}")
            if test.known:
                print(haar.describe_windows(result.sums))
    failed = [result for result in results if result.failures]
    if options.only:
        return 1 if failed else 0
    number = sum(len(result.p) for result in results)
    if number != P_VALUES[form]:
        raise AssertionError(f"{number} p-values were made, {P_VALUES[form]} were declared")
    together = uniformity(results)
    for name, p in together.items():
        print(f"{name}: {p:.2g}")
    not_uniform = any(p < UNIFORMITY for p in together.values())
    seconds = time.perf_counter() - start
    options.report.write_text(report(form, results, together, seconds, options))
    print(f"{number} p-values in {seconds:.0f} s, {len(failed)} tests failed; see {options.report}")
    return 1 if failed or not_uniform else 0


def _power(n):
    """Return n as a power of 2 where it is one."""
    return f"2^{n.bit_length() - 1}" if n & n - 1 == 0 else f"{n:,}"


def machine():
    name = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.exists():
        lines = [line.partition(":") for line in info.read_text().splitlines()]
        found = {key.strip(): value.strip() for key, _, value in lines}
        name = "{} (family {}, model {})".format(
            *(found.get(key, "?") for key in ("model name", "cpu family", "model"))
        )
    return f"{name}, {platform.system()}, Python {platform.python_version()}"


def report(form, results, together, seconds, options):
    """Return the report as Markdown."""
    number = P_VALUES[form]
    failed = [result for result in results if result.failures]
    again = [result for result in results if result.rerun]
    command = "python tests/battery" + (" --full" if form == "full" else "")
    packages = ("fastinit-kernels", "numpy", "scipy")
    versions = "; ".join(f"{name} {version(name)}" for name in packages)
    known = next(result for result in results if result.test.known)
    lines = [
        "# Report of the statistical battery",
        "",
        f"This is the **{form} form**, written by `{command}` on {datetime.now(UTC):%Y-%m-%d}, in "
        f"{seconds:.0f} s with {options.processes} processes"
        + ("." if form == "full" else "; the full form takes far more samples."),
        "",
        f"Machine: {machine()}. Kernels: {_kernels.isa()}, stream version "
        f"{_kernels.STREAM_VERSION}. Versions: {versions}.",
        "",
        f"**{len(failed)} of {len(results)} tests failed"
        + (f": {', '.join(r.test.name for r in failed)}.**" if failed else ".**"),
        "",
        "## Thresholds",
        "",
        f"{number} p-values were declared, and as many were made. Below {HARD:g} a p-value is a "
        f"failure. Below {SOFT:g} its test is run again on the next declared seed, with {RERUN} "
        f"times the samples, and a p-value below {SOFT:g} again is a failure. A right stream fails "
        f"with a probability of {number * (HARD + SOFT**2):.1e} at most, and {number * SOFT:.2f} "
        f"tests are expected to run again; {len(again)} did"
        + (f": {', '.join(r.test.name for r in again)}." if again else "."),
        "",
        f"All p-values together must be uniform, with p above {UNIFORMITY:g} each, which adds "
        f"{2 * UNIFORMITY:g} to that probability. Those that are functions of others of the same "
        "test or nearly never random are left out (`dependent` in `plan.py`). Of what is left some "
        "are dependent in a smaller way, through samples that tests share, so these two are "
        "approximate:",
        "",
        *(f"- {name}: p = {p:.2g}" for name, p in together.items()),
        "",
        "## The known outlier",
        "",
        haar.describe_windows(known.sums),
        "",
        "## What is not tested",
        "",
        "Parameters other than a mean of 0 and a standard deviation of 1, or [0, 1), as these are "
        "one multiplication and one addition of the same variates; orthogonal float16 and "
        "bfloat16, which are rounded float32 matrices; and linear complexity and ranks of the raw "
        "words, for which others have tested Philox.",
        "",
        "## All p-values",
        "",
        f"Seeds count from {SEEDS} (`plan.py`). Samples are elements, matrices, or seeds.",
        "",
        "| test | samples | seed | s | p-values |",
        "| --- | ---: | ---: | ---: | --- |",
    ]
    for result in results:
        for what, r in (("", result), (" (again)", result.rerun)):
            if r:
                listed = "; ".join(f"{name} {p:.2g}" for name, p in r.p.items())
                lines.append(
                    f"| {r.test.name}{what} | {_power(r.n)} | {r.seed} | {r.seconds:.0f} | "
                    f"{listed} |"
                )
    return "\n".join(lines) + "\n"
