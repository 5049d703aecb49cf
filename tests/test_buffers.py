"""``out`` and buffers of others: what is filled, and what is refused untouched."""

import array
import ctypes
import itertools
import mmap
import re
from contextlib import closing
from multiprocessing import shared_memory

import numpy as np
import pytest
from fills import FLOATS, assert_same_bits
from samplers import dtypes_of, float_samplers, samplers

import fastinit
from fastinit import (
    _buffers,
    _kernels,
    _shapes,
    random_bits,
    random_normal,
    truncated_normal,
)

# Arrays


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


def test_dlpack_of_read_only_memory_is_refused():
    array = np.zeros(3, "float32")
    array.flags.writeable = False
    # NumPy 2.0 does not export such an array.
    with pytest.raises(ValueError, match=r"out must be writeable(, received a read-only array)?"):
        random_normal(seed=1, out=Dlpack(array))
    assert not array.any()


@pytest.mark.skipif(not _buffers.DLPACK_CAN_REFUSE_COPIES, reason="NumPy 2.0 cannot refuse a copy")
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
    "no whole number": (
        lambda: bytearray(63),
        ValueError,
        "out has 63 bytes, which is not a multiple of the 4 bytes of one float32",
    ),
    "strided": (lambda: memoryview(bytearray(32))[::2], ValueError, "must be C-contiguous"),
    "misaligned": (lambda: memoryview(bytearray(17))[1:], ValueError, "must be aligned"),
    "integers": (lambda: array.array("i", [0] * 4), TypeError, "out must have dtype"),
    "another type": (lambda: array.array("d", [0] * 4), TypeError, "out has dtype float64, but"),
    "a device": (
        lambda: Dlpack(np.zeros(4, "float32"), (2, 0)),
        ValueError,
        "out must be in the memory of the CPU, received DLPack device (2, 0)",
    ),
    "an array of another library": (
        lambda: type("Frame", (), {"__array__": lambda self: np.zeros(4, "float32")})(),
        TypeError,
        "out must be an array or a buffer to be filled in place, received Frame",
    ),
}


@pytest.mark.parametrize("case", BAD_BUFFERS)
def test_bad_buffers_are_refused_untouched(case):
    make, error, message = BAD_BUFFERS[case]
    out = make()
    shape = None if case == "no whole number" else 4
    with pytest.raises(error, match=re.escape(message)):
        truncated_normal(shape, seed=1, dtype="float32", out=out)
    if not hasattr(out, "__array__") and case != "a device":
        assert not any(bytes(out).strip(b"x"))


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


def test_the_quick_question_never_says_yes_where_the_thorough_one_says_no(tmp_path):
    """_kernels.plain is asked first; what it accepts must pass all of check_out."""
    base = np.zeros((4, 6), np.float32)
    read_only = base.copy()
    read_only.flags.writeable = False
    misaligned = np.frombuffer(bytearray(33), np.uint8)[1:].view(np.float32)
    outs = [
        base,
        np.ma.masked_array(base, base > 0),
        np.memmap(tmp_path / "w+", "f4", "w+", shape=(4, 6)),
        np.memmap(tmp_path / "w+", "f4", "r", shape=(4, 6)),
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
            _buffers.check_out(out, shape, dtype, _shapes.FLOATS)
            yes += 1
    # float32 three times, float64, 0-d and empty: each without and with its shape, without and with
    # its dtype.
    assert yes == 6 * 2 * 2
