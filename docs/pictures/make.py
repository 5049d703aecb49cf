"""Make the pictures of the documentation with the library itself.

    python docs/pictures/make.py                  # all pictures
    python docs/pictures/make.py depth shards     # some of them
    python docs/pictures/make.py --check          # compare the committed pictures with new ones

Each picture has a function that returns its numbers, which needs NumPy and SciPy, and a function
that draws these numbers, which needs Matplotlib.  The SVG holds its numbers as JSON, in its
description.  A check computes the numbers again and compares them, with a tolerance, since the last
bits of a matrix product differ between machines.  It then draws the numbers that the file holds and
compares the bytes, if the installed Matplotlib is of the version that the file names.

Text is drawn as outlines, so that it has the same width everywhere.  The background is white and
all colors are from the palette of Okabe and Ito (2008), which color-blind readers can tell apart.
"""

import argparse
import io
import json
import math
import re
import sys
import textwrap
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple
from xml.etree import ElementTree

import numpy as np
from scipy import special, stats

import fastinit
from fastinit import initializers

HERE = Path(__file__).parent
RESULTS = HERE.parents[1] / "bench" / "results.md"
SEED = 1

Numbers = dict[str, Any]

WIDE = 4.6  # inches; on a narrow screen a letter of 9 points is then 9 pixels high

BLACK, GRAY, PALE = "#000000", "#767676", "#e8e8e8"
ORANGE, SKY, GREEN, BLUE = "#e69f00", "#56b4e9", "#009e73", "#0072b2"
VERMILION, PURPLE = "#d55e00", "#cc79a7"


def rounded(values: Any) -> Any:
    """Return numbers, also nested in lists, with four significant digits."""
    values = np.asarray(values, dtype=np.float64)
    if values.ndim:
        return [rounded(value) for value in values]
    return float(f"{values:.4g}")


# Distributions

SHAPE = (512, 1536)  # fan_in 512, fan_avg 1024
BINS = 50


class Fill(NamedTuple):
    """An initializer, the exact distribution of its values, and their bounds."""

    label: str
    initializer: initializers.Initializer
    exact: Any
    low: float
    high: float


def uniform_fill(label: str, initializer: initializers.Initializer, limit: float) -> Fill:
    """Return the fill of an initializer that is uniform on [-limit, limit)."""
    return Fill(label, initializer, stats.uniform(-limit, 2 * limit), -limit, limit)


def normal_fill(
    label: str,
    initializer: initializers.Initializer,
    stddev: float,
    lower: float = -2.0,
    upper: float = 2.0,
) -> Fill:
    """Return the fill of a normal; stddev, before truncation, is the unit of the bounds."""
    exact = stats.truncnorm(lower, upper, scale=stddev)
    return Fill(label, initializer, exact, lower * stddev, upper * stddev)


def fills() -> dict[str, list[Fill]]:
    """Return what each part of the picture of distributions shows."""
    inf = math.inf
    fan_in, fan_out = SHAPE
    variances = {"He": 2 / fan_in, "LeCun": 1 / fan_in, "Glorot": 2 / (fan_in + fan_out)}
    normals, uniforms = [], []
    for family, variance in variances.items():
        name = family.lower()
        # The standard deviation is that of the values, so the normal before truncation is wider.
        wider = math.sqrt(variance) / stats.truncnorm(-2, 2).std()
        normals.append(normal_fill(family, initializers.get(f"{name}_normal"), wider))
        limit = math.sqrt(3 * variance)
        uniforms.append(uniform_fill(family, initializers.get(f"{name}_uniform"), limit))
    truncated = initializers.TruncatedNormal
    return {
        "random_uniform": [uniform_fill("", initializers.RandomUniform(-0.05, 0.05), 0.05)],
        "random_normal": [normal_fill("", initializers.RandomNormal(stddev=0.05), 0.05, -inf, inf)],
        "truncated_normal": [normal_fill("", truncated(stddev=0.05), 0.05)],
        "truncated_normal, lower=-0.5, upper=3": [
            normal_fill("", truncated(stddev=0.05, lower=-0.5, upper=3), 0.05, -0.5, 3)
        ],
        "_normal": normals,
        "_uniform": uniforms,
    }


def seeded(initializer: initializers.Initializer, *names: object) -> initializers.Initializer:
    """Return a copy of an initializer with a seed that is derived from the names."""
    config = initializer.get_config()
    name = "/".join(map(str, names))
    return type(initializer).from_config({**config, "seed": fastinit.derive_seed(SEED, name)})


def distributions() -> Numbers:
    """Return, for each fill, a histogram, the least and greatest value, and the exact density."""
    parts = {}
    for title, shown in fills().items():
        parts[title] = [histogram(title, fill) for fill in shown]
    return {"shape": list(SHAPE), "parts": parts}


