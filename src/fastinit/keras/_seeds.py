"""The seeds of Keras initializers, and how configurations hold them."""

from __future__ import annotations

import collections
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
    return None if isinstance(seed, (np.random.Generator, InstanceSeeds)) else seed


def keras_seed() -> int:
    """Return the seed that Keras gives an initializer without one.

    ``keras.utils.set_random_seed`` decides it.
    """
    seed: int = keras.initializers.RandomNormal().seed
    return seed


def checked(seed: Any) -> Any:
    """Return a seed as an initializer keeps it; raise an error if it is not a valid seed."""
    check_seed(seed)
    if seed is None or isinstance(seed, np.random.Generator) or hasattr(seed, "next"):
        return seed
    return int(seed)  # JSON cannot hold an integer of NumPy


class ScopeSeeds:
    """The seeds of a scope: each weight's seed depends on the root and the weight's path.

    Parameters
    ----------
    root : int
        The seed of the scope, 0 <= root < 2**64.

    Notes
    -----
    Keras numbers the layers of a process that have no name: the second Dense is ``dense_1``.
    Layers that exist already when the scope is entered are not counted here, so that building a
    model again gives the same weights.
    """

    def __init__(self, root: int) -> None:
        self.root = root
        self._derived = DerivedSeeds(root)
        self._names = _names_of_keras()
        self._numbered = dict(self._names)
        self._instances = self._calls = 0
        self._lock = threading.Lock()
        # The variables of each path, with the instances that drew for them: more than one variable
        # if layers have the same name.
        self._variables: dict[str, list[tuple[weakref.ref[Any], list[int]]]] = {}

    def instance(self) -> InstanceSeeds:
        """Return the seeds of one more initializer."""
        with self._lock:
            self._instances += 1
            return InstanceSeeds(self, self._instances)

    def seed_for(self, instance: int) -> int:
        """Return the seed of the variable that is being initialized, or of a call outside of one.

        Instances that draw for the same variable get different seeds, in case the weight is made of
        the values of several.
        """
        variable = variable_of_caller()
        with self._lock:
            if variable is None:
                self._calls += 1
                return self._derived[f"//call {self._calls - 1}"]
            path = "/".join(self._renumbered(name) for name in variable.path.split("/"))
            known = self._variables.setdefault(path, [])
            number = next((n for n, (v, _) in enumerate(known) if v() is variable), len(known))
            if number == len(known):
                known.append((weakref.ref(variable), []))
            instances = known[number][1]
            if instance not in instances:
                instances.append(instance)
            draw = instances.index(instance)
            # No path has an empty name in it, so these are not the paths of other weights.
            path += f"//{number}" if number else ""
            return self._derived[path + (f"//draw {draw}" if draw else "")]

    def _renumbered(self, name: str) -> str:
        """Return the name that a layer or weight would have if Keras had named nothing before."""
        found = re.fullmatch(r"(.+)_(\d+)", name)
        if found is None:
            return name
        prefix, number = found[1], int(found[2])
        if prefix == "variable":  # a weight without a name; all of the process have one counter
            return prefix
        names = _names_of_keras()
        if names is not self._names:  # the session was cleared, and Keras counts from 0 again
            return name
        # Bidirectional calls its layers forward_ and backward_ with the name of the layer.
        bare = prefix.removeprefix("forward_").removeprefix("backward_")
        existing = self._numbered.get(bare, 0)
        if not existing <= number < names.get(bare, 0) or not existing:
            return name  # not given by Keras in this scope
        return prefix if number == existing else f"{prefix}_{number - existing}"

    def __getstate__(self) -> dict[str, Any]:
        kept = ("root", "_numbered", "_instances", "_calls")
        return {name: getattr(self, name) for name in kept}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state, _lock=threading.Lock(), _variables={}, _names=_names_of_keras())
        self._derived = DerivedSeeds(self.root)


class InstanceSeeds:
    """The seeds of one initializer that was made in a scope."""

    def __init__(self, scope: ScopeSeeds, number: int) -> None:
        self.scope = scope
        self.number = number

    def next(self) -> int:
        """Return the seed for this initializer: see ScopeSeeds.seed_for."""
        return self.scope.seed_for(self.number)

    def __repr__(self) -> str:
        return f"the seeds of scope(seed={shown(self.scope.root)})"


def _names_of_keras() -> dict[str, int]:
    """Return how many names Keras has given, by prefix; Keras changes this dictionary itself."""
    names: dict[str, int] = global_state.get_global_attribute(
        "object_name_uids", collections.defaultdict(int), set_to_default=True
    )
    return names


class _Stack(threading.local):
    """The scopes that a thread is in, the innermost last."""

    def __init__(self) -> None:
        self.scopes: list[ScopeSeeds] = []


_stack = _Stack()


def current_scope() -> ScopeSeeds | None:
    """Return the seeds of the innermost scope that this thread is in."""
    return _stack.scopes[-1] if _stack.scopes else None


def enter_scope(seeds: ScopeSeeds) -> None:
    """Make these the seeds of the innermost scope of this thread."""
    _stack.scopes.append(seeds)


def leave_scope(seeds: ScopeSeeds) -> None:
    """Leave a scope, which is the innermost unless scopes are left out of order."""
    _stack.scopes.remove(seeds)
