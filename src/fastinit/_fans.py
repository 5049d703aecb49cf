"""Variance scaling: fans, and the distribution that follows from them."""

from __future__ import annotations

from math import inf, prod, sqrt
from typing import TYPE_CHECKING, Any

from numpy.exceptions import AxisError

from ._distributions import normal, truncated_normal, uniform
from ._messages import shown
from ._parameters import number
from ._shapes import as_integers

if TYPE_CHECKING:
    from typing import TypeAlias

    import numpy as np

    from ._distributions import Distribution
    from ._typing import Axes, Dimensions

    # Scale, mode and the name of the distribution.
    Rule: TypeAlias = tuple[float, str, str]

# The standard deviation of a standard normal truncated at +-2:
# sqrt(1 - 2 * 2 * phi(2) / (2 * Phi(2) - 1)).
TRUNCATED_STDDEV = 0.87962566103423978

MODES = ("fan_in", "fan_out", "fan_avg", "fan_geo_avg")

DISTRIBUTIONS = ("truncated_normal", "untruncated_normal", "uniform")


def as_axes(name: str, axes: Axes) -> tuple[int, ...] | None:
    """Return axes as a tuple; raise TypeError where they are no sequence of integers."""
    if axes is None:
        return None
    try:
        return as_integers(axes)
    except TypeError:
        raise TypeError(f"{name} must be a sequence of integers, received {shown(axes)}") from None


def check_axes(
    input_axes: Axes, output_axes: Axes
) -> tuple[tuple[int, ...] | None, tuple[int, ...] | None]:
    """Return the input and output axes as tuples; both must be given, or neither.

    Raises
    ------
    TypeError
        They are not sequences of integers.
    ValueError
        One is given without the other.  (Keras ignores it.)
    """
    if input_axes is None and output_axes is None:
        return None, None
    inputs, outputs = as_axes("input_axes", input_axes), as_axes("output_axes", output_axes)
    if inputs is None or outputs is None:
        given, axes = ("output_axes", outputs) if inputs is None else ("input_axes", inputs)
        raise ValueError(
            "input_axes and output_axes must be given together, "
            f"received {given}={shown(axes)} alone"
        )
    return inputs, outputs


def _size_along(shape: Dimensions, axes: tuple[int, ...], name: str) -> int:
    size = 1
    for axis in axes:
        if not -len(shape) <= axis < len(shape):
            # The text is that of AxisError(axis, ndim, name), which a long integer would break.
            raise AxisError(
                f"{name}: axis {shown(axis)} is out of bounds for array of dimension {len(shape)}"
            )
        size *= shape[axis]
    return size


def compute_fans(
    shape: Dimensions, input_axes: Axes = None, output_axes: Axes = None
) -> tuple[int, int]:
    """Return the numbers of inputs and outputs of one unit.

    Parameters
    ----------
    shape : tuple of int
        Shape of a bias (n,), a matrix (in, out) or a convolution kernel (*window, in, out).
    input_axes, output_axes : sequence of int, optional
        The axes whose sizes multiply to fan_in and fan_out, instead of that convention.  As in
        Keras they count only where both are given; :func:`check_axes` refuses one alone.

    Returns
    -------
    fan_in, fan_out : int
        (1, 1) for a scalar, (n, n) for a vector.

    Raises
    ------
    TypeError
        Axes that are no sequence of integers.
    numpy.exceptions.AxisError
        An axis that the shape does not have; an IndexError and a ValueError.
    """
    inputs, outputs = as_axes("input_axes", input_axes), as_axes("output_axes", output_axes)
    if inputs is not None and outputs is not None:
        return _size_along(shape, inputs, "input_axes"), _size_along(shape, outputs, "output_axes")
    if len(shape) == 2:
        return shape[0], shape[1]
    if len(shape) < 2:
        size = prod(shape)
        return size, size
    window = prod(shape[:-2])
    return window * shape[-2], window * shape[-1]


def _fan(mode: str, fan_in: int, fan_out: int) -> float:
    if mode == "fan_in":
        return fan_in
    if mode == "fan_out":
        return fan_out
    return (fan_in + fan_out) / 2 if mode == "fan_avg" else sqrt(fan_in * fan_out)


def scaled(
    shape: Dimensions,
    dtype: np.dtype[Any],
    rule: Rule,
    axes: tuple[Axes, Axes],
) -> Distribution:
    """Return the distribution whose variance is scale / max(1, fan), checked for the dtype.

    ``rule`` is what :func:`check_scaling` returns; ``axes`` are the input and the output axes.
    """
    scale, mode, distribution = rule
    variance = scale / max(1.0, _fan(mode, *compute_fans(shape, *check_axes(*axes))))
    if distribution == "truncated_normal":
        return truncated_normal(shape, dtype, 0.0, sqrt(variance) / TRUNCATED_STDDEV)
    if distribution == "untruncated_normal":
        return normal(shape, dtype, 0.0, sqrt(variance))
    limit = sqrt(3 * variance)  # U(-r, r) has the variance r**2 / 3
    return uniform(shape, dtype, -limit, limit)


def check_scaling(scale: object, mode: object, distribution: object) -> Rule:
    """Return scale, mode and the distribution's own name; raise where one of them is wrong."""
    scale = number("scale", scale)
    if not 0 < scale < inf:
        raise ValueError(f"scale must be a positive number, received {scale}")
    if not isinstance(mode, str) or mode not in MODES:
        raise ValueError(f"mode must be one of {', '.join(MODES)}, received {shown(mode)}")
    name = distribution.lower() if isinstance(distribution, str) else ""
    if name == "normal":
        name = "truncated_normal"
    if name not in DISTRIBUTIONS:
        names = ", ".join(DISTRIBUTIONS)
        raise ValueError(
            f"distribution must be one of {names}, normal, received {shown(distribution)}"
        )
    return scale, mode, name


def scaled_by(
    shape: Dimensions,
    dtype: np.dtype[Any],
    rule: tuple[object, object, object],
    axes: tuple[Axes, Axes],
) -> Distribution:
    """Return what :func:`scaled` returns, for a rule that is not checked yet."""
    return scaled(shape, dtype, check_scaling(*rule), axes)
