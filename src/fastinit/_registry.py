"""The table of all initializers.

A row holds an array function and what is to be said of it; presets of variance scaling are rows of
four words and a formula.  The functions of :mod:`fastinit`, the classes and names of
:mod:`fastinit.initializers`, their docstrings, the stubs and the README's table all follow from
it (``generate.py`` writes the last two).
"""

import inspect
import textwrap
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from . import _constants, _fans, _lazy, _orthogonal, _samplers, _seeds
from ._arrays import FLOATS, target
from ._base import Initializer


@dataclass(frozen=True)
class Row:
    """One initializer."""

    function: Callable
    summary: str
    formula: str
    fan: str = ""
    paper: str = ""
    check: Callable = lambda **arguments: None  # raises, or returns arguments to store instead
    preset: tuple | None = None  # (scale, mode, distribution)
    source: Callable | None = None  # (dims, dtype, seed, **arguments): what a LazyArray reads from
    dtypes: tuple = FLOATS
    keras: bool = True  # Keras has it, under the same name
    own: tuple = ()  # arguments that Keras lacks: in configurations only where they are given
    aliases: tuple = ()  # what `get` knows besides the two names
    exported: tuple = ()  # aliases that are names of the module, too

    @property
    def name(self):
        """The function's name; in snake_case."""
        return self.function.__name__

    @property
    def class_name(self):
        """The name in CamelCase."""
        return "STFT" if self.name == "stft" else self.name.title().replace("_", "")


def _random(law):
    def source(dims, kind, seed, **arguments):
        checked = law(dims, kind, **arguments)
        return _lazy.Random(checked, _seeds.key(seed))

    return source


def _value(dims, kind, seed, value):
    return _lazy.Value(_constants.fit_value(dims, kind, value))


def _diagonal(dims, kind, seed, gain):
    return _lazy.Diagonal(_constants.fit_gain(dims, kind, gain))


def _preset(name, scale, mode, distribution, **words):
    def function(shape=None, seed=None, dtype=None, *, input_axes=None, output_axes=None, out=None):
        return _fans.scaled(
            shape, scale, mode, distribution, seed, dtype, input_axes, output_axes, out
        )

    function.__name__ = function.__qualname__ = name
    preset = (scale, mode, distribution)
    return Row(function, fan=mode, preset=preset, check=_fans.check_axes, **words)


def _sampler(function, **words):
    def check(**arguments):
        # The sampler's own checks: an empty array of the widest dtype, which draws nothing.
        function(0, **arguments, seed=0, dtype="float64")

    return Row(function, check=check, **words)


def _check_gain(gain):
    _orthogonal.check_gain(gain)


def _check_orthogonal(gain, batch_axis):
    _orthogonal.check(gain, batch_axis)


def _check_value(value):
    _constants.check_value(value)


_LECUN = "LeCun, Bottou, Orr & Müller, Efficient BackProp, 1998, section 4.6"
_GLOROT = "Glorot & Bengio, AISTATS 2010, equation 16"
_HE = "He, Zhang, Ren & Sun, ICCV 2015, equation 10"
_SELU = "Klambauer et al., NeurIPS 2017 (with SELU); " + _LECUN

