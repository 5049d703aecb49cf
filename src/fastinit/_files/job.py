"""What is written: an array, or rows of one, from the options of `fastinit create`."""

from __future__ import annotations

import inspect
import json
import os
import re
from math import prod
from typing import TYPE_CHECKING, Any

import numpy as np

from .._kernels import STREAM_VERSION, VERSION
from .._messages import did_you_mean
from .._seeds import key
from .._sources import RangeSource
from ..initializers._base import Initializer
from ..initializers._catalog import CATALOG, CLASSES
from ..initializers._orthogonal import Orthogonal
from .errors import RefusedError
from .headers import ENCODERS, LARGEST_HEAD, MOST_DIMENSIONS, decode
from .names import partial_of, record_of
from .partial import LARGEST_ARRAY
from .record import checksum, read_record

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping
    from pathlib import Path

    from .._lazy import LazyArray
    from .._typing import Array
    from ..initializers._catalog import Entry

_ENTRIES = {entry.name: entry for entry in CATALOG}

# The initializers whose arrays can be made in pieces of any size.  A piece of an orthogonal matrix
# takes as long as the matrix, so `lazy` is not enough.
IN_PARTS = {
    name: entry
    for name, entry in _ENTRIES.items()
    if entry.cls.lazy is not Initializer.lazy and entry.cls is not Orthogonal
}


def parameters_of(entry: Entry) -> dict[str, Any]:
    """Return {name: default} of the parameters of an initializer; each is an option."""
    parameters = inspect.signature(entry.function).parameters.values()
    return {p.name: p.default for p in parameters if p.name not in ("shape", "dtype", "out")}


def initializer_name(name: str) -> str:
    """Return what the function of an initializer is called, given any name that `get` knows."""
    cls = CLASSES.get(name)
    return next((entry.name for entry in CATALOG if entry.cls is cls), name)


def unknown_initializer(name: str, names: Collection[str]) -> RefusedError:
    """Return the error of a name that is none of these."""
    near = did_you_mean(name, [other for other in CLASSES if initializer_name(other) in names])
    return RefusedError(f"unknown initializer {name!r}: one of {', '.join(names)}{near}")


def takes_seed(options: Mapping[str, Any]) -> bool | None:
    """Return whether the initializer takes a seed; None if --init names no initializer."""
    entry = _ENTRIES.get(options.get("init", ""))
    return None if entry is None else "seed" in parameters_of(entry)


def draws_seed(options: Mapping[str, Any]) -> bool:
    """Return whether the initializer takes a seed and none is given."""
    return takes_seed(options) is True and options.get("seed") is None


def _plain(name: str, value: float) -> float:
    """Return a number as a float if that is exact, so that 0 and 0.0 are the same."""
    try:
        return float(value) if float(value) == value else value
    except OverflowError:
        raise RefusedError(f"--{name} must be a number that float64 holds") from None


def _lazy(options: Mapping[str, Any]) -> tuple[LazyArray, dict[str, Any]]:
    """Return the array that the options mean, and all parameters of its initializer."""
    for name in ("init", "shape"):
        if name not in options:
            raise RefusedError(f"--{name} is required")
    if len(options["shape"]) > MOST_DIMENSIONS:
        raise RefusedError(
            f"--shape has {len(options['shape'])} dimensions; arrays of NumPy have up to "
            f"{MOST_DIMENSIONS}"
        )
    init = options["init"]
    if init not in _ENTRIES:
        raise unknown_initializer(init, IN_PARTS)
    if init not in IN_PARTS:
        raise RefusedError(
            f"{init} makes its array as a whole, not in parts: call fastinit.{init}()"
        )
    known = parameters_of(IN_PARTS[init])
    for name in options.keys() - {"init", "shape", "dtype", "rows", "name"} - known.keys():
        has = " ".join(f"--{n.replace('_', '-')}" for n in known) or "none"
        raise RefusedError(f"{init} has no --{name.replace('_', '-')}; it has: {has}")
    parameters = {name: options.get(name, default) for name, default in known.items()}
    try:
        for name, value in parameters.items():
            if isinstance(known[name], float):
                parameters[name] = _plain(name, value)
        if "seed" in known:
            parameters["seed"] = key(parameters["seed"])
        cls: Any = IN_PARTS[init].cls
        return cls(**parameters).lazy(options["shape"], options.get("dtype")), parameters
    except (TypeError, ValueError, OverflowError, ImportError) as error:
        raise RefusedError(str(error)) from None


