"""The initializers that draw nothing: constants, the identity, Fourier kernels."""

import numpy as np

from . import _windows
from ._arrays import FLOATS, claim, empty, target
from ._orthogonal import check_gain

# What Keras calls a dtype, less strings and 8-bit floats; the first is the default.
NUMBERS = FLOATS + tuple(
    np.dtype(name)
    for name in (
        *("int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"),
        *("bool", "complex64", "complex128"),
    )
)


def _filled(shape, value, dtype, out):
    array = claim(*target(shape, dtype, out, NUMBERS))
    array.fill(value)
    return array if out is None else out


def zeros(shape=None, dtype=None, *, out=None):
    """See the registry."""
    if out is not None:
        return _filled(shape, 0, dtype, out)
    dims, kind, _ = target(shape, dtype, None, NUMBERS)
    try:
        return np.zeros(dims, kind)  # fresh pages are zero: nothing need be written
    except (ValueError, MemoryError):
        return empty(dims, kind)  # too large: raises, and says how


def ones(shape=None, dtype=None, *, out=None):
    """See the registry."""
    return _filled(shape, 1, dtype, out)


def check_value(value):
    """Raise TypeError where the value is no number and no array of numbers; else the array."""
    try:
        array = np.asarray(value)
    except (TypeError, ValueError):  # a ragged list
        array = np.asarray(None)
    if array.dtype.kind in "OSUMmT" or array.dtype.names:
        raise TypeError(f"value must be a number or an array of numbers, received {value!r}")
    return array


def _fit(name, values, kind):
    """The values in the dtype; ValueError where one is beyond its range."""
    with np.errstate(all="ignore"):  # the caller's may raise
        cast = values.astype(kind)
    if kind.kind in "iu":
        fits = np.array_equal(cast, np.trunc(values))
    else:
        fits = np.array_equal(np.isfinite(cast), np.isfinite(values))
    if not fits:
        raise ValueError(f"{name} must fit into {kind}, received {values.tolist()!r}")
    return cast


def fit_value(dims, kind, value):
    """The value in that dtype, found fit for the shape."""
    values = check_value(value)
    if values.dtype.kind == "c" and kind.kind != "c":
        raise TypeError(f"value is complex, but dtype is {kind}")
    if values.ndim > len(dims) or any(
        have not in (1, want) for have, want in zip(values.shape[::-1], dims[::-1], strict=False)
    ):
        raise ValueError(
            f"value must be a scalar or an array of the shape, received shape={dims} "
            f"and a value of shape {values.shape}"
        )
    return _fit("value", values, kind)


def constant(shape=None, value=0.0, dtype=None, *, out=None):
    """See the registry."""
    check_value(value)
    dims, kind, view = target(shape, dtype, out, NUMBERS)
    values = fit_value(dims, kind, value)
    array = claim(dims, kind, view)
    np.copyto(array, values)
    return array if out is None else out


def fit_gain(dims, kind, gain):
    """The gain in that dtype; the shape is that of a matrix."""
    if len(dims) != 2:
        raise ValueError(f"shape must have two dimensions for a matrix, received {dims}")
    return _fit("gain", np.asarray(check_gain(gain)), kind)


def identity(shape=None, gain=1.0, dtype=None, *, out=None):
    """See the registry."""
    dims, kind, view = target(shape, dtype, out, NUMBERS)
    gain = fit_gain(dims, kind, gain)
    array = zeros(dims, kind, out=view)
    np.fill_diagonal(array, gain)
    return array if out is None else out


def check_stft(side, window, scaling, periodic):
    """Raise where an argument is wrong."""
    for name, value, known in (("side", side, ("real", "imag")), ("scaling", scaling, _SCALINGS)):
        if not (value is None or isinstance(value, str)) or value not in known:
            names = ", ".join(map(repr, known))
            raise ValueError(f"{name} must be one of {names}, received {value!r}")
    if isinstance(window, str):
        _windows.check(window)


_SCALINGS = {
    None: lambda window: 1.0,
    "density": lambda window: np.sqrt(np.square(window).sum()),
    "spectrum": lambda window: np.abs(window).sum(),
}


def stft(
    shape=None,
    side="real",
    window="hann",
    scaling="density",
    periodic=False,
    dtype=None,
    *,
    out=None,
):
    """See the registry."""
    check_stft(side, window, scaling, periodic)
    dims, kind, view = target(shape, dtype, out)
    if len(dims) != 3 or dims[1] != 1:
        raise ValueError(f"shape must be (frame length, 1, frequencies), received {dims}")
    length, _, frequencies = dims
    weights = np.ones(length)
    if window is not None:
        named = isinstance(window, str)
        weights = _windows.window(window, length, periodic) if named else np.asarray(window, float)
        if weights.shape != (length,):
            raise ValueError(
                f"window must have the length {length} of a frame, received shape {weights.shape}"
            )
        weights = weights / _SCALINGS[scaling](weights)
    # exp(-2 pi i t f / n) for the n // 2 + 1 frequencies of a real transform of n samples.  The
    # product is reduced in integers: its cosine keeps all bits at the end of a long frame, too.
    n = max(1, 2 * (frequencies - 1))
    turns = np.outer(np.arange(length), np.arange(frequencies)) % n / n
    wave = np.cos(2 * np.pi * turns) if side == "real" else -np.sin(2 * np.pi * turns)
    array = claim(dims, kind, view)
    array[:, 0, :] = weights[:, np.newaxis] * wave
    return array if out is None else out