ROWS = (
    Row(
        _constants.zeros, "All zeros.", "0",
        source=partial(_value, value=0), dtypes=_constants.NUMBERS, aliases=("zero",),
    ),
    Row(
        _constants.ones, "All ones.", "1",
        source=partial(_value, value=1), dtypes=_constants.NUMBERS, aliases=("one",),
    ),
    Row(
        _constants.constant,
        "A scalar, or an array of the shape.",
        "value",
        check=_check_value,
        source=_value,
        dtypes=_constants.NUMBERS,
    ),
    _sampler(
        _samplers.random_normal,
        summary="Normal distribution.",
        formula="N(mean, stddev**2)",
        source=_random(_samplers.normal_law),
        aliases=("normal",),
    ),
    _sampler(
        _samplers.random_uniform,
        summary="Uniform distribution.",
        formula="U(minval, maxval)",
        source=_random(_samplers.uniform_law),
        aliases=("uniform",),
    ),
    _sampler(
        _samplers.truncated_normal,
        summary="Normal distribution, values beyond two standard deviations redrawn.",
        formula="N(mean, stddev**2) within mean ± 2 stddev",
        source=_random(_samplers.truncated_law),
    ),
    Row(
        _fans.variance_scaling,
        "A distribution whose variance adapts to the shape.",
        "variance = scale / max(1, fan)",
        fan="fan_in, fan_out, fan_avg or fan_geo_avg",
        paper=_HE,
        check=_fans.check_scaling,
        source=_random(_fans.scaled_law),
    ),
    _preset(
        "lecun_uniform", 1.0, "fan_in", "uniform",
        summary="LeCun's uniform distribution.",
        formula="U(-r, r), r = sqrt(3 / fan_in)",
        paper=_LECUN,
    ),
    _preset(
        "lecun_normal", 1.0, "fan_in", "truncated_normal",
        summary="LeCun's normal distribution, truncated at two standard deviations.",
        formula="standard deviation = sqrt(1 / fan_in)",
        paper=_SELU,
    ),
    _preset(
        "glorot_uniform", 1.0, "fan_avg", "uniform",
        summary="Glorot's, or Xavier's, uniform distribution.",
        formula="U(-r, r), r = sqrt(6 / (fan_in + fan_out))",
        paper=_GLOROT,
    ),
    _preset(
        "glorot_normal", 1.0, "fan_avg", "truncated_normal",
        summary="Glorot's, or Xavier's, normal distribution, truncated at two standard deviations.",
        formula="standard deviation = sqrt(2 / (fan_in + fan_out))",
        paper="Glorot & Bengio, AISTATS 2010, equation 12",
    ),
    _preset(
        "he_uniform", 2.0, "fan_in", "uniform",
        summary="He's, or Kaiming's, uniform distribution.",
        formula="U(-r, r), r = sqrt(6 / fan_in)",
        paper=_HE,
    ),
    _preset(
        "he_normal", 2.0, "fan_in", "truncated_normal",
        summary="He's, or Kaiming's, normal distribution, truncated at two standard deviations.",
        formula="standard deviation = sqrt(2 / fan_in)",
        paper=_HE,
    ),
    _preset(
        "standard_uniform", 1 / 3, "fan_in", "uniform",
        summary="The standard initialization of networks before Glorot's.",
        formula="U(-r, r), r = sqrt(1 / fan_in)",
        paper="Glorot & Bengio, AISTATS 2010, equation 1",
        keras=False,
    ),
    Row(
        _constants.identity,
        "A matrix with gain on its diagonal, zeros elsewhere.",
        "gain * I",
        check=_check_gain,
        source=_diagonal,
        dtypes=_constants.NUMBERS,
        aliases=("IdentityInitializer",),
        exported=("IdentityInitializer",),
    ),
    Row(
        _constants.stft,
        "Convolution kernels of the short-time Fourier transform.",
        "w[t] * exp(-2 pi i t f / n), n = 2 * (shape[2] - 1): its real or imaginary part",
        paper="Allen & Rabiner, Proc. IEEE 65 (1977) 1558-1564",
        check=_constants.check_stft,
        aliases=("STFTInitializer",),
        exported=("STFTInitializer",),
    ),
    Row(
        _orthogonal.orthogonal,
        "A random matrix with orthonormal columns, or rows where it is wide.",
        "gain * Q, Q Haar distributed, (prod(shape[:-1]), shape[-1])",
        paper="Saxe, McClelland & Ganguli, ICLR 2014; Stewart, SIAM J. Numer. Anal. 17 (1980)",
        check=_check_orthogonal,
        aliases=("OrthogonalInitializer",),
        exported=("OrthogonalInitializer",),
        own=("batch_axis",),
    ),
    Row(
        _orthogonal.delta_orthogonal,
        "A convolution kernel that is an orthogonal matrix in the middle of its window.",
        "gain * Q at (n - 1) // 2 of each axis of the window, 0 elsewhere; 3 to 5 dimensions",
        paper="Xiao et al., ICML 2018, algorithm 1",
        check=_check_gain,
        keras=False,
    ),
)  # fmt: skip

# What each argument is: (type, text).
ARGUMENTS = {
    "shape": (
        "int or sequence of int, optional",
        "Shape of the result; may be left out where ``out`` is given.",
    ),
    "value": (
        "float or array_like",
        "A number, or numbers that broadcast to the shape; cast to the dtype.",
    ),
    "mean": ("float", "Mean of the distribution."),
    "stddev": (
        "float",
        "Standard deviation, >= 0; where the distribution is truncated, of the one before.",
    ),
    "minval": ("float", "Lower bound, itself possible."),
    "maxval": ("float", "Upper bound, never returned unless it equals ``minval``."),
    "scale": ("float", "Variance times fan, > 0."),
    "mode": (
        '{"fan_in", "fan_out", "fan_avg", "fan_geo_avg"}',
        "Which fan divides: that of the inputs, of the outputs, their mean, their geometric mean "
        "(which Keras lacks).",
    ),
    "distribution": (
        '{"truncated_normal", "untruncated_normal", "uniform", "normal"}',
        '``"normal"`` is ``"truncated_normal"``: cut at two standard deviations of a normal that '
        "is wider by 1 / 0.8796, so that the variance is scale / fan after the cut.",
    ),
    "gain": ("float", "Factor."),
    "batch_axis": (
        "int or sequence of int, optional",
        "The first axes of the shape, so many as are named (0 is the first): each index there has "
        "a matrix of its own, the same whatever their number.",
    ),
    "side": ('{"real", "imag"}', "Which part of the complex kernel."),
    "window": (
        "str, array_like of shape[0] numbers, or None",
        "Weights over the frame; a name as in ``scipy.signal.get_window``, for those windows that "
        "need no parameter.",
    ),
    "scaling": (
        '{"density", "spectrum", None}',
        "Whether the window is divided by its L2 norm, its L1 norm, or nothing.",
    ),
    "periodic": ("bool", "A periodic window in place of a symmetric one."),
    "seed": (
        "int, SeedGenerator or numpy.random.Generator, optional",
        "An integer, 0 <= seed < 2**64, gives the same values at every call.  A generator "
        "advances.  None: fresh entropy at every call.",
    ),
    "dtype": ("str or numpy.dtype, optional", ""),  # by function
    "input_axes, output_axes": (
        "sequence of int, optional",
        "Axes whose sizes multiply to fan_in and fan_out; they count where both are given.",
    ),
    "out": (
        "array or buffer, optional",
        "Filled in place and returned; what may be given: :func:`random_normal`.",
    ),
}

