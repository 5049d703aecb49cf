"""Seeds: what a caller may pass, and the 64-bit key that it stands for."""

from operator import index
from os import urandom
from typing import Any

import numpy as np


def key(seed: Any) -> int:
    """The Philox key, 0 <= key < 2**64, for a seed: an integer as it is, None as fresh entropy."""
    if seed is None:
        return int.from_bytes(urandom(8), "little")
    if type(seed) is not int:
        if isinstance(seed, (bool, np.bool_)) or not hasattr(type(seed), "__index__"):
            raise TypeError(
                f"seed must be an integer or None, received {seed!r} of type {type(seed).__name__}"
            )
        try:
            seed = index(seed)
        except TypeError:  # an array of more than one element
            raise TypeError(f"seed must be an integer or None, received {seed!r}") from None
    if not 0 <= seed < 1 << 64:
        raise ValueError(f"seed must be in 0 <= seed < 2**64, received {seed}")
    return int(seed)
