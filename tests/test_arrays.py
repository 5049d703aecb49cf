"""Shapes, dtypes, parameters and ``out``: what is accepted, and what is refused untouched."""

import array
import ctypes
import itertools
import math
import mmap
import re
import sys
from contextlib import closing
from fractions import Fraction
from multiprocessing import shared_memory

import numpy as np
import pytest
from fills import FLOATS, assert_same_bits, fill

import fastinit
from fastinit import _arrays, _kernels, random_bits, random_normal, random_uniform, truncated_normal

FLOAT_SAMPLERS = [random_uniform, random_normal, truncated_normal]
SAMPLERS = [random_bits, *FLOAT_SAMPLERS]
samplers = pytest.mark.parametrize("sampler", SAMPLERS)
float_samplers = pytest.mark.parametrize("sampler", FLOAT_SAMPLERS)


def dtypes_of(sampler):
    return ("uint32", "uint64") if sampler is random_bits else FLOATS


# Shapes


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


# out


@samplers
def test_out_is_filled_and_returned(sampler):
    for dtype in dtypes_of(sampler):
        expected = sampler((30, 7), seed=1, dtype=dtype)
        for shape in (None, (30, 7), [30, 7]):
            for given in (None, dtype):
                if sampler is random_bits and given is None:
                    given = "uint32"  # its default stands for None
                out = np.zeros((30, 7), dtype)
                if sampler is random_bits and dtype == "uint64" and given == "uint32":
                    assert sampler(shape, seed=1, out=out) is out
                else:
                    assert sampler(shape, seed=1, dtype=given, out=out) is out
                assert_same_bits(out.reshape(-1), expected.reshape(-1))


@samplers
def test_out_may_be_a_slice_a_subclass_or_empty(sampler):
    dtype = dtypes_of(sampler)[0]
    expected = sampler((3, 7), seed=1)

    class Sub(np.ndarray):
        pass

    rows = np.zeros((5, 7), dtype)
    sampler(seed=1, out=rows[1:4])
    assert_same_bits(rows[1:4].reshape(-1), expected.reshape(-1))
    assert not rows[0].any()
    assert not rows[4].any()
    sub = np.zeros((3, 7), dtype).view(Sub)
    assert sampler(seed=1, out=sub) is sub
    assert_same_bits(np.asarray(sub).reshape(-1), expected.reshape(-1))
    for shape in ((), (0,), (0, 3)):
        out = np.zeros(shape, dtype)
        assert sampler(seed=1, out=out) is out


def _read_only(dtype):
    out = np.zeros(8, dtype)
    out.flags.writeable = False
    return out


BAD_OUT = {
    "a list": (
        lambda dtype: [0.0] * 8,
        {},
        TypeError,
        "out must be an array or a buffer to be filled in place, received list",
    ),
    "bytes": (lambda dtype: bytearray(32), {}, TypeError, "dtype is required where out is a"),
    "a scalar": (lambda dtype: np.dtype(dtype).type(0), {}, TypeError, "in place, received"),
    "integers": (lambda dtype: np.zeros(8, "int32"), {}, TypeError, "out must have dtype"),
    "complex": (lambda dtype: np.zeros(8, "complex64"), {}, TypeError, "out must have dtype"),
    "objects": (lambda dtype: np.zeros(8, "O"), {}, TypeError, "out must have dtype"),
    "swapped": (
        lambda dtype: np.zeros(8, np.dtype(dtype).newbyteorder()),
        {},
        ValueError,
        "out must be in native byte order",
    ),
    "shape": (
        lambda dtype: np.zeros(8, dtype),
        {"shape": (2, 4)},
        ValueError,
        "out has shape (8,)",
    ),
    "length": (lambda dtype: np.zeros(8, dtype), {"shape": 7}, ValueError, "but shape=7 was asked"),
    "read-only": (_read_only, {}, ValueError, "out must be writeable"),
    "strided": (lambda dtype: np.zeros(16, dtype)[::2], {}, ValueError, "must be C-contiguous"),
    "backwards": (lambda dtype: np.zeros(8, dtype)[::-1], {}, ValueError, "must be C-contiguous"),
    "transposed": (lambda dtype: np.zeros((2, 4), dtype).T, {}, ValueError, "must be C-contiguous"),
    "misaligned": (
        lambda dtype: np.zeros(100, "u1")[1 : 1 + 8 * np.dtype(dtype).itemsize].view(dtype),
        {},
        ValueError,
        "out must be aligned",
    ),
}


