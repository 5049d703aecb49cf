"""The cases, the ratios to reach, and the report: bench/results.md."""

import os
import platform
import re
import statistics
import subprocess
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from math import prod
from pathlib import Path

from fastinit import _kernels

HERE = Path(__file__).parent
COMMAND = ".venv/bin/pip install '.[bench]' && .venv/bin/python -m pytest bench --write-results"
LARGE = (4096, 4096)
ROWS = (2**20, 128)
NARROW = [(2**20, 1), (2**17, 8), (2**14, 64)]
LOOKUP = (1000, 64)
FILE = (2**28,)  # 1 GiB


@dataclass(frozen=True)
class Case:
    """One fill to time, by the runners whose names match."""

    name: str
    dtype: str
    shape: tuple
    memory: str
    rounds: int = 5
    only: str = ""  # a regular expression
    at_least: float = 0.002  # seconds; shorter calls are repeated

    def __str__(self):
        shape = "x".join(map(str, self.shape))
        return f"{self.name} {self.dtype} {shape} {self.memory}"

    def wants(self, runner):
        return re.match(self.only, runner) is not None


BEST = _kernels.isas()[-1]
FASTEST = f"fastinit {BEST}"
ONE = f"{FASTEST}, 1"
BOUNDS = ("-3 3", "-1 1", "0 inf", "4 inf")
FRESH = "fastinit|limit|numpy, 1"
SMALL = "fastinit [^,]*, 1|numpy, 1|torch, 1|mkl, 1"
ORTHOGONAL = "numpy, |torch|jax|keras"
DISTRIBUTIONS = ("uniform", "normal", "truncated")
longer = partial(Case, rounds=9, at_least=0.05)  # the ratios of these are read most closely
GROUPS = [  # The cases of a group take turns, so cases that are compared stand in one group.
    [
        *(longer(name, "float32", LARGE, "out") for name in ("limit", *DISTRIBUTIONS)),
        longer("truncated", "bfloat16", LARGE, "out", only=f"{FASTEST}|torch|jax"),
        longer("truncated", "float32", LARGE, "memmap", only=FASTEST),
        *(longer(f"between {bounds}", "float32", LARGE, "out", only=ONE) for bounds in BOUNDS),
    ],
    [Case(name, "float64", LARGE, "out") for name in ("limit", *DISTRIBUTIONS)],
    *(
        [Case(n, dtype, LARGE, "fresh", only=FRESH) for n in ("limit", *DISTRIBUTIONS)]
        for dtype in ("float32", "float64")
    ),
    *(
        [Case(name, "float32", shape, "out", 15, SMALL) for name in DISTRIBUTIONS]
        for shape in ((8,), (64,), (64, 64))
    ),
    [Case("truncated", "float32", (8,), "fresh", 15, SMALL)],
    *(
        [Case("orthogonal", "float32", shape, "out", 3, rf"{FASTEST}|limit|{peers}")]
        for shape, peers in (
            ((1024, 1024), ORTHOGONAL),
            ((2048, 2048), ORTHOGONAL),
            ((4096, 4096), "torch"),
            ((16384, 256), ORTHOGONAL),
        )
    ),
    [Case(name, "float32", ROWS, "out", only=FASTEST) for name in ("rows", "truncated")],
    *(
        [Case(name, "float32", shape, "out", 15, ONE) for name in ("rows", "truncated")]
        for shape in NARROW
    ),
    [Case("lookup", "float32", LOOKUP, "fresh", 15, f"{ONE}|numpy, 1")],
    [
        Case("create", "float32", FILE, "file", 3, f"{FASTEST}|limit"),
        Case("truncated", "float32", FILE, "out", 3, FASTEST),
    ],
    # 64 MiB and 4 GiB, both of which exist all the time on huge pages, timed for about as long.
    [Case("normal", "float32", (2**n,), "out", 7, f"{FASTEST}, 1", 1.0) for n in (24, 30)],
]
CASES = [case for group in GROUPS for case in group]


