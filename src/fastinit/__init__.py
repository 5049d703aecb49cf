"""Initial values for neural networks: on the CPU, into NumPy arrays, the same bits everywhere.

>>> import fastinit
>>> w = fastinit.truncated_normal((4096, 4096), stddev=0.05, seed=1)

Every element depends on the seed, the distribution, the dtype, its index in C order and the
parameters, and on nothing else: not on the number of threads, nor on the processor, nor on the
part of the array that was asked for.
"""

try:
    from . import initializers
except RuntimeError as error:  # FASTINIT_ISA names kernels that are not available
    from ._cli.startup import end_command

    end_command(error)
    raise
from ._config import show_config
from ._explain import Explanation, explain
from ._kernels import STREAM_VERSION
from ._kernels import VERSION as __version__
from ._keyed import KeyedArray
from ._lazy import LazyArray
from ._random_bits import random_bits
from ._seeds import SeedGenerator, derive_seed
from ._selftest import selftest
from ._threads import get_num_threads, set_num_threads
from .initializers._constant import constant, identity, ones, zeros
from .initializers._fourier import stft
from .initializers._orthogonal import delta_orthogonal, orthogonal
from .initializers._random import random_normal, random_uniform, truncated_normal
from .initializers._variance_scaling import (
    glorot_normal,
    glorot_uniform,
    he_normal,
    he_uniform,
    lecun_normal,
    lecun_uniform,
    standard_uniform,
    variance_scaling,
)

__all__ = [
    "STREAM_VERSION",
    "Explanation",
    "KeyedArray",
    "LazyArray",
    "SeedGenerator",
    "__version__",
    "constant",
    "delta_orthogonal",
    "derive_seed",
    "explain",
    "get_num_threads",
    "glorot_normal",
    "glorot_uniform",
    "he_normal",
    "he_uniform",
    "identity",
    "initializers",
    "lecun_normal",
    "lecun_uniform",
    "ones",
    "orthogonal",
    "random_bits",
    "random_normal",
    "random_uniform",
    "selftest",
    "set_num_threads",
    "show_config",
    "standard_uniform",
    "stft",
    "truncated_normal",
    "variance_scaling",
    "zeros",
]
