"""Orthogonal matrices: bits, orthogonality, Haar's measure, batches, errors."""

import ast
import pickle
import sys
from math import sqrt

import numpy as np
import pytest
import reference
from fills import assert_same_bits
from processes import run_python
from scipy import stats

import fastinit
from fastinit import _kernels, initializers
from fastinit.initializers import _orthogonal

DTYPES = pytest.mark.parametrize("dtype", ["float32", "float64"])
SEED = 0x9E3779B97F4A7C15


@pytest.fixture(autouse=True)
def threads():
    before = fastinit.get_num_threads()
    yield
    fastinit.set_num_threads(before)


def distance(array, gain=1.0):
    """Return max |Q'Q - gain**2 I|, computed in more bits than float32 or float64 has."""
    matrix = array.reshape(-1, array.shape[-1])
    wide = np.longdouble if array.dtype == np.float64 and matrix.size < 50000 else np.float64
    matrix = matrix.astype(wide)
    if matrix.shape[0] < matrix.shape[1]:
        matrix = matrix.T
    return float(abs(matrix.T @ matrix - gain**2 * np.eye(matrix.shape[1])).max())


# Bits.


@DTYPES
@pytest.mark.parametrize(
    "shape", [(1, 1), (2, 2), (3, 3), (2, 5), (7, 3), (17, 17), (70, 6), (130, 2), (98, 97)]
)
def test_every_bit_is_that_of_the_definition(isa, shape, dtype):
    expected = reference.orthogonal(dtype, SEED, *shape)
    assert_same_bits(fastinit.orthogonal(shape, seed=SEED, dtype=dtype), expected)


@DTYPES
def test_the_gain_multiplies_at_the_end(dtype):
    expected = reference.orthogonal(dtype, 7, 9, 4, -1.1)
    assert_same_bits(fastinit.orthogonal((9, 4), -1.1, 7, dtype), expected)
    assert_same_bits(
        expected, fastinit.orthogonal((9, 4), 1.0, 7, dtype) * np.dtype(dtype).type(-1.1)
    )


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
@pytest.mark.parametrize(
    ("shape", "batch_axis"), [((12, 7), None), ((5, 9), None), ((7, 500, 400), 0), ((3, 3), None)]
)
def test_halves_are_float32s_values_rounded_once(shape, batch_axis, dtype):
    expected = fastinit.orthogonal(shape, -1.7, SEED, "float32", batch_axis=batch_axis)
    expected = expected.astype(dtype)
    found = fastinit.orthogonal(shape, -1.7, SEED, dtype, batch_axis=batch_axis)
    assert_same_bits(found, expected)
    out = np.full(shape, 7, dtype)
    assert fastinit.orthogonal(None, -1.7, SEED, out=out, batch_axis=batch_axis) is out
    assert_same_bits(out, expected)


def test_the_callers_handling_of_errors_changes_nothing():
    """Halves of large matrices underflow where they are rounded."""
    expected = fastinit.orthogonal((300, 300), 1e-3, SEED, "float16")
    with np.errstate(all="raise"):
        assert_same_bits(fastinit.orthogonal((300, 300), 1e-3, SEED, "float16"), expected)
        assert fastinit.constant((3,), 1e-6, "float16")[0] == np.float16(1e-6)
        fastinit.identity((3, 3), 1e-6, "float16")


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_delta_orthogonal_halves(dtype):
    expected = fastinit.delta_orthogonal((3, 4, 6), 2.0, SEED).astype(dtype)
    assert_same_bits(fastinit.delta_orthogonal((3, 4, 6), 2.0, SEED, dtype), expected)


def test_a_gain_beyond_a_half_is_refused():
    out = np.full((3, 3), 7, np.float16)
    with pytest.raises(ValueError, match=r"gain must be finite in float16, received 65520"):
        fastinit.orthogonal(None, 65520.0, 1, out=out)
    assert (out == 7).all()


EDGES = [(95, 95), (96, 96), (97, 97), (192, 191), (193, 290), (290, 193), (260, 258), (1000, 40)]


