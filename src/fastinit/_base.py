"""The base class of initializers."""

import copy
from inspect import signature

import numpy as np

from ._lazy import LazyArray
from ._serialization import decode, encode


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

    _keras_module = "keras.initializers"
    _own = ()  # arguments that Keras's class lacks

    def __call__(self, shape, dtype=None):
        """The initial values.

        Parameters
        ----------
        shape : sequence of int
            Shape of the result.
        dtype : str or numpy.dtype, optional
            float32 where it is left out.

        Returns
        -------
        numpy.ndarray

        Raises
        ------
        NotImplementedError
            By this base class.
        """
        raise NotImplementedError(f"{type(self).__name__} must define __call__(shape, dtype=None)")

    def _source(self, shape, dtype):
        """Shape, dtype and what a LazyArray reads from; None where elements are not apart."""
        return None

    def lazy(self, shape, dtype=None):
        """The array of ``self(shape, dtype)`` without its memory: parts are made when asked for.

        Parameters
        ----------
        shape : int or sequence of int
            Shape of the whole; at most 2**64 elements.
        dtype : str or numpy.dtype, optional
            float32 where it is left out.

        Returns
        -------
        LazyArray
            Of one seed: None is fresh entropy once, a generator advances once.

        Raises
        ------
        NotImplementedError
            An initializer whose elements depend on each other: Orthogonal; and STFT, which is
            small.
        OverflowError
            More than 2**64 elements.
        ValueError, TypeError
            As for the array.
        """
        found = self._source(shape, dtype)
        if found is None:
            raise NotImplementedError(
                f"{type(self).__name__} has no parts that could be made alone: "
                "call it for the whole array"
            )
        return LazyArray(*found)

    def _names(self):
        """Arguments of the constructor, and where it passes ``**kwargs`` on, of the next."""
        names = []
        for cls in type(self).__mro__:
            if "__init__" not in vars(cls):
                continue
            _, *parameters = signature(vars(cls)["__init__"]).parameters.values()
            names += [p.name for p in parameters if p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)]
            if not any(p.kind is p.VAR_KEYWORD for p in parameters):
                break
        return names

    def _arguments(self):
        return {name: getattr(self, name) for name in self._names() if hasattr(self, name)}

    def get_config(self):
        """The arguments of the constructor as a dictionary that JSON can hold.

        Raises
        ------
        TypeError
            An argument that JSON cannot hold, such as a numpy.random.Generator.
        """
        return {
            name: encode(value)
            for name, value in self._arguments().items()
            if value is not None or name not in self._own  # Keras would not take it
        }

    @classmethod
    def from_config(cls, config):
        """The initializer that :meth:`get_config`, here or in Keras, wrote down."""
        return cls(**{name: decode(value) for name, value in config.items()})

    def clone(self):
        """An equal initializer; it shares the arguments: of a SeedGenerator each draws its own."""
        return copy.copy(self)

    def __eq__(self, other):
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

    def __hash__(self):
        return hash(type(self))  # the arguments may change, and arrays have no hash

    def __repr__(self):
        arguments = ", ".join(f"{name}={value!r}" for name, value in self._arguments().items())
        return f"{type(self).__name__}({arguments})"
