"""P-values.  All are two-sided, but for `uniform`, where large distances count."""

import math

import numpy as np
from scipy import special, stats


def two_sided(below, above):
    return float(min(1.0, 2 * min(below, above)))


def normal(z):
    """Return the p-value of a standard normal."""
    return float(special.erfc(abs(z) / math.sqrt(2)))


def mean(total, n, expected, variance):
    """Return the p-value of a sum of n values of that expectation and variance.

    The sum is taken for normal.  At 6 standard deviations its p-value is then wrong by a factor of
    exp(36 s) or less, where s is its skewness: 1.3 for the eighth power of 2^28 normals, the worst.
    """
    return normal((total - n * expected) / math.sqrt(n * variance))


def binomial(count, n, p):
    """Return the p-value of a count, with half of its own probability in each side."""
    d = stats.binom(int(n), float(p))
    at = d.pmf(int(count)) / 2
    return two_sided(d.cdf(int(count)) - at, d.sf(int(count)) + at)


def poisson(count, expected):
    d = stats.poisson(float(expected))
    at = d.pmf(int(count)) / 2
    return two_sided(d.cdf(int(count)) - at, d.sf(int(count)) + at)


def chi_squared(value, freedom):
    return two_sided(stats.chi2.cdf(value, freedom), stats.chi2.sf(value, freedom))


def cells(counts, probabilities):
    """Return the p-value of the counts of cells that make up all; each expects 30 or more."""
    if not counts.sum():
        return 0.0  # Only a fault leaves nothing where some thousands are expected.
    expected = probabilities / probabilities.sum() * counts.sum()
    if counts.size < 2 or expected.min() < 30:
        raise ValueError("a cell of a chi-squared test expects less than 30")
    value = np.sum((counts - expected) ** 2 / expected)
    return chi_squared(float(value), counts.size - 1)


def squares(z):
    """Return the p-values of independent standard normals: of their squares, and of the largest."""
    z = np.asarray(z, np.float64).reshape(-1)
    largest = -math.expm1(z.size * math.log1p(-normal(np.abs(z).max())))
    return chi_squared(float(z @ z), z.size), largest


def uniform(p):
    """Return Kolmogorov's p-value that these are uniform on [0, 1]."""
    if len(p) == 0:
        return 0.0  # as in `cells`
    return float(stats.kstest(p, "uniform", method="asymp").pvalue)
