"""lazy[index] is the whole array's [index], in every bit, and costs no more than that part."""

import pickle
import re
from itertools import pairwise

import numpy as np
import pytest
from fills import FLOATS, assert_same_bits, fill
from hypothesis import given, settings
from hypothesis import strategies as st

import fastinit
from fastinit import LazyArray, _kernels, initializers

RANDOM = [
    initializers.RandomNormal(0.1, 0.7, seed=1),
    initializers.RandomUniform(-0.3, 1.1, seed=2),
    initializers.TruncatedNormal(0.1, 0.7, seed=3),
    initializers.VarianceScaling(2.0, "fan_out", "untruncated_normal", seed=4),
    initializers.HeNormal(seed=5),
]
CONSTANT = [
    initializers.Zeros(),
    initializers.Ones(),
    initializers.Constant(2.5),
]
same_cases_every_run = settings(derandomize=True, deadline=None, max_examples=150)

shapes = st.lists(st.integers(0, 7), max_size=4).map(tuple) | st.tuples(
    st.integers(1, 300), st.integers(1, 300)
)


@st.composite
def cases(draw, shapes=shapes):
    """Draw a shape and an index of it."""
    shape = draw(shapes)
    items = []
    for number, size in enumerate(shape[: draw(st.integers(0, len(shape)))]):
        step = st.integers(-90, 90).filter(bool) | st.none()
        end = st.integers(-size - 2, size + 2) | st.none()
        choices = [st.builds(slice, end, end, step), st.just(slice(None))]
        if size:
            one = st.integers(-size, size - 1)
            choices.append(one)
            if number == 0:
                several = st.lists(one, max_size=5)
                choices += [several, several.map(np.array).filter(lambda x: x.size)]
                choices.append(
                    st.lists(one, min_size=4, max_size=4).map(
                        lambda x: np.array(x, np.int16).reshape(2, 2)
                    )
                )
        items.append(draw(st.one_of(choices)))
    if draw(st.booleans()):
        # It stands for the axes that are left, or for some of those before.
        at = draw(st.integers(1, len(items))) if len(items) == len(shape) > 0 else len(items)
        items[at : draw(st.integers(at, len(items)))] = [Ellipsis]
    if len(items) == 1 and draw(st.booleans()):
        return shape, items[0]
    return shape, tuple(items)


def same(found, expected):
    assert type(found) is type(expected)
    assert found.shape == expected.shape
    assert_same_bits(np.ravel(found), np.ravel(expected))


@same_cases_every_run
@given(cases(), st.sampled_from(RANDOM + CONSTANT), st.sampled_from(FLOATS))
def test_parts_are_those_of_the_whole(case, initializer, dtype):
    shape, index = case
    lazy = initializer.lazy(shape, dtype)
    whole = initializer(shape, dtype)
    same(np.asarray(lazy), whole)
    expected = whole[index]
    same(lazy[index], expected)
    out = np.zeros(np.shape(expected), dtype)
    assert lazy.read(index, out) is out
    assert_same_bits(out.ravel(), np.ravel(expected))


@same_cases_every_run
@given(cases().filter(lambda case: len(case[0]) == 2), st.floats(-2, 2))
def test_identity(case, gain):
    shape, index = case
    initializer = initializers.Identity(gain)
    same(initializer.lazy(shape)[index], initializer(shape)[index])


stacks = st.lists(st.integers(0, 6), min_size=3, max_size=5).map(tuple)


@same_cases_every_run
@given(cases(stacks), st.integers(1, 3), st.sampled_from([1.0, -1.7]), st.sampled_from(FLOATS))
def test_stacks_of_orthogonal_matrices(case, batch_ndim, gain, dtype):
    shape, index = case
    axes = tuple(range(min(batch_ndim, len(shape) - 2)))
    initializer = initializers.Orthogonal(gain, seed=1, batch_axis=axes)
    lazy = initializer.lazy(shape, dtype)
    whole = initializer(shape, dtype)
    expected = whole[index]
    same(lazy[index], expected)
    out = np.zeros(np.shape(expected), dtype)
    assert lazy.read(index, out) is out
    assert_same_bits(out.ravel(), np.ravel(expected))


