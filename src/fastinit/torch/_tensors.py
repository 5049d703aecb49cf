"""Put values into tensors, whatever their strides, their device or their mesh."""

from __future__ import annotations

from functools import cache, partial
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch.autograd import forward_ad

from .._distributions import draw, fill_few
from .._messages import type_of
from .._shapes import FLOATS, as_dtype
from ..initializers._random import lazy_random
from ._pending import WORTH
from ._seeding import current, key_of_draw
from ._shards import is_distributed, local_parts

if TYPE_CHECKING:
    from collections.abc import Callable

    from .._distributions import Check
    from .._lazy import LazyArray
    from .._typing import Array, Dimensions, Seed

# The dtypes that this library samples.
FLOATING = frozenset({torch.float32, torch.float64, torch.float16, torch.bfloat16})

# The most elements in the temporary array for a tensor that is not filled in place.
_TEMPORARY = 1 << 22


def check_tensor(tensor: Any) -> None:
    """Raise where a tensor cannot be initialized."""
    if not isinstance(tensor, torch.Tensor):
        raise TypeError(f"tensor must be a torch.Tensor, received {type_of(tensor)}")
    if tensor.dtype not in FLOATING:
        raise TypeError(
            f"tensor must have dtype float32, float64, float16 or bfloat16, received {tensor.dtype}"
        )
    if tensor.layout != torch.strided:
        raise ValueError(f"tensor must be dense, received one of layout {tensor.layout}")
    if tensor.is_inference() and not torch.is_inference_mode_enabled():
        raise RuntimeError("an inference tensor cannot be filled outside of torch.inference_mode()")


def check_overlap(tensor: Any) -> None:
    """Raise as PyTorch does where elements share memory, as those of an expanded tensor do."""
    if torch._debug_has_internal_overlap(tensor) == 1:
        with torch.no_grad():
            tensor.copy_(torch.zeros(()))


_PLAIN = (torch.Tensor, torch.nn.Parameter)


_dispatch_modes = torch._C._len_torch_dispatch_stack
_tracing_state = torch._C._get_tracing_state
_transform = torch._C._functorch.peek_interpreter_stack


def is_watched() -> bool:
    """Return whether PyTorch must see each operation.

    Tracers and dispatch modes record operations, and what they do not see would be
    missing when their record is run.  Transforms such as torch.vmap, and forward differentiation,
    give operations another meaning.
    """
    return (
        _dispatch_modes() > 0
        or _tracing_state() is not None
        or _transform() is not None
        or forward_ad._current_level >= 0
    )


def is_taken(tensor: Any, any_device: bool) -> bool:
    """Return whether the random numbers of a tensor are this library's in a context.

    Other classes of tensors may have no memory, or give operations another meaning; so may a nested
    tensor, and one of zeros that has no memory.  An inference tensor outside of inference mode is
    left to PyTorch, which raises.
    """
    return not is_watched() and (
        (type(tensor) in _PLAIN or (isinstance(tensor, torch.Tensor) and is_distributed(tensor)))
        and tensor.dtype in FLOATING
        and (tensor.is_cpu or (any_device and not tensor.is_meta))
        and tensor.layout == torch.strided
        and not tensor.is_nested
        and not tensor._is_zerotensor()
        and (not tensor.is_inference() or torch.is_inference_mode_enabled())
    )


@cache
def _numpy_dtype(dtype: Any) -> np.dtype[Any]:
    return as_dtype(dtype, FLOATS)


def dtype_of(tensor: Any) -> np.dtype[Any]:
    """Return NumPy's dtype of a tensor's elements."""
    return _numpy_dtype(tensor.dtype)


class _Memory:
    """Export the memory of a tensor through NumPy's array interface."""

    def __init__(self, tensor: Any, typestr: str) -> None:
        self.tensor = tensor  # keeps the memory alive
        shape, data = tuple(tensor.shape), (tensor.data_ptr(), False)
        self.__array_interface__ = {"version": 3, "typestr": typestr, "shape": shape, "data": data}


def array_on(tensor: Any) -> Array:
    """Return an array on the memory of a plain tensor.

    ``Tensor.numpy()`` would forbid PyTorch to resize the tensor ever after, which FSDP does.
    """
    dtype = dtype_of(tensor)
    if dtype.name == "bfloat16":
        return np.asarray(_Memory(tensor, "=i2")).view(dtype)
    return np.asarray(_Memory(tensor, dtype.str))


def _is_plain(tensor: Any) -> bool:
    """Return whether the memory of a tensor is an aligned array in C order."""
    if not (tensor.is_cpu and tensor.is_contiguous()) or tensor.is_neg():
        return False
    if tensor.data_ptr() % tensor.element_size():
        return False
    return type(tensor) in _PLAIN or not is_distributed(tensor)


