"""Write and read the headers of .npy and .safetensors files."""

from __future__ import annotations

import io
import json
import warnings
from dataclasses import dataclass, field
from math import prod
from typing import TYPE_CHECKING, Any

import numpy as np

from .._shapes import NUMBERS
from .errors import RefusedError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import TypeAlias

    from .._typing import Dimensions

    # (dtype, shape, name of the tensor, metadata) -> the bytes before the values.
    Encoder: TypeAlias = Callable[[np.dtype[Any], Dimensions, str, Mapping[str, str]], bytes]


def _encode_npy(
    dtype: np.dtype[Any], shape: Dimensions, name: str, metadata: Mapping[str, str]
) -> bytes:
    file = io.BytesIO()
    fields = {
        "descr": np.lib.format.dtype_to_descr(dtype),
        "fortran_order": False,
        "shape": shape,
    }
    np.lib.format.write_array_header_1_0(file, fields)
    return file.getvalue()


_SAFETENSORS_NAMES = {
    "float64": "F64", "float32": "F32", "float16": "F16", "bfloat16": "BF16", "bool": "BOOL",
    "int64": "I64", "int32": "I32", "int16": "I16", "int8": "I8",
    "uint64": "U64", "uint32": "U32", "uint16": "U16", "uint8": "U8",
}  # fmt: skip


def _encode_safetensors(
    dtype: np.dtype[Any], shape: Dimensions, name: str, metadata: Mapping[str, str]
) -> bytes:
    if dtype.name not in _SAFETENSORS_NAMES:
        raise RefusedError(f"safetensors has no {dtype}: write a .npy file")
    if name == "__metadata__":
        raise RefusedError("no tensor of safetensors can have the name '__metadata__'")
    try:
        name.encode()
    except UnicodeEncodeError:
        raise RefusedError("--name must be text of UTF-8, as all of a safetensors header") from None
    nbytes = prod(shape) * dtype.itemsize
    tensor = {
        "dtype": _SAFETENSORS_NAMES[dtype.name],
        "shape": shape,
        "data_offsets": [0, nbytes],
    }
    # transformers and accelerate load a file only if it names the framework that may load it.
    fields = {"__metadata__": {"format": "pt", **metadata}, name: tensor}
    text = json.dumps(fields, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)  # so that the values are aligned
    return len(text).to_bytes(8, "little") + text


ENCODERS: dict[str, Encoder] = {".npy": _encode_npy, ".safetensors": _encode_safetensors}


LARGEST_HEAD = 1 << 20  # bytes of a header, or of a trailer: a longer one is not ours
MOST_DIMENSIONS = 64  # NumPy 2 allows no more


@dataclass(frozen=True)
class Header:
    """The contents of the header of a file."""

    length: int  # bytes before the values
    dtype: str
    itemsize: int
    shape: Dimensions
    name: str | None = None  # of the tensor in a .safetensors file
    metadata: Mapping[str, Any] = field(default_factory=dict)

    @property
    def size(self) -> int:
        """Size of the whole file in bytes."""
        return self.length + prod(self.shape) * self.itemsize


def _decode_npy(head: bytes) -> Header:
    file = io.BytesIO(head)
    if np.lib.format.read_magic(file) != (1, 0):
        raise ValueError
    with warnings.catch_warnings():  # Python warns of odd text that it reads as a header
        warnings.simplefilter("error")
        shape, is_fortran, dtype = np.lib.format.read_array_header_1_0(file)
    # Of bfloat16 only the size is written.
    is_bfloat16 = dtype == np.dtype("V2")
    if is_fortran or not (dtype in NUMBERS or is_bfloat16):
        raise ValueError
    name = "bfloat16" if is_bfloat16 else dtype.name
    return Header(file.tell(), name, dtype.itemsize, _dimensions(shape))


def _decode_safetensors(head: bytes) -> Header:
    end = 8 + int.from_bytes(head[:8], "little")
    if end > len(head):
        raise ValueError
    fields = json.loads(head[8:end])
    metadata = fields.pop("__metadata__", {})
    [(name, tensor)] = fields.items()
    [dtype] = (n for n, written in _SAFETENSORS_NAMES.items() if written == tensor["dtype"])
    itemsize = 2 if dtype == "bfloat16" else np.dtype(dtype).itemsize
    header = Header(end, dtype, itemsize, _dimensions(tensor["shape"]), name, dict(metadata))
    if tensor["data_offsets"] != [0, header.size - end]:
        raise ValueError
    return header


def _dimensions(shape: Sequence[int]) -> Dimensions:
    if len(shape) > MOST_DIMENSIONS or any(
        type(d) is not int or not 0 <= d < 1 << 63 for d in shape
    ):
        raise ValueError
    return tuple(shape)


def decode(suffix: str, head: bytes) -> Header | None:
    """Return the contents of the header at the beginning of a file.

    None means that these bytes are not the header of a file with one array, as this package writes
    it.
    """
    try:
        return {".npy": _decode_npy, ".safetensors": _decode_safetensors}[suffix](head)
    except Exception:  # other content can raise anything
        return None


def promised_size(suffix: str, head: bytes) -> int | None:
    """Return the size of a file as its header states it.

    None means that these bytes are no header, or none that this package writes.
    """
    header = decode(suffix, head)
    # The .safetensors file of another program has no such metadata.
    if header is None or (suffix == ".safetensors" and "stream_version" not in header.metadata):
        return None
    return header.size
