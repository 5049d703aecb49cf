"""Create a file of one array: look at what is there, decide, carry it out."""

from __future__ import annotations

import os
import stat
import time
from contextlib import nullcontext, suppress
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

from .._disk import DISK_FULL
from .._threads import get_num_threads
from .decide import Action, Content, Found, Record, Request, decide, foreign
from .errors import RefusedError
from .job import Job, amount, draws_seed, resumed_job, takes_seed, waiting_job
from .locks import locked
from .names import command_to_resume, partial_of, record_of, resolved
from .partial import Partial, open_partial
from .record import check_waiting, publish_record, read_record, record_removed, write_record
from .steps import is_same_file
from .write import Progress, write_values

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path


@dataclass(frozen=True)
class Creation:
    """What was asked for, and how to report on it."""

    target: Path
    options: Mapping[str, Any]
    resume: bool
    overwrite: bool
    record: bool
    quiet: bool
    threads: int | None
    progress: Callable[[Job, int], Progress]  # (job, bytes that are written already)
    tell: Callable[[str], bool]  # prints a line, and returns whether it could

    @cached_property
    def file(self) -> Path:
        """The file that is written: if NAME is a symbolic link, the file that it points to."""
        return resolved(self.target)

    @property
    def path(self) -> Path:
        """NAME.partial."""
        return partial_of(self.file)

    @property
    def keeps_record(self) -> bool:
        """Whether a file beside NAME will contain the record."""
        return self.record and self.target.suffix == ".npy"

    def request(self, loses_seed: bool = False) -> Request:
        """Return what the decision depends on."""
        options = frozenset(self.options)
        decides_values = {"init", "shape"} <= options and not draws_seed(self.options)
        takes = takes_seed(self.options)
        return Request(
            self.resume,
            self.overwrite,
            options,
            decides_values,
            loses_seed,
            takes,
            self.keeps_record,
        )

    @property
    def must_tell_seed(self) -> bool:
        """Whether a seed is drawn that neither the file nor a record will contain."""
        lost = self.target.suffix == ".npy" and not self.record
        return lost and draws_seed(self.options)

    @property
    def command_to_resume(self) -> str:
        """The command that continues after an interruption."""
        options = ["--overwrite"] * self.overwrite + ["--no-record"] * (not self.record)
        return command_to_resume(self.target, *options)


def _remove_second_name(path: Path, target: Path) -> bool:
    """Remove NAME.partial if a run was killed in publish(); return whether one was."""
    if not is_same_file(path, target):
        return False
    with open_partial(path):  # another run may be about to do the same
        if is_same_file(path, target):
            path.unlink()
    return True


def _publish_waiting_record(creation: Creation) -> bool:
    """Publish the record if a run was killed before it did; return whether one was."""
    file, waiting = creation.file, partial_of(record_of(creation.file))
    if creation.target.suffix != ".npy" or not os.path.lexists(waiting):
        return False
    if os.path.lexists(creation.path) or not file.exists():
        return False
    # The run that made the file holds the lock until it ends.
    with open(file, "rb") as opened, locked(opened.fileno(), creation.path):
        if not os.path.lexists(waiting):
            return False
        if not creation.record:
            waiting.unlink()
            return True
        job = waiting_job(creation.target, file, file)
        if job is not None:
            publish_record(file)
        return job is not None


def _record_content(creation: Creation) -> Record:
    """Return what kind of file has the name of the record."""
    if creation.target.suffix != ".npy":
        return Record.ABSENT
    try:
        recorded = read_record(record_of(creation.file))
    except FileNotFoundError:
        return Record.ABSENT
    except OSError:  # the file cannot be read
        return Record.FOREIGN
    return Record.FOREIGN if recorded is None else Record.OURS


def _content(file: Partial, suffix: str) -> Content:
    if file.is_empty():
        return Content.EMPTY
    if file.read_record() is not None:
        return Content.UNFINISHED
    if file.is_complete(suffix):
        return Content.COMPLETE
    return Content.BLANK if file.is_blank() else Content.FOREIGN


