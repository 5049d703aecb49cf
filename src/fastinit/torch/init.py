"""The functions of ``torch.nn.init``, with the values of this library.

They take PyTorch's arguments, fill the tensor in place and return it.  The weights of layers have
PyTorch's layout (out, in, \\*window), so fan_in is ``shape[1] * prod(shape[2:])``.

All of them have these in common:

tensor
    A tensor of any shape and strides, of float32, float64, float16 or bfloat16.  Element i depends
    on the seed, the distribution, the dtype, the parameters and i alone, i counted in C order
    whatever the strides.  A DTensor's local part gets its elements of the whole tensor.  On a
    device that is not the CPU, values are made on the CPU in pieces, and copied.  Tensors on
    ``meta`` are left alone.  Gradients are not recorded, as in PyTorch.
generator
    A ``torch.Generator``; it advances, and gives the seed.
seed
    An integer, 0 <= seed < 2**64, or what else seeds the functions of :mod:`fastinit`.

Where neither a seed nor a generator is given, :class:`fastinit.torch.accelerate` or
:func:`fastinit.torch.initialize` give the seed, and outside of them PyTorch's default generator.

They raise TypeError for what is no tensor and for other dtypes, ValueError for parameters that are
out of range or a layout that is not dense, and RuntimeError for an inference tensor outside of
inference mode.  Nothing is written then, and no generator advances.
"""

from __future__ import annotations

import warnings
from math import ceil, inf, nextafter, prod, sqrt
from typing import TYPE_CHECKING, Any

import torch
from torch.nn.init import calculate_gain

from .._distributions import normal, truncated_at, truncated_normal, uniform
from .._fans import TRUNCATED_STDDEV
from .._messages import shown
from .._parameters import check_gain, number
from .._random_bits import random_bits
from ..initializers._constant import Identity
from ..initializers._orthogonal import orthogonal
from ..initializers._random import random_normal
from ._seeding import key_of_draw
from ._shards import is_distributed
from ._tensors import check_tensor, dtype_of, of_array, sample, write, write_whole

if TYPE_CHECKING:
    import numpy as np

    from .._distributions import Check
    from .._typing import Dimensions, Seed

__all__ = [
    "calculate_gain",
    "constant_",
    "dirac_",
    "eye_",
    "kaiming_normal_",
    "kaiming_uniform_",
    "lecun_normal_",
    "normal_",
    "ones_",
    "orthogonal_",
    "sparse_",
    "trunc_normal_",
    "uniform_",
    "variance_scaling_",
    "xavier_normal_",
    "xavier_uniform_",
    "zeros_",
]


def _draw(
    tensor: Any,
    distribution: Check,
    first: Any,
    second: Any,
    seed: Seed,
    generator: torch.Generator | None,
) -> Any:
    """Fill a tensor with samples, once all arguments are checked."""
    with torch._C.DisableTorchFunction():
        check_tensor(tensor)
        sample(tensor, distribution, first, second, seed, generator)
    return tensor


def uniform_(
    tensor: Any,
    a: float = 0.0,
    b: float = 1.0,
    generator: torch.Generator | None = None,
    *,
    seed: Seed = None,
) -> Any:
    """Fill a tensor with samples of the uniform distribution on [a, b).

    Parameters
    ----------
    tensor, generator, seed
        See :mod:`fastinit.torch.init`.
    a, b : float
        Bounds; ``b`` itself is never drawn unless it equals ``a``.

    Raises
    ------
    ValueError
        ``a > b``, or a bound or ``b - a`` is not finite in the dtype.

    Notes
    -----
    The values are those of :func:`fastinit.random_uniform`.
    """
    a, b = number("a", a), number("b", b)
    if not a <= b:
        raise ValueError(f"a must be <= b, received a={a}, b={b}")
    return _draw(tensor, uniform, a, b, seed, generator)


