"""The command `fastinit info`."""

from __future__ import annotations

import sys
from typing import Any

from .._config import show_config


def add_parser(commands: Any) -> None:
    """Add the parser of `fastinit info`."""
    parser = commands.add_parser(
        "info",
        help="print version, kernels and threads in use",
        description="Print what this build is and what it runs on: fastinit.show_config().",
        epilog="example:\n  FASTINIT_ISA=portable fastinit info",
    )
    parser.set_defaults(run=run)


def run(arguments: Any) -> int:
    """Print the configuration and return the exit code."""
    show_config()
    if sys.stdout is not None:
        sys.stdout.flush()  # an error is raised here, not at exit
    return 0