def _look(creation: Creation) -> Found:
    """Return what is there before NAME.partial is opened."""
    target, file, path = creation.target, creation.file, creation.path
    try:
        mode = os.stat(file).st_mode
    except (FileNotFoundError, NotADirectoryError):
        mode = stat.S_IFREG
    found = Found(
        target=str(target),
        partial=str(path),
        parent=str(file.parent),
        record=str(record_of(file)),
        has_parent=file.parent.is_dir(),
        target_is_directory=stat.S_ISDIR(mode),
        target_is_special=not stat.S_ISREG(mode),
    )
    if found.target_is_special or not found.has_parent:
        return found
    had_two_names = _remove_second_name(path, file)
    return replace(
        found,
        was_published=_publish_waiting_record(creation) or had_two_names,
        target_exists=os.path.lexists(target),
        content=Content.UNREAD if os.path.lexists(path) else Content.ABSENT,
        record_content=_record_content(creation),
    )


def _decide(creation: Creation, found: Found) -> Action:
    """Return the action; raise RefusedError where there is none."""
    decision = decide(creation.request(), found)
    if decision.action is Action.COMPARE:
        path = creation.path if found.content is Content.COMPLETE else creation.file
        same = Job(creation.target, creation.options).is_in(path)
        decision = decide(creation.request(), replace(found, holds_what_was_asked=same))
    if decision.action is Action.BEGIN:
        Job(creation.target, creation.options)  # errors in the options are reported first
        loses_seed = creation.quiet and creation.must_tell_seed
        decision = decide(creation.request(loses_seed), found)
    if decision.action is Action.REFUSE:
        raise RefusedError(decision.message)
    return decision.action


def create(creation: Creation) -> str:
    """Write the file and return the line to print about it.

    Raises
    ------
    RefusedError
        There is something that the user has to change.
    OSError
        The file system failed before anything was written.
    KeyboardInterrupt
        The run was interrupted; what is written is kept, and the message says how to go on.
    """
    target, path = creation.target, creation.path
    found = _look(creation)
    action = _decide(creation, found)
    if action is Action.FINISHED:
        return f"{target} is finished already{_complete_record(creation)}"
    if creation.keeps_record:
        check_waiting(creation.file)
    job = None if action is Action.OPEN else Job(target, creation.options)
    with open_partial(path) as file:
        # The target is looked for again, since another run may have published it.
        content = _content(file, target.suffix)
        action = _decide(
            creation, replace(found, target_exists=os.path.lexists(target), content=content)
        )
        written = 0
        if action is Action.BEGIN:
            job = job or Job(target, creation.options)
            _tell_seed(creation, job)
        try:
            if action is Action.PUBLISH:
                return _publish_complete(creation, file)
            if action is Action.RESUME:
                record = file.read_record()
                assert record is not None  # _content() has just read it, and the file is locked
                recorded, written = record
                job = resumed_job(target, creation.options, recorded, path)
                file.resume(job.header, job.nbytes, job.lazy.dtype.itemsize)
            else:
                assert job is not None
                file.begin(job.header, job.nbytes, job.asked)
                if creation.overwrite:
                    file.hide_like(creation.file)
            return _write(creation, job, file, written)
        except (OSError, MemoryError) as error:
            raise RefusedError(_failure(creation, file, error, written)) from None
        except KeyboardInterrupt:
            raise KeyboardInterrupt(*_interruption(creation, file)) from None


def _tell_seed(creation: Creation, job: Job) -> None:
    """Print a drawn seed that the file will not hold, so that no later failure can lose it."""
    if creation.must_tell_seed and not creation.tell(
        f"{creation.target}: the seed is {job.asked['seed']}"
    ):
        raise RefusedError("--seed is needed where nothing can be printed: the drawn one is lost")


