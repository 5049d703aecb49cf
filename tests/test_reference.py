"""The kernels equal tests/reference.py in every bit of first attempts, redraws, tail and cap."""

import math
import re
from functools import cache

import numpy as np
import pytest
import reference
from fills import DISTRIBUTIONS, FILLS, assert_same_bits, fill

SEED = 0x9E3779B97F4A7C15  # both halves of the key in use

PARAMETERS = {
    "bits": [()],
    "uniform": [
        (0.0, 1.0),
        (-0.05, 0.05),
        (1.0, 1.0),
        (1.0, 1.0 + 2**-52),  # nothing of float32 in between
        (0.1, 0.1 + 2**-25),  # scale and bounds round apart
        (-1e-45, 3e-45),  # subnormal in float32
        (-5e-324, 1e-323),
        (-1.7e38, 1.7e38),
        (16777216.0, 16777219.0),  # few values, and sums that round up to maxval
        (0.9990234375, 1.0),  # float16 and bfloat16 would round up to maxval
        (-3e-8, 1e-7),  # subnormal in float16
        (0.1, 0.1 + 2**-12),
    ],
    "normal": [
        *[(0.0, 1.0), (0.3, 0.05), (-2.5, 0.0), (1e8, 3.0), (0.0, 4e-45), (-1e-30, 1e30)],
        *[(0.0, 1e-6), (0.0, 1e-40), (0.0, 4600.0)],  # subnormal and large in the halves
    ],
    "truncated": [
        (0.0, 1.0),
        (0.3, 0.05),
        (-2.5, 0.0),
        (1e8, 3.0),  # float32 is coarser than 2 stddev
        (0.0, 4e-45),
        (0.1, 1e-9),  # the rounded mean lies beyond mean +- 2 stddev
        (-1e-30, 1e30),
        (0.0, 1e-6),
        (1000.1, 0.01),  # the same for the halves
        (0.0, 32000.0),
    ],
}
CASES = [
    (distribution, dtype, p)
    for distribution, dtype in FILLS
    for p in PARAMETERS[distribution]
    if dtype != "float16" or all(abs(x) < 65504 for x in p)
]

# These are the carries of the element, of the block of 64-bit and of 32-bit samples, and the end.
STARTS = [0, 2**32 - 70, 2**33 - 70, 2**34 - 70, 2**63 - 70, 2**64 - 140]


@cache
def expected(distribution, dtype, start, n, parameters):
    values = [
        reference.element(distribution, dtype, SEED, i, *parameters)
        for i in range(start, start + n)
    ]
    return np.array(values, dtype)


@pytest.mark.parametrize("start", STARTS)
@pytest.mark.parametrize(("distribution", "dtype", "parameters"), CASES)
def test_values_at_the_carries(isa, distribution, dtype, parameters, start):
    found = fill(distribution, dtype, start, 140, SEED, parameters)
    assert_same_bits(found, expected(distribution, dtype, start, 140, parameters))


@pytest.mark.parametrize(("distribution", "dtype"), FILLS)
def test_first_elements(isa, distribution, dtype):
    """These are more than a chunk of 8192, and have all layers."""
    parameters = PARAMETERS[distribution][0]
    found = fill(distribution, dtype, 0, 9000, SEED, parameters)
    assert_same_bits(found, expected(distribution, dtype, 0, 9000, parameters))


def narrowed(variates, dtype):
    """Round binary64 variates to the computing type, then to the dtype."""
    return np.array(variates, "float64" if dtype == "float64" else "float32").astype(dtype)


START, N = 2**32 - 2**18, 2**19  # redraws on both sides of the carry


@cache
def redrawn(distribution, dtype):
    """Return the indices, from START, of the elements that are redrawn, and their draws."""
    tag, width = reference.TAGS[distribution], reference.width_of(dtype)
    layers = reference.samples(tag, width, SEED, START, N) % 256
    at = np.flatnonzero(layers >= reference.tables(tag).inscribed)
    return at, [reference.variate(tag, width, SEED, START + int(i)) for i in at]


@pytest.mark.parametrize(("distribution", "dtype"), [k for k in FILLS if k[0] in DISTRIBUTIONS[1:]])
def test_redraws(isa, distribution, dtype):
    at, draws = redrawn(distribution, dtype)
    # What is drawn here is fixed by the seed; that it holds every path is asserted, not hoped for.
    t = reference.tables(reference.TAGS[distribution])
    assert len(draws) > 4000
    assert max(draw.attempts for draw in draws) >= 6
    regions = {draw.region for draw in draws}
    assert t.inscribed in regions  # the cap
    assert len(regions) > (150 if distribution == "normal" else 120)
    assert sum(draw.region == 0 for draw in draws) > (
        50 if distribution == "normal" else -1
    )  # the tail
    assert {draw.z > 0 for draw in draws} == {True, False}

    found = fill(distribution, dtype, START, N, SEED, (0.0, 1.0))
    assert_same_bits(found[at], narrowed([draw.z for draw in draws], dtype))

    # With so few numbers within 2 stddev many are clamped, which redraws do in their own code.
    coarse = (2.0**40, 4e-4) if dtype == "float64" else (1000.0, 2e-4)
    found = fill(distribution, dtype, START, N, SEED, coarse)
    again = [
        reference.element(distribution, dtype, SEED, START + int(i), *coarse) for i in at[:2000]
    ]
    assert_same_bits(found[at[:2000]], np.array(again, dtype))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_far_tail(isa, dtype):
    """A wrong last bit of the logarithm changes few values beyond x0, so very many are tested."""
    found = fill("normal", dtype, 0, 2**23, SEED, (0.0, 1.0))
    at = np.flatnonzero(np.abs(found) > reference.tables(reference.NORMAL).x0)
    assert at.size > 2000  # 2300 expected
    width = 8 * found.itemsize
    draws = [reference.variate(reference.NORMAL, width, SEED, int(i)) for i in at]
    assert {draw.region for draw in draws} == {0}
    assert_same_bits(found[at], np.array([draw.z for draw in draws], dtype))


def test_exp_and_log_of_the_reference():
    """They are near the true value; else kernels and reference could agree on an error."""
    for q in np.linspace(0, 60, 20001).tolist():
        assert reference.exp_minus(q) == pytest.approx(np.exp(-q), rel=2**-50, abs=0)
    for u in np.geomspace(2**-53, 0.9, 20001).tolist():
        assert reference.minus_log(u) == pytest.approx(-np.log(u), rel=2**-50, abs=0)


def test_constants_of_the_header():
    """It writes exp and log out, with the coefficients and the constants of later_attempt.h."""
    header = (reference.ROOT / "include" / "fastinit.h").read_text(encoding="utf-8")
    source = (reference.ROOT / "src" / "core" / "later_attempt.h").read_text(encoding="utf-8")
    stated = {
        (letter, int(k)): float.fromhex(x)
        for letter, k, x in re.findall(r"\b([CD])(\d+) +(0x\S+)", header)
    }
    expected = {("C", k): 1 / math.factorial(k) for k in range(14)}
    expected |= {("D", k): 1 / k for k in range(1, 22, 2)}
    assert stated == expected
    constants = set(re.findall(r"vd_set1\((0x1\.[0-9a-f]{5,}p[+-]\d+)\)", source))
    assert len(constants) == 5
    for constant in constants:
        assert constant in header
    # A wrong one of the last of these would change too few bits to be seen in any sample.
    factorials = re.search(r"factorial\[\] = {(.*?)}", source, re.DOTALL)[1].split(",")
    assert [int(f) for f in factorials] == [math.factorial(k) for k in range(14)]
