"""The distributions of the numbers, tested by statistics.

Seeds are fixed, so a test passes always or never.  The thresholds are those at which a right stream
would fail for one seed in a million or fewer: 5.5 standard deviations (4e-8), p = 1e-6.
"""

import math
from fractions import Fraction
from functools import cache

import numpy as np
import pytest
import reference
from fills import DISTRIBUTIONS, FLOATS, as_bits, fill
from scipy import stats

import fastinit
from fastinit import _kernels, random_uniform, truncated_normal

N = 2**22
SIGMAS, P = 5.5, 1e-6

SAMPLERS = {
    "uniform": (fastinit.random_uniform, (-0.3, 1.1), stats.uniform(-0.3, 1.4)),
    "normal": (fastinit.random_normal, (0.1, 0.7), stats.norm(0.1, 0.7)),
    "truncated": (fastinit.truncated_normal, (0.1, 0.7), stats.truncnorm(-2, 2, 0.1, 0.7)),
}
STANDARD = {"uniform": (0.0, 1.0), "normal": (0.0, 1.0), "truncated": (0.0, 1.0)}
every = pytest.mark.parametrize("dtype", ["float32", "float64"])
each_distribution = pytest.mark.parametrize("distribution", SAMPLERS)


@cache
def drawn(distribution, dtype, standard=False):
    sampler, parameters, _ = SAMPLERS[distribution]
    return sampler(N, *(STANDARD[distribution] if standard else parameters), seed=2024, dtype=dtype)


def within(count, n, p, bias=0):
    """Return whether a binomial count is near its expectation, where p may have a bias."""
    return abs(count - n * p) < SIGMAS * np.sqrt(n * p * (1 - p)) + 1 + n * bias


@every
@each_distribution
def test_moments(distribution, dtype):
    expected = SAMPLERS[distribution][2]
    x = drawn(distribution, dtype).astype(np.float64)
    for k in (1, 2, 3, 4):
        moment = expected.moment(k)
        error = np.sqrt((expected.moment(2 * k) - moment**2) / N)
        assert abs(np.mean(x**k) - moment) < SIGMAS * error


@cache
def probabilities(distribution, dtype):
    """Return the distribution function at the samples, which must be uniform."""
    x = drawn(distribution, dtype)
    if distribution != "truncated":
        return SAMPLERS[distribution][2].cdf(x)
    mean, stddev = SAMPLERS[distribution][1]  # SciPy's own takes ten times as long
    below, inside = stats.norm.cdf(-2), stats.norm.cdf(2) - stats.norm.cdf(-2)
    return np.clip((stats.norm(mean, stddev).cdf(x.astype(np.float64)) - below) / inside, 0, 1)


@every
@each_distribution
def test_kolmogorov_smirnov(distribution, dtype):
    assert stats.kstest(probabilities(distribution, dtype), "uniform", method="asymp").pvalue > P


@every
@each_distribution
def test_chi_squared(distribution, dtype):
    """Count samples in 2000 cells of equal probability; too good a fit fails, too."""
    cells = 2000
    at = (probabilities(distribution, dtype) * cells).astype(int)
    counts = np.bincount(np.minimum(at, cells - 1), minlength=cells)
    assert P < stats.chisquare(counts).pvalue < 1 - P


def test_truncated_stddev_is_that_of_the_parent():
    x = drawn("truncated", "float64", True)
    assert np.std(x) == pytest.approx(0.87962566103423978, rel=0.003)  # 5.5 sigma: 0.0014


@every
def test_normal_tail(dtype):
    """The tail has its mass; others had it on the wrong layer (13.7 times that), or a wrong R."""
    x, n = drawn("normal", dtype, True), N
    for bound in (2, 3, 3.6, 4):
        for side in (x, -x):
            assert within((side > bound).sum(), n, stats.norm.sf(bound))
    x0, part, parts = reference.tables(reference.NORMAL).x0, 2**20, 32
    drawn_here = (fill("normal", dtype, i * part, part, 2024, (0.0, 1.0)) for i in range(parts))
    tail = np.concatenate([part[np.abs(part) > x0] for part in drawn_here]).astype(np.float64)
    assert tail.size > 1800  # 1950 expected
    mass = stats.norm.sf(x0)
    assert within(tail.size, part * parts, 2 * mass)
    assert within((tail > 0).sum(), tail.size, 0.5)
    for bound in (4.1, 4.3, 4.5, 5):
        assert within((np.abs(tail) > bound).sum(), part * parts, 2 * stats.norm.sf(bound))
    assert stats.kstest(np.abs(tail), lambda t: 1 - stats.norm.sf(t) / mass).pvalue > P