def _row_range(rows: tuple[int | None, int | None], count: int) -> tuple[int, int]:
    """Return the ends of --rows, read as a slice that must lie within the array."""
    first, end = rows
    first = 0 if first is None else first + count * (first < 0)
    end = count if end is None else end + count * (end < 0)
    if not 0 <= first < end <= count and (first, end) != (0, count):
        text = ":".join("" if i is None else str(i) for i in rows)
        raise RefusedError(f"--rows {text} is empty or not within the {count} rows of the shape")
    return first, end


class Job:
    """The array to write; `asked` holds all options that matter, resolved.

    `version` is the version of fastinit that began the file.
    """

    def __init__(self, target: Path, options: Mapping[str, Any], version: str = VERSION) -> None:
        self.lazy, parameters = _lazy(options)
        assert isinstance(self.lazy.source, RangeSource)
        self.source = self.lazy.source
        shape, dtype = self.lazy.shape, self.lazy.dtype
        first, end = _row_range(options.get("rows", (None, None)), shape[0])
        self.is_part = (first, end) != (0, shape[0])
        if self.is_part and draws_seed(options):
            raise RefusedError("--rows needs --seed: the files of one array share its seed")
        self.shape = (end - first, *shape[1:])
        self.start = first * prod(shape[1:])
        self.nbytes = prod(self.shape) * dtype.itemsize
        # NumPy multiplies the other dimensions even if one is 0.
        if prod(d or 1 for d in self.shape) * dtype.itemsize > LARGEST_ARRAY:
            raise RefusedError("the array has 2**63 bytes or more, more than a file can have")
        self.asked: dict[str, Any] = {
            "init": options["init"],
            "shape": list(shape),
            "dtype": dtype.name,
            "rows": [first, end],
            **parameters,
            "stream_version": STREAM_VERSION,
            "fastinit_version": version,
        }
        self.suffix = target.suffix
        if target.suffix == ".safetensors":
            self.asked["name"] = options.get("name", "weight")
        elif "name" in options:
            raise RefusedError("a .npy file has no --name for its array")
        self.header = self._header_by(version)

    def __str__(self) -> str:
        """Return rows, shape, dtype and seed, as a report shows them."""
        seed = f", seed {self.asked['seed']}" if "seed" in self.asked else ""
        first, end = self.asked["rows"]
        rows = f"rows {first}:{end} of " if self.is_part else ""
        return f"{rows}{'x'.join(map(str, self.lazy.shape))} {self.lazy.dtype}{seed}"

    def _header_by(self, version: str) -> bytes:
        """Return the header that a version of fastinit writes."""
        asked = {**self.asked, "fastinit_version": version}
        name = asked.pop("name", "")
        asked["checksum"] = checksum(asked)
        metadata = {n: json.dumps(v).strip('"') for n, v in asked.items()}
        return ENCODERS[self.suffix](self.lazy.dtype, self.shape, name, metadata)

    def fill(self, out: Array, offset: int) -> None:
        """Fill an array with the values that begin at that byte."""
        start = self.start + offset // out.itemsize
        self.source.fill_range(out, start, self.lazy.shape)

    def is_in(self, path: Path) -> bool:
        """Return whether a file is finished, by its header, size, first and last values."""
        with open(path, "rb") as file:
            head = file.read(LARGEST_HEAD)
            found = decode(self.suffix, head)
            if found is None or found.size != os.fstat(file.fileno()).st_size:
                return False
            # Another version of fastinit may have written the same array.
            version = found.metadata.get("fastinit_version", VERSION)
            if not is_version(version) or head[: found.length] != self._header_by(version):
                return False
            n = min(1 << 16, prod(self.shape))
            out = np.empty(n, self.lazy.dtype)
            for offset in (0, self.nbytes - out.nbytes):
                file.seek(found.length + offset)
                self.fill(out, offset)
                if file.read(out.nbytes) != out.tobytes():
                    return False
        return True


