"""The table at the end of a run: NumPy's time, and how many times faster each variant is."""

from collections import defaultdict

import numpy as np

import fastinit


def pytest_terminal_summary(terminalreporter, config):
    session = getattr(config, "_benchmarksession", None)
    groups = defaultdict(dict)
    for result in session.benchmarks if session else ():
        groups[result.group][result.extra_info["runner"]] = result.stats.min
    if not groups:
        return
    runners = list(dict.fromkeys(r for row in groups.values() for r in row))
    write = terminalreporter.write_line
    terminalreporter.section("times faster than NumPy (best of the rounds of one run)")
    write(f"fastinit {fastinit.__version__}, NumPy {np.__version__}; columns: ISA, threads")
    write("")
    head = ["case", "numpy", *runners[1:]]
    rows = []
    for group, times in groups.items():
        base = times.get("numpy")
        if base is None:
            continue
        scale, unit = next(
            (s, u) for s, u in ((1, "s"), (1e-3, "ms"), (1e-6, "us")) if base >= s or s == 1e-6
        )
        ratios = [f"{base / times[r]:.1f}" if r in times else "" for r in runners[1:]]
        rows.append([group, f"{base / scale:.3g} {unit}", *ratios])
    for row in [head, ["---"] + ["---:"] * (len(head) - 1), *rows]:
        write("| " + " | ".join(row) + " |")
