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

from ._kernels import address, is_private, populate

if TYPE_CHECKING:
    from ._typing import Array

DISK_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
# From this size on a fill takes so long, some 400 us on one thread, that 3 us more do not matter.
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
    """The file behind a mapping, and what has been reserved for it."""

    device: bytes  # device, inode and name are as the process's map shows them
    inode: int
    name: bytes
    offset: int = 0  # in the file, of the mapping of an mmap object
    length: int = 0  # of that mapping
    fd: int = -1
    # The first byte of a reserved part of the file, its end, the first byte of the next, and so on.
    # The list is replaced and never changed, because other threads may be reading it.  If two
    # threads replace it at once, one change may be lost, and that part is reserved once more.
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
        """Return the status of the file from a descriptor that is open now, and store that in `fd`.

        An mmap object keeps one open, but another may be found first and be closed later; its
        number may belong to another file by now.
        """
        status = self.status_of(self.fd) if self.fd >= 0 else None
        if status is None:
            try:
                numbers = [int(name) for name in os.listdir("/proc/self/fd")]
            except OSError:  # no descriptor is left to list the others with
                return None
            for fd in numbers:
                if (status := self.status_of(fd)) is not None:
                    self.fd = fd
                    break
        return status

    def reserve(self, array: Array, begin: int, end: int) -> None:
        """Reserve the part of the file behind an array, unless it has been reserved before."""
        status = self.open_status()
        if status is None:
            _populate(array)
            return
        # Fewer blocks mean that the file was truncated, or that holes were punched in it.  (A file
        # system that shows fewer for other reasons is asked once more than is needed.)
        reserved = [] if status.st_blocks < self.blocks else self.reserved
        if not _holds(reserved, begin, end):
            # A write needs the blocks of whole pages.  Beyond them nothing is reserved: a sparse
            # file stays one, and may be larger than the disk.
            begin -= begin % mmap.PAGESIZE
            end = max(end, min(end + -end % mmap.PAGESIZE, status.st_size))
            if not reserve_blocks(self.fd, begin, end - begin):
                _populate(array)
                return
            status = self.status_of(self.fd)
            if status is None:  # closed by another thread meanwhile
                return
            reserved = _with(reserved, begin, end)
        self.reserved, self.blocks = reserved, status.st_blocks


def _holds(bounds: list[int], begin: int, end: int) -> bool:
    """Return whether one of the parts that a sorted list bounds contains begin to end."""
    i = bisect_right(bounds, begin)
    return i % 2 == 1 and end <= bounds[i]


def _with(bounds: list[int], begin: int, end: int) -> list[int]:
    """Return the bounds of the parts and of one more, with parts merged where they touch."""
    i, j = bisect_left(bounds, begin), bisect_right(bounds, end)
    bounds = bounds.copy()
    bounds[i:j] = [begin] * (i % 2 == 0) + [end] * (j % 2 == 0)
    return bounds


def _populate(array: Array) -> None:
    """Have the system make the pages behind an array writeable, which allocates a file's blocks.

    This is for files that no descriptor has open, or whose blocks cannot be reserved otherwise.
    Only Linux 5.14 and later can do it.
    """
    if populate(array) == errno.EFAULT:
        raise OSError(
            errno.ENOSPC,
            f"{os.strerror(errno.ENOSPC)}, or the file behind out has been truncated",
        )


def _file_at(where: int) -> tuple[_File | None, int]:
    """Return the file that is mapped at an address, and the address's offset in it.

    The file is None where there are no blocks to reserve.  The array's own file name is not enough:
    the file may have been replaced, or have no name.  The map is read as bytes, because a name in
    it may hold any byte but a newline.
    """
    lines = Path("/proc/self/maps").read_bytes().split(b"\n")[:-1]
    i = bisect_right(lines, where, key=lambda line: int(line[: line.index(b"-")], 16))
    span, access, offset, device, inode, *rest = lines[i - 1].split(maxsplit=5)
    first, end = (int(part, 16) for part in span.split(b"-"))
    name = b"".join(rest)
    # It is private memory, a private copy of a file, or shared memory without a file.
    if not access.endswith(b"s") or where >= end or name == b"/dev/zero (deleted)":
        return None, 0
    return _File(device, int(inode), name), int(offset, 16) + where - first


# What has been found for an mmap object, by its id.  The reference tells it from a later object of
# the same id.  (WeakKeyDictionary does the same, and takes longer.)
_found: dict[int, tuple[ref[mmap.mmap] | None, _File | None]] = {}
_NOTHING = None, None


def _find(memory: mmap.mmap) -> _File | None:
    """Return the file that an mmap object maps, None where there is none, and remember it.

    Reading the map takes 0.4 ms, and ten or a hundred times that among thousands of mappings.
    """
    if not hasattr(os, "posix_fallocate"):
        return None
    try:
        file, offset = _file_at(address(memory))
    except OSError:  # there is no /proc, or no descriptor is left: asked again next time
        return None
    if file is not None:
        file.offset, file.length = offset, len(memory)
    number, found = id(memory), _found  # at exit the global name may be gone
    found[number] = ref(memory, lambda _: found.pop(number, None)), file
    return file


def reserve_mapped(array: Array, memory: mmap.mmap) -> None:
    """Reserve the disk blocks behind an array on the memory of an mmap object.

    Writing to a hole of a file on a full disk would end the process with SIGBUS; this raises
    OSError instead.

    What has been reserved is not reserved again, and for a small part the system is not even asked:
    a call of fstat() takes 0.9 us, as long as the rest of the fill.  So a small fill does not
    notice if the file has been truncated, or holes have been punched in it, since the part was
    reserved.  A large one does.

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
        file.reserve(array, begin, end)


def reserve_unknown(array: Array) -> None:
    """Reserve the disk blocks behind an array if its memory is that of a mapped file.

    The owner of the memory (PyTorch, ctypes, or whatever else wraps it) does not say, and may have
    mapped it again since the last call.  So the system is asked each time.

    Raises
    ------
    OSError
        The disk is full.
    """
    if is_private(array):
        return
    nbytes = array.nbytes
    # A small fill asks for no more, unless its pages cannot be made writeable.
    if nbytes < _LARGE and populate(array) != errno.EFAULT:
        return
    try:
        file, begin = _file_at(address(array))
    except OSError:  # there is no /proc, or no descriptor is left
        return
    if file is not None:
        file.reserve(array, begin, begin + nbytes)
