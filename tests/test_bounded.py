"""Normals between bounds: their distribution, their bounds, and how often they are redrawn.

Seeds are fixed, so a test passes always or never.  The thresholds are those at which a right stream
would fail for one seed in a million or fewer: 5.5 standard deviations (4e-8), p = 1e-6.
"""

import math
import pickle
from fractions import Fraction
from functools import cache

import numpy as np
import pytest
import reference
from fills import FLOATS, as_bits, assert_same_bits, fill
from scipy import stats

import fastinit
from fastinit import initializers

INF = math.inf
N = 2**20
SIGMAS, P = 5.5, 1e-6

# They hold 0 or not, on either side, have a tail or none, and are wide, narrow, or far from 0.
WINDOWS = [
    (-3.0, 3.0),
    (-1.0, 1.0),
    (0.0, INF),
    (4.0, INF),
    (8.0, INF),
    (30.0, INF),
    (1.0, 1.0001),
    (-0.5, 2.5),
    (-INF, -1.0),
    (-9.0, -8.5),
    (0.0, 1e-3),
    (-INF, INF),
    (-INF, 0.2),
    (3.0, 20.0),
    (-0.6, 3.9),  # a tail that ends soon
    (-5.4, -4.0),
]
each_window = pytest.mark.parametrize("bounds", WINDOWS)
every = pytest.mark.parametrize("dtype", ["float32", "float64"])


@cache
def drawn(dtype, bounds):
    return fill("between", dtype, 0, N, 2024, (0.0, 1.0, *bounds), 2)


def within(count, n, p):
    """Return whether a binomial count is near its expectation."""
    return abs(count - n * p) < SIGMAS * np.sqrt(n * p * (1 - p)) + 1


@cache
def probabilities(dtype, bounds):
    """Return the distribution function at the samples, which must be uniform.

    SciPy's own takes half a second a window; it is compared with this at some of the samples.
    """
    x = drawn(dtype, bounds).astype(np.float64)
    lower, upper = bounds
    if lower < 0 < upper:
        below = stats.norm.cdf(lower)
        p = (stats.norm.cdf(x) - below) / (stats.norm.cdf(upper) - below)
    else:  # From 0 on, where nothing cancels: as a part of what is beyond the nearer bound.
        sign, near, far = (1, lower, upper) if lower >= 0 else (-1, -upper, -lower)
        beyond = stats.norm.logsf(near)
        to_far = -np.expm1(stats.norm.logsf(far) - beyond)
        p = -np.expm1(stats.norm.logsf(sign * x) - beyond) / to_far
        p = p if sign > 0 else 1 - p
    few = slice(0, 2000)
    assert p[few] == pytest.approx(stats.truncnorm(lower, upper).cdf(x[few]), rel=0, abs=1e-6)
    return p


@every
@each_window
def test_kolmogorov_smirnov(dtype, bounds):
    assert stats.kstest(probabilities(dtype, bounds), "uniform", method="asymp").pvalue > P


@pytest.mark.parametrize(
    ("dtype", "bounds"),
    [
        (dtype, bounds)
        for dtype in ("float32", "float64")
        for bounds in WINDOWS
        if (dtype, bounds) != ("float32", (1.0, 1.0001))  # there are 839 float32 numbers in it
    ],
)
def test_chi_squared(dtype, bounds):
    """Count samples in cells of equal probability; too good a fit fails, too."""
    # Near 30, one of 1000 cells would have 17 float32 numbers, or 18.
    cells = 100 if (dtype, bounds) == ("float32", (30.0, INF)) else 1000
    at = np.minimum((probabilities(dtype, bounds) * cells).astype(int), cells - 1)
    counts = np.bincount(at, minlength=cells)
    assert P < stats.chisquare(counts).pvalue < 1 - P


@every
@each_window
def test_both_ends(dtype, bounds):
    """The ends and the tails have their mass, down to some values in a million."""
    p = probabilities(dtype, bounds)
    for mass in (2.0**-k for k in range(3, 16)):
        if dtype == "float32" and bounds == (1.0, 1.0001) and mass < 0.05:
            break  # A number is 1/839 of the window.
        for end in (p < mass, p > 1 - mass):
            assert within(end.sum(), N, mass)


@every
@pytest.mark.parametrize("bounds", [b for b in WINDOWS if INF in b or -INF in b])
def test_far_tail(dtype, bounds):
    """Beyond the cut, where the density is 2^-10 of its maximum, the values come from the tail."""
    window = reference.window(*bounds)
    cut = max(abs(layer[0]) for layer in window.layer if layer[3] > 0)
    from_cut, part, parts = abs(window.start) + cut, 2**20, 12
    x = (fill("between", dtype, i * part, part, 7, (0.0, 1.0, *bounds), 2) for i in range(parts))
    tail = np.concatenate([np.abs(part)[np.abs(part) > from_cut] for part in x])
    truncated = stats.truncnorm(*bounds)
    mass = truncated.sf(from_cut) + truncated.cdf(-from_cut)
    assert within(tail.size, part * parts, mass)
    p = -np.expm1(stats.norm.logsf(tail.astype(np.float64)) - stats.norm.logsf(from_cut))
    assert tail.size > 1000
    assert stats.kstest(p, "uniform").pvalue > P


