"""What is measured: each distribution here and in numpy.random, and whether it is right."""

import numpy as np

import fastinit

STDDEV = 0.05
SIZES = {"8": (8,), "64x64": (64, 64), "4096x4096": (4096, 4096)}
DTYPES = ("float32", "float64")


def numpy_uniform(rng, shape, dtype, out):
    return rng.random(shape, dtype, out)


def numpy_normal(rng, shape, dtype, out):
    return rng.standard_normal(shape, dtype, out)


def numpy_truncated(rng, shape, dtype, out):
    """NumPy's own best way: normals, those beyond 2 sigma redrawn until none is left."""
    out = rng.standard_normal(shape, dtype, out)
    flat = out.reshape(-1)
    wrong = np.flatnonzero(np.abs(flat) > 2)
    while wrong.size:
        redrawn = rng.standard_normal(wrong.size, dtype)
        flat[wrong] = redrawn
        wrong = wrong[np.abs(redrawn) > 2]
    return out


# name: (this library's function and arguments, NumPy's, bound on |x|, standard deviation)
DISTRIBUTIONS = {
    "uniform": (fastinit.random_uniform, {"minval": 0.0, "maxval": 1.0}, numpy_uniform),
    "normal": (fastinit.random_normal, {"stddev": 1.0}, numpy_normal),
    "truncated": (fastinit.truncated_normal, {"stddev": 1.0}, numpy_truncated),
}
EXPECTED = {  # mean, standard deviation, bounds
    "uniform": (0.5, 12**-0.5, 0, 1),
    "normal": (0.0, 1.0, -np.inf, np.inf),
    "truncated": (0.0, 0.87962566103423978, -2, 2),
}


def check(name, array):
    """A wrong result does not count, however fast: mean and deviation within 6 standard errors."""
    mean, deviation, low, high = EXPECTED[name]
    error = 6 / np.sqrt(array.size)
    assert abs(array.mean(dtype=float) - mean) < error
    assert array.size < 1000 or abs(array.std(dtype=float) - deviation) < error
    assert low <= array.min()
    assert array.max() <= high
