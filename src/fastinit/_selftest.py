"""The self-test: whether this build gives the right values on this processor."""

from __future__ import annotations

import hashlib
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from . import _kernels, _threads
from ._entry import entry_point

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from ._typing import Array

SEED = 0x9E3779B97F4A7C15  # both halves of the key are in use

# Counter, key and words: the vectors that Random123 publishes for Philox4x32-10.
PHILOX = [
    ((0,) * 4, (0,) * 2, (0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8)),
    ((0xFFFFFFFF,) * 4, (0xFFFFFFFF,) * 2, (0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD)),
    (
        (0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344),
        (0xA4093822, 0x299F31D0),
        (0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1),
    ),
]
WORDS = "6627e8d5 e169c58d bc57ac4c 9b00dbd8 f8e4cca4 5cb200db b1a574eb 097eff67"

# SHA-256 of the little-endian bytes of 2^20 + 3 elements, of rows by key, and of matrices; from
# tests/golden.
LENGTH = 2**20 + 3
DIGESTS = """
bits uint32: d58d7b2cca67c40d5d27f58a0b4557dab33319adb882982d19c5d19333366fc0
bits uint64: df29803bf8b870e2605da12a1837ba360b6faac06e0bfc4bc8d61bca0b03295f
bits uint32 keyed=28339x37: d7c2b7dca718fd1ca20f258658318069e0ceeb4928349c5e08f66c3da971b8f0
bits uint64 keyed=28339x37: 48c7f68af210d4b5bbe62588fb87eb664f94ceaf3b5fc8a54d061e19876523ae
uniform float32 -0.05 0.05: 54a7811db36ad7d3f4b4de601f5374a70e422cbbbdd81d331a5d254dc01d7f84
uniform float64 -0.05 0.05: 1b2929bea6cf4f42c25424e2aa27309737095bd60fab0b197150a190e56dadcc
uniform float16 -0.05 0.05: d4fdfb8a79f95a02df62398efcf3c9287d21b5d3d4d2da32ee464103e0cf0d8e
uniform bfloat16 -0.05 0.05: d81a5e742743a1407473ca13e841c12b1434fce6197253c9cf70ad3a26263e5b
normal float32 0.3 0.05: 1cd9eb13b1f71b358c28913979ad6563f7efff1332902952458441e1e03319a0
normal float64 0.3 0.05: 40a8c860c7b5065a18f36d97d2dd74e37365d0e8d54c646c312ed2cc9f5db330
normal float16 0.3 0.05: f2db4460efddf82eaab48326716a4dfffe51af321ef7e8cd2c520b0fe69a205a
normal bfloat16 0.3 0.05: ed89ec0349540e2dc0093676c68cb78fb8934c57c1533400df60b5027bd05be6
truncated float32 0.3 0.05: 3576aab6778b3110379688fcd4e1cc6968b27cd1a5d7b71b924a86fd3ca3ab45
truncated float64 0.3 0.05: ec8465dd2fa72fc8e4d7ef8bc98e90830d197a3ac9cd531193ea6d7aca7361b7
truncated float16 0.3 0.05: 136e3cb8e24923e04cdad806dd9c2f9875acc96d636e68de3d235d7006431024
truncated bfloat16 0.3 0.05: e8d398f76c106d188eb4fe6b063f283463ced2a68228efa3753669dd3b1cff4e
between float32 0.1 0.7 -0.5 2.5: 3a34e6c42cfcfe73eca95841de68bad87cc74d663e3dced1a6c133910a023812
between float64 0.1 0.7 -0.5 2.5: 5751136cf01550efbd6f5147d6e8d7dcda9a2cb4cb4111ce9881c19fc736ee14
between float16 0.1 0.7 -0.5 2.5: a99859107fc08f495d363a44d464f1e15c219e3e8f921865d23a622d8f32d237
between bfloat16 0.1 0.7 -0.5 2.5: a398942dc873f53607a8babc7c9c6a689589eef5a6bca3eacfdc3af9f9f2932b
between float32 0.1 0.7 -0.5 2.5 keyed=28339x37: 5265e63ab47ddf635ef7d1c2b75e9530ad93911c7d98a839ea029b8755489b39
between float64 0.1 0.7 -0.5 2.5 keyed=28339x37: 0ef873deb067b6f91dc7cfa2c4392733f3b1823ff8bee3c0b226ed868b71b4fd
between float16 0.1 0.7 -0.5 2.5 keyed=28339x37: b746a5218a25d864ccc768e6a3815b16c6762c8355ca7dccbbfc907f45cc89ec
between bfloat16 0.1 0.7 -0.5 2.5 keyed=28339x37: 04fd9f23bad40d6935df20b900dd52414fa2a7db722b90dcc7b77af5aed283f6
orthogonal float32 1.0 300x200: 5a71a21ca07f9b5c2c8a02b1b80d1cb6ddc481eedca673de5b0e065d0c2ed2ff
orthogonal float32 -0.3 193x193: bd4ff7fa8c7fb0eee4682d500e52348d1ac508d2816a8fcd56502afc3952d237
orthogonal float32 1.0 97x200: 52939bfc4b2adcce4f9b3e0590ee04f248888c63abd1bfab408a9ceceeb948a9
orthogonal float64 1.0 300x200: ef9a5ab7a69e5ffa2e654ae79892927e571d2267525e3b81d4a43b565d5bbe9c
orthogonal float64 -0.3 193x193: 8ae1f777359392de1edd5586bed93a2524a23fa412f3b79efb7b7d4e1e924b58
orthogonal float64 1.0 97x200: 677e855d7695cb9a92cbfe70327724980d3575216c2c9765de186516a8c11286
"""  # noqa: E501

