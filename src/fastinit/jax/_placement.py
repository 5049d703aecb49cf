"""Make arrays of JAX from values: eagerly, inside of JAX's transformations, and sharded."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from .._entry import entry_point
from .._memory import empty
from .._messages import shown, type_of
from ._keys import seed_of

try:
    from jax.experimental.buffer_callback import buffer_callback
except ImportError:  # it is experimental, and JAX may remove it
    buffer_callback = None

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import TypeAlias

    from .._typing import Array, Dimensions
    from ._values import Values

    # Returns which part of the whole a device makes, for its index along each axis of the mesh.
    Where: TypeAlias = Callable[..., tuple[slice, ...]]


@entry_point
def _fill(values: Values, words: Array, cut: tuple[slice, ...], out: Array) -> None:
    """Fill ``out`` with the same part of the arrays of several keys, whose words are the last axis.

    JAX calls it in its own threads, which may flush subnormal numbers to zero; ``entry_point`` sets
    the default modes.
    """
    for index in np.ndindex(words.shape[:-1]):
        values.parts(seed_of(words[index])).read(cut, out[(*index, ...)])


def _place(values: Values, mesh: Any, spec: Any, places: tuple[Array, ...]) -> tuple[slice, ...]:
    """Return which part of the whole a device makes.

    The places are the device's along the axes of the mesh that the spec names, in its order.
    """
    numbers = iter(places)
    cut = []
    for axis, size in enumerate(values.shape):
        number, count = 0, 1
        for name in _names(spec, axis):
            number = number * mesh.shape[name] + int(next(numbers).flat[0])
            count *= mesh.shape[name]
        cut.append(slice(number * size // count, (number + 1) * size // count))
    return tuple(cut)


def _names(spec: Any, axis: int) -> tuple[str, ...]:
    """Return the names of the axes of a mesh that cut an axis of an array."""
    names = spec[axis] if axis < len(spec) else None
    if names is None:
        return ()
    return names if isinstance(names, tuple) else (names,)


def _call(values: Values, shape: Dimensions, words: Any, where: Where, *places: Any) -> Any:
    """Call back from JAX for a part of that shape; under ``vmap`` one call makes those of all keys.

    ``where(*places)`` says which part.  On a CPU the callback writes into JAX's memory; elsewhere
    JAX copies what it returns.
    """

    def write(context: Any, out: Any, *arguments: Any) -> None:
        words, *at = (np.asarray(argument) for argument in arguments)
        _fill(values, words, where(*at), np.asarray(out))

    def answer(*arguments: Any) -> Array:
        words, *at = (np.asarray(argument) for argument in arguments)
        out = empty((*words.shape[:-1], *shape), values.dtype)
        _fill(values, words, where(*at), out)
        return out

    result = jax.ShapeDtypeStruct(shape, values.dtype)

    def by_copy(*arguments: Any) -> Any:
        return jax.pure_callback(answer, result, *arguments, vmap_method="broadcast_all")

    def in_place(*arguments: Any) -> Any:
        return buffer_callback(write, result, vmap_method="broadcast_all")(*arguments)

    if buffer_callback is None:
        made = by_copy(words, *places)
    else:
        made = jax.lax.platform_dependent(words, *places, cpu=in_place, default=by_copy)
    # JAX takes what a callback returns for equal on all devices of a shard_map.  It differs along
    # the same axes as the key.
    varying = tuple(jax.typeof(words).manual_axis_type.varying)
    return jax.lax.pcast(made, varying, to="varying") if varying else made


def _traced(values: Values, words: Any, sharding: Any) -> Any:
    """Return a traced array: the callback runs when the computation does."""
    if sharding is None:
        whole = _call(values, values.shape, words, lambda: ())
        # Where a computation on several devices returns what a callback made on one of them, JAX
        # fails to read the sharding ("Unhandled OpSharding type").  The barrier costs nothing.
        return jax.lax.optimization_barrier(whole)
    mesh, spec = sharding.mesh, sharding.spec
    shape = sharding.shard_shape(values.shape)
    names = [name for axis in range(len(shape)) for name in _names(spec, axis)]

    def where(*places: Array) -> tuple[slice, ...]:
        return _place(values, mesh, spec, places)

    def on_device(words: Any) -> Any:
        return _call(values, shape, words, where, *map(jax.lax.axis_index, names))

    made = jax.shard_map(
        on_device, mesh=mesh, in_specs=PartitionSpec(), out_specs=spec, check_vma=False
    )(words)
    return made if sharding.memory_kind is None else jax.device_put(made, sharding)


def named_sharding(out_sharding: Any, name: str) -> Any:
    """Return the NamedSharding that is meant by what JAX calls ``out_sharding``, or None.

    Raises
    ------
    TypeError
        It is neither a NamedSharding nor a PartitionSpec.
    ValueError
        A PartitionSpec is given outside of a mesh's context.
    NotImplementedError
        It is given inside of a shard_map.
    """
    if out_sharding is None:
        return None
    if not isinstance(out_sharding, (NamedSharding, PartitionSpec)):
        raise TypeError(
            f"out_sharding of {name} must be a NamedSharding or a PartitionSpec, "
            f"received {type_of(out_sharding)}"
        )
    mesh: Any = jax.sharding.get_abstract_mesh()
    if mesh.manual_axes:
        spec = out_sharding.spec if isinstance(out_sharding, NamedSharding) else out_sharding
        if not any(spec):  # copies, as without it
            return None
        raise NotImplementedError(
            f"out_sharding of {name} cannot be given inside of shard_map, where each device calls "
            "the initializer by itself"
        )
    if isinstance(out_sharding, NamedSharding):
        return out_sharding
    if mesh.empty:
        raise ValueError(
            f"out_sharding of {name} must be a NamedSharding where no mesh is set "
            "by jax.set_mesh, received a PartitionSpec"
        )
    return NamedSharding(mesh, out_sharding)


def concrete(sharding: Any) -> Any:
    """Return a sharding on devices; None is JAX's default device.

    The mesh that ``jax.set_mesh`` has set stands for an abstract one, such as ``eval_shape`` gives.
    Its devices get copies where there is no sharding, as in JAX.

    Raises
    ------
    ValueError
        The mesh is abstract, and none is set.
    """
    on_mesh = None
    if not jax.sharding.get_abstract_mesh().empty:
        # JAX says where its devices are; its get_mesh() fails while it takes derivatives.
        on_mesh = jax.device_put(np.zeros(()), PartitionSpec()).sharding
    if sharding is None:
        return on_mesh
    if isinstance(sharding, NamedSharding) and not isinstance(sharding.mesh, Mesh):
        if on_mesh is None:
            raise ValueError(
                "a sharding on an abstract mesh needs one that jax.set_mesh has set, "
                f"received {shown(sharding)}"
            )
        return NamedSharding(on_mesh.mesh, sharding.spec, memory_kind=sharding.memory_kind)
    return sharding


def make_now(values: Values, seed: int, sharding: Any) -> Any:
    """Return an array of which each shard was made alone, once in each process.

    Without a sharding it is on JAX's default device.  On a CPU it shares the memory of a NumPy
    array that nothing else refers to.
    """
    parts = values.parts(seed)
    if sharding is None:
        return jax.device_put(parts[...])
    made: dict[tuple[tuple[int, int], ...], Array] = {}

    def shard(index: tuple[slice, ...]) -> Array:
        spans = zip(index, values.shape, strict=True)
        place = tuple(part.indices(size)[:2] for part, size in spans)
        if place not in made:
            made[place] = parts[index]
        return made[place]

    return jax.make_array_from_callback(values.shape, sharding, shard, dtype=values.dtype)


def make(values: Values, words: Any, out_sharding: Any) -> Any:
    """Return the array of a key's words; eagerly it is made at once."""
    if isinstance(words, jax.core.Tracer):
        return _traced(values, words, out_sharding)
    if out_sharding is None and words.committed:  # then JAX puts the result where the key is
        out_sharding = words.sharding
        if isinstance(out_sharding, NamedSharding):
            out_sharding = NamedSharding(out_sharding.mesh, PartitionSpec())
    return make_now(values, seed_of(np.asarray(words)), concrete(out_sharding))
