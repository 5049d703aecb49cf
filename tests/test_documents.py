"""The code samples of the four documents that the initializers were specified by.

Each is quoted with its import replaced, and what the text around it says is checked.  What needs
layers is in test_keras.py.
"""

from math import sqrt

import numpy as np
import pytest

import fastinit
from fastinit import initializers

# The first and the third document: the pages of Keras, in Chinese and in Korean.


@pytest.mark.parametrize(
    ("made", "named"),
    [
        (initializers.Zeros(), "zeros"),
        (initializers.Ones(), "ones"),
        (initializers.Constant(value=0), "constant"),
        (initializers.RandomNormal(mean=0.0, stddev=0.05, seed=None), "random_normal"),
        (initializers.RandomUniform(minval=-0.05, maxval=0.05, seed=None), "random_uniform"),
        (initializers.TruncatedNormal(mean=0.0, stddev=0.05, seed=None), "truncated_normal"),
        (
            initializers.VarianceScaling(
                scale=1.0, mode="fan_in", distribution="normal", seed=None
            ),
            "variance_scaling",
        ),
        (initializers.Orthogonal(gain=1.0, seed=None), "orthogonal"),
        (initializers.Identity(gain=1.0), "identity"),
        (initializers.lecun_uniform(seed=None), "lecun_uniform"),
        (initializers.lecun_normal(seed=None), "lecun_normal"),
        (initializers.glorot_normal(seed=None), "glorot_normal"),
        (initializers.glorot_uniform(seed=None), "glorot_uniform"),
        (initializers.he_normal(seed=None), "he_normal"),
        (initializers.he_uniform(seed=None), "he_uniform"),
    ],
    ids=lambda case: case if isinstance(case, str) else "",
)
def test_the_signatures_are_the_defaults(made, named):
    assert initializers.get(named) == made
    assert made((8, 8)).shape == (8, 8)


def test_random_normal_with_a_stddev():
    values = initializers.random_normal(stddev=0.01)((784, 64))
    # 50176 values: the deviation's standard error is 0.3%; beyond 2% once in 1e10 runs.
    assert values.std() == pytest.approx(0.01, rel=0.02)
    assert initializers.random_normal is initializers.RandomNormal


def test_truncation():
    values = initializers.TruncatedNormal(mean=1.0, stddev=0.05, seed=1)((1000, 100))
    assert np.abs(values - 1).max() <= 0.1 * (1 + 1e-6)
    # Rejected and redrawn, not clamped: no value is piled up at the bounds.
    assert (np.abs(values - 1) > 0.0999).mean() < 1e-3  # the density there gives 2e-4


@pytest.mark.parametrize(
    ("mode", "n"), [("fan_in", 300), ("fan_out", 500), ("fan_avg", 400), ("fan_geo_avg", 387.298)]
)
def test_variance_scaling(mode, n):
    normal = initializers.VarianceScaling(mode=mode, distribution="normal", seed=1)((300, 500))
    uniform = initializers.VarianceScaling(mode=mode, distribution="uniform", seed=1)((300, 500))
    # 150000 values: the deviation's standard error is below 0.2%.
    assert normal.std() == pytest.approx(sqrt(1 / n), rel=0.01)
    limit = sqrt(3 * 1 / n)
    assert 0.999 * limit < np.abs(uniform).max() <= limit * (1 + 1e-6)


def test_a_custom_initializer():
    def my_init(shape, dtype=None):
        return fastinit.random_normal(shape, dtype=dtype)

    assert initializers.get(my_init) is my_init
    assert my_init((3, 4), dtype="float64").dtype == np.float64


# The second document: tf.keras.initializers, called with shape=(9, 1).


@pytest.mark.parametrize(
    ("name", "stddev"),
    [
        ("glorot_normal", sqrt(2 / (9 + 1))),
        ("glorot_uniform", sqrt(6 / (9 + 1)) / sqrt(3)),
        ("he_normal", sqrt(2 / 9)),
        ("he_uniform", sqrt(6 / 9) / sqrt(3)),
    ],
)
def test_nine_values(name, stddev):
    initializer = getattr(initializers, name)()
    values = initializer(shape=(9, 1))
    assert values.shape == (9, 1)
    assert values.dtype == np.float32
    limit = sqrt(3) * stddev if name.endswith("uniform") else 2 * stddev / 0.87962566103423978
    many = np.array([initializer(shape=(9, 1)) for _ in range(2000)])
    assert np.abs(many).max() <= limit * (1 + 1e-6)
    # 18000 values: the deviation's standard error is 0.5%; beyond 4% once in 1e15 runs.
    assert many.std() == pytest.approx(stddev, rel=0.04)
    print(values)


def test_standard_initialization():
    values = initializers.standard_uniform(seed=1)((400, 300))
    assert 0.999 / 20 < np.abs(values).max() <= 1 / 20 * (1 + 1e-6)


def test_random_initialization_is_a_normal():
    # "From a Gaussian with mean 0 and standard deviation 1"; biases 0.
    values = fastinit.random_normal((300, 300), mean=0.0, stddev=1.0, seed=1)
    assert values.std() == pytest.approx(1, rel=0.02)  # its standard error is 0.24%
    assert not fastinit.zeros((300,)).any()


# The fourth document: initialization by activation, and He's with fan_avg.


@pytest.mark.parametrize(
    ("activation", "variance"),
    [(a, lambda fan_in, fan_avg: 1 / fan_avg) for a in (None, "tanh", "logistic", "softmax")]
    + [("relu", lambda fan_in, fan_avg: 2 / fan_in), ("elu", lambda fan_in, fan_avg: 2 / fan_in)]
    + [("selu", lambda fan_in, fan_avg: 1 / fan_in)],
    ids=str,
)
@pytest.mark.parametrize("distribution", ["normal", "uniform"])
def test_the_table_of_activations(activation, variance, distribution):
    initializer = initializers.for_activation(activation, distribution, seed=1)
    values = initializer((200, 600))
    # 120000 values: the variance's standard error is below 0.4%.
    assert values.var() == pytest.approx(variance(200, 400), rel=0.02)
    if distribution == "uniform":  # r = sqrt(3) sigma
        assert np.abs(values).max() <= sqrt(3 * variance(200, 400)) * (1 + 1e-6)


def test_he_with_the_average_fan():
    he_avg_init = initializers.VarianceScaling(scale=2.0, mode="fan_avg", distribution="uniform")
    values = he_avg_init((200, 600))
    assert np.abs(values).max() <= sqrt(3 * 2 / 400) * (1 + 1e-6)
    assert values.var() == pytest.approx(2 / 400, rel=0.02)
