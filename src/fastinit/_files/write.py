"""The threads that fill chunks of an array and write them to a file."""

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


def write_values(job: Job, file: Partial, written: int, threads: int, progress: Progress) -> None:
    """Write the values from byte `written` on.

    Each thread fills a chunk and writes it: none waits for another, and while one waits for the
    disk the others fill.  The calling thread works in addition to those that are asked for, so that
    filling never stops for writing.  If the system refuses threads, it works alone.
    """
    chunks = _Chunks(written, job.nbytes)
    # Systems let one thread at a time write to a file, and the others would spin.
    writing = Lock()

    def buffer() -> Array:
        return empty((CHUNK // job.lazy.dtype.itemsize,), job.lazy.dtype)

    def write_chunk(memory: Array) -> bool:
        """Write the next chunk; return False where none is left."""
        offset = chunks.take()
        if offset is None:
            return False
        out = memory[: min(CHUNK, job.nbytes - offset) // memory.itemsize]
        job.fill(out, offset)
        with writing:
            file.write(out.view(np.uint8), offset)
        chunks.done(offset)
        return True

    def work(memory: Array) -> None:
        leave_place()
        try:
            while write_chunk(memory):
                pass
        except BaseException as error:
            chunks.fail(error)

    helpers: list[Thread] = []
    shown, due = written, time.monotonic() + KEEP_SECONDS
    try:
        own = buffer()
        others = -(-(job.nbytes - written) // CHUNK) - 1  # chunks beside the first
        _start(helpers, min(threads, MOST_THREADS, others), work, buffer)
        while write_chunk(own):
            written = chunks.written()
            progress.update(written - shown)
            shown = written
            if time.monotonic() >= due:
                file.keep(written)
                due = time.monotonic() + KEEP_SECONDS
    except BaseException as error:
        chunks.fail(error)
    _join(helpers, chunks)
    if chunks.failure is not None:
        raise chunks.failure
    progress.update(job.nbytes - shown)