def normal_(
    tensor: Any,
    mean: float = 0.0,
    std: float = 1.0,
    generator: torch.Generator | None = None,
    *,
    seed: Seed = None,
) -> Any:
    """Fill a tensor with samples of the normal distribution.

    Parameters
    ----------
    tensor, generator, seed
        See :mod:`fastinit.torch.init`.
    mean, std : float
        Mean and standard deviation.

    Raises
    ------
    ValueError
        ``std`` is negative, or ``mean +- 14 * std`` (no sample lies further out) is not finite in
        the dtype.

    Notes
    -----
    The values are those of :func:`fastinit.random_normal`.
    """
    mean, std = number("mean", mean), number("std", std)
    if not std >= 0:
        raise ValueError(f"std must be >= 0, received {std}")
    return _draw(tensor, normal, mean, std, seed, generator)


def _bound(bound: float, mean: float, std: float, inside: float) -> float:
    """Return a bound in standard deviations from the mean, which is not outside of the given one.

    ``inside`` is the infinity in whose direction the samples lie.
    """
    found = (bound - mean) / std
    while (mean + found * std - bound) * inside < 0:
        found = nextafter(found, inside)
    return found


def trunc_normal_(
    tensor: Any,
    mean: float = 0.0,
    std: float = 1.0,
    a: float = -2.0,
    b: float = 2.0,
    generator: torch.Generator | None = None,
    *,
    seed: Seed = None,
) -> Any:
    """Fill a tensor with samples of the normal distribution that lie in [a, b].

    Parameters
    ----------
    tensor, generator, seed
        See :mod:`fastinit.torch.init`.
    mean, std : float
        Mean and standard deviation before truncation.
    a, b : float
        Bounds, as values and not in standard deviations; they may be infinite, and may both lie on
        one side of the mean.

    Raises
    ------
    ValueError
        ``a > b``; ``std`` is negative; a parameter is not finite in the dtype.

    Notes
    -----
    The values are those of :func:`fastinit.truncated_normal` with ``lower=(a - mean) / std`` and
    ``upper=(b - mean) / std``: exactly distributed whatever the bounds, so there is no warning
    where the mean is far from them.
    """
    mean, std, a, b = number("mean", mean), number("std", std), number("a", a), number("b", b)
    if not a <= b:
        raise ValueError(f"a must be <= b, received a={a}, b={b}")
    if a == b or std == 0:  # all samples are one number
        nearest = min(max(mean, a), b)
        return _draw(tensor, normal, nearest, 0.0, seed, generator)
    if std < 0:
        raise ValueError(f"std must be >= 0, received {std}")
    lower, upper = _bound(a, mean, std, inf), _bound(b, mean, std, -inf)
    return _draw(tensor, truncated_at(lower, upper), mean, std, seed, generator)


def constant_(tensor: Any, val: float) -> Any:
    """Fill a tensor with a value, as ``torch.nn.init.constant_`` does."""
    return torch.nn.init.constant_(tensor, val)


def ones_(tensor: Any) -> Any:
    """Fill a tensor with ones, as ``torch.nn.init.ones_`` does."""
    return torch.nn.init.ones_(tensor)


def zeros_(tensor: Any) -> Any:
    """Fill a tensor with zeros, as ``torch.nn.init.zeros_`` does."""
    return torch.nn.init.zeros_(tensor)


def eye_(tensor: Any) -> Any:
    """Fill a matrix with ones on its diagonal and zeros elsewhere, as ``torch.nn.init.eye_`` does.

    A DTensor, which PyTorch's function refuses, gets its part of the matrix.
    """
    if not is_distributed(tensor):
        return torch.nn.init.eye_(tensor)
    if tensor.ndim != 2:
        raise ValueError("Only tensors with 2 dimensions are supported")
    with torch._C.DisableTorchFunction():
        if not tensor.is_meta:
            write(tensor, Identity().lazy(tuple(tensor.shape), dtype_of(tensor)))
    return tensor


