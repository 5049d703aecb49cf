"""Time this library and numpy.random on the same cases.

`fastinit bench` and bench/ share it; bench/ adds the other libraries.
"""

from __future__ import annotations

import itertools
import statistics
import time
from typing import TYPE_CHECKING, Any

import numpy as np

from ._fans import TRUNCATED_STDDEV
from .initializers._random import random_normal, random_uniform, truncated_normal

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from ._typing import Array


def numpy_truncated(rng: Any, shape: Any, dtype: Any, out: Array | None) -> Array:
    """Return truncated normals by NumPy's fastest method, redrawing normals beyond 2 sigma."""
    out = rng.standard_normal(shape, dtype, out)
    assert out is not None
    flat = out.reshape(-1)
    wrong = np.flatnonzero(np.abs(flat) > 2)
    while wrong.size:
        redrawn = rng.standard_normal(wrong.size, dtype)
        flat[wrong] = redrawn
        wrong = wrong[np.abs(redrawn) > 2]
    return out


# dtype is a type, since a string costs NumPy 0.15 us a call.
NUMPY: dict[str, Callable[..., Array]] = {
    "uniform": lambda rng, shape, dtype, out: rng.random(shape, dtype, out),
    "normal": lambda rng, shape, dtype, out: rng.standard_normal(shape, dtype, out),
    "truncated": numpy_truncated,
}
# Each call has a new seed: with one that repeats, the processor learns which elements are redrawn.
_seed = itertools.count(1).__next__
OURS: dict[str, Callable[..., Array]] = {
    "uniform": lambda shape, dtype, out: random_uniform(shape, 0.0, 1.0, _seed(), dtype, out=out),
    "normal": lambda shape, dtype, out: random_normal(shape, 0.0, 1.0, _seed(), dtype, out=out),
    "truncated": lambda shape, dtype, out: truncated_normal(
        shape, 0.0, 1.0, _seed(), dtype, out=out
    ),
}
EXPECTED = {  # mean, standard deviation, bounds
    "uniform": (0.5, 12**-0.5, 0, 1),
    "normal": (0.0, 1.0, -np.inf, np.inf),
    "truncated": (0.0, TRUNCATED_STDDEV, -2, 2),
}


def check(name: str, array: Array) -> None:
    """Raise ValueError where mean or deviation is off by more than 6 standard errors.

    bfloat16 may be off by 4 of its roundings more: in 4096 x 4096 truncated normals torch's
    deviation is off by 0.0015 and JAX's mean by 0.015.
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


def seconds(call: Callable[[], object], at_least: float = 0.002) -> float:
    """Return the time of one call, from as many calls as take at_least seconds."""
    number = 1
    while True:
        start = time.perf_counter()
        for _ in range(number):
            call()
        total = time.perf_counter() - start
        if total >= at_least:
            return total / number
        number *= 2 if total * 4 > at_least else 8


def compare(
    calls: Mapping[Any, tuple[Callable[[], object], Callable[[], object]]], rounds: int
) -> dict[Any, list[float]]:
    """Return {name: times} of {name: (prepare, call)}; calls take turns, so drift affects all."""
    times: dict[Any, list[float]] = {name: [] for name in calls}
    for _ in range(rounds):
        for name, (prepare, call) in calls.items():
            prepare()
            times[name].append(seconds(call))
    return times


def ratio(ours: Sequence[float], theirs: Sequence[float]) -> float:
    """Return the median over the rounds of theirs / ours."""
    return statistics.median(b / a for a, b in zip(ours, theirs, strict=True))
