"""Convolution kernels of the short-time Fourier transform."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from .._buffers import make
from .._messages import shown, shown_text
from .._parameters import cast
from ._base import Initializer, takes_shape_and_dtype

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, DTypeLike

    from .._buffers import Fill
    from .._typing import Array, Dimensions, Out, Shape

_SIDES = ("real", "imag")
_SCALINGS = (None, "density", "spectrum")


def _named_window(name: str, length: int, periodic: bool) -> Array:
    try:
        from scipy.signal import get_window
    except ImportError:
        raise ImportError(
            "a window with a name needs scipy, the extra 'stft': pip install scipy"
        ) from None
    try:
        return np.asarray(get_window(name, length, fftbins=bool(periodic)))
    except ValueError as error:
        raise ValueError(
            "window must be a name that scipy.signal.get_window knows, "
            f"received {shown(name)}: {shown_text(error)}"
        ) from None


def _check(side: object, window: object, scaling: object, periodic: object) -> None:
    for name, value, known in (("side", side, _SIDES), ("scaling", scaling, _SCALINGS)):
        if not (value is None or isinstance(value, str)) or value not in known:
            names = ", ".join(map(repr, known))
            raise ValueError(f"{name} must be one of {names}, received {shown(value)}")
    if not isinstance(periodic, (int, np.bool_)) or periodic not in (False, True):
        raise TypeError(f"periodic must be True or False, received {shown(periodic)}")
    if isinstance(window, str):
        _named_window(window, 2, False)
    elif window is not None:
        _as_weights(window)


def _as_weights(window: Any) -> Array:
    """Return a window that has no name as float64; raise unless it holds only finite numbers."""
    try:
        found = np.asarray(window)
    except (TypeError, ValueError):  # a ragged list
        found = np.asarray(None)
    if found.dtype.kind not in "biufV" or found.dtype.names:
        raise TypeError(f"window must be a name, numbers or None, received {shown(window)}")
    weights = found.astype(float)
    if not np.isfinite(weights).all():
        raise ValueError(f"window must hold finite numbers, received {shown(window)}")
    return weights


def _weights(window: ArrayLike | None, length: int, periodic: bool, scaling: str | None) -> Array:
    """Return the window over one frame, scaled."""
    if window is None:
        return np.ones(length)
    if isinstance(window, str) and length:  # scipy has no empty window
        weights = _named_window(window, length, periodic)
    elif isinstance(window, str):
        weights = np.ones(0)
    else:
        weights = _as_weights(window)
    if weights.shape != (length,):
        raise ValueError(
            f"window must have the length {length} of a frame, received shape {weights.shape}"
        )
    if scaling is None or not length:
        return weights
    largest: float = np.abs(weights).max()
    if largest == 0:  # such as Hann's of two samples
        raise ValueError(
            f"scaling must be None where the window is 0 everywhere, received {scaling!r} "
            f"and window={shown(window)} for a frame of {length} samples"
        )
    weights = np.ldexp(weights, -np.frexp(largest)[1])  # exact; so no square is out of range
    norm = np.sqrt(np.square(weights).sum()) if scaling == "density" else np.abs(weights).sum()
    scaled: Array = weights / norm
    return scaled


def _prepare(
    side: str,
    window: ArrayLike | None,
    scaling: str | None,
    periodic: bool,
    dims: Dimensions,
    dtype: np.dtype[Any],
) -> Fill:
    _check(side, window, scaling, periodic)
    if len(dims) != 3 or dims[1] != 1:
        raise ValueError(f"shape must be (frame length, 1, frequencies), received {shown(dims)}")
    length, _, frequencies = dims
    weights = _weights(window, length, periodic, scaling)
    cast("window", weights, dtype)
    # exp(-2 pi i t f / n) for the n // 2 + 1 frequencies of a real transform of n samples.  The
    # product is reduced in integers: its cosine keeps all bits at the end of a long frame, too.
    n = max(1, 2 * (frequencies - 1))
    turns = np.outer(np.arange(length), np.arange(frequencies)) % n / n
    wave = np.cos(2 * np.pi * turns) if side == "real" else -np.sin(2 * np.pi * turns)

    def fill(array: Array, key: int) -> None:
        with np.errstate(all="ignore"):  # the caller's settings may raise
            array[:, 0, :] = weights[:, np.newaxis] * wave

    return fill


def stft(
    shape: Shape | None = None,
    side: str = "real",
    window: ArrayLike | None = "hann",
    scaling: str | None = "density",
    periodic: bool = False,
    dtype: DTypeLike | None = None,
    *,
    out: Out | None = None,
) -> Out:
    """Return convolution kernels of the short-time Fourier transform.

    w[t] * exp(-2 pi i t f / n), with n = 2 * (shape[2] - 1): its real or imaginary part.

    Parameters
    ----------
    shape : sequence of three int, optional
        (frame length, 1, frequencies); may be left out where ``out`` is given.
    side : {"real", "imag"}
        The part of the complex kernel that is returned.
    window : str, array_like of shape[0] numbers, or None
        Weights over the frame.  A name is one that ``scipy.signal.get_window`` knows without
        further parameters; it needs scipy, the extra ``stft``.
    scaling : {"density", "spectrum", None}
        Whether the window is divided by its L2 norm, its L1 norm, or nothing.
    periodic : bool
        Whether a window with a name is periodic instead of symmetric.
    dtype : str or numpy.dtype, optional
        float32 (the default), float64, float16 or bfloat16.
    out : array or buffer, optional
        It is filled in place and returned; :func:`random_normal` says what may be given.

    Returns
    -------
    numpy.ndarray or out

    Raises
    ------
    ValueError, TypeError
        An argument is out of range or of the wrong type.  Nothing is written then.
    ImportError
        A window with a name, without scipy.

    Notes
    -----
    Allen & Rabiner, Proc. IEEE 65 (1977) 1558-1564.
    """
    return make(shape, dtype, out, partial(_prepare, side, window, scaling, periodic))


class STFT(Initializer):
    """Give convolution kernels of the short-time Fourier transform.

    w[t] * exp(-2 pi i t f / n), with n = 2 * (shape[2] - 1): its real or imaginary part, for shapes
    (frame length, 1, frequencies).

    Parameters
    ----------
    side : {"real", "imag"}
        The part of the complex kernel that is returned.
    window : str, array_like, or None
        Weights over the frame, as many as its length.  A name is one that
        ``scipy.signal.get_window`` knows without further parameters; it needs scipy, the extra
        ``stft``.
    scaling : {"density", "spectrum", None}
        Whether the window is divided by its L2 norm, its L1 norm, or nothing.
    periodic : bool
        Whether a window with a name is periodic instead of symmetric.

    Raises
    ------
    ValueError, TypeError
        An argument is out of range or of the wrong type.
    ImportError
        A window with a name, without scipy.

    Notes
    -----
    Allen & Rabiner, Proc. IEEE 65 (1977) 1558-1564.
    """

    _config_module = "keras.initializers"

    def __init__(
        self,
        side: str = "real",
        window: ArrayLike | None = "hann",
        scaling: str | None = "density",
        periodic: bool = False,
    ) -> None:
        _check(side, window, scaling, periodic)
        self.side = side
        self.window = window
        self.scaling = scaling
        self.periodic = periodic

    @takes_shape_and_dtype
    def __call__(self, shape: Shape, dtype: DTypeLike | None = None) -> Array:
        """Return the kernels in an array of that shape and dtype."""
        return stft(shape, self.side, self.window, self.scaling, self.periodic, dtype)
