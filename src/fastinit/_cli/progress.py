"""The progress bars of commands, on stderr."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from .output import Steady, is_terminal, one_line, say

if TYPE_CHECKING:
    import argparse
    from pathlib import Path

    from .._files.write import Progress


def add_options(parser: argparse.ArgumentParser, quiet: str) -> None:
    """Add --progress and --quiet, of which only one can be given."""
    shown = parser.add_mutually_exclusive_group()
    shown.add_argument("--progress", action="store_true",
        help="show a progress bar even if stderr is not a terminal")  # fmt: skip
    shown.add_argument("--quiet", action="store_true", help=quiet)


class _NoProgress:
    """A progress bar that shows nothing."""

    def update(self, n: int) -> None:
        pass

    def set_postfix_str(self, text: str) -> None:
        pass

    def close(self) -> None:
        pass


def progress_bar(
    arguments: argparse.Namespace, target: Path, nbytes: int, done: int = 0
) -> Progress:
    """Return a progress bar; it shows nothing if none is wanted or tqdm is missing."""
    shown = arguments.progress or (is_terminal(sys.stderr) and not arguments.quiet)
    if sys.stderr is None or not shown:
        return _NoProgress()
    try:
        from tqdm import tqdm
    except ImportError:
        say(
            f"fastinit {arguments.command}: no progress bar without tqdm, the extra 'cli': "
            "pip install tqdm",
            sys.stderr,
        )
        return _NoProgress()

    class Bar(tqdm):  # type: ignore[type-arg]
        monitor_interval = 0  # 0 starts no monitor thread: the system may refuse one

    bar: Progress = Bar(
        total=nbytes,
        initial=done,
        desc=one_line(target.name),
        unit="B",
        unit_scale=True,
        disable=False,
        file=Steady(sys.stderr),
    )
    return bar
