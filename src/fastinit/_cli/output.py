"""Print to streams that may be closed, full, or unable to encode a name.

A line that cannot be printed is dropped, and is no error.
"""

from __future__ import annotations

import sys
from contextlib import suppress
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from typing import TextIO

# Characters of a message: some lines of a terminal.  A name may have 4096, an option 131,071.
_LONGEST = 1000


class Steady:
    """A text stream that drops what another stream does not take, such as one on a full disk."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self.dropped = False  # whether any text was

    def write(self, text: str) -> None:
        """Write a text, with escapes for what the encoding lacks."""
        encoding = self._stream.encoding or "utf-8"
        text = text.encode(encoding, "backslashreplace").decode(encoding)
        try:
            self._stream.write(text)
        except (OSError, ValueError):  # ValueError: the stream is closed
            self.dropped = True

    def flush(self) -> None:
        """Write what the stream still holds back."""
        try:
            self._stream.flush()
        except (OSError, ValueError):
            self.dropped = True

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


def is_terminal(stream: TextIO | None) -> bool:
    """Return whether a stream is a terminal."""
    with suppress(ValueError):  # it is closed
        return stream is not None and stream.isatty()
    return False


def one_line(text: str) -> str:
    """Return a text as one line of limited length, with escapes for line breaks and the like."""
    if len(text) > _LONGEST:
        text = f"{text[: _LONGEST // 2]} ... {text[-_LONGEST // 4 :]}"
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)


def say(text: str, *streams: TextIO | None) -> bool:
    """Print a line to the first of the streams that takes it; return whether one has."""
    for stream in streams:
        if stream is None:  # it was closed before the program began
            continue
        steady = Steady(stream)
        steady.write(f"{one_line(text)}\n")
        steady.flush()
        if not steady.dropped:
            return True
    return False


def print_line(text: str) -> None:
    """Print a line to stdout, with escapes for what its encoding lacks.

    Raises
    ------
    OSError
        It cannot be printed, and not because stdout was closed from the beginning.
    """
    if sys.stdout is not None:
        encoding = sys.stdout.encoding or "utf-8"
        print(one_line(text).encode(encoding, "backslashreplace").decode(encoding), flush=True)


def settle(*streams: TextIO | None) -> None:
    """Close the streams that cannot be flushed: Python would try at exit, and change the exit code.

    The standard streams do not own their descriptors, which stay open.
    """
    for stream in streams:
        if stream is not None:
            try:
                stream.flush()
            except (OSError, ValueError):
                with suppress(OSError, ValueError):
                    stream.close()
