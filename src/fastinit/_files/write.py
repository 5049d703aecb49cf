"""The threads that fill chunks of an array and write them to a file."""

from __future__ import annotations

import time
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from queue import SimpleQueue
from threading import Lock
from typing import TYPE_CHECKING, Protocol

import numpy as np

from .._memory import empty
from .._threads import leave_place

if TYPE_CHECKING:
    from concurrent.futures import Future

    from .._typing import Array
    from .job import Job
    from .partial import Partial

# Bytes that a thread fills and writes at a time.  Smaller ones need more calls, larger ones leave
# the cache.
CHUNK = 4 << 20
# More threads are faster than any disk, and each needs memory for a chunk.
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


def write_values(job: Job, file: Partial, written: int, threads: int, progress: Progress) -> None:
    """Write the values from byte `written` on.

    Each thread fills a chunk and writes it: none waits for another, and while one waits for the
    disk the others fill.  There is one thread more than asked for, so that filling never stops for
    writing.
    """
    workers = min(threads, MOST_THREADS) + 1
    free: SimpleQueue[Array] = SimpleQueue()
    for _ in range(workers):
        free.put(empty((CHUNK // job.lazy.dtype.itemsize,), job.lazy.dtype))

    # Systems let one thread at a time write to a file, and the others would wait busily.
    writing = Lock()

    def write_chunk(offset: int, nbytes: int) -> int:
        buffer = free.get()
        try:
            out = buffer[: nbytes // buffer.itemsize]
            job.fill(out, offset)
            with writing:
                file.write(out.view(np.uint8), offset)
        finally:
            free.put(buffer)
        return nbytes

    pending: deque[Future[int]] = deque()
    keeping: Future[None] | None = None
    due = time.monotonic() + KEEP_SECONDS
    with (
        ThreadPoolExecutor(workers, initializer=leave_place) as pool,
        ThreadPoolExecutor(1) as keeper,
    ):
        try:
            for offset in range(written, job.nbytes, CHUNK):
                if len(pending) == 2 * workers:
                    n = pending.popleft().result()
                    written += n
                    progress.update(n)
                    if time.monotonic() > due and (keeping is None or keeping.done()):
                        if keeping:
                            keeping.result()
                        keeping = keeper.submit(file.keep, written)
                        due = time.monotonic() + KEEP_SECONDS
                pending.append(pool.submit(write_chunk, offset, min(CHUNK, job.nbytes - offset)))
            while pending:
                progress.update(pending.popleft().result())
            if keeping:
                keeping.result()
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
