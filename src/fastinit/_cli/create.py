"""The command `fastinit create`: it writes an array of any size to a file, in little memory."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .._files.create import Creation, create
from .._files.errors import RefusedError
from .._files.headers import ENCODERS
from .._files.job import IN_PARTS, initializer_name, parameters_of
from .._files.locks import HAS_LOCKS
from .output import say
from .progress import add_options as add_progress
from .progress import progress_bar

if TYPE_CHECKING:
    from collections.abc import Callable

DESCRIPTION = """\
Write an array of initial values to a file, NAME.npy or NAME.safetensors, which may be larger than
memory.  The values are those of the function of the same name, whatever the threads, the shards and
the interruptions; a .npy file equals the one that numpy.save() writes of them.

Until all values are there the file is called NAME.npy.partial.  After an interruption, be it
kill -9 or a loss of power, `fastinit create NAME.npy --resume` continues it.  Options that are
given again must be the same; if --init and --shape are both among them, an option that is left out
means its default, except --seed.  When the disk is full the partial file is removed, unless an
earlier run has written a part of it, or all values are there.

If NAME.npy is finished, --resume with all options, and --seed where values are random, finds that
out and succeeds.  A NAME that begins with - goes last, after --.

The record of what made the file is in the metadata of a .safetensors file, or in NAME.npy.json,
beside a .npy file: `fastinit verify` compares the file with it.
"""

EPILOG = """\
examples:
  fastinit create table.npy --init truncated_normal --shape 1000000x64 --dtype bfloat16 \\
      --stddev 0.05 --seed 1
  fastinit create table.npy --resume
  fastinit create shard-3.safetensors --init he_normal --shape 1000000x512 --seed 1 \\
      --rows 750000:1000000 --name embedding.weight
  fastinit create big.npy --init random_uniform --minval -0.01 --maxval 0.01 --shape 1000000,8

NumPy has no bfloat16.  This loads such a .npy file without reading it:
  numpy.load("table.npy", mmap_mode="r").view(ml_dtypes.bfloat16)