def histogram(title: str, fill: Fill) -> Numbers:
    """Return the histogram of one fill as densities, beside the exact density."""
    values = seeded(fill.initializer, title, fill.label)(SHAPE)
    ends = [fill.exact.ppf(1e-5) if math.isinf(fill.low) else fill.low]
    ends += [fill.exact.ppf(1 - 1e-5) if math.isinf(fill.high) else fill.high]
    counts, edges = np.histogram(values, BINS, ends)
    grid = np.linspace(*ends, 61)
    return {
        "label": fill.label,
        "bounds": [None if math.isinf(b) else rounded(b) for b in (fill.low, fill.high)],
        "least": rounded(values.min()),
        "greatest": rounded(values.max()),
        "stddev": rounded(values.std(dtype=np.float64)),
        "exact stddev": rounded(fill.exact.std()),
        "ends": rounded(ends),
        "histogram": rounded(counts / (values.size * (edges[1] - edges[0]))),
        "density": rounded(fill.exact.pdf(np.clip(grid, *ends))),
    }


def draw_distributions(numbers: Numbers, plt: Any) -> Any:
    """Draw the histograms as areas, the densities as lines and the bounds as dotted lines."""
    figure, axes = plt.subplots(3, 2, figsize=(WIDE, 6.4))
    figure.subplots_adjust(left=0.03, right=0.97, top=0.87, bottom=0.045, hspace=0.55, wspace=0.1)
    colors = {"": SKY, "He": BLUE, "LeCun": GREEN, "Glorot": ORANGE}
    for axis, (title, shown) in zip(axes.flat, numbers["parts"].items(), strict=True):
        many = len(shown) > 1
        for part in shown:
            color = colors[part["label"]]
            low, high = part["ends"]
            edges = np.linspace(low, high, len(part["histogram"]) + 1)
            axis.stairs(
                part["histogram"], edges, fill=True, color=color, alpha=0.35 if many else 0.6, lw=0
            )
            grid = np.linspace(low, high, len(part["density"]))
            sides = [x for x, bound in zip((low, high), part["bounds"], strict=True) if bound]
            line = [*zip(grid, part["density"], strict=True)]
            line = [(low, 0)] * (low in sides) + line + [(high, 0)] * (high in sides)
            axis.plot(*zip(*line, strict=True), color=color if many else BLACK, lw=1.6)
            for side in sides:
                axis.axvline(side, color=color if many else BLACK, ls=":", lw=1.4)
            if many:
                height = max(part["density"])
                axis.text(
                    0,
                    height,
                    part["label"],
                    ha="center",
                    va="center",
                    fontsize=9,
                    bbox={"fc": "white", "ec": color, "lw": 0.8, "pad": 1.5},
                )
        if many:
            title = f"he{title}, lecun{title},\nglorot{title}"
        elif ", " in title:
            title = title.replace(", ", ",\n", 1)
        axis.set_title(title, fontsize=9, loc="left")
        axis.set_ylim(0, 1.2 * max(max(part["density"]) for part in shown))
        axis.set_xlim(-0.2, 0.2)
        axis.set_xticks([-0.1, 0, 0.1], ["-0.1", "0", "0.1"], fontsize=9.5)
        axis.set_yticks([])
        axis.spines[["top", "right", "left"]].set_visible(False)
    figure.text(
        0.03,
        0.985,
        "Area: histogram of a real fill. Line: the exact density.\n"
        f"Dotted: the bounds. Shape: {tuple(numbers['shape'])}.",
        va="top",
        fontsize=10,
    )
    return figure


# Depth

WIDTH, LAYERS, BATCH, STEP = 512, 50, 64, 2

INITIALIZERS: dict[str, initializers.Initializer] = {
    "He": initializers.HeNormal(),
    "Glorot": initializers.GlorotNormal(),
    "LeCun": initializers.LecunNormal(),
    "orthogonal": initializers.Orthogonal(),
    "stddev 0.05": initializers.RandomNormal(stddev=0.05),
    "stddev 0.01": initializers.RandomNormal(stddev=0.01),
}

SELU_SCALE, SELU_ALPHA = 1.0507009873554805, 1.6732632423543772  # Klambauer et al. 2017
LEAKY_SLOPE = 0.2  # Keras's default


def sigmoid_slope(x: Any) -> Any:
    """Return the derivative of the logistic function."""
    return special.expit(x) * special.expit(-x)


def elu(x: Any, alpha: float = 1.0) -> Any:
    """Return x where it is positive, and alpha * (exp(x) - 1) elsewhere."""
    return np.where(x > 0, x, alpha * np.expm1(np.minimum(x, 0)))


