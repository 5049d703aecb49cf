"""The checked-in tables are what the generator makes, and what it makes is the Ziggurat."""

import math
import re
from decimal import Decimal
from functools import cache
from graphlib import TopologicalSorter
from types import SimpleNamespace

import mpmath
import numpy as np
import pytest
import reference
from mpmath import mpf
from reference import ROOT, gen_ziggurat, ziggurat

LIMITS = [None, Decimal(2)]
EXACT = Decimal(10) ** -38  # of 45 digits, some are lost on the way
LAYERS = reference.LAYERS
limits = pytest.mark.parametrize("limit", LIMITS)


def test_regenerated(capsys, monkeypatch):
    monkeypatch.setattr(gen_ziggurat, "ziggurat", ziggurat)  # computed once for all tests
    gen_ziggurat.main()
    checked_in = (ROOT / "src" / "core" / "ziggurat_tables.c").read_text(encoding="utf-8")
    assert capsys.readouterr().out == checked_in


@limits
def test_area(limit):
    bound = math.inf if limit is None else float(limit)
    area = math.sqrt(math.pi / 2) * math.erf(bound / math.sqrt(2))
    assert float(gen_ziggurat.area(limit)) == pytest.approx(area, rel=1e-15)


@limits
def test_rectangles_are_inscribed_and_of_equal_area(limit):
    z = ziggurat(limit)
    k, edge, floor = z["inscribed"], z["edge"], z["y0"]
    share = gen_ziggurat.area(limit) / LAYERS
    assert k >= LAYERS - 4
    assert floor[0] == 0
    for i in range(k):
        ceiling = floor[i + 1]
        assert abs(edge[i] * (ceiling - floor[i]) - share) < EXACT
        if edge[i] == limit:  # a plain rectangle below the curve's value at the truncation
            assert ceiling <= gen_ziggurat.f(limit)
        else:
            assert abs(gen_ziggurat.f(edge[i]) - ceiling) < EXACT
    assert len(edge) == k
    assert edge == sorted(edge, reverse=True)


@limits
def test_no_further_rectangle_fits(limit):
    """What is left above the last floor holds no rectangle of the same area."""
    z = ziggurat(limit)
    cap = z["y0"][z["inscribed"]]
    share = gen_ziggurat.area(limit) / LAYERS
    for i in range(1, 1000):
        x = gen_ziggurat.f_inverse(cap) * i / 1000
        assert x * (gen_ziggurat.f(x) - cap) < share


def regions(limit):
    z = ziggurat(limit)
    return [i for i in range(z["inscribed"] + 1) if z["width"][i]]


@limits
def test_regions_reach_from_the_rectangle_to_the_curve(limit):
    z = ziggurat(limit)
    for i in regions(limit):
        right = z["a"][i] + z["width"][i]
        assert abs(gen_ziggurat.f(right) - z["y0"][i]) < EXACT
        # One floor may lie below the curve's value at the truncation; the kernels check z <= limit.
        assert limit is None or right <= limit or i == regions(limit)[0]
        assert z["a"][i] == (z["edge"][i] if i < z["inscribed"] else 0)


@limits
def test_majorants_cover_the_curve_and_touch_it(limit):
    """The rounded numbers of the tables, which the kernels use, cover the curve."""
    t = reference.tables(reference.NORMAL if limit is None else reference.TRUNCATED)
    points = 200
    for i in regions(limit):
        over = [
            t.y0[i]
            + t.height[i] * (1 - j / points)
            - math.exp(-((t.a[i] + t.width[i] * j / points) ** 2) / 2)
            for j in range(points)  # the triangle's corner lies on the curve
        ]
        assert min(over) > -1e-15
        assert min(over) < t.height[i] * 2e-4


@limits
def test_alias_table_gives_every_region_its_weight(limit):
    z = ziggurat(limit)
    weight = [w * h / 2 for w, h in zip(z["width"], z["height"], strict=True)]
    if limit is None:  # the tail, under its exponential
        weight[0] = gen_ziggurat.f(z["x0"]) / z["x0"]
    one = 1 << gen_ziggurat.ALIAS_BITS
    got = [0] * LAYERS
    for column, entry in enumerate(z["alias"]):
        threshold, other = divmod(entry, LAYERS)
        got[column] += threshold
        got[other] += one - threshold
    assert sum(got) == LAYERS * one
    for i in range(LAYERS):
        # Half a unit for each column that was rounded; a column of its own is short of one.
        assert abs(got[i] - weight[i] / sum(weight) * LAYERS * one) < LAYERS
        assert (got[i] == 0) == (weight[i] == 0)


def test_first_attempts_reach_the_share_of_the_names():
    """McFarland 2016 has 253 of 256 names under the normal, 98.8%; of 1024 names it is 99.7%."""
    assert ziggurat(None)["inscribed"] == 1021
    assert ziggurat(Decimal(2))["inscribed"] == 1022


