"""The arrays that are filled: shapes, dtypes, memory for fresh ones, and the checks of ``out``."""

from __future__ import annotations

import mmap
import os
import sys
from math import prod
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any, SupportsIndex, TypeAlias

    from numpy.typing import DTypeLike, NDArray

    Shape: TypeAlias = SupportsIndex | Sequence[SupportsIndex]
    DTypes: TypeAlias = tuple[np.dtype[Any], ...]

FLOATS = (np.dtype("float32"), np.dtype("float64"))
WORDS = (np.dtype("uint32"), np.dtype("uint64"))

HUGE_PAGE = 2 << 20
_LARGE = 2 * HUGE_PAGE  # from here on fresh memory comes as huge pages
_HAS_HUGE_PAGES = hasattr(mmap, "MADV_HUGEPAGE")  # Linux


def as_dtype(dtype: DTypeLike, allowed: DTypes) -> np.dtype[Any]:
    """The numpy.dtype that is meant."""
    try:
        found = np.dtype(dtype)
        if found in allowed:
            return found
    except TypeError:
        pass  # no dtype at all
    names = " or ".join(d.name for d in allowed)
    raise TypeError(f"dtype must be {names}, received {dtype!r}")


def as_shape(shape: Any) -> tuple[int, ...]:
    """A shape as a tuple of Python integers; an integer n means (n,)."""
    if (
        type(shape) is tuple
    ):  # the common case first: a call for a few elements is made of such lines
        for d in shape:
            if type(d) is not int or d < 0:
                break
        else:
            return shape
    try:
        if type(shape) is tuple or not hasattr(type(shape), "__index__"):
            dims = tuple([d.__index__() for d in shape])
        else:
            dims = (shape.__index__(),)
    except (TypeError, AttributeError):
        raise TypeError(f"shape must be a sequence of integers, received {shape!r}") from None
    if dims and min(dims) < 0:
        raise ValueError(f"shape must not have negative dimensions, received {shape!r}")
    return dims


def _pages(shape: tuple[int, ...], dtype: np.dtype[Any], nbytes: int) -> NDArray[Any]:
    """A fresh array on 2 MiB-aligned memory with huge pages advised, freed with the array."""
    # Private: it must not be shared with the children of fork(), nor live in shared memory.
    memory = mmap.mmap(-1, nbytes + HUGE_PAGE, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    address = np.frombuffer(memory, np.uint8, 1).__array_interface__["data"][0]
    offset = -address % HUGE_PAGE
    # Whole huge pages alone: one more would cost up to 2 MiB that nobody asked for.
    memory.madvise(mmap.MADV_HUGEPAGE, offset, nbytes // HUGE_PAGE * HUGE_PAGE)
    return np.ndarray(shape, dtype, memory, offset)


def empty(shape: tuple[int, ...], dtype: np.dtype[Any]) -> NDArray[Any]:
    """A fresh array, its memory untouched, so that the threads that fill it touch it first."""
    nbytes = prod(shape) * dtype.itemsize
    if nbytes < _LARGE:
        return np.empty(shape, dtype)
    if nbytes // dtype.itemsize > 1 << 64:
        raise OverflowError(f"shape {shape} has more than 2**64 elements, more than the counter")
    try:
        if nbytes + HUGE_PAGE > sys.maxsize:
            raise MemoryError
        return _pages(shape, dtype, nbytes) if _HAS_HUGE_PAGES else np.empty(shape, dtype)
    except (MemoryError, OSError):
        raise MemoryError(
            f"cannot allocate {nbytes / 2**30:.3g} GiB for shape {shape}, dtype {dtype}"
        ) from None


def _reserve(out: NDArray[Any]) -> None:
    """Reserve the disk blocks behind a memory-mapped file.

    Writing to a hole of a file on a full disk would end the process with SIGBUS; this raises
    OSError instead.
    """
    base: Any = out
    while base is not None and not isinstance(base, np.memmap):
        base = getattr(base, "base", None)
    mapped: Any = base
    if mapped is None or mapped._mmap is None or mapped.filename is None or mapped.mode == "c":
        return
    if not hasattr(os, "posix_fallocate"):
        return
    # mapped.offset is that of the first array made from the file, not of a slice of it: count from
    # the start of the mapping.
    begin = np.frombuffer(mapped._mmap, np.uint8, 1).__array_interface__["data"][0]
    position = out.__array_interface__["data"][0] - begin
    position += mapped.offset - mapped.offset % mmap.ALLOCATIONGRANULARITY
    try:
        fd = os.open(mapped.filename, os.O_RDWR)
    except FileNotFoundError:  # unlinked since: there is no name to reserve by
        return
    try:
        # A shorter file has taken the place of the mapped one: it is none of ours.
        if os.fstat(fd).st_size >= position + out.nbytes:
            os.posix_fallocate(fd, position, out.nbytes)
    finally:
        os.close(fd)


def _check_out(out: Any, shape: Shape | None, dtype: DTypeLike | None, allowed: DTypes) -> None:
    if not isinstance(out, np.ndarray):
        raise TypeError(f"out must be a numpy.ndarray, received {type(out).__name__}")
    if not out.dtype.isnative and out.dtype.newbyteorder("=") in allowed:
        raise ValueError(f"out must be in native byte order, received dtype {out.dtype.str!r}")
    if out.dtype not in allowed:
        names = " or ".join(d.name for d in allowed)
        raise TypeError(f"out must have dtype {names}, received {out.dtype}")
    if dtype is not None and as_dtype(dtype, allowed) != out.dtype:
        raise TypeError(f"out has dtype {out.dtype}, but dtype={dtype!r} was asked for")
    if shape is not None and as_shape(shape) != out.shape:
        raise ValueError(f"out has shape {out.shape}, but shape={shape!r} was asked for")
    if not out.flags.writeable:
        raise ValueError("out must be writeable, received a read-only array")
    if not out.flags.c_contiguous:
        raise ValueError(f"out must be C-contiguous, received strides {out.strides}")
    if not out.flags.aligned:
        raise ValueError("out must be aligned to its dtype, received a misaligned array")
    if out.nbytes and (type(out) is not np.ndarray or out.base is not None):
        _reserve(out)


def result(
    shape: Shape | None,
    dtype: DTypeLike | None,
    out: NDArray[Any] | None,
    allowed: DTypes = FLOATS,
) -> NDArray[Any]:
    """The array to fill: ``out`` once it is found fit, or a fresh one."""
    if out is None:
        if shape is None:
            raise TypeError("shape is required where out is not given")
        return empty(as_shape(shape), allowed[0] if dtype is None else as_dtype(dtype, allowed))
    _check_out(out, shape, dtype, allowed)
    return out
