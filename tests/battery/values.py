"""Values: masses of cells, moments, the outermost samples, and the bits of the mantissa."""

import math

import numpy as np
import reference
from scipy import special

from . import pvalues
from .cases import INF
from .expected import (
    COARSE,
    FINE,
    LOW_BITS,
    MOMENTS,
    center_and_scale,
    first_attempts,
    groups,
    half_masses,
    last_bits,
    masses_of,
    moments,
)

CHUNK = 2**18  # samples that are looked at once: 1 or 2 MiB, for the caches


def chunks(case, seed, start, n):
    """Yield the first element's index and the samples, in one array that is used again."""
    out = np.empty(min(CHUNK, n), case.dtype)
    for at in range(start, start + n, out.size):
        case.fill(out, seed, at)
        yield at, out


# Cells of float32 and float64: their sign, exponent and first bits of the mantissa


def cells_layout(case):
    """Return the bits of the mantissa that name a cell, the least exponent, and how many there are.

    All that is nearer to 0 is in the first cell of its sign, and all that is beyond in the last.
    """
    lower, upper = case.bounds
    nearest, farthest = max(lower, -upper, 0.0), max(upper, -lower)
    if nearest < 1:
        return 9, -14, 17 << 9  # up to 8
    # Cells are parts of the scale of such a window, which may be narrow.
    low = math.floor(math.log2(nearest))
    bits = low + 9 - math.floor(math.log2(center_and_scale(case)[1]))
    bits = min(bits, 23 if case.width == 32 else 20)
    if farthest < 2.0 ** (low + 1):
        return bits, low, int((farthest / 2.0**low - 1) * 2.0**bits) + 1
    return bits, low, 2 << bits


def cell_edges(case):
    bits, low, count = cells_layout(case)
    k = np.arange(count + 1)
    edges = 2.0 ** (low + (k >> bits)) * (1 + (k & (1 << bits) - 1) / 2.0**bits)
    if case.width == 32:  # What is nearer to a number than to the one below it is rounded to it.
        below = np.nextafter(edges.astype(np.float32), np.float32(0)).astype(np.float64)
        edges = (edges + below) / 2
    edges[0], edges[-1] = 0, INF
    return edges


def count_cells(case, seed, start, n):
    bits, low, per_sign = cells_layout(case)
    counts = np.zeros(2 * per_sign, np.int64)
    words, exponents, bias = (1, 8, 127) if case.width == 32 else (2, 11, 1023)
    shift = np.uint32(31 - exponents - bits)
    base = low + bias << bits
    magnitude = np.empty(min(CHUNK, n), np.uint32)
    index = np.empty(magnitude.size, np.intp)
    sign = np.empty(magnitude.size, np.uint32)
    for _, x in chunks(case, seed, start, n):
        top = x.view(np.uint32)[words - 1 :: words]
        np.right_shift(top, np.uint32(31), out=sign)
        sign *= np.uint32(per_sign)
        np.bitwise_and(top, np.uint32(0x7FFFFFFF), out=magnitude)
        magnitude >>= shift
        np.clip(magnitude, np.uint32(base), np.uint32(base + per_sign - 1), out=magnitude)
        magnitude -= np.uint32(base)
        magnitude += sign
        index[...] = magnitude
        counts += np.bincount(index, minlength=counts.size)
    return {"counts": counts}


def merged(counts, masses, least):
    """Return the counts and masses of merged cells of one or both signs."""
    found, expected = [], []
    for count, mass in zip(counts, masses, strict=True):
        if mass.sum() < least:
            if mass.sum() == 0 and count.any():
                raise AssertionError("samples where none can be")
            continue
        first = groups(mass, least)
        found.append(np.add.reduceat(count, first))
        expected.append(np.add.reduceat(mass, first))
    return np.concatenate(found), np.concatenate(expected)


def judge_masses(case, counts, masses):
    p = {}
    for name, least in (("fine cells", FINE), ("coarse cells", COARSE)):
        p[name] = pvalues.cells(*merged(counts, masses, least))
    if case.is_symmetric:
        p["sign"] = pvalues.binomial(counts[0].sum(), sum(c.sum() for c in counts), 0.5)
    return p


def judge_cells(case, n, sums):
    counts = sums["counts"].reshape(2, -1)
    return judge_masses(case, counts, masses_of(case, cell_edges(case)))


# All numbers of float16 and bfloat16


