"""NAME.partial: a file of one array from its beginning until it becomes NAME.

The values go to their final places in NAME.partial, which becomes NAME once it is complete.  Until
then there are zeros where the header will be, so that no loader takes it.  Behind the values comes
the trailer, from which an interrupted run is resumed.  It is written first, and cut off last, when
the header is on the disk.  So a file without a trailer is complete by its header, or nothing yet:

    how many bytes of the values are on the disk for certain    8 bytes
    CRC-32 of all else in the trailer                           8 bytes
    what was asked for                                          JSON
    where the trailer begins                                    8 bytes
    b"fastinit"                                                 8 bytes

A trailer begins at a multiple of 16, so that its first two numbers lie in one sector: after a loss
of power both are old, or both are new.  Numbers are little-endian.
"""

from __future__ import annotations

import errno
import json
import os
import stat
import time
from binascii import crc32
from contextlib import ExitStack, contextmanager, suppress
from typing import TYPE_CHECKING, Any

from .._disk import reserve_blocks
from .errors import RefusedError
from .headers import LARGEST_HEAD, promised_size
from .locks import locked
from .steps import follow, open_regular, sync_directory, write_at

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from io import FileIO
    from pathlib import Path

_MAGIC = b"fastinit"
# Bytes of the values: a file has 2^63 - 1 at most, with header and trailer.
LARGEST_ARRAY = (1 << 63) - 4 * LARGEST_HEAD
_BLOCK = 1 << 20  # bytes that are read at a time
_SEEK_DATA = getattr(os, "SEEK_DATA", None)  # not on all systems
_sync = getattr(os, "fdatasync", os.fsync)  # macOS has no fdatasync


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


def _next_data(fd: int, offset: int) -> int | None:
    """Return the offset from which a file may hold data; None if only a hole (zeros) is left."""
    if _SEEK_DATA is not None:
        try:
            return os.lseek(fd, offset, _SEEK_DATA)
        except OSError as error:
            if error.errno == errno.ENXIO:
                return None
    return offset


