"""Files of one array: their headers, and the way from NAME.partial to NAME.

The values go to their final places in NAME.partial, which becomes NAME once it is complete.  Where
the header will be there are zeros until then, so that no loader takes it.  Behind the values comes
the trailer, from which an interrupted run is resumed:

    how many bytes of the values are on the disk for certain    8 bytes
    what was asked for                                          JSON
    where the trailer begins                                    8 bytes
    b"fastinit"                                                 8 bytes

A trailer begins at a multiple of 8, so that its first number is in one sector: after a loss of
power it is the old one or the new one.  Numbers are little-endian.
"""

import errno
import io
import json
import os
import stat
import time
from contextlib import contextmanager, suppress

import numpy as np

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None

FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_MAGIC = b"fastinit"
_MOST = (1 << 63) - 1  # bytes of a file
_MOST_HEAD = 1 << 20  # bytes of a header, or of a trailer: more are not ours
_sync = getattr(os, "fdatasync", os.fsync)  # not on macOS


class RefusedError(Exception):
    """What the user has to change: one line."""


def _npy(dtype, shape, nbytes, name, metadata):
    file = io.BytesIO()
    fields = {
        "descr": np.lib.format.dtype_to_descr(dtype),
        "fortran_order": False,
        "shape": shape,
    }
    np.lib.format.write_array_header_1_0(file, fields)
    return file.getvalue()


_SAFETENSORS = {
    "float64": "F64", "float32": "F32", "float16": "F16", "bfloat16": "BF16", "bool": "BOOL",
    "int64": "I64", "int32": "I32", "int16": "I16", "int8": "I8",
    "uint64": "U64", "uint32": "U32", "uint16": "U16", "uint8": "U8",
}  # fmt: skip


def _safetensors(dtype, shape, nbytes, name, metadata):
    if dtype.name not in _SAFETENSORS:
        raise RefusedError(f"safetensors has no {dtype}: write a .npy file")
    if name == "__metadata__":
        raise RefusedError("no tensor of safetensors can have the name '__metadata__'")
    tensor = {"dtype": _SAFETENSORS[dtype.name], "shape": shape, "data_offsets": [0, nbytes]}
    fields = {"__metadata__": metadata, name: tensor}
    text = json.dumps(fields, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)  # so that the values are aligned
    return len(text).to_bytes(8, "little") + text


# {suffix: (dtype, shape, nbytes, name, metadata) -> the bytes before the values}
HEADERS = {".npy": _npy, ".safetensors": _safetensors}


def _write(file, data, offset):
    view = memoryview(data)
    while view:
        n = os.pwrite(file.fileno(), view, offset)
        view, offset = view[n:], offset + n


def _reserve(file, size):
    """Make the file that long, and find blocks for it, so that a full disk shows at once.

    Most disks reserve any number of blocks in no time.  Where they are to be made one by one, in
    memory or by NFS, it stops: there the reserving takes as long as the writing.
    """
    fd = file.fileno()
    disk = os.fstatvfs(fd)
    free = disk.f_bfree * disk.f_frsize + os.fstat(fd).st_blocks * 512
    if disk.f_blocks and size > free:  # 0 where there is no limit
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    os.ftruncate(fd, size)
    done, n, end = 0, 1 << 20, time.monotonic() + 0.02
    while done < size and time.monotonic() < end and hasattr(os, "posix_fallocate"):  # not on macOS
        n = min(2 * n, size - done)
        try:
            os.posix_fallocate(fd, done, n)
        except OSError as error:
            if error.errno in FULL:  # others: a file system that cannot
                raise
            break
        done += n


class Partial:
    """NAME.partial, open and locked."""

    def __init__(self, path, file):
        self.path = path
        self.file = file

    def state(self):
        """(what was asked for, bytes of values that are there) of a run before; or None."""
        fd = self.file.fileno()
        size = os.fstat(fd).st_size
        end = os.pread(fd, 16, max(0, size - 16))
        at = int.from_bytes(end[:8], "little")
        if end[8:] != _MAGIC or not 0 < at <= size - 24 or size - at > _MOST_HEAD:
            return None
        text = os.pread(fd, size - at, at)
        try:
            asked = json.loads(text[8:-16])
        except (ValueError, RecursionError):  # other content
            return None
        self._found, self._written = at, int.from_bytes(text[:8], "little")
        return (asked, self._written) if isinstance(asked, dict) and "init" in asked else None

    def begin(self, header, nbytes, asked):
        """Make room for a file, nothing of it written yet."""
        self._layout(header, nbytes)
        trailer = bytes(8) + json.dumps(asked).encode()
        trailer += self.mark.to_bytes(8, "little") + _MAGIC
        if self.mark + len(trailer) > _MOST:
            raise RefusedError(f"{nbytes} bytes are more than a file can have")
        self.file.truncate(0)
        _reserve(self.file, self.mark + len(trailer))
        _write(self.file, trailer, self.mark)

    def resume(self, header, nbytes):
        """Take a file up again, whose state() was asked for."""
        self._layout(header, nbytes)
        if self._found != self.mark:
            raise RefusedError(f"{self.path} has another header: --overwrite begins anew")
        if self._written > nbytes:
            raise RefusedError(f"{self.path} is damaged: --overwrite begins anew")
        _reserve(self.file, os.fstat(self.file.fileno()).st_size)

    def _layout(self, header, nbytes):
        self.header = header
        self.size = len(header) + nbytes
        self.mark = -(-self.size // 8) * 8

    def write(self, values, offset):
        """Write bytes of the values; from any thread."""
        _write(self.file, values, len(self.header) + offset)

    def keep(self, written):
        """Note that so many bytes, written before, need not be written again."""
        _sync(self.file.fileno())
        _write(self.file, written.to_bytes(8, "little"), self.mark)

    def finish(self, target):
        """Let the complete file become the target."""
        self.keep(self.size - len(self.header))
        _write(self.file, self.header, 0)
        self.file.truncate(self.size)
        os.fsync(self.file.fileno())
        os.replace(self.path, target)
        with suppress(OSError):  # file systems that cannot: the name follows by and by
            directory = os.open(target.parent, os.O_RDONLY)
            try:
                os.fsync(directory)
            finally:
                os.close(directory)


@contextmanager
def partial(path):
    """A Partial of this path, made where there is none; of this process alone."""
    with os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT, 0o666), "r+b", buffering=0) as file:
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            raise RefusedError(f"{path} is no regular file")
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise RefusedError(f"{path}: another run is writing it") from None
        # The other may have finished between the two lines above: then the name is the target's.
        if not os.path.exists(path) or not os.path.samestat(os.stat(path), os.fstat(file.fileno())):
            raise RefusedError(f"{path}: another run has just finished it")
        yield Partial(path, file)
