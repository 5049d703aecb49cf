"""The arrays that are filled: shapes, dtypes, memory for fresh ones, and the checks of ``out``."""

from __future__ import annotations

import errno
import mmap
import os
import stat
import sys
from contextlib import suppress
from math import prod
from operator import index
from pathlib import Path
from traceback import clear_frames
from typing import TYPE_CHECKING

import numpy as np

from ._kernels import plain

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any, SupportsIndex, TypeAlias

    from numpy.typing import DTypeLike, NDArray

    Shape: TypeAlias = SupportsIndex | Sequence[SupportsIndex]
    DTypes: TypeAlias = tuple[np.dtype[Any], ...]

# bfloat16, which NumPy lacks, belongs wherever these do.
FLOATS = (np.dtype("float32"), np.dtype("float64"), np.dtype("float16"))
WORDS = (np.dtype("uint32"), np.dtype("uint64"))
_BY_NAME = {kind.name: kind for kind in FLOATS + WORDS}

_DLPACK_COPY = np.lib.NumpyVersion(np.__version__) >= "2.1.0"

HUGE_PAGE = 2 << 20
_LARGE = 2 * HUGE_PAGE  # from here on fresh memory comes as huge pages
_HAS_HUGE_PAGES = hasattr(mmap, "MADV_HUGEPAGE")  # Linux


def bfloat16() -> np.dtype[Any]:
    """The dtype of ml_dtypes, which is imported only where somebody asks for it."""
    try:
        import ml_dtypes
    except ImportError:
        raise ImportError(
            "bfloat16 needs ml_dtypes, the extra 'bfloat16': pip install ml_dtypes"
        ) from None
    return np.dtype(ml_dtypes.bfloat16)


def _has_bfloat16(allowed: DTypes) -> bool:
    return allowed[: len(FLOATS)] == FLOATS


def _allows(allowed: DTypes, kind: np.dtype[Any]) -> bool:
    if kind in allowed:
        return True
    return kind.name == "bfloat16" and _has_bfloat16(allowed) and kind == bfloat16()


def _names(allowed: DTypes) -> str:
    names = [kind.name for kind in allowed] + ["bfloat16"] * _has_bfloat16(allowed)
    return " or ".join([", ".join(names[:-1]), names[-1]] if names[1:] else names)


def as_dtype(dtype: DTypeLike, allowed: DTypes) -> np.dtype[Any]:
    """The numpy.dtype that is meant."""
    try:
        known = _BY_NAME.get(dtype) if type(dtype) is str else None  # numpy.dtype() takes longer
        if known is not None and known in allowed:
            return known
        if isinstance(dtype, str) and dtype == "bfloat16" and _has_bfloat16(allowed):
            return bfloat16()
        found = np.dtype(dtype)
        if _allows(allowed, found):
            return found
    except (TypeError, ValueError, SyntaxError):  # all are in use for what is no dtype
        pass
    raise TypeError(f"dtype must be {_names(allowed)}, received {dtype!r}")


def _dimension(d: Any) -> int:
    if isinstance(d, (bool, np.bool_)):
        raise TypeError
    return index(d)


