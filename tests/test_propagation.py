"""The theory of layers, against closed forms, scipy.integrate.quad and the literature."""

import math
from functools import partial
from itertools import pairwise

import numpy as np
import pytest
from scipy import integrate, special, stats

from fastinit import _propagation
from fastinit._nonlinearity import ACTIVATIONS, NOT_ELEMENTWISE, find_activation, options_of
from fastinit._propagation import gain, layers, moments, steady_gain, truncated_moments, verdict
from fastinit.initializers import for_activation

NAMES = sorted({activation.name for activation in ACTIVATIONS.values()})

# Second formulas, with SciPy's special functions where there are any.
FORMULAS = {
    "linear": lambda x: x,
    "tanh": lambda x: math.tanh(x),
    "hard_tanh": lambda x: max(-1, min(1, x)),
    "softsign": lambda x: x / (1 + abs(x)),
    "sigmoid": special.expit,
    "hard_sigmoid": lambda x: max(0, min(1, x / 6 + 0.5)),
    "sparse_sigmoid": lambda x: max(0, min(1, x / 2 + 0.5)),
    "relu": lambda x: max(0, x),
    "relu6": lambda x: max(0, min(6, x)),
    "leaky_relu": lambda x: x if x > 0 else 0.01 * x,
    "prelu": lambda x: x if x > 0 else 0.25 * x,
    "elu": lambda x: x if x > 0 else math.expm1(x),
    "celu": lambda x: x if x > 0 else math.expm1(x),
    "selu": lambda x: 1.05070098 * (x if x > 0 else 1.67326324 * math.expm1(x)),
    "gelu": lambda x: x * special.ndtr(x),
    "gelu_tanh": lambda x: x * special.expit(2 * math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)),
    "silu": lambda x: x * special.expit(x),
    "hard_silu": lambda x: x * max(0, min(6, x + 3)) / 6,
    "mish": lambda x: x * math.tanh(math.log1p(math.exp(x)) if x < 30 else x),
    "softplus": lambda x: math.log1p(math.exp(x)) if x < 30 else x,
    "squareplus": lambda x: (x + math.sqrt(x * x + 4)) / 2,
    "sparse_plus": lambda x: 0 if x <= -1 else x if x >= 1 else (x + 1) ** 2 / 4,
}


def test_every_function_is_tested():
    # The slope of rrelu is random, so that only its moments can be tested, below.
    assert sorted([*FORMULAS, "rrelu"]) == NAMES
    known = {name for name in ACTIVATIONS if name != "gelu_tanh"} | set(NOT_ELEMENTWISE)
    for name in known:
        assert for_activation(name), name
    for_layers = {*NAMES, *NOT_ELEMENTWISE} - {"gelu_tanh"}
    for function, expected in ((for_activation, for_layers), (find_activation, NAMES)):
        with pytest.raises(ValueError, match="one of") as caught:
            function("nonsense")
        listed = str(caught.value).partition("one of ")[2].partition(", received")[0].split(", ")
        assert sorted(listed) == sorted(expected)


@pytest.mark.parametrize("name", FORMULAS)
def test_functions_and_derivatives(name):
    x = np.concatenate([np.linspace(-9.99, 9.99, 401), [-1e30, -40, 40]])
    function = ACTIVATIONS[name]
    expected = [FORMULAS[name](float(value)) for value in x[:-3]]
    assert function(x)[:-3] == pytest.approx(expected, rel=1e-7, abs=1e-12)
    assert np.isfinite(function(x)).all()
    assert np.isfinite(function.derivative(x)).all()
    h = 1e-6
    inner = x[:-3]
    smooth = np.all([abs(inner - kink) > 1e-3 for kink in (*function.kinks, 99)], axis=0)
    slopes = (function(inner + h) - function(inner - h)) / (2 * h)
    # The difference has the error h**2 of the cut series and 1e-16 / h of rounding.
    assert function.derivative(inner)[smooth] == pytest.approx(slopes[smooth], rel=1e-6, abs=1e-8)


