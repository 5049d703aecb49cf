"""Values whose scale follows from the fans of a shape."""

from __future__ import annotations

from dataclasses import dataclass
from math import inf, prod, sqrt
from operator import index
from typing import TYPE_CHECKING, Any

from .. import _distributions as distributions
from .._fans import TRUNCATED_STDDEV
from .._messages import shown
from ._base import JaxInitializer, kernel_dtype, number
from ._random import normal_values
from ._values import Random

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np

    from .._typing import Dimensions
    from ._values import Values

# JAX divides by this number, sqrt(1 - 5 * exp(-4)), where the modulus of a complex normal of
# variance 1 is truncated at 2.  It is the root of the integral of |z|**2 times the density over the
# disk, without the division by the probability of the disk, 1 - exp(-4).  So the results, JAX's and
# these, have a standard deviation that is 0.93 % larger than sqrt(scale / fan).
COMPLEX_TRUNCATED_STDDEV = 0.95311164380491208


def _size(shape: Dimensions, axes: Any) -> int:
    """Return the number of elements along one axis or several."""
    try:
        return shape[index(axes)]
    except TypeError:
        return prod([shape[a] for a in axes])


def compute_fans(
    shape: Dimensions,
    in_axis: int | Sequence[int],
    out_axis: int | Sequence[int],
    batch_axis: int | Sequence[int],
) -> tuple[float, float]:
    """Return the numbers of inputs and outputs of one unit, by JAX's rules.

    Axes that are not named are those of a convolution's window.

    Raises
    ------
    ValueError
        The shape has fewer than two dimensions, and ``in_axis`` is the default.
    IndexError
        The shape lacks an axis.
    TypeError
        An axis is no integer.
    ZeroDivisionError
        There is no fan, as an axis has no elements.
    """
    if isinstance(in_axis, int) and in_axis == -2 and len(shape) < 2:
        raise ValueError(
            "shape must have at least two dimensions unless in_axis is given, "
            f"received {shown(shape)}"
        )
    inputs, outputs = _size(shape, in_axis), _size(shape, out_axis)
    window = prod(shape) / inputs / outputs / _size(shape, batch_axis)
    return inputs * window, outputs * window


def _fan(mode: Any, fan_in: float, fan_out: float) -> float:
    if mode == "fan_in":
        return fan_in
    if mode == "fan_out":
        return fan_out
    if mode == "fan_avg":
        return (fan_in + fan_out) / 2
    if mode == "fan_geo_avg":
        return sqrt(fan_in * fan_out)
    raise ValueError(
        f"mode must be one of fan_in, fan_out, fan_avg, fan_geo_avg, received {shown(mode)}"
    )


@dataclass(frozen=True, eq=False)
class VarianceScaling(JaxInitializer):
    """The initializer of :func:`variance_scaling`."""

    scale: Any
    mode: Any
    distribution: Any
    in_axis: Any
    out_axis: Any
    batch_axis: Any
    dtype: Any

    @property
    def name(self) -> str:
        """See JaxInitializer."""
        return "variance_scaling"

    def checked(self, shape: Dimensions, dtype: np.dtype[Any]) -> Values:
        """See JaxInitializer."""
        fans = compute_fans(shape, self.in_axis, self.out_axis, self.batch_axis)
        fan = _fan(self.mode, *fans)
        scale = number("scale", self.scale)
        if not 0 <= scale < inf:
            raise ValueError(f"scale must be a number >= 0, received {scale}")
        stddev = sqrt(scale / fan)
        kernel = kernel_dtype(self.name, dtype, allow_complex=True)
        if self.distribution == "normal":
            return normal_values(self.name, shape, dtype, stddev)
        if self.distribution == "truncated_normal":
            if dtype.kind == "c":
                stddev /= COMPLEX_TRUNCATED_STDDEV
                parts = distributions.normal(shape, kernel, 0.0, stddev / sqrt(2))
                return Random(shape, dtype, parts, 2 * stddev)
            truncated = distributions.truncated_normal(
                shape, kernel, 0.0, stddev / TRUNCATED_STDDEV
            )
            return Random(shape, dtype, truncated)
        if self.distribution == "uniform":
            # U(-r, r) has the variance r**2 / 3, and a disk of radius r has r**2 / 2.
            limit = stddev * sqrt(2 if dtype.kind == "c" else 3)
            square = distributions.uniform(shape, kernel, -limit, limit)
            return Random(shape, dtype, square, limit if dtype.kind == "c" else None)
        raise ValueError(
            "distribution must be one of truncated_normal, normal, uniform, "
            f"received {shown(self.distribution)}"
        )


def variance_scaling(
    scale: Any,
    mode: Any,
    distribution: Any,
    in_axis: Any = -2,
    out_axis: Any = -1,
    batch_axis: Any = (),
    dtype: Any = None,
) -> Any:
    """Return an initializer of values with mean 0 and variance scale / fan.

    Parameters
    ----------
    scale : float
        At least 0.
    mode : str
        Which fan: ``"fan_in"``, the number of inputs of a unit; ``"fan_out"``, of its outputs;
        ``"fan_avg"`` or ``"fan_geo_avg"``, their arithmetic or geometric mean.
    distribution : str
        ``"normal"``; ``"truncated_normal"``, truncated at 2 standard deviations (of the normal
        distribution before it is truncated); or ``"uniform"``.  For complex dtypes the modulus is
        truncated, which as in JAX gives a variance that is 1.9 % too large, and the uniform
        distribution is that in a disk.
    in_axis, out_axis : int or sequence of int
        The axes of inputs and outputs.
    batch_axis : int or sequence of int
        The axes that do not count, as those of several matrices.  All other axes are a
        convolution's window.
    dtype : dtype, optional
        The initializer's default dtype: a float or a complex one.  None is JAX's default float.

    Returns
    -------
    Initializer
        A function ``init(key, shape, dtype, out_sharding)``.

    Notes
    -----
    As in JAX, wrong arguments raise when the initializer is called.
    """
    return VarianceScaling(scale, mode, distribution, in_axis, out_axis, batch_axis, dtype)


