"""The tables of normals between bounds are Ziggurats that cover the density.

tests/reference.py makes them here; test_words.py shows that the C code makes the same bits.
"""

import math
from itertools import product

import mpmath
import numpy as np
import pytest
import reference
from mpmath import mpf

INF = math.inf
NAMES = reference.NAMES_BETWEEN
ROUNDING = 1e-14  # of some operations, each with an error of up to 2^-53 of the result
CUT = 2.0**-10  # A side ends where the density is that much of its maximum; the rest is its tail.

WINDOWS = [
    (-INF, INF),
    (-3.0, 3.0),
    (-2.0, 2.0),
    (-0.5, 2.5),
    (-6.0, 5.0),
    (-3.7, 3.75),
    (-1e-300, 1.0),
    (-1e-6, 4.0),
    (0.0, INF),
    (-INF, 0.0),
    (0.0, 1.5),
    (-2.0, 0.0),
    (1.0, 1.0001),
    (1.0, 1.5),
    (4.0, INF),
    (-INF, -1.0),
    (-9.0, -2.0),
    (-30.0, -29.0),
    (1e5, 1e5 + 1e-5),
    (2.0**-900, 2.0**-899),
    (2.0**100, INF),
]
windows = pytest.mark.parametrize("bounds", WINDOWS, ids=str)


@pytest.fixture(autouse=True)
def precision():
    with mpmath.workprec(256):
        yield


def density(slope, distance):
    """Return the density at a distance from the start of a window, as a share of the maximum."""
    return mpmath.exp(-mpf(distance) * (mpf(slope) + mpf(distance) / 2))


def distance_of(slope, share):
    """Return where the density is that share of its maximum."""
    return mpmath.sqrt(mpf(slope) ** 2 - 2 * mpmath.log(share)) - slope


def sides_of(bounds):
    """Return the start of a window, and (direction, length) of each of its sides."""
    lower, upper = map(mpf, bounds)
    if lower >= 0:
        return lower, [(1, upper - lower)]
    if upper <= 0:
        return upper, [(-1, upper - lower)]
    return mpf(0), [(1, upper), (-1, -lower)]


def close(found, exact):
    return abs(found - exact) <= ROUNDING * abs(exact)


def names():
    """Yield the names in the order in which they are given, the next one 317 further."""
    name = 0
    for _ in range(NAMES):
        yield name
        name = (name + 317) % NAMES


@windows
def test_a_window_starts_at_its_point_nearest_to_0(bounds):
    t, (start, sides) = reference.window(*bounds), sides_of(bounds)
    assert t.start == start
    assert t.slope == abs(start)
    assert len(t.sides) == len(sides)


@windows
def test_layers_have_equal_areas_and_cover_the_density(bounds):
    """A layer lies on the one below, and is as wide as the curve is at its floor."""
    t, (_, sides) = reference.window(*bounds), sides_of(bounds)
    cut = distance_of(t.slope, CUT)
    for layers, (_, length) in zip(t.sides, sides, strict=True):
        end = min(length, cut)
        y = 0
        for floor, wide, ceiling in layers:
            assert floor == y < 1
            # The ceiling is rounded as a whole, and it is the sum that is compared.
            assert close(wide * mpf(ceiling), t.area + wide * mpf(floor))
            widest = end if floor == 0 else min(end, distance_of(t.slope, floor))
            # Near the maximum the last bit of the floor alone moves the curve.
            moved = 2.0**-52 / (t.slope + float(widest)) if widest else 0
            assert abs(wide - widest) <= ROUNDING * widest + moved
            y = ceiling
        assert y >= 1


