"""Types that annotations share.  Nothing here is needed at run time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import SupportsIndex, TypeAlias

    import numpy as np
    from numpy.typing import NDArray
    from typing_extensions import TypeVar

    Array: TypeAlias = NDArray[Any]
    Shape: TypeAlias = SupportsIndex | Sequence[SupportsIndex]
    Dimensions: TypeAlias = tuple[int, ...]
    DTypes: TypeAlias = tuple[np.dtype[Any], ...]
    Axes: TypeAlias = Sequence[SupportsIndex] | None
    Seed: TypeAlias = "SupportsIndex | SeedSource | np.random.Generator | None"

    # What a function returns: the object that was passed as `out`, or else a new array.
    Out = TypeVar("Out", default=Array)


class SeedSource(Protocol):
    """An object that gives another seed at every call: SeedGenerator, or Keras's class."""

    def next(self) -> Any:
        """Return the next seed."""
