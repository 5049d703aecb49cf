"""This library against numpy.random: `pytest bench`, which ends in a table of ratios."""

import numpy as np
import pytest
from cases import DISTRIBUTIONS, DTYPES, SIZES, check

import fastinit
from fastinit import _kernels

RUNNERS = ["numpy"] + [f"{isa} {n}" for isa in _kernels.isas() for n in (1, 2)]


@pytest.mark.parametrize("runner", RUNNERS)
@pytest.mark.parametrize("memory", ["out", "fresh"])
@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", DISTRIBUTIONS)
def test_sampler(benchmark, name, dtype, size, memory, runner):
    shape = SIZES[size]
    out = np.ones(shape, dtype) if memory == "out" else None  # touched: warm
    function, parameters, numpy_function = DISTRIBUTIONS[name]
    if runner == "numpy":
        rng = np.random.default_rng(1)

        def call():
            return numpy_function(rng, shape, dtype, out)
    else:
        isa, threads = runner.split()
        _kernels.use_isa(isa)
        fastinit.set_num_threads(int(threads))

        def call():
            return function(shape, **parameters, seed=1, dtype=dtype, out=out)

    check(name, call())
    benchmark.group = f"{name} {dtype} {size} {memory}"
    benchmark.extra_info["runner"] = runner
    large = size == "4096x4096"
    benchmark.pedantic(
        call, rounds=9 if large else 50, iterations=1 if large else 200, warmup_rounds=1
    )


@pytest.mark.parametrize("dtype", DTYPES)
def test_limit(benchmark, dtype):
    """What a fresh array costs whatever is in it: np.ones."""
    benchmark.group = f"limit {dtype} 4096x4096 fresh"
    benchmark.extra_info["runner"] = "numpy"
    benchmark.pedantic(np.ones, (SIZES["4096x4096"], np.dtype(dtype)), rounds=9, warmup_rounds=1)