def targets():
    """Return (name, (case, runner), (case, runner), must, aim) for each ratio to reach.

    It is the time of an element of the first / of the second; of several seconds the slowest of
    each round counts.
    """

    def of(name, dtype="float32", shape=LARGE, memory="out"):
        return Case(name, dtype, shape, memory)

    u, n, t = of("uniform"), of("normal"), of("truncated")
    u64, n64, fresh = (
        of("uniform", "float64"),
        of("normal", "float64"),
        of("truncated", memory="fresh"),
    )
    one, two = f"{FASTEST}, 1", f"{FASTEST}, 2"
    avx2, plain = "fastinit avx2, 1", "fastinit portable, 1"
    held = "mkl held to AVX2, 1" if BEST == "avx512" else "mkl, 1"
    loop = "numpy, 1"
    to_loop = (1 / 15, 1 / 18) if BEST == "avx512" else (1 / 12, 1 / 14)
    rows = [
        ("uniform f32 / MKL", (u, one), (u, "mkl, 1"), 1.0, 0.75),
        ("normal f32 / MKL", (n, one), (n, "mkl, 1"), 0.75, 0.55),
        ("truncated f32 / our normal f32", (t, one), (n, one), 1.2, 1.0),
        ("truncated f32 / NumPy redraw loop", (t, one), (t, loop), *to_loop),
        ("truncated f32 / torch trunc_normal_", (t, one), (t, "torch, 1"), 1 / 45, 1 / 80),
        ("uniform f64 / MKL", (u64, one), (u64, "mkl, 1"), 1.0, 0.9),
        ("normal f64 / MKL", (n64, one), (n64, "mkl, 1"), 0.85, 0.65),
        ("AVX2 uniform f32 / MKL held to AVX2", (u, avx2), (u, held), 0.9, 0.7),
        ("AVX2 normal f32 / MKL held to AVX2", (n, avx2), (n, held), 0.85, 0.65),
        ("portable normal f32 / NumPy", (n, plain), (n, loop), 1.0, 0.6),
        ("portable uniform f32 / NumPy", (u, plain), (u, loop), 1.0, None),
        ("2 threads / 1, normal f32", (n, two), (n, one), 0.58, 0.52),
        (
            "fresh truncated f32, 2 threads / np.ones",
            (fresh, two),
            (of("limit", memory="fresh"), "limit, 1"),
            1.2,
            1.0,
        ),
        (
            "normal f32, an element of 2^30 / of 2^24",
            (of("normal", shape=(2**30,)), one),
            (of("normal", shape=(2**24,)), one),
            1.1,
            1.0,
        ),
    ]
    for bounds in BOUNDS:
        name = f"normal within ({bounds.replace(' ', ', ')}) f32 / our normal f32"
        rows.append((name, (of(f"between {bounds}"), one), (n, one), 2.0, 1.3))
    for shape, must, aim in (((8,), 2.0, 1.0), ((64,), 1.1, 0.9)):
        rows += [
            (
                f"{name} f32 {shape} / NumPy",
                (of(name, shape=shape), one),
                (of(name, shape=shape), loop),
                must,
                aim,
            )
            for name in ("uniform", "normal")
        ]
    for n in (1024, 2048, 4096):
        case = of("orthogonal", shape=(n, n))
        for threads in (1, 2):
            what, us = f"orthogonal {n} f32, threads: {threads}", f"{FASTEST}, {threads}"
            rows.append((f"{what} / torch", (case, us), (case, f"torch, {threads}"), 0.4, 0.25))
            for peer, name in (("numpy", "NumPy qr"), ("keras", "Keras")):
                if n < 4096:
                    theirs = (case, f"{peer}, {threads}")
                    rows.append((f"{what} / {name}", (case, us), theirs, 0.2, None))
        if n == 2048:
            rows.append(("orthogonal 2048 f32, 2 threads / 1", (case, two), (case, one), 0.6, 0.55))
    case = of("orthogonal", shape=(16384, 256))
    for threads in (1, 2):
        what, us = f"orthogonal 16384 x 256 f32, threads: {threads}", f"{FASTEST}, {threads}"
        rows.append((f"{what} / torch", (case, us), (case, f"torch, {threads}"), 0.5, None))
    half, mapped = of("truncated", "bfloat16"), of("truncated", memory="memmap")
    rows += [
        ("truncated bf16 / torch trunc_normal_", (half, one), (half, "torch, 1"), 1 / 50, None),
        ("truncated bf16 / our f32", (half, one), (t, one), 1.0, 0.95),
        (
            "truncated f32, memmap in memory / array",
            (mapped, one),
            (t, one),
            1.25,
            None,
        ),
    ]
    by_ids, in_order = of("rows", shape=ROWS), of("truncated", shape=ROWS)
    created, filled = of("create", shape=FILE, memory="file"), of("truncated", shape=FILE)
    for n, us in ((1, one), (2, two)):
        what = f"2^20 rows of 128 by random ids / as many in order, threads: {n}"
        rows.append((what, (by_ids, us), (in_order, us), 2.0, None))
    for shape, must in zip(NARROW, (6.0, 3.0, 1.3), strict=True):
        what = f"{shape[0]} rows of {shape[1]} by random ids / as many in order"
        in_order = of("truncated", shape=shape)
        rows.append((what, (of("rows", shape=shape), one), (in_order, one), must, None))
    lookup = of("lookup", shape=LOOKUP, memory="fresh")
    what = "1000 rows of 64 by random ids / NumPy's index of a table in memory"
    rows.append((what, (lookup, one), (lookup, loop), 1.0, None))
    for n, us in ((1, one), (2, two)):
        what = f"fastinit create, 1 GiB / zeros to the disk or the kernel, threads: {n}"
        slower = (created, "limit, 1"), (filled, us)
        rows.append((what, (created, us), *slower, 1.25, None))
    return rows


