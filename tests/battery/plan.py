"""Which tests there are, how large they are, and how many p-values each gives.

All of it is declared here, before anything is drawn.  The test of number i has the seeds
SEEDS + 16 i for the short form, with 1 more for its rerun, and with 2 and 3 more for the full one.
`related` seeds are made of these by what they test.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from . import haar, related, repeats, serial, values
from .cases import INF, Case

SEEDS = 1_701_000
P_VALUES = {"short": 0, "full": 0}  # set below, and asserted of each run


@dataclass(frozen=True)
class Test:
    """A function that counts in a part of the samples, and one that makes p-values of the sums.

    Samples are elements, or matrices, or seeds.  short and full are their numbers, and part how
    many one task takes.  count is the number of p-values.  Those whose names contain one of
    `dependent` are not taken to the test of uniformity: they are functions of others of the same
    test, or hardly random.
    """

    name: str
    case: Any
    collect: Callable[..., dict[str, Any]]
    judge: Callable[..., dict[str, float]]
    count: int
    short: int
    full: int
    part: int = 2**24
    joins: bool = False
    lattice: bool = False
    known: bool = False
    number: int = 0
    dependent: tuple[str, ...] = ()

    def seed(self, form, rerun):
        return SEEDS + 16 * self.number + 2 * (form == "full") + rerun


WINDOWS = [  # two sides, one tail, far tail, narrow, wide, one-sided with both signs, cut tail
    (-0.5, 2.5),
    (0.0, INF),
    (8.0, INF),
    (1.0, 1.0001),
    (-6.0, 6.0),
    (-INF, 0.2),
    (-9.0, -8.5),
    (-INF, -3.0),
]
FIRST = WINDOWS[0]
MAIN = [Case(name, "float32") for name in ("uniform", "normal", "truncated")]
DOUBLE = [replace(case, dtype="float64") for case in MAIN]
BETWEEN = [Case("between", dtype, bounds) for bounds in WINDOWS for dtype in ("float32", "float64")]
HALVES = [
    Case(case.distribution, dtype, case.bounds)
    for case in (*MAIN, Case("between", "float16", FIRST))
    for dtype in ("float16", "bfloat16")
]
BITS = [Case("bits", "uint32"), Case("bits", "uint64")]
KEYED = [
    replace(case, keyed=True)
    for case in (*MAIN, *DOUBLE, Case("between", "float32", FIRST), *HALVES[2:4], *BITS)
]
MOMENTS = tuple(f"moment {k}" for k in range(3, 9))


def _tests():
    def size(case, short, full):
        """Return sizes: the main cases have the full ones, all others a quarter."""
        return (short, full) if case in MAIN else (short // 4, full // 4)

    real = [*MAIN, *DOUBLE, *BETWEEN]
    keyed_real = [case for case in KEYED if case.width > 16 and case.distribution != "bits"]
    for case in [*real, *keyed_real]:
        count = 3 if case.is_symmetric else 2
        yield (
            "cells",
            case,
            values.count_cells,
            values.judge_cells,
            count,
            size(case, 2**28, 2**32),
            {"dependent": ("coarse",)},
        )
    for case in [*HALVES, *(case for case in KEYED if case.is_half)]:
        count = 3 + values.MOMENTS + case.is_symmetric
        yield (
            "all values",
            case,
            values.count_halves,
            values.judge_halves,
            count,
            (
                2**26,
                2**31,
            ),
            {"dependent": ("coarse", "bits", *MOMENTS)},
        )
    for case in real:
        short, full = size(case, 2**29, 2**34) if case in MAIN else (2**26, 2**32)
        yield (
            "moments",
            case,
            values.sum_powers,
            values.judge_moments,
            values.MOMENTS,
            (
                short,
                full,
            ),
            {"dependent": MOMENTS},
        )
    for case in real:
        count = 7 if case.distribution == "normal" else 5
        if case.bounds == (1.0, 1.0001) and case.width == 32:
            continue  # there are 839 float32 numbers in it, of which two are outermost
        yield (
            "outermost",
            case,
            values.collect_outer,
            values.judge_outer,
            count,
            size(case, 2**28, 2**32),
            {"joins": True},
        )
    for case in [*MAIN, *DOUBLE, Case("between", "float32", FIRST), *BITS, KEYED[1], *KEYED[-2:]]:
        count = len(values.lanes_of(case)) + 2
        lattice = case.width == 32 and case.distribution not in ("bits", "uniform")
        full = 2**32 if case in MAIN or case in BITS else 2**30
        short = 2**26
        if case.distribution == "between":
            short = 0  # the lattice of a window takes all 2^32 words
        yield (
            "mantissa",
            case,
            values.count_bits,
            values.judge_bits,
            count,
            (short, full),
            {
                "lattice": lattice,
                "dependent": ("each bit", "neighbours"),
            },
        )
    for case in (*MAIN[1:], *DOUBLE[1:]):
        yield (
            "layers",
            case,
            values.count_layers,
            values.judge_layers,
            2,
            (2**24, 2**30),
            {
                "lattice": case.width == 32,
                "part": 2**22,
            },
        )
    for case in [*MAIN, *DOUBLE, Case("between", "float32", FIRST), *HALVES[2:4], KEYED[1]]:
        yield (
            "serial",
            case,
            serial.sum_products,
            serial.judge_products,
            2 * 11,
            size(case, 2**26, 2**32),
            {},
        )
    for case in (*MAIN, *DOUBLE, Case("between", "float32", FIRST), *BITS):
        count = 6 if case.distribution == "bits" else 4
        for kind, collect in (
            ("seeds", related.sum_related),
            ("positions", related.sum_positions),
        ):
            yield (
                kind,
                case,
                collect,
                related.judge_related,
                count,
                (2**20, 2**26),
                {
                    "part": 2**18 if kind == "seeds" else 2**20,
                    "dependent": ("largest",),
                },
            )
    for case in KEYED:
        if case.is_half:
            continue
        count = 6 if case.distribution == "bits" else 4
        yield (
            "keys",
            case,
            related.sum_related,
            related.judge_related,
            count,
            (2**20, 2**26),
            {
                "part": 2**18,
                "dependent": ("largest",),
            },
        )
    for case in BITS:
        yield (
            "tags",
            case,
            related.sum_tags,
            related.judge_tags,
            8,
            (2**22, 2**29),
            {
                "part": 2**22,
                "dependent": ("largest", "x^2 with x "),
            },
        )
    for case in (*MAIN, *DOUBLE, *BITS, KEYED[1], *KEYED[-2:]):
        yield "birthdays", case, repeats.count_repeats, repeats.judge_repeats, 2, (2**26, 2**31), {}
    for case in (*MAIN, *DOUBLE, *BITS, KEYED[1]):
        yield (
            "blocks",
            case,
            repeats.hash_blocks,
            repeats.judge_blocks,
            1,
            (2**26, 2**32),
            {
                "joins": True,
                "dependent": ("repeated",),
            },
        )
    shapes = [(2, 2), (3, 3), (4, 4), (5, 5), (8, 8), (12, 4), (4, 12), (16, 16), (100, 100)]
    for rows, columns in shapes:
        for dtype in ("float32", "float64"):
            case = haar.Matrices(rows, columns, dtype)
            few = 2**25 // (rows * columns * max(rows, 8))
            short = 1 << max(few.bit_length() - 1, 10)
            yield (
                "haar",
                case,
                haar.count_matrices,
                haar.judge_matrices,
                haar_count(case),
                (
                    short,
                    64 * short,
                ),
                {"part": max(short // 4, 1), "dependent": ("largest",)},
            )
    yield (
        "determinants by seed",
        haar.Matrices(8, 8, "float32"),
        haar.sum_windows,
        (haar.judge_windows),
        2,
        (5 * haar.WINDOW, 30 * haar.WINDOW),
        {
            "part": haar.WINDOW,
            "joins": True,
            "known": True,
            "dependent": ("largest",),
        },
    )


def haar_count(case):
    count = 2 + len(haar.entries(case))
    if case.is_square:
        n = case.rows
        count += len(haar.trace_powers(case)) + min(n, haar.POWERS) - 1 + 2
        if n <= 16:
            count += (1 if n == 2 else 2) + (n == 4)
    return count


def _number(tests):
    for number, (kind, case, collect, judge, count, (short, full), more) in enumerate(tests):
        yield Test(
            f"{kind} {case.name}", case, collect, judge, count, short, full, number=number, **more
        )


TESTS = {test.name: test for test in _number(_tests())}
P_VALUES.update(
    short=sum(test.count for test in TESTS.values() if test.short),
    full=sum(test.count for test in TESTS.values()),
)