"""


def _misfit(wanted: str, text: str) -> argparse.ArgumentTypeError:
    received = repr(text if len(text) <= 60 else f"{text[:50]}...")
    return argparse.ArgumentTypeError(f"must be {wanted}, received {received}")


def as_dimensions(text: str) -> list[int]:
    """Return the shape in a text such as 1000x64."""
    dims = text.replace(",", "x").split("x")
    # Python converts no more than 4300 digits; 20 are enough for all dimensions there are.
    if not all(d.isascii() and d.isdecimal() and len(d) <= 20 for d in dims):
        raise _misfit("like 1000x64 or 1000,64", text)
    return [int(d) for d in dims]


def _rows(text: str) -> list[int | None]:
    first, colon, end = text.partition(":")
    try:
        if colon:
            return [int(part) if part.strip() else None for part in (first, end)]
    except ValueError:
        pass
    raise _misfit("like 1000:2000, :2000 or -500:", text)


def _thread_count(text: str) -> int:
    if not (text.isascii() and text.isdecimal() and len(text) <= 4 and 1 <= int(text) <= 4096):
        raise _misfit("from 1 to 4096", text)
    return int(text)


def _integer(text: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise _misfit("an integer", text) from None


def _number(text: str) -> float:
    try:
        return int(text)  # an integer beyond 2^53 keeps its digits
    except ValueError:
        pass
    try:
        return float(text)
    except ValueError:
        raise _misfit("a number", text) from None


def _axes(text: str) -> list[int]:
    try:
        return [int(axis) for axis in text.split(",")]
    except ValueError:
        raise _misfit("like 0,1", text) from None


# For every parameter of an initializer: what converts its text, its placeholder, its help.
PARAMETERS: dict[str, tuple[Callable[[str], Any], str, str]] = {
    "value": (_number, "X", "The number that fills the array."),
    "mean": (_number, "X", "Mean of the distribution."),
    "stddev": (_number, "X", "Standard deviation, >= 0, before any truncation."),
    "minval": (_number, "X", "Lower bound, which is possible itself."),
    "maxval": (_number, "X", "Upper bound, which is never returned unless it equals --minval."),
    "lower": (_number, "X", "Lower bound in standard deviations; --lower=-inf for none."),
    "upper": (_number, "X", "Upper bound in standard deviations; inf for none."),
    "scale": (_number, "X", "Variance times fan, > 0."),
    "mode": (
        str,
        "NAME",
        "The fan that divides: fan_in, fan_out, fan_avg (their mean) or fan_geo_avg (their "
        "geometric mean).",
    ),
    "distribution": (
        str,
        "NAME",
        "truncated_normal, untruncated_normal, uniform, or normal, which is truncated_normal.",
    ),
    "gain": (_number, "X", "The number on the diagonal."),
    "seed": (
        _integer,
        "N",
        "0 <= N < 2**64 gives the same values every time.  Without it a seed is drawn, kept in the "
        "record and printed; before anything is written where there is no record.",
    ),
    "input_axes": (_axes, "I,J", "Axes whose sizes multiply to fan_in, with --output-axes."),
    "output_axes": (_axes, "I,J", "Axes whose sizes multiply to fan_out, with --input-axes."),
}


def add_parameters(parser: argparse.ArgumentParser) -> None:
    """Add an option for every parameter of the initializers."""
    group = parser.add_argument_group("parameters of initializers")
    owners: dict[str, list[str]] = {}
    for init, entry in IN_PARTS.items():
        for name in parameters_of(entry):
            owners.setdefault(name, []).append(init)
    for name, inits in owners.items():
        convert, metavar, text = PARAMETERS[name]
        group.add_argument(
            "--" + name.replace("_", "-"),
            type=convert,
            metavar=metavar,
            default=argparse.SUPPRESS,
            help=text + ("" if len(inits) > 5 else f"  ({', '.join(inits)})"),
        )


def add_array_options(parser: argparse.ArgumentParser) -> None:
    """Add the options that define the array of a file; options that are not given are left out."""
    suppress: dict[str, Any] = {"default": argparse.SUPPRESS}
    add = parser.add_argument
    add("--init", type=initializer_name, **suppress, help=", ".join(IN_PARTS))
    add("--shape", type=as_dimensions, **suppress,
        help="of the whole array, such as 1000x64 or 1000,64")  # fmt: skip
    add("--dtype", **suppress, help="float32 (the default), float64, float16, bfloat16; for "
        "constants integers, too")  # fmt: skip
    add("--rows", type=_rows, metavar="A:B", **suppress,
        help="only rows A to B - 1 of the whole, as NAME's rows")  # fmt: skip
    add("--name", **suppress, help='of the tensor in a .safetensors file (default "weight")')


def add_threads(parser: argparse.ArgumentParser) -> None:
    """Add --threads."""
    parser.add_argument("--threads", type=_thread_count, metavar="N",
        help="number of threads (default: one for each processor)")  # fmt: skip


def add_parser(commands: Any) -> None:
    """Add the parser of `fastinit create`."""
    parser = commands.add_parser(
        "create",
        help="write an array to a .npy or .safetensors file, larger than memory if need be",
        description=DESCRIPTION,
        epilog=EPILOG,
    )
    parser.set_defaults(run=run)
    parser.add_argument("target", type=Path, metavar="NAME", help="the file, .npy or .safetensors")
    add_array_options(parser)
    add = parser.add_argument
    add("--resume", action="store_true", help="continue NAME.partial, if there is one")
    add("--overwrite", action="store_true",
        help="replace NAME once all is written; without --resume NAME.partial, too")  # fmt: skip
    add("--no-record", dest="record", action="store_false",
        help="write no NAME.npy.json, the record of what made the file")  # fmt: skip
    add_threads(parser)
    add_progress(
        parser, "print nothing but errors; a random .npy file without a record needs --seed then"
    )
    add_parameters(parser)


def array_options(arguments: argparse.Namespace) -> dict[str, Any]:
    """Return the given options that define the array of a file."""
    names = {"init", "shape", "dtype", "rows", "name", *PARAMETERS}
    return {name: value for name, value in vars(arguments).items() if name in names}


def run(arguments: argparse.Namespace) -> int:
    """Write the file and return the exit code, which depends on the file, not on the output."""
    target = arguments.target
    if target.suffix not in ENCODERS:
        raise RefusedError(f"{target} must end in {' or '.join(ENCODERS)}")
    if not HAS_LOCKS:
        raise RefusedError("create needs the file locks of POSIX, which Windows lacks")
    if target.suffix == ".safetensors" and not arguments.record:
        raise RefusedError("the record of a .safetensors file is in its metadata: no --no-record")
    creation = Creation(
        target=target,
        options=array_options(arguments),
        resume=arguments.resume,
        overwrite=arguments.overwrite,
        record=arguments.record,
        quiet=arguments.quiet,
        threads=arguments.threads,
        progress=lambda job, written: progress_bar(arguments, target, job.nbytes, written),
        tell=lambda line: say(line, sys.stdout, sys.stderr),
    )
    try:
        report = create(creation)
    except KeyboardInterrupt as stop:
        if stop.args:  # it has begun to write
            say("", sys.stderr)
            say(str(stop), sys.stderr)
        raise
    except OSError as error:
        raise RefusedError(f"{error.filename or target}: {error.strerror or error}") from None
    if not arguments.quiet:
        say(report, sys.stdout, sys.stderr)
    return 0
