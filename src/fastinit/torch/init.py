"""The functions of ``torch.nn.init``, with the values of this library.

They take PyTorch's arguments, fill the tensor in place and return it.  The weights of layers have
PyTorch's layout ``(out, in, *window)``, so fan_in is ``shape[1] * prod(shape[2:])``.

They share these arguments:

tensor
    A tensor of any shape and strides, of float32, float64, float16 or bfloat16; a function that
    draws nothing takes the dtypes that PyTorch's takes.  Element i depends on the seed, the
    distribution, the dtype, the parameters and i alone, i counted in C order whatever the strides.
    A DTensor's local part gets its elements of the whole tensor.  On a device that is not the CPU,
    values are made on the CPU in pieces, and copied.  Tensors on ``meta`` and fake tensors are left
    alone.  Gradients are not recorded, as in PyTorch.
generator
    A ``torch.Generator``; it advances, and gives the seed.
seed
    An integer, 0 <= seed < 2**64, or whatever else seeds the functions of :mod:`fastinit`.

Where neither a seed nor a generator is given, :class:`fastinit.torch.accelerate` or
:func:`fastinit.torch.initialize` gives the seed, and outside of them PyTorch's default generator
does.

They raise TypeError for what is not a tensor and for other dtypes; ValueError for parameters that
are out of range, a layout that is not dense, or a lazy module's parameter that has no shape yet;
and RuntimeError where PyTorch does, for an expanded tensor and for an inference tensor outside of
inference mode, and for a tensor inside a transform such as ``torch.vmap``.  Nothing is written
then, and no generator advances.
"""

from __future__ import annotations

import warnings
from fractions import Fraction
from functools import lru_cache, partial
from math import ceil, copysign, inf, isinf, nextafter, prod, sqrt
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch._subclasses.fake_tensor import FakeTensor
from torch.nn.init import calculate_gain

from .._distributions import normal, truncated_at, truncated_normal, uniform
from .._fans import TRUNCATED_STDDEV
from .._messages import shown, type_of
from .._parameters import FINITE, check_finite, check_gain, number
from .._random_bits import random_bits
from ..initializers._constant import Identity
from ..initializers._orthogonal import orthogonal
from ..initializers._random import random_normal
from ._seeding import check_source, key_of_draw
from ._shards import is_distributed
from ._tensors import check_overlap, check_tensor, dtype_of, of_array, sample, write, write_whole

if TYPE_CHECKING:
    from .._distributions import Check, Distribution
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


_BOUNDS = ("-bound", "bound")


def _check_shaped(tensor: Any) -> None:
    """Raise for what is not a tensor, and for a tensor without a shape."""
    if not isinstance(tensor, torch.Tensor):
        raise TypeError(f"tensor must be a torch.Tensor, received {type_of(tensor)}")
    if torch.nn.parameter.is_lazy(tensor):
        raise ValueError(
            f"tensor must have a shape, received an {type_of(tensor)}: run its module once"
        )
    if tensor.is_nested:
        raise ValueError("tensor must be dense, received a nested one")


def _check(tensor: Any) -> None:
    """Raise where a tensor cannot be filled, before its seed is drawn."""
    _check_shaped(tensor)
    check_tensor(tensor)
    if torch._C._functorch.is_functorch_wrapped_tensor(tensor):
        raise RuntimeError(
            "tensor must not be one that torch.vmap or another transform of torch.func passes to "
            "its function: fill it outside"
        )
    if (
        type(tensor) not in (torch.Tensor, torch.nn.Parameter)  # which decides the common case
        and type(tensor).__torch_dispatch__ is not torch.Tensor.__torch_dispatch__
        and not is_distributed(tensor)
        and not isinstance(tensor, FakeTensor)
    ):
        raise TypeError(f"tensor must have memory of its own, received a {type_of(tensor)}")
    check_overlap(tensor)


def _is_without_elements(tensor: Any) -> bool:
    """Return whether there is nothing to write: no elements, or none with memory."""
    return tensor.is_meta or not tensor.numel() or isinstance(tensor, FakeTensor)


def _check_parameters(
    distribution: Check, dtype: np.dtype[Any], first: Any, second: Any, bounds: tuple[str, str]
) -> None:
    """Raise where a distribution cannot have these parameters, named as in this module."""
    try:
        distribution((), dtype, first, second)
    except ValueError as error:
        low, high = bounds
        message = str(error).replace("minval", low).replace("maxval", high)
        raise ValueError(message.replace("stddev", "std")) from None


