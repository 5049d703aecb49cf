"""The initializers that draw nothing: zeros, ones, constants and the identity."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, SupportsFloat, SupportsIndex

import numpy as np

from .._buffers import as_array, make
from .._entry import entry_point
from .._keyed import KeyedArray, check_row
from .._lazy import LazyArray, resolve_lazy
from .._memory import empty
from .._messages import shown
from .._parameters import cast, check_gain
from .._shapes import NUMBERS
from .._sources import ConstantSource, DiagonalSource
from ._base import Initializer, takes_shape_and_dtype

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, DTypeLike

    from .._buffers import Fill
    from .._typing import Array, Dimensions, Out, Shape


def _fresh_zeros(shape: Dimensions, dtype: np.dtype[Any]) -> Array:
    try:
        return np.zeros(shape, dtype)  # fresh pages are zero: nothing is written
    except (ValueError, MemoryError):
        array = empty(shape, dtype)  # if it is too large this raises, and says how large
        array.fill(0)  # other memory was given back meanwhile
        return array


def _prepare_nothing(dims: Dimensions, dtype: np.dtype[Any]) -> Fill:
    return lambda array, key: None


def _prepare_zeros(dims: Dimensions, dtype: np.dtype[Any]) -> Fill:
    return lambda array, key: array.fill(0)


def _prepare_ones(dims: Dimensions, dtype: np.dtype[Any]) -> Fill:
    return lambda array, key: array.fill(1)


def zeros(
    shape: Shape | None = None, dtype: DTypeLike | None = None, *, out: Out | None = None
) -> Out:
    """Return an array of zeros.

    Parameters
    ----------
    shape : int or sequence of int, optional
        Shape of the result; may be left out where ``out`` is given.
    dtype : str or numpy.dtype, optional
        float32 (the default), float64, float16, bfloat16, any integer, complex64, complex128, bool.
    out : array or buffer, optional
        It is filled in place and returned; :func:`random_normal` says what may be given.

    Returns
    -------
    numpy.ndarray or out

    Raises
    ------
    ValueError, TypeError
        An argument is out of range or of the wrong type.  Nothing is written then.
    """
    prepare = _prepare_nothing if out is None else _prepare_zeros
    return make(shape, dtype, out, prepare, NUMBERS, allocate=_fresh_zeros)


class Zeros(Initializer):
    """Give arrays of zeros.

    Raises
    ------
    ValueError, TypeError
        At the call: a shape or dtype that cannot be.
    """

    _config_module = "keras.initializers"

    def __init__(self) -> None:
        pass

    @takes_shape_and_dtype
    def __call__(self, shape: Shape, dtype: DTypeLike | None = None) -> Array:
        """Return an array of zeros of that shape and dtype."""
        return zeros(shape, dtype)

    def lazy(self, shape: Shape, dtype: DTypeLike | None = None) -> LazyArray:
        """Return the same array without its memory: see :meth:`Initializer.lazy`."""
        return _lazy_constant(shape, 0, dtype)

    def keyed(self, dim: SupportsIndex, dtype: DTypeLike | None = None) -> KeyedArray:
        """Return rows by 64-bit keys: see :meth:`Initializer.keyed`."""
        return _keyed_constant(dim, 0, dtype)


def ones(
    shape: Shape | None = None, dtype: DTypeLike | None = None, *, out: Out | None = None
) -> Out:
    """Return an array of ones.

    Parameters
    ----------
    shape : int or sequence of int, optional
        Shape of the result; may be left out where ``out`` is given.
    dtype : str or numpy.dtype, optional
        float32 (the default), float64, float16, bfloat16, any integer, complex64, complex128, bool.
    out : array or buffer, optional
        It is filled in place and returned; :func:`random_normal` says what may be given.

    Returns
    -------
    numpy.ndarray or out

    Raises
    ------
    ValueError, TypeError
        An argument is out of range or of the wrong type.  Nothing is written then.
    """
    return make(shape, dtype, out, _prepare_ones, NUMBERS)


class Ones(Initializer):
    """Give arrays of ones.

    Raises
    ------
    ValueError, TypeError
        At the call: a shape or dtype that cannot be.
    """

    _config_module = "keras.initializers"

    def __init__(self) -> None:
        pass

    @takes_shape_and_dtype
    def __call__(self, shape: Shape, dtype: DTypeLike | None = None) -> Array:
        """Return an array of ones of that shape and dtype."""
        return ones(shape, dtype)

    def lazy(self, shape: Shape, dtype: DTypeLike | None = None) -> LazyArray:
        """Return the same array without its memory: see :meth:`Initializer.lazy`."""
        return _lazy_constant(shape, 1, dtype)

    def keyed(self, dim: SupportsIndex, dtype: DTypeLike | None = None) -> KeyedArray:
        """Return rows by 64-bit keys: see :meth:`Initializer.keyed`."""
        return _keyed_constant(dim, 1, dtype)


def _as_value(value: Any) -> Array:
    """Return the value as an array; raise TypeError where it holds no numbers."""
    try:
        array = as_array(value)
    except (TypeError, ValueError, RuntimeError):  # a ragged list, a tensor without values
        array = np.asarray(None)
    if array.dtype.kind in "OSUMmT" or array.dtype.names:
        raise TypeError(f"value must be a number or an array of numbers, received {shown(value)}")
    return array


def _fit_value(shape: Dimensions, dtype: np.dtype[Any], value: Any) -> Array:
    """Return the value in that dtype; raise where it does not fit the dtype or the shape."""
    values = _as_value(value)
    if values.dtype.kind == "c" and dtype.kind != "c":
        raise TypeError(f"value is complex, but dtype is {dtype}")
    if values.ndim > len(shape) or any(
        have not in (1, want) for have, want in zip(values.shape[::-1], shape[::-1], strict=False)
    ):
        raise ValueError(
            f"value must be a scalar or an array of the shape, received shape={shown(shape)} "
            f"and a value of shape {values.shape}"
        )
    return cast("value", values, dtype)


@entry_point
def _keyed_constant(dim: SupportsIndex, value: Any, dtype: DTypeLike | None) -> KeyedArray:
    length, dtype = check_row(dim, dtype, NUMBERS)
    return KeyedArray(length, dtype, ConstantSource(_fit_value((length,), dtype, value)))


@entry_point
def _lazy_constant(shape: Shape, value: Any, dtype: DTypeLike | None) -> LazyArray:
    dims, dtype = resolve_lazy(shape, dtype, NUMBERS)
    return LazyArray(dims, dtype, ConstantSource(_fit_value(dims, dtype, value)))


def _prepare_constant(value: Any, dims: Dimensions, dtype: np.dtype[Any]) -> Fill:
    values = _fit_value(dims, dtype, value)
    return lambda array, key: np.copyto(array, values)


def constant(
    shape: Shape | None = None,
    value: ArrayLike = 0.0,
    dtype: DTypeLike | None = None,
    *,
    out: Out | None = None,
) -> Out:
    """Return an array of one number, or of numbers that broadcast to the shape.

    Parameters
    ----------
    shape : int or sequence of int, optional
        Shape of the result; may be left out where ``out`` is given.
    value : float or array_like
        A number, or numbers that broadcast to the shape; they are cast to the dtype.
    dtype : str or numpy.dtype, optional
        float32 (the default), float64, float16, bfloat16, any integer, complex64, complex128, bool.
    out : array or buffer, optional
        It is filled in place and returned; :func:`random_normal` says what may be given.

    Returns
    -------
    numpy.ndarray or out

    Raises
    ------
    ValueError
        A value does not fit into the dtype, or does not broadcast to the shape.
    TypeError
        The value holds no numbers, or complex ones for a real dtype.
    """
    return make(shape, dtype, out, partial(_prepare_constant, value), NUMBERS)


class Constant(Initializer):
    """Give arrays of one number, or of numbers that broadcast to the shape.

    Parameters
    ----------
    value : float or array_like
        A number, or numbers that broadcast to the shape; they are cast to the dtype.

    Raises
    ------
    TypeError
        The value holds no numbers.
    ValueError
        At the call: a value does not fit into the dtype or the shape.
    """

    _config_module = "keras.initializers"

    def __init__(self, value: ArrayLike = 0.0) -> None:
        _as_value(value)
        self.value = value

    @takes_shape_and_dtype
    def __call__(self, shape: Shape, dtype: DTypeLike | None = None) -> Array:
        """Return an array of the value, of that shape and dtype."""
        return constant(shape, self.value, dtype)

    def lazy(self, shape: Shape, dtype: DTypeLike | None = None) -> LazyArray:
        """Return the same array without its memory: see :meth:`Initializer.lazy`."""
        return _lazy_constant(shape, self.value, dtype)

    def keyed(self, dim: SupportsIndex, dtype: DTypeLike | None = None) -> KeyedArray:
        """Return rows by 64-bit keys: see :meth:`Initializer.keyed`."""
        return _keyed_constant(dim, self.value, dtype)


def _fit_gain(shape: Dimensions, dtype: np.dtype[Any], gain: SupportsFloat) -> Array:
    """Return the gain in that dtype; raise where the shape is not that of a matrix."""
    if len(shape) != 2:
        raise ValueError(f"shape must have two dimensions for a matrix, received {shown(shape)}")
    value: float = check_gain(gain)
    if dtype.kind in "iu":  # a float would lose digits of an integer beyond 2**53
        value = int(gain)  # type: ignore[call-overload]  # int() truncates what float() takes
        limits = np.iinfo(dtype)
        if not limits.min <= value <= limits.max:
            raise ValueError(f"gain must fit into {dtype}, received {shown(gain)}")
    return cast("gain", np.asarray(value), dtype)


def _prepare_identity(
    gain: SupportsFloat, zeroed: bool, dims: Dimensions, dtype: np.dtype[Any]
) -> Fill:
    diagonal = _fit_gain(dims, dtype, gain)

    def fill(array: Array, key: int) -> None:
        if not zeroed:
            array.fill(0)
        np.fill_diagonal(array, diagonal)

    return fill


def identity(
    shape: Shape | None = None,
    gain: SupportsFloat = 1.0,
    dtype: DTypeLike | None = None,
    *,
    out: Out | None = None,
) -> Out:
    """Return a matrix with the gain on its diagonal and zeros elsewhere.

    Parameters
    ----------
    shape : sequence of two int, optional
        Shape of the result, square or not; may be left out where ``out`` is given.
    gain : float
        Factor of the identity matrix.
    dtype : str or numpy.dtype, optional
        float32 (the default), float64, float16, bfloat16, any integer, complex64, complex128, bool.
    out : array or buffer, optional
        It is filled in place and returned; :func:`random_normal` says what may be given.

    Returns
    -------
    numpy.ndarray or out

    Raises
    ------
    ValueError
        The shape does not have two dimensions, or the gain does not fit into the dtype.
    TypeError
        An argument is of the wrong type.
    """
    prepare = partial(_prepare_identity, gain, out is None)
    return make(shape, dtype, out, prepare, NUMBERS, allocate=_fresh_zeros)


class Identity(Initializer):
    """Give matrices with the gain on the diagonal and zeros elsewhere.

    Parameters
    ----------
    gain : float
        Factor of the identity matrix.

    Raises
    ------
    ValueError
        The gain is not finite; at the call: the shape does not have two dimensions, or the gain
        does not fit into the dtype.
    TypeError
        The gain is no number.
    """

    _config_module = "keras.initializers"

    def __init__(self, gain: SupportsFloat = 1.0) -> None:
        check_gain(gain)
        self.gain = gain

    @takes_shape_and_dtype
    def __call__(self, shape: Shape, dtype: DTypeLike | None = None) -> Array:
        """Return the matrix of that shape and dtype."""
        return identity(shape, self.gain, dtype)

    @entry_point
    def lazy(self, shape: Shape, dtype: DTypeLike | None = None) -> LazyArray:
        """Return the same array without its memory: see :meth:`Initializer.lazy`."""
        dims, dtype = resolve_lazy(shape, dtype, NUMBERS)
        return LazyArray(dims, dtype, DiagonalSource(_fit_gain(dims, dtype, self.gain)))
