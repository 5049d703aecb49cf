"""Call every kernel by one function, and compare arrays in every bit."""

from functools import cache

import ml_dtypes  # for NumPy to know bfloat16 by its name
import numpy as np

from fastinit import _kernels

DISTRIBUTIONS = ("uniform", "normal", "truncated", "between")
FLOATS = ("float32", "float64", "float16", "bfloat16")
FILLS = [
    *[("bits", dtype) for dtype in ("uint32", "uint64")],
    *[(distribution, dtype) for distribution in DISTRIBUTIONS for dtype in FLOATS],
]
# These are not the defaults, and none of them is exact in binary.  Between has mean, standard
# deviation and the two bounds; its window has two sides, one of them with a tail.
PARAMETERS = {
    "bits": (),
    "uniform": (-0.3, 1.1),
    "normal": (0.1, 0.7),
    "truncated": (0.1, 0.7),
    "between": (0.1, 0.7, -0.6, 3.9),
}
GUARD = 1024  # bytes; more than a batch has, so that what is written beyond shows here
_PATTERN = 0xA5


window = cache(_kernels.Window)


def fill(distribution, dtype, start, n, seed=1, parameters=None, threads=1, keyed=False):
    """Return elements start ... start + n - 1; check that nothing beside them is written.

    If keyed, start is an array of keys, and the elements are the first columns of their rows.
    """
    dtype = np.dtype(dtype)
    raw = np.full(n * dtype.itemsize + 2 * GUARD, _PATTERN, np.uint8)
    out = raw[GUARD : raw.size - GUARD].view(dtype)
    parameters = PARAMETERS[distribution] if parameters is None else parameters
    buffer = out.view("uint16") if dtype == ml_dtypes.bfloat16 else out
    if distribution == "between":
        mean, stddev, *bounds = parameters
        window(*bounds).fill(buffer, start, seed, mean, stddev, threads, keyed)
    else:
        getattr(_kernels, distribution)(buffer, start, seed, *parameters, threads, keyed)
    assert (raw[:GUARD] == _PATTERN).all()
    assert (raw[raw.size - GUARD :] == _PATTERN).all()
    return out


def as_bits(array):
    """Return the array as unsigned integers: a NaN equals itself, and -0.0 is not 0.0."""
    array = np.asarray(array)
    return array.view(f"uint{8 * array.itemsize}")


def assert_same_bits(found, expected):
    found, expected = as_bits(found), as_bits(expected)
    assert found.dtype == expected.dtype
    assert found.shape == expected.shape
    if not np.array_equal(found, expected):
        at = np.flatnonzero(found != expected)
        i = at[0]
        raise AssertionError(
            f"{at.size} of {found.size} differ, the first at {i}: "
            f"{found.flat[i]:#x} != {expected.flat[i]:#x}"
        )
