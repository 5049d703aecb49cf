"""The command line: `fastinit`, or `python -m fastinit`."""

import argparse
import re
import sys
from importlib.metadata import version

from . import _bench, _create, _selftest
from ._config import show_config
from ._files import RefusedError

EPILOG = """\
examples:
  fastinit create table.npy --init truncated_normal --shape 100000000x64 --dtype bfloat16 --seed 1
  fastinit create table.npy --resume
  fastinit COMMAND --help

Errors are one line and exit code 2.
"""


class _Parser(argparse.ArgumentParser):
    """Errors of one line, texts as they are written, options by their full names."""

    def __init__(self, **kwargs):
        formatter = argparse.RawDescriptionHelpFormatter
        super().__init__(formatter_class=formatter, allow_abbrev=False, **kwargs)
        # argparse's own takes -1e-3 and -500: for options.
        self._negative_number_matcher = re.compile(r"-\.?\d|-inf")

    def error(self, message):
        self.exit(2, f"{self.prog}: error: {message}\n")


def _add_info(commands):
    parser = commands.add_parser(
        "info",
        help="version, kernels and threads in use",
        description="What this build is and what it runs on, as fastinit.show_config() prints it.",
        epilog="example:\n  FASTINIT_ISA=portable fastinit info",
    )
    parser.set_defaults(run=lambda arguments: show_config() or 0)


def main(arguments=None):
    """Run a command; its exit code."""
    parser = _Parser(
        prog="fastinit", description="Initial values for neural networks on the CPU.", epilog=EPILOG
    )
    parser.add_argument(
        "--version", action="version", version=f"fastinit {version('fastinit-kernels')}"
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    _create.add_command(commands)
    _add_info(commands)
    _selftest.add_command(commands)
    _bench.add_command(commands)
    chosen = parser.parse_args(arguments)
    try:
        return chosen.run(chosen)
    except RefusedError as error:
        print(f"fastinit {chosen.command}: error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    sys.exit(main())