def _complete_record(creation: Creation) -> str:
    """Write the record of a finished file if it has none; return the report's words about it."""
    if not creation.keeps_record or not creation.options:
        return ""
    file, job = creation.file, Job(creation.target, creation.options)
    record = record_of(file)
    try:
        with open(file, "rb") as opened, locked(opened.fileno(), creation.path):
            if os.path.lexists(record):
                found = read_record(record)
                if found is None:
                    raise RefusedError(foreign(str(record)))
                if {**found, "fastinit_version": ""} != {**job.asked, "fastinit_version": ""}:
                    raise RefusedError(
                        f"{creation.target} holds what was asked for, and {record} says something "
                        "else: remove it, and --resume writes it anew"
                    )
                return ""
            write_record(file, job.asked)
            publish_record(file)
    except OSError as error:  # the directory may not be writable
        return f"; its record cannot be written: {error.strerror}"
    return "; it had no record, and has one now"


def _publish_complete(creation: Creation, file: Partial) -> str:
    """Publish a NAME.partial that is complete; return the line to print about it."""
    job = waiting_job(creation.target, creation.file, creation.path)
    if creation.options:  # the options have been compared with the file
        job = Job(creation.target, creation.options)
        if creation.keeps_record:
            write_record(creation.file, job.asked)
    _publish(creation, file, job is not None)
    said = f"{creation.target}: {creation.path.name} was complete and has been renamed"
    if creation.keeps_record and job is None:
        return f"{said}; no record says what made it"
    return said


def _publish(creation: Creation, file: Partial, has_record: bool = True) -> None:
    """Rename the complete file, then the record that has been written."""
    keeps = creation.keeps_record and has_record
    drops = creation.target.suffix == ".npy" and not keeps
    with record_removed(creation.file) if drops else nullcontext():
        file.publish(creation.file, creation.overwrite)
    if keeps:
        publish_record(creation.file)


def _failure(creation: Creation, file: Partial, error: OSError | MemoryError, written: int) -> str:
    """Return the message for an error, and remove a file that holds nothing to go on with."""
    full = isinstance(error, OSError) and error.errno in DISK_FULL
    if full and not written and not file.holds_all:
        # What an earlier run has written is not lost because this one fails.
        creation.path.unlink()
        kept = "; nothing of it is left there"
    elif file.is_published(creation.file) and not os.path.lexists(creation.path):
        kept = f"; the file is complete, but has no record; to go on: {creation.command_to_resume}"
    elif file.is_empty():
        kept = ""
    else:
        kept = f"; {creation.path} is kept; to go on: {creation.command_to_resume}"
    reason = error.strerror if isinstance(error, OSError) else None
    return f"{creation.target}: {reason or str(error) or 'out of memory'}{kept}"


def _interruption(creation: Creation, file: Partial) -> list[str]:
    """Return the message after Ctrl-C as a list, empty if nothing has begun."""
    if file.is_published(creation.file):
        with suppress(FileNotFoundError):
            creation.path.unlink()
        if os.path.lexists(partial_of(record_of(creation.file))):
            return [f"interrupted; to go on: {creation.command_to_resume}"]
        return [f"interrupted, but {creation.target} is finished"]
    if file.is_empty():
        return []
    return [f"interrupted; to go on: {creation.command_to_resume}"]


def _write(creation: Creation, job: Job, file: Partial, written: int) -> str:
    """Write what is left and publish it; return the line to print about it."""
    target, left = creation.target, job.nbytes - written

    def keep_record() -> None:
        if creation.keeps_record:
            write_record(creation.file, job.asked)

    start = time.monotonic()
    progress = creation.progress(job, written)
    try:
        write_values(job, file, written, creation.threads or get_num_threads(), progress)
        progress.set_postfix_str("waiting for the disk")
        file.finish(keep_record)
        _publish(creation, file)
    finally:
        progress.close()  # the bar's line ends before any other begins
    seconds = max(time.monotonic() - start, 1e-3)
    took = f"{seconds:.1f}" if seconds >= 10 else f"{seconds:.2g}"
    return f"{target}: {job}; {amount(left)} in {took} s, {amount(left / seconds)}/s"
