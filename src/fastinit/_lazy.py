"""Lazy arrays: each part is made when it is asked for."""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING, Any

import numpy as np

from ._buffers import acquire, resolve
from ._entry import entry_point, release_views
from ._indexing import axis_size, select, select_rows
from ._memory import empty
from ._pickling import OfStream
from ._shapes import FLOATS, check_dtype, check_size
from ._sources import RandomSource

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import TypeAlias

    from numpy.typing import DTypeLike

    from ._indexing import Axis
    from ._kernels import Rows
    from ._sources import Source
    from ._typing import Array, Dimensions, DTypes, Out, Shape

    # Whole rows of a RandomSource, one by its start, or the places along each axis.
    Selection: TypeAlias = int | Rows | list[Axis]


def resolve_lazy(
    shape: Shape, dtype: DTypeLike | None, allowed: DTypes = FLOATS
) -> tuple[Dimensions, np.dtype[Any]]:
    """Return the shape and dtype of a lazy array, checked before its seed is drawn."""
    dims, dtype, _ = resolve(shape, dtype, None, allowed)
    check_size(dims)
    return dims, dtype


class LazyArray(OfStream):
    """An array without memory: its parts are made when they are asked for.

    :meth:`fastinit.initializers.Initializer.lazy` returns it.  ``lazy[index]`` equals
    ``numpy.asarray(lazy)[index]`` in every bit, whatever was read before.  The index is an integer,
    a slice, an Ellipsis, a tuple of these, or an array of integers for the first axis, alone or
    first in such a tuple; rows may be in any order and repeat.

    Parameters
    ----------
    shape : tuple of int
        At most 2**64 elements.
    dtype : numpy.dtype
        Dtype of the elements.
    source : object
        The object that makes the elements.

    Raises
    ------
    OverflowError
        The shape has more than 2**64 elements.
    TypeError
        The dtype is not one of numbers.

    Examples
    --------
    >>> from fastinit import initializers
    >>> table = initializers.TruncatedNormal(stddev=0.05, seed=1).lazy((2**40, 128))
    >>> table[[5, 10**12, 5]].shape
    (3, 128)
    """

    def __init__(self, shape: Dimensions, dtype: np.dtype[Any], source: Source) -> None:
        check_size(shape)
        check_dtype(dtype)
        self.shape = shape
        self.dtype = dtype
        self.source = source

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

    def _select(self, index: Any) -> tuple[Selection, Dimensions]:
        """Return what `_fill` is to make for an index, and the shape of the result."""
        rows = select_rows(index, self.shape) if type(self.source) is RandomSource else None
        return select(index, self.shape) if rows is None else rows

    def _fill(self, array: Array, selection: Selection) -> None:
        if not array.size:
            return
        if isinstance(selection, list):
            dims = [axis_size(axis) for axis in selection]
            self.source.fill_selection(array.reshape(dims), selection, self.shape)
        else:
            assert isinstance(self.source, RandomSource)
            self.source.fill_rows(array, selection)

    def __getitem__(self, index: Any) -> Any:
        selection, shape = self._select(index)
        array = empty(shape, self.dtype)
        self._fill(array, selection)
        if shape:
            return array
        items = index if isinstance(index, tuple) else (index,)
        return array if Ellipsis in items else array[()]  # as NumPy does

    def read(self, index: Any, out: Out) -> Out:
        """Fill a buffer with a part of the array and return it.

        Parameters
        ----------
        index : int, slice, Ellipsis, tuple of these, or array of int
            As for ``lazy[index]``.
        out : array or buffer
            It is filled in place: as in :func:`fastinit.random_normal`; of the part's shape and
            dtype, or as many bytes.

        Returns
        -------
        out

        Raises
        ------
        IndexError
            The index is out of bounds, or none of these.
        ValueError, TypeError
            An ``out`` that cannot be filled, or is of another shape or dtype.  Nothing is written
            then.
        """
        if out is None:
            raise TypeError("out must be an array or a buffer to be filled in place, received None")
        view: Any = out
        try:
            selection, shape = self._select(index)
            # The commonest `out` does not need resolve(), which takes as long as a few rows.
            fits = type(view) is np.ndarray and view.dtype is self.dtype and view.shape == shape
            if not (fits and view.flags.carray):
                _, _, view = resolve(shape, self.dtype, out, (self.dtype,))
            acquire(view, out)
            self._fill(view, selection)
        except BaseException as error:
            view = None
            release_views(error)
            raise
        return out

    def __len__(self) -> int:
        if not self.shape:
            raise TypeError("len() of unsized object")
        return self.shape[0]

    def __iter__(self) -> Iterator[Any]:
        if not self.shape:
            raise TypeError("iteration over a 0-d array")
        return (self[i] for i in range(self.shape[0]))

    @entry_point
    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Array:
        if copy is False:
            raise ValueError("copy=False is impossible: a LazyArray has no memory to share")
        array: Array = self[...]
        return array if dtype is None else array.astype(dtype, copy=False)

    @entry_point
    def __repr__(self) -> str:
        return f"LazyArray(shape={self.shape}, dtype={self.dtype}, {self.source})"
