"""The random fills: parameters checked, memory found, the kernel called."""

from __future__ import annotations

from typing import TYPE_CHECKING

from . import _kernels, _threads
from ._arrays import WORDS, claim, let_go, target
from ._seeds import LARGEST_SEED, key

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, SupportsFloat, SupportsIndex, TypeAlias

    import numpy as np
    from numpy.typing import DTypeLike, NDArray

    from ._arrays import Shape
    from ._seeds import SeedGenerator

    Seed: TypeAlias = SupportsIndex | SeedGenerator | np.random.Generator | None
    Array: TypeAlias = NDArray[Any]
    Law: TypeAlias = tuple[str, float, float]

# By the character of a dtype: the largest numbers that round to a finite one; of float16 and
# bfloat16 ("E"), which are rounded twice, the largest numbers.
FINITE = {
    "e": 65504.0,
    "E": float.fromhex("0x1.fep+127"),
    "f": float.fromhex("0x1.fffffefffffffp+127"),
    "d": float.fromhex("0x1.fffffffffffffp+1023"),
}

# The widest span of a uniform distribution: the halves are made as float32.
_WIDEST = {**FINITE, "e": FINITE["f"], "E": FINITE["f"]}

_EXACT = 1 << 53

# No normal variate lies further out: x0 - log(2**-53) / x0 = 13.7 for the tail's start x0 = 3.64.
_LARGEST_Z = 14


def _number(name: str, value: Any) -> float:
    if type(value) is int and -_EXACT <= value <= _EXACT:  # in half the time
        return float(value)
    if isinstance(value, (str, bytes, bytearray)) or value is None:
        raise TypeError(f"{name} must be a number, received {value!r}")
    try:
        return float(value)
    except OverflowError:
        raise ValueError(f"{name} must be finite, received {value!r}") from None
    except (TypeError, ValueError):
        raise TypeError(f"{name} must be a number, received {value!r}") from None


def _check_finite(limit: float, dtype: object, **values: float) -> None:
    for name, value in values.items():
        if not -limit <= value <= limit:
            raise ValueError(f"{name} must be finite in {dtype}, received {value}")


# A law is (the kernel's name, its two parameters), checked for a shape and a dtype.


# A call for a few elements is made of such lines: floats are told at a glance, and one comparison
# decides the good case.


def uniform_law(dims: object, kind: np.dtype[Any], minval: object, maxval: object) -> Law:
    """That of :func:`random_uniform`."""
    if type(minval) is not float or type(maxval) is not float:
        minval, maxval = _number("minval", minval), _number("maxval", maxval)
    char = kind.char
    limit, widest = FINITE[char], _WIDEST[char]
    if not (-limit <= minval <= maxval <= limit and maxval - minval <= widest):
        if minval > maxval:
            raise ValueError(f"minval must be <= maxval, received minval={minval}, maxval={maxval}")
        _check_finite(limit, kind, minval=minval, maxval=maxval)
        _check_finite(widest, kind, **{"maxval - minval": maxval - minval})
    return "uniform", minval, maxval


def _bell(kernel: str, kind: np.dtype[Any], mean: object, stddev: object, sigmas: int) -> Law:
    """Finite in that dtype, as mean +- sigmas * stddev is."""
    if type(mean) is not float or type(stddev) is not float:
        mean, stddev = _number("mean", mean), _number("stddev", stddev)
    limit = FINITE[kind.char]
    reach = sigmas * stddev
    if not (0 <= stddev <= limit and -limit <= mean - reach and mean + reach <= limit):
        if stddev < 0:
            raise ValueError(f"stddev must be >= 0, received {stddev}")
        _check_finite(limit, kind, mean=mean, stddev=stddev)
        bounds = {
            f"mean - {sigmas} * stddev": mean - reach,
            f"mean + {sigmas} * stddev": mean + reach,
        }
        _check_finite(limit, kind, **bounds)
    return kernel, mean, stddev


def normal_law(dims: object, kind: np.dtype[Any], mean: object, stddev: object) -> Law:
    """That of :func:`random_normal`."""
    return _bell("normal", kind, mean, stddev, _LARGEST_Z)


def truncated_law(dims: object, kind: np.dtype[Any], mean: object, stddev: object) -> Law:
    """That of :func:`truncated_normal`."""
    return _bell("truncated", kind, mean, stddev, 2)


_KERNELS = {
    "uniform": _kernels.uniform,
    "normal": _kernels.normal,
    "truncated": _kernels.truncated,
}


