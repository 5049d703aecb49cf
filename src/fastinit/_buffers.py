"""Check what is passed as ``out``, and make an array on its memory."""

from __future__ import annotations

import sys
from contextlib import suppress
from math import prod
from mmap import mmap
from typing import TYPE_CHECKING, Any

import numpy as np

from ._disk import reserve_mapped, reserve_unknown
from ._entry import release_views
from ._kernels import enter_default_modes, leave_default_modes, plain
from ._memory import LARGE, advise_huge_pages, empty
from ._messages import shown, shown_text, type_of
from ._seeds import LARGEST_SEED, key
from ._shapes import FLOATS, as_dtype, as_shape, bfloat16, is_allowed, names_of

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import TypeAlias

    from numpy.typing import DTypeLike

    from ._typing import Array, Dimensions, DTypes, Out, Seed, Shape

    # A function that fills an array, given the key that was drawn for it.
    Fill: TypeAlias = Callable[[Array, int], None]

DLPACK_CAN_REFUSE_COPIES = np.lib.NumpyVersion(np.__version__) >= "2.1.0"

_WRAPPED = "Tensor inside torch.vmap or torch.func"


def _no_memory(received: str) -> ValueError:
    return ValueError(
        f"out must be a tensor with memory of its own that NumPy can see, received a {received}"
    )


def _has_pointer(tensor: Any) -> bool:
    """Return whether a tensor points to memory; one inside torch.vmap or torch.func does not."""
    try:
        tensor.data_ptr()
    except RuntimeError:
        return False
    return True


def torch_of(out: Any) -> Any:
    """Return the module torch if ``out`` is one of its tensors, else None."""
    torch = sys.modules.get("torch")  # not imported: without it there is no such tensor
    return torch if torch is not None and isinstance(out, torch.Tensor) else None


def as_array(values: Any) -> Array:
    """Return numbers as an array for reading only; it may copy a tensor of PyTorch.

    ``np.asarray`` refuses tensors that need a gradient, and those of bfloat16.
    """
    torch = torch_of(values)
    if torch is None:
        return np.asarray(values)
    # float32 holds all numbers of bfloat16.
    numbers = values.float() if values.dtype == torch.bfloat16 else values
    array: Array = numbers.numpy(force=True)
    return array


def _of_torch(tensor: Any, torch: Any) -> Array:
    """Return an array on the memory of a PyTorch tensor.

    PyTorch's own methods are used because DLPack refuses bfloat16, and parameters for their
    gradient.
    """
    if hasattr(tensor, "to_local"):  # a DTensor
        raise ValueError(
            f"out must be in the memory of this process, received a {type_of(tensor)}, which "
            "is spread over several: fill out.to_local() with its part of a lazy array, "
            "lazy.read(part, out.to_local())"
        )
    if torch._is_functional_tensor(tensor):  # its memory holds no values
        raise _no_memory(_WRAPPED)
    if tensor.device.type != "cpu":
        raise ValueError(f"out must be in the memory of the CPU, received one on {tensor.device}")
    if tensor.layout != torch.strided and not tensor.is_nested:
        raise ValueError(
            f"out must be a dense (strided) tensor, received one of layout {tensor.layout}"
        )
    try:
        if tensor.dtype == torch.bfloat16:
            array: Array = tensor.detach().view(torch.int16).numpy().view(bfloat16())
        else:
            array = tensor.detach().numpy()
    except RuntimeError as error:
        if tensor.is_nested:
            raise _no_memory(f"{type_of(tensor)} that is nested") from None
        if type(tensor) not in (torch.Tensor, torch.nn.Parameter):
            raise _no_memory(type_of(tensor)) from None
        if not _has_pointer(tensor):
            raise _no_memory(_WRAPPED) from None
        raise ValueError(f"out must be writeable in place: {shown_text(error)}") from None
    except TypeError:
        raise TypeError(f"out has a dtype that NumPy lacks: {tensor.dtype}") from None
    return array


class _Writeable:
    """Export an array's memory through the array interface, as writeable."""

    def __init__(self, array: Array) -> None:
        self.array = array  # keeps the memory alive
        address, _ = array.__array_interface__["data"]
        self.__array_interface__ = {**array.__array_interface__, "data": (address, False)}


