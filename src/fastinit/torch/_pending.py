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


def _is_opaque(tensor: Any) -> bool:
    """Return whether a tensor may stand for the memory of another, without showing it.

    So do those inside torch.vmap, and subclasses such as DTensor.
    """
    return (
        type(tensor) not in (torch.Tensor, torch.nn.Parameter)
        or tensor.layout != torch.strided
        or torch._C._functorch.is_functorch_wrapped_tensor(tensor)
        or torch._is_functional_tensor(tensor)
    )


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
        if not tensor.is_meta and not _is_opaque(tensor):
            storage = tensor.untyped_storage()
            if _is_whole(tensor, storage):
                self.draws.pop(storage.data_ptr(), None)

    def make(self, tensor: Any) -> None:
        """Make the draw that waits for a tensor's memory; all of them if it does not show that."""
        if tensor.is_meta:
            return
        if _is_opaque(tensor):
            self.make_all()
            return
        _, draw = self.draws.pop(tensor.untyped_storage().data_ptr(), (None, None))
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
                tensor = tensors[0]
                plain = not tensor.is_meta and not _is_opaque(tensor)
                if plain and _is_whole(tensor, tensor.untyped_storage()):
                    return tensor
            for tensor in tensors:
                self.make(tensor)
        return None
