"""Make the values of an initializer, as tensors of Keras's backend."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

import keras
import numpy as np

from .._kernels import address
from .._memory import LARGE
from .._seeds import key, key_of_words
from .._shapes import FLOATS, as_dtype

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import TypeAlias

    from .._typing import Array, Dimensions
    from ..initializers._base import Initializer

    # An initializer of arrays, for a seed.
    Seeded: TypeAlias = Callable[[int], Initializer]

_ALIGNMENT = 64  # of TensorFlow's memory, EIGEN_MAX_ALIGN_BYTES

Call = TypeVar("Call", bound="Callable[..., Any]")


def drawn_dtype(name: str) -> np.dtype[Any]:
    """Return the dtype in which the values of a dtype of Keras are drawn.

    Raises
    ------
    TypeError
        No random values can be drawn in the dtype.
    """
    return np.dtype("float32") if name.startswith("float8") else as_dtype(name, FLOATS)


def _values(seeded: Seeded, seed: Any, shape: Dimensions, dtype: np.dtype[Any]) -> Array:
    return seeded(key(seed))(shape, dtype)


def _of_words(seeded: Seeded, shape: Dimensions, dtype: np.dtype[Any]) -> Callable[[Any], Array]:
    """Return a function that makes the values of words that traced code passes to it."""
    return lambda words: seeded(key_of_words(np.asarray(words)))(shape, dtype)


def _plain(values: Array) -> Array:
    """Return the same bits in a dtype that NumPy passes to other libraries."""
    return values.view("uint16") if values.dtype.name == "bfloat16" else values


# Tensors share the memory of the arrays where they can, because nothing else refers to it.


def _of_jax(seeded: Seeded, seed: Any, shape: Dimensions, dtype: np.dtype[Any]) -> Any:
    import jax
    import jax.numpy as jnp

    if not isinstance(jnp.zeros(()), jax.core.Tracer):
        # Unlike jnp.asarray(), this shares the memory of an array that is aligned as JAX wants it.
        return jax.device_put(_values(seeded, seed, shape, dtype))
    if isinstance(seed, keras.random.SeedGenerator):
        words = seed.next()
    else:
        drawn = key(seed)
        words = np.array([drawn & 0xFFFFFFFF, drawn >> 32], np.uint32)
    held = jax.dtypes.canonicalize_dtype(dtype)  # JAX has float64 only if it is told so
    make = _of_words(seeded, shape, dtype)
    return jax.pure_callback(
        lambda found: make(found).astype(held, copy=False),
        jax.ShapeDtypeStruct(shape, held),
        words,
        vmap_method="sequential",
    )


def _of_tensorflow(seeded: Seeded, seed: Any, shape: Dimensions, dtype: np.dtype[Any]) -> Any:
    import tensorflow as tf

    if tf.executing_eagerly():
        values = _values(seeded, seed, shape, dtype)
        # TensorFlow copies an array, but shares memory that it gets through DLPack.  It aborts the
        # process if that memory is not aligned, so a small array is copied.
        if values.nbytes < LARGE or address(values) % _ALIGNMENT:
            return tf.convert_to_tensor(values)
        shared = tf.experimental.dlpack.from_dlpack(_plain(values).__dlpack__())
        return tf.bitcast(shared, dtype.name)
    if not isinstance(seed, keras.random.SeedGenerator):
        # A constant of the graph, which can be exported and compiled, unlike a callback.
        return tf.constant(_values(seeded, seed, shape, dtype))
    make = _of_words(seeded, shape, dtype)
    tensor = tf.numpy_function(make, [seed.next()], dtype.name)
    return tf.ensure_shape(tensor, shape)


def _of_torch(seeded: Seeded, seed: Any, shape: Dimensions, dtype: np.dtype[Any]) -> Any:
    import torch

    kind = getattr(torch, dtype.name)
    if keras.ops.convert_to_tensor(0).is_meta:
        return torch.empty(shape, dtype=kind, device="meta")
    values = _values(seeded, seed, shape, dtype)
    return keras.ops.convert_to_tensor(torch.from_numpy(_plain(values)).view(kind))


def as_it_is(call: Call) -> Call:
    """Return a function that TensorFlow does not convert where it traces the caller.

    AutoGraph would otherwise rewrite every function of this library that is called there.
    """
    if keras.backend.backend() != "tensorflow":
        return call
    import tensorflow as tf

    kept: Call = tf.autograph.experimental.do_not_convert(call)
    return kept


_OF_BACKEND = {"jax": _of_jax, "tensorflow": _of_tensorflow, "torch": _of_torch}


def tensor(seeded: Seeded, seed: Any, shape: Dimensions, dtype: str) -> Any:
    """Return the values as a tensor of Keras's backend.

    In code that JAX traces, a callback makes them when the compiled program runs.  A graph of
    TensorFlow holds them as a constant, or a callback where Keras's SeedGenerator gives the seed.
    Where only the shape is asked for, none are made.
    """
    make = _OF_BACKEND.get(keras.backend.backend())
    drawn = drawn_dtype(dtype)
    if make is None:
        found = keras.ops.convert_to_tensor(_values(seeded, seed, shape, drawn), dtype)
    else:
        found = make(seeded, seed, shape, drawn)
    return found if drawn.name == dtype else keras.ops.cast(found, dtype)


def sharded_tensor(seeded: Seeded, seed: Any, shape: Dimensions, dtype: str, layout: Any) -> Any:
    """Return the values as an array of JAX of which each device holds its shard.

    Each shard is made by itself, unless the elements depend on each other.  The layout is JAX's
    NamedSharding or Keras's TensorLayout.  An abstract mesh stands for the one that JAX has set.
    """
    import jax
    import ml_dtypes

    drawn = drawn_dtype(dtype)
    sharding = getattr(layout, "backend_layout", layout)
    mesh = sharding.mesh
    if not isinstance(mesh, jax.sharding.Mesh):
        mesh = jax.sharding.get_mesh()
    # Keras calls this where all axes are explicit, and the state of its SeedGenerator is not.
    with jax.set_mesh(jax.sharding.Mesh(mesh.devices, mesh.axis_names)):
        initializer = seeded(key(seed))
    narrow = drawn if drawn.name == dtype else getattr(ml_dtypes, dtype)
    held: Any = jax.dtypes.canonicalize_dtype(narrow)
    parts: Any
    try:
        parts = initializer.lazy(shape, drawn)
    except NotImplementedError:
        parts = initializer(shape, drawn)
    return jax.make_array_from_callback(
        shape,
        jax.sharding.NamedSharding(mesh, sharding.spec),
        lambda index: parts[index].astype(held, copy=False),
    )