def _exports_read_only(out: Any) -> bool:
    """Return whether an object exports its memory as read-only, by DLPack 1.0 or later.

    An export of an earlier version of DLPack does not say so.  NumPy 2.0 knows only such exports,
    and refuses to export a read-only array; later versions of NumPy treat them as read-only.
    """
    import ctypes

    try:
        capsule = out.__dlpack__(max_version=(1, 0))
    except TypeError:  # it does not know the argument
        return DLPACK_CAN_REFUSE_COPIES
    python = ctypes.pythonapi
    python.PyCapsule_IsValid.argtypes = ctypes.py_object, ctypes.c_char_p
    python.PyCapsule_GetPointer.argtypes = ctypes.py_object, ctypes.c_char_p
    python.PyCapsule_GetPointer.restype = ctypes.c_void_p
    name = b"dltensor_versioned"
    if not python.PyCapsule_IsValid(capsule, name):
        return DLPACK_CAN_REFUSE_COPIES
    # DLManagedTensorVersioned begins with two uint32 and two pointers, before its flags.
    offset = 8 + 2 * ctypes.sizeof(ctypes.c_void_p)
    flags = ctypes.c_uint64.from_address(python.PyCapsule_GetPointer(capsule, name) + offset)
    return bool(flags.value & 1)


def _of_dlpack(out: Any) -> Array:
    device = out.__dlpack_device__()
    if device[0] != 1:  # kDLCPU
        raise ValueError(f"out must be in the memory of the CPU, received DLPack device {device}")
    try:
        # Filling a copy would be useless.  NumPy 2.0 cannot refuse one.
        array = np.from_dlpack(out, copy=False) if DLPACK_CAN_REFUSE_COPIES else np.from_dlpack(out)
        # Early versions of NumPy 2 treat every import as read-only.
        if not array.flags.writeable and not _exports_read_only(out):
            array = np.asarray(_Writeable(array))
        return array
    except (BufferError, RuntimeError, ValueError) as error:
        raise ValueError(f"out must be writeable in place: {shown_text(error)}") from None