@every
@pytest.mark.parametrize("distribution", ["normal", "truncated"])
def test_symmetry(distribution, dtype):
    """Half are negative in every range of |z|; in one library none was outside the tail."""
    x = drawn(distribution, dtype, True)
    edges = [
        0,
        0.01,
        0.1,
        0.3,
        0.6,
        1,
        1.5,
        1.9,
        2,
        *([2.5, 3, 3.6, 9] if distribution == "normal" else []),
    ]
    positive = np.histogram(x, edges)[0]
    both = np.histogram(np.abs(x), edges)[0]
    assert (both > 100).all()
    for count, n in zip(positive, both, strict=True):
        assert within(count, n, 0.5)


@every
@each_distribution
def test_low_bits_of_the_mantissa(distribution, dtype):
    """Each of the last 8 bits is as often 1 as 0; in one library the lowest was always 0."""
    x = drawn(distribution, dtype, True)
    if (
        distribution == "uniform"
    ):  # k of u = k 2^-24 or k 2^-53: the float's own last bits may be zeros
        bits = (x * (2.0**24 if dtype == "float32" else 2.0**53)).astype(np.uint64)
    else:
        bits = as_bits(x)
    for bit in range(8):
        assert within((bits >> bit & 1).sum(), N, 0.5)


@every
def test_low_bits_of_each_magnitude(dtype):
    """They are in each binade, of which the least ones have the fewest integers below."""
    part, parts = 2**22, 4
    for i in range(parts):
        x = fill("normal", dtype, i * part, part, 2024, (0.0, 1.0))
        exponents = np.frexp(x)[1]
        for exponent in range(-10, 2):
            bits = as_bits(x[exponents == exponent])
            assert bits.size > 1000
            for bit in range(8):
                assert within((bits >> bit & 1).sum(), bits.size, 0.5)


