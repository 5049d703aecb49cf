"""Arrays that are not there: each part is made when it is asked for."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from operator import index as integer
from typing import TYPE_CHECKING

import numpy as np

from . import _kernels
from ._arrays import claim, empty, target
from ._samplers import fill

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any, TypeAlias

    from numpy.typing import NDArray

    from ._samplers import Law

    # The indices that are wanted along one axis.
    Axis: TypeAlias = range | NDArray[Any]

_WORD = 1 << 64

# Rows whose starts are listed at once; elements of one temporary array.
_ROWS, _ASIDE = 1 << 20, 1 << 20

# Up to this distance it is cheaper to make the elements in between, too: they share batches of 64.
_DENSE = 64


def _word(x: int) -> np.uint64:
    return np.uint64(x % _WORD)


def _indices(axis: Axis, first: int, last: int) -> NDArray[Any]:
    """Places first ... last - 1 of an axis, as uint64; all arithmetic is modulo 2^64."""
    if isinstance(axis, np.ndarray):
        return axis[first:last]
    return np.arange(first, last, dtype=np.uint64) * _word(axis.step) + _word(axis.start)


@dataclass(frozen=True)
class Random:
    """Elements of a random array: what LazyArray reads from."""

    law: Law
    seed: int

    def run(self, out: NDArray[Any], start: int, shape: tuple[int, ...]) -> None:
        """Fill out, flat, with the elements from start on, in C order."""
        fill(out, start, self.seed, self.law)

    def read(self, out: NDArray[Any], axes: list[Axis], shape: tuple[int, ...]) -> None:
        """Fill out, which has an axis for each of the full shape."""
        # An axis of one does not matter, and would hide that the one before it is the last.
        kept = [i for i, axis in enumerate(axes) if shape[i] != 1 or _size(axis) != 1]
        out, axes = out.reshape([out.shape[i] for i in kept]), [axes[i] for i in kept]
        shape = tuple(shape[i] for i in kept)
        strides = [prod(shape[i + 1 :]) for i in range(len(shape))]
        # The last axes of which all is wanted, and a span of the one before: one run of elements.
        split, length, base = len(axes), 1, 0
        whole = True
        while whole and split:
            axis = axes[split - 1]
            if isinstance(axis, np.ndarray) or (axis.step != 1 and _size(axis) > 1):
                break
            split -= 1
            length *= _size(axis)
            base += axis.start * strides[split]
            whole = _size(axis) == shape[split]
        rest = axes[:split]
        is_stepped = split and split == len(axes) and isinstance(axes[-1], range)
        if is_stepped and abs(axes[-1].step) <= _DENSE:
            self._thin(out, axes, strides)
            return
        rows = out.reshape(-1, length)
        for first in range(0, len(rows), _ROWS):
            part = rows[first : first + _ROWS]
            self._rows(part, rest, strides, first, base)

    def _rows(
        self, out: NDArray[Any], axes: list[Axis], strides: list[int], first: int, base: int
    ) -> None:
        """Runs of elements, in the order of the axes before them, from run number first on."""
        if not axes:
            fill(out, base, self.seed, self.law)
            return
        if len(axes) == 1:
            starts = _indices(axes[0], first, first + len(out)) * _word(strides[0])
        else:
            starts = np.zeros(len(out), np.uint64)
            number = np.arange(first, first + len(out), dtype=np.uint64)
            for axis, stride in zip(axes[::-1], strides[len(axes) - 1 :: -1], strict=True):
                number, place = np.divmod(number, np.uint64(len(axis)))
                if isinstance(axis, np.ndarray):
                    starts += axis[place] * _word(stride)
                else:
                    starts += place * _word(axis.step * stride) + _word(axis.start * stride)
        fill(out, starts + _word(base), self.seed, self.law)

    def _thin(self, out: NDArray[Any], axes: list[Axis], strides: list[int]) -> None:
        """A last axis with steps: spans of it made aside, of which every so-many-th is kept."""
        *rest, last = axes
        step = abs(last.step)
        rows = out.reshape(-1, len(last))
        columns = max(1, _ASIDE // step)
        for left in range(0, len(last), columns):
            part = last[left : left + columns]
            low, high = min(part[0], part[-1]), max(part[0], part[-1])
            height = max(1, _ASIDE // (high - low + 1))
            for first in range(0, len(rows), height):
                to = rows[first : first + height, left : left + len(part)]
                aside = np.empty((len(to), high - low + 1), out.dtype)
                self._rows(aside, rest, strides, first, low)
                to[...] = aside[:, ::step] if last.step > 0 else aside[:, ::-step]


@dataclass(frozen=True)
class Value:
    """A number, or numbers that broadcast to the shape."""

    value: NDArray[Any]

    def run(self, out: NDArray[Any], start: int, shape: tuple[int, ...]) -> None:
        """As for Random; of one number."""
        np.copyto(out, self.value)

    def read(self, out: NDArray[Any], axes: list[Axis], shape: tuple[int, ...]) -> None:
        """As for Random."""
        found = self.value
        for axis in range(-found.ndim, 0):
            if found.shape[axis] != 1:
                found = found.take(_indices(axes[axis], 0, out.shape[axis]).astype(np.intp), axis)
        np.copyto(out, found)


@dataclass(frozen=True)
class Diagonal:
    """A number on the diagonal of a matrix, zeros elsewhere."""

    gain: NDArray[Any]

    def run(self, out: NDArray[Any], start: int, shape: tuple[int, ...]) -> None:
        """As for Random."""
        rows, columns = shape
        step = columns + 1  # from one of the diagonal to the next
        out.fill(0)
        out[-start % step : max(0, min(rows, columns) * step - start) : step] = self.gain

    def read(self, out: NDArray[Any], axes: list[Axis], shape: tuple[int, ...]) -> None:
        """As for Random."""
        rows, columns = axes
        out.fill(0)
        if columns.step < 0:
            out, columns = out[:, ::-1], columns[::-1]
        start, width = np.uint64(columns.start), np.uint64(out.shape[1])
        step = np.uint64(min(columns.step, _WORD - 1))  # more than that is one column
        for first in range(0, len(out), _ROWS):
            part = out[first : first + _ROWS]
            row = _indices(rows, first, first + len(part))
            place, beside = np.divmod(row - start, step)
            on = np.flatnonzero((row >= start) & (beside == 0) & (place < width))
            part[on, place[on].astype(np.intp)] = self.gain


class LazyArray:
    """An array that is not there: its parts are made when they are asked for.

    Made by :meth:`fastinit.initializers.Initializer.lazy`.  ``lazy[index]`` equals
    ``numpy.asarray(lazy)[index]`` in every bit, whatever was read before.  The index is an integer,
    a slice, an Ellipsis, a tuple of these, or an array of integers for the first axis, alone or
    first in such a tuple; rows may be in any order and repeat.

    Parameters
    ----------
    shape : tuple of int
        At most 2**64 elements.
    dtype : numpy.dtype
    source : object
        What the elements are.

    Raises
    ------
    OverflowError
        More than 2**64 elements.

    Examples
    --------
    >>> from fastinit import initializers
    >>> table = initializers.TruncatedNormal(stddev=0.05, seed=1).lazy((2**40, 128))
    >>> table[[5, 10**12, 5]].shape
    (3, 128)
    """

    def __init__(self, shape: tuple[int, ...], dtype: np.dtype[Any], source: Any) -> None:
        if prod(shape) > _WORD:
            raise OverflowError(
                f"shape {shape} has more than 2**64 elements, more than the counter"
            )
        self.shape = shape
        self.dtype = dtype
        self.source = source

    def __getstate__(self) -> dict[str, Any]:
        return {**vars(self), "stream_version": _kernels.STREAM_VERSION}

    def __setstate__(self, state: dict[str, Any]) -> None:
        stream = state.pop("stream_version")
        if stream != _kernels.STREAM_VERSION:
            raise ValueError(
                f"pickled with stream version {stream}, whose values version "
                f"{_kernels.STREAM_VERSION} does not make"
            )
        vars(self).update(state)

    @property
    def ndim(self) -> int:
        """Number of dimensions."""
        return len(self.shape)

    @property
    def size(self) -> int:
        """Number of elements."""
        return prod(self.shape)

    @property
    def nbytes(self) -> int:
        """Bytes that the whole array would take."""
        return self.size * self.dtype.itemsize

    def _ids(self, ids: Any) -> NDArray[Any]:
        """An array of indices of the first axis, as uint64."""
        array = np.asarray(ids)
        kind = array.dtype.kind
        if isinstance(ids, list) and kind in "fO":
            # To NumPy [] is float64, and so are integers on both sides of 2^63.
            exact = np.asarray(ids, object)
            if all(type(i) is int for i in exact.flat):
                array, kind = exact, "i"
        if kind not in "iu":
            raise IndexError(f"an index array must hold integers, received {array.dtype}")
        rows = self.shape[0]
        if array.size:
            least, greatest = int(array.min()), int(array.max())
            if not (-rows <= least and greatest < rows):
                bad = greatest if greatest >= rows else least
                raise IndexError(f"index {bad} is out of bounds for axis 0 with size {rows}")
        if array.dtype == object:
            return (array % rows).astype(np.uint64)
        found = array.astype(np.uint64)  # modulo 2^64
        return found + (array < 0) * _word(rows) if kind == "i" else found

    def _select(self, index: Any) -> tuple[list[Axis], tuple[int, ...]]:
        """The indices along each axis, and the shape of the result."""
        items = list(index) if isinstance(index, tuple) else [index]
        dots = [i for i, item in enumerate(items) if item is Ellipsis]
        if len(dots) > 1:
            raise IndexError("an index can only have a single ellipsis ('...')")
        if len(items) - len(dots) > self.ndim:
            raise IndexError(
                f"too many indices: array is {self.ndim}-dimensional, received {index!r}"
            )
        at = dots[0] if dots else len(items)
        fill_in = [slice(None)] * (self.ndim - len(items) + len(dots))
        items[at : at + len(dots)] = fill_in
        axes: list[Axis] = []
        kept: list[int] = []
        for number, (item, size) in enumerate(zip(items, self.shape, strict=True)):
            if isinstance(item, slice):
                # range, and not slice.indices(): sizes may be beyond sys.maxsize.
                axes.append(range(size)[item])
                kept.append(_size(axes[-1]))
                continue
            try:
                # PyTorch takes an array of one integer for that integer.
                if isinstance(item, (bool, np.bool_)) or getattr(item, "ndim", 0):
                    raise TypeError
                i = integer(item)
            except TypeError:
                is_array = isinstance(item, list) or hasattr(type(item), "__array__")
                if number or not is_array:
                    raise IndexError(
                        "an index must be an integer, a slice, an Ellipsis, a tuple of these, or "
                        f"an array of integers for the first axis, received {item!r}"
                    ) from None
                ids = self._ids(item)
                axes.append(ids.reshape(-1))
                kept += ids.shape
                continue
            if not -size <= i < size:
                raise IndexError(f"index {i} is out of bounds for axis {number} with size {size}")
            axes.append(range(i % size, i % size + 1))
        return axes, tuple(kept)

    def _fill(self, array: NDArray[Any], axes: list[Axis]) -> None:
        if array.size:
            dims = [_size(axis) for axis in axes]
            self.source.read(array.reshape(dims), axes, self.shape)

    def __getitem__(self, index: Any) -> Any:
        axes, shape = self._select(index)
        array = empty(shape, self.dtype)
        self._fill(array, axes)
        whole = index if isinstance(index, tuple) else (index,)
        return array if shape or Ellipsis in whole else array[()]  # a scalar, as NumPy's

    def read(self, index: Any, out: Any) -> Any:
        """Fill a buffer with a part.

        Parameters
        ----------
        index : int, slice, Ellipsis, tuple of these, or array of int
            As for ``lazy[index]``.
        out : array or buffer
            Filled in place: as in :func:`fastinit.random_normal`; of the part's shape and dtype, or
            as many bytes.

        Returns
        -------
        out

        Raises
        ------
        IndexError
            Out of bounds, or none of these.
        ValueError, TypeError
            An ``out`` of another shape or dtype, or unfit.  Nothing is written then.
        """
        if out is None:
            raise TypeError("out must be an array or a buffer to be filled in place, received None")
        axes, shape = self._select(index)
        dims, kind, view = target(shape, self.dtype, out, (self.dtype,))
        self._fill(claim(dims, kind, view), axes)
        return out

    def __len__(self) -> int:
        if not self.shape:
            raise TypeError("len() of unsized object")
        return self.shape[0]

    def __iter__(self) -> Iterator[Any]:
        if not self.shape:
            raise TypeError("iteration over a 0-d array")
        return (self[i] for i in range(self.shape[0]))

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        if copy is False:
            raise ValueError("a LazyArray has no memory to share: copy=False cannot be")
        array = self[...]
        return array if dtype is None else array.astype(dtype, copy=False)

    def __repr__(self) -> str:
        return f"LazyArray(shape={self.shape}, dtype={self.dtype}, {self.source})"


def _size(axis: Axis) -> int:
    """The length of an axis, which may be beyond sys.maxsize."""
    if isinstance(axis, np.ndarray):
        return axis.size
    return max(0, -((axis.start - axis.stop) // axis.step))
