"""Random orthogonal matrices."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from math import prod
from typing import TYPE_CHECKING, Any, SupportsFloat

import numpy as np

from .. import _kernels, _threads
from .._buffers import make, torch_of
from .._entry import entry_point
from .._indexing import offsets
from .._lazy import LazyArray, resolve_lazy
from .._memory import empty
from .._messages import shown
from .._parameters import check_gain
from .._seeds import check_seed, key
from .._shapes import as_integers, check_size
from ._base import Initializer, takes_shape_and_dtype

if TYPE_CHECKING:
    from typing import SupportsIndex, TypeAlias

    from numpy.typing import DTypeLike

    from .._buffers import Fill
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
        return as_integers(axes)
    except TypeError:
        raise TypeError(
            "batch_axis must be an integer, a sequence of them or None, "
            f"received {shown(batch_axis)}"
        ) from None


def _batch_ndim(shape: Dimensions, batch_axis: BatchAxis) -> int:
    """Return how many leading axes number the matrices; at least two others must be left."""
    axes = _batch_axes(batch_axis)
    found = sorted(axis + len(shape) if axis < 0 else axis for axis in axes)
    if found != list(range(len(axes))):
        raise ValueError(
            f"batch_axis must name the first axes, each once, received "
            f"{shown(batch_axis)} for shape {shown(shape)}"
        )
    if len(shape) - len(axes) < 2:
        besides = " besides batch_axis" if axes else ""
        raise ValueError(
            f"shape must have at least two dimensions{besides}, received {shown(shape)}"
        )
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


class _Matrices:
    """Make up to ``most`` matrices per call, in work space that is allocated once."""

    def __init__(
        self, most: int, rows: int, columns: int, dtype: np.dtype[Any], gain: float
    ) -> None:
        self.rows, self.columns, self.gain = rows, columns, gain
        self.computed: Array | None = None
        if dtype.itemsize == 2:
            self.group = min(most, max(1, _TEMPORARY // (rows * columns)))
            self.work, self.threads = _work_space(rows, columns, self.group, _SINGLE)
            self.computed = empty((self.group, rows * columns), _SINGLE)
        else:
            self.work, self.threads = _work_space(rows, columns, most, dtype)

    def fill(self, array: Array, seed: int, first: int = 0) -> None:
        """Fill a contiguous array with the matrices first, first + 1, ... of the seed."""
        rows, columns = self.rows, self.columns
        if self.computed is None:
            self._run(array, seed, first)
            return
        matrices = array.reshape(-1, rows * columns)
        for at in range(0, len(matrices), self.group):
            part = matrices[at : at + self.group]
            single = self.computed[: len(part)]
            self._run(single, seed, first + at)
            with np.errstate(all="ignore"):  # the caller's settings may raise
                np.copyto(part, single, casting="unsafe")  # rounded once

    def _run(self, array: Array, seed: int, first: int) -> None:
        _kernels.orthogonal(
            array, self.work, first, self.rows, self.columns, seed, self.gain, self.threads
        )


def _as_slice(axis: Axis) -> slice:
    assert isinstance(axis, range)  # an array of indices counts along the first axis only
    return slice(axis.start, axis.stop if axis.stop >= 0 else None, axis.step)


@dataclass(frozen=True)
class StackSource:
    """Orthogonal matrices, one for each index of the first axes."""

    batch_ndim: int
    gain: float
    seed: int

    @entry_point
    def fill_selection(self, out: Array, axes: list[Axis], shape: Dimensions) -> None:
        """Fill ``out`` with the elements at those places; parts of a matrix are copied from it.

        It is an entry point because matrices are rounded here, which the other sources leave to the
        kernels.
        """
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
        maker = _Matrices(len(out), prod(dims[:-1]), dims[-1], out.dtype, self.gain)
        maker.fill(matrices, self.seed, first)
        if cut is not None:
            out[...] = matrices[:, *cut]


def _fill_nothing(array: Array, key: int) -> None:
    pass


_LAYOUTS = "its layout may be PyTorch's, (out, in, *window), but this function reads"


def _prepare_orthogonal(
    gain: SupportsFloat,
    batch_axis: BatchAxis,
    is_tensor: bool,
    dims: Dimensions,
    dtype: np.dtype[Any],
) -> Fill:
    batch_ndim = _batch_ndim(dims, batch_axis)
    # A transposed orthogonal matrix is one, too, so both layouts of a matrix are right.
    if is_tensor and len(dims) - batch_ndim > 2:
        besides = " besides batch_axis" if batch_ndim else ""
        raise ValueError(
            f"out must not be a PyTorch tensor of 3 or more dimensions{besides}, received one of "
            f"shape {shown(dims)}: {_LAYOUTS} the matrix (prod(shape[:-1]), shape[-1]) of Keras's, "
            "(*window, in, out).  For PyTorch's layout use fastinit.torch.init.orthogonal_; for "
            "Keras's pass out=tensor.detach().numpy()"
        )
    gain = check_gain(gain, dtype)
    rows, columns, count = prod(dims[batch_ndim:-1]), dims[-1], prod(dims[:batch_ndim])
    if not rows * columns * count:
        return _fill_nothing
    check_size(dims)
    return _Matrices(count, rows, columns, dtype, gain).fill


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
        Shape of the result, two dimensions at least; may be left out where ``out`` is given.  A
        convolution kernel is ``(*window, in, out)``, as in Keras.
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
        It is filled in place and returned; :func:`random_normal` says what may be given.  It has
        Keras's layout, as ``shape`` does.  PyTorch's kernels are ``(out, in, *window)``, so a
        tensor of PyTorch must not have three or more dimensions besides ``batch_axis``: use
        :func:`fastinit.torch.init.orthogonal_` instead.  A matrix is right in both layouts.

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
    is_tensor = out is not None and torch_of(out) is not None
    prepare = partial(_prepare_orthogonal, gain, batch_axis, is_tensor)
    return make(shape, dtype, out, prepare, seed=seed)


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

    @takes_shape_and_dtype
    def __call__(self, shape: Shape, dtype: DTypeLike | None = None) -> Array:
        """Return the matrix in an array of that shape and dtype."""
        return orthogonal(shape, self.gain, self.seed, dtype, batch_axis=self.batch_axis)

    @entry_point
    def lazy(self, shape: Shape, dtype: DTypeLike | None = None) -> LazyArray:
        """Return the same stack without its memory: see :meth:`Initializer.lazy`.

        It needs ``batch_axis``.  A part of a matrix is copied from the whole matrix, so it takes as
        long as that, and needs its memory meanwhile.

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
        dims, dtype = resolve_lazy(shape, dtype)
        batch_ndim = _batch_ndim(dims, self.batch_axis)
        gain = check_gain(self.gain, dtype)
        return LazyArray(dims, dtype, StackSource(batch_ndim, gain, key(self.seed)))

    def get_config(self) -> dict[str, Any]:
        """Return the arguments; ``batch_axis`` only where it is given, since Keras lacks it."""
        config = super().get_config()
        if config.get("batch_axis") is None:
            config.pop("batch_axis", None)
        return config


