"""Random orthogonal matrices."""

from math import prod

import numpy as np

from . import _kernels, _threads
from ._arrays import claim, target
from ._samplers import _FINITE, _check_finite, _number
from ._seeds import key


def check_gain(gain):
    """Raise where the gain is no finite number; else the number."""
    number = _number("gain", gain)
    _check_finite(_FINITE[8], "float64", gain=number)
    return number


def orthogonal(shape=None, gain=1.0, seed=None, dtype=None, *, out=None):
    """See the registry."""
    dims, kind = target(shape, dtype, out)
    if len(dims) < 2:
        raise ValueError(f"shape must have at least two dimensions, received {dims}")
    gain = check_gain(gain)
    _check_finite(_FINITE[kind.itemsize], kind, gain=gain)
    rows, columns = prod(dims[:-1]), dims[-1]
    seed = key(seed)
    array = claim(dims, kind, out)
    if array.size:
        work = np.empty(_kernels.orthogonal_work(rows, columns, 1, _threads.count), kind)
        _kernels.orthogonal(array, work, 0, rows, columns, seed, gain, _threads.count)
    return array
