"""A drop-in for ``keras.initializers``: the same names, arguments and configurations.

>>> from fastinit import initializers
>>> initializers.HeNormal(seed=1)((3, 3, 64, 128)).std().round(4)
np.float32(0.0589)

The snake_case names are the classes, as in Keras; each has its array function in :mod:`fastinit`.
"""

from ._activations import for_activation
from ._base import Initializer
from ._constant import Constant, Identity, Ones, Zeros
from ._fourier import STFT
from ._identifiers import deserialize, get, serialize
from ._mup import Mup, mup
from ._orthogonal import DeltaOrthogonal, Orthogonal
from ._random import RandomNormal, RandomUniform, TruncatedNormal
from ._residual import DeepNorm, deepnorm, fixup, gpt2_residual
from ._variance_scaling import (
    GlorotNormal,
    GlorotUniform,
    HeNormal,
    HeUniform,
    LecunNormal,
    LecunUniform,
    StandardUniform,
    VarianceScaling,
)

zeros = Zeros
ones = Ones
constant = Constant
random_normal = RandomNormal
random_uniform = RandomUniform
truncated_normal = TruncatedNormal
variance_scaling = VarianceScaling
lecun_uniform = LecunUniform
lecun_normal = LecunNormal
glorot_uniform = GlorotUniform
glorot_normal = GlorotNormal
he_uniform = HeUniform
he_normal = HeNormal
standard_uniform = StandardUniform
identity = Identity
IdentityInitializer = Identity
stft = STFT
STFTInitializer = STFT
orthogonal = Orthogonal
OrthogonalInitializer = Orthogonal
delta_orthogonal = DeltaOrthogonal

__all__ = [
    "STFT",
    "Constant",
    "DeepNorm",
    "DeltaOrthogonal",
    "GlorotNormal",
    "GlorotUniform",
    "HeNormal",
    "HeUniform",
    "Identity",
    "IdentityInitializer",
    "Initializer",
    "LecunNormal",
    "LecunUniform",
    "Mup",
    "Ones",
    "Orthogonal",
    "OrthogonalInitializer",
    "RandomNormal",
    "RandomUniform",
    "STFTInitializer",
    "StandardUniform",
    "TruncatedNormal",
    "VarianceScaling",
    "Zeros",
    "constant",
    "deepnorm",
    "delta_orthogonal",
    "deserialize",
    "fixup",
    "for_activation",
    "get",
    "glorot_normal",
    "glorot_uniform",
    "gpt2_residual",
    "he_normal",
    "he_uniform",
    "identity",
    "lecun_normal",
    "lecun_uniform",
    "mup",
    "ones",
    "orthogonal",
    "random_normal",
    "random_uniform",
    "serialize",
    "standard_uniform",
    "stft",
    "truncated_normal",
    "variance_scaling",
    "zeros",
]
