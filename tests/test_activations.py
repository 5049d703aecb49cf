"""Activation functions of PyTorch, Keras and JAX: the same values, and the options of objects."""

from functools import partial

import flax.linen
import jax
import keras
import numpy as np
import pytest
import tensorflow as tf
import torch

import fastinit
import fastinit.keras
from fastinit import initializers
from fastinit._nonlinearity import find_activation

pytestmark = pytest.mark.integration

X = np.concatenate([np.linspace(-8, 8, 401), [-50.0, 50.0]]).astype("float32")

COMMON = (
    *("relu", "relu6", "leaky_relu", "elu", "celu", "selu", "gelu", "silu", "hard_silu", "mish"),
    *("softplus", "squareplus", "sparse_plus", "tanh", "hard_tanh", "sigmoid", "hard_sigmoid"),
    "sparse_sigmoid",
)
TORCH = [
    *[torch.nn.LeakyReLU(0.2), torch.nn.LeakyReLU(), torch.nn.PReLU(), torch.nn.PReLU(1, 0.1)],
    *[torch.nn.ReLU(), torch.nn.ReLU6(), torch.nn.ELU(), torch.nn.ELU(0.5), torch.nn.CELU(2.0)],
    *[torch.nn.SELU(), torch.nn.GELU(), torch.nn.GELU("tanh"), torch.nn.SiLU(), torch.nn.Mish()],
    *[torch.nn.Softplus(), torch.nn.Softsign(), torch.nn.Tanh(), torch.nn.Sigmoid()],
    *[torch.nn.Hardtanh(), torch.nn.Hardswish(), torch.nn.Hardsigmoid(), torch.tanh, torch.relu],
    *[torch.nn.functional.gelu, torch.nn.functional.leaky_relu, torch.nn.functional.elu],
    partial(torch.nn.functional.leaky_relu, negative_slope=0.3),
    torch.nn.Identity(),
]
KERAS = [
    *[keras.layers.LeakyReLU(), keras.layers.LeakyReLU(negative_slope=0.4)],
    *[keras.layers.ELU(alpha=0.3), keras.layers.ReLU(), keras.layers.ReLU(max_value=6.0)],
    keras.layers.ReLU(negative_slope=0.1),
    *[getattr(keras.activations, name) for name in (*COMMON, "softsign", "linear")],
]
JAX = [getattr(jax.nn, name) for name in (*COMMON, "soft_sign", "identity")]
JAX.append(partial(jax.nn.gelu, approximate=False))


def agree(function, theirs):
    # Theirs are of float32, whose rounding is 6e-8 of the terms, up to 8 here.
    ours = find_activation(function)(X.astype("float64"))
    np.testing.assert_allclose(ours, theirs, rtol=3e-6, atol=1e-6)


@pytest.mark.parametrize("function", TORCH, ids=str)
def test_torch(function):
    agree(function, function(torch.from_numpy(X)).detach().numpy())


@pytest.mark.parametrize("function", KERAS, ids=str)
def test_keras(function):
    agree(function, keras.ops.convert_to_numpy(function(keras.ops.convert_to_tensor(X))))


@pytest.mark.parametrize("function", JAX, ids=str)
def test_jax(function):
    agree(function, np.asarray(function(X)))


@pytest.mark.parametrize("module", [keras, fastinit.keras])
def test_initializers_of_keras_are_explained(module):
    theirs = module.initializers
    for initializer, ours in (
        (theirs.HeNormal(seed=1), initializers.HeNormal()),
        (theirs.RandomUniform(-0.5, 0.25, seed=1), initializers.RandomUniform(-0.5, 0.25)),
        (theirs.VarianceScaling(3.0, "fan_avg"), initializers.VarianceScaling(3.0, "fan_avg")),
        (theirs.Constant(2.0), initializers.Constant(2.0)),
        (theirs.Orthogonal(0.5), initializers.Orthogonal(0.5)),
    ):
        found = fastinit.explain(initializer, (30, 40))
        assert found.to_dict() == fastinit.explain(ours, (30, 40)).to_dict()


class LeakyReLU:
    """That of Keras 2, which names its slope alpha and keeps it as an array."""

    alpha = np.array(0.5, np.float32)


def _built(layer):
    layer.build((None, 4))
    return layer


def test_slopes_of_objects():
    for function, slope in (
        (torch.nn.LeakyReLU(0.2), 0.2),
        (torch.nn.PReLU(), 0.25),
        (torch.nn.RReLU(), ((1 / 64 + 1 / 24 + 1 / 9) / 3) ** 0.5),
        (torch.nn.RReLU(0.0, 0.9), 0.27**0.5),
        (partial(torch.nn.functional.rrelu, lower=0.0, upper=0.9), 0.27**0.5),
        (keras.layers.PReLU(), 0.0),
        (keras.layers.PReLU(keras.initializers.Constant(0.5)), 0.5),
        (_built(keras.layers.PReLU(keras.initializers.Constant(0.5))), 0.5),
        (flax.linen.PReLU(negative_slope_init=0.125), 0.125),
        (tf.nn.leaky_relu, 0.2),
        (LeakyReLU(), 0.5),
        (keras.layers.LeakyReLU(), 0.3),
        (keras.activations.leaky_relu, 0.2),
        (jax.nn.leaky_relu, 0.01),
    ):
        exact = initializers.for_activation(function, gain="exact")
        assert exact.scale == pytest.approx(2 / (1 + slope**2), rel=1e-12)
        # Without it, and without a slope, nothing has changed.
        assert initializers.for_activation(function) == initializers.HeNormal()


@pytest.mark.parametrize(
    "function",
    [torch.nn.Softplus(beta=2), torch.nn.Hardtanh(-2, 2), keras.layers.ReLU(threshold=1.0)],
)
def test_options_that_are_not_known(function):
    with pytest.raises(ValueError, match=r"(beta|min_val|threshold) of .* must be"):
        find_activation(function)
