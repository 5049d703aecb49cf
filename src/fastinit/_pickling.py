"""Keep pickles from loading under a stream version that would make other values."""

from __future__ import annotations

from typing import Any

from . import _kernels
from ._shapes import check_dtype


class OfStream:
    """Base of objects whose pickles name the version of the stream, and load in no other."""

    def __getstate__(self) -> dict[str, Any]:
        return {**vars(self), "stream_version": _kernels.STREAM_VERSION}

    def __setstate__(self, state: dict[str, Any]) -> None:
        stream = state.pop("stream_version")
        if stream != _kernels.STREAM_VERSION:
            raise ValueError(
                f"pickled with stream version {stream}, received by version "
                f"{_kernels.STREAM_VERSION}, which makes other values"
            )
        if "dtype" in state:
            check_dtype(state["dtype"])
        vars(self).update(state)
