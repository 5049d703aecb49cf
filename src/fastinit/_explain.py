"""Explain an initializer: the distribution of its values, and their effect in each layer."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from operator import index
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from ._distributions import normal, truncated_at, uniform
from ._entry import entry_point
from ._fans import TRUNCATED_STDDEV, check_scaling, compute_fans, scaled
from ._messages import shown
from ._nonlinearity import find_activation
from ._parameters import check_gain
from ._propagation import Layers, layers, steady_gain, truncated_moments, verdict
from ._seeds import derive_seed
from ._shapes import FLOATS, as_dtype, as_shape
from .initializers._activations import for_activation
from .initializers._base import Initializer
from .initializers._catalog import CATALOG, CLASSES
from .initializers._constant import Constant, Identity, Ones, Zeros
from .initializers._identifiers import get
from .initializers._orthogonal import DeltaOrthogonal, Orthogonal
from .initializers._random import RandomNormal, RandomUniform, TruncatedNormal, random_normal
from .initializers._variance_scaling import VarianceScaling

if TYPE_CHECKING:
    from typing import SupportsIndex

    from numpy.typing import DTypeLike

    from ._nonlinearity import Activation
    from ._typing import Array, Axes, Dimensions, Shape

_DEPTH = 50  # of a network, unless it is given
_INPUTS = 64  # of a measured network; results vary more with the matrices than with the inputs

# The bytes of a network's weights that are made together.
_TOGETHER = 64 << 20

# The least normal numbers by dtype character; smaller numbers have fewer digits, or are 0.
_LEAST_NORMAL = {"e": 2.0**-14, "E": 2.0**-126, "f": 2.0**-126, "d": 2.0**-1022}


class _Values(NamedTuple):
    """The distribution of the values."""

    what: str
    mean: float
    stddev: float
    lower: float
    upper: float


def _truncated(mean: float, stddev: float, lower: float, upper: float) -> _Values:
    if (lower, upper) == (-2, 2):
        centre, spread = 0.0, TRUNCATED_STDDEV
    else:
        centre, spread = truncated_moments(lower, upper)
        centre = 0.0 if lower == -upper else centre  # without the error of a sum
    # 0 times an infinite bound is not a number; if stddev is 0, all values equal the mean.
    ends = (mean + z * stddev if stddev else mean for z in (lower, upper))
    return _Values("truncated normal", mean + centre * stddev, spread * stddev, *ends)


def _uniform(minval: float, maxval: float) -> _Values:
    spread = (maxval - minval) / math.sqrt(12)
    return _Values("uniform", minval / 2 + maxval / 2, spread, minval, maxval)


def _normal(mean: float, stddev: float) -> _Values:
    end = math.inf if stddev else 0.0
    return _Values("normal", mean, stddev, mean - end, mean + end)


def _constant(initializer: Constant, dims: Dimensions, dtype: np.dtype[Any]) -> _Values:
    initializer.lazy(dims, dtype)  # it checks the value
    values = np.asarray(initializer.value, np.float64)
    least, greatest = float(values.min()), float(values.max())
    if least == greatest:
        return _Values("constant", least, 0.0, least, greatest)
    with np.errstate(invalid="ignore"):  # values may be infinite
        peak = max(-least, greatest, key=abs)  # the sum of huge numbers would be infinite
        scaled_values = values / peak  # each is as often in the whole array as every other
        mean, spread = float(scaled_values.mean()) * peak, float(scaled_values.std()) * abs(peak)
    return _Values("constant", mean, spread, least, greatest)


def _identity(gain: float, dims: Dimensions) -> _Values:
    if len(dims) != 2:
        raise ValueError(f"shape must have two dimensions for the identity, received {shown(dims)}")
    share = 1 / max(dims)  # this share of the elements lies on the diagonal
    spread = abs(gain) * math.sqrt(share * (1 - share))
    whole = share == 1  # all elements lie on the diagonal
    lower, upper = (gain, gain) if whole else (min(gain, 0.0), max(gain, 0.0))
    return _Values("identity", gain * share, spread, lower, upper)


def _matrix(initializer: Orthogonal | DeltaOrthogonal, dims: Dimensions) -> Dimensions:
    """Return the shape of one matrix or kernel, which must have two dimensions or more."""
    axes = getattr(initializer, "batch_axis", None)
    if axes is not None:
        initializer.lazy(dims)  # it checks the axes
        dims = dims[len(axes) if isinstance(axes, Sequence) else 1 :]
    if isinstance(initializer, DeltaOrthogonal) and not 3 <= len(dims) <= 5:
        raise ValueError(f"shape must have three to five dimensions, received {shown(dims)}")
    if isinstance(initializer, DeltaOrthogonal) and dims[-2] > dims[-1]:
        raise ValueError(f"shape must not have more inputs than outputs, received {shown(dims)}")
    if len(dims) < 2:
        raise ValueError(f"shape must have at least two dimensions, received {shown(dims)}")
    return dims


def _orthogonal(initializer: Orthogonal | DeltaOrthogonal, dims: Dimensions) -> _Values:
    # The rows or columns of a Haar distributed matrix, whichever are longer, have the norm gain,
    # and all elements have the same variance.  A delta kernel has such a matrix at one of its
    # positions.
    gain = abs(check_gain(initializer.gain))
    if isinstance(initializer, Orthogonal):
        what, length = "orthogonal", max(math.prod(dims[:-1]), dims[-1])
    else:
        what, length = "delta orthogonal", dims[-1] * math.prod(dims[:-2])
    return _Values(what, 0.0, gain / math.sqrt(length), 0.0 - gain, gain)  # never -0.0


def _fans_and_values(
    initializer: Any, dims: Dimensions, dtype: np.dtype[Any]
) -> tuple[tuple[int, int], _Values]:
    """Return the fans and the distribution of the values, or raise what making them raises."""
    fans = compute_fans(dims)
    if isinstance(initializer, VarianceScaling):
        axes = initializer.input_axes, initializer.output_axes
        rule = check_scaling(initializer.scale, initializer.mode, initializer.distribution)
        kernel, first, second = scaled(dims, dtype, rule, axes)
        fans = compute_fans(dims, *axes)
        if kernel == "truncated":
            return fans, _truncated(first, second, -2.0, 2.0)
        return fans, (_uniform if kernel == "uniform" else _normal)(first, second)
    if isinstance(initializer, TruncatedNormal):
        lower, upper = float(initializer.lower), float(initializer.upper)
        check = truncated_at(initializer.lower, initializer.upper)
        _, mean, stddev = check(dims, dtype, initializer.mean, initializer.stddev)
        return fans, _truncated(mean, stddev, lower, upper)
    if isinstance(initializer, RandomNormal):
        return fans, _normal(*normal(dims, dtype, initializer.mean, initializer.stddev)[1:])
    if isinstance(initializer, RandomUniform):
        return fans, _uniform(*uniform(dims, dtype, initializer.minval, initializer.maxval)[1:])
    if isinstance(initializer, (Zeros, Ones)):
        value = float(isinstance(initializer, Ones))
        return fans, _Values("constant", value, 0.0, value, value)
    if isinstance(initializer, Constant):
        return fans, _constant(initializer, dims, dtype)
    if isinstance(initializer, Identity):
        return fans, _identity(check_gain(initializer.gain, dtype), dims)
    if isinstance(initializer, (Orthogonal, DeltaOrthogonal)):
        matrix = _matrix(initializer, dims)
        return compute_fans(matrix), _orthogonal(initializer, matrix)
    raise ValueError(
        "initializer must be one of this package whose values are the weights of a layer (stft "
        f"makes the kernels of a transform), received {shown(initializer)}"
    )


@dataclass(frozen=True, repr=False, eq=False)  # arrays have no single truth value
class Explanation:
    """The result of :func:`explain`.

    Attributes
    ----------
    initializer : Initializer
    shape : tuple of int
    dtype : str
    fan_in, fan_out : int
        Numbers of inputs and outputs of a unit.
    distribution : str
        Such as ``"truncated normal"``.
    mean, stddev : float
        Of the values, after any truncation.
    lower, upper : float
        Bounds of the values; infinite for a normal distribution.
    activation : str or None
        Name of the activation function.
    negative_slope : float or None
        The slope for negative numbers of a leaky function; alpha of elu and celu.
    depth : int
        Number of layers.
    layers : Layers or None
        Standard deviations of activations and gradients, by layer, in layers of infinite width;
        None without an activation function, and where the theory does not hold.
    measured : numpy.ndarray or None
        Standard deviations of the activations in the measured networks, of shape (draws, depth).
    gain : float or None
        The gain, standard deviation times sqrt(fan_in), that keeps the mean square of the
        activations.
    suggestion : Initializer or None
        An initializer that keeps activations and gradients closer to those of the first and the
        last layer, if one is known.
    warnings : tuple of str
    """

    initializer: Initializer
    shape: Dimensions
    dtype: str
    fan_in: int
    fan_out: int
    distribution: str
    mean: float
    stddev: float
    lower: float
    upper: float
    activation: str | None
    negative_slope: float | None
    depth: int
    layers: Layers | None
    measured: Array | None
    gain: float | None
    suggestion: Initializer | None
    warnings: tuple[str, ...]

    def __repr__(self) -> str:
        return f"<Explanation of {self.initializer!r} for shape {self.shape}>"

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as numbers, strings and lists, which JSON can hold.

        A number that is not finite is None.
        """
        found: dict[str, Any] = {name: getattr(self, name) for name in _PLAIN_FIELDS}
        found["shape"], found["warnings"] = list(self.shape), list(self.warnings)
        for name in ("initializer", "suggestion"):
            value = getattr(self, name)
            found[name] = None if value is None else repr(value)
        names = ("preactivation", "activation", "rms", "chi", "gradient")
        found["layers"] = self.layers and {
            name: _finite(getattr(self.layers, name).tolist()) for name in names
        }
        found["measured"] = None if self.measured is None else _finite(self.measured.tolist())
        return {name: _finite(value) for name, value in found.items()}

    def __str__(self) -> str:
        return "\n".join(_report(self))