_FLOATS = ("float32", "float64", "float16", "bfloat16")
_PARAMETERS: dict[str, tuple[float, ...]] = {
    "bits": (),
    "uniform": (-0.3, 1.1),
    "normal": (0.1, 0.7),
    "truncated": (0.1, 0.7),
    "between": (0.1, 0.7, -0.6, 3.9),
}
# First elements: at the beginning, at the carries of the counter words, and at the end; they are no
# multiples of a batch.
_STARTS = (0, 2**32 - 1000, 2**34 - 999, 2**64 - 200_003)


def _sample(
    distribution: str,
    dtype: str,
    start: int | Array,
    n: int,
    parameters: Iterable[float],
    threads: int,
    keyed: bool = False,
) -> Array:
    # NumPy has no bfloat16: the kernels take its bits.
    out = np.zeros(n, "uint16" if dtype == "bfloat16" else dtype)
    if distribution == "between":
        mean, stddev, lower, upper = parameters
        _kernels.Window(lower, upper).fill(out, start, SEED, mean, stddev, threads, keyed)
    else:
        getattr(_kernels, distribution)(out, start, SEED, *parameters, threads, keyed)
    return out


def _keys(count: int) -> Array:
    """Return keys that are far from each other, beginning with the ends of their range."""
    keys: Array = np.arange(count, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)
    keys[:4] = [0, 1, 2**63 + 5, 2**64 - 1]
    return keys


def _matrices(dtype: str, count: int, rows: int, columns: int, gain: float, threads: int) -> Array:
    out: Array = np.zeros((count, rows, columns), dtype)
    work = np.zeros(_kernels.orthogonal_work(rows, columns, count, threads), dtype)
    _kernels.orthogonal(out, work, 0, rows, columns, SEED, gain, threads)
    return out


def _digest(array: Array) -> str:
    return hashlib.sha256(array.astype(array.dtype.newbyteorder("<")).tobytes()).hexdigest()


def _philox_is_right() -> bool:
    return all(_kernels.philox(counter, key) == words for counter, key, words in PHILOX)


