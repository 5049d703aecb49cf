"""The elementwise activation functions: their formulas, derivatives and kinks, and their names."""

from __future__ import annotations

import math
from functools import partial
from inspect import signature
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from ._messages import did_you_mean, shown
from ._parameters import number

if TYPE_CHECKING:
    from collections.abc import Callable

    from ._typing import Array

_erf = np.vectorize(math.erf, otypes=[np.float64])  # NumPy has no erf


def _one(x: Array) -> Array:
    return np.ones_like(x)


def _linear(x: Array) -> Array:
    return x


def _sigmoid(x: Array) -> Array:
    y: Array = (1 + np.tanh(x / 2)) / 2  # exp(-x) would overflow
    return y


def _sigmoid_slope(x: Array) -> Array:
    y = _sigmoid(x)
    slope: Array = y * (1 - y)
    return slope


def _tanh(x: Array) -> Array:
    y: Array = np.tanh(x)
    return y


def _tanh_slope(x: Array) -> Array:
    return 1 - _tanh(x) ** 2


def _between(x: Array, lower: float, upper: float) -> Array:
    """Return 1.0 where lower < x < upper, and 0.0 elsewhere."""
    inside: Array = ((x > lower) & (x < upper)).astype(x.dtype)
    return inside


def _hard_tanh(x: Array) -> Array:
    y: Array = x.clip(-1, 1)
    return y


def _hard_tanh_slope(x: Array) -> Array:
    return _between(x, -1, 1)


def _hard_sigmoid(x: Array) -> Array:
    return (x.clip(-3, 3) + 3) / 6


def _hard_sigmoid_slope(x: Array) -> Array:
    return _between(x, -3, 3) / 6


def _sparse_sigmoid(x: Array) -> Array:
    return (x.clip(-1, 1) + 1) / 2


def _sparse_sigmoid_slope(x: Array) -> Array:
    return _between(x, -1, 1) / 2


def _softsign(x: Array) -> Array:
    y: Array = x / (1 + abs(x))
    return y


def _softsign_slope(x: Array) -> Array:
    return (1 + abs(x)) ** -2.0


def _relu(x: Array) -> Array:
    y: Array = x.clip(0)
    return y


def _relu_slope(x: Array) -> Array:
    return _between(x, 0, math.inf)


def _relu6(x: Array) -> Array:
    y: Array = x.clip(0, 6)
    return y


def _relu6_slope(x: Array) -> Array:
    return _between(x, 0, 6)


def _leaky_relu(x: Array, slope: float) -> Array:
    return np.where(x > 0, x, slope * x)


def _leaky_relu_slope(x: Array, slope: float) -> Array:
    return np.where(x > 0, 1.0, slope)


def _elu(x: Array, alpha: float) -> Array:
    return np.where(x > 0, x, alpha * np.expm1(x.clip(max=0)))


def _elu_slope(x: Array, alpha: float) -> Array:
    return np.where(x > 0, 1.0, alpha * np.exp(x.clip(max=0)))


def _celu(x: Array, alpha: float) -> Array:
    return _elu(x / alpha, 1.0) * alpha


def _celu_slope(x: Array, alpha: float) -> Array:
    return _elu_slope(x / alpha, 1.0)


# Klambauer et al., NeurIPS 2017, equation 14: with these numbers a standard normal keeps its mean 0
# and its variance 1.
_SELU_ALPHA, _SELU_SCALE = 1.6732632423543772, 1.0507009873554805


def _selu(x: Array) -> Array:
    return _elu(x, _SELU_ALPHA) * _SELU_SCALE


def _selu_slope(x: Array) -> Array:
    return _elu_slope(x, _SELU_ALPHA) * _SELU_SCALE


def _normal_cdf(x: Array) -> Array:
    cdf: Array = (1 + _erf(x / math.sqrt(2))) / 2
    return cdf


def _normal_density(x: Array) -> Array:
    density: Array = np.exp(-(x.clip(-40, 40) ** 2) / 2) / math.sqrt(2 * math.pi)
    return density


def _gelu(x: Array) -> Array:
    return x * _normal_cdf(x)


