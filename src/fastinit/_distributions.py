"""The distributions: check their parameters, and draw from them."""

from __future__ import annotations

from functools import lru_cache, partial
from typing import TYPE_CHECKING, Any

import numpy as np

from . import _kernels, _threads
from ._buffers import acquire, resolve
from ._entry import entry_point, release_views
from ._kernels import enter_default_modes, leave_default_modes
from ._memory import empty
from ._parameters import FINITE, WIDEST, check_finite, number
from ._seeds import LARGEST_SEED, check_seed, key

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import TypeAlias

    from numpy.typing import DTypeLike

    from ._typing import Array, Dimensions, Out, Seed, Shape

    # The name of a kernel, or a window, and two parameters, checked for a shape and a dtype.
    Distribution: TypeAlias = tuple[str | _kernels.Window, float, float]
    # A function that checks the two parameters: check(shape, dtype, first, second).
    Check: TypeAlias = Callable[[Dimensions, np.dtype[Any], Any, Any], Distribution]

# The widest span of a uniform distribution: float16 and bfloat16 are computed as float32.
_WIDEST = {**FINITE, "e": FINITE["f"], "E": FINITE["f"]}

# No normal variate lies further out: the tail ends at x0 - log(2**-53) / x0, which is 13.2 for the
# normal's start x0 = 4.02, and at most 13.6 further out than the nearer bound of a window.
_LARGEST_Z = 14

# The limits of a window's table (fastinit_window_init in fastinit.h).
_FARTHEST, _NARROWEST = 2.0**100, 2.0**-900

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
    kernel: str | _kernels.Window,
    dtype: np.dtype[Any],
    mean: object,
    stddev: object,
    lower: float,
    upper: float,
) -> Distribution:
    """Return a normal distribution, whose ends must both be finite in the dtype."""
    if type(mean) is not float or type(stddev) is not float:
        mean, stddev = number("mean", mean), number("stddev", stddev)
    limit = FINITE[dtype.char]
    least, greatest = mean + lower * stddev, mean + upper * stddev
    if not (0 <= stddev <= limit and -limit <= least and greatest <= limit):
        if stddev < 0:
            raise ValueError(f"stddev must be >= 0, received {stddev}")
        check_finite(limit, dtype, mean=mean, stddev=stddev)
        for bound, end in ((lower, least), (upper, greatest)):
            sign = "-" if bound < 0 else "+"
            check_finite(limit, dtype, **{f"mean {sign} {abs(bound):g} * stddev": end})
    return kernel, mean, stddev


def normal(shape: Dimensions, dtype: np.dtype[Any], mean: object, stddev: object) -> Distribution:
    """Return the normal distribution, checked for the dtype."""
    return _bell("normal", dtype, mean, stddev, -_LARGEST_Z, _LARGEST_Z)


def truncated_normal(
    shape: Dimensions, dtype: np.dtype[Any], mean: object, stddev: object
) -> Distribution:
    """Return the normal distribution truncated at 2 standard deviations, checked for the dtype."""
    return _bell("truncated", dtype, mean, stddev, -2, 2)


@lru_cache(maxsize=16)  # a table takes 28 KiB, and 0.1 to 0.3 ms
def _window(lower: float, upper: float) -> _kernels.Window:
    return _kernels.Window(lower, upper)


def _between(
    bounds: tuple[object, object],
    shape: Dimensions,
    dtype: np.dtype[Any],
    mean: object,
    stddev: object,
) -> Distribution:
    """Return the normal distribution between two bounds, checked for the dtype."""
    lower, upper = number("lower", bounds[0]), number("upper", bounds[1])
    if lower == -2 and upper == 2:  # however these numbers are spelled
        return truncated_normal(shape, dtype, mean, stddev)
    if not lower < upper:
        raise ValueError(f"lower must be < upper, received lower={lower}, upper={upper}")
    if lower > _FARTHEST or upper < -_FARTHEST:
        raise ValueError(
            "lower and upper must not both lie more than 2**100 standard deviations from the mean "
            f"on the same side, received lower={lower}, upper={upper}"
        )
    if upper - lower < _NARROWEST:
        raise ValueError(
            f"upper - lower must be at least 2**-900, received lower={lower}, upper={upper}"
        )
    # Where a bound is infinite or far away, the samples end sooner.
    least = max(lower, min(upper, 0) - _LARGEST_Z)
    greatest = min(upper, max(lower, 0) + _LARGEST_Z)
    return _bell(_window(lower, upper), dtype, mean, stddev, least, greatest)


