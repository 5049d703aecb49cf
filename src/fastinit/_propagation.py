"""Compute the variance of activations and gradients in layers of infinite width.

For weights of mean 0 and variance v, and biases of mean 0 and variance b, the pre-activations of
layer l are normal with mean 0 and the variance

    q[l + 1] = v fan_in E[phi(z)**2] + b,    z ~ N(0, q[l]),

and in the backward pass layer l multiplies the variance of a gradient by

    chi[l] = v fan_out E[phi'(z)**2],    z ~ N(0, q[l]).

He, Zhang, Ren & Sun, ICCV 2015, equations 7 to 10 and 14 (phi = relu); Poole et al., NeurIPS 2016,
equation 3 (q); Schoenholz et al., ICLR 2017, equations 2 and 9 (chi).
"""

from __future__ import annotations

import math
from functools import cache
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from ._nonlinearity import ACTIVATIONS, LEAKY, Activation, find_activation

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import ArrayLike

    from ._typing import Array

__all__ = [
    "ACTIVATIONS",
    "Layers",
    "Moment",
    "Moments",
    "gain",
    "layers",
    "moments",
    "steady_gain",
    "truncated_moments",
    "verdict",
]

# The expectations are integrals of f(sqrt(q) u) exp(-u**2 / 2) / sqrt(2 pi) over u, by
# Gauss-Legendre quadrature on panels.  All but 1e-32 of the distribution lies between -12 and 12.
# Panels end at the integers u, so that the density is smooth on each, and at the kinks and at
# z = 0, +-1, +-2, +-4, ..., so that the functions are smooth, too: in the complex plane their
# singularities are at least 1.5 from the real axis, or beyond a kink.  With 20 nodes the relative
# error is then below 1e-13.
_FARTHEST = 12
_COUNT = 20
_DENSITY_AT_0 = 1 / math.sqrt(2 * math.pi)

# For variances between these, squares and their products are normal numbers of float64.
_LEAST, _GREATEST = 1e-280, 1e280


class Moment(NamedTuple):
    """Expectations for z ~ N(0, q)."""

    second: float  # E[phi(z)**2]
    mean: float  # E[phi(z)]
    derivative: float  # E[phi'(z)**2]


@cache
def _gauss_legendre() -> tuple[Array, Array]:
    nodes, weights = np.polynomial.legendre.leggauss(_COUNT)  # NumPy imports the module only here
    return nodes, weights


def _nodes(q: float, kinks: Sequence[float]) -> tuple[Array, Array]:
    """Return values of z ~ N(0, q) and their weights, whose sum is 1."""
    scale = math.sqrt(q)
    ends = [float(u) for u in range(-_FARTHEST, _FARTHEST + 1)]
    powers = range(max(0, math.ceil(math.log2(_FARTHEST * scale))))
    for z in (*kinks, *(sign * 2.0**k for k in powers for sign in (-1, 1))):
        if abs(z) < _FARTHEST * scale:
            ends.append(z / scale)
    edges = np.unique(ends)
    half = np.diff(edges)[:, None] / 2
    nodes, weights = _gauss_legendre()
    u = edges[:-1, None] + half * (1 + nodes)
    weights = half * weights * np.exp(-(u**2) / 2) * _DENSITY_AT_0
    return (scale * u).ravel(), weights.ravel()


def truncated_moments(lower: float, upper: float) -> tuple[float, float]:
    """Return the mean and standard deviation of a standard normal truncated at two bounds.

    The bounds may be infinite or far from 0: the density is computed relative to its largest value,
    at the point nearest to 0.
    """
    nearest = min(max(lower, 0.0), upper)
    reach = 40 / max(1.0, abs(nearest))  # the rest has a density below exp(-40) of the largest
    ends = max(lower - nearest, -reach), min(upper - nearest, reach)
    edges = np.unique([*np.linspace(*ends, 81), 0.0])
    half = np.diff(edges)[:, None] / 2
    nodes, weights = _gauss_legendre()
    distance = edges[:-1, None] + half * (1 + nodes)
    weights = half * weights * np.exp(-distance * (nearest + distance / 2))
    weights /= weights.sum()
    mean = float((weights * distance).sum())
    return nearest + mean, math.sqrt(float((weights * (distance - mean) ** 2).sum()))