@limits
def test_names_of_rectangles_in_order_are_far_apart(limit):
    """All names below the number of rectangles occur, in equal steps but for those left out."""
    k = ziggurat(limit)["inscribed"]
    names = gen_ziggurat.names(k)
    assert sorted(names) == list(range(k))
    assert names[:5] == [832, 351, 894, 413, 956]
    left_out = range(k, 1024)
    place = {name: i for i, name in enumerate((832 + 543 * i) % 1024 for i in range(1024))}
    assert len(place) == 1024
    places = [place[name] for name in names]
    assert places == sorted(set(range(1024)) - {place[name] for name in left_out})


# The C file is compared with 256-bit arithmetic, from the definitions again.


BITS = 256
TINY = mpf(2) ** -240  # of 256 bits, some are lost on the way


@pytest.fixture(autouse=True)
def precision():
    with mpmath.workprec(BITS):
        yield


@cache
def checked_in(limit):
    """Return the numbers of ziggurat_tables.c as they are written there."""
    text = (ROOT / "src" / "core" / "ziggurat_tables.c").read_text(encoding="utf-8")
    name = "normal" if limit is None else "truncated"
    body = re.search(rf"fastinit_ziggurat_{name} = {{(.*?)\n}};", text, re.DOTALL)[1]
    found = SimpleNamespace()
    for field, values in re.findall(r"\.(\w+) = {?([^;]*?)}?,\n(?=    \.|$)", body + "\n"):
        words = re.findall(r"[\w.+-]+", values)
        numbers = [float.fromhex(w.rstrip("f")) if "p" in w else w for w in words]
        setattr(found, field, numbers if len(numbers) > 1 else numbers[0])
    # The edges are there by name; here they are in the order of the rectangles.
    found.names = gen_ziggurat.names(int(found.inscribed))
    for field in ("edge_f32", "edge_f64"):
        by_name = getattr(found, field)
        assert not any(by_name[len(found.names) :])
        setattr(found, field, [by_name[name] for name in found.names])
    found.alias = [int(entry, 16) for entry in found.alias]
    found.a, found.width, found.y0, found.height = (found.region[j::4] for j in range(4))
    found.inscribed, found.tails = int(found.inscribed), int(found.tails)
    return found


def density(x):
    return mpmath.exp(-x * x / 2)


def area_below(x):
    return mpmath.sqrt(mpmath.pi / 2) * mpmath.erf(x / mpmath.sqrt(2))


@cache
@mpmath.workprec(BITS)
def exact(limit):
    """Return edges, floors, right ends and least heights of the regions, and what they weigh."""
    c = checked_in(limit)
    bound = mpmath.inf if limit is None else mpf(int(limit))
    share = area_below(bound) / LAYERS
    e = SimpleNamespace(bound=bound, share=share, edge=[], floor=[mpf(0)])
    for i in range(c.inscribed):
        floor = e.floor[-1]
        if bound < mpmath.inf and floor + share / bound <= density(bound):
            x = bound
        else:
            x = mpmath.findroot(lambda x, y=floor: x * (density(x) - y) - share, c.edge_f64[i])
            assert density(x) * (1 - x * x) < floor  # of two such rectangles the wider
        e.edge.append(x)
        e.floor.append(floor + share / x)
    e.left = [*e.edge, mpf(0)]
    e.regions = [i for i in range(c.inscribed + 1) if i >= c.tails and e.left[i] != bound]
    e.right = {i: mpmath.sqrt(-2 * mpmath.log(e.floor[i])) for i in e.regions}
    e.height = {i: least_height(e.left[i], e.right[i], e.floor[i]) for i in e.regions}
    e.weight = [mpf(0)] * LAYERS
    if c.tails:
        e.weight[0] = density(e.edge[0]) / e.edge[0]
    for i in e.regions:
        e.weight[i] = (e.right[i] - e.left[i]) * e.height[i] / 2
    return e


def least_height(a, b, y):
    """Return the least height of a triangle over [a, b] and y that covers the curve."""

    def needed(x):
        return (density(x) - y) * (b - a) / (b - x)

    candidates = [needed(a), b * density(b) * (b - a)]
    if a < 1 < b:  # the inflection inside: the derivative of needed() may have a root
        slope = [density(x) - y - x * density(x) * (b - x) for x in (a, mpf(1))]
        if slope[0] * slope[1] < 0:
            x = mpmath.findroot(
                lambda x: density(x) - y - x * density(x) * (b - x), (a, 1), solver="anderson"
            )
            candidates.append(needed(x))
    return max(candidates)


def assert_rounded(entry, x, real=np.float64):
    """Assert that the entry is the number of its type that is nearest to the real number."""
    below, above = (float(np.nextafter(real(entry), real(to))) for to in (-math.inf, math.inf))
    assert (mpf(below) + mpf(entry)) / 2 < x < (mpf(above) + mpf(entry)) / 2