def _gelu_slope(x: Array) -> Array:
    slope: Array = _normal_cdf(x) + x * _normal_density(x)
    return slope


# Hendrycks & Gimpel 2016, section 2: 0.5 x (1 + tanh(sqrt(2 / pi) (x + 0.044715 x**3))).  Beyond 10
# the hyperbolic tangent is 1, so x is clipped there to keep the cube finite.
_GELU_FACTOR, _GELU_CUBIC = math.sqrt(2 / math.pi), 0.044715


def _gelu_tanh(x: Array) -> Array:
    near = x.clip(-10, 10)
    y: Array = x * (1 + _tanh(_GELU_FACTOR * (near + _GELU_CUBIC * near**3))) / 2
    return y


def _gelu_tanh_slope(x: Array) -> Array:
    near = x.clip(-10, 10)
    inner = _GELU_FACTOR * (near + _GELU_CUBIC * near**3)
    inner_slope = _GELU_FACTOR * (1 + 3 * _GELU_CUBIC * near**2)
    return (1 + _tanh(inner) + near * _tanh_slope(inner) * inner_slope) / 2


def _silu(x: Array) -> Array:
    return x * _sigmoid(x)


def _silu_slope(x: Array) -> Array:
    slope: Array = _sigmoid(x) + x * _sigmoid_slope(x)
    return slope


def _hard_silu(x: Array) -> Array:
    return x * _hard_sigmoid(x)


def _hard_silu_slope(x: Array) -> Array:
    slope: Array = _hard_sigmoid(x) + x * _hard_sigmoid_slope(x)
    return slope


def _softplus(x: Array) -> Array:
    y: Array = np.logaddexp(0, x)
    return y


def _mish(x: Array) -> Array:
    return x * _tanh(_softplus(x))


def _mish_slope(x: Array) -> Array:
    soft = _softplus(x)
    slope: Array = _tanh(soft) + x * _tanh_slope(soft) * _sigmoid(x)
    return slope


def _squareplus(x: Array) -> Array:  # (x + sqrt(x**2 + b)) / 2 with Keras's b = 4
    return (x + np.hypot(x, 2)) / 2


def _squareplus_slope(x: Array) -> Array:
    return (1 + x / np.hypot(x, 2)) / 2


def _sparse_plus(x: Array) -> Array:
    return np.where(x > 1, x, (x.clip(-1, 1) + 1) ** 2 / 4)


def _sparse_plus_slope(x: Array) -> Array:
    return _sparse_sigmoid(x)


class Activation(NamedTuple):
    """An elementwise activation function.

    Attributes
    ----------
    name : str
    function, slope : callable
        The function and its derivative.  They take an array, then the parameter if there is one.
    kinks : tuple of float
        Where a derivative of the function jumps.
    parameter : float or None
        The slope of a leaky function for negative numbers, or alpha of elu and celu.
    """

    name: str
    function: Callable[..., Array]
    slope: Callable[..., Array]
    kinks: tuple[float, ...] = ()
    parameter: float | None = None

    def __call__(self, x: Array) -> Array:
        """Return the values of the function."""
        return self.function(x) if self.parameter is None else self.function(x, self.parameter)

    def derivative(self, x: Array) -> Array:
        """Return the values of the derivative, which at a kink is that of one side."""
        return self.slope(x) if self.parameter is None else self.slope(x, self.parameter)


def _random_slope(lower: float, upper: float) -> float:
    """Return the slope that counts at the start for rrelu, the root of the mean square.

    It is drawn from U(lower, upper) while a network is trained, and is their mean afterwards.
    """
    return math.sqrt((lower * lower + lower * upper + upper * upper) / 3)


_RRELU = _random_slope(1 / 8, 1 / 3)

