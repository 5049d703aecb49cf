"""Random orthogonal matrices."""

from math import prod

import numpy as np

from ._arrays import claim, target
from ._samplers import FINITE, _check_finite, _number, random_normal
from ._seeds import derive_seed, key


def _haar(rows, columns, seed, dtype):
    """Orthonormal columns, rows >= columns, Haar distributed: QR of normals, signs fixed.

    Interim: a C kernel with normals under the stream's own tag, the same bits everywhere, takes
    the place of this function.  Until then the normals are those of a derived seed, so that a
    random_normal with the same seed is independent, and the last bits are LAPACK's.
    """
    normals = random_normal((rows, columns), 0.0, 1.0, derive_seed(seed, "orthogonal"), dtype)
    q, r = np.linalg.qr(normals)
    # QR is unique, and then Haar, only with a positive diagonal of R.  Mezzadri, "How to generate
    # random matrices from the classical compact groups", Notices of the AMS 54 (2007) 592-604.
    q *= np.where(np.diagonal(r) < 0, -1, 1).astype(q.dtype)
    return q


def check_gain(gain):
    """Raise where the gain is no finite number; else the number."""
    number = _number("gain", gain)
    _check_finite(FINITE["d"], "float64", gain=number)
    return number


def orthogonal(shape=None, gain=1.0, seed=None, dtype=None, *, out=None):
    """See the registry."""
    dims, kind, view = target(shape, dtype, out)
    if len(dims) < 2:
        raise ValueError(f"shape must have at least two dimensions, received {dims}")
    gain = check_gain(gain)
    _check_finite(FINITE[kind.char], kind, gain=gain)
    rows, columns = prod(dims[:-1]), dims[-1]
    computed = np.dtype("float32") if kind.itemsize == 2 else kind
    q = _haar(max(rows, columns), min(rows, columns), key(seed), computed)
    array = claim(dims, kind, view)
    array[...] = (q if rows >= columns else q.T).reshape(dims) * computed.type(gain)
    return array if out is None else out
