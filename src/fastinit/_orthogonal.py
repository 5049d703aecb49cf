"""Random orthogonal matrices."""

from math import prod

import numpy as np

from . import _kernels, _threads
from ._arrays import claim, empty, target
from ._samplers import _FINITE, _check_finite, _number
from ._seeds import key


def check_gain(gain):
    """Raise where the gain is no finite number; else the number."""
    number = _number("gain", gain)
    _check_finite(_FINITE[8], "float64", gain=number)
    return number


def _axes(batch_axis):
    """The axes as a tuple of integers."""
    if batch_axis is None:
        return ()
    wanted = "batch_axis must be an integer, a sequence of them or None"
    axes = batch_axis if isinstance(batch_axis, (tuple, list)) else (batch_axis,)
    for axis in axes:
        if isinstance(axis, (bool, np.bool_)) or not hasattr(type(axis), "__index__"):
            raise TypeError(f"{wanted}, received {batch_axis!r}")
    return tuple(axis.__index__() for axis in axes)


def check(gain, batch_axis):
    """Raise where an argument is wrong for every shape."""
    check_gain(gain)
    _axes(batch_axis)


def _batch_ndim(dims, batch_axis):
    """How many axes in front count matrices."""
    axes = _axes(batch_axis)
    found = sorted(axis + len(dims) if axis < 0 else axis for axis in axes)
    if found != list(range(len(axes))):
        raise ValueError(
            f"batch_axis must name the first axes, each once, received {batch_axis!r} "
            f"for shape {dims}"
        )
    return len(axes)


def _room(rows, columns, count, kind):
    """Work space for that many matrices, and the threads it is enough for.

    The number of threads is read once: another thread may change it at any time.
    """
    threads = _threads.count
    elements = _kernels.orthogonal_work(rows, columns, count, threads)
    try:
        return empty((elements,), kind), threads
    except MemoryError:
        size = elements * kind.itemsize / 2**30
        message = f"cannot allocate {size:.3g} GiB of work space for {rows} x {columns} matrices"
        raise MemoryError(message) from None


def orthogonal(shape=None, gain=1.0, seed=None, dtype=None, *, batch_axis=None, out=None):
    """See the registry."""
    dims, kind = target(shape, dtype, out)
    batch = _batch_ndim(dims, batch_axis)
    flat = dims[batch:]
    if len(flat) < 2:
        besides = " besides batch_axis" if batch else ""
        raise ValueError(f"shape must have at least two dimensions{besides}, received {dims}")
    gain = check_gain(gain)
    _check_finite(_FINITE[kind.itemsize], kind, gain=gain)
    seed = key(seed)
    array = claim(dims, kind, out)
    if array.size:
        rows, columns = prod(flat[:-1]), flat[-1]
        work, threads = _room(rows, columns, array.size // (rows * columns), kind)
        _kernels.orthogonal(array, work, 0, rows, columns, seed, gain, threads)
    return array


def delta_orthogonal(shape=None, gain=1.0, seed=None, dtype=None, *, out=None):
    """See the registry."""
    dims, kind = target(shape, dtype, out)
    if len(dims) not in (3, 4, 5):
        raise ValueError(f"shape must have 3, 4 or 5 dimensions, received {dims}")
    if dims[-2] > dims[-1]:
        raise ValueError(f"shape[-2] must be at most shape[-1], received {dims}")
    gain = check_gain(gain)
    _check_finite(_FINITE[kind.itemsize], kind, gain=gain)
    seed = key(seed)
    array = claim(dims, kind, out)
    if array.size:
        rows, columns = dims[-2:]
        work, threads = _room(rows, columns, 1, kind)
        array.fill(0)
        centre = array[tuple((n - 1) // 2 for n in dims[:-2])]
        _kernels.orthogonal(centre, work, 0, rows, columns, seed, gain, threads)
    return array
