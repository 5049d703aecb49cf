"""Fresh arrays on huge pages, which NumPy owns (NEP 49)."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

HAS_HUGE_PAGES: bool
"""Whether the system takes advice on huge pages, as only Linux does."""

def empty_on_huge_pages(shape: tuple[int, ...], dtype: np.dtype[Any]) -> NDArray[Any]:
    """Return a fresh array that begins on a huge page; this needs HAS_HUGE_PAGES."""
