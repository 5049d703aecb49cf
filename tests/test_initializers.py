import copy
import inspect
import json
import math
import pickle
import sys
from decimal import Decimal
from fractions import Fraction
from functools import partial
from math import inf, nan, sqrt

import numpy as np
import pytest
from processes import run_python

import fastinit
from fastinit import initializers
from fastinit._nonlinearity import ACTIVATIONS
from fastinit._shapes import NUMBERS
from fastinit.initializers._catalog import CATALOG, CLASSES

each_entry = pytest.mark.parametrize("entry", CATALOG, ids=lambda entry: entry.name)
SHAPES = {
    "identity": (5, 7),
    "stft": (16, 1, 9),
    "orthogonal": (6, 4),
    "delta_orthogonal": (3, 4, 6),
}
RANDOM = [entry for entry in CATALOG if "seed" in inspect.signature(entry.function).parameters]


def shape_of(entry):
    return SHAPES.get(entry.name, (6, 4))


def seeded(entry):
    return {"seed": 1} if entry in RANDOM else {}


# The function and the class of each initializer.


@each_entry
def test_both_entry_points_give_the_same(entry):
    shape, seed = shape_of(entry), seeded(entry)
    array = getattr(fastinit, entry.name)(shape, **seed)
    assert array.shape == shape
    assert array.dtype == np.float32
    initializer = entry.cls(**seed)
    assert np.array_equal(array, initializer(shape=shape))
    assert np.array_equal(array, initializer(list(shape), "float32"))
    wide = initializer(shape, dtype="float64")
    assert wide.dtype == np.float64
    out = np.empty(shape)
    assert entry.function(out=out, **seed) is out
    assert np.array_equal(out, wide)
    assert getattr(initializers, entry.name) is entry.cls


@each_entry
def test_signatures(entry):
    ours = list(inspect.signature(entry.function).parameters.values())
    assert [p.name for p in ours[:1]] == ["shape"]
    assert ours[-1].name == "out"
    assert ours[-1].kind is ours[-1].KEYWORD_ONLY
    arguments = inspect.signature(entry.cls).parameters
    assert set(arguments) == {p.name for p in ours} - {"shape", "dtype", "out"}
    for p in ours:
        if p.name in arguments:
            assert arguments[p.name].default == p.default
    assert inspect.signature(entry.cls.__call__).parameters.keys() == {"self", "shape", "dtype"}


@each_entry
def test_texts(entry):
    for thing in (entry.function, entry.cls):
        text = inspect.getdoc(thing)
        for name in inspect.signature(thing).parameters:
            assert name in text, (thing, name)
        assert max(map(len, text.splitlines())) <= 100
    assert entry.function.__name__ == entry.name
    assert getattr(fastinit, entry.name) is entry.function
    assert getattr(initializers, entry.cls.__name__) is entry.cls


@each_entry
def test_equality_repr_copies_and_configurations(entry):
    cls, seed = entry.cls, seeded(entry)
    initializer = cls(**seed)
    assert initializer == cls(**seed)
    assert hash(initializer) == hash(cls(**seed))
    assert initializer != initializers.Initializer()
    assert initializer != "zeros"
    namespace = vars(initializers)
    assert eval(repr(initializer), dict(namespace)) == initializer
    for other in (
        initializer.clone(),
        copy.deepcopy(initializer),
        pickle.loads(pickle.dumps(initializer)),
        cls.from_config(json.loads(json.dumps(initializer.get_config()))),
        initializers.deserialize(json.loads(json.dumps(initializers.serialize(initializer)))),
        initializers.get(initializers.serialize(initializer)),
    ):
        assert type(other) is cls
        assert other is not initializer
        assert other == initializer
        assert np.array_equal(other(shape_of(entry)), initializer(shape_of(entry)))
    if seed:
        assert cls(seed=2) != initializer


def test_presets_are_variance_scalings():
    he = initializers.HeNormal(seed=1)
    assert isinstance(he, initializers.VarianceScaling)
    assert (he.scale, he.mode, he.distribution) == (2.0, "fan_in", "truncated_normal")
    assert np.array_equal(he((8, 8)), initializers.VarianceScaling(2.0, seed=1)((8, 8)))


def test_configurations_hold_what_json_does_not():
    for value in (np.arange(6.0).reshape(2, 3), np.float32(2.5), [1, 2, 3], 2 + 0j == 2):
        constant = initializers.Constant(value)
        again = initializers.get(json.loads(json.dumps(initializers.serialize(constant))))
        assert again == constant
        assert np.array_equal(again((2, 3)), constant((2, 3)))
    assert initializers.Constant([1, 2]) != initializers.Constant([1, 3])
    window = initializers.STFT(window=np.arange(4))
    assert initializers.STFT.from_config(json.loads(json.dumps(window.get_config()))) == window
    axes = initializers.HeNormal(input_axes=(0, -1), output_axes=(1,))
    assert initializers.HeNormal.from_config(json.loads(json.dumps(axes.get_config()))) == axes
    with pytest.raises(TypeError, match=r"seed is a numpy\.random\.Generator"):
        initializers.HeNormal(seed=np.random.default_rng(1)).get_config()


