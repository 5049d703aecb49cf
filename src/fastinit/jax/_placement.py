"""From values to arrays of JAX: eagerly, inside of JAX's transformations, and sharded."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import jax
import numpy as np
from jax.sharding import NamedSharding, PartitionSpec

from .._entry import entry_point
from .._memory import empty
from .._messages import type_of
from ._keys import seed_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from .._typing import Array, Dimensions
    from ._values import Parts, Values


@entry_point
def _fill(values: Values, words: Any, cut: tuple[slice, ...], shape: Dimensions) -> Array:
    """Return the same part of the arrays of several keys, whose words are along the last axis.

    It runs in threads of JAX, with floating-point modes of JAX.
    """
    words = np.asarray(words)
    several = words.shape[:-1]
    out = empty((*several, *shape), values.dtype)
    for index in np.ndindex(several):
        values.parts(seed_of(words[index])).read(cut, out[(*index, ...)])
    return out


def _fill_whole(values: Values, words: Any) -> Array:
    """Answer a callback of JAX with whole arrays."""
    return _fill(values, words, (), values.shape)


def _fill_shard(values: Values, mesh: Any, spec: Any, words: Any, *places: Any) -> Array:
    """Answer a callback of a device with its shard; the places are the device's in the mesh."""
    place = {
        name: int(np.asarray(at).flat[0]) for name, at in zip(mesh.axis_names, places, strict=True)
    }
    cut = []
    for axis, size in enumerate(values.shape):
        number, count = 0, 1
        for name in _names(spec, axis):
            number = number * mesh.shape[name] + place[name]
            count *= mesh.shape[name]
        cut.append(slice(number * size // count, (number + 1) * size // count))
    return _fill(values, words, tuple(cut), tuple(part.stop - part.start for part in cut))


def _names(spec: Any, axis: int) -> tuple[str, ...]:
    """Return the names of the axes of a mesh that cut an axis of an array."""
    names = spec[axis] if axis < len(spec) else None
    if names is None:
        return ()
    return names if isinstance(names, tuple) else (names,)


def _call(answer: Callable[..., Array], shape: Dimensions, dtype: Any, *arguments: Any) -> Any:
    """Call back from JAX; under ``vmap`` one call makes the arrays of all keys."""
    result = jax.ShapeDtypeStruct(shape, dtype)
    return jax.pure_callback(answer, result, *arguments, vmap_method="broadcast_all")


def _traced(values: Values, words: Any, sharding: Any) -> Any:
    """Return a traced array: the callback runs when the computation does."""
    if sharding is None:
        whole = _call(partial(_fill_whole, values), values.shape, values.dtype, words)
        # Where a computation on several devices returns what a callback made on one of them, JAX
        # fails to read the sharding ("Unhandled OpSharding type").  The barrier costs nothing.
        return jax.lax.optimization_barrier(whole)
    mesh, spec = sharding.mesh, sharding.spec
    shape = sharding.shard_shape(values.shape)

    def on_device(words: Any) -> Any:
        places = [jax.lax.axis_index(name) for name in mesh.axis_names]
        answer = partial(_fill_shard, values, mesh, spec)
        return _call(answer, shape, values.dtype, words, *places)

    return jax.shard_map(
        on_device, mesh=mesh, in_specs=PartitionSpec(), out_specs=spec, check_vma=False
    )(words)


def named_sharding(out_sharding: Any, name: str) -> Any:
    """Return the NamedSharding that is meant by what JAX calls ``out_sharding``, or None.

    Raises
    ------
    TypeError
        It is neither a NamedSharding nor a PartitionSpec.
    ValueError
        A PartitionSpec is given outside of a mesh's context.
    """
    if out_sharding is None or isinstance(out_sharding, NamedSharding):
        return out_sharding
    if not isinstance(out_sharding, PartitionSpec):
        raise TypeError(
            f"out_sharding of {name} must be a NamedSharding or a PartitionSpec, "
            f"received {type_of(out_sharding)}"
        )
    mesh: Any = jax.sharding.get_abstract_mesh()
    if mesh.empty:
        raise ValueError(
            f"out_sharding of {name} must be a NamedSharding where no mesh is set "
            "by jax.set_mesh, received a PartitionSpec"
        )
    return NamedSharding(mesh, out_sharding)


def make_sharded(parts: Parts, values: Values, sharding: Any) -> Any:
    """Return an array of which each shard was made alone, once in each process."""
    made: dict[tuple[tuple[int, int], ...], Array] = {}

    def shard(index: tuple[slice, ...]) -> Array:
        spans = zip(index, values.shape, strict=True)
        place = tuple(part.indices(size)[:2] for part, size in spans)
        if place not in made:
            made[place] = parts[index]
        return made[place]

    return jax.make_array_from_callback(values.shape, sharding, shard, dtype=values.dtype)


def make(values: Values, words: Any, out_sharding: Any) -> Any:
    """Return the array of a key's words.

    Eagerly it is made at once.  On a CPU it shares the memory of a NumPy array that nothing else
    refers to.
    """
    if isinstance(words, jax.core.Tracer):
        return _traced(values, words, out_sharding)
    if out_sharding is not None and not isinstance(out_sharding.mesh, jax.sharding.Mesh):
        out_sharding = NamedSharding(jax.sharding.get_mesh(), out_sharding.spec)
    parts = values.parts(seed_of(np.asarray(words)))
    if out_sharding is None:
        return jax.device_put(parts[...])
    return make_sharded(parts, values, out_sharding)
