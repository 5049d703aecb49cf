"""Write headers of .npy and .safetensors files, and read from them how long the file must be."""

from __future__ import annotations

import io
import json
from math import prod
from typing import TYPE_CHECKING, Any

import numpy as np

from .errors import RefusedError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
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
    nbytes = prod(shape) * dtype.itemsize
    tensor = {
        "dtype": _SAFETENSORS_NAMES[dtype.name],
        "shape": shape,
        "data_offsets": [0, nbytes],
    }
    fields = {"__metadata__": metadata, name: tensor}
    text = json.dumps(fields, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)  # so that the values are aligned
    return len(text).to_bytes(8, "little") + text


ENCODERS: dict[str, Encoder] = {".npy": _encode_npy, ".safetensors": _encode_safetensors}


def _npy_size(head: bytes) -> int:
    file = io.BytesIO(head)
    if np.lib.format.read_magic(file) != (1, 0):
        raise ValueError
    shape, _, dtype = np.lib.format.read_array_header_1_0(file)
    return file.tell() + prod(shape) * dtype.itemsize


def _safetensors_size(head: bytes) -> int:
    end = 8 + int.from_bytes(head[:8], "little")
    fields = json.loads(head[8:end])
    fields.pop("__metadata__")["stream_version"]  # the file of another program has none
    [tensor] = fields.values()
    return end + int(tensor["data_offsets"][1])


def promised_size(suffix: str, head: bytes) -> int | None:
    """Return the size of a file as its header states it; None where these bytes are no header."""
    try:
        return {".npy": _npy_size, ".safetensors": _safetensors_size}[suffix](head)
    except Exception:  # content that is no header can raise anything
        return None