@every
@pytest.mark.parametrize("distribution", ["normal", "truncated"])
def test_index_bits_are_not_those_of_the_value(distribution, dtype):
    """The value reuses no bits of the layer's index but those at its own end.

    The magnitude is divided by the layer's edge; each 4 bits of it are tested against each 4 of the
    index.  The index of a float32 is the end of its integer, beyond the bits that are tested:
    floats above an eighth of the edge have none of it but by their rounding.
    """
    n, tag = 2**20, reference.TAGS[distribution]
    x = drawn(distribution, dtype, True)[:n]
    t = reference.tables(tag)
    width = 8 * x.itemsize
    layer = reference.layer_of(width, reference.samples(tag, width, 2024, 0, n)).astype(int)
    first = layer < t.inscribed
    layer = layer[first]
    fraction = np.abs(x[first].astype(np.float64)) / np.array(t.edge_f64)[layer]
    digits = 21 if dtype == "float32" else 52  # 31 - 10, and what the division keeps
    for last in [*range(4, digits - 4, 4), digits - 4]:  # the division may err in the lowest
        cells = np.minimum(fraction * 2.0**last % 16, 15).astype(int)
        for index in (layer % 16, layer // 16 % 16, layer // 64):
            table = np.bincount(index * 16 + cells, minlength=256).reshape(16, 16)
            assert stats.chi2_contingency(table).pvalue > P


@every
@pytest.mark.parametrize("distribution", ["normal", "truncated"])
def test_redraws_do_not_reuse_the_first_word(distribution, dtype):
    """A redraw does not reuse its first word, which would predict the new value."""
    tag, width, n = reference.TAGS[distribution], reference.width_of(dtype), 2**24
    words = reference.samples(tag, width, 2024, 0, n)
    redrawn = reference.layer_of(width, words) >= reference.tables(tag).inscribed
    value, words = fill(distribution, dtype, 0, n, 2024, (0.0, 1.0))[redrawn], words[redrawn]
    n = value.size
    assert n > 30_000
    magnitude = (words >> 10 if width == 32 else words >> 12).astype(np.float64)
    rest = [magnitude]
    if width == 32:  # the signed integer, and its magnitude
        rest = [words.astype(np.uint32).view(np.int32).astype(np.float64)]
        rest += [np.abs(rest[0])]
    for old in rest:
        for new in (value, np.abs(value)):
            assert abs(stats.spearmanr(new, old).statistic) < SIGMAS / np.sqrt(n)
    # The sign bits of both first attempts, and the integers' lowest other bits, with the new sign.
    for bit in (10, 11, 12, width - 1):
        same = (words >> bit & 1) == (value > 0)
        assert within(same.sum(), n, 0.5)


@every
def test_truncated_by_rejection_not_by_clamping(dtype):
    x = drawn("truncated", dtype, True)
    # float32 numbers near 2 are 1.2e-7 apart: 4e6 samples of density 0.057 there give 0.03 of +-2.
    assert (np.abs(x) == 2).sum() <= 3
    last = stats.truncnorm(-2, 2).sf(1.99)
    assert within((x > 1.99).sum(), N, last)
    assert within((x < -1.99).sum(), N, last)


NARROW = [
    (0.0, 0.05),
    (0.0, 1.0),
    (1000.0, 0.05),
    (1000.0, 2e-4),
    (2.0**40, 4e-4),
    (-3.0, 1e-6),
    (1e8, 30.0),
    (0.0, 1e-44),
]


@every
@pytest.mark.parametrize(("mean", "stddev"), NARROW)
def test_truncated_within_two_sigma(isa, dtype, mean, stddev):
    """The bounds hold exactly, also where float32 is so coarse that many would round outwards."""
    x = fastinit.truncated_normal(2**20, mean, stddev, seed=5, dtype=dtype).astype(np.float64)
    assert Fraction(float(x.min())) >= Fraction(mean) - 2 * Fraction(stddev)
    assert Fraction(float(x.max())) <= Fraction(mean) + 2 * Fraction(stddev)
    assert np.unique(x).size > 3 or float(np.float32(mean + stddev)) == mean


@every
@pytest.mark.parametrize("sampler", [fastinit.random_normal, fastinit.truncated_normal])
@pytest.mark.parametrize("mean", [0.0, 0.1, -1e-45, 3e38])
def test_stddev_0_gives_the_mean(isa, sampler, mean, dtype):
    x = sampler(10_000, mean, 0.0, seed=5, dtype=dtype)
    assert (x == np.dtype(dtype).type(mean)).all()


@cache
def end_cells():
    """Return indices of float32 uniforms near 0 and, before it is clamped, of 1; for seed 8."""
    out = np.empty(2**22, np.float32)
    found = {}
    for start in range(0, 2**30, out.size):  # absent for e^-16 and e^-32 of seeds
        _kernels.uniform(out, start, 8, 0.0, 1.0, 1)
        if out.min() < 2.0**-26:
            found.setdefault("first", start + int(out.argmin()))
        for at in np.flatnonzero(out == np.float32(1 - 2**-24)).tolist():
            word = reference.sample(reference.UNIFORM, 32, 8, start + at)
            if np.float32(word >> 1 | 1) == 2**31:
                found.setdefault("last", start + at)
        if len(found) == 2:
            break
    return found


def test_uniform_takes_both_end_cells():
    """The least numbers are finer than 2^-24, and what rounds to 1 is the greatest below it."""
    assert set(end_cells()) == {"first", "last"}


@every
def test_uniform_near_0(dtype):
    """Small numbers come as often as they should, also below 2^-24, the spacing of those near 1."""
    part, parts = 2**22, 2**5
    n = part * parts
    drawn_here = (fill("uniform", dtype, i * part, part, 2024, (0.0, 1.0)) for i in range(parts))
    small = np.concatenate([part[part < 2.0**-14] for part in drawn_here]).astype(np.float64)
    for exponent in range(14, 25):
        assert within((small < 2.0**-exponent).sum(), n, 2.0**-exponent)
    assert np.unique(small).size > 0.6 * small.size
    assert stats.kstest(small * 2**14, "uniform").pvalue > P


RANGES = [
    (-0.05, 0.05),  # float32(-0.05) < -0.05, float32(0.05) > 0.05
    (0.05, 0.1),
    (-1.0, 1.0),
    (1.0, float(np.nextafter(1, 2))),
    (1.0, float(np.nextafter(np.float32(1), np.float32(2)))),
    (16777216.0, 16777218.0),
    (1e8, 1e8 + 50),
    (0.0, 5e-324),
    (-1e38, 2e38),
]


@every
@pytest.mark.parametrize(("minval", "maxval"), RANGES)
def test_uniform_stays_in_its_range(isa, dtype, minval, maxval):
    """No uniform returns its upper bound, compared in binary64; some libraries do."""
    real = np.dtype(dtype).type
    greatest = real(maxval)
    if float(greatest) >= maxval:
        greatest = np.nextafter(greatest, real(-np.inf))
    fits = float(greatest) >= minval
    starts = [0, *(at - at % 64 for at in end_cells().values())]
    for start in starts:
        x = np.empty(2**18 if start == 0 else 64, dtype)
        _kernels.uniform(x, start, 8, minval, maxval, 1)
        x = x.astype(np.float64)
        assert x.max() < maxval
        if fits:
            assert x.min() >= minval
        else:  # no number of the type in between: the one below
            assert (x == float(greatest)).all()


def test_uniform_of_an_empty_range_is_its_bound(isa):
    assert (fastinit.random_uniform(1000, 0.1, 0.1, seed=1) == np.float32(0.1)).all()


def correlated(a, b):
    a, b = (v.astype(np.float64) for v in (a, b))
    return abs(np.corrcoef(a, b)[0, 1]) > SIGMAS / np.sqrt(a.size)


@every
def test_independent_across_distributions_seeds_and_neighbours(dtype):
    bits = fastinit.random_bits(N, seed=2024, dtype="uint32" if dtype == "float32" else "uint64")
    same_seed = [bits] + [drawn(distribution, dtype, True) for distribution in SAMPLERS]
    same_seed += [fill("between", dtype, 0, N, 2024, (0.0, 1.0, -0.6, 3.9))]
    for i, a in enumerate(same_seed):
        for b in same_seed[:i]:
            assert not correlated(a, b)
        for lag in (1, 2, 3, 4, 8, 64, 8192):
            assert not correlated(a[lag:], a[:-lag])
    for seed in (2025, 2024 + 2**32, 2024 ^ 2**63):  # either half of the key
        other = fastinit.random_normal(N, 0.0, 1.0, seed=seed, dtype=dtype)
        assert not correlated(same_seed[2], other)


@every
@pytest.mark.parametrize("distribution", DISTRIBUTIONS)
def test_independent_across_keys_and_columns(distribution, dtype):
    """Rows of keys that follow each other, or differ in one bit, are as good as any."""
    rows, dim = 2**13, 64
    keys = np.arange(rows, dtype=np.uint64)
    parameters = {"uniform": (0.0, 1.0), "between": (0.0, 1.0, -0.6, 3.9)}
    parameters = parameters.get(distribution, (0.0, 1.0))

    def of(keys):
        return fill(distribution, dtype, keys, rows * dim, 2024, parameters, 2, True)

    x = of(keys)
    array = fill(distribution, dtype, 0, x.size, 2024, parameters)
    assert not correlated(x, array)
    # Two samples of the same distribution: the two-sample test has no table to be wrong in.
    assert stats.ks_2samp(x, array, method="asymp").pvalue > P
    for other in (keys + np.uint64(2**32), keys ^ np.uint64(2**63), ~keys):
        assert not correlated(x, of(other))
    table = x.reshape(rows, dim)
    for lag in (1, 2, 3, 4, 8):
        assert not correlated(table[lag:].reshape(-1), table[:-lag].reshape(-1))
        assert not correlated(table[:, lag:].reshape(-1), table[:, :-lag].reshape(-1))


@every
@pytest.mark.parametrize("distribution", ["normal", "truncated"])
def test_few_values_twice(distribution, dtype):
    """Equal pairs are as frequent as the spacing of the numbers implies."""
    x = drawn(distribution, dtype, True)
    repeated = N - np.unique(x).size
    if dtype == "float64":
        assert repeated == 0  # 4e6^2 / 2 pairs of 2^52 values or more: 2e-3 expected
    else:
        grid = drawn(distribution, "float64", True).astype(np.float32)
        expected = N - np.unique(grid).size
        assert repeated < 1.5 * expected


# The bounds hold after narrowing, too.


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize(
    ("mean", "stddev"), [(0.0, 0.05), (0.0, 1.0), (0.3, 0.7), (10.1, 0.02), (0.0, 1e-7)]
)
def test_bounds_of_the_truncated_normal(isa, dtype, mean, stddev):
    x = truncated_normal(300_000, mean, stddev, seed=1, dtype=dtype)
    least, greatest = Fraction(mean) - 2 * Fraction(stddev), Fraction(mean) + 2 * Fraction(stddev)
    assert least <= Fraction(float(x.min()))
    assert Fraction(float(x.max())) <= greatest


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize(("minval", "maxval"), [(0.0, 1.0), (-0.05, 0.1), (0.1, 0.11), (-1.0, 0.0)])
def test_bounds_of_the_uniform(isa, dtype, minval, maxval):
    x = random_uniform(300_000, minval, maxval, seed=1, dtype=dtype)
    assert minval <= float(x.min())
    assert float(x.max()) < maxval


@pytest.mark.exhaustive
@pytest.mark.parametrize("dtype", FLOATS)
def test_bounds_of_very_many(isa, dtype):
    """2^28 samples of each; 0.05 is no number of any type."""
    for start in range(0, 2**28, 2**22):
        x = fill("truncated", dtype, start, 2**22, 1, (0.0, 0.05), threads=2)
        assert float(np.abs(x).max()) <= 2 * 0.05
        x = fill("uniform", dtype, start, 2**22, 1, (-0.05, 0.05), threads=2)
        assert -0.05 <= float(x.min()) <= float(x.max()) < 0.05


@pytest.mark.parametrize("distribution", ["bits", "normal"])
def test_the_kernels_refuse_elements_of_other_sizes(distribution):
    parameters = () if distribution == "bits" else (0.0, 1.0)
    buffer = bytearray(8)
    with pytest.raises(TypeError, match="no kernel for elements of this size"):
        getattr(_kernels, distribution)(buffer, 0, 1, *parameters, 1)
    buffer.append(0)  # it raises while a buffer of it is held


def outcome(function, out, arguments):
    """Return the bytes that a call leaves in out, or its error."""
    out.fill(7)
    try:
        assert function(*arguments[:3], out=out, **arguments[3]) is out
    except (TypeError, ValueError, OverflowError) as error:
        assert (out == 7).all()
        return type(error), str(error)
    return out.tobytes()


F32, F64 = 3.4028234663852886e38, 1.7976931348623157e308


@pytest.mark.parametrize("function", ["random_uniform", "random_normal", "truncated_normal"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("n", [0, 1, 64, 511])
def test_small_arrays_are_filled_as_views(function, dtype, n):
    """A small array that owns its memory has a code path of its own: same checks, same values."""
    function = getattr(fastinit, function)
    parameters = [(0.0, 1.0), (-0.3, 0.3), (0, 1), (1.0, 0.0), (-1.0, -2.0), (math.nan, 1.0)]
    parameters += [(0.0, math.inf), (-math.inf, 0.0), (0.0, math.nan), (True, 2.0), ("0", 1.0)]
    for limit in (F32, F64):
        for part in (1.0, 0.5, 1 / 14, 0.07, 1.0001):
            parameters += [(0.0, limit * part), (-limit * part, limit * part), (limit * part, 1.0)]
    calls = [(None, *pair, {"seed": 1}) for pair in parameters]
    seeds = [0, 2**64 - 1, 2**64, -1, True, 1.0, np.uint64(3)]
    calls += [(None, 0.0, 1.0, {"seed": seed}) for seed in seeds]
    for shape in ((n,), n, (n, 1), [n], (n + 1,), (True,), (-1,), np.int64(n)):
        calls.append((shape, 0.0, 1.0, {"seed": 1}))
    for name in (dtype, np.dtype(dtype), "float32", "float16", "f4", "int32", "nonsense"):
        calls.append((None, 0.0, 1.0, {"seed": 1, "dtype": name}))
    values = 0
    for call in calls:
        small = outcome(function, np.empty(n, dtype), call)
        assert small == outcome(function, np.empty(n + 1, dtype)[:n], call)
        values += isinstance(small, bytes)
    assert 10 < values < len(calls) - 10