def dirac_(tensor: Any, groups: int = 1) -> Any:
    """Fill the kernel of a convolution so that it keeps its input, as ``torch.nn.init.dirac_`` does.

    A DTensor gets its part of the kernel.
    """
    if not is_distributed(tensor) or tensor.is_meta:
        return torch.nn.init.dirac_(tensor, groups)

    def make(shape: Dimensions, dtype: np.dtype[Any]) -> Any:
        return torch.nn.init.dirac_(torch.empty(shape, dtype=tensor.dtype), groups)

    with torch._C.DisableTorchFunction():
        write_whole(tensor, make)
    return tensor


def _fans(tensor: Any) -> tuple[int, int]:
    """Return fan_in and fan_out of a weight in PyTorch's layout, (out, in, *window)."""
    if not isinstance(tensor, torch.Tensor):
        check_tensor(tensor)
    with torch._C.DisableTorchFunction():
        shape = tuple(tensor.shape)
    if len(shape) < 2:
        raise ValueError(
            f"tensor must have 2 or more dimensions, as fans need them, received shape {shape}"
        )
    window = prod(shape[2:])
    return shape[1] * window, shape[0] * window


def _fan(tensor: Any, mode: str) -> float:
    """Return the fan that a mode names."""
    fan_in, fan_out = _fans(tensor)
    fans = {"fan_in": fan_in, "fan_out": fan_out, "fan_avg": (fan_in + fan_out) / 2}
    name = mode.lower() if isinstance(mode, str) else mode
    if name not in fans:
        raise ValueError(f"mode must be one of {list(fans)}, received {shown(mode)}")
    return fans[name]


def _is_empty(tensor: Any) -> bool:
    """Warn where there is nothing to initialize, as PyTorch does."""
    with torch._C.DisableTorchFunction():
        empty = isinstance(tensor, torch.Tensor) and 0 in tensor.shape
    if empty:
        warnings.warn("Initializing zero-element tensors is a no-op", stacklevel=3)
    return empty


def xavier_uniform_(
    tensor: Any,
    gain: float = 1.0,
    generator: torch.Generator | None = None,
    *,
    seed: Seed = None,
) -> Any:
    """Fill a weight with samples of the uniform distribution of variance gain^2 / fan_avg.

    Its bounds are ``+- gain * sqrt(6 / (fan_in + fan_out))``.

    Parameters
    ----------
    tensor, generator, seed
        See :mod:`fastinit.torch.init`; of 2 or more dimensions, (out, in, \\*window).
    gain : float
        A factor, such as ``calculate_gain("tanh")``.

    Raises
    ------
    ValueError
        The tensor has fewer than 2 dimensions.

    Notes
    -----
    Glorot and Bengio, "Understanding the difficulty of training deep feedforward neural networks",
    AISTATS 2010, equation 16.
    """
    bound = number("gain", gain) * sqrt(6 / max(1, sum(_fans(tensor))))
    return _draw(tensor, uniform, -bound, bound, seed, generator)


def xavier_normal_(
    tensor: Any,
    gain: float = 1.0,
    generator: torch.Generator | None = None,
    *,
    seed: Seed = None,
) -> Any:
    """Fill a weight with samples of the normal distribution of variance gain^2 / fan_avg.

    Parameters
    ----------
    tensor, generator, seed
        See :mod:`fastinit.torch.init`; of 2 or more dimensions, (out, in, \\*window).
    gain : float
        A factor, such as ``calculate_gain("tanh")``.

    Raises
    ------
    ValueError
        The tensor has fewer than 2 dimensions, or the gain is negative.

    Notes
    -----
    Glorot and Bengio, "Understanding the difficulty of training deep feedforward neural networks",
    AISTATS 2010, equation 12.
    """
    std = number("gain", gain) * sqrt(2 / max(1, sum(_fans(tensor))))
    return _draw(tensor, normal, 0.0, std, seed, generator)


def _kaiming_std(tensor: Any, a: float, mode: str, nonlinearity: str) -> float:
    if mode not in ("fan_in", "fan_out"):
        name = mode.lower() if isinstance(mode, str) else mode
        if name not in ("fan_in", "fan_out"):
            raise ValueError(f"mode must be 'fan_in' or 'fan_out', received {shown(mode)}")
    gain: float = calculate_gain(nonlinearity, a)
    return gain / sqrt(_fan(tensor, mode))


