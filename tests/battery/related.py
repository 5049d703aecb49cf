"""Streams of related seeds, keys, positions and tags, which must be independent."""

import numpy as np

from fastinit import _kernels

from . import pvalues
from .cases import DIM, Case, window
from .expected import center_and_scale, moments

BLOCK = 2**16
ALL = 2**64 - 1


def standardized(case, x):
    """Return (x - mean) / deviation, and its square less the mean of that."""
    if case.distribution == "bits":
        y = x.astype(np.float64)
        y *= 12**0.5 / 2.0**case.width
        y -= 3**0.5
        return y, y * y - 1.0
    mean, scale = center_and_scale(case)
    y = (x.astype(np.float64) - mean) / scale
    return y, y * y - moments(case)[2]


def variances(case):
    if case.distribution == "bits":
        return 1.0, 0.8
    m = moments(case)
    return m[2] - m[1] ** 2, m[4] - m[2] ** 2


def related_to(number):
    """Return the 64-bit numbers that differ in one bit, the neighbours, and some others."""
    near = [number + 1, number - 1, number + 2, number * 2, ~number, number << 32 | number >> 32]
    return [number ^ 1 << k for k in range(64)] + [other & ALL for other in near]


def fill_rows(case, out, keys, seed):
    if case.distribution == "bits":
        _kernels.bits(out, keys, seed, 1, True)
    elif case.distribution == "between":
        window(*case.bounds).fill(out, keys, seed, 0.0, 1.0, 1, True)
    else:
        getattr(_kernels, case.distribution)(out, keys, seed, 0.0, 1.0, 1, True)


def others_of(case, seed, at, size):
    """Yield a function that fills an array with each related stream, the one itself first."""
    if case.keyed:
        keys = np.arange(at // DIM, (at + size) // DIM, dtype=np.uint64)
        keys += np.uint64(seed << 32)  # both halves are in use
        yield lambda out: fill_rows(case, out, keys, seed)
        for change in [1 << k for k in range(64)] + [ALL]:
            yield lambda out, c=change: fill_rows(case, out, keys ^ np.uint64(c), seed)
        for change in (1, 2, 2**32 + 1):
            yield lambda out, c=change: fill_rows(case, out, keys + np.uint64(c), seed)
        yield lambda out: Case(case.distribution, case.dtype, case.bounds).fill(out, seed, at)
    else:
        for other in [seed, *related_to(seed)]:
            yield lambda out, s=other: case.fill(out, s, at)


def far_positions(case, seed, at, size):
    """Do so for the positions that differ in one bit."""
    yield lambda out: case.fill(out, seed, at)
    for k in range(27, 64):  # the samples themselves are fewer than 2^27
        yield lambda out, p=at + (1 << k): case.fill(out, seed, p)


def compare(case, streams, size):
    """Return the sums of products of the first stream with each other one, and equal bits."""
    out = np.empty(size, case.dtype)
    first, products, equal = None, [], []
    for fill in streams:
        fill(out)
        y = standardized(case, out)
        if first is None:
            first, bits = y, out.copy()
            continue
        products.append([a @ b for a, b in zip(first, y, strict=True)])
        if case.distribution == "bits":
            equal.append(int(np.bitwise_count(bits ^ out).sum(dtype=np.int64)))
    return np.array(products).T, np.array(equal, np.int64)


def _sum(case, seed, start, n, streams_of):
    products, equal = 0.0, 0
    size = min(BLOCK, n)
    for at in range(start, start + n, size):
        p, e = compare(case, streams_of(case, seed, at, size), size)
        products, equal = products + p, equal + e
    return {"products": products, "equal": equal}


def sum_related(case, seed, start, n):
    return _sum(case, seed, start, n, others_of)


def sum_positions(case, seed, start, n):
    return _sum(case, seed, start, n, far_positions)


def judge_related(case, n, sums):
    p = {}
    for i, (name, variance) in enumerate(zip(("x", "x^2"), variances(case), strict=True)):
        z = sums["products"][i] / (variance * np.sqrt(n))
        p[f"all {name}"], p[f"largest {name}"] = pvalues.squares(z)
    if case.distribution == "bits":
        bits = n * case.width
        z = (sums["equal"] - bits / 2) / np.sqrt(bits / 4)
        p["all bits"], p["largest bits"] = pvalues.squares(z)
    return p


# Tags: distributions of the same seed, for each width and as rows by key

KINDS = [
    ("bits", ()),
    ("uniform", ()),
    ("normal", ()),
    ("truncated", ()),
    ("between", ((-0.5, 2.5),)),
]


def of_width(width):
    floats, words = f"float{width}", f"uint{width}"
    return [
        Case(name, words if name == "bits" else floats, *bounds, keyed=keyed)
        for keyed in (False, True)
        for name, bounds in KINDS
    ]


def sum_tags(case, seed, start, n):
    """Sum products of all pairs of distributions of one width, in arrays and in rows by key."""
    cases = of_width(case.width)
    products = np.zeros((4, len(cases), len(cases)))
    for at in range(start, start + n, BLOCK):
        streams = [standardized(c, c.draw(seed, at, min(BLOCK, n))) for c in cases]
        for i in range(4):  # x and x, x and x^2, ...
            a = np.stack([s[i // 2] for s in streams])
            b = np.stack([s[i % 2] for s in streams])
            products[i] += a @ b.T
    return {"products": products}


def judge_tags(case, n, sums):
    cases = of_width(case.width)
    v = np.array([variances(c) for c in cases])
    p = {}
    for i, name in enumerate(("x with x", "x with x^2", "x^2 with x", "x^2 with x^2")):
        z = sums["products"][i] / np.sqrt(n * np.outer(v[:, i // 2], v[:, i % 2]))
        pairs = z[np.triu_indices(len(cases), 1)]
        p[f"all {name}"], p[f"largest {name}"] = pvalues.squares(pairs)
    return p