def glorot_uniform(
    in_axis: Any = -2, out_axis: Any = -1, batch_axis: Any = (), dtype: Any = None
) -> Any:
    """Return an initializer of uniform values with the variance 2 / (fan_in + fan_out).

    Parameters
    ----------
    in_axis, out_axis, batch_axis : int or sequence of int
        The axes of inputs, of outputs, and those that do not count: see :func:`variance_scaling`.
    dtype : dtype, optional
        The initializer's default dtype: a float or a complex one.  None is JAX's default float.

    Returns
    -------
    Initializer
        A function ``init(key, shape, dtype, out_sharding)``.

    Notes
    -----
    Glorot & Bengio, AISTATS 2010, equation 16.
    """
    return VarianceScaling(1.0, "fan_avg", "uniform", in_axis, out_axis, batch_axis, dtype)


xavier_uniform = glorot_uniform


def glorot_normal(
    in_axis: Any = -2, out_axis: Any = -1, batch_axis: Any = (), dtype: Any = None
) -> Any:
    """Return an initializer of truncated normal values with the variance 2 / (fan_in + fan_out).

    Parameters
    ----------
    in_axis, out_axis, batch_axis : int or sequence of int
        The axes of inputs, of outputs, and those that do not count: see :func:`variance_scaling`.
    dtype : dtype, optional
        The initializer's default dtype: a float or a complex one.  None is JAX's default float.

    Returns
    -------
    Initializer
        A function ``init(key, shape, dtype, out_sharding)``.

    Notes
    -----
    Glorot & Bengio, AISTATS 2010, equation 12.
    """
    return VarianceScaling(1.0, "fan_avg", "truncated_normal", in_axis, out_axis, batch_axis, dtype)


xavier_normal = glorot_normal


def lecun_uniform(
    in_axis: Any = -2, out_axis: Any = -1, batch_axis: Any = (), dtype: Any = None
) -> Any:
    """Return an initializer of uniform values with the variance 1 / fan_in.

    Parameters
    ----------
    in_axis, out_axis, batch_axis : int or sequence of int
        The axes of inputs, of outputs, and those that do not count: see :func:`variance_scaling`.
    dtype : dtype, optional
        The initializer's default dtype: a float or a complex one.  None is JAX's default float.

    Returns
    -------
    Initializer
        A function ``init(key, shape, dtype, out_sharding)``.

    Notes
    -----
    LeCun, Bottou, Orr & Müller, Efficient BackProp, 1998, section 4.6.
    """
    return VarianceScaling(1.0, "fan_in", "uniform", in_axis, out_axis, batch_axis, dtype)


def lecun_normal(
    in_axis: Any = -2, out_axis: Any = -1, batch_axis: Any = (), dtype: Any = None
) -> Any:
    """Return an initializer of truncated normal values with the variance 1 / fan_in.

    Parameters
    ----------
    in_axis, out_axis, batch_axis : int or sequence of int
        The axes of inputs, of outputs, and those that do not count: see :func:`variance_scaling`.
    dtype : dtype, optional
        The initializer's default dtype: a float or a complex one.  None is JAX's default float.

    Returns
    -------
    Initializer
        A function ``init(key, shape, dtype, out_sharding)``.

    Notes
    -----
    LeCun, Bottou, Orr & Müller, Efficient BackProp, 1998, section 4.6.
    """
    return VarianceScaling(1.0, "fan_in", "truncated_normal", in_axis, out_axis, batch_axis, dtype)


def he_uniform(
    in_axis: Any = -2, out_axis: Any = -1, batch_axis: Any = (), dtype: Any = None
) -> Any:
    """Return an initializer of uniform values with the variance 2 / fan_in.

    Parameters
    ----------
    in_axis, out_axis, batch_axis : int or sequence of int
        The axes of inputs, of outputs, and those that do not count: see :func:`variance_scaling`.
    dtype : dtype, optional
        The initializer's default dtype: a float or a complex one.  None is JAX's default float.

    Returns
    -------
    Initializer
        A function ``init(key, shape, dtype, out_sharding)``.

    Notes
    -----
    He, Zhang, Ren & Sun, ICCV 2015, equation 10.
    """
    return VarianceScaling(2.0, "fan_in", "uniform", in_axis, out_axis, batch_axis, dtype)


kaiming_uniform = he_uniform


def he_normal(
    in_axis: Any = -2, out_axis: Any = -1, batch_axis: Any = (), dtype: Any = None
) -> Any:
    """Return an initializer of truncated normal values with the variance 2 / fan_in.

    Parameters
    ----------
    in_axis, out_axis, batch_axis : int or sequence of int
        The axes of inputs, of outputs, and those that do not count: see :func:`variance_scaling`.
    dtype : dtype, optional
        The initializer's default dtype: a float or a complex one.  None is JAX's default float.

    Returns
    -------
    Initializer
        A function ``init(key, shape, dtype, out_sharding)``.

    Notes
    -----
    He, Zhang, Ren & Sun, ICCV 2015, equation 10.
    """
    return VarianceScaling(2.0, "fan_in", "truncated_normal", in_axis, out_axis, batch_axis, dtype)


kaiming_normal = he_normal
