"""Indices of a lazy array: what a caller may write, as the places along each axis."""

from __future__ import annotations

from math import prod
from operator import index as as_integer
from typing import TYPE_CHECKING, Any

import numpy as np

from . import _kernels
from ._messages import shown, shown_text

if TYPE_CHECKING:
    from typing import TypeAlias

    from ._typing import Array, Dimensions

    # The places that are wanted along one axis: evenly spaced, or an array of uint64.
    Axis: TypeAlias = range | Array

UINT64 = 1 << 64  # how many values a uint64 has


def axis_size(axis: Axis) -> int:
    """Return the number of places, which may be beyond sys.maxsize."""
    if isinstance(axis, np.ndarray):
        return axis.size
    return max(0, -((axis.start - axis.stop) // axis.step))


def places(axis: Axis, first: int, last: int) -> Array:
    """Return places first ... last - 1 of an axis as uint64; all arithmetic is modulo 2**64."""
    if isinstance(axis, np.ndarray):
        return axis[first:last]
    return np.arange(first, last, dtype=np.uint64) * uint64(axis.step) + uint64(axis.start)


def offsets(axes: list[Axis], strides: list[int], first: int, last: int) -> Array:
    """Return the offsets of the places first ... last - 1 of several axes, as uint64.

    Places are in C order; `strides` says how far apart neighbours are along each axis.
    """
    if len(axes) == 1:
        return places(axes[0], first, last) * uint64(strides[0])
    found = np.zeros(last - first, np.uint64)
    number = np.arange(first, last, dtype=np.uint64)
    for axis, stride in zip(axes[::-1], strides[::-1], strict=True):
        number, place = np.divmod(number, np.uint64(axis_size(axis)))
        if isinstance(axis, np.ndarray):
            found += axis[place] * uint64(stride)
        else:
            found += place * uint64(axis.step * stride) + uint64(axis.start * stride)
    return found


def uint64(x: int) -> np.uint64:
    """Return an integer modulo 2**64."""
    return np.uint64(x % UINT64)


def _out_of_bounds(lowest: int, highest: int, size: int, number: int = 0) -> IndexError:
    bad = highest if highest >= size else lowest
    return IndexError(
        f"index {shown(bad)} is out of bounds for axis {number} with size {shown(size)}"
    )


def _rows(ids: Array, rows: int, stride: int) -> _kernels.Rows:
    """Return the rows that an array of int or uint names, in a table of `rows` rows."""
    signed = ids.dtype.kind == "i"
    ids = np.asarray(ids, np.int64 if signed else np.uint64, order="C")
    found = _kernels.Rows(ids, signed, rows, stride)
    if not found.inside:
        raise _out_of_bounds(int(ids.min()), int(ids.max()), rows)
    return found


def _as_ids(ids: Any) -> Array:
    try:
        return np.asarray(ids)
    except ValueError:  # lists of different lengths
        raise IndexError(f"an index array must hold integers, received {shown(ids)}") from None


def _row_ids(ids: Any, rows: int) -> Array:
    """Return an array of indices of the first axis as uint64."""
    array = _as_ids(ids)
    if isinstance(ids, list) and array.dtype.kind in "fO":
        # NumPy makes float64 of [], and of integers on both sides of 2^63.
        exact = np.asarray(ids, object)
        if all(type(i) is int for i in exact.flat):
            if exact.size and not (-rows <= exact.min() and exact.max() < rows):
                raise _out_of_bounds(exact.min(), exact.max(), rows)
            return (exact % rows).astype(np.uint64)
    if array.dtype.kind not in "iu":
        raise IndexError(f"an index array must hold integers, received {shown_text(array.dtype)}")
    places = np.empty(array.shape, np.uint64)
    _rows(array, rows, 1).starts(places.reshape(-1))
    return places


def _place(i: int, size: int, number: int) -> int:
    """Return the place that an integer means along an axis."""
    if not -size <= i < size:
        raise _out_of_bounds(i, i, size, number)
    return i if i >= 0 else i + size


def _one_place(item: Any, size: int, number: int) -> range | None:
    """Return the place that an integer means; None where the item is no integer."""
    # PyTorch's arrays of one integer convert to that integer, so `ndim` is checked, too.
    if isinstance(item, (bool, np.bool_)) or getattr(item, "ndim", None):
        return None
    try:
        place = _place(as_integer(item), size, number)
    except TypeError:
        return None
    return range(place, place + 1)


def select_rows(index: Any, shape: Dimensions) -> tuple[int | _kernels.Rows, Dimensions] | None:
    """Return which whole rows an index means, and the shape of the result; None for other indices.

    One row is named by its start.  These are the commonest indices, one integer or a vector of
    them.  :func:`select` gives the same elements, but it and the fill of a selection take several
    times as long as it takes to make a row.
    """
    kind = type(index)
    if not shape:
        return None
    row = shape[1:]
    if kind is list:
        index, kind = _as_ids(index), np.ndarray
    if kind is np.ndarray and index.ndim == 1 and index.dtype.kind in "iu":
        return _rows(index, shape[0], prod(row)), (len(index), *row)
    if kind is int or kind is np.int64:
        return _place(int(index), shape[0], 0) * prod(row), row
    return None


def select(index: Any, shape: Dimensions) -> tuple[list[Axis], Dimensions]:
    """Return the places along each axis, and the shape of the result.

    Parameters
    ----------
    index : int, slice, Ellipsis, tuple of these, or array of int
        An array counts along the first axis, alone or first in a tuple.
    shape : tuple of int
        Shape of the whole array.

    Raises
    ------
    IndexError
        The index is out of bounds, or none of these.
    """
    items = list(index) if isinstance(index, tuple) else [index]
    dots = [i for i, item in enumerate(items) if item is Ellipsis]
    if len(dots) > 1:
        raise IndexError("an index can only have a single ellipsis ('...')")
    if len(items) - len(dots) > len(shape):
        raise IndexError(
            f"too many indices: array is {len(shape)}-dimensional, received {shown(index)}"
        )
    at = dots[0] if dots else len(items)
    items[at : at + len(dots)] = [slice(None)] * (len(shape) - len(items) + len(dots))
    axes: list[Axis] = []
    kept: list[int] = []
    for number, (item, size) in enumerate(zip(items, shape, strict=True)):
        if isinstance(item, slice):
            # A range and not slice.indices(), since sizes may be beyond sys.maxsize.
            axes.append(range(size)[item])
            kept.append(axis_size(axes[-1]))
        elif (place := _one_place(item, size, number)) is not None:
            axes.append(place)
        elif number == 0 and (isinstance(item, list) or hasattr(type(item), "__array__")):
            ids = _row_ids(item, size)
            axes.append(ids.reshape(-1))
            kept += ids.shape
        else:
            raise IndexError(
                "an index must be an integer, a slice, an Ellipsis, a tuple of these, or "
                f"an array of integers for the first axis, received {shown(item)}"
            )
    return axes, tuple(kept)
