"""The distributions: check their parameters, and draw from them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from . import _kernels, _threads
from ._buffers import acquire, release_views, resolve
from ._parameters import FINITE, check_finite, number
from ._seeds import LARGEST_SEED, key

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import TypeAlias

    import numpy as np
    from numpy.typing import DTypeLike

    from ._typing import Array, Dimensions, Out, Seed, Shape

    # The name of a kernel and its two parameters, checked for a shape and a dtype.
    Distribution: TypeAlias = tuple[str, float, float]

# The widest span of a uniform distribution: float16 and bfloat16 are computed as float32.
_WIDEST = {**FINITE, "e": FINITE["f"], "E": FINITE["f"]}

# No normal variate lies further out: x0 - log(2**-53) / x0 = 13.7 for the tail's start x0 = 3.64.
_LARGEST_Z = 14

_KERNELS = {
    "uniform": _kernels.uniform,
    "normal": _kernels.normal,
    "truncated": _kernels.truncated,
}

# A call for a few elements consists of the lines below: the type of floats is compared first, and
# one comparison decides the good case.


def uniform(
    shape: Dimensions, dtype: np.dtype[Any], minval: object, maxval: object
) -> Distribution:
    """Return the uniform distribution on [minval, maxval), checked for the dtype."""
    if type(minval) is not float or type(maxval) is not float:
        minval, maxval = number("minval", minval), number("maxval", maxval)
    limit, widest = FINITE[dtype.char], _WIDEST[dtype.char]
    if not (-limit <= minval <= maxval <= limit and maxval - minval <= widest):
        if minval > maxval:
            raise ValueError(f"minval must be <= maxval, received minval={minval}, maxval={maxval}")
        check_finite(limit, dtype, minval=minval, maxval=maxval)
        check_finite(widest, dtype, **{"maxval - minval": maxval - minval})
    return "uniform", minval, maxval


def _bell(
    kernel: str, dtype: np.dtype[Any], mean: object, stddev: object, sigmas: int
) -> Distribution:
    """Return a normal distribution; mean +- sigmas * stddev must be finite in the dtype."""
    if type(mean) is not float or type(stddev) is not float:
        mean, stddev = number("mean", mean), number("stddev", stddev)
    limit = FINITE[dtype.char]
    reach = sigmas * stddev
    if not (0 <= stddev <= limit and -limit <= mean - reach and mean + reach <= limit):
        if stddev < 0:
            raise ValueError(f"stddev must be >= 0, received {stddev}")
        check_finite(limit, dtype, mean=mean, stddev=stddev)
        bounds = {
            f"mean - {sigmas} * stddev": mean - reach,
            f"mean + {sigmas} * stddev": mean + reach,
        }
        check_finite(limit, dtype, **bounds)
    return kernel, mean, stddev


def normal(shape: Dimensions, dtype: np.dtype[Any], mean: object, stddev: object) -> Distribution:
    """Return the normal distribution, checked for the dtype."""
    return _bell("normal", dtype, mean, stddev, _LARGEST_Z)


def truncated_normal(
    shape: Dimensions, dtype: np.dtype[Any], mean: object, stddev: object
) -> Distribution:
    """Return the normal distribution truncated at 2 standard deviations, checked for the dtype."""
    return _bell("truncated", dtype, mean, stddev, 2)


def fill(array: Array, start: int | Array, seed: int, distribution: Distribution) -> None:
    """Fill an array with the elements from start on, or with rows (see _kernels.pyi)."""
    kernel, first, second = distribution
    _KERNELS[kernel](array, start, seed, first, second, _threads.count)


def draw(
    shape: Shape | None,
    dtype: DTypeLike | None,
    out: Out | None,
    seed: Seed,
    distribution: Callable[[Dimensions, np.dtype[Any], Any, Any], Distribution],
    first: Any,
    second: Any,
) -> Out:
    """Return samples in a new array or in ``out``.

    All arguments are checked first, then the seed is drawn, then memory is allocated, then the
    kernel runs.

    Parameters
    ----------
    shape, dtype, out, seed
        As every function of :mod:`fastinit` takes them.
    distribution : callable
        ``distribution(dims, dtype, first, second)`` checks two parameters and returns a
        Distribution.
    first, second
        The two parameters, such as mean and standard deviation.
    """
    array: Any = None
    try:
        dims, dtype, array = resolve(shape, dtype, out)
        kernel, first, second = distribution(dims, dtype, first, second)
        # These are the common cases of key(), acquire() and fill() without the calls, which take a
        # tenth of the time of a small fill.
        if type(seed) is not int or not 0 <= seed <= LARGEST_SEED:
            seed = key(seed)
        if array is None or array.base is not None:
            array = acquire(dims, dtype, array)
        _KERNELS[kernel](array, 0, seed, first, second, _threads.count)
    except BaseException as error:
        array = None
        release_views(error)
        raise
    return array if out is None else out
