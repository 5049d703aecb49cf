"""The windows that :class:`~fastinit.initializers.STFT` knows by name.

The names, and the values to the last few bits, of ``scipy.signal.get_window``, for every window
that needs no parameter.  Each is a function of the position x, from -1 at the first sample to 1 at
the last, and of the length n; Harris, "On the use of windows for harmonic analysis with the
discrete Fourier transform", Proc. IEEE 66 (1978) 51-83, has most of them.
"""

from math import acosh, pi, prod

import numpy as np


def _cosines(*coefficients):
    def window(x, n):
        return sum(a * np.cos(k * pi * x) for k, a in enumerate(coefficients))

    return window


def _parzen(x, n):
    u = abs(x) * (n - 1) / n
    return np.where(abs(x) <= 0.5, 1 - 6 * u**2 + 6 * u**3, 2 * (1 - u) ** 3)


def _taylor(x, n):
    # Four nearly constant sidelobes at -30 dB.  Carrara, Goodman & Majewski, Spotlight Synthetic
    # Aperture Radar (1995), appendix D.2.
    order, a = 4, acosh(10 ** (30 / 20)) / pi
    stretch = order**2 / (a**2 + (order - 0.5) ** 2)
    orders = range(1, order)

    def coefficient(m):
        zeros = prod(1 - m**2 / stretch / (a**2 + (k - 0.5) ** 2) for k in orders)
        return (-1) ** (m + 1) * zeros / prod(1 - m**2 / k**2 for k in orders if k != m)

    f = {m: coefficient(m) for m in orders}
    wave = sum(f[m] * np.cos(m * pi * x * (n - 1) / n) for m in orders)
    return (1 + wave) / (1 + sum(f.values()))


_WINDOWS = {
    ("boxcar", "box", "ones", "rect", "rectangular"): lambda x, n: np.ones(n),
    ("triangle", "triang", "tri"): lambda x, n: 1 - abs(x) * (n - 1) / (n + n % 2),
    ("bartlett", "bart", "brt"): lambda x, n: 1 - abs(x),
    ("hann", "han"): _cosines(0.5, 0.5),
    ("hamming", "hamm", "ham"): _cosines(0.54, 0.46),
    ("blackman", "black", "blk"): _cosines(0.42, 0.5, 0.08),
    ("nuttall", "nutl", "nut"): _cosines(0.3635819, 0.4891775, 0.1365995, 0.0106411),
    ("blackmanharris", "blackharr", "bkh"): _cosines(0.35875, 0.48829, 0.14128, 0.01168),
    ("flattop", "flat", "flt"): _cosines(
        0.21557895, 0.41663158, 0.277263158, 0.083578947, 0.006947368
    ),
    ("barthann", "brthan", "bth"): lambda x, n: 0.62 - 0.24 * abs(x) + 0.38 * np.cos(pi * x),
    ("bohman", "bman", "bmn"): lambda x, n: (
        (1 - abs(x)) * np.cos(pi * x) + np.sin(pi * abs(x)) / pi
    ),
    ("cosine", "halfcosine"): lambda x, n: np.cos(pi / 2 * x * (n - 1) / n),
    ("exponential", "poisson"): lambda x, n: np.exp(-abs(x) * (n - 1) / 2),
    ("lanczos", "sinc"): lambda x, n: np.sinc(x),
    ("parzen", "parz", "par"): _parzen,
    ("taylor", "taylorwin"): _taylor,
    ("tukey", "tuk"): lambda x, n: (1 + np.cos(pi * np.maximum(0, 2 * abs(x) - 1))) / 2,
}

WINDOWS = {name: window for names, window in _WINDOWS.items() for name in names}


def _split(name, periodic):
    for suffix, found in (("_symmetric", False), ("_periodic", True)):
        if name.endswith(suffix):
            return name.removesuffix(suffix), found
    return name, periodic


def check(name):
    """Raise ValueError for a name that is no window's."""
    if _split(name, False)[0] not in WINDOWS:
        raise ValueError(f"window must be one of {', '.join(WINDOWS)}, received {name!r}")


def window(name, length, periodic):
    """The samples, float64; a periodic window is a symmetric one less its last sample."""
    name, periodic = _split(name, periodic)
    if length <= 1:
        return np.ones(length)
    n = length + 1 if periodic else length
    return WINDOWS[name](np.arange(1 - n, n, 2) / (n - 1), n)[:length]