@pytest.mark.parametrize("name", FORMULAS)
@pytest.mark.parametrize("q", [1e-6, 0.3, 1.0, 7.0, 1e4])
def test_moments_against_adaptive_quadrature(name, q):
    function = ACTIVATIONS[name]
    scale = math.sqrt(q)
    found = moments(name).at(q)

    def expectation(f):
        # SciPy's rule halves intervals where the integrand is rough; it is told where that is.
        ends = {-14.0, 14.0, 0.0, *(kink / scale for kink in function.kinks)}
        ends |= {sign * u / scale for u in (1, 3, 10, 40, 200) for sign in (-1, 1)}
        ends = sorted(end for end in ends if abs(end) <= 14)
        parts = (
            integrate.quad(lambda u: f(scale * u) * stats.norm.pdf(u), *pair, epsabs=0, limit=200)[
                0
            ]
            if f(scale * sum(pair) / 2)
            else 0.0
            for pair in pairwise(ends)
        )
        return math.fsum(parts)

    def slope(z):
        return float(function.derivative(np.array([z]))[0])

    assert found.second == pytest.approx(expectation(lambda z: FORMULAS[name](z) ** 2), rel=1e-6)
    mean = expectation(FORMULAS[name])
    assert found.mean == pytest.approx(mean, rel=1e-6, abs=1e-9 * scale)
    assert found.derivative == pytest.approx(expectation(lambda z: slope(z) ** 2), rel=1e-6)


@pytest.mark.parametrize("q", [1e-290, 1e-12, 0.25, 1.0, 3.0, 1e6, 1e250])
def test_closed_forms(q):
    """He et al. 2015, equations 9 and 14; Williams 1998 (erf); both hold for every variance."""
    exact = partial(pytest.approx, rel=1e-12)
    # Below 1e-280 a variance counts as that number.
    q_used = max(q, 1e-280)
    relu = moments("relu").at(q)
    assert relu.second == exact(q_used / 2)
    assert relu.mean == exact(math.sqrt(q_used / (2 * math.pi)))
    assert relu.derivative == exact(0.5)
    leaky = moments("leaky_relu", 0.3).at(q)
    assert leaky.second == exact(q_used * (1 + 0.09) / 2)
    assert leaky.derivative == exact((1 + 0.09) / 2)
    linear = moments("linear").at(q)
    assert (linear.second, linear.derivative) == (exact(q_used), exact(1.0))
    # gelu(z) = z (1 + erf(z / sqrt 2)) / 2: E[z**2 erf] = 0, and E[z**2 erf(z / sqrt 2)**2] follows
    # from E[erf**2] = 2 / pi asin(q / (1 + q)) by differentiation.
    gelu = moments("gelu").at(q)
    if q < 1e200:  # the formula squares q
        square = (
            2
            / math.pi
            * (
                q_used * math.asin(q_used / (1 + q_used))
                + 2 * q_used**2 / ((1 + q_used) * math.sqrt(1 + 2 * q_used))
            )
        )
        assert gelu.second == pytest.approx((q_used + square) / 4, rel=1e-10)
    assert gelu.mean == exact(q_used / math.sqrt(2 * math.pi * (1 + q_used)))


def test_a_variance_of_zero_and_beyond():
    assert moments("sigmoid").at(0.0).second == pytest.approx(0.25, rel=1e-12)
    assert moments("relu").at(0.0).derivative == pytest.approx(0.5, rel=1e-12)
    assert moments("tanh").at(math.inf).second == pytest.approx(1, rel=1e-12)
    for wrong in (-1.0, math.nan):
        with pytest.raises(ValueError, match="q must be >= 0"):
            moments("tanh").at(wrong)


def test_gains():
    assert gain("relu") == math.sqrt(2)
    assert gain("leaky_relu", negative_slope=0.2) == math.sqrt(2 / 1.04)  # He et al., equation 15
    assert gain("linear") == pytest.approx(1, rel=1e-12)
    assert gain("selu") == pytest.approx(1, rel=1e-12)  # Klambauer et al. 2017
    # From adaptive quadrature, to the digits that are written.
    assert gain("tanh") == pytest.approx(1.592537, abs=1e-6)
    assert gain("gelu") == pytest.approx(1.533530, abs=1e-6)
    assert gain("silu") == pytest.approx(1.676532, abs=1e-6)
    # rrelu: the mean of a**2 for a in [1/8, 1/3].
    square = integrate.quad(lambda a: a * a, 1 / 8, 1 / 3)[0] / (1 / 3 - 1 / 8)
    assert gain("rrelu") == pytest.approx(math.sqrt(2 / (1 + square)), rel=1e-12)
    for wrong in (0, -1, math.inf, math.nan):
        with pytest.raises(ValueError, match="q must be positive and finite"):
            gain("relu", wrong)


