"""Compare the values of a file with those that its record describes."""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass
from math import prod
from threading import Lock
from typing import TYPE_CHECKING, Any

import numpy as np

from .._kernels import STREAM_VERSION
from .errors import RefusedError
from .headers import LARGEST_HEAD, decode
from .job import Job, amount, draws_seed, job_of, other_stream, waiting_job
from .names import command_to_resume, partial_of, record_of, resolved
from .record import read_record, record_in
from .steps import is_same_file
from .write import in_chunks

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from io import FileIO
    from pathlib import Path

    from .._typing import Array
    from .headers import Header
    from .write import Progress


@dataclass(frozen=True)
class Difference:
    """The difference between a file and the expected values."""

    count: int  # of elements that differ
    first: tuple[int, ...]  # the index of the first of them in the file's array
    found: str
    expected: str


@dataclass(frozen=True)
class Comparison:
    """The result for one file."""

    job: Job
    by: str  # "recorded" or "asked for"
    difference: Difference | None

    def __str__(self) -> str:
        """Return the result as a report shows it."""
        if self.difference is None:
            return f"{self.job}: all {amount(self.job.nbytes)} are as {self.by}"
        count, size = self.difference.count, prod(self.job.shape)
        differ = "differs from what is" if count == 1 else "differ from what is"
        return (
            f"{self.job}: {count} of {size} elements {differ} {self.by}, the first at "
            f"{list(self.difference.first)}: {self.difference.found} and not "
            f"{self.difference.expected}"
        )


def _check_finished(target: Path, file: Path) -> None:
    """Refuse a file that is not finished."""
    try:
        mode = os.stat(file).st_mode
    except FileNotFoundError:
        if os.path.lexists(partial_of(file)):
            hint = command_to_resume(target)
            raise RefusedError(f"{target} is not finished: {hint} goes on") from None
        raise
    if not stat.S_ISREG(mode):
        what = "a directory" if stat.S_ISDIR(mode) else "no regular file"
        raise RefusedError(f"{target} is {what}")


def _check_published(target: Path, file: Path) -> None:
    """Refuse a file whose record was not published: an older record may have its name."""
    partial = partial_of(file)
    is_replaced = os.path.lexists(partial) and not is_same_file(partial, file)
    # A waiting record of other values was left by a run that has not replaced the file.
    if not is_replaced and waiting_job(target, file, file) is not None:
        raise RefusedError(
            f"{target} was published, but a run was killed before it published the record: "
            f"{command_to_resume(target)} does that"
        )


def _recorded(target: Path, file: Path, header: Header) -> tuple[dict[str, Any], Path | str]:
    """Return the record of a file, and where it is, for messages."""
    if target.suffix == ".safetensors":
        where: Path | str = f"the metadata of {target}"
        recorded = record_in(header)
    else:
        _check_published(target, file)
        where = record_of(file)
        try:
            recorded = read_record(where)
        except FileNotFoundError:
            raise RefusedError(
                f"{target} has no record, {where}: give the options that made it, --init, --shape "
                "and so on"
            ) from None
    if recorded is None:
        raise RefusedError(f"{where} is no record that create has written, or was edited")
    return recorded, where


def _recorded_job(target: Path, file: Path, header: Header) -> Job:
    """Return the job that a file's record describes."""
    recorded, where = _recorded(target, file, header)
    version = other_stream(recorded)
    if version is not None:
        raise RefusedError(
            f"{target} was made by version {version} of the stream, and this is version "
            f"{STREAM_VERSION}"
        )
    try:
        job = job_of(target, recorded)
    except RefusedError as error:
        raise RefusedError(f"{where} describes no array that can be made: {error}") from None
    if job is None:
        raise RefusedError(f"{where} describes no array that create writes")
    return job


def _asked_job(target: Path, options: Mapping[str, Any]) -> Job:
    """Return the job that the options describe."""
    for name in ("init", "shape"):
        if name not in options:
            raise RefusedError(
                f"--{name} is missing: give all options of create, or none to compare with the "
                "record"
            )
    if draws_seed(options):
        raise RefusedError("--seed is required: the values are random")
    return Job(target, options)


def _text(dtype: str, shape: tuple[int, ...]) -> str:
    return f"{'x'.join(map(str, shape))} {dtype}"


