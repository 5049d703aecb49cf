"""The command `fastinit selftest`."""

from __future__ import annotations

from typing import Any

from .._selftest import checks


def add_parser(commands: Any) -> None:
    """Add the parser of `fastinit selftest`."""
    parser = commands.add_parser(
        "selftest",
        help="compare the values of this machine with known answers",
        description="Compare this machine's values with known answers, and every available ISA\n"
        "with the portable kernels, by exact equality.  Print a line for each check; the exit\n"
        "code is 1 if one fails.",
        epilog="example:\n  fastinit selftest",
    )
    parser.set_defaults(run=run)


def run(arguments: Any) -> int:
    """Print each check and return the exit code."""
    failed = 0
    for name, holds in checks():
        print(f"{'ok    ' if holds else 'WRONG '} {name}", flush=True)
        failed += not holds
    print(f"{failed} WRONG" if failed else "all values are right", flush=True)
    return 1 if failed else 0
