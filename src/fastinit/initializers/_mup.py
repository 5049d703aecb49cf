"""The maximal update parametrization: how variances and learning rates depend on the width."""

from __future__ import annotations

from math import inf
from typing import TYPE_CHECKING, NamedTuple, SupportsFloat

from .._messages import shown
from .._parameters import number
from ._variance_scaling import VarianceScaling

if TYPE_CHECKING:
    from .._typing import Seed


class Mup(NamedTuple):
    """The maximal update parametrization of one kind of weights.

    Attributes
    ----------
    initializer : VarianceScaling
        Initializer of the weights.
    multiplier : float
        Factor of the layer's output.
    sgd, adam : float
        Factors of the learning rate that suits the base width, for stochastic gradient descent and
        for Adam.
    """

    initializer: VarianceScaling
    multiplier: float
    sgd: float
    adam: float


def mup(
    kind: str,
    width: SupportsFloat,
    base_width: SupportsFloat,
    scale: SupportsFloat = 1.0,
    distribution: str = "truncated_normal",
    seed: Seed = None,
) -> Mup:
    """Return the maximal update parametrization: an initializer and factors for any width.

    Learning rates that are tuned at ``base_width`` then suit ``width``.  At ``base_width`` all
    factors are 1, and the initializer is VarianceScaling(scale).

    Parameters
    ----------
    kind : {"input", "hidden", "output"}
        Which sizes of the weights grow with the width: of the outputs alone (input weights, and
        all biases, which start at 0), of inputs and outputs (hidden weights), or of the inputs
        alone (output weights).
    width, base_width : float
        Widths of the network and of the network that was tuned; > 0.
    scale : float
        Variance times fan_in at ``base_width``, > 0.
    distribution : {"truncated_normal", "untruncated_normal", "uniform", "normal"}
        As for VarianceScaling.
    seed : int, SeedGenerator or numpy.random.Generator, optional
        As for every initializer.

    Returns
    -------
    Mup
        With r = width / base_width:

        ======  ================  ==========  ====  =====
        kind    variance          multiplier  sgd   adam
        ======  ================  ==========  ====  =====
        input   scale / fan_in    1           r     1
        hidden  scale / fan_in    1           1     1 / r
        output  scale r / fan_in  1 / r       r     1
        ======  ================  ==========  ====  =====

    Raises
    ------
    ValueError, TypeError
        An argument is out of range or of the wrong type.

    Notes
    -----
    Yang, Hu et al., Tensor Programs V: Tuning Large Neural Networks via Zero-Shot Hyperparameter
    Transfer, 2022 (arXiv:2203.03466), table 8, with its widths divided by the base widths.  The
    variance of output weights does not depend on the width: fan_in there grows as r does.  Biases
    have the learning rates of input weights, and not their initializer, for which the fan_in of a
    vector is its length: they start at 0.  A transformer also needs 1 / d instead of 1 / sqrt(d) in
    its attention.  The rows of an embedding are looked up, so that its fan_in is 1: use a
    distribution with a fixed standard deviation, and the learning rates of input weights.

    Examples
    --------
    >>> from fastinit import initializers
    >>> rule = initializers.mup("hidden", width=4096, base_width=256)
    >>> rule.multiplier, rule.sgd, rule.adam
    (1.0, 1.0, 0.0625)
    """
    if not isinstance(kind, str) or kind not in ("input", "hidden", "output"):
        raise ValueError(f"kind must be input, hidden or output, received {shown(kind)}")
    wide, base = number("width", width), number("base_width", base_width)
    for name, value in (("width", wide), ("base_width", base)):
        if not 0 < value < inf:
            raise ValueError(f"{name} must be a positive number, received {value}")
    ratio = wide / base
    if not (0 < ratio < inf and 1 / ratio < inf):
        raise ValueError(f"width / base_width must be a positive number, received {ratio}")
    variance = number("scale", scale)
    if kind == "output":
        initializer = VarianceScaling(variance * ratio, "fan_in", distribution, seed)
        return Mup(initializer, 1 / ratio, ratio, 1.0)
    initializer = VarianceScaling(variance, "fan_in", distribution, seed)
    if kind == "input":
        return Mup(initializer, 1.0, ratio, 1.0)
    return Mup(initializer, 1.0, 1.0, 1 / ratio)
