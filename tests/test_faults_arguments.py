"""Any arguments of every public callable: it works and repeats, or says which one is wrong.

A call that is refused has changed nothing.  The strategies know which kind each argument is, and
give good values, values beside the limits, and objects of other kinds.
"""

import inspect
import re

import ml_dtypes
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import fastinit
from fastinit import initializers
from fastinit.initializers._catalog import CATALOG

ERRORS = (ValueError, TypeError, OverflowError, MemoryError)
FUNCTIONS = {entry.name: entry.function for entry in CATALOG} | {
    "random_bits": fastinit.random_bits
}
run_each = settings(
    max_examples=50,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)


class Opaque:
    """An object that is nothing of what an argument can be."""

    def __repr__(self):
        return "<opaque>"


junk = st.one_of(
    *(st.just(value) for value in (None, True, "x", b"x", "", (), [], {}, 1.5, 1j, object)),
    st.builds(Opaque),
    st.sampled_from([np.float32(0.5), np.array([1, 2]), np.array(3), np.bool_(True), {1: 2}]),
)
edges = [2**31, 2**32, 2**48, 2**62, 2**63, 2**64, 2**70]
dimension = st.one_of(st.integers(0, 9), st.sampled_from([-1, -(2**63), *edges[2:], np.int64(3)]))


def small_or_impossible(shape):
    """Return whether an array of the shape takes little memory, or more than there can be."""
    try:
        size = int(np.prod([int(d) for d in np.atleast_1d(np.asarray(shape, object))] or [1]))
    except (TypeError, ValueError):
        return True
    return size <= 1 << 14 or size >= 1 << 48


good_shape = st.lists(st.integers(0, 6), max_size=5).map(tuple)
shapes = st.one_of(
    good_shape,
    st.tuples(st.just(1), st.integers(1, 5), st.integers(1, 5), st.integers(5, 9)),
    st.lists(dimension, max_size=4),
    st.lists(dimension, max_size=4).map(tuple),
    dimension,
    st.just((1,) * 65),
    junk,
).filter(small_or_impossible)
floats = ["float32", "float64", "float16", "bfloat16"]
good_dtype = st.sampled_from([None, *floats, np.float32, np.dtype("float64"), ml_dtypes.bfloat16])
dtypes = st.one_of(
    good_dtype,
    st.sampled_from(["int32", "uint32", "uint64", "bool", "complex64", ">f4", "f4", "S3", "O"]),
    st.sampled_from(["float8_e4m3fn", "datetime64[s]", "i4,f4", "float128", "é" * 300]),
    junk,
)
numbers = st.one_of(
    st.floats(-4, 4),
    st.floats(),
    st.sampled_from([0.0, -0.0, 5e-324, 65504.0, 65520.0, 3.4e38, 1.7e308, np.float16(1.5)]),
    st.sampled_from([1, 0, -1, 2**53 + 1, 10**400, np.int8(-3), np.uint64(2**63)]),
    junk,
)
good_seed = st.integers(0, 2**64 - 1)
seeds = st.one_of(
    good_seed,
    st.sampled_from([-1, 2**64, 2**5000, np.uint64(2**64 - 1), np.int8(-1), np.uint8(255)]),
    junk.filter(lambda value: value is not None),  # None draws another seed at each call
)
axes = st.one_of(
    st.none(),
    st.integers(-6, 6),
    st.lists(st.integers(-5, 5), max_size=3),
    st.sampled_from([2**70, (0, 0), 0.5, "01", [None]]),
)
names = st.one_of(
    st.sampled_from(["fan_in", "fan_out", "fan_avg", "fan_geo_avg", "FAN_IN", "normal", "uniform"]),
    st.sampled_from(["truncated_normal", "untruncated_normal", "real", "imag", "hann", "hamming"]),
    st.sampled_from(["density", "spectrum", "tukey", "\x00", "é" * 300]),
    junk,
)
KINDS = {
    "shape": shapes,
    "dtype": dtypes,
    "seed": seeds,
    **dict.fromkeys(["value", "mean", "stddev", "minval", "maxval", "lower", "upper"], numbers),
    **dict.fromkeys(["scale", "gain"], numbers),
    **dict.fromkeys(["mode", "distribution", "side", "window", "scaling"], names),
    **dict.fromkeys(["input_axes", "output_axes", "batch_axis"], axes),
    "periodic": st.one_of(st.booleans(), junk),
}