def _of_bytes(view: Array, shape: Shape | None, dtype: DTypeLike | None, allowed: DTypes) -> Array:
    """Return bytes as an array of the shape, or without a shape as a vector of all of them."""
    if dtype is None:
        raise TypeError("dtype is required where out is a buffer of bytes")
    dtype = as_dtype(dtype, allowed)
    if shape is None and view.nbytes % dtype.itemsize:
        raise ValueError(
            f"out has {view.nbytes} bytes, which is not a multiple of the {dtype.itemsize} bytes "
            f"of one {dtype}"
        )
    dims = (view.nbytes // dtype.itemsize,) if shape is None else as_shape(shape)
    if prod(dims) * dtype.itemsize != view.nbytes:
        raise ValueError(
            f"out has {view.nbytes} bytes, not those of shape {shown(dims)}, dtype {dtype}"
        )
    if not view.flags.c_contiguous:
        raise ValueError(f"out must be C-contiguous, received strides {shown(view.strides)}")
    return view.view(dtype).reshape(dims)


def _array_on(out: Any, shape: Shape | None, dtype: DTypeLike | None, allowed: DTypes) -> Array:
    """Return an array on the memory of ``out``: what is written there is written to ``out``."""
    if isinstance(out, np.ndarray):
        return out
    if (torch := torch_of(out)) is not None:
        return _of_torch(out, torch)
    if not isinstance(out, np.generic):
        view: Array | None = None
        with suppress(TypeError, ValueError, BufferError):
            view = np.asarray(memoryview(out))
        if view is not None:
            is_bytes = view.dtype.char in "Bc" and view.ndim == 1
            return _of_bytes(view, shape, dtype, allowed) if is_bytes else view
        if hasattr(out, "__dlpack__"):
            return _of_dlpack(out)
    raise TypeError(
        f"out must be an array or a buffer to be filled in place, received {type_of(out)}"
    )


def check_out(out: Array, shape: Shape | None, dtype: DTypeLike | None, allowed: DTypes) -> None:
    """Raise where an array cannot be filled as it is, or is not of the shape and dtype."""
    found = out.dtype
    if not is_allowed(found, allowed):
        if not found.isnative and found.newbyteorder("=") in allowed:
            raise ValueError(f"out must be in native byte order, received dtype {shown(found.str)}")
        raise TypeError(f"out must have dtype {names_of(allowed)}, received {shown_text(found)}")
    # Identity comes first: it takes less time than the comparison of dtypes.
    if dtype is not None and (asked := as_dtype(dtype, allowed)) is not found and asked != found:
        raise TypeError(f"out has dtype {found}, but dtype={shown(dtype)} was asked for")
    if shape is not None and as_shape(shape) != out.shape:
        raise ValueError(
            f"out has shape {shown(out.shape)}, but shape={shown(shape)} was asked for"
        )
    flags = out.flags
    if flags.carray:  # writeable, C-contiguous and aligned
        return
    if not flags.writeable:
        raise ValueError("out must be writeable, received a read-only array")
    if not flags.c_contiguous:
        raise ValueError(f"out must be C-contiguous, received strides {shown(out.strides)}")
    raise ValueError("out must be aligned to its dtype, received a misaligned array")


def resolve(
    shape: Shape | None, dtype: DTypeLike | None, out: Any, allowed: DTypes = FLOATS
) -> tuple[Dimensions, np.dtype[Any], Array | None]:
    """Return shape and dtype of the result, and ``out``, once checked, as an array on its memory.

    Nothing is allocated and nothing is written.
    """
    if out is not None:
        if isinstance(out, np.ndarray) and allowed is FLOATS and plain(out, shape, dtype):
            return out.shape, out.dtype, out
        if shape is not None and not isinstance(shape, (int, tuple, list)):
            shape = as_shape(shape)  # only once, since this exhausts an iterator
        view = _array_on(out, shape, dtype, allowed)
        check_out(view, shape, dtype, allowed)
        return view.shape, view.dtype, view
    if shape is None:
        raise TypeError("shape is required where out is not given")
    return as_shape(shape), allowed[0] if dtype is None else as_dtype(dtype, allowed), None


def _owner(array: Array) -> Any:
    """Return the object that owns the memory of an array, beneath all views; None for NumPy."""
    owner: Any = array.base
    while True:
        if isinstance(owner, np.ndarray):
            owner = owner.base
        elif type(owner) is memoryview:
            owner = owner.obj
        else:
            return owner


def acquire(view: Array, out: Any) -> None:
    """Make the memory of ``out`` ready to be filled, once all arguments are checked.

    Blocks of a mapped file are reserved, huge pages are asked for, and PyTorch is told of the
    change.  ``view`` is the array on that memory.

    Raises
    ------
    OSError
        The disk is full.
    """
    owner = _owner(view)
    if owner is not None:  # For its own memory NumPy asks for huge pages, as `empty` does.
        if isinstance(owner, mmap):
            reserve_mapped(view, owner)
        else:
            # The memory of a bytearray, or of a ctypes object that owns it, comes from an
            # allocator, so no file is behind it.
            if type(owner) is not bytearray and not getattr(owner, "_b_needsfree_", 0):
                reserve_unknown(view)
            if view.nbytes >= LARGE:
                advise_huge_pages(view)
    if view is not out and (torch := torch_of(out)) is not None and not out.is_inference():
        # PyTorch then refuses to compute a gradient that needs the old values.
        torch.autograd.graph.increment_version(out)


def make(
    shape: Shape | None,
    dtype: DTypeLike | None,
    out: Out | None,
    prepare: Callable[[Dimensions, np.dtype[Any]], Fill],
    allowed: DTypes = FLOATS,
    *,
    seed: Seed = 0,
    allocate: Callable[[Dimensions, np.dtype[Any]], Array] = empty,
) -> Out:
    """Return a new array or ``out``, filled.

    All arguments are checked first, then fresh memory is allocated, then the seed is drawn, then
    ``out`` is touched: a call that is refused changes nothing.

    Parameters
    ----------
    shape, dtype, out, seed
        As every function of :mod:`fastinit` takes them.
    prepare : callable
        ``prepare(dims, dtype)`` checks what depends on them, allocates what else the fill needs,
        and returns ``fill(array, key)``.
    allowed : tuple of numpy.dtype
        The dtypes of this function, the default first.
    allocate : callable
        ``allocate(dims, dtype)`` returns a new array.
    """
    array: Any = None
    view: Any = None
    modes = enter_default_modes()
    try:
        dims, dtype, view = resolve(shape, dtype, out, allowed)
        fill = prepare(dims, dtype)
        array = allocate(dims, dtype) if view is None else view
        # The first is the common case of key(), without the call.
        word = seed if type(seed) is int and 0 <= seed <= LARGEST_SEED else key(seed)
        if out is not None:
            acquire(view, out)
        fill(array, word)
    except BaseException as error:
        array = view = None
        release_views(error)
        raise
    finally:
        if modes is not None:
            leave_default_modes(modes)
    return array if out is None else out
