"""The checked-in tables are what the generator makes, and what it makes is the Ziggurat."""

import math
from decimal import Decimal

import pytest
import reference
from reference import ROOT, gen_ziggurat, ziggurat

LIMITS = [None, Decimal(2)]
EXACT = Decimal(10) ** -38  # of 45 digits, some are lost on the way
LAYERS = 256
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
    assert all(edge[i] == 0 for i in range(k, LAYERS))
    assert edge[: k + 1] == sorted(edge[: k + 1], reverse=True)


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
    """In the rounded numbers of the tables, which are what the kernels use."""
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
        threshold, other = divmod(entry, 256)
        got[column] += threshold
        got[other] += one - threshold
    assert sum(got) == LAYERS * one
    for i in range(LAYERS):
        # Half a unit for each column that was rounded; a column of its own is short of one.
        assert abs(got[i] - weight[i] / sum(weight) * LAYERS * one) < LAYERS
        assert (got[i] == 0) == (weight[i] == 0)


def test_first_attempts_reach_the_published_share():
    """McFarland 2016: with 256 names, 253 rectangles under the normal: 98.8%."""
    assert ziggurat(None)["inscribed"] == 253
    assert ziggurat(Decimal(2))["inscribed"] == 254
