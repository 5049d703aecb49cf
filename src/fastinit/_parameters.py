"""Checks of the numbers that describe a distribution or a constant."""

from __future__ import annotations

from typing import Any, SupportsFloat

import numpy as np

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
        raise TypeError(f"{name} must be a number, received {value!r}")
    try:
        return float(value)  # type: ignore[arg-type]  # float() checks it
    except OverflowError:
        raise ValueError(f"{name} must be finite, received {value!r}") from None
    except (TypeError, ValueError):
        raise TypeError(f"{name} must be a number, received {value!r}") from None


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
