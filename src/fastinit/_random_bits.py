"""Random words: the plain Philox sequence."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from . import _kernels, _threads
from ._buffers import make
from ._shapes import WORDS

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import DTypeLike

    from ._buffers import Fill
    from ._typing import Array, Dimensions, Out, Seed, Shape


def _fill(array: Array, key: int) -> None:
    _kernels.bits(array, 0, key, _threads.count)


def _prepare(dims: Dimensions, dtype: np.dtype[Any]) -> Fill:
    return _fill


def random_bits(
    shape: Shape | None = None,
    seed: Seed = None,
    dtype: DTypeLike | None = None,
    *,
    out: Out | None = None,
) -> Out:
    """Return uniform random words: the plain Philox4x32-10 sequence of a key.

    Parameters
    ----------
    shape : int or sequence of int, optional
        Shape of the result; may be left out where ``out`` is given.
    seed : int, SeedGenerator or numpy.random.Generator, optional
        An integer, 0 <= seed < 2**64, is the Philox key.  A generator advances.  None draws fresh
        entropy at every call.
    dtype : str or numpy.dtype, optional
        uint32 (the default; 32-bit samples) or uint64 (64-bit samples).
    out : array or buffer, optional
        It is filled in place and returned: as in :func:`random_normal`, but uint32 or uint64.

    Returns
    -------
    numpy.ndarray or out
        Words; element i depends on ``(seed, dtype, i)`` alone, i counted in C order.

    Raises
    ------
    TypeError, ValueError, OverflowError, MemoryError
        As :func:`random_normal` does.

    Notes
    -----
    Salmon, Moraes, Dror & Shaw, "Parallel random numbers: as easy as 1, 2, 3", SC 2011.

    Examples
    --------
    >>> [hex(word) for word in random_bits(4, seed=0).tolist()]
    ['0x6627e8d5', '0xe169c58d', '0xbc57ac4c', '0x9b00dbd8']
    """
    return make(shape, dtype, out, _prepare, WORDS, seed=seed)
