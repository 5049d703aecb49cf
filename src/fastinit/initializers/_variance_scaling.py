"""Variance scaling and its presets: LeCun's, Glorot's and He's initializers."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, SupportsFloat

import numpy as np

from .._buffers import torch_of
from .._distributions import draw
from .._entry import entry_point
from .._fans import as_axes, check_axes, check_scaling, scaled, scaled_by
from .._messages import shown
from .._seeds import check_seed
from ._base import Initializer, takes_shape_and_dtype
from ._random import lazy_random

if TYPE_CHECKING:
    from numpy.typing import DTypeLike

    from .._distributions import Check, Distribution
    from .._fans import Rule
    from .._lazy import LazyArray
    from .._typing import Array, Axes, Dimensions, Out, Seed, Shape


def _refuse_matrices(
    check: Check,
    counterpart: str,
    dims: Dimensions,
    dtype: np.dtype[Any],
    rule: Rule,
    axes: tuple[Axes, Axes],
) -> Distribution:
    """Raise where the fans of a shape depend on the layout; else return what the check returns."""
    if len(dims) < 2:
        return check(dims, dtype, rule, axes)
    window = list(range(2, len(dims)))
    raise ValueError(
        "out must not be a PyTorch tensor of 2 or more dimensions unless input_axes and "
        f"output_axes are given, received one of shape {shown(dims)}: its layout may be PyTorch's, "
        "(out, in, *window), but fans are read in Keras's, (*window, in, out).  For PyTorch's "
        f"layout use fastinit.torch.init.{counterpart}, or input_axes={shown([1, *window])}, "
        f"output_axes={shown([0, *window])}; for Keras's pass out=tensor.detach().numpy()"
    )


def _check_for(check: Check, out: Any, axes: tuple[Axes, Axes], counterpart: str) -> Check:
    """Return the check of a call, which refuses a tensor of PyTorch whose layout is not known.

    ``counterpart`` names the function of :mod:`fastinit.torch.init` to use instead.  The result
    holds no reference to ``out``, so nothing else has to be released after an error.  Callers do
    not call it for NumPy arrays: for a small one the call would be 3% of the time.
    """
    if out is not None and axes[0] is axes[1] is None and torch_of(out) is not None:
        return partial(_refuse_matrices, check, counterpart)
    return check


def variance_scaling(
    shape: Shape | None = None,
    scale: SupportsFloat = 1.0,
    mode: str = "fan_in",
    distribution: str = "truncated_normal",
    seed: Seed = None,
    dtype: DTypeLike | None = None,
    *,
    input_axes: Axes = None,
    output_axes: Axes = None,
    out: Out | None = None,
) -> Out:
    """Return samples whose variance adapts to the shape: scale / max(1, fan).

    Parameters
    ----------
    shape : int or sequence of int, optional
        Shape of the result; may be left out where ``out`` is given.  A matrix is (in, out), a
        convolution kernel ``(*window, in, out)``.
    scale : float
        Variance times fan, > 0.
    mode : {"fan_in", "fan_out", "fan_avg", "fan_geo_avg"}
        The fan that divides: the number of inputs, of outputs, their mean, or their geometric mean
        (which Keras lacks).
    distribution : {"truncated_normal", "untruncated_normal", "uniform", "normal"}
        ``"normal"`` is ``"truncated_normal"``: it is cut at two standard deviations of a normal
        that is wider by 1 / 0.8796, so that the variance is scale / fan after the cut.
    seed : int, SeedGenerator or numpy.random.Generator, optional
        An integer, 0 <= seed < 2**64, gives the same values at every call.  A generator advances.
        None draws fresh entropy at every call.
    dtype : str or numpy.dtype, optional
        float32 (the default), float64, float16 or bfloat16.
    input_axes, output_axes : sequence of int, optional
        The axes whose sizes multiply to fan_in and fan_out; both or neither.
    out : array or buffer, optional
        It is filled in place and returned; :func:`random_normal` says what may be given.  It has
        Keras's layout, as ``shape`` does.  PyTorch's weights are ``(out, in, *window)``, so a
        tensor of PyTorch that has two or more dimensions needs ``input_axes`` and ``output_axes``,
        or :func:`fastinit.torch.init.variance_scaling_` instead.

    Returns
    -------
    numpy.ndarray or out

    Raises
    ------
    ValueError, TypeError
        An argument is out of range or of the wrong type.  Nothing is written then.
    numpy.exceptions.AxisError
        The shape lacks an axis.

    Notes
    -----
    He, Zhang, Ren & Sun, ICCV 2015, equation 10.
    """
    rule = scale, mode, distribution
    axes = input_axes, output_axes
    check = (
        scaled_by
        if type(out) is np.ndarray
        else _check_for(scaled_by, out, axes, "variance_scaling_")
    )
    return draw(shape, dtype, out, seed, check, rule, axes)


class VarianceScaling(Initializer):
    """Draw from a distribution whose variance adapts to the shape: scale / max(1, fan).

    Parameters
    ----------
    scale : float
        Variance times fan, > 0.
    mode : {"fan_in", "fan_out", "fan_avg", "fan_geo_avg"}
        The fan that divides: the number of inputs, of outputs, their mean, or their geometric mean
        (which Keras lacks).
    distribution : {"truncated_normal", "untruncated_normal", "uniform", "normal"}
        ``"normal"`` is ``"truncated_normal"``: it is cut at two standard deviations of a normal
        that is wider by 1 / 0.8796, so that the variance is scale / fan after the cut.
    seed : int, SeedGenerator or numpy.random.Generator, optional
        An integer, 0 <= seed < 2**64, gives the same values at every call.  A generator advances.
        None draws fresh entropy at every call.
    input_axes, output_axes : sequence of int, optional
        The axes whose sizes multiply to fan_in and fan_out; both or neither.

    Raises
    ------
    ValueError, TypeError
        An argument is out of range or of the wrong type.

    Notes
    -----
    He, Zhang, Ren & Sun, ICCV 2015, equation 10.
    """

    _config_module = "keras.initializers"

    scale: float
    mode: str
    distribution: str

    @entry_point
    def __init__(
        self,
        scale: SupportsFloat = 1.0,
        mode: str = "fan_in",
        distribution: str = "truncated_normal",
        seed: Seed = None,
        input_axes: Axes = None,
        output_axes: Axes = None,
    ) -> None:
        self.scale, self.mode, self.distribution = check_scaling(scale, mode, distribution)
        self._set_seed_and_axes(seed, input_axes, output_axes)

    def _set_seed_and_axes(self, seed: Seed, input_axes: Axes, output_axes: Axes) -> None:
        check_seed(seed)
        self.input_axes, self.output_axes = input_axes, output_axes
        check_axes(self.input_axes, self.output_axes)
        self.seed = seed

    def __setattr__(self, name: str, value: Any) -> None:
        # An iterator is exhausted by its first use, so its axes are kept in a tuple.
        if name in ("input_axes", "output_axes") and not isinstance(value, (list, tuple)):
            value = as_axes(name, value)
        super().__setattr__(name, value)

    @takes_shape_and_dtype
    def __call__(self, shape: Shape, dtype: DTypeLike | None = None) -> Array:
        """Return samples in an array of that shape and dtype."""
        rule = self.scale, self.mode, self.distribution
        axes = self.input_axes, self.output_axes
        return draw(shape, dtype, None, self.seed, scaled_by, rule, axes)

    def lazy(self, shape: Shape, dtype: DTypeLike | None = None) -> LazyArray:
        """Return the same array without its memory: see :meth:`Initializer.lazy`."""
        rule = self.scale, self.mode, self.distribution
        axes = self.input_axes, self.output_axes
        return lazy_random(shape, dtype, self.seed, scaled_by, rule, axes)


def lecun_uniform(
    shape: Shape | None = None,
    seed: Seed = None,
    dtype: DTypeLike | None = None,
    *,
    input_axes: Axes = None,
    output_axes: Axes = None,
    out: Out | None = None,
) -> Out:
    """Return samples of LeCun's uniform distribution.

    U(-r, r) with r = sqrt(3 / fan_in).

    Parameters
    ----------
    shape : int or sequence of int, optional
        Shape of the result; may be left out where ``out`` is given.  A matrix is (in, out), a
        convolution kernel ``(*window, in, out)``.
    seed : int, SeedGenerator or numpy.random.Generator, optional
        An integer, 0 <= seed < 2**64, gives the same values at every call.  A generator advances.
        None draws fresh entropy at every call.
    dtype : str or numpy.dtype, optional
        float32 (the default), float64, float16 or bfloat16.
    input_axes, output_axes : sequence of int, optional
        The axes whose sizes multiply to fan_in and fan_out; both or neither.
    out : array or buffer, optional
        It is filled in place and returned; :func:`random_normal` says what may be given.  It has
        Keras's layout, as ``shape`` does.  PyTorch's weights are ``(out, in, *window)``, so a
        tensor of PyTorch that has two or more dimensions needs ``input_axes`` and ``output_axes``,
        or :func:`fastinit.torch.init.variance_scaling_` instead.

    Returns
    -------
    numpy.ndarray or out

    Raises
    ------
    ValueError, TypeError
        An argument is out of range or of the wrong type.  Nothing is written then.

    Notes
    -----
    LeCun, Bottou, Orr & Müller, Efficient BackProp, 1998, section 4.6.
    """
    rule = LecunUniform.scale, LecunUniform.mode, LecunUniform.distribution
    axes = input_axes, output_axes
    check = (
        scaled
        if type(out) is np.ndarray
        else _check_for(scaled, out, axes, "variance_scaling_(tensor, distribution='uniform')")
    )
    return draw(shape, dtype, out, seed, check, rule, axes)


class LecunUniform(VarianceScaling):
    """Draw from LeCun's uniform distribution.

    U(-r, r) with r = sqrt(3 / fan_in).

    Parameters
    ----------
    seed : int, SeedGenerator or numpy.random.Generator, optional
        An integer, 0 <= seed < 2**64, gives the same values at every call.  A generator advances.
        None draws fresh entropy at every call.
    input_axes, output_axes : sequence of int, optional
        The axes whose sizes multiply to fan_in and fan_out; both or neither.

    Raises
    ------
    ValueError, TypeError
        An argument is out of range or of the wrong type.

    Notes
    -----
    LeCun, Bottou, Orr & Müller, Efficient BackProp, 1998, section 4.6.
    """

    _config_module = "keras.initializers"

    scale = 1.0
    mode = "fan_in"
    distribution = "uniform"

    def __init__(
        self, seed: Seed = None, input_axes: Axes = None, output_axes: Axes = None
    ) -> None:
        self._set_seed_and_axes(seed, input_axes, output_axes)


def lecun_normal(
    shape: Shape | None = None,
    seed: Seed = None,
    dtype: DTypeLike | None = None,
    *,
    input_axes: Axes = None,
    output_axes: Axes = None,
    out: Out | None = None,
) -> Out:
    """Return samples of LeCun's truncated normal distribution.

    The standard deviation is sqrt(1 / fan_in), that of a normal distribution truncated at two of
    its own standard deviations.

    Parameters
    ----------
    shape : int or sequence of int, optional
        Shape of the result; may be left out where ``out`` is given.  A matrix is (in, out), a
        convolution kernel ``(*window, in, out)``.
    seed : int, SeedGenerator or numpy.random.Generator, optional
        An integer, 0 <= seed < 2**64, gives the same values at every call.  A generator advances.
        None draws fresh entropy at every call.
    dtype : str or numpy.dtype, optional
        float32 (the default), float64, float16 or bfloat16.
    input_axes, output_axes : sequence of int, optional
        The axes whose sizes multiply to fan_in and fan_out; both or neither.
    out : array or buffer, optional
        It is filled in place and returned; :func:`random_normal` says what may be given.  It has
        Keras's layout, as ``shape`` does.  PyTorch's weights are ``(out, in, *window)``, so a
        tensor of PyTorch that has two or more dimensions needs ``input_axes`` and ``output_axes``,
        or :func:`fastinit.torch.init.lecun_normal_` instead.

    Returns
    -------
    numpy.ndarray or out

    Raises
    ------
    ValueError, TypeError
        An argument is out of range or of the wrong type.  Nothing is written then.

    Notes
    -----
    Klambauer et al., NeurIPS 2017 (with SELU); LeCun, Bottou, Orr & Müller, Efficient
    BackProp, 1998, section 4.6.
    """
    rule = LecunNormal.scale, LecunNormal.mode, LecunNormal.distribution
    axes = input_axes, output_axes
    check = scaled if type(out) is np.ndarray else _check_for(scaled, out, axes, "lecun_normal_")
    return draw(shape, dtype, out, seed, check, rule, axes)


class LecunNormal(VarianceScaling):
    """Draw from LeCun's truncated normal distribution.

    The standard deviation is sqrt(1 / fan_in), that of a normal distribution truncated at two of
    its own standard deviations.

    Parameters
    ----------
    seed : int, SeedGenerator or numpy.random.Generator, optional
        An integer, 0 <= seed < 2**64, gives the same values at every call.  A generator advances.
        None draws fresh entropy at every call.
    input_axes, output_axes : sequence of int, optional
        The axes whose sizes multiply to fan_in and fan_out; both or neither.

    Raises
    ------
    ValueError, TypeError
        An argument is out of range or of the wrong type.

    Notes
    -----
    Klambauer et al., NeurIPS 2017 (with SELU); LeCun, Bottou, Orr & Müller, Efficient
    BackProp, 1998, section 4.6.
    """

    _config_module = "keras.initializers"

    scale = 1.0
    mode = "fan_in"
    distribution = "truncated_normal"

    def __init__(
        self, seed: Seed = None, input_axes: Axes = None, output_axes: Axes = None
    ) -> None:
        self._set_seed_and_axes(seed, input_axes, output_axes)


def glorot_uniform(
    shape: Shape | None = None,
    seed: Seed = None,
    dtype: DTypeLike | None = None,
    *,
    input_axes: Axes = None,
    output_axes: Axes = None,
    out: Out | None = None,
) -> Out:
    """Return samples of Glorot's (Xavier's) uniform distribution.

    U(-r, r) with r = sqrt(6 / (fan_in + fan_out)).

    Parameters
    ----------
    shape : int or sequence of int, optional
        Shape of the result; may be left out where ``out`` is given.  A matrix is (in, out), a
        convolution kernel ``(*window, in, out)``.
    seed : int, SeedGenerator or numpy.random.Generator, optional
        An integer, 0 <= seed < 2**64, gives the same values at every call.  A generator advances.
        None draws fresh entropy at every call.
    dtype : str or numpy.dtype, optional
        float32 (the default), float64, float16 or bfloat16.
    input_axes, output_axes : sequence of int, optional
        The axes whose sizes multiply to fan_in and fan_out; both or neither.
    out : array or buffer, optional
        It is filled in place and returned; :func:`random_normal` says what may be given.  It has
        Keras's layout, as ``shape`` does.  PyTorch's weights are ``(out, in, *window)``, so a
        tensor of PyTorch that has two or more dimensions needs ``input_axes`` and ``output_axes``,
        or :func:`fastinit.torch.init.xavier_uniform_` instead.

    Returns
    -------
    numpy.ndarray or out

    Raises
    ------
    ValueError, TypeError
        An argument is out of range or of the wrong type.  Nothing is written then.

    Notes
    -----
    Glorot & Bengio, AISTATS 2010, equation 16.
    """
    rule = GlorotUniform.scale, GlorotUniform.mode, GlorotUniform.distribution
    axes = input_axes, output_axes
    check = scaled if type(out) is np.ndarray else _check_for(scaled, out, axes, "xavier_uniform_")
    return draw(shape, dtype, out, seed, check, rule, axes)


class GlorotUniform(VarianceScaling):
    """Draw from Glorot's (Xavier's) uniform distribution.

    U(-r, r) with r = sqrt(6 / (fan_in + fan_out)).

    Parameters
    ----------
    seed : int, SeedGenerator or numpy.random.Generator, optional
        An integer, 0 <= seed < 2**64, gives the same values at every call.  A generator advances.
        None draws fresh entropy at every call.
    input_axes, output_axes : sequence of int, optional
        The axes whose sizes multiply to fan_in and fan_out; both or neither.

    Raises
    ------
    ValueError, TypeError
        An argument is out of range or of the wrong type.

    Notes
    -----
    Glorot & Bengio, AISTATS 2010, equation 16.
    """

    _config_module = "keras.initializers"

    scale = 1.0
    mode = "fan_avg"
    distribution = "uniform"

    def __init__(
        self, seed: Seed = None, input_axes: Axes = None, output_axes: Axes = None
    ) -> None:
        self._set_seed_and_axes(seed, input_axes, output_axes)


def glorot_normal(
    shape: Shape | None = None,
    seed: Seed = None,
    dtype: DTypeLike | None = None,
    *,
    input_axes: Axes = None,
    output_axes: Axes = None,
    out: Out | None = None,
) -> Out:
    """Return samples of Glorot's (Xavier's) truncated normal distribution.

    The standard deviation is sqrt(2 / (fan_in + fan_out)), that of a normal distribution truncated
    at two of its own standard deviations.

    Parameters
    ----------
    shape : int or sequence of int, optional
        Shape of the result; may be left out where ``out`` is given.  A matrix is (in, out), a
        convolution kernel ``(*window, in, out)``.
    seed : int, SeedGenerator or numpy.random.Generator, optional
        An integer, 0 <= seed < 2**64, gives the same values at every call.  A generator advances.
        None draws fresh entropy at every call.
    dtype : str or numpy.dtype, optional
        float32 (the default), float64, float16 or bfloat16.
    input_axes, output_axes : sequence of int, optional
        The axes whose sizes multiply to fan_in and fan_out; both or neither.
    out : array or buffer, optional
        It is filled in place and returned; :func:`random_normal` says what may be given.  It has
        Keras's layout, as ``shape`` does.  PyTorch's weights are ``(out, in, *window)``, so a
        tensor of PyTorch that has two or more dimensions needs ``input_axes`` and ``output_axes``,
        or :func:`fastinit.torch.init.xavier_normal_` instead.

    Returns
    -------
    numpy.ndarray or out

    Raises
    ------
    ValueError, TypeError
        An argument is out of range or of the wrong type.  Nothing is written then.

    Notes
    -----
    Glorot & Bengio, AISTATS 2010, equation 12.
    """
    rule = GlorotNormal.scale, GlorotNormal.mode, GlorotNormal.distribution
    axes = input_axes, output_axes
    check = scaled if type(out) is np.ndarray else _check_for(scaled, out, axes, "xavier_normal_")
    return draw(shape, dtype, out, seed, check, rule, axes)


class GlorotNormal(VarianceScaling):
    """Draw from Glorot's (Xavier's) truncated normal distribution.

    The standard deviation is sqrt(2 / (fan_in + fan_out)), that of a normal distribution truncated
    at two of its own standard deviations.

    Parameters
    ----------
    seed : int, SeedGenerator or numpy.random.Generator, optional
        An integer, 0 <= seed < 2**64, gives the same values at every call.  A generator advances.
        None draws fresh entropy at every call.
    input_axes, output_axes : sequence of int, optional
        The axes whose sizes multiply to fan_in and fan_out; both or neither.

    Raises
    ------
    ValueError, TypeError
        An argument is out of range or of the wrong type.

    Notes
    -----
    Glorot & Bengio, AISTATS 2010, equation 12.
    """

    _config_module = "keras.initializers"

    scale = 1.0
    mode = "fan_avg"
    distribution = "truncated_normal"

    def __init__(
        self, seed: Seed = None, input_axes: Axes = None, output_axes: Axes = None
    ) -> None:
        self._set_seed_and_axes(seed, input_axes, output_axes)


def he_uniform(
    shape: Shape | None = None,
    seed: Seed = None,
    dtype: DTypeLike | None = None,
    *,
    input_axes: Axes = None,
    output_axes: Axes = None,
    out: Out | None = None,
) -> Out:
    """Return samples of He's (Kaiming's) uniform distribution.

    U(-r, r) with r = sqrt(6 / fan_in).

    Parameters
    ----------
    shape : int or sequence of int, optional
        Shape of the result; may be left out where ``out`` is given.  A matrix is (in, out), a
        convolution kernel ``(*window, in, out)``.
    seed : int, SeedGenerator or numpy.random.Generator, optional
        An integer, 0 <= seed < 2**64, gives the same values at every call.  A generator advances.
        None draws fresh entropy at every call.
    dtype : str or numpy.dtype, optional
        float32 (the default), float64, float16 or bfloat16.
    input_axes, output_axes : sequence of int, optional
        The axes whose sizes multiply to fan_in and fan_out; both or neither.
    out : array or buffer, optional
        It is filled in place and returned; :func:`random_normal` says what may be given.  It has
        Keras's layout, as ``shape`` does.  PyTorch's weights are ``(out, in, *window)``, so a
        tensor of PyTorch that has two or more dimensions needs ``input_axes`` and ``output_axes``,
        or :func:`fastinit.torch.init.kaiming_uniform_` instead.

    Returns
    -------
    numpy.ndarray or out

    Raises
    ------
    ValueError, TypeError
        An argument is out of range or of the wrong type.  Nothing is written then.

    Notes
    -----
    He, Zhang, Ren & Sun, ICCV 2015, equation 10.
    """
    rule = HeUniform.scale, HeUniform.mode, HeUniform.distribution
    axes = input_axes, output_axes
    check = scaled if type(out) is np.ndarray else _check_for(scaled, out, axes, "kaiming_uniform_")
    return draw(shape, dtype, out, seed, check, rule, axes)


class HeUniform(VarianceScaling):
    """Draw from He's (Kaiming's) uniform distribution.

    U(-r, r) with r = sqrt(6 / fan_in).

    Parameters
    ----------
    seed : int, SeedGenerator or numpy.random.Generator, optional
        An integer, 0 <= seed < 2**64, gives the same values at every call.  A generator advances.
        None draws fresh entropy at every call.
    input_axes, output_axes : sequence of int, optional
        The axes whose sizes multiply to fan_in and fan_out; both or neither.

    Raises
    ------
    ValueError, TypeError
        An argument is out of range or of the wrong type.

    Notes
    -----
    He, Zhang, Ren & Sun, ICCV 2015, equation 10.
    """

    _config_module = "keras.initializers"

    scale = 2.0
    mode = "fan_in"
    distribution = "uniform"

    def __init__(
        self, seed: Seed = None, input_axes: Axes = None, output_axes: Axes = None
    ) -> None:
        self._set_seed_and_axes(seed, input_axes, output_axes)


def he_normal(
    shape: Shape | None = None,
    seed: Seed = None,
    dtype: DTypeLike | None = None,
    *,
    input_axes: Axes = None,
    output_axes: Axes = None,
    out: Out | None = None,
) -> Out:
    """Return samples of He's (Kaiming's) truncated normal distribution.

    The standard deviation is sqrt(2 / fan_in), that of a normal distribution truncated at two of
    its own standard deviations.

    Parameters
    ----------
    shape : int or sequence of int, optional
        Shape of the result; may be left out where ``out`` is given.  A matrix is (in, out), a
        convolution kernel ``(*window, in, out)``.
    seed : int, SeedGenerator or numpy.random.Generator, optional
        An integer, 0 <= seed < 2**64, gives the same values at every call.  A generator advances.
        None draws fresh entropy at every call.
    dtype : str or numpy.dtype, optional
        float32 (the default), float64, float16 or bfloat16.
    input_axes, output_axes : sequence of int, optional
        The axes whose sizes multiply to fan_in and fan_out; both or neither.
    out : array or buffer, optional
        It is filled in place and returned; :func:`random_normal` says what may be given.  It has
        Keras's layout, as ``shape`` does.  PyTorch's weights are ``(out, in, *window)``, so a
        tensor of PyTorch that has two or more dimensions needs ``input_axes`` and ``output_axes``,
        or :func:`fastinit.torch.init.kaiming_normal_` instead.

    Returns
    -------
    numpy.ndarray or out

    Raises
    ------
    ValueError, TypeError
        An argument is out of range or of the wrong type.  Nothing is written then.

    Notes
    -----
    He, Zhang, Ren & Sun, ICCV 2015, equation 10.
    """
    rule = HeNormal.scale, HeNormal.mode, HeNormal.distribution
    axes = input_axes, output_axes
    check = scaled if type(out) is np.ndarray else _check_for(scaled, out, axes, "kaiming_normal_")
    return draw(shape, dtype, out, seed, check, rule, axes)


class HeNormal(VarianceScaling):
    """Draw from He's (Kaiming's) truncated normal distribution.

    The standard deviation is sqrt(2 / fan_in), that of a normal distribution truncated at two of
    its own standard deviations.

    Parameters
    ----------
    seed : int, SeedGenerator or numpy.random.Generator, optional
        An integer, 0 <= seed < 2**64, gives the same values at every call.  A generator advances.
        None draws fresh entropy at every call.
    input_axes, output_axes : sequence of int, optional
        The axes whose sizes multiply to fan_in and fan_out; both or neither.

    Raises
    ------
    ValueError, TypeError
        An argument is out of range or of the wrong type.

    Notes
    -----
    He, Zhang, Ren & Sun, ICCV 2015, equation 10.
    """

    _config_module = "keras.initializers"

    scale = 2.0
    mode = "fan_in"
    distribution = "truncated_normal"

    def __init__(
        self, seed: Seed = None, input_axes: Axes = None, output_axes: Axes = None
    ) -> None:
        self._set_seed_and_axes(seed, input_axes, output_axes)


def standard_uniform(
    shape: Shape | None = None,
    seed: Seed = None,
    dtype: DTypeLike | None = None,
    *,
    input_axes: Axes = None,
    output_axes: Axes = None,
    out: Out | None = None,
) -> Out:
    """Return samples of the uniform distribution that was usual before Glorot's.

    U(-r, r) with r = sqrt(1 / fan_in).

    Parameters
    ----------
    shape : int or sequence of int, optional
        Shape of the result; may be left out where ``out`` is given.  A matrix is (in, out), a
        convolution kernel ``(*window, in, out)``.
    seed : int, SeedGenerator or numpy.random.Generator, optional
        An integer, 0 <= seed < 2**64, gives the same values at every call.  A generator advances.
        None draws fresh entropy at every call.
    dtype : str or numpy.dtype, optional
        float32 (the default), float64, float16 or bfloat16.
    input_axes, output_axes : sequence of int, optional
        The axes whose sizes multiply to fan_in and fan_out; both or neither.
    out : array or buffer, optional
        It is filled in place and returned; :func:`random_normal` says what may be given.  It has
        Keras's layout, as ``shape`` does.  PyTorch's weights are ``(out, in, *window)``, so a
        tensor of PyTorch that has two or more dimensions needs ``input_axes`` and ``output_axes``,
        or :func:`fastinit.torch.init.kaiming_uniform_` instead.

    Returns
    -------
    numpy.ndarray or out

    Raises
    ------
    ValueError, TypeError
        An argument is out of range or of the wrong type.  Nothing is written then.

    Notes
    -----
    Glorot & Bengio, AISTATS 2010, equation 1.  Keras lacks it.
    """
    rule = StandardUniform.scale, StandardUniform.mode, StandardUniform.distribution
    axes = input_axes, output_axes
    check = (
        scaled
        if type(out) is np.ndarray
        else _check_for(scaled, out, axes, "kaiming_uniform_(tensor, a=5**0.5)")
    )
    return draw(shape, dtype, out, seed, check, rule, axes)


class StandardUniform(VarianceScaling):
    """Draw from the uniform distribution that was usual before Glorot's.

    U(-r, r) with r = sqrt(1 / fan_in).

    Parameters
    ----------
    seed : int, SeedGenerator or numpy.random.Generator, optional
        An integer, 0 <= seed < 2**64, gives the same values at every call.  A generator advances.
        None draws fresh entropy at every call.
    input_axes, output_axes : sequence of int, optional
        The axes whose sizes multiply to fan_in and fan_out; both or neither.

    Raises
    ------
    ValueError, TypeError
        An argument is out of range or of the wrong type.

    Notes
    -----
    Glorot & Bengio, AISTATS 2010, equation 1.  Keras lacks it.
    """

    _config_module = "fastinit.initializers"

    scale = 1 / 3
    mode = "fan_in"
    distribution = "uniform"

    def __init__(
        self, seed: Seed = None, input_axes: Axes = None, output_axes: Axes = None
    ) -> None:
        self._set_seed_and_axes(seed, input_axes, output_axes)