def contents(out):
    if isinstance(out, (np.ndarray, np.generic)):
        return out.tobytes()
    return list(out) if isinstance(out, list) else bytes(out)


@samplers
@pytest.mark.parametrize("case", BAD_OUT)
def test_bad_out_is_refused_untouched(sampler, case):
    make, extra, error, message = BAD_OUT[case]
    for dtype in dtypes_of(sampler):
        if case == "swapped" and dtype == "bfloat16":
            continue  # has no byte order
        out = make(dtype)
        before = contents(out)
        with pytest.raises(error, match=re.escape(message)):
            sampler(seed=1, out=out, **extra)
        assert contents(out) == before


@float_samplers
def test_out_of_another_dtype_than_asked_for(sampler):
    out = np.zeros(8, "float64")
    with pytest.raises(TypeError, match="out has dtype float64, but dtype='float32' was asked for"):
        sampler(seed=1, dtype="float32", out=out)
    with pytest.raises(
        TypeError, match=r"dtype must be float32, .* or bfloat16, received 'nonsense'"
    ):
        sampler(seed=1, dtype="nonsense", out=out)
    assert not out.any()


def test_out_of_random_bits_of_another_dtype_than_asked_for():
    out = np.zeros(8, "uint32")
    with pytest.raises(TypeError, match="out has dtype uint32, but dtype='uint64' was asked for"):
        random_bits(seed=1, dtype="uint64", out=out)
    assert not out.any()


# Parameters

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


# The bounds, after narrowing


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize(
    ("mean", "stddev"), [(0.0, 0.05), (0.0, 1.0), (0.3, 0.7), (10.1, 0.02), (0.0, 1e-7)]
)
def test_bounds_of_the_truncated_normal(isa, dtype, mean, stddev):
    x = truncated_normal(300_000, mean, stddev, seed=1, dtype=dtype)
    least, greatest = Fraction(mean) - 2 * Fraction(stddev), Fraction(mean) + 2 * Fraction(stddev)
    assert least <= Fraction(float(x.min()))
    assert Fraction(float(x.max())) <= greatest


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize(("minval", "maxval"), [(0.0, 1.0), (-0.05, 0.1), (0.1, 0.11), (-1.0, 0.0)])
def test_bounds_of_the_uniform(isa, dtype, minval, maxval):
    x = random_uniform(300_000, minval, maxval, seed=1, dtype=dtype)
    assert minval <= float(x.min())
    assert float(x.max()) < maxval


@pytest.mark.exhaustive
@pytest.mark.parametrize("dtype", FLOATS)
def test_bounds_of_very_many(isa, dtype):
    """2^28 samples of each; 0.05 is no number of any type."""
    for start in range(0, 2**28, 2**22):
        x = fill("truncated", dtype, start, 2**22, 1, (0.0, 0.05), threads=2)
        assert float(np.abs(x).max()) <= 2 * 0.05
        x = fill("uniform", dtype, start, 2**22, 1, (-0.05, 0.05), threads=2)
        assert -0.05 <= float(x.min()) <= float(x.max()) < 0.05


@pytest.mark.parametrize(
    "wrong",
    [
        {"shape": 99},
        {"dtype": "int8"},
        {"dtype": "float64", "shape": 100},
        {"stddev": -1},
        {"seed": -1},
    ],
)
@pytest.mark.parametrize("function", [random_normal, truncated_normal, fastinit.he_normal])
def test_an_error_keeps_no_memory_in_use(function, wrong):
    if function is fastinit.he_normal and "stddev" in wrong:
        wrong = {"input_axes": [5], "output_axes": [0]}
    with pytest.raises((TypeError, ValueError)), closing(mmap.mmap(-1, 400)) as memory:
        function(**{"out": memory, "dtype": "float32", **wrong})