def _as_written(name: str, value: Any) -> str:
    """Return the value of an option as it is written on the command line."""
    if isinstance(value, list):
        separator = {"shape": "x", "rows": ":"}.get(name, ",")
        return separator.join(map(str, value))
    return "none" if value is None else str(value)


def _check_equal(
    wanted: Mapping[str, Any], recorded: Mapping[str, Any], given: Mapping[str, Any], path: Path
) -> None:
    """Refuse to go on with a file that was begun with other options."""
    for name in wanted:
        now, before = wanted[name], recorded.get(name)
        if json.dumps(now) != json.dumps(before):
            option = name.replace("_", "-")
            default = "" if name in given else " by default"
            raise RefusedError(
                f"--{option} is {_as_written(name, now)}{default}, but {path} was begun with "
                f"{_as_written(name, before)}: --overwrite begins anew"
            )


def is_version(value: object) -> bool:
    """Return whether a value may be a version of fastinit."""
    return isinstance(value, str) and bool(re.fullmatch(r"[0-9A-Za-z.+!-]{1,64}", value))


def other_stream(recorded: Mapping[str, Any]) -> int | None:
    """Return the version of the stream of a record if it differs from this one, else None."""
    version = recorded.get("stream_version")
    return version if type(version) is int and version != STREAM_VERSION else None


def job_of(target: Path, recorded: Mapping[str, Any]) -> Job | None:
    """Return the job of a record; None if this version of the stream never writes such a record.

    Raises
    ------
    RefusedError
        The array of the record cannot be made, such as bfloat16 without ml_dtypes.
    """
    if not {"init", "shape", "stream_version"} <= recorded.keys():
        return None
    version = recorded.get("fastinit_version")
    if not is_version(version):
        return None
    about = ("stream_version", "fastinit_version")
    try:
        job = Job(target, {n: v for n, v in recorded.items() if n not in about}, str(version))
        same = json.dumps(job.asked, sort_keys=True) == json.dumps(recorded, sort_keys=True)
    except RefusedError:
        raise
    except Exception:  # options that no run has written can raise anything
        return None
    return job if same else None


def waiting_job(target: Path, file: Path, path: Path) -> Job | None:
    """Return the job of a file's record that waits to be published, if the file at a path has it.

    The path is that of the file, or of the file until it is complete.
    """
    try:
        recorded = read_record(partial_of(record_of(file)))
        job = job_of(target, recorded) if recorded else None
    except (OSError, RefusedError):
        return None
    return job if job is not None and job.is_in(path) else None


def _recorded_job(target: Path, recorded: Mapping[str, Any], path: Path) -> Job:
    """Return the job of the record in NAME.partial."""
    version = other_stream(recorded)
    if version is not None:
        raise RefusedError(
            f"{path} was begun with version {version} of the stream, and this is version "
            f"{STREAM_VERSION}: --overwrite without --resume begins anew"
        )
    job = job_of(target, recorded)
    if job is None:
        raise RefusedError(f"{path} is damaged: --overwrite without --resume begins anew")
    return job


def resumed_job(
    target: Path, given: Mapping[str, Any], recorded: Mapping[str, Any], path: Path
) -> Job:
    """Return the job that a record describes; options that are given again must be the same."""
    job = _recorded_job(target, recorded, path)
    if not given:
        return job
    options = dict(given)
    if not {"init", "shape"} <= given.keys():
        # These two come first: they decide what the others mean.
        deciding = {n: given[n] for n in ("init", "shape") if n in given}
        _check_equal(deciding, recorded, given, path)
        options = {**recorded, **given}
        for name in ("stream_version", "fastinit_version"):
            options.pop(name)
    if options.get("init") == recorded["init"] and "seed" in recorded:
        options = {"seed": recorded["seed"], **options}
    job = Job(target, options, recorded["fastinit_version"])
    _check_equal({**dict.fromkeys(recorded), **job.asked}, recorded, given, path)
    return job


def amount(nbytes: float) -> str:
    """Return a number of bytes as a report shows it."""
    power = min(4, (len(str(int(nbytes))) - 1) // 3)
    return f"{nbytes / 1000**power:.3g} {('bytes', 'kB', 'MB', 'GB', 'TB')[power]}"
