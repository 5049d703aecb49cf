"""Shapes and dtypes: what a caller may pass, and what it stands for."""

from __future__ import annotations

from collections.abc import Iterable
from math import prod
from operator import index
from typing import TYPE_CHECKING, Any

import numpy as np

from ._messages import shown

if TYPE_CHECKING:
    from numpy.typing import DTypeLike

    from ._typing import Dimensions, DTypes

# bfloat16, which NumPy lacks, is allowed wherever these are.
FLOATS = (np.dtype("float32"), np.dtype("float64"), np.dtype("float16"))
WORDS = (np.dtype("uint32"), np.dtype("uint64"))
# What Keras calls a dtype, without strings and 8-bit floats.
NUMBERS = FLOATS + tuple(
    np.dtype(name)
    for name in (
        *("int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"),
        *("bool", "complex64", "complex128"),
    )
)

_BY_NAME = {dtype.name: dtype for dtype in FLOATS + WORDS}


def bfloat16() -> np.dtype[Any]:
    """Return the dtype of ml_dtypes, which is imported only when it is needed."""
    try:
        import ml_dtypes
    except ImportError:
        raise ImportError(
            "bfloat16 needs ml_dtypes, the extra 'bfloat16': pip install ml_dtypes"
        ) from None
    dtype: np.dtype[Any] = np.dtype(ml_dtypes.bfloat16)
    return dtype


def _has_bfloat16(allowed: DTypes) -> bool:
    return allowed[: len(FLOATS)] == FLOATS


def is_allowed(dtype: np.dtype[Any], allowed: DTypes) -> bool:
    """Return whether a dtype is among the allowed ones."""
    if dtype in allowed:
        return True
    return dtype.name == "bfloat16" and _has_bfloat16(allowed) and bool(dtype == bfloat16())


def names_of(allowed: DTypes) -> str:
    """Return the names of the allowed dtypes for a message."""
    names = [dtype.name for dtype in allowed] + ["bfloat16"] * _has_bfloat16(allowed)
    return " or ".join([", ".join(names[:-1]), names[-1]] if names[1:] else names)


_NAMES = {dtype.name for dtype in NUMBERS} | {"bfloat16"}


def _of_framework(dtype: Any) -> Any:
    """Return what numpy.dtype() takes for a dtype object of a framework, or the object itself.

    The framework is not imported, and need not be known.  TensorFlow's objects hold NumPy's type,
    Keras's policies the name of their variables' dtype (a mixed policy computes in another), others
    a name, and PyTorch's are shown as a name of their module: ``torch.float32``.  Only full names
    count: what "float" is depends on the framework.  JAX's objects are known to NumPy.
    """
    module = type(dtype).__module__
    if isinstance(dtype, (type, np.dtype)) or module == "builtins":
        return dtype
    held = getattr(dtype, "as_numpy_dtype", None)
    if held is not None:
        return held
    name = getattr(dtype, "variable_dtype", None) or getattr(dtype, "name", None)
    name = name or str(dtype).removeprefix(f"{module}.")
    return name if isinstance(name, str) and name in _NAMES else dtype


def name_of_dtype(value: Any) -> str | None:
    """Return the name of a dtype object of NumPy or a framework; None for any other object."""
    meant = _of_framework(value)
    try:
        name = meant if isinstance(meant, str) else np.dtype(meant).name
    except (TypeError, ValueError):
        return None
    return name if name in _NAMES else None


def as_dtype(dtype: DTypeLike, allowed: DTypes) -> np.dtype[Any]:
    """Return the numpy.dtype that is meant; raise TypeError where it is not allowed."""
    try:
        # The common cases: numpy.dtype() takes longer.
        known = _BY_NAME.get(dtype) if type(dtype) is str else dtype
        if isinstance(known, np.dtype) and known in allowed:
            return known
        meant = _of_framework(dtype)
        if isinstance(meant, str) and meant == "bfloat16" and _has_bfloat16(allowed):
            return bfloat16()
        found: np.dtype[Any] = np.dtype(meant)
        if is_allowed(found, allowed):
            return found
    except (TypeError, ValueError, SyntaxError):  # numpy.dtype() raises all three
        pass
    raise TypeError(f"dtype must be {names_of(allowed)}, received {shown(dtype)}")


def check_dtype(dtype: object) -> None:
    """Raise TypeError unless it is a numpy.dtype of numbers: no kernel may write over objects.

    Those of ml_dtypes, floats of 8 bits among them, are numbers.
    """
    known = isinstance(dtype, np.dtype) and (
        is_allowed(dtype, NUMBERS) or dtype.type.__module__ == "ml_dtypes"
    )
    if not known:
        raise TypeError(f"dtype must be {names_of(NUMBERS)}, received {shown(dtype)}")


def as_integer(value: Any) -> int:
    """Return an axis or a dimension as an int; raise TypeError if it is no integer, or a bool."""
    if isinstance(value, (bool, np.bool_)):
        raise TypeError
    try:
        return index(value)
    except (ValueError, RuntimeError):  # of a tensor that has no values
        raise TypeError from None


def as_integers(values: Any) -> tuple[int, ...]:
    """Return a sequence of integers as a tuple; raise TypeError for anything else, as for bytes.

    Objects of frameworks raise errors of their own where they have no values or their rank is not
    known.  An object that can be indexed but is no Iterable may have no end, such as a variable of
    Keras on JAX.
    """
    if isinstance(values, (bytes, bytearray)) or not isinstance(values, Iterable):
        raise TypeError
    try:
        found = tuple(values)
    except (ValueError, RuntimeError):
        raise TypeError from None
    return tuple([as_integer(value) for value in found])


_MOST_DIMENSIONS = 64  # of an array of NumPy 2


def check_count(shape: Dimensions) -> None:
    """Raise OverflowError if a shape has more elements than the stream numbers."""
    if prod(shape) > 1 << 64:
        raise OverflowError(
            f"shape {shown(shape)} has more than 2**64 elements, "
            "more than the 64-bit counter can number"
        )


def check_size(shape: Dimensions) -> None:
    """Raise if no array, not even a lazy one, can have the shape."""
    if len(shape) > _MOST_DIMENSIONS:
        raise ValueError(
            f"shape must have at most {_MOST_DIMENSIONS} dimensions, received {len(shape)}"
        )
    check_count(shape)


def as_shape(shape: Any) -> Dimensions:
    """Return a shape as a tuple of Python integers; an integer n means (n,)."""
    if type(shape) is tuple:  # the common case first, for calls for a few elements
        for d in shape:
            if type(d) is not int or d < 0:
                break
        else:
            return shape
    dims: Dimensions
    try:
        dims = (as_integer(shape),)
    except TypeError:
        try:
            dims = as_integers(shape)
        except TypeError:
            message = f"shape must be an integer or a sequence of them, received {shown(shape)}"
            raise TypeError(message) from None
    if dims and min(dims) < 0:
        raise ValueError(f"shape must not have negative dimensions, received {shown(shape)}")
    return dims