@every
@each_window
def test_moments(dtype, bounds):
    """The mean and the variance are those of SciPy."""
    x = drawn(dtype, bounds).astype(np.float64)
    mean, variance, _, kurtosis = map(float, stats.truncnorm(*bounds).stats("mvsk"))
    if bounds[1] - bounds[0] < 0.01:  # SciPy's digits cancel; it is uniform to a part in 10^4.
        mean, variance, kurtosis = sum(bounds) / 2, (bounds[1] - bounds[0]) ** 2 / 12, -1.2
    assert abs(x.mean() - mean) < SIGMAS * math.sqrt(variance / N) + 1e-5 * math.sqrt(variance)
    error = variance * math.sqrt((kurtosis + 2) / N)
    assert abs(x.var() - variance) < SIGMAS * error + 1e-3 * variance


@every
def test_symmetry(dtype):
    """Half of the values are on either side of a symmetric window, in each range of |z|."""
    for bounds in ((-3.0, 3.0), (-1.0, 1.0), (-INF, INF)):
        x = drawn(dtype, bounds)
        edges = np.linspace(0, min(bounds[1], 4.5), 65)
        positive, both = np.histogram(x, edges)[0], np.histogram(np.abs(x), edges)[0]
        for count, n in zip(positive, both, strict=True):
            assert within(count, n, 0.5)


# Bounds

PARAMETERS = [(0.0, 1.0), (0.0, 0.05), (0.3, 0.7), (-10.1, 0.02), (0.0, 1e-6), (1000.1, 1e-4)]


@pytest.mark.parametrize("dtype", FLOATS)
@each_window
def test_values_lie_within_the_bounds(isa, bounds, dtype):
    """The bounds hold exactly in every type, or are the numbers around a window without one."""
    real = np.dtype(dtype).type
    for mean, stddev in PARAMETERS:
        exact = [
            bound if math.isinf(bound) else Fraction(mean) + Fraction(bound) * Fraction(stddev)
            for bound in bounds
        ]
        least, greatest = (real(float(bound)) for bound in exact)
        if float(least) < exact[0]:
            least = np.nextafter(least, real(INF))
        if float(greatest) > exact[1]:
            greatest = np.nextafter(greatest, real(-INF))
        least, greatest = min(least, greatest), max(least, greatest)
        x = fill("between", dtype, 0, 50_000, 3, (mean, stddev, *bounds))
        assert float(least) <= float(x.min())
        assert float(x.max()) <= float(greatest)


@pytest.mark.parametrize("dtype", FLOATS)
def test_narrow_windows_take_both_of_their_numbers(isa, dtype):
    """Where two neighbours lie between the bounds, none is left out and none comes beside them."""
    real = np.dtype(dtype).type
    one, next_one = real(1), np.nextafter(real(1), real(2))
    stddev = float(next_one) - 1.0
    x = fill("between", dtype, 0, 10_000, 3, (1.0, stddev, -0.25, 1.25))
    assert {*as_bits(x).tolist()} == {int(as_bits(one)), int(as_bits(next_one))}


# How often values are redrawn


def later_attempts(width, bounds, n):
    """Return how many attempts n elements take after the first one, by the reference."""
    window, tag = reference.window(*bounds), reference.BETWEEN
    words = reference.samples(tag, width, 2024, 0, n)
    at = np.flatnonzero(reference.refused_between(window, width, words)).tolist()
    return sum(reference.variate(tag, width, 2024, i, *bounds).attempts - 1 for i in at)


NEAR = [0.0, 1e-3, 0.1, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 1000.0]
WIDE = [1e-6, 1e-3, 0.1, 0.5, 1.0, 2.0, 4.0, 10.0, INF]
GRID = [(near, near + wide) for near in NEAR for wide in WIDE]
GRID += [(-wide, far) for far in (1e-3, 0.3, 1.0, 3.0, INF) for wide in (1e-3, 0.3, 1.0, 3.0, INF)]


@pytest.mark.parametrize("width", [32, 64])
def test_few_attempts(width):
    """No window of the grid, on either side, takes more than 0.035 later attempts an element.

    Up to 1.9% of the elements are refused at once.  Their second attempt accepts half of them, and
    each further one nearly all: the mean is some 1.5 times what is refused.
    """
    n, most = 20_000, 0.0
    for number, (lower, upper) in enumerate(GRID):
        bounds = (lower, upper) if number % 2 else (-upper, -lower)
        mean = later_attempts(width, bounds, n) / n
        assert mean < 0.035, bounds
        most = max(most, mean)
    assert most > 0.025  # or else this counts nothing


# The public functions


