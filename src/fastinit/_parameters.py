"""Checks of the numbers that describe a distribution or a constant."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, SupportsFloat

import numpy as np

from ._messages import shown

if TYPE_CHECKING:
    from ._typing import Array

# The largest numbers that round to a finite one, by the character of the dtype.  float16 and
# bfloat16 ("E") are rounded twice, so theirs is the largest number of the dtype itself.
FINITE = {
    "e": 65504.0,
    "E": float.fromhex("0x1.fep+127"),
    "f": float.fromhex("0x1.fffffefffffffp+127"),
    "d": float.fromhex("0x1.fffffffffffffp+1023"),
}

WIDEST = np.dtype("float64")  # constructors check for it, as they know no dtype yet

_EXACT = 1 << 53  # integers up to here are floats


def number(name: str, value: SupportsFloat | object) -> float:
    """Return a parameter as a float; raise an error that names it where it is no number."""
    if type(value) is int and -_EXACT <= value <= _EXACT:  # in half the time
        return float(value)
    if isinstance(value, (str, bytes, bytearray)) or value is None:
        raise TypeError(f"{name} must be a number, received {shown(value)}")
    try:
        return float(value)  # type: ignore[arg-type]  # float() checks it
    except OverflowError:
        raise ValueError(f"{name} must be finite, received {shown(value)}") from None
    except (TypeError, ValueError):
        raise TypeError(f"{name} must be a number, received {shown(value)}") from None


def check_finite(limit: float, dtype: object, **values: float) -> None:
    """Raise ValueError for the first of the named values that lies beyond the limit."""
    for name, value in values.items():
        if not -limit <= value <= limit:
            raise ValueError(f"{name} must be finite in {dtype}, received {value}")


def check_gain(gain: SupportsFloat, dtype: np.dtype[Any] = WIDEST) -> float:
    """Return the gain as a float; raise where it is no finite number of the dtype."""
    value = number("gain", gain)
    check_finite(FINITE[dtype.char], dtype, gain=value)
    return value


def cast(name: str, values: Array, dtype: np.dtype[Any]) -> Array:
    """Return the values in the dtype; raise ValueError where one is beyond its range.

    Values are rounded; for an integer dtype they are truncated towards zero.
    """
    with np.errstate(all="ignore"):  # the caller's settings may raise
        if dtype.kind in "iu":
            limits = np.iinfo(dtype)
            if values.dtype.kind in "iub":
                numbers = values.astype(np.uint8) if values.dtype.kind == "b" else values
                fit = (numbers >= limits.min) & (numbers <= limits.max)
            else:  # as floats the bounds are powers of two; a cast beyond them is undefined
                numbers = np.trunc(values.astype(np.promote_types(values.dtype, WIDEST)))
                fit = (numbers >= float(limits.min)) & (numbers < float(limits.max + 1))
            cast = np.where(fit, numbers, 0).astype(dtype)
        else:
            cast = values.astype(dtype)
            fit = np.isfinite(cast) == np.isfinite(values)
    if not fit.all():
        wrong = values[~fit]
        others = f" and {wrong.size - 1} more that do not" if wrong.size > 1 else ""
        raise ValueError(f"{name} must fit into {dtype}, received {shown(wrong[0].item())}{others}")
    return cast
