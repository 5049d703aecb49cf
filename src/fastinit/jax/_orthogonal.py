"""Random orthogonal matrices."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from functools import cached_property
from math import prod
from operator import index
from typing import TYPE_CHECKING, Any

import numpy as np

from .. import _distributions as distributions
from .._entry import entry_point
from .._messages import shown
from .._parameters import check_gain
from ..initializers._orthogonal import orthogonal as orthogonal_array
from ._base import JaxInitializer, kernel_dtype, number
from ._values import Random

if TYPE_CHECKING:
    from .._typing import Array, Dimensions
    from ._values import Parts, Values


class _Whole:
    """An array that is made when a part is first asked for, and kept; parts are copied."""

    def __init__(self, values: Matrix, seed: int) -> None:
        self.values, self.seed = values, seed

    @cached_property
    def array(self) -> Array:
        """The whole array."""
        return np.ascontiguousarray(self.values.whole(self.seed))

    def __getitem__(self, index: Any) -> Array:
        """See Parts; the whole is not copied."""
        return np.ascontiguousarray(self.array[index])

    def read(self, index: Any, out: Array) -> Array:
        """See Parts."""
        np.copyto(out, self.array[index])
        return out


@dataclass(frozen=True)
class Matrix:
    """One orthogonal matrix in an array; its elements depend on each other."""

    shape: Dimensions
    dtype: np.dtype[Any]
    gain: float
    column_axis: int
    matrix_ndim: int  # the last axes are the matrix's; it is in the middle of the others

    def parts(self, seed: int) -> Parts:
        """See Values."""
        return _Whole(self, seed)

    @entry_point
    def whole(self, seed: int) -> Array:
        """Return the whole array."""
        if not prod(self.shape):
            return np.zeros(self.shape, self.dtype)
        window = self.shape[: -self.matrix_ndim]
        matrix = self._matrix(self.shape[-self.matrix_ndim :], seed)
        if not window:
            return matrix
        array = np.zeros(self.shape, self.dtype)
        array[tuple((n - 1) // 2 for n in window)] = matrix
        return array

    def _matrix(self, shape: Dimensions, seed: int) -> Array:
        axis = self.column_axis % len(shape)
        columns = shape[axis]
        others = shape[:axis] + shape[axis + 1 :]
        rows = prod(others)
        if self.dtype.kind == "c":
            matrix = _unitary(rows, columns, self.dtype, self.gain, seed)
        else:
            dtype = self.dtype if self.dtype.itemsize > 1 else np.dtype("float32")
            matrix = orthogonal_array((rows, columns), self.gain, seed, dtype)
            with np.errstate(all="ignore"):  # the caller's settings may raise
                matrix = matrix.astype(self.dtype, copy=False)
        return np.moveaxis(matrix.reshape(*others, columns), -1, axis)


def _unitary(rows: int, columns: int, dtype: np.dtype[Any], gain: float, seed: int) -> Array:
    """Return a Haar distributed matrix with orthonormal columns, or rows where it is wide.

    It is the Q of the decomposition of a complex normal matrix whose R has a positive diagonal
    (Mezzadri, Notices of the AMS 54 (2007) 592-604), computed by LAPACK.
    """
    shape = (max(rows, columns), min(rows, columns))
    wide = np.dtype("complex128")
    standard = distributions.normal(shape, np.dtype("float64"), 0.0, 1.0)
    q, r = np.linalg.qr(Random(shape, wide, standard).parts(seed)[...])
    diagonal = np.diagonal(r)
    q = gain * q * (diagonal / abs(diagonal))
    matrix: Array = (q if rows >= columns else q.T).astype(dtype)
    return matrix


@dataclass(frozen=True, eq=False)
class _Matrices(JaxInitializer):
    """What the initializers of matrices share."""

    scale: Any
    column_axis: Any
    dtype: Any

    @abstractmethod
    def matrix_ndim(self, shape: Dimensions) -> int:
        """Return how many of the last axes are the matrix's; raise ValueError for other shapes."""

    def checked(self, shape: Dimensions, dtype: np.dtype[Any]) -> Values:
        """See JaxInitializer."""
        ndim = self.matrix_ndim(shape)
        axis = index(self.column_axis)
        if not -ndim <= axis < ndim:
            raise IndexError(
                f"column_axis must be one of the {ndim} axes of the matrix, received {shown(axis)}"
            )
        kernel = kernel_dtype(self.name, dtype, allow_complex=True)
        gain = check_gain(number("scale", self.scale), kernel)
        return Matrix(shape, dtype, gain, axis, ndim)

    def __call__(self, key: Any, shape: Any, dtype: Any = ..., out_sharding: Any = None) -> Any:
        """Return the initial values: see JaxInitializer.

        Raises
        ------
        NotImplementedError
            An ``out_sharding`` is given, as in JAX.  :func:`fastinit.jax.initialize` takes one.
        """
        if out_sharding is not None:
            raise NotImplementedError(
                f"{self.name} takes no out_sharding, because the elements of a matrix depend on "
                "each other: use fastinit.jax.initialize, which cuts the matrix"
            )
        return super().__call__(key, shape, dtype)