class Partial:
    """NAME.partial, open and locked."""

    def __init__(self, path: Path, file: FileIO) -> None:
        self.path = path
        self.fd = file.fileno()
        self.holds_all = False  # whether all values are on the disk

    def read_record(self) -> tuple[dict[str, Any], int] | None:
        """Return what an earlier run was asked for, and how many bytes of values it has written.

        None means that there is no trailer, or a damaged one.
        """
        size = os.fstat(self.fd).st_size
        end = os.pread(self.fd, 16, max(0, size - 16))
        at = int.from_bytes(end[:8], "little")
        if end[8:] != _MAGIC or not 0 < at <= size - 32 or size - at > LARGEST_HEAD:
            return None
        trailer = os.pread(self.fd, size - at, at)
        self._trailer_at, self._written = at, int.from_bytes(trailer[:8], "little")
        self._rest = trailer[16:]
        if trailer[:16] != self._numbers(self._written):
            return None
        try:
            asked = json.loads(trailer[16:-16])
        except (ValueError, RecursionError):  # other content
            return None
        return (asked, self._written) if isinstance(asked, dict) else None

    def is_empty(self) -> bool:
        """Return whether the file has no content."""
        return os.fstat(self.fd).st_size == 0

    def is_complete(self, suffix: str) -> bool:
        """Return whether a file without a trailer is complete."""
        size = promised_size(suffix, os.pread(self.fd, LARGEST_HEAD, 0))
        return size == os.fstat(self.fd).st_size

    def is_blank(self) -> bool:
        """Return whether the file holds only zeros, as a loss of power may leave it."""
        offset = _next_data(self.fd, 0)
        while offset is not None:
            block = os.pread(self.fd, _BLOCK, offset)
            if block.count(0) != len(block):
                return False
            if not block:
                break
            offset = _next_data(self.fd, offset + len(block))
        return True

    def begin(self, header: bytes, nbytes: int, asked: dict[str, Any]) -> None:
        """Reserve the disk space of a new file, and write its trailer."""
        self._lay_out(header, nbytes)
        self._rest = json.dumps(asked).encode() + self.mark.to_bytes(8, "little") + _MAGIC
        trailer = self._numbers(0) + self._rest
        os.ftruncate(self.fd, 0)
        write_at(self.fd, trailer, self.mark)
        os.fsync(self.fd)
        sync_directory(self.path)
        _reserve_file(self.fd, self.mark + len(trailer))

    def resume(self, header: bytes, nbytes: int, itemsize: int) -> None:
        """Continue a file whose record has been read."""
        self._lay_out(header, nbytes)
        if self._trailer_at != self.mark:
            raise RefusedError(f"{self.path} has another header: --overwrite begins anew")
        if self._written > nbytes or self._written % itemsize:
            raise RefusedError(f"{self.path} is damaged: --overwrite begins anew")
        _reserve_file(self.fd, os.fstat(self.fd).st_size)

    def _lay_out(self, header: bytes, nbytes: int) -> None:
        self.header = header
        self.size = len(header) + nbytes
        self.mark = -(-self.size // 16) * 16  # where the trailer begins

    def _numbers(self, written: int) -> bytes:
        """Return the first 16 bytes of the trailer."""
        count = written.to_bytes(8, "little")
        return count + crc32(self._rest, crc32(count)).to_bytes(8, "little")

    def write(self, values: Any, offset: int) -> None:
        """Write bytes of the values; any thread may call it."""
        write_at(self.fd, values, len(self.header) + offset)

    def keep(self, written: int) -> None:
        """Note that so many bytes, written before, need not be written again."""
        _sync(self.fd)
        write_at(self.fd, self._numbers(written), self.mark)

    def finish(self, keep_record: Callable[[], None]) -> None:
        """Make the file complete; what is left is to publish() it.

        The trailer, which says what made the values, is cut off only when the record is kept.
        """
        self.keep(self.size - len(self.header))
        self.holds_all = True
        keep_record()
        write_at(self.fd, self.header, 0)
        os.fsync(self.fd)
        os.ftruncate(self.fd, self.size)
        os.fsync(self.fd)

    def hide_like(self, target: Path) -> None:
        """Keep the values from everyone who may not read the file that they will replace."""
        with suppress(OSError):  # there is none, or the file system has no modes
            mode = os.stat(target).st_mode | stat.S_IRUSR | stat.S_IWUSR
            os.fchmod(self.fd, mode & stat.S_IMODE(os.fstat(self.fd).st_mode))

    def publish(self, target: Path, overwrite: bool) -> None:
        """Rename the complete file to the target, which is replaced if `overwrite`."""
        self.holds_all = True
        if overwrite:
            follow(self.fd, target)
        else:
            try:
                os.link(self.path, target)  # unlike renaming, this replaces nothing
            except OSError:  # some file systems have no links
                if os.path.lexists(target):
                    raise RefusedError(
                        f"{target} has appeared in the meantime; {self.path} is complete: "
                        "--resume --overwrite replaces the one by the other"
                    ) from None
            else:
                sync_directory(target)
                os.unlink(self.path)
                return
        os.replace(self.path, target)
        sync_directory(target)

    def is_published(self, target: Path) -> bool:
        """Return whether the file has the target's name, even if it still has its own, too."""
        with suppress(OSError):
            return os.path.samestat(os.fstat(self.fd), os.lstat(target))
        return False


def _remove_if_empty(fd: int, path: Path) -> None:
    if not os.fstat(fd).st_size:  # nothing was begun
        with suppress(FileNotFoundError):
            os.unlink(path)


@contextmanager
def open_partial(path: Path) -> Iterator[Partial]:
    """Open a Partial and lock it against other runs; make the file where there is none."""
    was_there = os.path.lexists(path)
    with ExitStack() as stack:
        file = stack.enter_context(os.fdopen(open_regular(path), "r+b", buffering=0))
        fd = file.fileno()
        try:
            stack.enter_context(locked(fd, path))
        except OSError:
            if not was_there:
                _remove_if_empty(fd, path)
            raise
        # The other run may have finished between opening and locking: then the name belongs to
        # another file, or to none.
        if not os.path.lexists(path) or not os.path.samestat(os.lstat(path), os.fstat(fd)):
            raise RefusedError(f"{path}: another run has just finished it")
        try:
            yield Partial(path, file)
        finally:
            _remove_if_empty(fd, path)
