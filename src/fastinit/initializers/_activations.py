"""The initializer that suits an activation function."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .._messages import shown
from ._catalog import CLASSES

if TYPE_CHECKING:
    from collections.abc import Callable

    from .._typing import Seed
    from ._base import Initializer

# Glorot's suits functions that saturate on both sides, or are straight through the origin; He's
# those that are straight on one side and flat, or nearly so, on the other.  Géron, Hands-On Machine
# Learning, table 11-1.
_GLOROT = """none linear tanh hard_tanh softsign sigmoid logistic hard_sigmoid sparse_sigmoid
    softmax log_softmax sparsemax"""
_HE = """relu relu6 leaky_relu prelu rrelu elu celu gelu silu swish hard_silu hard_swish mish
    softplus squareplus sparse_plus"""
_FAMILIES = {
    name: family
    for family, names in (("glorot", _GLOROT), ("he", _HE), ("lecun", "selu"))
    for name in names.split()
}


def _plain(name: str) -> str:
    return name.replace("_", "").lower()


_BY_PLAIN_NAME = {_plain(name): family for name, family in _FAMILIES.items()}


def for_activation(
    name: str | Callable[..., Any] | None, distribution: str = "normal", seed: Seed = None
) -> Initializer:
    """Return the initializer that suits the activation function after the layer.

    Parameters
    ----------
    name : str, callable or None
        Glorot: none (also None), linear, tanh, hard_tanh, softsign, sigmoid, logistic,
        hard_sigmoid, sparse_sigmoid, softmax, log_softmax, sparsemax.  He: relu, relu6, leaky_relu,
        prelu, rrelu, elu, celu, gelu, silu, swish, hard_silu, hard_swish, mish, softplus,
        squareplus, sparse_plus.  LeCun: selu.  Case and underscores do not matter.  The name of a
        function or a class counts; of another object, the name of its class.
    distribution : {"normal", "uniform"}
        The normal is truncated at two standard deviations.
    seed : int, SeedGenerator or numpy.random.Generator, optional
        As for every initializer.

    Returns
    -------
    Initializer

    Raises
    ------
    ValueError
        An unknown activation or distribution.

    Notes
    -----
    Géron, Hands-On Machine Learning with Scikit-Learn, Keras & TensorFlow (2019), table 11-1, which
    says "ReLU and variants": here all that are the identity, or tend to it, on one side alone.

    Examples
    --------
    >>> from fastinit import initializers
    >>> initializers.for_activation("relu", seed=1)
    HeNormal(seed=1, input_axes=None, output_axes=None)
    """
    if name is None or isinstance(name, str):
        text = "none" if name is None else name
    else:
        text = getattr(name, "__name__", type(name).__name__)
    family = _BY_PLAIN_NAME.get(_plain(text))
    if family is None:
        raise ValueError(f"name must be one of {', '.join(_FAMILIES)}, received {shown(name)}")
    if not isinstance(distribution, str) or distribution not in ("normal", "uniform"):
        raise ValueError(f"distribution must be normal or uniform, received {shown(distribution)}")
    cls: Any = CLASSES[f"{family}_{distribution}"]
    initializer: Initializer = cls(seed=seed)
    return initializer
