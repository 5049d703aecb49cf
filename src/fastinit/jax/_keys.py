"""The seed that a key of JAX stands for."""

from __future__ import annotations

from hashlib import blake2b
from typing import TYPE_CHECKING, Any

import jax
import numpy as np

if TYPE_CHECKING:
    from .._typing import Array

_PURPOSE = b"fastinit.jax.key"  # the personalization of the hash


def words_of(key: Any, name: str) -> Any:
    """Return the words of one key, typed or raw, as an array of uint32.

    Raises
    ------
    TypeError
        It is no key of JAX.
    ValueError
        It is an array of keys.
    """
    if hasattr(key, "dtype") and jax.dtypes.issubdtype(key.dtype, jax.dtypes.prng_key):
        shape = key.shape
    else:
        # This checks raw data, and makes it part of the computation that JAX traces, if any.
        key = jax.random.wrap_key_data(key)
        shape = key.shape
    if shape:
        raise ValueError(
            f"{name} takes a single key, received an array of keys of shape {shape}: use jax.vmap"
        )
    return jax.random.key_data(key)


def seed_of(words: Array) -> int:
    """Return the seed of a key, 0 <= seed < 2**64, a pure function of its words of 32 bits.

    Two words a, b give ``a << 32 | b``, so that ``jax.random.key(n)`` has the seed n; where 64-bit
    types are disabled, JAX keeps the low 32 bits of n.  Other numbers of words, such as the four of
    ``rbg``, are hashed: BLAKE2b (RFC 7693) with an 8-byte digest over the words as little-endian
    bytes, without a key, with the personalization ``b"fastinit.jax.key"``; the digest is read as a
    little-endian integer.
    """
    if words.size == 2:
        high, low = (int(word) for word in words.flat)
        return high << 32 | low
    data = np.ascontiguousarray(words, "<u4").tobytes()
    return int.from_bytes(blake2b(data, digest_size=8, person=_PURPOSE).digest(), "little")


def words_of_seed(seed: int) -> Array:
    """Return the two words of the key whose seed it is."""
    return np.array([seed >> 32, seed & 0xFFFFFFFF], np.uint32)
