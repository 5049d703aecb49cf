"""The initializer that suits an activation function."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, SupportsFloat

from .._messages import did_you_mean, shown
from .._nonlinearity import ALIASES, find_activation, name_of, plain
from .._propagation import steady_gain
from ._catalog import CLASSES
from ._variance_scaling import VarianceScaling

if TYPE_CHECKING:
    from collections.abc import Callable

    from .._typing import Seed
    from ._base import Initializer

# Glorot's suits functions that saturate on both sides, or are straight through the origin; He's
# those that are straight on one side and flat, or nearly so, on the other.  Géron, Hands-On Machine
# Learning, table 11-1.
_GLOROT = """none linear identity tanh hard_tanh softsign sigmoid logistic hard_sigmoid
    sparse_sigmoid softmax log_softmax sparsemax"""
_HE = """relu relu6 leaky_relu prelu rrelu elu celu gelu silu swish hard_silu hard_swish mish
    softplus squareplus sparse_plus"""
_FAMILIES = {
    name: family
    for family, names in (("glorot", _GLOROT), ("he", _HE), ("lecun", "selu"))
    for name in names.split()
}


_BY_PLAIN_NAME = {plain(name): family for name, family in _FAMILIES.items()}


def for_activation(
    name: str | Callable[..., Any] | None,
    distribution: str = "normal",
    seed: Seed = None,
    *,
    negative_slope: SupportsFloat | None = None,
    gain: str | None = None,
) -> Initializer:
    """Return the initializer that suits the activation function after the layer.

    Parameters
    ----------
    name : str, callable or None
        Glorot: none (also None), linear, identity, tanh, hard_tanh, softsign, sigmoid, logistic,
        hard_sigmoid, sparse_sigmoid, softmax, log_softmax, sparsemax.  He: relu, relu6, leaky_relu,
        prelu, rrelu, elu, celu, gelu, silu, swish, hard_silu, hard_swish, mish, softplus,
        squareplus, sparse_plus.  LeCun: selu.  Case and underscores do not matter.  The name of a
        function or a class counts; of another object, the name of its class.
    distribution : {"normal", "uniform"}
        The normal is truncated at two standard deviations.
    seed : int, SeedGenerator or numpy.random.Generator, optional
        As for every initializer.
    negative_slope : float, optional
        The slope of a leaky function (relu, leaky_relu, prelu, rrelu) for negative numbers.  The
        variance is then 2 / (1 + negative_slope**2) / fan_in.
    gain : {"exact"}, optional
        ``"exact"``: the variance is gain**2 / fan_in with the gain that keeps the mean square of
        the activations at 1, computed for the function.  The slope of an object such as
        ``torch.nn.LeakyReLU(0.2)`` or a layer of Keras is used.  Bounded functions, such as tanh
        and sigmoid, never reach 1; their gain keeps the variance of the pre-activations at 1.

    Returns
    -------
    Initializer
        A VarianceScaling if ``negative_slope`` or ``gain`` is given.

    Raises
    ------
    ValueError
        An unknown activation, distribution or gain; a slope for a function that has none; an exact
        gain for a function that is not elementwise, such as softmax.
    TypeError
        A slope that is not a number.

    Notes
    -----
    Géron, Hands-On Machine Learning with Scikit-Learn, Keras & TensorFlow (2019), table 11-1, which
    says "ReLU and variants": here all that are the identity, or tend to it, on one side alone.

    He's variance is right for relu.  With functions that are smaller than relu, such as gelu, silu
    and mish, it makes the activations shrink: at infinite width, and from inputs of mean square 1,
    their standard deviation is 0.83 after 20 layers of relu, 0.32 of mish, 0.037 of gelu and 0.0034
    of silu.  This does not matter in a few layers, or where normalization or residual connections
    restore the scale; otherwise use ``gain="exact"``.  :func:`fastinit.explain` shows the layers.

    He, Zhang, Ren & Sun, ICCV 2015, equation 15 (leaky functions); Poole et al., NeurIPS 2016,
    equation 3, solved for the variance of the weights (the exact gain).

    Examples
    --------
    >>> from fastinit import initializers
    >>> initializers.for_activation("relu", seed=1)
    HeNormal(seed=1, input_axes=None, output_axes=None)
    >>> round(initializers.for_activation("gelu", gain="exact").scale, 4)
    2.1551
    """
    text = name_of(name)
    family = _BY_PLAIN_NAME.get(plain(text))
    if family is None:
        known = ", ".join(name for name in _FAMILIES if name not in ALIASES)
        near = did_you_mean(text, _FAMILIES)
        raise ValueError(f"name must be None or one of {known}, received {shown(name)}{near}")
    if not isinstance(distribution, str) or distribution not in ("normal", "uniform"):
        raise ValueError(f"distribution must be normal or uniform, received {shown(distribution)}")
    if gain is not None and not (isinstance(gain, str) and gain == "exact"):
        raise ValueError(f"gain must be 'exact' or None, received {shown(gain)}")
    if gain is None and negative_slope is None:
        cls: Any = CLASSES[f"{family}_{distribution}"]
        initializer: Initializer = cls(seed=seed)
        return initializer
    function = find_activation(name, negative_slope)
    if gain is None:
        slope = 0.0 if function.parameter is None else function.parameter
        scale = 2 / (1 + slope * slope)
    else:
        scale = steady_gain(function) ** 2
    form = "uniform" if distribution == "uniform" else "truncated_normal"
    return VarianceScaling(scale, "fan_in", form, seed)
