"""Reserve disk blocks before anything is written, so that a full disk raises OSError."""

from __future__ import annotations

import errno
import mmap
import os
import stat
from bisect import bisect_left, bisect_right
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

from ._kernels import address

if TYPE_CHECKING:
    from ._typing import Array

DISK_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
# From this size on a fill takes so long (100 us) that one more system call is free.
_LARGE = 1 << 20


def reserve_blocks(fd: int, offset: int, nbytes: int) -> bool:
    """Reserve the blocks of a part of a file.

    Returns
    -------
    bool
        False where the system, the file system or the mode of the open file does not allow it.

    Raises
    ------
    OSError
        The disk is full.
    """
    if not hasattr(os, "posix_fallocate"):  # not on macOS, not on Windows
        return False
    try:
        os.posix_fallocate(fd, offset, nbytes)
    except OSError as error:
        if error.errno in DISK_FULL:
            raise
        return False
    return True


@dataclass(slots=True)
class _File:
    """The file behind an mmap object, and what has been reserved for it."""

    device: bytes  # device, inode and name are as the process's map shows them
    inode: int
    name: bytes
    offset: int  # of the mapping in the file
    length: int  # of the mapping
    fd: int = -1
    # The first byte of a reserved part of the file, its end, the first byte of the next, and so on.
    # The list is replaced and never changed, because other threads may be reading it: one of two
    # changes at once may be lost, after which a part is reserved once more.
    reserved: list[int] = field(default_factory=list)
    blocks: int = 0

    def status_of(self, fd: int) -> os.stat_result | None:
        """Return the status of a descriptor, or None unless it can reserve blocks of this file."""
        import fcntl  # not on Windows, where there is nothing to reserve

        with suppress(OSError):
            status = os.fstat(fd)
            if status.st_ino != self.inode or not stat.S_ISREG(status.st_mode):
                return None
            # Inodes of two file systems may be equal.  Btrfs shows other devices in the map.
            device = b"%02x:%02x" % (os.major(status.st_dev), os.minor(status.st_dev))
            if device != self.device:
                name = os.readlink(b"/proc/self/fd/%d" % fd).replace(b"\n", rb"\012")
                if name != self.name:
                    return None
            # A file that is open only for reading reserves nothing.
            if fcntl.fcntl(fd, fcntl.F_GETFL) & os.O_ACCMODE == os.O_RDWR:
                return status
        return None

    def open_status(self) -> os.stat_result | None:
        """Return the status of the file by a descriptor that is open now, which `fd` becomes.

        The mmap object keeps one open, but another may be found first and be closed later; its
        number may be that of another file by now.
        """
        status = self.status_of(self.fd) if self.fd >= 0 else None
        if status is None:
            for fd in [int(name) for name in os.listdir("/proc/self/fd")]:
                if (status := self.status_of(fd)) is not None:
                    self.fd = fd
                    break
        return status

    def reserve(self, begin: int, end: int) -> None:
        """Reserve a part of the file, unless it has been reserved before."""
        status = self.open_status()
        if status is None:
            return
        # Somebody has cut the file off or punched holes into it.  (A file system that shows fewer
        # blocks for other reasons is asked once more than is needed.)
        reserved = [] if status.st_blocks < self.blocks else self.reserved
        if not _holds(reserved, begin, end):
            # A write needs the blocks of whole pages.  Beyond them nothing is reserved: a sparse
            # file stays one, and may be larger than the disk.
            begin -= begin % mmap.PAGESIZE
            end = max(end, min(end + -end % mmap.PAGESIZE, status.st_size))
            if not reserve_blocks(self.fd, begin, end - begin):
                return
            status = os.fstat(self.fd)
            reserved = _with(reserved, begin, end)
        self.reserved, self.blocks = reserved, status.st_blocks


def _holds(bounds: list[int], begin: int, end: int) -> bool:
    """Return whether one of the parts that a sorted list bounds holds all of another."""
    i = bisect_right(bounds, begin)
    return i % 2 == 1 and end <= bounds[i]


def _with(bounds: list[int], begin: int, end: int) -> list[int]:
    """Return the bounds of parts and of one more, as few as possible."""
    i, j = bisect_left(bounds, begin), bisect_right(bounds, end)
    return bounds[:i] + [begin] * (i % 2 == 0) + [end] * (j % 2 == 0) + bounds[j:]


def _file_of(memory: mmap.mmap) -> _File | None:
    """Return the file that an mmap object maps, None where no blocks are to be reserved.

    The array's own file name is not enough: the file may have been replaced, or have no name.  Nor
    is the name in the process's map: it may hold any byte but the end of a line, or say "(deleted)".
    """
    where = address(memory)
    lines = Path("/proc/self/maps").read_bytes().split(b"\n")[:-1]
    i = bisect_right(lines, where, key=lambda line: int(line[: line.index(b"-")], 16))
    span, access, offset, device, inode, *name = lines[i - 1].split(maxsplit=5)
    if not access.endswith(b"s"):  # private memory, or a copy of a file
        return None
    begin = int(span.split(b"-")[0], 16)
    file = _File(
        device, int(inode), b"".join(name), int(offset, 16) + where - begin, len(memory)
    )
    return None if file.open_status() is None else file


# What has been found once for an mmap object: reading the map takes 0.4 ms, and 40 where there are
# thousands of mappings.
_files: WeakKeyDictionary[mmap.mmap, _File | None] = WeakKeyDictionary()


def reserve_mapped(array: Array, memory: mmap.mmap) -> None:
    """Reserve the disk blocks behind an array that is not empty, on the memory of an mmap object.

    Writing to a hole of a file on a full disk would end the process with SIGBUS; this raises
    OSError instead.

    What has been reserved is not asked for again.  If others cut the file off or punch holes into
    it afterwards, a large fill sees that there are fewer blocks, but a small one does not: to ask
    takes 0.9 us, half as long as the fill.
    """
    try:
        file = _files[memory]
    except KeyError:
        if not hasattr(os, "posix_fallocate"):
            return
        try:
            file = _files[memory] = _file_of(memory)
        except OSError:  # there is no /proc, or no descriptor is left: asked again next time
            return
    if file is None:
        return
    if len(memory) != file.length:  # mmap.resize() changes the file, too
        file.reserved, file.length = [], len(memory)
    begin = file.offset + address(array) - address(memory)
    end = begin + array.nbytes
    if array.nbytes >= _LARGE or not _holds(file.reserved, begin, end):
        file.reserve(begin, end)
