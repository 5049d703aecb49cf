"""Indices of a lazy array: what a caller may write, as the places along each axis."""

from __future__ import annotations

from operator import index as as_integer
from typing import TYPE_CHECKING, Any

import numpy as np

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


def uint64(x: int) -> np.uint64:
    """Return an integer modulo 2**64."""
    return np.uint64(x % UINT64)


def _row_ids(ids: Any, rows: int) -> Array:
    """Return an array of indices of the first axis as uint64."""
    array = np.asarray(ids)
    category = array.dtype.kind
    if isinstance(ids, list) and category in "fO":
        # NumPy makes float64 of [], and of integers on both sides of 2^63.
        exact = np.asarray(ids, object)
        if all(type(i) is int for i in exact.flat):
            array, category = exact, "i"
    if category not in "iu":
        raise IndexError(f"an index array must hold integers, received {array.dtype}")
    if array.size:
        lowest, highest = int(array.min()), int(array.max())
        if not (-rows <= lowest and highest < rows):
            bad = highest if highest >= rows else lowest
            raise IndexError(f"index {bad} is out of bounds for axis 0 with size {rows}")
    if array.dtype == object:
        return (array % rows).astype(np.uint64)
    found = array.astype(np.uint64)  # modulo 2^64
    return found + (array < 0) * uint64(rows) if category == "i" else found


def _one_place(item: Any, size: int, number: int) -> range | None:
    """Return the place that an integer means; None where the item is no integer."""
    # PyTorch's arrays of one integer convert to that integer, so `ndim` is checked, too.
    if isinstance(item, (bool, np.bool_)) or getattr(item, "ndim", None):
        return None
    try:
        i = as_integer(item)
    except TypeError:
        return None
    if not -size <= i < size:
        raise IndexError(f"index {i} is out of bounds for axis {number} with size {size}")
    return range(i % size, i % size + 1)


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
        raise IndexError(f"too many indices: array is {len(shape)}-dimensional, received {index!r}")
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
                f"an array of integers for the first axis, received {item!r}"
            )
    return axes, tuple(kept)
