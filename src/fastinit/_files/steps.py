"""File operations that partial files and records share."""

from __future__ import annotations

import os
import stat
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from .errors import RefusedError
from .locks import above_standard_streams

if TYPE_CHECKING:
    from pathlib import Path


def write_at(fd: int, data: Any, offset: int) -> None:
    """Write all of the data at an offset of an open file."""
    view = memoryview(data)
    while view:
        n = os.pwrite(fd, view, offset)
        view, offset = view[n:], offset + n


def sync_directory(path: Path) -> None:
    """Wait until the name of a file is on the disk."""
    with suppress(OSError):  # some file systems cannot: there the name is stored later
        directory = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)


def open_regular(path: Path, mode: int = 0o666) -> int:
    """Return a descriptor of a regular file, which is created if there is none."""
    with suppress(FileNotFoundError):
        kind = os.lstat(path).st_mode  # opening a pipe or a device may hang, or have an effect
        if stat.S_ISLNK(kind):
            raise RefusedError(f"{path} is a symbolic link")
        if not stat.S_ISREG(kind):
            raise RefusedError(f"{path} is no regular file")
    return above_standard_streams(os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, mode))


def follow(fd: int, path: Path) -> None:
    """Give an open file the owner and the mode of another, as far as the system allows."""
    try:
        old = os.stat(path)
    except FileNotFoundError:
        return
    mode, new = stat.S_IMODE(old.st_mode), os.fstat(fd)
    if (new.st_uid, new.st_gid) != (old.st_uid, old.st_gid):
        try:
            os.fchown(fd, old.st_uid, old.st_gid)
        except OSError:  # only root may change the owner
            mode &= 0o777
            try:
                os.fchown(fd, -1, old.st_gid)
            except OSError:
                mode &= ~stat.S_IRWXG  # these rights are not for another group
    elif stat.S_IMODE(new.st_mode) == mode:
        return
    with suppress(OSError):  # some file systems have no modes
        os.fchmod(fd, mode)
    os.fsync(fd)


def is_same_file(path: Path, target: Path) -> bool:
    """Return whether both names are the same file, as after a kill in publish()."""
    try:
        return os.path.samestat(os.lstat(path), os.lstat(target))
    except FileNotFoundError:
        return False