def _check_header(target: Path, header: Header, size: int, job: Job, by: str) -> None:
    """Refuse a file whose header or size is not that of the job."""
    found = _text(header.dtype, header.shape)
    expected = _text(job.lazy.dtype.name, job.shape)
    if found != expected:
        raise RefusedError(f"{target}: its header says {found}, but {expected} is {by}")
    if size != header.size:
        what = "cut short" if size < header.size else "longer than its header says"
        raise RefusedError(f"{target} is {what}: it has {size} bytes and not {header.size}")


def _texts(found: Array, expected: Array) -> tuple[str, str]:
    """Return texts for two arrays of one element that differ in their bits."""
    texts = str(found[0]), str(expected[0])
    if texts[0] != texts[1]:
        return texts
    # Such as two that are no number, or 2 as a bool.
    bits = found.tobytes()[::-1].hex(), expected.tobytes()[::-1].hex()
    return f"0x{bits[0]} ({texts[0]})", f"0x{bits[1]} ({texts[1]})"


class _Differences:
    """Collect the differences that any number of threads find."""

    def __init__(self, job: Job) -> None:
        self._job, self._lock = job, Lock()
        self._count = 0
        self._first: tuple[int, str, str] | None = None  # element, and its values

    def compare(self, found: Array, expected: Array, offset: int) -> None:
        """Compare the values that begin at byte `offset`, bit by bit."""
        # Integers of eight bytes are the fastest to compare.
        word = np.uint64 if found.nbytes % 8 == 0 else np.uint8
        if np.array_equal(found.view(word), expected.view(word)):
            return
        each = found.view(np.uint8).reshape(-1, found.itemsize)
        differs = (each != expected.view(np.uint8).reshape(each.shape)).any(axis=1)
        at = int(differs.argmax())
        texts = _texts(found[at : at + 1], expected[at : at + 1])
        first = offset // found.itemsize + at, *texts
        with self._lock:
            self._count += int(np.count_nonzero(differs))
            if self._first is None or first[0] < self._first[0]:
                self._first = first

    def result(self) -> Difference | None:
        """Return the difference, or None if there is none."""
        if self._first is None:
            return None
        element, found, expected = self._first
        index: list[int] = []
        for size in reversed(self._job.shape):
            element, place = divmod(element, size)
            index.insert(0, place)
        return Difference(self._count, tuple(index), found, expected)


def _compare(
    job: Job, file: FileIO, target: Path, first: int, threads: int, progress: Progress
) -> Difference | None:
    """Compare the values of an open file, which begin at byte `first`, on several threads."""
    reading = Lock()
    differences = _Differences(job)
    shown = 0

    def compare_chunk(memory: Array, offset: int, nbytes: int) -> None:
        found, expected = memory[:, : nbytes // memory.itemsize]
        job.fill(expected, offset)
        view = memoryview(found.view(np.uint8))
        with reading:
            file.seek(first + offset)
            while view:
                n = file.readinto(view)
                if not n:
                    raise RefusedError(f"{target} was cut short while it was read")
                view = view[n:]
        differences.compare(found, expected, offset)

    def note(done: int) -> None:
        nonlocal shown
        progress.update(done - shown)
        shown = done

    in_chunks(job, 0, threads, 2, compare_chunk, note)
    return differences.result()


def verify(
    target: Path,
    options: Mapping[str, Any],
    threads: int,
    start: Callable[[Job], Progress],
) -> Comparison:
    """Compare a file with its record, or with the options if any are given.

    Parameters
    ----------
    target : Path
        A .npy or .safetensors file.
    options : mapping
        The options of `create` that made the file; empty to use its record.
    threads : int
        Number of threads in addition to the calling one.
    start : callable
        Function that returns a progress bar for a job.

    Raises
    ------
    RefusedError
        There is no record, or none of this version of the stream; or the header or the size of the
        file is not that of the record.
    OSError
        The file cannot be read.
    """
    file = resolved(target)
    _check_finished(target, file)
    with open(file, "rb", buffering=0) as opened:
        header = decode(target.suffix, opened.read(LARGEST_HEAD))
        if header is None:
            raise RefusedError(f"{target} has no header such as create writes")
        by = "asked for" if options else "recorded"
        job = _asked_job(target, options) if options else _recorded_job(target, file, header)
        if "name" in options and options["name"] != header.name:
            raise RefusedError(f"{target}: its array is called {header.name!r}")
        _check_header(target, header, os.fstat(opened.fileno()).st_size, job, by)
        progress = start(job)
        try:
            difference = _compare(job, opened, target, header.length, threads, progress)
        finally:
            progress.close()  # this ends the bar's line before another begins
    return Comparison(job, by, difference)
