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
from itertools import chain, product, repeat

import numpy as np
import programs
import pytest
import reference
from fills import FLOATS, assert_same_bits
from reference import NORMAL, TRUNCATED, WORD, gen_ziggurat, ziggurat

from fastinit import _kernels

LAYERS = reference.LAYERS
TAGS = {"uniform": None, "normal": NORMAL, "truncated": TRUNCATED}
tags = pytest.mark.parametrize("tag", [NORMAL, TRUNCATED], ids=["normal", "truncated"])


# All words


SPANS = 2**16  # of 2^16 words each: all low 10 bits, 64 of the high 22 bits
LINES = 2**16 // LAYERS  # of a span


def exact_edges(distribution):
    """Return how many names are inscribed, and the edges (integer below 2^24, exponent of 2)."""
    if distribution == "uniform":
        return LAYERS, [(1, -31)] * LAYERS
    z = ziggurat(None if distribution == "normal" else Decimal(2))
    edges = []
    for x in gen_ziggurat.by_name(
        z["edge"], z["limit"], gen_ziggurat.edge_f32, gen_ziggurat.edge_f32_below
    ):
        numerator, denominator = float.fromhex(x.rstrip("f")).as_integer_ratio()
        edges.append((numerator, 1 - denominator.bit_length()))
    return z["inscribed"], edges


def rounded_to_24_bits(n):
    """Round an integer to nearest, halves to even, in integers."""
    excess = max(abs(n).bit_length() - 24, 0)
    quotient, rest = divmod(abs(n), 1 << excess)
    half = 1 << excess >> 1
    if excess and (rest > half or (rest == half and quotient % 2)):
        quotient += 1
    return int(math.copysign(1, n)) * (quotient << excess)


