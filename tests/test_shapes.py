"""Shapes and dtypes: what is accepted, and what is refused."""

import math
import re
import sys

import numpy as np
import pytest
from fills import FLOATS, assert_same_bits
from samplers import dtypes_of, float_samplers, samplers

import fastinit
from fastinit import (
    _shapes,
    initializers,
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


class Unknown:
    """Like a shape of TensorFlow whose rank is not known."""

    def __iter__(self):
        raise ValueError("Cannot iterate over a shape with unknown rank.")


class Symbolic:
    """Like a symbolic tensor of Keras."""

    def __iter__(self):
        raise NotImplementedError("Iterating over a symbolic KerasTensor is not supported.")


class WithoutValue:
    """Like a tensor of PyTorch on the device "meta"."""

    def __index__(self):
        raise RuntimeError("Tensor.item() cannot be called on meta tensors")


class Endless:
    """Like a variable of Keras on JAX: it can be indexed, and any index gives a value."""

    def __getitem__(self, at):
        assert at < 1000, "it is read without end"
        return 2


@pytest.mark.parametrize(
    "shape",
    [Unknown(), Symbolic(), WithoutValue(), (WithoutValue(), 4), Endless()],
    ids=lambda shape: type(shape).__name__,
)
def test_shapes_without_values(shape):
    message = "^shape must be an integer or a sequence of them, received "
    for call in (
        fastinit.he_normal,
        fastinit.zeros,
        initializers.HeNormal(),
        initializers.Identity(),
        initializers.Constant().lazy,
        initializers.TruncatedNormal().lazy,
        initializers.get(np.ones(3)),
        lambda shape: random_bits(shape, out=np.zeros(3, "u4")),
    ):
        with pytest.raises(TypeError, match=message):
            call(shape)


class Dimension:
    """Like a dimension of TensorFlow 1, or a symbolic integer whose value is known."""

    def __init__(self, value):
        self.value = value

    def __index__(self):
        return self.value


def test_shapes_of_frameworks():
    class TensorShape:
        def __iter__(self):
            return iter([Dimension(4), 3])

    class Size(tuple):
        __slots__ = ()

    expected = fastinit.he_normal((4, 3), seed=1)
    for shape in (TensorShape(), Size((4, 3)), (Dimension(4), np.array(3)), np.array([4, 3])):
        assert_same_bits(fastinit.he_normal(shape, seed=1), expected)
        assert_same_bits(initializers.HeNormal(seed=1)(shape), expected)
        assert_same_bits(initializers.HeNormal(seed=1).lazy(shape)[...], expected)


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
    message = "2\\*\\*64 elements, more than the 64-bit counter can number"
    with pytest.raises(OverflowError, match=message):
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


class HeldType:
    """As TensorFlow's dtype objects: it holds NumPy's type."""

    def __init__(self, name):
        self.as_numpy_dtype = _shapes.bfloat16().type if name == "bfloat16" else np.dtype(name).type


class NamedType:
    """As Keras's policies."""

    def __init__(self, name):
        self.name = name


class MixedPolicy:
    """Like a mixed policy of Keras, which computes in another dtype than that of its variables."""

    name = "mixed_of_both"
    compute_dtype = "bfloat16"

    def __init__(self, name):
        self.variable_dtype = name


def named_by_its_module(name):
    """Return an object as PyTorch's dtypes: it is shown as a name of its module."""
    cls = type("dtype", (), {"__module__": "torch", "__repr__": lambda self: f"torch.{name}"})
    return cls()


def with_a_dtype(name):
    """Return an object as JAX's scalar types."""
    return type("Scalar", (), {"dtype": _shapes.as_dtype(name, _shapes.FLOATS + _shapes.WORDS)})()


FRAMEWORKS = [HeldType, NamedType, named_by_its_module, MixedPolicy, with_a_dtype]


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_dtype_objects_of_frameworks(framework):
    for sampler in (random_normal, random_bits, fastinit.he_normal, fastinit.orthogonal):
        for name in ("uint32", "uint64") if sampler is random_bits else FLOATS:
            dtype = framework(name)
            array = sampler((4, 3), seed=1, dtype=dtype)
            assert array.dtype.name == name
            assert_same_bits(array, sampler((4, 3), seed=1, dtype=name))
            assert sampler((4, 3), seed=1, dtype=dtype, out=array) is array
            buffer = bytearray(array.nbytes)
            sampler((4, 3), seed=1, dtype=dtype, out=buffer)
            assert bytes(buffer) == array.tobytes()
    dtype = framework("float16")
    for array in (
        fastinit.constant((4, 3), 2, dtype),
        fastinit.identity((4, 3), dtype=dtype),
        fastinit.zeros(4, dtype),
        fastinit.stft((4, 1, 3), dtype=dtype),
        initializers.HeNormal()((4, 3), dtype),
        initializers.Constant(2)((4, 3), dtype),
        initializers.Identity()((4, 3), dtype),
        initializers.STFT()((4, 1, 3), dtype),
        initializers.DeltaOrthogonal()((3, 2, 3), dtype),
        initializers.Identity().lazy((4, 3), dtype),
        initializers.Constant(2).lazy((4, 3), dtype),
        initializers.RandomNormal().lazy((4, 3), dtype),
        initializers.Orthogonal(batch_axis=0).lazy((4, 3, 2), dtype),
        initializers.RandomNormal().keyed(3, dtype),
        initializers.Ones().keyed(3, dtype),
        initializers.get(np.ones(3))(3, dtype),
    ):
        assert array.dtype == np.float16


@pytest.mark.parametrize("framework", FRAMEWORKS[:3])
def test_a_configuration_names_a_dtype(framework):
    class Typed(initializers.Initializer):
        def __init__(self, dtype):
            self.dtype = dtype

    assert Typed(framework("float16")).get_config() == {"dtype": "float16"}
    assert Typed(np.dtype("float16")).get_config() == {"dtype": "float16"}


@pytest.mark.parametrize("framework", FRAMEWORKS[1:3])
@pytest.mark.parametrize("name", ["float", "half", "double", "float8_e4m3fn", "int32", "f4"])
def test_dtype_objects_that_are_refused(framework, name):
    """What "float" is depends on the framework; PyTorch itself shows full names."""
    with pytest.raises(TypeError, match="dtype must be float32, float64, float16 or bfloat16"):
        random_normal(4, dtype=framework(name))


def test_a_shape_may_be_an_iterator():
    for sampler in (random_normal, fastinit.he_normal, fastinit.orthogonal, fastinit.ones):
        arguments = {} if sampler is fastinit.ones else {"seed": 1}
        expected = sampler((4, 3), **arguments)
        assert_same_bits(sampler(iter([4, 3]), **arguments), expected)
        for out in (np.zeros((4, 3), "f4"), bytearray(48)):
            assert sampler(iter([4, 3]), dtype="float32", out=out, **arguments) is out
            assert bytes(out) == expected.tobytes()
    lazy = initializers.HeNormal(seed=1).lazy(iter([4, 3]))
    assert_same_bits(np.asarray(lazy), fastinit.he_normal((4, 3), seed=1))
    assert initializers.get(np.ones((4, 3)))(iter([4, 3])).shape == (4, 3)


@samplers
def test_bytes_are_no_shape(sampler):
    for shape in (b"ab", bytearray(b"ab")):
        with pytest.raises(TypeError, match="shape must be an integer or a sequence of them"):
            sampler(shape, seed=1)


def test_lazy_arrays_have_as_many_dimensions_as_numpys():
    with pytest.raises(ValueError, match="shape must have at most 64 dimensions, received 65"):
        initializers.Zeros().lazy((1,) * 65)
    assert initializers.Zeros().lazy((1,) * 64)[...].ndim == 64


def test_bfloat16_without_ml_dtypes(monkeypatch):
    monkeypatch.setitem(sys.modules, "ml_dtypes", None)
    with pytest.raises(ImportError, match="extra 'bfloat16': pip install ml_dtypes"):
        random_normal(4, dtype="bfloat16")
    assert random_normal(4, dtype="float16").dtype == "float16"
