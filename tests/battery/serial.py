"""Serial tests: x and x^2 against those of later elements."""

import numpy as np

from . import pvalues
from .expected import center_and_scale, moments

BATCH, CHUNK = 64, 8192  # elements: src/core/batches.h
PIECE = 2 << 20  # bytes: src/core/parallel.c
LAGS = (1, 2, 3, 4, 8, 16, 32, BATCH, 128, CHUNK)
BLOCK = 2**17


def sum_products(case, seed, start, n):
    """Sum the products of elements start ... start + n - 1 and the ones that follow at each lag."""
    mean, scale = center_and_scale(case)
    m2 = moments(case)[2]
    lags = (*LAGS, PIECE // np.dtype(case.dtype).itemsize)
    sums = np.zeros((2, len(lags)))
    values = np.empty(min(BLOCK, n) + CHUNK, case.dtype)
    block = values.size - CHUNK
    far = np.empty(block, case.dtype)
    y, z = np.empty(values.size), np.empty(block)
    for at in range(start, start + n, block):
        case.fill(values, seed, at)
        case.fill(far, seed, at + lags[-1])
        for standard, x in ((y, values), (z, far)):
            standard[...] = x
            if (mean, scale) != (0.0, 1.0):
                standard -= mean
                standard *= 1 / scale
        for power in (0, 1):
            if power:
                for standard in (y, z):
                    standard *= standard
                    standard -= m2
            sums[power, :-1] += [y[:block] @ y[lag : lag + block] for lag in LAGS]
            sums[power, -1] += y[:block] @ z
    return {"sums": sums}


def judge_products(case, n, sums):
    """Products of independent values of mean 0 are uncorrelated, whichever share a factor."""
    m = moments(case)
    variances = m[2] - m[1] ** 2, m[4] - m[2] ** 2
    z = sums["sums"] / np.sqrt(n) / np.array(variances)[:, None]
    names = [*map(str, LAGS), "piece"]
    return {
        f"{power} lag {name}": pvalues.normal(z[i, j])
        for i, power in enumerate(("x", "x^2"))
        for j, name in enumerate(names)
    }
