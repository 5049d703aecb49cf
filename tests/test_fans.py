from math import inf, nan, prod, sqrt

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import fastinit
from fastinit import _fans, _messages, initializers
from fastinit._fans import compute_fans
from fastinit.initializers._catalog import CATALOG

same_cases_every_run = settings(derandomize=True, deadline=None, max_examples=200)
shapes = st.lists(st.integers(0, 6), max_size=5).map(tuple)
SCALED = [entry for entry in CATALOG if issubclass(entry.cls, initializers.VarianceScaling)]
PRESETS = [entry for entry in CATALOG if entry.cls.__base__ is initializers.VarianceScaling]


def convention(shape):
    """Return the fans as the design states them."""
    if not shape:
        return 1, 1
    if len(shape) == 1:
        return shape[0], shape[0]
    window = prod(shape[:-2])
    return window * shape[-2], window * shape[-1]


@same_cases_every_run
@given(shapes)
def test_convention(shape):
    assert compute_fans(shape) == convention(shape)
    assert all(type(fan) is int for fan in compute_fans(shape))


@st.composite
def shapes_and_axes(draw):
    shape = draw(st.lists(st.integers(1, 6), min_size=1, max_size=5).map(tuple))
    axis = st.integers(-len(shape), len(shape) - 1)
    return shape, draw(st.lists(axis, max_size=4)), draw(st.lists(axis, max_size=4))


@same_cases_every_run
@given(shapes_and_axes())
def test_axes(case):
    shape, inputs, outputs = case
    expected = prod(shape[a] for a in inputs), prod(shape[a] for a in outputs)
    assert compute_fans(shape, inputs, outputs) == expected
    assert compute_fans(shape, inputs, None) == convention(shape)  # as Keras: both, or none
    assert compute_fans(shape, None, outputs) == convention(shape)


def bound(shape, mode="fan_in", scale=1.0, input_axes=None, output_axes=None):
    """Return the limit of the uniform distribution that the kernel is asked for."""
    dtype = np.dtype("float64")
    _, low, high = _fans.scaled(shape, dtype, (scale, mode, "uniform"), (input_axes, output_axes))
    assert low == -high
    return high


@same_cases_every_run
@given(shapes, st.sampled_from(_fans.MODES), st.floats(1e-3, 1e3))
def test_modes(shape, mode, scale):
    fan_in, fan_out = convention(shape)
    fan = {
        "fan_in": fan_in,
        "fan_out": fan_out,
        "fan_avg": (fan_in + fan_out) / 2,
        "fan_geo_avg": sqrt(fan_in * fan_out),
    }[mode]
    assert bound(shape, mode, scale) == pytest.approx(sqrt(3 * scale / max(1, fan)), rel=1e-14)


@same_cases_every_run
@given(st.lists(st.integers(1, 6), min_size=2, max_size=5).map(tuple), st.data())
def test_axes_express_those_of_jax(shape, data):
    # JAX: fan_in = size of in_axis * receptive field, which is all that is neither in nor out.
    # Here the axes are all that count: name the receptive field in both.
    in_axis, out_axis, *_ = data.draw(st.permutations(range(len(shape))))
    rest = [axis for axis in range(len(shape)) if axis not in (in_axis, out_axis)]
    window = prod(shape) / shape[in_axis] / shape[out_axis]
    fan_in, fan_out = shape[in_axis] * window, shape[out_axis] * window
    axes = {"input_axes": [in_axis, *rest], "output_axes": [out_axis, *rest]}
    for mode, fan in (("fan_in", fan_in), ("fan_geo_avg", sqrt(fan_in * fan_out))):
        expected = sqrt(3 / max(1, fan))
        assert bound(shape, mode, **axes) == pytest.approx(expected, rel=1e-14)