def elu_slope(x: Any, alpha: float = 1.0) -> Any:
    """Return the derivative of elu."""
    return np.where(x > 0, 1.0, alpha * np.exp(np.minimum(x, 0)))


def gelu_slope(x: Any) -> Any:
    """Return the derivative of x * Phi(x)."""
    return special.ndtr(x) + x * np.exp(-x * x / 2) / math.sqrt(2 * math.pi)


# Each entry has the function and its derivative.
ACTIVATIONS: dict[str, tuple[Callable[[Any], Any], Callable[[Any], Any]]] = {
    "linear": (lambda x: x, np.ones_like),
    "tanh": (np.tanh, lambda x: 1 - np.tanh(x) ** 2),
    "sigmoid": (special.expit, sigmoid_slope),
    "relu": (lambda x: np.maximum(x, 0), lambda x: np.where(x > 0, 1.0, 0.0)),
    "leaky_relu": (
        lambda x: np.where(x > 0, x, LEAKY_SLOPE * x),
        lambda x: np.where(x > 0, 1.0, LEAKY_SLOPE),
    ),
    "elu": (elu, elu_slope),
    "gelu": (lambda x: x * special.ndtr(x), gelu_slope),
    "selu": (
        lambda x: SELU_SCALE * elu(x, SELU_ALPHA),
        lambda x: SELU_SCALE * elu_slope(x, SELU_ALPHA),
    ),
}


def matrices(name: str, width: int, layers: int, seed: int) -> list[Any]:
    """Return one matrix of shape (width, width) for each layer, all of one initializer."""
    kinds = [seeded(INITIALIZERS[name], seed, name, layer) for layer in range(layers)]
    return [kind((width, width)) for kind in kinds]


def through(
    activations: Sequence[str], weights: list[Any], batch: int = BATCH, seed: int = SEED
) -> dict[str, dict[str, list[float]]]:
    """Return the standard deviations of the activations and of the gradients at each layer.

    The first activations are standard normals of shape (batch, width).  A layer multiplies by its
    matrix, of shape (width, width), and applies the activation function; there are no biases.  The
    gradients with respect to the last activations are standard normals, too.  For each activation
    function, "forward" and "backward" have one number for the input and one for each layer, over
    all units and all inputs of the batch.
    """

    def normals(name: str) -> Any:
        key = fastinit.derive_seed(seed, name)
        values = fastinit.random_normal((batch, len(weights[0])), stddev=1.0, seed=key)
        return np.stack([values.astype(np.float64)] * len(activations))

    def times(values: Any, matrix: Any) -> Any:
        # One product for all activation functions takes less time than one for each.
        return (values.reshape(-1, len(matrix)) @ matrix.astype(np.float64)).reshape(values.shape)

    def stddevs(values: Any) -> list[float]:
        return [part.std() for part in values]

    functions = [ACTIVATIONS[name] for name in activations]
    x, before = normals("x"), []
    forward = [stddevs(x)]
    for weight in weights:
        before.append(times(x, weight))
        x = np.stack([f(z) for (f, _), z in zip(functions, before[-1], strict=True)])
        forward.append(stddevs(x))
    g = normals("gradient")
    backward = [stddevs(g)]
    for weight, layer in zip(reversed(weights), reversed(before), strict=True):
        slopes = np.stack([slope(z) for (_, slope), z in zip(functions, layer, strict=True)])
        g = times(g * slopes, weight.T)
        backward.append(stddevs(g))
    backward.reverse()
    return {
        name: {"forward": list(ahead), "backward": list(back)}
        for name, ahead, back in zip(
            activations, zip(*forward, strict=True), zip(*backward, strict=True), strict=True
        )
    }


def table_family(activation: str) -> str:
    """Return the family that `for_activation` gives for an activation function."""
    family = type(initializers.for_activation(activation)).__name__.removesuffix("Normal")
    return {"Lecun": "LeCun"}.get(family, family)


def depth(
    activations: Sequence[str] = tuple(ACTIVATIONS), names: Sequence[str] = tuple(INITIALIZERS)
) -> Numbers:
    """Return the standard deviations through all layers, for each activation and initializer."""
    parts: Numbers = {name: {"table": table_family(name), "curves": {}} for name in activations}
    for name in names:
        found = through(activations, matrices(name, WIDTH, LAYERS, SEED))
        for activation, ways in found.items():
            curves = {way: rounded(values[::STEP]) for way, values in ways.items()}
            parts[activation]["curves"][name] = curves
    return {"width": WIDTH, "layers": LAYERS, "step": STEP, "parts": parts}


