"""Format received values for messages, in one line however large they are."""

from __future__ import annotations

import reprlib
from math import prod
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable

_MOST = 200  # characters
_LARGEST = 1 << 1000  # larger integers are slow to print, and beyond 4300 digits Python refuses


class _Shown(reprlib.Repr):
    def __init__(self) -> None:
        super().__init__()
        self.maxlevel = 3
        self.maxtuple = self.maxlist = self.maxset = self.maxfrozenset = self.maxdeque = 12
        self.maxarray = self.maxdict = 12
        self.maxstring = 100
        self.maxlong = 60
        self.maxother = _MOST

    def repr_int(self, x: int, level: int) -> str:
        if abs(x) >= _LARGEST:
            return f"an integer of {x.bit_length()} bits"
        return super().repr_int(x, level)

    def repr_bytes(self, x: bytes, level: int) -> str:
        text = repr(x[: self.maxstring])
        return text if len(x) <= self.maxstring else f"{text}..."

    repr_bytearray = repr_bytes

    def repr_instance(self, x: Any, level: int) -> str:
        try:
            # The arrays of all libraries have a shape and a dtype.
            if prod(x.shape) > self.maxarray and hasattr(x, "dtype"):
                return f"{type(x).__name__} of shape {tuple(x.shape)}"
        except Exception:  # it is not an array
            pass
        return super().repr_instance(x, level)


_repr = _Shown().repr


def shown(value: Any) -> str:
    """Return the repr of an argument for a message, shortened to one line where it is long."""
    text = " ".join(_repr(value).split())
    return text if len(text) <= _MOST else f"{text[: _MOST - 50]}...{text[-47:]}"


def type_of(value: object) -> str:
    """Return the name of an argument's type for a message."""
    return shown_text(type(value).__name__)


def shown_text(text: object) -> str:
    """Return a text for a message, such as another library's message, shortened if it is long."""
    words = str(text)
    return words if len(words) <= _MOST else f"{words[: _MOST - 50]}...{words[-47:]}"


def did_you_mean(name: object, names: Iterable[str]) -> str:
    """Return the end of a message about an unknown name: the nearest known one, if one is near.

    The case of letters does not matter.
    """
    from difflib import get_close_matches  # only here: its import takes milliseconds

    known = {known.lower(): known for known in names}
    text = name[:100].lower() if isinstance(name, str) else ""
    near = get_close_matches(text, known, n=1, cutoff=0.75)
    return f"; did you mean {known[near[0]]!r}?" if near else ""