@DTYPES
@pytest.mark.parametrize("shape", EDGES, ids=str)
def test_threads_kernels_and_transposition_change_no_bit(shape, dtype):
    before = _kernels.isa()
    results = []
    try:
        for isa in _kernels.isas():
            _kernels.use_isa(isa)
            for n in (1, 2, 3, 40) if isa == before else (2,):
                fastinit.set_num_threads(n)
                results.append(fastinit.orthogonal(shape, seed=3, dtype=dtype))
                if shape[0] != shape[1]:
                    turned = fastinit.orthogonal(shape[::-1], seed=3, dtype=dtype)
                    results.append(np.ascontiguousarray(turned.T))
    finally:
        _kernels.use_isa(before)
    for other in results[1:]:
        assert_same_bits(other, results[0])


def test_tiles_of_another_width_change_no_bit():
    # As many threads as columns allow: tasks of 32 columns in place of 128.
    fastinit.set_num_threads(1)
    one = fastinit.orthogonal((700, 650), seed=5)
    fastinit.set_num_threads(64)
    assert_same_bits(fastinit.orthogonal((700, 650), seed=5), one)


def test_nothing_is_written_beyond_the_array():
    for shape in [(37, 21), (21, 37), (210, 205), (205, 210)]:
        raw = np.full(shape[0] * shape[1] + 2000, 7, np.float32)
        fastinit.orthogonal(seed=1, out=raw[1000:-1000].reshape(shape))
        assert (raw[:1000] == 7).all()
        assert (raw[-1000:] == 7).all()


@DTYPES
@pytest.mark.parametrize("shape", [(40, 40), (120, 110), (300, 30)], ids=str)
def test_the_block_form_is_stewarts_method(shape, dtype):
    expected = reference.stewart(reference.normals(dtype, 5, *shape))
    found = fastinit.orthogonal(shape, seed=5, dtype=dtype)
    # Each reflector rotates by a rounding or so: 120 of them by no more than 120 eps.
    np.testing.assert_allclose(found, expected, rtol=0, atol=120 * np.finfo(dtype).eps)


# Orthogonality.


@DTYPES
@pytest.mark.parametrize(
    "shape",
    [
        *[(1, 1), (7, 7), (40, 12), (12, 40), (3, 3, 4, 8), (2, 2, 2, 30), (2, 3, 4), (600, 600)],
        *[(5, 1), (1, 5), (1000, 1), (1, 1000), (3000, 40), (40, 3000)],
    ],
    ids=str,
)
def test_orthogonal_shapes(shape, dtype):
    eps = np.finfo(dtype).eps
    n = max(shape[-1], np.prod(shape[:-1]))
    array = fastinit.orthogonal(shape, seed=1, dtype=dtype)
    assert array.shape == shape
    assert array.dtype == dtype
    assert distance(array) <= 4 * n * eps
    assert distance(array) <= 20 * eps  # far less than the bound, and no growth with n
    scaled = fastinit.orthogonal(shape, gain=-2.5, seed=1, dtype=dtype)
    np.testing.assert_array_equal(scaled, -2.5 * array)
    assert distance(scaled, 2.5) <= 6.25 * 4 * n * eps
    out = np.empty(shape, dtype)
    assert fastinit.orthogonal(seed=1, out=out) is out
    assert np.array_equal(out, array)


@DTYPES
def test_small_matrices_of_many_seeds_are_orthogonal(dtype):
    eps = np.finfo(dtype).eps
    worst = {}
    for shape in [(1, 1), (2, 2), (3, 3), (4, 2), (2, 1), (9, 1)]:
        batch = fastinit.orthogonal((2000, *shape), seed=2, dtype=dtype, batch_axis=0)
        worst[shape] = max(distance(matrix) for matrix in batch)
        assert worst[shape] <= 4 * max(shape) * eps
    assert worst[1, 1] == 0


@pytest.mark.parametrize("shape", [(0, 0), (0, 3), (3, 0), (2, 0, 3)])
def test_empty_orthogonal(shape):
    assert fastinit.orthogonal(shape, seed=1).shape == shape


# Haar's measure.  Every test is of one fixed seed; each statistic fails once in a million seeds.

DRAWS = 4000


def draws(n):
    return fastinit.orthogonal((DRAWS, n, n), seed=n, dtype="float64", batch_axis=0)