def _words_are_right() -> bool:
    out = np.zeros(8, np.uint32)
    _kernels.bits(out, 0, 0, 1)
    return " ".join(f"{word:08x}" for word in out.tolist()) == WORDS


def _digests_are_right(distribution: str) -> bool:
    for line in DIGESTS.strip().splitlines():
        label, digest = line.split(": ")
        name, dtype, *rest = label.split()
        if name != distribution:
            continue
        if distribution == "orthogonal":
            rows, columns = map(int, rest[1].split("x"))
            array = _matrices(dtype, 1, rows, columns, float(rest[0]), _threads.count)
        elif rest and rest[-1].startswith("keyed="):
            count, dim = map(int, rest.pop().removeprefix("keyed=").split("x"))
            keys, parameters = _keys(count), map(float, rest)
            array = _sample(
                distribution, dtype, keys, count * dim, parameters, _threads.count, keyed=True
            )
        else:
            array = _sample(distribution, dtype, 0, LENGTH, map(float, rest), _threads.count)
        if _digest(array) != digest:
            return False
    return True


def _samples(distribution: str) -> Iterator[Array]:
    """Yield runs and rows of a distribution, in any order and by key, on one thread and on all."""
    rows: Any = np.array([5, 2**40 + 1, 0, 2**64 - 700, 5, 64], np.uint64)
    parameters = _PARAMETERS[distribution]
    for dtype in _FLOATS if distribution != "bits" else ("uint32", "uint64"):
        for threads in {1, _threads.count}:
            for start in _STARTS:
                yield _sample(distribution, dtype, start, 200_003, parameters, threads)
            n = len(rows) * 601
            for keyed in (False, True):
                yield _sample(distribution, dtype, rows, n, parameters, threads, keyed)


def _sample_matrices() -> Iterator[Array]:
    for dtype in ("float32", "float64"):
        for threads in {1, _threads.count}:
            for shape in ((1, 300, 200), (1, 97, 200), (7, 33, 17), (1, 1, 1)):
                yield _matrices(dtype, *shape, -0.3, threads)


def _equals_portable(isa: str, results: Callable[[], Iterator[Array]]) -> bool:
    """Return whether an ISA gives the bytes of the portable kernels."""
    _kernels.use_isa("portable")
    expected = [array.tobytes() for array in results()]
    _kernels.use_isa(isa)
    return expected == [array.tobytes() for array in results()]


def checks() -> Iterator[tuple[str, bool]]:
    """Yield (name, whether it holds) of each check; this changes the ISA in use meanwhile."""
    before = _kernels.isa()
    distributions = list(_PARAMETERS)
    try:
        for isa in _kernels.isas():
            _kernels.use_isa(isa)
            yield f"{isa}: Philox4x32-10, vectors of Random123", _philox_is_right()
            yield f"{isa}: the first words of seed 0", _words_are_right()
            for name in (*distributions, "orthogonal"):
                yield f"{isa}: known digests, {name}", _digests_are_right(name)
        for isa in _kernels.isas()[1:]:
            for name in distributions:
                same = _equals_portable(isa, partial(_samples, name))
                yield f"{isa}: equals portable, {name}", same
            yield f"{isa}: equals portable, orthogonal", _equals_portable(isa, _sample_matrices)
    finally:
        _kernels.use_isa(before)


@entry_point
def _results() -> list[tuple[str, bool]]:
    return list(checks())


def selftest() -> list[str]:
    """Compare what this build computes on this processor with known answers.

    It compares Philox's published vectors, digests of every distribution and dtype, and every
    available ISA with the portable kernels, by exact equality.  It takes a few seconds.

    Returns
    -------
    list of str
        The names of the checks, all of which hold.

    Raises
    ------
    RuntimeError
        Some checks fail; the message names them.  Please report it.
    """
    results = _results()
    failed = [name for name, holds in results if not holds]
    if failed:
        raise RuntimeError(f"wrong values on this machine: {'; '.join(failed)}")
    return [name for name, _ in results]