@pytest.mark.parametrize("entry", PRESETS, ids=lambda entry: entry.name)
@pytest.mark.parametrize("shape", [(9, 1), (30, 50), (3, 3, 16, 8)])
def test_the_formula_of_the_catalog_is_the_one_drawn(entry, shape):
    fan_in, fan_out = convention(shape)
    text = entry.formula.rpartition(" = ")[2]
    number = eval(text, {"sqrt": sqrt, "fan_in": fan_in, "fan_out": fan_out})
    drawn = entry.function(shape, seed=1, dtype="float64")
    scale, mode, distribution = entry.cls.scale, entry.cls.mode, entry.cls.distribution
    same = fastinit.variance_scaling(shape, scale, mode, distribution, seed=1, dtype="float64")
    assert np.array_equal(drawn, same)
    if distribution == "uniform":
        assert number == pytest.approx(bound(shape, mode, scale), rel=1e-14)
        expected = fastinit.random_uniform(shape, -number, number, seed=1, dtype="float64")
    else:
        stddev = number / 0.87962566103423978
        expected = fastinit.truncated_normal(shape, 0.0, stddev, seed=1, dtype="float64")
    np.testing.assert_allclose(drawn, expected, rtol=1e-14)


def test_the_correction_of_the_truncation():
    # The variance of a standard normal held to +-2: 1 - 2 * 2 phi(2) / (2 Phi(2) - 1).
    from scipy import stats

    assert pytest.approx(stats.truncnorm(-2, 2).std(), rel=1e-12) == _fans.TRUNCATED_STDDEV


class Symbolic:
    """Like a symbolic tensor, which has no values and raises its own error."""

    def __iter__(self):
        raise NotImplementedError("Iterating over a symbolic tensor is not supported.")

    def __index__(self):
        raise RuntimeError("cannot be called on tensors without values")


class Endless:
    """Like a variable of Keras on JAX: it can be indexed, and any index gives a value."""

    def __getitem__(self, at):
        assert at < 1000, "it is read without end"
        return 0


@pytest.mark.parametrize(
    "axes",
    [1, np.int64(1), np.array(0), 0.5, (0.5,), ["0"], "0", [None], [[0]], Symbolic(), Endless()],
    ids=lambda axes: f"{type(axes).__name__} {axes}"[:20],
)
@pytest.mark.parametrize("name", ["input_axes", "output_axes"])
@pytest.mark.parametrize("entry", SCALED, ids=lambda entry: entry.name)
def test_axes_of_the_wrong_type(entry, name, axes):
    other = {"input_axes": "output_axes", "output_axes": "input_axes"}[name]
    right = entry.cls(input_axes=[0], output_axes=[1])

    def set_later(call):
        initializer = entry.cls(input_axes=[0], output_axes=[1])
        setattr(initializer, name, axes)
        call(initializer)

    for call in (
        lambda: entry.function((3, 4), **{name: axes, other: (1,)}),
        lambda: entry.cls(**{name: axes, other: (1,)}),
        lambda: entry.cls(**{name: axes}),
        lambda: set_later(lambda initializer: initializer((3, 4))),
        lambda: set_later(lambda initializer: initializer.lazy((3, 4))),
    ):
        with pytest.raises(TypeError) as caught:
            call()
        assert str(caught.value) == (
            f"{name} must be a sequence of integers, received {_messages.shown(axes)}"
        )
    assert right.lazy((3, 4)).shape == right((3, 4)).shape


@pytest.mark.parametrize("entry", PRESETS, ids=lambda entry: entry.name)
def test_axes_by_position(entry):
    assert entry.cls(1, (0,), (1,)) == entry.cls(seed=1, input_axes=(0,), output_axes=(1,))
    with pytest.raises(TypeError, match=r"^input_axes must be a sequence of integers, received 0$"):
        entry.cls(1, 0, 1)


def test_axes_may_be_any_iterable():
    expected = fastinit.he_normal((3, 4), seed=1, input_axes=[1], output_axes=[0])
    for make in (fastinit.he_normal, lambda shape, **k: initializers.HeNormal(**k)(shape)):
        found = make((3, 4), seed=1, input_axes=iter([1]), output_axes=iter([0]))
        assert np.array_equal(found, expected)
    scaling = {"scale": 2.0, "seed": 1}
    found = fastinit.variance_scaling(
        (3, 4), **scaling, input_axes=iter([1]), output_axes=iter([0])
    )
    assert np.array_equal(found, expected)


def test_axes_that_are_set_later_may_be_iterators():
    expected = fastinit.he_normal((3, 4), seed=1, input_axes=[1], output_axes=[0])
    initializer = initializers.HeNormal(seed=1)
    initializer.input_axes, initializer.output_axes = iter([1]), iter([0])
    for _ in range(2):
        assert np.array_equal(initializer((3, 4)), expected)
    with pytest.raises(TypeError, match="input_axes must be a sequence of integers"):
        initializer.input_axes = 1


