"""NAME.partial: a file of one array from its beginning until it becomes NAME.

The values go to their final places in NAME.partial, which becomes NAME once it is complete.  Until
then there are zeros where the header will be, so that no loader takes it.  Behind the values comes
the trailer, from which an interrupted run is resumed.  It is written first, and cut off last, when
the header is on the disk.  So a file without a trailer is complete by its header, or nothing yet:

    how many bytes of the values are on the disk for certain    8 bytes
    what was asked for                                          JSON
    where the trailer begins                                    8 bytes
    b"fastinit"                                                 8 bytes

A trailer begins at a multiple of 8, so that its first number lies in one sector: after a loss of
power it is the old one or the new one.  Numbers are little-endian.
"""

from __future__ import annotations

import errno
import json
import os
import stat
import time
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

from .._disk import reserve_blocks
from .errors import RefusedError
from .headers import promised_size

try:
    import fcntl
except ImportError:  # Windows
    HAS_LOCKS = False
else:
    HAS_LOCKS = True

if TYPE_CHECKING:
    from collections.abc import Iterator
    from io import FileIO
    from pathlib import Path

_MAGIC = b"fastinit"
_LARGEST_FILE = (1 << 63) - 1  # bytes
_LARGEST_HEAD = 1 << 20  # bytes of a header, or of a trailer: a longer one is not ours
_sync = getattr(os, "fdatasync", os.fsync)  # macOS has no fdatasync


def _write_at(fd: int, data: Any, offset: int) -> None:
    view = memoryview(data)
    while view:
        n = os.pwrite(fd, view, offset)
        view, offset = view[n:], offset + n


def _reserve_file(fd: int, size: int) -> None:
    """Set the file's size and reserve its blocks, so that a full disk is noticed at once.

    Most disks reserve any number of blocks in no time.  Where blocks are made one by one, in memory
    or by NFS, it stops early: there the reserving takes as long as the writing.
    """
    disk = os.fstatvfs(fd)
    free = disk.f_bfree * disk.f_frsize + os.fstat(fd).st_blocks * 512
    if disk.f_blocks and size > free:  # f_blocks is 0 where there is no limit
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    os.ftruncate(fd, size)
    done, n, end = 0, 1 << 20, time.monotonic() + 0.02
    while done < size and time.monotonic() < end:
        n = min(2 * n, size - done)
        if not reserve_blocks(fd, done, n):
            break
        done += n


def _sync_directory(path: Path) -> None:
    with suppress(OSError):  # some file systems cannot: there the name is stored later
        directory = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)


