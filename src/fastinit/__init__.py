"""Initial values for neural networks: on the CPU, into NumPy arrays, the same bits everywhere.

>>> import fastinit
>>> w = fastinit.truncated_normal((4096, 4096), stddev=0.05, seed=1)

Every element depends on the seed, the distribution, the dtype, its index in C order and the
parameters, and on nothing else: not on the number of threads, nor on the processor, nor on the
part of the array that was asked for.
"""

from importlib.metadata import version as _version

from . import _registry, initializers
from ._config import show_config
from ._kernels import STREAM_VERSION
from ._lazy import LazyArray
from ._samplers import random_bits
from ._seeds import SeedGenerator, derive_seed
from ._selftest import selftest
from ._threads import get_num_threads, set_num_threads

__version__ = _version("fastinit-kernels")

# One function for every initializer of the table; __init__.pyi spells them out.
globals().update(_registry.FUNCTIONS)

__all__ = [
    "STREAM_VERSION",
    "LazyArray",
    "SeedGenerator",
    "derive_seed",
    "get_num_threads",
    "initializers",
    "random_bits",
    "selftest",
    "set_num_threads",
    "show_config",
    *_registry.FUNCTIONS,
]
