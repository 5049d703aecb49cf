"""Whole copies of sharded tensors, for code that works with more than their local parts.

An initialization may write to a view, such as the row ``weight[padding_idx]``, or do arithmetic
that a DTensor has no operator for.  It then gets a copy of the whole tensor, or of the rows that it
asked for, and what it writes to the copy is copied back to the local parts.  All processes run the
same code, so they make the same copies.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import torch

from ._names import Written
from ._shards import is_distributed, local_of, local_parts, sharded_axes

if TYPE_CHECKING:
    from typing import TypeAlias

    from ._names import Names

    Place: TypeAlias = tuple[slice, ...]


class _Copy(NamedTuple):
    """A copy of a part of a DTensor; it and its views share one version number."""

    tensor: Any
    place: Place
    values: Any
    written: Written


def _shared(place: Place, other: Place) -> tuple[Place, Place] | None:
    """Return the overlap of two parts of a tensor, as its place in each, or None."""
    here, there = [], []
    for a, b in zip(place, other, strict=True):
        start, stop = max(a.start, b.start), min(a.stop, b.stop)
        if start >= stop:
            return None
        here.append(slice(start - a.start, stop - a.start))
        there.append(slice(start - b.start, stop - b.start))
    return tuple(here), tuple(there)


def _gather(tensor: Any, place: Place) -> Any:
    """Return the values of a part of a DTensor, from all processes.

    Each process contributes its own bytes and zeros elsewhere, so the sum of the bytes is exact.
    """
    shape = tuple(part.stop - part.start for part in place)
    values = torch.zeros(shape, dtype=tensor.dtype, device=local_of(tensor).device)
    for other, part in local_parts(tensor):
        both = _shared(place, other)
        if both is not None:
            values[both[0]] = part[both[1]]
    mesh = tensor.device_mesh
    if values.numel() and mesh.get_coordinate() is not None:
        plain = torch.view_as_real(values) if values.is_complex() else values
        for axes in sharded_axes(tensor).values():
            for axis in axes:
                if mesh.size(axis) > 1:
                    group = mesh.get_group(axis)
                    torch.distributed.all_reduce(plain.view(-1).view(torch.uint8), group=group)
    return values


def _basic(index: Any, shape: tuple[int, ...]) -> tuple[Place, Any] | None:
    """Return the part that an index of integers and slices selects, and the index into it."""
    given = index if isinstance(index, tuple) else (index,)
    if len(given) > len(shape):
        return None
    place: list[slice] = []
    inner: list[slice | int] = []
    for i, size in enumerate(shape):
        part = given[i] if i < len(given) else slice(None)
        if type(part) is int and -size <= part < size:
            place.append(slice(part % size, part % size + 1))
            inner.append(0)
        elif isinstance(part, slice) and part.step in (None, 1):
            start, stop, _ = part.indices(size)
            place.append(slice(start, max(start, stop)))
            inner.append(slice(None))
        else:
            return None
    return tuple(place), tuple(inner)


class Copies:
    """The copies that the initialization of a module has made of sharded tensors."""

    def __init__(self, names: Names) -> None:
        self.names = names
        self._copies: dict[int, list[_Copy]] = {}
        self._ended: list[tuple[_Copy, int]] = []
        names.overwritten = self._forget

    def _of(self, tensor: Any) -> tuple[Any, list[_Copy]]:
        """Return the model's tensor of which a DTensor is an alias, and the copies of it."""
        tensor = self.names.original(tensor)
        return tensor, self._copies.setdefault(id(tensor), [])

    def whole(self, tensor: Any) -> Any:
        """Return a copy of a whole DTensor."""
        return self._make(tensor, tuple(slice(0, size) for size in tensor.shape)).values

    def item(self, tensor: Any, index: Any) -> Any:
        """Return tensor[index], a view of a copy."""
        whole = tuple(slice(0, size) for size in tensor.shape)
        basic = _basic(index, tuple(tensor.shape))
        place, inner = (whole, index) if basic is None else basic
        made = self._make(tensor, place)
        return made.values[inner if made.place == place else index]

    def _make(self, tensor: Any, place: Place) -> _Copy:
        tensor, copies = self._of(tensor)
        whole = tuple(slice(0, size) for size in tensor.shape)
        for copy in copies:
            if copy.place in (place, whole):
                return copy
        for copy in list(copies):
            if _shared(copy.place, place) is not None:
                self._end(copy)
        with torch.no_grad():
            values = _gather(tensor, place)
        made = _Copy(tensor, place, values, Written(values))
        self.names.add_memory(made.written, self.names.name(tensor))
        copies.append(made)
        return made

    def _put(self, copy: _Copy) -> None:
        """Copy the values of a copy back to the local parts."""
        with torch.no_grad():
            for place, part in local_parts(copy.tensor):
                both = _shared(place, copy.place)
                if both is not None:
                    part[both[0]].copy_(copy.values[both[1]])
                    self.names.wrote(part[both[0]], copy.written.part(both[1]))

    def _end(self, copy: _Copy, put: bool = True) -> None:
        if put:
            self._put(copy)
        self.names.remove_memory(copy.written)
        copies = self._copies[id(copy.tensor)]
        copies[:] = [other for other in copies if other is not copy]
        self._ended.append((copy, copy.values._version))

    def put(self, tensor: Any) -> None:
        """End the copies of a DTensor before it is read or written itself."""
        for copy in list(self._of(tensor)[1]):
            self._end(copy)

    def _forget(self, tensor: Any) -> None:
        """Discard the copies of a DTensor that was itself written after they were made."""
        for copy in list(self._of(tensor)[1]):
            self._end(copy, put=False)

    def end(self) -> None:
        """End all copies, after the initialization of a module.

        Raises
        ------
        RuntimeError
            A view was written after its copy had ended, so the value would be lost.
        """
        for copies in list(self._copies.values()):
            for copy in list(copies):
                self._end(copy)
        self._copies.clear()
        ended, self._ended = self._ended, []
        for copy, version in ended:
            if copy.values._version != version:
                name = self.names.name(copy.tensor)
                raise RuntimeError(
                    f"a view of the sharded {name or 'tensor'} was written after the tensor itself "
                    "or another view of it: take the view again before writing to it"
                )


def distributed_in(arguments: Any) -> list[Any]:
    """Return the DTensors among the arguments of a call."""
    found = []
    for value in arguments:
        if isinstance(value, (list, tuple)):
            found += distributed_in(value)
        elif isinstance(value, torch.Tensor) and is_distributed(value):
            found.append(value)
    return found