def fill(array: Array, start: int | Array, seed: int, law: Law) -> None:
    """Fill with the elements from start on, or with rows that start there (_kernels.pyx)."""
    kernel, p, q = law
    _KERNELS[kernel](array, start, seed, p, q, _threads.count)


def draw(
    shape: Shape | None,
    dtype: DTypeLike | None,
    out: Any,
    seed: Seed,
    law: Callable[[tuple[int, ...], np.dtype[Any], Any, Any], Law],
    p: Any,
    q: Any,
) -> Any:
    """The result of a sampler: all is checked, then the seed, then memory, then the kernel."""
    array = None
    try:
        dims, kind, array = target(shape, dtype, out)
        kernel, p, q = law(dims, kind, p, q)
        # The common cases of key(), claim() and fill(), without the calls: a tenth of a small one.
        if type(seed) is not int or not 0 <= seed <= LARGEST_SEED:
            seed = key(seed)
        if array is None or array.base is not None:
            array = claim(dims, kind, array)
        _KERNELS[kernel](array, 0, seed, p, q, _threads.count)
    except BaseException as error:
        array = None
        let_go(error)
        raise
    return array if out is None else out


def random_bits(
    shape: Shape | None = None,
    seed: Seed = None,
    dtype: DTypeLike | None = None,
    *,
    out: Any = None,
) -> Any:
    """Uniform random words: the plain Philox4x32-10 sequence of a key.

    Parameters
    ----------
    shape : int or sequence of int, optional
        Shape of the result; may be left out where ``out`` is given.
    seed : int, SeedGenerator or numpy.random.Generator, optional
        An integer, 0 <= seed < 2**64, is the Philox key.  A generator advances.  None: fresh
        entropy at every call.
    dtype : str or numpy.dtype, optional
        uint32 (the default; 32-bit samples) or uint64 (64-bit samples).
    out : array or buffer, optional
        Filled in place and returned: as in :func:`random_normal`, uint32 or uint64.

    Returns
    -------
    numpy.ndarray or out
        Words; element i depends on ``(seed, dtype, i)`` alone, i counted in C order.

    Raises
    ------
    TypeError, ValueError, OverflowError, MemoryError
        As :func:`random_normal`.

    Notes
    -----
    Salmon, Moraes, Dror & Shaw, "Parallel random numbers: as easy as 1, 2, 3", SC 2011.

    Examples
    --------
    >>> [hex(word) for word in random_bits(4, seed=0).tolist()]
    ['0x6627e8d5', '0xe169c58d', '0xbc57ac4c', '0x9b00dbd8']
    """
    dims, kind, view = target(shape, dtype, out, WORDS)
    seed = key(seed)
    array = claim(dims, kind, view)
    _kernels.bits(array, 0, seed, _threads.count)
    return array if out is None else out


def random_uniform(
    shape: Shape | None = None,
    minval: SupportsFloat = -0.05,
    maxval: SupportsFloat = 0.05,
    seed: Seed = None,
    dtype: DTypeLike | None = None,
    *,
    out: Any = None,
) -> Any:
    """Samples of the uniform distribution on [minval, maxval).

    Parameters
    ----------
    shape : int or sequence of int, optional
        Shape of the result; may be left out where ``out`` is given.
    minval, maxval : float
        Bounds; ``maxval`` itself is never returned unless it equals ``minval``.  They hold for the
        numbers given, not only for their nearest ones in the result's dtype.
    seed : int, SeedGenerator or numpy.random.Generator, optional
        An integer, 0 <= seed < 2**64, gives the same values at every call.  A generator advances.
        None: fresh entropy at every call.
    dtype : str or numpy.dtype, optional
        float32 (the default; 24 random bits), float64 (53 random bits), float16 or bfloat16
        (float32's values, rounded).
    out : array or buffer, optional
        Filled in place and returned: as in :func:`random_normal`.

    Returns
    -------
    numpy.ndarray or out
        Element i depends on ``(seed, dtype, minval, maxval, i)`` alone, i counted in C order.

    Raises
    ------
    ValueError
        ``minval > maxval``; a bound, or ``maxval - minval``, not finite in the dtype; and as
        :func:`random_normal`.
    TypeError, OverflowError, MemoryError, OSError
        As :func:`random_normal`.

    Notes
    -----
    Philox4x32-10 (Salmon et al., SC 2011); u = k 2^-24 or k 2^-53, scaled.
    """
    return draw(shape, dtype, out, seed, uniform_law, minval, maxval)


