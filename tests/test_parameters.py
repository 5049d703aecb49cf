"""Parameters of the distributions: what is refused before a byte is written."""

import math
import re

import numpy as np
import pytest
from samplers import dtypes_of, samplers

from fastinit import (
    random_normal,
    random_uniform,
    truncated_normal,
)

INF, NAN = math.inf, math.nan
MAX32 = float(np.finfo("float32").max)
MAX64 = float(np.finfo("float64").max)

# sampler, its two parameters, dtypes refused, error, message
BAD_PARAMETERS = [
    *[
        (sampler, (0.0, stddev), "48", ValueError, f"stddev must be >= 0, received {stddev}")
        for sampler in (random_normal, truncated_normal)
        for stddev in (-1.0, -5e-324, -INF)
    ],
    *[
        (sampler, parameters, "48", ValueError, f"{name} must be finite")
        for sampler in (random_normal, truncated_normal)
        for bad in (INF, NAN)
        for name, parameters in (("mean", (bad, 1.0)), ("stddev", (0.0, bad)), ("mean", (-bad, 1)))
    ],
    (random_normal, (1e39, 1.0), "4", ValueError, "mean must be finite in float32, received 1e+39"),
    (random_normal, (0.0, 1e39), "4", ValueError, "stddev must be finite in float32"),
    (random_normal, (10**400, 1.0), "48", ValueError, "mean must be finite"),
    (random_normal, (0.0, 0.08 * MAX32), "4", ValueError, "mean - 14 * stddev must be finite"),
    (truncated_normal, (0.0, 0.6 * MAX32), "4", ValueError, "mean - 2 * stddev must be finite"),
    (truncated_normal, (MAX32, 1e38), "4", ValueError, "mean + 2 * stddev must be finite"),
    (truncated_normal, (0.0, 0.6 * MAX64), "48", ValueError, "must be finite"),
    (random_uniform, (1.0, 0.0), "48", ValueError, "minval must be <= maxval, received minval=1.0"),
    (random_uniform, (INF, INF), "48", ValueError, "minval must be finite"),
    (random_uniform, (-INF, 0.0), "48", ValueError, "minval must be finite"),
    (random_uniform, (0.0, NAN), "48", ValueError, "maxval must be finite"),
    (random_uniform, (NAN, 1.0), "48", ValueError, "minval must be finite"),
    (random_uniform, (0.0, 1e39), "4", ValueError, "maxval must be finite in float32"),
    (random_uniform, (-MAX32, MAX32), "4", ValueError, "maxval - minval must be finite in float32"),
    (random_uniform, (-MAX64, MAX64), "8", ValueError, "maxval - minval must be finite in float64"),
    *[
        (sampler, parameters, "48", TypeError, f"{name} must be a number, received {bad!r}")
        for sampler, p, q in (
            (random_uniform, "minval", "maxval"),
            (random_normal, "mean", "stddev"),
            (truncated_normal, "mean", "stddev"),
        )
        for bad in ("0.5", b"1", None, 1j, [1.0], {})
        for name, parameters in ((p, (bad, 1.0)), (q, (0.0, bad)))
    ],
]


BAD_PARAMETERS += [
    (sampler, parameters, "2", ValueError, message)
    for sampler, parameters, message in (
        (random_normal, (65505.0, 0.0), "mean must be finite in float16, received 65505.0"),
        (random_normal, (0.0, 4700.0), "mean - 14 * stddev must be finite in float16"),
        (truncated_normal, (-65000.0, 300.0), "mean - 2 * stddev must be finite in float16"),
        (random_uniform, (0.0, 65505.0), "maxval must be finite in float16"),
    )
]


@pytest.mark.parametrize(("sampler", "parameters", "sizes", "error", "message"), BAD_PARAMETERS)
def test_bad_parameters_are_refused_before_a_byte_is_written(
    sampler, parameters, sizes, error, message
):
    for size in sizes:
        dtype = f"float{8 * int(size)}"
        out = np.zeros(8, dtype)
        with pytest.raises(error, match=re.escape(message)):
            sampler(8, *parameters, seed=1, out=out)
        assert not out.any()
        with pytest.raises(error, match=re.escape(message)):
            sampler(8, *parameters, seed=1, dtype=dtype)


def test_arguments_are_checked_before_memory_is_asked_for():
    with pytest.raises(ValueError, match="stddev must be >= 0"):
        random_normal((1 << 40, 1 << 20), stddev=-1.0)


@samplers
def test_bad_seeds_are_refused_before_a_byte_is_written(sampler):
    out = np.zeros(8, dtypes_of(sampler)[0])
    for seed, error in ((-1, ValueError), (1.5, TypeError)):
        with pytest.raises(error, match="seed"):
            sampler(seed=seed, out=out)
    assert not out.any()


@pytest.mark.parametrize(
    ("sampler", "parameters"),
    [
        (random_normal, (0.0, 0.07 * MAX32)),
        (random_uniform, (-0.5 * MAX32, 0.49 * MAX32)),
        (random_uniform, (MAX32, MAX32)),
        (truncated_normal, (MAX32, 0.0)),
        (truncated_normal, (0.0, 0.49 * MAX32)),
        (truncated_normal, (0, np.float32(1))),
        (random_uniform, (np.array(-1), True)),
    ],
)
def test_parameters_at_the_edge_are_accepted(sampler, parameters):
    x = sampler(1000, *parameters, seed=1)
    assert np.isfinite(x).all()


def test_halves_at_the_edge_are_accepted():
    wide = random_uniform(10_000, -65504.0, 65504.0, seed=1, dtype="float16")
    assert np.isfinite(wide).all()
    largest = float.fromhex("0x1.fep127")
    for dtype, most in (("float16", 65504.0), ("bfloat16", largest)):
        x = truncated_normal(10_000, 0.0, most / 2, seed=1, dtype=dtype)
        assert 0.99 * most < np.abs(x.astype("float64")).max() <= most
        assert (random_uniform(9, most, most, seed=1, dtype=dtype).astype("float64") == most).all()
