"""What the initializers share: JAX's protocol, shapes and dtypes."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np

from .._entry import entry_point
from .._parameters import number as any_number
from .._shapes import as_shape
from ._keys import words_of
from ._placement import make, named_sharding

if TYPE_CHECKING:
    from .._typing import Dimensions
    from ._values import Values

# These need no check, and are what nearly every call asks for.
_COMMON = {np.dtype(name) for name in ("float32", "float16", "complex64")} | {jnp.bfloat16.dtype}


def canonical(dtype: Any) -> np.dtype[Any]:
    """Return the dtype that JAX gives for what a caller asked for; None is its default float.

    JAX raises its errors for what is no dtype, and warns where it gives 32 bits instead of 64.
    """
    if isinstance(dtype, np.dtype) and dtype in _COMMON:
        return dtype
    found: np.dtype[Any] = (
        jnp.result_type(float)
        if dtype is None
        else jax.eval_shape(lambda: jnp.empty((), dtype)).dtype
    )
    return found


def kernel_dtype(name: str, dtype: np.dtype[Any], allow_complex: bool) -> np.dtype[Any]:
    """Return the dtype of the kernel that makes the elements, or their parts, of a dtype.

    Raises
    ------
    ValueError
        The dtype is not a float, nor a complex one where that is allowed.
    TypeError
        It is a float of fewer than 8 bits, or without a sign.
    """
    if jnp.issubdtype(dtype, jnp.complexfloating) and allow_complex:
        return np.dtype("float64" if dtype.itemsize == 16 else "float32")
    if not jnp.issubdtype(dtype, jnp.floating):
        kinds = "float or complex" if allow_complex else "float"
        raise ValueError(f"dtype of {name} must be a {kinds} dtype, received {dtype}")
    if dtype.itemsize > 1:
        return dtype
    if jnp.finfo(dtype).bits < 8 or float(jnp.finfo(dtype).min) > 0:
        raise TypeError(
            f"dtype of {name} must be a float of 8 bits or more, with a sign, received {dtype}"
        )
    return np.dtype("float32")


def number(name: str, value: Any) -> float:
    """Return a parameter as a float; raise TypeError where it is no number, or a traced one."""
    if isinstance(value, jax.core.Tracer):
        raise TypeError(f"{name} must be a concrete number, received a traced one")
    return any_number(name, value)


class JaxInitializer(ABC):
    """A callable of JAX's protocol that draws values of this library.

    A subclass is a dataclass of the arguments of its function; ``dtype`` is that of calls without
    one.
    """

    dtype: Any

    @property
    @abstractmethod
    def name(self) -> str:
        """The name for messages."""

    @abstractmethod
    def checked(self, shape: Dimensions, dtype: np.dtype[Any]) -> Values:
        """Check the arguments for a shape and a dtype, and return the values."""

    @entry_point
    def values(self, shape: Any, dtype: Any) -> Values:
        """Check a shape and a dtype as well, and return the values."""
        return self.checked(as_shape(shape), canonical(dtype))

    # As functions do, an initializer stays itself when it is copied: flax compares them.

    def __copy__(self) -> JaxInitializer:
        return self

    def __deepcopy__(self, memo: Any) -> JaxInitializer:
        return self

    def __call__(
        self,
        key: Any,
        shape: Any,
        dtype: Any = ...,
        out_sharding: Any = None,
    ) -> Any:
        """Return the initial values.

        Parameters
        ----------
        key : jax.Array
            A typed key, such as ``jax.random.key(0)``, or raw data, such as
            ``jax.random.PRNGKey(0)``.
        shape : sequence of int
            Shape of the result.
        dtype : dtype, optional
            By default the initializer's own; None is JAX's default float.
        out_sharding : NamedSharding or PartitionSpec, optional
            Each device's shard is made by itself.  Initializers of orthogonal matrices do not take
            it, because the elements of a matrix depend on each other.

        Returns
        -------
        jax.Array

        Raises
        ------
        ValueError, TypeError, IndexError, ZeroDivisionError
            What JAX raises for the same call.  Also ValueError where a number that was given to the
            initializer, such as ``stddev``, is not finite in the dtype.
        """
        values = self.values(shape, self.dtype if dtype is ... else dtype)
        sharding = named_sharding(out_sharding, self.name)
        return make(values, words_of(key, self.name), sharding)
