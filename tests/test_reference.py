"""The kernels equal tests/reference.py in every bit of first attempts, redraws, tail and cap."""

import math
import re
from functools import cache

import numpy as np
import pytest
import reference
from fills import FILLS, FLOATS, assert_same_bits, fill

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
    "between": [
        (0.0, 1.0, -3.0, 3.0),
        (0.3, 0.05, -1.0, 1.0),
        (-2.5, 0.0, -1.0, 1.0),
        (1e8, 3.0, -3.0, 3.0),  # float32 is coarser than the standard deviation
        (0.0, 4e-45, -1.0, 3.0),
        (0.0, 1e-6, 0.0, math.inf),
        (0.3, 0.05, 4.0, math.inf),
        (0.3, 0.05, 8.0, math.inf),
        (-1.0, 0.05, 30.0, math.inf),
        (0.3, 0.05, 1.0, 1.0001),  # nothing of the halves in between
        (0.1, 0.7, -0.5, 2.5),
        (-0.7, 0.1, -math.inf, -1.0),
        (0.7, 0.1, -9.0, -8.5),
        (0.1, 10.0, 0.0, 1e-3),
        (0.3, 0.7, -math.inf, math.inf),
        (0.3, 0.7, -math.inf, 0.2),
        (0.3, 0.7, 3.0, 20.0),
        (0.3, 1e30, 2.0**-900, 2.0**-899),  # the narrowest that there is
        (2.0**-60, 2.0**-100, 2.0**100, 2.0**101),  # and the farthest
        (1000.1, 0.01, -2.0, 2.5),
        (0.1, 0.7, -0.6, 3.9),  # a tail that ends soon
        (0.1, 0.7, -5.4, -4.0),
    ],
}
CASES = [
    (distribution, dtype, p)
    for distribution, dtype in FILLS
    for p in PARAMETERS[distribution]
    if dtype != "float16" or all(abs(x) < 65504 for x in p[:2])
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


START, N = 2**32 - 2**20, 2**21  # redraws on both sides of the carry


@cache
def redrawn(distribution, dtype):
    """Return the indices, from START, of the elements that are redrawn, and their draws."""
    tag, width = reference.TAGS[distribution], reference.width_of(dtype)
    layers = reference.layer_of(width, reference.samples(tag, width, SEED, START, N))
    at = np.flatnonzero(layers >= reference.tables(tag).inscribed)
    return at, [reference.variate(tag, width, SEED, START + int(i)) for i in at]


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("distribution", ["normal", "truncated"])
def test_redraws(isa, distribution, dtype):
    at, draws = redrawn(distribution, dtype)
    # What is drawn here is fixed by the seed; that it holds every path is asserted, not hoped for.
    t = reference.tables(reference.TAGS[distribution])
    assert len(draws) > 4000
    assert max(draw.attempts for draw in draws) >= 6
    regions = {draw.region for draw in draws}
    assert t.inscribed in regions  # the cap
    assert len(regions) > (800 if distribution == "normal" else 580)
    assert sum(draw.region == 0 for draw in draws) > (
        90 if distribution == "normal" else -1
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
    x0, part, beyond = reference.tables(reference.NORMAL).x0, 2**20, 0
    for start in range(0, 40 * part, part):
        found = fill("normal", dtype, start, part, SEED, (0.0, 1.0))
        at = np.flatnonzero(np.abs(found) > x0)
        draws = [
            reference.variate(reference.NORMAL, 8 * found.itemsize, SEED, start + int(i))
            for i in at
        ]
        assert {draw.region for draw in draws} == {0}
        assert_same_bits(found[at], np.array([draw.z for draw in draws], dtype))
        beyond += at.size
    assert beyond > 2000  # 2440 expected


# Each attempt of windows: inside a layer, its rest, another name, and a tail on either side.
WINDOWS = [parameters[2:] for parameters in PARAMETERS["between"] if parameters[3] < 2**100]
WINDOWS = [*dict.fromkeys(WINDOWS)]


@cache
def redrawn_between(width, bounds):
    """Return the numbers of attempts of the elements that are redrawn, by their indices."""
    tag, window = reference.BETWEEN, reference.window(*bounds)
    words = reference.samples(tag, width, SEED, START, 2**17)
    at = np.flatnonzero(reference.refused_between(window, width, words)).tolist()
    return {i: reference.variate(tag, width, SEED, START + i, *bounds).attempts for i in at}


@cache
def some_redrawn(dtype, bounds):
    """Return the indices of those with the most attempts, and of some others, and the elements."""
    attempts = redrawn_between(reference.width_of(dtype), bounds)
    at = sorted(attempts, key=attempts.get, reverse=True)
    at = at[:100] + at[-100:]
    parameters = (0.3, 0.7, *bounds)
    elements = [reference.element("between", dtype, SEED, START + i, *parameters) for i in at]
    return at, parameters, np.array(elements, dtype)


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("bounds", WINDOWS)
def test_redraws_of_windows(isa, bounds, dtype):
    attempts = redrawn_between(reference.width_of(dtype), bounds).values()
    if bounds[1] - bounds[0] > 0.01:
        assert len(attempts) > 1000
        assert {*attempts} >= {2, 3}
        assert 1 not in attempts
    else:  # It is nearly uniform, and what is redrawn is accepted nearly always.
        assert len(attempts) > 200
        assert {*attempts} <= {2, 3}
    at, parameters, elements = some_redrawn(dtype, bounds)
    found = fill("between", dtype, START, 2**17, SEED, parameters)
    assert_same_bits(found[at], elements)


@pytest.mark.parametrize("width", [32, 64])
def test_some_elements_of_windows_have_a_fourth_attempt(width):
    assert max(max(redrawn_between(width, bounds).values()) for bounds in WINDOWS) >= 4


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("bounds", [(-math.inf, math.inf), (4.0, math.inf), (-math.inf, -4.0)])
def test_far_tails_of_windows(isa, bounds, dtype):
    """The tails have their own arithmetic, with the logarithm."""
    window = reference.window(*bounds)
    cut = max(abs(layer[0]) for layer in window.layer if layer[3] > 0)
    part, beyond, width = 2**20, 0, reference.width_of(dtype)
    for start in range(0, 4 * part, part):
        found = fill("between", dtype, start, part, SEED, (0.0, 1.0, *bounds))
        at = np.flatnonzero(np.abs(found - found.dtype.type(window.start)) > 1.001 * cut)
        draws = [
            reference.variate(reference.BETWEEN, width, SEED, start + int(i), *bounds) for i in at
        ]
        assert_same_bits(found[at], np.array([draw.z for draw in draws], dtype))
        beyond += at.size
    assert beyond > 700


# Rows by key: of no bits, of a bit in each half, and of all bits.
KEYS = (0, 1, 2**63 + 5, 2**64 - 1)


@cache
def keyed_row(distribution, dtype, key, dim):
    values = [
        reference.keyed_element(distribution, dtype, SEED, key, i, *PARAMETERS[distribution][0])
        for i in range(dim)
    ]
    return np.array(values, dtype)


@pytest.mark.parametrize(("distribution", "dtype"), FILLS)
def test_keyed_rows(isa, distribution, dtype):
    parameters = PARAMETERS[distribution][0]
    for dim in (1, 3, 37, 64, 150):
        found = fill(
            distribution, dtype, np.array(KEYS, np.uint64), 4 * dim, SEED, parameters, keyed=True
        )
        expected = [keyed_row(distribution, dtype, key, 150)[:dim] for key in KEYS]
        assert_same_bits(found, np.concatenate(expected))


MANY_KEYS = np.arange(2, 402, dtype=np.uint64) * np.uint64(SEED)
DIM = 601  # no multiple of a block


@cache
def redrawn_keyed(distribution, width):
    """Return the indices of the elements of the rows that are redrawn, and their draws."""
    tag, bounds = reference.TAGS[distribution], PARAMETERS[distribution][0][2:]
    words = reference.keyed_samples(tag, width, SEED, MANY_KEYS, DIM).reshape(-1)
    if distribution == "between":
        refused = reference.refused_between(reference.window(*bounds), width, words)
    else:
        refused = reference.layer_of(width, words) >= reference.tables(tag).inscribed
    at = np.flatnonzero(refused)
    keys = MANY_KEYS.tolist()
    return at, [
        reference.keyed_variate(tag, width, SEED, keys[i // DIM], i % DIM, *bounds)
        for i in at.tolist()
    ]


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("distribution", ["normal", "truncated", "between"])
def test_redraws_of_keyed_rows(isa, distribution, dtype):
    at, draws = redrawn_keyed(distribution, reference.width_of(dtype))
    assert len(draws) > 400
    assert {draw.attempts for draw in draws} >= {2, 3, 4}
    parameters = PARAMETERS[distribution][0]
    n = MANY_KEYS.size * DIM
    found = fill(distribution, dtype, MANY_KEYS, n, SEED, parameters, keyed=True)
    assert_same_bits(found[at], narrowed([draw.z for draw in draws], dtype))


@pytest.mark.parametrize("distribution", ["normal", "truncated", "between"])
def test_no_block_is_used_twice(monkeypatch, distribution):
    """Elements of arrays and of rows, float64 and others: each attempt has a block of its own."""
    used, philox = [], reference.philox

    def counted(counter, key):
        used.append(counter)
        return philox(counter, key)

    monkeypatch.setattr(reference, "philox", counted)
    parameters = PARAMETERS[distribution][0]
    owners = {}
    for dtype in ("float32", "float64"):
        per_block = 128 // reference.width_of(dtype)
        for kind, of in [
            ("index", [()]),
            ("key", [(0,), (1,), (2**32,), (2**32 + 1,)]),
        ]:
            make = reference.element if kind == "index" else reference.keyed_element
            for key in of:
                for i in range(4000 if kind == "index" else 1000):
                    used.clear()
                    make(distribution, dtype, SEED, *key, i, *parameters)
                    first = (dtype, key, "block", i // per_block)
                    assert owners.setdefault(used[0], first) == first
                    for attempt, counter in enumerate(used[1:], 1):
                        owner = (dtype, key, i, attempt)
                        assert owners.setdefault(counter, owner) == owner
    later = [owner for owner in owners.values() if owner[2] != "block"]
    assert len(later) > 30
    assert {len(owner[1]) for owner in later} == {0, 1}


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