def ratio(ours, theirs):
    """Return the median over the rounds of ours / theirs."""
    return statistics.median(a / b for a, b in zip(ours, theirs, strict=True))


def number(x):
    return f"{x:.3g}" if x < 100 else f"{x:.0f}"


def machine():
    cpu = platform.processor()
    info = Path("/proc/cpuinfo")
    if info.exists():
        fields = dict(
            re.split(r"\s*:\s*", line, maxsplit=1)
            for line in info.read_text().splitlines()
            if ":" in line
        )
        cpu = fields.get("model name", cpu)
        cpu += f" (family {fields.get('cpu family')}, model {fields.get('model')})"
    compiler = subprocess.run(["cc", "--version"], capture_output=True, text=True, check=False)
    return (
        f"{cpu}, {len(os.sched_getaffinity(0))} processors, {platform.system()}, "
        f"Python {platform.python_version()}, {(compiler.stdout or 'no cc').splitlines()[0]}"
    )


def table(head, rows):
    lines = [head, ["---"] + ["---:"] * (len(head) - 1), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines) + "\n"


def case_table(results, title, cases, unit=None):
    """Return a table of median times, and of how many times faster this library is.

    It has a row for each runner and a column for each distribution.  Times are in the unit, or in
    nanoseconds an element.
    """
    cases = [c for c in cases if str(c) in results]
    if not cases:
        return ""
    columns = [c for c in cases if c.name != "limit"]
    runners = list(dict.fromkeys(r for c in columns for r in results[str(c)]))
    rows = []
    for case in cases:
        if case.name == "limit" and results[str(case)]:
            median = statistics.median(results[str(case)]["limit, 1"])
            what = "memset" if case.memory == "out" else "np.ones"
            cell = number(median / prod(case.shape) * 1e9)
            rows.append([f"*{what}*", *[cell] * len(columns)])
    for runner in runners:
        row = [runner]
        for case in columns:
            times = results[str(case)].get(runner)
            if times is None:
                row.append("")
                continue
            median = statistics.median(times)
            cell = number(median * (unit or 1e9 / prod(case.shape)))
            same = results[str(case)].get(f"{FASTEST}, {runner[-1]}")
            if same and not runner.startswith("fastinit"):
                cell += f" ({number(1 / ratio(same, times))})"
            row.append(cell)
        rows.append(row)
    return f"### {title}\n\n" + table(["", *(c.name for c in columns)], rows)


def target_table(results, described):
    rows = []
    for what, *sides, must, aim in targets():
        times = [results.get(str(case), {}).get(runner) for case, runner in sides]
        if None in times:
            rows.append([what, "not measured here", number(must), number(aim) if aim else "", ""])
            continue
        ours, *theirs = (
            [t / prod(case.shape) for t in found]
            for (case, _), found in zip(sides, times, strict=True)
        )
        found = ratio(ours, [max(t) for t in zip(*theirs, strict=True)])
        holds = "**no**" if found > must else "aim" if aim is not None and found <= aim else "yes"
        if sides[1][1].startswith("mkl") and "compatible" in described["mkl"]:
            holds += ", of its slowest code"
        rows.append([what, number(found), number(must), number(aim) if aim else "", holds])
    return table(["time of an element, ours / theirs", "here", "must", "aim", "holds"], rows)