@limits
def test_exact_areas_are_equal(limit):
    """The rectangles are LAYERS shares, and they and what is beside them are the whole."""
    c, e = checked_in(limit), exact(limit)
    for i, x in enumerate(e.edge):
        assert abs(x * (e.floor[i + 1] - e.floor[i]) - e.share) < TINY
        assert e.floor[i + 1] <= density(x) + TINY
    beside = [
        area_below(min(e.right[i], e.bound))
        - area_below(e.left[i])
        - e.floor[i] * (min(e.right[i], e.bound) - e.left[i])
        for i in e.regions
    ]
    tail = area_below(e.bound) - area_below(e.edge[0])
    assert abs(c.inscribed * e.share + sum(beside) + tail - LAYERS * e.share) < TINY


@limits
def test_every_entry_is_the_exact_number_rounded(limit):
    c, e = checked_in(limit), exact(limit)
    assert (len(e.edge), c.tails) == (c.inscribed, int(limit is None))
    at_limit = [i for i, x in enumerate(e.edge) if x == e.bound]
    assert at_limit == list(range(len(at_limit)))
    for i, x in enumerate(e.edge):
        assert float(np.float32(c.edge_f32[i])) == c.edge_f32[i]
        if x == e.bound:  # 2, or in every other of these rectangles the next number below
            is_below = i % 2
            assert c.edge_f64[i] == (2 - 2.0**-52 if is_below else 2)
            assert c.edge_f32[i] * 2**31 == (2 - 2.0**-23 if is_below else 2)
        else:
            assert_rounded(c.edge_f32[i], x / 2**31, np.float32)
            assert_rounded(c.edge_f64[i], x)
    for i in range(LAYERS):
        if i in e.regions:
            assert c.a[i] == (c.edge_f64[i] if i < c.inscribed else 0)
            assert_rounded(c.width[i], e.right[i] - e.left[i])
            assert_rounded(c.y0[i], e.floor[i])
            # Rounded up: the least number that is no less.
            assert math.nextafter(c.height[i], 0) < e.height[i] <= c.height[i]
        else:
            assert c.width[i] == c.height[i] == 0


@limits
def test_the_tail_starts_where_the_first_rectangle_ends(limit):
    """x0 f(x0) is one share: Marsaglia's exponential over the tail begins there."""
    c, e = checked_in(limit), exact(limit)
    x0 = e.edge[0]
    assert c.x0 == c.edge_f64[0]
    if limit is None:
        assert abs(x0 * density(x0) - e.share) < TINY
        assert_rounded(c.x0, x0)
        assert_rounded(c.inverse_x0, 1 / x0)
        assert c.limit == "INFINITY"
    else:
        assert (c.limit, c.x0, c.inverse_x0) == (2, 2, 0)


@limits
def test_majorants_cover_the_curve_exactly(limit):
    c, e = checked_in(limit), exact(limit)
    for i in e.regions:
        a, b, y, h = e.left[i], e.right[i], e.floor[i], e.height[i]
        for j in range(33):
            x = a + (b - a) * j / 32
            assert y + h * (b - x) / (b - a) - density(x) > -TINY
            # In the table's own numbers, but for the roundings of y0 and of x: the density's slope
            # is exp(-1/2) < 0.60654 at most.
            x = mpf(c.a[i]) + mpf(c.width[i]) * j / 32
            rounding = abs(mpf(c.a[i]) - a) + abs(mpf(c.width[i]) - (b - a))
            slack = abs(mpf(c.y0[i]) - y) + mpf("0.60654") * rounding
            above = mpf(c.y0[i]) + mpf(c.height[i]) * (1 - mpf(j) / 32) - density(x)
            assert above > -slack - TINY


@limits
def test_alias_thresholds_are_the_exact_ones_rounded(limit):
    """What a column holds of its own is its share, less what it gave to the columns it fills."""
    c, e = checked_in(limit), exact(limit)
    one = 1 << gen_ziggurat.ALIAS_BITS
    total = sum(e.weight)
    filled = {i: [] for i in range(LAYERS)}
    for column, entry in enumerate(c.alias):
        if entry % LAYERS != column:
            filled[entry % LAYERS].append(column)

    own = {}
    for column in TopologicalSorter(filled).static_order():
        gave = sum(1 - own[other] for other in filled[column])
        own[column] = e.weight[column] / total * LAYERS - gave
    for column, entry in enumerate(c.alias):
        threshold, alias = divmod(entry, LAYERS)
        if alias == column:  # full, but the table has no bit for it: its own alias
            assert threshold == one - 1
            assert abs(own[column] - 1) < TINY
        else:
            assert threshold == int(mpmath.nint(own[column] * one))
            assert abs(own[column] * one - threshold) < 0.5
    # The regions' probabilities in the table's integers: they sum to 1 exactly.
    names = [0] * LAYERS
    for column, entry in enumerate(c.alias):
        names[column] += entry // LAYERS
        names[entry % LAYERS] += one - entry // LAYERS
    assert sum(names) == LAYERS * one
    for i in range(LAYERS):
        columns = 1 + len(filled[i])  # half a unit for each that was rounded
        assert abs(names[i] - e.weight[i] / total * LAYERS * one) <= columns / 2
