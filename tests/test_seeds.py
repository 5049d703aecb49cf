import operator

import numpy as np
import pytest
from fills import assert_same_bits

import fastinit

SAMPLERS = [
    fastinit.random_bits,
    fastinit.random_uniform,
    fastinit.random_normal,
    fastinit.truncated_normal,
]
samplers = pytest.mark.parametrize("sampler", SAMPLERS)


class Index:
    def __init__(self, value):
        self.value = value

    def __index__(self):
        return operator.index(self.value)


INTEGERS = [np.dtype(code).type for code in "bBhHiIlLqQ"]


@samplers
@pytest.mark.parametrize("make", [*INTEGERS, np.array, Index], ids=lambda make: make.__name__)
def test_any_integer_type(sampler, make):
    assert_same_bits(sampler(100, seed=make(7)), sampler(100, seed=7))


@samplers
def test_the_largest_seed(sampler):
    largest = sampler(100, seed=2**64 - 1)
    assert_same_bits(largest, sampler(100, seed=np.uint64(2**64 - 1)))
    assert (largest != sampler(100, seed=2**63 - 1)).mean() > 0.9
    assert (largest != sampler(100, seed=2**32 - 1)).mean() > 0.9
    assert (largest != sampler(100, seed=0)).mean() > 0.9


@samplers
@pytest.mark.parametrize("seed", [-1, 2**64, -(2**63), 10**30, np.int64(-1), Index(2**64)])
def test_out_of_range(sampler, seed):
    with pytest.raises(ValueError, match="seed must be in 0 <= seed < 2\\*\\*64, received"):
        sampler(4, seed=seed)


@samplers
@pytest.mark.parametrize(
    "seed",
    [
        *[True, np.True_, 1.0, np.float32(1), np.float64(1), 1j, "1", b"1", [1], (1,), {}, object],
        *[np.array([1, 2]), np.array(1.0), np.datetime64(1, "s")],
    ],
    ids=repr,
)
def test_wrong_type(sampler, seed):
    with pytest.raises(
        TypeError,
        match=r"seed must be an integer, .* or None, received",
    ):
        sampler(4, seed=seed)


@samplers
def test_none_is_fresh_every_time(sampler):
    a, b = sampler(100), sampler(100, seed=None)
    assert (a != b).mean() > 0.9  # equal by chance: 2^-64


@samplers
def test_an_integer_repeats(sampler):
    assert_same_bits(sampler((5, 7), seed=3), sampler((7, 5), seed=3).reshape(5, 7))


def test_one_seed_gives_unrelated_words_to_each_distribution():
    bits = fastinit.random_bits(1000, seed=1)
    uniform = fastinit.random_uniform(1000, 0.0, 1.0, seed=1)
    assert ((bits >> 1 | 1) * np.float32(2**-31) == uniform).sum() < 3
    normal = fastinit.random_normal(1000, 0.0, 1.0, seed=1)
    truncated = fastinit.truncated_normal(1000, 0.0, 1.0, seed=1)
    assert (np.abs(normal - truncated) < 1e-3).sum() < 10  # 0.5 expected