def count_halves(case, seed, start, n):
    counts = np.zeros(2**16, np.int64)
    index = np.empty(min(CHUNK, n), np.intp)
    for _, x in chunks(case, seed, start, n):
        index[...] = x.view(np.uint16)
        counts += np.bincount(index, minlength=2**16)
    return {"counts": counts}


def judge_halves(case, n, sums):
    numbers, right, left = half_masses(case)
    counts = sums["counts"].reshape(2, -1)
    if counts[:, numbers.size :].any():
        raise AssertionError("an infinity or a NaN")
    counts = counts[:, : numbers.size]
    p = judge_masses(case, counts, (right, left))
    both = np.concatenate([counts[0], counts[1]])
    mass = np.concatenate([right, left])
    mean, scale = center_and_scale(case)
    y = (np.concatenate([numbers, -numbers]) - mean) / scale
    p.update(judge_powers(case, n, [float(both @ y**k) for k in range(1, MOMENTS + 1)]))
    # Each bit of the mantissa, and whether it equals the next one.
    fraction = {"float16": 10, "bfloat16": 7}[case.dtype]
    bits = np.arange(numbers.size) & (1 << fraction) - 1
    z = []
    for b in range(fraction):
        one = np.tile(bits >> b & 1, 2)
        q = float(mass @ one)
        z.append((float(both @ one) - n * q) / math.sqrt(n * q * (1 - q)))
    p["bits"] = float(-np.expm1(fraction * np.log1p(-min(pvalues.normal(max(z, key=abs)), 0.5))))
    return p


# Moments


def sum_powers(case, seed, start, n):
    sums = np.zeros(MOMENTS)
    mean, scale = center_and_scale(case)
    y, y2, y3, y4 = (np.empty(min(CHUNK, n)) for _ in range(4))
    for _, x in chunks(case, seed, start, n):
        y[...] = x
        if (mean, scale) != (0.0, 1.0):
            y -= mean
            y *= 1 / scale
        np.multiply(y, y, out=y2)
        np.multiply(y2, y, out=y3)
        np.multiply(y2, y2, out=y4)
        sums += [y.sum(), y @ y, y @ y2, y2 @ y2, y2 @ y3, y3 @ y3, y3 @ y4, y4 @ y4]
    return {"sums": sums}


def judge_powers(case, n, sums):
    m = moments(case)
    return {
        f"moment {k}": pvalues.mean(total, n, m[k], m[2 * k] - m[k] ** 2)
        for k, total in enumerate(sums, 1)
    }


def judge_moments(case, n, sums):
    return judge_powers(case, n, sums["sums"])


# The outermost samples: their number, their values, and the distances between them


def outer_bounds(case):
    """Return below and above which samples are outermost."""
    if case.distribution == "normal":
        return -4.0, 4.0
    if case.distribution == "truncated":
        return -2 + 2.0**-7, 2 - 2.0**-7
    if case.distribution == "uniform":
        return 2.0**-11, 1 - 2.0**-11
    lower, upper = case.bounds
    margin = 2.0**-9 * center_and_scale(case)[1]
    low = max(lower + margin, -_far(max(-upper, 0.0)))
    high = min(upper - margin, _far(max(lower, 0.0)))
    real = np.dtype(case.dtype).type
    return float(real(low)), float(real(high))


def _far(near):
    """Return beyond which 6e-5 to 4e-4 of the mass beyond `near` lies."""
    return near + 6 / near if near > 2 else 4.0


def collect_outer(case, seed, start, n):
    low, high = outer_bounds(case)
    values, places = [], []
    for at, x in chunks(case, seed, start, n):
        here = np.flatnonzero((x < low) | (x > high))
        values.append(x[here])
        places.append(here + at)
    return {"values": np.concatenate(values), "places": np.concatenate(places)}


