"""End the command if the package cannot be imported."""

from __future__ import annotations

import sys
from pathlib import Path

from .output import say, settle


def end_command(error: Exception) -> None:
    """Exit with one line and code 2 if this process is `fastinit` or `python -m fastinit`.

    Both import the package before a line of the command runs, so the command cannot catch what the
    import raises.  A program that imports the package gets the exception itself.
    """
    program = sys.argv[0] if sys.argv else ""
    # While Python looks for the module of -m, and imports its package, sys.argv[0] is only "-m".
    module = program == "-m" and not {"fastinit", "-mfastinit"}.isdisjoint(sys.orig_argv)
    if module or Path(program).stem == "fastinit":
        say(f"fastinit: error: {error}", sys.stderr)
        settle(sys.stderr)
        raise SystemExit(2)
