"""The base class of initializers."""

from __future__ import annotations

import copy
from functools import wraps
from inspect import signature
from typing import TYPE_CHECKING, Any, ClassVar, Self, TypeVar, cast

import numpy as np

from .._entry import entry_point
from .._messages import shown
from ._encoding import decode, encode

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import SupportsIndex

    from numpy.typing import DTypeLike

    from .._keyed import KeyedArray
    from .._lazy import LazyArray
    from .._typing import Array, Shape

Call = TypeVar("Call", bound="Callable[..., Array]")


def _wrong_call(initializer: object, received: str) -> TypeError:
    return TypeError(
        f"{type(initializer).__name__}() must be called with (shape, dtype=None), received "
        f"{received}: the initializers of fastinit.jax, such as fastinit.jax.he_normal(), take "
        "JAX's arguments (key, shape, dtype)"
    )


def takes_shape_and_dtype(function: Call) -> Call:
    """Wrap the ``__call__`` of an initializer; a wrong call raises an error with its arguments.

    Python's own message would name the class that defines the method, which for a preset is
    VarianceScaling, and not the arguments.  The wrapper takes 0.05 us.
    """

    @wraps(function)
    def call(self: Any, shape: Any = None, dtype: Any = None, *others: Any, **named: Any) -> Array:
        if others or named or shape is None:
            if named:
                raise _wrong_call(self, f"the keyword {shown(next(iter(named)))}")
            if others:
                raise _wrong_call(self, f"{2 + len(others)} arguments")
            raise TypeError(
                f"{type(self).__name__}() must be called with (shape, dtype=None): the shape is "
                "an integer or a sequence of them"
            )
        try:
            return function(self, shape, dtype)
        except TypeError:
            if isinstance(dtype, (tuple, list)):  # it is the shape of a call by JAX's (key, shape)
                raise _wrong_call(self, f"dtype={shown(dtype)}") from None
            raise

    return cast("Call", call)


class Initializer:
    """Base class: a rule that gives an array for a shape and a dtype.

    A subclass stores the arguments of its constructor under their own names and defines
    ``__call__``; its configuration, equality and repr follow from them.

    Examples
    --------
    >>> import numpy as np
    >>> class Diagonal(Initializer):
    ...     def __init__(self, value=1.0):
    ...         self.value = value
    ...
    ...     def __call__(self, shape, dtype=None):
    ...         return self.value * np.eye(*shape, dtype=dtype or "float32")
    >>> Diagonal(2.0)
    Diagonal(value=2.0)
    >>> Diagonal(2.0) == Diagonal.from_config(Diagonal(2.0).get_config())
    True
    """

    # The module that a configuration names.  Subclasses do not inherit it: a class of the user's
    # own is not in Keras.
    _config_module: ClassVar[str] = "keras.initializers"

    def __call__(self, shape: Shape, dtype: DTypeLike | None = None) -> Array:
        """Return the initial values.

        Parameters
        ----------
        shape : int or sequence of int
            Shape of the result.
        dtype : str or numpy.dtype, optional
            float32 where it is left out.

        Returns
        -------
        numpy.ndarray

        Raises
        ------
        NotImplementedError
            The subclass does not define it.
        """
        raise NotImplementedError(f"{type(self).__name__} must define __call__(shape, dtype=None)")

    def lazy(self, shape: Shape, dtype: DTypeLike | None = None) -> LazyArray:
        """Return the array of ``self(shape, dtype)`` without its memory.

        Its parts are made when they are asked for.

        Parameters
        ----------
        shape : int or sequence of int
            Shape of the whole; at most 2**64 elements.
        dtype : str or numpy.dtype, optional
            float32 where it is left out.

        Returns
        -------
        LazyArray
            It has one seed: None draws fresh entropy once, a generator advances once.

        Raises
        ------
        NotImplementedError
            The elements of this initializer depend on each other (DeltaOrthogonal, and Orthogonal
            without ``batch_axis``), or its arrays are always small (STFT).
        OverflowError
            The shape has more than 2**64 elements.
        ValueError, TypeError
            As for the array.
        """
        raise NotImplementedError(
            f"{type(self).__name__} has no parts that could be made alone: "
            "call it for the whole array"
        )

    def keyed(self, dim: SupportsIndex, dtype: DTypeLike | None = None) -> KeyedArray:
        """Return the rows of a table that are found by 64-bit keys, such as hashes.

        Parameters
        ----------
        dim : int
            Elements of a row; at most 2**32.
        dtype : str or numpy.dtype, optional
            float32 where it is left out.

        Returns
        -------
        KeyedArray
            It has one seed: None draws fresh entropy once, a generator advances once.  Its rows
            differ from those of :meth:`lazy`.

        Raises
        ------
        NotImplementedError
            The elements of this initializer depend on a shape or on each other; the uniform, the
            normal, the truncated normal and the constants have keyed rows.
        ValueError, TypeError
            As for the array.
        """
        raise NotImplementedError(
            f"{type(self).__name__} has no rows by key: its elements depend on the whole shape. "
            "RandomUniform, RandomNormal, TruncatedNormal, Constant, Zeros and Ones have them"
        )

    def _names(self) -> list[str]:
        """Return the constructor's argument names, with its base's if it has ``**kwargs``."""
        names: list[str] = []
        for cls in type(self).__mro__:
            if "__init__" not in vars(cls):
                continue
            _, *parameters = signature(vars(cls)["__init__"]).parameters.values()
            names += [p.name for p in parameters if p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)]
            if not any(p.kind is p.VAR_KEYWORD for p in parameters):
                break
        return names

    def _arguments(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in self._names() if hasattr(self, name)}

    def _shown(self) -> dict[str, Any]:
        """Return the arguments that a configuration and a repr show."""
        return self._arguments()

    @entry_point
    def get_config(self) -> dict[str, Any]:
        """Return the arguments of the constructor as a dictionary that JSON can hold.

        Raises
        ------
        TypeError
            An argument that JSON cannot hold, such as a numpy.random.Generator.
        """
        return {name: encode(value) for name, value in self._shown().items()}

    @classmethod
    @entry_point
    def from_config(cls, config: Mapping[str, Any]) -> Self:
        """Return the initializer that :meth:`get_config`, here or in Keras, described."""
        return cls(**{name: decode(value) for name, value in config.items()})

    def clone(self) -> Self:
        """Return an equal initializer, which shares the arguments, a SeedGenerator among them."""
        return copy.copy(self)

    @entry_point
    def __eq__(self, other: object) -> bool:
        if type(other) is not type(self):
            return NotImplemented
        if self is other:
            return True
        mine, others = self._arguments(), other._arguments()
        if len(mine) < len(set(self._names())):
            return False  # an argument is kept where this cannot see it
        return mine.keys() == others.keys() and all(
            mine[name] is others[name] or np.array_equal(mine[name], others[name]) for name in mine
        )

    def __hash__(self) -> int:
        return hash(type(self))  # the arguments may change, and arrays have no hash

    @entry_point
    def __repr__(self) -> str:
        arguments = ", ".join(f"{name}={value!r}" for name, value in self._shown().items())
        return f"{type(self).__name__}({arguments})"
