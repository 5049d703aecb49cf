"""The parameters and buffers of a model by their names, and what was written to them."""

from __future__ import annotations

from bisect import bisect_right
from typing import TYPE_CHECKING, Any

import torch

from .._seeds import derive_seed
from ._shards import is_distributed

if TYPE_CHECKING:
    from collections.abc import Iterator

# What wrappers put before the names of the modules that they wrap: FSDP1, torch.compile and
# activation checkpointing.
_WRAPPERS = ("_fsdp_wrapped_module.", "_orig_mod.", "_checkpoint_wrapped_module.")


def plain_name(name: str) -> str:
    """Return a fully qualified name without the prefixes of wrappers."""
    for wrapper in _WRAPPERS:
        name = name.replace(wrapper, "")
    return name


def unwrapped(model: Any) -> Any:
    """Return the model that a DistributedDataParallel or DataParallel wraps."""
    parallel = (torch.nn.parallel.DistributedDataParallel, torch.nn.DataParallel)
    return model.module if isinstance(model, parallel) else model


def named_tensors(model: Any) -> Iterator[tuple[str, Any]]:
    """Yield the names of all parameters and buffers; those that are shared have several."""
    yield from model.named_parameters(remove_duplicate=False)
    yield from model.named_buffers(remove_duplicate=False)


def _span(tensor: Any) -> tuple[int, int]:
    """Return where the local memory of a tensor begins and ends; (0, 0) where there is none."""
    if is_distributed(tensor):
        with torch.no_grad():
            tensor = tensor.to_local()
    if not tensor.numel() or tensor.is_meta or tensor.layout != torch.strided:
        return 0, 0
    reach = sum((n - 1) * step for n, step in zip(tensor.shape, tensor.stride(), strict=True))
    start = tensor.data_ptr()
    return start, start + (reach + 1) * tensor.element_size()


class Names:
    """The keys of the draws into a model's tensors: functions of the seed and the names alone.

    Draw 0 into a tensor has the seed ``derive_seed(seed, name)``, and draw n the seed
    ``derive_seed(derive_seed(seed, name), str(n))``.  A tensor that has several names counts by the
    first in alphabetical order.  Other tensors, which a module's initialization makes on its way,
    are named by the module: ``"layers.0.mixer()"``.
    """

    any_device = True

    def __init__(self, model: Any, seed: int) -> None:
        self.seed = seed
        self.module = ""
        self.draws = 0
        self._counts: dict[str, int] = {}
        self._name_of: dict[int, str] = {}
        self._tensors: dict[str, Any] = {}
        self._left: dict[str, int] = {}
        spans = []
        for name, tensor in sorted(
            ((plain_name(name), tensor) for name, tensor in named_tensors(model)),
            key=lambda item: item[0],
        ):
            if id(tensor) not in self._name_of:
                self._name_of[id(tensor)] = name
                self._tensors[name] = tensor
                start, end = _span(tensor)
                self._left[name] = tensor.numel() if end else 0
                if end:
                    spans.append((start, end, name))
        spans.sort()
        self._spans = spans
        self._starts = [start for start, _, _ in spans]

    def parameters(self) -> Iterator[tuple[str, Any]]:
        """Yield the parameters, each once."""
        for name, tensor in self._tensors.items():
            if isinstance(tensor, torch.nn.Parameter):
                yield name, tensor

    def restart(self) -> None:
        """Count the draws from 0 again."""
        self._counts.clear()

    def _name(self, tensor: Any) -> str | None:
        """Return the name of a tensor, of one that shares its memory, or of one that it views."""
        name = self._name_of.get(id(tensor))
        if name is not None and self._tensors[name] is tensor:
            return name
        start, end = _span(tensor)
        at = bisect_right(self._starts, start) - 1
        if end and at >= 0 and end <= self._spans[at][1]:
            return self._spans[at][2]
        return None

    def next_key(self, tensor: Any) -> int:
        """See Context."""
        self.draws += 1
        name = self._name(tensor) or f"{self.module}()"
        number = self._counts.get(name, 0)
        self._counts[name] = number + 1
        root = derive_seed(self.seed, name)
        return derive_seed(root, str(number)) if number else root

    def wrote(self, tensor: Any) -> None:
        """See Context."""
        name = self._name(tensor)
        if name is not None:
            self._left[name] -= tensor.numel()

    def unwritten(self, model: Any) -> list[str]:
        """Return the names of the model's tensors that were not written, or not all of them.

        A tensor that took the place of another, by an assignment, has its values.
        """
        found = []
        for name, tensor in named_tensors(model):
            counted = self._name_of.get(id(tensor))
            if counted is not None and self._tensors[counted] is tensor and self._left[counted] > 0:
                found.append(plain_name(name))
        return found
