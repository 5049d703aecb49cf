"""The parameters and buffers of a model by their names, and what was written to them."""

from __future__ import annotations

from bisect import bisect_right
from typing import TYPE_CHECKING, Any

import torch
from torch.utils.weak import WeakIdKeyDictionary

from .._seeds import derive_seed
from ._shards import is_distributed, local_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

# What wrappers put before the names of the modules that they wrap: torch.compile, activation
# checkpointing, and FullyShardedDataParallel, whose names checkpoints may have.
_WRAPPERS = ("_orig_mod", "_checkpoint_wrapped_module", "_fsdp_wrapped_module")


def plain_name(name: str) -> str:
    """Return a fully qualified name without the parts that wrappers put into it."""
    return ".".join(part for part in name.split(".") if part not in _WRAPPERS)


def unwrapped(module: Any) -> Any:
    """Return the module that wrappers contain.

    Some wrappers forward the attributes of their module, so its methods would be called twice.
    """
    parallel = (torch.nn.parallel.DistributedDataParallel, torch.nn.DataParallel)
    while True:
        if isinstance(module, parallel):
            module = module.module
            continue
        names = list(module._modules)
        if len(names) != 1 or names[0] not in _WRAPPERS:
            return module
        module = module._modules[names[0]]


def named_tensors(model: Any) -> Iterator[tuple[str, Any]]:
    """Yield all parameters and buffers with their names; a shared one is yielded for each name."""
    yield from model.named_parameters(remove_duplicate=False)
    yield from model.named_buffers(remove_duplicate=False)


def _span(local: Any) -> tuple[int, int]:
    """Return where the memory of a tensor begins and ends; (0, 0) where there is none."""
    if not local.numel() or local.is_meta or local.layout != torch.strided:
        return 0, 0
    reach = sum((n - 1) * step for n, step in zip(local.shape, local.stride(), strict=True))
    start = local.data_ptr()
    return start, start + (reach + 1) * local.element_size()