def look_haar(q):
    """Raise where these are not Haar matrices.

    The trace of Haar O(n) has mean 0 and mean square 1, its fourth moment is 3 from n = 4 on
    (Diaconis & Shahshahani 1994), and no more below; so the square's deviation is at most sqrt(2).
    """
    n = q.shape[-1]
    square = stats.beta(0.5, (n - 1) / 2)
    for i, j in [(0, 0), (0, n - 1), (n - 1, 0), (n - 1, n - 1), (n // 2, n // 2)]:
        assert stats.kstest(q[:, i, j] ** 2, square.cdf).pvalue > 1e-6
        assert stats.binomtest(int((q[:, i, j] > 0).sum()), DRAWS).pvalue > 1e-6
    trace = np.trace(q, axis1=1, axis2=2).round(9)  # half of O(2) has trace 0, but for roundings
    assert abs(trace.mean()) < 4.9 / sqrt(DRAWS)
    assert abs((trace**2).mean() - 1) < 4.9 * sqrt(2 / DRAWS)
    assert stats.binomtest(int((np.linalg.det(q) > 0).sum()), DRAWS).pvalue > 1e-6
    # Exchangeable: rows and columns in another order, and the transpose, are as likely.
    for other in (q[:, ::-1], q[:, :, ::-1], np.roll(q, 1, axis=1), q.transpose(0, 2, 1)):
        assert stats.ks_2samp(q[::2, 0, 0], other[1::2, 0, 0]).pvalue > 1e-6
        turned = np.trace(other, axis1=1, axis2=2).round(9)
        assert stats.ks_2samp(trace[::2], turned[1::2]).pvalue > 1e-6
    # Of a pair in one row or column only the sum of the squares is bounded: no covariance.
    for pair in ((0, 1), (n, 0)):
        first, second = q[:, 0, 0], q.reshape(DRAWS, -1)[:, max(pair)]
        assert abs((first * second).mean()) < 4.9 * (first * second).std() / sqrt(DRAWS)


@pytest.mark.parametrize("n", [2, 3, 4, 5, 8, 16, 31, 32])
def test_orthogonal_is_haar(n):
    look_haar(draws(n))


@pytest.mark.parametrize("n", [2, 8, 32])
def test_without_the_signs_it_would_not_be_haar(n):
    # Column k was multiplied by minus the sign of the first normal of reflector k (but for 1% of
    # them, which are redrawn): bit 11 of its 64-bit sample.
    heads = np.arange(DRAWS, dtype=np.uint64)[:, None] * np.uint64(n * n)
    heads = heads + np.arange(n, dtype=np.uint64) * np.uint64(n + 1)
    tag = reference.word_3(reference.ORTHOGONAL, 64)
    words = reference.block(tag, n, heads // np.uint64(2))
    low = np.where(heads % np.uint64(2) == 0, words[0], words[2])
    signs = np.where(low >> np.uint64(11) & np.uint64(1) == 1, 1, -1)
    with pytest.raises(AssertionError):
        look_haar(draws(n) * signs[:, None, :])


@pytest.mark.parametrize("shape", [(3, 2), (2, 3), (30, 4), (4, 30)])
def test_tall_and_wide_matrices_are_haar(shape):
    q = fastinit.orthogonal((DRAWS, *shape), seed=9, dtype="float64", batch_axis=0)
    square = stats.beta(0.5, (max(shape) - 1) / 2)
    for i, j in [(0, 0), (shape[0] - 1, 0), (0, shape[1] - 1), (shape[0] - 1, shape[1] - 1)]:
        assert stats.kstest(q[:, i, j] ** 2, square.cdf).pvalue > 1e-6
        assert stats.binomtest(int((q[:, i, j] > 0).sum()), DRAWS).pvalue > 1e-6


def test_the_distribution_is_that_of_a_factorization():
    rng = np.random.default_rng(1)
    theirs = np.array([reference.haar_by_factorization(rng, 6) for _ in range(DRAWS)])
    ours = draws(6)
    for statistic in (
        lambda q: q[:, 2, 4],
        lambda q: np.trace(q, axis1=1, axis2=2),
        lambda q: q[:, 0, 0] * q[:, 1, 1],
        lambda q: abs(q).max(axis=(1, 2)),
        lambda q: np.trace(q @ q, axis1=1, axis2=2).round(9),
    ):
        assert stats.ks_2samp(statistic(ours), statistic(theirs)).pvalue > 1e-6


def test_a_large_matrix_is_haar():
    # Several panels: sqrt(n) q is nearly normal (Borel); its entries are nearly independent.
    n = 400
    q = fastinit.orthogonal((n, n), seed=1).astype(float) * sqrt(n)
    exact = stats.beta(0.5, (n - 1) / 2)
    assert stats.kstest((q[::7, ::7] ** 2 / n).ravel(), exact.cdf).pvalue > 1e-6
    assert abs(np.trace(q)) / sqrt(n) < 4.9
    for part in (q[:96, :96], q[:96, 96:], q[96:, :96], q[-100:, -100:]):
        assert abs(part.mean()) < 4.9 / sqrt(part.size)
        assert abs((part**2).mean() - 1) < 4.9 * sqrt(2 / part.size)


def test_orthogonal_is_independent_of_a_normal_with_its_seed():
    matrix = fastinit.orthogonal((200, 200), seed=1)
    normal = fastinit.random_normal((200, 200), seed=1)
    # 40000 products of unit variance: 4.9 standard errors are exceeded once in a million.
    assert abs(np.corrcoef(matrix.ravel(), normal.ravel())[0, 1]) < 4.9 / 200


# Batches.


@DTYPES
@pytest.mark.parametrize("shape", [(4, 4), (5, 3), (3, 5), (100, 97), (210, 205)], ids=str)
def test_a_matrix_of_a_batch_is_its_own(shape, dtype):
    fastinit.set_num_threads(2)
    batch = fastinit.orthogonal((3, *shape), seed=1, dtype=dtype, batch_axis=0)
    fastinit.set_num_threads(1)
    assert_same_bits(fastinit.orthogonal((3, *shape), seed=1, dtype=dtype, batch_axis=0), batch)
    assert_same_bits(
        fastinit.orthogonal((2, *shape), seed=1, dtype=dtype, batch_axis=[0]), batch[:2]
    )
    assert_same_bits(fastinit.orthogonal(shape, seed=1, dtype=dtype), batch[0])
    assert len({matrix.tobytes() for matrix in batch}) == 3
    for matrix in batch:
        assert distance(matrix) <= 20 * np.finfo(dtype).eps


def test_the_definition_of_a_batch():
    batch = fastinit.orthogonal((40, 6, 4), 0.7, SEED, batch_axis=0)
    for b in (0, 1, 39):
        assert_same_bits(batch[b], reference.orthogonal("float32", SEED, 6, 4, 0.7, matrix=b))


def test_many_small_matrices_on_all_threads():
    fastinit.set_num_threads(1)
    one = fastinit.orthogonal((500, 3, 4, 10), seed=1, batch_axis=0)
    fastinit.set_num_threads(3)
    assert_same_bits(fastinit.orthogonal((500, 3, 4, 10), seed=1, batch_axis=0), one)


def test_the_work_space_of_a_batch_is_that_of_all_its_matrices():
    """More matrices keep more threads busy, up to as many as there are."""
    fastinit.set_num_threads(1)
    one = fastinit.orthogonal((4000, 20, 20), seed=1, batch_axis=0)
    fastinit.set_num_threads(64)
    assert_same_bits(fastinit.orthogonal((4000, 20, 20), seed=1, batch_axis=0), one)


def test_batch_axes():
    expected = fastinit.orthogonal((6, 5, 4), seed=1, batch_axis=0).reshape(2, 3, 5, 4)
    for axes in ((0, 1), [1, 0], (-3, -4)):
        assert np.array_equal(fastinit.orthogonal((2, 3, 5, 4), seed=1, batch_axis=axes), expected)
    flat = fastinit.orthogonal((2, 15, 4), seed=1, batch_axis=0)
    kernels = fastinit.orthogonal((2, 3, 5, 4), seed=1, batch_axis=0)
    assert np.array_equal(kernels, flat.reshape(2, 3, 5, 4))
    none = fastinit.orthogonal((2, 3, 5, 4), seed=1, batch_axis=())
    assert np.array_equal(none, fastinit.orthogonal((2, 3, 5, 4), seed=1))
    assert fastinit.orthogonal((0, 3, 5), seed=1, batch_axis=0).shape == (0, 3, 5)


@pytest.mark.parametrize("axis", [1, -1, (1, 2), (0, 2), (0, 0), 3, -4])
def test_batch_axes_are_the_first(axis):
    with pytest.raises(ValueError, match="batch_axis must name the first axes"):
        fastinit.orthogonal((2, 3, 4), batch_axis=axis)


@pytest.mark.parametrize("axis", ["0", 0.0, True, (0, None), {0}])
def test_batch_axes_of_the_wrong_type(axis):
    with pytest.raises(TypeError, match="batch_axis must be"):
        fastinit.orthogonal((2, 3, 4), batch_axis=axis)
    with pytest.raises(TypeError, match="batch_axis must be"):
        initializers.Orthogonal(batch_axis=axis)


def test_the_configuration_names_batch_axis_only_where_it_is_given():
    # Keras's class does not take it.
    assert initializers.Orthogonal(2.0, 3).get_config() == {"gain": 2.0, "seed": 3}
    batched = initializers.Orthogonal(seed=3, batch_axis=0)
    assert batched.get_config() == {"gain": 1.0, "seed": 3, "batch_axis": 0}
    again = initializers.Orthogonal.from_config(batched.get_config())
    assert again == batched
    assert again != initializers.Orthogonal(seed=3)
    assert np.array_equal(again((2, 3, 4)), fastinit.orthogonal((2, 3, 4), seed=3, batch_axis=0))


# Lazy stacks: test_lazy.py has indices of every kind.


def test_parts_of_a_stack_beyond_any_memory():
    lazy = initializers.Orthogonal(0.7, SEED, 0).lazy((2**50, 6, 4))
    for b in (0, 39, 2**50 - 1):
        expected = reference.orthogonal("float32", SEED, 6, 4, 0.7, matrix=b)
        assert_same_bits(lazy[b], expected)
        assert_same_bits(lazy[b, 5], expected[5])
        assert_same_bits(lazy[b, ::-2, 1], expected[::-2, 1])
    found = lazy[[39, 0, -1, 39, 40], 2:]
    for i, b in enumerate([39, 0, 2**50 - 1, 39, 40]):
        assert_same_bits(found[i], lazy[b][2:])
    assert repr(lazy) == (
        "LazyArray(shape=(1125899906842624, 6, 4), dtype=float32, "
        f"StackSource(batch_ndim=1, gain=0.7, seed={SEED}))"
    )
    data = pickle.dumps(lazy)
    assert len(data) < 500
    assert_same_bits(pickle.loads(data)[-1], lazy[-1])


def test_the_first_matrix_follows_the_last_of_all():
    lazy = initializers.Orthogonal(seed=1, batch_axis=0).lazy((2**62, 2, 2))
    assert_same_bits(lazy[[-1, 0]], np.stack([lazy[-1], lazy[0]]))
    signs = initializers.Orthogonal(seed=1, batch_axis=0).lazy((2**64, 1, 1), "float16")
    assert_same_bits(signs[[-2, -1, 0, 1]], np.stack([signs[i] for i in (-2, -1, 0, 1)]))


@pytest.mark.parametrize("axes", [0, [0], (1, 0), [-4, -3], (-4, 1)])
def test_batch_axes_of_a_lazy_stack(axes):
    initializer = initializers.Orthogonal(seed=1, batch_axis=axes)
    assert_same_bits(
        initializer.lazy((2, 3, 5, 4))[1, ::-1, 2:], initializer((2, 3, 5, 4))[1, ::-1, 2:]
    )


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_parts_of_a_stack_need_the_memory_of_a_few_matrices(monkeypatch, dtype):
    """A part is cut from temporary matrices; whole matrices are made where they belong."""
    sizes = []

    def counted(shape, dtype):
        sizes.append(np.prod(shape))
        return np.empty(shape, dtype)

    lazy = initializers.Orthogonal(seed=1, batch_axis=0).lazy((1000, 12, 10), dtype)
    expected = lazy[:]
    monkeypatch.setattr(_orthogonal, "empty", counted)
    monkeypatch.setattr(_orthogonal, "_TEMPORARY", 500)
    monkeypatch.setattr(_orthogonal, "_NUMBERS_AT_ONCE", 300)
    work = _kernels.orthogonal_work(12, 10, 1000, fastinit.get_num_threads())
    assert_same_bits(lazy[5:, 3], expected[5:, 3])
    assert max(sizes) <= max(500, work)
    assert sizes.count(480) >= 995 // 4
    sizes.clear()
    assert_same_bits(lazy[:], expected)
    assert sizes.count(480) == (4 if dtype == "bfloat16" else 0)


def test_arguments_of_a_lazy_stack_are_checked_at_once():
    lazy = initializers.Orthogonal(1e5, seed=1, batch_axis=0).lazy
    with pytest.raises(ValueError, match="gain must be finite in float16"):
        lazy((2, 3, 3), "float16")
    with pytest.raises(ValueError, match="two dimensions besides batch_axis"):
        lazy((2, 3))
    with pytest.raises(OverflowError, match="counter"):
        lazy((2**62, 2, 3))
    with pytest.raises(ValueError, match="batch_axis must name the first axes"):
        initializers.Orthogonal(batch_axis=1).lazy((2, 3, 4))
    with pytest.raises(NotImplementedError, match="unless batch_axis makes it a stack"):
        initializers.Orthogonal().lazy((2, 3, 4))
    with pytest.raises(MemoryError, match="cannot allocate"):
        initializers.Orthogonal(batch_axis=0).lazy((2, 2**30, 2**20))[0, 0]


def test_a_lazy_stack_has_one_seed():
    lazy = initializers.Orthogonal(batch_axis=0).lazy((4, 3, 3))
    assert_same_bits(lazy[1], lazy[:][1])
    seeds = fastinit.SeedGenerator(1)
    lazy = initializers.Orthogonal(seed=seeds, batch_axis=0).lazy((4, 3, 3))
    expected = fastinit.orthogonal((4, 3, 3), seed=fastinit.SeedGenerator(1).next(), batch_axis=0)
    assert_same_bits(lazy[2:], expected[2:])


# delta_orthogonal.


@DTYPES
@pytest.mark.parametrize("shape", [(3, 4, 6), (1, 5, 5), (4, 3, 2, 7), (3, 3, 3, 2, 5)], ids=str)
def test_delta_orthogonal(shape, dtype):
    kernel = fastinit.delta_orthogonal(shape, gain=2.0, seed=1, dtype=dtype)
    middle = tuple((n - 1) // 2 for n in shape[:-2])
    assert np.array_equal(kernel[middle], fastinit.orthogonal(shape[-2:], 2.0, 1, dtype))
    kernel[middle] = 0
    assert not kernel.any()
    out = np.full(shape, 7, dtype)
    assert fastinit.delta_orthogonal(gain=2.0, seed=1, out=out) is out
    assert np.array_equal(out, initializers.DeltaOrthogonal(2.0, seed=1)(shape, dtype))


def test_delta_orthogonal_keeps_the_norm_of_a_signal():
    kernel = fastinit.delta_orthogonal((5, 4, 9), seed=1, dtype="float64")
    signal = np.random.default_rng(1).standard_normal((50, 4))
    padded = np.pad(signal, ((2, 2), (0, 0)))
    out = sum(padded[k : k + 50] @ kernel[k] for k in range(5))
    assert np.allclose((out**2).sum(), (signal**2).sum())


@pytest.mark.parametrize("shape", [(0, 3, 4), (3, 0, 4), (3, 0, 0)])
def test_empty_delta_orthogonal(shape):
    assert fastinit.delta_orthogonal(shape, seed=1).shape == shape


@pytest.mark.parametrize("shape", [(), (3,), (3, 3), (1, 1, 1, 1, 3, 3)])
def test_delta_orthogonal_needs_three_to_five_dimensions(shape):
    with pytest.raises(ValueError, match="shape must have 3, 4 or 5 dimensions"):
        fastinit.delta_orthogonal(shape)


def test_delta_orthogonal_cannot_narrow():
    with pytest.raises(ValueError, match=r"shape\[-2\] must be at most shape\[-1\]"):
        initializers.DeltaOrthogonal()((3, 5, 4))


# Errors.


@pytest.mark.parametrize("shape", [(), (3,), 3])
def test_orthogonal_needs_two_dimensions(shape):
    with pytest.raises(ValueError, match="shape must have at least two dimensions"):
        initializers.Orthogonal()(shape)


def test_a_batch_needs_two_dimensions_more():
    with pytest.raises(ValueError, match="two dimensions besides batch_axis"):
        fastinit.orthogonal((2, 3), batch_axis=0)


@pytest.mark.parametrize("function", [fastinit.orthogonal, fastinit.delta_orthogonal])
def test_wrong_arguments_write_nothing(function):
    out = np.zeros((3, 3, 3), np.float32)
    for arguments in ({"gain": np.inf}, {"gain": np.nan}, {"gain": 1e39}, {"seed": -1}):
        with pytest.raises(ValueError, match=r"gain|seed"):
            function(out=out, **arguments)
    assert not out.any()
    with pytest.raises(TypeError, match="dtype"):
        function((3, 3, 3), dtype="int32")


def test_too_large():
    with pytest.raises(OverflowError, match="counter"):
        fastinit.orthogonal((2**33, 2**32))
    with pytest.raises(MemoryError, match="GiB"):
        fastinit.orthogonal((2**30, 2**20))


# Memory.


def test_the_work_space_is_about_a_panel():
    for shape in [(4096, 4096), (16384, 4096), (4096, 16384)]:
        work = _kernels.orthogonal_work(*shape, 1, 2)
        panels = 1 if shape[0] >= shape[1] else 2  # V, and for a wide matrix its transpose
        assert work <= panels * 96 * (max(shape) + 64) + 130000


def test_work_space_for_fewer_threads_is_refused():
    """Another thread may change their number in between: nothing is written beyond the space."""
    out = np.full((2000, 3, 3), 7, np.float32)
    small = np.zeros(_kernels.orthogonal_work(3, 3, 2000, 1), np.float32)
    assert _kernels.orthogonal_work(3, 3, 2000, 4) > small.size
    with pytest.raises(ValueError, match="work"):
        _kernels.orthogonal(out, small, 0, 3, 3, 1, 1.0, 4)
    assert (out == 7).all()
    _kernels.orthogonal(out, small, 0, 3, 3, 1, 1.0, 1)
    assert_same_bits(out, fastinit.orthogonal(out.shape, seed=1, batch_axis=0))


@pytest.mark.parametrize("name", ["orthogonal", "delta_orthogonal"])
def test_without_work_space_nothing_is_written(monkeypatch, name):
    def none(shape, dtype):
        raise MemoryError

    monkeypatch.setattr(_orthogonal, "empty", none)
    out = np.full((3, 3, 8), 7, np.float32)
    with pytest.raises(MemoryError, match="work space for"):
        getattr(fastinit, name)(seed=1, out=out)
    assert (out == 7).all()


@pytest.mark.parametrize("shape", [(40000, 100), (100, 40000)])
def test_long_products_in_pieces_are_the_same_on_any_number_of_threads(shape, isa):
    """The matrices are above the size where a task is cut (orthogonal.c)."""
    fastinit.set_num_threads(1)
    one = fastinit.orthogonal(shape, seed=SEED)
    fastinit.set_num_threads(3)
    assert_same_bits(fastinit.orthogonal(shape, seed=SEED), one)
    assert distance(one if shape[0] > shape[1] else one.T) < 4 * 100 * 2**-23


# Signals.

LONG = """
import os, signal, sys, threading, time
import numpy as np
import fastinit
fastinit.set_num_threads(int(sys.argv[1]))
out = np.empty(tuple(map(int, sys.argv[2:])), np.float32)
sent, latencies = [], []

def send():
    sent.append(time.perf_counter())
    os.kill(os.getpid(), signal.SIGINT)

for after in (0.7, 1.0, 1.3):
    timer = threading.Timer(after, send)
    timer.start()
    try:
        fastinit.orthogonal(out=out, seed=1)
    except KeyboardInterrupt:
        latencies.append(time.perf_counter() - sent[-1])
    timer.join()
print(latencies)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="sends itself a signal")
@pytest.mark.parametrize("n", [1, 2])
@pytest.mark.parametrize("shape", [(300000, 96), (96, 300000)], ids=str)
def test_a_signal_stops_a_long_task(shape, n):
    """A task over all rows takes seconds in portable code, so it has to check within."""
    latencies = ast.literal_eval(run_python(LONG, n, *shape, FASTINIT_ISA="portable"))
    assert len(latencies) == 3
    assert min(latencies) < 0.2
    assert max(latencies) < 0.8


@pytest.mark.parametrize("shape", [(0, 2), (2, 0), (2**31, 2**31), (2**32, 2**32)])
def test_the_kernel_refuses_what_is_no_matrix(shape):
    out, work = np.zeros(4, np.float32), np.zeros(4, np.float32)
    with pytest.raises(ValueError, match="no matrix has this shape"):
        _kernels.orthogonal(out, work, 0, *shape, 1, 1.0, 1)
