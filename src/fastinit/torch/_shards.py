"""The parts of a tensor that lie in the memory of this process."""

from __future__ import annotations

from itertools import accumulate, product
from typing import TYPE_CHECKING, Any

import torch

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import TypeAlias

    # Places along one dimension of the whole tensor, in the order of the local one.
    Ranges: TypeAlias = list[range]


def is_distributed(tensor: Any) -> bool:
    """Return whether a tensor is a DTensor, without importing its module."""
    return hasattr(tensor, "device_mesh") and hasattr(tensor, "placements")


def _chunk(ranges: Ranges, count: int, number: int) -> Ranges:
    """Return one of the equal chunks of ranges that follow each other, as torch.chunk cuts them."""
    total = sum(map(len, ranges))
    size = -(-total // count)
    low, high = min(number * size, total), min((number + 1) * size, total)
    found, at = [], 0
    for part in ranges:
        cut = part[max(0, low - at) : max(0, high - at)]
        if cut:
            found.append(cut)
        at += len(part)
    return found


def _joined(ranges: Ranges) -> Ranges:
    """Return the ranges with neighbours joined."""
    found: Ranges = []
    for part in ranges:
        if found and found[-1].stop == part.start:
            found[-1] = range(found[-1].start, part.stop)
        else:
            found.append(part)
    return found


def _places(tensor: Any) -> list[Ranges] | None:
    """Return the places of the local tensor in the whole, along each dimension.

    The placements are applied from the first to the last dimension of the mesh.  A strided shard,
    which FSDP makes of a shard of tensor parallelism, cuts into ``split_factor`` chunks first, and
    takes a chunk of each: its places do not lie together.
    """
    coordinate = tensor.device_mesh.get_coordinate()
    if coordinate is None:  # this process is not part of the mesh
        return None
    found: list[Ranges] = [[range(size)] for size in tensor.shape]
    for axis, placement in enumerate(tensor.placements):
        if placement.is_replicate():
            continue
        dim = getattr(placement, "dim", None)
        if placement.is_partial() or dim is None:
            raise ValueError(
                f"a DTensor must be sharded or replicated to be filled, received {placement}"
            )
        factor = getattr(placement, "split_factor", 1)
        count, number = tensor.device_mesh.size(axis), coordinate[axis]
        found[dim] = [
            part
            for piece in range(factor)
            for part in _chunk(_chunk(found[dim], factor, piece), count, number)
        ]
    return [_joined(ranges) for ranges in found]


def local_parts(tensor: Any) -> Iterator[tuple[tuple[slice, ...], Any]]:
    """Yield the local parts of a tensor, each with its place in the whole.

    A part is a view, to be filled in place.  A tensor that is no DTensor is one part.

    Raises
    ------
    ValueError
        A DTensor whose parts have no place, as it is to be summed over its mesh.
    """
    if not is_distributed(tensor):
        yield tuple(slice(0, size) for size in tensor.shape), tensor
        return
    places = _places(tensor)
    if places is None:
        return
    with torch.no_grad():
        local = tensor.to_local()
    shape = tuple(sum(map(len, ranges)) for ranges in places)
    if shape != tuple(local.shape):
        raise ValueError(
            f"a DTensor of placements {tensor.placements} has a local tensor of shape "
            f"{tuple(local.shape)}, where {shape} was expected"
        )
    starts = [[0, *accumulate(map(len, ranges))] for ranges in places]
    for numbers in product(*(range(len(ranges)) for ranges in places)):
        whole, here = [], []
        for axis, number in enumerate(numbers):
            part, start = places[axis][number], starts[axis][number]
            whole.append(slice(part.start, part.stop))
            here.append(slice(start, start + len(part)))
        yield tuple(whole), local[tuple(here)]
