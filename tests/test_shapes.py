"""Shapes and dtypes: what is accepted, and what is refused."""

import math
import re
import sys

import numpy as np
import pytest
from fills import assert_same_bits
from samplers import dtypes_of, float_samplers, samplers

from fastinit import (
    random_bits,
    random_normal,
)


@samplers
@pytest.mark.parametrize(
    ("shape", "dims"),
    [
        ((), ()),
        (0, (0,)),
        (7, (7,)),
        (np.int64(7), (7,)),
        ([2, 3], (2, 3)),
        (np.array([2, 3]), (2, 3)),
        (np.array(7), (7,)),
        ((np.uint8(2), 3, 4), (2, 3, 4)),
        ((0,), (0,)),
        ((3, 0, 2), (3, 0, 2)),
        ((1,) * 32, (1,) * 32),
    ],
)
def test_shapes(sampler, shape, dims):
    for dtype in dtypes_of(sampler):
        found = sampler(shape, seed=1, dtype=dtype)
        assert type(found) is np.ndarray
        assert found.shape == dims
        assert found.dtype == dtype
        assert found.flags.c_contiguous
        assert found.flags.writeable
        flat = sampler(math.prod(dims), seed=1, dtype=dtype)
        assert_same_bits(found.reshape(-1), flat)


@samplers
@pytest.mark.parametrize(
    "shape", [2.0, "23", (2, 3.0), (2, None), True, (np.True_, 2), [[2, 3]], {2: 3.5}.values(), 1j]
)
def test_shapes_of_the_wrong_type(sampler, shape):
    with pytest.raises(TypeError, match="shape must be an integer or a sequence of them, received"):
        sampler(shape, seed=1)


@samplers
@pytest.mark.parametrize("shape", [-1, (-1,), (3, -2), (0, -1), np.int8(-5)])
def test_negative_dimensions(sampler, shape):
    message = f"shape must not have negative dimensions, received {shape!r}"
    with pytest.raises(ValueError, match=re.escape(message)):
        sampler(shape, seed=1)


@samplers
def test_no_shape(sampler):
    with pytest.raises(TypeError, match="shape is required where out is not given"):
        sampler(seed=1)


@samplers
@pytest.mark.parametrize("shape", [(2**32, 2**32, 2), 2**65, (2**64, 2**64)])
def test_more_elements_than_the_counter(sampler, shape):
    with pytest.raises(OverflowError, match="2\\*\\*64 elements"):
        sampler(shape, seed=1)


@samplers
@pytest.mark.parametrize("shape", [2**64, 2**62, (2**31, 2**31), 2**50])
def test_too_large_to_allocate(sampler, shape):
    with pytest.raises(MemoryError, match=re.escape("cannot allocate ") + ".* GiB for shape"):
        sampler(shape, seed=1)


# Dtypes


@float_samplers
@pytest.mark.parametrize("dtype", ["float32", "f4", np.float32, np.dtype("float32"), None])
def test_float32_by_its_names(sampler, dtype):
    assert sampler(4, seed=1, dtype=dtype).dtype == np.float32


@float_samplers
@pytest.mark.parametrize("dtype", ["float64", "d", float, np.float64])
def test_float64_by_its_names(sampler, dtype):
    assert sampler(4, seed=1, dtype=dtype).dtype == np.float64


@pytest.mark.parametrize("dtype", ["uint64", "u8", np.uint64])
def test_uint64_by_its_names(dtype):
    assert random_bits(4, seed=1, dtype=dtype).dtype == np.uint64


@samplers
@pytest.mark.parametrize(
    "dtype", ["int32", int, bool, "float8_e4m3fn", "complex64", "S4", "O", "nonsense", 3, "f4,f4"]
)
def test_other_dtypes(sampler, dtype):
    names = {2: "uint32 or uint64", 4: "float32, float64, float16 or bfloat16"}
    message = f"dtype must be {names[len(dtypes_of(sampler))]}, received {dtype!r}"
    with pytest.raises(TypeError, match=re.escape(message)):
        sampler(4, seed=1, dtype=dtype)


@samplers
def test_dtypes_in_foreign_byte_order(sampler):
    for dtype in dtypes_of(sampler):
        if dtype == "bfloat16":
            continue  # has none
        with pytest.raises(TypeError, match="dtype must be"):
            sampler(4, seed=1, dtype=np.dtype(dtype).newbyteorder())


def test_bfloat16_without_ml_dtypes(monkeypatch):
    monkeypatch.setitem(sys.modules, "ml_dtypes", None)
    with pytest.raises(ImportError, match="extra 'bfloat16': pip install ml_dtypes"):
        random_normal(4, dtype="bfloat16")
    assert random_normal(4, dtype="float16").dtype == "float16"
