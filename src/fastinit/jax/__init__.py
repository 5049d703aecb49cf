"""The initializers of ``jax.nn.initializers``, with the values of this library.

>>> import jax
>>> import fastinit.jax
>>> kernel = fastinit.jax.he_normal()(jax.random.key(0), (784, 128))

They have JAX's names, arguments and protocol, ``init(key, shape, dtype, out_sharding)``, and work
eagerly and under ``jit``, ``vmap``, ``eval_shape`` and the other transformations.
:func:`initialize` fills a whole tree of parameters, each by its path; each process makes only the
shards of its own devices.
"""

try:
    import jax as _jax  # noqa: F401
except ModuleNotFoundError as error:
    if error.name != "jax":
        raise
    raise ModuleNotFoundError(
        "fastinit.jax needs JAX (the extra 'jax' has it): pip install jax", name="jax"
    ) from None

from jax.nn.initializers import Initializer

from ._constant import constant, ones, zeros
from ._initialize import initialize
from ._orthogonal import delta_orthogonal, orthogonal
from ._random import normal, truncated_normal, uniform
from ._variance_scaling import (
    glorot_normal,
    glorot_uniform,
    he_normal,
    he_uniform,
    kaiming_normal,
    kaiming_uniform,
    lecun_normal,
    lecun_uniform,
    variance_scaling,
    xavier_normal,
    xavier_uniform,
)

__all__ = [
    "Initializer",
    "constant",
    "delta_orthogonal",
    "glorot_normal",
    "glorot_uniform",
    "he_normal",
    "he_uniform",
    "initialize",
    "kaiming_normal",
    "kaiming_uniform",
    "lecun_normal",
    "lecun_uniform",
    "normal",
    "ones",
    "orthogonal",
    "truncated_normal",
    "uniform",
    "variance_scaling",
    "xavier_normal",
    "xavier_uniform",
    "zeros",
]