@pytest.mark.parametrize("bounds", [(-2, 2), (-2.0, np.float32(2)), (np.int64(-2), 2.0)])
def test_the_default_bounds_are_the_same_however_they_are_spelled(bounds):
    lower, upper = bounds
    found = fastinit.truncated_normal((70, 3), seed=5, lower=lower, upper=upper)
    assert_same_bits(found, fastinit.truncated_normal((70, 3), seed=5))
    found = initializers.TruncatedNormal(seed=5, lower=lower, upper=upper)
    assert_same_bits(found((70, 3)), fastinit.truncated_normal((70, 3), seed=5))
    assert found.get_config() == {"mean": 0.0, "stddev": 0.05, "seed": 5}
    assert repr(found) == "TruncatedNormal(mean=0.0, stddev=0.05, seed=5)"


@pytest.mark.parametrize("dtype", ["float32", "float64", "float16", "bfloat16"])
def test_bounds_of_the_public_functions(dtype):
    initializer = initializers.TruncatedNormal(0.3, 0.05, 5, lower=-1, upper=math.inf)
    whole = initializer((50, 40), dtype)
    expected = np.array(
        [
            reference.element("between", dtype, 5, i, 0.3, 0.05, -1.0, math.inf)
            for i in range(whole.size)
        ],
        whole.dtype,
    )
    assert_same_bits(whole, expected.reshape(whole.shape))
    assert float(whole.min()) >= 0.3 - 0.05
    function = fastinit.truncated_normal(
        (50, 40), 0.3, 0.05, 5, dtype, lower=-1, upper=float("inf")
    )
    assert_same_bits(function, whole)
    lazy = initializer.lazy((50, 40), dtype)
    assert_same_bits(lazy[7:, 3], whole[7:, 3])
    assert_same_bits(lazy[[3, -1]], whole[[3, -1]])
    assert_same_bits(pickle.loads(pickle.dumps(lazy))[...], whole)
    out = np.empty_like(whole)
    assert fastinit.truncated_normal(None, 0.3, 0.05, 5, lower=-1, upper=math.inf, out=out) is out
    assert_same_bits(out, whole)


def test_configurations_have_bounds_that_are_not_the_default():
    initializer = initializers.TruncatedNormal(seed=5, lower=-math.inf, upper=1)
    config = initializer.get_config()
    assert config == {"mean": 0.0, "stddev": 0.05, "seed": 5, "lower": -math.inf, "upper": 1}
    assert initializers.TruncatedNormal.from_config(config) == initializer
    assert initializer != initializers.TruncatedNormal(seed=5)
    copy = initializers.deserialize(initializers.serialize(initializer))
    assert_same_bits(copy((9, 9)), initializer((9, 9)))


TOO_FAR = (
    r"lower and upper must not both lie more than 2\*\*100 standard deviations from the mean "
    "on the same side"
)


@pytest.mark.parametrize(
    ("lower", "upper", "error", "message"),
    [
        (1, 1, ValueError, "lower must be < upper, received lower=1.0, upper=1.0"),
        (2, -2, ValueError, "lower must be < upper"),
        (math.nan, 2, ValueError, "lower must be < upper, received lower=nan"),
        (-2, math.nan, ValueError, "lower must be < upper"),
        (math.inf, math.inf, ValueError, "lower must be < upper"),
        (1e31, math.inf, ValueError, f"{TOO_FAR}, received lower=1e\\+31, upper=inf"),
        (-math.inf, -1e31, ValueError, f"{TOO_FAR}, received lower=-inf, upper=-1e\\+31"),
        (0, 1e-300, ValueError, r"upper - lower must be at least 2\*\*-900"),
        ("-1", 1, TypeError, "lower must be a number, received '-1'"),
        (-1, None, TypeError, "upper must be a number, received None"),
        (-1, [1], TypeError, "upper must be a number"),
    ],
)
def test_wrong_bounds(lower, upper, error, message):
    out = np.zeros(5, "float32")
    with pytest.raises(error, match=message):
        fastinit.truncated_normal(lower=lower, upper=upper, out=out)
    assert not out.any()
    with pytest.raises(error, match=message):
        initializers.TruncatedNormal(lower=lower, upper=upper)


def test_values_that_the_dtype_does_not_hold():
    with pytest.raises(ValueError, match=r"mean \+ 9 \* stddev must be finite in float16"):
        fastinit.truncated_normal(3, stddev=8000, dtype="float16", lower=-1, upper=9)
    with pytest.raises(ValueError, match=r"mean - 14 \* stddev must be finite in float16"):
        fastinit.truncated_normal(3, stddev=8000, dtype="float16", lower=-math.inf, upper=1)
    fastinit.truncated_normal(3, stddev=8000, dtype="float16", lower=-1, upper=8)


def test_bounds_whose_distance_is_beyond_the_dtype():
    """A bound of -2.7e8 * 1e300 is no float64, and no sample lies near it."""
    found = fastinit.truncated_normal(100, 1e308, 1e300, 1, "float64", lower=-2.7e8, upper=7e7)
    plain = fastinit.truncated_normal(100, 0, 1, 1, "float64", lower=-2.7e8, upper=7e7)
    assert_same_bits(found, plain * 1e300 + 1e308)
    degenerate = fastinit.truncated_normal(3, 1.0, 0.0, 1, lower=0, upper=float("inf"))
    assert degenerate.tolist() == [1.0, 1.0, 1.0]
