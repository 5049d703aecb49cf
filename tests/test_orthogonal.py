from math import sqrt

import numpy as np
import pytest

import fastinit
from fastinit import initializers


def is_orthogonal(matrix):
    rows, columns = matrix.shape
    small = matrix.T @ matrix if rows >= columns else matrix @ matrix.T
    # Householder's QR: a few roundings for each of the rows.
    np.testing.assert_allclose(small, np.eye(len(small)), atol=20 * np.finfo(matrix.dtype).eps)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(
    "shape", [(1, 1), (7, 7), (40, 12), (12, 40), (3, 3, 4, 8), (2, 2, 2, 30), (2, 3, 4), (5, 1)]
)
def test_orthogonal_shapes(shape, dtype):
    array = fastinit.orthogonal(shape, seed=1, dtype=dtype)
    assert array.shape == shape
    assert array.dtype == dtype
    is_orthogonal(array.reshape(-1, shape[-1]))
    scaled = fastinit.orthogonal(shape, gain=-2.5, seed=1, dtype=dtype)
    np.testing.assert_array_equal(scaled, -2.5 * array)
    out = np.empty(shape, dtype)
    assert fastinit.orthogonal(seed=1, out=out) is out
    assert np.array_equal(out, array)


@pytest.mark.parametrize("shape", [(0, 0), (0, 3), (3, 0), (2, 0, 3)])
def test_empty_orthogonal(shape):
    assert fastinit.orthogonal(shape, seed=1).shape == shape


@pytest.mark.parametrize("shape", [(), (3,), 3])
def test_orthogonal_needs_two_dimensions(shape):
    with pytest.raises(ValueError, match="shape must have at least two dimensions"):
        initializers.Orthogonal()(shape)


@pytest.mark.parametrize("shape", [(3, 3), (3, 2), (2, 3)])
def test_orthogonal_is_haar(shape):
    from scipy import stats

    seeds = fastinit.SeedGenerator(1)
    draws = np.array([fastinit.orthogonal(shape, seed=seeds, dtype="float64") for _ in range(2000)])
    # A column of a Haar matrix is uniform on the sphere, and in three dimensions (Archimedes) so is
    # each coordinate on [-1, 1].  Without the sign fix the diagonal has one sign.  Each at 1e-6.
    for i, j in np.ndindex(*shape):
        assert stats.kstest(draws[:, i, j], stats.uniform(-1, 2).cdf).pvalue > 1e-6
    if shape == (3, 3):
        # The trace of Haar O(n) has mean 0, mean square 1 (Diaconis & Shahshahani 1994); its fourth
        # moment is 3, so the square's standard deviation is sqrt(2).
        trace = np.trace(draws, axis1=1, axis2=2)
        assert abs(trace.mean()) < 4.9 / sqrt(2000)
        assert abs((trace**2).mean() - 1) < 4.9 * sqrt(2 / 2000)
        assert stats.binomtest(int((np.linalg.det(draws) > 0).sum()), 2000).pvalue > 1e-6


def test_orthogonal_is_independent_of_a_normal_with_its_seed():
    matrix = fastinit.orthogonal((200, 200), seed=1)
    normal = fastinit.random_normal((200, 200), seed=1)
    # 40000 products of unit variance: 4.9 standard errors are exceeded once in a million.
    assert abs(np.corrcoef(matrix.ravel(), normal.ravel())[0, 1]) < 4.9 / 200