@pytest.mark.parametrize("kind", ["bits", "normal"])
def test_the_kernels_refuse_elements_of_other_sizes(kind):
    parameters = () if kind == "bits" else (0.0, 1.0)
    buffer = bytearray(8)
    with pytest.raises(TypeError, match="no kernel for elements of this size"):
        getattr(_kernels, kind)(buffer, 0, 1, *parameters, 1)
    buffer.append(0)  # an error while somebody holds it


def test_bfloat16_without_ml_dtypes(monkeypatch):
    monkeypatch.setitem(sys.modules, "ml_dtypes", None)
    with pytest.raises(ImportError, match="extra 'bfloat16': pip install ml_dtypes"):
        random_normal(4, dtype="bfloat16")
    assert random_normal(4, dtype="float16").dtype == "float16"


# Buffers


def shared(nbytes):
    block = shared_memory.SharedMemory(create=True, size=nbytes)
    block.unlink()
    return block


@float_samplers
@pytest.mark.parametrize("dtype", FLOATS)
def test_buffers_of_bytes(sampler, dtype, tmp_path):
    expected = sampler((30, 7), seed=1, dtype=dtype)
    block = shared(expected.nbytes)
    path = tmp_path / "file"
    path.write_bytes(bytes(expected.nbytes))
    with path.open("r+b") as file:
        mapped = mmap.mmap(file.fileno(), 0)
    anonymous = mmap.mmap(-1, expected.nbytes)
    for out in (bytearray(expected.nbytes), block.buf, anonymous, mapped):
        assert sampler((30, 7), seed=1, dtype=dtype, out=out) is out
        assert bytes(out[:]) == expected.tobytes()
        out[:] = bytes(expected.nbytes)
        sampler(seed=1, dtype=dtype, out=out)  # flat
        assert bytes(out[:]) == expected.tobytes()
    mapped.close()  # nothing holds it any longer
    anonymous.close()
    block.close()
    assert path.read_bytes() == expected.tobytes()


@float_samplers
def test_buffers_of_numbers(sampler):
    expected = sampler(6, seed=1)
    for out in (array.array("f", [0] * 6), (ctypes.c_float * 6)()):
        assert sampler(seed=1, out=out) is out
        assert bytes(out) == expected.tobytes()
    view = memoryview(bytearray(24)).cast("f", (2, 3))
    assert sampler((2, 3), seed=1, out=view) is view
    assert view.tobytes() == expected.tobytes()


class Dlpack:
    """No array and no buffer, but DLPack."""

    def __init__(self, array, device=(1, 0)):
        self.array, self.device = array, device

    def __dlpack__(self, **arguments):
        return self.array.__dlpack__(**arguments)

    def __dlpack_device__(self):
        return self.device


@float_samplers
def test_dlpack(sampler):
    for dtype in ("float32", "float64", "float16"):
        out = Dlpack(np.zeros((3, 4), dtype))
        assert sampler(seed=1, out=out) is out
        assert_same_bits(out.array, sampler((3, 4), seed=1, dtype=dtype))


@pytest.mark.skipif(not _arrays._DLPACK_COPY, reason="NumPy 2.0 cannot refuse a copy")
def test_dlpack_of_a_copy_is_refused():
    class Copying(Dlpack):
        def __dlpack__(self, copy=None, **arguments):
            if copy is False:
                raise BufferError("there is only a copy")
            return self.array.copy().__dlpack__(**arguments)

    with pytest.raises(ValueError, match="out must be writeable in place: there is only a copy"):
        random_normal(seed=1, out=Copying(np.zeros(3, "float32")))


def test_int8_has_a_type_of_its_own():
    out = array.array("b", [1] * 4)
    assert fastinit.zeros(out=out) is out
    assert out.tolist() == [0] * 4