_DTYPES = {
    **dict.fromkeys(
        ("zeros", "ones", "constant", "identity"),
        "float32 (the default), float64, float16, bfloat16, any integer, complex64, complex128, "
        "bool.",
    ),
}


def _document(row, names, returns):
    """The numpydoc text for a function or class with these parameters."""
    lines = [row.summary, "", row.formula + ("" if row.formula.endswith(".") else "."), ""]
    lines += ["Parameters", "----------"] if names else []
    for name, (kind, text) in ARGUMENTS.items():
        if name.split(", ")[0] in names:
            if name == "dtype":
                text = _DTYPES.get(row.name, "float32 (the default), float64, float16 or bfloat16.")
            text = textwrap.indent(textwrap.fill(text, 90), "    ")
            lines += [f"{name} : {kind}", text]
    if returns:
        lines += ["", "Returns", "-------", "numpy.ndarray or out"]
    lines += ["", "Raises", "------", "ValueError, TypeError"]
    lines += ["    An argument out of range, or of the wrong type.  Nothing is written then."]
    if row.paper:
        lines += ["", "Notes", "-----", *textwrap.wrap(row.paper + ".", 90)]
    return "\n".join(lines).replace("\n\n\n", "\n\n") + "\n"


def _build_class(row, base):
    function = row.function
    parameters = [
        parameter.replace(kind=inspect.Parameter.POSITIONAL_OR_KEYWORD)
        for parameter in inspect.signature(function).parameters.values()
        if parameter.name not in ("shape", "dtype", "out")
    ]
    names = [parameter.name for parameter in parameters]
    signature = inspect.Signature(parameters)

    def __init__(self, *args, **kwargs):
        try:
            bound = signature.bind(*args, **kwargs)
        except TypeError as error:
            raise TypeError(f"{row.class_name}() {error}") from None
        bound.apply_defaults()
        arguments = bound.arguments
        _seeds.check(arguments.get("seed"))
        checked = row.check(**{n: v for n, v in arguments.items() if n != "seed"})
        vars(self).update(arguments, **(checked or {}))

    def __call__(self, shape, dtype=None):
        return function(shape, dtype=dtype, **{name: getattr(self, name) for name in names})

    def _source(self, shape, dtype):
        dims, kind, _ = target(shape, dtype, None, row.dtypes)
        arguments = {"seed": None, **{name: getattr(self, name) for name in names}}
        return dims, kind, row.source(dims, kind, **arguments)

    for method in (__init__, __call__):  # what error messages name
        method.__qualname__ = f"{row.class_name}.{method.__name__}"
    own = inspect.Parameter("self", inspect.Parameter.POSITIONAL_OR_KEYWORD)
    __init__.__signature__ = signature.replace(parameters=[own, *parameters])
    __call__.__doc__ = Initializer.__call__.__doc__.partition("    Raises")[0].rstrip() + "\n"
    body = {
        "__init__": __init__,
        "__call__": __call__,
        "__doc__": _document(row, names, returns=False),
        "__module__": "fastinit.initializers",
        "_keras_module": "keras.initializers" if row.keras else None,
        "_own": row.own,
    }
    if row.source:
        body["_source"] = _source
    if row.preset:
        # As VarianceScaling with these for attributes: who changes them is heard.
        del body["__call__"]
        body |= dict(zip(("scale", "mode", "distribution"), row.preset, strict=True))
    return type(row.class_name, (base,), body)


def _build():
    functions, classes = {}, {}
    for row in ROWS:
        function = row.function
        if function.__module__ != _samplers.__name__:  # those have texts of their own
            function.__module__ = "fastinit"
            function.__doc__ = _document(row, inspect.signature(function).parameters, returns=True)
        functions[row.name] = function
        base = classes["VarianceScaling"] if row.preset else Initializer
        classes[row.class_name] = _build_class(row, base)
    return functions, classes


FUNCTIONS, CLASSES = _build()

# What `get` knows: every name of every class.
NAMES: dict[str, type] = {"Initializer": Initializer, "initializer": Initializer}
EXPORTED: dict[str, type] = {}
for _row in ROWS:
    _cls = CLASSES[_row.class_name]
    NAMES |= dict.fromkeys((_row.class_name, _row.name, *_row.aliases), _cls)
    EXPORTED |= dict.fromkeys((_row.class_name, _row.name, *_row.exported), _cls)