class Written:
    """Which elements of a tensor were written, tracked by the memory of its views."""

    def __init__(self, local: Any) -> None:
        self.span = _span(local)
        self._local = local
        self._all = not local.numel()
        self._masks: dict[int, Any] = {}  # by the size of the elements of the views

    def _mask(self, view: Any) -> Any:
        """Return the part of a mask that stands for a view."""
        width = view.element_size()
        start, end = self.span
        mask = self._masks.get(width)
        if mask is None:
            mask = self._masks[width] = torch.zeros(-(-(end - start) // width), dtype=torch.bool)
        return mask.as_strided(view.shape, view.stride(), (view.data_ptr() - start) // width)

    def add(self, view: Any, mask: Any = None) -> None:
        """Mark as written the elements of a view, or those where a mask of its shape is True."""
        if self._all or not view.numel():
            return
        start, end = self.span
        if mask is None and view.numel() * view.element_size() == end - start:
            self._all = True
            self._masks.clear()
        elif mask is None:
            self._mask(view).fill_(True)
        else:
            self._mask(view).logical_or_(mask)

    def part(self, place: Any) -> Any:
        """Return a mask of a part of the tensor, or None where all of it was written."""
        return None if self.complete() else self._mask(self._local)[place]

    def complete(self) -> bool:
        """Return whether all elements were written."""
        if not self._all:
            for width, mask in self._masks.items():
                same = width == self._local.element_size()
                if bool((self._mask(self._local) if same else mask).all()):
                    self._all = True
        return self._all

    def clear(self) -> None:
        """Forget what was written."""
        self._all = not self._local.numel()
        self._masks.clear()


class Names:
    """The keys of the draws into a model's tensors: functions of the seed and the names alone.

    Draw 0 into a tensor has the seed ``derive_seed(seed, name)``, and draw n the seed
    ``derive_seed(derive_seed(seed, name), str(n))``.  A tensor that has several names goes by the
    first in alphabetical order.  Temporary tensors, which a module's initialization makes, are
    named after the module: ``"layers.0.mixer()"``.
    """

    any_device = True
    pending = None  # initialize() overwrites little, and what it writes must be known

    def __init__(self, model: Any, seed: int) -> None:
        self.seed = seed
        self.module = ""
        self.draws = 0
        self.sharded = False
        self.overwritten: Callable[[Any], None] | None = None  # called with sharded tensors
        self.names_of: dict[str, list[str]] = {}
        self._counts: dict[str, int] = {}
        self._name_of: dict[int, str] = {}
        self._tensors: dict[str, Any] = {}
        self._known: dict[str, Any] = {}
        self._aliases: Any = WeakIdKeyDictionary()
        self._written: dict[str, Written] = {}
        self._others: dict[int, tuple[Written, str | None]] = {}
        self._places: list[tuple[int, int, str | None, Written]] | None = None
        self._starts: list[int] = []
        for name, tensor in sorted(
            ((plain_name(name), tensor) for name, tensor in named_tensors(model)),
            key=lambda item: item[0],
        ):
            self._known[name] = tensor
            first = self._name_of.setdefault(id(tensor), name)
            self.names_of.setdefault(first, []).append(name)
            if first == name:
                self._tensors[name] = tensor
                self._written[name] = Written(local_of(tensor))
                self.sharded = self.sharded or is_distributed(tensor)

    def tensors(self) -> Iterator[tuple[str, Any]]:
        """Yield the parameters and buffers that the model had at the start, each once."""
        yield from self._tensors.items()

    def parameters(self) -> Iterator[tuple[str, Any]]:
        """Yield the parameters, each once."""
        for name, tensor in self._tensors.items():
            if isinstance(tensor, torch.nn.Parameter):
                yield name, tensor

    def known(self, name: str) -> Any:
        """Return the tensor that had a name at the start, or None."""
        return self._known.get(name)

    def original(self, tensor: Any) -> Any:
        """Return the model's tensor of which a tensor is an alias, or the tensor itself."""
        name = self.name(tensor)
        return tensor if name is None else self._tensors[name]

    def restart(self) -> None:
        """Count the draws from 0 again, and mark all parameters as not written."""
        self._counts.clear()
        for name, _ in self.parameters():
            self._written[name].clear()

    def name(self, tensor: Any) -> str | None:
        """Return the name of a tensor of the model or of an alias of one, or None."""
        name = self._name_of.get(id(tensor))
        if name is not None and self._tensors[name] is tensor:
            return name
        return self._aliases.get(tensor) if self.sharded else None

    def alias(self, tensor: Any, other: Any) -> None:
        """Make a tensor an alias of one of the model, even if this process has no part of it."""
        name = self.name(other)
        if name is not None:
            self._aliases[tensor] = name

    def moved(self, tensor: Any) -> None:
        """Record that a tensor has new memory."""
        name = self.name(tensor)
        if name is not None:
            self._written[name] = Written(local_of(tensor))
            self._places = None

    def add_memory(self, written: Written, name: str | None) -> None:
        """Track the memory of a copy of one of the model's tensors, under that tensor's name."""
        self._others[id(written)] = written, name
        self._places = None

    def remove_memory(self, written: Written) -> None:
        """Stop tracking the memory of a copy."""
        del self._others[id(written)]
        self._places = None

    def _find(self, tensor: Any) -> tuple[str | None, Written | None]:
        """Return the name and the record of a tensor, or of the tensor whose memory it views."""
        name = self.name(tensor)
        if name is not None:
            return name, self._written[name]
        if self._places is None:
            known = [
                *((name, written) for name, written in self._written.items()),
                *((name, written) for written, name in self._others.values()),
            ]
            self._places = sorted(
                ((*written.span, name, written) for name, written in known if written.span[1]),
                key=lambda place: place[0],
            )
            self._starts = [place[0] for place in self._places]
        start, end = _span(local_of(tensor))
        at = bisect_right(self._starts, start) - 1
        if end and at >= 0 and end <= self._places[at][1]:
            return self._places[at][2:]
        return None, None

    def next_key(self, tensor: Any) -> int:
        """See Context."""
        self.draws += 1
        name = self._find(tensor)[0] or f"{self.module}()"
        number = self._counts.get(name, 0)
        self._counts[name] = number + 1
        root = derive_seed(self.seed, name)
        return derive_seed(root, str(number)) if number else root

    def wrote(self, tensor: Any, mask: Any = None) -> None:
        """See Context; with a mask, only its elements were written."""
        written = self._find(tensor)[1]
        if written is not None:
            written.add(local_of(tensor), mask)
        if self.overwritten is not None and is_distributed(tensor):
            self.overwritten(tensor)

    def unwritten(self, model: Any) -> list[str]:
        """Return the names of the model's tensors that were not written completely.

        A tensor that was assigned in place of another counts as written.
        """
        found = []
        for name, tensor in named_tensors(model):
            counted = self._name_of.get(id(tensor))
            if (
                counted is not None
                and self._tensors[counted] is tensor
                and not self._written[counted].complete()
            ):
                found.append(plain_name(name))
        return found
