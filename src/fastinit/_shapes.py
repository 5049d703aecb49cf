"""Shapes and dtypes: what a caller may pass, and what it stands for."""

from __future__ import annotations

from operator import index
from typing import TYPE_CHECKING, Any

import numpy as np

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


def as_dtype(dtype: DTypeLike, allowed: DTypes) -> np.dtype[Any]:
    """Return the numpy.dtype that is meant; raise TypeError where it is not allowed."""
    try:
        known = _BY_NAME.get(dtype) if type(dtype) is str else None  # numpy.dtype() takes longer
        if known is not None and known in allowed:
            return known
        if isinstance(dtype, str) and dtype == "bfloat16" and _has_bfloat16(allowed):
            return bfloat16()
        found = np.dtype(dtype)
        if is_allowed(found, allowed):
            return found
    except (TypeError, ValueError, SyntaxError):  # numpy.dtype() raises all three
        pass
    raise TypeError(f"dtype must be {names_of(allowed)}, received {dtype!r}")


def _dimension(d: Any) -> int:
    if isinstance(d, (bool, np.bool_)):
        raise TypeError
    return index(d)


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
        dims = (_dimension(shape),)
    except TypeError:
        try:
            dims = tuple([_dimension(d) for d in shape])
        except TypeError:
            message = f"shape must be an integer or a sequence of them, received {shape!r}"
            raise TypeError(message) from None
    if dims and min(dims) < 0:
        raise ValueError(f"shape must not have negative dimensions, received {shape!r}")
    return dims