@pytest.mark.parametrize("name", NAMES)
def test_the_gains_are_fixed_points(name):
    for q in (1.0, 3.0):
        g = gain(name, q)
        assert g**2 * moments(name).at(q).second == pytest.approx(q, rel=1e-12)
    steady = steady_gain(name)
    if moments(name).at(1e6).second > 1 > moments(name).at(0.0).second:
        assert moments(name).at(steady**2).second == pytest.approx(1, rel=1e-12)
        assert layers(steady**2, name, 50).rms == pytest.approx(np.ones(50), rel=1e-8)
    else:  # these are bounded, or 1 at 0
        assert name in ("tanh hard_tanh softsign sigmoid hard_sigmoid sparse_sigmoid squareplus")
        assert steady == gain(name)


def test_layers_of_relu():
    """He et al. 2015, equations 9 and 14: each layer multiplies both variances by scale / 2."""
    found = layers(1.5, "relu", 6, q0=4.0, fan_out_over_fan_in=3.0)
    forward = 4 * 0.75 ** np.arange(1, 7)
    assert found.rms**2 == pytest.approx(forward, rel=1e-12)
    assert found.preactivation**2 == pytest.approx(2 * forward, rel=1e-12)
    assert found.activation**2 == pytest.approx(forward * (1 - 1 / math.pi), rel=1e-12)
    assert found.chi == pytest.approx(np.full(6, 2.25), rel=1e-12)
    assert found.gradient**2 == pytest.approx(2.25 ** np.arange(5, -1, -1.0), rel=1e-12)


def test_layers_with_biases_against_the_recursion():
    """Poole et al. 2016, equation 3, and Schoenholz et al. 2017, equation 9."""
    found = layers(1.3, "tanh", 4, bias_variance=0.2, q0=0.5)
    square, chi = 0.5, []
    for layer in range(4):
        q = 1.3 * square + 0.2
        assert found.preactivation[layer] == pytest.approx(math.sqrt(q), rel=1e-9)
        expect = partial(stats.norm(scale=math.sqrt(q)).expect, epsabs=1e-12)
        square = expect(lambda z: math.tanh(z) ** 2)
        chi.append(1.3 * expect(lambda z: (1 - math.tanh(z) ** 2) ** 2))
        assert found.rms[layer] == pytest.approx(math.sqrt(square), rel=1e-9)
    assert found.chi == pytest.approx(chi, rel=1e-9)
    back = [math.sqrt(math.prod(chi[layer:3])) for layer in range(4)]
    assert found.gradient == pytest.approx(back, rel=1e-9)


def test_layers_beyond_float64():
    exploding = layers(1e40, "relu", 20)
    assert np.isinf(exploding.activation[-1])
    assert np.isfinite(exploding.activation[:6]).all()
    vanishing = layers(1e-40, "relu", 20)
    assert vanishing.activation[-1] == 0
    assert vanishing.activation[5] > 0
    nothing = layers(0.0, "sigmoid", 3)
    assert nothing.rms == pytest.approx([0.5] * 3, rel=1e-12)
    assert not nothing.activation.any()
    assert layers(2.0, "relu", 1).gradient.tolist() == [1.0]


@pytest.mark.parametrize(
    ("lower", "upper"),
    [(-2, 2), (-math.inf, math.inf), (0, math.inf), (-1, 3), (3, 5), (-9, -8.5), (0.5, 0.6)],
)
def test_moments_of_truncated_normals(lower, upper):
    mean, spread = truncated_moments(lower, upper)
    expected = stats.truncnorm(lower, upper)
    assert mean == pytest.approx(expected.mean(), rel=1e-8, abs=1e-12)
    assert spread == pytest.approx(expected.std(), rel=1e-5)  # SciPy loses digits in narrow windows


def test_moments_of_far_truncated_normals():
    """Far out the distance to the bound b is exponential with mean 1 / b: 1 / b - 2 / b**3 + ..."""
    for bound in (1e3, 2.0**90):
        mean, spread = truncated_moments(bound, math.inf)
        assert mean - bound == pytest.approx(0 if bound > 1e9 else 1 / bound, rel=1e-5)
        assert spread == pytest.approx(1 / bound, rel=1e-5)
        mirrored, same = truncated_moments(-math.inf, -bound)
        assert (mirrored, same) == (pytest.approx(-mean), pytest.approx(spread))