@pytest.mark.parametrize("name", ["input_axes", "output_axes"])
@pytest.mark.parametrize("entry", SCALED, ids=lambda entry: entry.name)
def test_axes_alone_are_refused(entry, name):
    """Keras ignores them, so a typo silently gives other values."""
    for axes in ([0], (), iter([0])):
        for call in (
            lambda **k: entry.function((3, 4), **k),
            lambda **k: entry.function(out=np.zeros((3, 4)), **k),
            entry.cls,
            entry.cls.from_config,
        ):
            arguments = {name: axes}
            with pytest.raises(
                ValueError, match=f"must be given together, received {name}=.* alone"
            ):
                call(arguments) if call == entry.cls.from_config else call(**arguments)
    initializer = entry.cls(input_axes=[0], output_axes=[1])
    setattr(initializer, name, None)
    for call in (initializer, initializer.lazy):
        with pytest.raises(ValueError, match="must be given together"):
            call((3, 4))
    assert entry.cls.from_config({"input_axes": None, "output_axes": None}) == entry.cls()


@pytest.mark.parametrize("axes", [(True,), b"\0", np.array([True])], ids=repr)
def test_axes_that_only_look_like_integers(axes):
    for make in (fastinit.he_normal, lambda shape, **k: initializers.HeNormal(**k)):
        with pytest.raises(TypeError, match="output_axes must be a sequence of integers"):
            make((3, 4), input_axes=[0], output_axes=axes)


def test_axes_that_are_not_there():
    for error in (IndexError, ValueError):  # Keras's type, and the design's
        with pytest.raises(error, match="output_axes"):
            fastinit.he_normal((3, 4), input_axes=[0], output_axes=[2])
    with pytest.raises(TypeError, match="input_axes"):
        initializers.HeNormal(input_axes=0)
    with pytest.raises(TypeError, match="output_axes"):
        initializers.VarianceScaling(output_axes=[0.5])


@pytest.mark.parametrize("scale", [0, 0.0, -1, nan, inf])
def test_scale_out_of_range(scale):
    for make in (initializers.VarianceScaling, lambda **k: fastinit.variance_scaling((2, 2), **k)):
        with pytest.raises(ValueError, match="scale must be a positive number, received"):
            make(scale=scale)


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ({"mode": "fan_sum"}, ValueError),
        ({"mode": None}, ValueError),
        ({"mode": ["fan_in"]}, ValueError),
        ({"distribution": "gamma"}, ValueError),
        ({"distribution": 3}, ValueError),
        ({"scale": "2"}, TypeError),
        ({"scale": None}, TypeError),
    ],
    ids=repr,
)
def test_wrong_arguments(arguments, error):
    (name,) = arguments
    for make in (initializers.VarianceScaling, lambda **k: fastinit.variance_scaling((2, 2), **k)):
        with pytest.raises(error, match=f"^{name} must be"):
            make(**arguments)


def test_names_of_distributions():
    truncated = initializers.VarianceScaling(distribution="truncated_normal", seed=1)
    assert initializers.VarianceScaling(distribution="normal", seed=1) == truncated
    assert initializers.VarianceScaling(distribution="Normal", seed=1) == truncated
    default = initializers.VarianceScaling(seed=1)
    assert default == truncated
    assert np.array_equal(default((8, 8)), truncated((8, 8)))
    untruncated = initializers.VarianceScaling(distribution="untruncated_normal", seed=1)
    limit = 2 * sqrt(1 / 8) / 0.87962566103423978
    assert abs(untruncated((8, 10_000))).max() > limit >= abs(default((8, 10_000))).max()


def test_fans_come_from_out():
    out = np.empty((64, 32), np.float64)
    fastinit.glorot_uniform(out=out, seed=1)
    assert np.array_equal(out, fastinit.glorot_uniform((64, 32), seed=1, dtype="float64"))
    with pytest.raises(TypeError, match="shape is required"):
        fastinit.glorot_uniform()
    with pytest.raises(TypeError, match="out must be an array or a buffer"):
        fastinit.glorot_uniform(out=[1.0])