class Partial:
    """NAME.partial, open and locked."""

    def __init__(self, path: Path, file: FileIO) -> None:
        self.path = path
        self.fd = file.fileno()

    def read_record(self) -> tuple[dict[str, Any], int] | None:
        """Return what an earlier run was asked for, and how many bytes of values it has written.

        None means that there is no trailer.
        """
        size = os.fstat(self.fd).st_size
        end = os.pread(self.fd, 16, max(0, size - 16))
        at = int.from_bytes(end[:8], "little")
        if end[8:] != _MAGIC or not 0 < at <= size - 24 or size - at > _LARGEST_HEAD:
            return None
        trailer = os.pread(self.fd, size - at, at)
        try:
            asked = json.loads(trailer[8:-16])
        except (ValueError, RecursionError):  # other content
            return None
        self._trailer_at, self._written = at, int.from_bytes(trailer[:8], "little")
        return (asked, self._written) if isinstance(asked, dict) and "init" in asked else None

    def is_empty(self) -> bool:
        """Return whether the file has no content."""
        return os.fstat(self.fd).st_size == 0

    def is_complete(self, suffix: str) -> bool:
        """Return whether a file without a trailer is complete."""
        size = promised_size(suffix, os.pread(self.fd, _LARGEST_HEAD, 0))
        return size == os.fstat(self.fd).st_size

    def is_blank(self) -> bool:
        """Return whether a file without a trailer may be one whose run was killed early."""
        return not any(os.pread(self.fd, 64, 0))

    def begin(self, header: bytes, nbytes: int, asked: dict[str, Any]) -> None:
        """Reserve the disk space of a new file, and write its trailer."""
        self._lay_out(header, nbytes)
        trailer = bytes(8) + json.dumps(asked).encode()
        trailer += self.mark.to_bytes(8, "little") + _MAGIC
        if self.mark + len(trailer) > _LARGEST_FILE:
            raise RefusedError(f"{nbytes} bytes are more than a file can have")
        os.ftruncate(self.fd, 0)
        _write_at(self.fd, trailer, self.mark)
        os.fsync(self.fd)
        _sync_directory(self.path)
        _reserve_file(self.fd, self.mark + len(trailer))

    def resume(self, header: bytes, nbytes: int) -> None:
        """Continue a file whose record has been read."""
        self._lay_out(header, nbytes)
        if self._trailer_at != self.mark:
            raise RefusedError(f"{self.path} has another header: --overwrite begins anew")
        if self._written > nbytes:
            raise RefusedError(f"{self.path} is damaged: --overwrite begins anew")
        _reserve_file(self.fd, os.fstat(self.fd).st_size)

    def _lay_out(self, header: bytes, nbytes: int) -> None:
        self.header = header
        self.size = len(header) + nbytes
        self.mark = -(-self.size // 8) * 8  # where the trailer begins

    def write(self, values: Any, offset: int) -> None:
        """Write bytes of the values; any thread may call it."""
        _write_at(self.fd, values, len(self.header) + offset)

    def keep(self, written: int) -> None:
        """Note that so many bytes, written before, need not be written again."""
        _sync(self.fd)
        _write_at(self.fd, written.to_bytes(8, "little"), self.mark)

    def finish(self) -> None:
        """Make the file complete; what is left is to publish() it."""
        self.keep(self.size - len(self.header))
        _write_at(self.fd, self.header, 0)
        os.fsync(self.fd)
        os.ftruncate(self.fd, self.size)
        os.fsync(self.fd)

    def publish(self, target: Path, overwrite: bool) -> None:
        """Rename the complete file to the target, which is replaced if `overwrite`."""
        if not overwrite:
            try:
                os.link(self.path, target)  # unlike renaming, this replaces nothing
            except OSError:  # some file systems have no links
                if os.path.lexists(target):
                    raise RefusedError(
                        f"{target} has appeared in the meantime; {self.path} is complete: "
                        "--resume --overwrite replaces the one by the other"
                    ) from None
            else:
                _sync_directory(target)
                os.unlink(self.path)
                return
        os.replace(self.path, target)
        _sync_directory(target)


def is_same_file(path: Path, target: Path) -> bool:
    """Return whether both names are one file: a run was killed in publish()."""
    try:
        return os.path.samestat(os.lstat(path), os.lstat(target))
    except FileNotFoundError:
        return False


@contextmanager
def open_partial(path: Path) -> Iterator[Partial]:
    """Open a Partial and lock it against other runs; make the file where there is none."""
    flags = os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0)
    try:
        fd = os.open(path, flags, 0o666)
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise RefusedError(f"{path} is a symbolic link") from None
        raise
    with os.fdopen(fd, "r+b", buffering=0) as file:
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            raise RefusedError(f"{path} is no regular file")
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise RefusedError(f"{path}: another run is writing it") from None
        # The other run may have finished between opening and locking: then the name belongs to
        # another file, or to none.
        if not os.path.lexists(path) or not os.path.samestat(os.lstat(path), os.fstat(fd)):
            raise RefusedError(f"{path}: another run has just finished it")
        try:
            yield Partial(path, file)
        finally:
            if not os.fstat(fd).st_size:  # nothing was begun
                with suppress(FileNotFoundError):
                    os.unlink(path)
