"""Initialize a tree of parameters by their paths, the same for every sharding."""

from __future__ import annotations

from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Sharding
from jax.tree_util import GetAttrKey, keystr

from .._messages import shown, type_of
from .._seeds import derive_seed, key
from ._base import JaxInitializer
from ._constant import constant, ones, zeros
from ._keys import seed_of, words_of, words_of_seed
from ._placement import concrete, make_now
from ._rules import initializers_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .._typing import Dimensions, Seed
    from ._rules import Initializer, Rule
    from ._values import Values


def _is_box(node: Any) -> bool:
    """Return whether a node is a box of flax, such as ``nn.Partitioned`` or ``nnx.Param``."""
    return any(
        kind.__module__.startswith("flax.") and kind.__name__ in ("AxisMetadata", "Variable")
        for kind in type(node).__mro__
    )


def _leaves(tree: Any, above: tuple[Any, ...] = ()) -> Iterator[tuple[str, Any]]:
    """Yield the paths and leaves of a tree, without the attribute ``value`` of boxes of flax."""

    def is_inner_box(node: Any) -> bool:
        return node is not tree and _is_box(node)

    for keys, node in jax.tree_util.tree_leaves_with_path(tree, is_leaf=is_inner_box):
        if keys and _is_box(tree) and keys[0] == GetAttrKey("value"):
            keys = keys[1:]
        keys = (*above, *keys)
        if is_inner_box(node):
            yield from _leaves(node, keys)
        else:
            yield keystr(keys, simple=True, separator="/"), node


def _named(abstract: Any) -> dict[str, Any]:
    """Return the leaves of a tree by their paths."""
    structs: dict[str, Any] = {}
    for name, leaf in _leaves(abstract):
        if not hasattr(leaf, "shape") or not hasattr(leaf, "dtype"):
            raise TypeError(
                f"abstract must be a tree of jax.ShapeDtypeStruct, received {type_of(leaf)} "
                f"at {name!r}"
            )
        if name in structs:
            raise ValueError(f"two leaves of abstract have the path {name!r}")
        structs[name] = leaf
    return structs


def _shardings(shardings: Any, abstract: Any, structs: dict[str, Any]) -> list[Any]:
    """Return the sharding of each leaf on devices; None is JAX's default device."""
    if shardings is None:
        return [concrete(getattr(struct, "sharding", None)) for struct in structs.values()]

    def is_leaf(node: Any) -> bool:
        return node is None or isinstance(node, Sharding)

    whole = jax.tree.broadcast(shardings, abstract, is_leaf=is_leaf)
    found = list(jax.tree.leaves(whole, is_leaf=is_leaf))
    for name, sharding in zip(structs, found, strict=True):
        if not is_leaf(sharding):
            raise TypeError(
                f"shardings must be a tree of jax.sharding.Sharding, received {shown(sharding)} "
                f"for {name} (flax.nnx.get_named_sharding and flax.linen.get_sharding return one)"
            )
    return [concrete(sharding) for sharding in found]


def _root(seed: Any) -> int:
    """Return the seed of a tree; a key of JAX has one, too."""
    if isinstance(seed, jax.Array):
        return seed_of(np.asarray(words_of(seed, "initialize")))
    if seed is None and jax.process_count() > 1:
        raise ValueError(
            "seed must be given where there are several processes: each would draw a different one"
        )
    return key(seed)


@contextmanager
def _noting(name: str) -> Iterator[None]:
    """Say in an error which parameter's initializer raised it."""
    try:
        yield
    except Exception as error:
        error.add_note(
            f"This is the initializer of {name}, which is called with a key, a shape and a dtype."
        )
        raise


def _values(name: str, initializer: Initializer, struct: Any) -> Values | None:
    """Return the values of an initializer, once all is checked; None for a foreign one."""
    if initializer is zeros or initializer is ones:
        initializer = constant(0 if initializer is zeros else 1)
    if not isinstance(initializer, JaxInitializer):
        _check_foreign(initializer, tuple(struct.shape), _dtype(struct))
        return None
    if not jnp.issubdtype(struct.dtype, np.number) and struct.dtype != np.bool_:
        raise ValueError(f"{name} has dtype {struct.dtype}, which {initializer.name} cannot make")
    return initializer.values(struct.shape, struct.dtype)


def _dtype(struct: Any) -> Any:
    """Return the dtype that JAX has for a struct's."""
    return jax.dtypes.canonicalize_dtype(struct.dtype, allow_extended_dtype=True)


def _key_of(seed: int) -> Any:
    return jax.random.wrap_key_data(words_of_seed(seed), impl="threefry2x32")


def _call(initializer: Initializer, random: Any, shape: Any, dtype: Any) -> Any:
    """Call a foreign initializer."""
    made = initializer(random, shape, dtype)
    if not isinstance(made, (jax.Array, np.ndarray, np.generic)):
        raise TypeError(
            f"an initializer must return an array, and {shown(initializer)} returned "
            f"{type_of(made)}: give he_normal(), and not he_normal; leave boxes of flax out; and "
            "let a function of a path and a struct have no more than these two arguments"
        )
    return made


