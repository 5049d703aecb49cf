"""tests/c/mocked.c shows what each ISA's kernels make of chosen words, without statistics.

First attempts, of all words where it is asked for, are compared with counts from the tables in
integers; words at every threshold are compared with tests/reference.py.  A table or a constant with
another last bit would show in these words, which is tested too.
"""

import math
import os
import random
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from functools import cache
from itertools import product

import numpy as np
import programs
import pytest
import reference
from fills import FLOATS, assert_same_bits
from reference import NORMAL, TRUNCATED, gen_ziggurat, ziggurat

from fastinit import _kernels

LAYERS = 256
TAGS = {"uniform": None, "normal": NORMAL, "truncated": TRUNCATED}
tags = pytest.mark.parametrize("tag", [NORMAL, TRUNCATED], ids=["normal", "truncated"])


# All words


SPANS = 2**16  # of 2^16 words each: all low 8 bits, 256 of the high 24 bits


def exact_edges(distribution):
    """Return how many layers are inscribed, and the edges (integer below 2^24, exponent of 2)."""
    if distribution == "uniform":
        return LAYERS, [(1, -24)] * LAYERS
    z = ziggurat(None if distribution == "normal" else Decimal(2))
    edges = []
    for x in z["edge"]:
        numerator, denominator = float.fromhex(
            gen_ziggurat.single(x / 2**24).rstrip("f")
        ).as_integer_ratio()
        edges.append((numerator, 1 - denominator.bit_length()))
    return z["inscribed"], edges


def rounded_to_24_bits(n):
    """Round an integer to nearest, halves to even, in integers."""
    excess = max(abs(n).bit_length() - 24, 0)
    quotient, rest = divmod(abs(n), 1 << excess)
    half = 1 << excess >> 1
    if excess and (rest > half or (rest == half and quotient % 2)):
        quotient += 1
    return math.copysign(1, n) * (quotient << excess)


