"""Initializers for residual networks, whose variance shrinks with the depth."""

from __future__ import annotations

from math import sqrt
from typing import TYPE_CHECKING, NamedTuple, SupportsFloat

from .._messages import shown
from .._parameters import number
from .._shapes import as_integer
from ._random import RandomNormal
from ._variance_scaling import VarianceScaling

if TYPE_CHECKING:
    from typing import SupportsIndex

    from .._typing import Seed


_MOST_LAYERS = 10**9  # so that all powers of it are numbers of float64


def _layer_count(name: str, value: SupportsIndex, least: int = 1) -> int:
    try:
        count = as_integer(value)
    except TypeError:
        raise TypeError(f"{name} must be an integer, received {shown(value)}") from None
    if count < least:
        raise ValueError(f"{name} must be at least {least}, received {shown(count)}")
    if count > _MOST_LAYERS:
        raise ValueError(f"{name} must be at most {_MOST_LAYERS}, received {shown(count)}")
    return count


def gpt2_residual(
    n_layers: SupportsIndex, stddev: SupportsFloat = 0.02, seed: Seed = None
) -> RandomNormal:
    """Return GPT-2's initializer for the projections that write to the residual stream.

    It is N(0, (stddev / sqrt(2 n_layers))**2).  A transformer of n_layers blocks adds 2 n_layers
    branches to the stream, the attention and the feed-forward network of each block.  Use this
    initializer for the last matrix of each branch; the other weights have the standard deviation
    ``stddev``.

    Parameters
    ----------
    n_layers : int
        Number of blocks, >= 1.
    stddev : float
        Standard deviation of the other weights.
    seed : int, SeedGenerator or numpy.random.Generator, optional
        As for every initializer.

    Returns
    -------
    RandomNormal

    Raises
    ------
    ValueError, TypeError
        An argument is out of range or of the wrong type.

    Notes
    -----
    Radford, Wu, Child, Luan, Amodei & Sutskever, Language Models are Unsupervised Multitask
    Learners, 2019, section 2.3: "a factor of 1/sqrt(N) where N is the number of residual layers".

    Examples
    --------
    >>> from fastinit import initializers
    >>> initializers.gpt2_residual(12).stddev == 0.02 / 24**0.5
    True
    """
    count = _layer_count("n_layers", n_layers)
    spread = number("stddev", stddev)
    if spread < 0:  # RandomNormal would name the quotient
        raise ValueError(f"stddev must be >= 0, received {spread}")
    return RandomNormal(0.0, spread / sqrt(2 * count), seed)


class DeepNorm(NamedTuple):
    """The factors and the initializer of DeepNorm for one stack of a transformer.

    Attributes
    ----------
    alpha : float
        The factor of the residual connection: ``layer_norm(alpha * x + branch(x))``.
    beta : float
        The gain of the initializer.
    initializer : VarianceScaling
        Glorot's normal distribution times beta, for the matrices of the feed-forward network and
        the value and output projections of attention.  Query and key projections have Glorot's own.
    """

    alpha: float
    beta: float
    initializer: VarianceScaling


def deepnorm(
    encoder_layers: SupportsIndex = 0,
    decoder_layers: SupportsIndex = 0,
    part: str | None = None,
    seed: Seed = None,
) -> DeepNorm:
    """Return the factors and the initializer of DeepNorm, for transformers of up to 1000 layers.

    Parameters
    ----------
    encoder_layers, decoder_layers : int
        Numbers of layers N and M of the encoder and the decoder; 0 for a transformer without one.
    part : {"encoder", "decoder"}, optional
        The stack to return the factors of; optional if there is only one.
    seed : int, SeedGenerator or numpy.random.Generator, optional
        As for every initializer.

    Returns
    -------
    DeepNorm
        A single stack of n layers has alpha = (2 n)**(1/4), beta = (8 n)**(-1/4).  If there are
        two, the encoder has alpha = 0.81 (N**4 M)**(1/16), beta = 0.87 (N**4 M)**(-1/16), and the
        decoder alpha = (3 M)**(1/4), beta = (12 M)**(-1/4).

    Raises
    ------
    ValueError, TypeError
        An argument is out of range or of the wrong type.

    Notes
    -----
    Wang, Ma, Dong, Huang, Zhang & Wei, DeepNet: Scaling Transformers to 1,000 Layers, 2022
    (arXiv:2203.00555), figure 2.

    Examples
    --------
    >>> from fastinit import initializers
    >>> rule = initializers.deepnorm(decoder_layers=32)
    >>> round(rule.alpha, 3), rule.beta
    (2.828, 0.25)
    """
    n = _layer_count("encoder_layers", encoder_layers, 0)
    m = _layer_count("decoder_layers", decoder_layers, 0)
    if not n and not m:
        raise ValueError("encoder_layers or decoder_layers must be at least 1, received 0 and 0")
    stacks = [name for name, count in (("encoder", n), ("decoder", m)) if count]
    if part is None and len(stacks) == 1:
        part = stacks[0]
    if not isinstance(part, str) or part not in stacks:
        raise ValueError(f"part must be {' or '.join(stacks)}, received {shown(part)}")
    if len(stacks) == 1:
        alpha, beta = (2 * (n or m)) ** 0.25, (8 * (n or m)) ** -0.25
    elif part == "encoder":
        alpha, beta = 0.81 * (n**4 * m) ** 0.0625, 0.87 * (n**4 * m) ** -0.0625
    else:
        alpha, beta = (3 * m) ** 0.25, (12 * m) ** -0.25
    initializer = VarianceScaling(beta**2, "fan_avg", "untruncated_normal", seed)
    return DeepNorm(alpha, beta, initializer)


def fixup(
    n_branches: SupportsIndex, branch_layers: SupportsIndex, seed: Seed = None
) -> VarianceScaling:
    """Return Fixup's initializer for the weights inside residual branches.

    It is He's normal distribution times L**(-1 / (2 m - 2)), for all layers of a branch except the
    last, which starts at 0 like the classification layer.

    Parameters
    ----------
    n_branches : int
        Number of residual branches, L >= 1.
    branch_layers : int
        Number of layers of each branch, m >= 2.
    seed : int, SeedGenerator or numpy.random.Generator, optional
        As for every initializer.

    Returns
    -------
    VarianceScaling

    Raises
    ------
    ValueError, TypeError
        An argument is out of range or of the wrong type.

    Notes
    -----
    Zhang, Dauphin & Ma, Fixup Initialization, ICLR 2019, section 3, rules 1 and 2.

    Examples
    --------
    >>> from fastinit import initializers
    >>> initializers.fixup(16, 2).scale == 2 / 16
    True
    """
    branches = _layer_count("n_branches", n_branches)
    depth = _layer_count("branch_layers", branch_layers, 2)
    # The factor of the variance is the square of that of the weights.
    return VarianceScaling(2 * branches ** (-1 / (depth - 1)), "fan_in", "untruncated_normal", seed)
