"""Initialize a tree of parameters by their paths, the same for every sharding."""

from __future__ import annotations

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
from ._keys import words_of_seed
from ._placement import make_sharded
from ._rules import initializers_of

if TYPE_CHECKING:
    from .._typing import Seed
    from ._rules import Initializer, Rule
    from ._values import Values


def _path(keys: tuple[Any, ...]) -> str:
    """Return the path of a leaf, without the attribute ``value`` of a box of flax."""
    if len(keys) > 1 and isinstance(keys[-1], GetAttrKey) and keys[-1].name == "value":
        keys = keys[:-1]
    return str(keystr(keys, simple=True, separator="/"))


def _named(abstract: Any) -> tuple[dict[str, Any], Any]:
    """Return the leaves of a tree by their paths, and its structure."""
    leaves, structure = jax.tree_util.tree_flatten_with_path(abstract)
    structs: dict[str, Any] = {}
    for keys, leaf in leaves:
        name = _path(keys)
        if not hasattr(leaf, "shape") or not hasattr(leaf, "dtype"):
            raise TypeError(
                f"abstract must be a tree of jax.ShapeDtypeStruct, received {type_of(leaf)} "
                f"at {name!r}"
            )
        if name in structs:
            raise ValueError(f"two leaves of abstract have the path {name!r}")
        structs[name] = leaf
    return structs, structure


def _shardings(shardings: Any, abstract: Any, structs: dict[str, Any]) -> list[Any]:
    """Return the sharding of each leaf; None is JAX's default device."""
    if shardings is None:
        return [getattr(struct, "sharding", None) for struct in structs.values()]

    def is_leaf(node: Any) -> bool:
        return node is None or isinstance(node, Sharding)

    whole = jax.tree.broadcast(shardings, abstract, is_leaf=is_leaf)
    found = list(jax.tree.leaves(whole, is_leaf=is_leaf))
    for name, sharding in zip(structs, found, strict=True):
        if not is_leaf(sharding):
            raise TypeError(
                f"shardings must be a tree of jax.sharding.Sharding, received {shown(sharding)} "
                f"for {name}"
            )
    return found


def _values(name: str, initializer: Initializer, struct: Any) -> Values | None:
    """Return the values of one of this library's initializers; None for a foreign one."""
    if initializer is zeros or initializer is ones:
        initializer = constant(0 if initializer is zeros else 1)
    if not isinstance(initializer, JaxInitializer):
        return None
    if not jnp.issubdtype(struct.dtype, np.number) and struct.dtype != np.bool_:
        raise ValueError(f"{name} has dtype {struct.dtype}, which {initializer.name} cannot make")
    try:
        return initializer.values(struct.shape, struct.dtype)
    except Exception as error:
        error.add_note(f"This is the initializer of {name}.")
        raise


def _make_foreign(
    initializer: Initializer, jitted: dict[Any, Any], struct: Any, seed: int, sharding: Any
) -> Any:
    """Return what a foreign initializer makes, compiled so that each device makes its shard."""
    place = initializer, sharding
    if place not in jitted:
        jitted[place] = jax.jit(
            partial(_call_foreign, initializer), static_argnums=(1, 2), out_shardings=sharding
        )
    random = jax.random.wrap_key_data(words_of_seed(seed), impl="threefry2x32")
    return jitted[place](random, tuple(struct.shape), struct.dtype)


def _call_foreign(initializer: Initializer, random: Any, shape: Any, dtype: Any) -> Any:
    return initializer(random, shape, dtype)


def initialize(abstract: Any, shardings: Any = None, seed: Seed = 0, rule: Rule = None) -> Any:
    """Return a tree of parameters, each made by the seed and its path alone.

    The values are the same for every sharding and for none, and whatever other parameters there
    are.  Every device and every process makes only its own shards.  Orthogonal matrices, which have
    no parts that could be made alone, are made once in each process, one at a time, and cut.

    Parameters
    ----------
    abstract : tree of jax.ShapeDtypeStruct
        What ``jax.eval_shape`` returns for flax's ``init``, or ``flax.nnx.eval_shape`` for a
        module; boxes of flax are kept.  Any objects with a shape and a dtype will do.
    shardings : tree of jax.sharding.Sharding, optional
        Of the same structure, or a prefix of it; one sharding is for all.  None, for all or for a
        part, is JAX's default device; without ``shardings``, the structs' own ones count.
    seed : int, SeedGenerator or numpy.random.Generator, optional
        An integer, 0 <= seed < 2**64.  A generator advances, and must be in the same state in all
        processes.  None, which is for one process only, draws fresh entropy.
    rule : initializer, mapping or callable, optional
        What makes a parameter.  An initializer, which can be called with a key, a shape and a
        dtype, makes all.  In a mapping, such as ``{"*/bias": 0, "*": fastinit.jax.he_normal()}``,
        the first pattern (see :func:`fnmatch.fnmatchcase`) that matches the path says which one
        does, or which number.  Another callable, ``rule(path, struct)``, returns the initializer.
        By default the last name of the path decides as in flax's layers: ``kernel``,
        ``embedding``, ``bias``, ``scale``, ``mean`` and ``var``.

    Returns
    -------
    tree of jax.Array

    Raises
    ------
    ValueError
        No rule is known for a parameter, or an argument is out of range.  Nothing is made then.
    TypeError
        An argument is of the wrong type.

    Warns
    -----
    UserWarning
        A pattern is never used.

    Notes
    -----
    The path of a leaf is its keys in the tree, joined by ``"/"``: ``"params/Dense_0/kernel"``.  The
    attribute ``value`` at its end, which is that of a box of flax, is left out.  The seed of a leaf
    is ``fastinit.derive_seed(seed, path)``.  Initializers of other libraries get the key of two
    words that has this seed, and are compiled with the leaf's sharding.
    """
    structs, structure = _named(abstract)
    places = _shardings(shardings, abstract, structs)
    if seed is None and jax.process_count() > 1:
        raise ValueError(
            "seed must be given where there are several processes: each would draw a different one"
        )
    initializers = initializers_of(rule, structs)
    values = {name: _values(name, initializers[name], struct) for name, struct in structs.items()}
    root = key(seed)
    jitted: dict[Any, Any] = {}
    made = []
    for (name, struct), sharding in zip(structs.items(), places, strict=True):
        word = derive_seed(root, name)
        own = values[name]
        if own is None:
            try:
                made.append(_make_foreign(initializers[name], jitted, struct, word, sharding))
            except Exception as error:
                error.add_note(f"This is the initializer of {name}.")
                raise
        elif sharding is None:
            made.append(jax.device_put(own.parts(word)[...]))
        else:
            made.append(make_sharded(own.parts(word), own, sharding))
    return jax.tree.unflatten(structure, made)