def expected_counts(distribution, step):
    """Return what `mocked count` should print, from the layers' edges alone."""
    spans = range(0, SPANS, step)
    last = 256 * spans[-1] + 255
    if distribution == "uniform":
        multiples, negative, nearest = (0, last), 0, 0
    else:
        last_positive = 256 * [i for i in spans if i < SPANS // 2][-1] + 255
        first_negative = 256 * next(i for i in spans if i >= SPANS // 2)
        multiples = (2 * (first_negative - 2**24) + 1, 2 * last_positive + 1)
        negative = 256 * sum(i >= SPANS // 2 for i in spans)
        nearest = 1
    inscribed, edges = exact_edges(distribution)
    lines = []
    for layer, (edge, exponent) in enumerate(edges):
        if layer < inscribed:
            extremes = [
                rounded_to_24_bits(multiple * edge) * 2.0**exponent
                for multiple in (*multiples, nearest)
            ]
            lines.append((256 * len(spans), negative, 0, *extremes))
        else:
            lines.append((0, 0, 0, None, None, None))
    return lines


def counts(machine, isa, distribution, step):
    """Return what `mocked count` prints."""
    _, edges = exact_edges(distribution)
    numbers = [edge * 2.0**exponent for edge, exponent in edges]
    again = 0.0
    if distribution != "uniform":
        again = float(np.float32(reference.later_attempt(TAGS[distribution], 100, 0, 0, 0)[0]))
    data = "\n".join(x.hex() for x in [*numbers, again]).encode()
    printed = programs.run(machine, "mocked", "count", isa, f"{distribution}_f32", step, data=data)
    lines = []
    for line in printed.decode().splitlines():
        accepted, negative, wrong, *extremes = line.split()
        values = map(float.fromhex, extremes) if int(accepted) else [None] * 3
        lines.append((int(accepted), int(negative), int(wrong), *values))
    return lines


EMULATED = "neon, emulated"
STEP = 64  # The default run takes one span in 64.


@pytest.mark.parametrize("distribution", TAGS)
def test_first_attempts(isa, distribution):
    assert counts(programs.native(), isa, distribution, STEP) == expected_counts(distribution, STEP)


@pytest.fixture(scope="module")
def all_counts():
    """Count all words of every kernel, on as many processors as there are.

    Each kernel here takes some 10 s, NEON's some minutes.
    """
    machines = {isa: programs.native() for isa in _kernels.isas()}
    machines[EMULATED] = programs.aarch64()
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        return {
            (name, distribution): pool.submit(counts, machine, name.split(",")[0], distribution, 1)
            for (name, machine), distribution in product(machines.items(), TAGS)
        }


@pytest.mark.exhaustive
@pytest.mark.parametrize("distribution", TAGS)
@pytest.mark.parametrize("name", [*_kernels.isas(), EMULATED])
def test_all_first_attempts(all_counts, name, distribution):
    assert all_counts[name, distribution].result() == expected_counts(distribution, 1)


# Chosen words


def values(machine, isa, distribution, dtype, parameters, records):
    """Return the elements of records (first attempt's bits, second attempt, third and further)."""
    words = [(first & 0xFFFFFFFF, first >> 32, *second, *third) for first, second, third in records]
    p, q = map(repr, parameters)
    function = f"{distribution}_{dtype.replace('loat', '')}"
    data = np.array(words, "<u4").tobytes()
    printed = programs.run(machine, "mocked", "values", isa, function, p, q, data=data)
    return np.frombuffer(printed, dtype)


def expected_values(distribution, dtype, parameters, records):
    return np.array(
        [
            reference.value_of(distribution, dtype, first, iter((second, third)), *parameters)
            for first, second, third in records
        ],
        dtype,
    )


def block(x0, u, v, negative=0):
    """Return the words of a later attempt with these 52 bits of u, and upper 43 of 52 bits of v."""
    return x0, u >> 20, v >> 11, u % 2**20 | v % 2**11 << 20 | negative << 31


# These are accepted at once, with values that nothing else here has.
SECOND, THIRD = block(100, 2**51 + 12345, 1), block(101, 2**51 + 54321, 2, 1)


@cache
def first_attempts(width):
    """Return every layer with the least, the middle and the largest of the other bits."""
    top = width - 8
    others = {0, 1, 2, 2**top - 1, 2**top - 2, 2 ** (top - 1), 2 ** (top - 1) - 1}
    others |= {1 << i for i in range(top)}
    others |= {2**top - 1 - (1 << i) for i in range(top)}
    return [(other << 8 | layer, SECOND, THIRD) for layer in range(LAYERS) for other in others]


FIRST_PARAMETERS = {
    "uniform": [(0.0, 1.0), (-0.05, 0.05), (0.1, 0.1 + 2**-25), (16777216.0, 16777219.0)],
    "normal": [(0.0, 1.0), (0.3, 0.05)],
    "truncated": [(0.0, 1.0), (0.3, 0.05), (1e8, 3.0)],
}


@cache
def expected_first(distribution, dtype, parameters):
    records = first_attempts(reference.width_of(dtype))
    return expected_values(distribution, dtype, parameters, records)


@pytest.fixture(
    params=[*_kernels.isas(), pytest.param(EMULATED, marks=pytest.mark.exhaustive)],
)
def variant(request):
    """Return the machine and the ISA."""
    if request.param == EMULATED:
        return programs.aarch64(), "neon"
    return programs.native(), request.param


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("distribution", TAGS)
def test_first_attempts_at_the_edges(variant, distribution, dtype):
    records = first_attempts(reference.width_of(dtype))
    for parameters in FIRST_PARAMETERS[distribution]:
        if dtype == "float16" and max(parameters) > 65504:
            continue
        found = values(*variant, distribution, dtype, parameters, records)
        assert_same_bits(found, expected_first(distribution, dtype, parameters))


# Later attempts


def regions(tag):
    t = reference.tables(tag)
    return [i for i in range(t.inscribed + 1) if t.width[i] or (t.has_tail and i == 0)]


def word_of_region(tag, region):
    """Return an x0 that names the region."""
    alias = reference.tables(tag).alias
    if alias[region] >> 8:
        return region
    return next(c for c, a in enumerate(alias) if a % 256 == region) | 0xFFFFFF00


def accepted(tag, words):
    return reference.later_attempt(tag, *words)[0] is not None


def last_that_holds(holds, low, high):
    """Return the last integer for which a condition holds; it does at low and not at high."""
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if holds(middle) else (low, middle)
    return low


def fields(tag):
    """Yield all zeros, all ones, and each single bit changed."""
    yield from product((0, 2**32 - 1), repeat=4)
    bases = [
        SECOND,
        block(71, 2**50 + 777, 2**41, 1),
        block(word_of_region(tag, regions(tag)[0]), 2**51, 2**40),
    ]
    for base, word, bit in product(bases, range(4), range(32)):
        yield (*base[:word], base[word] ^ 1 << bit, *base[word + 1 :])


def thresholds(tag):
    """Yield both sides of the threshold of each alias column, in blocks that any region accepts."""
    for column, entry in enumerate(reference.tables(tag).alias):
        threshold = entry >> 8
        near = {0, threshold - 1, threshold, threshold + 1, 2**24 - 1}
        for x in sorted(x for x in near if 0 <= x < 2**24):
            yield block(x << 8 | column, 2**51, 0, x % 2)


def diagonals(tag, region):
    """Yield blocks with u + v at 1 and at its neighbours."""
    x0 = word_of_region(tag, region)
    for v in (0, 1, 2**20, 2**41, 2**42, 2**43 - 2**41, 2**43 - 2, 2**43 - 1):
        for d in (-1, 0, 1):
            u = 2**52 - 1 - (v << 9) + d  # u + v = 1 where d = 0
            if 0 <= u < 2**52:
                yield block(x0, u, v)


def acceptance_edges(tag, region, points):
    """Yield the last accepted v and the first refused for random u, on each side of the fold."""
    rng = random.Random(1000 * tag + region)
    x0 = word_of_region(tag, region)
    tail = reference.tables(tag).has_tail and region == 0
    for _ in range(points):
        u = rng.randrange(2**52)
        fold = (2**52 - 1 - u) >> 9  # the last v before u + v >= 1

        def below(v, u=u):
            return accepted(tag, block(x0, u, v))

        def above(v, u=u):
            return accepted(tag, block(x0, u, 2**43 - 1 - v))

        for holds, turn, size in (
            (below, 0, 2**43 if tail else fold + 1),
            (above, 2**43 - 1, 0 if tail else 2**43 - 1 - fold),
        ):
            if size > 1 and holds(0):
                last = last_that_holds(holds, 0, size)
                for v in {last, min(last + 1, size - 1)}:
                    yield block(x0, u, abs(turn - v), v % 2)


def limits(tag, region):
    """Yield blocks with z on both sides of the truncation, where a region reaches beyond it."""
    t = reference.tables(tag)
    if t.a[region] + t.width[region] > t.limit:
        x0 = word_of_region(tag, region)
        last = last_that_holds(
            lambda u: t.a[region] + (2 * u + 1) * 2.0**-53 * t.width[region] <= 2, 0, 2**52
        )
        for u in range(last - 3, last + 4):
            yield block(x0, u, 0)


def logarithms(tag):
    """Yield the tail at the ends of u, at the powers of 2 and where the logarithm is reduced."""
    if reference.tables(tag).has_tail:
        x0 = word_of_region(tag, 0)
        root = round(2**52 * reference.SQRT_HALF)
        us = {2**52 - 1 - i for i in range(4)} | {2**k + d for k in range(52) for d in (-1, 0, 1)}
        us |= {(root >> k) + d for k in range(40) for d in (-2, -1, 0, 1, 2)}
        rng = random.Random(1)
        us |= {rng.randrange(2**52) for _ in range(2000)}
        for u in sorted(us):
            yield block(x0, u, 0)


@cache
def blocks_of_region(tag, region):
    found = [*diagonals(tag, region), *limits(tag, region)]
    tail = reference.tables(tag).has_tail and region == 0
    return [*found, *acceptance_edges(tag, region, 2000 if tail else 12)]


@cache
def later_attempts(tag):
    """Return records whose second attempt is what is tried; if it is refused, the third shows."""
    blocks = [*fields(tag), *thresholds(tag), *logarithms(tag)]
    for region in regions(tag):
        blocks += blocks_of_region(tag, region)
    return [(2**64 - 1, words, THIRD) for words in blocks]  # layer 255, refused


@cache
def expected_later(tag):
    """Return the values in float64, which float32 rounds once."""
    distribution = reference.NAMES[tag]
    return expected_values(distribution, "float64", (0.0, 1.0), later_attempts(tag))


@tags
def test_later_attempts_at_the_edges(variant, tag):
    distribution, records, z = reference.NAMES[tag], later_attempts(tag), expected_later(tag)
    found = values(*variant, distribution, "float64", (0.0, 1.0), records)
    assert_same_bits(found, z)
    found = values(*variant, distribution, "float32", (0.0, 1.0), records)
    assert_same_bits(found, z.astype("float32"))


@tags
def test_what_the_later_attempts_hold(tag):
    """Each edge has both answers, and every region and every column is there."""
    records = later_attempts(tag)
    draws = [reference.later_attempt(tag, *second) for _, second, _ in records]
    third = reference.later_attempt(tag, *THIRD)[0]
    assert third not in [z for z, _ in draws]
    assert {region for z, region in draws if z is not None} == set(regions(tag))
    assert {region for z, region in draws if z is None} >= set(regions(tag))
    assert {second[0] % 256 for _, second, _ in records} == set(range(LAYERS))


# That they would show a fault


def change(monkeypatch, tag, field, i, by=None):
    """Add something to an entry of the reference's tables, or one unit in its last place."""
    entries = list(getattr(reference.tables(tag), field))
    up = np.nextafter(entries[i], type(entries[i])(math.inf))
    entries[i] = up if by is None else entries[i] + by
    monkeypatch.setattr(reference.tables(tag), field, entries)


@tags
@pytest.mark.parametrize("field", ["edge_f32", "edge_f64"])
def test_an_edge_with_another_last_bit_would_show(monkeypatch, tag, field):
    distribution, width, dtype = reference.NAMES[tag], int(field[-2:]), f"float{field[-2:]}"
    expected = expected_first(distribution, dtype, (0.0, 1.0))
    records = first_attempts(width)
    for layer in range(reference.tables(tag).inscribed):
        own = [i for i, record in enumerate(records) if record[0] % LAYERS == layer]
        with monkeypatch.context() as m:
            change(m, tag, field, layer)
            z = [reference.first_attempt(tag, width, records[i][0]) for i in own]
        assert not np.array_equal(z, expected[own])


# The last bits of the other entries are, in places, below what any words can show; test_tables.py
# compares them.
ENTRIES = {"a": None, "width": 2.0**-50, "y0": 2.0**-50, "height": 2.0**-50}


@tags
@pytest.mark.parametrize("field", ENTRIES)
def test_another_entry_of_a_region_would_show(monkeypatch, tag, field):
    for region in regions(tag):
        t = reference.tables(tag)
        if (t.has_tail and region == 0) or (field == "a" and not t.a[region]):
            continue  # its numbers are x0 and the inverse, below; the cap's zero
        blocks = blocks_of_region(tag, region)
        expected = [reference.later_attempt(tag, *words) for words in blocks]
        with monkeypatch.context() as m:
            change(m, tag, field, region, ENTRIES[field])
            found = [reference.later_attempt(tag, *words) for words in blocks]
        assert found != expected, f"region {region}"


@tags
def test_a_threshold_that_is_one_off_would_show(monkeypatch, tag):
    alias = reference.tables(tag).alias
    blocks = list(thresholds(tag))
    expected = {words: reference.later_attempt(tag, *words) for words in blocks}
    for column, entry in enumerate(alias):
        if entry % 256 == column:
            continue  # its own alias: the threshold decides nothing
        own = [words for words in blocks if words[0] % LAYERS == column]
        for off in (-1, 1):
            changed = [*alias[:column], entry + (off << 8), *alias[column + 1 :]]
            if changed[column] < 0:
                continue
            with monkeypatch.context() as m:
                m.setattr(reference.tables(tag), "alias", changed)
                assert any(reference.later_attempt(tag, *w) != expected[w] for w in own)


@pytest.mark.parametrize("name", ["LN_2", "LN_2_HIGH", "x0", "inverse_x0"])
def test_a_constant_with_another_last_bit_would_show(monkeypatch, name):
    blocks = [second for _, second, _ in later_attempts(NORMAL)]
    expected = [reference.later_attempt(NORMAL, *words) for words in blocks]
    owner = reference.tables(NORMAL) if hasattr(reference.tables(NORMAL), name) else reference
    monkeypatch.setattr(owner, name, math.nextafter(getattr(owner, name), math.inf))
    assert [reference.later_attempt(NORMAL, *words) for words in blocks] != expected
