"""What is tested: the distributions, their types, and the faults of the controls."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache

import ml_dtypes  # for NumPy to know bfloat16 by its name
import numpy as np

from fastinit import _kernels

INF = math.inf
DIM = 64  # columns of the rows by key
WIDTHS = {"float16": 16, "bfloat16": 16, "float32": 32, "float64": 64, "uint32": 32, "uint64": 64}


@dataclass(frozen=True)
class Case:
    """One distribution in one type: a standard normal, or a uniform on [0, 1), or raw bits.

    If keyed, element i is column i % DIM of the row of key i // DIM.
    """

    distribution: str
    dtype: str
    bounds: tuple[float, float] = (-INF, INF)
    keyed: bool = False
    fault: str = ""

    @property
    def name(self):
        bounds = " ({:g}, {:g})".format(*self.bounds) if self.distribution == "between" else ""
        return f"{self.distribution}{bounds} {self.dtype}" + (" by key" if self.keyed else "")

    @property
    def width(self):
        return WIDTHS[self.dtype]

    @property
    def is_half(self):
        return self.width == 16

    @property
    def is_symmetric(self):
        return self.distribution in ("normal", "truncated") or (
            self.distribution == "between" and self.bounds[0] == -self.bounds[1]
        )

    def fill(self, out, seed, start):
        """Fill out with the elements from start on."""
        _fill(self, out, seed, start)
        if self.fault:
            FAULTS[self.fault](self, out, seed, start)

    def draw(self, seed, start, n):
        """Return the elements start ... start + n - 1."""
        out = np.empty(n, self.dtype)
        self.fill(out, seed, start)
        return out

    def draw_real(self, seed, start, n):
        """Return them as float64."""
        return self.draw(seed, start, n).astype(np.float64)


window = cache(_kernels.Window)


def _fill(case, out, seed, start):
    if case.keyed:
        start = np.arange(start // DIM, (start + out.size) // DIM, dtype=np.uint64)
    buffer = out.view(np.uint16) if out.dtype == ml_dtypes.bfloat16 else out
    if case.distribution == "bits":
        _kernels.bits(buffer, start, seed, 1, case.keyed)
    elif case.distribution == "between":
        window(*case.bounds).fill(buffer, start, seed, 0.0, 1.0, 1, case.keyed)
    else:
        function = getattr(_kernels, case.distribution)
        function(buffer, start, seed, 0.0, 1.0, 1, case.keyed)


# The faults of the controls


def _scale(case, x, seed, start):
    x *= x.dtype.type(1.0003)


def _low_bit(case, x, seed, start):
    bits = x.view(f"uint{case.width}")
    bits &= ~bits.dtype.type(1)


def _neighbour(case, x, seed, start):
    """Lose the seed's lowest bit at every 64th element: even seeds have their neighbours' there.

    If all seeds had those of the next one, values would have changed places, and nothing else.
    """
    other = np.empty_like(x)
    _fill(case, other, seed | 1, start)
    at = slice(-start % 64, None, 64)
    x[at] = other[at]


def _clamp(case, x, seed, start):
    _kernels.normal(x, start, seed, 0.0, 1.0, 1)
    np.clip(x, -2, 2, out=x)


def _tail(case, x, seed, start):
    np.abs(x, out=x, where=x < -4)


FAULTS = {
    "scale": _scale,
    "low bit": _low_bit,
    "neighbour": _neighbour,
    "clamp": _clamp,
    "negative tail": _tail,
}
