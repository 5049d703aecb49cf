"""What the stream is expected to give: masses of cells, moments, and frequencies of last bits.

The normals are draws from their density, but that those of float32 reach only the points of a
lattice: each of some 1000 layers has 2^22 of them (512 layers and 2^23 words for a window).

  * Masses of cells are integrals of the density between the numbers at which values round into the
    cell.  The lattice differs from it by the points at the two ends of a cell: of the layers, each
    has 2^21 points a width, so a cell of width 2^-11 or more (a mass of 2^-13 near 0; see `groups`)
    has 300 points of each, and 700 to 1000 layers that are independent: 4e-5 of its mass, where
    2^32 samples have a standard error of 1.4e-3.
  * float64 has 2^52 points a layer, and needs no such argument.
  * float16 and bfloat16 are float32 values that are rounded: their cells end where float32 numbers
    round to them, ties to even, and their moments are sums over all of their numbers.
  * Moments of float32 and float64 are those of the density.  The edges of the layers are rounded to
    24 bits, each by 2^-25 of itself or less: the scale of all is wrong by 1e-9, where 2^34 samples
    have a standard error of 5e-6.
  * The last bits of float32 normals do not follow from the density: `last_bits` counts them, layer
    by layer, over all 2^32 words of a first attempt.
"""

import re
from functools import cache

import numpy as np
import reference
from scipy import integrate, special

from .cases import Case

FINE, COARSE = 2.0**-13, 2.0**-6  # masses of merged cells
LOW_BITS = 12
MOMENTS = 8


def _below(case, x):
    """Return the mass between 0 and each x >= 0, of x and of -x, times some constant."""
    lower, upper = case.bounds
    if case.distribution == "uniform":
        lower, upper = 0.0, 1.0
    if case.distribution == "truncated":
        lower, upper = -2.0, 2.0

    def side(lower, upper):
        lower = max(lower, 0.0)
        if upper <= lower:
            return np.zeros(np.shape(x))
        inside = np.clip(x, lower, upper)
        if case.distribution == "uniform":
            return inside
        return special.ndtr(-lower) - special.ndtr(-inside)

    return side(lower, upper), side(-upper, -lower)


def masses_of(case, edges):
    """Return P(edges[k] <= x < edges[k + 1]), and of -x, for edges >= 0 in order."""
    total = sum(float(side) for side in _below(case, np.float64(np.inf)))
    return tuple(np.diff(side) / total for side in _below(case, edges))


@cache
def half_masses(case):
    """Return the numbers >= 0 of float16 or bfloat16 and their masses, and those of -x."""
    numbers = np.arange(0x7C00, dtype=np.uint16).view(case.dtype).astype(np.float64)
    # A uniform that rounds to 1 becomes the number below it; bounds of windows are numbers here.
    numbers = numbers[numbers < (1 if case.distribution == "uniform" else 64)]
    between = (numbers[1:] + numbers[:-1]) / 2
    # What is rounded is a float32, so all that becomes the middle goes to its even neighbour.
    tie = np.spacing(between.astype(np.float32)).astype(np.float64) / 2
    lower_is_even = np.arange(between.size) % 2 == 0
    edges = np.concatenate([[0.0], between + np.where(lower_is_even, tie, -tie), [np.inf]])
    return numbers, *masses_of(case, edges)


def groups(masses, least):
    """Return the first cells of groups of neighbours that have a mass of at least `least`."""
    bounds = np.concatenate([[0.0], np.cumsum(masses)])
    total = bounds[-1]
    # Each next cell whose lower end is `least` above the last one's; what is left joins the last.
    first, at = [], 0
    while at < masses.size and total - bounds[at] >= least * (1 - 1e-9):
        first.append(at)
        at = int(np.searchsorted(bounds, bounds[at] + least * (1 - 1e-9)))
    return np.array(first or [0])


# Moments


@cache
def center_and_scale(case):
    """Return the mean and the standard deviation of the density."""
    if case.distribution == "uniform":
        return 0.5, 12**-0.5
    if case.distribution == "normal":
        return 0.0, 1.0
    raw = _integrals(case, 0.0, 1.0, 2)
    mean = raw[1] if not case.is_symmetric else 0.0
    return mean, float(np.sqrt(_integrals(case, mean, 1.0, 2)[2]))