def _prepare_delta(
    gain: SupportsFloat, is_tensor: bool, dims: Dimensions, dtype: np.dtype[Any]
) -> Fill:
    if is_tensor:
        raise ValueError(
            f"out must not be a PyTorch tensor, received one of shape {shown(dims)}: {_LAYOUTS} "
            "Keras's, (*window, in, out).  For PyTorch's layout make kernel = "
            "fastinit.delta_orthogonal((*window, in, out)) and copy it by "
            "tensor.copy_(torch.from_numpy(kernel).movedim((-1, -2), (0, 1))); for Keras's pass "
            "out=tensor.detach().numpy()"
        )
    if len(dims) not in (3, 4, 5):
        raise ValueError(f"shape must have 3, 4 or 5 dimensions, received {shown(dims)}")
    if dims[-2] > dims[-1]:
        raise ValueError(f"shape[-2] must be at most shape[-1], received {shown(dims)}")
    gain = check_gain(gain, dtype)
    check_size(dims)
    if not prod(dims):
        return _fill_nothing
    maker = _Matrices(1, dims[-2], dims[-1], dtype, gain)

    def fill(array: Array, key: int) -> None:
        array.fill(0)
        maker.fill(array[tuple((n - 1) // 2 for n in dims[:-2])], key)

    return fill


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
        ``(*window, in, out)`` with in <= out; may be left out where ``out`` is given.
    gain : float
        Factor of the orthogonal matrix.
    seed : int, SeedGenerator or numpy.random.Generator, optional
        An integer, 0 <= seed < 2**64, gives the same values at every call.  A generator advances.
        None draws fresh entropy at every call.
    dtype : str or numpy.dtype, optional
        float32 (the default), float64, float16 or bfloat16.
    out : array or buffer, optional
        It is filled in place and returned; :func:`random_normal` says what may be given.  It has
        Keras's layout, as ``shape`` does.  PyTorch's kernels are ``(out, in, *window)``, so a
        tensor of PyTorch is refused.

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
    is_tensor = out is not None and torch_of(out) is not None
    return make(shape, dtype, out, partial(_prepare_delta, gain, is_tensor), seed=seed)


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

    @takes_shape_and_dtype
    def __call__(self, shape: Shape, dtype: DTypeLike | None = None) -> Array:
        """Return the kernel in an array of that shape and dtype."""
        return delta_orthogonal(shape, self.gain, self.seed, dtype)