def test_a_seed_generator_in_a_configuration_starts_again():
    initializer = initializers.HeNormal(seed=fastinit.SeedGenerator(5))
    first = initializer((10,))
    config = json.loads(json.dumps(initializers.serialize(initializer)))
    assert config["config"]["seed"]["module"] == "keras.random"
    assert np.array_equal(initializers.get(config)((10,)), first)


class Diagonal(initializers.Initializer):
    """A subclass as Keras documents it, without what the base class derives."""

    def __init__(self, value=1.0):
        self.value = value
        self.calls = 0

    def __call__(self, shape, dtype=None):
        self.calls += 1
        return self.value * np.eye(*shape, dtype=dtype or "float32")


class Config(Diagonal):
    """A subclass as Keras documents it."""

    def get_config(self):
        return {"value": self.value}


@pytest.mark.parametrize("cls", [Diagonal, Config])
def test_subclasses(cls):
    diagonal = cls(2.0)
    assert diagonal((2, 3)).tolist() == [[2, 0, 0], [0, 2, 0]]
    assert diagonal.get_config() == {"value": 2.0}
    assert repr(diagonal) == f"{cls.__name__}(value=2.0)"
    assert cls.from_config({"value": 2.0}) == diagonal == diagonal.clone() != cls(3.0)
    config = initializers.serialize(diagonal)
    assert config["registered_name"] == cls.__name__
    assert initializers.deserialize(config, {cls.__name__: cls}) == diagonal
    assert initializers.get(cls) == cls(1.0)
    with pytest.raises(ValueError, match="initializer must be one of zeros, ones"):
        initializers.get(config)
    for name, near in (("heNormal", "HeNormal"), ("HE_norml", "he_normal")):
        with pytest.raises(ValueError, match=f"received '{name}'; did you mean '{near}'[?]$"):
            initializers.get(name)
    with pytest.raises(ValueError, match=r"received 'nonsense'$"):
        initializers.get("nonsense")


def test_subclasses_of_ours():
    class Orthonormal(initializers.Orthogonal):
        def __init__(self, seed=None):
            super().__init__(1.0, seed)
            self.note = "mine"

    initializer = Orthonormal(seed=1)
    assert initializer.get_config() == {"seed": 1}
    assert np.array_equal(initializer((3, 3)), fastinit.orthogonal((3, 3), seed=1))
    assert initializers.serialize(initializer)["registered_name"] == "Orthonormal"


def test_the_base_class_cannot_be_called():
    with pytest.raises(NotImplementedError):
        initializers.Initializer()((2, 2))


# Values.


@pytest.mark.parametrize("dtype", NUMBERS, ids=str)
def test_constants(dtype):
    for array, value in (
        (fastinit.zeros((3, 2), dtype), 0),
        (fastinit.ones((3, 2), dtype.name), 1),
        (fastinit.constant((3, 2), 1.75, dtype), np.array(1.75).astype(dtype)),
        (fastinit.identity((3, 2), dtype=dtype), np.eye(3, 2)),
    ):
        assert array.dtype == dtype
        assert array.shape == (3, 2)
        assert (array == value).all()


def test_constant_arrays():
    value = np.arange(6).reshape(2, 3)
    assert np.array_equal(fastinit.constant((2, 3), value), value)
    assert np.array_equal(fastinit.constant((4, 2, 3), value), np.stack([value] * 4))
    assert np.isnan(fastinit.constant((2,), nan)).all()
    for shape in ((3, 2), (3,), (6,)):
        with pytest.raises(ValueError, match="value must be a scalar or an array of the shape"):
            fastinit.constant(shape, value)
    for wrong in ("1", None, object(), [[1], [1, 2]]):
        with pytest.raises(TypeError, match="value must be"):
            initializers.Constant(wrong)
    with pytest.raises(TypeError, match="value is complex"):
        fastinit.constant((2,), 1j)
    with pytest.raises(ValueError, match="value must fit into uint8"):
        fastinit.constant((2,), 300, "uint8")


@pytest.mark.parametrize("shape", [(4, 4), (3, 5), (5, 3), (0, 3), (3, 0), (1, 1)])
def test_identity(shape):
    assert np.array_equal(fastinit.identity(shape, gain=2.5), 2.5 * np.eye(*shape))
    out = np.full(shape, 7.0)
    assert np.array_equal(fastinit.identity(out=out), np.eye(*shape))


