"""Allocate arrays that are still to be filled, on huge pages where they are large."""

from __future__ import annotations

import mmap
import sys
from functools import cache
from math import prod
from typing import TYPE_CHECKING, Any

import numpy as np

from ._arrays import HAS_HUGE_PAGES, empty_on_huge_pages
from ._kernels import address
from ._messages import shown
from ._shapes import check_count, check_size

if TYPE_CHECKING:
    from collections.abc import Callable

    from ._typing import Array, Dimensions

HUGE_PAGE = 2 << 20
LARGE = 2 * HUGE_PAGE  # from this size on fresh memory is made of huge pages


def empty(shape: Dimensions, dtype: np.dtype[Any]) -> Array:
    """Return a fresh array whose memory is untouched: the threads that fill it touch it first.

    Raises
    ------
    ValueError
        The array has more dimensions, or a larger one, than NumPy's arrays can have.
    OverflowError
        The array has more than 2**64 elements.
    MemoryError
        The system cannot give so much memory; the message says how much was asked for.
    """
    nbytes = prod(shape) * dtype.itemsize
    try:
        if nbytes < LARGE:
            return np.empty(shape, dtype)
        check_count(shape)
        if nbytes + HUGE_PAGE > sys.maxsize:
            raise MemoryError
        return (empty_on_huge_pages if HAS_HUGE_PAGES else np.empty)(shape, dtype)
    except ValueError:  # NumPy's message does not name the shape
        check_size(shape)
        raise ValueError(
            f"shape must have dimensions that NumPy can index, received {shown(shape)}"
        ) from None
    except MemoryError:
        raise MemoryError(
            f"cannot allocate {nbytes / 2**30:.3g} GiB for shape {shown(shape)}, dtype {dtype}"
        ) from None


@cache
def _madvise() -> Callable[[int, int, int], int] | None:
    """Return the system's madvise(), or None: the mmap module has it for its own objects only."""
    if not HAS_HUGE_PAGES:
        return None
    import ctypes

    try:
        madvise = ctypes.CDLL(None).madvise
    except (OSError, AttributeError):  # an interpreter that is linked statically
        return None
    madvise.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int)
    return madvise


def advise_huge_pages(array: Array) -> None:
    """Ask for huge pages beneath a large array on other libraries' memory, before it is filled.

    Fresh memory of PyTorch or a bytearray is otherwise made of pages of 4 KiB, on which a fill of
    64 MiB takes 31 ms of processor time instead of 13 (bench/NOTES.md).  Existing pages are left
    alone, and the call takes 1 us.

    Only whole huge pages of the array are advised, so that nothing beside it takes more memory.  A
    kernel without huge pages refuses.  The memory may be that of a file, which only an mmap object
    would show: then the system decides whether the file gets huge pages, and otherwise only reads
    it in larger pieces.
    """
    madvise = _madvise()
    if madvise is not None:
        begin = address(array)
        first = begin + -begin % HUGE_PAGE
        nbytes = (begin + array.nbytes - first) // HUGE_PAGE * HUGE_PAGE
        madvise(first, nbytes, mmap.MADV_HUGEPAGE)