# The dtypes whose small tensors are filled in one step, and their bytes per element.
_WIDTHS = {torch.float32: 4, torch.float64: 8}


def sample(
    tensor: Any,
    distribution: Check,
    first: float,
    second: float,
    seed: Seed,
    generator: torch.Generator | None,
) -> None:
    """Fill a tensor with samples of a distribution: element i of the whole is sample i.

    All arguments are checked before a generator advances.  A tensor on meta, or an empty one, is
    left alone.
    """
    distribution((), _numpy_dtype(tensor.dtype), first, second)
    count = tensor.numel()
    if not count or tensor.is_meta:
        return
    plain = _is_plain(tensor)
    address = tensor.data_ptr() if plain else 0
    if not plain:
        check_overlap(tensor)
    elif not address:
        raise RuntimeError("a tensor whose memory was freed cannot be filled")
    context = current()
    if context is not None and seed is None and generator is None:
        key = context.next_key(tensor)  # as key_of_draw() does, 0.2 us later
    else:
        key = key_of_draw(tensor, seed, generator)
    if not plain:
        shape, dtype = tuple(tensor.shape), dtype_of(tensor)
        write(tensor, lazy_random(shape, dtype, key, distribution, first, second))
        return
    if count >= WORTH and context is not None and context.pending is not None:
        later = partial(_fill, tensor, key, distribution, first, second)
        if seed is None and generator is None and context.pending.postpone(tensor, later):
            _changed(tensor)
            return
    width = _WIDTHS.get(tensor.dtype)
    if not (
        width
        and type(tensor) in _PLAIN
        and fill_few(address, count, width, key, distribution, first, second)
    ):
        _fill(tensor, key, distribution, first, second)
    _changed(tensor)
    if context is not None:
        context.wrote(tensor)


def _fill(tensor: Any, key: int, distribution: Check, first: float, second: float) -> None:
    """Fill a plain tensor."""
    draw(None, None, array_on(tensor), key, distribution, first, second)


def _changed(tensor: Any) -> None:
    """Tell autograd that the values of a tensor are others."""
    if not tensor.is_inference():
        torch.autograd.graph.increment_version(tensor)


def _tell(tensor: Any) -> None:
    """Tell the context that all of a tensor was written."""
    context = current()
    if context is not None:
        context.wrote(tensor)


def _wrote(tensor: Any) -> None:
    """Tell autograd and the context that all local parts of a tensor were written."""
    if is_distributed(tensor):
        _changed(tensor)  # its local tensor's version was incremented
    _tell(tensor)


def write(tensor: Any, lazy: LazyArray) -> None:
    """Fill a tensor with its elements of a lazy array of the whole tensor's shape."""
    for place, part in local_parts(tensor):
        _write_part(part.detach(), lazy, place)
    _wrote(tensor)


def write_whole(tensor: Any, make: Callable[[Dimensions, np.dtype[Any]], Any]) -> None:
    """Fill a tensor from one that must be made as a whole, such as an orthogonal matrix."""
    parts = [(place, part) for place, part in local_parts(tensor) if part.numel()]
    if parts:
        whole = make(tuple(tensor.shape), dtype_of(tensor))
        with torch.no_grad():
            for place, part in parts:
                part.copy_(whole[place])
    _wrote(tensor)


def of_array(array: Array) -> Any:
    """Return a tensor on the memory of an array; torch.from_numpy does not take bfloat16."""
    if array.dtype.name == "bfloat16":
        return torch.from_numpy(array.view("int16")).view(torch.bfloat16)
    return torch.from_numpy(array)


def _write_part(part: Any, lazy: LazyArray, place: tuple[slice, ...]) -> None:
    if not part.numel():
        return
    if _is_plain(part):
        lazy.read(place, array_on(part))
        _changed(part)
        return
    # Cut along the first axis that is longer than one, recursively.
    axis = next((i for i, size in enumerate(part.shape) if size > 1), None)
    if part.numel() <= _TEMPORARY or axis is None:
        with torch.no_grad():
            part.copy_(of_array(lazy[(*place, Ellipsis)]))
        return
    size = part.shape[axis]
    step = max(1, _TEMPORARY * size // part.numel())
    for at in range(0, size, step):
        stop = min(size, at + step)
        start = place[axis].start
        cut = slice(start + at, start + stop)
        here = (*place[:axis], cut, *place[axis + 1 :])
        _write_part(part.narrow(axis, at, stop - at), lazy, here)