def test_identity_beyond_any_memory():
    n = 2**32
    lazy = initializers.Identity(3.0).lazy((n, n))
    assert lazy[-1, -1] == 3
    for index, rows, columns in (
        (np.s_[n - 5 :, : n - 6 : -1], range(n - 5, n), range(n - 1, n - 6, -1)),
        (np.s_[[7, -1, 7], :: 2**29], [7, n - 1, 7], range(0, n, 2**29)),
        (np.s_[[0, 8, 2**31], :: 2**29], [0, 8, 2**31], range(0, n, 2**29)),
        (np.s_[: 2**21, 2**20 : 2**70 : 2**70], range(2**21), [2**20]),  # more rows than at once
    ):
        same(lazy[index], np.equal.outer(rows, columns) * np.float32(3))
    for shape in ((2**64, 1), (1, 2**64)):
        whole = initializers.Identity().lazy(shape)
        assert whole.size == 2**64
        assert whole[0, 0] == 1
        assert not whole[-2:, -2:][-1, -1]


def test_constants_of_an_array_and_of_integers():
    values = np.arange(12).reshape(3, 1, 4)
    lazy = initializers.Constant(values).lazy((5, 3, 2, 4), "int64")
    whole = fastinit.constant((5, 3, 2, 4), values, "int64")
    for index in (..., (1, slice(None, None, -2)), ([4, 0, 4], 1), np.s_[::2, :, 1, ::-1]):
        same(lazy[index], whole[index])


@pytest.fixture
def threads():
    before = fastinit.get_num_threads()
    yield
    fastinit.set_num_threads(before)


@pytest.mark.parametrize("n", [1, 3])
@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("initializer", RANDOM[:3])
def test_rows_that_follow_each_other(threads, initializer, dtype, n):
    """They are made as one span where they are many, or where there are no others."""
    fastinit.set_num_threads(n)
    whole = initializer((20_000, 24), dtype)
    lazy = initializer.lazy(whole.shape, dtype)
    stretches = [
        [np.arange(7, 9)],
        [np.arange(19_000, 20_000)],
        [np.arange(3, 300), np.arange(299, 340)],
        [[5, 4, 4], np.arange(40, 60), np.arange(60, 80)[::-1], np.arange(80, 95), [95]],
        # The first is enough for three threads.
        [np.arange(100, 19_000), [2, 1], np.arange(400, 416), [416], [7, 9], np.arange(0, 15)],
    ]
    for parts in stretches:
        ids = np.concatenate(parts)
        for given_ids in (ids, ids - 20_000, ids.astype(np.uint16)):
            same(lazy[given_ids], whole[ids])
        same(lazy[ids, ::-1], whole[ids, ::-1])
        same(lazy[ids.reshape(-1, 1)], whole[ids.reshape(-1, 1)])


def test_no_row_follows_the_last_element_of_the_counter():
    lazy = initializers.TruncatedNormal(seed=1).lazy((2**57, 128))
    for n in (1, 30):
        same(lazy[np.arange(-n, n)], np.concatenate([lazy[-n:], lazy[:n]]))


@pytest.mark.parametrize("dtype", [*"bhilqBHILQ", ">i4", ">i8", ">u8"])
@pytest.mark.parametrize("shape", [(100,), (100, 5), (100, 3, 2)], ids=str)
def test_ids_of_every_dtype(dtype, shape):
    initializer = initializers.RandomNormal(seed=1)
    lazy, whole = initializer.lazy(shape), initializer(shape)
    ids = np.array([7, 99, 0, 7, 8], dtype)
    for given_ids in (ids, ids[::2], ids[::-1], ids[:0], ids[1:2], ids[1], ids[1].reshape(())):
        same(lazy[given_ids], whole[given_ids])
    if ids.dtype.kind == "i":
        same(lazy[-ids[::-1]], whole[-ids[::-1]])
        same(lazy[np.array([-100, 99], dtype)], whole[[0, 99]])
        same(lazy[-ids[1]], whole[1])
    ids.flags.writeable = False
    same(lazy[ids], whole[ids])