class Moments(NamedTuple):
    """The expectations of an activation function, as functions of the variance."""

    activation: Activation

    def at(self, q: float) -> Moment:
        """Return the expectations for z ~ N(0, q), q >= 0, with a relative error of 1e-12.

        A q outside 1e-280 to 1e280 is replaced by the nearer of the two.
        """
        if not q >= 0:
            raise ValueError(f"q must be >= 0, received {q}")
        z, weights = _nodes(min(max(q, _LEAST), _GREATEST), self.activation.kinks)
        values, slopes = self.activation(z), self.activation.derivative(z)
        with np.errstate(over="ignore"):  # a huge negative_slope may overflow
            squares = weights @ values**2, weights @ slopes**2
        return Moment(float(squares[0]), float(weights @ values), float(squares[1]))


def moments(activation: Any, negative_slope: float | None = None) -> Moments:
    """Return the expectations of an activation function under a normal distribution.

    Parameters
    ----------
    activation : str, callable, type, object or None
        As :func:`fastinit.initializers.for_activation` takes it.
    negative_slope : float, optional
        The slope of a leaky function for negative numbers.

    Raises
    ------
    ValueError
        An unknown function, or one that is not elementwise, such as softmax.
    """
    return Moments(find_activation(activation, negative_slope))


def gain(activation: Any, q: float = 1.0, negative_slope: float | None = None) -> float:
    """Return the gain that keeps the variance of the pre-activations at q.

    It is sqrt(q / E[phi(z)**2]) for z ~ N(0, q): with weights of the standard deviation
    gain / sqrt(fan_in) and without biases, q is a fixed point of q[l + 1] = gain**2 E[phi(z)**2].
    For relu and leaky functions it is the same for every q: sqrt(2 / (1 + negative_slope**2)).

    Raises
    ------
    ValueError
        An unknown function, or one that is not elementwise; q that is not positive and finite.

    Notes
    -----
    He, Zhang, Ren & Sun, ICCV 2015, equations 10 and 15 (relu and leaky functions); Poole et al.,
    NeurIPS 2016, equation 3; Klambauer et al., NeurIPS 2017 (selu: 1).
    """
    if not 0 < q < math.inf:
        raise ValueError(f"q must be positive and finite, received {q}")
    function = find_activation(activation, negative_slope)
    if function.name in LEAKY:  # the formula has no quadrature error
        slope = function.parameter or 0.0
        return math.sqrt(2 / (1 + slope * slope))
    return math.sqrt(q / moments(function).at(q).second)


def steady_gain(activation: Any, negative_slope: float | None = None) -> float:
    """Return the gain that keeps the mean square of the activations at that of the inputs, 1.

    It is the g for which E[phi(g u)**2] = 1, u ~ N(0, 1).  For relu and leaky functions it is
    :func:`gain`.  For gelu, silu and others the fixed point of :func:`gain` is unstable, and inputs
    of mean square 1 do not start at it; with this gain they start at a fixed point.  If no gain
    keeps the mean square at 1, because the function is bounded (tanh, sigmoid) or is 1 at 0, the
    result is :func:`gain`.

    Notes
    -----
    Poole et al., NeurIPS 2016, equation 3, solved for the variance of the weights.
    """
    function = find_activation(activation, negative_slope)
    at = moments(function).at
    lower, upper = 2.0**-10, 2.0**10
    if function.name in (*LEAKY, "linear") or not at(lower**2).second < 1 < at(upper**2).second:
        return gain(function)
    while upper - lower > 1e-14 * upper:  # the mean square grows with the gain: bisect
        middle = (lower + upper) / 2
        if not lower < middle < upper:
            break
        if at(middle**2).second < 1:
            lower = middle
        else:
            upper = middle
    return upper


class Layers(NamedTuple):
    """Standard deviations by layer; element l of each array belongs to layer l + 1.

    Attributes
    ----------
    preactivation : numpy.ndarray
        Standard deviation of the pre-activations, whose mean is 0.
    activation : numpy.ndarray
        Standard deviation of the activations.
    rms : numpy.ndarray
        Root of the mean square of the activations, whose mean need not be 0.
    chi : numpy.ndarray
        The factor by which a layer multiplies the variance of a gradient that goes back through it.
    gradient : numpy.ndarray
        Standard deviation of the gradient with respect to the pre-activations, as a multiple of
        that of the last layer.
    """

    preactivation: Array
    activation: Array
    rms: Array
    chi: Array
    gradient: Array