def _integrals(case, mean, scale, most):
    lower, upper = case.bounds
    if case.distribution == "truncated":
        lower, upper = -2.0, 2.0
    if case.distribution == "uniform":
        lower, upper = 0.0, 1.0
    # Beyond 14 from the nearer bound nothing is left of any moment.
    near = max(lower, min(upper, 0.0))
    lower, upper = max(lower, near - 14), min(upper, near + 14)
    x, w = special.roots_legendre(200)
    x = lower + (upper - lower) * (x + 1) / 2
    relative = np.exp(-(x * x - near * near) / 2) if case.distribution != "uniform" else 1.0
    w = w * relative
    w = w / w.sum()
    return [float(np.sum(w * ((x - mean) / scale) ** k)) for k in range(most + 1)]


@cache
def moments(case):
    """Return the moments 0 ... 16 of (x - mean) / scale, of `center_and_scale`."""
    mean, scale = center_and_scale(case)
    if case.is_half:
        numbers, right, left = half_masses(case)
        y, z = (numbers - mean) / scale, (-numbers - mean) / scale
        return [float(right @ y**k + left @ z**k) for k in range(2 * MOMENTS + 1)]
    found = _integrals(case, mean, scale, 2 * MOMENTS)
    if case.is_symmetric or case.distribution == "uniform":
        found[1::2] = [0.0] * len(found[1::2])
    return found


def check_moments():
    """Compare the rule of Gauss and Legendre with adaptive integrals; for test_battery.py."""
    for bounds in ((-2.0, 2.0), (-0.5, 2.5), (8.0, np.inf), (-np.inf, 0.2)):
        case = Case("between", "float64", bounds)
        mean, scale = center_and_scale(case)
        near = max(bounds[0], min(bounds[1], 0.0))
        lower, upper = max(bounds[0], near - 14), min(bounds[1], near + 14)

        def of(k, near=near, lower=lower, upper=upper, mean=mean, scale=scale):
            return integrate.quad(
                lambda x: np.exp((near * near - x * x) / 2) * ((x - mean) / scale) ** k,
                lower,
                upper,
                limit=500,
                epsrel=1e-10,
            )[0]

        for k in (1, 2, 5, 8):
            yield case.name, k, moments(case)[k], of(k) / of(0)


# Last bits


@cache
def first_attempts(distribution):
    """Return the names of the layers that a first attempt accepts, and the edges of all layers.

    They are read in the C file, which tests/test_tables.py compares with its generator; that takes
    some seconds to make them.
    """
    text = (reference.ROOT / "src" / "core" / "ziggurat_tables.c").read_text(encoding="utf-8")
    text = text.partition(f"fastinit_ziggurat_{distribution} = ")[2]
    inscribed = int(re.search(r"\.inscribed = (\d+)", text)[1])
    edges = re.search(r"\.edge_f32 = \{(.*?)\}", text, re.DOTALL)[1].replace("f", "F").split(",")
    edges = [
        float.fromhex(x.strip().removesuffix("F").replace("F", "f")) for x in edges if x.strip()
    ]
    return inscribed, np.array(edges, np.float32)


def layers_of(case):
    """Return how many layers a first attempt's word may name."""
    return 512 if case.distribution == "between" else reference.LAYERS


def last_bits(case, first, count):
    """Return how often each value of the LOW_BITS last bits occurs in layers first, first + 1, ...

    It has a row for each layer, over all words of an accepted first attempt of that layer and a
    non-negative sign bit (the others mirror them), or over all words of a window.
    """
    found = np.zeros((count, 1 << LOW_BITS), np.int64)
    layers = layers_of(case)
    is_window = case.distribution == "between"
    words = 2**32 if is_window else 2**31
    step = 2**16  # words of a layer at once, for the caches
    s, x, index = np.empty(step, np.uint32), np.empty(step, np.float32), np.empty(step, np.intp)
    j = np.arange(0, step * layers, layers, dtype=np.uint32)
    inscribed, edges = (layers, None) if is_window else first_attempts(case.distribution)
    for row, layer in enumerate(range(first, min(first + count, inscribed))):
        for start in range(layer, words, step * layers):
            np.add(j, np.uint32(start), out=s)
            if is_window:
                s >>= np.uint32(1)
            s |= np.uint32(1)
            x[...] = s
            accepted = step
            if is_window:
                t = reference.window(*case.bounds)
                accepted = np.searchsorted(x, t.inner_f32[layer])  # those below it
                x *= t.width_f32[layer]
                x += np.float32(t.start)
            else:
                x *= edges[layer]
            s[...] = x.view(np.uint32)
            s &= np.uint32((1 << LOW_BITS) - 1)
            index[...] = s
            found[row] += np.bincount(index[:accepted], minlength=1 << LOW_BITS)
    return found
