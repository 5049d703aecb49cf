"""The machinery of the statistical battery, and the faults that it finds in seconds.

The battery is run by `python tests/battery`, and its controls by `python tests/battery --controls`.
"""

import math
from dataclasses import replace

import numpy as np
import pytest
from battery import controls, engine, expected, haar, plan, pvalues, values
from battery.cases import Case
from scipy import integrate, stats


def test_what_is_declared():
    tests = list(plan.TESTS.values())
    seeds = [test.seed(form, rerun) for test in tests for form in plan.P_VALUES for rerun in (0, 1)]
    assert len(set(seeds)) == 4 * len(tests) == 4 * (tests[-1].number + 1)
    assert plan.P_VALUES == {"short": 1204, "full": 1208}
    for test in tests:
        for n in (test.short, test.full):
            assert n % min(test.part, n or 1) == 0


@pytest.mark.parametrize("form", ["short", "full"])
def test_sizes_detect_the_scale(form):
    """A scale that is off by 3e-4 or 5e-5 moves the second moment by more than 6.5 deviations."""
    n = getattr(plan.TESTS["moments normal float32"], form)
    assert 2 * {"short": 3e-4, "full": 5e-5}[form] / math.sqrt(2 / n) > 6.5


def test_p_values():
    assert pvalues.normal(-1.96) == pytest.approx(0.05, rel=1e-3)
    assert pvalues.mean(3 * 7 + 6, 7, 3.0, 7.0) == pvalues.normal(6 / 7)
    assert pvalues.binomial(60, 100, 0.5) == pytest.approx(
        stats.binom.sf(60, 100, 0.5) * 2 + stats.binom.pmf(60, 100, 0.5)
    )
    assert pvalues.poisson(0, 5.0) == pytest.approx(math.exp(-5))
    even = np.full(4, 0.25)
    assert pvalues.cells(np.array([100, 100, 100, 101]), even) < 0.01  # too good a fit
    assert pvalues.cells(np.array([100, 100, 100, 160]), even) == pytest.approx(
        2 * stats.chisquare([100, 100, 100, 160]).pvalue
    )
    with pytest.raises(ValueError, match="less than 30"):
        pvalues.cells(np.array([20, 40, 20]), np.full(3, 1 / 3))
    assert pvalues.squares([0.1, -6.0, 0.3])[1] == pytest.approx(3 * pvalues.normal(6), rel=1e-6)


def test_moments_are_the_integrals():
    for name, k, found, adaptive in expected.check_moments():
        assert found == pytest.approx(adaptive, rel=1e-8, abs=1e-10), (name, k)
    assert expected.moments(Case("normal", "float64"))[:9] == pytest.approx(
        [1, 0, 1, 0, 3, 0, 15, 0, 105]
    )
    assert expected.moments(Case("uniform", "float64"))[4] == pytest.approx(9 / 5)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_masses_of_halves(dtype):
    """A number has the mass between the middles, an even one with the float32 that are these."""
    numbers, right, left = expected.half_masses(Case("normal", dtype))
    assert right.sum() == pytest.approx(0.5)
    assert (right == left).all()
    i = int(np.flatnonzero(numbers == 1)[0])
    for at, outwards in ((i, 1), (i + 1, -1)):
        edges = (numbers[at - 1 : at + 1] + numbers[at : at + 2]) / 2
        edges += outwards * np.spacing(np.float32(edges)) * [-0.5, 0.5]
        assert right[at] == pytest.approx(np.diff(stats.norm.cdf(edges))[0], rel=1e-9)
    _, right, left = expected.half_masses(Case("uniform", dtype))
    assert right.sum() == pytest.approx(1)
    assert left.sum() == 0
    assert right[-1] == pytest.approx(1.5 * right[-2], rel=1e-3)  # what rounds to 1 is held