@st.composite
def buffers(draw):
    """Draw what may be given as ``out``, and a function that returns its bytes."""
    shape = draw(good_shape)
    kind = draw(st.sampled_from(["array", "array", "strided", "read-only", "bytes", "other"]))
    dtype = np.dtype(draw(st.sampled_from([*floats, "int32", "uint32", "uint64", ">f4", "O"])))
    if kind == "other":
        return draw(st.one_of(junk.filter(lambda value: value is not None), st.just(b"12345678")))
    array = np.full(shape, 1, dtype)
    if kind == "strided" and array.ndim:
        array = np.full((*shape[:-1], 2 * shape[-1]), 1, dtype)[..., ::2]
    if kind == "read-only":
        array.flags.writeable = False
    return bytearray(array.nbytes) if kind == "bytes" else array


def contents(out):
    if isinstance(out, np.ndarray):
        return out.tolist() if out.dtype == object else out.tobytes()
    return bytes(out) if isinstance(out, (bytes, bytearray)) else repr(out)


def check_error(error, parameters):
    """Check that a message is short, and names an argument."""
    text = str(error)
    assert 0 < len(text) < 2000
    assert "\n" not in text
    wanted = [name.replace("_axes", "") for name in parameters]
    assert any(re.search(rf"\b{name}(_|\b)", text) for name in wanted), text


def outcome(function, given, out):
    """Return the bytes of the result, or the type and message of the error."""
    before = contents(out)
    try:
        result = function(**given) if out is None else function(**given, out=out)
    except ERRORS as error:
        assert contents(out) == before
        check_error(error, inspect.signature(function).parameters)
        return type(error), str(error)
    assert out is None or result is out
    if out is None:
        assert isinstance(result, np.ndarray)
        assert result.flags.carray or not result.size
    return contents(result)


@pytest.mark.parametrize("name", FUNCTIONS)
@run_each
@given(data=st.data())
def test_functions(name, data):
    """Two calls give the same bytes, or the same error, which names an argument."""
    function = FUNCTIONS[name]
    parameters = [n for n in inspect.signature(function).parameters if n != "out"]
    # Most values are good, so that the bad ones are met one at a time, too.
    wild = data.draw(st.sets(st.sampled_from(parameters), max_size=2), label="wild")
    good = {"shape": good_shape, "dtype": good_dtype, "seed": good_seed}
    if name == "random_bits":
        good["dtype"] = st.sampled_from([None, "uint32", np.uint64])
    given = {
        n: data.draw(KINDS[n] if n in wild else good[n], label=n)
        for n in parameters
        if n in wild or n in good
    }
    if given.get("seed") is None and "seed" in given:
        given["seed"] = 1
    out = None
    if data.draw(st.booleans(), label="has out"):
        out = data.draw(buffers(), label="out")
        for n in ("shape", "dtype"):
            if n not in wild and data.draw(st.booleans()):
                given.pop(n, None)
    first = outcome(function, given, out)
    assert outcome(function, given, out) == first


@pytest.mark.parametrize("name", [entry.name for entry in CATALOG])
@run_each
@given(data=st.data())
def test_classes(name, data):
    """A constructor or a call is refused by a message, or the configuration makes the same."""
    [cls] = [entry.cls for entry in CATALOG if entry.name == name]
    parameters = inspect.signature(cls).parameters
    wild = data.draw(st.sets(st.sampled_from(sorted(parameters) or ["none"]), max_size=2))
    given = {n: data.draw(KINDS[n], label=n) for n in parameters if n in wild}
    given |= {"seed": data.draw(good_seed)} if "seed" in parameters and "seed" not in wild else {}
    shape, dtype = data.draw(shapes, label="shape"), data.draw(dtypes, label="dtype")
    known = [*parameters, "shape", "dtype", "config", "serialize", "dim", "keys"]
    try:
        init = cls(**given)
        values = contents(init(shape, dtype))
        config = initializers.serialize(init)
        again = initializers.deserialize(config)
    except ERRORS as error:
        check_error(error, known)
        return
    assert repr(init)
    assert contents(again(shape, dtype)) == values
    try:
        lazy = init.lazy(shape, dtype)
    except NotImplementedError:
        return
    assert contents(np.asarray(lazy)) == values