def truncated_at(lower: object, upper: object) -> Check:
    """Return the check of a normal distribution between bounds, in standard deviations."""
    if type(lower) is float and type(upper) is float and lower == -2 and upper == 2:
        return truncated_normal
    return partial(_between, (lower, upper))


@entry_point
def check_random(seed: Seed, distribution: Check, first: object, second: object) -> None:
    """Raise if no instance can have this seed and these parameters of a distribution."""
    check_seed(seed)
    distribution((), WIDEST, first, second)


def fill(
    array: Array,
    start: int | Array | _kernels.Rows,
    seed: int,
    distribution: Distribution,
    keyed: bool = False,
    threads: int | None = None,
) -> None:
    """Fill an array with the elements from start on, or with rows (see _kernels.pyi)."""
    kernel, first, second = distribution
    run = _KERNELS[kernel] if isinstance(kernel, str) else kernel.fill
    run(array, start, seed, first, second, threads or _threads.count, keyed)


# The kernels of the distributions, and how far their values reach, in standard deviations.
_SMALL: dict[Check, tuple[Callable[..., None], float]] = {
    uniform: (_kernels.uniform, 0),
    normal: (_kernels.normal, _LARGEST_Z),
    truncated_normal: (_kernels.truncated, 2),
}


def fill_few(
    address: int,
    count: int,
    width: int,
    key: int,
    distribution: Check,
    first: float,
    second: float,
) -> bool:
    """Fill a few elements of float32 or float64 at an address, or return False.

    Use it for memory on which making an array is slow.  Nothing is changed if there are more than a
    few elements, an argument may be wrong, or the memory needs preparation.
    """
    small = _SMALL.get(distribution)
    return small is not None and _kernels.fill_small_at(
        address, count, width, first, second, key, *small
    )


def draw(
    shape: Shape | None,
    dtype: DTypeLike | None,
    out: Out | None,
    seed: Seed,
    distribution: Check,
    first: Any,
    second: Any,
) -> Out:
    """Return samples in a new array or in ``out``.

    All arguments are checked first, then fresh memory is allocated, then the seed is drawn, then
    ``out`` is touched: a call that is refused changes nothing.
    :func:`fastinit._entry.entry_point` says why all of this runs in the default modes.

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
    # For a few elements, this does all of the below at once, in half the time.
    if (
        type(out) is np.ndarray
        and out.base is None
        and (small := _SMALL.get(distribution))
        and _kernels.fill_small(out, shape, dtype, first, second, seed, *small)
    ):
        return out
    array: Any = None
    modes = enter_default_modes()
    try:
        dims, dtype, array = resolve(shape, dtype, out)
        kernel, first, second = distribution(dims, dtype, first, second)
        # These are the common cases of key(), acquire() and fill() without the calls, which take a
        # tenth of the time of a small fill.
        if array is None:
            array = empty(dims, dtype)
        if type(seed) is not int or not 0 <= seed <= LARGEST_SEED:
            seed = key(seed)
        if out is not None and array.base is not None:
            acquire(array, out)
        run = _KERNELS[kernel] if isinstance(kernel, str) else kernel.fill
        run(array, 0, seed, first, second, _threads.count)
    except BaseException as error:
        array = None
        release_views(error)
        raise
    finally:
        if modes is not None:
            leave_default_modes(modes)
    return array if out is None else out