def markdown(results, described, missing):
    large = {
        (dtype, memory): [
            c
            for c in CASES
            if (c.shape, c.dtype, c.memory) == (LARGE, dtype, memory)
            and not c.name.startswith(("orthogonal", "between"))
        ]
        for dtype in ("float32", "float64")
        for memory in ("out", "fresh")
    }
    parts = [
        "# Benchmark",
        f"Written by `{COMMAND}` on {datetime.now(UTC):%Y-%m-%d}.",
        f"Machine: {machine()}.",
        "Versions: " + "; ".join(f"{name} {v}" for name, v in described.items()) + ".",
        "These libraries are not installed or failed, and are left out: "
        + ("; ".join(f"{name} ({why})" for name, why in missing.items()) or "none")
        + ".",
        "The number behind a name is its number of threads. All columns and libraries of a table "
        "take turns, each library in a process of its own, pinned to as many processors as it has "
        "threads. Times are medians of the rounds, and ratios are medians of the ratios within a "
        "round. A number in brackets says how many times faster this library is with as many "
        "threads. Every call's result was checked before it was timed. MKL's float64 numbers hold "
        "32 random bits, ours 53. MKL chooses its code branch (see the versions) for this "
        "processor, and takes its slowest one where that is not Intel's. The limit of an "
        "orthogonal matrix is a product of as many operations in NumPy's OpenBLAS.",
        "## Ratios to reach",
        target_table(results, described),
        "## Nanoseconds an element, 4096 x 4096",
    ]
    for (dtype, memory), cases in large.items():
        where = (
            "into an array that exists (where a library cannot, a new one)"
            if memory == "out"
            else "a new array"
        )
        parts.append(case_table(results, f"{dtype}, {where}", cases))
    halves = [c for c in CASES if c.dtype == "bfloat16"]
    parts.append(case_table(results, "bfloat16, into an array that exists", halves))
    mapped = [c for c in CASES if c.memory == "memmap"]
    parts.append(case_table(results, "float32, into a mapped file in memory that exists", mapped))
    windows = [c for c in CASES if c.name.startswith("between")]
    title = "float32 normals between bounds, in standard deviations, into an array that exists"
    parts.append(case_table(results, title, windows))
    parts.append("## Nanoseconds an element, large tables, float32")
    for shape in (ROWS, *NARROW):
        rows = [c for c in CASES if c.shape == shape]
        title = f"{shape[0]} rows of {shape[1]}: by random ids of 2^40, and in order"
        parts.append(case_table(results, title, rows))
    files = [c for c in CASES if c.shape == FILE]
    title = "1 GiB: `fastinit create` (limit: zeros, to the same disk), and an array of as many"
    parts.append(case_table(results, title, files))
    parts.append("## Milliseconds an orthogonal matrix, float32")
    for shape in ((1024, 1024), (2048, 2048), (4096, 4096), (16384, 256)):
        cases = [c for c in CASES if (c.name, c.shape) == ("orthogonal", shape)]
        parts.append(case_table(results, f"{shape}", cases, 1e3))
    parts.append("## Microseconds a call, float32")
    for shape in ((8,), (64,), (64, 64)):
        cases = [c for c in CASES if (c.shape, c.memory) == (shape, "out")]
        parts.append(case_table(results, f"{shape}", cases, 1e6))
    lookups = [c for c in CASES if c.shape == LOOKUP]
    title = "1000 rows of 64 by random ids; NumPy's are in memory, of a table of 10^6 rows"
    parts.append(case_table(results, title, lookups, 1e6))
    return "\n\n".join(part.strip() for part in parts if part) + "\n"


def headline(results, described):
    """Return the README's table: float32 into a warm array, this library and NumPy."""
    theirs = "numpy, 1"
    ours = ["fastinit portable, 1", f"{FASTEST}, 1", f"{FASTEST}, 2"]
    rows = []
    for name in ("uniform", "normal", "truncated"):
        times = results[str(Case(name, "float32", LARGE, "out"))]
        cells = [f"{1 / ratio(times[r], times[theirs]):.1f}" for r in ours if r in times]
        rows.append([name, f"{statistics.median(times[theirs]) * 1e3:.0f} ms", *cells])
    head = ["", "NumPy", *(r.removeprefix("fastinit ").replace(", ", ", threads: ") for r in ours)]
    return f"({machine()}, NumPy {described['numpy']}, {datetime.now(UTC):%Y-%m-%d})\n\n" + table(
        head, rows
    )


def write(results, described, missing):
    """Write bench/results.md, and the README's table between its marks."""
    (HERE / "results.md").write_text(markdown(results, described, missing))
    readme = HERE.parent / "README.md"
    text, found = re.subn(
        r"(?<=<!-- results -->\n).*?(?=<!-- end of results -->)",
        lambda _: headline(results, described),
        readme.read_text(),
        flags=re.S,
    )
    assert found == 1
    readme.write_text(text)
