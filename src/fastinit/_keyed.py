"""Rows by 64-bit keys, of tables that have no size."""

from __future__ import annotations

from operator import index as as_integer
from typing import TYPE_CHECKING, Any

import numpy as np

from ._buffers import acquire, resolve
from ._entry import entry_point, release_views
from ._memory import empty
from ._messages import shown, shown_text
from ._pickling import OfStream
from ._shapes import FLOATS, as_dtype, check_dtype

if TYPE_CHECKING:
    from typing import SupportsIndex

    from numpy.typing import DTypeLike

    from ._sources import KeyedSource
    from ._typing import Array, DTypes, Out

_LARGEST_DIM = 1 << 32  # a column is one word of the counter


def _wrong(received: str) -> TypeError:
    return TypeError(f"keys must be an integer or an array of integers, received {received}")


def _as_keys(keys: Any) -> Array:
    """Return keys as uint64 with the same bits; a list may mix the ranges of int64 and uint64."""
    try:
        array = np.asarray(keys)
    except ValueError:  # lists of different lengths
        raise _wrong(shown(keys)) from None
    if isinstance(keys, (int, list)) and array.dtype.kind in "fOu":
        # NumPy makes float64 of [], and of integers on both sides of 2^63.
        exact = np.asarray(keys, object)
        if all(type(key) is int for key in exact.flat):
            outside = [key for key in exact.flat if not -(1 << 63) <= key < 1 << 64]
            if outside:
                raise ValueError(f"a key must fit into 64 bits, received {shown(outside[0])}")
            return np.asarray(exact % (1 << 64), np.uint64)
    if array.dtype.kind not in "iu":
        has_dtype = hasattr(type(keys), "__array__")
        raise _wrong(shown_text(array.dtype) if has_dtype else shown(keys))
    return array.astype(np.int64 if array.dtype.kind == "i" else np.uint64).view(np.uint64)


class KeyedArray(OfStream):
    """The rows of a table, found by 64-bit keys.

    :meth:`fastinit.initializers.Initializer.keyed` returns it.  ``keyed[keys]`` has one row for
    each key: of shape ``(*keys.shape, dim)``.  Every uint64, and every int64 by its bits, is a key:
    a hash of a user or a word, for instance.  A row is a function of the seed, its key and the
    column alone, whatever else is asked for; a shorter row is the beginning of a longer one.

    Parameters
    ----------
    dim : int
        Elements of a row; at most 2**32.
    dtype : numpy.dtype
        Dtype of the elements.
    source : object
        The object that makes the rows.

    Examples
    --------
    >>> import numpy as np
    >>> from fastinit import initializers
    >>> rows = initializers.TruncatedNormal(stddev=0.05, seed=1).keyed(128)
    >>> rows[np.array([2**64 - 1, 7], "uint64")].shape
    (2, 128)
    """

    def __init__(self, dim: int, dtype: np.dtype[Any], source: KeyedSource) -> None:
        check_dtype(dtype)
        self.dim = dim
        self.dtype = dtype
        self.source = source

    # Python would otherwise ask for the rows 0, 1, 2 and so on, of which there are 2**64.
    __iter__ = None
    __contains__ = None

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Array:
        raise TypeError("a KeyedArray has no size: keyed[keys] makes the rows of some keys")

    def _fill(self, array: Array, keys: Array) -> None:
        if array.size:
            rows = array.reshape(-1, self.dim)
            self.source.fill_keyed(rows, np.ascontiguousarray(keys.reshape(-1)))

    def __getitem__(self, keys: Any) -> Array:
        found = _as_keys(keys)
        array = empty((*found.shape, self.dim), self.dtype)
        self._fill(array, found)
        return array

    def read(self, keys: Any, out: Out) -> Out:
        """Fill a buffer with the rows of some keys and return it.

        Parameters
        ----------
        keys : int or array of int
            As for ``keyed[keys]``.
        out : array or buffer
            It is filled in place: as in :func:`fastinit.random_normal`; of shape
            ``(*keys.shape, dim)`` and the dtype, or as many bytes.

        Returns
        -------
        out

        Raises
        ------
        ValueError, TypeError
            A key is not an integer of 64 bits; ``out`` cannot be filled, or has another shape or
            dtype.  Nothing is written then.
        """
        if out is None:
            raise TypeError("out must be an array or a buffer to be filled in place, received None")
        view: Any = None
        try:
            found = _as_keys(keys)
            _, _, view = resolve((*found.shape, self.dim), self.dtype, out, (self.dtype,))
            acquire(view, out)
            self._fill(view, found)
        except BaseException as error:
            view = None
            release_views(error)
            raise
        return out

    @entry_point
    def __repr__(self) -> str:
        return f"KeyedArray(dim={self.dim}, dtype={self.dtype}, {self.source})"


def check_row(
    dim: SupportsIndex, dtype: DTypeLike | None, allowed: DTypes = FLOATS
) -> tuple[int, np.dtype[Any]]:
    """Return how many elements a row has and their dtype; raise if no row can have them."""
    if isinstance(dim, (bool, np.bool_)):
        raise TypeError(f"dim must be an integer, received {shown(dim)}")
    try:
        length = as_integer(dim)
    except TypeError:
        raise TypeError(f"dim must be an integer, received {shown(dim)}") from None
    if not 0 <= length <= _LARGEST_DIM:
        raise ValueError(f"dim must be from 0 to 2**32, received {shown(length)}")
    return length, allowed[0] if dtype is None else as_dtype(dtype, allowed)
