"""The self-test: whether this build gives the right values on this processor."""

from __future__ import annotations

import hashlib
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from . import _kernels, _threads

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

# SHA-256 of the little-endian bytes of 2^20 + 3 elements, and of matrices; from tests/golden.
LENGTH = 2**20 + 3
DIGESTS = """
bits uint32: d58d7b2cca67c40d5d27f58a0b4557dab33319adb882982d19c5d19333366fc0
bits uint64: df29803bf8b870e2605da12a1837ba360b6faac06e0bfc4bc8d61bca0b03295f
uniform float32 -0.05 0.05: ef31a2c3c53eb1ec2246b26cd12aa2a043a0f3c6200d8be6ccf3a7635bcd7b26
uniform float64 -0.05 0.05: 95fef028b1a2fdc4340a22d1d868a34f2095689431df49fae62fc8e9fa6c9107
uniform float16 -0.05 0.05: 01dd5af30d7eea2e0a2e9fb619bd6058831305f743429b97594e78196fbc7ac9
uniform bfloat16 -0.05 0.05: 62f54e7701759d3c87de9d16b4304a040676e923844953a6c83f0b0c895c6e3b
normal float32 0.3 0.05: 29061c173106811ae55bf54177712dabdb0ff1cfd05a9d815b66ed4e459dfb5c
normal float64 0.3 0.05: c3a31523f0d31c5bd31dfe4553ba49d2ae051980ee54d74409a937918f40e3d4
normal float16 0.3 0.05: cbb22fec520c08e3851963e2ef6024f73b4823f14f7bf1eef0c6ba13f840f011
normal bfloat16 0.3 0.05: 6ba437ce611251c44351ca37b7ed898d9faabfebe8cf0f7b72495fe85481a8d4
truncated float32 0.3 0.05: 810ec4f4b023508f76359f116ab73cb6729934bf31e4ba8194754491be92ef38
truncated float64 0.3 0.05: c86cb06536629c85e66b3d15e78e84007b2fd482f61be34abaa06adc3c121d19
truncated float16 0.3 0.05: 705d3e7d46dfb133253c32a49c065794ecd8440fe7a7472756eb4b6f2f3d9109
truncated bfloat16 0.3 0.05: fa81555732ba5b6f6f59bae8130bffe95c20dbb856c5b342eeca1a04ab1fd603
orthogonal float32 1.0 300x200: c4335b4598277bc26e6971cbdea62ef6beb3d7f77eb146ab640046643334e3c8
orthogonal float32 -0.3 193x193: 1655c28d7bf3f6e15fdf6d93c235ed11ae051ce1d0b21c7daee472a7959362a1
orthogonal float32 1.0 97x200: 60f8212b5b44f0694a2a69ba390e3f278854c0a76a44be0b39fddee68b20dc34
orthogonal float64 1.0 300x200: 7458a7bf29f2e50691a2c8a4fdf15ea28861d2c22fcc1da47bd271bf9e413ed7
orthogonal float64 -0.3 193x193: c1cf3603616cb1fe37bb6cb385be3ba3a5656f1057b9ae10160556e83f2a9139
orthogonal float64 1.0 97x200: 365949af423dd550fa570d194d509cece10a742283098adee701a7dcbb1d44a0
"""

_FLOATS = ("float32", "float64", "float16", "bfloat16")
_PARAMETERS: dict[str, tuple[float, ...]] = {
    "bits": (),
    "uniform": (-0.3, 1.1),
    "normal": (0.1, 0.7),
    "truncated": (0.1, 0.7),
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
) -> Array:
    # NumPy has no bfloat16: the kernels take its bits.
    out = np.zeros(n, "uint16" if dtype == "bfloat16" else dtype)
    getattr(_kernels, distribution)(out, start, SEED, *parameters, threads)
    return out


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
        else:
            array = _sample(distribution, dtype, 0, LENGTH, map(float, rest), _threads.count)
        if _digest(array) != digest:
            return False
    return True


def _samples(distribution: str) -> Iterator[Array]:
    """Yield runs, and rows in any order, of a distribution, on one thread and on all."""
    rows: Any = np.array([5, 2**40 + 1, 0, 2**64 - 700, 5, 64], np.uint64)
    parameters = _PARAMETERS[distribution]
    for dtype in _FLOATS if distribution != "bits" else ("uint32", "uint64"):
        for threads in {1, _threads.count}:
            for start in _STARTS:
                yield _sample(distribution, dtype, start, 200_003, parameters, threads)
            yield _sample(distribution, dtype, rows, len(rows) * 601, parameters, threads)


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
    results = list(checks())
    failed = [name for name, holds in results if not holds]
    if failed:
        raise RuntimeError(f"wrong values on this machine: {'; '.join(failed)}")
    return [name for name, _ in results]
