"""The sampling functions, as the tests of shapes, buffers and parameters go through them."""

import pytest
from fills import FLOATS

from fastinit import random_bits, random_normal, random_uniform, truncated_normal

FLOAT_SAMPLERS = [random_uniform, random_normal, truncated_normal]
SAMPLERS = [random_bits, *FLOAT_SAMPLERS]
samplers = pytest.mark.parametrize("sampler", SAMPLERS)
float_samplers = pytest.mark.parametrize("sampler", FLOAT_SAMPLERS)


def dtypes_of(sampler):
    return ("uint32", "uint64") if sampler is random_bits else FLOATS
