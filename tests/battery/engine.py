"""Run tests in processes of their own, judge their p-values, and repeat what looks strange."""

from __future__ import annotations

import multiprocessing
import os
import time
from collections import deque
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

import numpy as np

from . import pvalues
from .plan import TESTS
from .values import count_lattice

HARD, SOFT, RERUN = 1e-9, 1e-4, 8
UNIFORMITY = 1e-6  # for each of the two tests of all p-values together


@dataclass
class Result:
    """What became of one test."""

    test: object
    n: int
    seed: int
    p: dict[str, float]
    sums: dict = field(default_factory=dict)
    rerun: Result | None = None
    seconds: float = 0.0

    @property
    def failures(self):
        """Return the names of the p-values that fail."""
        hard = [name for name, p in self.p.items() if not p >= HARD]
        again = self.rerun.p if self.rerun else {}
        soft = [name for name in self.p if self.p[name] < SOFT and again.get(name, 1) < SOFT]
        worse = [name for name, p in again.items() if not p >= HARD]
        return sorted({*hard, *soft, *worse})


class Here:
    """Run tasks in this process."""

    def map(self, function, *arguments):
        return map(function, *arguments)


class Processes:
    """Run tasks in processes, and return their results in order, few of them at once."""

    def __init__(self, pool, ahead):
        self.pool, self.ahead = pool, ahead

    def map(self, function, *arguments):
        waiting = deque()
        for of_one in zip(*arguments, strict=False):
            waiting.append(self.pool.submit(function, *of_one))
            if len(waiting) >= self.ahead:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()


@contextmanager
def runner(processes):
    """Yield what runs tasks: this process for 0, or so many others."""
    if processes == 0:
        yield Here()
        return
    # Neither the fills nor BLAS use threads: the processes are enough.
    os.environ.update(OPENBLAS_NUM_THREADS="1", OMP_NUM_THREADS="1", MKL_NUM_THREADS="1")
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(processes, mp_context=context) as pool:
        yield Processes(pool, 2 * processes)


def collect(function, case, seed, start, n):
    return function(case, seed, start, n)


def gather(run, function, case, seed, start, n, part, joins):
    """Add the parts' arrays, or join them."""
    part = min(part, n)
    starts = range(start, start + n, part)
    count = len(starts)
    if n % part:
        raise ValueError(f"{n} samples are no multiple of {part}")
    parts = run.map(
        collect, [function] * count, [case] * count, [seed] * count, starts, [part] * count
    )
    if joins:
        joined = list(parts)
        return {name: np.concatenate([p[name] for p in joined]) for name in joined[0]}
    sums = {}
    for found in parts:
        for name, value in found.items():
            sums[name] = sums[name] + value if name in sums else value
    return sums


_lattices = {}


def lattice_of(run, case):
    """Count the lattice of a case once; it does not depend on faults or keys."""
    plain = replace(case, fault="", keyed=False)
    if plain not in _lattices:
        layers = 512 if case.distribution == "between" else 1024
        _lattices[plain] = gather(run, count_lattice, plain, 0, 0, layers, 16, True)
    return _lattices[plain]


def once(run, test, form, n, rerun):
    start = time.perf_counter()
    seed, first = test.seed(form, rerun), 0
    if test.known:  # The samples are seeds: those of the short form surround the known window.
        first = 8 * test.part if form == "short" else 0
        first += rerun * test.full
    sums = gather(run, test.collect, test.case, seed, first, n, test.part, test.joins)
    more = {"lattice": lattice_of(run, test.case)} if test.lattice else {}
    try:
        p = test.judge(test.case, n, sums, **more)
    except AssertionError as error:  # what is found has no probability at all
        p = {f"{error} ({i})": 0.0 for i in range(test.count)}
    if len(p) != test.count:
        raise AssertionError(f"{test.name} gives {len(p)} p-values, declared are {test.count}")
    kept = sums if test.known else {}
    return Result(test, n, seed, p, kept, seconds=time.perf_counter() - start)


def execute(run, test, form, n=None):
    """Run a test, and again where a p-value is below SOFT and none below HARD."""
    n = n or getattr(test, form)
    result = once(run, test, form, n, 0)
    if any(p < SOFT for p in result.p.values()) and min(result.p.values()) >= HARD:
        result.rerun = once(run, test, form, RERUN * n, 1)
    return result


def uniformity(results):
    """Return p-values of all independent p-values together: of their distribution, and small ones.

    Discrete ones and those that are functions of others (Test.dependent) are left out.
    """
    chosen = [
        p
        for result in results
        for name, p in result.p.items()
        if not any(part in name for part in result.test.dependent)
    ]
    below = sum(p < 0.01 for p in chosen)
    return {
        "all p-values, Kolmogorov and Smirnov": pvalues.uniform(chosen),
        f"{below} of {len(chosen)} p-values are below 0.01": pvalues.binomial(
            below, len(chosen), 0.01
        ),
    }


def find(only):
    """Return the tests of this name, or of names that begin with it."""
    if only in TESTS:
        return [TESTS[only]]
    found = [test for name, test in TESTS.items() if name.startswith(only)]
    if not found:
        raise SystemExit(f"no test has a name that begins with {only!r}; see --list")
    return found