def _draw(
    tensor: Any,
    distribution: Check,
    first: Any,
    second: Any,
    seed: Seed,
    generator: torch.Generator | None,
    *,
    bounds: tuple[str, str] = _BOUNDS,
) -> Any:
    """Fill a tensor with samples, once all arguments are checked.

    ``bounds`` are the names that messages use for the bounds of a uniform distribution.
    """
    with torch._C.DisableTorchFunction():
        _check(tensor)
        _check_parameters(distribution, dtype_of(tensor), first, second, bounds)
        check_source(seed, generator)
        if not _is_without_elements(tensor):
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
    return _draw(tensor, uniform, a, b, seed, generator, bounds=("a", "b"))


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


def _in_deviations(bound: float, mean: float, std: float, inside: float) -> float:
    """Return a bound in standard deviations from the mean, rounded inwards.

    ``inside`` is the infinity in whose direction the samples lie.
    """
    if isinf(bound):
        return bound
    exact = (Fraction(bound) - Fraction(mean)) / Fraction(std)
    try:
        found = float(exact)
    except OverflowError:
        return inf if exact > 0 else -inf
    if found != exact and (found > exact) != (inside > 0):
        found = nextafter(found, inside)
    return copysign(inf, found) if isinf(found * std) else found  # which the kernel computes, too


@lru_cache(maxsize=64)  # the layers of a model have the same bounds, and fractions take 10 us
def _window(mean: float, std: float, a: float, b: float) -> tuple[float, float]:
    """Return the bounds in standard deviations from the mean, rounded towards each other."""
    return _in_deviations(a, mean, std, inf), _in_deviations(b, mean, std, -inf)


def _nearest(value: float, a: float, b: float, dtype: np.dtype[Any]) -> float:
    """Return the dtype's number in [a, b] that is nearest to a value in [a, b].

    Where [a, b] has no number of the dtype, return the nearest one outside.
    """
    nearest = dtype.type(value)
    found = float(nearest)  # NumPy would compare in the dtype
    if a <= found <= b:
        return found
    inside = float(np.nextafter(nearest, dtype.type(inf if found < a else -inf)))
    return inside if a <= inside <= b else found


# Bounds with no float64 between them, in standard deviations, are at most |z| * 2**-51 apart, and
# the density's logarithm has the slope z: below 2**20 it is constant to within 2**-11.
_FLAT = 1 << 20

# A window of the Ziggurat has no smaller width, in standard deviations (fastinit.h).
_NARROWEST = 2.0**-900


