"""Random orthogonal matrices."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from operator import index
from typing import TYPE_CHECKING, Any, SupportsFloat

import numpy as np

from .. import _kernels, _threads
from .._buffers import acquire, resolve, result
from .._indexing import offsets
from .._lazy import LazyArray
from .._memory import empty
from .._parameters import check_gain
from .._seeds import check_seed, key
from ._base import Initializer

if TYPE_CHECKING:
    from typing import SupportsIndex, TypeAlias

    from numpy.typing import DTypeLike

    from .._indexing import Axis
    from .._typing import Array, Dimensions, Out, Seed, Shape

    BatchAxis: TypeAlias = SupportsIndex | Sequence[SupportsIndex] | None

_SINGLE = np.dtype("float32")  # float16 and bfloat16 are computed in it

# Elements that are computed at a time where they are rounded to float16 and bfloat16, or where
# parts are cut from matrices; at least one matrix.
_TEMPORARY = 1 << 20

# Matrices of a lazy stack whose numbers are listed at once.
_NUMBERS_AT_ONCE = 1 << 20


def _batch_axes(batch_axis: Any) -> tuple[int, ...]:
    """Return the axes as a tuple of integers."""
    if batch_axis is None:
        return ()
    axes = batch_axis if isinstance(batch_axis, Sequence) else (batch_axis,)
    try:
        if any(isinstance(axis, (bool, np.bool_)) for axis in axes):
            raise TypeError
        return tuple([index(axis) for axis in axes])
    except TypeError:
        raise TypeError(
            f"batch_axis must be an integer, a sequence of them or None, received {batch_axis!r}"
        ) from None


def _batch_ndim(shape: Dimensions, batch_axis: BatchAxis) -> int:
    """Return how many leading axes count matrices; two dimensions must be left for these."""
    axes = _batch_axes(batch_axis)
    found = sorted(axis + len(shape) if axis < 0 else axis for axis in axes)
    if found != list(range(len(axes))):
        raise ValueError(
            f"batch_axis must name the first axes, each once, received {batch_axis!r} "
            f"for shape {shape}"
        )
    if len(shape) - len(axes) < 2:
        besides = " besides batch_axis" if axes else ""
        raise ValueError(f"shape must have at least two dimensions{besides}, received {shape}")
    return len(axes)


def _work_space(rows: int, columns: int, count: int, dtype: np.dtype[Any]) -> tuple[Array, int]:
    """Return work space for that many matrices, and the threads for which it is enough.

    The number of threads is read once, since another thread may change it at any time.
    """
    threads = _threads.count
    elements = _kernels.orthogonal_work(rows, columns, count, threads)
    try:
        return empty((elements,), dtype), threads
    except MemoryError:
        size = elements * dtype.itemsize / 2**30
        message = f"cannot allocate {size:.3g} GiB of work space for {rows} x {columns} matrices"
        raise MemoryError(message) from None


def _fill_matrices(
    array: Array,
    rows: int,
    columns: int,
    seed: int,
    gain: float,
    first: int = 0,
    zeroed: Array | None = None,
) -> None:
    """Fill a contiguous array with the matrices first, first + 1, ... of the seed.

    ``zeroed`` is the larger array that it is part of.  It is zeroed first, but only once the
    work space is allocated.
    """
    count = array.size // (rows * columns)
    narrow = array.itemsize == 2
    dtype = _SINGLE if narrow else array.dtype
    group = min(count, max(1, _TEMPORARY // (rows * columns))) if narrow else count
    work, threads = _work_space(rows, columns, group, dtype)
    computed = empty((group, rows * columns), dtype) if narrow else None
    if zeroed is not None:
        zeroed.fill(0)
    if computed is None:
        _kernels.orthogonal(array, work, first, rows, columns, seed, gain, threads)
        return
    matrices = array.reshape(count, rows * columns)
    for at in range(0, count, group):
        part = matrices[at : at + group]
        single = computed[: len(part)]
        _kernels.orthogonal(single, work, first + at, rows, columns, seed, gain, threads)
        with np.errstate(all="ignore"):  # the caller's may raise
            np.copyto(part, single, casting="unsafe")  # rounded once


def _as_slice(axis: Axis) -> slice:
    assert isinstance(axis, range)  # an array of indices counts along the first axis only
    return slice(axis.start, axis.stop if axis.stop >= 0 else None, axis.step)


@dataclass(frozen=True)
class StackSource:
    """Orthogonal matrices, one for each index of the first axes."""

    batch_ndim: int
    gain: float
    seed: int

    def fill_selection(self, out: Array, axes: list[Axis], shape: Dimensions) -> None:
        """Fill ``out`` with the elements at those places; parts of a matrix are cut from it."""
        counts, dims = shape[: self.batch_ndim], shape[self.batch_ndim :]
        cut = tuple(_as_slice(axis) for axis in axes[self.batch_ndim :])
        whole = cut == tuple(slice(0, n, 1) for n in dims)
        size = prod(dims)
        # Whole matrices are made in place, others in a temporary array.
        most = _NUMBERS_AT_ONCE if whole else max(1, _TEMPORARY // size)
        strides = [prod(counts[i + 1 :]) for i in range(len(counts))]
        parts = out.reshape(-1, *out.shape[self.batch_ndim :])
        for first in range(0, len(parts), _NUMBERS_AT_ONCE):
            last = min(len(parts), first + _NUMBERS_AT_ONCE)
            numbers = offsets(axes[: self.batch_ndim], strides, first, last)
            # Neighbours are made together, on all threads.
            ends = [*(np.flatnonzero(np.diff(numbers) != 1) + 1).tolist(), len(numbers)]
            at = 0
            for end in ends:
                while at < end:
                    count = min(most, end - at)
                    part = parts[first + at : first + at + count]
                    self._fill_parts(part, int(numbers[at]), dims, None if whole else cut)
                    at += count

    def _fill_parts(
        self, out: Array, first: int, dims: Dimensions, cut: tuple[slice, ...] | None
    ) -> None:
        """Fill ``out`` with the same part of the matrices first, first + 1, ..., or all of each."""
        matrices = out if cut is None else empty((len(out), *dims), out.dtype)
        _fill_matrices(matrices, prod(dims[:-1]), dims[-1], self.seed, self.gain, first)
        if cut is not None:
            out[...] = matrices[:, *cut]


def orthogonal(
    shape: Shape | None = None,
    gain: SupportsFloat = 1.0,
    seed: Seed = None,
    dtype: DTypeLike | None = None,
    *,
    batch_axis: BatchAxis = None,
    out: Out | None = None,
) -> Out:
    """Return a random matrix with orthonormal columns, or rows where it is wide, times the gain.

    The matrix is (prod(shape[:-1]), shape[-1]) and Haar distributed: uniform among all of its kind.

    Parameters
    ----------
    shape : sequence of int, optional
        Shape of the result, two dimensions at least; may be left out where ``out`` is given.
    gain : float
        Factor of the orthogonal matrix.
    seed : int, SeedGenerator or numpy.random.Generator, optional
        An integer, 0 <= seed < 2**64, gives the same values at every call.  A generator advances.
        None draws fresh entropy at every call.
    dtype : str or numpy.dtype, optional
        float32 (the default), float64, float16 or bfloat16.
    batch_axis : int or sequence of int, optional
        The first axes of the shape, as many as are named (0 is the first): each index there has a
        matrix of its own, the same however many there are.
    out : array or buffer, optional
        It is filled in place and returned; :func:`random_normal` says what may be given.

    Returns
    -------
    numpy.ndarray or out

    Raises
    ------
    ValueError, TypeError
        An argument is out of range or of the wrong type.  Nothing is written then.
    MemoryError
        There is no memory for the result or for the work space.

    Notes
    -----
    Saxe, McClelland & Ganguli, ICLR 2014; Householder reflectors drawn directly, Stewart, SIAM J.
    Numer. Anal. 17 (1980) 403-409.
    """
    dims, dtype, view = resolve(shape, dtype, out)
    flat = dims[_batch_ndim(dims, batch_axis) :]
    gain = check_gain(gain, dtype)
    seed = key(seed)
    array = acquire(dims, dtype, view)
    if array.size:
        _fill_matrices(array, prod(flat[:-1]), flat[-1], seed, gain)
    return result(array, out)


class Orthogonal(Initializer):
    """Draw a random matrix with orthonormal columns, or rows where it is wide, times the gain.

    The matrix is (prod(shape[:-1]), shape[-1]) and Haar distributed: uniform among all of its kind.

    Parameters
    ----------
    gain : float
        Factor of the orthogonal matrix.
    seed : int, SeedGenerator or numpy.random.Generator, optional
        An integer, 0 <= seed < 2**64, gives the same values at every call.  A generator advances.
        None draws fresh entropy at every call.
    batch_axis : int or sequence of int, optional
        The first axes of the shape, as many as are named (0 is the first): each index there has a
        matrix of its own, the same however many there are.  Keras lacks it.

    Raises
    ------
    ValueError, TypeError
        An argument is out of range or of the wrong type.

    Notes
    -----
    Saxe, McClelland & Ganguli, ICLR 2014; Stewart, SIAM J. Numer. Anal. 17 (1980) 403-409.
    """

    _config_module = "keras.initializers"

    def __init__(
        self, gain: SupportsFloat = 1.0, seed: Seed = None, batch_axis: BatchAxis = None
    ) -> None:
        check_seed(seed)
        check_gain(gain)
        _batch_axes(batch_axis)
        self.gain = gain
        self.seed = seed
        self.batch_axis = batch_axis

    def __call__(self, shape: Shape, dtype: DTypeLike | None = None) -> Array:
        """Return the matrix in an array of that shape and dtype."""
        return orthogonal(shape, self.gain, self.seed, dtype, batch_axis=self.batch_axis)

    def lazy(self, shape: Shape, dtype: DTypeLike | None = None) -> LazyArray:
        """Return the same stack without its memory: see :meth:`Initializer.lazy`.

        It needs ``batch_axis``.  A part of a matrix is cut from it, so it takes as long as the
        matrix, and its memory meanwhile.

        Raises
        ------
        NotImplementedError
            There is no ``batch_axis``: one matrix has no parts that could be made alone.
        """
        if not _batch_axes(self.batch_axis):
            raise NotImplementedError(
                "Orthogonal has no parts that could be made alone unless batch_axis makes it a "
                "stack of matrices: call it for the whole array"
            )
        dims, dtype, _ = resolve(shape, dtype, None)
        batch_ndim = _batch_ndim(dims, self.batch_axis)
        gain = check_gain(self.gain, dtype)
        return LazyArray(dims, dtype, StackSource(batch_ndim, gain, key(self.seed)))

    def get_config(self) -> dict[str, Any]:
        """Return the arguments; ``batch_axis`` only where it is given, since Keras lacks it."""
        config = super().get_config()
        if config.get("batch_axis") is None:
            config.pop("batch_axis", None)
        return config


def delta_orthogonal(
    shape: Shape | None = None,
    gain: SupportsFloat = 1.0,
    seed: Seed = None,
    dtype: DTypeLike | None = None,
    *,
    out: Out | None = None,
) -> Out:
    """Return a convolution kernel that is an orthogonal matrix in the middle of its window.

    It is gain * Q at (n - 1) // 2 of each axis of the window and 0 elsewhere; Q is Haar
    distributed.

    Parameters
    ----------
    shape : sequence of three to five int, optional
        (*window, in, out) with in <= out; may be left out where ``out`` is given.
    gain : float
        Factor of the orthogonal matrix.
    seed : int, SeedGenerator or numpy.random.Generator, optional
        An integer, 0 <= seed < 2**64, gives the same values at every call.  A generator advances.
        None draws fresh entropy at every call.
    dtype : str or numpy.dtype, optional
        float32 (the default), float64, float16 or bfloat16.
    out : array or buffer, optional
        It is filled in place and returned; :func:`random_normal` says what may be given.

    Returns
    -------
    numpy.ndarray or out

    Raises
    ------
    ValueError, TypeError
        An argument is out of range or of the wrong type.  Nothing is written then.

    Notes
    -----
    Xiao et al., ICML 2018, algorithm 1.
    """
    dims, dtype, view = resolve(shape, dtype, out)
    if len(dims) not in (3, 4, 5):
        raise ValueError(f"shape must have 3, 4 or 5 dimensions, received {dims}")
    if dims[-2] > dims[-1]:
        raise ValueError(f"shape[-2] must be at most shape[-1], received {dims}")
    gain = check_gain(gain, dtype)
    seed = key(seed)
    array = acquire(dims, dtype, view)
    if array.size:
        centre = array[tuple((n - 1) // 2 for n in dims[:-2])]
        _fill_matrices(centre, dims[-2], dims[-1], seed, gain, zeroed=array)
    return result(array, out)


class DeltaOrthogonal(Initializer):
    """Draw a convolution kernel that is an orthogonal matrix in the middle of its window.

    It is gain * Q at (n - 1) // 2 of each axis of the window and 0 elsewhere; Q is Haar
    distributed.  The shape has three to five dimensions.  Keras lacks this class.

    Parameters
    ----------
    gain : float
        Factor of the orthogonal matrix.
    seed : int, SeedGenerator or numpy.random.Generator, optional
        An integer, 0 <= seed < 2**64, gives the same values at every call.  A generator advances.
        None draws fresh entropy at every call.

    Raises
    ------
    ValueError, TypeError
        An argument is out of range or of the wrong type.

    Notes
    -----
    Xiao et al., ICML 2018, algorithm 1.
    """

    _config_module = "fastinit.initializers"

    def __init__(self, gain: SupportsFloat = 1.0, seed: Seed = None) -> None:
        check_seed(seed)
        check_gain(gain)
        self.gain = gain
        self.seed = seed

    def __call__(self, shape: Shape, dtype: DTypeLike | None = None) -> Array:
        """Return the kernel in an array of that shape and dtype."""
        return delta_orthogonal(shape, self.gain, self.seed, dtype)
