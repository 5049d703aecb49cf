"""Seeds: what a caller may pass, and the 64-bit Philox key that it stands for."""

import threading
from collections.abc import Mapping
from hashlib import blake2b
from operator import index
from os import urandom
from typing import Any, Self, SupportsIndex

import numpy as np

from ._messages import shown, type_of

LARGEST_SEED = (1 << 64) - 1


def _integer(
    seed: Any,
    name: str = "seed",
    wanted: str = "an integer, a SeedGenerator, a numpy.random.Generator or None",
) -> int:
    """Return an integer seed, once checked; a bool is no integer."""
    if type(seed) is not int:
        if isinstance(seed, (bool, np.bool_)) or not hasattr(type(seed), "__index__"):
            found = type_of(seed)
            raise TypeError(f"{name} must be {wanted}, received {shown(seed)} of type {found}")
        try:
            seed = index(seed)
        except TypeError:  # an array of more than one element
            raise TypeError(f"{name} must be {wanted}, received {shown(seed)}") from None
    if not 0 <= seed <= LARGEST_SEED:
        raise ValueError(f"{name} must be in 0 <= {name} < 2**64, received {shown(seed)}")
    return int(seed)


def _hash(root: int, purpose: bytes) -> blake2b:
    """Return BLAKE2b (RFC 7693) with a root as its key: the same in every version."""
    return blake2b(digest_size=8, key=root.to_bytes(8, "little"), person=purpose)


def _word(digest: blake2b, data: bytes) -> int:
    """Return 64 bits of the hash of data; the digest given has read only its key."""
    digest.update(data)
    return int.from_bytes(digest.digest(), "little")


class DerivedSeeds:
    """The seeds that :func:`derive_seed` gives for many names of one root, in half the time."""

    def __init__(self, root: int) -> None:
        self._hash = _hash(root, b"fastinit.derive")

    def __getitem__(self, name: str) -> int:
        return _word(self._hash.copy(), name.encode())


def derive_seed(root: SupportsIndex, name: str) -> int:
    """Return a 64-bit seed for a named parameter, from the one seed of a model.

    Parameters
    ----------
    root : int
        The model's seed, 0 <= root < 2**64.
    name : str
        A name such as ``"encoder/layer_3/kernel"``.  Names differ wherever their UTF-8 bytes do.

    Returns
    -------
    int
        0 <= seed < 2**64: a pure function of ``(root, name)``, whatever the order of the calls,
        the machine or the version of this library.

    Raises
    ------
    TypeError
        ``root`` is no integer, or ``name`` no string.
    ValueError
        ``root`` is out of range.

    Notes
    -----
    BLAKE2b (RFC 7693) with an 8-byte digest over the UTF-8 bytes of ``name``; its key is ``root``
    as 8 little-endian bytes, its personalization ``b"fastinit.derive"``; the digest is read as a
    little-endian integer.

    Examples
    --------
    >>> derive_seed(0, "dense/kernel")
    2559848656971532190
    """
    if not isinstance(name, str):
        raise TypeError(f"name must be a string, received {shown(name)} of type {type_of(name)}")
    return DerivedSeeds(_integer(root, "root", "an integer"))[name]


class SeedGenerator:
    """A sequence of seeds: every array that is filled with it takes the next.

    Where all layers of a model share it, each of them gets other values, and the same ones on a
    rerun.  Threads may share it.

    Parameters
    ----------
    seed : int, optional
        The root, 0 <= seed < 2**64.  None draws fresh entropy.
    name : str, optional
        A label without effect; it is kept because Keras keeps one.

    Raises
    ------
    TypeError, ValueError
        A root of the wrong type or out of range.

    Notes
    -----
    Seed n, from 0, is BLAKE2b as in :func:`derive_seed` over n as 8 little-endian bytes, with the
    personalization ``b"fastinit.next"``.  Pickles and copies continue where the original stood; a
    configuration holds the root alone, as in Keras, and starts again from the beginning.

    Examples
    --------
    >>> seeds = SeedGenerator(1)
    >>> seeds.next() == seeds.next()
    False
    """

    def __init__(self, seed: SupportsIndex | None = None, name: str | None = None) -> None:
        self.seed = None if seed is None else _integer(seed)
        self.name = name
        self._root = key(self.seed)
        self._count = 0
        self._lock = threading.Lock()

    def next(self) -> int:
        """Return the next seed, 0 <= seed < 2**64."""
        with self._lock:
            count = self._count
            self._count += 1
        return _word(_hash(self._root, b"fastinit.next"), count.to_bytes(8, "little"))

    def get_config(self) -> dict[str, Any]:
        """Return the arguments as Keras writes them; JSON can hold them."""
        return {"seed": self.seed, "name": self.name}

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Self:
        """Return a generator at its beginning, from :meth:`get_config` or from Keras's."""
        return cls(**config)

    def __getstate__(self) -> dict[str, Any]:
        with self._lock:
            return {name: value for name, value in vars(self).items() if name != "_lock"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state, _lock=threading.Lock())

    def __repr__(self) -> str:
        name = "" if self.name is None else f", name={self.name!r}"
        return f"SeedGenerator(seed={self.seed}{name})"


def _is_source(seed: Any) -> bool:
    """Return whether every use of the seed gives another key."""
    if seed is None or isinstance(seed, np.random.Generator):
        return True
    return callable(getattr(seed, "next", None)) and not isinstance(seed, type)


def check_seed(seed: Any) -> None:
    """Raise as :func:`key` does, without advancing a generator."""
    if not _is_source(seed):
        key(seed)


def key_of_words(words: Any) -> int:
    """Return the Philox key that two 32-bit words of Keras make, the low one first."""
    low, high = (int(word) & 0xFFFFFFFF for word in words)
    return low | high << 32


def key(seed: Any) -> int:
    """Return the Philox key, 0 <= key < 2**64, for one use of a seed.

    An integer is the key itself; None draws fresh entropy; a SeedGenerator, a
    numpy.random.Generator or a keras.random.SeedGenerator advances.  Keras's is known by its
    ``next()``, which returns two 32-bit words, the low one first.
    """
    if type(seed) is int and 0 <= seed <= LARGEST_SEED:
        return seed
    if seed is None:
        return int.from_bytes(urandom(8), "little")
    if isinstance(seed, np.random.Generator):
        return int(seed.integers(LARGEST_SEED, dtype=np.uint64, endpoint=True))
    if _is_source(seed):
        drawn = seed.next()
        if isinstance(drawn, int):
            return _integer(drawn)
        return key_of_words(np.asarray(drawn))
    return _integer(seed)