def test_last_bits_of_one_layer():
    """The lattice is counted as the kernels make it: by the reference, a few of its words."""
    import reference

    case, layer = Case("truncated", "float32"), 6
    counts = expected.last_bits(case, layer, 1)[0]
    assert counts.sum() == 2**21
    _, edges = expected.first_attempts("truncated")
    words = np.arange(layer, 2**31, 1024)
    x = (words | 1).astype(np.float32) * edges[layer]
    assert (counts == np.bincount(x.view(np.uint32) & 4095, minlength=4096)).all()
    for word in words[:: 2**16].tolist():
        assert reference.layer_of(32, word) == layer


@pytest.mark.parametrize(("n", "positive"), [(2, 1), (3, 0), (4, 0), (4, 1), (5, 1), (8, 0)])
def test_densities_of_angles(n, positive):
    """The distribution functions end at 1, and those of small groups are Weyl's."""
    share = haar.share_of_angles(n, positive, np.array([0.0, 1.0, np.pi]))
    assert share[[0, 2]] == pytest.approx([0, 1])
    weyl = {
        (2, 1): lambda t: 1 / np.pi,
        (3, 0): lambda t: (1 + np.cos(t)) / np.pi,
        (4, 0): lambda t: 2 / np.pi * np.sin(t) ** 2,
        (4, 1): lambda t: (np.cos(t) ** 2 + 0.5) / np.pi,
    }
    if (n, positive) in weyl:
        assert share[1] == pytest.approx(integrate.quad(weyl[n, positive], 0, 1)[0])


def small(name, n):
    return replace(plan.TESTS[name], short=n, part=n)


def test_a_strange_p_value_is_tried_again():
    """One below 1e-4 has another chance with 8 times the samples; one below 1e-9 has none."""
    tried = []

    def judge(case, n, sums):
        tried.append(n)
        return {"first": case[len(tried) - 1], "second": 0.5}

    def run(*p):
        tried.clear()
        test = plan.Test("fake", p, lambda case, seed, start, n: {}, judge, 2, 64, 64)
        result = engine.execute(engine.Here(), test, "short")
        return tried, result.failures

    assert run(2e-4) == ([64], [])
    assert run(9e-5, 2e-4) == ([64, 512], [])
    assert run(9e-5, 9e-5) == ([64, 512], ["first"])
    assert run(9e-10) == ([64], ["first"])
    assert run(math.nan) == ([64], ["first"])


def test_other_numbers_of_p_values_are_an_error():
    test = replace(small("cells normal float32", 2**20), count=4)
    with pytest.raises(AssertionError, match="gives 3 p-values, declared are 4"):
        engine.execute(engine.Here(), test, "short")


def test_parts_are_added():
    """Sums do not depend on the parts, nor the places of the outermost samples."""
    run = engine.Here()
    case = Case("normal", "float32")
    for collect, joins in ((values.count_cells, False), (values.collect_outer, True)):
        whole, parts = (
            engine.gather(run, collect, case, 1, 0, 2**20, part, joins) for part in (2**20, 2**18)
        )
        assert all((whole[name] == parts[name]).all() for name in whole)


QUICK = [control for control in controls.CONTROLS if control.test.split()[0] in controls.QUICK]


@pytest.mark.parametrize("control", QUICK, ids=lambda control: control.name)
def test_faults_are_found(control):
    _, failures = controls.check(engine.Here(), control)
    assert failures


@pytest.mark.parametrize(
    "name", ["cells between (1, 1.0001) float32", "all values uniform float16"]
)
def test_cells_of_few_numbers(name):
    """Where a cell is one number or two, it must end where values round to it."""
    assert not engine.execute(engine.Here(), small(name, 2**24), "short").failures


@pytest.mark.parametrize("control", QUICK, ids=lambda control: control.test)
def test_what_has_no_fault_passes(control):
    test = plan.TESTS[control.test]
    assert not engine.execute(engine.Here(), test, "short", control.n).failures
