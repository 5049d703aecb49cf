"""The short benchmark of `fastinit bench`: this library against numpy.random, in one process.

Its cases are those of bench/, too, which adds the other libraries.
"""

import itertools
import statistics
import time
from functools import partial
from importlib.metadata import version

import numpy as np

from . import _kernels
from ._samplers import random_normal, random_uniform, truncated_normal
from ._threads import get_num_threads, set_num_threads

SHARED_FROM = 100_000  # elements; fewer stay on one thread


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


NUMPY = {  # dtype: a type, as a string costs it 0.15 us a call
    "uniform": lambda rng, shape, dtype, out: rng.random(shape, dtype, out),
    "normal": lambda rng, shape, dtype, out: rng.standard_normal(shape, dtype, out),
    "truncated": numpy_truncated,
}
# A new seed each call: of one that repeats, the processor learns which elements are redrawn.
_seed = itertools.count(1).__next__
OURS = {
    "uniform": lambda shape, dtype, out: random_uniform(shape, 0.0, 1.0, _seed(), dtype, out=out),
    "normal": lambda shape, dtype, out: random_normal(shape, 0.0, 1.0, _seed(), dtype, out=out),
    "truncated": lambda shape, dtype, out: truncated_normal(
        shape, 0.0, 1.0, _seed(), dtype, out=out
    ),
}
EXPECTED = {  # mean, standard deviation, bounds
    "uniform": (0.5, 12**-0.5, 0, 1),
    "normal": (0.0, 1.0, -np.inf, np.inf),
    "truncated": (0.0, 0.87962566103423978, -2, 2),
}


def check(name, array):
    """Raise where a result is wrong, however fast: mean and deviation within 6 standard errors.

    Of bfloat16 4 of its roundings more: in 4096 x 4096 truncated normals torch's deviation is off
    by 0.0015 and JAX's mean by 0.015.
    """
    mean, deviation, low, high = EXPECTED[name]
    error = 6 / np.sqrt(array.size) + (array.dtype.name == "bfloat16") * 4 * 2.0**-8
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
    """{name: times} of {name: (prepare, call)}: all in turn, so that drift hits all alike."""
    times = {name: [] for name in calls}
    for _ in range(rounds):
        for name, (prepare, call) in calls.items():
            prepare()
            times[name].append(seconds(call))
    return times


def ratio(ours, theirs):
    """Median over the rounds of theirs / ours."""
    return statistics.median(b / a for a, b in zip(ours, theirs, strict=True))


SHAPES = ((64,), (64, 64), (4096, 4096))


def _cases(threads):
    for dtype in ("float32", "float64"):
        for shape in SHAPES:
            out, theirs = np.ones(shape, dtype), np.ones(shape, dtype)  # touched: warm
            rng, kind = np.random.default_rng(1), out.dtype.type
            for name in OURS:
                call = partial(OURS[name], shape, dtype, out)
                calls = {"numpy": (lambda: None, partial(NUMPY[name], rng, shape, kind, theirs))}
                for n in threads:
                    if n == 1 or out.size > SHARED_FROM:
                        calls[n] = partial(set_num_threads, n), call
                check(name, call())
                check(name, calls["numpy"][1]())
                yield f"{name} {dtype} {'x'.join(map(str, shape))}", compare(calls, 5)


def _duration(x):
    scale, unit = next(
        (s, u) for s, u in ((1, "s"), (1e-3, "ms"), (1e-6, "us")) if x >= s or s < 1e-5
    )
    return f"{x / scale:.3g} {unit}"


def add_command(commands):
    """Add the parser of `fastinit bench`."""
    parser = commands.add_parser(
        "bench",
        help="time this library against numpy.random on this machine",
        description="Times of this library and of numpy.random on this machine, in half a minute:\n"
        "medians of 5 interleaved rounds into arrays that exist, ratios within a round.",
        epilog="example:\n  OMP_NUM_THREADS=1 fastinit bench",
    )
    parser.set_defaults(run=run)


def run(arguments):
    """Print the table."""
    most = get_num_threads()
    threads = sorted({1, most})
    head = ["", "NumPy", *(f"{n} thread{'s' * (n > 1)}" for n in threads)]
    print(
        f"fastinit {version('fastinit-kernels')}, {_kernels.isa()} kernels; NumPy {np.__version__}"
    )
    print("In brackets: how many times faster than NumPy\n")
    line = "{:30}{:>10}" + "{:>20}" * len(threads)
    print(line.format(*head))
    try:
        for case, times in _cases(threads):
            cells = [
                f"{_duration(statistics.median(times[n]))} ({ratio(times[n], times['numpy']):.1f})"
                if n in times
                else ""
                for n in threads
            ]
            print(
                line.format(case, _duration(statistics.median(times["numpy"])), *cells), flush=True
            )
    finally:
        set_num_threads(most)
    return 0