index = st.one_of(
    st.integers(-12, 12),
    st.sampled_from([*edges, -(2**63), -(2**64), np.int64(2), np.uint64(2**63), ..., True, None]),
    st.builds(slice, *[st.one_of(st.none(), st.integers(-12, 12), st.just(2**70))] * 3),
    st.lists(st.integers(-12, 12), max_size=4),
    st.lists(st.integers(-12, 12), max_size=4).map(lambda ids: np.array(ids, "int8")),
    junk,
)


@run_each
@given(
    given=st.one_of(index, st.lists(index, max_size=4).map(tuple)), dtype=st.sampled_from(floats)
)
def test_indices_of_lazy_arrays(given, dtype):
    """What is taken is what NumPy takes from the whole array; `read` changes no `out` before."""
    lazy = initializers.TruncatedNormal(seed=1).lazy((7, 5, 3), dtype)
    whole = np.asarray(lazy)
    try:
        part = lazy[given]
    except (*ERRORS, IndexError):
        out = np.ones(4, lazy.dtype)
        with pytest.raises((*ERRORS, IndexError), match=r"(?s)^.{1,2000}$"):
            lazy.read(given, out)
        assert (out == 1).all()
        return
    expected = whole[given]
    assert np.shape(part) == expected.shape
    assert np.asarray(part).tobytes() == expected.tobytes()
    out = np.ones(expected.shape, lazy.dtype)
    assert lazy.read(given, out) is out
    assert out.tobytes() == expected.tobytes()


keys = st.one_of(
    st.integers(-(2**63), 2**64 - 1),
    st.lists(st.one_of(st.integers(-3, 3), st.sampled_from(edges)), max_size=5),
    st.sampled_from([-(2**63) - 1, 2**64, [[1], [2, 3]], np.array([2**63], "uint64"), slice(2)]),
    junk,
)


@run_each
@given(given=keys, dim=st.one_of(st.integers(0, 9), st.sampled_from([-1, 2**32 + 1]), junk))
def test_keys_and_dims(given, dim):
    """Rows repeat, or the message names the keys or the dim."""
    try:
        rows = initializers.RandomNormal(seed=1).keyed(dim)
        found = rows[given]
    except ERRORS as error:
        check_error(error, ["key", "keys", "dim"])
        return
    assert found.tobytes() == rows[given].tobytes()
    assert found.shape == (*np.shape(given), rows.dim)


@run_each
@given(root=seeds, name=st.one_of(st.text(), junk), count=st.one_of(st.integers(), junk))
def test_seeds_and_threads(root, name, count):
    """A seed, a name or a number of threads is taken, or named in the message."""
    for call in (
        lambda: fastinit.derive_seed(root, name),
        lambda: fastinit.SeedGenerator(root).next(),
    ):
        try:
            word = call()
        except (ValueError, TypeError) as error:
            check_error(error, ["root", "seed", "name"])
        else:
            assert 0 <= word < 2**64
            assert call() == word
    before = fastinit.get_num_threads()
    try:
        fastinit.set_num_threads(count)
    except (ValueError, TypeError) as error:
        check_error(error, ["n"])
        assert fastinit.get_num_threads() == before
    finally:
        fastinit.set_num_threads(before)


@run_each
@given(given=st.one_of(st.text(max_size=20), junk, st.sampled_from([e.name for e in CATALOG])))
def test_identifiers(given):
    """An initializer is found, or the message shows what was given."""
    try:
        found = initializers.get(given)
    except ERRORS as error:
        check_error(error, ["initializer", "identifier", "config", "function", "object"])
        return
    assert found is None or callable(found) or isinstance(given, type)
