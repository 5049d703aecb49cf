"""Write headers of .npy and .safetensors files, and read from them how long the file must be."""

from __future__ import annotations

import io
import json
import warnings
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


def _npy_size(head: bytes) -> int:
    file = io.BytesIO(head)
    if np.lib.format.read_magic(file) != (1, 0):
        raise ValueError
    with warnings.catch_warnings():  # Python warns of odd text that it reads as a header
        warnings.simplefilter("error")
        shape, is_fortran, dtype = np.lib.format.read_array_header_1_0(file)
    # Of bfloat16 only the size is written.
    if is_fortran or not (dtype in NUMBERS or dtype == np.dtype("V2")):
        raise ValueError
    return file.tell() + _nbytes(shape, dtype.itemsize)


def _safetensors_size(head: bytes) -> int:
    end = 8 + int.from_bytes(head[:8], "little")
    fields = json.loads(head[8:end])
    fields.pop("__metadata__")["stream_version"]  # the file of another program has none
    [tensor] = fields.values()
    [itemsize] = (np.dtype(n).itemsize if n != "bfloat16" else 2
                  for n, name in _SAFETENSORS_NAMES.items() if name == tensor["dtype"])  # fmt: skip
    nbytes = _nbytes(tensor["shape"], itemsize)
    if tensor["data_offsets"] != [0, nbytes]:
        raise ValueError
    return end + nbytes


def _nbytes(shape: Sequence[int], itemsize: int) -> int:
    if any(type(d) is not int or d < 0 for d in shape):
        raise ValueError
    return prod(shape) * itemsize


def promised_size(suffix: str, head: bytes) -> int | None:
    """Return the size of a file as its header states it.

    None means that these bytes are no header, or none that this package writes.
    """
    try:
        return {".npy": _npy_size, ".safetensors": _safetensors_size}[suffix](head)
    except Exception:  # content that is no header can raise anything
        return None
