"""The command `fastinit verify`: it compares files with their records."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .._files.errors import RefusedError
from .._files.headers import ENCODERS
from .._files.verify import verify
from .._threads import get_num_threads
from .create import add_array_options, add_parameters, add_threads, array_options
from .output import print_line, say
from .progress import add_options as add_progress
from .progress import progress_bar

if TYPE_CHECKING:
    import argparse

    from .._files.verify import Comparison

DESCRIPTION = """\
Make the values of each file again, in little memory, and compare every bit.  The record of a file
says what made it: the metadata of a .safetensors file, or NAME.npy.json beside a .npy file.  If you
give --init, --shape and the other options of `fastinit create`, they replace the record.

The exit code is 0 if all files are as recorded, 1 if values of a file differ, and 2 if a file
cannot be compared: it has no record or a damaged one, another version of the stream made it, it is
truncated, or its header has another shape or dtype.
"""

EPILOG = """\
examples:
  fastinit verify table.npy
  fastinit verify shard-*.safetensors
  fastinit verify table.npy --init he_normal --shape 1000000x64 --seed 1
"""


def add_parser(commands: Any) -> None:
    """Add the parser of `fastinit verify`."""
    parser = commands.add_parser(
        "verify",
        help="compare files that create has written with their records",
        description=DESCRIPTION,
        epilog=EPILOG,
    )
    parser.set_defaults(run=run)
    parser.add_argument(
        "targets", type=Path, metavar="FILE", nargs="+", help=".npy or .safetensors"
    )
    add_array_options(parser)
    add_threads(parser)
    add_progress(parser, "print only errors and files that differ")
    add_parameters(parser)


def _verify(arguments: argparse.Namespace, target: Path) -> Comparison:
    if target.suffix not in ENCODERS:
        raise RefusedError(f"{target} must end in {' or '.join(ENCODERS)}")
    try:
        return verify(
            target,
            array_options(arguments),
            arguments.threads or get_num_threads(),
            lambda job: progress_bar(arguments, target, job.nbytes),
        )
    except OSError as error:
        raise RefusedError(f"{error.filename or target}: {error.strerror or error}") from None


def run(arguments: argparse.Namespace) -> int:
    """Compare the files, print a line for each, and return the exit code."""
    code = 0
    for target in arguments.targets:
        try:
            comparison = _verify(arguments, target)
        except RefusedError as error:
            say(f"fastinit verify: error: {error}", sys.stderr)
            code = 2
            continue
        if comparison.difference is not None:
            code = max(code, 1)
        elif arguments.quiet:
            continue
        print_line(f"{target}: {comparison}")
    return code