def test_ids_at_the_ends_of_their_dtypes():
    largest, smallest = np.iinfo(np.int64).max, np.iinfo(np.int64).min
    flat = initializers.TruncatedNormal(seed=1).lazy(2**64)
    for i in (largest, smallest):
        assert flat[np.array([i])][0] == flat[i] == flat[i % 2**64]
    assert flat[np.array([2**64 - 1], np.uint64)][0] == flat[-1]
    half = initializers.TruncatedNormal(seed=1).lazy(2**63)
    assert half[np.array([smallest])][0] == half[0]
    assert half[np.array([largest])][0] == half[-1]
    for shape, i, dtype in (
        ((2**63 - 1,), largest, np.int64),
        ((2**63 - 1,), smallest, np.int64),
        ((2**64 - 1,), 2**64 - 1, np.uint64),
        ((2**63, 2), 2**63, np.uint64),
        ((0,), 0, np.uint64),
        ((0, 3), 0, np.int64),
        ((0, 3), -1, np.int64),
    ):
        lazy = initializers.TruncatedNormal(seed=1).lazy(shape)
        message = f"^index {i} is out of bounds for axis 0 with size {shape[0]}$"
        for index in (np.array([i], dtype), int(i)):
            with pytest.raises(IndexError, match=message):
                lazy[index]
    # Without elements there may be more rows than ids.
    empty = initializers.TruncatedNormal(seed=1).lazy((2**70, 0))
    for ids in (np.array([largest, smallest]), np.array([2**64 - 1, 0], np.uint64)):
        assert empty[ids].shape == (2, 0)
    assert empty[2**69].shape == (0,)


def test_the_worst_id_is_named():
    lazy = initializers.TruncatedNormal(seed=1).lazy((4, 3))
    for ids, worst in (([0, -9, 7, 5], 7), ([-5, -9, 3], -9)):
        for index in (np.array(ids), ids, np.array([ids]), np.array(ids, object).tolist()):
            out = np.zeros((len(ids), 3), np.float32)
            for look in (lazy.__getitem__, lambda i, out=out: lazy.read(i, out)):
                with pytest.raises(IndexError, match=f"^index {worst} is out of bounds for axis 0"):
                    look(index)
            assert not out.any()


@same_cases_every_run
@given(st.lists(st.integers(0, 100_000), max_size=6), st.sampled_from(RANDOM), st.booleans())
def test_splits(cuts, initializer, by_ids):
    lazy = initializer.lazy((100_000, 3), "bfloat16")
    cuts = [0, *sorted(cuts), 100_000]
    parts = [lazy[np.arange(a, b)] if by_ids else lazy[a:b] for a, b in pairwise(cuts)]
    same(np.concatenate(parts), initializer((100_000, 3), "bfloat16"))


@pytest.mark.parametrize("dtype", FLOATS)
def test_strides(isa, dtype):
    lazy = initializers.TruncatedNormal(seed=1).lazy((5000, 33), dtype)
    whole = np.asarray(lazy)
    for index in np.s_[::7, ::5], np.s_[::-1, ::-1], np.s_[::3, 4], np.s_[:, 1:30], np.s_[9, ::-40]:
        same(lazy[index], whole[index])
    flat = initializers.TruncatedNormal(seed=1).lazy(3_000_000, dtype)
    for step in (2, -3, 65, -1000):
        same(flat[::step], np.asarray(flat)[::step])


def test_beyond_any_memory():
    rows = 2**57
    lazy = initializers.TruncatedNormal(seed=1).lazy((rows, 128))
    assert lazy.size == 2**64
    assert lazy.nbytes == 2**66
    assert lazy.shape == (rows, 128)
    ids = [0, 1, 2**40, rows - 1, -1, 2**40, -rows]
    for given_ids in (ids, np.array(ids), ids[:4], np.array(ids[:4], np.uint64)):
        found = lazy[given_ids]
        for i, row in zip(given_ids, found, strict=True):
            expected = fill("truncated", "float32", int(i) % rows * 128, 128, 1, (0.0, 0.05))
            assert_same_bits(row, expected)
    same(lazy[-2:], lazy[[rows - 2, rows - 1]])
    same(lazy[:: -(2**55)], lazy[[rows - 1 - k * 2**55 for k in range(4)]])
    flat = initializers.TruncatedNormal(seed=1).lazy(2**64)
    assert flat[-1] == lazy[-1, -1]
    same(flat[-256:], lazy[-2:].ravel())
    same(flat[np.array([-1, -128])], lazy[-1, [127, 0][0] :: -127])
    # NumPy makes such lists float64, or objects.
    same(flat[[-1, 2**63, 5]], flat[np.array([2**64 - 1, 2**63, 5], np.uint64)])
    same(flat[[[1, 2**63]]], flat[np.array([[1, 2**63]], np.uint64)])
    for i in (2**64, -(2**64) - 1):
        with pytest.raises(IndexError, match=f"index {i} is out of bounds for axis 0"):
            flat[[0, i]]
    with pytest.raises(OverflowError):
        len(flat)
    with pytest.raises(MemoryError, match="cannot allocate"):
        np.asarray(flat)


