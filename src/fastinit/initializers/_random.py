"""The initializers of one distribution: uniform, normal and truncated normal."""

from __future__ import annotations

from typing import TYPE_CHECKING, SupportsFloat

from .._distributions import check_random, draw, normal, truncated_at, uniform
from .._entry import entry_point
from .._keyed import KeyedArray, check_row
from .._lazy import LazyArray, resolve_lazy
from .._seeds import key
from .._sources import RandomSource
from ._base import Initializer, takes_shape_and_dtype

if TYPE_CHECKING:
    from typing import Any, SupportsIndex

    from numpy.typing import DTypeLike

    from .._distributions import Check
    from .._typing import Array, Out, Seed, Shape


@entry_point
def lazy_random(
    shape: Shape,
    dtype: DTypeLike | None,
    seed: Seed,
    distribution: Check,
    first: Any,
    second: Any,
) -> LazyArray:
    """Return the array that ``draw`` fills, with the same arguments, without its memory."""
    dims, dtype = resolve_lazy(shape, dtype)
    checked = distribution(dims, dtype, first, second)
    return LazyArray(dims, dtype, RandomSource(checked, key(seed)))


@entry_point
def keyed_random(
    dim: SupportsIndex,
    dtype: DTypeLike | None,
    seed: Seed,
    distribution: Check,
    first: Any,
    second: Any,
) -> KeyedArray:
    """Return rows by keys from a distribution of these two parameters."""
    length, dtype = check_row(dim, dtype)
    checked = distribution((length,), dtype, first, second)
    return KeyedArray(length, dtype, RandomSource(checked, key(seed)))


def random_uniform(
    shape: Shape | None = None,
    minval: SupportsFloat = -0.05,
    maxval: SupportsFloat = 0.05,
    seed: Seed = None,
    dtype: DTypeLike | None = None,
    *,
    out: Out | None = None,
) -> Out:
    """Return samples of the uniform distribution on [minval, maxval).

    Parameters
    ----------
    shape : int or sequence of int, optional
        Shape of the result; may be left out where ``out`` is given.
    minval, maxval : float
        Bounds; ``maxval`` itself is never returned unless it equals ``minval``.  They hold for the
        numbers given, not only for their nearest ones in the result's dtype.
    seed : int, SeedGenerator or numpy.random.Generator, optional
        An integer, 0 <= seed < 2**64, gives the same values at every call.  A generator advances.
        None draws fresh entropy at every call.
    dtype : str or numpy.dtype, optional
        float32 (the default; 24 random bits), float64 (53 random bits), float16 or bfloat16
        (float32's values, rounded).
    out : array or buffer, optional
        It is filled in place and returned: as in :func:`random_normal`.

    Returns
    -------
    numpy.ndarray or out
        Element i depends on ``(seed, dtype, minval, maxval, i)`` alone, i counted in C order.

    Raises
    ------
    ValueError
        ``minval > maxval``; a bound, or ``maxval - minval``, is not finite in the dtype; and as
        :func:`random_normal`.
    TypeError, OverflowError, MemoryError, OSError
        As :func:`random_normal` does.

    Notes
    -----
    Philox4x32-10 (Salmon et al., SC 2011); u = (2 k + 1) 2^-31 or k 2^-53, scaled.
    """
    return draw(shape, dtype, out, seed, uniform, minval, maxval)


class RandomUniform(Initializer):
    """Draw from the uniform distribution on [minval, maxval).

    Parameters
    ----------
    minval, maxval : float
        Bounds; ``maxval`` itself is never returned unless it equals ``minval``.
    seed : int, SeedGenerator or numpy.random.Generator, optional
        An integer, 0 <= seed < 2**64, gives the same values at every call.  A generator advances.
        None draws fresh entropy at every call.

    Raises
    ------
    ValueError, TypeError
        ``minval > maxval``, or an argument that is out of range or of the wrong type.
    """

    _config_module = "keras.initializers"

    def __init__(
        self, minval: SupportsFloat = -0.05, maxval: SupportsFloat = 0.05, seed: Seed = None
    ) -> None:
        check_random(seed, uniform, minval, maxval)
        self.minval = minval
        self.maxval = maxval
        self.seed = seed

    @takes_shape_and_dtype
    def __call__(self, shape: Shape, dtype: DTypeLike | None = None) -> Array:
        """Return samples in an array of that shape and dtype."""
        return draw(shape, dtype, None, self.seed, uniform, self.minval, self.maxval)

    def lazy(self, shape: Shape, dtype: DTypeLike | None = None) -> LazyArray:
        """Return the same array without its memory: see :meth:`Initializer.lazy`."""
        return lazy_random(shape, dtype, self.seed, uniform, self.minval, self.maxval)

    def keyed(self, dim: SupportsIndex, dtype: DTypeLike | None = None) -> KeyedArray:
        """Return rows by 64-bit keys: see :meth:`Initializer.keyed`."""
        return keyed_random(dim, dtype, self.seed, uniform, self.minval, self.maxval)


