"""The threads that fill chunks of an array, and write them to a file."""

from __future__ import annotations

import time
from threading import Lock, Thread
from typing import TYPE_CHECKING, Protocol

import numpy as np

from .._memory import empty
from .._threads import leave_place

if TYPE_CHECKING:
    from collections.abc import Callable

    from .._typing import Array
    from .job import Job
    from .partial import Partial

# Bytes that a thread fills and writes at a time.  Smaller chunks need more calls; larger ones do
# not stay in the cache.
CHUNK = 4 << 20
# So many threads are faster than any disk, and each needs memory for a chunk.
MOST_THREADS = 16
# Progress is noted this often, since each note waits for the disk.
KEEP_SECONDS = 1.0


class Progress(Protocol):
    """What a progress bar must offer; tqdm does."""

    def update(self, n: int) -> object:
        """Note that n more bytes are written."""

    def set_postfix_str(self, text: str) -> object:
        """Show a text behind the bar."""

    def close(self) -> object:
        """End the bar."""


class _Chunks:
    """The chunks that are left, which any number of threads take in their order and write."""

    def __init__(self, first: int, end: int) -> None:
        self._lock = Lock()
        self._next, self._end = first, end
        self._taken: set[int] = set()
        self.failure: BaseException | None = None

    def take(self) -> int | None:
        """Return where the next chunk begins; None where none is left, or one has failed."""
        with self._lock:
            if self._next >= self._end or self.failure is not None:
                return None
            offset = self._next
            self._taken.add(offset)
            self._next += CHUNK
            return offset

    def done(self, offset: int) -> None:
        """Note that a chunk is written."""
        with self._lock:
            self._taken.remove(offset)

    def fail(self, error: BaseException) -> None:
        """Let no thread begin another chunk."""
        with self._lock:
            self.failure = self.failure or error

    def written(self) -> int:
        """Return up to which byte everything is written."""
        with self._lock:
            return min(self._taken, default=min(self._next, self._end))


def _start(
    threads: list[Thread], count: int, work: Callable[[Array], None], buffer: Callable[[], Array]
) -> None:
    """Start up to `count` threads, each with memory of its own, as many as the system allows."""
    for _ in range(count):
        try:
            thread = Thread(target=work, args=(buffer(),))
            threads.append(thread)
            thread.start()
        except (RuntimeError, MemoryError):  # a limit of the user or of the container
            return


def _join(threads: list[Thread], chunks: _Chunks) -> None:
    """Wait for all threads, also after Ctrl-C: none may write when the file is closed."""
    for thread in threads:
        while thread.is_alive():
            try:
                thread.join()
            except KeyboardInterrupt as stop:
                chunks.fail(stop)


def in_chunks(
    job: Job,
    first: int,
    threads: int,
    buffers: int,
    work: Callable[[Array, int, int], None],
    note: Callable[[int], None],
) -> None:
    """Call ``work(memory, offset, nbytes)`` for every chunk of the values from byte `first` on.

    None of the threads waits for another.  The calling thread works in addition to those that are
    asked for; if the system refuses threads, it works alone.  `memory` belongs to the thread: so
    many buffers, each of the size of a chunk.  The calling thread alone calls ``note(done)``, after
    each of its chunks, with the byte up to which everything is done.
    """
    chunks = _Chunks(first, job.nbytes)

    def buffer() -> Array:
        return empty((buffers, CHUNK // job.lazy.dtype.itemsize), job.lazy.dtype)

    def work_on_next(memory: Array) -> bool:
        """Work on the next chunk; return False where none is left."""
        offset = chunks.take()
        if offset is None:
            return False
        work(memory, offset, min(CHUNK, job.nbytes - offset))
        chunks.done(offset)
        return True

    def help_out(memory: Array) -> None:
        leave_place()
        try:
            while work_on_next(memory):
                pass
        except BaseException as error:
            chunks.fail(error)

    helpers: list[Thread] = []
    try:
        own = buffer()
        others = -(-(job.nbytes - first) // CHUNK) - 1  # chunks beside the first
        _start(helpers, min(threads, MOST_THREADS, others), help_out, buffer)
        while work_on_next(own):
            note(chunks.written())
    except BaseException as error:
        chunks.fail(error)
    _join(helpers, chunks)
    if chunks.failure is not None:
        raise chunks.failure
    note(job.nbytes)


def write_values(job: Job, file: Partial, written: int, threads: int, progress: Progress) -> None:
    """Write the values from byte `written` on.

    Each thread fills a chunk and writes it: while one waits for the disk the others fill.
    """
    # Systems let one thread at a time write to a file, and the others would spin.
    writing = Lock()
    shown, due = written, time.monotonic() + KEEP_SECONDS

    def write_chunk(memory: Array, offset: int, nbytes: int) -> None:
        out = memory[0, : nbytes // memory.itemsize]
        job.fill(out, offset)
        with writing:
            file.write(out.view(np.uint8), offset)

    def note(done: int) -> None:
        nonlocal shown, due
        progress.update(done - shown)
        shown = done
        if time.monotonic() >= due and done < job.nbytes:
            file.keep(done)
            due = time.monotonic() + KEEP_SECONDS

    in_chunks(job, written, threads, 1, write_chunk, note)
