"""The short benchmark of `fastinit bench`: this library against numpy.random, in one process.

Its cases are those of bench/, too, which adds the other libraries.
"""

import argparse
import statistics
import time

import numpy as np

from . import __version__, _kernels
from ._samplers import random_normal, random_uniform, truncated_normal
from ._threads import get_num_threads, set_num_threads


def numpy_truncated(rng, shape, dtype, out):
    """NumPy's own best way: normals, those beyond 2 sigma redrawn until none is left."""
    out = rng.standard_normal(shape, dtype, out)
    flat = out.reshape(-1)
    wrong = np.flatnonzero(np.abs(flat) > 2)
    while wrong.size:
        redrawn = rng.standard_normal(wrong.size, dtype)
        flat[wrong] = redrawn
        wrong = wrong[np.abs(redrawn) > 2]
    return out


NUMPY = {
    "uniform": lambda rng, shape, dtype, out: rng.random(shape, dtype, out),
    "normal": lambda rng, shape, dtype, out: rng.standard_normal(shape, dtype, out),
    "truncated": numpy_truncated,
}
OURS = {
    "uniform": lambda shape, dtype, out: random_uniform(shape, 0, 1, 1, dtype, out=out),
    "normal": lambda shape, dtype, out: random_normal(shape, 0, 1, 1, dtype, out=out),
    "truncated": lambda shape, dtype, out: truncated_normal(shape, 0, 1, 1, dtype, out=out),
}
EXPECTED = {  # mean, standard deviation, bounds
    "uniform": (0.5, 12**-0.5, 0, 1),
    "normal": (0.0, 1.0, -np.inf, np.inf),
    "truncated": (0.0, 0.87962566103423978, -2, 2),
}


def check(name, array):
    """Raise where a result is wrong, however fast: mean and deviation within 6 standard errors."""
    mean, deviation, low, high = EXPECTED[name]
    error = 6 / np.sqrt(array.size)
    found = array.mean(dtype=float), array.std(dtype=float)
    right = (
        abs(found[0] - mean) < error
        and (array.size < 1000 or abs(found[1] - deviation) < error)
        and low <= array.min()
        and array.max() <= high
    )
    if not right:
        raise ValueError(f"{name}: mean {found[0]}, standard deviation {found[1]}: wrong")


def seconds(call, at_least=0.002):
    """Time of one call, from as many as take at_least seconds."""
    number = 1
    while True:
        start = time.perf_counter()
        for _ in range(number):
            call()
        total = time.perf_counter() - start
        if total >= at_least:
            return total / number
        number *= 2 if total * 4 > at_least else 8


def compare(calls, rounds):
    """{name: times}: all calls in turn, round by round, so that a drift of the machine hits all."""
    times = {name: [] for name in calls}
    for call in calls.values():
        seconds(call, 0)  # caches, threads
    for _ in range(rounds):
        for name, call in calls.items():
            times[name].append(seconds(call))
    return times


def ratio(ours, theirs):
    """Median over the rounds of theirs / ours."""
    return statistics.median(b / a for a, b in zip(ours, theirs, strict=True))


def _rows(threads):
    for dtype in ("float32", "float64"):
        for shape in ((64,), (64, 64), (4096, 4096)):
            out, their_out = np.ones(shape, dtype), np.ones(shape, dtype)
            rng = np.random.default_rng(1)
            for name in OURS:

                def ours(name=name, shape=shape, dtype=dtype, out=out):
                    return OURS[name](shape, dtype, out)

                def theirs(name=name, shape=shape, dtype=dtype, out=their_out, rng=rng):
                    return NUMPY[name](rng, shape, dtype, out)

                check(name, ours())
                check(name, theirs())
                calls = {"numpy": theirs}
                for n in threads if len(shape) > 1 and shape[0] > 64 else threads[:1]:

                    def on(n=n, ours=ours):
                        set_num_threads(n)
                        ours()

                    calls[n] = on
                times = compare(calls, 5)
                yield name, dtype, shape, times


def main(arguments=None):
    """`fastinit bench`: print the table."""
    argparse.ArgumentParser(
        prog="fastinit bench",
        description="Times of this library against numpy.random on this machine, in a minute: "
        "medians of 5 interleaved rounds into arrays that exist, ratios within a round.",
    ).parse_args(arguments)
    most = get_num_threads()
    threads = sorted({1, most})
    print(f"fastinit {__version__} ({_kernels.isa()}), NumPy {np.__version__}\n")
    ours = [f"{n} thread{'s' * (n > 1)}" for n in threads]
    print(f"{'':30}{'NumPy':>12}" + "".join(f"{column:>22}" for column in ours))
    try:
        for name, dtype, shape, times in _rows(threads):
            line = f"{name + ' ' + dtype + ' ' + str(shape):30}"
            line += f"{statistics.median(times['numpy']) * 1e6:9.4g} us"
            for n in threads:
                if n in times:
                    faster = ratio(times[n], times["numpy"])
                    line += f"{statistics.median(times[n]) * 1e6:9.4g} us {faster:5.1f} x"
            print(line, flush=True)
    finally:
        set_num_threads(most)
    print("\nx: how many times faster than NumPy")
    return 0