@pytest.mark.parametrize(
    ("gain", "dtype"),
    [
        (2**53 + 1, "int64"),
        (-(2**63), "int64"),
        (2**63 - 1, "int64"),
        (2**64 - 1, "uint64"),
        (np.int64(2**53 + 1), "int64"),
        (np.uint64(2**64 - 1), "uint64"),
        (np.array(2**53 + 1), "int64"),
        (Fraction(2**53 + 1), "int64"),
        (Decimal(2**53 + 1), "int64"),
        (np.longdouble(2**53) + 1, "int64"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_integer_gains_keep_all_digits(gain, dtype):
    made = initializers.Identity(gain)
    for array in (fastinit.identity((2, 2), gain, dtype), made((2, 2), dtype)):
        assert array.tolist() == [[int(gain), 0], [0, int(gain)]]
    lazy = made.lazy((2, 2), dtype)
    assert np.array_equal(lazy[...], array)
    assert np.array_equal(lazy[1], array[1])
    out = np.full((2, 2), 7, dtype)
    assert np.array_equal(fastinit.identity(gain=gain, out=out), array)


def test_integers_are_cut_off_and_hold_no_more_than_they_can():
    assert fastinit.identity((1, 1), -1.75, "int8") == -1
    assert fastinit.constant(1, 255.75, "uint8") == 255
    assert fastinit.constant(2, [2**53 + 1, 0], "int64").tolist() == [2**53 + 1, 0]
    for value, dtype in (
        (2.0**63, "int64"),
        (2.0**64, "uint64"),
        (-1.0, "uint64"),
        (2**63, "int64"),
        (nan, "int32"),
        (np.float16("inf"), "uint64"),
        (-np.float16("inf"), "int64"),
    ):
        with pytest.raises(ValueError, match=f"value must fit into {dtype}, received"):
            fastinit.constant(1, value, dtype)
    for gain, dtype in ((2**63, "int64"), (-1, "uint8"), (10**30, "uint64"), (2.0**64, "uint64")):
        with pytest.raises(ValueError, match=f"gain must fit into {dtype}, received"):
            fastinit.identity((1, 1), gain, dtype)


@pytest.mark.parametrize("shape", [(), (3,), (2, 2, 2), 3])
def test_identity_is_a_matrix(shape):
    with pytest.raises(ValueError, match="shape must have two dimensions"):
        initializers.Identity()(shape)


@pytest.mark.parametrize("window", ["hann", "hamming_periodic", "flattop_symmetric", "boxcar"])
@pytest.mark.parametrize("periodic", [False, True])
def test_windows_with_names_are_scipys(window, periodic):
    from scipy.signal import get_window

    weights = get_window(window, 16, periodic)
    expected = fastinit.stft((16, 1, 9), window=weights, dtype="float64")
    found = fastinit.stft((16, 1, 9), window=window, periodic=periodic, dtype="float64")
    assert np.array_equal(found, expected)


@pytest.mark.parametrize("dtype", ["float32", "float64", "float16", "bfloat16"])
@pytest.mark.parametrize("scaling", ["density", "spectrum"])
@pytest.mark.parametrize("window", ["hann", [0, 0], "cosine"])
def test_a_window_of_zeros_cannot_be_scaled(window, scaling, dtype):
    """Hann's window of two samples is zero at both; without scaling so is the kernel."""
    for periodic in (False, True):
        arguments = {"window": window, "periodic": periodic, "dtype": dtype}
        plain = fastinit.stft((2, 1, 2), scaling=None, **arguments)
        if plain.any():
            assert np.isfinite(fastinit.stft((2, 1, 2), scaling=scaling, **arguments)).all()
            continue
        out = np.full((2, 1, 2), 7, plain.dtype)
        with pytest.raises(ValueError, match="scaling must be None where the window is 0 every"):
            fastinit.stft(scaling=scaling, out=out, **arguments)
        assert (out == 7).all()


@pytest.mark.parametrize("scaling", ["density", "spectrum"])
@pytest.mark.parametrize("power", [-1070, -600, -1, 1, 600, 1020])
def test_the_size_of_a_window_does_not_matter(scaling, power):
    weights = np.array([0.5, 1, 1, 0.25])
    expected = fastinit.stft((4, 1, 3), window=weights, scaling=scaling, dtype="float64")
    assert np.isfinite(expected).all()
    found = fastinit.stft(
        (4, 1, 3), window=np.ldexp(weights, power), scaling=scaling, dtype="float64"
    )
    assert np.array_equal(found, expected)


@pytest.mark.parametrize(
    ("window", "error", "message"),
    [
        ([nan, 1], ValueError, "window must hold finite numbers, received"),
        ([1, np.inf], ValueError, "window must hold finite numbers, received"),
        ([1j, 1], TypeError, "window must be a name, numbers or None, received"),
        (["1", "1"], TypeError, "window must be a name, numbers or None, received"),
        (iter([1, 1]), TypeError, "window must be a name, numbers or None, received"),
        (object(), TypeError, "window must be a name, numbers or None, received"),
    ],
)
def test_windows_that_are_refused(window, error, message):
    for make in (initializers.STFT, partial(fastinit.stft, (2, 1, 2))):
        with pytest.raises(error, match=message):
            make(window=window)


def test_a_window_must_fit_the_dtype():
    with pytest.raises(ValueError, match="window must fit into float16, received 70000"):
        fastinit.stft((2, 1, 2), window=[70000, 1], scaling=None, dtype="float16")


def test_windows_without_scipy(monkeypatch):
    monkeypatch.setitem(sys.modules, "scipy.signal", None)
    for make in (initializers.STFT, lambda: fastinit.stft((4, 1, 3))):
        with pytest.raises(ImportError, match="scipy, the extra 'stft': pip install scipy"):
            make()
    weights = np.hanning(4)
    assert fastinit.stft((4, 1, 3), window=weights).shape == (4, 1, 3)
    assert initializers.STFT(window=None)((4, 1, 3)).shape == (4, 1, 3)


def test_stft_is_the_transform():
    rng = np.random.default_rng(1)
    frame, window = rng.normal(size=16), rng.uniform(size=16)
    expected = np.fft.rfft(frame * window)
    for side, part in (("real", expected.real), ("imag", expected.imag)):
        kernel = fastinit.stft((16, 1, 9), side, window, None, dtype="float64")
        np.testing.assert_allclose(np.einsum("t,tcf->f", frame, kernel), part, atol=1e-12)
        plain = fastinit.stft((16, 1, 9), side, window, dtype="float64")
        np.testing.assert_allclose(plain, kernel / np.linalg.norm(window), atol=1e-15)
        spectrum = fastinit.stft((16, 1, 9), side, window, "spectrum", dtype="float64")
        np.testing.assert_allclose(spectrum, kernel / window.sum(), atol=1e-15)
    assert fastinit.stft((0, 1, 0), window=None).shape == (0, 1, 0)
    assert (fastinit.stft((4, 1, 1), window=None) == 1).all()


@pytest.mark.parametrize(
    ("arguments", "shape"),
    [
        *[({"side": "left"}, None), ({"side": None}, None), ({"scaling": "power"}, None)],
        *[({"window": "glass"}, None), ({"window": "kaiser"}, None)],
        *[({"window": [1, 2, 3]}, (4, 1, 3)), ({}, (4, 4)), ({}, (4, 2, 3))],
    ],
    ids=repr,
)
def test_wrong_arguments_of_stft(arguments, shape):
    with pytest.raises(ValueError, match=f"{next(iter(arguments), 'shape')} must"):
        initializers.STFT(**arguments)(shape or (4, 1, 3))


# Distributions.  A seed is fixed, so a test that passes goes on passing; for another seed the
# probability of a false alarm is stated.

SHAPE = (400, 500)
STANDARD = 0.87962566103423978


def distributions():
    from scipy import stats

    def uniform(limit):
        return stats.uniform(-limit, 2 * limit)

    def truncated(stddev):
        return stats.truncnorm(-2, 2, scale=stddev / STANDARD)

    fan_in, fan_out = SHAPE
    total = fan_in + fan_out
    return {
        "random_normal": stats.norm(0, 0.05),
        "random_uniform": uniform(0.05),
        "truncated_normal": stats.truncnorm(-2, 2, scale=0.05),
        "variance_scaling": truncated(sqrt(1 / fan_in)),
        "lecun_uniform": uniform(sqrt(3 / fan_in)),
        "lecun_normal": truncated(sqrt(1 / fan_in)),
        "glorot_uniform": uniform(sqrt(6 / total)),
        "glorot_normal": truncated(sqrt(2 / total)),
        "he_uniform": uniform(sqrt(6 / fan_in)),
        "he_normal": truncated(sqrt(2 / fan_in)),
        "standard_uniform": uniform(1 / sqrt(fan_in)),
    }


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(
    "entry",
    [entry for entry in RANDOM if "orthogonal" not in entry.name],
    ids=lambda entry: entry.name,
)
def test_distributions(entry, dtype):
    from scipy import stats

    expected = distributions()[entry.name]
    x = entry.function(SHAPE, seed=11, dtype=dtype).astype(float).ravel()
    low, high = expected.support()
    rounding = 1 + np.finfo(dtype).eps  # of the bound, where it is not a number of the dtype
    assert low * rounding <= x.min() <= x.max() <= high * rounding
    # Each at 1e-6: the mean within 4.9 standard errors, the variance within 4.9 of its own.
    n, deviation = x.size, expected.std()
    assert abs(x.mean()) < 4.9 * deviation / sqrt(n)
    kurtosis = float(expected.stats("k")) + 3
    assert abs(x.var() / deviation**2 - 1) < 4.9 * sqrt((kurtosis - 1) / n)
    assert stats.kstest(x, expected.cdf).pvalue > 1e-6


@pytest.mark.parametrize("gain", [inf, nan, "1", None])
@pytest.mark.parametrize("name", ["Orthogonal", "DeltaOrthogonal", "Identity"])
def test_wrong_gains(name, gain):
    with pytest.raises(
        TypeError if isinstance(gain, (str, type(None))) else ValueError, match="gain"
    ):
        getattr(initializers, name)(gain=gain)


# Identifiers.


def test_identifiers():
    assert initializers.get(None) is None
    assert initializers.get("he_normal") == initializers.HeNormal()
    assert initializers.get("uniform") == initializers.RandomUniform()
    assert initializers.get(initializers.HeNormal) == initializers.HeNormal()
    he = initializers.HeNormal(seed=1)
    assert initializers.get(he) is he

    def custom(shape, dtype=None):
        return np.ones(shape, dtype)

    assert initializers.get(custom) is custom
    config = initializers.serialize(custom)
    assert initializers.deserialize(config, {"custom": custom}) is custom
    assert initializers.serialize("zeros") == "zeros"
    assert initializers.serialize(None) is None is initializers.deserialize(None)
    assert initializers.deserialize("zeros") == initializers.Zeros()
    with pytest.raises(TypeError, match="lambda"):
        initializers.serialize(lambda shape, dtype=None: 0)
    with pytest.raises(TypeError, match="cannot serialize"):
        initializers.serialize(object())


def test_arrays_as_identifiers():
    value = np.arange(6.0).reshape(2, 3)
    initialize = initializers.get(value)
    assert initialize((2, 3)).dtype == np.float32
    assert np.array_equal(initialize([2, 3], dtype="float64"), value)
    with pytest.raises(ValueError, match="shape must be that of the array"):
        initialize((3, 2))


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        *[(None, "Glorot"), ("none", "Glorot"), ("linear", "Glorot"), ("tanh", "Glorot")],
        *[("identity", "Glorot"), ("Identity", "Glorot")],
        *[("sigmoid", "Glorot"), ("logistic", "Glorot"), ("softmax", "Glorot"), ("relu", "He")],
        *[
            ("ReLU", "He"),
            ("LeakyReLU", "He"),
            ("leaky_relu", "He"),
            ("PReLU", "He"),
            ("elu", "He"),
        ],
        *[("gelu", "He"), ("swish", "He"), ("selu", "Lecun"), ("SELU", "Lecun")],
    ],
)
def test_for_activation(name, expected):
    assert type(initializers.for_activation(name)).__name__ == f"{expected}Normal"
    uniform = initializers.for_activation(name, "uniform", seed=3)
    assert type(uniform).__name__ == f"{expected}Uniform"
    assert uniform.seed == 3


def test_for_activation_of_callables():
    def relu(x):
        return max(x, 0)

    class SELU:
        pass

    assert initializers.for_activation(relu) == initializers.HeNormal()
    assert initializers.for_activation(SELU) == initializers.LecunNormal()
    assert initializers.for_activation(SELU()) == initializers.LecunNormal()


@pytest.mark.parametrize("distribution", ["normal", "uniform"])
def test_for_activation_with_a_slope(distribution):
    """He et al. 2015, equation 15: the variance is 2 / (1 + a**2) / fan_in."""
    for name in ("leaky_relu", "LeakyReLU", "prelu", "relu"):
        initializer = initializers.for_activation(name, distribution, 5, negative_slope=0.5)
        form = "uniform" if distribution == "uniform" else "truncated_normal"
        assert initializer == initializers.VarianceScaling(2 / 1.25, "fan_in", form, 5)
    zero = initializers.for_activation("relu", distribution, 5, negative_slope=0)
    he = initializers.for_activation("relu", distribution, 5)
    assert (zero((8, 9)) == he((8, 9))).all()


def test_for_activation_with_the_exact_gain():
    def scale(name, **options):
        initializer = initializers.for_activation(name, gain="exact", **options)
        assert (initializer.mode, initializer.distribution) == ("fan_in", "truncated_normal")
        return initializer.scale

    class LeakyReLU:
        negative_slope = 0.2

    for name in (LeakyReLU(), LeakyReLU().__class__()):
        assert scale(name) == pytest.approx(2 / 1.04, rel=1e-15)
        assert initializers.for_activation(name) == initializers.HeNormal()
    assert scale(LeakyReLU(), negative_slope=1) == pytest.approx(1, rel=1e-15)
    assert scale("relu") == pytest.approx(2, rel=1e-15)
    assert scale(None) == pytest.approx(1, rel=1e-12)
    assert scale("selu") == pytest.approx(1, rel=1e-8)
    for name in ("gelu", "silu", "mish", "elu", "softplus"):
        # E[phi(g u)**2] = 1 by the trapezoidal rule, which is exact for such smooth functions up to
        # exp(-2 (pi / h)**2); elu's second derivative jumps at 0, a node.
        u = np.linspace(-12, 12, 24001)
        values = ACTIVATIONS[name](math.sqrt(scale(name)) * u) ** 2
        mean = (values * np.exp(-(u**2) / 2)).sum() * (u[1] - u[0]) / math.sqrt(2 * math.pi)
        assert mean == pytest.approx(1, rel=1e-6)
    assert initializers.for_activation("gelu", "uniform", 3, gain="exact").seed == 3
    # Bounded functions keep the variance of the pre-activations at 1 instead.
    assert scale("tanh") == pytest.approx(1.5925374**2, rel=1e-6)


@pytest.mark.parametrize("name", ["gelu", "silu", "mish"])
def test_the_exact_gain_keeps_what_he_loses(name):
    """20 layers of 512 units: the figures that the documentation of for_activation gives."""
    shape = (512, 512)
    lost = fastinit.explain("he_normal", shape, activation=name, depth=20)
    expected = {"gelu": 0.037, "silu": 0.0034, "mish": 0.32}[name]
    assert lost.layers.activation[-1] == pytest.approx(expected, rel=0.02)
    exact = initializers.for_activation(name, gain="exact")
    kept = fastinit.explain(exact, shape, activation=name, depth=20, draws=4)
    assert kept.layers.rms == pytest.approx(np.ones(20), rel=1e-8)
    # A network of 512 units differs from this by a factor of up to 2.
    assert 0.5 < np.median(kept.measured[:, -1] / kept.layers.activation[-1]) < 2


def test_for_activation_refuses():
    with pytest.raises(ValueError, match=r"gain must be 'exact' or None, received 2.0"):
        initializers.for_activation("relu", gain=2.0)
    with pytest.raises(ValueError, match="elementwise function, received 'softmax'"):
        initializers.for_activation("softmax", gain="exact")
    with pytest.raises(ValueError, match="negative_slope must be left out for tanh"):
        initializers.for_activation("tanh", negative_slope=0.1)
    with pytest.raises(ValueError, match="negative_slope must be finite"):
        initializers.for_activation("relu", negative_slope=float("nan"))
    with pytest.raises(ValueError, match=r"None or one of linear, tanh.*selu, received 'maxout'"):
        initializers.for_activation("maxout")
    with pytest.raises(ValueError, match=r"one of linear.*received 'rleu'; did you mean 'relu'[?]"):
        initializers.for_activation("rleu")
    with pytest.raises(ValueError, match=r"received 'RLEU'; did you mean 'relu'[?]"):
        initializers.for_activation("RLEU", gain="exact")
    with pytest.raises(ValueError, match=r"one of linear.* received 3$"):
        initializers.for_activation(3)
    with pytest.raises(ValueError, match="distribution must be"):
        initializers.for_activation("relu", "gamma")


# Errors.


@pytest.mark.parametrize(
    ("name", "arguments", "error"),
    [
        ("RandomNormal", {"stddev": -1}, ValueError),
        ("RandomNormal", {"mean": nan}, ValueError),
        ("TruncatedNormal", {"stddev": inf}, ValueError),
        ("TruncatedNormal", {"stddev": "1"}, TypeError),
        ("RandomUniform", {"minval": 1, "maxval": 0}, ValueError),
        ("RandomUniform", {"minval": None}, TypeError),
        ("GlorotUniform", {"scale": 2}, TypeError),
        ("Zeros", {"seed": 1}, TypeError),
    ],
)
def test_wrong_arguments(name, arguments, error):
    with pytest.raises(error, match=next(iter(arguments))):
        getattr(initializers, name)(**arguments)


@each_entry
def test_wrong_dtypes_and_shapes(entry):
    with pytest.raises(TypeError, match="dtype must be"):
        entry.function(shape_of(entry), dtype="float31")
    if entry in RANDOM:
        with pytest.raises(TypeError, match="dtype must be"):
            entry.function(shape_of(entry), dtype="int32")
    with pytest.raises(TypeError, match="shape is required"):
        entry.function()
    with pytest.raises(TypeError, match="shape must be an integer or a sequence of them"):
        entry.function(2.5)
    with pytest.raises(ValueError, match="shape must not have negative dimensions"):
        entry.function(tuple(-d for d in shape_of(entry)))


@each_entry
def test_wrong_out(entry):
    out = np.full(shape_of(entry), 7.0, np.float32)
    for wrong, error in (
        (out.astype(out.dtype.newbyteorder()), ValueError),
        (np.asfortranarray(np.full((*shape_of(entry)[:-1], 5), 7.0, np.float32)), ValueError),
        (out.astype("datetime64[s]"), TypeError),
    ):
        before = wrong.copy()
        with pytest.raises(error, match="out must"):
            entry.function(out=wrong)
        assert np.array_equal(wrong, before)
    with pytest.raises(ValueError, match="out has shape"):
        entry.function(tuple(d + (d > 1) for d in shape_of(entry)), out=out)
    out.flags.writeable = False
    with pytest.raises(ValueError, match="out must be writeable"):
        entry.function(out=out)


def test_too_large():
    with pytest.raises(MemoryError, match="cannot allocate"):
        fastinit.zeros((2**30, 2**30))
    with pytest.raises(OverflowError, match="elements"):
        fastinit.zeros((2**40, 2**40))


class Scaled(initializers.RandomNormal):
    """A subclass as users of Keras write it: it passes the parent's arguments on."""

    def __init__(self, factor=2.0, **kwargs):
        super().__init__(**kwargs)
        self.factor = factor


class Hidden(initializers.Initializer):
    def __init__(self, value=0):
        self._value = value


class Nested(initializers.Initializer):
    def __init__(self, inner="zeros"):
        self.inner = initializers.get(inner)


def test_subclasses_that_pass_arguments_on_keep_them():
    made = Scaled(3.0, stddev=9.0, seed=1)
    assert made.get_config() == {"factor": 3.0, "mean": 0.0, "stddev": 9.0, "seed": 1}
    assert Scaled.from_config(made.get_config()) == made
    assert made != Scaled(3.0, stddev=1.0, seed=1)


def test_what_hides_its_arguments_equals_itself_alone():
    hidden = Hidden(1)
    assert [hidden] == [hidden]
    assert hidden != Hidden(2)


def test_an_initializer_inside_another_comes_back():
    assert Nested.from_config(Nested("he_normal").get_config()).inner == initializers.HeNormal()


def test_changed_attributes_of_a_preset_take_effect():
    changed = initializers.HeNormal(seed=1)
    changed.scale = 200.0
    ratio = changed((100, 100)).std() / initializers.HeNormal(seed=1)((100, 100)).std()
    assert abs(ratio - 10) < 1e-4


@pytest.mark.parametrize(
    ("function", "arguments", "dtype"),
    [
        (fastinit.identity, {"gain": 1e300}, "float32"),
        (fastinit.identity, {"gain": 300}, "int8"),
        (fastinit.identity, {"gain": -1}, "uint8"),
        (fastinit.constant, {"value": 1e10}, "float16"),
        (fastinit.constant, {"value": 1e300}, "float32"),
        (fastinit.orthogonal, {"gain": 1e300, "seed": 1}, "float32"),
    ],
)
def test_values_beyond_the_dtype_are_refused(function, arguments, dtype):
    out = np.zeros((2, 2), dtype)
    with pytest.raises(ValueError, match=dtype):
        function(out=out, **arguments)
    assert not out.any()


def test_structured_values_are_refused():
    with pytest.raises(TypeError, match="value must be"):
        fastinit.constant(2, np.zeros(2, [("a", "f4")]))


@each_entry
def test_errors_name_a_class(entry):
    """A TypeError names the initializer's class, or its base class."""
    names = "|".join(cls.__name__ for cls in entry.cls.__mro__[:-1])
    with pytest.raises(TypeError, match=rf"^({names})\.__call__\(\) "):
        entry.cls.__call__()


OTHERS = (
    "must be called with (shape, dtype=None), received {}: the initializers of fastinit.jax, such "
    "as fastinit.jax.he_normal(), take JAX's arguments (key, shape, dtype)"
)


@each_entry
def test_calls_as_jaxs_initializers_are_called(entry):
    """The error names the class that was called, and what its call takes."""
    initializer, name, shape = entry.cls(), entry.cls.__name__, shape_of(entry)
    key = np.array([0, 3], "uint32")
    for call, received in (
        (lambda: initializer(None, shape, "float32"), "3 arguments"),
        (lambda: initializer(key, shape, "float32"), "3 arguments"),
        (lambda: initializer(key, shape, "float32", None), "4 arguments"),
        (lambda: initializer(shape, "float32", key=None), "the keyword 'key'"),
        (lambda: initializer(shape=shape, dtype="float32", key=None), "the keyword 'key'"),
        (lambda: initializer(key=key, shape=shape), "the keyword 'key'"),
        (lambda: initializer(key, shape), f"dtype={shape}"),
        (lambda: initializer(key, list(shape)), f"dtype={list(shape)}"),
        (lambda: initializer(object(), shape), f"dtype={shape}"),
    ):
        with pytest.raises(TypeError) as caught:
            call()
        message = str(caught.value)
        assert message == f"{name}() {OTHERS.format(received)}"
    for call in (initializer, lambda: initializer(None), lambda: initializer(dtype="float32")):
        with pytest.raises(TypeError) as caught:
            call()
        assert str(caught.value) == (
            f"{name}() must be called with (shape, dtype=None): the shape is an integer or a "
            "sequence of them"
        )
    with pytest.raises(TypeError, match=r"^dtype must be .* received 'float31'$"):
        initializer(shape, "float31")


def test_a_call_that_a_subclass_defines_is_its_own():
    class Mine(initializers.HeNormal):
        def __call__(self, shape, dtype=None, scale=1):
            return scale * super().__call__(shape, dtype)

    assert np.array_equal(Mine(1)((3, 4), None, 2), 2 * fastinit.he_normal((3, 4), seed=1))


class Keras:
    """A stand-in for Keras, with the functions of keras.saving that look names up."""

    def __init__(self, registered, scope):
        self.registered, self.scope = registered, scope
        self.saving = self

    def get_registered_name(self, value):
        names = [name for name, found in self.registered.items() if found is value]
        return names[0] if names else value.__name__

    def get_registered_object(self, name, custom_objects=None, module_objects=None):
        return self.scope.get(name, self.registered.get(name))


def from_keras(shape, dtype=None):
    return np.ones(shape, dtype)


def test_what_is_registered_with_keras(monkeypatch):
    class InScope(Diagonal):
        pass

    keras = Keras(
        {"pkg>Mine": Diagonal, "pkg>f": from_keras, "pkg>Both": Diagonal},
        {"Scoped": InScope, "pkg>Both": InScope, "HeNormal": InScope},
    )
    names = ["pkg>Mine", "pkg>Both", "Scoped"]
    for name in names:
        with pytest.raises(ValueError, match=f"must be one of .* received '{name}'"):
            initializers.get(name)
    monkeypatch.setitem(sys.modules, "keras", keras)
    assert [type(initializers.get(name)) for name in names] == [Diagonal, InScope, InScope]
    assert initializers.deserialize("pkg>Mine") == Diagonal()
    assert initializers.get("HeNormal") == InScope()
    # A configuration of Keras's own class has no registered name, and nothing replaces the class.
    config = initializers.serialize(initializers.HeNormal(seed=1))
    assert config["registered_name"] is None
    for custom in (None, {"HeNormal": Diagonal}):
        assert initializers.deserialize(config, custom) == initializers.HeNormal(seed=1)
    config = initializers.serialize(Diagonal(2.0))
    assert config == {
        "module": __name__,
        "class_name": "Diagonal",
        "config": {"value": 2.0},
        "registered_name": "pkg>Mine",
    }
    assert initializers.get(config) == Diagonal(2.0)
    # Scopes come before the registry, and both before the argument.
    custom = {"pkg>Mine": Config, "pkg>Both": Config, "Other": Config}
    assert initializers.deserialize(config, custom) == Diagonal(2.0)
    for name, cls in (("pkg>Both", InScope), ("Other", Config)):
        found = initializers.deserialize({**config, "registered_name": name}, custom)
        assert type(found) is cls
    assert initializers.serialize(from_keras)["config"] == "pkg>f"
    assert initializers.get(initializers.serialize(from_keras)) is from_keras
    # A class of the catalog that a user registers is found by that name.
    keras.registered["pkg>Zeros"] = initializers.Zeros
    config = initializers.serialize(initializers.Zeros())
    assert config["registered_name"] == "pkg>Zeros"
    assert config["module"] == initializers.Zeros.__module__
    assert initializers.get(config) == initializers.Zeros()


def test_while_keras_is_being_imported(monkeypatch):
    config = initializers.serialize(Diagonal(2.0))
    for module in (object(), None):
        monkeypatch.setitem(sys.modules, "keras", module)
        assert initializers.serialize(Diagonal(2.0)) == config
        assert initializers.get("he_normal") == initializers.HeNormal()


def test_keras_is_not_imported():
    code = """
import sys
from fastinit import initializers
class Mine(initializers.Zeros): pass
initializers.deserialize(initializers.serialize(Mine()), {"Mine": Mine})
try:
    initializers.get("pkg>Mine")
except ValueError:
    print("keras" in sys.modules)
"""
    assert run_python(code) == "False"


def test_a_function_that_is_unknown_is_named():
    with pytest.raises(ValueError, match="received 'from_keras'"):
        initializers.get(initializers.serialize(from_keras))


def test_a_class_that_has_no_from_config():
    with pytest.raises(TypeError, match=r"^Plain must have from_config\(\)"):
        initializers.deserialize("Plain", {"Plain": type("Plain", (), {})})


def test_the_catalog_is_complete():
    functions = {name for name, f in vars(fastinit).items() if inspect.isfunction(f)}
    others = {"derive_seed", "explain", "get_num_threads", "random_bits", "selftest"}
    others |= {"get_include", "set_num_threads", "show_config"}
    assert {entry.name for entry in CATALOG} == functions - others
    base = initializers.Initializer
    classes = {c for c in vars(initializers).values() if isinstance(c, type)}
    assert {entry.cls for entry in CATALOG} == {c for c in classes if issubclass(c, base)} - {base}
    aliases = {name for name in CLASSES if hasattr(initializers, name)}
    for name in aliases:
        assert getattr(initializers, name) is CLASSES[name]
    assert CLASSES.keys() - aliases == {"initializer", "zero", "one", "normal", "uniform"}


def test_modules_export_public_names_alone():
    for module in (initializers, fastinit):
        public = {name for name in dir(module) if not name.startswith("_")}
        public -= {"c_api"}  # it is there once a module of Cython has taken functions from it
        assert public == set(module.__all__) - {"__version__"}
