"""The seeds of Keras initializers, and how configurations hold them."""

from __future__ import annotations

import re
import threading
import weakref
from typing import TYPE_CHECKING, Any, Self

import keras
import numpy as np
from keras.src.backend.common import global_state

from .._messages import shown
from .._seeds import DerivedSeeds, SeedGenerator, check_seed
from ._variables import variable_of_caller

if TYPE_CHECKING:
    from collections.abc import Mapping

# What Keras's own classes take on every backend.
_KERAS_SEEDS = 1 << 32

# A configuration names the class of its SeedGenerator; Keras finds it by this name.
keras.saving.register_keras_serializable("fastinit")(SeedGenerator)


@keras.saving.register_keras_serializable("fastinit")
class Seed:
    """An integer seed of 2**32 or more, as a configuration holds it.

    Keras's own classes do not take such a seed.  Where they load the configuration because this
    package is not imported, Keras says that it does not find this class, instead of failing later.
    """

    def __init__(self, value: int) -> None:
        check_seed(value)
        self.value = value

    def get_config(self) -> dict[str, Any]:
        """Return the integer."""
        return {"value": self.value}

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Self:
        """Return the seed that :meth:`get_config` described."""
        return cls(**config)


def from_config(seed: Any) -> Any:
    """Return the seed that a configuration holds; any other is returned as it is."""
    found = keras.saving.deserialize_keras_object(seed) if isinstance(seed, dict) else seed
    return found.value if isinstance(found, Seed) else found


def in_config(seed: Any) -> Any:
    """Return the seed as Keras is to serialize it; None for what has no configuration."""
    if isinstance(seed, int) and seed >= _KERAS_SEEDS:
        return Seed(seed)
    return None if isinstance(seed, (np.random.Generator, SeedsByPath)) else seed


def keras_seed() -> int:
    """Return the seed that Keras gives an initializer without one.

    ``keras.utils.set_random_seed`` decides it.
    """
    seed: int = keras.initializers.RandomNormal().seed
    return seed


def checked(seed: Any) -> Any:
    """Return a seed that an initializer may keep; raise where it is none."""
    check_seed(seed)
    if seed is None or isinstance(seed, np.random.Generator) or hasattr(seed, "next"):
        return seed
    return int(seed)  # a configuration holds no integer of NumPy


class SeedsByPath:
    """The seeds of a scope: each weight's seed depends on the root and the weight's path.

    Parameters
    ----------
    root : int
        The seed of the scope, 0 <= root < 2**64.

    Notes
    -----
    Keras numbers the layers of a process: the second Dense without a name is ``dense_1``.  Those
    that exist already when the scope is entered do not count, so that building a model again gives
    the same weights.
    """

    def __init__(self, root: int) -> None:
        self.root = root
        self._derived = DerivedSeeds(root)
        self._numbered = dict(global_state.get_global_attribute("object_name_uids") or {})
        self._calls = 0
        self._lock = threading.Lock()
        # The variables of each path: more than one if layers have the same name.
        self._variables: dict[str, list[weakref.ref[Any]]] = {}

    def next(self) -> int:
        """Return the seed of the variable that is being initialized, or else the next one."""
        variable = variable_of_caller()
        with self._lock:
            if variable is None:
                self._calls += 1
                return self._derived[f"call {self._calls - 1}"]
            path = "/".join(self._renumbered(name) for name in variable.path.split("/"))
            variables = self._variables.setdefault(path, [])
            number = next((i for i, v in enumerate(variables) if v() is variable), len(variables))
            if number == len(variables):
                variables.append(weakref.ref(variable))
            return self._derived[f"{path} {number}" if number else path]

    def _renumbered(self, name: str) -> str:
        """Return a layer's name as it would be if the scope were the first to number layers."""
        found = re.fullmatch(r"(.+)_(\d+)", name)
        if found is None:
            return name
        prefix, number = found[1], int(found[2])
        # Bidirectional calls its layers forward_ and backward_ with the name of the layer.
        bare = prefix.removeprefix("forward_").removeprefix("backward_")
        existing = self._numbered.get(bare, 0)
        if not existing or number < existing:
            return name
        return prefix if number == existing else f"{prefix}_{number - existing}"

    def __getstate__(self) -> dict[str, Any]:
        kept = ("root", "_numbered", "_calls")
        return {name: getattr(self, name) for name in kept}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state, _lock=threading.Lock(), _variables={})
        self._derived = DerivedSeeds(self.root)

    def __repr__(self) -> str:
        return f"the seeds of scope(seed={shown(self.root)})"


class _Stack(threading.local):
    """The seeds of the scopes that a thread is in, the innermost last."""

    def __init__(self) -> None:
        self.seeds: list[SeedsByPath] = []


_stack = _Stack()


def current_seeds() -> SeedsByPath | None:
    """Return the seeds of the innermost scope that this thread is in."""
    return _stack.seeds[-1] if _stack.seeds else None


def enter_seeds(seeds: SeedsByPath) -> None:
    """Enter a scope."""
    _stack.seeds.append(seeds)


def leave_seeds() -> None:
    """Leave the innermost scope."""
    _stack.seeds.pop()