STYLES: dict[str, dict[str, Any]] = {
    # If fan_in equals fan_out, these three have the same variance, and their lines coincide.
    "Glorot": {"color": ORANGE, "lw": 4.6},
    "orthogonal": {"color": GREEN, "lw": 2.4},
    "LeCun": {"color": BLACK, "lw": 1.0, "ls": (0, (3, 2))},
    "He": {"color": BLUE, "lw": 1.8},
    "stddev 0.05": {"color": PURPLE, "lw": 1.8, "ls": (0, (1.2, 1.2))},
    "stddev 0.01": {"color": VERMILION, "lw": 1.2},
}


def visible(line: list[tuple[int, float]], low: float, high: float) -> list[tuple[int, float]]:
    """Return the points of a line that are between low and high, and one more at each end."""
    inside = [i for i, (_, value) in enumerate(line) if low <= value <= high]
    return line[max(inside[0] - 1, 0) : inside[-1] + 2]


def draw_depth(numbers: Numbers, plt: Any) -> Any:
    """Draw a row for each activation: on the left the activations, on the right the gradients."""
    parts = numbers["parts"]
    figure, axes = plt.subplots(len(parts), 2, figsize=(WIDE, 11.2), sharex=True, sharey=True)
    figure.subplots_adjust(left=0.115, right=0.985, top=0.888, bottom=0.04, hspace=0.36, wspace=0.1)
    layers = range(0, numbers["layers"] + 1, numbers["step"])
    low, high = 1e-6, 1e4
    for row, (activation, part) in zip(axes, parts.items(), strict=True):
        for axis, way in zip(row, ("forward", "backward"), strict=True):
            axis.axhspan(0.1, 10, color=PALE, lw=0)
            for initializer, style in STYLES.items():
                values = part["curves"][initializer][way]
                line = visible([*zip(layers, values, strict=True)], low, high)
                axis.plot(*zip(*line, strict=True), label=initializer, **style)
            axis.set_yscale("log")
            axis.set_ylim(low, high)
            axis.set_xlim(0, numbers["layers"])
            axis.set_xticks([0, 20, 40])
            axis.set_yticks([1e-6, 1e-3, 1, 1e3])
            axis.minorticks_off()
            axis.tick_params(labelsize=8.5)
            axis.spines[["top", "right"]].set_visible(False)
        row[1].tick_params(axis="y", left=False)
        row[0].set_title(f"{activation} (table: {part['table']})", fontsize=10, loc="left", pad=3)
    for axis, text in zip(axes[-1], ("activations of layer", "gradients at layer"), strict=True):
        axis.set_xlabel(text, fontsize=10, labelpad=1)
    handles, labels = axes[0, 0].get_legend_handles_labels()
    figure.text(
        0.02,
        0.993,
        f"Standard deviation through {numbers['layers']} layers of {numbers['width']} units.\n"
        "Left: activations, from the input on. Right: gradients,\n"
        "from the last layer back. Gray: from 0.1 to 10.",
        va="top",
        fontsize=10,
    )
    figure.legend(
        handles,
        labels,
        loc="upper left",
        bbox_to_anchor=(0.0, 0.951),
        ncols=3,
        frameon=False,
        fontsize=9.5,
        handlelength=2.6,
        columnspacing=1.2,
        labelspacing=0.3,
    )
    return figure


# Eigenvalues

EIGEN_SIZE, EIGEN_COUNT = 128, 64
GAP_BINS, GAP_END = 16, 4.0

# The densities of the gaps, with mean 1: Wigner's surmise for the eigenvalues, whose distribution
# function differs by less than 0.01 from that of large matrices, and that of a Poisson process.
GAPS: dict[str, Callable[[Any], Any]] = {
    "eigenvalues": lambda x: 32 / math.pi**2 * x**2 * np.exp(-4 * x**2 / math.pi),
    "independent points": lambda x: np.exp(-x),
}


def upper_angles(matrix: Any) -> Any:
    """Return the sorted angles in (0, pi) of the eigenvalues of a real orthogonal matrix."""
    angles = np.angle(np.linalg.eigvals(matrix.astype(np.float64)))
    return np.sort(angles[(angles > 1e-6) & (angles < math.pi - 1e-6)])


def relative_gaps(angles: Any) -> Any:
    """Return the gaps between neighbors, divided by their mean."""
    gaps = np.diff(angles)
    return gaps / gaps.mean()


