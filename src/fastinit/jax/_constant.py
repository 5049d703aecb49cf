"""Initializers of constants, which JAX's own functions make."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import jax.numpy as jnp
import numpy as np

from ._base import JaxInitializer
from ._placement import named_sharding
from ._values import Constant as ConstantValues

if TYPE_CHECKING:
    from .._typing import Dimensions
    from ._values import Values


def zeros(key: Any, shape: Any, dtype: Any = None, out_sharding: Any = None) -> Any:
    """Return an array of zeros, made by ``jnp.zeros``.

    Parameters
    ----------
    key : jax.Array
        It is ignored.
    shape : sequence of int
        Shape of the result.
    dtype : dtype, optional
        Any dtype of JAX; None is its default float.
    out_sharding : NamedSharding or PartitionSpec, optional
        Sharding of the result.

    Returns
    -------
    jax.Array
    """
    return jnp.zeros(
        shape, jnp.result_type(float) if dtype is None else dtype, out_sharding=out_sharding
    )


def ones(key: Any, shape: Any, dtype: Any = None, out_sharding: Any = None) -> Any:
    """Return an array of ones, made by ``jnp.ones``.

    Parameters
    ----------
    key : jax.Array
        It is ignored.
    shape : sequence of int
        Shape of the result.
    dtype : dtype, optional
        Any dtype of JAX; None is its default float.
    out_sharding : NamedSharding or PartitionSpec, optional
        Sharding of the result.

    Returns
    -------
    jax.Array
    """
    return jnp.ones(
        shape, jnp.result_type(float) if dtype is None else dtype, out_sharding=out_sharding
    )


@dataclass(frozen=True, eq=False)
class Constant(JaxInitializer):
    """The initializer of :func:`constant`."""

    value: Any
    dtype: Any

    @property
    def name(self) -> str:
        """See JaxInitializer."""
        return "constant"

    def checked(self, shape: Dimensions, dtype: np.dtype[Any]) -> Values:
        """See JaxInitializer."""
        value = np.asarray(jnp.full(np.shape(self.value), self.value, dtype))  # as JAX converts it
        np.broadcast_to(value, shape)  # raises ValueError where that is impossible
        return ConstantValues(shape, value)

    def __call__(self, key: Any, shape: Any, dtype: Any = ..., out_sharding: Any = None) -> Any:
        """Return an array of the value by JAX's ``jnp.full``; the key is ignored."""
        dtype = self.dtype if dtype is ... else dtype
        dtype = jnp.result_type(float) if dtype is None else dtype
        device = named_sharding(out_sharding, self.name)
        return jnp.full(shape, self.value, dtype=dtype, device=device)


def constant(value: Any, dtype: Any = None) -> Any:
    """Return an initializer of arrays of a value, made by ``jnp.full``.

    Parameters
    ----------
    value : array_like
        A number, or numbers that broadcast to the shape.
    dtype : dtype, optional
        The initializer's default dtype; None is JAX's default float.

    Returns
    -------
    Initializer
        A function ``init(key, shape, dtype, out_sharding)``.
    """
    return Constant(value, dtype)
