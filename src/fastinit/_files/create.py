"""Create a file of one array: look at what is there, decide, carry it out."""

from __future__ import annotations

import os
import shlex
import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from .._disk import DISK_FULL
from .._threads import get_num_threads, set_num_threads
from .decide import Action, Content, Found, Request, decide
from .errors import RefusedError
from .job import Job, draws_seed, resumed_job
from .partial import Partial, is_same_file, open_partial
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
    quiet: bool
    threads: int | None
    progress: Callable[[Job, int], Progress]  # (job, bytes that are written already)

    @property
    def path(self) -> Path:
        """NAME.partial."""
        return self.target.with_name(self.target.name + ".partial")

    def request(self, loses_seed: bool = False) -> Request:
        """Return what the decision depends on."""
        options = frozenset(self.options)
        decides_values = {"init", "shape"} <= options and not draws_seed(self.options)
        return Request(self.resume, self.overwrite, options, decides_values, loses_seed)

    @property
    def loses_seed(self) -> bool:
        """Whether a seed is drawn that is neither printed nor written."""
        return self.quiet and self.target.suffix == ".npy" and draws_seed(self.options)

    @property
    def command_to_resume(self) -> str:
        """The command that continues after an interruption."""
        command = ["fastinit", "create", str(self.target), "--resume"]
        return shlex.join(command + ["--overwrite"] * self.overwrite)


def _remove_second_name(path: Path, target: Path) -> bool:
    """Remove NAME.partial if a run was killed in publish(); return whether one was."""
    if not is_same_file(path, target):
        return False
    with open_partial(path):  # another run may be about to do the same
        if is_same_file(path, target):
            path.unlink()
    return True


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
    target, path = creation.target, creation.path
    found = Found(
        target=str(target),
        partial=str(path),
        parent=str(target.parent),
        has_parent=target.parent.is_dir(),
        target_is_directory=target.is_dir(),
    )
    if found.target_is_directory or not found.has_parent:
        return found
    return replace(
        found,
        was_published=_remove_second_name(path, target),
        target_exists=os.path.lexists(target),
        content=Content.UNREAD if os.path.lexists(path) else Content.ABSENT,
    )


def _decide(creation: Creation, found: Found) -> Action:
    """Return the action; raise RefusedError where there is none."""
    decision = decide(creation.request(), found)
    if decision.action is Action.COMPARE:
        path = creation.path if found.content is Content.COMPLETE else creation.target
        same = Job(creation.target, creation.options).is_in(path)
        decision = decide(creation.request(), replace(found, holds_what_was_asked=same))
    if decision.action is Action.BEGIN:
        Job(creation.target, creation.options)  # errors in the options are reported first
        decision = decide(creation.request(creation.loses_seed), found)
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
        The file system failed.
    KeyboardInterrupt
        The run was interrupted; what is written is kept, and the message says how to go on.
    """
    target, path = creation.target, creation.path
    found = _look(creation)
    action = _decide(creation, found)
    if action is Action.FINISHED:
        return f"{target} is finished already"
    job = None if action is Action.OPEN else Job(target, creation.options)
    with open_partial(path) as file:
        # The target is looked for again, since another run may have published it.
        content = _content(file, target.suffix)
        action = _decide(
            creation, replace(found, target_exists=os.path.lexists(target), content=content)
        )
        if action is Action.PUBLISH:
            file.publish(target, creation.overwrite)
            return f"{target}: {path.name} was complete and has been renamed"
        written = 0
        if action is Action.RESUME:
            record = file.read_record()
            assert record is not None  # _content() has just read it, and the file is locked
            recorded, written = record
            job = resumed_job(target, creation.options, recorded, path)
        job = job or Job(target, creation.options)
        try:
            if action is Action.RESUME:
                file.resume(job.header, job.nbytes)
            else:
                file.begin(job.header, job.nbytes, job.asked)
            return _write(creation, job, file, written)
        except OSError as error:
            if error.errno not in DISK_FULL:
                raise
            if written:  # by an earlier run: it is not lost because this one fails
                kept = f"{path} is kept; to go on: {creation.command_to_resume}"
            else:
                path.unlink()
                kept = "nothing of it is left there"
            raise RefusedError(f"{target}: {error.strerror}; {kept}") from None
        except KeyboardInterrupt:
            message = f"interrupted; to go on: {creation.command_to_resume}"
            raise KeyboardInterrupt(message) from None


def _write(creation: Creation, job: Job, file: Partial, written: int) -> str:
    """Write what is left and publish it; return the line to print about it."""
    target, left = creation.target, job.nbytes - written
    start = time.monotonic()
    progress = creation.progress(job, written)
    threads = get_num_threads()
    set_num_threads(1)  # each of the writing threads fills its own chunk
    try:
        write_values(job, file, written, creation.threads or threads, progress)
        progress.set_postfix_str("waiting for the disk")
        file.finish()
        file.publish(target, creation.overwrite)
    finally:
        progress.close()  # the bar's line ends before any other begins
        set_num_threads(threads)
    seconds = time.monotonic() - start
    shape = "x".join(map(str, job.shape))
    seed = f", seed {job.asked['seed']}" if "seed" in job.asked else ""
    return (
        f"{target}: {shape} {job.lazy.dtype}{seed}; {_size(left)} in {seconds:.1f} s, "
        f"{_size(left / max(seconds, 1e-3))}/s"
    )


def _size(nbytes: float) -> str:
    power = min(4, (len(str(int(nbytes))) - 1) // 3)
    return f"{nbytes / 1000**power:.3g} {('bytes', 'kB', 'MB', 'GB', 'TB')[power]}"