@pytest.mark.parametrize("shape", [2**64 + 1, (2**32, 2**32, 2), (2**57 + 1, 128)])
def test_more_elements_than_the_counter(shape):
    message = "more than 2\\*\\*64 elements, more than the 64-bit counter can number"
    with pytest.raises(OverflowError, match=message):
        initializers.Zeros().lazy(shape)


def test_attributes():
    lazy = initializers.HeNormal(seed=1).lazy((3, 4, 5), "float16")
    assert type(lazy) is LazyArray
    assert (lazy.shape, lazy.ndim, lazy.size, lazy.nbytes, len(lazy)) == ((3, 4, 5), 3, 60, 120, 3)
    assert lazy.dtype == np.float16
    assert "(3, 4, 5)" in repr(lazy)
    for row, expected in zip(lazy, np.asarray(lazy), strict=True):
        same(row, expected)
    assert np.asarray(lazy, dtype="float64").dtype == np.float64
    with pytest.raises(ValueError, match="copy=False"):
        np.asarray(lazy, copy=False)
    scalar = initializers.Ones().lazy(())
    assert scalar[()] == 1
    for function in (len, iter):
        with pytest.raises(TypeError):
            function(scalar)


@pytest.mark.parametrize("initializer", RANDOM + CONSTANT + [initializers.Identity()])
@pytest.mark.parametrize("dtype", FLOATS)
def test_pickles(initializer, dtype):
    lazy = initializer.lazy((2**30, 2**20), dtype)
    _ = lazy[3, :70], lazy[:0], lazy[np.array([], int)]  # use adds nothing
    data = pickle.dumps(lazy)
    assert len(data) < 500
    same(pickle.loads(data)[-1, -70:], lazy[-1, -70:])


def test_a_pickle_of_another_stream_is_refused(monkeypatch):
    lazy = initializers.RandomNormal(seed=1).lazy((3, 4))
    monkeypatch.setattr(_kernels, "STREAM_VERSION", 2)
    data = pickle.dumps(lazy)
    monkeypatch.undo()
    with pytest.raises(ValueError, match="pickled with stream version 2"):
        pickle.loads(data)


def test_axes_of_one_change_nothing():
    flat = initializers.RandomNormal(seed=1).lazy((700,))
    for shape in [(700, 1), (1, 700), (1, 700, 1, 1)]:
        lazy = initializers.RandomNormal(seed=1).lazy(shape)
        for step in (slice(None, None, 2), slice(600, 3, -7), slice(5, 6), slice(None)):
            index = tuple(step if n == 700 else slice(None) for n in shape)
            same(lazy[index].reshape(-1), flat[step])
    table = initializers.RandomNormal(seed=1).lazy((1, 5, 1))
    same(table[[0, 0, 0]], np.asarray(table)[[0, 0, 0]])
    same(table[:, ::-2, 0], np.asarray(table)[:, ::-2, 0])


def test_one_seed_for_each_lazy_array():
    fresh = initializers.TruncatedNormal().lazy(100)
    assert_same_bits(fresh[:], fresh[:])
    assert (fresh[:] != initializers.TruncatedNormal().lazy(100)[:]).any()
    initializer = initializers.TruncatedNormal(seed=fastinit.SeedGenerator(1))
    seeds = fastinit.SeedGenerator(1)
    for _ in range(2):
        expected = fastinit.truncated_normal(100, seed=seeds.next())
        lazy = initializer.lazy(100)
        assert_same_bits(lazy[:], expected)
        assert_same_bits(lazy[:], expected)


@pytest.mark.parametrize(
    "initializer",
    [
        initializers.Orthogonal(),
        initializers.Orthogonal(batch_axis=()),
        initializers.DeltaOrthogonal(),
        initializers.STFT(),
        initializers.Initializer(),
    ],
)
def test_no_parts(initializer):
    name = type(initializer).__name__
    with pytest.raises(NotImplementedError, match=f"{name} has no parts"):
        initializer.lazy((4, 4, 4))