def as_shape(shape: Any) -> tuple[int, ...]:
    """A shape as a tuple of Python integers; an integer n means (n,)."""
    if type(shape) is tuple:  # the common case first, for calls for a few elements
        for d in shape:
            if type(d) is not int or d < 0:
                break
        else:
            return shape
    dims: tuple[int, ...]
    try:
        dims = (_dimension(shape),)
    except TypeError:
        try:
            dims = tuple([_dimension(d) for d in shape])
        except TypeError:
            message = f"shape must be an integer or a sequence of them, received {shape!r}"
            raise TypeError(message) from None
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
    with suppress(OSError):  # a kernel without them
        memory.madvise(mmap.MADV_HUGEPAGE, offset, nbytes // HUGE_PAGE * HUGE_PAGE)
    return np.frombuffer(memory, dtype, nbytes // dtype.itemsize, offset).reshape(shape)


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


def _backing(address: int) -> tuple[int, int] | None:
    """Descriptor and offset of the file that is mapped, shared, at an address.

    Not by the name that an array may know: the file may have been replaced since, or have none.
    """
    try:
        lines = Path("/proc/self/maps").read_text(errors="replace").splitlines()
        descriptors = [int(name) for name in os.listdir("/proc/self/fd")]
    except OSError:
        return None
    for line in lines:
        span, access, offset, device, inode, *name = line.split(maxsplit=5)
        first, end = (int(part, 16) for part in span.split("-"))
        if first <= address < end:
            if not access.endswith("s") or inode == "0":
                return None
            for fd in descriptors:  # mmap objects keep one open
                with suppress(OSError):
                    status = os.fstat(fd)
                    if status.st_ino != int(inode) or not stat.S_ISREG(status.st_mode):
                        continue
                    # Inodes of two file systems may be equal.  Btrfs has devices of its own here.
                    on = f"{os.major(status.st_dev):02x}:{os.minor(status.st_dev):02x}"
                    if on == device or [os.readlink(f"/proc/self/fd/{fd}")] == name:
                        return fd, int(offset, 16) + address - first
    return None


def _reserve(out: NDArray[Any]) -> None:
    """Reserve the disk blocks behind a memory-mapped file.

    Writing to a hole of a file on a full disk would end the process with SIGBUS; this raises
    OSError instead.
    """
    base: Any = out
    while isinstance(base, (np.ndarray, memoryview)):
        base = base.base if isinstance(base, np.ndarray) else base.obj
    if not isinstance(base, mmap.mmap) or not hasattr(os, "posix_fallocate"):
        return
    found = _backing(out.__array_interface__["data"][0])
    if found is None:
        return
    try:
        os.posix_fallocate(*found, out.nbytes)
    except OSError as error:
        # Others mean that the file system, or this way of having opened the file, cannot do it.
        if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            raise


def _of_torch(tensor: Any, torch: Any) -> NDArray[Any]:
    """The memory of a tensor of PyTorch.

    By its own means: DLPack would refuse a parameter, for its gradient, and bfloat16.
    """
    if tensor.device.type != "cpu":
        raise ValueError(f"out must be in the memory of the CPU, received one on {tensor.device}")
    if tensor.layout != torch.strided:
        raise ValueError(f"out must be C-contiguous, received one of layout {tensor.layout}")
    try:
        if tensor.dtype == torch.bfloat16:
            array = tensor.detach().view(torch.int16).numpy().view(bfloat16())
        else:
            array = tensor.detach().numpy()
    except RuntimeError as error:
        raise ValueError(f"out must be writeable in place: {error}") from None
    except TypeError:
        raise TypeError(f"out has a dtype that NumPy lacks: {tensor.dtype}") from None
    if not tensor.is_inference():  # so that a gradient of the old values is an error
        torch.autograd.graph.increment_version(tensor)
    return array


def _of_dlpack(out: Any) -> NDArray[Any]:
    device = out.__dlpack_device__()
    if device[0] != 1:  # kDLCPU
        raise ValueError(f"out must be in the memory of the CPU, received DLPack device {device}")
    try:
        # A copy would be filled in vain.  NumPy 2.0 cannot say so.
        return np.from_dlpack(out, copy=False) if _DLPACK_COPY else np.from_dlpack(out)
    except (BufferError, RuntimeError, ValueError) as error:
        raise ValueError(f"out must be writeable in place: {error}") from None


def _of_bytes(
    array: NDArray[Any], shape: Shape | None, dtype: DTypeLike | None, allowed: DTypes
) -> NDArray[Any]:
    """Bytes as an array: of the shape, or else as long as it gets."""
    if dtype is None:
        raise TypeError("dtype is required where out is a buffer of bytes")
    kind = as_dtype(dtype, allowed)
    dims = (array.nbytes // kind.itemsize,) if shape is None else as_shape(shape)
    if prod(dims) * kind.itemsize != array.nbytes:
        raise ValueError(f"out has {array.nbytes} bytes, not those of shape {dims}, dtype {kind}")
    if not array.flags.c_contiguous:
        raise ValueError(f"out must be C-contiguous, received strides {array.strides}")
    return array.view(kind).reshape(dims)


def _as_array(
    out: Any, shape: Shape | None, dtype: DTypeLike | None, allowed: DTypes
) -> NDArray[Any]:
    """An array on the memory of ``out``: what is written there is written to ``out``."""
    if isinstance(out, np.ndarray):
        return out
    torch = sys.modules.get("torch")
    if torch is not None and isinstance(out, torch.Tensor):
        return _of_torch(out, torch)
    if not isinstance(out, np.generic):
        array = None
        with suppress(TypeError, ValueError, BufferError):
            array = np.asarray(memoryview(out))
        if array is not None:
            is_bytes = array.dtype.char in "Bc" and array.ndim == 1
            return _of_bytes(array, shape, dtype, allowed) if is_bytes else array
        if hasattr(out, "__dlpack__"):
            return _of_dlpack(out)
    kind = type(out).__name__
    raise TypeError(f"out must be an array or a buffer to be filled in place, received {kind}")


def _check_out(
    out: NDArray[Any], shape: Shape | None, dtype: DTypeLike | None, allowed: DTypes
) -> None:
    kind = out.dtype
    if not _allows(allowed, kind):
        if not kind.isnative and kind.newbyteorder("=") in allowed:
            raise ValueError(f"out must be in native byte order, received dtype {kind.str!r}")
        raise TypeError(f"out must have dtype {_names(allowed)}, received {kind}")
    # Identity first: it takes less time than the comparison of dtypes.
    if dtype is not None and (asked := as_dtype(dtype, allowed)) is not kind and asked != kind:
        raise TypeError(f"out has dtype {kind}, but dtype={dtype!r} was asked for")
    if shape is not None and as_shape(shape) != out.shape:
        raise ValueError(f"out has shape {out.shape}, but shape={shape!r} was asked for")
    flags = out.flags
    if flags.carray:  # writeable, C-contiguous and aligned
        return
    if not flags.writeable:
        raise ValueError("out must be writeable, received a read-only array")
    if not flags.c_contiguous:
        raise ValueError(f"out must be C-contiguous, received strides {out.strides}")
    raise ValueError("out must be aligned to its dtype, received a misaligned array")


def let_go(error: BaseException) -> None:
    """Drop the arrays on ``out`` that an error's traceback knows.

    Shared memory and mmap cannot be closed while there are any, not even by a ``finally`` that the
    error passes.
    """
    clear_frames(error.__traceback__)


def target(
    shape: Shape | None,
    dtype: DTypeLike | None,
    out: Any,
    allowed: DTypes = FLOATS,
) -> tuple[tuple[int, ...], np.dtype[Any], NDArray[Any] | None]:
    """Shape and dtype of the result, and ``out``, found fit for it, as an array on its memory.

    Nothing is allocated yet.
    """
    if out is not None:
        if type(out) is np.ndarray and allowed is FLOATS and plain(out, shape, dtype):
            return out.shape, out.dtype, out
        array = None
        try:
            array = _as_array(out, shape, dtype, allowed)
            _check_out(array, shape, dtype, allowed)
        except Exception as error:
            array = None
            let_go(error)
            raise
        return array.shape, array.dtype, array
    if shape is None:
        raise TypeError("shape is required where out is not given")
    return as_shape(shape), allowed[0] if dtype is None else as_dtype(dtype, allowed), None


def claim(shape: tuple[int, ...], dtype: np.dtype[Any], array: NDArray[Any] | None) -> NDArray[Any]:
    """The array to fill, once all arguments are found good: that of ``out`` or a fresh one."""
    if array is None:
        return empty(shape, dtype)
    if array.base is not None and array.nbytes:
        _reserve(array)
    return array
