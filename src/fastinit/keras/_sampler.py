"""What the random initializers of this package share."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self

import keras
import numpy as np

from .._shapes import as_shape
from ._seeds import InstanceSeeds, checked, current_scope, from_config, in_config, keras_seed
from ._tensors import as_it_is, drawn_dtype, sharded_tensor, tensor
from ._variables import is_placeholder

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ..initializers._base import Initializer


class _Configuration(dict[str, Any]):
    """A configuration that also holds the seed object, which copies made from it then share.

    Keras copies an initializer for each projection of an attention layer through its configuration.
    From the entries alone a generator would start again, and the seeds of a scope would be lost.
    A saved configuration has the entries only.
    """

    def __init__(self, config: Mapping[str, Any], seed: Any) -> None:
        super().__init__(config)
        self.written = config["seed"]
        self.seed = seed

    def arguments(self) -> dict[str, Any]:
        """Return the arguments, with the seed itself unless it was replaced since."""
        found = dict(self)
        if found.get("seed") is self.written:
            found["seed"] = self.seed
        return found


class Sampler(keras.initializers.Initializer):
    """Base class of random initializers: seeds, values and configurations.

    A subclass also has Keras's class among its bases, and defines :meth:`arrays`.

    With an integer seed, or with none outside of a scope, an instance gives the same values at
    every call, as in Keras.
    """

    seed: Any
    _init_seed: Any

    def arrays(self, seed: int) -> Initializer:
        """Return the initializer of :mod:`fastinit.initializers` with the same values."""
        raise NotImplementedError

    def _set_seed(self, seed: Any) -> None:
        """Keep a seed, and check it and the other arguments, which are set already."""
        given = checked(from_config(seed))
        self.arrays(0)
        scope = given.scope if isinstance(given, InstanceSeeds) else None
        if given is None:
            scope = current_scope()
        self._given = given if scope is None else scope.instance()
        # Keras reads both of these: EinsumDense the seed in use, configurations the one given.
        self.seed = keras_seed() if self._given is None else self._given
        self._init_seed = in_config(given)

    @as_it_is
    def __call__(self, shape: Any, dtype: Any = None, layout: Any = None) -> Any:
        """Return samples in a tensor of Keras's backend.

        Parameters
        ----------
        shape : int or sequence of int
            Shape of the tensor.
        dtype : str or dtype of the backend, optional
            ``keras.config.floatx()`` where it is left out.
        layout : NamedSharding or keras.distribution.TensorLayout, optional
            How the devices of JAX hold the tensor; each device's shard is made by itself.  Keras
            passes it where a ``keras.distribution`` is set.

        Raises
        ------
        ValueError, TypeError
            The shape or the dtype is wrong.
        """
        dims, name = as_shape(shape), keras.backend.standardize_dtype(dtype)
        if is_placeholder():
            drawn_dtype(name)
            return keras.ops.zeros(dims, name)
        if layout is None:
            return tensor(self.arrays, self.seed, dims, name)
        return sharded_tensor(self.arrays, self.seed, dims, name, layout)

    def get_config(self) -> dict[str, Any]:
        """Return the arguments of the constructor.

        An integer seed of 2**32 or more is an object there, as Keras's own classes do not take it.
        A seed that is a ``numpy.random.Generator`` cannot be saved.
        """
        seed = keras.saving.serialize_keras_object(self._init_seed)
        config = {"seed": seed, **super().get_config()}
        if isinstance(self._given, np.random.Generator):
            config["seed"] = self._given
        return _Configuration(config, self._given)

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Self:
        """Return the initializer that :meth:`get_config` described, here or in Keras."""
        return cls(**(config.arguments() if isinstance(config, _Configuration) else config))
