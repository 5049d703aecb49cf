"""Watch what an initialization writes to a model, and let it write to sharded tensors."""

from __future__ import annotations

from types import FunctionType
from typing import TYPE_CHECKING, Any

import torch

from ._copies import Copies, distributed_in
from ._interception import Interception
from ._shards import is_distributed
from ._tensors import is_taken, write_whole

if TYPE_CHECKING:
    from ._names import Names

# The methods that write all elements of a tensor, or of the view that they are called on.
_OVERWRITING = {
    getattr(torch.Tensor, name)
    for name in (
        *("fill_", "zero_", "copy_", "normal_", "uniform_", "random_", "exponential_"),
        *("bernoulli_", "cauchy_", "geometric_", "log_normal_"),
    )
} | {torch.Tensor.data.__set__}

_GET_DATA, _SET_DATA = torch.Tensor.data.__get__, torch.Tensor.data.__set__

# The methods that a DTensor applies to its local part, with the same values as to the whole.
_LOCAL = {
    getattr(torch.Tensor, name)
    for name in (
        *("fill_", "zero_", "mul_", "div_", "add_", "sub_", "neg_", "abs_", "clamp_", "clip_"),
        *("exp_", "log_", "sqrt_", "pow_", "erfinv_"),
    )
}
_DRAWS = {torch.Tensor.normal_, torch.Tensor.uniform_}

# The functions of torch.nn.init that report their calls to a mode.
_DRAWS_OF_INIT = ("normal_", "uniform_", "kaiming_uniform_")
_OF_INIT = (*_DRAWS_OF_INIT, "constant_")

# What reads no values, or makes another tensor with the same placements.
_ASKS = {
    *("size", "dim", "ndimension", "numel", "nelement", "stride", "element_size", "__len__"),
    *("is_floating_point", "is_complex", "is_contiguous", "is_inference", "is_neg", "is_conj"),
    *("requires_grad_", "__hash__", "get_device", "storage_offset", "register_hook"),
    *("empty_like", "zeros_like", "ones_like", "full_like", "rand_like", "randn_like"),
    *("new_empty", "new_zeros", "new_ones", "new_full", "new_tensor", "__deepcopy__"),
}
_VIEWS = {getattr(torch.Tensor, name).__get__ for name in ("T", "H", "mT", "mH", "real", "imag")}


