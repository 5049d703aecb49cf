"""Variance scaling: fans, and the spread that follows from them."""

from math import inf, prod, sqrt
from operator import index

from numpy.exceptions import AxisError

from ._samplers import _number, draw, normal_law, truncated_law, uniform_law

# The standard deviation of a standard normal truncated at +-2:
# sqrt(1 - 2 * 2 * phi(2) / (2 * Phi(2) - 1)).
TRUNCATED_STDDEV = 0.87962566103423978

MODES = {
    "fan_in": lambda fan_in, fan_out: fan_in,
    "fan_out": lambda fan_in, fan_out: fan_out,
    "fan_avg": lambda fan_in, fan_out: (fan_in + fan_out) / 2,
    "fan_geo_avg": lambda fan_in, fan_out: sqrt(fan_in * fan_out),
}


def _uniform(dims, kind, variance):
    limit = sqrt(3 * variance)  # U(-r, r) has the variance r**2 / 3
    return uniform_law(dims, kind, -limit, limit)


def _truncated(dims, kind, variance):
    return truncated_law(dims, kind, 0.0, sqrt(variance) / TRUNCATED_STDDEV)


def _untruncated(dims, kind, variance):
    return normal_law(dims, kind, 0.0, sqrt(variance))


DISTRIBUTIONS = {
    "truncated_normal": _truncated,
    "untruncated_normal": _untruncated,
    "uniform": _uniform,
}


def _along(shape, axes, name):
    size = 1
    for axis in axes:
        if not -len(shape) <= axis < len(shape):
            raise AxisError(axis, len(shape), name)
        size *= shape[axis]
    return size


def compute_fans(shape, input_axes=None, output_axes=None):
    """The numbers of inputs and outputs of one unit.

    Parameters
    ----------
    shape : tuple of int
        Of a bias (n,), a matrix (in, out) or a convolution kernel (*window, in, out).
    input_axes, output_axes : sequence of int, optional
        The axes whose sizes multiply to fan_in and fan_out, in place of that convention; as in
        Keras they count only where both are given.

    Returns
    -------
    fan_in, fan_out : int
        (1, 1) for a scalar, (n, n) for a vector.

    Raises
    ------
    numpy.exceptions.AxisError
        An axis that the shape does not have; an IndexError and a ValueError.
    """
    if input_axes is not None and output_axes is not None:
        return _along(shape, input_axes, "input_axes"), _along(shape, output_axes, "output_axes")
    if len(shape) == 2:
        return shape
    if len(shape) < 2:
        size = prod(shape)
        return size, size
    window = prod(shape[:-2])
    return window * shape[-2], window * shape[-1]


def scaled_law(dims, kind, scale, mode, distribution, input_axes, output_axes):
    """The law of variance scale / max(1, fan); the arguments but for the axes are checked."""
    fan = MODES[mode](*compute_fans(dims, input_axes, output_axes))
    return DISTRIBUTIONS[distribution](dims, kind, scale / max(1.0, fan))


def scaled(shape, scale, mode, distribution, seed, dtype, input_axes, output_axes, out):
    """Fill with it."""

    def law(dims, kind, scale, mode):
        return scaled_law(dims, kind, scale, mode, distribution, input_axes, output_axes)

    return draw(shape, dtype, out, seed, law, scale, mode)


def check_axes(input_axes, output_axes):
    """Raise where axes are given that are no sequence of integers."""
    for name, axes in (("input_axes", input_axes), ("output_axes", output_axes)):
        try:
            if axes is not None:
                [index(axis) for axis in axes]
        except TypeError:
            raise TypeError(f"{name} must be a sequence of integers, received {axes!r}") from None


def check_scaling(scale, mode, distribution, input_axes=None, output_axes=None):
    """Raise where an argument is wrong; else the three as they are to be used and stored."""
    scale = _number("scale", scale)
    if not 0 < scale < inf:
        raise ValueError(f"scale must be a positive number, received {scale}")
    if not isinstance(mode, str) or mode not in MODES:
        raise ValueError(f"mode must be one of {', '.join(MODES)}, received {mode!r}")
    name = distribution.lower() if isinstance(distribution, str) else distribution
    if name == "normal":
        name = "truncated_normal"
    if not isinstance(name, str) or name not in DISTRIBUTIONS:
        names = ", ".join(DISTRIBUTIONS)
        raise ValueError(f"distribution must be one of {names}, normal, received {distribution!r}")
    check_axes(input_axes, output_axes)
    # In the order of `scaled`.
    return {"scale": scale, "mode": mode, "distribution": name}


def variance_scaling(
    shape=None,
    scale=1.0,
    mode="fan_in",
    distribution="truncated_normal",
    seed=None,
    dtype=None,
    *,
    input_axes=None,
    output_axes=None,
    out=None,
):
    """See the registry."""
    checked = check_scaling(scale, mode, distribution, input_axes, output_axes)
    return scaled(shape, *checked.values(), seed, dtype, input_axes, output_axes, out)
