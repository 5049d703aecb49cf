"""Faults that the battery must find: each test here must fail in its short form."""

from __future__ import annotations

from dataclasses import dataclass, replace

from .engine import execute
from .plan import TESTS


@dataclass(frozen=True)
class Control:
    """A fault, which one test of the short form must find.

    n is the number of samples, where fewer than the short form's are enough.
    """

    name: str
    fault: str
    test: str
    n: int | None = None


CONTROLS = [
    Control("a scale that is off by 3e-4", "scale", "moments normal float32"),
    Control("a lowest bit that is 0, float32", "low bit", "mantissa normal float32", 2**22),
    Control("a lowest bit that is 0, float64", "low bit", "mantissa normal float64", 2**22),
    Control(
        "the neighbouring seed's values at every 64th element",
        "neighbour",
        "seeds normal float32",
        2**18,
    ),
    Control("clamping at 2 standard deviations", "clamp", "cells truncated float32", 2**22),
    Control("the same, by the outermost values", "clamp", "outermost truncated float32", 2**22),
    Control("no negative tail", "negative tail", "outermost normal float32", 2**24),
    Control("orthogonal with the signs of LAPACK", "lapack", "haar O(3) float32", 2**15),
]


QUICK = ("cells", "outermost", "haar")  # kinds of tests that test_battery.py runs, too


def check(run, control):
    """Return the result of a control's test with its fault, and its p-values that fail."""
    test = TESTS[control.test]
    broken = replace(test, case=replace(test.case, fault=control.fault))
    result = execute(run, broken, "short", control.n)
    return result, result.failures
