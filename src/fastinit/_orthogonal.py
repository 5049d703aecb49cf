"""Random orthogonal matrices."""

from collections.abc import Sequence
from math import prod
from operator import index

import numpy as np

from . import _kernels, _threads
from ._arrays import claim, empty, target
from ._samplers import FINITE, _check_finite, _number
from ._seeds import key

_WIDEST = np.dtype("float64")
_SINGLE = np.dtype("float32")  # in which float16 and bfloat16 are computed

# Elements that are computed aside at a time, but at least one matrix.
_ASIDE = 1 << 20


def check_gain(gain, kind=_WIDEST):
    """Raise where the gain is no finite number of that dtype; else the number."""
    number = _number("gain", gain)
    _check_finite(FINITE[kind.char], kind, gain=number)
    return number


def _axes(batch_axis):
    """The axes as a tuple of integers."""
    if batch_axis is None:
        return ()
    wanted = "batch_axis must be an integer, a sequence of them or None"
    axes = batch_axis if isinstance(batch_axis, Sequence) else (batch_axis,)
    try:
        if any(isinstance(axis, (bool, np.bool_)) for axis in axes):
            raise TypeError
        return tuple(index(axis) for axis in axes)
    except TypeError:
        raise TypeError(f"{wanted}, received {batch_axis!r}") from None


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


def _fill(array, rows, columns, seed, gain, whole=None):
    """Fill a contiguous array with matrices, the first, the second, ... of the seed.

    The whole that it is part of is zeroed before, but not before there is the room to work.
    """
    count = array.size // (rows * columns)
    kind = _SINGLE if array.itemsize == 2 else array.dtype
    group = min(count, max(1, _ASIDE // (rows * columns))) if kind is _SINGLE else count
    work, threads = _room(rows, columns, group, kind)
    aside = None if array.dtype == kind else empty((group, rows * columns), kind)
    if whole is not None:
        whole.fill(0)
    if aside is None:
        _kernels.orthogonal(array, work, 0, rows, columns, seed, gain, threads)
        return
    matrices = array.reshape(count, rows * columns)
    for first in range(0, count, group):
        part = matrices[first : first + group]
        computed = aside[: len(part)]
        _kernels.orthogonal(computed, work, first, rows, columns, seed, gain, threads)
        with np.errstate(all="ignore"):  # the caller's may raise
            np.copyto(part, computed, casting="unsafe")  # rounded once


def orthogonal(shape=None, gain=1.0, seed=None, dtype=None, *, batch_axis=None, out=None):
    """See the registry."""
    dims, kind, view = target(shape, dtype, out)
    batch = _batch_ndim(dims, batch_axis)
    flat = dims[batch:]
    if len(flat) < 2:
        besides = " besides batch_axis" if batch else ""
        raise ValueError(f"shape must have at least two dimensions{besides}, received {dims}")
    gain = check_gain(gain, kind)
    seed = key(seed)
    array = claim(dims, kind, view)
    if array.size:
        _fill(array, prod(flat[:-1]), flat[-1], seed, gain)
    return array if out is None else out


def delta_orthogonal(shape=None, gain=1.0, seed=None, dtype=None, *, out=None):
    """See the registry."""
    dims, kind, view = target(shape, dtype, out)
    if len(dims) not in (3, 4, 5):
        raise ValueError(f"shape must have 3, 4 or 5 dimensions, received {dims}")
    if dims[-2] > dims[-1]:
        raise ValueError(f"shape[-2] must be at most shape[-1], received {dims}")
    gain = check_gain(gain, kind)
    seed = key(seed)
    array = claim(dims, kind, view)
    if array.size:
        centre = array[tuple((n - 1) // 2 for n in dims[:-2])]
        _fill(centre, *dims[-2:], seed, gain, whole=array)
    return array if out is None else out
