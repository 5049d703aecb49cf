"""Files of one array: their headers, and the way from NAME.partial to NAME.

The values go to their final places in NAME.partial, which becomes NAME once it is complete.  Where
the header will be there are zeros until then, so that no loader takes it.  Behind the values comes
the trailer, from which an interrupted run is resumed; it is there first, and cut off last, when the
header is on the disk.  A file without a trailer is thus complete by its header, or nothing yet:

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
from math import prod

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


def _npy_end(head):
    file = io.BytesIO(head)
    if np.lib.format.read_magic(file) != (1, 0):
        raise ValueError
    shape, _, dtype = np.lib.format.read_array_header_1_0(file)
    return file.tell() + prod(shape) * dtype.itemsize


def _safetensors_end(head):
    end = 8 + int.from_bytes(head[:8], "little")
    fields = json.loads(head[8:end])
    fields.pop("__metadata__")["stream_version"]  # another's file has none
    [tensor] = fields.values()
    return end + tensor["data_offsets"][1]


# {suffix: the bytes a file begins with -> its size; any exception where they are no header}
_ENDS = {".npy": _npy_end, ".safetensors": _safetensors_end}


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


def _sync_directory(path):
    with suppress(OSError):  # file systems that cannot: the name follows by and by
        directory = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)


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

    def is_complete(self, suffix):
        """Whether a file without a trailer is all there, and lacks but its name."""
        fd = self.file.fileno()
        try:
            return _ENDS[suffix](os.pread(fd, _MOST_HEAD, 0)) == os.fstat(fd).st_size
        except Exception:  # whatever comes of content that is no header
            return False

    def is_blank(self):
        """Whether a file without a trailer may be one that was killed early on."""
        return not any(os.pread(self.file.fileno(), 64, 0))

    def begin(self, header, nbytes, asked):
        """Make room for a file, nothing of it written yet."""
        self._layout(header, nbytes)
        trailer = bytes(8) + json.dumps(asked).encode()
        trailer += self.mark.to_bytes(8, "little") + _MAGIC
        if self.mark + len(trailer) > _MOST:
            raise RefusedError(f"{nbytes} bytes are more than a file can have")
        os.ftruncate(self.file.fileno(), 0)
        _write(self.file, trailer, self.mark)
        os.fsync(self.file.fileno())
        _sync_directory(self.path)
        _reserve(self.file, self.mark + len(trailer))

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

    def finish(self):
        """Make the file complete; what is left is to publish() it."""
        fd = self.file.fileno()
        self.keep(self.size - len(self.header))
        _write(self.file, self.header, 0)
        os.fsync(fd)
        os.ftruncate(fd, self.size)
        os.fsync(fd)

    def publish(self, target, overwrite):
        """Let the complete file become the target, which is replaced if `overwrite`."""
        if not overwrite:
            try:
                os.link(self.path, target)  # unlike a renaming, replaces nothing
            except OSError:  # a file system that has no links, too
                if os.path.lexists(target):
                    raise RefusedError(
                        f"{target} has come to be meanwhile; {self.path} is complete: "
                        "--resume --overwrite replaces the one by the other"
                    ) from None
            else:
                _sync_directory(target)
                os.unlink(self.path)
                return
        os.replace(self.path, target)
        _sync_directory(target)


def is_twice(path, target):
    """Whether both names are one file: a run was killed in publish()."""
    try:
        return os.path.samestat(os.lstat(path), os.lstat(target))
    except FileNotFoundError:
        return False


@contextmanager
def partial(path):
    """A Partial of this path, made where there is none; of this process alone."""
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
        # The other may have finished between the two lines above: then the name is the target's.
        if not os.path.lexists(path) or not os.path.samestat(os.lstat(path), os.fstat(fd)):
            raise RefusedError(f"{path}: another run has just finished it")
        try:
            yield Partial(path, file)
        finally:
            if not os.fstat(fd).st_size:  # not begun
                with suppress(FileNotFoundError):
                    os.unlink(path)
