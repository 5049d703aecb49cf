"""Uniform, normal and truncated normal values."""

from __future__ import annotations

from dataclasses import dataclass
from math import sqrt
from typing import TYPE_CHECKING, Any

from .. import _distributions as distributions
from ._base import JaxInitializer, kernel_dtype, number
from ._values import Random

if TYPE_CHECKING:
    import numpy as np

    from .._typing import Dimensions
    from ._values import Values


def normal_values(name: str, shape: Dimensions, dtype: np.dtype[Any], stddev: float) -> Values:
    """Return normal values of mean 0; complex ones have that standard deviation, too."""
    kernel = kernel_dtype(name, dtype, allow_complex=True)
    if dtype.kind == "c":  # each of both parts has half of the variance
        stddev /= sqrt(2)
    return Random(shape, dtype, distributions.normal(shape, kernel, 0.0, stddev))


@dataclass(frozen=True, eq=False)
class Uniform(JaxInitializer):
    """The initializer of :func:`uniform`."""

    scale: Any
    dtype: Any

    @property
    def name(self) -> str:
        """See JaxInitializer."""
        return "uniform"

    def checked(self, shape: Dimensions, dtype: np.dtype[Any]) -> Values:
        """See JaxInitializer."""
        kernel = kernel_dtype(self.name, dtype, allow_complex=False)
        scale = number("scale", self.scale)
        low, high = min(scale, 0.0), max(scale, 0.0)
        return Random(shape, dtype, distributions.uniform(shape, kernel, low, high))


def uniform(scale: Any = 1e-2, dtype: Any = None) -> Any:
    """Return an initializer of uniform values in [0, scale).

    Parameters
    ----------
    scale : float
        The end of the interval; the values lie in [scale, 0) where it is negative.
    dtype : dtype, optional
        The initializer's default dtype: a float.  None is JAX's default float.

    Returns
    -------
    Initializer
        A function ``init(key, shape, dtype, out_sharding)``.
    """
    return Uniform(scale, dtype)


@dataclass(frozen=True, eq=False)
class Normal(JaxInitializer):
    """The initializer of :func:`normal`."""

    stddev: Any
    dtype: Any

    @property
    def name(self) -> str:
        """See JaxInitializer."""
        return "normal"

    def checked(self, shape: Dimensions, dtype: np.dtype[Any]) -> Values:
        """See JaxInitializer."""
        return normal_values(self.name, shape, dtype, abs(number("stddev", self.stddev)))


def normal(stddev: Any = 1e-2, dtype: Any = None) -> Any:
    """Return an initializer of normal values with mean 0.

    Parameters
    ----------
    stddev : float
        The standard deviation; its sign does not matter.
    dtype : dtype, optional
        The initializer's default dtype: a float or a complex one, whose real and imaginary parts
        each have half of the variance.  None is JAX's default float.

    Returns
    -------
    Initializer
        A function ``init(key, shape, dtype, out_sharding)``.
    """
    return Normal(stddev, dtype)


@dataclass(frozen=True, eq=False)
class TruncatedNormal(JaxInitializer):
    """The initializer of :func:`truncated_normal`."""

    stddev: Any
    dtype: Any
    lower: Any
    upper: Any

    @property
    def name(self) -> str:
        """See JaxInitializer."""
        return "truncated_normal"

    def checked(self, shape: Dimensions, dtype: np.dtype[Any]) -> Values:
        """See JaxInitializer."""
        kernel = kernel_dtype(self.name, dtype, allow_complex=False)
        stddev = number("stddev", self.stddev)
        lower, upper = number("lower", self.lower), number("upper", self.upper)
        if stddev < 0:
            stddev, lower, upper = -stddev, -upper, -lower
        check = distributions.truncated_at(lower, upper)
        return Random(shape, dtype, check(shape, kernel, 0.0, stddev))


def truncated_normal(
    stddev: Any = 1e-2, dtype: Any = None, lower: Any = -2.0, upper: Any = 2.0
) -> Any:
    """Return an initializer of normal values with mean 0 that lie between two bounds.

    Parameters
    ----------
    stddev : float
        The standard deviation before truncation.  Where it is negative, its absolute value is used
        with the bounds ``-upper`` and ``-lower``.
    dtype : dtype, optional
        The initializer's default dtype: a float.  None is JAX's default float.
    lower, upper : float
        The bounds in standard deviations: the values lie between ``lower * stddev`` and
        ``upper * stddev``.  They may be infinite.

    Returns
    -------
    Initializer
        A function ``init(key, shape, dtype, out_sharding)``.
    """
    return TruncatedNormal(stddev, dtype, lower, upper)
