"""The reports of `explain` and `lsuv` on a model, and the statistics that they share."""

from __future__ import annotations

import re
from dataclasses import asdict, dataclass, replace
from math import inf, isfinite, isnan, prod, sqrt
from statistics import median
from textwrap import fill
from typing import TYPE_CHECKING, Any

import numpy as np

from ._propagation import steady_gain, verdict

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from ._typing import Array, Dimensions

# The most elements whose statistics are computed at a time: 8 MiB of float64.
PIECE = 1 << 20

_WIDTH = 98  # columns of a table
_HEAD = 64  # elements of a weight that are compared with those of others
_FEWEST = 8  # of them; fewer may be alike by chance
_ALIKE = 1e-4  # 1 - cosine; bfloat16 rounds to about 1e-6, and unrelated weights are near 1
_NAMED = 5  # names in one warning
_NUMBER = re.compile(r"(?:(?<![^./])|_)\d+(?![^./])")  # a part of a name, or the end of one
_MOST = sqrt(10)  # as in verdict()
_DEAD = 0.8  # about half of the outputs of a ReLU are 0, whatever the batch


class Moments:
    """The mean, the standard deviation and the bounds of values that are added in pieces."""

    def __init__(self) -> None:
        self.count = 0
        self.mean = 0.0
        self.minimum = inf
        self.maximum = -inf
        self._squares = 0.0  # sum of squared distances from the mean

    def add(self, values: Array) -> None:
        """Add an array of at most PIECE elements.

        Pieces are merged as by Chan, Golub & LeVeque, "Updating formulae and a pairwise algorithm
        for computing sample variances", 1979.
        """
        values = values.astype(np.float64, copy=False)
        if not values.size:
            return
        with np.errstate(all="ignore"):  # values that are not finite give results that are not
            mean = float(values.mean())
            squares = float(np.square(values - mean).sum())
            total = self.count + values.size
            apart = mean - self.mean
            self._squares += squares + apart * apart * self.count * values.size / total
            self.mean += apart * values.size / total
            self.minimum = float(np.minimum(self.minimum, values.min()))
            self.maximum = float(np.maximum(self.maximum, values.max()))
        self.count = total

    @property
    def variance(self) -> float:
        """The mean squared distance from the mean; NaN if a value is not finite."""
        return self._squares / self.count if self.count else float("nan")

    @property
    def stddev(self) -> float:
        """The square root of the variance."""
        return sqrt(self.variance)


@dataclass(frozen=True)
class WeightStatistics:
    """A parameter of two dimensions or more.

    Attributes
    ----------
    name : str
        Its fully qualified name in PyTorch, its path in Keras.
    shape : tuple of int
        In the layout of its framework.
    fan_in, fan_out : int or None
        Inputs of one output, and outputs of one input, of its layer; strides do not count.  None
        for weights that are not multiplied by a vector of inputs, such as those of a normalization.
    mean, stddev, minimum, maximum : float or None
        Of its values, in float64; None for a parameter without values, on ``meta``.
    other_names : tuple of str
        The other names of a parameter that modules share.
    """

    name: str
    shape: Dimensions
    fan_in: int | None
    fan_out: int | None
    mean: float | None = None
    stddev: float | None = None
    minimum: float | None = None
    maximum: float | None = None
    other_names: tuple[str, ...] = ()

    @property
    def gain(self) -> float | None:
        """``stddev * sqrt(fan_in)``: 1 for LeCun's initializers, ``sqrt(2)`` for He's."""
        if self.stddev is None or self.fan_in is None:
            return None
        return self.stddev * sqrt(self.fan_in)

    @property
    def relative_to_he(self) -> float | None:
        """The standard deviation divided by He's, ``sqrt(2 / fan_in)``."""
        return None if self.gain is None else self.gain / sqrt(2)

    @property
    def relative_to_glorot(self) -> float | None:
        """The standard deviation divided by Glorot's, ``sqrt(2 / (fan_in + fan_out))``."""
        if self.stddev is None or self.fan_in is None or self.fan_out is None:
            return None
        return self.stddev * sqrt((self.fan_in + self.fan_out) / 2)


