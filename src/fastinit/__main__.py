"""The command line: `fastinit`, or `python -m fastinit`."""

import argparse
import sys
from importlib.metadata import version

from . import _bench

COMMANDS = {"bench": (_bench.main, "time this library against numpy.random on this machine")}


def main(arguments=None):
    """Run a command; its exit code."""
    parser = argparse.ArgumentParser(
        prog="fastinit", description="Initial values for neural networks on the CPU."
    )
    parser.add_argument(
        "--version", action="version", version=f"fastinit {version('fastinit-kernels')}"
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, (_, text) in COMMANDS.items():
        commands.add_parser(name, help=text, add_help=False)
    chosen, rest = parser.parse_known_args(arguments)
    return COMMANDS[chosen.command][0](rest)


if __name__ == "__main__":
    sys.exit(main())
