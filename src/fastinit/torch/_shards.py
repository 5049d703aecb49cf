"""The parts of a tensor that lie in the memory of this process."""

from __future__ import annotations

from itertools import accumulate, product
from math import prod
from typing import TYPE_CHECKING, Any

import torch

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import TypeAlias

    # Indices along one dimension of the whole tensor, in the order of the local one.
    Ranges: TypeAlias = list[range]
    # Dimensions of the mesh that cut a dimension, in order, and their split factors.
    Cuts: TypeAlias = list[tuple[int, int]]


def is_distributed(tensor: Any) -> bool:
    """Return whether a tensor is a DTensor, without importing its module."""
    return hasattr(tensor, "device_mesh") and hasattr(tensor, "placements")


def local_of(tensor: Any) -> Any:
    """Return the tensor in the memory of this process: the local part of a DTensor."""
    if not is_distributed(tensor):
        return tensor
    with torch.no_grad():
        return tensor.to_local()


def _chunk(ranges: Ranges, count: int, number: int) -> Ranges:
    """Return chunk ``number`` of ``count`` of consecutive ranges, cut as by torch.chunk."""
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


def _strided_first(placements: list[Any], sizes: list[int]) -> bool:
    """Return whether the split factors of a dimension mean that later mesh dimensions cut first.

    ``placements`` are those of one dimension, and ``sizes`` the sizes of their mesh dimensions.
    """
    return all(
        getattr(placement, "split_factor", 1) in (1, prod(sizes[number + 1 :]))
        for number, placement in enumerate(placements)
    )


def _orders(axes: list[int], placements: list[Any], sizes: list[int]) -> Iterator[Cuts]:
    """Yield the ways in which a dimension may have been cut, the likelier one first.

    FSDP turns a shard of tensor parallelism into a strided shard: the tensor is cut into
    ``split_factor`` chunks, and a process takes a chunk of each, so its indices are not
    contiguous.  Where the sizes do not divide evenly, FSDP does not keep to this: it cuts the
    parts that the later dimensions of the mesh have left.
    """
    factors = [getattr(placement, "split_factor", 1) for placement in placements]
    strided = [number for number, factor in enumerate(factors) if factor > 1]
    if strided and _strided_first(placements, sizes):
        plain = [number for number, factor in enumerate(factors) if factor == 1]
        yield [(axes[number], 1) for number in plain + strided[::-1]]
    yield list(zip(axes, factors, strict=True))


def _cut(size: int, cuts: Cuts, mesh: Any, coordinate: list[int]) -> Ranges:
    """Return the indices that a process has along a dimension of that size."""
    ranges = [range(size)]
    for axis, factor in cuts:
        ranges = [
            part
            for piece in range(factor)
            for part in _chunk(_chunk(ranges, factor, piece), mesh.size(axis), coordinate[axis])
        ]
    return _joined(ranges)


def sharded_axes(tensor: Any) -> dict[int, list[int]]:
    """Return the dimensions of the mesh that cut each dimension of a DTensor.

    Raises
    ------
    ValueError
        The DTensor is partial: it has yet to be summed over its mesh.
    """
    found: dict[int, list[int]] = {}
    for axis, placement in enumerate(tensor.placements):
        if placement.is_replicate():
            continue
        dim = getattr(placement, "dim", None)
        if placement.is_partial() or dim is None:
            raise ValueError(
                f"a DTensor must be sharded or replicated to be filled, received {placement}"
            )
        found.setdefault(dim, []).append(axis)
    return found


def _places(tensor: Any, local: Any) -> list[Ranges]:
    """Return the indices of the local tensor in the whole, along each dimension."""
    mesh = tensor.device_mesh
    coordinate = mesh.get_coordinate()
    found: list[Ranges] = [[range(size)] for size in tensor.shape]
    for dim, axes in sharded_axes(tensor).items():
        placements = [tensor.placements[axis] for axis in axes]
        sizes = [mesh.size(axis) for axis in axes]
        for cuts in _orders(axes, placements, sizes):
            found[dim] = _cut(tensor.shape[dim], cuts, mesh, coordinate)
            if sum(map(len, found[dim])) == local.shape[dim]:
                break
        else:
            raise ValueError(
                f"a DTensor of shape {tuple(tensor.shape)} and placements {tensor.placements} has "
                f"a local tensor of shape {tuple(local.shape)}, which is not a part of it"
            )
    return found


def local_parts(tensor: Any) -> Iterator[tuple[tuple[slice, ...], Any]]:
    """Yield the local parts of a tensor, each with its place in the whole.

    A part is a view, to be filled in place.  A tensor that is not a DTensor is one part.

    Raises
    ------
    ValueError
        The DTensor is partial, or its local tensor does not fit its placements.
    """
    if not is_distributed(tensor):
        yield tuple(slice(0, size) for size in tensor.shape), tensor
        return
    if tensor.device_mesh.get_coordinate() is None:  # this process is not part of the mesh
        return
    local = local_of(tensor)
    if not local.numel():  # an empty part's shape may differ from what its placements say
        return
    places = _places(tensor, local)
    starts = [[0, *accumulate(map(len, ranges))] for ranges in places]
    for numbers in product(*(range(len(ranges)) for ranges in places)):
        whole, here = [], []
        for axis, number in enumerate(numbers):
            part, start = places[axis][number], starts[axis][number]
            whole.append(slice(part.start, part.stop))
            here.append(slice(start, start + len(part)))
        yield tuple(whole), local[tuple(here)]