def expected_counts(distribution, step):
    """Return what `mocked count` should print, from the edges alone."""
    spans = range(0, SPANS, step)
    negative_spans = [] if distribution == "uniform" else [i for i in spans if i >= SPANS // 2]
    positive_spans = spans[: len(spans) - len(negative_spans)]
    inscribed, edges = exact_edges(distribution)
    lines = []
    for name, (edge, exponent) in enumerate(edges):
        if name >= inscribed:
            lines.append((0, 0, 0, None, None, None))
            continue

        def magnitude(high, name=name, edge=edge, exponent=exponent):
            word = LAYERS * high + name
            odd = (word >> 1 if distribution == "uniform" else word) | 1
            return rounded_to_24_bits(rounded_to_24_bits(odd) * edge) * 2.0**exponent

        # The magnitude grows with the high 22 bits, of which a negative word has the complement.
        nearest = magnitude(LINES * positive_spans[0])
        least, greatest = nearest, magnitude(LINES * positive_spans[-1] + LINES - 1)
        if negative_spans:
            farthest, last = (SPANS - 1 - negative_spans[i] for i in (0, -1))
            least = -magnitude(LINES * farthest + LINES - 1)
            nearest = min(nearest, magnitude(LINES * last))
        elif greatest == 1:
            greatest = 1 - 2.0**-24  # A uniform is held below 1.
        negative = LINES * len(negative_spans)
        lines.append((LINES * len(spans), negative, 0, least, greatest, nearest))
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


LAYOUTS = ("long", "short", "keyed")


@cache
def packed(records):
    """Return records (first attempt's bits, second attempt, third, fourth and further) as bytes."""
    words = [(first & WORD, first >> 32, *sum(later, ())) for first, *later in records]
    return np.array(words, "<u4").tobytes()


def values(machine, isa, distribution, dtype, parameters, records, layout="long"):
    """Return the elements of records, and how many attempts each of them had."""
    function = f"{distribution}_{dtype.replace('loat', '')}"
    arguments = map(repr, parameters)
    data = packed(records)
    printed = programs.run(
        machine, "mocked", "values", isa, function, layout, *arguments, data=data
    )
    return np.frombuffer(printed[: -len(records)], dtype), list(printed[-len(records) :])


def later_of(record):
    """Yield the blocks of the later attempts."""
    return chain(record[1:], repeat(record[-1]))


def expected_values(distribution, dtype, parameters, records):
    return np.array(
        [
            reference.value_of(distribution, dtype, record[0], later_of(record), *parameters)
            for record in records
        ],
        dtype,
    )


@cache
def expected_attempts(distribution, width, bounds, records):
    """Return how many attempts each element has; a uniform has one."""
    if distribution == "uniform":
        return [1] * len(records)
    if distribution == "between":
        t = reference.window(*bounds)
        return [
            reference.draw_between(t, width, record[0], later_of(record)).attempts
            for record in records
        ]
    return [
        reference.draw(TAGS[distribution], width, record[0], later_of(record)).attempts
        for record in records
    ]


def in_rows(records):
    """Return them as a tuple with as many more as the spans of 7 elements need."""
    return (*records, *records[:1] * (-len(records) % 7))


def block(x0, u, v, negative=0):
    """Return the words of a later attempt with these 52 bits of u, and upper 43 of 52 bits of v."""
    return x0, u >> 20, v >> 11, u % 2**20 | v % 2**11 << 20 | negative << 31


# These are accepted, with values that nothing else here has.
SECOND, THIRD = block(100, 2**51 + 12345, 1), block(101, 2**51 + 54321, 2, 1)


@cache
def first_attempts(width):
    """Return every name with the least, the middle and the largest of the other bits."""
    top = width - LAYERS.bit_length() + 1
    others = {0, 1, 2, 2**top - 1, 2**top - 2, 2 ** (top - 1), 2 ** (top - 1) - 1}
    others |= {1 << i for i in range(top)}
    others |= {2**top - 1 - (1 << i) for i in range(top)}
    return in_rows(
        [
            (other * LAYERS | name, SECOND, THIRD, THIRD)
            for name in range(LAYERS)
            for other in sorted(others)
        ]
    )


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
    width = reference.width_of(dtype)
    records = first_attempts(width)
    for parameters in FIRST_PARAMETERS[distribution]:
        if dtype == "float16" and max(parameters) > 65504:
            continue
        for layout in LAYOUTS:
            found, attempts = values(*variant, distribution, dtype, parameters, records, layout)
            assert_same_bits(found, expected_first(distribution, dtype, parameters))
            assert attempts == expected_attempts(distribution, width, (), records)


# Later attempts


def regions(tag):
    t = reference.tables(tag)
    return [i for i in range(t.inscribed + 1) if t.width[i] or (t.has_tail and i == 0)]


def word_of_region(tag, region):
    """Return an x0 that names the region."""
    alias = reference.tables(tag).alias
    if alias[region] // LAYERS:
        return region
    return next(c for c, a in enumerate(alias) if a % LAYERS == region) | WORD - (LAYERS - 1)


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
        threshold, end = entry // LAYERS, 2**32 // LAYERS
        near = {0, threshold - 1, threshold, threshold + 1, end - 1}
        for x in sorted(x for x in near if 0 <= x < end):
            yield block(x * LAYERS | column, 2**51, 0, x % 2)


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
    # The last name is refused; as 32 bits, too, the number is not negative.
    return in_rows([(2**31 - 1, words, THIRD, THIRD) for words in blocks])


@cache
def expected_later(tag):
    """Return the values in float64, which float32 rounds once."""
    distribution = reference.NAMES[tag]
    return expected_values(distribution, "float64", (0.0, 1.0), later_attempts(tag))


@tags
def test_later_attempts_at_the_edges(variant, tag):
    distribution, records, z = reference.NAMES[tag], later_attempts(tag), expected_later(tag)
    attempts = expected_attempts(distribution, 64, (), records)
    for dtype, layout in product(("float64", "float32"), LAYOUTS):
        found, asked = values(*variant, distribution, dtype, (0.0, 1.0), records, layout)
        assert_same_bits(found, z.astype(dtype))
        assert asked == attempts


@tags
def test_what_the_later_attempts_hold(tag):
    """Each edge has both answers, and every region and every column is there."""
    records = later_attempts(tag)
    draws = [reference.later_attempt(tag, *second) for _, second, *_ in records]
    third = reference.later_attempt(tag, *THIRD)[0]
    assert third not in [z for z, _ in draws]
    assert {region for z, region in draws if z is not None} == set(regions(tag))
    assert {region for z, region in draws if z is None} >= set(regions(tag))
    assert {second[0] % LAYERS for _, second, *_ in records} == set(range(LAYERS))


# Normals between bounds

WINDOWS = [
    (-math.inf, math.inf),
    (-3.0, 3.0),
    (-0.5, 2.5),
    (-6.0, 5.0),  # Both tails end.
    (0.0, math.inf),
    (-2.0, 0.0),
    (1.0, 1.0001),
    (4.0, math.inf),
    (-math.inf, -1.0),
    (-9.0, -2.0),
]
windows = pytest.mark.parametrize("bounds", WINDOWS, ids=str)
WINDOW = np.dtype(
    [
        ("start", "<f8"),
        ("slope", "<f8"),
        ("width_f32", "<f4", reference.NAMES_BETWEEN),
        ("inner_f32", "<f4", reference.NAMES_BETWEEN),
        ("width_f64", "<f8", reference.NAMES_BETWEEN),
        ("inner_f64", "<f8", reference.NAMES_BETWEEN),
        ("layer", "<f8", (reference.NAMES_BETWEEN, 4)),
    ]
)
# These name the lowest layer of the right side, or of the only one, and are accepted.
THIRD_BETWEEN, FOURTH_BETWEEN = block(0, 2**51 + 12345, 1), block(0, 2**50 + 54321, 2, 1)
LAST_V = 2**43 - 1


def assert_window_is_the_references(machine, isa, bounds):
    printed = programs.run(machine, "mocked", "window", isa, *map(repr, bounds))
    (found,) = np.frombuffer(printed, WINDOW)
    t = reference.window(*bounds)
    for field in WINDOW.names:
        assert_same_bits(found[field], np.array(getattr(t, field), found[field].dtype))


@windows
def test_window_is_the_references(variant, bounds):
    assert_window_is_the_references(*variant, bounds)


def random_windows(n):
    """Yield bounds of all magnitudes, on both sides of 0 and on one."""
    rng = random.Random(7)
    for _ in range(n):
        near, wide = (rng.choice((-1, 1)) * 2.0 ** rng.uniform(-40, 10) for _ in range(2))
        lower, upper = min(near, near + wide), max(near, near + wide)
        yield rng.choice(((lower, upper), (-abs(near), abs(wide)), (near, math.inf)))


def test_random_windows_are_the_references():
    for bounds in [(2.0**100, math.inf), (-(2.0**-900), 0.0), *random_windows(200)]:
        assert_window_is_the_references(programs.native(), "portable", bounds)


def places(width):
    """Return how many places a word names between the ends of its layer."""
    return 2 ** (width - 9) if width == 32 else 2 ** (width - 12)


def word_between(width, name, place, unused=0):
    """Return the first attempt's bits for this name; at 64 bits, three bits are not used."""
    return place << 9 | name if width == 32 else place << 12 | unused << 9 | name


def first_beyond(t, width, name):
    """Return the least place that is not accepted at once."""

    def at_once(place):
        return reference.first_between(t, width, word_between(width, name, place)) is not None

    return last_that_holds(at_once, 0, places(width)) + 1 if at_once(0) else 0


@cache
def first_between(bounds, width):
    """Return every name with places at its ends, at its threshold, and of single bits.

    The second attempt accepts what is beyond the threshold, but for names that have no layer.
    """
    t, top = reference.window(*bounds), places(width)
    rng = random.Random(width)
    bits = [1 << i for i in range(top.bit_length() - 1)]
    records = []
    for name in range(reference.NAMES_BETWEEN):
        edge = first_beyond(t, width, name)
        at = {0, 1, top // 2, top - 2, top - 1, *(edge + d for d in (-2, -1, 0, 1))}
        at |= {rng.choice(bits), top - 1 - rng.choice(bits), rng.randrange(top)}
        # Below powers of 2 a product shows the last bit of the width, however it is rounded.
        at |= {2 ** (edge.bit_length() - k) - 1 for k in (1, 2, 3) if edge >= 8}
        for place in sorted(p for p in at if 0 <= p < top):
            word = word_between(width, name, place, rng.randrange(8))
            second = block(rng.randrange(2**32), rng.randrange(2**52), 0, place % 2)
            records.append((word, second, THIRD_BETWEEN, FOURTH_BETWEEN))
    return in_rows(records)


@cache
def expected_between(bounds, dtype, mean_and_stddev):
    records = first_between(bounds, reference.width_of(dtype))
    return expected_values("between", dtype, (*mean_and_stddev, *bounds), records)


@pytest.mark.parametrize("dtype", FLOATS)
@windows
def test_first_attempts_between_at_the_edges(variant, bounds, dtype):
    width = reference.width_of(dtype)
    records = first_between(bounds, width)
    for shift in ((0.0, 1.0), (0.3, 0.05)) if dtype in ("float32", "float64") else [(0.3, 0.05)]:
        for layout in LAYOUTS:
            parameters = (*shift, *bounds)
            found, attempts = values(*variant, "between", dtype, parameters, records, layout)
            assert_same_bits(found, expected_between(bounds, dtype, shift))
            assert attempts == expected_attempts("between", width, bounds, records)


def last_accepted_v(t, width, word, x0, u):
    """Return the last v that is accepted; None if there is none."""

    def holds(v):
        return reference.later_between(t, width, word, *block(x0, u, v)) is not None

    if not holds(0):
        return None
    return LAST_V if holds(LAST_V) else last_that_holds(holds, 0, LAST_V)


def tail_points(t, name):
    """Return the u of a tail: powers of 2, where the logarithm is reduced, and at its far end."""
    root = round(2**52 * reference.SQRT_HALF)
    us = {2**52 - 1, 2**52 - 2, *(2**k + d for k in range(52) for d in (-1, 0, 1))}
    us |= {(root >> k) + d for k in range(40) for d in (-1, 0, 1)}
    rng = random.Random(name)
    us |= {rng.randrange(2**52) for _ in range(200)}
    _, inverse_rate, _, beyond = t.layer[name]
    if beyond < math.inf:

        def outside(u):
            return reference.minus_log((2 * u + 1) * 2.0**-53) * inverse_rate > beyond

        if outside(0):
            last = last_that_holds(outside, 0, 2**52 - 1)
            us |= {last + d for d in range(-3, 4) if last + d >= 0}
    return sorted(us)


def refused_between(bounds, width):
    """Return a first attempt's bits and a second attempt that are refused."""
    t = reference.window(*bounds)
    for name in range(reference.NAMES_BETWEEN):
        word, second = word_between(width, name, places(width) - 1), block(0, 0, LAST_V)
        if reference.later_between(t, width, word, *second) is None:
            return word, second
    raise AssertionError("every second attempt is accepted")


def edges_of_acceptance(t, width, word, x0, u):
    """Yield blocks with the last accepted v and with the first refused."""
    last = last_accepted_v(t, width, word, x0, u)
    for v in {0} if last is None else {last, min(last + 1, LAST_V)}:
        yield block(x0, u, v, v % 2)


@cache
def thirds_between(bounds):
    """Return blocks for later attempts that have a place of their own, those after the second."""
    t, rng = reference.window(*bounds), random.Random(3)
    found = []
    for name in range(reference.NAMES_BETWEEN):
        inside = min(int(t.inner_f64[name] * 2**52), 2**52 - 1)
        us = {0, 2**52 - 1, inside, *(rng.randrange(inside, 2**52) for _ in range(6))}
        for u in tail_points(t, name) if t.layer[name][3] > 0 else sorted(us):
            found += edges_of_acceptance(t, 64, None, rng.randrange(2**23) << 9 | name, u)
    return found


@cache
def later_between(bounds, width):
    """Return records of every name at the last accepted v and the first refused.

    Some are second attempts, which test the place of the first; the others are third ones.
    """
    t, top = reference.window(*bounds), places(width)
    rng = random.Random(width + 1)
    refused = refused_between(bounds, width)
    records = [(*refused, third, FOURTH_BETWEEN) for third in thirds_between(bounds)]
    for name in range(reference.NAMES_BETWEEN):
        edge = first_beyond(t, width, name)
        if t.layer[name][3] > 0:
            points = [(rng.randrange(top), u) for u in tail_points(t, name)]
        else:
            at = {min(edge + rng.randrange(1, 9), top - 1), top - 1}
            at |= {rng.randrange(min(edge, top - 1), top) for _ in range(5)}
            points = [(place, rng.randrange(2**52)) for place in sorted(at)]
        for place, u in points:
            word = word_between(width, name, place, rng.randrange(8))
            for second in edges_of_acceptance(t, width, word, rng.randrange(2**32), u):
                records.append((word, second, THIRD_BETWEEN, FOURTH_BETWEEN))
    return in_rows(records)


@cache
def expected_later_between(bounds, dtype):
    records = later_between(bounds, reference.width_of(dtype))
    return expected_values("between", dtype, (0.0, 1.0, *bounds), records)


some_windows = pytest.mark.parametrize(
    "bounds",
    [
        *WINDOWS[1:5],
        *(
            pytest.param(bounds, marks=pytest.mark.exhaustive)
            for bounds in WINDOWS[:1] + WINDOWS[5:]
        ),
    ],
    ids=str,
)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@some_windows
def test_later_attempts_between_at_the_edges(variant, bounds, dtype):
    width, parameters = reference.width_of(dtype), (0.0, 1.0, *bounds)
    records = later_between(bounds, width)
    for layout in LAYOUTS:
        found, attempts = values(*variant, "between", dtype, parameters, records, layout)
        assert_same_bits(found, expected_later_between(bounds, dtype))
        assert attempts == expected_attempts("between", width, bounds, records)


@pytest.mark.parametrize("width", [32, 64])
@windows
def test_what_the_attempts_between_hold(bounds, width):
    """Each edge has both answers, and every name is there."""
    t, names = reference.window(*bounds), range(reference.NAMES_BETWEEN)
    empty = {name for name in names if t.layer[name] == (0.0, 2.0, 0.0, 0.0)}
    tails = {name for name in names if t.layer[name][3] > 0}
    at_once = {name for name in names if t.inner_f64[name] > 0}
    whole = {name for name in names if t.inner_f64[name] == 1}  # These lie below the curve.
    assert len(tails) == t.tails
    assert at_once.isdisjoint(empty | tails)

    found = {True: set(), False: set()}
    for word, *_ in first_between(bounds, width):
        found[reference.first_between(t, width, word) is not None].add(word % 512)
    assert found[True] == at_once
    assert found[False] >= set(names) - whole

    seconds, thirds = {True: set(), False: set()}, {True: set(), False: set()}
    for word, second, third, _ in later_between(bounds, width):
        if third == THIRD_BETWEEN:
            z = reference.later_between(t, width, word, *second)
            seconds[z is not None].add(word % 512)
        else:
            z = reference.later_between(t, width, None, *third)
            thirds[z is not None].add(third[0] % 512)
    for answers in seconds, thirds:
        assert answers[True] == set(names) - empty
        assert answers[False] >= set(names) - whole


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
    own_of = [[] for _ in range(LAYERS)]
    for i, (word, *_) in enumerate(records):
        own_of[reference.layer_of(width, word)].append(i)
    for name, own in enumerate(own_of[: reference.tables(tag).inscribed]):
        with monkeypatch.context() as m:
            change(m, tag, field, name)
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
        if entry % LAYERS == column:
            continue  # its own alias: the threshold decides nothing
        own = [words for words in blocks if words[0] % LAYERS == column]
        for off in (-1, 1):
            changed = [*alias[:column], entry + off * LAYERS, *alias[column + 1 :]]
            if changed[column] < 0:
                continue
            with monkeypatch.context() as m:
                m.setattr(reference.tables(tag), "alias", changed)
                assert any(reference.later_attempt(tag, *w) != expected[w] for w in own)


@pytest.mark.parametrize("name", ["LN_2", "LN_2_HIGH", "x0", "inverse_x0"])
def test_a_constant_with_another_last_bit_would_show(monkeypatch, name):
    blocks = [second for _, second, *_ in later_attempts(NORMAL)]
    expected = [reference.later_attempt(NORMAL, *words) for words in blocks]
    owner = reference.tables(NORMAL) if hasattr(reference.tables(NORMAL), name) else reference
    monkeypatch.setattr(owner, name, math.nextafter(getattr(owner, name), math.inf))
    assert [reference.later_attempt(NORMAL, *words) for words in blocks] != expected


def own_between(records, place):
    """Return the records by the names in their first (place 0) or third attempts (place 2)."""
    own = [[] for _ in range(reference.NAMES_BETWEEN)]
    for record in records:
        own[(record[2][0] if place else record[0]) % 512].append(record)
    return own


@pytest.mark.parametrize("field", ["width_f32", "width_f64", "inner_f32", "inner_f64"])
@windows
def test_an_entry_for_first_attempts_between_would_show(monkeypatch, bounds, field):
    """The least change that every name shows.

    It is one unit of the last place of a width if the window starts at 0; else the sum drops some.
    The words of a name are not as close as the float32 numbers are that its threshold may be.
    """
    t, width = reference.window(*bounds), int(field[-2:])
    entries = getattr(t, field)
    for name, own in enumerate(own_between(first_between(bounds, width), 0)):
        if not t.inner_f64[name] or (field.startswith("inner") and t.inner_f64[name] == 1):
            continue
        expected = [reference.first_between(t, width, word) for word, *_ in own]
        real = type(entries[name])
        if field.startswith("inner"):
            changed = entries[name] + real(2.0**9 if width == 32 else 2.0**-52)  # next place
        elif t.start:
            unit = np.spacing(real(abs(t.start))) * (2.0**-31 if width == 32 else 1)
            changed = entries[name] + real(4 * unit)
        else:
            changed = np.nextafter(entries[name], real(math.inf))
        with monkeypatch.context() as m:
            m.setattr(t, field, [*entries[:name], changed, *entries[name + 1 :]])
            found = [reference.first_between(t, width, word) for word, *_ in own]
        assert found != expected, f"name {name}"


@pytest.mark.parametrize("j", range(4), ids=["width", "floor", "height", "beyond"])
@pytest.mark.parametrize("attempt", [2, 3])
@windows
def test_an_entry_for_later_attempts_between_would_show(monkeypatch, bounds, attempt, j):
    t = reference.window(*bounds)
    for name, own in enumerate(own_between(later_between(bounds, 64), 0 if attempt == 2 else 2)):
        layer = t.layer[name]
        own = [r for r in own if (r[2] == THIRD_BETWEEN) == (attempt == 2)]
        whole = t.inner_f64[name] == 1  # All is accepted: neither floor nor height decides.
        if not own or not layer[0] or layer[j] in (0, math.inf) or (whole and j in (1, 2)):
            continue

        def draws(own=own):
            if attempt == 2:
                return [reference.later_between(t, 64, word, *block) for word, block, *_ in own]
            return [reference.later_between(t, 64, None, *block) for _, _, block, _ in own]

        expected = draws()
        unit = layer[2] * 2.0**-43  # of v
        least = [
            max(2.0**-50, 4 * math.ulp(t.start)),
            2.0**-50 if layer[3] else max(2.0**-51, 4 * unit),
            2.0**5 * unit,
            layer[1] * 2.0**-50 * math.exp(layer[3] / layer[1]) if layer[3] else 0.0,
        ]
        changed = (*layer[:j], layer[j] + least[j], *layer[j + 1 :])
        with monkeypatch.context() as m:
            m.setattr(t, "layer", [*t.layer[:name], changed, *t.layer[name + 1 :]])
            assert draws() != expected, f"name {name}"


@pytest.mark.parametrize("bounds", [(4.0, math.inf), (-9.0, -2.0)])
@pytest.mark.parametrize("field", ["start", "slope"])
def test_another_start_or_slope_would_show(monkeypatch, bounds, field):
    t = reference.window(*bounds)
    records = later_between(bounds, 64)
    expected = expected_later_between(bounds, "float64")
    monkeypatch.setattr(t, field, math.nextafter(getattr(t, field), math.inf))
    assert not np.array_equal(
        expected_values("between", "float64", (0.0, 1.0, *bounds), records), expected
    )