@windows
def test_numbers_of_the_names(bounds):
    """Each layer has its name, with the numbers that the attempts take; the others are redrawn."""
    t, (_, sides) = reference.window(*bounds), sides_of(bounds)
    cut = distance_of(t.slope, CUT)
    order = names()
    for layers, (direction, length) in zip(t.sides, sides, strict=True):
        end = layers[0][1]
        assert close(end, min(length, cut))
        for k, (floor, wide, ceiling) in enumerate(layers):
            name = next(order)
            assert t.layer[name][:2] == (direction * wide, floor)
            assert t.layer[name][2] == t.area / wide
            assert floor + t.layer[name][2] == ceiling
            assert t.layer[name][3] == 0
            width_f64, width_f32 = direction * wide, np.float32(direction * wide * 2.0**-31)
            if k % 2 and wide == end:  # As in the truncated normal: see gen_ziggurat.py.
                width_f64, width_f32 = (
                    np.nextafter(width_f64, 0),
                    np.nextafter(width_f32, width_f32 * 0),
                )
            assert (t.width_f64[name], t.width_f32[name]) == (width_f64, width_f32)
    for direction, length in sides:
        if length > cut:
            name = next(order)
            at, inverse_rate, factor, beyond = t.layer[name]
            assert close(at, direction * cut)
            assert close(1 / mpf(inverse_rate), t.slope + cut)
            assert beyond == INF if length == INF else abs(beyond - (length - cut)) < 1e-14 * length
            # exp(-rate b) rate times what is accepted of it, exp(-b^2 / 2) / factor, is the density
            # beyond, in units of the area of a name.
            for b in (0, 0.25, 1):
                proposed = mpmath.exp(-b / mpf(inverse_rate)) / inverse_rate
                accepted = proposed * mpmath.exp(-(mpf(b) ** 2) / 2) / factor
                assert abs(accepted * t.area / density(t.slope, cut + b) - 1) < 1e-13 * (
                    1 + t.slope
                )
            # At 1 the words of a name would just suffice; a tail is less than half a layer.
            assert factor > 2
            assert t.inner_f64[name] == t.inner_f32[name] == t.width_f64[name] == 0
    for name in order:
        assert t.layer[name] == (0, 2, 0, 0)  # Its floor is above the curve.
        assert t.inner_f64[name] == t.inner_f32[name] == t.width_f64[name] == 0


@windows
def test_inner_parts_lie_under_the_curve(bounds):
    """They reach to where the curve meets the ceiling, or the layer's end."""
    t, order = reference.window(*bounds), names()
    for floor, wide, ceiling in (layer for side in t.sides for layer in side):
        name = next(order)
        inner, inner_f32 = t.inner_f64[name], float(t.inner_f32[name])
        if ceiling >= 1:
            assert inner == 0
            assert inner_f32 == 0
            continue
        at_end = density(t.slope, inner * mpf(wide))
        assert at_end >= ceiling * (1 - ROUNDING)
        assert inner == 1 or close(at_end, ceiling)
        # A place that is rounded to float32 below inner_f32 lies below inner.
        places = inner * 2.0**31
        assert floor < ceiling
        assert 0 < inner_f32 < places
        assert places - inner_f32 < 2 * np.spacing(np.float32(places))


def tight(bounds):
    """Return how many names a window uses, and which share of all names' area is under f."""
    t, (_, sides) = reference.window(*bounds), sides_of(bounds)
    under = 0.0
    for _, length in sides:
        end = min(float(length), reference._distance(t.slope, 90.0))  # Beyond, f is below 2^-64.
        x = (NODES + 1) / 2 * end
        under += float((WEIGHTS * np.exp(-x * (t.slope + x / 2))).sum()) * end / 2
    return sum(map(len, t.sides)) + t.tails, under / (NAMES * t.area)


NODES, WEIGHTS = np.polynomial.legendre.leggauss(120)
# It is least, 0.9893, where both sides end near the cut, and tails of no size take a name each.
LEAST_ACCEPTED = 0.989


@windows
def test_areas_under_the_curve(bounds):
    """The quadrature is as exact as the test below needs it."""
    t, (_, sides) = reference.window(*bounds), sides_of(bounds)
    exact = mpf(0)
    for _, length in sides:
        end = min(length, 40 / mpf(1 + t.slope))
        exact += mpmath.quad(lambda x: density(t.slope, x), [0, end])
    assert tight(bounds)[1] * NAMES * t.area == pytest.approx(float(exact), rel=1e-9)


ENDS = [
    2.0**-900,
    2.0**-30,
    1e-3,
    0.1,
    0.5,
    1,
    1.5,
    2,
    2.5,
    3,
    3.5,
    3.7,
    3.72,
    3.73,
    3.8,
    4,
    5,
    INF,
]
STARTS = [2.0**-30, 1e-3, 0.1, 0.5, 1, 2, 3, 5, 10, 30, 1e3, 1e6, 2.0**100]
LENGTHS = [1e-3, 0.01, 0.1, 0.3, 1, 1.5, 2, 2.2, 2.4, 3, 4, INF]
GRID = [
    *[(-left, right) for left, right in product(ENDS, ENDS) if left <= right],
    *[(0.0, end) for end in ENDS],
    # These have one side, which ends at so many times the scale on which the density falls.
    *[(start, start + length / max(start, 1)) for start, length in product(STARTS, LENGTHS)],
]


def test_few_are_refused():
    """A layer is no larger than it must be: nearly all that is proposed is accepted."""
    found = {bounds: tight(bounds) for bounds in GRID if bounds[0] < bounds[1]}
    assert len(found) > 300
    least = min(found, key=lambda bounds: found[bounds][1])
    assert found[least][1] > LEAST_ACCEPTED, least
    assert max(share for _, share in found.values()) < 1 + ROUNDING
    assert {names for names, _ in found.values()} <= {NAMES - 1, NAMES}