class Watch(Interception):
    """Also record what is written to the model by other means than draws."""

    context: Names

    def __init__(self, names: Names) -> None:
        super().__init__(names)
        self.copies = Copies(names)

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        """See torch.overrides."""
        # An error of this library takes the values of args and kwargs away: see release_views.
        given, named = args, kwargs or {}
        if func is torch.Tensor.is_contiguous and self._is_channels_last(*given, **named):
            return True
        if self.context.sharded:
            sharded = distributed_in((*given, *named.values()))
            if sharded:
                return self._call_sharded(func, types, given, named, sharded)
        return self._call(func, types, given, named)

    def _is_channels_last(self, tensor: Any, **kwargs: Any) -> bool:
        """Return whether a tensor of the model is to be taken for contiguous.

        The convolutions of PyTorch draw a weight that is not into another tensor first, which has
        no name; so the layout in memory would change the values.
        """
        formats = {4: torch.channels_last, 5: torch.channels_last_3d}
        with torch._C.DisableTorchFunction():
            return (
                not kwargs
                and tensor.ndim in formats
                and tensor.is_contiguous(memory_format=formats[tensor.ndim])
                and self.context.name(tensor) is not None
            )

    def _call(self, func: Any, types: Any, given: tuple[Any, ...], named: Any) -> Any:
        """Call a function and record what it writes."""
        draws = self.context.draws
        result = super().__torch_function__(func, types, given, named)
        if draws == self.context.draws:  # a draw records its own write
            with torch._C.DisableTorchFunction():
                if func == _SET_DATA:
                    self.context.moved(given[0])
                if func in _OVERWRITING or getattr(func, "__name__", "") in _OF_INIT:
                    self.context.wrote(given[0] if given else named["tensor"])
                elif func is torch.Tensor.__setitem__:
                    self.context.wrote(given[0][given[1]])
                elif isinstance(named.get("out"), torch.Tensor):
                    self.context.wrote(named["out"])
        return result

    def _call_sharded(
        self, func: Any, types: Any, given: tuple[Any, ...], named: Any, sharded: list[Any]
    ) -> Any:
        """Call a function on DTensors where that gives the same values, else on whole copies."""
        name = getattr(func, "__name__", "")
        first = sharded[0]
        ours = any(self.context.name(tensor) is not None for tensor in sharded)
        if name in _ASKS or (name == "__get__" and func not in _VIEWS):
            result = super().__torch_function__(func, types, given, named)
            if func == _GET_DATA:
                self.context.alias(result, first)
            return result
        if func is torch.Tensor.detach:
            result = func(*given, **named)
            self.context.alias(result, first)
            return result
        if func is torch.Tensor.__getitem__ and ours and first is given[0]:
            return self.copies.item(*given)
        if _is_copy_to_shards(func, given):
            with torch._C.DisableTorchFunction():
                write_all(first, given[1])
            return None if func == _SET_DATA else first
        if self._is_local(func, name, given, named):
            with torch._C.DisableTorchFunction():
                for tensor in sharded:
                    self.copies.put(tensor)
            return self._call(func, types, given, named)
        if not ours and not _has_whole((*given, *named.values())):
            return self._call(func, types, given, named)
        with torch._C.DisableTorchFunction():
            copies = [(tensor, self.copies.whole(tensor)) for tensor in sharded]
        to_copy = {id(tensor): copy for tensor, copy in copies}
        given = tuple(_replaced(value, to_copy) for value in given)
        named = {key: _replaced(value, to_copy) for key, value in named.items()}
        result = self._call(func, types, given, named)
        return next((tensor for tensor, copy in copies if copy is result), result)

    def _is_local(self, func: Any, name: str, args: tuple[Any, ...], kwargs: Any) -> bool:
        """Return whether a function may be called on DTensors as they are."""
        first = args[0] if args else kwargs.get("tensor")
        others = [*args[1:], *(value for key, value in kwargs.items() if key != "tensor")]
        tensors = [value for value in others if isinstance(value, torch.Tensor)]
        if func in _LOCAL or name == "constant_":
            return not any(tensor.ndim for tensor in tensors)
        if func in _DRAWS or (type(func) is FunctionType and name in _DRAWS_OF_INIT):
            return is_taken(first, True) and not any(
                isinstance(value, (torch.Tensor, torch.Generator)) for value in others
            )
        if func is torch.Tensor.copy_ or func == _SET_DATA:
            return all(map(is_distributed, tensors))
        return False


def write_all(tensor: Any, values: Any) -> None:
    """Copy the values of a whole tensor to the local parts of another."""
    with torch.no_grad():
        write_whole(tensor, lambda shape, dtype: values.expand(shape))


def _is_copy_to_shards(func: Any, args: tuple[Any, ...]) -> bool:
    """Return whether a whole tensor is copied to a DTensor, which PyTorch refuses."""
    if func is not torch.Tensor.copy_ and func != _SET_DATA:
        return False
    to, source = args[:2]
    return (
        is_distributed(to)
        and isinstance(source, torch.Tensor)
        and not is_distributed(source)
        and (source.shape == to.shape or func is torch.Tensor.copy_)
    )


def _has_whole(arguments: Any) -> bool:
    """Return whether arguments contain a plain tensor, which DTensors cannot be combined with."""
    return any(
        _has_whole(value)
        if isinstance(value, (list, tuple))
        else isinstance(value, torch.Tensor) and not is_distributed(value) and value.ndim > 0
        for value in arguments
    )


def _replaced(value: Any, to_copy: dict[int, Any]) -> Any:
    """Return an argument with its DTensors replaced by their copies."""
    if type(value) in (list, tuple):
        return type(value)(_replaced(part, to_copy) for part in value)
    return to_copy.get(id(value), value)
