"""Test fastinit.keras.lsuv on whatever backend Keras is set to, against NumPy."""

import os
import warnings

import numpy as np
import pytest

import fastinit

os.environ.setdefault("KERAS_BACKEND", "jax")
with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    import keras

    from fastinit.keras import explain, lsuv

pytestmark = [
    pytest.mark.integration,
    # What Keras and its backends warn of on the way is theirs.
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::FutureWarning"),
]

layers = keras.layers


def normals(*shape, seed=5):
    return fastinit.random_normal(shape, stddev=1.0, seed=seed)


def numpy_of(tensor):
    return np.asarray(keras.ops.convert_to_numpy(tensor))


def build():
    return keras.Sequential(
        [layers.Dense(96, "relu"), layers.Dense(32, "tanh"), layers.Dropout(0.5), layers.Dense(8)]
    )


def test_algorithm_1():
    model, x = build(), normals(128, 64) * 3 + 1
    report = lsuv(model, x, seed=9, training=False)
    values = x.astype(float)
    dense = [layer for layer in model.layers if isinstance(layer, layers.Dense)]
    assert [weight.name for weight in report.weights] == [layer.kernel.path for layer in dense]
    for number, (layer, weight) in enumerate(zip(dense, report.weights, strict=True)):
        path = f"sequential/dense_{number}/kernel" if number else "sequential/dense/kernel"
        kernel = numpy_of(layer.kernel)
        matrix = fastinit.orthogonal(kernel.shape, seed=fastinit.derive_seed(9, path)).astype(float)
        output = values @ matrix
        assert weight.before == pytest.approx(output.std(), rel=1e-4)
        scale, iterations = 1.0, 0
        while abs((output * scale).var() - 1) > 0.1 and iterations < 10:
            scale /= (output * scale).std()
            iterations += 1
        assert (weight.iterations, weight.scale) == (iterations, pytest.approx(scale, rel=1e-4))
        np.testing.assert_allclose(kernel, matrix * scale, rtol=1e-4, atol=1e-6)
        assert weight.after == pytest.approx((output * scale).std(), rel=1e-4)
        assert not numpy_of(layer.bias).any()
        values = (np.maximum(output * scale, 0), np.tanh(output * scale), None)[number]
    assert report.unconverged == ()
    assert report.skipped == {}


def test_the_same_seed_gives_the_same_weights():
    x = normals(64, 64)
    first, second = build(), build()  # whose layers Keras numbers on
    one, other = lsuv(first, x, seed=3), lsuv(second, x, seed=3)
    assert [weight.scale for weight in one.weights] == [weight.scale for weight in other.weights]
    for kernel, same in zip(first.get_weights(), second.get_weights(), strict=True):
        assert np.array_equal(kernel, same)
    lsuv(second, x, seed=4)
    assert not np.array_equal(first.get_weights()[0], second.get_weights()[0])


def orthonormal(matrix):
    square = matrix @ matrix.T if matrix.shape[0] <= matrix.shape[1] else matrix.T @ matrix
    return np.allclose(square, np.eye(len(square)), atol=1e-5)


@pytest.mark.parametrize("training", [True, False])
def test_layers_and_layouts(training):
    inputs = keras.Input((9, 9, 4))
    x = layers.Conv2D(6, 3, groups=2, activation="relu", name="conv")(inputs)
    x = layers.BatchNormalization(name="norm")(x)
    x = layers.Dropout(0.2)(x)
    x = layers.Conv2DTranspose(5, 2, name="up")(x)
    x = layers.DepthwiseConv2D(2, depth_multiplier=3, activation="gelu", name="depthwise")(x)
    x = layers.Reshape((-1, 15))(x)
    x = layers.MultiHeadAttention(2, 3, name="attention")(x, x)
    x = layers.EinsumDense("abc,dc->abd", (None, 7), name="turned")(x)
    x = layers.GlobalAveragePooling1D()(x)
    model = keras.Model(inputs, layers.Dense(4, "softmax", name="head")(x))
    others = [*model.get_layer("norm").variables, *model.non_trainable_variables]
    before = [numpy_of(variable).copy() for variable in others]
    report = lsuv(model, normals(16, 9, 9, 4), training=training, tol=0.01)
    for variable, value in zip(others, before, strict=True):
        assert np.array_equal(numpy_of(variable), value)
    scales = {weight.name: weight.scale for weight in report.weights}
    attention = [f"attention/{n}/kernel" for n in ("query", "key", "value", "attention_output")]
    assert sorted(scales) == sorted(
        [f"{n}/kernel" for n in ("conv", "up", "depthwise", "turned", "head")] + attention
    )
    assert list(scales)[:3] == ["conv/kernel", "up/kernel", "depthwise/kernel"]
    for weight in report.weights:
        assert weight.after**2 == pytest.approx(1, abs=0.01)
    kernels = {v.path: numpy_of(v) / scales[v.path] for v in model.weights if v.path in scales}
    for group in np.split(kernels["conv/kernel"].reshape(18, 6), 2, axis=1):
        assert orthonormal(group)
    assert orthonormal(kernels["up/kernel"].reshape(-1, 6))
    for channel in np.moveaxis(kernels["depthwise/kernel"], 2, 0):
        assert orthonormal(channel.reshape(4, 3))
    assert orthonormal(kernels["attention/query/kernel"].reshape(15, 6))
    assert orthonormal(kernels["attention/attention_output/kernel"].reshape(6, 15))
    assert orthonormal(kernels["turned/kernel"])
    assert not any(vars(layer).get("call") for layer in model.layers)
    assert model.get_layer("conv").activation is keras.activations.relu
    found = {
        output.name: output
        for output in explain(model, normals(16, 9, 9, 4), training=training).outputs
    }
    assert found["attention/query"].stddev == pytest.approx(1, rel=0.1)


