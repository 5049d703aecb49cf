"""Reserve disk blocks before anything is written, so that a full disk raises OSError."""

from __future__ import annotations

import errno
import mmap
import os
import stat
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from ._typing import Array

DISK_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


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


def _mapped_file(address: int) -> tuple[int, int] | None:
    """Return descriptor and offset of the file that is mapped, shared, at an address.

    The array's own file name is not enough: the file may have been replaced, or have no name.
    """
    try:
        lines = Path("/proc/self/maps").read_text(errors="replace").splitlines()
        descriptors = [int(name) for name in os.listdir("/proc/self/fd")]
    except OSError:
        return None
    for line in lines:
        span, access, offset, device, inode, *name = line.split(maxsplit=5)
        first, end = (int(part, 16) for part in span.split("-"))
        if first <= address < end:
            if not access.endswith("s") or inode == "0":
                return None
            for fd in descriptors:  # an mmap object keeps one open
                with suppress(OSError):
                    status = os.fstat(fd)
                    if status.st_ino != int(inode) or not stat.S_ISREG(status.st_mode):
                        continue
                    # Inodes of two file systems may be equal.  Btrfs shows other devices here.
                    on = f"{os.major(status.st_dev):02x}:{os.minor(status.st_dev):02x}"
                    if on == device or [os.readlink(f"/proc/self/fd/{fd}")] == name:
                        return fd, int(offset, 16) + address - first
    return None


def reserve_mapped(array: Array) -> None:
    """Reserve the disk blocks behind an array on a memory-mapped file.

    Writing to a hole of a file on a full disk would end the process with SIGBUS; this raises
    OSError instead.
    """
    base: Any = array
    while isinstance(base, (np.ndarray, memoryview)):
        base = base.base if isinstance(base, np.ndarray) else base.obj
    if not isinstance(base, mmap.mmap) or not hasattr(os, "posix_fallocate"):
        return
    found = _mapped_file(array.__array_interface__["data"][0])
    if found is not None:
        reserve_blocks(*found, array.nbytes)