def layers(
    weight_variance_times_fan_in: float,
    activation: Any,
    depth: int,
    bias_variance: float = 0.0,
    q0: float = 1.0,
    *,
    fan_out_over_fan_in: float = 1.0,
    negative_slope: float | None = None,
) -> Layers:
    """Return the standard deviations of activations and gradients in layers of infinite width.

    Parameters
    ----------
    weight_variance_times_fan_in : float
        Variance of the weights, times fan_in; their mean is 0.
    activation : str, callable, type, object or None
        As :func:`fastinit.initializers.for_activation` takes it.
    depth : int
        Number of layers; each is a matrix and the activation function.
    bias_variance : float
        Variance of the biases; their mean is 0.
    q0 : float
        Mean square of the inputs.
    fan_out_over_fan_in : float
        Ratio of the fans, for the gradient: a layer multiplies its variance by that of the weights
        times fan_out.
    negative_slope : float, optional
        The slope of a leaky function for negative numbers.

    Raises
    ------
    ValueError
        An unknown function, or one that is not elementwise.
    """
    at = moments(activation, negative_slope).at
    found = np.empty((4, depth))
    square = q0
    for layer in range(depth):
        q = weight_variance_times_fan_in * square + bias_variance
        moment = at(q)
        square = moment.second
        # The theory does not hold where float64 overflows or underflows, or all values are equal.
        if q > _GREATEST:
            q = square = math.inf
        elif q < _LEAST:
            q = 0.0
            square = 0.0 if square < 1e-200 else square
        spread = math.inf if math.isinf(square) else max(0.0, square - moment.mean**2)
        chi = weight_variance_times_fan_in * fan_out_over_fan_in * moment.derivative
        found[:, layer] = q, 0.0 if q == 0 else spread, square, chi
    variance, spread_, squares, chis = found
    with np.errstate(all="ignore"):  # a product of many factors may be 0 or infinite
        back = np.append(np.cumprod(np.sqrt(chis[:-1])[::-1])[::-1], 1.0)[:depth]
    return Layers(np.sqrt(variance), np.sqrt(spread_), np.sqrt(squares), chis, back)


# The gradient of a layer's weights is the product of its input and the gradient of its output.  If
# one of the two differs by a factor between layers, so do the learning rates that suit them.
# Learning rates are usually searched in steps of half a decade (1, 3, 10, ...): a larger factor
# makes every choice wrong for some layers.
_MOST = math.sqrt(10)

# Numbers of float16 below 2**-14 are subnormal and lose digits; above 65504 they are infinite.  A
# layer of a thousand units usually has a value beyond three standard deviations.
_SUBNORMAL, _INFINITE = 2.0**-14, 65504.0 / 3


def _about(kind: str, levels: Array, order: range, span: str) -> list[str]:
    """Return warnings about standard deviations by layer; ``order`` is the order of computation."""
    values = levels[order]
    if not np.isfinite(values).all():
        at = order[int(np.argmin(np.isfinite(values)))] + 1
        return [f"{kind} overflow: they are not finite from layer {at} on"]
    if not values.all():
        at = order[int(np.argmin(values != 0))] + 1
        return [f"{kind} vanish: they do not vary in layer {at}"]
    with np.errstate(over="ignore"):
        ratios = values / values[0]
        at = int(np.argmax(abs(np.log(values) - math.log(values[0]))))
    value, ratio, number = values[at], ratios[at], at + 1
    if 1 / _MOST <= ratio <= _MOST:
        return []
    verb = "vanish" if ratio < 1 else "explode"
    found = [
        f"{kind} {verb}: {span.format(value=value, ratio=ratio, layer=order[at] + 1, n=number)}"
    ]
    low = values < _SUBNORMAL
    high = values > _INFINITE
    for where, what in ((low, "subnormal in float16 below 6.1e-05"), (high, "infinite in float16")):
        if where.any():
            found.append(f"{kind} are {what} from layer {order[int(np.argmax(where))] + 1} on")
    return found


def verdict(forward: ArrayLike, backward: ArrayLike) -> list[str]:
    """Return warnings about vanishing and exploding activations and gradients, in plain English.

    Parameters
    ----------
    forward : array_like
        Standard deviations of the activations, from the first layer to the last.
    backward : array_like
        Standard deviations of the gradients, from the first layer to the last; only their ratios
        matter, except in the warning about the range of float16.

    Returns
    -------
    list of str
        Empty if no layer differs from the first (for gradients, the last) by more than a factor of
        sqrt(10), half a decade, the usual step in a search of learning rates.
    """
    ahead, back = np.asarray(forward, float), np.asarray(backward, float)
    found: list[str] = []
    if ahead.size:
        span = "standard deviation {value:.2g} after {layer} layers"
        found += _about("activations", ahead, range(ahead.size), span)
    if back.size:
        span = "standard deviation {ratio:.2g} of the last layer's in layer {layer}"
        found += _about("gradients", back, range(back.size - 1, -1, -1), span)
    return found
