"""Lock NAME.partial against other runs."""

from __future__ import annotations

import os
import platform
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from .errors import RefusedError

try:
    import fcntl
except ImportError:  # Windows
    HAS_LOCKS = False
else:
    HAS_LOCKS = True

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


def above_standard_streams(fd: int) -> int:
    """Return a descriptor of the same file that is none of 0, 1 and 2.

    If one of these is closed, the next file that is opened gets its number, and with it whatever
    the process prints there; libraries print errors, for example.
    """
    if fd > 2:
        return fd
    other: int = fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, 3)
    os.close(fd)
    return other


def _flock(fd: int, path: Path) -> bool:
    """Lock an open file; return False where its file system has no locks."""
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise RefusedError(f"{path}: another run is writing it") from None
    except OSError:  # ENOLCK, ENOTSUP, ENOSYS: Lustre, some NFS
        return False
    return True


@contextmanager
def _lock_file(path: Path) -> Iterator[None]:
    """Lock a file by creating another one beside it, which only one run can do.

    Two runs at once must not write one file, not even the same values: the first to finish gives it
    its name, and the other would go on writing to it.  A run that is killed leaves its lock behind.
    That lock cannot be told for certain from the lock of a run on another machine, so the user must
    decide.
    """
    lock = path.with_name(f"{path.name}.lock")
    try:
        fd = os.open(lock, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)
    except FileExistsError:
        owner = "another run"
        with suppress(OSError):
            owner = lock.read_text(encoding="utf-8", errors="replace")[:200] or owner
        raise RefusedError(
            f"{path}: {owner} is writing it, or was killed: if it runs no more, remove {lock}"
        ) from None
    try:
        fd = above_standard_streams(fd)
        with suppress(OSError):  # a full disk
            os.write(fd, f"process {os.getpid()} of {platform.node()}".encode())
        os.close(fd)
        yield
    finally:
        with suppress(FileNotFoundError):
            os.unlink(lock)


@contextmanager
def locked(fd: int, path: Path) -> Iterator[None]:
    """Hold the lock of an open file.

    Raises
    ------
    RefusedError
        Another run holds it.
    OSError
        The file system has no locks, and no file can be created beside this one either.
    """
    if _flock(fd, path):
        yield
    else:
        with _lock_file(path):
            yield