def eigenvalues() -> Numbers:
    """Return angles of eigenvalues and of independent points, and the gaps between neighbors.

    The eigenvalues of a real matrix are symmetric about the real axis.  The independent points are
    made in the same way: as many uniform angles in (0, pi), and their mirror images.
    """
    shape = (EIGEN_COUNT, EIGEN_SIZE, EIGEN_SIZE)
    stack = fastinit.orthogonal(shape, seed=fastinit.derive_seed(SEED, "matrices"), batch_axis=0)
    turned = [upper_angles(matrix) for matrix in stack]
    seed = fastinit.derive_seed(SEED, "points")
    points = fastinit.random_uniform((EIGEN_COUNT, EIGEN_SIZE // 2), 0, math.pi, seed, "float64")
    points.sort(axis=1)
    numbers: Numbers = {"size": EIGEN_SIZE, "matrices": EIGEN_COUNT, "parts": {}}
    # A matrix of determinant -1 has the eigenvalues 1 and -1; the picture shows one without them.
    shown = next(i for i, angles in enumerate(turned) if len(angles) == EIGEN_SIZE // 2)
    for name, many in (("eigenvalues", turned), ("independent points", list(points))):
        gaps = np.concatenate([relative_gaps(angles) for angles in many])
        counts, _ = np.histogram(gaps, GAP_BINS, (0, GAP_END))
        numbers["parts"][name] = {
            "angles": rounded(many[shown]),
            "gaps": int(gaps.size),
            "counts": counts.tolist(),
            "below a tenth": rounded(np.mean(gaps < 0.1)),
        }
    return numbers


def draw_eigenvalues(numbers: Numbers, plt: Any) -> Any:
    """Draw both sets of points on the unit circle, and under them the histograms of the gaps."""
    figure = plt.figure(figsize=(WIDE, 5.0))
    width, size = GAP_END / GAP_BINS, numbers["size"]
    gaps = figure.add_axes((0.06, 0.09, 0.91, 0.315))
    x = np.linspace(0, GAP_END, 81)
    styles = {
        "eigenvalues": {"color": BLUE, "marker": "o"},
        "independent points": {"color": VERMILION, "marker": "D"},
    }
    titles = {
        "eigenvalues": f"eigenvalues of an\northogonal matrix\nof {size} rows",
        "independent points": f"{size} independent\npoints, in pairs as\neigenvalues are",
    }
    for left, (name, part) in zip((0.03, 0.53), numbers["parts"].items(), strict=True):
        style = styles[name]
        axis = figure.add_axes((left, 0.475, 0.44, 0.44 * WIDE / 5.0))
        angles = np.array(part["angles"])
        angles = np.concatenate([angles, -angles])
        circle = np.linspace(0, 2 * math.pi, 181)
        axis.plot(np.cos(circle), np.sin(circle), color=GRAY, lw=0.8)
        axis.plot(np.cos(angles), np.sin(angles), ls="", ms=4, mew=0, **style)
        axis.set(xlim=(-1.08, 1.08), ylim=(-1.08, 1.08), aspect="equal")
        axis.axis("off")
        axis.text(0, 0, titles[name], ha="center", va="center", fontsize=9.5)
        heights = np.array(part["counts"]) / (part["gaps"] * width)
        edges = np.linspace(0, GAP_END, GAP_BINS + 1)
        gaps.stairs(heights, edges, fill=True, color=style["color"], alpha=0.35, lw=0)
        line = {"eigenvalues": "-", "independent points": "--"}[name]
        gaps.plot(x, GAPS[name](x), color=style["color"], lw=1.8, ls=line)
    gaps.text(1.35, 0.78, "eigenvalues: few are close", fontsize=9.5, color=BLUE)
    gaps.text(2.05, 0.22, "independent points", fontsize=9.5, color=VERMILION)
    gaps.set(xlim=(0, GAP_END), ylim=(0, 1.05), yticks=[])
    gaps.set_title(
        f"gaps between neighbors, {numbers['matrices']} matrices", fontsize=10, loc="left", pad=2
    )
    gaps.set_xlabel("gap, where the mean gap is 1", fontsize=10, labelpad=2)
    gaps.tick_params(labelsize=9)
    gaps.spines[["top", "right", "left"]].set_visible(False)
    figure.text(
        0.02,
        0.985,
        "Equally many points on two unit circles.\nThe eigenvalues keep their distance.",
        va="top",
        fontsize=10,
    )
    return figure


# Shards

TABLE = (12, 12)
CUTS: dict[str, list[tuple[slice, slice]]] = {
    "by rows": [(slice(3 * i, 3 * i + 3), slice(0, 12)) for i in range(4)],
    "by columns": [(slice(0, 12), slice(3 * i, 3 * i + 3)) for i in range(4)],
    "by blocks": [
        (slice(6 * i, 6 * i + 6), slice(6 * j, 6 * j + 6)) for i in range(2) for j in range(2)
    ],
}
STDDEV, LEVELS = 0.05, 11


def shards(table: Any = None) -> Numbers:
    """Return the shards of each cut, each made alone, and whether they have the bits of the whole.

    Parameters
    ----------
    table : LazyArray, optional
        The array of shape `TABLE` that makes the shards.  `truncated_normal` makes the whole.
    """
    seed = fastinit.derive_seed(SEED, "table")
    if table is None:
        table = initializers.TruncatedNormal(stddev=STDDEV, seed=seed).lazy(TABLE)
    whole = fastinit.truncated_normal(TABLE, stddev=STDDEV, seed=seed)
    cuts = {}
    for name, parts in CUTS.items():
        made = [table[part] for part in parts]
        cuts[name] = [
            {
                "corner": [part[0].start, part[1].start],
                "values": rounded(shard),
                "equal": bool((bits(shard) == bits(whole[part])).all()),
            }
            for part, shard in zip(parts, made, strict=True)
        ]
    return {"whole": rounded(whole), "cuts": cuts}


def bits(values: Any) -> Any:
    """Return the bits of an array of float32."""
    return np.ascontiguousarray(values).view(np.uint32)


def draw_shards(numbers: Numbers, plt: Any) -> Any:
    """Draw the values as colored squares: the whole table, and the shards of each cut apart."""
    from matplotlib import colormaps, patches, path

    figure, axes = plt.subplots(2, 2, figsize=(WIDE, 5.7))
    figure.subplots_adjust(left=0.02, right=0.98, top=0.835, bottom=0.1, hspace=0.16, wspace=0.08)
    palette = colormaps["viridis"](np.linspace(0, 1, LEVELS))
    whole = {"corner": [0, 0], "values": numbers["whole"]}
    views = {"the whole": [whole], **numbers["cuts"]}
    gap = 0.9
    for axis, (name, parts) in zip(axes.flat, views.items(), strict=True):
        squares: list[list[Any]] = [[] for _ in range(LEVELS)]
        for part in parts:
            rows, columns = len(part["values"]), len(part["values"][0])
            top, left = part["corner"]
            # Each cut of a table leaves a gap before the shards after it.
            top += gap * (top // rows)
            left += gap * (left // columns)
            for i, row in enumerate(part["values"]):
                for j, value in enumerate(row):
                    level = int((value / STDDEV + 2) / 4 * LEVELS)
                    x, y = left + j, top + i
                    square = [(x, y), (x + 1, y), (x + 1, y + 1), (x, y + 1)]
                    squares[min(max(level, 0), LEVELS - 1)].append(square)
            axis.add_patch(patches.Rectangle((left, top), columns, rows, fill=False, lw=2.5))
        for color, found in zip(palette, squares, strict=True):
            if found:
                compound = path.Path.make_compound_path_from_polys(np.array(found))
                axis.add_patch(patches.PathPatch(compound, fc=color, ec=color, lw=0.3))
        reach = len(numbers["whole"]) / 2 + 2 * gap
        middle = (left + columns) / 2
        axis.set_xlim(middle - reach, middle + reach)
        axis.set_ylim(2 * reach - gap / 2, -gap / 2)
        axis.set_aspect("equal")
        axis.axis("off")
        title = name
        if name != "the whole":
            equal = sum(part["equal"] for part in parts)
            title = f"{name}: {equal} of {len(parts)} equal"
        axis.set_title(title, fontsize=10.5, pad=1)
    figure.text(
        0.02,
        0.985,
        "One table, made whole and made in four shards. Each\n"
        "shard is made alone. “Equal” means: every bit is that of\n"
        "the same part of the whole.",
        va="top",
        fontsize=10,
    )
    scale = figure.add_axes((0.3, 0.055, 0.4, 0.02))
    for level, color in enumerate(palette):
        scale.add_patch(patches.Rectangle((level, 0), 1, 1, fc=color, ec=color, lw=0.3))
    scale.set(xlim=(0, LEVELS), ylim=(0, 1), yticks=[])
    scale.set_xticks([0, LEVELS / 2, LEVELS], [f"{-2 * STDDEV:g}", "0", f"{2 * STDDEV:g}"])
    scale.tick_params(labelsize=9.5, length=3)
    scale.spines[:].set_visible(False)
    return figure


# Benchmarks

TIMES = "### float32, into an array that exists"


def benchmarks(text: str | None = None) -> Numbers:
    """Return machine, date and versions, and the times in the table of the committed results.

    Parameters
    ----------
    text : str, optional
        The page of results, by default bench/results.md.

    Raises
    ------
    ValueError
        The page has no such table, or does not say when and where it was measured.
    """
    text = RESULTS.read_text(encoding="utf-8") if text is None else text
    said = {}
    for name, pattern in {
        "date": r"^Written by .* on (\d{4}-\d\d-\d\d)\.$",
        "machine": r"^Machine: (.*)\.$",
        "mkl": r"^Versions: .*\bmkl [^;]*\(code branch \d+: (\w+)\)",
    }.items():
        found = re.search(pattern, text, flags=re.M)
        said[name] = found[1] if found else None
    _, title, rest = text.partition(TIMES)
    table = re.search(r"(?:^\|.*\|\n)+", rest.partition("\n#")[0], flags=re.M)
    if not title or not table or not said["date"] or not said["machine"]:
        raise ValueError(f"the results have no date, no machine, or no table {TIMES!r}")
    head, _, *rows = [
        [cell.strip() for cell in line.strip("|").split("|")] for line in table[0].splitlines()
    ]
    parts: Numbers = {column: {} for column in head[1:]}
    for name, *cells in rows:
        runner, _, threads = name.strip("*").partition(", ")
        for column, cell in zip(head[1:], cells, strict=True):
            if cell:
                time = float(cell.partition(" ")[0])
                parts[column].setdefault(runner, {})[threads or "1"] = time
    return {**said, "parts": parts}


def draw_benchmarks(numbers: Numbers, plt: Any) -> Any:
    """Draw a row for each library and a mark for each number of threads, on a logarithmic axis."""
    parts = numbers["parts"]
    figure, axes = plt.subplots(len(parts), 1, figsize=(WIDE, 9.4), sharex=True)
    figure.subplots_adjust(left=0.365, right=0.98, top=0.88, bottom=0.05, hspace=0.16)
    greatest = max(
        time for part in parts.values() for row in part.values() for time in row.values()
    )
    marks = {"1": "o", "2": "D"}
    for axis, (title, part) in zip(axes, parts.items(), strict=True):
        memset = part.get("memset")
        rows = sorted(
            ((min(row.values()), name, row) for name, row in part.items() if name != "memset"),
            reverse=True,
        )
        if memset:
            axis.axvline(memset["1"], color=GRAY, ls=":", lw=1.4)
        for y, (least, name, row) in enumerate(rows):
            color = VERMILION if name.startswith("fastinit") else BLUE
            axis.plot([least, max(row.values())], [y, y], color=color, lw=2)
            for threads, time in row.items():
                face = color if threads == "1" else "white"
                axis.plot(time, y, marks[threads], ms=5.5, mfc=face, mec=color, mew=1.6)
            shown = " / ".join(f"{row[n]:.3g}" for n in marks if n in row)
            axis.text(max(row.values()) * 1.25, y, shown, va="center", fontsize=8.5)
        axis.set_yticks(range(len(rows)), [name for _, name, _ in rows], fontsize=9)
        for tick, (_, name, _) in zip(axis.get_yticklabels(), rows, strict=True):
            tick.set_color(VERMILION if name.startswith("fastinit") else BLACK)
        axis.set_xscale("log")
        axis.minorticks_off()
        axis.set_xlim(0.1, greatest * 15)
        axis.set_xticks([0.1, 1, 10, 100], ["0.1", "1", "10", "100"])
        axis.set_ylim(-0.7, len(rows) - 0.3)
        axis.set_title(title, fontsize=10.5, loc="left", pad=2)
        axis.tick_params(axis="x", labelsize=9)
        axis.spines[["top", "right"]].set_visible(False)
    axes[-1].set_xlabel("nanoseconds an element (logarithmic)", fontsize=10, labelpad=1)
    machine = numbers["machine"].partition(", Python")[0]
    note = f"{machine}; {numbers['date']}."
    if numbers["mkl"] == "compatible":
        note += " On this processor MKL takes its slowest code."
    figure.text(
        0.02,
        0.993,
        "Time to fill an existing array of 4096 x 4096 float32.\n"
        "Filled / open: one / two threads. Dotted: memset.\n"
        f"{textwrap.fill(note, 60)}",
        va="top",
        fontsize=9.5,
    )
    return figure


# Files


class Picture(NamedTuple):
    """A picture: its title, the function of its numbers and the function that draws them."""

    title: str
    numbers: Callable[[], Numbers]
    draw: Callable[[Numbers, Any], Any]


PICTURES = {
    "distributions": Picture(
        "Distributions of initial values, and their bounds", distributions, draw_distributions
    ),
    "depth": Picture("Activations and gradients through 50 layers", depth, draw_depth),
    "eigenvalues": Picture(
        "Eigenvalues of an orthogonal matrix, and independent points", eigenvalues, draw_eigenvalues
    ),
    "shards": Picture("One table cut three ways into equal shards", shards, draw_shards),
    "benchmarks": Picture("Time of each library to fill an array", benchmarks, draw_benchmarks),
}


def drawn(name: str, numbers: Numbers) -> str:
    """Return the SVG of a picture of these numbers; it needs Matplotlib."""
    import matplotlib

    matplotlib.use("svg")
    from matplotlib import pyplot as plt

    style = {
        "svg.hashsalt": name,
        "svg.fonttype": "path",
        "font.family": "DejaVu Sans",  # a part of Matplotlib
        "font.size": 10,
        "savefig.facecolor": "white",
    }
    description = {"matplotlib": matplotlib.__version__, "numbers": numbers}
    metadata = {
        "Title": PICTURES[name].title,
        "Description": json.dumps(description, ensure_ascii=False, separators=(",", ":")),
        "Creator": "docs/pictures/make.py",
        "Date": None,
    }
    file = io.StringIO()
    with matplotlib.rc_context({**matplotlib.rcParamsDefault, **style}):
        figure = PICTURES[name].draw(numbers, plt)
        figure.savefig(file, format="svg", metadata=metadata)
        plt.close(figure)
    return shortened(file.getvalue())


def shortened(svg: str) -> str:
    """Return an SVG whose coordinates have two decimals; a point is 1/72 of an inch."""

    def short(found: re.Match[str]) -> str:
        return re.sub(r"-?\d+\.\d{3,}", lambda m: f"{float(m[0]):.2f}", found[0])

    svg = re.sub(r'(?s)\b(?:d|x|y)="[^"]*"|translate\([^)]*\)', short, svg)
    return re.sub(r" *\n *", "\n", svg)


def held(svg: str) -> tuple[str, Numbers]:
    """Return the version of Matplotlib that made an SVG, and the numbers that it shows."""
    found = ElementTree.fromstring(svg).find(".//{http://purl.org/dc/elements/1.1/}description")
    if found is None or not found.text:
        raise ValueError("the SVG has no description")
    description = json.loads(found.text)
    return description["matplotlib"], description["numbers"]


def differences(old: Any, new: Any, where: str = "") -> list[str]:
    """Return where two nested results differ; numbers may differ by 2 in 1000."""
    if isinstance(old, dict) and isinstance(new, dict) and list(old) == list(new):
        return [d for key in old for d in differences(old[key], new[key], f"{where}/{key}")]
    if isinstance(old, list) and isinstance(new, list) and len(old) == len(new):
        pairs = enumerate(zip(old, new, strict=True))
        return [d for i, (a, b) in pairs for d in differences(a, b, f"{where}/{i}")]
    numbers = [isinstance(x, (int, float)) and not isinstance(x, bool) for x in (old, new)]
    if all(numbers):
        same = math.isclose(old, new, rel_tol=2e-3)
    else:
        same = type(old) is type(new) and not isinstance(old, (dict, list)) and old == new
    return [] if same else [f"{where}: the picture has {old!r}, now it is {new!r}"]


def same_drawing(svg: str, name: str) -> bool | None:
    """Return whether an SVG is the drawing of its numbers, or None with another Matplotlib."""
    try:
        import matplotlib
    except ImportError:
        return None
    version, numbers = held(svg)
    if matplotlib.__version__ != version:
        return None
    return drawn(name, numbers) == svg


def check(name: str) -> list[str]:
    """Return what is wrong with a committed picture, and print what was compared."""
    path = HERE / f"{name}.svg"
    svg = path.read_text(encoding="utf-8")
    version, numbers = held(svg)
    wrong = differences(numbers, PICTURES[name].numbers())
    same = same_drawing(svg, name)
    if same is False:
        wrong.append("the drawing of its numbers has other bytes")
    how = f" (bytes not compared: it was made with Matplotlib {version})" if same is None else ""
    print(f"{path.name}: {'other' if wrong else 'same'}{how}")
    for line in wrong[:10]:
        print(f"  {line}")
    return wrong


def main() -> int:
    """Make or check the pictures that the command line names, by default all."""
    parser = argparse.ArgumentParser(description="Make the pictures of the documentation.")
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(PICTURES)}")
    parser.add_argument("--check", action="store_true", help="compare, and write nothing")
    arguments = parser.parse_args()
    unknown = set(arguments.names) - set(PICTURES)
    if unknown:
        parser.error(f"there is no picture {', '.join(sorted(unknown))}")
    names = arguments.names or list(PICTURES)
    if arguments.check:
        return int(any([check(name) for name in names]))
    for name in names:
        path = HERE / f"{name}.svg"
        path.write_text(drawn(name, PICTURES[name].numbers()), encoding="utf-8", newline="\n")
        print(f"{path.name}: {path.stat().st_size / 1000:.0f} KB")
    return 0


if __name__ == "__main__":
    sys.exit(main())
