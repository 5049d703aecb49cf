"""The number of threads that a fill may use."""

import os
from contextlib import suppress
from math import ceil
from operator import index
from pathlib import Path
from typing import SupportsIndex

from ._kernels import bound_processors, thread_limit
from ._messages import shown, type_of


def _cgroup_quota() -> float | None:
    """Return how many processors the control groups grant; None where they set no limit."""
    limits = []
    try:
        lines = Path("/proc/self/cgroup").read_text().splitlines()
    except (OSError, ValueError):
        return None
    for line in lines:
        _, controllers, path = [*line.split(":", 2), "", ""][:3]
        if controllers == "":  # version 2: one tree
            root, files = Path("/sys/fs/cgroup"), ["cpu.max"]
        elif "cpu" in controllers.split(","):
            root, files = Path("/sys/fs/cgroup/cpu"), ["cpu.cfs_quota_us", "cpu.cfs_period_us"]
        else:
            continue
        # The limits of the groups above hold too.  Inside a container the path may be the host's,
        # and only its root is mounted: what cannot be read is passed over.
        group = root / path.lstrip("/")
        for directory in (group, *group.parents):
            if not directory.is_relative_to(root):
                break
            try:
                words = " ".join((directory / file).read_text() for file in files).split()
                quota, period = int(words[0]), int(words[1])
            except (OSError, ValueError, IndexError):  # absent, or "max"
                continue
            if quota > 0 and period > 0:
                limits.append(quota / period)
    return min(limits, default=None)


def _processors() -> set[int]:
    """Return the processors that the process may run on; none where the system does not say.

    A thread that OpenMP has bound to its place runs on that one only, and so does every thread that
    it starts.  The main thread is one of those when OMP_PROC_BIND is set.
    """
    if bound := bound_processors():
        return bound
    try:
        return os.sched_getaffinity(0)
    except AttributeError:  # not on macOS, not on Windows
        return set()


def leave_place() -> None:
    """Let the calling thread, which is not OpenMP's, run on all processors of the process."""
    if bound := bound_processors():
        with suppress(AttributeError, OSError):  # libomp binds threads where Python cannot
            os.sched_setaffinity(0, bound)


def _default() -> int:
    first = os.environ.get("OMP_NUM_THREADS", "").split(",")[0].strip()
    if first.isdecimal() and len(first) < 10 and int(first) > 0:
        return int(first)
    count = len(_processors()) or os.cpu_count() or 1
    quota = _cgroup_quota()
    return count if quota is None else max(1, min(count, ceil(quota)))


_MOST = 4096  # more than any machine has; each thread costs a stack
count = min(_default(), _MOST)


def get_num_threads() -> int:
    """Return how many threads a large fill uses.

    The default is ``OMP_NUM_THREADS`` where it is set, or else the number of processors that the
    affinity mask and the cgroup quota grant when fastinit is imported.  A limit that is set later
    in the calling thread counts, if it is one of OpenMP's, such as ``threadpoolctl`` sets.

    No value depends on the number of threads.  A fill uses fewer if the system refuses some.  The
    child of a fork fills on one thread whatever this returns: OpenMP's threads may not survive a
    fork.
    """
    return min(count, thread_limit())


def set_num_threads(n: SupportsIndex) -> None:
    """Set how many threads a large fill uses, for the whole process.

    Parameters
    ----------
    n : int
        The number of threads, from 1 to 4096.

    Raises
    ------
    TypeError
        ``n`` is no integer.
    ValueError
        ``n`` is out of range.
    """
    global count
    try:
        if isinstance(n, bool):
            raise TypeError
        n = index(n)
    except TypeError:  # also of an array of more than one element
        message = f"n must be an integer, received {shown(n)} of type {type_of(n)}"
        raise TypeError(message) from None
    if not 1 <= n <= _MOST:
        raise ValueError(f"n must be from 1 to {_MOST}, received {shown(n)}")
    count = n
