"""The command `fastinit bench`: this library against numpy.random, in one process."""

from __future__ import annotations

import statistics
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from .. import _kernels
from .._bench import NUMPY, OURS, check, compare, ratio
from .._threads import get_num_threads, set_num_threads

if TYPE_CHECKING:
    from collections.abc import Iterator

SHAPES = ((64,), (64, 64), (4096, 4096))
_SHARED_FROM = 100_000  # elements; fewer stay on one thread


def add_parser(commands: Any) -> None:
    """Add the parser of `fastinit bench`."""
    parser = commands.add_parser(
        "bench",
        help="time this library against numpy.random on this machine",
        description="Time this library and numpy.random on this machine, in half a minute:\n"
        "medians of 5 interleaved rounds into arrays that exist, and ratios within a round.",
        epilog="example:\n  OMP_NUM_THREADS=1 fastinit bench",
    )
    parser.set_defaults(run=run)


def _cases(threads: list[int]) -> Iterator[tuple[str, dict[Any, list[float]]]]:
    """Yield (name of the case, {"numpy" or number of threads: times})."""
    for dtype in ("float32", "float64"):
        for shape in SHAPES:
            out, theirs = np.ones(shape, dtype), np.ones(shape, dtype)  # the memory is warm
            rng, scalar = np.random.default_rng(1), out.dtype.type
            for name in OURS:
                call = partial(OURS[name], shape, dtype, out)
                calls: dict[Any, Any] = {
                    "numpy": (lambda: None, partial(NUMPY[name], rng, shape, scalar, theirs))
                }
                for n in threads:
                    if n == 1 or out.size > _SHARED_FROM:
                        calls[n] = partial(set_num_threads, n), call
                check(name, call())
                check(name, calls["numpy"][1]())
                yield f"{name} {dtype} {'x'.join(map(str, shape))}", compare(calls, 5)


def _duration(x: float) -> str:
    scale, unit = next(
        (s, u) for s, u in ((1, "s"), (1e-3, "ms"), (1e-6, "us")) if x >= s or s < 1e-5
    )
    return f"{x / scale:.3g} {unit}"


def run(arguments: Any) -> int:
    """Print the table and return the exit code."""
    most = get_num_threads()
    threads = sorted({1, most})
    head = ["", "NumPy", *(f"{n} thread{'s' * (n > 1)}" for n in threads)]
    print(f"fastinit {_kernels.VERSION}, {_kernels.isa()} kernels; NumPy {np.__version__}")
    print("In brackets: how many times faster than NumPy\n")
    line = "{:30}{:>10}" + "{:>20}" * len(threads)
    print(line.format(*head), flush=True)
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