def random_normal(
    shape: Shape | None = None,
    mean: SupportsFloat = 0.0,
    stddev: SupportsFloat = 0.05,
    seed: Seed = None,
    dtype: DTypeLike | None = None,
    *,
    out: Any = None,
) -> Any:
    """Samples of the normal distribution.

    Parameters
    ----------
    shape : int or sequence of int, optional
        Shape of the result; may be left out where ``out`` is given.
    mean, stddev : float
        Of the distribution; ``stddev=0`` gives the mean.
    seed : int, SeedGenerator or numpy.random.Generator, optional
        An integer, 0 <= seed < 2**64, gives the same values at every call.  A generator advances.
        None: fresh entropy at every call.
    dtype : str or numpy.dtype, optional
        float32 (the default), float64, float16 or bfloat16 (float32's values, rounded).
    out : array or buffer, optional
        Filled in place and returned: a NumPy array, a PyTorch tensor of the CPU, any object with
        the buffer protocol or DLPack; C-contiguous, aligned, writeable, native.  A buffer of bytes
        needs ``dtype``; without ``shape`` it is taken as long as it is.  A mapped file has its disk
        blocks reserved first.

    Returns
    -------
    numpy.ndarray or out
        Element i depends on ``(seed, dtype, mean, stddev, i)`` alone, i counted in C order.

    Raises
    ------
    ValueError
        A negative dimension; ``stddev`` negative; ``mean`` or ``mean +- 14 * stddev`` (no sample
        lies further out) not finite in the dtype; a seed out of range; an ``out`` of another shape,
        read-only, not contiguous, misaligned, byte-swapped, not in the memory of the CPU.
    TypeError
        A shape, seed, parameter or dtype of the wrong type; an ``out`` of another dtype, or none
        that can be filled in place.
    ImportError
        bfloat16 without ml_dtypes.
    OverflowError
        More than 2**64 elements.
    MemoryError
        An array too large to allocate.
    OSError
        The disk behind a mapped file is full.

    Notes
    -----
    The modified Ziggurat of McFarland, "A modified ziggurat algorithm for generating exponentially
    and normally distributed pseudorandom numbers", J. Stat. Comput. Simul. 86 (2016) 1281-1294, on
    words of Philox4x32-10 (Salmon et al., SC 2011).
    """
    return draw(shape, dtype, out, seed, normal_law, mean, stddev)


def truncated_normal(
    shape: Shape | None = None,
    mean: SupportsFloat = 0.0,
    stddev: SupportsFloat = 0.05,
    seed: Seed = None,
    dtype: DTypeLike | None = None,
    *,
    out: Any = None,
) -> Any:
    """Samples of the normal distribution, those beyond two standard deviations redrawn.

    Parameters
    ----------
    shape : int or sequence of int, optional
        Shape of the result; may be left out where ``out`` is given.
    mean, stddev : float
        Of the normal distribution before truncation; what is left has the standard deviation
        0.8796 ``stddev``.  ``stddev=0`` gives the mean.
    seed : int, SeedGenerator or numpy.random.Generator, optional
        An integer, 0 <= seed < 2**64, gives the same values at every call.  A generator advances.
        None: fresh entropy at every call.
    dtype : str or numpy.dtype, optional
        float32 (the default), float64, float16 or bfloat16 (float32's values, rounded).
    out : array or buffer, optional
        Filled in place and returned: as in :func:`random_normal`.

    Returns
    -------
    numpy.ndarray or out
        ``mean - 2 * stddev <= x <= mean + 2 * stddev``, for the numbers given (but the mean itself,
        rounded to the dtype, is always allowed).  Element i depends on
        ``(seed, dtype, mean, stddev, i)`` alone, i counted in C order.

    Raises
    ------
    ValueError
        ``mean - 2 * stddev`` or ``mean + 2 * stddev`` not finite; and as :func:`random_normal`.
    TypeError, OverflowError, MemoryError, OSError
        As :func:`random_normal`.

    Notes
    -----
    By rejection: the modified Ziggurat of McFarland (see :func:`random_normal`) built over the
    density on [0, 2].

    Examples
    --------
    >>> float(abs(truncated_normal((1000, 1000), stddev=0.05, seed=1)).max()) <= 0.1
    True
    """
    return draw(shape, dtype, out, seed, truncated_law, mean, stddev)