def kaiming_uniform_(
    tensor: Any,
    a: float = 0,
    mode: str = "fan_in",
    nonlinearity: str = "leaky_relu",
    generator: torch.Generator | None = None,
    *,
    seed: Seed = None,
) -> Any:
    """Fill a weight with samples of the uniform distribution of variance gain^2 / fan.

    Its bounds are ``+- gain * sqrt(3 / fan)``.

    Parameters
    ----------
    tensor, generator, seed
        See :mod:`fastinit.torch.init`; of 2 or more dimensions, (out, in, \\*window).
    a : float
        The negative slope of a leaky ReLU that follows.
    mode : str
        ``"fan_in"`` keeps the variance of activations, ``"fan_out"`` that of gradients.
    nonlinearity : str
        The function that follows; :func:`calculate_gain` gives its gain.

    Raises
    ------
    ValueError
        The tensor has fewer than 2 dimensions; an unknown mode or nonlinearity.

    Notes
    -----
    He et al., "Delving deep into rectifiers", ICCV 2015, equations 10 and 15.
    """
    if _is_empty(tensor):
        return tensor
    bound = sqrt(3) * _kaiming_std(tensor, a, mode, nonlinearity)
    return _draw(tensor, uniform, -bound, bound, seed, generator)


def kaiming_normal_(
    tensor: Any,
    a: float = 0,
    mode: str = "fan_in",
    nonlinearity: str = "leaky_relu",
    generator: torch.Generator | None = None,
    *,
    seed: Seed = None,
) -> Any:
    """Fill a weight with samples of the normal distribution of variance gain^2 / fan.

    Parameters
    ----------
    tensor, a, mode, nonlinearity, generator, seed
        As :func:`kaiming_uniform_` takes them.

    Raises
    ------
    ValueError
        The tensor has fewer than 2 dimensions; an unknown mode or nonlinearity.

    Notes
    -----
    He et al., "Delving deep into rectifiers", ICCV 2015, equations 10 and 15.
    """
    if _is_empty(tensor):
        return tensor
    std = _kaiming_std(tensor, a, mode, nonlinearity)
    return _draw(tensor, normal, 0.0, std, seed, generator)


def variance_scaling_(
    tensor: Any,
    scale: float = 1.0,
    mode: str = "fan_in",
    distribution: str = "normal",
    generator: torch.Generator | None = None,
    *,
    seed: Seed = None,
) -> Any:
    """Fill a weight with samples of variance scale / fan, as timm's function of this name does.

    Parameters
    ----------
    tensor, generator, seed
        See :mod:`fastinit.torch.init`; of 2 or more dimensions, (out, in, \\*window).
    scale : float
        The factor of the variance.
    mode : str
        ``"fan_in"``, ``"fan_out"`` or ``"fan_avg"``.
    distribution : str
        ``"truncated_normal"`` (at 2 standard deviations before truncation), ``"normal"`` (not
        truncated, as in timm; Keras means the truncated one by it) or ``"uniform"``.

    Raises
    ------
    ValueError
        The tensor has fewer than 2 dimensions; a scale that is not positive; an unknown mode or
        distribution.
    """
    scale = number("scale", scale)
    if not scale > 0:
        raise ValueError(f"scale must be > 0, received {scale}")
    std = sqrt(scale / max(1, _fan(tensor, mode)))
    if distribution == "truncated_normal":
        return _draw(tensor, truncated_normal, 0.0, std / TRUNCATED_STDDEV, seed, generator)
    if distribution == "normal":
        return _draw(tensor, normal, 0.0, std, seed, generator)
    if distribution == "uniform":
        return _draw(tensor, uniform, -sqrt(3) * std, sqrt(3) * std, seed, generator)
    raise ValueError(
        "distribution must be 'truncated_normal', 'normal' or 'uniform', "
        f"received {shown(distribution)}"
    )


