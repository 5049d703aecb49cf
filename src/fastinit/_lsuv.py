"""Layer-sequential unit variance, without the parts that are specific to PyTorch or Keras."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from math import isfinite
from typing import TYPE_CHECKING, SupportsFloat, SupportsIndex

from ._messages import shown
from ._parameters import number
from ._report import LsuvReport, Moments, ScaledWeight, named
from ._shapes import as_integers

if TYPE_CHECKING:
    from collections.abc import Callable


def _patterns(name: str, patterns: Sequence[str]) -> tuple[str, ...]:
    if isinstance(patterns, str) or not isinstance(patterns, Sequence):
        raise TypeError(f"{name} must be a sequence of strings, received {shown(patterns)}")
    for pattern in patterns:
        if not isinstance(pattern, str):
            raise TypeError(f"the patterns of {name} must be strings, received {shown(pattern)}")
    return tuple(patterns)


@dataclass(frozen=True)
class Plan:
    """The checked arguments of LSUV.

    Attributes
    ----------
    tol : float
        How far the variance may be from 1.
    max_iter : int
        Greatest number of times that a weight is scaled.
    include, exclude : tuple of str
        The patterns of the names of the weights.
    """

    tol: float
    max_iter: int
    include: tuple[str, ...]
    exclude: tuple[str, ...]

    def selected(self, names: Mapping[str, Sequence[str]]) -> list[str]:
        """Return the weights of which a name matches ``include``, and none ``exclude``.

        ``names`` has all names of each weight.  A warning names each pattern that matches no
        weight.
        """
        for argument, patterns in (("include", self.include), ("exclude", self.exclude)):
            for pattern in patterns:
                if not any(fnmatchcase(n, pattern) for some in names.values() for n in some):
                    warnings.warn(
                        f"the pattern {pattern!r} of {argument} matches no weight of a linear "
                        "layer or a convolution of this model",
                        stacklevel=3,
                    )
        return [
            name
            for name, some in names.items()
            if any(fnmatchcase(n, pattern) for n in some for pattern in self.include)
            and not any(fnmatchcase(n, pattern) for n in some for pattern in self.exclude)
        ]

    def scale(
        self, name: str, measure: Callable[[], Moments], divide: Callable[[float], None]
    ) -> ScaledWeight:
        """Scale a weight until its layer's output has variance 1.

        ``measure`` returns the moments of the output, and ``divide`` divides the weight.

        Raises
        ------
        ValueError
            The variance is 0 or not finite.
        """
        before = after = _deviation(name, measure())
        scale, iterations = 1.0, 0
        while not self._is_one(after) and iterations < self.max_iter:
            divide(after)
            scale /= after
            iterations += 1
            after = _deviation(name, measure())
        return ScaledWeight(name, iterations, before, after, scale)

    def _is_one(self, stddev: float) -> bool:
        return abs(stddev * stddev - 1) <= self.tol

    def report(self, weights: Sequence[ScaledWeight], skipped: dict[str, str]) -> LsuvReport:
        """Return the report, and warn of weights that are not scaled or do not reach variance 1."""
        left = tuple(weight.name for weight in weights if not self._is_one(weight.after))
        if left:
            warnings.warn(
                f"the variance of the output is not 1 within {self.tol} after {self.max_iter} "
                f"iterations for {named(left)}",
                stacklevel=3,
            )
        if skipped:
            whys = [f"{name} ({why})" for name, why in skipped.items()]
            warnings.warn(f"left as they were: {named(whys)}", stacklevel=3)
        return LsuvReport(tuple(weights), left, skipped)


def _deviation(name: str, moments: Moments) -> float:
    stddev = moments.stddev
    if not isfinite(stddev):
        raise ValueError(f"the output of the layer of {name} has values that are not finite")
    if stddev == 0:
        raise ValueError(
            f"the output of the layer of {name} has variance 0, so no scale makes it 1: its inputs "
            "are all 0, or there is one output"
        )
    return stddev


def plan(
    tol: SupportsFloat, max_iter: SupportsIndex, include: Sequence[str], exclude: Sequence[str]
) -> Plan:
    """Return the arguments of LSUV, after checking them.

    Raises
    ------
    TypeError, ValueError
        An argument is of the wrong type or out of range.
    """
    tolerance = number("tol", tol)
    if not 0 < tolerance < 1:
        raise ValueError(f"tol must be between 0 and 1, received {shown(tol)}")
    try:
        (most,) = as_integers((max_iter,))
    except TypeError:
        raise TypeError(f"max_iter must be an integer, received {shown(max_iter)}") from None
    if most < 1:
        raise ValueError(f"max_iter must be >= 1, received {shown(max_iter)}")
    return Plan(tolerance, most, _patterns("include", include), _patterns("exclude", exclude))