_ALL = (
    Activation("linear", _linear, _one),
    Activation("tanh", _tanh, _tanh_slope),
    Activation("hard_tanh", _hard_tanh, _hard_tanh_slope, (-1, 1)),
    Activation("softsign", _softsign, _softsign_slope, (0,)),
    Activation("sigmoid", _sigmoid, _sigmoid_slope),
    Activation("hard_sigmoid", _hard_sigmoid, _hard_sigmoid_slope, (-3, 3)),
    Activation("sparse_sigmoid", _sparse_sigmoid, _sparse_sigmoid_slope, (-1, 1)),
    Activation("relu", _relu, _relu_slope, (0,)),
    Activation("relu6", _relu6, _relu6_slope, (0, 6)),
    # PyTorch and JAX have 0.01; keras.activations.leaky_relu has 0.2, and Keras's layer 0.3.
    Activation("leaky_relu", _leaky_relu, _leaky_relu_slope, (0,), 0.01),
    Activation("prelu", _leaky_relu, _leaky_relu_slope, (0,), 0.25),  # PyTorch has 0.25, Keras 0
    Activation("rrelu", _leaky_relu, _leaky_relu_slope, (0,), _RRELU),
    Activation("elu", _elu, _elu_slope, (0,), 1.0),
    Activation("celu", _celu, _celu_slope, (0,), 1.0),
    Activation("selu", _selu, _selu_slope, (0,)),
    Activation("gelu", _gelu, _gelu_slope),
    Activation("gelu_tanh", _gelu_tanh, _gelu_tanh_slope),
    Activation("silu", _silu, _silu_slope),
    Activation("hard_silu", _hard_silu, _hard_silu_slope, (-3, 3)),
    Activation("mish", _mish, _mish_slope),
    Activation("softplus", _softplus, _sigmoid),
    Activation("squareplus", _squareplus, _squareplus_slope),
    Activation("sparse_plus", _sparse_plus, _sparse_plus_slope, (-1, 1)),
)
ALIASES = {
    "none": "linear",
    "identity": "linear",  # as PyTorch and JAX call it
    "logistic": "sigmoid",
    "swish": "silu",
    "hard_swish": "hard_silu",
}

ACTIVATIONS: dict[str, Activation] = {activation.name: activation for activation in _ALL}
ACTIVATIONS |= {alias: ACTIVATIONS[name] for alias, name in ALIASES.items()}

# Each output of these functions depends on all inputs.
NOT_ELEMENTWISE = ("softmax", "log_softmax", "sparsemax")

LEAKY = ("relu", "leaky_relu", "prelu", "rrelu")


def plain(name: str) -> str:
    """Return a name in the form in which names are compared: lower case, without underscores."""
    return name.replace("_", "").lower()


_BY_PLAIN_NAME = {plain(name): activation for name, activation in ACTIVATIONS.items()}
_PLAIN_NOT_ELEMENTWISE = {plain(name): name for name in NOT_ELEMENTWISE}


def name_of(identifier: Any) -> str:
    """Return the name of an activation function, which may be a name, an object or None.

    A function or a class has its own name; any other object has the name of its class.
    """
    if identifier is None:
        return "none"
    if isinstance(identifier, str):
        return identifier
    while isinstance(identifier, partial):
        identifier = identifier.func
    return str(getattr(identifier, "__name__", type(identifier).__name__))


# This module supports only these values of options of softplus, hard_tanh and Keras's ReLU.
_ONLY = {"beta": 1.0, "min_val": -1.0, "max_val": 1.0, "threshold": 0.0}
_HAVE = {"softplus": ("beta",), "hard_tanh": ("min_val", "max_val"), "relu": ("threshold",)}


# The attributes that hold random or learned slopes: RReLU of PyTorch, PReLU of Flax and Keras.
_SLOPES = ("lower", "upper", "negative_slope_init", "alpha_initializer")


def options_of(identifier: Any) -> dict[str, Any]:
    """Return the options that an activation function itself has.

    A layer of Keras or PyTorch has them as attributes, and a function as default values.
    """
    names = ("negative_slope", "alpha", "approximate", "max_value", "weight", *_SLOPES, *_ONLY)
    if identifier is None or isinstance(identifier, (str, type)):
        return {}
    if callable(getattr(identifier, "__get__", None)) or isinstance(identifier, partial):
        try:
            parameters = signature(identifier).parameters
        except (TypeError, ValueError):  # a C function may have no signature
            return {}
        found = {name: parameters[name].default for name in names if name in parameters}
        return {
            name: value
            for name, value in found.items()
            if value is not parameters[name].empty and value is not None
        }
    return {
        name: getattr(identifier, name)
        for name in names
        if getattr(identifier, name, None) is not None
    }