def test_kernels_whose_matrix_is_not_that_of_the_last_axis():
    """Groups of more outputs than inputs, and an EinsumDense that sums the first and last axes."""
    inputs = keras.Input((7, 4))
    x = layers.Conv1D(12, 1, groups=2, name="grouped")(inputs)
    x = layers.Reshape((7, 4, 3))(x)
    x = layers.EinsumDense("abcd,ced->abe", (None, 5), name="inner")(x)
    model = keras.Model(inputs, x)
    report = lsuv(model, normals(8, 7, 4))
    scales = {weight.name: weight.scale for weight in report.weights}
    grouped = numpy_of(model.get_layer("grouped").kernel) / scales["grouped/kernel"]
    for group in np.split(grouped.reshape(2, 12), 2, axis=1):
        assert orthonormal(group)
    inner = numpy_of(model.get_layer("inner").kernel) / scales["inner/kernel"]
    assert orthonormal(inner.transpose(0, 2, 1).reshape(12, 5))


def test_patterns_and_frozen_layers():
    model = build()
    x = normals(16, 64)
    model(x)
    model.layers[1].trainable = False
    before = model.get_weights()
    paths = [layer.kernel.path for layer in model.layers if layer.weights]
    report = lsuv(model, x, include=paths[:2], exclude=["*/dense/kernel"])
    (weight,) = report.weights  # the first has that path in a model of its own
    assert weight.name == paths[1]
    changed = [not np.array_equal(a, b) for a, b in zip(before, model.get_weights(), strict=True)]
    assert changed[2]
    assert not any(changed[:2] + changed[3:])
    with pytest.warns(UserWarning, match="pattern 'heads' of include matches no weight") as caught:
        lsuv(model, x, include=["heads"])
    assert caught[0].filename == __file__


class Twice(keras.Model):
    def __init__(self):
        super().__init__()
        self.inner = layers.Dense(6, "tanh", name="inner")
        self.unused = layers.Dense(6, name="unused")

    def build(self, shape):
        self.unused.build(shape)
        self.inner.build(shape)

    def call(self, x):
        return self.inner(self.inner(x))


def test_layers_that_are_called_twice_or_never():
    model, x = Twice(), normals(32, 6) * 5
    with pytest.warns(UserWarning, match=r"unused/kernel \(its layer was not called"):
        report = lsuv(model, x)
    (weight,) = report.weights
    assert (x.astype(float) @ numpy_of(model.inner.kernel)).std() == pytest.approx(1, rel=1e-4)
    assert (weight.before, weight.iterations) == (pytest.approx(5, rel=0.1), 1)
    assert list(report.skipped) == [model.unused.kernel.path]


class Cosine(layers.Dense):
    """A layer whose output does not depend on the scale of its kernel."""

    def call(self, x):
        return self.activation(x @ (self.kernel / keras.ops.norm(self.kernel)))


def test_no_convergence_is_said():
    model = keras.Sequential([Cosine(8, name="cosine")])
    with pytest.warns(UserWarning, match=r"not 1 within 0\.1 after 3 iterations for .*cosine"):
        report = lsuv(model, normals(16, 8), max_iter=3)
    assert report.unconverged == (report.weights[0].name,)


def test_errors():
    model = build()
    with pytest.raises(ValueError, match="has variance 0"):
        lsuv(model, np.zeros((4, 64), "float32"))
    assert not any(vars(layer).get("call") for layer in model.layers)
    assert model.layers[0].activation is keras.activations.relu
    before = model.get_weights()
    with pytest.raises(ValueError, match="tol must be between 0 and 1"):
        lsuv(model, normals(4, 64), tol=2)
    with pytest.raises(ValueError, match="inputs must be given"):
        lsuv(model, None)
    with pytest.raises(TypeError, match=r"must be a keras\.Model or a layer"):
        lsuv(None, normals(4, 64))
    for one, other in zip(before, model.get_weights(), strict=True):
        assert np.array_equal(one, other)


def test_mixed_precision_keeps_the_digits_of_the_kernel():
    model = keras.Sequential([layers.Dense(32, "relu", dtype="mixed_bfloat16", name="mixed")])
    report = lsuv(model, normals(64, 32) * 7)
    kernel = numpy_of(model.layers[0].kernel)
    assert kernel.dtype == np.float32
    assert orthonormal(kernel / report.weights[0].scale)
    assert report.weights[0].after == pytest.approx(1, rel=0.02)