def _between(
    bounds: tuple[float, float], shape: Dimensions, dtype: np.dtype[Any], mean: float, std: float
) -> Distribution:
    """Return the normal distribution between two values, checked for the dtype."""
    a, b = bounds
    limit = FINITE[dtype.char]
    check_finite(limit, dtype, mean=mean, std=std)
    if a > mean:  # all samples are near it
        check_finite(limit, dtype, a=a)
    elif b < mean:
        check_finite(limit, dtype, b=b)
    if a == b or std == 0:  # all samples are one number
        return normal(shape, dtype, _nearest(min(max(mean, a), b), a, b, dtype), 0.0)
    lower, upper = _window(mean, std, a, b)
    if upper - lower < _NARROWEST and abs(lower) < _FLAT:
        return uniform(shape, dtype, a, b)
    try:
        return truncated_at(lower, upper)(shape, dtype, mean, std)
    except ValueError as error:
        if "lower" not in str(error):
            raise
        raise ValueError(
            "a and b must not both lie too many standard deviations from the mean, "
            f"received mean={mean}, std={std}, a={a}, b={b}"
        ) from None


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
        ``a > b``; ``std`` is negative; a parameter is not finite in the dtype (except ``a`` below
        the mean and ``b`` above it); both bounds are more than 2**100 standard deviations
        away on the same side, or beyond 2**20 and too close to each other.

    Notes
    -----
    All values lie in [a, b], even where a bound is not a number of the dtype, unless [a, b] has no
    number of the dtype; PyTorch rounds the bounds.  The values are those of
    :func:`fastinit.truncated_normal` with ``lower=(a - mean) / std`` and ``upper=(b - mean) /
    std``, rounded towards each other: exactly distributed whatever the bounds, so there is no
    warning where the mean is far from them.
    """
    mean, std, a, b = number("mean", mean), number("std", std), number("a", a), number("b", b)
    if not a <= b:
        raise ValueError(f"a must be <= b, received a={a}, b={b}")
    if not std >= 0:
        raise ValueError(f"std must be >= 0, received {std}")
    return _draw(tensor, partial(_between, (a, b)), mean, std, seed, generator)


def constant_(tensor: Any, val: float) -> Any:
    """Fill a tensor with a value, as ``torch.nn.init.constant_`` does.

    Parameters
    ----------
    tensor
        See :mod:`fastinit.torch.init`.
    val : float
        The value.
    """
    _check_shaped(tensor)
    return torch.nn.init.constant_(tensor, val)


def ones_(tensor: Any) -> Any:
    """Fill a tensor with ones, as ``torch.nn.init.ones_`` does.

    Parameters
    ----------
    tensor
        See :mod:`fastinit.torch.init`.
    """
    _check_shaped(tensor)
    return torch.nn.init.ones_(tensor)


def zeros_(tensor: Any) -> Any:
    """Fill a tensor with zeros, as ``torch.nn.init.zeros_`` does.

    Parameters
    ----------
    tensor
        See :mod:`fastinit.torch.init`.
    """
    _check_shaped(tensor)
    return torch.nn.init.zeros_(tensor)


def eye_(tensor: Any) -> Any:
    """Fill a matrix with ones on its diagonal and zeros elsewhere, as ``torch.nn.init.eye_`` does.

    A DTensor, which PyTorch's function refuses, gets its part of the matrix.

    Parameters
    ----------
    tensor
        See :mod:`fastinit.torch.init`; of 2 dimensions.
    """
    _check_shaped(tensor)
    if not is_distributed(tensor):
        return torch.nn.init.eye_(tensor)
    if tensor.ndim != 2:
        raise ValueError("Only tensors with 2 dimensions are supported")
    with torch._C.DisableTorchFunction():
        if not tensor.is_meta:
            write(tensor, Identity().lazy(tuple(tensor.shape), dtype_of(tensor)))
    return tensor


def dirac_(tensor: Any, groups: int = 1) -> Any:
    """Fill the kernel of a convolution so that its output is its input.

    This does what ``torch.nn.init.dirac_`` does; a DTensor gets its part of the kernel.

    Parameters
    ----------
    tensor
        See :mod:`fastinit.torch.init`; of 3 to 5 dimensions.
    groups : int
        Each group of outputs gets the inputs from the first one on.
    """
    _check_shaped(tensor)
    if not is_distributed(tensor) or tensor.is_meta:
        return torch.nn.init.dirac_(tensor, groups)

    def make(shape: Dimensions, dtype: np.dtype[Any]) -> Any:
        return torch.nn.init.dirac_(torch.empty(shape, dtype=tensor.dtype), groups)

    with torch._C.DisableTorchFunction():
        write_whole(tensor, make)
    return tensor


def _fans(tensor: Any) -> tuple[int, int]:
    """Return fan_in and fan_out of a weight in PyTorch's layout, (out, in, *window)."""
    with torch._C.DisableTorchFunction():
        _check_shaped(tensor)
        shape = tuple(tensor.shape)
    if len(shape) < 2:
        raise ValueError(
            f"tensor must have 2 or more dimensions to have fans, received shape {shape}"
        )
    window = prod(shape[2:])
    return shape[1] * window, shape[0] * window


def _fan(tensor: Any, mode: str, modes: tuple[str, ...]) -> float:
    """Return the fan that a mode names."""
    fan_in, fan_out = _fans(tensor)
    name = mode.lower() if isinstance(mode, str) else ""
    if name not in modes:
        raise ValueError(f"mode must be one of {', '.join(modes)}, received {shown(mode)}")
    return {"fan_in": fan_in, "fan_out": fan_out, "fan_avg": (fan_in + fan_out) / 2}[name]


def _check_factor(gain: Any) -> float:
    """Return the gain as a float; raise where it cannot be the factor of a standard deviation."""
    factor = number("gain", gain)
    if not factor >= 0:
        raise ValueError(f"gain must be >= 0, received {factor}")
    return factor