@dataclass(frozen=True)
class OutputStatistics:
    """The output of a module or layer in one forward pass.

    If the output is a tuple, a dictionary or the like, this is its first tensor of floating-point
    numbers that has a dimension.

    Attributes
    ----------
    name : str
        Its fully qualified name in PyTorch, its path in Keras; ``""`` for the model itself.
    kind : str
        The name of its class.
    shape : tuple of int
        Of the output of the first call.
    calls : int
        Number of calls; the statistics are those of all its outputs.
    stddev : float
        Standard deviation of the output.
    gradient : float or None
        Standard deviation of the gradient with respect to the output; None if no gradient reaches
        it, or gradients were not requested.
    dead : float or None
        For a ReLU the fraction of its outputs that are 0 for all examples.
    has_weight : bool
        Whether it has a weight with fans of its own, and is not an embedding.
    """

    name: str
    kind: str
    shape: Dimensions
    calls: int
    stddev: float
    gradient: float | None = None
    dead: float | None = None
    has_weight: bool = False


@dataclass(frozen=True)
class ModelReport:
    """The statistics of an initial model.  ``str()`` returns them as tables.

    Attributes
    ----------
    weights : tuple of WeightStatistics
        The parameters of two dimensions or more, each once, in the model's order.
    outputs : tuple of OutputStatistics
        The modules, in the order in which their first calls end; empty without inputs.
    warnings : tuple of str
        What is likely to be wrong.
    notes : tuple of str
        What the report cannot show, and why.
    """

    weights: tuple[WeightStatistics, ...]
    outputs: tuple[OutputStatistics, ...] = ()
    warnings: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Return the attributes, and the gains of weights, for JSON, which has no NaN and Inf."""
        found = asdict(self)
        for values, weight in zip(found["weights"], self.weights, strict=True):
            values["gain"] = weight.gain
        return {name: _finite(value) for name, value in found.items()}

    def __str__(self) -> str:
        parts = [
            _table(
                ("weight", "shape", "fan_in", "fan_out", "mean", "stddev", "min", "max", "gain"),
                [
                    (
                        weight.name,
                        _of_shape(weight.shape),
                        _of_integer(weight.fan_in),
                        _of_integer(weight.fan_out),
                        _of_number(weight.mean, 2),
                        _of_number(weight.stddev),
                        _of_number(weight.minimum, 2),
                        _of_number(weight.maximum, 2),
                        _of_number(weight.gain),
                    )
                    for weight in self.weights
                ],
            )
        ]
        if self.outputs:
            rows = [
                (
                    output.name or "(the model)",
                    output.kind,
                    _of_shape(output.shape),
                    str(output.calls),
                    _of_number(output.stddev),
                    _of_number(output.gradient),
                )
                for output in self.outputs
            ]
            parts.append(_table(("output", "class", "shape", "calls", "stddev", "gradient"), rows))
        parts += [_wrapped(f"warning: {text}") for text in self.warnings]
        parts += [_wrapped(f"note: {text}") for text in self.notes]
        return "\n".join(parts)


@dataclass(frozen=True)
class ScaledWeight:
    """A weight that LSUV has set.

    Attributes
    ----------
    name : str
        Its fully qualified name in PyTorch, its path in Keras.
    iterations : int
        Number of times that it was scaled.
    before, after : float
        Standard deviations of its layer's output with the orthonormal weight, and at the end.
    scale : float
        The factor by which the orthonormal weight was multiplied.
    """

    name: str
    iterations: int
    before: float
    after: float
    scale: float


@dataclass(frozen=True)
class LsuvReport:
    """The results of LSUV for a model.  ``str()`` returns them as a table.

    Attributes
    ----------
    weights : tuple of ScaledWeight
        In the order of the forward pass.
    unconverged : tuple of str
        The names of those whose output's variance is not 1 within the tolerance.
    skipped : dict of str to str
        The selected weights that are unchanged, and the reasons.
    """

    weights: tuple[ScaledWeight, ...]
    unconverged: tuple[str, ...]
    skipped: dict[str, str]

    def to_dict(self) -> dict[str, Any]:
        """Return the attributes for JSON."""
        return {name: _finite(value) for name, value in asdict(self).items()}

    def __str__(self) -> str:
        rows = [
            (
                weight.name,
                str(weight.iterations),
                _of_number(weight.before),
                _of_number(weight.after),
                _of_number(weight.scale),
            )
            for weight in self.weights
        ]
        parts = [_table(("weight", "iterations", "before", "after", "scale"), rows)]
        parts += [_wrapped(f"not converged: {name}") for name in self.unconverged]
        parts += [_wrapped(f"left as it was: {name}: {why}") for name, why in self.skipped.items()]
        return "\n".join(parts)


class WeightRecords:
    """The weights of a model, of which some may be alike."""

    def __init__(self) -> None:
        self.found: list[WeightStatistics] = []
        self._heads: list[tuple[WeightStatistics, Array]] = []

    def add(
        self,
        name: str,
        shape: Dimensions,
        fans: tuple[int, int] | None,
        pieces: Iterable[Array],
        other_names: tuple[str, ...] = (),
    ) -> None:
        """Add a weight from its values in C order, in pieces, which may be none."""
        moments, head = Moments(), np.empty(0)
        for piece in pieces:
            if len(head) < _HEAD:
                few = piece.reshape(-1)[: _HEAD - len(head)].astype(np.float64)
                head = np.concatenate([head, few])
            moments.add(piece)
        fan_in, fan_out = fans or (None, None)
        weight = WeightStatistics(name, shape, fan_in, fan_out, other_names=other_names)
        if moments.count:
            weight = replace(
                weight,
                mean=moments.mean,
                stddev=moments.stddev,
                minimum=moments.minimum,
                maximum=moments.maximum,
            )
        self.found.append(weight)
        with np.errstate(all="ignore"):
            length = float(np.sqrt(np.square(head).sum()))
        # Weights with few distinct values follow a rule and may be alike: an identity, or the
        # logarithms of 1, 2, 3, ... in each layer of a Mamba.
        random = len(np.unique(head)) > max(_FEWEST, 3 * len(head) // 4) - 1
        if np.isfinite(length) and length > 0 and random:
            self._heads.append((weight, head / length))

    def warnings(self) -> list[str]:
        """Return warnings about likely faults of the weights."""
        texts = []
        broken = [weight.name for weight in self.found if _is_broken(weight)]
        if broken:
            texts.append(f"NaN or Inf in {named(broken)}")
        zero = [weight.name for weight in self.found if weight.minimum == weight.maximum == 0]
        if zero:
            texts.append(f"all values are 0 in {named(zero)}")
        for group in self._alike():
            first = group[0]
            same = all(
                (one.shape, one.stddev, one.minimum, one.maximum)
                == (first.shape, first.stddev, first.minimum, first.maximum)
                for one in group
            )
            which = "equal" if same else "the same random numbers, but for a factor,"
            texts.append(
                f"the values are {which} in {named([one.name for one in group])}: does one seed "
                "serve several layers?"
            )
        return texts

    def _alike(self) -> list[list[WeightStatistics]]:
        """Return the groups of weights that begin with the same values, up to a factor."""
        by_length: dict[int, list[int]] = {}
        for number, (_, head) in enumerate(self._heads):
            by_length.setdefault(len(head), []).append(number)
        groups = []
        for numbers in by_length.values():
            heads = np.stack([self._heads[number][1] for number in numbers])
            taken = np.zeros(len(numbers), bool)
            for at in range(len(numbers)):
                if taken[at]:
                    continue
                alike = ~taken & (heads @ heads[at] > 1 - _ALIKE)
                if alike.sum() > 1:
                    taken |= alike
                    groups.append([self._heads[numbers[i]][0] for i in np.flatnonzero(alike)])
        return groups


def output_warnings(
    outputs: Sequence[OutputStatistics],
    weights: Sequence[WeightStatistics],
    activations: Sequence[tuple[str, Any]],
) -> list[str]:
    """Return warnings about likely faults of the outputs and their gradients.

    ``activations`` are the model's activation functions: for each layer that has one the name, and
    what :func:`steady_gain` takes.
    """
    texts = []
    broken = [output for output in outputs if not isfinite(output.stddev)]
    if broken:
        texts.append(f"NaN or Inf in the outputs, first in that of {_label(broken[0])}")
    equal = [_label(output) for output in outputs if output.stddev == 0]
    if equal:
        texts.append(f"all values are equal in the output of {named(equal)}")
    dead = [_label(output) for output in outputs if output.dead is not None and output.dead > _DEAD]
    if dead:
        texts.append(
            f"more than {_DEAD:.0%} of the outputs are 0 for all examples in {named(dead)}"
        )
    broken = [o for o in outputs if o.gradient is not None and not isfinite(o.gradient)]
    if broken:
        texts.append(f"NaN or Inf in the gradients, first in that of {_label(broken[-1])}")
    normalized = any("norm" in output.kind.lower() for output in outputs)
    vanishing = False
    for group in _comparable(outputs):
        found = _through(group, normalized)
        texts += found
        # Most of these layers must have an activation function that is known.
        vanishing |= any("activations" in text for text in found) and (
            2 * len(activations) >= len(group)
        )
    gains = [weight.gain for weight in weights if weight.gain is not None]
    if vanishing and len({name for name, _ in activations}) == 1 and gains:
        name, function = activations[0]
        texts.append(
            f"for {name} a gain of {steady_gain(function):.3f} keeps the mean square, "
            f"stddev = gain / sqrt(fan_in); here the median gain is {median(gains):.3f}"
        )
    return texts


def _through(group: list[OutputStatistics], normalized: bool) -> list[str]:
    """Return warnings about values that vanish or explode; other functions handle 0 and Inf."""
    forward = [output.stddev for output in group]
    reached = [(o.gradient, prod(o.shape[1:])) for o in group if o.gradient is not None]
    # Layers of different sizes should pass on the norm of the gradient of an example.
    backward = [value * sqrt(size / max(1, reached[-1][1])) for value, size in reached]
    span = f"{group[0].name} to {group[-1].name}"
    found = []
    if _is_suspect(forward, forward[:1], normalized):
        found += [f"{span}: {text}" for text in verdict(forward, [])]
    if _is_suspect(backward, backward[-1:], normalized):
        texts = verdict([], backward)
        found += [f"{span}: {text.replace('standard deviation', 'norm')}" for text in texts]
    return found


def _is_suspect(values: list[float], first: list[float], normalized: bool) -> bool:
    """Return whether values may vanish or explode, relative to the first.

    In a network with normalization, residual connections add up the variances of n layers, and the
    gradients that reach a layer differ by the square root of their number.  This is not a fault.
    """
    if not values or not all(0 < value < inf for value in values):
        return False
    most = _MOST * sqrt(len(values))
    return not normalized or any(max(v / first[0], first[0] / v) > most for v in values)


def _comparable(outputs: Sequence[OutputStatistics]) -> list[list[OutputStatistics]]:
    """Return groups of layers whose outputs should have about the same standard deviation.

    These are layers with weights whose names differ only in numbers, such as ``h.0.mlp.up`` and
    ``h.1.mlp.up``, or ``dense`` and ``dense_1``, but not ``fc1`` and ``fc2``.  The layers of one
    block have different scales in most networks, and so have the sums of residual connections.
    """
    groups: dict[str, list[OutputStatistics]] = {}
    for output in outputs:
        if output.has_weight:
            groups.setdefault(_NUMBER.sub("", output.name), []).append(output)
    return [group for group in groups.values() if len(group) > 1]


def shared(weights: Sequence[WeightStatistics]) -> list[str]:
    """Return a note for each weight that has several names."""
    return [
        f"{weight.name} is also {named(weight.other_names)}"
        for weight in weights
        if weight.other_names
    ]


def is_activation(thing: Any) -> bool:
    """Return whether a module or a function is an activation function with a known gain."""
    try:
        steady_gain(thing)
    except ValueError:
        return False
    return True


def named(names: Sequence[str]) -> str:
    """Return the first few names, and how many others there are."""
    more = f" and {len(names) - _NAMED} others" if len(names) > _NAMED else ""
    return f"{', '.join(names[:_NAMED])}{more}"


def _finite(value: Any) -> Any:
    """Return a value with lists for tuples, and None for each number that is not finite."""
    if isinstance(value, dict):
        return {name: _finite(part) for name, part in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(part) for part in value]
    return None if isinstance(value, float) and not isfinite(value) else value


def _label(output: OutputStatistics) -> str:
    return output.name or "the model"


def _is_broken(weight: WeightStatistics) -> bool:
    return weight.stddev is not None and not isfinite(weight.stddev)


def _of_integer(value: int | None) -> str:
    return "-" if value is None else str(value)


def _of_shape(shape: Dimensions) -> str:
    return "x".join(map(str, shape)) or "()"


def _of_number(value: float | None, digits: int = 3) -> str:
    if value is None:
        return "-"
    return "nan" if isnan(value) else f"{value:.{digits}g}"


def _wrapped(text: str) -> str:
    return fill(text, _WIDTH, subsequent_indent="  ", break_on_hyphens=False)


def _shortened(text: str, width: int) -> str:
    """Return a name, or its end, which distinguishes layers, if the name is long."""
    return text if len(text) <= width else f"...{text[len(text) - width + 3 :]}"


def _table(titles: tuple[str, ...], rows: list[Any]) -> str:
    """Return rows as a table that is at most _WIDTH columns wide."""
    cells = [titles, *((row[0], *(_shortened(cell, 18) for cell in row[1:])) for row in rows)]
    widths = [max(len(row[i]) for row in cells) for i in range(len(titles))]
    widths[0] = min(widths[0], _WIDTH - sum(widths[1:]) - 2 * (len(widths) - 1))
    lines = []
    for row in cells:
        first = _shortened(row[0], widths[0]).ljust(widths[0])
        others = [cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True)]
        lines.append("  ".join([first, *others]).rstrip())
    return "\n".join(lines)
