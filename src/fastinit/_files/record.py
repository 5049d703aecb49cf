"""The record of what made a file: in the metadata of a .safetensors file, beside a .npy file.

A .npy file has no place for it that every loader accepts.  NumPy refuses a header with other keys;
stricter readers, such as those written in Rust, refuse a comment in it; and those that compare the
size of the file refuse bytes after the values.  So the record of NAME.npy is a separate file,
NAME.npy.json.

It is written as NAME.npy.json.partial before the trailer of NAME.npy.partial is cut off, and gets
its name after NAME.npy has its own.  So what made the values is always on the disk, and a record
that has its name belongs to the file beside it.  A NAME.npy.json.partial without a NAME.npy.partial
means that a run was killed between the two; the next one renames it.

A record is untrusted input: it is JSON of a limited size, and is used only to make the array that
it describes.
"""

from __future__ import annotations

import json
import os
import stat
from binascii import crc32
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

from .decide import foreign
from .errors import RefusedError
from .names import partial_of, record_of
from .steps import follow, open_regular, sync_directory, write_at

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from .headers import Header

_LARGEST = 1 << 16  # bytes; a record has a few hundred
_KEYS = frozenset({"init", "shape", "dtype", "rows", "stream_version", "fastinit_version",
                   "checksum"})  # fmt: skip
_BEGINNING = b'{\n  "init": '  # of every record
# JSON cannot hold these numbers, and no option has one of these texts.
_NOT_FINITE = {"inf": float("inf"), "-inf": float("-inf"), "nan": float("nan")}
# All metadata is text; the values of these keys stay text.
_TEXTS = ("init", "dtype", "mode", "distribution", "fastinit_version", "checksum")


def checksum(asked: Mapping[str, Any]) -> str:
    """Return the CRC-32 of a record, which detects damage and edits."""
    return f"{crc32(json.dumps(asked, sort_keys=True).encode()):08x}"


def encoded(asked: Mapping[str, Any]) -> bytes:
    """Return the bytes of the record of the options, one option per line."""
    lines = []
    for name, value in {**asked, "checksum": checksum(asked)}.items():
        if isinstance(value, float) and str(value) in _NOT_FINITE:
            value = str(value)
        lines.append(f"  {json.dumps(name)}: {json.dumps(value)}")
    return ("{\n" + ",\n".join(lines) + "\n}\n").encode()


def decoded(text: bytes) -> dict[str, Any] | None:
    """Return the options in the bytes of a record; None if the bytes are not a record."""
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return None
    if not isinstance(found, dict) or not found.keys() >= _KEYS:
        return None
    return _checked(
        {
            name: _NOT_FINITE.get(value, value) if isinstance(value, str) else value
            for name, value in found.items()
        }
    )


def _checked(found: dict[str, Any]) -> dict[str, Any] | None:
    """Return a record without its checksum; None if the checksum is wrong."""
    expected = found.pop("checksum", None)
    return found if checksum(found) == expected else None


def read_record(path: Path) -> dict[str, Any] | None:
    """Return the record in a file; None if the file is not a record.

    Raises
    ------
    OSError
        There is no such file, or it cannot be read.
    """
    if not stat.S_ISREG(os.stat(path).st_mode):  # opening a pipe may hang
        return None
    with open(path, "rb") as file:
        text = file.read(_LARGEST + 1)
    return decoded(text) if len(text) <= _LARGEST else None


def record_in(header: Header) -> dict[str, Any] | None:
    """Return the record in the metadata of a .safetensors file; None if there is none."""
    metadata = header.metadata
    if not metadata.keys() >= _KEYS:
        return None
    found: dict[str, Any] = {}
    for name, text in metadata.items():
        if name == "format":
            continue
        if not isinstance(text, str) or len(text) > _LARGEST:
            return None
        try:
            found[name] = text if name in _TEXTS else json.loads(text)
        except (ValueError, RecursionError):
            return None
    checked = _checked(found)
    return None if checked is None else {**checked, "name": header.name}


def _is_waiting(path: Path) -> bool:
    """Return whether a file is a record that waits to be published, or the beginning of one."""
    if not stat.S_ISREG(os.lstat(path).st_mode):
        return False
    with open(path, "rb") as file:
        text = file.read(_LARGEST + 1)
    # A loss of power may leave zeros, or a part.
    is_begun = text.startswith(_BEGINNING) or not text.strip(b"\0")
    return len(text) <= _LARGEST and is_begun


def check_waiting(file: Path) -> None:
    """Refuse where the record of a file cannot be written, before the values are.

    Raises
    ------
    RefusedError
        The name of the record is too long, or that of something else.
    """
    path = partial_of(record_of(file))
    try:
        is_ours = _is_waiting(path)
    except FileNotFoundError:
        return
    except OSError as error:
        raise RefusedError(
            f"{path}, the record until it is complete: {error.strerror}: add --no-record to write "
            "none"
        ) from None
    if not is_ours:
        raise RefusedError(foreign(str(path)))


def write_record(file: Path, asked: Mapping[str, Any]) -> None:
    """Write the record of a file under its partial name, for publish_record()."""
    check_waiting(file)
    path = partial_of(record_of(file))
    fd = open_regular(path, 0o600)  # it gets the file's mode when it is published
    try:
        os.ftruncate(fd, 0)
        write_at(fd, encoded(asked), 0)
        os.fsync(fd)
    finally:
        os.close(fd)
    sync_directory(path)


def check_replaceable(record: Path) -> None:
    """Refuse to replace a file that is not a record."""
    with suppress(FileNotFoundError):
        if read_record(record) is None:
            raise RefusedError(foreign(str(record)))


def publish_record(file: Path) -> None:
    """Give the record of a published file its name, and the mode and the owner of the file."""
    record = record_of(file)
    path = partial_of(record)
    check_replaceable(record)
    os.lstat(path)  # where another run has published it, no empty file takes the record's place
    fd = open_regular(path)
    try:
        follow(fd, file)
    finally:
        os.close(fd)
    os.replace(path, record)
    sync_directory(record)


@contextmanager
def record_removed(file: Path) -> Iterator[None]:
    """Remove the record of a file that is replaced by one without a record.

    Until the file is replaced the record waits: it may be all that is left of a seed, and it comes
    back if the file cannot be replaced.
    """
    record = record_of(file)
    waiting = partial_of(record)
    was_moved = False
    with suppress(OSError):  # there is none, or its name would be too long
        if _is_waiting(waiting):
            waiting.unlink()
    with suppress(OSError):
        if read_record(record) is not None and not os.path.lexists(waiting):
            os.replace(record, waiting)
            was_moved = True
    try:
        yield
    except BaseException:
        if was_moved:
            with suppress(OSError):
                os.replace(waiting, record)
        raise
    with suppress(FileNotFoundError):
        last = waiting if was_moved else record
        if read_record(last) is not None:
            last.unlink()
