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
from weakref import ref

from ._kernels import address

if TYPE_CHECKING:
    from ._typing import Array

DISK_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
# From this size on a fill takes so long, some 400 us by one thread, that 3 us more do not count.
_LARGE = 4 << 20


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
        try:
            status = self.open_status()
        except OSError:  # no descriptor is left for the list of the others
            return
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
            status = self.status_of(self.fd)
            if status is None:  # closed by another thread meanwhile
                return
            reserved = _with(reserved, begin, end)
        self.reserved, self.blocks = reserved, status.st_blocks


def _holds(bounds: list[int], begin: int, end: int) -> bool:
    """Return whether one of the parts that a sorted list bounds holds all of another."""
    i = bisect_right(bounds, begin)
    return i % 2 == 1 and end <= bounds[i]


def _with(bounds: list[int], begin: int, end: int) -> list[int]:
    """Return the bounds of parts and of one more, as few as possible."""
    i, j = bisect_left(bounds, begin), bisect_right(bounds, end)
    bounds = bounds.copy()
    bounds[i:j] = [begin] * (i % 2 == 0) + [end] * (j % 2 == 0)
    return bounds


def _file_of(memory: mmap.mmap) -> _File | None:
    """Return the file that an mmap object maps, None where no blocks are to be reserved.

    The array's own file name is not enough: the file may have been replaced, or have no name.  The
    map is read as bytes, because a name in it may hold any but the end of a line.
    """
    where = address(memory)
    lines = Path("/proc/self/maps").read_bytes().split(b"\n")[:-1]
    i = bisect_right(lines, where, key=lambda line: int(line[: line.index(b"-")], 16))
    span, access, offset, device, inode, *name = lines[i - 1].split(maxsplit=5)
    first, end = (int(part, 16) for part in span.split(b"-"))
    if not access.endswith(b"s") or where >= end:  # private memory, or a private copy of a file
        return None
    begin = int(offset, 16) + where - first
    file = _File(device, int(inode), b"".join(name), begin, len(memory))
    return None if file.open_status() is None else file  # None for shared memory without a file


# What has been found for an mmap object, by its id.  The reference tells it from an object that has
# the id later.  (WeakKeyDictionary does the same, and takes longer.)
_found: dict[int, tuple[ref[mmap.mmap] | None, _File | None]] = {}
_NOTHING = None, None


def _find(memory: mmap.mmap) -> _File | None:
    """Return what `_file_of` returns for an mmap object, and remember it.

    Reading the map takes 0.4 ms, and ten or a hundred times that among thousands of mappings.
    """
    if not hasattr(os, "posix_fallocate"):
        return None
    try:
        file = _file_of(memory)
    except OSError:  # there is no /proc, or no descriptor is left: asked again next time
        return None
    number, found = id(memory), _found  # at the end of the process the module may have lost it
    found[number] = ref(memory, lambda _: found.pop(number, None)), file
    return file


def reserve_mapped(array: Array, memory: mmap.mmap) -> None:
    """Reserve the disk blocks behind an array on the memory of an mmap object.

    Writing to a hole of a file on a full disk would end the process with SIGBUS; this raises
    OSError instead.

    What has been reserved is not reserved again, and for a small part the system is not even asked:
    a call of fstat() takes 0.9 us, as long as the rest of the fill.  So a small fill does not see
    it if somebody has cut the file off, or has punched holes into it, since the part was reserved.
    A large one does.

    Raises
    ------
    OSError
        The disk is full.
    ValueError
        The mmap object is closed, or was resized so that it no longer holds the array.
    """
    of, file = _found.get(id(memory), _NOTHING)
    if of is None or of() is not memory:
        file = _find(memory)
    if file is None:
        return
    if len(memory) != file.length:  # resize() makes the file longer or shorter, too
        file.reserved, file.length = [], len(memory)
    nbytes = array.nbytes
    begin = file.offset + address(array) - address(memory)
    end = begin + nbytes
    reserved = file.reserved
    i = bisect_right(reserved, begin)  # as in _holds(), whose call takes a tenth of a microsecond
    if i % 2 and end <= reserved[i] and nbytes < _LARGE:
        return
    if begin < file.offset or end > file.offset + file.length:
        raise ValueError("out must lie within its mmap object, which has been resized since")
    if nbytes:
        file.reserve(begin, end)