def test_verdict():
    good = [0.9, 0.8, 0.5]
    assert verdict(good, [2.0, 1.5, 1.0]) == []
    assert verdict([1, 0.5, 0.18], [1, 1, 1]) == [
        "activations vanish: standard deviation 0.18 after 3 layers"
    ]
    assert verdict([1, 9, 90], good) == [
        "activations explode: standard deviation 90 after 3 layers"
    ]
    # The gradient is computed from the last layer on, here 2.0, and worst in layer 1.
    assert verdict(good, [0.02, 0.2, 2.0]) == [
        "gradients vanish: standard deviation 0.01 of the last layer's in layer 1"
    ]
    found = verdict([1, 1e-3, 1e-5, 1e-6], good)
    assert found[1] == "activations are subnormal in float16 below 6.1e-05 from layer 3 on"
    assert verdict([1, 1e3, 1e5], good)[1] == "activations are infinite in float16 from layer 3 on"
    assert verdict([1, math.inf], good) == [
        "activations overflow: they are not finite from layer 2 on"
    ]
    assert verdict([1, math.nan], good)[0].startswith("activations overflow")
    assert verdict([0.0, 0.0], good) == ["activations vanish: they do not vary in layer 1"]
    assert verdict([], []) == []
    # Half a decade is the threshold, in both directions.
    for factor in (3.1, 1 / 3.1):
        assert not verdict([1, factor], [1, 1])
    for factor in (3.2, 1 / 3.2):
        assert len(verdict([1, factor], [1, 1])) == 1
        assert len(verdict([1, 1], [factor, 1])) == 1


def test_activations_are_found():
    def leaky_relu(x, negative_slope=0.2):
        return x

    class LeakyReLU:
        negative_slope = 0.3

    class ReLU:
        negative_slope, max_value, threshold = 0.0, None, 0.0

    class GELU:
        approximate = "tanh"

    class ELU:
        alpha = 0.5

    assert find_activation(leaky_relu).parameter == 0.2
    assert find_activation(partial(leaky_relu, negative_slope=0.4)).parameter == 0.4
    assert find_activation(LeakyReLU()).parameter == 0.3
    assert find_activation(LeakyReLU(), 0.1).parameter == 0.1
    assert find_activation(LeakyReLU).parameter == 0.01  # the class has no slope of its own yet
    assert find_activation(ReLU()) is ACTIVATIONS["relu"]
    assert find_activation("relu", 0.1)(np.array([-1.0, 2.0])).tolist() == [-0.1, 2.0]
    assert find_activation(GELU()) is ACTIVATIONS["gelu_tanh"]
    assert find_activation(ELU()).parameter == 0.5
    assert moments(ELU()).at(1.0).second < moments("elu").at(1.0).second
    six = ReLU()
    six.max_value = 6.0
    assert find_activation(six) is ACTIVATIONS["relu6"]
    six.max_value = 7.0
    with pytest.raises(ValueError, match="without a bound or relu6"):
        find_activation(six)
    six.max_value, six.threshold = None, 1.0
    with pytest.raises(ValueError, match=r"threshold of relu must be 0.0, received 1.0"):
        find_activation(six)
    assert find_activation(None).name == find_activation("none").name == "linear"
    assert options_of(len) == {}


@pytest.mark.parametrize("name", [*NOT_ELEMENTWISE, "Softmax", "LogSoftmax"])
def test_functions_of_a_whole_layer_are_refused(name):
    for function in (moments, gain, steady_gain, partial(layers, 1.0, depth=3)):
        with pytest.raises(ValueError, match="elementwise function, received"):
            function(activation=name)


def test_wrong_activations_are_refused():
    with pytest.raises(ValueError, match=r"one of linear, tanh.*received 'maxout'"):
        moments("maxout")
    with pytest.raises(ValueError, match="negative_slope must be left out for tanh"):
        moments("tanh", 0.1)
    with pytest.raises(ValueError, match="negative_slope must be finite"):
        moments("leaky_relu", math.inf)
    with pytest.raises(TypeError, match="negative_slope must be a number"):
        moments("leaky_relu", "0.1")


def test_all_names_exist():
    assert all(hasattr(_propagation, name) for name in _propagation.__all__)