def lecun_normal_(
    tensor: Any, generator: torch.Generator | None = None, *, seed: Seed = None
) -> Any:
    """Fill a weight with truncated normals of variance 1 / fan_in, as timm's function does.

    Parameters
    ----------
    tensor, generator, seed
        See :mod:`fastinit.torch.init`; of 2 or more dimensions, (out, in, \\*window).

    Raises
    ------
    ValueError
        The tensor has fewer than 2 dimensions.

    Notes
    -----
    Klambauer et al., "Self-normalizing neural networks", NIPS 2017.
    """
    return variance_scaling_(tensor, 1.0, "fan_in", "truncated_normal", generator, seed=seed)


def orthogonal_(
    tensor: Any,
    gain: float = 1,
    generator: torch.Generator | None = None,
    *,
    seed: Seed = None,
) -> Any:
    """Fill a tensor with a random matrix of orthonormal rows or columns, whichever are fewer.

    Parameters
    ----------
    tensor, generator, seed
        See :mod:`fastinit.torch.init`; of 2 or more dimensions, of which all but the first are
        flattened.
    gain : float
        A factor of the matrix.

    Raises
    ------
    ValueError
        The tensor has fewer than 2 dimensions.

    Notes
    -----
    The values are those of :func:`fastinit.orthogonal`, Haar distributed: Saxe et al., "Exact
    solutions to the nonlinear dynamics of learning in deep linear neural networks", ICLR 2014.
    Each process makes the whole matrix of a DTensor and keeps its part.
    """
    with torch._C.DisableTorchFunction():
        check_tensor(tensor)
        shape = tuple(tensor.shape)
        if len(shape) < 2:
            raise ValueError(f"tensor must have 2 or more dimensions, received shape {shape}")
        gain = check_gain(gain, dtype_of(tensor))
        if tensor.is_meta or not tensor.numel():
            return tensor
        key = key_of_draw(tensor, seed, generator)

        def make(shape: Dimensions, dtype: np.dtype[Any]) -> Any:
            matrix = orthogonal((shape[0], prod(shape[1:])), gain, key, dtype)
            return of_array(matrix).view(shape)

        write_whole(tensor, make)
    return tensor


def sparse_(
    tensor: Any,
    sparsity: float,
    std: float = 0.01,
    generator: torch.Generator | None = None,
    *,
    seed: Seed = None,
) -> Any:
    """Fill a matrix with normal samples, and a share of each column with zeros.

    Parameters
    ----------
    tensor, generator, seed
        See :mod:`fastinit.torch.init`; of 2 dimensions.
    sparsity : float
        The share of zeros, from 0 to 1; each column has ``ceil(sparsity * rows)`` of them.
    std : float
        Standard deviation of the others.

    Raises
    ------
    ValueError
        The tensor does not have 2 dimensions; a sparsity that is not from 0 to 1; a negative
        ``std``.

    Notes
    -----
    Martens, "Deep learning via Hessian-free optimization", ICML 2010.  A column's zeros are where
    its rows have the least of ``random_bits((columns, rows), key, "uint64")``.
    """
    with torch._C.DisableTorchFunction():
        check_tensor(tensor)
        if tensor.ndim != 2:
            shape = tuple(tensor.shape)
            raise ValueError(f"tensor must have 2 dimensions, received shape {shape}")
        sparsity = number("sparsity", sparsity)
        if not 0 <= sparsity <= 1:
            raise ValueError(f"sparsity must be from 0 to 1, received {sparsity}")
        normal((), dtype_of(tensor), 0.0, std)
        if tensor.is_meta or not tensor.numel():
            return tensor
        key = key_of_draw(tensor, seed, generator)

        def make(shape: Dimensions, dtype: np.dtype[Any]) -> Any:
            rows, columns = shape
            matrix = random_normal(shape, 0.0, std, key, dtype)
            order = random_bits((columns, rows), key, "uint64").argsort(axis=1, kind="stable")
            zeros = order[:, : ceil(sparsity * rows)]
            for column, places in enumerate(zeros):
                matrix[places, column] = 0
            return of_array(matrix)

        write_whole(tensor, make)
    return tensor