@pytest.mark.parametrize(
    "index",
    [
        True,
        np.True_,
        1.0,
        None,
        "a",
        (0, [1, 2]),
        np.array([True] * 4),
        [0.5],
        [1, None],
        [[1], [2, 3]],
        [1, [2, 3]],
        ([[1], [2, 3]], 0),
        [True, False, 2**63],
        np.array([1], object),
        (..., ...),
        (0, 0, 0),
    ],
    ids=repr,
)
@pytest.mark.parametrize("initializer", [initializers.Zeros(), initializers.RandomNormal()])
def test_other_indices(initializer, index):
    with pytest.raises(IndexError):
        initializer.lazy((4, 3))[index]


def test_lists_of_different_lengths_are_shown():
    for index in ([[1], [2, 3]], ([[1], [2, 3]], 0)):
        with pytest.raises(IndexError, match=r"must hold integers, received \[\[1\], \[2, 3\]\]"):
            initializers.RandomNormal().lazy((4, 3))[index]


@pytest.mark.parametrize("index", [4, -5, (0, 3), [0, 4], np.array([-5])], ids=repr)
def test_out_of_bounds(index):
    with pytest.raises(IndexError, match="is out of bounds for axis"):
        initializers.RandomNormal().lazy((4, 3))[index]


def test_read_into_buffers():
    lazy = initializers.TruncatedNormal(seed=1).lazy((2**40, 4), "bfloat16")
    out = bytearray(24)
    assert lazy.read([7, 2**39, 7], out) is out
    assert bytes(out) == lazy[[7, 2**39, 7]].tobytes()
    for bad, error, message in (
        (np.zeros((3, 4), "float32"), TypeError, "out must have dtype bfloat16, received float32"),
        (np.zeros((4, 3), lazy.dtype), ValueError, "out has shape (4, 3)"),
        (bytearray(25), ValueError, "out has 25 bytes"),
        (lazy[:3].T, ValueError, "out has shape (4, 3)"),
    ):
        before = bytes(bad) if isinstance(bad, bytearray) else bad.tobytes()
        with pytest.raises(error, match=re.escape(message)):
            lazy.read(slice(3), bad)
        assert before == (bytes(bad) if isinstance(bad, bytearray) else bad.tobytes())


def test_rows_into_an_array_that_does_not_fit():
    lazy = initializers.TruncatedNormal(seed=1).lazy((100, 4))
    ids = np.array([7, 3, 7])
    out = np.zeros((3, 4), np.float32)
    assert lazy.read(ids, out) is out
    same(out, lazy[ids])
    assert lazy.read(7, out[1]) is not None
    same(out[1], lazy[7])
    read_only = np.zeros((3, 4), np.float32)
    read_only.flags.writeable = False
    for bad, error, message in (
        (np.zeros((3, 4)), TypeError, "out must have dtype float32, received float64"),
        (np.zeros((2, 4), "float32"), ValueError, "out has shape (2, 4)"),
        (np.zeros((4, 3), "float32").T, ValueError, "out must be C-contiguous"),
        (np.zeros((3, 4), ">f4"), ValueError, "out must be in native byte order"),
        (read_only, ValueError, "out must be writeable"),
    ):
        with pytest.raises(error, match=re.escape(message)):
            lazy.read(ids, bad)
        assert not bad.any()


def test_read_needs_an_out():
    with pytest.raises(TypeError, match="out must be an array or a buffer"):
        initializers.Ones().lazy(3).read(..., None)


def test_parameters_are_checked_at_once():
    with pytest.raises(ValueError, match="stddev must be finite in float16"):
        initializers.TruncatedNormal(stddev=1e9).lazy(3, "float16")
    with pytest.raises(TypeError, match="dtype must be"):
        initializers.TruncatedNormal().lazy(3, "int32")


def test_rows_that_take_the_place_of_their_ids():
    """All ids are read before the first row is written."""
    lazy = initializers.RandomNormal(seed=1).lazy((50_000, 4), dtype="float64")
    memory = np.empty((40_000, 4))
    ids = memory.reshape(-1)[:40_000].view(np.int64)
    ids[:] = np.random.default_rng(1).integers(0, 50_000, 40_000)
    expected = lazy[ids.copy()]
    same(lazy.read(ids, memory), expected)
