"""The command `fastinit`, and `python -m fastinit`: it parses the arguments and runs a command."""

from __future__ import annotations

import argparse
import re
import sys
from contextlib import suppress
from typing import TYPE_CHECKING, Any, NoReturn

from .._files.errors import RefusedError
from .._kernels import VERSION
from . import bench, create, explain, info, selftest, verify
from .output import say, settle

if TYPE_CHECKING:
    from collections.abc import Sequence

EPILOG = """\
examples:
  fastinit create table.npy --init truncated_normal --shape 1000000x64 --dtype float16 --seed 1
  fastinit create table.npy --resume
  fastinit verify table.npy
  fastinit COMMAND --help

An error is one line, and exit code 2.
"""


class _Parser(argparse.ArgumentParser):
    """A parser that takes no abbreviations, keeps line breaks, and reports errors in one line."""

    def __init__(self, **kwargs: Any) -> None:
        formatter = argparse.RawDescriptionHelpFormatter
        super().__init__(formatter_class=formatter, allow_abbrev=False, **kwargs)
        # argparse's own pattern takes -1e-3 and -500: for options.
        self._negative_number_matcher = re.compile(r"-\.?\d|-inf")

    def _print_message(self, message: str, file: Any = None) -> None:
        # There is no stream, or it takes nothing.  argparse itself suppresses these errors in
        # Python 3.11.7, but not yet in 3.11.2.
        with suppress(AttributeError, OSError):
            super()._print_message(message, file)

    def error(self, message: str) -> NoReturn:
        say(f"{self.prog}: error: {message} (see {self.prog} --help)", sys.stderr)
        raise SystemExit(2)


class _CommandParser(_Parser):
    """The parser of one command: it reports unknown arguments itself, and names its own help.

    argparse would leave unknown arguments to the main parser.
    """

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        found, unknown = super().parse_known_args(args, namespace)
        if unknown:
            self.error(f"unrecognized arguments: {' '.join(unknown)}")
        return found, unknown


def _run(arguments: Sequence[str] | None) -> int:
    parser = _Parser(
        prog="fastinit", description="Initial values for neural networks on the CPU.", epilog=EPILOG
    )
    parser.add_argument("--version", action="version", version=f"fastinit {VERSION}")
    commands = parser.add_subparsers(
        dest="command", required=True, metavar="COMMAND", parser_class=_CommandParser
    )
    for command in (create, verify, explain, info, selftest, bench):
        command.add_parser(commands)
    chosen = parser.parse_args(arguments)
    try:
        return int(chosen.run(chosen))
    except RefusedError as error:
        message = str(error)
    except MemoryError as error:
        message = str(error) or "out of memory"
    except OSError as error:  # of stdout; those of files are RefusedErrors
        message = f"stdout: {error.strerror or error}"
    except KeyboardInterrupt:
        return 130
    say(f"fastinit {chosen.command}: error: {message}", sys.stderr)
    return 2


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command and return its exit code."""
    try:
        return _run(arguments)
    # These come before the command runs, or while an error is told.
    except MemoryError:
        say("fastinit: error: out of memory", sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130
    finally:
        settle(sys.stdout, sys.stderr)