def test_variance_scaling_knows_the_shape_of_any_buffer():
    expected = fastinit.he_normal((3, 5), seed=1)
    for out in (bytearray(60), Dlpack(np.zeros((3, 5), "float32"))):
        shape = (3, 5) if isinstance(out, bytearray) else None
        fastinit.he_normal(shape, out=out, dtype="float32", seed=1)
        found = np.frombuffer(out if shape else out.array, "float32")
        assert_same_bits(found, expected.reshape(-1))


def test_constants_into_buffers():
    for function, value in ((fastinit.ones, 1), (fastinit.zeros, 0)):
        out = bytearray(b"x" * 16)
        assert function((2, 2), "float32", out=out) is out
        assert (np.frombuffer(out, "float32") == value).all()
    out = bytearray(32)
    assert fastinit.identity((2, 2), dtype="float64", out=out) is out
    assert np.frombuffer(out).tolist() == [1, 0, 0, 1]


BAD_BUFFERS = {
    "read-only bytes": (lambda: b"x" * 16, ValueError, "out must be writeable"),
    "a read-only view": (
        lambda: memoryview(bytearray(16)).toreadonly(),
        ValueError,
        "out must be writeable",
    ),
    "too long": (lambda: bytearray(20), ValueError, "out has 20 bytes, not those of shape (4,)"),
    "too short": (lambda: bytearray(15), ValueError, "out has 15 bytes"),
    "strided": (lambda: memoryview(bytearray(32))[::2], ValueError, "must be C-contiguous"),
    "misaligned": (lambda: memoryview(bytearray(17))[1:], ValueError, "must be aligned"),
    "integers": (lambda: array.array("i", [0] * 4), TypeError, "out must have dtype"),
    "another type": (lambda: array.array("d", [0] * 4), TypeError, "out has dtype float64, but"),
    "a device": (
        lambda: Dlpack(np.zeros(4, "float32"), (2, 0)),
        ValueError,
        "out must be in the memory of the CPU, received DLPack device (2, 0)",
    ),
    "an array of another kind": (
        lambda: type("Frame", (), {"__array__": lambda self: np.zeros(4, "float32")})(),
        TypeError,
        "out must be an array or a buffer to be filled in place, received Frame",
    ),
}


@pytest.mark.parametrize("case", BAD_BUFFERS)
def test_bad_buffers_are_refused_untouched(case):
    make, error, message = BAD_BUFFERS[case]
    out = make()
    with pytest.raises(error, match=re.escape(message)):
        truncated_normal(4, seed=1, dtype="float32", out=out)
    if not hasattr(out, "__array__") and case != "a device":
        assert not any(bytes(out).strip(b"x"))


def test_all_public_names_are_there():
    for name in fastinit.__all__:
        assert hasattr(fastinit, name)


def test_the_quick_question_never_says_yes_where_the_thorough_one_says_no():
    """_kernels.plain is asked first; what it accepts must pass all of _check_out."""
    base = np.zeros((4, 6), np.float32)
    read_only = base.copy()
    read_only.flags.writeable = False
    misaligned = np.frombuffer(bytearray(33), np.uint8)[1:].view(np.float32)
    outs = [
        base,
        base.astype("f8"),
        base.astype("f2"),
        base.astype("u4"),
        base.astype(">f4"),
        base.astype("c8"),
        base[:, ::2],
        base.T,
        read_only,
        misaligned,
        np.zeros((), "f4"),
        np.zeros((0, 3), "f8"),
        np.zeros(3, [("a", "f4")]),
    ]
    shapes = [None, (4, 6), [4, 6], (4, 6.0), (4,), (True,), (8,), (), (0, 3), (-4, 6), 4, "4"]
    dtypes = [None, "float32", "float64", "f4", np.float32, "nonsense", float, 4]
    yes = 0
    for out, shape, dtype in itertools.product(outs, shapes, dtypes):
        if _kernels.plain(out, shape, dtype):
            _arrays._check_out(out, shape, dtype, _arrays.FLOATS)
            yes += 1
    # float32, float64, 0-d and empty: each without and with its shape, without and with its dtype.
    assert yes == 4 * 2 * 2