@dataclass(frozen=True, eq=False)
class Orthogonal(_Matrices):
    """The initializer of :func:`orthogonal`."""

    @property
    def name(self) -> str:
        """See JaxInitializer."""
        return "orthogonal"

    def matrix_ndim(self, shape: Dimensions) -> int:
        """See _Matrices."""
        if len(shape) < 2:
            raise ValueError(f"shape must have at least two dimensions, received {shown(shape)}")
        return len(shape)


def orthogonal(scale: Any = 1.0, column_axis: Any = -1, dtype: Any = None) -> Any:
    """Return an initializer of random orthogonal matrices times the scale.

    One axis of the shape counts the columns, and all others, in their order, the rows.  The columns
    are orthonormal, or the rows where there are more columns than rows.  The matrix is Haar
    distributed: uniform among all of its kind.

    Parameters
    ----------
    scale : float
        Factor of the orthogonal matrix.
    column_axis : int
        The axis of the columns.
    dtype : dtype, optional
        The initializer's default dtype: a float or a complex one, for a unitary matrix.  None is
        JAX's default float.

    Returns
    -------
    Initializer
        A function ``init(key, shape, dtype)``.

    Notes
    -----
    Saxe, McClelland & Ganguli, ICLR 2014; Stewart, SIAM J. Numer. Anal. 17 (1980) 403-409.
    Unitary matrices are computed by LAPACK, so their last bits may differ between machines.
    """
    return Orthogonal(scale, column_axis, dtype)


@dataclass(frozen=True, eq=False)
class DeltaOrthogonal(_Matrices):
    """The initializer of :func:`delta_orthogonal`."""

    @property
    def name(self) -> str:
        """See JaxInitializer."""
        return "delta_orthogonal"

    def matrix_ndim(self, shape: Dimensions) -> int:
        """See _Matrices."""
        if len(shape) not in (3, 4, 5):
            raise ValueError(f"shape must have 3, 4 or 5 dimensions, received {shown(shape)}")
        if shape[-2] > shape[-1]:
            raise ValueError(f"shape[-2] must be at most shape[-1], received {shown(shape)}")
        return 2


def delta_orthogonal(scale: Any = 1.0, column_axis: Any = -1, dtype: Any = None) -> Any:
    """Return an initializer of a convolution kernel with an orthogonal matrix in its middle.

    The matrix is at (n - 1) // 2 of each axis of the window; all else is 0.

    Parameters
    ----------
    scale : float
        Factor of the orthogonal matrix.
    column_axis : int
        The axis of the columns, among the two of the matrix.
    dtype : dtype, optional
        The initializer's default dtype: a float or a complex one.  None is JAX's default float.

    Returns
    -------
    Initializer
        A function ``init(key, shape, dtype)``.  The shape is ``(*window, in, out)``, of three to
        five dimensions, with in <= out.

    Notes
    -----
    Xiao et al., ICML 2018, algorithm 1.
    """
    return DeltaOrthogonal(scale, column_axis, dtype)