_PLAIN_FIELDS = (
    *("dtype", "fan_in", "fan_out", "distribution", "mean", "stddev", "lower", "upper"),
    *("activation", "negative_slope", "depth", "gain"),
)


def _finite(value: Any) -> Any:
    if isinstance(value, list):
        return [_finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


_CLASS_OF: dict[Any, Any] = {entry.function: entry.cls for entry in CATALOG}
_DEFAULTS = (("mode", "fan_in"), ("distribution", "truncated_normal"))  # of VarianceScaling


def _short(initializer: Initializer) -> str:
    """Return the repr of an initializer without the arguments that have their defaults."""
    arguments = {
        name: value
        for name, value in initializer.get_config().items()
        if value is not None and (name, value) not in _DEFAULTS
    }
    inner = ", ".join(
        f"{name}={value:.6g}" if isinstance(value, float) else f"{name}={value!r}"
        for name, value in arguments.items()
    )
    return f"{type(initializer).__name__}({inner})"


def _rows_shown(depth: int) -> list[int]:
    """Return the layers that a table shows, from 0: the first, the last, and some between."""
    steps = (k * 10**e for e in range(7) for k in (1, 2, 5))
    return [*(n - 1 for n in steps if n < depth), depth - 1]


def _report(found: Explanation) -> list[str]:
    size = "x".join(map(str, found.shape)) or "scalar"
    lines = [
        *textwrap.wrap(f"{_short(found.initializer)}: {size} {found.dtype}", 79),
        f"  fans                 {found.fan_in} in, {found.fan_out} out",
        f"  values               {found.distribution}, mean {found.mean:.4g}, "
        f"standard deviation {found.stddev:.4g}",
        f"  bounds               {found.lower:.4g} to {found.upper:.4g}",
    ]
    if found.activation is not None:
        slope = "" if found.negative_slope is None else f" (parameter {found.negative_slope:.4g})"
        layers = "1 layer" if found.depth == 1 else f"{found.depth} layers"
        lines.append(f"{found.activation}{slope}, {layers}, inputs of mean square 1")
    if found.layers is not None:
        head = f"  {'standard deviations':20}{'activations':>13}{'gradients':>13}"
        measured = found.measured
        if measured is not None:
            head += f"{'measured':>13}{'from':>9}{'to':>9}"
        lines.append(head)
        for at in _rows_shown(found.depth):
            row = f"  {f'layer {at + 1}':20}{found.layers.activation[at]:13.4g}"
            row += f"{found.layers.gradient[at]:13.4g}"
            if measured is not None:
                column = measured[:, at]
                row += f"{np.median(column):13.4g}{column.min():9.3g}{column.max():9.3g}"
            lines.append(row)
        if measured is not None:
            lines.append(
                f"  measured: activations of {len(measured)} networks of this width: median, range"
            )
    for warning in found.warnings:
        lines += textwrap.wrap(f"! {warning}", 79, subsequent_indent="  ")
    if found.gain is not None:
        lines.append(f"gain that keeps the mean square: {found.gain:.4f}")
    if found.suggestion is not None:
        suggestion = f"suggestion: {_short(found.suggestion)}"
        lines += textwrap.wrap(suggestion, 79, subsequent_indent="  ")
    return lines


def _own_seed(initializer: Initializer, seed: int) -> Initializer:
    """Return a copy of the initializer, with another seed if it takes one."""
    other = initializer.clone()
    if hasattr(other, "seed"):
        other.seed = seed
    return other


def _measure(
    initializer: Initializer,
    dims: Dimensions,
    activation: Activation,
    depth: int,
    draws: int,
    seed: int,
) -> Array:
    """Return the standard deviations of activations in networks, of shape (draws, depth)."""
    if len(dims) != 2 or dims[0] != dims[1]:
        raise ValueError(
            "shape must be that of a square matrix where networks are measured, since the layers "
            f"follow each other, received {shown(dims)}"
        )
    transposed = (getattr(initializer, "input_axes", None) or [0])[0] in (1, -1)
    found = np.empty((draws, depth))
    # The threads of OpenMP and of NumPy's BLAS wait actively for the next call and keep each other
    # from the processors: a fill and a product of 256 x 256 take 8 ms in turn, and 0.1 ms alone.
    together = max(1, _TOGETHER // (4 * dims[0] * dims[1]))
    with np.errstate(all="ignore"):  # the result shows what overflows
        for draw in range(draws):
            name = f"explain/draw {draw}"
            key = derive_seed(seed, f"{name}/inputs")
            values: Array = random_normal((_INPUTS, dims[0]), stddev=1.0, seed=key)
            for first in range(0, depth, together):
                keys = [
                    derive_seed(seed, f"{name}/layer {layer}")
                    for layer in range(first, min(first + together, depth))
                ]
                matrices = [_own_seed(initializer, key)(dims, "float32") for key in keys]
                for layer, weights in enumerate(matrices, first):
                    values = values @ (weights.T if transposed else weights)
                    values = activation(values).astype(np.float32)
                    found[draw, layer] = values.std(dtype=np.float64)
                del matrices, weights  # before there are as many others
    return found


def _drift(found: Layers) -> float:
    """Return the logarithm of the largest factor between the layers of a network."""
    with np.errstate(all="ignore"):
        ahead = np.log(found.activation) - np.log(found.activation[0])
        drift = np.max(np.abs([ahead, np.log(found.gradient)]))
    return float(drift) if np.isfinite(drift) else math.inf


def _suggest(
    activation: Activation,
    gain: float,
    found: Layers | None,
    dims: Dimensions,
    axes: tuple[Axes, Axes],
    depth: int,
) -> Initializer | None:
    """Return an initializer of the same fans that changes the variance less, if one is known."""
    fan_in, fan_out = compute_fans(dims, *axes)
    best, least = None, math.inf if found is None else _drift(found)
    slope = activation.parameter if activation.name == "leaky_relu" else None
    name = activation.name.removesuffix("_tanh") if activation.name.startswith("gelu") else ""
    usual = for_activation(name or activation.name, negative_slope=slope)
    for initializer in (usual, VarianceScaling(gain**2)):
        if isinstance(initializer, VarianceScaling):
            initializer.input_axes, initializer.output_axes = axes
        values = _fans_and_values(initializer, dims, np.dtype("float32"))[1]
        other = layers(
            values.stddev * values.stddev * fan_in,
            activation,
            depth,
            fan_out_over_fan_in=fan_out / fan_in,
        )
        drift = _drift(other)
        if drift < 0.9 * least:  # a smaller improvement does not count
            best, least = initializer, drift
    return best


def _about_values(values: _Values, initializer: Any, dtype: np.dtype[Any]) -> list[str]:
    least = _LEAST_NORMAL[dtype.char]
    found = []
    if 0 < values.stddev < least:
        found.append(
            f"the standard deviation is below {least:.2g}, the least normal number of {dtype}: "
            "the values lose digits, or are 0"
        )
    if values.stddev == 0 and not isinstance(initializer, Identity):
        found.append(
            "all values are equal: the units of a layer compute the same and learn the same, "
            "unless something else distinguishes them"
        )
    return found


def _ours(identifier: Any) -> Any:
    """Return the initializer of this package that an identifier stands for.

    An initializer of Keras, or of :mod:`fastinit.keras`, stands for the one of its name, and a
    function of this package for its class.
    """
    found = get(_CLASS_OF.get(identifier, identifier) if callable(identifier) else identifier)
    cls = CLASSES.get(type(found).__name__)
    if isinstance(found, Initializer) or cls is None or not hasattr(found, "get_config"):
        return found
    config = {name: value for name, value in found.get_config().items() if name != "seed"}
    return cls.from_config(config)


@entry_point
def explain(
    initializer: Any,
    shape: Shape,
    *,
    activation: Any = None,
    depth: SupportsIndex | None = None,
    dtype: DTypeLike | None = None,
    negative_slope: float | None = None,
    draws: SupportsIndex = 0,
    seed: SupportsIndex = 0,
) -> Explanation:
    """Explain an initializer for a shape: its fans, distribution and the variance in each layer.

    All numbers follow from formulas; only ``draws`` makes arrays.

    Parameters
    ----------
    initializer : Initializer, type, str or dict
        What :func:`fastinit.initializers.get` takes: an instance, a class, a configuration, or a
        name such as ``"he_normal"``; a function such as :func:`fastinit.he_normal`; or an
        initializer of Keras that this package has.
    shape : int or sequence of int
        Shape of the weights of one layer, without empty axes; the fans follow from it, or from the
        axes of the initializer.
    activation : str, callable, type or object, optional
        The function after each layer, as :func:`fastinit.initializers.for_activation` takes it;
        ``"linear"`` means none.  Without this argument no layers are computed.
    depth : int, optional
        Number of layers with these weights, from 1 to 100,000; by default 50.
    dtype : str or numpy.dtype, optional
        float32 (the default), float64, float16 or bfloat16.
    negative_slope : float, optional
        The slope of a leaky function for negative numbers, instead of the object's own or the
        default.
    draws : int
        Number of networks to measure, each with its own weights; ``shape`` must be that of a square
        matrix.  Narrow networks differ from one of infinite width, and from each other.
    seed : int
        The seed of the measured networks.

    Returns
    -------
    Explanation
        ``print`` shows it as a report.

    Raises
    ------
    ValueError
        An initializer that is not of this package, or makes no weights (stft); an unknown
        activation function, or one that is not elementwise; an argument out of range.
    TypeError
        An argument of the wrong type.

    Notes
    -----
    The layers have no biases and independent weights of mean 0; the inputs have mean square 1.  He,
    Zhang, Ren & Sun, ICCV 2015, equations 7 to 10 and 14; Poole et al., NeurIPS 2016, equation 3;
    Schoenholz et al., ICLR 2017, equations 2 and 9.

    Examples
    --------
    >>> import fastinit
    >>> found = fastinit.explain("he_normal", (256, 256), activation="gelu", depth=20)
    >>> found.warnings[0]
    'activations vanish: standard deviation 0.037 after 20 layers'
    >>> found.suggestion
    VarianceScaling(scale=2.1550..., mode='fan_in', distribution='truncated_normal', ...)
    """
    initializer = _ours(initializer)
    dims = as_shape(shape)
    if 0 in dims:
        raise ValueError(f"shape must have elements, received {shown(dims)}")
    kind = as_dtype("float32" if dtype is None else dtype, FLOATS)
    without = activation is None and not (depth is None and negative_slope is None)
    depth, draws = index(_DEPTH if depth is None else depth), index(draws)
    if not 1 <= depth <= 100_000:
        raise ValueError(f"depth must be from 1 to 100000, received {shown(depth)}")
    if not 0 <= draws <= 10_000:
        raise ValueError(f"draws must be from 0 to 10000, received {shown(draws)}")
    (fan_in, fan_out), values = _fans_and_values(initializer, dims, kind)
    warnings = _about_values(values, initializer, kind)
    through = measured = gain = suggestion = parameter = name = None
    if activation is None:
        if draws or without:
            raise ValueError("activation must be given where depth, draws or negative_slope is")
    else:
        function = find_activation(activation, negative_slope)
        name, parameter = function.name, function.parameter
        gain = steady_gain(function)
        if isinstance(initializer, Identity):
            warnings.append("the theory of layers needs random weights, so no layers are computed")
        elif not math.isfinite(values.stddev) or abs(values.mean) > 1e-9 * values.stddev:
            warnings.append(
                f"the weights have the mean {values.mean:.4g}, which all units of a layer share: "
                "the theory of layers needs a mean of 0, so no layers are computed"
            )
        elif values.stddev > 0:
            through = layers(
                values.stddev * values.stddev * fan_in,
                function,
                depth,
                fan_out_over_fan_in=fan_out / fan_in,
            )
            warnings += verdict(through.activation, through.gradient)
        if draws:
            measured = _measure(initializer, dims, function, depth, draws, index(seed))
        if warnings and getattr(initializer, "batch_axis", None) is None:
            axes = (
                getattr(initializer, "input_axes", None),
                getattr(initializer, "output_axes", None),
            )
            suggestion = _suggest(function, gain, through, dims, axes, depth)
    return Explanation(
        initializer=initializer,
        shape=dims,
        dtype=str(kind),
        fan_in=fan_in,
        fan_out=fan_out,
        distribution=values.what,
        mean=values.mean,
        stddev=values.stddev,
        lower=values.lower,
        upper=values.upper,
        activation=name,
        negative_slope=parameter,
        depth=depth,
        layers=through,
        measured=measured,
        gain=gain,
        suggestion=suggestion,
        warnings=tuple(warnings),
    )
