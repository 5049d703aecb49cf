"""Draws that wait until a model is constructed, because most are overwritten before.

The layers of PyTorch initialize themselves, and then a model of transformers initializes all of
them again, GPT-2 some of them three times.  While such a constructor runs, a draw into a whole
parameter is only noted.  It is forgotten if all of the parameter is written before anything reads
it, and made otherwise.  Whatever else PyTorch does with a tensor on that memory is seen by the
mode (`_interception`), and makes the draw first.  Outside of these constructors no draw waits, as
code that no mode sees, such as a ScriptModule or an extension in C++, might read the parameter.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

# Fewer elements are drawn at once: to note them would take as long.
WORTH = 1 << 12

# What neither reads nor writes the elements of a tensor, nor gives it to what might.
_HARMLESS = {
    getattr(torch.Tensor, name)
    for name in (
        *("size", "dim", "ndimension", "numel", "nelement", "stride", "element_size", "__len__"),
        *("is_floating_point", "is_complex", "is_contiguous", "is_inference", "storage_offset"),
        *("requires_grad_", "__hash__", "get_device"),
    )
} | {
    getattr(torch.Tensor, name).__get__
    for name in (
        *("shape", "ndim", "dtype", "device", "layout", "requires_grad", "grad", "is_leaf"),
        *("is_meta", "is_cpu", "is_cuda", "is_sparse", "is_quantized", "is_nested", "nbytes"),
        *("itemsize", "_version", "grad_fn"),
    )
}

# The methods that write all elements of the tensor that they are called on.
_OVERWRITING = {
    torch.Tensor.fill_,
    torch.Tensor.zero_,
    torch.Tensor.normal_,
    torch.Tensor.uniform_,
}


def _tensors_in(values: Any) -> Iterator[Any]:
    for value in values:
        if isinstance(value, torch.Tensor):
            yield value
        elif isinstance(value, (list, tuple)):
            yield from _tensors_in(value)
        elif isinstance(value, dict):
            yield from _tensors_in(value.values())


def _storage_of(tensor: Any) -> Any:
    """Return the storage of a tensor, or None where it has no memory of its own."""
    if tensor.layout != torch.strided or tensor.is_meta:
        return None
    try:
        return tensor.untyped_storage()
    except NotImplementedError:  # a subclass without one
        return None


def _is_whole(tensor: Any, storage: Any) -> bool:
    return bool(storage.nbytes() == tensor.numel() * tensor.element_size())


class Pending:
    """The draws of one context that wait, by the addresses of their storages."""

    def __init__(self) -> None:
        self.model: Any = None
        self.draws: dict[int, tuple[Any, Callable[[], object]]] = {}

    def begin(self, model: Any) -> None:
        """Let draws wait from now on: the constructor of a model of transformers runs."""
        if self.model is None:
            self.model = model

    def end(self, model: Any) -> None:
        """Make the draws that are left, if this model is the outermost: it is initialized."""
        if self.model is model:
            self.model = None
            self.make_all()

    def postpone(self, tensor: Any, draw: Callable[[], object]) -> bool:
        """Return whether a draw into all of a tensor waits; if not, it must be made now."""
        if self.model is None or type(tensor) is not torch.nn.Parameter:
            return False
        storage = tensor.untyped_storage()
        # Memory that PyTorch cannot resize may be NumPy's or a file's, and be read through these.
        if not _is_whole(tensor, storage) or not storage.resizable():
            return False
        self.draws[storage.data_ptr()] = tensor, draw
        return True

    def forget(self, tensor: Any) -> None:
        """Drop the draw into a tensor of which all elements were written."""
        storage = _storage_of(tensor)
        if storage is not None and _is_whole(tensor, storage):
            self.draws.pop(storage.data_ptr(), None)

    def make(self, tensor: Any) -> None:
        """Make the draw into the memory of a tensor, if one waits."""
        storage = _storage_of(tensor)
        if storage is not None:
            _, draw = self.draws.pop(storage.data_ptr(), (None, None))
            if draw is not None:
                draw()

    def make_all(self) -> None:
        """Make all draws that wait."""
        with torch._C.DisableTorchFunction():
            while self.draws:
                _, (_, draw) = self.draws.popitem()
                draw()

    def before(self, func: Any, values: tuple[Any, ...], named: dict[str, Any]) -> Any:
        """Make the draws into the tensors that a function of PyTorch is to be called with.

        Return the tensor that the function overwrites, whose draw is to be forgotten afterwards.
        """
        if func in _HARMLESS:
            return None
        with torch._C.DisableTorchFunction():
            tensors = list(_tensors_in((*values, *named.values())))
            if func in _OVERWRITING and len(tensors) == 1:
                storage = _storage_of(tensors[0])
                if storage is not None and _is_whole(tensors[0], storage):
                    return tensors[0]
            for tensor in tensors:
                self.make(tensor)
        return None