def _check_foreign(initializer: Initializer, shape: Dimensions, dtype: Any) -> None:
    """Raise an error where an initializer does not return an array of that shape and dtype."""
    made = jax.eval_shape(lambda: _call(initializer, _key_of(0), shape, dtype))
    if made.shape != shape or made.dtype != dtype:
        raise ValueError(
            f"an initializer must return the shape {shape} and dtype {dtype} that it is asked for, "
            f"and {shown(initializer)} returned {made.shape} and {made.dtype}"
        )


def _make_foreign(
    initializer: Initializer, compiled: dict[Any, Any], struct: Any, seed: int, sharding: Any
) -> Any:
    """Return what a foreign initializer makes, compiled with the sharding."""
    place = id(initializer), sharding  # initializers need not be hashable
    if place not in compiled:
        compiled[place] = jax.jit(
            partial(_call, initializer), static_argnums=(1, 2), out_shardings=sharding
        )
    return compiled[place](_key_of(seed), tuple(struct.shape), _dtype(struct))


def initialize(abstract: Any, shardings: Any = None, seed: Seed = 0, rule: Rule = None) -> Any:
    """Return a tree of parameters, whose values depend on the seed and each one's path.

    The values are the same for every sharding and for none, and whatever other parameters there
    are.  Each process makes only the shards of its own devices.  The elements of an orthogonal
    matrix depend on each other, so each process makes it whole, one at a time, and cuts it.

    Parameters
    ----------
    abstract : tree of jax.ShapeDtypeStruct
        What ``jax.eval_shape`` returns for flax's ``init``, or ``flax.nnx.eval_shape`` for a
        module; boxes of flax are kept.  Any objects with a shape and a dtype will do.
    shardings : tree of jax.sharding.Sharding, optional
        Of the same structure, or a prefix of it; one sharding is for all.  None, for all or for a
        part, is where JAX puts an array: its default device, or a copy on each device of the mesh
        that ``jax.set_mesh`` has set.  Without ``shardings``, the structs' own ones count.  That
        mesh stands for an abstract one, as ``eval_shape`` gives.
    seed : int, jax.Array, SeedGenerator or numpy.random.Generator, optional
        An integer, 0 <= seed < 2**64, or a key of JAX, such as ``jax.random.key(0)``, for its seed.
        A generator advances, and must be in the same state in all processes.  None, which is for
        one process only, draws fresh entropy.
    rule : initializer, mapping or callable, optional
        What makes a parameter.  An initializer, which can be called with a key, a shape and a
        dtype, makes all.  In a mapping, such as ``{"*/bias": 0, "*": fastinit.jax.he_normal()}``,
        the first pattern (see ``fnmatch.fnmatchcase``) that matches the path says which one does,
        or which number.  A callable that takes exactly two arguments, ``rule(path, struct)``,
        returns the initializer.  By default the last name of the path decides as in flax's layers:
        ``kernel``, ``embedding``, ``bias``, ``scale``, ``mean`` and ``var``.  It raises for kernels
        that may be those of several layers, as the scan of linen and the vmap of nnx stack them.

    Returns
    -------
    tree of jax.Array

    Raises
    ------
    ValueError
        No rule is known for a parameter, an initializer returns another shape or dtype, or an
        argument is out of range.  Nothing is made then.
    TypeError
        An argument is of the wrong type.
    RuntimeError
        It is called inside of ``jit`` or ``eval_shape``.

    Warns
    -----
    UserWarning
        A pattern is never used.

    Notes
    -----
    The path of a leaf is its keys in the tree, joined by ``"/"``: ``"params/Dense_0/kernel"``.  The
    attribute ``value`` of a box of flax is left out.  The seed of a leaf is
    ``fastinit.derive_seed(seed, path)``.  Initializers of other libraries, and functions around
    those of this one, get the key of two words that has this seed, and are compiled with the leaf's
    sharding; whether each device then makes only its own shard is up to them.
    """
    if isinstance(jnp.zeros(()), jax.core.Tracer):
        raise RuntimeError(
            "fastinit.jax.initialize cannot be called inside of jit or eval_shape, as it makes its "
            "arrays at once: call it outside"
        )
    structs = _named(abstract)
    places = _shardings(shardings, abstract, structs)
    initializers = initializers_of(rule, structs)
    values = {}
    for name, struct in structs.items():
        with _noting(name):
            values[name] = _values(name, initializers[name], struct)
    root = _root(seed)
    compiled: dict[Any, Any] = {}
    made = []
    for (name, struct), sharding in zip(structs.items(), places, strict=True):
        word = derive_seed(root, name)
        own = values[name]
        if own is not None:
            made.append(make_now(own, word, sharding))
        else:
            made.append(_make_foreign(initializers[name], compiled, struct, word, sharding))
    return jax.tree.unflatten(jax.tree.structure(abstract), made)