def _learned_slope(options: dict[str, Any]) -> Any:
    """Return the slope with which a prelu starts, the root of the mean square; None if unknown."""
    weight = options.get("weight")  # of PyTorch, one element for each channel or for all
    if weight is not None and hasattr(weight, "detach"):
        return float(weight.detach().square().mean().sqrt())
    if "alpha_initializer" in options:  # of Keras, whose layer has no alpha until it is built
        alpha = options["alpha"] if "alpha" in options else options["alpha_initializer"]((1000,))
        return math.sqrt(np.square(np.asarray(alpha, np.float64)).mean())
    return options.get("negative_slope_init")  # of Flax


def slope_of(identifier: Any, negative_slope: Any = None) -> float | None:
    """Return the slope for negative numbers that is given, else that of the object, else None.

    Raises
    ------
    TypeError
        The slope is not a number.
    ValueError
        It is not finite.
    """
    if negative_slope is None:
        options, name = options_of(identifier), plain(name_of(identifier))
        negative_slope = options.get("negative_slope")
        if negative_slope is None and name == "leakyrelu":
            negative_slope = options.get("alpha")  # of tf.nn, and of Keras 2
        if negative_slope is None and name == "rrelu" and {"lower", "upper"} <= options.keys():
            lower, upper = number("lower", options["lower"]), number("upper", options["upper"])
            negative_slope = _random_slope(lower, upper)
        if negative_slope is None and name == "prelu":
            negative_slope = _learned_slope(options)
    if negative_slope is None:
        return None
    slope = number("negative_slope", negative_slope)
    if not math.isfinite(slope):
        raise ValueError(f"negative_slope must be finite, received {slope}")
    return slope


def find_activation(identifier: Any, negative_slope: Any = None) -> Activation:
    """Return the activation function that a name, a function, a class or an object stands for.

    Parameters
    ----------
    identifier : str, callable, type, object or None
        As :func:`fastinit.initializers.for_activation` takes it; an Activation is returned
        unchanged.
    negative_slope : float, optional
        The slope of a leaky function for negative numbers, instead of the object's own or the
        default.

    Raises
    ------
    ValueError
        An unknown name; a function that is not elementwise; a slope for a function that has none.
    """
    if isinstance(identifier, Activation):
        found: Activation | None = identifier
        slope = slope_of(None, negative_slope)
    else:
        name = plain(name_of(identifier))
        if name in _PLAIN_NOT_ELEMENTWISE:
            raise ValueError(
                f"activation must be an elementwise function, received {shown(identifier)}: "
                "each of its outputs depends on all inputs"
            )
        found = _BY_PLAIN_NAME.get(name)
        slope = slope_of(identifier, negative_slope)
    if found is None:
        known = ", ".join(name for name in ACTIVATIONS if name not in ALIASES)
        near = did_you_mean(name_of(identifier), ACTIVATIONS)
        raise ValueError(f"activation must be one of {known}, received {shown(identifier)}{near}")
    options = {} if isinstance(identifier, Activation) else options_of(identifier)
    for name in _HAVE.get(found.name, ()):
        if options.get(name, _ONLY[name]) != _ONLY[name]:
            raise ValueError(
                f"{name} of {found.name} must be {_ONLY[name]}, received {shown(options[name])}"
            )
    if found.name == "gelu" and options.get("approximate") in (True, "tanh"):
        return ACTIVATIONS["gelu_tanh"]
    if found.name in ("elu", "celu") and "alpha" in options:
        return found._replace(parameter=number("alpha", options["alpha"]))
    if found.name == "relu" and options.get("max_value") is not None:  # a layer of Keras has it
        if options["max_value"] != 6 or slope:
            raise ValueError(
                f"activation must be a relu without a bound or relu6, received {shown(identifier)}"
            )
        return ACTIVATIONS["relu6"]
    if slope is None or (found.name == "relu" and slope == 0):
        return found
    if found.name not in LEAKY:
        raise ValueError(
            f"negative_slope must be left out for {found.name}, received {negative_slope}"
        )
    return ACTIVATIONS["leaky_relu"]._replace(parameter=slope)