def random_normal(
    shape: Shape | None = None,
    mean: SupportsFloat = 0.0,
    stddev: SupportsFloat = 0.05,
    seed: Seed = None,
    dtype: DTypeLike | None = None,
    *,
    out: Out | None = None,
) -> Out:
    """Return samples of the normal distribution.

    Parameters
    ----------
    shape : int or sequence of int, optional
        Shape of the result; may be left out where ``out`` is given.
    mean, stddev : float
        Mean and standard deviation of the distribution; ``stddev=0`` gives the mean.
    seed : int, SeedGenerator or numpy.random.Generator, optional
        An integer, 0 <= seed < 2**64, gives the same values at every call.  A generator advances.
        None draws fresh entropy at every call.
    dtype : str or numpy.dtype, optional
        float32 (the default), float64, float16 or bfloat16 (float32's values, rounded).
    out : array or buffer, optional
        It is filled in place and returned: a NumPy array, a PyTorch tensor of the CPU, any object
        with the buffer protocol or DLPack; C-contiguous, aligned, writeable, in native byte order.
        A buffer of bytes needs ``dtype``; without ``shape`` all of it is filled.  A mapped file has
        its disk blocks reserved first.

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
    return draw(shape, dtype, out, seed, normal, mean, stddev)


class RandomNormal(Initializer):
    """Draw from the normal distribution.

    Parameters
    ----------
    mean, stddev : float
        Mean and standard deviation of the distribution; ``stddev=0`` gives the mean.
    seed : int, SeedGenerator or numpy.random.Generator, optional
        An integer, 0 <= seed < 2**64, gives the same values at every call.  A generator advances.
        None draws fresh entropy at every call.

    Raises
    ------
    ValueError, TypeError
        ``stddev`` is negative, or an argument is out of range or of the wrong type.
    """

    _config_module = "keras.initializers"

    def __init__(
        self, mean: SupportsFloat = 0.0, stddev: SupportsFloat = 0.05, seed: Seed = None
    ) -> None:
        check_random(seed, normal, mean, stddev)
        self.mean = mean
        self.stddev = stddev
        self.seed = seed

    @takes_shape_and_dtype
    def __call__(self, shape: Shape, dtype: DTypeLike | None = None) -> Array:
        """Return samples in an array of that shape and dtype."""
        return draw(shape, dtype, None, self.seed, normal, self.mean, self.stddev)

    def lazy(self, shape: Shape, dtype: DTypeLike | None = None) -> LazyArray:
        """Return the same array without its memory: see :meth:`Initializer.lazy`."""
        return lazy_random(shape, dtype, self.seed, normal, self.mean, self.stddev)

    def keyed(self, dim: SupportsIndex, dtype: DTypeLike | None = None) -> KeyedArray:
        """Return rows by 64-bit keys: see :meth:`Initializer.keyed`."""
        return keyed_random(dim, dtype, self.seed, normal, self.mean, self.stddev)


def truncated_normal(
    shape: Shape | None = None,
    mean: SupportsFloat = 0.0,
    stddev: SupportsFloat = 0.05,
    seed: Seed = None,
    dtype: DTypeLike | None = None,
    *,
    lower: SupportsFloat = -2.0,
    upper: SupportsFloat = 2.0,
    out: Out | None = None,
) -> Out:
    """Return samples of the normal distribution between two bounds.

    The bounds are two standard deviations from the mean unless others are given.

    Parameters
    ----------
    shape : int or sequence of int, optional
        Shape of the result; may be left out where ``out`` is given.
    mean, stddev : float
        Mean and standard deviation of the normal distribution before truncation; with the default
        bounds the result has the standard deviation 0.8796 ``stddev``.  ``stddev=0`` gives the
        mean.
    seed : int, SeedGenerator or numpy.random.Generator, optional
        An integer, 0 <= seed < 2**64, gives the same values at every call.  A generator advances.
        None draws fresh entropy at every call.
    dtype : str or numpy.dtype, optional
        float32 (the default), float64, float16 or bfloat16 (float32's values, rounded).
    lower, upper : float, optional
        Bounds in standard deviations, ``lower < upper``; one or both may be infinite.
    out : array or buffer, optional
        It is filled in place and returned: as in :func:`random_normal`.

    Returns
    -------
    numpy.ndarray or out
        ``mean + lower * stddev <= x <= mean + upper * stddev``, for the numbers given (but where no
        number of the dtype lies between these, one of the two around them).  Element i depends on
        ``(seed, dtype, mean, stddev, lower, upper, i)`` alone, i counted in C order.

    Raises
    ------
    ValueError
        Not ``lower < upper``; ``upper - lower`` is less than 2**-900; both bounds are more than
        2**100 standard deviations away on the same side; the position of a finite bound, ``mean +
        lower * stddev`` or ``mean + upper * stddev``, is not finite in the dtype; and as
        :func:`random_normal`.
    TypeError, OverflowError, MemoryError, OSError
        As :func:`random_normal` does.

    Notes
    -----
    Samples are drawn by rejection.  The default bounds use the modified Ziggurat of McFarland (see
    :func:`random_normal`), built over the density on [0, 2].  Other bounds use the Ziggurat of
    Marsaglia and Tsang (J. Stat. Softw. 5 (2000), issue 8), built for these bounds, with an
    exponential for the far tail (Robert, Stat. Comput. 5 (1995) 121-125).  At least 98% of the
    points that are tried are accepted, whatever the bounds.

    Examples
    --------
    >>> float(abs(truncated_normal((1000, 1000), stddev=0.05, seed=1)).max()) <= 0.1
    True
    """
    return draw(shape, dtype, out, seed, truncated_at(lower, upper), mean, stddev)


class TruncatedNormal(Initializer):
    """Draw from the normal distribution between two bounds.

    The bounds are two standard deviations from the mean unless others are given.

    Parameters
    ----------
    mean, stddev : float
        Mean and standard deviation of the normal distribution before truncation; with the default
        bounds the result has the standard deviation 0.8796 ``stddev``.  ``stddev=0`` gives the
        mean.
    seed : int, SeedGenerator or numpy.random.Generator, optional
        An integer, 0 <= seed < 2**64, gives the same values at every call.  A generator advances.
        None draws fresh entropy at every call.
    lower, upper : float, optional
        Bounds in standard deviations, ``lower < upper``; one or both may be infinite.  A
        configuration has them only if they differ from -2 and 2, the only bounds of Keras.

    Raises
    ------
    ValueError, TypeError
        ``stddev`` is negative, not ``lower < upper``, :func:`fastinit.truncated_normal` refuses the
        bounds, or an argument is out of range or of the wrong type.
    """

    _config_module = "keras.initializers"

    def __init__(
        self,
        mean: SupportsFloat = 0.0,
        stddev: SupportsFloat = 0.05,
        seed: Seed = None,
        *,
        lower: SupportsFloat = -2.0,
        upper: SupportsFloat = 2.0,
    ) -> None:
        check_random(seed, truncated_at(lower, upper), mean, stddev)
        self.mean = mean
        self.stddev = stddev
        self.seed = seed
        self.lower = lower
        self.upper = upper

    @takes_shape_and_dtype
    def __call__(self, shape: Shape, dtype: DTypeLike | None = None) -> Array:
        """Return samples in an array of that shape and dtype."""
        checked = truncated_at(self.lower, self.upper)
        return draw(shape, dtype, None, self.seed, checked, self.mean, self.stddev)

    def lazy(self, shape: Shape, dtype: DTypeLike | None = None) -> LazyArray:
        """Return the same array without its memory: see :meth:`Initializer.lazy`."""
        checked = truncated_at(self.lower, self.upper)
        return lazy_random(shape, dtype, self.seed, checked, self.mean, self.stddev)

    def keyed(self, dim: SupportsIndex, dtype: DTypeLike | None = None) -> KeyedArray:
        """Return rows by 64-bit keys: see :meth:`Initializer.keyed`."""
        checked = truncated_at(self.lower, self.upper)
        return keyed_random(dim, dtype, self.seed, checked, self.mean, self.stddev)

    def _shown(self) -> dict[str, Any]:
        arguments = super()._shown()
        if self.lower == -2 and self.upper == 2:
            arguments.pop("lower", None)
            arguments.pop("upper", None)
        return arguments