def _is_empty(tensor: Any) -> bool:
    """Warn where there is nothing to initialize, as PyTorch does."""
    with torch._C.DisableTorchFunction():
        _check_shaped(tensor)
        empty = 0 in tensor.shape
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
        See :mod:`fastinit.torch.init`; of 2 or more dimensions, ``(out, in, *window)``.
    gain : float
        A factor, such as ``calculate_gain("tanh")``.

    Raises
    ------
    ValueError
        The tensor has fewer than 2 dimensions, or the gain is negative.

    Notes
    -----
    Glorot and Bengio, "Understanding the difficulty of training deep feedforward neural networks",
    AISTATS 2010, equation 16.
    """
    bound = _check_factor(gain) * sqrt(6 / max(1, sum(_fans(tensor))))
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
        See :mod:`fastinit.torch.init`; of 2 or more dimensions, ``(out, in, *window)``.
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
    std = _check_factor(gain) * sqrt(2 / max(1, sum(_fans(tensor))))
    return _draw(tensor, normal, 0.0, std, seed, generator)


def _kaiming_std(tensor: Any, a: float, mode: str, nonlinearity: str) -> float:
    fan = _fan(tensor, mode, ("fan_in", "fan_out"))
    gain: float = calculate_gain(nonlinearity, a)
    return gain / sqrt(fan)


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
        See :mod:`fastinit.torch.init`; of 2 or more dimensions, ``(out, in, *window)``.
    a : float
        The negative slope of a leaky ReLU that follows.
    mode : str
        ``"fan_in"`` keeps the variance of activations, ``"fan_out"`` that of gradients.
    nonlinearity : str
        The function that follows; :func:`calculate_gain` gives its gain.

    Raises
    ------
    ValueError
        The tensor has fewer than 2 dimensions, or the mode or nonlinearity is unknown.

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
        The tensor has fewer than 2 dimensions, or the mode or nonlinearity is unknown.

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
        See :mod:`fastinit.torch.init`; of 2 or more dimensions, ``(out, in, *window)``.
    scale : float
        The factor of the variance.
    mode : str
        ``"fan_in"``, ``"fan_out"`` or ``"fan_avg"``.
    distribution : str
        ``"truncated_normal"`` (at 2 standard deviations before truncation), ``"normal"`` (not
        truncated, as in timm; Keras truncates it) or ``"uniform"``.

    Raises
    ------
    ValueError
        The tensor has fewer than 2 dimensions, the scale is not positive, or the mode or
        distribution is unknown.
    """
    scale = number("scale", scale)
    if not scale > 0:
        raise ValueError(f"scale must be > 0, received {scale}")
    std = sqrt(scale / max(1, _fan(tensor, mode, ("fan_in", "fan_out", "fan_avg"))))
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
        See :mod:`fastinit.torch.init`; of 2 or more dimensions, ``(out, in, *window)``.

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
        _check(tensor)
        shape = tuple(tensor.shape)
        if len(shape) < 2:
            raise ValueError(f"tensor must have 2 or more dimensions, received shape {shape}")
        gain = check_gain(gain, dtype_of(tensor))
        check_source(seed, generator)
        if _is_without_elements(tensor):
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
    """Fill a matrix with normal samples, and a fraction of each column with zeros.

    Parameters
    ----------
    tensor, generator, seed
        See :mod:`fastinit.torch.init`; of 2 dimensions.
    sparsity : float
        The fraction of zeros, from 0 to 1; each column has ``ceil(sparsity * rows)`` of them.
    std : float
        Standard deviation of the others.

    Raises
    ------
    ValueError
        The tensor does not have 2 dimensions, ``sparsity`` is not from 0 to 1, or ``std`` is
        negative.

    Notes
    -----
    Martens, "Deep learning via Hessian-free optimization", ICML 2010.  The zeros of column j
    are in the rows with the least of ``random_bits((columns, rows), seed, "uint64")[j]``.
    """
    with torch._C.DisableTorchFunction():
        _check(tensor)
        if tensor.ndim != 2:
            shape = tuple(tensor.shape)
            raise ValueError(f"tensor must have 2 dimensions, received shape {shape}")
        sparsity = number("sparsity", sparsity)
        if not 0 <= sparsity <= 1:
            raise ValueError(f"sparsity must be from 0 to 1, received {sparsity}")
        std = number("std", std)
        _check_parameters(normal, dtype_of(tensor), 0.0, std, _BOUNDS)
        check_source(seed, generator)
        if _is_without_elements(tensor):
            return tensor
        key = key_of_draw(tensor, seed, generator)

        def make(shape: Dimensions, dtype: np.dtype[Any]) -> Any:
            rows, columns = shape
            matrix = random_normal(shape, 0.0, std, key, dtype)
            order = random_bits((columns, rows), key, "uint64").argsort(axis=1, kind="stable")
            zeros = order[:, : ceil(sparsity * rows)]
            matrix[zeros, np.arange(columns)[:, None]] = 0
            return of_array(matrix)

        write_whole(tensor, make)
    return tensor
