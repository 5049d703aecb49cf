"""Allocate arrays that are still to be filled, on huge pages where they are large."""

from __future__ import annotations

import mmap
import sys
from contextlib import suppress
from math import prod
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from ._typing import Array, Dimensions

HUGE_PAGE = 2 << 20
_LARGE = 2 * HUGE_PAGE  # from this size on fresh memory is made of huge pages
_HAS_HUGE_PAGES = hasattr(mmap, "MADV_HUGEPAGE")  # Linux


def _huge_pages(shape: Dimensions, dtype: np.dtype[Any], nbytes: int) -> Array:
    """Return a fresh array on 2 MiB-aligned memory, which is freed with the array."""
    # The map is private: it must not be shared with the children of fork().
    memory = mmap.mmap(-1, nbytes + HUGE_PAGE, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    address = np.frombuffer(memory, np.uint8, 1).__array_interface__["data"][0]
    offset = -address % HUGE_PAGE
    # Only whole huge pages are advised: one more would cost up to 2 MiB that is not needed.
    with suppress(OSError):  # a kernel without huge pages refuses
        memory.madvise(mmap.MADV_HUGEPAGE, offset, nbytes // HUGE_PAGE * HUGE_PAGE)
    return np.frombuffer(memory, dtype, nbytes // dtype.itemsize, offset).reshape(shape)


def empty(shape: Dimensions, dtype: np.dtype[Any]) -> Array:
    """Return a fresh array whose memory is untouched: the threads that fill it touch it first.

    Raises
    ------
    OverflowError
        The array has more than 2**64 elements.
    MemoryError
        The system cannot give so much memory; the message says how much was asked for.
    """
    nbytes = prod(shape) * dtype.itemsize
    if nbytes < _LARGE:
        return np.empty(shape, dtype)
    if nbytes // dtype.itemsize > 1 << 64:
        raise OverflowError(f"shape {shape} has more than 2**64 elements, more than the counter")
    try:
        if nbytes + HUGE_PAGE > sys.maxsize:
            raise MemoryError
        return _huge_pages(shape, dtype, nbytes) if _HAS_HUGE_PAGES else np.empty(shape, dtype)
    except (MemoryError, OSError):
        raise MemoryError(
            f"cannot allocate {nbytes / 2**30:.3g} GiB for shape {shape}, dtype {dtype}"
        ) from None