def judge_outer(case, n, sums):
    low, high = outer_bounds(case)
    values = sums["values"].astype(np.float64)
    if case.width == 32:
        low, high, values = spread(case, low, high, sums["values"])
    below, above = values[values < low], values[values > high]
    lower, upper = limits(case)
    p_below, p_above = mass(case, lower, low), mass(case, high, upper)
    p = {
        "mass below": pvalues.binomial(below.size, n, p_below),
        "mass above": pvalues.binomial(above.size, n, p_above),
        "shape below": pvalues.uniform(mass(case, lower, below) / p_below),
        "shape above": pvalues.uniform(mass(case, above, upper) / p_above),
    }
    # The distances are geometric: their logarithms' cells have equal masses.
    rate = p_below + p_above
    gaps = np.diff(np.concatenate([[-1], sums["places"]]))
    least = max(2, min(256, gaps.size // 64))
    edges = np.arange(1, least) / least
    ends = np.ceil(np.log1p(-edges) / math.log1p(-rate)).astype(np.int64)  # gap > end - 1
    reach = np.concatenate([[0.0], -np.expm1(ends * math.log1p(-rate)), [1.0]])
    counts = np.bincount(np.searchsorted(ends, gaps, side="left"), minlength=least)
    p["distances"] = pvalues.cells(counts, np.diff(reach))
    if case.distribution == "normal":
        far = np.abs(values[np.abs(values) > 5])
        p["mass beyond 5"] = pvalues.binomial(far.size, n, 2 * mass(case, 5.0, INF))
        p["shape beyond 5"] = pvalues.uniform(mass(case, far, INF) / mass(case, 5.0, INF))
    return p


def spread(case, low, high, values):
    """Return the bounds and values of float32 as real numbers that were rounded to these.

    A value gets a random place among the numbers that round to it, so that its distribution is
    continuous, and the bounds are those of what rounds to the numbers beyond them.
    """
    exact = values.astype(np.float64)
    places = np.random.default_rng(1).random(values.size) - 0.5
    exact += places * np.spacing(np.abs(values)).astype(np.float64)
    for limit in limits(case):
        if math.isfinite(limit):
            outside = exact > limit if limit > low else exact < limit
            exact[outside] = 2 * limit - exact[outside]
    ends = np.nextafter(np.float32([low, high]), np.float32([-INF, INF])).astype(np.float64)
    return (low + ends[0]) / 2, (high + ends[1]) / 2, exact


def limits(case):
    known = {"uniform": (0.0, 1.0), "truncated": (-2.0, 2.0)}
    return known.get(case.distribution, case.bounds)


def mass(case, a, b):
    """Return P(a < value < b), where one or both may be arrays."""
    if case.distribution == "uniform":
        return b - a
    return _mass(a, b) / _mass(*limits(case))


def _mass(a, b):
    """Return the standard normal's mass between a and b; differences of small numbers are exact."""
    a, b = np.asarray(a, np.float64), np.asarray(b, np.float64)
    right = a > -b  # then both are taken to the other side, so that the smaller ones are taken
    a, b = np.where(right, -b, a), np.where(right, -a, b)
    return special.ndtr(b) - special.ndtr(a)


# Bits of the mantissa


def lanes_of(case):
    """Return (name, first bit, bits) of the parts of the mantissa whose values are counted."""
    if case.distribution == "bits":
        return [(f"bits {s}-{s + 15}", s, 16) for s in range(0, case.width - 15, 8)]
    if case.distribution == "uniform":  # of the integer u 2^24 or u 2^53
        return [("bits 0-15", 0, 16), ("bits 8-23", 8, 16)] + (
            [("bits 22-37", 22, 16), ("bits 37-52", 37, 16)] if case.width == 64 else []
        )
    if case.width == 32:
        return [("bits 0-11", 0, LOW_BITS), ("bits 11-22", 11, LOW_BITS)]
    return [
        ("bits 0-15", 0, 16),
        ("bits 15-30", 15, 16),
        ("bits 21-36", 21, 16),
        ("bits 36-51", 36, 16),
    ]


def count_bits(case, seed, start, n):
    lanes = lanes_of(case)
    unsigned = np.dtype(f"uint{case.width}")
    bits, shifted = np.empty(min(CHUNK, n), unsigned), np.empty(min(CHUNK, n), unsigned)
    index = np.empty(bits.size, np.intp)
    counts = [np.zeros(1 << width, np.int64) for _, _, width in lanes]
    for _, x in chunks(case, seed, start, n):
        if case.distribution == "uniform":
            bits[...] = x * x.dtype.type(2.0**24 if case.width == 32 else 2.0**53)
        else:
            bits[...] = x.view(unsigned)
        for count, (_, first, width) in zip(counts, lanes, strict=True):
            np.right_shift(bits, unsigned.type(first), out=shifted)
            shifted &= unsigned.type((1 << width) - 1)
            index[...] = shifted
            count += np.bincount(index, minlength=count.size)
    return {str(i): count for i, count in enumerate(counts)}


def lane_probabilities(case, first, width, lattice):
    """Return the probabilities of the values of a part of the mantissa.

    The first bits follow from the density, whose integrals are summed over all binades.  All others
    are even: at bit 36 of float64 the density changes a frequency by 2e-6, where 2^30 samples have
    a standard error of 1.5e-5.  The last bits of float32 normals are those of the lattice; what
    later attempts give, one sample in 400 or less often of the normals and in 50 of a window, has
    even ones.
    """
    fraction = {32: 23, 64: 52}.get(case.width)
    even = np.full(1 << width, 2.0**-width)
    if case.distribution in ("bits", "uniform"):
        return even
    if first + width == fraction:
        total = np.zeros(1 << width)
        for binade in range(-40, 4):
            edges = 2.0**binade * (1 + np.arange((1 << width) + 1) / 2.0**width)
            total += sum(masses_of(case, edges))
        return total / total.sum()
    if case.width == 32 and first == 0:
        counts = lattice["bits"].sum(axis=0)
        words = 2.0**32 if case.distribution == "between" else 2.0**31
        return (counts + (words - counts.sum()) * even) / words
    return even


def judge_bits(case, n, sums, lattice=None):
    p = {}
    bits, pairs = [], []
    for i, (name, first, width) in enumerate(lanes_of(case)):
        counts, expected = sums[str(i)], lane_probabilities(case, first, width, lattice)
        p[name] = pvalues.cells(counts, expected)
        value = np.arange(1 << width)
        for b in range(width):
            bits.append(_z(counts, expected, value >> b & 1, n))
            if b + 1 < width:
                pairs.append(_z(counts, expected, (value >> b ^ value >> b + 1) & 1, n))
    for name, z in (("each bit", bits), ("neighbours", pairs)):
        p[name] = pvalues.squares(z)[1]  # Lanes overlap, so this is an upper bound, as is wanted.
    return p


def _z(counts, expected, chosen, n):
    q = float(expected @ chosen)
    return (float(counts @ chosen) - n * q) / math.sqrt(n * q * (1 - q))


def count_lattice(case, seed, start, n):
    """Count the last bits of the lattice; the samples are the layers."""
    return {"bits": last_bits(case, start, n)}


# Layers


LAYER_BITS = 6


def count_layers(case, seed, start, n):
    """Count pairs of the layer of the first attempt and the last bits of the value."""
    tag = reference.TAGS[case.distribution]
    counts = np.zeros(reference.LAYERS << LAYER_BITS, np.int64)
    unsigned = f"uint{case.width}"
    for at, x in chunks(case, seed, start, n):
        for part in range(0, x.size, 2**15):  # Philox in NumPy keeps many arrays of words
            value = x[part : part + 2**15]
            words = reference.samples(tag, case.width, seed, at + part, value.size)
            index = reference.layer_of(case.width, words).astype(np.intp) << LAYER_BITS
            index |= (value.view(unsigned) & ((1 << LAYER_BITS) - 1)).astype(np.intp)
            counts += np.bincount(index, minlength=counts.size)
    return {"counts": counts}


def judge_layers(case, n, sums, lattice=None):
    inscribed, _ = first_attempts(case.distribution)
    counts = sums["counts"].reshape(-1, 1 << LAYER_BITS)[:inscribed]
    layers = counts.sum(axis=1)
    expected = np.full(counts.shape, 2.0**-LAYER_BITS)
    if lattice is not None:
        bits = lattice["bits"][:inscribed].reshape(inscribed, -1, 1 << LAYER_BITS).sum(axis=1)
        expected = bits / bits.sum(axis=1, keepdims=True)
    expected = expected * layers[:, None]
    if counts[expected == 0].any():
        raise AssertionError("last bits that the layer does not have")
    often = expected >= 30  # the lattices of some layers have few points of some last bits
    value = np.sum((counts[often] - expected[often]) ** 2 / expected[often])
    rare = [float(of[~often].sum()) for of in (counts, expected)]
    if rare[1] >= 30:
        value += (rare[0] - rare[1]) ** 2 / rare[1]
    freedom = int(often.sum()) + (rare[1] >= 30) - inscribed
    return {
        "last bits in each layer": pvalues.chi_squared(float(value), freedom),
        "layers": pvalues.cells(
            np.append(layers, n - layers.sum()),
            np.append(
                np.full(layers.size, 1 / reference.LAYERS), 1 - layers.size / reference.LAYERS
            ),
        ),
    }
